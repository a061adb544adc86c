/* The store keeps what it is given: the run and what was measured, NaN and infinities, orders, replacements, nested
 * transactions; and its documentation names every column. */
#include "store/samples.h"

#include <sqlite3.h>

/* ---- the run --------------------------------------------------------------------------------------------- */

static void test_meta_replaces_and_survives(void **state) {
    const char *path = fresh(state);
    rllc_string text = {0};
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    assert_fails(rllc_store_get_meta(s, "title", &text), RLLC_ENOTFOUND, "has no 'title'");
    assert_ok(rllc_store_set_meta(s, "title", "one"));
    assert_ok(rllc_store_set_meta(s, "title", "two \xC3\xA9 'quoted'; --"));
    assert_ok(rllc_store_set_meta(s, "empty", NULL));
    rllc_store_close(s);
    s = open_store(path, RLLC_STORE_READ);
    assert_ok(rllc_string_add(&text, "> "));
    assert_ok(rllc_store_get_meta(s, "title", &text));
    assert_ok(rllc_store_get_meta(s, "empty", &text));
    assert_string_equal(rllc_string_text(&text), "> two \xC3\xA9 'quoted'; --");
    rllc_string_release(&text);
    rllc_store_close(s);
    rllc_store_close(NULL);
}

static void test_provenance_is_one_row_a_process(void **state) {
    const char *path = fresh(state);
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    const int64_t first = put_provenance(s);
    assert_int_equal(put_provenance(s), first);
    rllc_store_close(s);
    s = open_store(path, RLLC_STORE_WRITE);
    assert_int_equal(put_provenance(s), first);
    rllc_json *other = rllc_json_object();
    int64_t id = 0;
    assert_ok(rllc_store_provenance(s, other, &id)); /* the same process, told differently, is told again */
    assert_int_not_equal(id, first);
    rllc_string text = {0};
    assert_ok(rllc_store_get_provenance(s, first, &text));
    assert_string_equal(rllc_string_text(&text), "{\"version\": \"1\"}");
    assert_fails(rllc_store_get_provenance(s, 99, &text), RLLC_ENOTFOUND, "no provenance 99");
    rllc_string_release(&text);
    rllc_json_free(other);
    rllc_store_close(s);
}

static void test_stage_is_done_for_its_last_input_only(void **state) {
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    assert_false(rllc_store_stage_is_done(s, "train", "a"));
    assert_ok(rllc_store_stage_done(s, "train", "a"));
    assert_true(rllc_store_stage_is_done(s, "train", "a"));
    assert_false(rllc_store_stage_is_done(s, "sample", "a"));
    assert_ok(rllc_store_stage_done(s, "train", "b"));
    assert_false(rllc_store_stage_is_done(s, "train", "a"));
    assert_true(rllc_store_stage_is_done(s, "train", "b"));
    rllc_store_close(s);
}

/* ---- what was measured ----------------------------------------------------------------------------------- */

static void test_corpus_is_found_by_name_and_hash(void **state) {
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    rllc_store_corpus a = {.name = "mix", .hash = "1", .trained_on = true, .json = "{}"}, b = a, *list = NULL;
    int64_t n = 0;
    assert_ok(rllc_store_put_corpus(s, &a));
    b.json = "{\"changed\":1}";
    assert_ok(rllc_store_put_corpus(s, &b));
    assert_int_equal(a.id, b.id);
    b.hash = "2";
    b.trained_on = false;
    assert_ok(rllc_store_put_corpus(s, &b));
    assert_int_not_equal(a.id, b.id);
    assert_ok(rllc_store_corpora(s, &list, &n));
    assert_int_equal(n, 2);
    assert_string_equal(list[0].json, "{\"changed\":1}");
    assert_true(list[0].trained_on && !list[1].trained_on);
    assert_string_equal(list[1].hash, "2");
    assert_ptr_equal(list[0].name, rllc_intern("mix"));
    rllc_free(list);
    rllc_store_close(s);
}

static void test_checkpoints_come_by_seed_and_step(void **state) {
    static const uint64_t seeds[] = {UINT64_MAX, 1, 1, 0, (uint64_t)1 << 63, 1};
    static const int64_t steps[] = {0, 1000, 20, 5, 7, 1000};
    static const int order[] = {3, 2, 1, 5, 4, 0};
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    rllc_store_checkpoint *list = NULL;
    int64_t n = 0, ids[6];
    assert_ok(rllc_store_checkpoints(s, &list, &n));
    assert_int_equal(n, 0);
    rllc_free(list);
    for (int i = 0; i < 6; i++) {
        rllc_store_checkpoint c = {.seed = seeds[i],
                                   .step = steps[i],
                                   .hash = rllc_intern_printf("%d", i),
                                   .path = "p",
                                   .n_layers = i,
                                   .n_heads = 8,
                                   .model_json = "{}"};
        assert_ok(rllc_store_put_checkpoint(s, &c));
        ids[i] = c.id;
    }
    assert_ok(rllc_store_checkpoints(s, &list, &n));
    assert_int_equal(n, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(list[i].id, ids[order[i]]);
        assert_true(list[i].seed == seeds[order[i]]);
        assert_int_equal(list[i].step, steps[order[i]]);
        assert_int_equal(list[i].n_layers, order[i]);
    }
    rllc_free(list);
    rllc_store_close(s);
}

static void test_checkpoint_paths_inside_the_folder_become_relative(void **state) {
    static const char *const given[] = {"/checkpoints/step0/model.safetensors", "/other.safetensors"};
    const char *folder = scratch_path(state, "inside");
    assert_ok(rllc_make_folders(rllc_intern_printf("%s/checkpoints/step0", folder)));
    assert_ok(rllc_file_write(rllc_intern_printf("%s%s", folder, given[0]), "", 0));
    rllc_store *s = open_store(rllc_intern_printf("%s/run.db", folder), RLLC_STORE_WRITE);
    rllc_store_checkpoint *list = NULL, c = {.hash = "w", .model_json = "{}"};
    int64_t n = 0;
    for (int i = 0; i < 2; i++) {
        c.step = i;
        c.path = rllc_intern_printf("%s%s", folder, given[i]); /* the second does not exist */
        assert_ok(rllc_store_put_checkpoint(s, &c));
    }
    c.step = 2;
    c.path = "/elsewhere/model.safetensors";
    assert_ok(rllc_store_put_checkpoint(s, &c));
    c.step = 3;
    c.path = "already/relative";
    assert_ok(rllc_store_put_checkpoint(s, &c));
    c.step = 4;
    c.path = rllc_intern_printf("%s-other/model.safetensors", folder); /* begins alike, but is not inside */
    assert_ok(rllc_store_put_checkpoint(s, &c));
    assert_ok(rllc_store_checkpoints(s, &list, &n));
    assert_string_equal(list[4].path, c.path);
    assert_string_equal(list[0].path, "checkpoints/step0/model.safetensors");
    assert_string_equal(list[1].path, "other.safetensors");
    assert_string_equal(list[2].path, "/elsewhere/model.safetensors");
    assert_string_equal(list[3].path, "already/relative");
    rllc_free(list);
    rllc_store_close(s);
}

static void test_training_keeps_numbers_that_are_not_finite(void **state) {
    static const double values[] = {3.25, NAN, INFINITY, -INFINITY, 0x1p-1074, -0.0, 1.7976931348623157e308, 1.0 / 3};
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    rllc_store_point *list = NULL;
    int64_t n = 0;
    for (int i = 7; i >= 0; i--) {
        assert_ok(rllc_store_put_training(s, 5, i, "train_loss", -1));
        assert_ok(rllc_store_put_training(s, 5, i, "train_loss", values[i]));
        assert_ok(rllc_store_put_training(s, 5, i, "seconds", 0));
    }
    assert_ok(rllc_store_training(s, "train_loss", &list, &n));
    assert_int_equal(n, 8);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(list[i].step, i);
        assert_same_real(list[i].value, values[i]);
    }
    rllc_free(list);
    assert_ok(rllc_store_training(s, "no such metric", &list, &n));
    assert_int_equal(n, 0);
    rllc_free(list);
    rllc_store_close(s);
}

static void test_rewind_drops_what_was_not_measured(void **state) {
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    const rllc_store_cell cell = put_cell(s, 1, 300, "mix", "full");
    rllc_store_checkpoint *list = NULL, c = {.seed = 1, .hash = "x", .path = "p", .model_json = "{}"};
    rllc_store_point *points = NULL;
    rllc_store_cell *cells = NULL;
    int64_t n = 0;
    for (c.step = 100; c.step <= 400; c.step += 100) {
        assert_ok(rllc_store_put_checkpoint(s, &c));
        assert_ok(rllc_store_put_training(s, 1, c.step, "train_loss", 1));
    }
    const rllc_store_score score = {.checkpoint_id = c.id, .metric = "m", .value = 1}; /* of step 400 */
    assert_ok(rllc_store_put_score(s, &score));
    c.seed = 2;
    assert_ok(rllc_store_put_checkpoint(s, &c));
    assert_ok(rllc_store_rewind_training(s, 1, 200));
    assert_ok(rllc_store_checkpoints(s, &list, &n));
    assert_int_equal(n, 5); /* 100, 200, the sampled one of 300 (not the other), the scored one of 400; seed 2 */
    assert_int_equal(list[2].id, cell.checkpoint_id);
    assert_int_equal(list[3].step, 400);
    assert_ok(rllc_store_training(s, "train_loss", &points, &n));
    assert_int_equal(n, 2);
    assert_ok(rllc_store_cells(s, &cells, &n));
    assert_int_equal(n, 1);
    rllc_free(list);
    rllc_free(points);
    rllc_free(cells);
    rllc_store_close(s);
}

static void test_scores_are_replaced_and_ordered(void **state) {
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    const rllc_store_cell late = put_cell(s, 1, 100, "mix", "full"), early = put_cell(s, 1, 5, "mix", "full");
    rllc_store_score *list = NULL, score = {.checkpoint_id = late.checkpoint_id,
                                            .metric = "b",
                                            .layer = 1,
                                            .head = 2,
                                            .value = 0.5,
                                            .se = NAN,
                                            .n = 100};
    int64_t n = 0;
    assert_ok(rllc_store_put_score(s, &score));
    score.value = 0.75;
    assert_ok(rllc_store_put_score(s, &score));
    score.layer = score.head = -1;
    score.corpus = "code";
    score.se = 0.125;
    assert_ok(rllc_store_put_score(s, &score));
    score.checkpoint_id = early.checkpoint_id;
    assert_ok(rllc_store_put_score(s, &score));
    score.metric = "a";
    assert_ok(rllc_store_put_score(s, &score));
    assert_ok(rllc_store_scores(s, NULL, &list, &n));
    assert_int_equal(n, 4);
    assert_string_equal(list[0].metric, "a");
    assert_int_equal(list[1].step, 5);
    assert_int_equal(list[1].seed, 1);
    assert_int_equal(list[2].layer, -1);
    assert_string_equal(list[2].corpus, "code");
    assert_true(list[2].se == 0.125 && isnan(list[3].se));
    assert_true(list[3].value == 0.75 && list[3].head == 2 && list[3].n == 100);
    assert_string_equal(list[3].corpus, "");
    rllc_free(list);
    assert_ok(rllc_store_scores(s, "b", &list, &n));
    assert_int_equal(n, 3);
    rllc_free(list);
    score.checkpoint_id = 999;
    assert_fails(rllc_store_put_score(s, &score), RLLC_EMISMATCH, "FOREIGN KEY");
    rllc_store_close(s);
}

/* ---- transactions ---------------------------------------------------------------------------------------- */

static bool has_meta(rllc_store *s, const char *key) {
    rllc_string text = {0};
    const rllc_status status = rllc_store_get_meta(s, key, &text);
    assert_true(status == RLLC_OK || status == RLLC_ENOTFOUND);
    rllc_string_release(&text);
    return status == RLLC_OK;
}

static void test_transactions_nest(void **state) {
    const char *path = fresh(state);
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_set_meta(s, "outer", "1"));
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_set_meta(s, "undone", "1"));
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_set_meta(s, "undone too", "1"));
    assert_ok(rllc_store_commit(s));
    rllc_store_rollback(s);
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_set_meta(s, "inner", "1"));
    assert_ok(rllc_store_commit(s));
    assert_fails(rllc_store_update_cell(s, 1, true, 0), RLLC_ENOTFOUND, "no cell"); /* a failure inside harms nothing */
    rllc_store *reader = open_store(path, RLLC_STORE_READ);
    assert_false(has_meta(reader, "outer"));
    rllc_store_close(reader);
    assert_ok(rllc_store_commit(s));
    assert_true(has_meta(s, "outer") && has_meta(s, "inner") && !has_meta(s, "undone") && !has_meta(s, "undone too"));
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_set_meta(s, "between", "1"));
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_set_meta(s, "innermost", "1"));
    rllc_store_rollback(s);
    assert_true(has_meta(s, "between") && !has_meta(s, "innermost"));
    rllc_store_rollback(s); /* the second undoes its own level, not that of the first again */
    assert_ok(rllc_store_commit(s));
    assert_false(has_meta(s, "between"));
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_set_meta(s, "never", "1"));
    rllc_store_rollback(s);
    rllc_store_rollback(s);
    assert_false(has_meta(s, "never"));
    assert_fails(rllc_store_commit(s), RLLC_EFAIL, "no open transaction");
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_set_meta(s, "closed", "1"));
    rllc_store_close(s); /* closing rolls back */
    s = open_store(path, RLLC_STORE_READ);
    assert_true(has_meta(s, "inner") && !has_meta(s, "closed"));
    rllc_store_close(s);
}

static void test_put_chain_happens_whole_or_not_at_all(void **state) {
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    const rllc_store_cell cell = put_cell(s, 1, 100, "mix", "l0h3");
    rllc_store_chain out;
    assert_ok(append_draws(s, cell.id, 0, 0, 5));
    assert_ok(rllc_store_begin(s));
    assert_int_equal(append_draws(s, cell.id, 0, 9, 5), RLLC_EMISMATCH); /* fails after the row was replaced */
    assert_ok(rllc_store_commit(s));
    assert_ok(rllc_store_get_chain(s, cell.id, 0, &out, NULL, 0, NULL));
    assert_int_equal(out.n_draws, 5);
    assert_int_equal(out.step, 5);
    check_draws(s, cell.id, 0, 5);
    rllc_store_close(s);
}

static void test_reader_cannot_write(void **state) {
    const char *path = fresh(state);
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    put_everything(s);
    rllc_store_close(s);
    s = open_store(path, RLLC_STORE_READ);
    assert_fails(rllc_store_set_meta(s, "a", "b"), RLLC_EFAIL, "opened for reading");
    assert_fails(rllc_store_put_training(s, 1, 1, "m", 1), RLLC_EFAIL, "opened for reading");
    assert_ok(rllc_store_begin(s));
    assert_ok(read_everything(s));
    assert_ok(rllc_store_commit(s));
    rllc_store_close(s);
}

/* ---- documentation --------------------------------------------------------------------------------------- */

/* Every table has its heading in docs/store.md and every column its row below it. */
static void test_schema_is_documented_column_by_column(void **state) {
    const char *path = fresh(state);
    rllc_store_close(open_store(path, RLLC_STORE_WRITE));
    rllc_mapping docs;
    assert_ok(rllc_mapping_open(&docs, RLLC_SOURCE_DIR "/docs/store.md"));
    char *text = strndup((const char *)docs.data, docs.size);
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    int columns = 0;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT t.name, c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c"
                                        " WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'",
                                        -1, &row, NULL),
                     SQLITE_OK);
    while (sqlite3_step(row) == SQLITE_ROW) {
        const char *table = (const char *)sqlite3_column_text(row, 0),
                   *column = (const char *)sqlite3_column_text(row, 1);
        const char *heading = strstr(text, rllc_intern_printf("\n### %s\n", table));
        if (!heading) fail_msg("docs/store.md does not describe table %s", table);
        const char *next = strstr(heading + 1, "\n### "),
                   *line = strstr(heading, rllc_intern_printf("\n| `%s` |", column));
        if (!line || (next && line > next)) fail_msg("docs/store.md does not describe %s.%s", table, column);
        columns++;
    }
    assert_true(columns > 70);
    sqlite3_finalize(row);
    sqlite3_close(db);
    free(text);
    rllc_mapping_close(&docs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_meta_replaces_and_survives),
        cmocka_unit_test(test_provenance_is_one_row_a_process),
        cmocka_unit_test(test_stage_is_done_for_its_last_input_only),
        cmocka_unit_test(test_corpus_is_found_by_name_and_hash),
        cmocka_unit_test(test_checkpoints_come_by_seed_and_step),
        cmocka_unit_test(test_checkpoint_paths_inside_the_folder_become_relative),
        cmocka_unit_test(test_training_keeps_numbers_that_are_not_finite),
        cmocka_unit_test(test_rewind_drops_what_was_not_measured),
        cmocka_unit_test(test_scores_are_replaced_and_ordered),
        cmocka_unit_test(test_transactions_nest),
        cmocka_unit_test(test_put_chain_happens_whole_or_not_at_all),
        cmocka_unit_test(test_reader_cannot_write),
        cmocka_unit_test(test_schema_is_documented_column_by_column),
    };
    return cmocka_run_group_tests_name("store", tests, scratch_setup, scratch_teardown);
}
