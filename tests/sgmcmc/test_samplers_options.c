/* The registry, and what rllc_sampler_check refuses: nothing that is set may be without effect. */
#include "sgmcmc/chain.h"

static void assert_refused(const rllc_sampler_options *o, const char *part) {
    assert_int_equal(rllc_sampler_check(o), RLLC_EUSAGE);
    if (strstr(rllc_error_detail(), part) == NULL) fail_msg("'%s' does not say '%s'", rllc_error_detail(), part);
}

static bool reads(const rllc_sampler_kind *kind, const char *name) {
    char list[256], wanted[64];
    snprintf(list, sizeof list, ",%s,", kind->reads);
    snprintf(wanted, sizeof wanted, ",%s,", name);
    return strstr(list, wanted) != NULL;
}

static const rllc_option *option(const char *name) {
    for (int i = 0; i < rllc_sampler_option_table.n; i++)
        if (strcmp(rllc_sampler_option_table.options[i].name, name) == 0) return &rllc_sampler_option_table.options[i];
    return NULL;
}

static void test_registry_is_sound(void **state) {
    (void)state;
    const char *const expected[] = {"sgld", "sgld-lm", "rmsprop-sgld", "sghmc", "sgnht", "mala", "hmc"};
    int n;
    const rllc_sampler_kind *const *kinds = rllc_sampler_list(&n);
    assert_int_equal(n, 7);
    assert_ok(rllc_options_check(&rllc_sampler_option_table));
    for (int k = 0; k < n; k++) {
        assert_string_equal(kinds[k]->name, expected[k]);
        assert_ptr_equal(rllc_sampler_find(expected[k]), kinds[k]);
        assert_true(strlen(kinds[k]->summary) > 10 && strlen(kinds[k]->source) > 3);
        assert_true((kinds[k]->acceptance != NULL) == kinds[k]->exact);
        assert_non_null(strstr(option("sampler")->help, expected[k]));
        char list[256], *rest = list, *name;
        snprintf(list, sizeof list, "%s", kinds[k]->reads);
        while ((name = strsep(&rest, ",")) != NULL) assert_non_null(option(name)); /* every name is an option */
        assert_true(reads(kinds[k], "lr") && reads(kinds[k], "bounding_box") && reads(kinds[k], "weight_decay"));
        rllc_sampler_options o = chain_options(expected[k]);
        assert_int_equal(rllc_sampler_memory(&o), kinds[k]->n_memory);
        assert_int_equal(rllc_sampler_evaluations(&o), strcmp(expected[k], "hmc") == 0 ? 10 : 1);
    }
    assert_null(rllc_sampler_find("sgd"));
    assert_null(rllc_sampler_find(NULL));
    rllc_sampler_options o = chain_options("nothing");
    assert_int_equal(rllc_sampler_memory(&o), 0);
    assert_int_equal(rllc_sampler_evaluations(&o), 1);
}

static void test_unknown_sampler_is_refused(void **state) {
    (void)state;
    rllc_sampler_options o = chain_options("sgldlm");
    assert_refused(&o, "did you mean sgld");
    o = chain_options("rmsprop");
    assert_refused(&o, "did you mean rmsprop-sgld");
    o = chain_options("nuts");
    assert_refused(&o, "unknown sampler 'nuts'");
    o = chain_options(NULL);
    assert_refused(&o, "unknown sampler");
    double loss = 1;
    float w[1] = {0};
    const rllc_span span = {0, 1};
    rllc_sampler_state s = {.dim = 1, .w = w, .w0 = w, .spans = &span, .n_spans = 1, .scratch = w};
    const rllc_stream noise = chain_noise(&o, 0);
    o = chain_options("nuts");
    assert_int_equal(rllc_sampler_step(&o, &s, &loss, w, &noise), RLLC_EUSAGE);
}

/* Every option that is not of the schedule: accepted where it is read, refused by name where it is not. */
static void test_unread_option_is_refused(void **state) {
    (void)state;
    static const char *const values[][2] = {
        {"lr", "0.01"}, {"noise_level", "0.5"}, {"weight_decay", "1"}, {"bounding_box", "2"},
        {"rmsprop_variant", "corrected"}, {"rmsprop_alpha", "0.9"}, {"rmsprop_eps", "0.2"}, {"rmsprop_freeze", "true"},
        {"momentum_decay", "0.2"}, {"diffusion_factor", "0.1"}, {"num_leapfrog_steps", "3"},
    };
    static const char *const schedule[][2] = {
        {"nbeta", "10"}, {"localization", "3"}, {"init_noise", "0.1"}, {"num_chains", "2"}, {"num_draws", "5"},
        {"num_burnin_steps", "7"}, {"num_steps_bw_draws", "2"}, {"batch_size", "8"}, {"num_init_loss_batches", "3"},
        {"gradient_accumulation_steps", "2"}, {"seed", "3"}, {"compat", "devinterp1"},
    };
    enum { VALUES = sizeof values / sizeof *values, SCHEDULE = sizeof schedule / sizeof *schedule };
    assert_int_equal(VALUES + SCHEDULE + 1, rllc_sampler_option_table.n); /* and `sampler`: none is forgotten */
    int n, refused = 0;
    const rllc_sampler_kind *const *kinds = rllc_sampler_list(&n);
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < VALUES; i++) {
            rllc_sampler_options o = chain_options(kinds[k]->name);
            o.num_burnin_steps = 10; /* rmsprop_freeze wants some */
            assert_ok(rllc_options_set(&rllc_sampler_option_table, &o, values[i][0], values[i][1], "test"));
            if (reads(kinds[k], values[i][0])) {
                assert_ok(rllc_sampler_check(&o));
                continue;
            }
            assert_refused(&o, values[i][0]);
            assert_refused(&o, kinds[k]->name);
            refused++;
        }
        for (int i = 0; i < SCHEDULE; i++) {
            rllc_sampler_options o = chain_options(kinds[k]->name);
            assert_ok(rllc_options_set(&rllc_sampler_option_table, &o, schedule[i][0], schedule[i][1], "test"));
            assert_ok(rllc_sampler_check(&o));
        }
    }
    assert_int_equal(refused, 7 * VALUES - (4 + 4 + 8 + 5 + 5 + 3 + 4)); /* as many as are read, rule by rule */
}

/* What a rule says that it reads does change its chain. */
static double bowl(int64_t dim, const float *w, float *gradient) {
    double loss = 0;
    for (int64_t i = 0; i < dim; i++) {
        loss += 0.5 * (double)w[i] * (double)w[i];
        gradient[i] = w[i];
    }
    return loss;
}

static void test_read_option_has_an_effect(void **state) {
    (void)state;
    static const char *const values[][2] = {
        {"lr", "0.002"}, {"noise_level", "0.5"}, {"weight_decay", "5"}, {"bounding_box", "0.001"}, {"nbeta", "40"},
        {"localization", "100"}, {"rmsprop_variant", "corrected"}, {"rmsprop_alpha", "0.9"}, {"rmsprop_eps", "0.2"},
        {"rmsprop_freeze", "true"}, {"momentum_decay", "0.2"}, {"diffusion_factor", "0.1"}, {"num_leapfrog_steps", "3"},
    };
    const rllc_span span = {0, 4};
    const float w0[4] = {0.5f, -0.5f, 0.25f, 1};
    int n;
    const rllc_sampler_kind *const *kinds = rllc_sampler_list(&n);
    for (int k = 0; k < n; k++)
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            const bool common = strcmp(values[i][0], "nbeta") == 0 || strcmp(values[i][0], "localization") == 0;
            if (!common && !reads(kinds[k], values[i][0])) continue;
            rllc_sampler_options o = chain_options(kinds[k]->name);
            o.num_burnin_steps = 2;
            chain plain = chain_make(&o, bowl, 4, w0, &span, 1);
            assert_ok(rllc_options_set(&rllc_sampler_option_table, &o, values[i][0], values[i][1], "test"));
            chain changed = chain_make(&o, bowl, 4, w0, &span, 1);
            for (int step = 0; step < 4; step++) {
                chain_step(&plain);
                chain_step(&changed);
            }
            assert_memory_not_equal(plain.s.w, changed.s.w, 4 * sizeof(float));
            chain_release(&plain);
            chain_release(&changed);
        }
}

static void test_combinations_without_sense_are_refused(void **state) {
    (void)state;
    rllc_sampler_options o = chain_options("rmsprop-sgld");
    o.rmsprop_freeze = true;
    assert_refused(&o, "num_burnin_steps is 0");
    o.num_burnin_steps = 1;
    assert_ok(rllc_sampler_check(&o));
    o = chain_options("rmsprop-sgld");
    o.rmsprop_alpha = 1;
    assert_ok(rllc_sampler_check(&o));
    o.rmsprop_variant = 1;
    assert_refused(&o, "rmsprop_alpha 1");
    o = chain_options("sghmc");
    o.momentum_decay = 0;
    assert_refused(&o, "momentum_decay 0");
    o = chain_options("sgnht");
    o.diffusion_factor = 0;
    assert_refused(&o, "diffusion_factor 0");
}

/* Several draws, burn-in, thinning: the steps and draws of a chain. */
static void test_schedule(void **state) {
    (void)state;
    rllc_sampler_options o = chain_options("sgld");
    o.num_burnin_steps = 7;
    o.num_draws = 3;
    o.num_steps_bw_draws = 4;
    assert_int_equal(rllc_sampler_steps(&o), 19);
    assert_int_equal(rllc_sampler_draws(&o), 3);
    for (int64_t step = 0; step < 25; step++)
        assert_int_equal(rllc_sampler_draw_at(&o, step), step == 10 ? 0 : step == 14 ? 1 : step == 18 ? 2 : -1);
    o.compat = RLLC_COMPAT_DEVINTERP2;
    assert_int_equal(rllc_sampler_draws(&o), 19);
    for (int64_t step = 0; step < 25; step++) assert_int_equal(rllc_sampler_draw_at(&o, step), step < 19 ? step : -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registry_is_sound),
        cmocka_unit_test(test_unknown_sampler_is_refused),
        cmocka_unit_test(test_unread_option_is_refused),
        cmocka_unit_test(test_read_option_has_an_effect),
        cmocka_unit_test(test_combinations_without_sense_are_refused),
        cmocka_unit_test(test_schedule),
    };
    return cmocka_run_group_tests_name("sampler options", tests, NULL, NULL);
}
