/* Several chains: truths known exactly for autoregressions, invariances, and chains that allow no answer. */
#include "stats/chains.h"
#include "stats/internal.h"

/* ---- truths ------------------------------------------------------------------------------------------------------ */

/* For an AR(1) of standard normals with coefficient rho the share of effective draws is (1 - rho) / (1 + rho); its
   squares have autocorrelation rho^(2 t), hence (1 - rho^2) / (1 + rho^2). The relative error of an autocorrelation
   time summed up to lag w is about sqrt(2 (2 w + 1) / draws): 0.03 with w = 30 and 80,000 draws. */
static void test_ess_of_autoregressions_is_the_exact_one(void **state) {
    (void)state;
    enum { M = 4, N = 20000 };
    double *x = malloc(sizeof(double) * M * N);
    rllc_chains_diagnosis d;
    for (int k = 0; k < 3; k++) {
        const double rho = (const double[]){0, 0.5, 0.8}[k];
        for (uint32_t c = 0; c < M; c++) make_autoregression(rho, c, N, x + c * N);
        assert_ok(rllc_chains_diagnose(x, M, N, &d));
        assert_close(d.ess_mean / (M * N), (1 - rho) / (1 + rho), 0.1);
        assert_close(d.ess_bulk / (M * N), (1 - rho) / (1 + rho), 0.1);
        assert_close(d.autocorrelation_time, (1 + rho) / (1 - rho), 0.1);
        assert_close(d.mcse_mean, sqrt((1 + rho) / (1 - rho) / (M * N)), 0.06);
        /* The deviation of sd from 1 is half that of the mean square, whose variance is 2. */
        assert_close(d.mcse_sd, sqrt(2 * (1 + rho * rho) / (1 - rho * rho) / (M * N)) / 2, 0.06);
        /* R-hat - 1 is about half of (between - its share of within) / n = (tau - 1) / (2 n) on average. */
        assert_true(d.rhat_split < 1.003 && d.rhat_rank < 1.003 && d.rhat_split > 0.9999);
        for (int64_t i = 0; i < M * N; i++) x[i] *= x[i];
        assert_ok(rllc_chains_diagnose(x, M, N, &d));
        assert_close(d.ess_mean / (M * N), (1 - rho * rho) / (1 + rho * rho), 0.1);
    }
    free(x);
}

/* The reported errors are right: over 400 repetitions the squares of (estimate - truth) / error average to 1. Their sd
   is sqrt(2 / 400) = 0.07; an error itself estimated from about 140 effective draws adds some 0.03. */
static void test_errors_have_the_size_they_report(void **state) {
    (void)state;
    enum { M = 2, N = 400, REPETITIONS = 400 };
    double x[M * N], of_mean = 0, of_sd = 0;
    rllc_chains_diagnosis d;
    for (uint32_t i = 0; i < REPETITIONS; i++) {
        for (uint32_t c = 0; c < M; c++) make_autoregression(0.7, 100 + M * i + c, N, x + c * N);
        assert_ok(rllc_chains_diagnose(x, M, N, &d));
        const double mean = rllc_stats_mean(x, M * N) / d.mcse_mean;
        const double sd = (sqrt(rllc_stats_variance(x, M * N)) - 1) / d.mcse_sd;
        of_mean += mean * mean / REPETITIONS;
        of_sd += sd * sd / REPETITIONS;
    }
    assert_true(of_mean > 0.75 && of_mean < 1.3);
    assert_true(of_sd > 0.75 && of_sd < 1.3);
}

/* What each check sees (docs/diagnostics.md). */
static void test_rhat_sees_shifts_and_split_rhat_transients(void **state) {
    (void)state;
    rllc_chains_diagnosis d;
    double *x = make_chains(2);
    assert_ok(rllc_chains_diagnose(x, 4, 500, &d));
    assert_true(d.rhat_rank > 1.05 && d.ess_bulk < 100);
    free(x);
    x = make_chains(4);
    assert_ok(rllc_chains_diagnose(x, 4, 500, &d));
    assert_true(d.rhat_rank > 1.05);
    free(x);
}

/* Chains of one mean and different spread: only the folded half of the rank-normalised R-hat sees them. */
static void test_folded_rhat_sees_different_spreads(void **state) {
    (void)state;
    enum { N = 2000 };
    double x[2 * N];
    rllc_chains_diagnosis d;
    for (uint32_t c = 0; c < 2; c++) {
        make_autoregression(0, 50 + c, N, x + c * N);
        for (int64_t t = 0; t < N; t++) x[c * N + t] *= c ? 3 : 1;
    }
    assert_ok(rllc_chains_diagnose(x, 2, N, &d));
    assert_true(d.rhat_split < 1.01 && d.rhat_rank > 1.1);
}

/* ---- by hand ----------------------------------------------------------------------------------------------------- */

/* Halves (1 2) (3 5) (2 4) (6 8): means 1.5, 4, 3, 7; variances 0.5, 2, 2, 2, so W = 1.625. */
static void test_split_rhat_by_hand_leaves_out_the_middle(void **state) {
    (void)state;
    const double x[] = {1, 2, 99, 3, 5, 2, 4, -50, 6, 8};
    rllc_chains_diagnosis d;
    assert_ok(rllc_chains_diagnose(x, 2, 5, &d));
    /* mean of means 3.875; squares of deviations 5.640625 + 0.015625 + 0.765625 + 9.765625 = 16.1875; B / n = 5.3958333
     */
    assert_close(d.rhat_split, sqrt((1.625 / 2 + 16.1875 / 3) / 1.625), 1e-14);
    assert_true(isnan(d.ess_mean)); /* halves of two draws have no autocorrelation to speak of */
}

/* Against sums written out: all lags, odd numbers of series, lengths that are no power of two. */
static void test_autocovariances_by_transform_are_the_direct_sums(void **state) {
    (void)state;
    enum { M = 3, N = 77 };
    double x[M * N], direct[N], mean[N] = {0}, transformed[N];
    rllc_stats_fourier f;
    for (uint32_t c = 0; c < M; c++) {
        make_autoregression(0.6, c, N, x + c * N);
        for (int64_t t = 0; t < N; t++) x[c * N + t] += 1000;
        rllc_stats_autocovariance(x + c * N, N, N - 1, direct);
        for (int64_t t = 0; t < N; t++) mean[t] += direct[t] / M;
    }
    assert_ok(rllc_stats_fourier_open(&f, 2 * N));
    rllc_stats_mean_autocovariance(x, M, N, &f, transformed);
    for (int64_t t = 0; t < N; t++) assert_true(fabs(transformed[t] - mean[t]) < 1e-14); /* the variance is 1 */
    rllc_stats_fourier_close(&f);
}

/* ---- invariances ------------------------------------------------------------------------------------------------- */

static void assert_same(const rllc_chains_diagnosis *a, const rllc_chains_diagnosis *b, double scale, double relative) {
    assert_close(b->rhat_split, a->rhat_split, relative);
    assert_close(b->rhat_rank, a->rhat_rank, relative);
    assert_close(b->ess_bulk, a->ess_bulk, relative);
    assert_close(b->ess_tail, a->ess_tail, relative);
    assert_close(b->ess_mean, a->ess_mean, relative);
    assert_close(b->ess_sd, a->ess_sd, relative);
    assert_close(b->mcse_mean, scale * a->mcse_mean, relative);
    assert_close(b->mcse_sd, scale * a->mcse_sd, relative);
}

static void test_diagnosis_does_not_change_under_affine_maps_and_orders_of_chains(void **state) {
    (void)state;
    rllc_chains_diagnosis first, other;
    for (int kind = 0; kind < N_KINDS; kind++) {
        const int64_t m = kinds[kind].n_chains, n = kinds[kind].n_draws;
        double *x = make_chains(kind), *y = malloc(sizeof(double) * (size_t)(m * n));
        assert_ok(rllc_chains_diagnose(x, m, n, &first));
        for (int64_t i = 0; i < m * n; i++)
            y[i] = -0x1p-20 * x[i]; /* exact; ties and indicators of x <= q turn around */
        assert_ok(rllc_chains_diagnose(y, m, n, &other));
        other.ess_tail = first.ess_tail; /* x <= q and x < q differ in a draw */
        assert_same(&first, &other, 0x1p-20, 1e-12);
        for (int64_t i = 0; i < m * n; i++) y[i] = 1e3 * x[i] - 77;
        assert_ok(rllc_chains_diagnose(y, m, n, &other));
        assert_same(&first, &other, 1e3, 1e-9); /* rounding: 77 is up to 1e5 times a chain's spread */
        for (int64_t c = 0; c < m; c++) memcpy(y + (m - 1 - c) * n, x + c * n, sizeof(double) * (size_t)n);
        assert_ok(rllc_chains_diagnose(y, m, n, &other));
        assert_same(&first, &other, 1, 1e-11);
        free(x);
        free(y);
    }
}

/* ---- no answer --------------------------------------------------------------------------------------------------- */

static void assert_nothing(const double *x, int64_t m, int64_t n) {
    rllc_chains_diagnosis d = {0};
    assert_ok(rllc_chains_diagnose(x, m, n, &d));
    const double all[] = {d.rhat_split, d.rhat_rank,           d.ess_bulk, d.ess_tail, d.ess_mean, d.ess_sd, d.mcse_sd,
                          d.mcse_mean,  d.autocorrelation_time};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) assert_true(isnan(all[i]));
}

static void test_no_variance_no_draws_and_no_numbers_give_nan(void **state) {
    (void)state;
    double x[40];
    for (int i = 0; i < 40; i++) x[i] = 0.1;
    assert_nothing(x, 4, 10);
    assert_nothing(x, 4, 0);
    assert_nothing(x, 0, 10);
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < 40; i++) x[i] = i % 7;
        x[33] = bad[k];
        assert_nothing(x, 4, 10);
        assert_nothing(x, 1, 40);
    }
    for (int64_t n = 1; n < 4; n++) { /* halves of one draw have no variance */
        for (int i = 0; i < 40; i++) x[i] = i % 7;
        assert_nothing(x, 4, n);
    }
}

static void test_one_chain_is_compared_with_itself(void **state) {
    (void)state;
    double *x = make_chains(4);
    rllc_chains_diagnosis d;
    assert_ok(rllc_chains_diagnose(x, 1, 500, &d));
    assert_true(d.rhat_split > 1.05 && d.ess_mean > 1 && d.ess_mean < 500);
    free(x);
}

/* With rho = -0.9 the true share is 19; an effective size is never said to be more than S log10 S. */
static void test_antithetic_chains_are_not_believed_beyond_a_bound(void **state) {
    (void)state;
    enum { M = 4, N = 500 };
    double x[M * N];
    rllc_chains_diagnosis d;
    for (uint32_t c = 0; c < M; c++) make_autoregression(-0.9, c, N, x + c * N);
    assert_ok(rllc_chains_diagnose(x, M, N, &d));
    assert_close(d.ess_mean, M * N * log10(M * N), 1e-14);
}

/* Each chain stuck at its own place: infinitely far from agreement, and hardly one effective draw. */
static void test_stuck_chains_disagree(void **state) {
    (void)state;
    double x[4 * 100];
    rllc_chains_diagnosis d;
    for (int i = 0; i < 400; i++) x[i] = 0.1 * (i / 100);
    assert_ok(rllc_chains_diagnose(x, 4, 100, &d));
    assert_true(isinf(d.rhat_split) && isinf(d.rhat_rank) && d.ess_mean < 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ess_of_autoregressions_is_the_exact_one),
        cmocka_unit_test(test_errors_have_the_size_they_report),
        cmocka_unit_test(test_rhat_sees_shifts_and_split_rhat_transients),
        cmocka_unit_test(test_folded_rhat_sees_different_spreads),
        cmocka_unit_test(test_split_rhat_by_hand_leaves_out_the_middle),
        cmocka_unit_test(test_autocovariances_by_transform_are_the_direct_sums),
        cmocka_unit_test(test_diagnosis_does_not_change_under_affine_maps_and_orders_of_chains),
        cmocka_unit_test(test_no_variance_no_draws_and_no_numbers_give_nan),
        cmocka_unit_test(test_one_chain_is_compared_with_itself),
        cmocka_unit_test(test_antithetic_chains_are_not_believed_beyond_a_bound),
        cmocka_unit_test(test_stuck_chains_disagree),
    };
    return cmocka_run_group_tests_name("stats_chains", tests, NULL, NULL);
}
