/* Scores of a run's checkpoints into its store: once, again, with other options, interrupted, and what is refused. */
#include <ftw.h>
#include <sys/stat.h>

#include "support/support.h"

enum { CHECKPOINTS = 3, SCORES = 4, HEADS = 4 };
#define EVERY "previous_token,current_token,prefix_matching,induction"

typedef struct fixture {
    char folder[64];
    rllc_analysis_job job;
    rllc_analysis_request asked;
} fixture;

static const char *model_path(const fixture *f, int step) {
    return rllc_intern_printf("%s/step%d.safetensors", f->folder, step);
}

static void fixture_open(fixture *f) {
    rllc_model_options o;
    rllc_model m;
    rllc_json *j;
    rllc_string text = {0};
    *f = (fixture){.folder = "/tmp/rllc-scores-XXXXXX"};
    assert_non_null(mkdtemp(f->folder));
    assert_ok(rllc_store_open(&f->job.store, rllc_intern_printf("%s/run.db", f->folder), RLLC_STORE_WRITE));
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = o.n_heads = 2;
    o.d_model = 8;
    o.d_head = 4;
    o.n_ctx = 16;
    o.d_vocab = 20;
    o.init_scale = 3;
    assert_ok(rllc_options_to_json(&rllc_model_option_table, &o, &j));
    assert_ok(rllc_json_print(j, 0, true, &text));
    for (int i = 0; i < CHECKPOINTS; i++) {
        assert_ok(rllc_model_init(&m, &o));
        rllc_model_randomize(&m, (uint64_t)i);
        assert_ok(rllc_model_save(&m, NULL, model_path(f, i), NULL));
        const rllc_hash h = rllc_model_hash(&m);
        rllc_store_checkpoint c = {.seed = 1,
                                   .step = i,
                                   .hash = h.hex,
                                   .path = model_path(f, i),
                                   .n_layers = 2,
                                   .n_heads = 2,
                                   .model_json = rllc_string_text(&text)};
        assert_ok(rllc_store_put_checkpoint(f->job.store, &c));
        rllc_model_release(&m);
    }
    rllc_json_free(j);
    rllc_string_release(&text);
    f->job.folder = f->folder;
    f->job.bos = 19;
    f->job.settings.score.score_samples = 300;
    f->job.n_threads = 1;
    f->asked = (rllc_analysis_request){"score", EVERY};
}

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *at) {
    (void)s;
    (void)kind;
    (void)at;
    return remove(path);
}

static void fixture_close(fixture *f) {
    rllc_store_close(f->job.store);
    (void)nftw(f->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static int64_t missing(const fixture *f) {
    rllc_analysis_cost cost;
    assert_ok(rllc_analyze_cost(&f->job, &f->asked, 1, &cost));
    assert_true((cost.tokens > 0) == (cost.missing > 0) && (cost.flops > cost.tokens) == (cost.missing > 0));
    assert_true(cost.tokens <= (double)cost.missing * 16 * (double)f->job.settings.score.score_samples);
    return cost.missing;
}

static int64_t stored(const fixture *f, const char *metric, rllc_store_score **list) {
    int64_t n;
    assert_ok(rllc_store_scores(f->job.store, metric, list, &n));
    return n;
}

static void test_every_checkpoint_gets_every_score(void **state) {
    (void)state;
    fixture f;
    rllc_store_score *list;
    rllc_model m;
    rllc_engine *e;
    double value[HEADS], se[HEADS];
    rllc_score_result r = {.value = value, .se = se};
    fixture_open(&f);
    assert_int_equal(missing(&f), CHECKPOINTS * SCORES);
    assert_ok(rllc_analyze(&f.job, &f.asked, 1));
    assert_int_equal(missing(&f), 0);
    const int64_t n = stored(&f, "prefix_matching", &list);
    assert_int_equal(n, CHECKPOINTS * HEADS);
    for (int step = 0; step < CHECKPOINTS; step++) { /* against a direct evaluation, to the bit */
        assert_ok(rllc_model_load(&m, model_path(&f, step)));
        assert_ok(rllc_engine_new(&e, &m, RLLC_SCORE_ROWS, 1));
        assert_ok(rllc_head_score_evaluate(rllc_head_score_find("prefix_matching"), e, &m, 19, &f.job.settings.score, &r));
        for (int h = 0; h < HEADS; h++) {
            const rllc_store_score *s = &list[step * HEADS + h];
            assert_int_equal(s->step, step);
            assert_int_equal(s->layer, h / 2);
            assert_int_equal(s->head, h % 2);
            assert_int_equal(s->n, 300);
            assert_memory_equal(&s->value, &value[h], sizeof(double));
            assert_memory_equal(&s->se, &se[h], sizeof(double));
            assert_true(s->value > 0 && s->se > 0);
        }
        rllc_engine_free(e);
        rllc_model_release(&m);
    }
    rllc_free(list);
    fixture_close(&f);
}

/** Counts the scores a call measures: one report each. */
static void count_report(void *context, const rllc_progress *p) {
    (void)p;
    ++*(int *)context;
}

static int measured(fixture *f) {
    int n = 0;
    const rllc_monitor monitor = {.context = &n, .progress = count_report};
    f->job.monitor = &monitor;
    assert_ok(rllc_analyze(&f->job, &f->asked, 1));
    f->job.monitor = NULL;
    return n;
}

static void test_only_what_is_missing_is_measured(void **state) {
    (void)state;
    fixture f;
    rllc_store_score *list;
    fixture_open(&f);
    f.asked.items = "induction, previous_token,induction";
    f.job.checkpoints = "0,2";
    assert_int_equal(measured(&f), 4);
    assert_int_equal(measured(&f), 0);
    f.job.checkpoints = NULL;
    assert_int_equal(measured(&f), 2);
    f.asked.items = EVERY;
    assert_int_equal(measured(&f), 6);
    f.job.settings.score.score_seed = 1;
    assert_int_equal(measured(&f), 12);
    f.job.settings.score.score_samples = 301;
    assert_int_equal(measured(&f), 12);
    f.job.bos = -1;
    assert_int_equal(measured(&f), 12);
    assert_int_equal(measured(&f), 0);
    assert_int_equal(stored(&f, NULL, &list), CHECKPOINTS * SCORES * HEADS); /* replaced, not added */
    for (int64_t i = 0; i < CHECKPOINTS * SCORES * HEADS; i++) assert_int_equal(list[i].n, 301);
    rllc_free(list);
    fixture_close(&f);
}

static bool stop_at_zero(void *context) {
    return (*(int *)context)-- == 0;
}

static void test_stop_keeps_what_is_measured(void **state) {
    (void)state;
    fixture f;
    int left = 5;
    fixture_open(&f);
    const rllc_monitor monitor = {.context = &left, .stop = stop_at_zero};
    f.job.monitor = &monitor;
    assert_int_equal(rllc_analyze(&f.job, &f.asked, 1), RLLC_ESTOPPED);
    assert_non_null(strstr(rllc_error_detail(), "5 of 12"));
    f.job.monitor = NULL;
    assert_int_equal(missing(&f), 7);
    assert_int_equal(measured(&f), 7);
    fixture_close(&f);
}

static void test_refusals_name_what_is_wrong(void **state) {
    (void)state;
    fixture f;
    fixture_open(&f);
    f.asked.items = "prefix_maching";
    assert_int_equal(rllc_analyze(&f.job, &f.asked, 1), RLLC_EUSAGE);
    assert_non_null(strstr(rllc_error_detail(), "'prefix_matching'"));
    f.asked.items = EVERY;
    f.job.checkpoints = "1,7";
    assert_int_equal(rllc_analyze(&f.job, &f.asked, 1), RLLC_ENOTFOUND);
    assert_non_null(strstr(rllc_error_detail(), "step 7"));
    f.job.checkpoints = NULL;
    f.job.bos = 20;
    assert_int_equal(rllc_analyze(&f.job, &f.asked, 1), RLLC_EMISMATCH);
    f.job.bos = 19;
    rllc_model m; /* other weights under a known name */
    assert_ok(rllc_model_load(&m, model_path(&f, 1)));
    m.weights[5] += 1;
    assert_ok(rllc_model_save(&m, NULL, model_path(&f, 1), NULL));
    rllc_model_release(&m);
    assert_int_equal(rllc_analyze(&f.job, &f.asked, 1), RLLC_EMISMATCH);
    assert_non_null(strstr(rllc_error_detail(), "step 1"));
    assert_int_equal(missing(&f), 8); /* step 0 was measured before */
    assert_int_equal(unlink(model_path(&f, 1)), 0);
    assert_int_equal(rllc_analyze(&f.job, &f.asked, 1), RLLC_ENOTFOUND);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_checkpoint_gets_every_score),
        cmocka_unit_test(test_only_what_is_missing_is_measured),
        cmocka_unit_test(test_stop_keeps_what_is_measured),
        cmocka_unit_test(test_refusals_name_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
