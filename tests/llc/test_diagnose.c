/* Verdicts: chains made to have one fault each are told by name, with the number and the remedy; sound ones are good.
 */
#include <math.h>
#include <string.h>

#include "base/helpers.h"
#include "llc/checks.h"

enum { CHAINS = 4, DRAWS = 400, DIM = 1000 };

/* Four chains with what they recorded, the options they ran under, and the curvature at w* where it is known. */
typedef struct {
    double loss[CHAINS][DRAWS], baseline[CHAINS][DRAWS], distance[CHAINS][DRAWS], dot[CHAINS][DRAWS];
    rllc_trace traces[CHAINS];
    rllc_sampler_options options;
    rllc_curvature curvature;
    int64_t dim;
    bool measured, refined_data;
    rllc_estimate estimate;
    rllc_diagnosis d;
} world;

static double normal(uint64_t *seed) {
    const double u = ((double)(next_random(seed) >> 11) + 0.5) * 0x1p-53,
                 v = (double)(next_random(seed) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* Stationary AR(1) with mean 2 and sd 0.3 in units of the estimate, in equilibrium: u.G / dim = 1. */
static void make_sound(world *w, uint64_t seed) {
    memset(w, 0, sizeof *w);
    rllc_options_default(&rllc_sampler_option_table, &w->options);
    w->dim = DIM;
    w->options.num_draws = DRAWS;
    w->options.num_burnin_steps = 20;
    for (int c = 0; c < CHAINS; c++) {
        double x = normal(&seed);
        for (int t = 0; t < DRAWS; t++) {
            x = 0.7 * x + sqrt(1 - 0.49) * normal(&seed);
            w->baseline[c][t] = 3;
            w->loss[c][t] = 3 + (2 + 0.3 * x) / w->options.nbeta;
            w->distance[c][t] = sqrt(DIM / w->options.localization);
            w->dot[c][t] = 0;
        }
        w->traces[c] = (rllc_trace){.n_draws = DRAWS,
                                    .loss = w->loss[c],
                                    .baseline = w->baseline[c],
                                    .init_loss = 3,
                                    .stream = c % 2,
                                    .acceptance = NAN,
                                    .reason = ""};
        w->traces[c].record[RLLC_RECORD_DISTANCE] = w->distance[c];
        w->traces[c].record[RLLC_RECORD_GRADIENT_DOT] = w->dot[c];
    }
}

/* Moves every draw of a chain from `first` on, in units of the estimate. */
static void shift(world *w, int chain, int first, int end, double by) {
    for (int t = first; t < end; t++) w->loss[chain][t] += by / w->options.nbeta;
}

/* One eigenvalue for all directions. */
static void measure(world *w, double h, double gradient_square, double noise_trace) {
    w->measured = true;
    w->curvature = (rllc_curvature){.dim = DIM,
                                    .top = h,
                                    .bottom = h,
                                    .gradient_square = gradient_square,
                                    .noise_trace = noise_trace,
                                    .batches = 4};
    rllc_quadrature *const list[] = {&w->curvature.spectrum, &w->curvature.noise, &w->curvature.drift};
    const double weight[] = {DIM, noise_trace, gradient_square + noise_trace / 4};
    for (int i = 0; i < 3; i++) {
        assert_ok(rllc_quadrature_init(list[i], 1));
        list[i]->node[0] = h;
        list[i]->weight[0] = weight[i];
    }
}

static void judge(world *w) {
    const rllc_estimate_settings settings = {.nbeta = w->options.nbeta};
    assert_ok(rllc_estimate_from_traces(w->traces, CHAINS, &settings, &w->estimate, NULL, NULL));
    const rllc_evidence e = {.traces = w->traces,
                             .n = CHAINS,
                             .estimate = &w->estimate,
                             .options = &w->options,
                             .dim = w->dim,
                             .refined_data = w->refined_data,
                             .curvature = w->measured ? &w->curvature : NULL};
    assert_ok(rllc_diagnose(&e, &w->d));
}

static void done(world *w) {
    rllc_diagnosis_release(&w->d);
    if (w->measured) rllc_curvature_release(&w->curvature);
}

static const rllc_finding *finding(const world *w, const char *check) {
    for (int i = 0; i < w->d.n_findings; i++)
        if (strcmp(w->d.findings[i].check, check) == 0) return &w->d.findings[i];
    fail_msg("no finding of %s", check);
    return NULL;
}

/* The verdict, its grade, and words of the deciding sentence. */
static void expect(const world *w, rllc_verdict verdict, int grade, const char *check, const char *words) {
    const rllc_finding *f = finding(w, check);
    print_message("%-17s %s\n", rllc_verdict_name(w->d.verdict), f->sentence);
    assert_int_equal(w->d.verdict, verdict);
    assert_int_equal(w->d.grade, grade);
    if (!strstr(f->sentence, words)) fail_msg("'%s' does not say '%s'", f->sentence, words);
}

/* Over many sets of sound chains, few are called anything but good: each check has a few chances in a thousand. */
static void test_sound_chains_are_good(void **state) {
    (void)state;
    static world w;
    const int64_t n = effort(200);
    int64_t good = 0;
    for (int64_t i = 0; i < n; i++) {
        make_sound(&w, 1000 + (uint64_t)i);
        judge(&w);
        good += w.d.verdict == RLLC_GOOD && w.d.grade == RLLC_GRADE_GOOD;
        done(&w);
    }
    print_message("%lld of %lld sets of sound chains are good\n", (long long)good, (long long)n);
    assert_true(100 * good >= 97 * n);
}

static void test_divergence_names_chain_bound_and_remedy(void **state) {
    (void)state;
    static world w;
    make_sound(&w, 1);
    w.traces[2].diverged = true;
    w.traces[2].n_draws = 57;
    w.traces[2].reason = "the loss is NaN at draw 57 (step 57)";
    judge(&w);
    expect(&w, RLLC_DIVERGED, RLLC_GRADE_FAILED, "divergence", "chain 2: the loss is NaN at draw 57");
    assert_int_equal(w.d.n_live, 3);
    done(&w);
    measure(&w, 140, 0, 0); /* 4 / (30 140 + 200) = 9.1e-4 < lr */
    judge(&w);
    expect(&w, RLLC_DIVERGED, RLLC_GRADE_FAILED, "divergence",
           "above the stability bound 4 / (nbeta h + localization) = 0.000909");
    assert_non_null(strstr(finding(&w, "divergence")->sentence, "try lr 0.0004"));
    done(&w);
    measure(&w, -10, 0, 0);
    judge(&w);
    expect(&w, RLLC_DIVERGED, RLLC_GRADE_FAILED, "divergence", "raise localization above nbeta |h| = 300");
    done(&w);
    for (int c = 0; c < CHAINS; c++) w.traces[c].diverged = true;
    w.measured = false;
    judge(&w);
    expect(&w, RLLC_DIVERGED, RLLC_GRADE_FAILED, "divergence", "4 of 4 chains diverged");
    done(&w);
}

static void test_negative_estimates_name_their_cause(void **state) {
    (void)state;
    static world w;
    for (int cause = 0; cause < 4; cause++) {
        static const char *const words[] = {"goes on training", "not the data that w* was trained on",
                                            "the gradient at w*", "saddle"};
        make_sound(&w, 2);
        for (int c = 0; c < CHAINS; c++) shift(&w, c, 0, DRAWS, -4);
        if (cause == 1) w.refined_data = true;
        if (cause == 2) measure(&w, 0.01, 10, 0); /* drift about -900 * 10 / 200 */
        if (cause == 3) measure(&w, -10, 0, 0);
        judge(&w);
        expect(&w, RLLC_LOSS_DECREASED, RLLC_GRADE_FAILED, "decrease", words[cause]);
        assert_true(w.d.share_below > 0.99);
        done(&w);
    }
}

static void test_a_gradient_that_holds_the_estimate_down_is_told(void **state) {
    (void)state;
    static world w;
    make_sound(&w, 2);
    measure(&w, 0.01, 0.5, 0); /* drift about -2.2 */
    judge(&w);
    expect(&w, RLLC_LOSS_DECREASED, RLLC_GRADE_DOUBTFUL, "decrease", "holds the estimate down by about 2.2");
    done(&w);
}

static void test_initial_spike(void **state) {
    (void)state;
    static world w;
    make_sound(&w, 3);
    for (int c = 0; c < CHAINS; c++) shift(&w, c, 40, 80, 6);
    judge(&w);
    expect(&w, RLLC_INITIAL_SPIKE, RLLC_GRADE_FAILED, "spike", "falls to");
    done(&w);
    w.options.init_noise = 0.07; /* a displaced start is high by itself */
    judge(&w);
    assert_int_equal(finding(&w, "spike")->grade, RLLC_GRADE_GOOD);
    done(&w);
}

static void test_heating_is_measured_and_predicted(void **state) {
    (void)state;
    static world w;
    make_sound(&w, 4);
    for (int c = 0; c < CHAINS; c++)
        for (int t = 0; t < DRAWS; t++) w.distance[c][t] *= sqrt(1.4); /* u.G / dim = 1.4 */
    judge(&w);
    assert_true(fabs(w.d.virial - 1.4) < 1e-9);
    expect(&w, RLLC_TOO_MUCH_NOISE, RLLC_GRADE_DOUBTFUL, "heating", "virial ratio 1.40");
    done(&w);
    make_sound(&w, 4);
    measure(&w, 60, 0, 0); /* lr a = 2: the step doubles the estimate */
    judge(&w);
    expect(&w, RLLC_TOO_MUCH_NOISE, RLLC_GRADE_DOUBTFUL, "heating", "the step adds 100 %");
    done(&w);
    w.options.sampler = "sgld-lm"; /* which has no such bias */
    measure(&w, 60, 0, 0);
    judge(&w);
    assert_int_equal(finding(&w, "heating")->grade, RLLC_GRADE_GOOD);
    done(&w);
    w.options.sampler = "sgld";
    measure(&w, 0.5, 0, 3e5);
    judge(&w);
    expect(&w, RLLC_TOO_MUCH_NOISE, RLLC_GRADE_FAILED, "heating", "minibatch noise adds");
    done(&w);
}

/* What noise_level does is not the step's doing, and no lr mends it. */
static void test_temperature_is_not_taken_for_the_step(void **state) {
    (void)state;
    static world w;
    for (int measured = 0; measured < 2; measured++)
        for (double level = 0.5; level <= 2; level *= 4) {
            make_sound(&w, 4);
            w.options.noise_level = level;
            for (int c = 0; c < CHAINS; c++)
                for (int t = 0; t < DRAWS; t++) w.distance[c][t] *= level; /* u.G / dim = T */
            if (measured) measure(&w, 2, 0, 0);
            judge(&w);
            expect(&w, level > 1 ? RLLC_TOO_MUCH_NOISE : RLLC_GOOD, level > 1 ? RLLC_GRADE_DOUBTFUL : RLLC_GRADE_GOOD,
                   "heating", level > 1 ? "samples at 4 times the temperature" : "samples at 0.25 times the temperature");
            done(&w);
        }
}

/* Rules without a bound on the step in closed form are not held against one, nor told a share that nobody knows. */
static void test_other_rules_have_no_bound_of_sgld(void **state) {
    (void)state;
    static world w;
    const char *const rules[] = {"mala", "hmc", "sghmc", "sgnht", "rmsprop-sgld"};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        make_sound(&w, 4);
        w.options.sampler = rules[i];
        measure(&w, 2, 0, 0);
        judge(&w);
        expect(&w, RLLC_GOOD, RLLC_GRADE_GOOD, "heating", i < 2 ? "add 0.0 %" : "virial ratio 1.00");
        done(&w);
        if (i < 2) continue; /* exact rules are not heated */
        for (int c = 0; c < CHAINS; c++)
            for (int t = 0; t < DRAWS; t++) w.distance[c][t] *= sqrt(1.4);
        measure(&w, 2, 0, 0);
        judge(&w);
        expect(&w, RLLC_TOO_MUCH_NOISE, RLLC_GRADE_DOUBTFUL, "heating", "virial ratio 1.40");
        done(&w);
    }
}

/* In few dimensions and with few draws the virial ratio scatters: that is no heat. Exact rules have none. */
static void test_heating_knows_its_own_error(void **state) {
    (void)state;
    static world w;
    make_sound(&w, 4);
    for (int c = 0; c < CHAINS; c++)
        for (int t = 0; t < DRAWS; t++) w.distance[c][t] *= sqrt(1.25 / 500); /* 2 dimensions, u.G / dim = 1.25 */
    w.dim = 2;
    judge(&w);
    assert_true(fabs(w.d.virial - 1.25) < 1e-9);
    assert_int_equal(finding(&w, "heating")->grade, RLLC_GRADE_GOOD);
    done(&w);
    make_sound(&w, 4);
    for (int c = 0; c < CHAINS; c++)
        for (int t = 0; t < DRAWS; t++) w.distance[c][t] *= sqrt(1.4);
    w.options.sampler = "mala";
    judge(&w);
    assert_int_equal(finding(&w, "heating")->grade, RLLC_GRADE_GOOD);
    done(&w);
}

static void test_a_step_beyond_the_pull_of_the_localization(void **state) {
    (void)state;
    static world w;
    make_sound(&w, 1);
    w.traces[0].diverged = true;
    w.traces[0].reason = "the loss is NaN at draw 3 (step 3)";
    w.options.lr = 0.05; /* lr localization = 10 */
    judge(&w);
    expect(&w, RLLC_DIVERGED, RLLC_GRADE_FAILED, "divergence", "lr localization = 10 is beyond 4");
    done(&w);
}

static void test_chains_that_disagree(void **state) {
    (void)state;
    static world w;
    make_sound(&w, 5);
    shift(&w, 1, 0, DRAWS, 1.5);
    judge(&w);
    expect(&w, RLLC_CHAINS_DISAGREE, RLLC_GRADE_FAILED, "agreement", "R-hat");
    assert_true(w.estimate.llc_se > 0.3); /* and the error says so */
    done(&w);
}

static void test_traces_that_still_move(void **state) {
    (void)state;
    static world w;
    make_sound(&w, 6);
    for (int c = 0; c < CHAINS; c++) shift(&w, c, 0, 80, -1.5);
    judge(&w);
    expect(&w, RLLC_NOT_CONVERGED, RLLC_GRADE_DOUBTFUL, "convergence", "lie below the rest");
    done(&w);
    make_sound(&w, 6); /* a beginning that is seen, and does not matter */
    for (int c = 0; c < CHAINS; c++) shift(&w, c, 0, 15, -1.5);
    judge(&w);
    expect(&w, RLLC_GOOD, RLLC_GRADE_GOOD, "convergence", "changes the estimate by");
    assert_true(w.d.early_z < -3);
    done(&w);
    make_sound(&w, 7);
    for (int c = 0; c < CHAINS; c++)
        for (int t = 0; t < DRAWS; t++) shift(&w, c, t, t + 1, 0.006 * t);
    judge(&w);
    assert_non_null(strstr(finding(&w, "convergence")->sentence, "still rises, by"));
    assert_true(w.d.verdict == RLLC_NOT_CONVERGED || w.d.verdict == RLLC_CHAINS_DISAGREE); /* halves differ too */
    done(&w);
    make_sound(&w, 8);
    w.options.lr = 1e-5; /* 3 / (lr localization) = 1500 steps */
    judge(&w);
    expect(&w, RLLC_NOT_CONVERGED, RLLC_GRADE_DOUBTFUL, "convergence",
           "420 steps do not reach equilibrium: flat directions need 1500");
    done(&w);
}

/* The steps taken are those of the schedule, and only Langevin steps are measured by 3 / (lr localization). */
static void test_steps_to_equilibrium_are_counted(void **state) {
    (void)state;
    static world w;
    make_sound(&w, 8);
    w.options.lr = 1e-5;
    w.options.compat = RLLC_COMPAT_DEVINTERP2; /* 400 recorded steps: 20 of burn-in, 38 times 10 */
    w.options.num_draws = 38;
    w.options.num_steps_bw_draws = 10;
    judge(&w);
    expect(&w, RLLC_NOT_CONVERGED, RLLC_GRADE_DOUBTFUL, "convergence", "400 steps do not reach equilibrium");
    done(&w);
    w.options.lr = 1e-3; /* burn-in would not leave the beginning out */
    for (int c = 0; c < CHAINS; c++) shift(&w, c, 0, 80, -1.5);
    judge(&w);
    expect(&w, RLLC_NOT_CONVERGED, RLLC_GRADE_DOUBTFUL, "convergence", "take more draws (devinterp2 averages burn-in");
    done(&w);
    make_sound(&w, 8);
    w.options.lr = 1e-5;
    w.options.sampler = "hmc"; /* ten steps of sqrt(lr): an angle of 0.45 a transition */
    judge(&w);
    expect(&w, RLLC_GOOD, RLLC_GRADE_GOOD, "convergence", "no trend");
    done(&w);
}

static const char *sentence_with_nan(const world *w) {
    for (int i = 0; i < w->d.n_findings; i++)
        if (strstr(w->d.findings[i].sentence, "nan") || strstr(w->d.findings[i].sentence, "inf "))
            return w->d.findings[i].sentence;
    return NULL;
}

/* No draws, one draw, all chains diverged, a chain not finite that nobody marked: verdicts in words without NaN. */
static void test_poor_traces_are_told_in_words(void **state) {
    (void)state;
    static world w;
    const int lengths[] = {1, 2, 5};
    for (int i = 0; i < 4; i++) {
        make_sound(&w, 12);
        for (int c = 0; c < CHAINS; c++) {
            w.traces[c].n_draws = i < 3 ? lengths[i] : 0;
            w.traces[c].diverged = i == 3;
        }
        w.options.num_draws = i < 3 ? lengths[i] : 1;
        judge(&w);
        if (sentence_with_nan(&w)) fail_msg("'%s'", sentence_with_nan(&w));
        done(&w);
    }
    make_sound(&w, 12);
    w.loss[1][7] = NAN;
    judge(&w);
    assert_int_equal(w.estimate.n_diverged, 1);
    expect(&w, RLLC_DIVERGED, RLLC_GRADE_FAILED, "divergence", "1 of 4 chains diverged (chain 1");
    assert_int_equal(finding(&w, "spike")->grade, RLLC_GRADE_GOOD);
    done(&w);
}

static void test_too_little_signal(void **state) {
    (void)state;
    static world w;
    make_sound(&w, 9);
    for (int c = 0; c < CHAINS; c++)
        for (int t = 0; t < DRAWS; t++)
            w.loss[c][t] = 3 + (0.2 + 20 * (w.loss[c][t] - w.baseline[c][t] - 2.0 / 30) * 30) / 30;
    judge(&w);
    expect(&w, RLLC_TOO_LITTLE_SIGNAL, RLLC_GRADE_DOUBTFUL, "signal", "times the draws");
    done(&w);
}

/* Chains that sit at w* are told so, not that the loss fell by rounding. */
static void test_chains_that_do_not_move(void **state) {
    (void)state;
    static world w;
    for (int exact = 0; exact < 2; exact++) {
        make_sound(&w, 11);
        for (int c = 0; c < CHAINS; c++) {
            for (int t = 0; t < DRAWS; t++) w.loss[c][t] = w.baseline[c][t] - 1e-15, w.distance[c][t] = 0;
            if (exact) w.traces[c].acceptance = 0.001;
        }
        judge(&w);
        expect(&w, RLLC_TOO_LITTLE_SIGNAL, exact ? RLLC_GRADE_FAILED : RLLC_GRADE_DOUBTFUL, "signal",
               exact ? "0.1 % of the proposals were accepted" : "hardly moved");
        done(&w);
    }
}

/* What is recorded comes through: norms of the update, acceptance, heat capacity, effective degree, as JSON too. */
static void test_numbers_and_json(void **state) {
    (void)state;
    static world w;
    rllc_json *j = NULL;
    make_sound(&w, 10);
    for (int c = 0; c < CHAINS; c++)
        for (int t = 0; t < DRAWS; t++)
            w.dot[c][t] = 2 * (w.loss[c][t] - w.baseline[c][t]); /* a quadratic: u.g = 2 L */
    measure(&w, 2, 0.01, 0.5);
    judge(&w);
    assert_true(fabs(w.d.effective_degree - 2) < 1e-9);
    assert_true(fabs(w.d.heat_capacity - 0.09 / 2) < 0.01); /* Var 0.3^2 over mean 2 */
    assert_true(fabs(w.d.pull_norm - 0.1 * sqrt(DIM / 200.0)) < 1e-9);
    assert_true(fabs(w.d.gradient_snr - 0.02) < 1e-12);
    assert_ok(rllc_diagnosis_to_json(&w.d, CHAINS, &j));
    assert_string_equal(rllc_json_text(rllc_json_get(j, "verdict")), rllc_verdict_name(w.d.verdict));
    assert_int_equal(rllc_json_length(rllc_json_get(j, "per_chain")), CHAINS);
    assert_true(rllc_json_to_real(rllc_json_get(rllc_json_get(j, "budget"), "top_curvature"), 0) == 2);
    assert_true(rllc_json_length(rllc_json_get(j, "findings")) >= 7);
    rllc_json_free(j);
    done(&w);
}

static void test_step_sizes_are_rounded_down(void **state) {
    (void)state;
    const double in[] = {4.7e-4, 1e-3, 9.99e-4, 0.25, 12}, out[] = {4e-4, 1e-3, 9e-4, 0.2, 10};
    for (int i = 0; i < 5; i++) assert_true(fabs(rllc_round_down(in[i]) - out[i]) < 1e-12 * out[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_chains_are_good),
        cmocka_unit_test(test_divergence_names_chain_bound_and_remedy),
        cmocka_unit_test(test_negative_estimates_name_their_cause),
        cmocka_unit_test(test_a_gradient_that_holds_the_estimate_down_is_told),
        cmocka_unit_test(test_initial_spike),
        cmocka_unit_test(test_heating_is_measured_and_predicted),
        cmocka_unit_test(test_temperature_is_not_taken_for_the_step),
        cmocka_unit_test(test_other_rules_have_no_bound_of_sgld),
        cmocka_unit_test(test_heating_knows_its_own_error),
        cmocka_unit_test(test_a_step_beyond_the_pull_of_the_localization),
        cmocka_unit_test(test_chains_that_disagree),
        cmocka_unit_test(test_traces_that_still_move),
        cmocka_unit_test(test_steps_to_equilibrium_are_counted),
        cmocka_unit_test(test_poor_traces_are_told_in_words),
        cmocka_unit_test(test_too_little_signal),
        cmocka_unit_test(test_chains_that_do_not_move),
        cmocka_unit_test(test_numbers_and_json),
        cmocka_unit_test(test_step_sizes_are_rounded_down),
    };
    return cmocka_run_group_tests_name("diagnose", tests, NULL, NULL);
}
