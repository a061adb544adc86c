/* f(x) = sum_h a_h tanh(b_h x), truth 0, x uniform on [-1, 1]: L = E f^2 / 2. */
#include <math.h>

#include "analytic.h"

enum { NODES = 32 };

struct options {
    int64_t units;
};

static const rllc_option rows[] = {
    RLLC_OPTION(struct options, units, RLLC_INTEGER, "1", 1, 1000, NULL, "", "hidden units H"),
};
const rllc_option_table rllc_tanh_option_table = {"tanh", "L = 1/2 E (sum a_h tanh(b_h x))^2", rows,
                                                  sizeof rows / sizeof *rows};

struct network {
    int64_t units, n;       /* points in use */
    double *x, *y, *weight; /* [n] */
    double *all_x, *all_y;  /* the sample */
    double *hidden;         /* [units] */
};

static rllc_status evaluate(rllc_analytic_model *m, const double *w, double *loss, double *gradient) {
    struct network *t = m->data;
    const int64_t H = t->units;
    const double *a = w, *b = w + H;
    *loss = 0;
    for (int64_t i = 0; gradient && i < m->dim; i++) gradient[i] = 0;
    for (int64_t k = 0; k < t->n; k++) {
        double f = -t->y[k];
        for (int64_t h = 0; h < H; h++) f += a[h] * (t->hidden[h] = tanh(b[h] * t->x[k]));
        *loss += t->weight[k] * f * f / 2;
        for (int64_t h = 0; gradient && h < H; h++) {
            const double d = t->weight[k] * f;
            gradient[h] += d * t->hidden[h];
            gradient[H + h] += d * a[h] * (1 - t->hidden[h] * t->hidden[h]) * t->x[k];
        }
    }
    return RLLC_OK;
}

static rllc_status select_rows(rllc_analytic_model *m, int64_t n, const int64_t *rows_selected) {
    struct network *t = m->data;
    t->n = n;
    for (int64_t i = 0; i < n; i++) {
        t->x[i] = t->all_x[rows_selected[i]];
        t->y[i] = t->all_y[rows_selected[i]];
        t->weight[i] = 1 / (double)n;
    }
    return RLLC_OK;
}

static rllc_status coefficient(const rllc_analytic_model *m, const double *w, const bool *moves,
                               rllc_coefficient *out) {
    const struct network *t = m->data;
    *out = (rllc_coefficient){NAN, 0};
    for (int64_t i = 0; i < m->dim; i++)
        if (!moves[i] || w[i] != 0) return RLLC_OK;
    *out = rllc_coefficient_tanh(t->units);
    return RLLC_OK;
}

static rllc_status gibbs(const rllc_analytic_model *m, const rllc_sampler_options *o, double *mean) {
    const struct network *t = m->data;
    const rllc_status status = rllc_analytic_unbounded(o);
    return status != RLLC_OK ? status
                             : rllc_gibbs_tanh(t->units, t->n, t->x, t->weight, o->nbeta, o->localization, mean);
}

static void release(rllc_analytic_model *m) {
    struct network *t = m->data;
    rllc_free(t->x);
    rllc_free(t->hidden);
    rllc_free(t);
}

static void draw_sample(struct network *t, const rllc_analytic_sample *s) {
    const rllc_stream x = rllc_stream_make(s->seed, "sample/x", 0, 0),
                      e = rllc_stream_make(s->seed, "sample/noise", 0, 0);
    float normal[1];
    for (int64_t i = 0; i < s->n; i++) {
        rllc_kernels_get()->normals(&e, (uint64_t)i, 1, normal);
        t->all_x[i] = 2 * rllc_stream_uniform(&x, (uint64_t)i) - 1;
        t->all_y[i] = s->noise * (double)normal[0];
    }
}

static rllc_status make(rllc_analytic_model *m, const void *options, const rllc_analytic_sample *sample) {
    const int64_t H = ((const struct options *)options)->units, n = sample->n ? sample->n : NODES;
    struct network *t = NULL;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_alloc(&t, 1, sizeof *t));
    *m = (rllc_analytic_model){.data = t,
                               .free = release,
                               .evaluate = evaluate,
                               .select = select_rows,
                               .coefficient = coefficient,
                               .gibbs = gibbs};
    t->units = H;
    t->n = n;
    RLLC_TRY(rllc_alloc(&t->x, 5 * n, sizeof *t->x));
    RLLC_TRY(rllc_alloc(&t->hidden, H, sizeof *t->hidden));
    t->y = t->x + n;
    t->weight = t->y + n;
    t->all_x = t->weight + n;
    t->all_y = t->all_x + n;
    if (sample->n)
        draw_sample(t, sample);
    else
        rllc_gauss_legendre(n, -1, 1, t->x, t->weight);
    for (int64_t i = 0; !sample->n && i < n; i++) t->weight[i] /= 2; /* density 1/2 */
    RLLC_TRY(rllc_analytic_model_shape(m, 2 * H, 2));
    m->blocks[0] = (rllc_analytic_block){"a", 0, H, true};
    m->blocks[1] = (rllc_analytic_block){"b", H, H, false};
done:
    return status;
}

const rllc_analytic_kind rllc_analytic_tanh = {.name = "tanh",
                                               .summary = "a small neural network that should be zero",
                                               .options = &rllc_tanh_option_table,
                                               .size = sizeof(struct options),
                                               .make = make};
