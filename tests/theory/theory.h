/*
 * theory: compares a sampled learning coefficient with its exact expectation. SGLD on a quadratic is a linear Gaussian
 * recursion, so the mean and the standard deviation of the estimate are known exactly for a finite number of draws:
 * there is no tolerance to choose but a number of standard errors.
 */
#ifndef TESTS_THEORY_H
#define TESTS_THEORY_H

#include "conformance/conformance.h"

/* Mean and standard deviation, over chains, of one chain's estimate. */
typedef struct theory_exact {
    double mean, sd;
} theory_exact;

/* Each case has noise of its own, so that the z-scores of different cases are independent. */
static inline uint64_t theory_seed(const char *what) {
    return rllc_hash64(what, strlen(what), 0);
}

/* Steps at which the draws are taken, as the library says. Free with free. */
static inline int64_t *theory_steps(const rllc_sampler_options *o) {
    int64_t *at = test_memory(o->num_draws, sizeof *at), found = 0;
    for (int64_t step = 0; step < rllc_sampler_steps(o); step++) {
        int64_t draw = rllc_sampler_draw_at(o, step);
        if (draw < 0) continue;
        assert_int_equal(draw, found); /* in order, none left out */
        at[found++] = step;
    }
    assert_int_equal(found, o->num_draws);
    return at;
}

/*
 * Within 5 standard errors of the exact mean; the spread over chains within 5 standard errors of the exact one (the
 * error of a variance from the sample's own fourth moment); and the reported standard error is that spread over sqrt n.
 */
static inline void theory_check(const char *what, const conformance_run *run, double nbeta, theory_exact exact) {
    double *value = test_memory(run->n, sizeof *value), m2 = 0, m4 = 0, n = (double)run->n;
    rllc_estimate e = conformance_estimate(run, nbeta, value);
    for (int64_t i = 0; i < run->n; i++) {
        double d = value[i] - e.llc_mean;
        m2 += d * d / n;
        m4 += d * d * d * d / n;
    }
    double z = (e.llc_mean - exact.mean) / (exact.sd / sqrt(n));
    double z_variance = (m2 * n / (n - 1) - exact.sd * exact.sd) / sqrt((m4 - m2 * m2) / n);
    printf("    %-44s exact %10.6f +- %.6f, sampled %10.6f, %+.2f standard errors, spread %+.2f\n", what, exact.mean,
           exact.sd / sqrt(n), e.llc_mean, z, z_variance);
    assert_true(fabs(z) < 5);
    assert_true(fabs(z_variance) < 5);
    assert_int_equal(e.n_chains, run->n);
    assert_true(fabs(e.llc_sd - sqrt(m2 * n / (n - 1))) <= 1e-9 * e.llc_sd); /* ddof 1 */
    assert_true(fabs(e.llc_se - e.llc_sd / sqrt(n)) <= 1e-9 * e.llc_se);     /* every chain is a stream of its own */
    free(value);
}

/* ---- diagonal quadratics --------------------------------------------------------------------------------- */

/*
 * One mode of curvature h with its minimum at 0, started and centred at c. With a = nbeta h + gamma, the step (E12) is
 *   w' - mu = rho (w - mu) + sqrt(lr) eta,   rho = 1 - lr a / 2,   mu = gamma c / a:   an AR(1) process.
 *   m_t = mu + rho^t (c - mu),  v_t = V (1 - rho^2t),  V = 1 / (a (1 - lr a / 4)),  Cov(w_s, w_t) = rho^|t-s| v_min
 * The estimate of one chain (E13) is nbeta h / 2 (mean_k w_{t_k}^2 - c^2), so (E16 is the case c = 0 of the first)
 *   E = nbeta h / 2 (mean_k (v + m^2) - c^2),  Var = (nbeta h / 2)^2 mean_{k,l} (2 C_kl^2 + 4 m_k m_l C_kl).
 */
static inline void theory_add_mode(const rllc_sampler_options *o, const int64_t *at, double h, double c, double *mean,
                                   double *variance) {
    const double a = o->nbeta * h + o->localization, rho = 1 - o->lr * a / 2, half = o->nbeta * h / 2;
    const int64_t n = o->num_draws;
    double *m = test_memory(n, sizeof *m), *v = test_memory(n, sizeof *v), sum = 0, squares = 0;
    for (int64_t k = 0; k < n; k++) {
        const double t = (double)at[k], mu = a != 0 ? o->localization * c / a : c;
        m[k] = mu + pow(rho, t) * (c - mu);
        v[k] = a != 0 ? (1 - pow(rho, 2 * t)) / (a * (1 - o->lr * a / 4)) : o->lr * t;
        sum += (v[k] + m[k] * m[k] - c * c) / (double)n;
    }
    for (int64_t k = 0; k < n; k++)
        for (int64_t l = k; l < n; l++) {
            double covariance = pow(rho, (double)(at[l] - at[k])) * v[k];
            double term = 2 * covariance * covariance + 4 * m[k] * m[l] * covariance;
            squares += (l == k ? 1 : 2) * term / ((double)n * (double)n);
        }
    *mean += half * sum;
    *variance += half * half * squares;
    free(m);
    free(v);
}

static inline theory_exact theory_quadratic_exact(const rllc_sampler_options *o, int64_t dim, const double *h,
                                                  double c) {
    theory_exact e = {0, 0};
    int64_t *at = theory_steps(o);
    double variance = 0;
    for (int64_t i = 0; i < dim; i++) {
        double mode_mean = 0, mode_variance = 0;
        int64_t j = 0;
        while (j < i && h[j] != h[i]) j++;
        if (j < i) continue; /* counted with its first equal */
        theory_add_mode(o, at, h[i], c, &mode_mean, &mode_variance);
        for (j = i; j < dim; j++)
            if (h[j] == h[i]) e.mean += mode_mean, variance += mode_variance;
    }
    e.sd = sqrt(variance);
    free(at);
    return e;
}

static inline rllc_sampler_options theory_settings(double nbeta, double localization, double lr, int64_t draws,
                                                   int64_t burnin, int64_t between) {
    rllc_sampler_options o;
    rllc_options_default(&rllc_sampler_option_table, &o);
    o.nbeta = nbeta;
    o.localization = localization;
    o.lr = lr;
    o.num_draws = draws;
    o.num_burnin_steps = burnin;
    o.num_steps_bw_draws = between;
    return o;
}

/* c: start and centre of the localization; the minimum is at 0. */
static inline conformance_run theory_quadratic_sample(const rllc_sampler_options *o, int64_t dim, const double *h,
                                                      double c, int64_t chains) {
    double *minimum = test_memory(dim, sizeof *minimum);
    float *w0 = test_memory(dim, sizeof *w0);
    for (int64_t i = 0; i < dim; i++) w0[i] = (float)c;
    rllc_potential *p = NULL;
    assert_ok(rllc_potential_quadratic(&p, dim, h, minimum, w0, chains));
    assert_int_equal(p->n_members, chains);
    conformance_run run = conformance_sample(p, o, chains, NULL, NULL);
    rllc_potential_free(p);
    free(minimum);
    free(w0);
    return run;
}

static inline void theory_geometric(double h[], int64_t dim, double low, double high) {
    for (int64_t i = 0; i < dim; i++) h[i] = low * pow(high / low, (double)i / (double)(dim - 1));
}

#endif
