/* rmsprop-sgld and sgnht: what is known exactly of the rules that adapt. */
#include "sgmcmc/samplers.h"
#include "theory/samplers.h"

/* ---- rmsprop-sgld ------------------------------------------------------------------------------------------- */

static rllc_sampler_options rmsprop(double nbeta, double localization, double lr, double alpha, double eps,
                                    int64_t draws, int64_t burnin) {
    rllc_sampler_options o = theory_settings(nbeta, localization, lr, draws, burnin, 1);
    o.sampler = "rmsprop-sgld";
    o.rmsprop_alpha = alpha;
    o.rmsprop_eps = eps;
    return o;
}

/* alpha = 1 leaves V = 0: sgld with lr / eps, in mean and spread, short and long. */
static void test_rmsprop_that_learns_nothing_is_sgld(void **state) {
    (void)state;
    const double h[6] = {2, 2, 2, 0.3, 0.3, 0.3};
    const int64_t draws[] = {10, 400}, chains[] = {3000, 300};
    for (int k = 0; k < 2; k++) {
        char what[64];
        rllc_sampler_options o = rmsprop(100, 20, 1e-3, 1, 0.5, draws[k], 0), plain;
        snprintf(what, sizeof what, "rmsprop-sgld, V = 0, %lld draws", (long long)draws[k]);
        o.seed = theory_seed(what);
        assert_ok(rllc_sampler_check(&o));
        target *t = target_make(target_quadratic, h, 6, 0.1, chains[k]);
        t->noise = 0.1;
        conformance_run run = conformance_sample(&t->head, &o, chains[k], NULL, NULL);
        plain = o;
        plain.sampler = "sgld";
        plain.lr = 2e-3;
        theory_check(what, &run, o.nbeta, linear_law_exact(&plain, 6, h, (double)0.1f, (double)0.1f, 0.01));
        conformance_run_release(&run);
        rllc_potential_free(&t->head);
    }
}

enum { FROZEN_DIM = 6, FROZEN_CHAINS = 400 };

/* What the first frozen step finds: the weights before it and, as V does not move any more, V after it. */
typedef struct frozen {
    float w[FROZEN_CHAINS][FROZEN_DIM], v[FROZEN_CHAINS][FROZEN_DIM];
    int64_t burnin;
} frozen;

static void observe_frozen(void *context, int64_t i, int64_t e, const rllc_sampler_state *s) {
    frozen *f = context;
    (void)e;
    if (s->step == f->burnin - 1) {
        memcpy(f->w[i], s->w, sizeof f->w[i]);
        memcpy(f->v[i], s->memory, sizeof f->v[i]);
    }
    if (s->step >= f->burnin) assert_memory_equal(f->v[i], s->memory, sizeof f->v[i]);
}

/*
 * After burn-in V stands still: given V and w there, every coordinate is sgld with a step of its own, lr G, and its
 * own start. Each chain's estimate minus its exact expectation, over its exact standard deviation, has mean 0 and
 * variance 1.
 */
static void check_frozen(int variant, double alpha) {
    const double h[FROZEN_DIM] = {0.2, 0.5, 1, 2, 4, 8};
    frozen *f = test_memory(1, sizeof *f);
    rllc_sampler_options o = rmsprop(100, 10, 2e-4, alpha, variant == 0 ? 0 : 0.01, 60, 50), after;
    o.rmsprop_freeze = true;
    o.rmsprop_variant = variant;
    o.seed = theory_seed("frozen");
    assert_ok(rllc_sampler_check(&o));
    f->burnin = o.num_burnin_steps;
    target *t = target_make(target_quadratic, h, FROZEN_DIM, 0, FROZEN_CHAINS);
    conformance_run run = conformance_sample_from(&t->head, &o, FROZEN_CHAINS, NULL, NULL, NULL, observe_frozen, f);
    double *llc = test_memory(FROZEN_CHAINS, sizeof *llc), sum = 0, squares = 0, fourth = 0, size = 0;
    conformance_estimate(&run, o.nbeta, llc);
    const double unbias = variant == 0 ? 1 : 1 - pow(alpha, 50), eps = variant == 0 ? 0.1 : 0.01;
    for (int64_t i = 0; i < FROZEN_CHAINS; i++) {
        double mean = 0, variance = 0;
        after = theory_settings(100, 10, 0, 60, 0, 1);
        int64_t *at = theory_steps(&after);
        for (int j = 0; j < FROZEN_DIM; j++) {
            after.lr = o.lr / (sqrt((double)f->v[i][j] / unbias) + eps);
            const linear_law law = linear_law_of(&after, h[j], 0, (double)f->w[i][j], 0);
            linear_law_add(law, at, 60, 50 * h[j], 0, &mean, &variance);
        }
        const double z = (llc[i] - mean) / sqrt(variance);
        sum += z / FROZEN_CHAINS;
        squares += z * z / FROZEN_CHAINS;
        fourth += z * z * z * z / FROZEN_CHAINS;
        size += sqrt(variance) / mean / FROZEN_CHAINS;
        free(at);
    }
    printf("    rmsprop-sgld frozen, variant %d, alpha %g: mean of z %+.3f +- %.3f, mean square %.3f, relative sd %.2f\n",
           variant, alpha, sum, 1 / sqrt(FROZEN_CHAINS), squares, size);
    assert_true(fabs(sum) < 5 / sqrt(FROZEN_CHAINS));
    assert_true(fabs(squares - 1) < 5 * sqrt((fourth - squares * squares) / FROZEN_CHAINS));
    conformance_run_release(&run);
    rllc_potential_free(&t->head);
    free(llc);
    free(f);
}

static void test_rmsprop_frozen_is_exact_given_its_preconditioner(void **state) {
    (void)state;
    check_frozen(0, 0.9);
    check_frozen(0, 0);
    check_frozen(1, 0.98);
}

/* Each chain is `dim` independent coordinates of curvature 1; estimates a coordinate. */
static void check_coordinates(const char *what, rllc_sampler_options o, int64_t dim, int64_t chains, double exact,
                              double slack) {
    double *h = test_memory(dim, sizeof *h), *llc = test_memory(chains, sizeof *llc);
    for (int64_t i = 0; i < dim; i++) h[i] = 1;
    o.seed = theory_seed(what);
    assert_ok(rllc_sampler_check(&o));
    target *t = target_make(target_quadratic, h, dim, 0, chains);
    conformance_run run = conformance_sample(&t->head, &o, chains, NULL, NULL);
    conformance_estimate(&run, o.nbeta, llc);
    for (int64_t i = 0; i < chains; i++) llc[i] /= (double)dim;
    theory_check_mean(what, llc, chains, exact, slack);
    conformance_run_release(&run);
    rllc_potential_free(&t->head);
    free(h);
    free(llc);
}

/* Slow averages: V = E[g^2], G = 1 / (h sqrt S + eps), S = 1 / (a (1 - lr G a / 4)). */
static double self_consistent(double a, double lr, double eps) {
    double S = 1 / a;
    for (int i = 0; i < 200; i++) S = 1 / (a * (1 - lr / (sqrt(S) + eps) * a / 4));
    return a * S / 2;
}

/* Slack: V fluctuates by a share of order sqrt(1 - alpha), which moves the estimate by order 1 - alpha (1.4 % at 0.99,
 * so 0.07 % at 0.9995). */
static void test_rmsprop_with_slow_averages(void **state) {
    (void)state;
    const double exact = self_consistent(100, 1e-3, 0.1);
    assert_true(fabs(exact - 0.568810) < 1e-6); /* computed elsewhere from the same equations */
    rllc_sampler_options o = rmsprop(100, 0, 1e-3, 0.9995, 0.1, 6000, 20000);
    check_coordinates("rmsprop-sgld, alpha 0.9995", o, 20, 30, exact, 0.0007 * exact);
    o = rmsprop(100, 0, 1e-3, 0.9995, 0, 6000, 20000);
    o.rmsprop_variant = 1;
    const double corrected = self_consistent(100, 1e-3, 1e-8);
    check_coordinates("rmsprop-sgld corrected, alpha 0.9995", o, 20, 30, corrected, 0.0007 * corrected);
}

/* No memory: the stationary density is (eps + |g|) exp(-U), up to twice the truth. Slack: lr a / (4 eps) of the step. */
static void test_rmsprop_without_memory_has_another_target(void **state) {
    (void)state;
    const double eps[] = {1, 0.1}, known[] = {0.536946, 0.721895}; /* 1/2 is what exp(-U) would give */
    for (int k = 0; k < 2; k++) {
        const double a = 100, e = eps[k], pi = acos(-1);
        const double exact = 0.5 * a * (e * sqrt(2 * pi) * pow(a, -1.5) + 4 / (a * a)) / (e * sqrt(2 * pi / a) + 2 / a);
        char what[64];
        assert_true(fabs(exact - known[k]) < 1e-6);
        snprintf(what, sizeof what, "rmsprop-sgld, alpha 0, eps %g", e);
        check_coordinates(what, rmsprop(a, 0, 1e-4 * e, 0, e, 20000, 2000), 40, 24, exact, 0.25e-4 * a * exact);
    }
}

/* ---- sgnht -------------------------------------------------------------------------------------------------- */

typedef struct thermostat {
    double sum, xi, mean_xi; /* of |u|^2 / n - lr / 2 since the start; now; over the draws */
    double *a, *virial;      /* curvatures; mean of a_j w_j^2 / 2 over modes, summed over draws */
    int64_t burnin, n;
} thermostat;

static void observe_thermostat(void *context, int64_t i, int64_t e, const rllc_sampler_state *s) {
    thermostat *t = (thermostat *)context + i;
    double square = 0, energy = 0;
    (void)e;
    for (int64_t j = 0; j < s->dim; j++) {
        square += (double)s->memory[j] * (double)s->memory[j] / (double)s->dim;
        energy += 0.5 * t->a[j] * (double)s->w[j] * (double)s->w[j] / (double)s->dim;
    }
    t->sum += square;
    t->xi = s->scalar[0];
    if (s->step < t->burnin) return;
    t->mean_xi += t->xi;
    t->virial[i] += energy;
    t->n++;
}

/* xi such that the mean over modes of Var u_j is eta: Var w = s2 (2 - xi) / (xi eta a (4 - 2 xi - eta a)),
 * Var u = 2 Var w eta a / (2 - xi); s2 = 2 A eta + eta^2 C. Returns the mean of a Var w / 2. */
static double thermostat_law(const double *a, int64_t n, double eta, double s2, double *xi) {
    double low = 1e-6, high = 1, virial = 0;
    for (int step = 0; step < 100; step++) {
        double u = 0;
        *xi = 0.5 * (low + high);
        virial = 0;
        for (int64_t j = 0; j < n; j++) {
            const double var = s2 * (2 - *xi) / (*xi * eta * a[j] * (4 - 2 * *xi - eta * a[j]));
            u += 2 * var * eta * a[j] / (2 - *xi) / (double)n;
            virial += 0.5 * a[j] * var / (double)n;
        }
        if (u > eta) low = *xi;
        else high = *xi;
    }
    return virial;
}

enum { THERMOSTATS = 12 };

static void check_thermostat(const char *what, double eta, double A, double C, double level, double known_xi,
                             double known_virial) {
    const int64_t n = 1000;
    double a[1000], xi, virial[THERMOSTATS] = {0}, mean_xi[THERMOSTATS], exact;
    theory_geometric(a, n, 0.5, 5);
    exact = thermostat_law(a, n, eta, 2 * A * eta + eta * eta * C, &xi);
    assert_true(fabs(xi - known_xi) < 1e-6 && fabs(exact - known_virial) < 1e-6);
    rllc_sampler_options o = theory_settings(1, 0, 2 * eta, 3000, 3000, 1);
    o.sampler = "sgnht";
    o.diffusion_factor = A;
    o.noise_level = level;
    o.seed = theory_seed(what);
    assert_ok(rllc_sampler_check(&o));
    thermostat t[THERMOSTATS] = {{0}};
    for (int i = 0; i < THERMOSTATS; i++) t[i] = (thermostat){.a = a, .virial = virial, .burnin = o.num_burnin_steps};
    target *p = target_make(target_quadratic, a, n, 0, THERMOSTATS);
    p->noise = sqrt(C) * level;
    conformance_run run = conformance_sample_from(&p->head, &o, THERMOSTATS, NULL, NULL, NULL, observe_thermostat, t);
    for (int i = 0; i < THERMOSTATS; i++) { /* sum |u|^2 / n - T eta = xi_T - A, to rounding */
        const double steps = (double)rllc_sampler_steps(&o), expected = t[i].sum - steps * eta * level * level;
        assert_true(fabs(expected - (t[i].xi - A)) < 1e-9 * t[i].sum);
        mean_xi[i] = t[i].mean_xi / (double)t[i].n;
        virial[i] /= (double)t[i].n * level * level;
    }
    theory_check_mean(what, virial, THERMOSTATS, exact, 0.002 * exact); /* slack: order 1 / n */
    theory_check_mean("    thermostat", mean_xi, THERMOSTATS, xi, 0.002 * xi);
    conformance_run_release(&run);
    rllc_potential_free(&p->head);
}

/* The thermostat finds the friction that the noise of the gradient needs. Known values: computed elsewhere. */
static void test_sgnht_finds_the_friction(void **state) {
    (void)state;
    check_thermostat("sgnht, 1000 modes: a Var w / 2", 0.01, 0.1, 0, 1, 0.10615433, 0.47346142);
    check_thermostat("sgnht, noise level 0.5: the same, colder", 0.01, 0.1, 0, 0.5, 0.10615433, 0.47346142);
    check_thermostat("sgnht, gradient noise C = 200: a Var w / 2", 0.002, 0.05, 200, 1, 0.293299, 0.42667525);
}

/* Equal modes: a Var w = 1 - xi / 2, with the localization a part of a. */
static void test_sgnht_with_equal_modes(void **state) {
    (void)state;
    double h[400], xi, a[400];
    for (int i = 0; i < 400; i++) h[i] = 1, a[i] = 150;
    rllc_sampler_options o = theory_settings(100, 50, 1e-3, 3000, 2000, 1);
    o.sampler = "sgnht";
    o.diffusion_factor = 0.05;
    o.seed = theory_seed("sgnht, equal modes");
    const double exact = thermostat_law(a, 400, 5e-4, 2 * 0.05 * 5e-4, &xi) * 2;
    assert_true(fabs(exact - (1 - xi / 2)) < 1e-9);
    double llc[40];
    target *t = target_make(target_quadratic, h, 400, 0, 40);
    conformance_run run = conformance_sample(&t->head, &o, 40, NULL, NULL);
    conformance_estimate(&run, o.nbeta, llc);
    /* slack: order 1 / n */
    theory_check_mean("sgnht, equal modes", llc, 40, 400 * 0.5 * (100.0 / 150) * exact, 0.5);
    conformance_run_release(&run);
    rllc_potential_free(&t->head);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rmsprop_that_learns_nothing_is_sgld),
        cmocka_unit_test(test_rmsprop_frozen_is_exact_given_its_preconditioner),
        cmocka_unit_test(test_rmsprop_with_slow_averages),
        cmocka_unit_test(test_rmsprop_without_memory_has_another_target),
        cmocka_unit_test(test_sgnht_finds_the_friction),
        cmocka_unit_test(test_sgnht_with_equal_modes),
    };
    return cmocka_run_group_tests_name("adaptive samplers", tests, NULL, NULL);
}
