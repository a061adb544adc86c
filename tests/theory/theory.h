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

#endif
