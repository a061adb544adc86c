/* Estimates from traces: cases worked out by hand, diverged chains, streams, and what must hold to the bit. */
#include <math.h>

#include "base/helpers.h"
#include "rllc/llc.h"

/* Four chains whose paired values are nbeta times 1, 3, 5, 9 and conventional ones 0.5 more each (times nbeta). */
static const double losses[4][2] = {{3, 4}, {5, 6}, {7, 8}, {10, 13}};
static const double baselines[4][2] = {{2, 3}, {3, 2}, {2, 3}, {2, 3}};

static void make_traces(rllc_trace *traces, const int *streams) {
    for (int i = 0; i < 4; i++) {
        traces[i] = (rllc_trace){
            .n_draws = 2, .loss = losses[i], .baseline = baselines[i], .init_loss = 2, .stream = streams[i]};
    }
}

#define assert_near(a, b) assert_true(fabs((a) - (b)) <= 1e-14 * fabs(b))

static void test_estimate_by_hand(void **state) {
    (void)state;
    rllc_trace traces[4];
    rllc_estimate e;
    double paired[4], conventional[4];
    make_traces(traces, (const int[]){0, 0, 1, 1});
    assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, paired, conventional));
    assert_memory_equal(paired, ((const double[]){10, 30, 50, 90}), sizeof paired);
    assert_memory_equal(conventional, ((const double[]){15, 35, 55, 95}), sizeof conventional);
    assert_true(e.llc_mean == 45 && e.llc_mean_init == 50);
    assert_near(e.llc_sd, 10 * sqrt(35.0 / 3));
    assert_near(e.llc_sd_init, 10 * sqrt(35.0 / 3));
    /* Stream means 20 and 70: between 2 (25^2 + 25^2) / 1 = 2500, within (200 + 800) / 2 = 500; sqrt(2500 / 4). */
    assert_true(e.llc_se == 25 && e.llc_se_init == 25);
    assert_true(e.n_chains == 4 && e.n_diverged == 0);
}

static void test_error_uses_the_larger_spread(void **state) {
    (void)state;
    rllc_trace traces[4];
    rllc_estimate e;
    make_traces(traces, (const int[]){7, -1, -1, 7}); /* means 50, 40: between 100, within (3200 + 200) / 2 = 1700 */
    assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, NULL, NULL));
    assert_near(e.llc_se, sqrt(1700.0 / 4));
    make_traces(traces, (const int[]){3, 3, 3, 3}); /* one stream: the spread over chains is all there is */
    assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, NULL, NULL));
    assert_near(e.llc_se, e.llc_sd / 2);
    make_traces(traces, (const int[]){3, 2, 1, 0}); /* a stream each: independent chains */
    assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, NULL, NULL));
    assert_near(e.llc_se, e.llc_sd / 2);
    make_traces(traces, (const int[]){0, 0, 0, 1}); /* 30 of three and 90: between 3 15^2 + 45^2, within 800 / 2 */
    assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, NULL, NULL));
    assert_near(e.llc_se, sqrt(2700.0 / 4));
}

static void test_diverged_chains_do_not_enter(void **state) {
    (void)state;
    rllc_trace traces[4];
    rllc_estimate e;
    double paired[4];
    make_traces(traces, (const int[]){0, 0, 1, 1});
    traces[3].diverged = true;
    assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, paired, NULL));
    assert_true(e.llc_mean == 30 && e.llc_sd == 20 && e.n_chains == 4 && e.n_diverged == 1);
    assert_true(isnan(paired[3]) && paired[2] == 50);
    /* streams {10, 30} and {50}: between 2 10^2 + 20^2 = 600, within 200 / 1 */
    assert_near(e.llc_se, sqrt(600.0 / 3));
    traces[2].diverged = true; /* a whole stream is lost */
    assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, NULL, NULL));
    assert_true(e.llc_mean == 20 && e.n_diverged == 2);
    assert_near(e.llc_se, e.llc_sd / sqrt(2));
    traces[1].diverged = true; /* one chain: no spread */
    assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, NULL, NULL));
    assert_true(e.llc_mean == 10 && isnan(e.llc_sd) && isnan(e.llc_se) && e.n_diverged == 3);
    traces[0].diverged = true;
    assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, paired, NULL));
    assert_true(isnan(e.llc_mean) && isnan(e.llc_mean_init) && isnan(e.llc_se) && e.n_chains == 4 && e.n_diverged == 4);
    assert_ok(rllc_estimate_from_traces(traces, 0, &(rllc_estimate_settings){.nbeta = 10}, &e, paired, NULL));
    assert_true(isnan(e.llc_mean) && isnan(e.llc_sd) && isnan(e.llc_se_init) && e.n_chains == 0 && e.n_diverged == 0);
}

static void test_numbers_that_are_not_finite_are_never_averaged(void **state) {
    (void)state;
    const double bad[][2] = {{1, NAN}, {INFINITY, 1}, {-INFINITY, INFINITY}, {1.7e308, 1.7e308}};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        rllc_trace traces[4];
        rllc_estimate e;
        double paired[4], conventional[4];
        make_traces(traces, (const int[]){0, 0, 1, 1});
        traces[1].loss = bad[k];
        assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, paired, conventional));
        assert_true(e.llc_mean == 50 && e.llc_mean_init == 55 && e.n_diverged == 1);
        assert_true(isnan(paired[1]) && isnan(conventional[1]));
        make_traces(traces, (const int[]){0, 0, 1, 1});
        traces[1].baseline = bad[k]; /* only the paired estimate needs it */
        assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, paired, conventional));
        assert_true(e.llc_mean == 50 && e.llc_mean_init == 50 && e.n_diverged == 1 && conventional[1] == 35);
    }
}

static void test_what_is_missing_is_left_out(void **state) {
    (void)state;
    rllc_trace traces[4];
    rllc_estimate e;
    make_traces(traces, (const int[]){0, 0, 1, 1});
    traces[3].n_draws = 0; /* not begun: neither diverged nor part of the estimate */
    traces[3].loss = traces[3].baseline = NULL;
    traces[2].init_loss = NAN;
    traces[1].baseline = NULL;
    assert_ok(rllc_estimate_from_traces(traces, 4, &(rllc_estimate_settings){.nbeta = 10}, &e, NULL, NULL));
    assert_true(e.llc_mean == 30 && e.llc_mean_init == 25 && e.n_diverged == 0 && e.n_chains == 4);
}

/* Random traces, some chains diverged, several streams. */
enum { CHAINS = 12, DRAWS = 50 };

static void make_random(rllc_trace *traces, double (*loss)[DRAWS], double (*baseline)[DRAWS], uint64_t *seed) {
    for (int i = 0; i < CHAINS; i++) {
        for (int t = 0; t < DRAWS; t++) {
            baseline[i][t] = 3 + (double)next_random(seed) * 0x1p-64;
            loss[i][t] = baseline[i][t] + (double)next_random(seed) * 0x1p-66;
        }
        traces[i] = (rllc_trace){.n_draws = DRAWS - i % 3,
                                 .loss = loss[i],
                                 .baseline = baseline[i],
                                 .init_loss = 3.5,
                                 .stream = (int)(next_random(seed) % 4),
                                 .diverged = next_random(seed) % 6 == 0};
    }
}

static void test_order_of_chains_does_not_matter_to_the_bit(void **state) {
    (void)state;
    static double loss[CHAINS][DRAWS], baseline[CHAINS][DRAWS];
    rllc_trace traces[CHAINS];
    uint64_t seed = 11;
    for (int64_t k = 0; k < effort(50); k++) {
        rllc_estimate first, again;
        make_random(traces, loss, baseline, &seed);
        assert_ok(rllc_estimate_from_traces(traces, CHAINS, &(rllc_estimate_settings){.nbeta = 30}, &first, NULL, NULL));
        for (int p = 0; p < 10; p++) {
            for (int i = CHAINS - 1; i > 0; i--) {
                const int j = (int)(next_random(&seed) % (uint64_t)(i + 1));
                const rllc_trace kept = traces[i];
                traces[i] = traces[j];
                traces[j] = kept;
            }
            assert_ok(rllc_estimate_from_traces(traces, CHAINS, &(rllc_estimate_settings){.nbeta = 30}, &again, NULL, NULL));
            assert_memory_equal(&again, &first, sizeof first);
        }
    }
}

/* Twice the loss at half the inverse temperature is the same posterior: the same estimate, bit for bit. */
static void test_loss_and_nbeta_scale_against_each_other(void **state) {
    (void)state;
    static double loss[CHAINS][DRAWS], baseline[CHAINS][DRAWS];
    rllc_trace traces[CHAINS];
    rllc_estimate first, scaled;
    uint64_t seed = 12;
    make_random(traces, loss, baseline, &seed);
    assert_ok(rllc_estimate_from_traces(traces, CHAINS, &(rllc_estimate_settings){.nbeta = 30}, &first, NULL, NULL));
    for (int i = 0; i < CHAINS; i++) {
        traces[i].init_loss *= 2;
        for (int t = 0; t < DRAWS; t++) {
            loss[i][t] *= 2;
            baseline[i][t] *= 2;
        }
    }
    assert_ok(rllc_estimate_from_traces(traces, CHAINS, &(rllc_estimate_settings){.nbeta = 15}, &scaled, NULL, NULL));
    assert_memory_equal(&scaled, &first, sizeof first);
}

static void test_names_follow_from_the_triple(void **state) {
    (void)state;
    assert_string_equal(rllc_estimate_name("full", false), "LLC");
    assert_string_equal(rllc_estimate_name("full", true), "drLLC");
    assert_string_equal(rllc_estimate_name("l0h3", false), "wrLLC");
    assert_string_equal(rllc_estimate_name("embed+unembed", true), "wdrLLC");
}

enum { LONG = 40 };

/* A long chain whose losses and baselines are rough; returns the variance of the baselines. */
static double make_long(rllc_trace *trace, double *loss, double *baseline) {
    uint64_t seed = 5;
    double mean = 0, squares = 0;
    for (int t = 0; t < LONG; t++) {
        baseline[t] = 2 + (double)(next_random(&seed) >> 11) * 0x1p-53;
        loss[t] = baseline[t] + (double)(next_random(&seed) >> 11) * 0x1p-53;
        mean += baseline[t] / LONG;
    }
    for (int t = 0; t < LONG; t++) squares += (baseline[t] - mean) * (baseline[t] - mean);
    *trace = (rllc_trace){.n_draws = LONG, .loss = loss, .baseline = baseline, .init_loss = 2.5};
    return squares / (LONG - 1);
}

/* A chain that diverged early, first of its stream, changes nothing of the others' errors. */
static void test_error_of_init_loss_is_that_of_live_chains(void **state) {
    (void)state;
    double loss[LONG], baseline[LONG];
    const rllc_estimate_settings o = {.nbeta = 10, .init_batches = 16, .init_shared = 16};
    rllc_trace traces[2];
    rllc_estimate alone, e;
    make_long(&traces[1], loss, baseline);
    assert_ok(rllc_estimate_from_traces(traces + 1, 1, &o, &alone, NULL, NULL));
    assert_true(alone.llc_se_init > 0);
    for (int draws = 0; draws <= 3; draws += 3) {
        traces[0] = traces[1];
        traces[0].n_draws = draws;
        traces[0].diverged = true;
        assert_ok(rllc_estimate_from_traces(traces, 2, &o, &e, NULL, NULL));
        assert_true(e.n_diverged == 1 && e.llc_se == alone.llc_se && e.llc_se_init == alone.llc_se_init);
    }
}

/* With draws of p minibatches the init loss of B of them, b shared, adds nbeta^2 Var(baseline) p (1/B - 2 b / (B p T)). */
static void test_error_of_init_loss_counts_accumulated_minibatches(void **state) {
    (void)state;
    double loss[LONG], baseline[LONG];
    rllc_trace trace;
    rllc_estimate e, none;
    const double variance = make_long(&trace, loss, baseline);
    assert_ok(rllc_estimate_from_traces(&trace, 1, &(rllc_estimate_settings){.nbeta = 10}, &none, NULL, NULL));
    for (int p = 1; p <= 4; p++)
        for (int shared = 0; shared <= 8; shared += 8) {
            const rllc_estimate_settings o = {.nbeta = 10, .init_batches = 8, .init_shared = shared, .draw_batches = p};
            const double added = 100 * variance * p * (1.0 / 8 - 2.0 * shared / (8.0 * p * LONG));
            assert_ok(rllc_estimate_from_traces(&trace, 1, &o, &e, NULL, NULL));
            assert_true(fabs(e.llc_se_init * e.llc_se_init - none.llc_se_init * none.llc_se_init - added) < 1e-12 * added);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_estimate_by_hand),
        cmocka_unit_test(test_error_uses_the_larger_spread),
        cmocka_unit_test(test_diverged_chains_do_not_enter),
        cmocka_unit_test(test_numbers_that_are_not_finite_are_never_averaged),
        cmocka_unit_test(test_what_is_missing_is_left_out),
        cmocka_unit_test(test_order_of_chains_does_not_matter_to_the_bit),
        cmocka_unit_test(test_loss_and_nbeta_scale_against_each_other),
        cmocka_unit_test(test_error_of_init_loss_is_that_of_live_chains),
        cmocka_unit_test(test_error_of_init_loss_counts_accumulated_minibatches),
        cmocka_unit_test(test_names_follow_from_the_triple),
    };
    return cmocka_run_group_tests_name("llc", tests, NULL, NULL);
}
