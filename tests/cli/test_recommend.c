/* Judging the points of a pilot: each objection where it belongs, and the choice among what is left. */
#include "cli/recommend.h"
#include "support/support.h"

enum { LRS = 3, NBETAS = 2, PULLS = 2, POINTS = LRS * NBETAS * PULLS };

static const double LR[] = {1e-4, 1e-3, 1e-2}, NBETA[] = {10, 100}, PULL[] = {20, 200};
static const rllc_recommend_settings SETTINGS = {.tolerance = 0.1, .max_steps = 2000, .num_chains = 4};

/** Ten directions of curvature 1, a thousand flat ones: chains give what the budget says, with little error. */
static void make_pilot(rllc_pilot *p, const char *sampler, double gradient_square) {
    *p = (rllc_pilot){.lr = LR,
                      .nbeta = NBETA,
                      .localization = PULL,
                      .n_lr = LRS,
                      .n_nbeta = NBETAS,
                      .n_localization = PULLS,
                      .n = POINTS};
    rllc_options_default(&rllc_sampler_option_table, &p->base);
    p->base.sampler = sampler;
    p->base.num_chains = 2;
    p->base.num_draws = p->base.num_burnin_steps = 100;
    p->curvature =
        (rllc_curvature){.dim = 1010, .top = 1, .bottom = 0, .gradient_square = gradient_square, .batches = 4};
    assert_ok(rllc_quadrature_init(&p->curvature.spectrum, 2));
    assert_ok(rllc_quadrature_init(&p->curvature.drift, 1));
    const double nodes[] = {0, 1}, weights[] = {1000, 10};
    memcpy(p->curvature.spectrum.node, nodes, sizeof nodes);
    memcpy(p->curvature.spectrum.weight, weights, sizeof weights);
    p->curvature.drift.node[0] = 1;
    p->curvature.drift.weight[0] = gradient_square;
    assert_ok(rllc_alloc(&p->points, POINTS, sizeof *p->points));
    for (int i = 0; i < POINTS; i++) {
        rllc_pilot_point *point = &p->points[i];
        point->options = p->base;
        point->options.lr = LR[i % LRS];
        point->options.localization = PULL[i / LRS % PULLS];
        point->options.nbeta = NBETA[i / LRS / PULLS];
        rllc_bias_budget_make(&p->curvature, &point->options, &point->budget);
        point->virial = point->predicted_virial = 1.01;
        point->heat_capacity = 0.9;
        point->estimate =
            (rllc_estimate){.llc_mean = point->budget.expected, .llc_se = 0.02 * point->budget.expected, .n_chains = 2};
        point->finding = "";
    }
}

static int index_of(double lr, double nbeta, double pull) {
    for (int i = 0; i < POINTS; i++)
        if (LR[i % LRS] == lr && PULL[i / LRS % PULLS] == pull && NBETA[i / LRS / PULLS] == nbeta) return i;
    fail_msg("no such point");
    return -1;
}

static void expect(const rllc_pilot *p, int i, rllc_objection wanted) {
    rllc_recommendation r;
    assert_ok(rllc_recommend(p, &SETTINGS, &r));
    if (r.points[i].objection != wanted)
        fail_msg("point %d is %s (%s), expected %s", i, rllc_objection_name(r.points[i].objection),
                 r.points[i].sentence, rllc_objection_name(wanted));
    assert_true(r.points[i].sentence[0] != '\0');
    if (wanted != RLLC_POINT_GOOD) assert_true(r.best != i);
    rllc_recommendation_release(&r);
}

/* Of the settings without objection the one with the largest nbeta / localization; there, the fastest. */
static void test_recommend_takes_what_resolves_most(void **state) {
    (void)state;
    rllc_pilot p;
    rllc_recommendation r;
    make_pilot(&p, "sgld", 0);
    assert_ok(rllc_recommend(&p, &SETTINGS, &r));
    assert_int_equal(r.best, index_of(1e-3, 100, 20)); /* at 1e-2 the step adds 43 % */
    assert_true(r.options.lr == 1e-3 && r.options.nbeta == 100 && r.options.localization == 20);
    assert_int_equal(r.options.num_chains, 4);
    assert_non_null(strstr(r.reasons.data, "resolves 8.33 directions"));
    assert_non_null(strstr(r.reasons.data, "stability bound 4 / (nbeta h + localization) = 0.0333"));
    assert_non_null(strstr(r.reasons.data, "flat in lr"));
    /* the schedule it promises: the draws lack less than a fifth of the tolerance, with fewer steps they lack more */
    rllc_bias_budget b;
    r.options.num_draws = 100;
    rllc_bias_budget_make(&p.curvature, &r.options, &b);
    assert_true(fabs(b.transient / b.complexity) < 0.02);
    r.options.num_burnin_steps = r.options.num_burnin_steps > 50 ? r.options.num_burnin_steps - 50 : 0;
    rllc_bias_budget_make(&p.curvature, &r.options, &b);
    assert_true(r.options.num_burnin_steps == 0 || fabs(b.transient / b.complexity) > 0.02);
    rllc_recommendation_release(&r);
    rllc_pilot_release(&p);
}

static void test_recommend_objections(void **state) {
    (void)state;
    rllc_pilot p;
    make_pilot(&p, "sgld", 0);
    const int i = index_of(1e-3, 100, 20), below = index_of(1e-4, 100, 20);
    rllc_pilot_point *point = &p.points[i], kept = *point;
    expect(&p, i, RLLC_POINT_GOOD);
    point->pruned = true;
    point->budget.lr_max = 5e-4;
    expect(&p, i, RLLC_POINT_PRUNED);
    *point = kept;
    point->estimate.n_diverged = 1;
    expect(&p, i, RLLC_POINT_DIVERGED);
    *point = kept;
    point->virial = 1.07;
    expect(&p, i, RLLC_POINT_HEATED);
    *point = kept;
    point->budget.step = 0.11 * point->budget.complexity;
    expect(&p, i, RLLC_POINT_HEATED);
    *point = kept;
    point->estimate.llc_se = point->estimate.llc_mean; /* 100 % from 200 draws; 2000 steps of four chains leave 16 % */
    expect(&p, i, RLLC_POINT_WEAK);
    *point = kept;
    point->estimate.llc_mean *= 1.3;
    expect(&p, i, RLLC_POINT_UNEVEN);
    *point = kept;
    expect(&p, below, RLLC_POINT_GOOD);
    p.points[below].options.lr = 1e-6; /* 2 / (lr a) is far beyond 2000 steps */
    rllc_bias_budget_make(&p.curvature, &p.points[below].options, &p.points[below].budget);
    expect(&p, below, RLLC_POINT_SLOW);
    rllc_pilot_release(&p);
}

/* A gradient at w* counts against a setting on the corpus of training, and belongs to the result on another. */
static void test_recommend_drift(void **state) {
    (void)state;
    rllc_pilot p;
    make_pilot(&p, "sgld", 0.02);
    const int i = index_of(1e-3, 100, 20);
    expect(&p, i, RLLC_POINT_DRIFTS);
    p.refined_data = true;
    rllc_recommendation r;
    assert_ok(rllc_recommend(&p, &SETTINGS, &r));
    assert_true(r.points[i].objection != RLLC_POINT_DRIFTS);
    rllc_recommendation_release(&r);
    rllc_pilot_release(&p);
}

static void test_recommend_without_a_setting(void **state) {
    (void)state;
    rllc_pilot p;
    rllc_recommendation r;
    make_pilot(&p, "sgld", 0);
    for (int i = 0; i < POINTS; i++) p.points[i].estimate.n_diverged = 2;
    p.points[0].pruned = true;
    assert_ok(rllc_recommend(&p, &SETTINGS, &r));
    assert_int_equal(r.best, -1);
    assert_int_equal(r.count[RLLC_POINT_DIVERGED], POINTS - 1);
    assert_non_null(strstr(r.reasons.data, "11 of 12 settings: diverged; try smaller lr, or more localization"));
    assert_non_null(strstr(r.reasons.data, "1 of 12 settings: pruned"));
    rllc_recommendation_release(&r);
    rllc_pilot_release(&p);
}

/* Without a bias of the step the larger one is taken. */
static void test_recommend_sgld_lm_takes_larger_steps(void **state) {
    (void)state;
    rllc_pilot p;
    rllc_recommendation r;
    make_pilot(&p, "sgld-lm", 0);
    assert_ok(rllc_recommend(&p, &SETTINGS, &r));
    assert_int_equal(r.best, index_of(1e-2, 100, 20));
    rllc_recommendation_release(&r);
    rllc_pilot_release(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recommend_takes_what_resolves_most),
        cmocka_unit_test(test_recommend_objections),
        cmocka_unit_test(test_recommend_drift),
        cmocka_unit_test(test_recommend_without_a_setting),
        cmocka_unit_test(test_recommend_sgld_lm_takes_larger_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
