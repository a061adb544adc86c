/* Chains that share minibatches: no bias, the variance of their mean as derived (E83, E84), and the error that is
 * reported. */
#include "../../bench/sharing/quadratic.h"

#include <math.h>

#include "base/helpers.h"
#include "world.h"

enum { CHAINS = 4 };

static rllc_sampler_options options_for(int64_t draws) {
    rllc_sampler_options o;
    rllc_options_default(&rllc_sampler_option_table, &o);
    o.num_chains = CHAINS;
    o.num_draws = draws;
    o.num_init_loss_batches = 4;
    return o;
}

/** Resolved and unresolved directions; heating q = lr nbeta^2 C / 4 in all of them. */
static noisy_setting setting_for(const rllc_sampler_options *o, double q) {
    noisy_setting s = {.dim = 3, .h = {1, 10, 40}, .level = 0.05};
    for (int i = 0; i < s.dim; i++) s.noise[i] = 4 * q / (o->lr * o->nbeta * o->nbeta);
    return s;
}

/* ---- the law by hand ------------------------------------------------------------------------------------------------
 */

/** Two draws from w*: y_0 = 0 and y_1 = xi_1 w + h w^2 / 2, w = -k xi_0 + sqrt(lr) eta, k = lr nbeta / 2. */
static void test_two_draws_by_hand(void **state) {
    (void)state;
    const rllc_sampler_options o = options_for(2);
    const noisy_setting s = {.dim = 1, .h = {10}, .noise = {2}};
    const double k = o.lr * o.nbeta / 2, common = k * k * 2, own = common + o.lr, half = o.nbeta / 2;
    assert_true(fabs(noisy_mean(&s, &o) - half * 10 * own / 2) < 1e-12);
    assert_true(fabs(noisy_covariance(&s, &o, true) - half * half * (100 * own * own / 2 + 2 * own)) < 1e-12);
    assert_true(fabs(noisy_covariance(&s, &o, false) - half * half * (100 * common * common / 2 + 2 * common)) < 1e-12);
}

/** Three draws: the covariance of the second and the third, from E[w^4] = 3 v^2 and its like. */
static void test_a_later_draw_by_hand(void **state) {
    (void)state;
    rllc_sampler_options o = options_for(3);
    const noisy_setting s = {.dim = 1, .h = {10}, .noise = {2}};
    const double k = o.lr * o.nbeta / 2, rho = 1 - o.lr * (o.nbeta * 10 + o.localization) / 2;
    const double v1 = k * k * 2 + o.lr, v2 = (1 + rho * rho) * v1;
    const double own = 50 * v1 * v1 + 2 * v1 + 50 * v2 * v2 + 2 * v2;
    const double between = 50 * rho * rho * v1 * v1 - 10 * k * 2 * rho * v1;
    assert_true(fabs(noisy_covariance(&s, &o, true) - 100 * (own + 2 * between)) < 1e-9);
}

/** Small steps, long chains: the correlation of two chains of a stream is that of E84, and at most q / (1 + q). */
static void test_correlation_of_small_steps(void **state) {
    (void)state;
    const double heating[] = {0.1, 1, 5}, curvature[] = {0.5, 10, 1000};
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            rllc_sampler_options o = options_for(200000);
            const double q = heating[i], h = curvature[k], f = o.nbeta * h / (o.nbeta * h + o.localization);
            o.lr = 0.02 / (o.nbeta * h + o.localization);
            o.num_burnin_steps = 10000;
            const noisy_setting s = {.dim = 1, .h = {h}, .noise = {4 * q / (o.lr * o.nbeta * o.nbeta)}};
            const double r = noisy_covariance(&s, &o, false) / noisy_covariance(&s, &o, true);
            const double limit = q * (f * f * q + 4 * q * (1 - f)) / ((1 + q) * (f * f * (1 + q) + 4 * q * (1 - f)));
            assert_true(fabs(r / limit - 1) < 0.03);
            assert_true(r <= q / (1 + q));
            if (k == 2) assert_true(fabs(r / (q * q / ((1 + q) * (1 + q))) - 1) < 0.05); /* resolved */
        }
}

/** Directions of several curvatures: their variances and covariances add up. */
static void test_correlation_over_directions(void **state) {
    (void)state;
    rllc_sampler_options o = options_for(200000);
    const double q = 0.7;
    noisy_setting s = {.dim = 3, .h = {0.5, 10, 100}};
    double own = 0, common = 0;
    o.lr = 0.02 / (o.nbeta * 100 + o.localization);
    o.num_burnin_steps = 100000;
    for (int i = 0; i < s.dim; i++) {
        const double a = o.nbeta * s.h[i] + o.localization, f = o.nbeta * s.h[i] / a;
        s.noise[i] = 4 * q / (o.lr * o.nbeta * o.nbeta);
        own += (1 + q) * (f * f * (1 + q) + 4 * q * (1 - f)) / a;
        common += q * (f * f * q + 4 * q * (1 - f)) / a;
    }
    const double r = noisy_covariance(&s, &o, false) / noisy_covariance(&s, &o, true);
    assert_true(fabs(r / (common / own) - 1) < 0.02);
    assert_true(r < q / (1 + q));
}

/* ---- the law against the sampling loop ------------------------------------------------------------------------------
 */

typedef struct sums {
    double mean, square, fourth, mean_init, square_init, fourth_init, reported;
} sums;

/** One estimate from chains of the real loop, around the expectation. */
static void add_repeat(const noisy_setting *s, const rllc_sampler_options *o, int64_t streams, double truth,
                       sums *out) {
    rllc_potential *p = NULL;
    rllc_chain *chains = NULL;
    rllc_trace traces[CHAINS];
    rllc_estimate e;
    const rllc_estimate_settings settings = {
        .nbeta = o->nbeta, .init_batches = o->num_init_loss_batches, .init_shared = o->num_init_loss_batches};
    assert_int_equal(noisy_make(&p, s, CHAINS, o->seed), RLLC_OK);
    assert_int_equal(rllc_chains_run(p, o, streams, "tests/sharing", NULL, &chains), RLLC_OK);
    for (int i = 0; i < CHAINS; i++) traces[i] = rllc_chain_trace(&chains[i]);
    assert_int_equal(rllc_estimate_from_traces(traces, CHAINS, &settings, &e, NULL, NULL), RLLC_OK);
    const double d = e.llc_mean - truth, init = e.llc_mean_init - truth;
    out->mean += d;
    out->square += d * d;
    out->fourth += d * d * d * d;
    out->mean_init += init;
    out->square_init += init * init;
    out->fourth_init += init * init * init * init;
    out->reported += e.llc_se * e.llc_se;
    rllc_chains_free(chains, CHAINS);
    rllc_potential_free(p);
}

/** Standard error of the mean of n squares. */
static double error_of_square(double squares, double fourths, double n) {
    return sqrt((fourths / n - (squares / n) * (squares / n)) / n);
}

/** Shared, streams=2, independent: mean and variance of both estimates within 5 standard errors of what is exact. */
static void test_variance_of_the_mean(void **state) {
    (void)state;
    const double heating[] = {0.05, 1};
    for (int level = 0; level < 2; level++)
        for (int64_t streams = 1; streams <= CHAINS; streams *= 2) {
            rllc_sampler_options o = options_for(60);
            const noisy_setting s = setting_for(&o, heating[level]);
            const double truth = noisy_mean(&s, &o), variance = noisy_variance(&s, &o, streams),
                         n = (double)effort(2000);
            const double init = variance + noisy_level_variance(&s, &o, streams);
            sums x = {0};
            for (int64_t i = 0; i < (int64_t)n; i++) {
                o.seed = 1 + (uint64_t)(i + (int64_t)n * (streams + 8 * level));
                add_repeat(&s, &o, streams, truth, &x);
            }
            const double error = error_of_square(x.square, x.fourth, n),
                         error_init = error_of_square(x.square_init, x.fourth_init, n);
            const double z[] = {x.mean / n / sqrt(variance / n), (x.square / n - variance) / error,
                                x.mean_init / n / sqrt(init / n), (x.square_init / n - init) / error_init};
            print_message(
                "q %.2f, %lld streams: variance exact %.5f, found %.5f; z %+.1f %+.1f, init loss %+.1f %+.1f\n",
                heating[level], (long long)streams, variance, x.square / n, z[0], z[1], z[2], z[3]);
            for (int i = 0; i < 4; i++) assert_true(fabs(z[i]) < 5);
            assert_true(error < 0.1 * variance);          /* so that shared and independent differ where they should */
            assert_true(x.reported / n > 0.8 * variance); /* what is reported knows of what is shared */
        }
}

/** The first chain has the first stream in every mode: its trace is the same bits, so what others share cannot bias it.
 */
static void test_a_chain_does_not_depend_on_sharing(void **state) {
    (void)state;
    static const char *const modes[] = {"shared", "streams=2", "independent"};
    static struct result r[3];
    for (int i = 0; i < 3; i++) {
        struct world w;
        begin(&w);
        w.job.options.batches = modes[i];
        w.job.options.curvature_probes = 0;
        run_whole(&w, "sharing.db", &r[i]);
        end(&w);
    }
    assert_int_equal(r[0].n_cells, 5);
    for (int i = 1; i < 3; i++)
        for (int64_t cell = 0; cell < r[0].n_cells; cell++) {
            assert_memory_equal(r[0].loss[cell][0], r[i].loss[cell][0], sizeof r[0].loss[cell][0]);
            assert_memory_equal(r[0].baseline[cell][0], r[i].baseline[cell][0], sizeof r[0].baseline[cell][0]);
            assert_true(r[0].loss[cell][0][11] != r[0].loss[cell][1][11]);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_draws_by_hand),          cmocka_unit_test(test_a_later_draw_by_hand),
        cmocka_unit_test(test_correlation_of_small_steps), cmocka_unit_test(test_correlation_over_directions),
        cmocka_unit_test(test_variance_of_the_mean),       cmocka_unit_test(test_a_chain_does_not_depend_on_sharing),
    };
    return cmocka_run_group_tests_name("sharing minibatches", tests, NULL, NULL);
}
