/* Learning coefficients sampled on diagonal quadratics against their exact finite-step mean and spread. */
#include "theory/theory.h"

/*
 * One mode of curvature h with its minimum at 0, started and centred at c. With a = nbeta h + gamma, the step is
 *   w' - mu = rho (w - mu) + sqrt(lr) eta,   rho = 1 - lr a / 2,   mu = gamma c / a:   an AR(1) process.
 *   m_t = mu + rho^t (c - mu),  v_t = V (1 - rho^2t),  V = 1 / (a (1 - lr a / 4)),  Cov(w_s, w_t) = rho^|t-s| v_min
 * The estimate of one chain is nbeta h / 2 (mean_k w_{t_k}^2 - c^2), so
 *   E = nbeta h / 2 (mean_k (v + m^2) - c^2),  Var = (nbeta h / 2)^2 mean_{k,l} (2 C_kl^2 + 4 m_k m_l C_kl).
 */
static void add_mode(const rllc_sampler_options *o, const int64_t *at, double h, double c, double *mean,
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

static theory_exact exact(const rllc_sampler_options *o, int64_t dim, const double *h, double c) {
    theory_exact e = {0, 0};
    int64_t *at = theory_steps(o);
    double variance = 0;
    for (int64_t i = 0; i < dim; i++) {
        double mode_mean = 0, mode_variance = 0;
        int64_t j = 0;
        while (j < i && h[j] != h[i]) j++;
        if (j < i) continue; /* counted with its first equal */
        add_mode(o, at, h[i], c, &mode_mean, &mode_variance);
        for (j = i; j < dim; j++)
            if (h[j] == h[i]) e.mean += mode_mean, variance += mode_variance;
    }
    e.sd = sqrt(variance);
    free(at);
    return e;
}

static rllc_sampler_options settings(double nbeta, double localization, double lr, int64_t draws, int64_t burnin,
                                     int64_t between) {
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
static conformance_run sample(const rllc_sampler_options *o, int64_t dim, const double *h, double c, int64_t chains) {
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

static void check(const char *what, rllc_sampler_options o, int64_t dim, const double *h, double c, int64_t chains) {
    o.seed = theory_seed(what);
    conformance_run run = sample(&o, dim, h, c, chains);
    theory_check(what, &run, o.nbeta, exact(&o, dim, h, (double)(float)c));
    conformance_run_release(&run);
}

static void isotropic(double h[], int64_t dim, double value) {
    for (int64_t i = 0; i < dim; i++) h[i] = value;
}

static void geometric(double h[], int64_t dim, double low, double high) {
    for (int64_t i = 0; i < dim; i++) h[i] = low * pow(high / low, (double)i / (double)(dim - 1));
}

/* The formulas above against values computed elsewhere (numpy, from the same theory, by other code). */
static void test_exact_moments_are_the_known_ones(void **state) {
    (void)state;
    double h[12];
    isotropic(h, 10, 1);
    rllc_sampler_options o = settings(100, 1, 1e-3, 1000, 0, 1);
    theory_exact e = exact(&o, 10, h, 0);
    assert_true(fabs(e.mean - 5.02714600028) < 1e-10 && fabs(e.sd - 0.311750585737) < 1e-11);
    o = settings(100, 10, 1e-3, 500, 0, 1);
    e = exact(&o, 8, h, 0.3);
    assert_true(fabs(e.mean + 31.2605736892) < 1e-9 && fabs(e.sd - 0.431975404909) < 1e-11);
    geometric(h, 12, 1e-3, 10);
    o = settings(200, 5, 5e-4, 800, 0, 1);
    e = exact(&o, 12, h, 0);
    assert_true(fabs(e.mean - 3.80086322889) < 1e-10 && fabs(e.sd - 0.432876173113) < 1e-11);
}

/* Long chains see a wrong drift, noise, localization or multiplier; short ones see a loss recorded after the step. */
static void test_isotropic_long_and_short(void **state) {
    (void)state;
    double h[10];
    isotropic(h, 10, 1);
    check("isotropic, 1000 draws", settings(100, 1, 1e-3, 1000, 0, 1), 10, h, 0, 400);
    check("isotropic, localization half nbeta h", settings(100, 50, 1e-3, 400, 0, 1), 10, h, 0, 400);
    check("isotropic, 20 draws", settings(100, 50, 1e-3, 20, 0, 1), 10, h, 0, 4000);
    check("one draw: the checkpoint itself and the next", settings(100, 50, 1e-3, 2, 0, 1), 10, h, 0, 4000);
}

/* The bias of a finite step is exact too, up to the edge of stability lr a = 4. */
static void test_large_steps(void **state) {
    (void)state;
    double h[10];
    isotropic(h, 10, 1);
    check("lr a = 2: independent draws", settings(100, 1, 2.0 / 101, 400, 0, 1), 10, h, 0, 300);
    check("lr a = 3.6: oscillating", settings(100, 1, 3.6 / 101, 400, 0, 1), 10, h, 0, 300);
}

static void test_spectrum_with_burnin_and_thinning(void **state) {
    (void)state;
    double h[12];
    geometric(h, 12, 1e-3, 10);
    check("geometric spectrum", settings(200, 5, 5e-4, 800, 0, 1), 12, h, 0, 300);
    check("geometric spectrum, burn-in", settings(200, 5, 5e-4, 200, 400, 1), 12, h, 0, 300);
    check("geometric spectrum, thinned", settings(200, 5, 5e-4, 200, 0, 3), 12, h, 0, 300);
    check("geometric spectrum, burn-in and thinned", settings(200, 5, 5e-4, 100, 200, 4), 12, h, 0, 400);
    check("thinned, short", settings(200, 5, 5e-4, 5, 3, 7), 12, h, 0, 3000);
}

static void test_low_rank(void **state) {
    (void)state;
    const double h[20] = {4, 2, 1};
    check("rank 3 of 20", settings(144.76, 100, 1e-4, 1000, 0, 1), 20, h, 0, 250);
    check("rank 3 of 20, weak localization", settings(144.76, 1, 1e-3, 500, 0, 1), 20, h, 0, 300);
}

/* A checkpoint that is no minimum: the estimate is negative, and rightly so. */
static void test_off_the_minimum(void **state) {
    (void)state;
    double h[8];
    isotropic(h, 8, 1);
    check("off the minimum", settings(100, 10, 1e-3, 500, 0, 1), 8, h, 0.3, 400);
    check("off the minimum, strong localization", settings(100, 1000, 2e-4, 500, 0, 1), 8, h, 0.3, 400);
    check("off the minimum, 10 draws", settings(100, 10, 1e-3, 10, 0, 1), 8, h, 0.3, 3000);
}

static void test_saddle_direction_is_held_by_the_localization(void **state) {
    (void)state;
    const double h[3] = {1, 1, -0.05};
    check("saddle h = -0.05", settings(100, 20, 1e-3, 500, 0, 1), 3, h, 0, 600);
}

/* The settings of the paper: what each curvature contributes. */
static void test_default_settings(void **state) {
    (void)state;
    const double h[8] = {0, 1, 6.67, 20, 50, 100, 120, 3};
    rllc_sampler_options o;
    rllc_options_default(&rllc_sampler_option_table, &o);
    check("the paper's settings", o, 8, h, 0, 1500);
}

/* Beyond lr a = 4 a chain flies off: that is a number that grows, never a quiet wrong answer. */
static void test_unstable_step_grows(void **state) {
    (void)state;
    const double h[1] = {1};
    rllc_sampler_options o = settings(100, 1, 4.4 / 101, 60, 0, 1);
    conformance_run run = sample(&o, 1, h, 0, 8);
    for (int64_t i = 0; i < 8; i++) assert_true(run.loss[i * 60 + 59] > 1e3);
    conformance_run_release(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_moments_are_the_known_ones),
        cmocka_unit_test(test_isotropic_long_and_short),
        cmocka_unit_test(test_large_steps),
        cmocka_unit_test(test_spectrum_with_burnin_and_thinning),
        cmocka_unit_test(test_low_rank),
        cmocka_unit_test(test_off_the_minimum),
        cmocka_unit_test(test_saddle_direction_is_held_by_the_localization),
        cmocka_unit_test(test_default_settings),
        cmocka_unit_test(test_unstable_step_grows),
    };
    return cmocka_run_group_tests_name("quadratic", tests, NULL, NULL);
}
