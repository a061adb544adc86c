/* What a chain is made of: it resumes to the bit, its noise has addresses, walls hold, leapfrog steps run backwards. */
#include "sgmcmc/chain.h"

enum { DIM = 37 };
static const rllc_span whole = {0, DIM};

static void every_sampler(void (*check)(const rllc_sampler_options *o)) {
    int n;
    const rllc_sampler_kind *const *kinds = rllc_sampler_list(&n);
    for (int k = 0; k < n; k++) {
        rllc_sampler_options o = chain_options(kinds[k]->name);
        if (strcmp(o.sampler, "hmc") == 0) o.num_leapfrog_steps = 3;
        o.lr = 4e-3;
        check(&o);
        if (strcmp(o.sampler, "rmsprop-sgld") != 0) continue;
        o.rmsprop_variant = 1;
        check(&o);
        o.rmsprop_freeze = true;
        o.num_burnin_steps = 4;
        check(&o);
    }
}

/* sum_i c_i w_i^2 / 2 + w_i^4 / 4: coordinates do not know of each other; c_i depends on nothing but i = 0..dim-1. */
static double separate(int64_t dim, const float *w, float *gradient) {
    double loss = 0;
    for (int64_t i = 0; i < dim; i++) {
        const double wi = w[i], c = 1 + 0.1 * (double)i;
        loss += 0.5 * c * wi * wi + 0.25 * wi * wi * wi * wi;
        gradient[i] = (float)(c * wi + wi * wi * wi);
    }
    return loss;
}

static float *start(void) {
    float *w = test_memory(DIM, sizeof *w);
    for (int i = 0; i < DIM; i++) w[i] = 0.3f * sinf((float)i);
    return w;
}

/* ---- resuming ----------------------------------------------------------------------------------------------- */

/* All that the library promises to need: w, memory, scalar, step. */
static chain reopen(const chain *c, float *w0) {
    chain again = chain_make(&c->o, c->target, c->s.dim, w0, c->s.spans, c->s.n_spans);
    const int64_t vectors = rllc_sampler_memory(&c->o);
    memcpy(again.s.w, c->s.w, (size_t)c->s.dim * sizeof(float));
    if (vectors > 0) memcpy(again.s.memory, c->s.memory, (size_t)(vectors * c->s.dim) * sizeof(float));
    memcpy(again.s.scalar, c->s.scalar, sizeof c->s.scalar);
    again.s.step = c->s.step;
    return again;
}

static void check_resume(const rllc_sampler_options *o) {
    enum { STEPS = 9 };
    float *w0 = start();
    chain c = chain_make(o, separate, DIM, w0, &whole, 1);
    float w[STEPS][DIM];
    double loss[STEPS];
    for (int step = 0; step < STEPS; step++) {
        chain_step(&c);
        memcpy(w[step], c.s.w, sizeof w[step]);
        loss[step] = c.loss;
        if (step > 0) assert_memory_not_equal(w[step], w[step - 1], sizeof w[step]);
    }
    chain_release(&c);
    for (int stop = 0; stop < STEPS; stop++) { /* stopped before step `stop` */
        chain first = chain_make(o, separate, DIM, w0, &whole, 1);
        for (int step = 0; step < stop; step++) chain_step(&first);
        chain second = reopen(&first, w0);
        chain_release(&first);
        for (int step = stop; step < STEPS; step++) {
            chain_step(&second);
            assert_memory_equal(second.s.w, w[step], sizeof w[step]);
            assert_memory_equal(&second.loss, &loss[step], sizeof *loss);
        }
        chain_release(&second);
    }
    free(w0);
}

static void test_resumed_chain_has_the_same_bits(void **state) {
    (void)state;
    every_sampler(check_resume);
}

/* ---- addresses ---------------------------------------------------------------------------------------------- */

/* Coordinates 11..20 and 30..36 alone move as they do among all: for rules that treat coordinates apart. */
static double part(int64_t dim, const float *w, float *gradient) {
    float all[DIM] = {0}, slope[DIM];
    assert_int_equal(dim, 17);
    memcpy(all + 11, w, 10 * sizeof *w);
    memcpy(all + 30, w + 10, 7 * sizeof *w);
    const double loss = separate(DIM, all, slope);
    memcpy(gradient, slope + 11, 10 * sizeof *w);
    memcpy(gradient + 10, slope + 30, 7 * sizeof *w);
    return loss;
}

static void check_part(const rllc_sampler_options *o) {
    /* The thermostat and the decision of a proposal belong to all coordinates: there it holds for the first step. */
    const bool apart = strcmp(o->sampler, "sgnht") != 0 && !rllc_sampler_find(o->sampler)->exact;
    const rllc_span spans[2] = {{11, 10}, {30, 7}};
    float *w0 = start(), some[17];
    memcpy(some, w0 + 11, 10 * sizeof *some);
    memcpy(some + 10, w0 + 30, 7 * sizeof *some);
    chain all = chain_make(o, separate, DIM, w0, &whole, 1), alone = chain_make(o, part, 17, some, spans, 2);
    for (int step = 0; step < (apart ? 8 : 1); step++) {
        chain_step(&all);
        chain_step(&alone);
        assert_memory_equal(alone.s.w, all.s.w + 11, 10 * sizeof(float));
        assert_memory_equal(alone.s.w + 10, all.s.w + 30, 7 * sizeof(float));
    }
    chain_release(&all);
    chain_release(&alone);
    free(w0);
}

static void test_part_moves_as_in_the_whole(void **state) {
    (void)state;
    every_sampler(check_part);
}

/* The noise is that of `noise`'s chain and step: another chain, or seed, is another way. */
static void check_addresses(const rllc_sampler_options *o) {
    float *w0 = start();
    rllc_sampler_options other = *o;
    other.seed++;
    chain a = chain_make(o, separate, DIM, w0, &whole, 1), b = chain_make(&other, separate, DIM, w0, &whole, 1);
    chain_step(&a);
    chain_step(&b);
    for (int i = 0; i < DIM; i++) assert_true(a.s.w[i] != b.s.w[i]);
    chain_release(&a);
    chain_release(&b);
    free(w0);
}

static void test_another_seed_is_another_chain(void **state) {
    (void)state;
    every_sampler(check_addresses);
}

/* sgld-lm: a step's noise is half this step's and half the next one's, at any length of span. */
static void test_averaged_noise(void **state) {
    (void)state;
    enum { LONG = 5000 };
    const rllc_span spans[3] = {{7, 1}, {100, 2050}, {9000, LONG - 2051}};
    float *w0 = test_memory(LONG, sizeof *w0), *mean = test_memory(LONG, sizeof *w0);
    float *now = test_memory(LONG, sizeof *w0), *next = test_memory(LONG, sizeof *w0);
    const rllc_sampler_options o = chain_options("sgld-lm");
    rllc_sampler_state s = {.dim = LONG, .w0 = w0, .spans = spans, .n_spans = 3};
    const rllc_stream this_step = chain_noise(&o, 6), next_step = chain_noise(&o, 7);
    rllc_noise_average(&s, &this_step, mean);
    rllc_noise_normals(&s, &this_step, 0, now);
    rllc_noise_normals(&s, &next_step, 0, next);
    for (int i = 0; i < LONG; i++) assert_true(mean[i] == 0.5f * (now[i] + next[i]));
    assert_true(now[0] != next[0]);
    free(w0);
    free(mean);
    free(now);
    free(next);
}

/* ---- rules that contain each other ----------------------------------------------------------------------------- */

static void compare_rules(rllc_sampler_options a, rllc_sampler_options b, double tolerance) {
    float *w0 = start();
    chain x = chain_make(&a, separate, DIM, w0, &whole, 1), y = chain_make(&b, separate, DIM, w0, &whole, 1);
    for (int step = 0; step < 20; step++) {
        chain_step(&x);
        chain_step(&y);
        for (int i = 0; i < DIM; i++) assert_true(fabs((double)x.s.w[i] - (double)y.s.w[i]) <= tolerance);
        assert_true(fabs(x.loss - y.loss) <= 100 * tolerance);
    }
    chain_release(&x);
    chain_release(&y);
    free(w0);
}

/* Tolerance: twenty roundings of weights below 1 in different orders. */
static void test_special_cases_agree(void **state) {
    (void)state;
    rllc_sampler_options sgld = chain_options("sgld"), rule = chain_options("rmsprop-sgld");
    sgld.weight_decay = rule.weight_decay = 2;
    rule.rmsprop_alpha = 1;
    rule.rmsprop_eps = 1;
    compare_rules(sgld, rule, 4e-6);
    rule.rmsprop_eps = 0.5;
    sgld.lr *= 2;
    compare_rules(sgld, rule, 4e-6);
    rule = chain_options("sghmc");
    rule.weight_decay = 2;
    rule.momentum_decay = 1;
    rule.lr = sgld.lr;
    compare_rules(sgld, rule, 4e-6);
    rule = chain_options("hmc");
    rule.num_leapfrog_steps = 1;
    compare_rules(chain_options("mala"), rule, 0);
}

/* With eps = 0.1 and no V yet to speak of the first steps of devinterp's variant are 10 times as long. */
static double slope_one(int64_t dim, const float *w, float *gradient) {
    (void)w;
    for (int64_t i = 0; i < dim; i++) gradient[i] = 1;
    return 1;
}

static void test_rmsprop_first_coefficient(void **state) {
    (void)state;
    float w0[DIM] = {0};
    rllc_sampler_options o = chain_options("rmsprop-sgld");
    o.noise_level = o.localization = 0;
    o.nbeta = 2;
    for (int variant = 0; variant < 2; variant++) {
        o.rmsprop_variant = variant;
        chain c = chain_make(&o, slope_one, DIM, w0, &whole, 1);
        chain_step(&c);
        /* V = 0.01, G = 1 / (0.1 + 0.1); V = 1, corrected by 1 - 0.99: G = 1 / (10 + 1e-8) */
        const double G = variant == 0 ? 5 : 0.1;
        for (int i = 0; i < DIM; i++) assert_true(fabs((double)c.s.w[i] + o.lr / 2 * G * 2) < 1e-9);
        assert_true(fabs((double)c.s.memory[0] - (variant == 0 ? 0.01 : 1)) < 1e-7);
        chain_release(&c);
    }
}

/* ---- walls ---------------------------------------------------------------------------------------------------- */

static void check_box(const rllc_sampler_options *o) {
    const bool exact = rllc_sampler_find(o->sampler)->exact;
    rllc_sampler_options boxed = *o;
    int64_t touching = 0;
    float *w0 = start();
    boxed.bounding_box = 0.1;
    chain c = chain_make(&boxed, separate, DIM, w0, &whole, 1);
    for (int step = 0; step < 60; step++) {
        chain_step(&c);
        const float *w = rllc_sampler_position(&boxed, &c.s); /* a proposal may be outside: it is rejected */
        for (int i = 0; i < DIM; i++) {
            const double way = fabs((double)w[i] - (double)w0[i]);
            assert_true(way <= 0.1 + 1e-7);
            touching += way > 0.1 - 1e-7;
        }
    }
    assert_true(exact || touching > 0);
    chain_release(&c);
    free(w0);
}

static void test_box_holds(void **state) {
    (void)state;
    every_sampler(check_box);
}

/* A ball thrown at a wall comes back. */
static void test_momentum_is_reflected(void **state) {
    (void)state;
    const char *const names[] = {"sghmc", "sgnht"};
    for (int k = 0; k < 2; k++) {
        float w0[DIM] = {0};
        rllc_sampler_options o = chain_options(names[k]);
        o.noise_level = 0;
        o.nbeta = 1;
        o.bounding_box = 0.5;
        o.localization = 0;
        chain c = chain_make(&o, slope_one, DIM, w0, &whole, 1);
        chain_step(&c); /* the first step sets what is to be set */
        for (int i = 0; i < DIM; i++) c.s.memory[i] = i % 2 ? 0.4f : -0.4f, c.s.w[i] = i % 2 ? 0.4f : -0.4f;
        chain_step(&c);
        for (int i = 0; i < DIM; i++) {
            assert_true(c.s.w[i] == (i % 2 ? 0.5f : -0.5f));
            assert_true(i % 2 ? c.s.memory[i] < -0.3f : c.s.memory[i] > 0.3f);
        }
        chain_step(&c);
        for (int i = 0; i < DIM; i++) assert_true(fabsf(c.s.w[i]) < 0.3f);
        chain_release(&c);
    }
}

/* The position is s->w; for exact rules the point whose loss the step returned. */
static void check_position(const rllc_sampler_options *o) {
    const bool exact = rllc_sampler_find(o->sampler)->exact;
    float *w0 = start(), gradient[DIM];
    chain c = chain_make(o, separate, DIM, w0, &whole, 1);
    assert_ptr_equal(rllc_sampler_position(o, &c.s), c.s.w);
    for (int step = 0; step < 10; step++) {
        const double before = separate(DIM, c.s.w, gradient);
        chain_step(&c);
        assert_true(exact || (c.loss == before && rllc_sampler_position(o, &c.s) == c.s.w));
        assert_true(!exact || separate(DIM, rllc_sampler_position(o, &c.s), gradient) == c.loss);
    }
    chain_release(&c);
    free(w0);
}

static void test_position(void **state) {
    (void)state;
    every_sampler(check_position);
}

/* ---- trajectories --------------------------------------------------------------------------------------------- */

/* A leapfrog step is kick, then drift. With the drift undone and the momenta turned, the same steps lead back. */
static void test_leapfrog_is_reversible(void **state) {
    (void)state;
    enum { THERE = 25 };
    float *w0 = start(), way[THERE + 1][DIM];
    rllc_sampler_options o = chain_options("hmc");
    o.num_leapfrog_steps = 2 * THERE + 1;
    o.lr = 1e-3;
    chain c = chain_make(&o, separate, DIM, w0, &whole, 1);
    for (int e = 0; e <= THERE; e++) {
        memcpy(way[e], c.s.w, sizeof way[e]);
        assert_ok(chain_evaluate(&c));
    }
    memcpy(c.s.w, way[THERE], sizeof way[THERE]);
    for (int i = 0; i < DIM; i++) c.s.memory[2 * DIM + i] *= -1; /* the momenta are the third vector */
    double farthest = 0;
    for (int e = THERE - 1; e >= 0; e--) {
        assert_ok(chain_evaluate(&c));
        for (int i = 0; i < DIM; i++) {
            assert_true(fabs((double)c.s.w[i] - (double)way[e][i]) < 1e-5); /* 50 roundings of weights of order 1 */
            farthest = fmax(farthest, fabs((double)way[e][i] - (double)w0[i]));
        }
    }
    assert_true(farthest > 0.1);
    assert_memory_equal(way[0], w0, sizeof way[0]);
    chain_release(&c);
    free(w0);
}

/* ---- what is not finite -------------------------------------------------------------------------------------- */

static bool broken; /* the target's next answers */

static double fragile(int64_t dim, const float *w, float *gradient) {
    const double loss = separate(dim, w, gradient);
    if (broken) gradient[dim / 2] = NAN;
    return loss;
}

static double wall(int64_t dim, const float *w, float *gradient) {
    const double loss = separate(dim, w, gradient);
    return broken ? (double)INFINITY : loss;
}

/* Evaluation `at` of a transition has no finite answer: the proposal is lost, the chain stays, and goes on. Evaluation 0
 * decides on the proposal before; the others belong to the one that the next evaluation 0 decides on. */
static void check_proposal_is_lost(const rllc_sampler_options *o, chain_target *target, const float *w0, int64_t at) {
    const int64_t last = at == 0 ? 0 : rllc_sampler_evaluations(o), from = at == 0 ? 0 : 1;
    chain c = chain_make(o, target, DIM, w0, &whole, 1);
    float kept[DIM];
    double scalar[RLLC_SAMPLER_SCALARS];
    for (int step = 0; step < 5; step++) chain_step(&c);
    for (int64_t e = 0; e <= last; e++) {
        if (e == from) {
            memcpy(kept, c.s.memory, sizeof kept);
            memcpy(scalar, c.s.scalar, sizeof scalar);
        }
        broken = e == at;
        assert_ok(chain_evaluate(&c));
        broken = false;
    }
    assert_memory_equal(c.s.memory, kept, sizeof kept);
    assert_true(c.s.scalar[RLLC_METROPOLIS_ACCEPTED] == scalar[RLLC_METROPOLIS_ACCEPTED]);
    assert_true(c.loss == scalar[RLLC_METROPOLIS_LOSS]);
    assert_true(isinf(c.s.scalar[RLLC_METROPOLIS_ENERGY_ERROR]));
    while (c.evaluations % rllc_sampler_evaluations(o) != 0) assert_ok(chain_evaluate(&c));
    for (int step = 0; step < 20; step++) chain_step(&c);
    assert_true(c.s.scalar[RLLC_METROPOLIS_ACCEPTED] > scalar[RLLC_METROPOLIS_ACCEPTED]);
    chain_release(&c);
}

static void check_not_finite(const rllc_sampler_options *o) {
    chain_target *const targets[] = {fragile, wall};
    float *w0 = start(), before[DIM];
    for (int k = 0; k < 2; k++) {
        chain c = chain_make(o, targets[k], DIM, w0, &whole, 1);
        broken = true; /* at the first point: nobody can go on */
        assert_int_equal(chain_evaluate(&c), RLLC_ENOTFINITE);
        assert_memory_equal(c.s.w, w0, sizeof before);
        broken = false;
        if (rllc_sampler_find(o->sampler)->exact) {
            for (int64_t at = 0; at < rllc_sampler_evaluations(o); at++)
                check_proposal_is_lost(o, targets[k], w0, at);
        } else {
            for (int step = 0; step < 5; step++) chain_step(&c);
            memcpy(before, c.s.w, sizeof before);
            broken = true;
            assert_int_equal(chain_evaluate(&c), RLLC_ENOTFINITE);
            assert_memory_equal(c.s.w, before, sizeof before);
            broken = false;
        }
        chain_release(&c);
    }
    free(w0);
}

static void test_not_finite(void **state) {
    (void)state;
    every_sampler(check_not_finite);
}

int main(int argc, char **argv) {
    (void)argc;
    int status = run_for_every_table(argv);
    if (status >= 0) return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resumed_chain_has_the_same_bits),
        cmocka_unit_test(test_part_moves_as_in_the_whole),
        cmocka_unit_test(test_another_seed_is_another_chain),
        cmocka_unit_test(test_averaged_noise),
        cmocka_unit_test(test_special_cases_agree),
        cmocka_unit_test(test_rmsprop_first_coefficient),
        cmocka_unit_test(test_box_holds),
        cmocka_unit_test(test_momentum_is_reflected),
        cmocka_unit_test(test_position),
        cmocka_unit_test(test_leapfrog_is_reversible),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests_name("state of samplers", tests, NULL, NULL);
}
