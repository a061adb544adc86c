/* Synthetic corpora: addressing of rows, threads, the folder that is written, and what hostile settings get. */
#include "generated.h"

static int kinds_in_all(void) {
    int n;
    rllc_synth_list(&n);
    return n;
}

static void test_the_registry_is_sound(void **state) {
    (void)state;
    const rllc_synth_kind *kind;
    int n;
    const rllc_synth_kind *const *kinds = rllc_synth_list(&n);
    assert_true(n >= 6);
    assert_ok(rllc_options_check(&rllc_synth_option_table));
    for (int i = 0; i < n; i++) {
        assert_ok(rllc_synth_find(rllc_synth_name(kinds[i]), &kind));
        assert_ptr_equal(kind, kinds[i]);
        assert_true(strlen(rllc_synth_summary(kind)) > 10);
        if (rllc_synth_kind_table(kind)) assert_ok(rllc_options_check(rllc_synth_kind_table(kind)));
    }
    for (int i = 0; i < RLLC_LABELS; i++) assert_true(strlen(rllc_label_names[i]) > 0);
    assert_fails(rllc_synth_find("markow", &kind), RLLC_EUSAGE, "did you mean 'markov'");
    assert_fails(rllc_synth_find("", &kind), RLLC_EUSAGE, "no generator ''");
}

/* ---- rows ----------------------------------------------------------------------------------------------------- */

static void same_rows(const rllc_synth_rows *a, int64_t at, const rllc_synth_rows *b, int64_t n) {
    assert_memory_equal(a->tokens + at, b->tokens, (size_t)n * sizeof *a->tokens);
    assert_memory_equal(a->labels + at, b->labels, (size_t)n);
    assert_memory_equal(a->generators + at, b->generators, (size_t)n);
    assert_memory_equal(a->optimum + at, b->optimum, (size_t)n * sizeof *a->optimum);
}

static void test_any_row_can_be_made_alone(void **state) {
    (void)state;
    int n;
    const rllc_synth_kind *const *kinds = rllc_synth_list(&n);
    for (int k = 0; k < n; k++) {
        generated g;
        rllc_synth_rows other = {0};
        generated_open(&g, rllc_synth_name(kinds[k]), "n_ctx=50", 40);
        generated_alloc(&other, 40 * 50);
        for (int threads = 1; threads <= 3; threads++) {
            assert_ok(rllc_synth_generate(g.s, RLLC_TRAIN, 0, 40, threads, &other));
            same_rows(&g.rows, 0, &other, 40 * 50);
        }
        for (int64_t r = 39; r >= 0; r -= 13) {
            assert_ok(rllc_synth_generate(g.s, RLLC_TRAIN, r, 1, 1, &other));
            same_rows(&g.rows, r * 50, &other, 50);
        }
        for (int split = 1; split < RLLC_SPLITS; split++) {
            assert_ok(rllc_synth_generate(g.s, split, 0, 1, 1, &other));
            assert_memory_not_equal(g.rows.tokens, other.tokens, 50 * sizeof *other.tokens);
        }
        assert_memory_not_equal(g.rows.tokens, g.rows.tokens + 50, 50 * sizeof *other.tokens);
        assert_ok(rllc_synth_generate(g.s, RLLC_TRAIN, UINT32_MAX - 1, 1, 1, &other)); /* the last row there can be */
        assert_fails(rllc_synth_generate(g.s, RLLC_TRAIN, UINT32_MAX, 1, 1, &other), RLLC_EUSAGE, "no such rows");
        assert_fails(rllc_synth_generate(g.s, RLLC_SPLITS, 0, 1, 1, &other), RLLC_EUSAGE, "no such rows");
        assert_fails(rllc_synth_generate(g.s, RLLC_TRAIN, -1, 1, 1, &other), RLLC_EUSAGE, "no such rows");
        generated_free(&other);
        generated_close(&g);
    }
}

static void test_seeds_make_other_rows(void **state) {
    (void)state;
    generated a, b;
    generated_open(&a, "noise", "n_ctx=50 seed=1", 1);
    generated_open(&b, "noise", "n_ctx=50 seed=18446744073709551615", 1);
    assert_memory_not_equal(a.rows.tokens, b.rows.tokens, 50 * sizeof *a.rows.tokens);
    generated_close(&a);
    generated_close(&b);
}

/* ---- the folder ------------------------------------------------------------------------------------------------ */

static int64_t rows_of(const rllc_synth_options *o, int split) {
    const int64_t rows[RLLC_SPLITS] = {o->rows, o->validation_rows, o->sampling_rows, o->analysis_rows};
    return rows[split];
}

/* The items of <split><suffix>.npy must be these bytes. */
static void check_column(const char *folder, int split, const char *suffix, const char *descr, const void *data,
                         int64_t rows, int64_t n_ctx, size_t size) {
    rllc_mapping m;
    char found[8];
    int n_dims;
    int64_t shape[8];
    size_t offset;
    const char *path = scratch(rllc_intern_printf("%s/%s%s.npy", folder, rllc_split_names[split], suffix));
    assert_ok(rllc_mapping_open(&m, path));
    assert_ok(rllc_npy_parse(&m, path, found, &n_dims, shape, &offset));
    assert_string_equal(found, descr);
    assert_int_equal(n_dims, 2);
    assert_int_equal(shape[0], rows);
    assert_int_equal(shape[1], n_ctx);
    assert_memory_equal(m.data + offset, data, (size_t)(rows * n_ctx) * size);
    rllc_mapping_close(&m);
}

/* What corpus.json says of a split is what its rows add up to. */
static void check_sums(const rllc_json *corpus, int split, const rllc_synth_rows *rows, int64_t n, int64_t n_ctx) {
    const rllc_json *j = rllc_json_get(rllc_json_get(corpus, "splits"), rllc_split_names[split]);
    double tokens[RLLC_LABELS] = {0}, optimum[RLLC_LABELS] = {0}, sum = 0;
    for (int64_t i = 0; i < n * n_ctx; i++) {
        if (i % n_ctx == 0) continue;
        tokens[rows->labels[i]]++;
        optimum[rows->labels[i]] += (double)rows->optimum[i];
        sum += (double)rows->optimum[i];
    }
    assert_int_equal(rllc_json_to_integer(rllc_json_get(j, "tokens"), -1), n * (n_ctx - 1));
    if (n > 0) assert_near(rllc_json_to_real(rllc_json_get(j, "optimum"), NAN), sum / (double)(n * (n_ctx - 1)), 1e-12);
    for (int i = 0; i < RLLC_LABELS; i++) {
        const rllc_json *label = rllc_json_get(rllc_json_get(j, "labels"), rllc_label_names[i]);
        assert_near(rllc_json_to_real(rllc_json_get(label, "tokens"), 0), tokens[i], 0);
        if (tokens[i] > 0)
            assert_near(rllc_json_to_real(rllc_json_get(label, "optimum"), NAN), optimum[i] / tokens[i], 1e-12);
    }
}

/* The rows that anybody opens are those that were made; they decode to text that encodes to them. */
static void check_split(const char *folder, const generated *g, const rllc_tokenizer *t, const rllc_json *corpus,
                        int split) {
    const int64_t n = rows_of(&g->settings.common, split), n_ctx = g->settings.common.n_ctx;
    rllc_synth_rows made = {0};
    rllc_rows rows;
    int32_t row[64];
    generated_alloc(&made, n * n_ctx);
    assert_ok(rllc_synth_generate(g->s, split, 0, n, 1, &made));
    assert_ok(rllc_rows_open(&rows, scratch(rllc_intern_printf("%s/%s.npy", folder, rllc_split_names[split])),
                             rllc_tokenizer_size(t)));
    assert_int_equal(rows.rows, n);
    assert_int_equal(rows.n_ctx, n_ctx);
    for (int64_t r = 0; r < n; r++) {
        rllc_string text = {0};
        rllc_ids ids = {0};
        rllc_rows_get(&rows, r, row);
        assert_memory_equal(row, made.tokens + r * n_ctx, (size_t)n_ctx * sizeof *row);
        assert_ok(rllc_tokenizer_decode(t, row + 1, n_ctx - 1, &text));
        for (size_t i = 0; i < text.length; i++) assert_in_range(text.data[i], '!', '~');
        assert_ok(rllc_tokenizer_encode(t, text.data, text.length, &ids));
        assert_int_equal(ids.n, n_ctx - 1);
        assert_memory_equal(ids.data, row + 1, (size_t)ids.n * sizeof *row);
        rllc_ids_release(&ids);
        rllc_string_release(&text);
    }
    rllc_rows_close(&rows);
    check_column(folder, split, ".labels", "|u1", made.labels, n, n_ctx, 1);
    check_column(folder, split, ".optimum", "<f4", made.optimum, n, n_ctx, 4);
    if (strcmp(folder, "mixture") == 0) check_column(folder, split, ".generators", "|u1", made.generators, n, n_ctx, 1);
    check_sums(corpus, split, &made, n, n_ctx);
    generated_free(&made);
}

static void test_what_is_written_is_what_was_made(void **state) {
    (void)state;
    int n;
    const rllc_synth_kind *const *kinds = rllc_synth_list(&n);
    for (int k = 0; k < n; k++) {
        generated g;
        rllc_tokenizer *t;
        rllc_json *corpus;
        const char *name = rllc_synth_name(kinds[k]);
        assert_ok(
            generated_try(&g, name, "n_ctx=48 rows=9 validation_rows=4 sampling_rows=0 analysis_rows=1 vocab=76"));
        assert_ok(rllc_corpus_synth(scratch(name), g.s, NULL));
        assert_ok(rllc_tokenizer_load(&t, scratch(name)));
        assert_ok(rllc_json_load(&corpus, scratch(rllc_intern_printf("%s/corpus.json", name))));
        assert_int_equal(rllc_tokenizer_size(t), 257);
        assert_int_equal(rllc_tokenizer_bos(t), 256);
        assert_string_equal(rllc_tokenizer_hash(t).hex, rllc_tokenizer_hash(rllc_synth_tokenizer(g.s)).hex);
        assert_string_equal(rllc_json_text(rllc_json_get(corpus, "tokenizer_hash")), rllc_tokenizer_hash(t).hex);
        assert_string_equal(rllc_json_text(rllc_json_get(corpus, "schema")), "rllc.corpus/1");
        for (int split = 0; split < RLLC_SPLITS; split++) check_split(name, &g, t, corpus, split);
        rllc_json_free(corpus);
        rllc_tokenizer_free(t);
        generated_close(&g);
    }
}

/* The record reads back into the same rows. */
static void test_the_record_makes_the_corpus_again(void **state) {
    (void)state;
    generated g;
    rllc_synth_settings again;
    rllc_synth *s;
    rllc_json *j;
    rllc_synth_rows rows = {0};
    int n;
    const rllc_synth_kind *const *kinds = rllc_synth_list(&n);
    generated_open(&g, "mixture", "n_ctx=70 vocab=9 seed=5 lag=3 order=2 parts=skip,markov=2 segment=16", 5);
    assert_ok(rllc_synth_to_json(g.s, &j));
    assert_ok(rllc_synth_settings_init(&again));
    assert_ok(rllc_options_from_json(&rllc_synth_option_table, &again.common, rllc_json_get(j, "common")));
    for (int i = 0; i < n; i++) {
        const rllc_json *part = rllc_json_get(rllc_json_get(j, "options"), rllc_synth_name(kinds[i]));
        const bool read = rllc_synth_reads(generated_kind("mixture"), &g.settings, kinds[i]);
        assert_int_equal(part != NULL, read && rllc_synth_kind_table(kinds[i]) != NULL);
        if (part) assert_ok(rllc_options_from_json(rllc_synth_kind_table(kinds[i]), again.of_kind[i], part));
    }
    assert_ok(rllc_synth_open(&s, generated_kind("mixture"), &again));
    generated_alloc(&rows, 5 * 70);
    assert_ok(rllc_synth_generate(s, RLLC_TRAIN, 0, 5, 1, &rows));
    same_rows(&g.rows, 0, &rows, 5 * 70);
    generated_free(&rows);
    rllc_synth_free(s);
    rllc_synth_settings_release(&again);
    rllc_json_free(j);
    generated_close(&g);
}

static void test_folders_that_are_not_its_own_are_left_alone(void **state) {
    (void)state;
    generated g;
    assert_ok(generated_try(&g, "noise", "n_ctx=8 rows=2"));
    scratch_text("home/letter.txt", "mine");
    assert_fails(rllc_corpus_synth(scratch("home"), g.s, NULL), RLLC_EUSAGE, "holds something");
    assert_fails(rllc_corpus_synth(scratch("home/letter.txt"), g.s, NULL), RLLC_EUSAGE, "is a file");
    assert_fails(rllc_corpus_synth("", g.s, NULL), RLLC_EUSAGE, "not named");
    char **names;
    int64_t n;
    assert_ok(rllc_folder_list(scratch("home"), &names, &n));
    assert_int_equal(n, 1);
    rllc_names_free(names, n);
    generated_close(&g);
    assert_ok(generated_try(&g, "noise", "rows=0 validation_rows=0 sampling_rows=0 analysis_rows=0"));
    assert_fails(rllc_corpus_synth(scratch("none"), g.s, NULL), RLLC_EUSAGE, "no rows");
    generated_close(&g);
}

/* A stop leaves no file; a corpus that was there stays as it was. */
static bool stop_at_once(void *context) {
    (void)context;
    return true;
}

static void test_a_stop_writes_nothing(void **state) {
    (void)state;
    generated g;
    char **names;
    int64_t n;
    const rllc_monitor monitor = {.stop = stop_at_once};
    assert_ok(generated_try(&g, "noise", "n_ctx=8 rows=2"));
    assert_fails(rllc_corpus_synth(scratch("stopped"), g.s, &monitor), RLLC_ESTOPPED, "nothing was written");
    assert_ok(rllc_folder_list(scratch("stopped"), &names, &n));
    assert_int_equal(n, 0);
    rllc_names_free(names, n);
    generated_close(&g);
}

/* ---- settings --------------------------------------------------------------------------------------------------- */

static void test_hostile_settings(void **state) {
    (void)state;
    static const struct {
        const char *kind, *options, *says;
    } cases[] = {
        {"markov", "order=8 vocab=76", "too large"},
        {"markov", "order=2 n_ctx=3", "too few"},
        {"markov", "concentration=0.001", "too slowly"},
        {"skip", "lag=127", "leaves nothing to copy"},
        {"skip", "lag=65536", "leaves nothing to copy"},
        {"repeat", "n_ctx=16", "does not fit twice"},
        {"repeat", "span_min=9 span_max=8", "span_min is 9"},
        {"repeat", "span_max=64", "does not fit twice"},
        {"repeat", "n_ctx=65536", "--span-max 256"},
        {"mixture", "segment=128", "longer than a row"},
        {"mixture", "segment=16", "segments of 16 tokens: repeat"},
        {"mixture", "segment=4 parts=markov order=3", "segments of 4 tokens: markov"},
        {"mixture", "parts=markow", "did you mean 'markov'"},
        {"mixture", "parts=markov,markov", "named twice"},
        {"mixture", "parts=mixture", "cannot be part"},
        {"mixture", "parts=markov,", "no generator ''"},
        {"mixture", "parts=markov=0", "a number above 0"},
        {"mixture", "parts=markov=-1", "a number above 0"},
        {"mixture", "parts=markov=nan", "a number above 0"},
        {"mixture", "parts=markov=1e300", "a number above 0"},
        {"mixture", "parts=markov=1x", "a number above 0"},
        {"mixture", "parts=markov=", "a number above 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        generated g;
        assert_fails(generated_try(&g, cases[i].kind, cases[i].options), RLLC_EUSAGE, cases[i].says);
        assert_null(g.s);
        generated_close(&g);
    }
}

/* Structs that a caller filled past the tables' bounds. */
static void test_structs_are_checked_like_flags(void **state) {
    (void)state;
    rllc_synth_settings s;
    rllc_synth *made;
    assert_ok(rllc_synth_settings_init(&s));
    const rllc_synth_options usual = s.common;
    s.common.vocab = 77;
    assert_fails(rllc_synth_open(&made, generated_kind("noise"), &s), RLLC_EINPUT, "vocab");
    s.common = usual;
    s.common.n_ctx = -5;
    assert_fails(rllc_synth_open(&made, generated_kind("noise"), &s), RLLC_EINPUT, "n_ctx");
    s.common = usual;
    s.common.rows = INT64_MAX;
    assert_fails(rllc_synth_open(&made, generated_kind("noise"), &s), RLLC_EINPUT, "rows");
    assert_null(made);
    rllc_synth_settings_release(&s);
    rllc_synth_settings_release(&s); /* twice is once */
    rllc_synth_free(NULL);
    assert_true(kinds_in_all() > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_registry_is_sound),
        cmocka_unit_test(test_any_row_can_be_made_alone),
        cmocka_unit_test(test_seeds_make_other_rows),
        cmocka_unit_test(test_what_is_written_is_what_was_made),
        cmocka_unit_test(test_the_record_makes_the_corpus_again),
        cmocka_unit_test(test_folders_that_are_not_its_own_are_left_alone),
        cmocka_unit_test(test_a_stop_writes_nothing),
        cmocka_unit_test(test_hostile_settings),
        cmocka_unit_test(test_structs_are_checked_like_flags),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
