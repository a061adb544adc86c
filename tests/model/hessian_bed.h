/* hessian_bed: a small model with every tensor random, tokens, a component, vectors to multiply and room for products.
 */
#ifndef TESTS_MODEL_HESSIAN_BED_H
#define TESTS_MODEL_HESSIAN_BED_H

#include "support/support.h"

enum { ROWS = 5, MOST = 4 };

typedef struct shape {
    int64_t layers, d_model, heads, d_head, n_ctx, d_vocab;
    int normalization;
} shape;

typedef struct bed {
    rllc_model m;
    rllc_engine *e;
    int32_t *tokens;
    int64_t rows;
    rllc_component c;
    float *v[MOST], *out[MOST]; /* random vectors, and room for products */
} bed;

static inline void random_vector(uint64_t seed, int64_t n, double size, float *v) {
    const rllc_stream s = rllc_stream_make(seed, "vector", 0, 0);
    for (int64_t i = 0; i < n; i++) v[i] = (float)(size * (2 * rllc_stream_uniform(&s, (uint64_t)i) - 1));
}

static inline void bed_init(bed *b, const shape *x, const char *component, int64_t rows, int threads) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = x->layers, o.d_model = x->d_model, o.n_heads = x->heads, o.d_head = x->d_head;
    o.n_ctx = x->n_ctx, o.d_vocab = x->d_vocab, o.normalization = x->normalization;
    o.init_scale = 1.2; /* attention far from uniform, and yet a loss smooth enough for difference quotients */
    *b = (bed){.rows = rows};
    assert_ok(rllc_model_init(&b->m, &o));
    rllc_model_randomize(&b->m, 7);
    const rllc_stream s = rllc_stream_make(3, "test", 0, 0);
    for (int64_t i = 0; i < b->m.size; i++)
        b->m.weights[i] += 0.4F * (float)(rllc_stream_uniform(&s, (uint64_t)i) - 0.5);
    b->tokens = test_memory(rows * x->n_ctx, sizeof *b->tokens);
    for (int64_t i = 0; i < rows * x->n_ctx; i++)
        b->tokens[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, (uint64_t)x->d_vocab);
    assert_ok(rllc_engine_new(&b->e, &b->m, rows, threads));
    assert_ok(rllc_component_parse(&b->c, &b->m, component));
    for (int i = 0; i < MOST; i++) {
        b->v[i] = test_memory(b->c.size, sizeof(float));
        b->out[i] = test_memory(b->c.size, sizeof(float));
        random_vector((uint64_t)i, b->c.size, 1, b->v[i]);
    }
}

static inline void bed_release(bed *b) {
    for (int i = 0; i < MOST; i++) free(b->v[i]), free(b->out[i]);
    rllc_component_release(&b->c);
    rllc_engine_free(b->e);
    rllc_model_release(&b->m);
    free(b->tokens);
}

static inline rllc_status products(bed *b, int64_t n) {
    return rllc_engine_hessian(b->e, b->m.weights, b->tokens, b->rows, &b->c, n, (const float *const *)b->v, b->out,
                               NULL, NULL);
}

static inline double dot(int64_t n, const float *x, const float *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

static inline double distance(int64_t n, const float *x, const double *y) {
    double sum = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
        size += y[i] * y[i];
    }
    return sqrt(sum / size);
}

#endif
