/*
 * samplers: what the tests of sampling rules share: targets given by a function, with gradient noise if wanted, and the
 * exact mean and spread of an estimate for the rules that are linear on a quadratic.
 */
#ifndef TESTS_THEORY_SAMPLERS_H
#define TESTS_THEORY_SAMPLERS_H

#include "theory/theory.h"

/* ---- targets ---------------------------------------------------------------------------------------------- */

/* Loss at w; its gradient if wanted. */
typedef double target_function(const double *parameters, int64_t dim, const float *w, float *gradient);

typedef struct target {
    rllc_potential head;
    target_function *function;
    const double *parameters;
    double noise; /* sd of the normal added to each entry of the gradient; the loss has none */
    uint32_t step;
    float *w0, *scratch;
    rllc_span span;
} target;

static inline rllc_status target_prepare(rllc_potential *p, int64_t stream, int64_t step) {
    (void)stream;
    ((target *)p)->step = (uint32_t)step;
    return RLLC_OK;
}

static inline rllc_status target_evaluate(rllc_potential *p, int64_t n, const int64_t *members, const float *const *w,
                                          double *loss, float *const *gradient, double *baseline) {
    const target *t = (const target *)p;
    for (int64_t i = 0; i < n; i++) {
        loss[i] = t->function(t->parameters, t->span.n, w[i], gradient[i]);
        if (t->noise == 0) continue;
        const rllc_stream s = rllc_stream_make(11, "gradient noise", (uint32_t)members[i], t->step);
        rllc_kernels_get()->normals(&s, 0, t->span.n, t->scratch);
        for (int64_t j = 0; j < t->span.n; j++) gradient[i][j] += (float)(t->noise * (double)t->scratch[j]);
    }
    *baseline = t->function(t->parameters, t->span.n, t->w0, NULL);
    return RLLC_OK;
}

static inline void target_free(rllc_potential *p) {
    target *t = (target *)p;
    free(t->w0);
    free(t->scratch);
    free(p->members);
    free(t);
}

/* `members` chains around w0 = (centre, ..., centre). */
static inline target *target_make(target_function *function, const double *parameters, int64_t dim, double centre,
                                  int64_t members) {
    static const rllc_potential_kind kind = {"target", target_prepare, target_evaluate, target_free};
    target *t = test_memory(1, sizeof *t);
    *t = (target){.head = {.kind = &kind, .n_members = members}, .function = function, .parameters = parameters,
                  .span = {0, dim}};
    t->w0 = test_memory(dim, sizeof *t->w0);
    t->scratch = test_memory(dim, sizeof *t->scratch);
    t->head.members = test_memory(members, sizeof *t->head.members);
    for (int64_t i = 0; i < dim; i++) t->w0[i] = (float)centre;
    for (int64_t i = 0; i < members; i++)
        t->head.members[i] = (rllc_potential_member){.dim = dim, .w0 = t->w0, .spans = &t->span, .n_spans = 1};
    return t;
}

/* 1/2 sum_i h_i w_i^2, h the parameters */
static inline double target_quadratic(const double *h, int64_t dim, const float *w, float *gradient) {
    double loss = 0;
    for (int64_t i = 0; i < dim; i++) {
        loss += 0.5 * h[i] * (double)w[i] * (double)w[i];
        if (gradient) gradient[i] = (float)(h[i] * (double)w[i]);
    }
    return loss;
}

/* sum_i w_i^4 */
static inline double target_quartic(const double *none, int64_t dim, const float *w, float *gradient) {
    (void)none;
    double loss = 0;
    for (int64_t i = 0; i < dim; i++) {
        const double wi = w[i];
        loss += wi * wi * wi * wi;
        if (gradient) gradient[i] = (float)(4 * wi * wi * wi);
    }
    return loss;
}

/* |B A|_F^2 of two 2 x 2 matrices, w = (A, B): reduced-rank regression 2, 2, 2 with true rank 0 */
static inline double target_reduced_rank(const double *none, int64_t dim, const float *w, float *gradient) {
    (void)none, (void)dim;
    double c[2][2], loss = 0; /* C = B A */
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            c[i][j] = (double)w[4 + 2 * i] * (double)w[j] + (double)w[5 + 2 * i] * (double)w[2 + j];
            loss += c[i][j] * c[i][j];
        }
    for (int i = 0; gradient && i < 2; i++)
        for (int j = 0; j < 2; j++) { /* dA = 2 B^T C, dB = 2 C A^T */
            gradient[2 * i + j] = (float)(2 * ((double)w[4 + i] * c[0][j] + (double)w[6 + i] * c[1][j]));
            gradient[4 + 2 * i + j] = (float)(2 * (c[i][0] * (double)w[2 * j] + c[i][1] * (double)w[2 * j + 1]));
        }
    return loss;
}

/* ---- the exact law of a linear rule on one mode ---------------------------------------------------------------- */

/* z' = A z + b + noise of covariance q; z[0] = w, z[1] what else the rule carries; mean m and covariance s of z_0. */
typedef struct linear_law {
    double a[2][2], b[2], q[2][2], m[2], s[2][2];
} linear_law;

/* L = h w^2 / 2 around c from start, variance C of the gradient noise; sgld, sgld-lm, sghmc. */
static inline linear_law linear_law_of(const rllc_sampler_options *o, double h, double c, double start, double C) {
    const double a = o->nbeta * h + o->localization + o->weight_decay, half = o->lr / 2;
    const double pull = half * o->localization * c, noise = half * half * o->nbeta * o->nbeta * C;
    const double heat = o->lr * o->noise_level * o->noise_level;
    linear_law l = {.m = {start, 0}};
    if (strcmp(o->sampler, "sghmc") == 0) { /* z = (w, u): u' = (1 - xi) u - lr/2 (a w) + pull, w' = w + u' */
        const double keep = 1 - o->momentum_decay, q = heat * o->momentum_decay + noise;
        const double A[2][2] = {{1 - half * a, keep}, {-half * a, keep}};
        memcpy(l.a, A, sizeof A);
        l.b[0] = l.b[1] = pull;
        l.q[0][0] = l.q[0][1] = l.q[1][0] = l.q[1][1] = q;
        return l;
    }
    l.a[0][0] = 1 - half * a;
    l.b[0] = pull;
    if (strcmp(o->sampler, "sgld") == 0) {
        l.q[0][0] = heat + noise;
        return l;
    }
    assert_string_equal(o->sampler, "sgld-lm"); /* z = (w, eta_t); eta_0 is drawn, not 0 */
    l.a[0][1] = sqrt(heat) / 2;
    l.q[0][0] = heat / 4 + noise;
    l.q[0][1] = l.q[1][0] = sqrt(heat) / 2;
    l.q[1][1] = l.s[1][1] = 1;
    return l;
}

static inline void linear_law_advance(linear_law *l) {
    double m[2], t[2][2], s[2][2];
    for (int i = 0; i < 2; i++) {
        m[i] = l->a[i][0] * l->m[0] + l->a[i][1] * l->m[1] + l->b[i];
        for (int j = 0; j < 2; j++) t[i][j] = l->a[i][0] * l->s[0][j] + l->a[i][1] * l->s[1][j];
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) s[i][j] = t[i][0] * l->a[j][0] + t[i][1] * l->a[j][1] + l->q[i][j];
    memcpy(l->m, m, sizeof m);
    memcpy(l->s, s, sizeof s);
}

/*
 * Adds the mean and variance of nbeta h/2 (mean_k w_{t_k}^2 - c^2) over the n steps `at`:
 *   Cov(z_{t+1}, w_s) = A Cov(z_t, w_s) for t >= s, Cov(w_s^2, w_t^2) = 2 C_st^2 + 4 m_s m_t C_st.
 */
static inline void linear_law_add(linear_law l, const int64_t *at, int64_t n, double half, double c, double *mean,
                                  double *variance) {
    double *m = test_memory(n, sizeof *m), (*s)[2] = test_memory(n, sizeof *s);
    for (int64_t k = 0, t = 0; k < n; k++) {
        for (; t < at[k]; t++) linear_law_advance(&l);
        m[k] = l.m[0];
        s[k][0] = l.s[0][0];
        s[k][1] = l.s[1][0];
        *mean += half * (s[k][0] + m[k] * m[k] - c * c) / (double)n;
    }
    double sum = 0;
    for (int64_t k = 0; k < n; k++) {
        double v[2] = {s[k][0], s[k][1]};
        for (int64_t r = k;; r++) {
            sum += (r == k ? 1 : 2) * (2 * v[0] * v[0] + 4 * m[k] * m[r] * v[0]);
            if (r == n - 1) break;
            for (int64_t t = at[r]; t < at[r + 1]; t++) {
                const double w = l.a[0][0] * v[0] + l.a[0][1] * v[1];
                v[1] = l.a[1][0] * v[0] + l.a[1][1] * v[1];
                v[0] = w;
            }
        }
    }
    *variance += half * half * sum / ((double)n * (double)n);
    free(m);
    free(s);
}

static inline theory_exact linear_law_exact(const rllc_sampler_options *o, int64_t dim, const double *h, double c,
                                            double start, double C) {
    theory_exact e = {0, 0};
    double variance = 0, mode[2] = {0, 0};
    int64_t *at = theory_steps(o);
    for (int64_t i = 0; i < dim; i++) {
        if (i == 0 || h[i] != h[i - 1]) {
            mode[0] = mode[1] = 0;
            linear_law_add(linear_law_of(o, h[i], c, start, C), at, o->num_draws, o->nbeta * h[i] / 2, c, &mode[0],
                           &mode[1]);
        }
        e.mean += mode[0];
        variance += mode[1];
    }
    e.sd = sqrt(variance);
    free(at);
    return e;
}

/* ---- where the mean alone is known ----------------------------------------------------------------------------- */

/* The mean of n independent values within 5 of its own standard errors of the exact one, and a stated slack. */
static inline double theory_check_mean(const char *what, const double *value, int64_t n, double exact, double slack) {
    double mean = 0, m2 = 0;
    for (int64_t i = 0; i < n; i++) mean += value[i] / (double)n;
    for (int64_t i = 0; i < n; i++) m2 += (value[i] - mean) * (value[i] - mean) / (double)(n - 1);
    const double se = sqrt(m2 / (double)n);
    printf("    %-52s exact %10.6f, sampled %10.6f +- %.6f, %+.2f standard errors\n", what, exact, mean, se,
           (mean - exact) / se);
    assert_true(se > 0);
    assert_true(fabs(mean - exact) < 5 * se + slack);
    return se;
}

#endif
