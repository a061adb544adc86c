/* Composition of every checkpoint into a run's store: rows, chance, and not twice. */
#include <ftw.h>

#include "mechinterp/composition.h"
#include "support/support.h"

static int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *at) {
    (void)s;
    (void)kind;
    (void)at;
    return remove(path);
}

static void put_checkpoint(rllc_store *s, const char *folder, const rllc_model *m, int step) {
    rllc_json *j;
    rllc_string text = {0};
    const char *path = rllc_intern_printf("%s/step%d.safetensors", folder, step);
    assert_ok(rllc_model_save(m, NULL, path, NULL));
    assert_ok(rllc_options_to_json(&rllc_model_option_table, &m->options, &j));
    assert_ok(rllc_json_print(j, 0, true, &text));
    const rllc_hash h = rllc_model_hash(m);
    rllc_store_checkpoint c = {.seed = 1,
                               .step = step,
                               .hash = h.hex,
                               .path = path,
                               .n_layers = m->options.n_layers,
                               .n_heads = m->options.n_heads,
                               .model_json = rllc_string_text(&text)};
    assert_ok(rllc_store_put_checkpoint(s, &c));
    rllc_json_free(j);
    rllc_string_release(&text);
}

static void check_rows(rllc_store *s, const rllc_model *m, const char *metric, int kind, bool folded, int64_t steps) {
    const int64_t H = m->options.n_heads, heads = m->options.n_layers * H;
    double *scores = test_memory(heads * heads, sizeof *scores);
    rllc_store_pair *list;
    int64_t n;
    assert_ok(rllc_composition_scores(m, kind, folded, scores));
    assert_ok(rllc_store_pairs(s, metric, &list, &n));
    assert_int_equal(n, steps * 3 * H * H); /* 3 pairs of layers */
    for (int64_t i = 0; i < n; i++) {
        const int64_t from = list[i].from_layer * H + list[i].from_head, to = list[i].to_layer * H + list[i].to_head;
        assert_true(list[i].from_layer < list[i].to_layer);
        if (list[i].step == 0) assert_memory_equal(&list[i].value, &scores[from * heads + to], sizeof(double));
        assert_true(list[i].chance == rllc_composition_chance(&m->options, kind, folded));
        assert_true(list[i].n == 0 && isnan(list[i].se));
        assert_string_equal(list[i].corpus, "");
    }
    rllc_free(list);
    free(scores);
}

static void test_every_pair_of_every_checkpoint_is_stored(void **state) {
    (void)state;
    char folder[] = "/tmp/rllc-composition-XXXXXX";
    rllc_model m;
    rllc_model_options o;
    rllc_analysis_cost cost;
    rllc_analysis_job job = {.folder = folder, .bos = -1, .n_threads = 1};
    const rllc_analysis_request asked = {"compose", "all"};
    assert_non_null(mkdtemp(folder));
    assert_ok(rllc_store_open(&job.store, rllc_intern_printf("%s/run.db", folder), RLLC_STORE_WRITE));
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = 3;
    o.n_heads = 2;
    o.d_model = 12;
    o.d_head = 4;
    o.n_ctx = 8;
    o.d_vocab = 9;
    assert_ok(rllc_model_init(&m, &o));
    for (int step = 1; step >= 0; step--) {
        rllc_model_randomize(&m, (uint64_t)step);
        put_checkpoint(job.store, folder, &m, step);
    }
    assert_ok(rllc_analyze_cost(&job, &asked, 1, &cost));
    assert_int_equal(cost.missing, 2 * RLLC_COMPOSITIONS);
    assert_true(cost.tokens == 0 && cost.flops > 0);
    assert_ok(rllc_analyze(&job, &asked, 1));
    for (int kind = 0; kind < RLLC_COMPOSITIONS; kind++) {
        check_rows(job.store, &m, rllc_composition_names[kind], kind, false, 2);
        check_rows(job.store, &m, rllc_intern_printf("%s/ln", rllc_composition_names[kind]), kind, true, 2);
    }
    assert_ok(rllc_analyze_cost(&job, &asked, 1, &cost));
    assert_int_equal(cost.missing, 0);
    rllc_model_release(&m);
    rllc_store_close(job.store);
    (void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_pair_of_every_checkpoint_is_stored)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
