/* Learning coefficients sampled on diagonal quadratics against their exact finite-step mean and spread. */
#include "theory/theory.h"

static void check(const char *what, rllc_sampler_options o, int64_t dim, const double *h, double c, int64_t chains) {
    o.seed = theory_seed(what);
    conformance_run run = theory_quadratic_sample(&o, dim, h, c, chains);
    theory_check(what, &run, o.nbeta, theory_quadratic_exact(&o, dim, h, (double)(float)c));
    conformance_run_release(&run);
}

static void isotropic(double h[], int64_t dim, double value) {
    for (int64_t i = 0; i < dim; i++) h[i] = value;
}

/* The closed form of theory.h against values computed elsewhere (numpy, from the same theory, by other code). */
static void test_exact_moments_are_the_known_ones(void **state) {
    (void)state;
    double h[12];
    isotropic(h, 10, 1);
    rllc_sampler_options o = theory_settings(100, 1, 1e-3, 1000, 0, 1);
    theory_exact e = theory_quadratic_exact(&o, 10, h, 0);
    assert_true(fabs(e.mean - 5.02714600028) < 1e-10 && fabs(e.sd - 0.311750585737) < 1e-11);
    o = theory_settings(100, 10, 1e-3, 500, 0, 1);
    e = theory_quadratic_exact(&o, 8, h, 0.3);
    assert_true(fabs(e.mean + 31.2605736892) < 1e-9 && fabs(e.sd - 0.431975404909) < 1e-11);
    theory_geometric(h, 12, 1e-3, 10);
    o = theory_settings(200, 5, 5e-4, 800, 0, 1);
    e = theory_quadratic_exact(&o, 12, h, 0);
    assert_true(fabs(e.mean - 3.80086322889) < 1e-10 && fabs(e.sd - 0.432876173113) < 1e-11);
    o = theory_settings(200, 5, 5e-4, 200, 400, 3);
    e = theory_quadratic_exact(&o, 12, h, 0);
    assert_true(fabs(e.mean - 4.03570243424) < 1e-10 && fabs(e.sd - 0.551965231014) < 1e-11);
}

/* Long chains see a wrong drift, noise, localization or multiplier; short ones see a loss recorded after the step. */
static void test_isotropic_long_and_short(void **state) {
    (void)state;
    double h[10];
    isotropic(h, 10, 1);
    check("isotropic, 1000 draws", theory_settings(100, 1, 1e-3, 1000, 0, 1), 10, h, 0, 400);
    check("isotropic, localization half nbeta h", theory_settings(100, 50, 1e-3, 400, 0, 1), 10, h, 0, 400);
    check("isotropic, 20 draws", theory_settings(100, 50, 1e-3, 20, 0, 1), 10, h, 0, 4000);
    check("one draw: the checkpoint itself and the next", theory_settings(100, 50, 1e-3, 2, 0, 1), 10, h, 0, 4000);
}

/* The bias of a finite step is exact too, up to the edge of stability lr a = 4. */
static void test_large_steps(void **state) {
    (void)state;
    double h[10];
    isotropic(h, 10, 1);
    check("lr a = 2: independent draws", theory_settings(100, 1, 2.0 / 101, 400, 0, 1), 10, h, 0, 300);
    check("lr a = 3.6: oscillating", theory_settings(100, 1, 3.6 / 101, 400, 0, 1), 10, h, 0, 300);
}

static void test_spectrum_with_burnin_and_thinning(void **state) {
    (void)state;
    double h[12];
    theory_geometric(h, 12, 1e-3, 10);
    check("geometric spectrum", theory_settings(200, 5, 5e-4, 800, 0, 1), 12, h, 0, 300);
    check("geometric spectrum, burn-in", theory_settings(200, 5, 5e-4, 200, 400, 1), 12, h, 0, 300);
    check("geometric spectrum, thinned", theory_settings(200, 5, 5e-4, 200, 0, 3), 12, h, 0, 300);
    check("geometric spectrum, burn-in and thinned", theory_settings(200, 5, 5e-4, 100, 200, 4), 12, h, 0, 400);
    check("thinned, short", theory_settings(200, 5, 5e-4, 5, 3, 7), 12, h, 0, 3000);
}

static void test_low_rank(void **state) {
    (void)state;
    const double h[20] = {4, 2, 1};
    check("rank 3 of 20", theory_settings(144.76, 100, 1e-4, 1000, 0, 1), 20, h, 0, 250);
    check("rank 3 of 20, weak localization", theory_settings(144.76, 1, 1e-3, 500, 0, 1), 20, h, 0, 300);
}

/* A checkpoint that is no minimum: the estimate is negative, and rightly so. */
static void test_off_the_minimum(void **state) {
    (void)state;
    double h[8];
    isotropic(h, 8, 1);
    check("off the minimum", theory_settings(100, 10, 1e-3, 500, 0, 1), 8, h, 0.3, 400);
    check("off the minimum, strong localization", theory_settings(100, 1000, 2e-4, 500, 0, 1), 8, h, 0.3, 400);
    check("off the minimum, 10 draws", theory_settings(100, 10, 1e-3, 10, 0, 1), 8, h, 0.3, 3000);
}

static void test_saddle_direction_is_held_by_the_localization(void **state) {
    (void)state;
    const double h[3] = {1, 1, -0.05};
    check("saddle h = -0.05", theory_settings(100, 20, 1e-3, 500, 0, 1), 3, h, 0, 600);
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
    rllc_sampler_options o = theory_settings(100, 1, 4.4 / 101, 60, 0, 1);
    conformance_run run = theory_quadratic_sample(&o, 1, h, 0, 8);
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
