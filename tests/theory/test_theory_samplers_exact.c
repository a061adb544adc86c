/* mala and hmc: acceptance, energy errors and stationary law are known exactly; nothing depends on the step size. */
#include "sgmcmc/samplers.h"
#include "theory/samplers.h"

/* What a run shows besides its losses: means over the decided proposals of each chain. */
typedef struct watch {
    double *error, *creutz, *acceptance; /* [chains] sum of H' - H, of exp(H - H'); the sampler's own report */
    int64_t *n, *accepted;               /* decided after burn-in; of these taken (the point changed) */
    float *last;                         /* [chains] first coordinate of the kept point */
    int64_t burnin;
    const rllc_sampler_options *options;
} watch;

static void observe(void *context, int64_t i, int64_t e, const rllc_sampler_state *s) {
    watch *w = context;
    if (e > 0) return;
    if (s->step > w->burnin) {
        const double error = s->scalar[RLLC_METROPOLIS_ENERGY_ERROR];
        w->error[i] += error;
        w->creutz[i] += exp(-error);
        w->n[i]++;
        if (s->memory[0] != w->last[i]) w->accepted[i]++;
    }
    w->last[i] = s->memory[0];
    w->acceptance[i] = rllc_sampler_find(w->options->sampler)->acceptance(w->options, s);
}

static void release(watch *w) {
    free(w->error);
    free(w->creutz);
    free(w->acceptance);
    free(w->n);
    free(w->accepted);
    free(w->last);
}

typedef struct result {
    watch seen;
    conformance_run run;
    double *llc;
} result;

static result sample(const char *what, rllc_sampler_options *o, target_function *f, const double *h, int64_t dim,
                     int64_t chains) {
    result r;
    o->seed = theory_seed(what);
    assert_ok(rllc_sampler_check(o));
    r.seen = (watch){.burnin = o->num_burnin_steps, .options = o};
    r.seen.error = test_memory(chains, sizeof(double));
    r.seen.creutz = test_memory(chains, sizeof(double));
    r.seen.acceptance = test_memory(chains, sizeof(double));
    r.seen.n = test_memory(chains, sizeof(int64_t));
    r.seen.accepted = test_memory(chains, sizeof(int64_t));
    r.seen.last = test_memory(chains, sizeof(float));
    target *t = target_make(f, h, dim, 0, chains);
    r.run = conformance_sample_from(&t->head, o, chains, NULL, NULL, NULL, observe, &r.seen);
    r.llc = test_memory(chains, sizeof *r.llc);
    conformance_estimate(&r.run, o->nbeta, r.llc);
    rllc_potential_free(&t->head);
    for (int64_t i = 0; i < chains; i++) {
        const double share = (double)r.seen.accepted[i] / (double)r.seen.n[i];
        r.seen.error[i] /= (double)r.seen.n[i];
        r.seen.creutz[i] /= (double)r.seen.n[i];
        /* the report counts burn-in too: at most that many decisions apart */
        assert_true(fabs(r.seen.acceptance[i] - share) <= (double)(o->num_burnin_steps + 2) / (double)r.seen.n[i]);
        r.seen.acceptance[i] = share;
    }
    return r;
}

static void done(result *r) {
    release(&r->seen);
    conformance_run_release(&r->run);
    free(r->llc);
}

static rllc_sampler_options settings(const char *sampler, double nbeta, double localization, double lr, int64_t draws) {
    rllc_sampler_options o = theory_settings(nbeta, localization, lr, draws, 200, 1);
    o.sampler = sampler;
    return o;
}

/* Mean of nbeta L: 1/2 sum f whatever the step; acceptance 1 - 2/pi arctan(kappa^(3/2) / 8) in one dimension. */
static void test_mala_in_one_dimension(void **state) {
    (void)state;
    const double h[1] = {1}, kappas[] = {0.1, 0.5, 1, 2, 3, 3.9, 6};
    /* computed elsewhere from the same formula (numpy); 6 is beyond the stability of sgld, and still exact */
    const double known[] = {0.997484, 0.971883, 0.920833, 0.783653, 0.633283, 0.512085, NAN};
    for (int k = 0; k < 7; k++) {
        char what[64];
        const double kappa = kappas[k], exact = 1 - 2 / acos(-1) * atan(pow(kappa, 1.5) / 8);
        if (k < 6) assert_true(fabs(exact - known[k]) < 6e-7);
        rllc_sampler_options o = settings("mala", 80, 20, kappa / 100, 4000);
        snprintf(what, sizeof what, "mala, lr a = %g: acceptance", kappa);
        result r = sample(what, &o, target_quadratic, h, 1, 100);
        theory_check_mean(what, r.seen.acceptance, 100, exact, 0);
        theory_check_mean("    nbeta L", r.llc, 100, 0.4, 0);
        if (kappa <= 1) theory_check_mean("    E[exp(-dH)]", r.seen.creutz, 100, 1, 0);
        done(&r);
    }
}

/* E[dH] of L leapfrog steps of size sqrt(lr) on a mode: 1/2 sin^2(L theta) (kappa/4)^2 / (1 - kappa/4). */
static double energy_error(double kappa, double steps) {
    const double s = sin(steps * acos(1 - kappa / 2));
    return 0.5 * s * s * (kappa / 4) * (kappa / 4) / (1 - kappa / 4);
}

static void test_hmc_in_one_dimension(void **state) {
    (void)state;
    const double h[1] = {1};
    const double cases[][2] = {{1, 1}, {2.25, 3}, {0.5, 10}, {3, 4}}; /* kappa, steps */
    for (int k = 0; k < 4; k++) {
        char what[64];
        const double kappa = cases[k][0], error = energy_error(kappa, cases[k][1]);
        const double exact = 1 - 2 / acos(-1) * atan(sqrt(error / 2));
        if (k == 0) assert_true(fabs(exact - 0.92083315) < 1e-8); /* that of mala */
        if (k == 1) assert_true(fabs(exact - 0.76023129) < 1e-8 && fabs(error - 0.31285286) < 1e-8);
        rllc_sampler_options o = settings("hmc", 80, 20, kappa / 100, 2000);
        o.num_leapfrog_steps = (int64_t)cases[k][1];
        snprintf(what, sizeof what, "hmc, h^2 a = %g, %g steps: acceptance", kappa, cases[k][1]);
        result r = sample(what, &o, target_quadratic, h, 1, 100);
        theory_check_mean(what, r.seen.acceptance, 100, exact, 0);
        theory_check_mean("    E[dH]", r.seen.error, 100, error, 0);
        theory_check_mean("    nbeta L", r.llc, 100, 0.4, 0);
        done(&r);
    }
}

/* Many modes, weight decay as well: E[dH] adds up, E[exp(-dH)] = 1, nbeta L has mean 1/2 sum f. */
static void test_many_modes(void **state) {
    (void)state;
    double h[12];
    theory_geometric(h, 12, 0.001, 0.1);
    const char *const names[] = {"mala", "hmc"};
    for (int k = 0; k < 2; k++) {
        rllc_sampler_options o = settings(names[k], 100, 0.05, k == 0 ? 0.12 : 0.3, k == 0 ? 8000 : 2000);
        double error = 0, mean = 0;
        o.weight_decay = 0.05;
        if (k == 1) o.num_leapfrog_steps = 7;
        for (int i = 0; i < 12; i++) {
            const double a = 100 * h[i] + 0.1;
            error += energy_error(o.lr * a, k == 0 ? 1 : 7);
            mean += 0.5 * 100 * h[i] / a;
        }
        char what[64];
        snprintf(what, sizeof what, "%s, 12 modes: E[dH]", names[k]);
        result r = sample(what, &o, target_quadratic, h, 12, 60);
        theory_check_mean(what, r.seen.error, 60, error, 0);
        theory_check_mean("    E[exp(-dH)]", r.seen.creutz, 60, 1, 0);
        theory_check_mean("    nbeta L", r.llc, 60, mean, 0);
        done(&r);
    }
}

/* From the minimum, where chains begin, the first proposal costs (kappa / 8) sin^2(L theta) / (1 - kappa / 4) a mode. */
static void observe_first(void *context, int64_t i, int64_t e, const rllc_sampler_state *s) {
    if (s->step == 1 && e == 0) ((double *)context)[i] = s->scalar[RLLC_METROPOLIS_ENERGY_ERROR];
}

static void test_first_proposal_from_the_minimum(void **state) {
    (void)state;
    double h[50];
    for (int i = 0; i < 50; i++) h[i] = 1;
    for (int k = 0; k < 2; k++) {
        const int64_t steps = k == 0 ? 1 : 10;
        rllc_sampler_options o = theory_settings(100, 100, 1e-3, 2, 0, 1); /* kappa = 0.2 */
        double first[400], s = sin((double)steps * acos(0.9));
        o.sampler = k == 0 ? "mala" : "hmc";
        o.seed = theory_seed(o.sampler);
        target *t = target_make(target_quadratic, h, 50, 0, 400);
        conformance_run run = conformance_sample_from(&t->head, &o, 400, NULL, NULL, NULL, observe_first, first);
        theory_check_mean(k == 0 ? "mala, from the minimum: E[dH]" : "hmc, from the minimum: E[dH]", first, 400,
                          50 * 0.025 * s * s / 0.95, 0);
        conformance_run_release(&run);
        rllc_potential_free(&t->head);
    }
}

/* Known acceptance of mala with 12 modes a = 0.1..10 (Gil-Pelaez quadrature, computed elsewhere): 0.863021. */
static void test_mala_acceptance_with_many_modes(void **state) {
    (void)state;
    double h[12];
    theory_geometric(h, 12, 0.1, 10);
    rllc_sampler_options o = settings("mala", 1, 0, 0.12, 5000);
    o.num_burnin_steps = 1000;
    result r = sample("mala, 12 modes: acceptance", &o, target_quadratic, h, 12, 60);
    theory_check_mean("mala, 12 modes: acceptance", r.seen.acceptance, 60, 0.86302111, 0);
    done(&r);
}

/* nbeta w^4 without localization is Gamma(1/4): mean and variance 1/4. Reduced-rank regression at its singular point. */
static void test_singular_targets(void **state) {
    (void)state;
    rllc_sampler_options o = settings("mala", 1000, 0, 5e-3, 10000);
    result r = sample("mala, w^4: nbeta L", &o, target_quartic, NULL, 1, 60);
    theory_check_mean("mala, w^4: nbeta L", r.llc, 60, 0.25, 0);
    done(&r);
    o = settings("hmc", 1000, 0, 5e-3, 4000);
    o.num_leapfrog_steps = 5;
    r = sample("hmc, w^4: nbeta L", &o, target_quartic, NULL, 1, 60);
    theory_check_mean("hmc, w^4: nbeta L", r.llc, 60, 0.25, 0);
    done(&r);
    o = settings("hmc", 100, 1, 4e-3, 4000); /* a quadrature of the exact integral gives 1.390301 */
    r = sample("hmc, reduced rank 2, 2, 2: nbeta L", &o, target_reduced_rank, NULL, 8, 30);
    theory_check_mean("hmc, reduced rank 2, 2, 2: nbeta L", r.llc, 30, 1.390301, 0);
    done(&r);
}

/* A flat loss in a box is uniform: localization 0, E w^2 = box^2 / 3, and no proposal from outside is taken. */
static void observe_square(void *context, int64_t i, int64_t e, const rllc_sampler_state *s) {
    double *sum = context;
    if (e > 0) return;
    assert_true(fabs((double)s->memory[0]) <= 0.5);
    if (s->step >= 200) sum[i] += (double)s->memory[0] * (double)s->memory[0] / 4000;
}

static void test_box_is_exact(void **state) {
    (void)state;
    const double h[1] = {0};
    const char *const names[] = {"mala", "hmc"};
    for (int k = 0; k < 2; k++) {
        rllc_sampler_options o = settings(names[k], 1, 0, 0.09, 4000);
        double square[60] = {0};
        char what[64];
        o.bounding_box = 0.5;
        if (k == 1) o.num_leapfrog_steps = 2;
        snprintf(what, sizeof what, "%s, flat in a box: E[w^2]", names[k]);
        o.seed = theory_seed(what);
        target *t = target_make(target_quadratic, h, 1, 0, 60);
        conformance_run run = conformance_sample_from(&t->head, &o, 60, NULL, NULL, NULL, observe_square, square);
        theory_check_mean(what, square, 60, 0.25 / 3, 0);
        conformance_run_release(&run);
        rllc_potential_free(&t->head);
    }
}

/* Shapes that are no ellipse have no exact acceptance, but the kept loss is that of the kept point, always. */
static void observe_loss(void *context, int64_t i, int64_t e, const rllc_sampler_state *s) {
    (void)i, (void)e;
    int64_t *rejected = context;
    assert_true(s->scalar[RLLC_METROPOLIS_LOSS] == target_reduced_rank(NULL, 8, s->memory, NULL));
    *rejected = (int64_t)(s->scalar[RLLC_METROPOLIS_PROPOSED] - s->scalar[RLLC_METROPOLIS_ACCEPTED]);
}

static void test_loss_is_that_of_the_kept_point(void **state) {
    (void)state;
    rllc_sampler_options o = settings("hmc", 100, 1, 2e-2, 200);
    int64_t rejected = 0;
    o.num_leapfrog_steps = 3;
    target *t = target_make(target_reduced_rank, NULL, 8, 0, 1);
    conformance_run run = conformance_sample_from(&t->head, &o, 1, NULL, NULL, NULL, observe_loss, &rejected);
    assert_true(rejected > 20 && rejected < 350);
    conformance_run_release(&run);
    rllc_potential_free(&t->head);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mala_in_one_dimension),
        cmocka_unit_test(test_hmc_in_one_dimension),
        cmocka_unit_test(test_many_modes),
        cmocka_unit_test(test_mala_acceptance_with_many_modes),
        cmocka_unit_test(test_first_proposal_from_the_minimum),
        cmocka_unit_test(test_singular_targets),
        cmocka_unit_test(test_box_is_exact),
        cmocka_unit_test(test_loss_is_that_of_the_kept_point),
    };
    return cmocka_run_group_tests_name("exact samplers", tests, NULL, NULL);
}
