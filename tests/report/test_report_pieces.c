/* report: numbers for people, thinning, curves apart by setting, JSON of unknown shape. */
#include "report/internal.h"
#include "report/synthetic.h"

static void assert_printed(rllc_status status, rllc_string *s, const char *expected) {
    assert_int_equal(status, RLLC_OK);
    assert_string_equal(rllc_string_text(s), expected);
    rllc_string_clear(s);
}

static void test_numbers_are_written_for_people(void **state) {
    rllc_string s = {0};
    (void)state;
    assert_printed(rllc_report_add_count(&s, 0), &s, "0");
    assert_printed(rllc_report_add_count(&s, 999), &s, "999");
    assert_printed(rllc_report_add_count(&s, 1000), &s, "1,000");
    assert_printed(rllc_report_add_count(&s, 1234567), &s, "1,234,567");
    assert_printed(rllc_report_add_count(&s, -123456), &s,
                   "\xE2\x88\x92"
                   "123,456");
    assert_printed(rllc_report_add_count(&s, INT64_MIN), &s,
                   "\xE2\x88\x92"
                   "9,223,372,036,854,775,808");
    assert_printed(rllc_report_add_number(&s, 2.1649, 2), &s, "2.16");
    assert_printed(rllc_report_add_number(&s, -0.5, 1), &s,
                   "\xE2\x88\x92"
                   "0.5");
    assert_printed(rllc_report_add_number(&s, -0.0001, 2), &s, "0.00");
    assert_printed(rllc_report_add_number(&s, NAN, 2), &s, "\xE2\x80\x93");
    assert_printed(rllc_report_add_number(&s, -INFINITY, 2), &s, "\xE2\x88\x92\xE2\x88\x9E");
    assert_printed(rllc_report_add_number(&s, 1e300, 5), &s, "1e+300");
    assert_printed(rllc_report_add_duration(&s, 0.04), &s, "0.04 s");
    assert_printed(rllc_report_add_duration(&s, 42.3), &s, "42 s");
    assert_printed(rllc_report_add_duration(&s, 59.97), &s, "1 min 00 s");
    assert_printed(rllc_report_add_duration(&s, 3599.7), &s, "1 h 00 min");
    assert_printed(rllc_report_add_duration(&s, 7500), &s, "2 h 05 min");
    assert_printed(rllc_report_add_duration(&s, 90000), &s, "1 d 01 h");
    assert_printed(rllc_report_add_duration(&s, NAN), &s, "\xE2\x80\x93");
    rllc_string_release(&s);
}

static void test_decimals_suit_the_error(void **state) {
    static const struct {
        double error;
        int decimals;
    } known[] = {{0.0213, 3}, {0.0354, 3}, {0.0356, 2}, {0.19, 2}, {0.5, 1}, {2.0, 1},
                 {5.0, 0},    {30, 0},     {1e-9, 5},   {NAN, 2},  {0, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(rllc_report_decimals(known[i].error), known[i].decimals);
}

static void test_thinning_keeps_the_mean_and_the_order(void **state) {
    enum { N = 5000 };
    static double x[N], y[N];
    (void)state;
    for (int log_x = 0; log_x < 2; log_x++) {
        double sum = 0, weighted = 0;
        for (int i = 0; i < N; i++) {
            x[i] = 2.0 * i;
            y[i] = 1.0;
            sum += x[i];
        }
        int64_t n = rllc_report_thin(x, y, N, 100, log_x);
        assert_true(n > 50 && n <= 101); /* the last point may stand in a group of its own */
        double left = 0;
        for (int64_t i = 0; i < n; i++) {
            assert_true(y[i] == 1.0 && (i == 0 || x[i] > x[i - 1]));
            double half = x[i] - left; /* a group is evenly spaced: it reaches as far beyond its mean as before it */
            double count = half + 1;
            weighted += count * x[i];
            left = x[i] + half + 2;
        }
        assert_true(fabs(weighted - sum) < 1e-9 * sum);
    }
    for (int i = 0; i < 10; i++) x[i] = i, y[i] = i;
    assert_int_equal(rllc_report_thin(x, y, 10, 100, true), 10);
    for (int i = 0; i < 10; i++) x[i] = 3;
    assert_int_equal(rllc_report_thin(x, y, 10, 2, true), 10); /* nothing to divide by */
}

static void test_heads_are_recognised(void **state) {
    int l = -9, h = -9;
    (void)state;
    assert_true(rllc_report_head("l0h3", &l, &h) && l == 0 && h == 3);
    assert_true(rllc_report_head("l12h10", &l, &h) && l == 12 && h == 10);
    static const char *const others[] = {"l0", "l0 attn", "full", "l0h1+l0h4", "l0h", "h3", "l-1h2", "", "l0h3x"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_false(rllc_report_head(others[i], &l, &h));
}

static void test_json_is_found_at_any_depth(void **state) {
    (void)state;
    rllc_json *j =
        rllc_report_parse("{\"a\":[{\"b\":{\"sampler\":{\"lr\":0.25}}},1],\"none\":null,\"yes\":true,\"x\":\"t\"}");
    rllc_string s = {0};
    assert_true(rllc_json_to_real(rllc_report_find(j, "lr"), 0) == 0.25);
    assert_null(rllc_report_find(j, "sampler")); /* objects hold settings, they are none */
    assert_null(rllc_report_find(j, "absent"));
    assert_printed(rllc_report_add_scalar(&s, rllc_report_find(j, "lr")), &s, "0.25");
    assert_printed(rllc_report_add_scalar(&s, rllc_report_find(j, "none")), &s, "none");
    assert_printed(rllc_report_add_scalar(&s, rllc_report_find(j, "yes")), &s, "yes");
    assert_printed(rllc_report_add_scalar(&s, rllc_report_find(j, "x")), &s, "t");
    rllc_json_free(j);
    rllc_string_release(&s);
    assert_null(rllc_report_parse("{broken"));
}

/* ---- curves ---------------------------------------------------------------------------------------------- */

static void test_curves_hold_every_estimate_in_order(void **state) {
    rllc_store *s = open_store(state);
    synthetic_options o = synthetic_default;
    rllc_report_curves c;
    o.seeds = 2;
    o.troubled = false;
    synthetic_fill(s, &o);
    assert_ok(rllc_report_curves_load(&c, s));
    assert_int_equal(c.n_settings, 2 * 3);
    assert_int_equal(c.n_points, 2 * 3 * (8 + 5) * SYNTHETIC_STEPS);
    int64_t points = 0;
    for (int64_t i = 0; i < c.n_settings; i++) {
        const rllc_report_setting *t = &c.settings[i];
        assert_int_equal(t->seed, 1 + i / 3);
        assert_int_equal(t->refined_data, i % 3 != 0); /* the training corpus first */
        assert_int_equal(t->last_step, 10000);
        assert_int_equal(t->n_curves, 13);
        assert_true(t->curves[0].full && !t->curves[1].full);
        for (int k = 0; k < 8; k++) assert_true(t->curves[1 + k].layer == k / 4 && t->curves[1 + k].head == k % 4);
        for (int64_t k = 0; k < t->n_curves; k++) {
            assert_int_equal(t->curves[k].n, SYNTHETIC_STEPS);
            rllc_series line = rllc_report_series(&c, &t->curves[k], 0);
            for (int p = 0; p < SYNTHETIC_STEPS; p++, points++) {
                const rllc_store_estimate *e = &c.estimates[c.order[t->curves[k].first + p]];
                assert_true(line.x[p] == (double)synthetic_steps[p] && line.y[p] == e->llc_mean);
                assert_true(line.low[p] == e->llc_mean - e->llc_sd && line.high[p] == e->llc_mean + e->llc_sd);
            }
        }
    }
    assert_int_equal(points, c.n_points);
    rllc_report_curves_release(&c);
    rllc_store_close(s);
}

/* Puts an estimate for one head; returns its cell's id. */
static int64_t put(rllc_store *s, int64_t checkpoint, int64_t corpus, const char *identity, const char *options,
                   double mean) {
    int64_t provenance;
    rllc_json *j = rllc_json_object();
    assert_ok(rllc_store_provenance(s, j, &provenance));
    rllc_json_free(j);
    rllc_store_cell c = {.checkpoint_id = checkpoint,
                         .corpus_id = corpus,
                         .component = "l0h0",
                         .identity = identity,
                         .dim = 5,
                         .loss_kind = "next_token",
                         .options_json = options,
                         .provenance_id = provenance,
                         .nbeta = 30};
    assert_ok(rllc_store_put_cell(s, &c));
    rllc_store_estimate e = {.cell_id = c.id,
                             .name = "wrLLC",
                             .llc_mean = mean,
                             .llc_sd = NAN,
                             .llc_se = NAN,
                             .llc_mean_init = mean,
                             .llc_sd_init = NAN,
                             .llc_se_init = NAN,
                             .n_chains = 1,
                             .per_chain_json = "{}"};
    assert_ok(rllc_store_put_estimate(s, &e));
    return c.id;
}

static void test_settings_stay_apart_and_newer_weights_win(void **state) {
    rllc_store *s = open_store(state);
    rllc_report_curves c;
    rllc_store_corpus mix = {.name = "mix", .hash = "a", .trained_on = true, .json = "{}"};
    rllc_store_checkpoint at[3] = {{.seed = 1, .step = 5, .hash = "old"},
                                   {.seed = 1, .step = 5, .hash = "new"},
                                   {.seed = 1, .step = 9, .hash = "x"}};
    assert_ok(rllc_store_put_corpus(s, &mix));
    for (int i = 0; i < 3; i++) {
        at[i].path = "p";
        at[i].model_json = "{}";
        at[i].n_layers = at[i].n_heads = 1;
        assert_ok(rllc_store_put_checkpoint(s, &at[i]));
    }
    put(s, at[1].id, mix.id, "1", "{\"lr\":1}", 2.5);
    put(s, at[0].id, mix.id, "2", "{\"lr\":1}", 1.5); /* stored later, but of older weights */
    put(s, at[2].id, mix.id, "3", "{\"lr\":1}", 3.5);
    put(s, at[2].id, mix.id, "4", "{\"lr\":2}", 7.5);
    assert_ok(rllc_report_curves_load(&c, s));
    assert_int_equal(c.n_replaced, 1);
    assert_int_equal(c.n_settings, 2);
    assert_string_equal(c.settings[0].corpus, "mix");
    assert_string_equal(c.settings[1].corpus, "mix (2)");
    assert_int_equal(c.settings[0].curves[0].n, 2);
    assert_true(c.mean[0] == 2.5 && c.mean[1] == 3.5 && c.mean[2] == 7.5);
    assert_true(isnan(c.low[0]) && isnan(c.high[0]));
    rllc_report_curves_release(&c);
    rllc_store_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_written_for_people),
        cmocka_unit_test(test_decimals_suit_the_error),
        cmocka_unit_test(test_thinning_keeps_the_mean_and_the_order),
        cmocka_unit_test(test_heads_are_recognised),
        cmocka_unit_test(test_json_is_found_at_any_depth),
        WITH_SCRATCH(test_curves_hold_every_estimate_in_order),
        WITH_SCRATCH(test_settings_stay_apart_and_newer_weights_win),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
