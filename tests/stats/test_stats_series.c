/* One series: exact truths of autoregressions, laws of the tests under the null, cases by hand, series without an
 * answer. */
#include "stats/chains.h"
#include "stats/internal.h"

/* S(0) = (1 + rho) / (1 - rho) for unit variance. Its relative error is 2 sqrt((1 - rho^2) / n) / (1 - rho) = 0.012 at
   rho = 0.5 and 0.021 at rho = 0.8, for n = 80,000 and the right order. */
static void test_spectrum_of_autoregressions_is_the_exact_one(void **state) {
    (void)state;
    enum { N = 80000 };
    double *x = malloc(sizeof(double) * N);
    rllc_series_diagnosis d;
    for (int k = 0; k < 3; k++) {
        const double rho = (const double[]){-0.5, 0.5, 0.8}[k];
        make_autoregression(rho, 9, N, x);
        assert_ok(rllc_series_diagnose(x, N, NULL, &d));
        assert_close(d.spectrum0, (1 + rho) / (1 - rho), 0.08);
        assert_close(d.effective_size, N * (1 - rho) / (1 + rho), 0.08);
        assert_true(fabs(d.mean) < 5 * sqrt((1 + rho) / (1 - rho) / N));
        assert_close(d.sd, 1, 0.02);
    }
    free(x);
}

/* x_t = 0.7 x_(t-30) + e_t: S(0) = 1 / 0.3^2 = 11.1 is seen by an order of at least 30; up to 10 log10 n = 43 are tried. The
   error of the sum of some 35 coefficients from 20,000 draws, about 0.7 sqrt(35 / 20000), counts twice over 0.3: 0.2. */
static void test_spectrum_sees_long_memory(void **state) {
    (void)state;
    enum { N = 20000, LAG = 30 };
    double *x = malloc(sizeof(double) * N), spectrum;
    make_autoregression(0, 77, N, x);
    for (int t = LAG; t < N; t++) x[t] += 0.7 * x[t - LAG];
    assert_ok(rllc_spectrum0_ar(x, N, &spectrum));
    assert_close(spectrum, 1 / 0.09, 0.3);
    free(x);
}

/* On stationary series: Geweke's z is a standard normal, the first p-value of Heidelberger and Welch uniform, so that 5
   % of series start later than at draw 1. 400 series: z^2 averages to 1 with sd 0.07, the share has sd 0.011. Of fewer
   draws the spectra come out too small: with 400 (Geweke's first part: 41) z^2 averages to 1.56. */
static void test_tests_hold_their_level(void **state) {
    (void)state;
    enum { N = 2000, REPETITIONS = 400 };
    double x[N], square = 0;
    int later = 0;
    rllc_series_diagnosis d;
    for (uint32_t i = 0; i < REPETITIONS; i++) {
        make_autoregression(0.4, 1000 + i, N, x);
        assert_ok(rllc_series_diagnose(x, N, NULL, &d));
        square += d.geweke_z * d.geweke_z / REPETITIONS;
        later += d.exact_start != 1;
    }
    assert_true(square > 0.75 && square < 1.3);
    assert_true(later > REPETITIONS / 50 && later < REPETITIONS / 10);
}

/* The table of Anderson and Darling 1952, to its last digit. */
static void test_cramer_distribution_has_the_tabulated_quantiles(void **state) {
    (void)state;
    assert_true(fabs(rllc_stats_cramer_cdf(0.34730) - 0.90) < 1e-5);
    assert_true(fabs(rllc_stats_cramer_cdf(0.46136) - 0.95) < 1e-5);
    assert_true(fabs(rllc_stats_cramer_cdf(0.74346) - 0.99) < 1e-5);
    assert_true(fabs(rllc_stats_cramer_cdf(1.16786) - 0.999) < 1e-5);
    assert_true(rllc_stats_cramer_cdf(0) == 0 && isnan(rllc_stats_cramer_cdf(NAN)));
    for (double q = 0.02; q < 2.5; q *= 1.1) assert_true(rllc_stats_cramer_cdf(q) < rllc_stats_cramer_cdf(1.1 * q));
    for (double q = 0.02; q < 2.5; q *= 1.1)
        assert_close(rllc_stats_cramer_cdf_coda(q), rllc_stats_cramer_cdf(q), 1e-5);
    assert_true(1 - rllc_stats_cramer_cdf(4) < 1e-8 && rllc_stats_cramer_cdf(1e9) == 1);
    assert_true(rllc_stats_cramer_cdf_coda(30) > 0.95 && rllc_stats_cramer_cdf_coda(32) < 0.95); /* what coda has */
}

/* Far from stationary: the first tenth lies 1000 standard deviations off, so the statistic of the whole is in the
   thousands, where coda's distribution function has fallen back below a half and lets it pass. */
static void test_exact_heidelberg_and_welch_refuses_what_is_furthest_off(void **state) {
    (void)state;
    double x[1000];
    rllc_series_diagnosis d;
    make_autoregression(0, 5, 1000, x);
    for (int i = 0; i < 100; i++) x[i] += 1000;
    assert_ok(rllc_series_diagnose(x, 1000, NULL, &d));
    assert_true(d.stationary && d.start == 1 && d.exact_stationary && d.exact_start == 101 && d.exact_pvalue > 0.05);
    for (int i = 0; i < 450; i++) x[i] += i < 100 ? 0 : 1000; /* nothing that may be dropped is enough */
    assert_ok(rllc_series_diagnose(x, 1000, NULL, &d));
    assert_true(!d.exact_stationary && d.exact_start == 0 && d.exact_pvalue < 1e-8);
}

/* On the transient, which every chain shares: Geweke sees it, and so do Heidelberger and Welch; coda's form of their
   test passes from the first draw on. */
static void test_geweke_sees_what_coda_passes(void **state) {
    (void)state;
    rllc_series_diagnosis d;
    double *x = make_chains(4);
    for (int c = 0; c < 4; c++) {
        assert_ok(rllc_series_diagnose(x + c * 500, 500, NULL, &d));
        assert_true(d.stationary && d.start == 1 && d.pvalue > 0.05 && d.geweke_z < -3);
        assert_true(d.exact_start > 1 || !d.exact_stationary);
    }
    free(x);
}

/* x = 1 2 2 4: mean 2.25, deviations -1.25 -0.25 -0.25 1.75: squares sum to 4.75, products at lag 1 to -0.0625. */
static void test_autocorrelation_by_hand(void **state) {
    (void)state;
    double r[6];
    rllc_autocorrelation((const double[]){1, 2, 2, 4}, 4, 5, r);
    assert_true(r[0] == 1);
    assert_close(r[1], (0.3125 + 0.0625 - 0.4375) / 4.75, 1e-14);
    assert_close(r[2], (0.3125 - 0.4375) / 4.75, 1e-14);
    assert_close(r[3], -1.25 * 1.75 / 4.75, 1e-14);
    assert_true(r[4] == 0 && r[5] == 0); /* no pair is that far apart */
    rllc_autocorrelation((const double[]){0.1, 0.1, 0.1}, 3, 1, r);
    assert_true(isnan(r[0]) && isnan(r[1]));
    rllc_autocorrelation((const double[]){1, NAN, 3}, 3, 1, r);
    assert_true(isnan(r[0]) && isnan(r[1]));
}

/* The published setting asks for ceil(0.025 * 0.975 * (1.95996 / 0.01)^2) = 937 draws: 200 cannot be judged. */
static void test_raftery_says_when_it_cannot_judge(void **state) {
    (void)state;
    double x[1000];
    rllc_series_diagnosis d;
    make_autoregression(0.3, 4, 1000, x);
    assert_ok(rllc_series_diagnose(x, 936, NULL, &d));
    assert_true(!d.raftery_evaluable && d.raftery_nmin == 937 && isnan(d.raftery_i));
    assert_ok(rllc_series_diagnose(x, 937, NULL, &d));
    assert_true(d.raftery_evaluable && d.raftery_m > 0 && d.raftery_n > 500);
    for (int i = 0; i < 1000; i++) x[i] = 5; /* never above the quantile */
    assert_ok(rllc_series_diagnose(x, 1000, NULL, &d));
    assert_false(d.raftery_evaluable);
    for (int i = 0; i < 1000; i++) x[i] = i % 2; /* changes sides every time: no thinning makes that a chain */
    rllc_series_settings median = rllc_series_settings_default;
    median.raftery_q = 0.5;
    median.raftery_r = 0.05;
    assert_ok(rllc_series_diagnose(x, 1000, &median, &d));
    assert_int_equal(d.raftery_nmin, 385);
}

/* ---- invariances ------------------------------------------------------------------------------------------------- */

static void test_series_diagnosis_follows_affine_maps(void **state) {
    (void)state;
    rllc_series_settings settings = rllc_series_settings_default;
    settings.raftery_q = 0.5;
    settings.raftery_r = 0.06;
    settings.heidelberg_eps = 1e300; /* relative to the mean: not invariant */
    for (int kind = 0; kind < N_KINDS; kind++) {
        const int64_t n = kinds[kind].n_draws;
        double *x = make_chains(kind);
        rllc_series_diagnosis a, b;
        assert_ok(rllc_series_diagnose(x, n, &settings, &a));
        for (int64_t i = 0; i < n; i++) x[i] = 1e-6 * x[i] + 1e-4;
        assert_ok(rllc_series_diagnose(x, n, &settings, &b));
        assert_close(b.mean, 1e-6 * a.mean + 1e-4, 1e-12);
        assert_close(b.sd, 1e-6 * a.sd, 1e-9);
        assert_close(b.spectrum0, 1e-12 * a.spectrum0, 1e-8);
        assert_close(b.effective_size, a.effective_size, 1e-8);
        assert_close(b.geweke_z, a.geweke_z, 1e-8);
        assert_close(b.pvalue, a.pvalue, 1e-7);
        assert_close(b.halfwidth, 1e-6 * a.halfwidth, 1e-8);
        assert_true(b.start == a.start && b.stationary == a.stationary && b.halfwidth_passed == a.halfwidth_passed);
        assert_true(b.raftery_m == a.raftery_m && b.raftery_n == a.raftery_n &&
                    b.raftery_evaluable == a.raftery_evaluable);
        free(x);
    }
}

/* ---- no answer --------------------------------------------------------------------------------------------------- */

static void test_series_without_variance_or_numbers(void **state) {
    (void)state;
    double x[1000], spectrum;
    rllc_series_diagnosis d;
    for (int i = 0; i < 1000; i++) x[i] = 0.1;
    assert_ok(rllc_series_diagnose(x, 1000, NULL, &d));
    assert_true(d.mean == 0.1 && d.sd == 0 && d.spectrum0 == 0 && d.effective_size == 0);
    assert_true(isnan(d.geweke_z) && !d.stationary && d.start == 0 && isnan(d.pvalue) && isnan(d.halfwidth));
    assert_true(!d.exact_stationary && d.exact_start == 0 && isnan(d.exact_pvalue));
    for (int i = 0; i < 1000; i++) x[i] = 3 - 0.1 * i; /* nothing is left beside a straight line */
    assert_ok(rllc_spectrum0_ar(x, 1000, &spectrum));
    assert_true(spectrum == 0);
    x[10] = NAN;
    assert_ok(rllc_series_diagnose(x, 1000, NULL, &d));
    assert_true(isnan(d.mean) && isnan(d.sd) && isnan(d.spectrum0) && isnan(d.effective_size) && isnan(d.geweke_z));
    assert_true(isnan(d.pvalue) && isnan(d.halfwidth) && isnan(d.stationary_mean) && isnan(d.raftery_i));
    assert_true(!d.stationary && !d.raftery_evaluable && d.raftery_nmin == 937);
}

static void test_short_series_end_in_numbers_or_nan(void **state) {
    (void)state;
    double x[30], spectrum;
    rllc_series_diagnosis d;
    make_autoregression(0.5, 3, 30, x);
    for (int64_t n = 0; n <= 30; n++) {
        double *exact = malloc(sizeof(double) * (size_t)(n ? n : 1)); /* so that a sanitizer sees what lies beyond */
        memcpy(exact, x, sizeof(double) * (size_t)n);
        assert_ok(rllc_series_diagnose(exact, n, NULL, &d));
        assert_true(n == 0 ? isnan(d.mean) : isfinite(d.mean));
        assert_true(isfinite(d.sd) == (n >= 2) && d.start <= n);
        assert_ok(rllc_spectrum0_ar(exact, n, &spectrum));
        assert_true(n == 0 ? isnan(spectrum) : n <= 2 ? spectrum == 0 : spectrum > 0);
        free(exact);
    }
}

static void test_settings_out_of_range_are_refused(void **state) {
    (void)state;
    const double x[] = {1, 3, 2, 4, 3, 5};
    rllc_series_diagnosis d;
    rllc_series_settings s = rllc_series_settings_default;
    s.geweke_first = 0.6;
    assert_fails(rllc_series_diagnose(x, 6, &s, &d), RLLC_EUSAGE, "overlap");
    assert_true(isnan(d.mean));
    s = rllc_series_settings_default;
    s.heidelberg_pvalue = 1;
    assert_fails(rllc_series_diagnose(x, 6, &s, &d), RLLC_EUSAGE, "heidelberg_pvalue 1");
    s = rllc_series_settings_default;
    s.raftery_r = NAN;
    assert_fails(rllc_series_diagnose(x, 6, &s, &d), RLLC_EUSAGE, "raftery_r");
}

static void test_option_table_has_the_default_settings(void **state) {
    (void)state;
    rllc_series_settings s;
    assert_ok(rllc_options_check(&rllc_series_option_table));
    memset(&s, 0, sizeof s);
    rllc_options_default(&rllc_series_option_table, &s);
    assert_memory_equal(&s, &rllc_series_settings_default, sizeof s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spectrum_of_autoregressions_is_the_exact_one),
        cmocka_unit_test(test_spectrum_sees_long_memory),
        cmocka_unit_test(test_tests_hold_their_level),
        cmocka_unit_test(test_cramer_distribution_has_the_tabulated_quantiles),
        cmocka_unit_test(test_exact_heidelberg_and_welch_refuses_what_is_furthest_off),
        cmocka_unit_test(test_geweke_sees_what_coda_passes),
        cmocka_unit_test(test_autocorrelation_by_hand),
        cmocka_unit_test(test_raftery_says_when_it_cannot_judge),
        cmocka_unit_test(test_series_diagnosis_follows_affine_maps),
        cmocka_unit_test(test_series_without_variance_or_numbers),
        cmocka_unit_test(test_short_series_end_in_numbers_or_nan),
        cmocka_unit_test(test_settings_out_of_range_are_refused),
        cmocka_unit_test(test_option_table_has_the_default_settings),
    };
    return cmocka_run_group_tests_name("stats_series", tests, NULL, NULL);
}
