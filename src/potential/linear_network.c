/* L(W) = |W_L ... W_1 - P|^2 (Frobenius, no 1/2): reduced-rank regression and deep linear networks. */
#include <math.h>
#include <string.h>

#include "analytic.h"

/**
 * With D = W_L ... W_1 - P and inputs of covariance Sxx, noise xi on the targets:
 *   L = tr D Sxx D^T - 2 tr D Sxe + See,   dL/dD = 2 (D Sxx - Sxe^T);   population: Sxx = I, Sxe = 0, See = 0.
 */
struct network {
    int64_t layers, *widths, *excess,
        rank; /* layers matrices W_l [widths[l + 1], widths[l]], row-major, one after another */
    double *memory;
    double *product;        /* P [N, M] */
    double *prefix;         /* [layers] blocks of largest^2: W_l ... W_1 */
    double *upper, *next;   /* [largest^2] gradient on its way down */
    double *sxx, *sxe, see; /* [M, M], [M, N] */
    int64_t largest;
    bool population;
    double *x, *noise; /* the sample [n, M], [n, N] */
};

/** c [m, n] = a [m, k] b [k, n]. */
static void multiply(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c) {
    memset(c, 0, (size_t)(m * n) * sizeof *c);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < k; j++)
            for (int64_t l = 0; l < n; l++) c[i * n + l] += a[i * k + j] * b[j * n + l];
}

/** c [m, n] = a [m, k] b^T, b [n, k]. */
static void multiply_by_transpose(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t l = 0; l < n; l++) {
            double sum = 0;
            for (int64_t j = 0; j < k; j++) sum += a[i * k + j] * b[l * k + j];
            c[i * n + l] = sum;
        }
}

/** c [m, n] = a^T b, a [k, m], b [k, n]. */
static void multiply_transposed(int64_t m, int64_t n, int64_t k, const double *a, const double *b, double *c) {
    memset(c, 0, (size_t)(m * n) * sizeof *c);
    for (int64_t j = 0; j < k; j++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t l = 0; l < n; l++) c[i * n + l] += a[j * m + i] * b[j * n + l];
}

/** The loss of D, and dL/dD into t->upper. */
static double loss_of(struct network *t, double *d) {
    const int64_t m = t->widths[0], n = t->widths[t->layers];
    double loss = t->see;
    if (t->population)
        memcpy(t->upper, d, (size_t)(n * m) * sizeof *d);
    else
        multiply(n, m, m, d, t->sxx, t->upper);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < m; k++) {
            double *g = &t->upper[i * m + k];
            const double noise = t->population ? 0 : t->sxe[k * n + i];
            loss += d[i * m + k] * (*g - 2 * noise);
            *g = 2 * (*g - noise);
        }
    return loss;
}

static rllc_status evaluate(rllc_analytic_model *model, const double *w, double *loss, double *gradient) {
    struct network *t = model->data;
    const int64_t m = t->widths[0], n = t->widths[t->layers], block = t->largest * t->largest;
    const double *layer = w, *below = NULL;
    for (int64_t l = 0; l < t->layers; layer += t->widths[l + 1] * t->widths[l], l++) {
        double *out = t->prefix + l * block;
        if (l == 0)
            memcpy(out, layer, (size_t)(t->widths[1] * m) * sizeof *out);
        else
            multiply(t->widths[l + 1], m, t->widths[l], layer, below, out);
        below = out;
    }
    double *d = t->prefix + (t->layers - 1) * block;
    for (int64_t i = 0; i < n * m; i++) d[i] -= t->product[i];
    *loss = loss_of(t, d);
    for (int64_t l = t->layers - 1; gradient && l >= 0; l--) { /* upper: gradient of W_l ... W_1 [widths[l + 1], M] */
        const int64_t rows = t->widths[l + 1], columns = t->widths[l];
        layer -= rows * columns;
        double *out = gradient + (layer - w);
        if (l == 0)
            memcpy(out, t->upper, (size_t)(rows * m) * sizeof *out);
        else
            multiply_by_transpose(rows, columns, m, t->upper, t->prefix + (l - 1) * block, out);
        multiply_transposed(columns, m, rows, layer, t->upper, t->next);
        double *swap = t->upper;
        t->upper = t->next;
        t->next = swap;
    }
    return RLLC_OK;
}

static rllc_status select_rows(rllc_analytic_model *model, int64_t rows, const int64_t *row) {
    struct network *t = model->data;
    const int64_t m = t->widths[0], n = t->widths[t->layers];
    memset(t->sxx, 0, (size_t)(m * m + m * n) * sizeof *t->sxx);
    t->see = 0;
    for (int64_t r = 0; r < rows; r++) {
        const double *x = t->x + row[r] * m, *e = t->noise + row[r] * n;
        for (int64_t i = 0; i < m; i++) {
            for (int64_t k = 0; k < m; k++) t->sxx[i * m + k] += x[i] * x[k] / (double)rows;
            for (int64_t k = 0; k < n; k++) t->sxe[i * n + k] += x[i] * e[k] / (double)rows;
        }
        for (int64_t k = 0; k < n; k++) t->see += e[k] * e[k] / (double)rows;
    }
    return RLLC_OK;
}

static rllc_status coefficient(const rllc_analytic_model *model, const double *w, const bool *moves,
                               rllc_coefficient *out) {
    const struct network *t = model->data;
    *out = (rllc_coefficient){NAN, 0};
    for (int64_t i = 0; i < model->dim; i++)
        if (!moves[i] || w[i] != model->point[i]) return RLLC_OK;
    const rllc_status status = rllc_coefficient_deep_linear_at(t->layers + 1, t->widths, t->rank, t->excess, out);
    return status == RLLC_EUNSUPPORTED ? RLLC_OK : status;
}

static rllc_status gibbs(const rllc_analytic_model *model, const rllc_sampler_options *o, double *mean) {
    const struct network *t = model->data;
    const rllc_status status = rllc_analytic_unbounded(o);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < model->dim; i++)
        if (model->point[i] != 0) return rllc_fail(RLLC_EUNSUPPORTED, "no integral is known away from w* = 0");
    return rllc_gibbs_deep_linear(t->layers + 1, t->widths, o->nbeta, o->localization, mean);
}

static void release(rllc_analytic_model *model) {
    struct network *t = model->data;
    rllc_free(t->widths);
    rllc_free(t->memory);
    rllc_free(t->x);
    rllc_free(t);
}

/** Ones at w*: every layer I_rank; above it the excess ranks. Two layers whose excess lines must not meet: B's follow A's. */
static void fill_point(struct network *t, double *point) {
    for (int64_t l = 0; l < t->layers; l++) {
        const int64_t shift = t->layers == 2 && l == 1 ? t->excess[0] : 0;
        for (int64_t i = 0; i < t->rank; i++) point[i * t->widths[l] + i] = 1;
        for (int64_t i = 0; i < t->excess[l]; i++) point[(t->rank + i) * t->widths[l] + t->rank + shift + i] = 1;
        point += t->widths[l + 1] * t->widths[l];
    }
    for (int64_t i = 0; i < t->rank; i++) t->product[i * t->widths[0] + i] = 1;
}

static rllc_status draw_sample(struct network *t, const rllc_analytic_sample *s) {
    const int64_t m = t->widths[0], n = t->widths[t->layers];
    const rllc_stream x = rllc_stream_make(s->seed, "sample/x", 0, 0),
                      e = rllc_stream_make(s->seed, "sample/noise", 0, 0);
    float normal[1];
    const rllc_status status = rllc_alloc(&t->x, s->n * (m + n), sizeof *t->x);
    if (status != RLLC_OK) return status;
    t->noise = t->x + s->n * m;
    for (int64_t i = 0; i < s->n * m; i++)
        rllc_kernels_get()->normals(&x, (uint64_t)i, 1, normal), t->x[i] = (double)normal[0];
    for (int64_t i = 0; i < s->n * n; i++)
        rllc_kernels_get()->normals(&e, (uint64_t)i, 1, normal), t->noise[i] = s->noise * (double)normal[0];
    return RLLC_OK;
}

static rllc_status allocate(struct network *t, const rllc_linear_network *n) {
    rllc_status status = RLLC_OK;
    t->layers = n->n_widths - 1;
    t->rank = n->rank;
    RLLC_TRY(rllc_alloc(&t->widths, 2 * n->n_widths, sizeof *t->widths));
    t->excess = t->widths + n->n_widths;
    for (int64_t l = 0; l < n->n_widths; l++) {
        t->widths[l] = n->widths[l];
        t->largest = n->widths[l] > t->largest ? n->widths[l] : t->largest;
        if (l < t->layers && n->ranks) t->excess[l] = n->ranks[l] - n->rank;
    }
    const int64_t block = t->largest * t->largest;
    RLLC_TRY(rllc_alloc(&t->memory, (t->layers + 5) * block, sizeof *t->memory));
    t->prefix = t->memory;
    t->product = t->prefix + t->layers * block;
    t->upper = t->product + block;
    t->next = t->upper + block;
    t->sxx = t->next + block; /* [M, M], then [M, N] */
    t->sxe = t->sxx + t->widths[0] * t->widths[0];
done:
    return status;
}

rllc_status rllc_linear_network_make(rllc_analytic_model *m, const rllc_linear_network *n,
                                     const rllc_analytic_sample *sample) {
    struct network *t = NULL;
    rllc_coefficient unused;
    rllc_status status = RLLC_OK;
    int64_t dim = 0;
    RLLC_TRY(rllc_alloc(&t, 1, sizeof *t));
    *m = (rllc_analytic_model){.data = t,
                               .free = release,
                               .evaluate = evaluate,
                               .select = select_rows,
                               .coefficient = coefficient,
                               .gibbs = gibbs};
    RLLC_TRY(allocate(t, n));
    status =
        rllc_coefficient_deep_linear_at(n->n_widths, n->widths, n->rank, t->excess, &unused); /* do the ranks fit? */
    if (status != RLLC_OK && status != RLLC_EUNSUPPORTED) goto done;
    for (int64_t l = 0; l < t->layers; l++) dim += n->widths[l] * n->widths[l + 1];
    RLLC_TRY(rllc_analytic_model_shape(m, dim, t->layers));
    for (int64_t l = 0, first = 0; l < t->layers; first += m->blocks[l++].n)
        m->blocks[l] = (rllc_analytic_block){n->names ? n->names[l] : rllc_intern_printf("W%lld", (long long)l + 1),
                                             first, n->widths[l] * n->widths[l + 1], true};
    fill_point(t, m->point);
    t->population = sample->n == 0;
    if (!t->population) RLLC_TRY(draw_sample(t, sample));
done:
    return status;
}
