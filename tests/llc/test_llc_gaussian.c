/* Estimates against a law that is known exactly: SGLD on quadratic losses is a vector autoregression.
 *
 * One coordinate: loss h w^2 / 2 + xi_t w + b_t with gradient noise xi_t ~ N(0, C) and level noise b_t, both shared by
 * the chains of a stream; w_0 = 0 is the minimum and the centre. With a = nbeta h + gamma, rho = 1 - lr a / 2, k = lr
 * nbeta / 2:
 *
 *   w_{t+1} = rho w_t - k xi_t + sqrt(lr) eta,   Var w_t = v_t = (lr + k^2 C) (1 - rho^{2t}) / (1 - rho^2),
 *   and for two chains of one stream  Cov(w_t, w'_t) = s_t = k^2 C (1 - rho^{2t}) / (1 - rho^2).
 *
 * All moments of the estimate follow (Isserlis), for any number of draws: no asymptotics, no tolerance of one's own. */
#include <math.h>

#include "base/helpers.h"
#include "rllc/llc.h"

enum { MAX_MODES = 4, MAX_CHAINS = 16, MAX_DRAWS = 200 };

typedef struct {
    int n_modes, n_draws, n_streams, per_stream;
    double h[MAX_MODES], lr, nbeta, gamma;
    double gradient_noise; /* C */
    double level_noise;    /* sd of b_t */
} setting;

/* ---- the exact law --------------------------------------------------------------------------------------- */

static double rho_of(const setting *s, double h) {
    return 1 - s->lr * (s->nbeta * h + s->gamma) / 2;
}

/* v_t, or s_t if the chains share only the gradient noise. */
static double variance_at(const setting *s, double h, int t, bool same_chain) {
    const double rho = rho_of(s, h), k = s->lr * s->nbeta / 2;
    const double drive = k * k * s->gradient_noise + (same_chain ? s->lr : 0);
    return drive * (1 - pow(rho, 2 * t)) / (1 - rho * rho);
}

/* E[estimate] = sum over modes of nbeta h / 2 mean_t v_t. */
static double expected_mean(const setting *s) {
    double sum = 0;
    for (int i = 0; i < s->n_modes; i++) {
        for (int t = 0; t < s->n_draws; t++) sum += s->nbeta * s->h[i] / 2 * variance_at(s, s->h[i], t, true);
    }
    return sum / s->n_draws;
}

/* Variance of one chain's estimate, or covariance of two of one stream. */
static double expected_covariance(const setting *s, bool same_chain) {
    const double c = s->gradient_noise, k = s->lr * s->nbeta / 2;
    double sum = 0;
    for (int i = 0; i < s->n_modes; i++) {
        const double h = s->h[i], rho = rho_of(s, h);
        for (int t = 0; t < s->n_draws; t++) {
            const double v = variance_at(s, h, t, same_chain);
            sum += h * h * v * v / 2 + c * v;
            for (int u = t + 1; u < s->n_draws; u++) {
                const double odd = pow(rho, 2 * (u - t) - 1);
                sum += 2 * (h * h * rho * odd * v * v / 2 - h * k * c * odd * v);
            }
        }
    }
    return s->nbeta * s->nbeta * sum / ((double)s->n_draws * s->n_draws);
}

/* Variance of the mean over all chains. */
static double expected_variance_of_mean(const setting *s) {
    const double one = expected_covariance(s, true), two = expected_covariance(s, false);
    return (one + (s->per_stream - 1) * two) / (s->per_stream * s->n_streams);
}

/* ---- simulation ------------------------------------------------------------------------------------------ */

/* Box and Muller. */
static double normal(uint64_t *seed) {
    const double u = ((double)(next_random(seed) >> 11) + 0.5) * 0x1p-53,
                 v = (double)(next_random(seed) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

typedef struct {
    double loss[MAX_CHAINS][MAX_DRAWS], baseline[MAX_CHAINS][MAX_DRAWS];
    rllc_trace traces[MAX_CHAINS];
} run;

static void simulate(const setting *s, run *r, uint64_t *seed) {
    for (int c = 0; c < s->n_streams * s->per_stream; c++) {
        r->traces[c] = (rllc_trace){.n_draws = s->n_draws,
                                    .loss = r->loss[c],
                                    .baseline = r->baseline[c],
                                    .init_loss = 2,
                                    .stream = c % s->n_streams};
    }
    for (int stream = 0; stream < s->n_streams; stream++) {
        double w[MAX_CHAINS][MAX_MODES] = {{0}};
        for (int t = 0; t < s->n_draws; t++) {
            double xi[MAX_MODES];
            const double level = 2 + s->level_noise * normal(seed);
            for (int i = 0; i < s->n_modes; i++) xi[i] = sqrt(s->gradient_noise) * normal(seed);
            for (int c = stream; c < s->n_streams * s->per_stream; c += s->n_streams) {
                double loss = level;
                for (int i = 0; i < s->n_modes; i++) {
                    const double h = s->h[i], g = h * w[c][i] + xi[i];
                    loss += h * w[c][i] * w[c][i] / 2 + xi[i] * w[c][i];
                    w[c][i] += -s->lr / 2 * (s->nbeta * g + s->gamma * w[c][i]) + sqrt(s->lr) * normal(seed);
                }
                r->loss[c][t] = loss;
                r->baseline[c][t] = level;
            }
        }
    }
}

/* ---- tests ----------------------------------------------------------------------------------------------- */

/* One mode at lr 1e-3, nbeta 30, gamma 200, h 40, 200 draws from w*, no noise: the closed form
 * nbeta h / (2 a (1 - lr a / 4)) (1 - (1 - r^{2T}) / (T (1 - r^2))) gives 0.65572. */
static void test_the_exact_law_itself(void **state) {
    (void)state;
    const setting s = {.n_modes = 1,
                       .n_draws = 200,
                       .h = {40},
                       .lr = 1e-3,
                       .nbeta = 30,
                       .gamma = 200,
                       .n_streams = 1,
                       .per_stream = 1};
    const double a = s.nbeta * 40 + s.gamma, r = 1 - s.lr * a / 2;
    const double limit = s.nbeta * 40 / (2 * a * (1 - s.lr * a / 4));
    const double closed = limit * (1 - (1 - pow(r, 400)) / (200 * (1 - r * r)));
    assert_true(fabs(expected_mean(&s) - closed) < 1e-12);
    assert_true(fabs(closed - 0.65572) < 5e-6);
    assert_true(expected_covariance(&s, false) == 0); /* nothing shared */
}

static const setting settings[] = {
    /* the paper's sampler on a spread of curvatures, two streams of two */
    {.n_modes = 4,
     .n_draws = 200,
     .h = {0.5, 5, 20, 60},
     .lr = 1e-3,
     .nbeta = 30,
     .gamma = 200,
     .n_streams = 2,
     .per_stream = 2,
     .gradient_noise = 1,
     .level_noise = 0.05},
    /* few draws: the first ones, at w* itself, weigh most */
    {.n_modes = 3,
     .n_draws = 20,
     .h = {10, 30, 40},
     .lr = 1e-3,
     .nbeta = 30,
     .gamma = 200,
     .n_streams = 2,
     .per_stream = 2,
     .gradient_noise = 0,
     .level_noise = 0.01},
    /* strong shared noise, many streams */
    {.n_modes = 2,
     .n_draws = 50,
     .h = {20, 40},
     .lr = 1e-3,
     .nbeta = 30,
     .gamma = 200,
     .n_streams = 8,
     .per_stream = 2,
     .gradient_noise = 20,
     .level_noise = 0.1},
};

static void test_means_agree_with_the_exact_law(void **state) {
    (void)state;
    run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    for (size_t k = 0; k < sizeof settings / sizeof settings[0]; k++) {
        const setting *s = &settings[k];
        const int64_t n = effort(400);
        uint64_t seed = 100 + k;
        double paired = 0, conventional = 0;
        for (int64_t i = 0; i < n; i++) {
            rllc_estimate e;
            simulate(s, r, &seed);
            assert_ok(rllc_estimate_from_traces(r->traces, s->n_streams * s->per_stream,
                                                &(rllc_estimate_settings){.nbeta = s->nbeta}, &e, NULL, NULL));
            paired += e.llc_mean / (double)n;
            conventional += e.llc_mean_init / (double)n;
        }
        const double expected = expected_mean(s), variance = expected_variance_of_mean(s);
        const double level = s->nbeta * s->level_noise, more = level * level / (s->n_draws * s->n_streams);
        const double z = (paired - expected) / sqrt(variance / (double)n);
        const double z_init = (conventional - expected) / sqrt((variance + more) / (double)n);
        print_message("exact %.5f; paired %.5f (z %+.2f); conventional %.5f (z %+.2f)\n", expected, paired, z,
                      conventional, z_init);
        assert_true(fabs(z) < 5 && fabs(z_init) < 5);
        assert_true(sqrt(variance / (double)n) < 0.01 * expected); /* a test that could fail */
    }
    free(r);
}

/* With minibatches shared in streams, the standard error is that of the mean; sd / sqrt(chains) is too small. */
static void test_standard_error_is_honest_about_streams(void **state) {
    (void)state;
    const setting *s = &settings[2];
    const double variance = expected_variance_of_mean(s);
    const int64_t n = effort(1500);
    const int n_chains = s->n_streams * s->per_stream;
    uint64_t seed = 5;
    double mean_square = 0, square_of_squares = 0, naive = 0;
    int64_t covered = 0;
    run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    for (int64_t i = 0; i < n; i++) {
        rllc_estimate e;
        simulate(s, r, &seed);
        assert_ok(rllc_estimate_from_traces(r->traces, n_chains, &(rllc_estimate_settings){.nbeta = s->nbeta}, &e, NULL,
                                            NULL));
        const double square = e.llc_se * e.llc_se;
        mean_square += square / (double)n;
        square_of_squares += square * square / (double)n;
        naive += e.llc_sd * e.llc_sd / n_chains / (double)n;
        covered += fabs(e.llc_mean - expected_mean(s)) < 1.96 * e.llc_se;
    }
    const double error = sqrt((square_of_squares - mean_square * mean_square) / (double)n);
    print_message(
        "variance of the mean: exact %.5f, from streams %.5f +- %.5f, from chains alone %.5f; 95%% interval holds "
        "it in %.1f%%\n",
        variance, mean_square, error, naive, 100 * (double)covered / (double)n);
    assert_true(mean_square > variance - 5 * error);
    assert_true(mean_square < 1.5 * variance); /* the first draws, at w* itself, look like correlation */
    assert_true(naive < 0.75 * variance);
    assert_in_range(100 * covered / n, 92, 99);
    free(r);
}

/* How often mean +- 1.96 se holds the exact expectation, of the paired and of the conventional estimate. */
static void coverage(const setting *s, const rllc_estimate_settings *o, int64_t n, int64_t *paired,
                     int64_t *conventional) {
    const double truth = expected_mean(s);
    uint64_t seed = 77;
    run *r = calloc(1, sizeof *r);
    assert_non_null(r);
    *paired = *conventional = 0;
    for (int64_t i = 0; i < n; i++) {
        rllc_estimate e;
        simulate(s, r, &seed);
        for (int stream = 0; stream < s->n_streams; stream++) { /* the init loss: first minibatches of each stream */
            double init = 0;
            for (int64_t b = 0; b < o->init_batches; b++) init += r->baseline[stream][b] / (double)o->init_batches;
            for (int c = stream; c < s->n_streams * s->per_stream; c += s->n_streams) r->traces[c].init_loss = init;
        }
        assert_ok(rllc_estimate_from_traces(r->traces, s->n_streams * s->per_stream, o, &e, NULL, NULL));
        *paired += fabs(e.llc_mean - truth) < 1.96 * e.llc_se;
        *conventional += fabs(e.llc_mean_init - truth) < 1.96 * e.llc_se_init;
    }
    free(r);
}

/* Nominal 95 % intervals hold the exact expectation 90 to 99 % of the time: two streams of two chains with shared
 * noise, one stream of four, four independent chains, one chain; the init loss's own error included where it is used.
 */
static void test_intervals_cover_the_exact_expectation(void **state) {
    (void)state;
    const struct {
        int n_streams, per_stream;
        double gradient_noise;
    } cases[] = {{2, 2, 5}, {1, 4, 5}, {4, 1, 5}, {1, 1, 5}, {2, 2, 0}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        setting s = settings[0];
        const rllc_estimate_settings o = {.nbeta = s.nbeta, .init_batches = 16, .init_shared = 16};
        const int64_t n = effort(400);
        int64_t paired, conventional;
        s.n_streams = cases[k].n_streams;
        s.per_stream = cases[k].per_stream;
        s.gradient_noise = cases[k].gradient_noise;
        coverage(&s, &o, n, &paired, &conventional);
        print_message("%d streams of %d chains: 95%% intervals hold the truth in %.1f%%, with the init loss %.1f%%\n",
                      s.n_streams, s.per_stream, 100 * (double)paired / (double)n,
                      100 * (double)conventional / (double)n);
        assert_in_range(1000 * paired / n, 900, 990);
        assert_in_range(1000 * conventional / n, 900, 990);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_exact_law_itself),
        cmocka_unit_test(test_means_agree_with_the_exact_law),
        cmocka_unit_test(test_standard_error_is_honest_about_streams),
        cmocka_unit_test(test_intervals_cover_the_exact_expectation),
    };
    return cmocka_run_group_tests_name("llc on quadratics", tests, NULL, NULL);
}
