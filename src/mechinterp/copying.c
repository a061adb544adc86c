/*
 * What a head copies, from weights alone (Elhage et al. 2021). W_E W_V W_O W_U is V x V; W_O W_U W_E W_V is D x D and
 * has the same eigenvalues but for zeros, and only W_U W_E, C x C, depends on the vocabulary: it is formed once.
 */
#include <math.h>
#include <string.h>

#include "mechinterp/copying.h"
#include "rllc/stats.h"

enum { ROWS = 16 }; /* of W_U W_E that one thread forms at a time */

typedef struct product {
    const float *W_U, *W_E; /* [C, V], [V, C] */
    int64_t C, V;
    double *out; /* [C, C] */
} product;

static rllc_status product_rows(void *context, int64_t task, int worker) {
    const product *p = context;
    const int64_t first = task * ROWS, end = first + ROWS < p->C ? first + ROWS : p->C;
    (void)worker;
    for (int64_t v = 0; v < p->V; v++)
        for (int64_t i = first; i < end; i++) {
            const double u = (double)p->W_U[i * p->V + v];
            double *row = p->out + i * p->C;
            for (int64_t j = 0; j < p->C; j++) row[j] += u * (double)p->W_E[v * p->C + j];
        }
    return RLLC_OK;
}

static const float *tensor(const rllc_model *m, const char *name) {
    const rllc_parameter *p = rllc_model_find(m, name);
    return p ? m->weights + p->offset : NULL;
}

static const float *layer_tensor(const rllc_model *m, int64_t l, const char *name) {
    return tensor(m, rllc_intern_printf("blocks.%lld.%s", (long long)l, name));
}

/** LayerNorm but for its division is x (1 - 11^T / C) diag(g): that, times the matrix a [C, n], in place. */
static void fold(int64_t C, int64_t n, const float *gain, double *a) {
    for (int64_t j = 0; j < n; j++) {
        double mean = 0;
        for (int64_t i = 0; i < C; i++) {
            a[i * n + j] *= (double)gain[i];
            mean += a[i * n + j] / (double)C;
        }
        for (int64_t i = 0; i < C; i++) a[i * n + j] -= mean;
    }
}

/** c [m, n] = a [m, k] b [k, n]. */
static void multiply(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c) {
    memset(c, 0, (size_t)(m * n) * sizeof *c);
    for (int64_t i = 0; i < m; i++)
        for (int64_t l = 0; l < k; l++)
            for (int64_t j = 0; j < n; j++) c[i * n + j] += a[i * k + l] * b[l * n + j];
}

static double ratio(int64_t n, const double *re, const double *im) {
    double sum = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += re[i];
        size += hypot(re[i], im[i]);
    }
    return size > 0 ? sum / size : 0;
}

/* Room for one head. */
typedef struct head_room {
    double *W_O, *W_V, *t; /* [D, C], [C, D], [D, C] */
    double *a, *re, *im;   /* [D, D], [D], [D] */
} head_room;

static rllc_status room_init(head_room *r, int64_t C, int64_t D) {
    rllc_status status = RLLC_OK;
    double **const sizes[] = {&r->W_O, &r->W_V, &r->t, &r->a, &r->re, &r->im};
    const int64_t counts[] = {D * C, C * D, D * C, D * D, D, D};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        RLLC_TRY(rllc_alloc(sizes[i], counts[i], sizeof(double)));
done:
    return status;
}

static void room_release(head_room *r) {
    double *const parts[] = {r->W_O, r->W_V, r->t, r->a, r->re, r->im};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) rllc_free(parts[i]);
}

/** all: W_U W_E. */
static rllc_status head_score(const rllc_model *m, const double *all, bool folded, int64_t l, int64_t h, head_room *r,
                              double *out) {
    rllc_status status = RLLC_OK;
    const int64_t C = m->options.d_model, D = m->options.d_head;
    const float *W_V = layer_tensor(m, l, "attn.W_V") + h * C * D, *W_O = layer_tensor(m, l, "attn.W_O") + h * D * C;
    for (int64_t i = 0; i < C * D; i++) {
        r->W_V[i] = (double)W_V[i];
        r->W_O[i] = (double)W_O[i];
    }
    if (folded) fold(C, D, layer_tensor(m, l, "ln1.w"), r->W_V);
    multiply(D, C, C, r->W_O, all, r->t);
    multiply(D, D, C, r->t, r->W_V, r->a);
    RLLC_TRY(rllc_eigenvalues(r->a, D, r->re, r->im));
    *out = ratio(D, r->re, r->im);
done:
    return rllc_fail_within(status, "copying score of head %lld:%lld", (long long)l, (long long)h);
}

rllc_status rllc_copying_scores(const rllc_model *m, bool folded, int n_threads, double *out) {
    rllc_status status = RLLC_OK;
    const rllc_model_options *o = &m->options;
    head_room r = {0};
    product p = {.W_U = tensor(m, "unembed.W_U"), .W_E = tensor(m, "embed.W_E"), .C = o->d_model, .V = o->d_vocab};
    if (folded && o->normalization != RLLC_NORM_LN)
        return rllc_fail(RLLC_EUNSUPPORTED, "the model has no LayerNorm to fold into its weights");
    RLLC_TRY(rllc_alloc(&p.out, p.C * p.C, sizeof *p.out));
    RLLC_TRY(room_init(&r, o->d_model, o->d_head));
    RLLC_TRY(rllc_parallel((p.C + ROWS - 1) / ROWS, n_threads, product_rows, &p));
    if (folded) fold(p.C, p.C, tensor(m, "ln_final.w"), p.out);
    for (int64_t i = 0; i < o->n_layers * o->n_heads; i++)
        RLLC_TRY(head_score(m, p.out, folded, i / o->n_heads, i % o->n_heads, &r, &out[i]));
done:
    room_release(&r);
    rllc_free(p.out);
    return status;
}

double rllc_copying_flops(const rllc_model *m) {
    const rllc_model_options *o = &m->options;
    const double C = (double)o->d_model, D = (double)o->d_head, heads = (double)(o->n_layers * o->n_heads);
    return 2 * (double)o->d_vocab * C * C + heads * (2 * D * C * C + 2 * D * D * C + 10 * D * D * D); /* QR: 10 D^3 */
}
