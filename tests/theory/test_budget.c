/* The bias budget against the recursion that it sums up, iterated step by step, and in its limits. */
#include "support/support.h"

enum { MODES = 6 };

static const double H[MODES] = {2, 0.7, 0.05, 1e-4, 0, -0.03};
static const double GRADIENT[MODES] = {0.02, -0.03, 0.01, 0.002, 0.004, -0.005};
static const double NOISE[MODES] = {0.5, 0.2, 0.03, 0.001, 0.002, 0.01}; /* variance of the minibatch gradient */

static rllc_sampler_options settings(const char *sampler) {
    rllc_sampler_options o;
    rllc_options_default(&rllc_sampler_option_table, &o);
    o.sampler = sampler;
    o.lr = 1e-3;
    o.nbeta = 100;
    o.localization = 20;
    o.num_draws = 60;
    return o;
}

/** A curvature whose quadratures are the eigenvalues themselves; batches = 0: the gradient has no noise of its own. */
static void make_curvature(rllc_curvature *c) {
    *c = (rllc_curvature){.dim = MODES, .top = H[0], .bottom = H[MODES - 1]};
    assert_ok(rllc_quadrature_init(&c->spectrum, MODES));
    assert_ok(rllc_quadrature_init(&c->noise, MODES));
    assert_ok(rllc_quadrature_init(&c->drift, MODES));
    for (int i = 0; i < MODES; i++) {
        c->spectrum.node[i] = c->noise.node[i] = c->drift.node[i] = H[i];
        c->spectrum.weight[i] = 1;
        c->noise.weight[i] = NOISE[i];
        c->drift.weight[i] = GRADIENT[i] * GRADIENT[i];
        c->noise_trace += NOISE[i];
        c->gradient_square += GRADIENT[i] * GRADIENT[i];
    }
}

/** One eigenvector's share of E[llc]: mean and variance of u carried from step to step, the loss read where a draw is.
 */
static double iterate(const rllc_sampler_options *o, double h, double g, double noise) {
    const bool lm = strcmp(o->sampler, "sgld-lm") == 0;
    const double a = o->nbeta * h + o->localization, rho = 1 - o->lr * a / 2;
    const double eta = sqrt(o->lr) * o->noise_level, kick = o->lr * o->nbeta / 2;
    double mean = 0, variance = o->init_noise * o->init_noise, with_eta = 0, sum = 0; /* Cov(u_t, eta_t) */
    for (int64_t t = 0; t < rllc_sampler_steps(o); t++) {
        if (rllc_sampler_draw_at(o, t) >= 0) sum += g * mean + h / 2 * (mean * mean + variance);
        mean = rho * mean - kick * g;
        variance = rho * rho * variance + kick * kick * noise / (double)o->gradient_accumulation_steps;
        if (lm)
            variance += eta * eta / 2 + rho * eta * with_eta;
        else
            variance += eta * eta;
        with_eta = eta / 2;
    }
    return o->nbeta * sum / (double)rllc_sampler_draws(o);
}

static double iterate_all(const rllc_sampler_options *o) {
    double sum = 0;
    for (int i = 0; i < MODES; i++) sum += iterate(o, H[i], GRADIENT[i], NOISE[i]);
    return sum;
}

static void check(const rllc_sampler_options *o) {
    rllc_curvature c;
    rllc_bias_budget b;
    make_curvature(&c);
    rllc_bias_budget_make(&c, o, &b);
    const double truth = iterate_all(o);
    if (!(fabs(b.expected - truth) < 1e-10 * (1 + fabs(truth)))) /* both in double, over some thousand steps */
        fail_msg("%s lr %g draws %lld: %.15g, iterated %.15g", o->sampler, o->lr, (long long)o->num_draws, b.expected,
                 truth);
    assert_true(fabs(b.complexity + b.step + b.noise + b.transient + b.drift - b.expected) < 1e-9);
    assert_string_equal(b.reason, "");
    rllc_curvature_release(&c);
}

static void check_schedules(rllc_sampler_options o) {
    const struct {
        int64_t draws, burnin, between;
    } list[] = {{1, 0, 1}, {2, 0, 1}, {20, 0, 1}, {2000, 0, 1}, {50, 7, 1}, {50, 0, 3}, {30, 100, 4}, {1, 500, 1}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        o.num_draws = list[i].draws;
        o.num_burnin_steps = list[i].burnin;
        o.num_steps_bw_draws = list[i].between;
        check(&o);
    }
}

/* Steps from far too small to nearly unstable: a = 220 at most, so that lr a reaches 3.96; 2 / 220 makes rho 0. */
static void test_budget_expects_what_the_recursion_gives(void **state) {
    (void)state;
    const char *samplers[] = {"sgld", "sgld-lm"};
    const double steps[] = {1e-9, 1e-6, 1e-4, 1e-3, 2.0 / 220, 3.1 / 220, 3.96 / 220};
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
            rllc_sampler_options o = settings(samplers[s]);
            o.lr = steps[i];
            check_schedules(o);
        }
    }
}

static void test_budget_reads_every_option(void **state) {
    (void)state;
    rllc_sampler_options o = settings("sgld");
    o.init_noise = 0.05;
    check_schedules(o);
    o.noise_level = 0.5;
    check_schedules(o);
    o.gradient_accumulation_steps = 3;
    check_schedules(o);
    o = settings("sgld");
    o.compat = RLLC_COMPAT_DEVINTERP2;
    check_schedules(o);
    o = settings("sgld");
    o.nbeta = 1e-3;
    check_schedules(o);
}

/* The terms one by one, from their formulas. */
static void test_budget_terms(void **state) {
    (void)state;
    rllc_sampler_options o = settings("sgld");
    rllc_curvature c;
    rllc_bias_budget b, lm;
    double complexity = 0, step = 0, noise = 0, drift = 0, localization = 0, soft = 0, transient = 0;
    o.lr = 5e-3;
    make_curvature(&c);
    rllc_bias_budget_make(&c, &o, &b);
    for (int i = 0; i < MODES; i++) {
        const double a = 100 * H[i] + 20, f = 100 * H[i] / a, heat = 1 / (1 - 5e-3 * a / 4), g = GRADIENT[i];
        const double gain = f / 2 * heat + 5e-3 * 1e4 / 8 * f * heat * NOISE[i];
        complexity += f / 2;
        step += f / 2 * (heat - 1);
        noise += 5e-3 * 1e4 / 8 * f * heat * NOISE[i];
        drift -= 1e4 * g * g * (1 / a - 100 * H[i] / (2 * a * a));
        if (H[i] > 0) localization -= 20 / a / 2;
        if (H[i] > 0) soft += f;
        for (int t = 0; t < 60; t++) {
            const double p = pow(1 - 5e-3 * a / 2, t);
            transient += (-p * p * gain + 1e4 * g * g * (p / a + 50 * H[i] * (p * p - 2 * p) / (a * a))) / 60;
        }
    }
    const double pairs[][2] = {{b.complexity, complexity},
                               {b.step, step},
                               {b.noise, noise},
                               {b.drift, drift},
                               {b.localization, localization},
                               {b.soft_count, soft},
                               {b.transient, transient},
                               {b.lr_max, 4.0 / 220},
                               {b.negative, 1e4 * c.gradient_square / 20}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (!(fabs(pairs[i][0] - pairs[i][1]) < 1e-10 * (1 + fabs(pairs[i][1]))))
            fail_msg("term %zu: %.12g, expected %.12g", i, pairs[i][0], pairs[i][1]);
    }
    o.sampler = "sgld-lm"; /* its law needs no registry */
    rllc_bias_budget_make(&c, &o, &lm);
    assert_true(lm.step == 0 && lm.noise == b.noise && lm.complexity == b.complexity);
    rllc_curvature_release(&c);
}

/* Numbers of the reference for E16: d = 10, h = 1, nbeta 100, localization 1; and off the minimum with c = 0.3. */
static void test_budget_known_numbers(void **state) {
    (void)state;
    rllc_sampler_options o = settings("sgld");
    rllc_curvature c = {.dim = 10, .top = 1, .bottom = 1};
    rllc_bias_budget b;
    assert_ok(rllc_quadrature_init(&c.spectrum, 1));
    assert_ok(rllc_quadrature_init(&c.drift, 1));
    c.spectrum.node[0] = c.drift.node[0] = 1;
    c.spectrum.weight[0] = 10;
    o.localization = 1;
    o.num_draws = 1000;
    rllc_bias_budget_make(&c, &o, &b);
    assert_true(fabs(b.expected - 5.02714600028) < 1e-9);
    assert_true(fabs(b.complexity - 4.9505) < 1e-4 && fabs(b.complexity + b.step - 5.0787) < 1e-4);
    c.spectrum.weight[0] = 8;
    c.drift.weight[0] = 8 * 0.3 * 0.3;
    o.localization = 10;
    o.num_draws = 500;
    rllc_bias_budget_make(&c, &o, &b);
    assert_true(fabs(b.expected + 31.2605736892) < 1e-8);
    rllc_curvature_release(&c);
}

/* The measured gradient carries noise C / batches; on average the budget does not. */
static void test_budget_takes_the_noise_out_of_the_gradient(void **state) {
    (void)state;
    rllc_sampler_options o = settings("sgld");
    rllc_curvature c;
    rllc_bias_budget clean, noisy;
    make_curvature(&c);
    rllc_bias_budget_make(&c, &o, &clean);
    c.batches = 8;
    for (int i = 0; i < MODES; i++) c.drift.weight[i] += NOISE[i] / 8;
    rllc_bias_budget_make(&c, &o, &noisy);
    assert_true(fabs(clean.drift - noisy.drift) < 1e-9 && fabs(clean.expected - noisy.expected) < 1e-9);
    rllc_curvature_release(&c);
}

static void test_budget_says_where_it_ends(void **state) {
    (void)state;
    rllc_sampler_options o = settings("sgld");
    rllc_curvature c;
    rllc_bias_budget b;
    make_curvature(&c);
    o.lr = 4.0 / 220;
    rllc_bias_budget_make(&c, &o, &b);
    assert_true(isinf(b.step) && isinf(b.expected) && isnan(b.transient) && *b.reason);
    o.sampler = "sgld-lm";
    rllc_bias_budget_make(&c, &o, &b);
    assert_true(isinf(b.expected));
    o = settings("sgld");
    o.localization = 2; /* nbeta h = -3 */
    rllc_bias_budget_make(&c, &o, &b);
    assert_true(isnan(b.complexity) && isnan(b.drift) && *b.reason);
    assert_true(fabs(b.expected - iterate_all(&o)) < 1e-9 * (1 + fabs(b.expected))); /* sixty steps are still exact */
    o = settings("sgld");
    o.bounding_box = 0.1;
    rllc_bias_budget_make(&c, &o, &b);
    assert_true(isnan(b.expected) && isfinite(b.step) && *b.reason);
    o.bounding_box = 0;
    o.weight_decay = 1;
    rllc_bias_budget_make(&c, &o, &b);
    assert_true(isnan(b.drift) && isnan(b.expected) && isfinite(b.complexity) && *b.reason);
    o = settings("rmsprop-sgld");
    rllc_bias_budget_make(&c, &o, &b);
    assert_true(isnan(b.step) && isnan(b.expected) && isfinite(b.complexity) && isfinite(b.drift) && *b.reason);
    rllc_curvature_release(&c);
}

/* Flat directions without localization: the learning coefficient rank / 2, nothing more. */
static void test_budget_flat_directions(void **state) {
    (void)state;
    rllc_sampler_options o = settings("sgld");
    rllc_curvature c = {.dim = 20, .top = 4, .bottom = -1e-8};
    rllc_bias_budget b;
    assert_ok(rllc_quadrature_init(&c.spectrum, 4));
    const double nodes[] = {-1e-8, 0, 2e-8, 4}, weights[] = {5, 6, 6, 3};
    memcpy(c.spectrum.node, nodes, sizeof nodes);
    memcpy(c.spectrum.weight, weights, sizeof weights);
    o.localization = 0;
    rllc_bias_budget_make(&c, &o, &b);
    assert_true(fabs(b.complexity - 1.5) < 1e-12 && b.localization == 0 && fabs(b.soft_count - 3) < 1e-12);
    assert_true(b.negative == 0 && isfinite(b.expected));
    rllc_curvature_release(&c);
}

static void test_curvature_json_round_trip(void **state) {
    (void)state;
    rllc_curvature c, back;
    rllc_json *j, *parsed;
    rllc_string text = {0};
    make_curvature(&c);
    c.batches = 4;
    c.spectrum.node[1] = 1.0 / 3;
    assert_ok(rllc_curvature_to_json(&c, &j));
    assert_ok(rllc_json_print(j, 0, true, &text));
    assert_ok(rllc_json_parse(&parsed, text.data, text.length, "curvature"));
    assert_ok(rllc_curvature_from_json(parsed, &back));
    assert_true(back.dim == c.dim && back.top == c.top && back.bottom == c.bottom && back.batches == c.batches);
    assert_true(back.gradient_square == c.gradient_square && back.noise_trace == c.noise_trace);
    assert_memory_equal(back.spectrum.node, c.spectrum.node, 2 * MODES * sizeof(double));
    assert_memory_equal(back.noise.node, c.noise.node, 2 * MODES * sizeof(double));
    assert_memory_equal(back.drift.node, c.drift.node, 2 * MODES * sizeof(double));
    rllc_curvature_release(&back);
    assert_ok(rllc_json_set(parsed, "noise", rllc_json_integer(3)));
    assert_int_equal(rllc_curvature_from_json(parsed, &back), RLLC_EINPUT);
    rllc_json_free(parsed);
    rllc_json *empty = rllc_json_object();
    assert_int_equal(rllc_curvature_from_json(empty, &back), RLLC_EINPUT);
    rllc_json_free(empty);
    rllc_json_free(j);
    rllc_string_release(&text);
    rllc_curvature_release(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget_expects_what_the_recursion_gives),
        cmocka_unit_test(test_budget_reads_every_option),
        cmocka_unit_test(test_budget_terms),
        cmocka_unit_test(test_budget_known_numbers),
        cmocka_unit_test(test_budget_takes_the_noise_out_of_the_gradient),
        cmocka_unit_test(test_budget_says_where_it_ends),
        cmocka_unit_test(test_budget_flat_directions),
        cmocka_unit_test(test_curvature_json_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
