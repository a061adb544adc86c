/*
 * chain: one chain on a small target, driven by the rule alone: no potential, no store. Its coordinates lie at awkward
 * indices of a larger model, in two spans.
 */
#ifndef TESTS_SGMCMC_CHAIN_H
#define TESTS_SGMCMC_CHAIN_H

#include "sgmcmc/samplers.h"
#include "support/support.h"

typedef double chain_target(int64_t dim, const float *w, float *gradient);

typedef struct chain {
    rllc_sampler_options o;
    rllc_sampler_state s;
    chain_target *target;
    float *gradient;
    int64_t evaluations; /* so far */
    double loss;         /* as the last step returned it at its first evaluation */
} chain;

static inline rllc_sampler_options chain_options(const char *sampler) {
    rllc_sampler_options o;
    rllc_options_default(&rllc_sampler_option_table, &o);
    o.sampler = sampler;
    return o;
}

static inline chain chain_make(const rllc_sampler_options *o, chain_target *target, int64_t dim, const float *w0,
                               const rllc_span *spans, int64_t n_spans) {
    chain c = {.o = *o, .target = target, .gradient = test_memory(dim, sizeof(float))};
    c.s = (rllc_sampler_state){.dim = dim, .w0 = w0, .spans = spans, .n_spans = n_spans};
    c.s.w = test_memory(dim, sizeof(float));
    c.s.scratch = test_memory(dim, sizeof(float));
    const int64_t vectors = rllc_sampler_memory(o);
    if (vectors > 0) c.s.memory = test_memory(vectors * dim, sizeof(float)); /* else NULL: nobody may touch it */
    memcpy(c.s.w, w0, (size_t)dim * sizeof(float));
    assert_ok(rllc_sampler_check(o));
    return c;
}

static inline void chain_release(chain *c) {
    free(c->gradient);
    free(c->s.w);
    free(c->s.scratch);
    free(c->s.memory);
}

static inline rllc_stream chain_noise(const rllc_sampler_options *o, int64_t step) {
    return rllc_stream_make(o->seed, "noise/test", 3, (uint32_t)step);
}

static inline rllc_status chain_evaluate(chain *c) {
    const rllc_stream noise = chain_noise(&c->o, c->s.step);
    double loss = c->target(c->s.dim, c->s.w, c->gradient);
    rllc_status status = rllc_sampler_step(&c->o, &c->s, &loss, c->gradient, &noise);
    const int64_t per_step = rllc_sampler_evaluations(&c->o);
    if (c->evaluations % per_step == 0) c->loss = loss;
    if (++c->evaluations % per_step == 0) c->s.step++;
    return status;
}

static inline void chain_step(chain *c) {
    for (int64_t e = rllc_sampler_evaluations(&c->o); e > 0; e--) assert_ok(chain_evaluate(c));
}

/* 1/2 (w - m)^T H (w - m) on 3 coordinates. */
static const double chain_h[3][3] = {{2, 0.5, 0.1}, {0.5, 1, -0.3}, {0.1, -0.3, 3}}, chain_m[3] = {0.1, -0.2, 0.3};

static inline double chain_quadratic_at(const double *w, double *gradient) {
    double loss = 0;
    for (int i = 0; i < 3; i++) {
        gradient[i] = 0;
        for (int j = 0; j < 3; j++) gradient[i] += chain_h[i][j] * (w[j] - chain_m[j]);
        loss += 0.5 * gradient[i] * (w[i] - chain_m[i]);
    }
    return loss;
}

static inline double chain_quadratic(int64_t dim, const float *w, float *gradient) {
    assert_int_equal(dim, 3);
    const double at[3] = {(double)w[0], (double)w[1], (double)w[2]};
    double slope[3];
    const double loss = chain_quadratic_at(at, slope);
    for (int i = 0; i < 3; i++) gradient[i] = (float)slope[i];
    return loss;
}

#endif
