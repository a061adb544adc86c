/* sgld, sgld-lm and sghmc on quadratics: exact mean and spread of the estimate, transient and gradient noise included. */
#include "theory/samplers.h"

static const char *const rules[] = {"sgld", "sgld-lm", "sghmc"};
enum { RULES = sizeof rules / sizeof *rules };

typedef struct conditions {
    double c, displacement; /* w0; start = w0 + displacement */
    double noise;           /* sd of the gradient noise */
} conditions;

static void check(const char *rule, const char *what, rllc_sampler_options o, int64_t dim, const double *h,
                  conditions x, int64_t chains) {
    char name[96];
    snprintf(name, sizeof name, "%s: %s", rule, what);
    o.sampler = rule;
    o.seed = theory_seed(name);
    if (strcmp(rule, "sghmc") == 0 && o.momentum_decay == 0.1) o.momentum_decay = 0.3; /* not the default */
    assert_ok(rllc_sampler_check(&o));
    target *t = target_make(target_quadratic, h, dim, x.c, chains);
    float *start = test_memory(dim, sizeof *start);
    for (int64_t i = 0; i < dim; i++) start[i] = (float)(x.c + x.displacement);
    t->noise = x.noise;
    conformance_run run = conformance_sample_from(&t->head, &o, chains, NULL, NULL, start, NULL, NULL);
    theory_check(name, &run, o.nbeta,
                 linear_law_exact(&o, dim, h, (double)t->w0[0], (double)start[0], x.noise * x.noise));
    conformance_run_release(&run);
    free(start);
    rllc_potential_free(&t->head);
}

static void check_all(const char *what, rllc_sampler_options o, int64_t dim, const double *h, conditions x,
                      int64_t chains) {
    for (int r = 0; r < RULES; r++) check(rules[r], what, o, dim, h, x, chains);
}

static const conditions at_minimum = {0, 0, 0};

static rllc_sampler_options settings(const char *sampler, double lr, double a) { /* nbeta h = a with h = 1 */
    rllc_sampler_options o = theory_settings(a, 0, lr, 1, 0, 1);
    o.sampler = sampler;
    return o;
}

static double stationary(const rllc_sampler_options *o, double C) {
    linear_law l = linear_law_of(o, 1, 0, 0, C);
    for (int t = 0; t < 20000; t++) linear_law_advance(&l);
    return l.s[0][0];
}

/* The recursion of samplers.h against closed forms: that of theory.h for sgld; for the others, derived apart. */
static void test_law_is_the_known_one(void **state) {
    (void)state;
    double h[12];
    theory_geometric(h, 12, 1e-3, 10);
    rllc_sampler_options o = theory_settings(200, 5, 5e-4, 200, 400, 3);
    theory_exact e = linear_law_exact(&o, 12, h, 0, 0, 0), f = theory_quadratic_exact(&o, 12, h, 0);
    assert_true(fabs(e.mean - f.mean) < 1e-10 && fabs(e.sd - f.sd) < 1e-10);
    e = linear_law_exact(&o, 12, h, 0.3, 0.3, 0), f = theory_quadratic_exact(&o, 12, h, 0.3);
    assert_true(fabs(e.mean - f.mean) < 1e-10 * fabs(f.mean) && fabs(e.sd - f.sd) < 1e-10 * f.sd);
    for (double kappa = 0.5; kappa < 4; kappa += 1) { /* gradient noise: (1 + lr nbeta^2 C / 4) / (a (1 - kappa / 4)) */
        const double lr = 1e-2, a = kappa / lr, rho = 1 - kappa / 2, C = 0.02, noise = lr * lr * a * a * C / 4;
        o = settings("sgld", lr, a);
        assert_true(fabs(stationary(&o, C) * a * (1 - kappa / 4) / (1 + lr * a * a * C / 4) - 1) < 1e-9);
        o = settings("sgld-lm", lr, a);
        assert_true(fabs(stationary(&o, 0) * a - 1) < 1e-9); /* no bias of the step, whatever its size */
        assert_true(fabs(stationary(&o, C) - 1 / a - noise / (1 - rho * rho)) < 1e-9 / a);
        linear_law l = linear_law_of(&o, 1, 0, 0, 0);
        for (int t = 1; t < 9; t++) { /* v_t = (1 - rho^(2 t - 1)) / a */
            linear_law_advance(&l);
            assert_true(fabs(l.s[0][0] * a - (1 - pow(rho, 2 * t - 1))) < 1e-9);
        }
        o = settings("sghmc", lr, a); /* sigma^2 (2 - xi) / (xi eta a (4 - 2 xi - eta a)), eta = lr / 2 */
        const double xi = o.momentum_decay, eta = lr / 2, square = 2 * xi * eta + eta * eta * a * a * C;
        assert_true(fabs(stationary(&o, C) / (square * (2 - xi) / (xi * eta * a * (4 - 2 * xi - eta * a))) - 1) < 1e-9);
    }
}

static void test_long_and_short(void **state) {
    (void)state;
    const double h[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    check_all("1000 draws", theory_settings(100, 1, 1e-3, 1000, 0, 1), 10, h, at_minimum, 200);
    check_all("20 draws", theory_settings(100, 50, 1e-3, 20, 0, 1), 10, h, at_minimum, 4000);
    check_all("2 draws", theory_settings(100, 50, 1e-3, 2, 0, 1), 10, h, at_minimum, 4000);
}

static void test_spectrum_with_burnin_and_thinning(void **state) {
    (void)state;
    double h[12];
    theory_geometric(h, 12, 1e-3, 10);
    check_all("spectrum", theory_settings(200, 5, 5e-4, 400, 0, 1), 12, h, at_minimum, 250);
    check_all("spectrum, burn-in, thinned", theory_settings(200, 5, 5e-4, 100, 200, 4), 12, h, at_minimum, 250);
    check_all("spectrum, short, thinned", theory_settings(200, 5, 5e-4, 5, 3, 7), 12, h, at_minimum, 2000);
}

static void test_large_steps(void **state) {
    (void)state;
    const double h[4] = {1, 1, 1, 1};
    const double kappas[] = {0.5, 2, 3.5};
    for (int i = 0; i < 3; i++) {
        char what[48];
        snprintf(what, sizeof what, "lr a = %g", kappas[i]);
        check_all(what, theory_settings(100, 1, kappas[i] / 101, 400, 40, 1), 4, h, at_minimum, 400);
    }
}

static void test_displaced_off_minimum_decay_and_level(void **state) {
    (void)state;
    const double h[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    rllc_sampler_options o = theory_settings(100, 10, 1e-3, 300, 0, 1);
    check_all("off the minimum", o, 8, h, (conditions){0.3, 0, 0}, 300);
    check_all("started away from w*", o, 8, h, (conditions){0, 0.5, 0}, 300);
    o.weight_decay = 60;
    check_all("weight decay, off the minimum", o, 8, h, (conditions){0.3, 0, 0}, 300);
    o.noise_level = 0.6;
    check_all("noise level 0.6", o, 8, h, (conditions){0.1, 0, 0}, 300);
}

static void test_gradient_noise(void **state) {
    (void)state;
    const double h[8] = {2, 2, 2, 2, 0.5, 0.5, 0.5, 0.5};
    check_all("gradient noise", theory_settings(100, 20, 2e-3, 300, 0, 1), 8, h, (conditions){0, 0, 0.3}, 300);
    check_all("gradient noise, short", theory_settings(100, 20, 2e-3, 10, 0, 1), 8, h, (conditions){0, 0, 0.3}, 3000);
}

/* xi from nearly undamped to 1, where sghmc is sgld. */
static void test_friction(void **state) {
    (void)state;
    const double h[6] = {1, 1, 1, 0.2, 0.2, 0.2};
    const double xi[] = {0.02, 0.5, 0.9, 1};
    for (int i = 0; i < 4; i++) {
        char what[48];
        rllc_sampler_options o = theory_settings(100, 5, 2e-3, 300, 0, 1);
        o.momentum_decay = xi[i];
        snprintf(what, sizeof what, "momentum_decay %g", xi[i]);
        check("sghmc", what, o, 6, h, at_minimum, 400);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_law_is_the_known_one),
        cmocka_unit_test(test_long_and_short),
        cmocka_unit_test(test_spectrum_with_burnin_and_thinning),
        cmocka_unit_test(test_large_steps),
        cmocka_unit_test(test_displaced_off_minimum_decay_and_level),
        cmocka_unit_test(test_gradient_noise),
        cmocka_unit_test(test_friction),
    };
    return cmocka_run_group_tests_name("linear samplers", tests, NULL, NULL);
}
