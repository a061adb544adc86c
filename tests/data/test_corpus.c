/* Splits and packing: against a plain definition, for any number of threads, and what the files say. */
#include "scratch.h"

#include <math.h>

/* All bytes, a few merges, <|endoftext|> last. */
static rllc_tokenizer *tokenizer;

static int setup(void **state) {
    rllc_bpe_options o = {.vocab_size = 300, .min_frequency = 1, .special = "<|endoftext|>", .special_last = true};
    rllc_bpe_trainer *b;
    if (rllc_bpe_trainer_new(&b, &o) != RLLC_OK) return -1;
    uint64_t random = 11;
    for (int i = 0; i < 100; i++) {
        rllc_string s = {0};
        scratch_add_noise(&s, &random, 100);
        if (rllc_bpe_trainer_add(b, rllc_string_text(&s), s.length) != RLLC_OK) return -1;
        rllc_string_release(&s);
    }
    if (rllc_bpe_trainer_finish(b, NULL, &tokenizer) != RLLC_OK) return -1;
    rllc_bpe_trainer_free(b);
    return scratch_setup(state);
}

static int teardown(void **state) {
    rllc_tokenizer_free(tokenizer);
    return scratch_teardown(state);
}

static rllc_reader_options reader_for(const char *sources) {
    rllc_reader_options o;
    rllc_options_default(&rllc_reader_option_table, &o);
    o.sources = sources;
    return o;
}

static rllc_packing_options packing_with(int64_t n_ctx) {
    rllc_packing_options o;
    rllc_options_default(&rllc_packing_option_table, &o);
    o.n_ctx = n_ctx;
    return o;
}

/* n documents of noise in a file with separators; their texts (valid until the test ends) in documents. */
static const char *noise_file(const char *name, int n, rllc_string *documents) {
    rllc_string all = {0};
    uint64_t random = (uint64_t)n;
    for (int i = 0; i < n; i++) {
        documents[i] = (rllc_string){0};
        scratch_add_noise(&documents[i], &random, 1 + (int)(scratch_random(&random) % 300));
        assert_ok(rllc_string_add(&documents[i], "."));
        assert_ok(rllc_string_add_bytes(&all, documents[i].data, documents[i].length));
        assert_ok(rllc_string_add(&all, "<|endoftext|>"));
    }
    const char *path = scratch_write(name, all.data, all.length);
    rllc_string_release(&all);
    return path;
}

static void release_all(rllc_string *documents, int n) {
    for (int i = 0; i < n; i++) rllc_string_release(&documents[i]);
}

enum { DOCUMENTS = 900 };
static rllc_string documents[DOCUMENTS];

/* The plain definition (M 1.6): join, tokenize, cut, put BOS before. */
static void check_split(const char *folder, const rllc_packing_options *p, int split, int n) {
    rllc_ids ids = {0};
    rllc_rows r;
    int64_t rows;
    int32_t bos = rllc_tokenizer_bos(tokenizer), row[64];
    int found = 0;
    for (int i = 0; i < n; i++) {
        if (rllc_document_split(p, documents[i].data, documents[i].length) != split) continue;
        if (found++ > 0) assert_ok(rllc_ids_add(&ids, bos));
        assert_ok(rllc_tokenizer_encode(tokenizer, documents[i].data, documents[i].length, &ids));
    }
    assert_ok(rllc_rows_open(&r, scratch(rllc_intern_printf("%s/%s.npy", folder, rllc_split_names[split])),
                             rllc_tokenizer_size(tokenizer)));
    rows = ids.n / (p->n_ctx - 1);
    assert_int_equal(r.rows, rows);
    assert_int_equal(r.n_ctx, p->n_ctx);
    for (int64_t i = 0; i < rows; i++) {
        rllc_rows_get(&r, i, row);
        assert_int_equal(row[0], bos);
        for (int64_t k = 1; k < p->n_ctx; k++) assert_int_equal(row[k], ids.data[i * (p->n_ctx - 1) + k - 1]);
    }
    rllc_rows_close(&r);
    rllc_ids_release(&ids);
}

static void test_packing_is_the_plain_definition(void **state) {
    (void)state;
    rllc_reader_options reader = reader_for(noise_file("noise.txt", DOCUMENTS, documents));
    static const int64_t contexts[] = {2, 16, 64};
    for (int i = 0; i < 3; i++) {
        rllc_packing_options p = packing_with(contexts[i]);
        assert_ok(rllc_corpus_pack(scratch("plain"), &reader, &p, tokenizer, NULL));
        for (int s = 0; s < RLLC_SPLITS; s++) check_split("plain", &p, s, DOCUMENTS);
    }
    release_all(documents, DOCUMENTS);
}

static void assert_same_files(const char *a, const char *b) {
    static const char *const names[] = {"train.npy", "validation.npy", "sampling.npy", "analysis.npy", "corpus.json"};
    for (int i = 0; i < 5; i++) {
        rllc_hash x, y;
        assert_ok(rllc_hash_file(scratch(rllc_intern_printf("%s/%s", a, names[i])), &x));
        assert_ok(rllc_hash_file(scratch(rllc_intern_printf("%s/%s", b, names[i])), &y));
        if (strcmp(x.hex, y.hex) != 0) fail_msg("%s differs between %s and %s", names[i], a, b);
    }
}

/* More documents than one batch holds: each is read, tokenized and packed once, in order. */
static void test_packing_over_many_batches(void **state) {
    (void)state;
    rllc_string text = {0};
    rllc_rows r;
    enum { N = 10000 };
    for (int i = 0; i < N; i++) assert_ok(rllc_string_printf(&text, "%d<|endoftext|>", i));
    rllc_reader_options reader = reader_for(scratch_write("many.txt", text.data, text.length));
    rllc_packing_options p = packing_with(64);
    p.validation_fraction = p.sampling_fraction = p.analysis_fraction = 0;
    assert_ok(rllc_corpus_pack(scratch("many"), &reader, &p, tokenizer, NULL));
    assert_ok(rllc_rows_open(&r, scratch("many/train.npy"), 300));
    rllc_string back = {0};
    for (int64_t i = 0; i < r.rows; i++) {
        int32_t row[64];
        rllc_rows_get(&r, i, row);
        assert_ok(rllc_tokenizer_decode(tokenizer, row + 1, 63, &back));
    }
    assert_true(text.length - back.length < 64 * 13);
    assert_memory_equal(back.data, text.data, back.length);
    rllc_rows_close(&r);
    rllc_string_release(&back);
    rllc_string_release(&text);
}

static void test_threads_do_not_change_a_bit(void **state) {
    (void)state;
    rllc_reader_options reader = reader_for(noise_file("noise.txt", DOCUMENTS, documents));
    rllc_packing_options p = packing_with(32);
    p.repeat_fraction = 0.5;
    setenv("RLLC_THREADS", "1", 1);
    assert_ok(rllc_corpus_pack(scratch("one"), &reader, &p, tokenizer, NULL));
    setenv("RLLC_THREADS", "7", 1);
    assert_ok(rllc_corpus_pack(scratch("seven"), &reader, &p, tokenizer, NULL));
    assert_ok(rllc_corpus_pack(scratch("seven"), &reader, &p, tokenizer, NULL)); /* over what is there */
    unsetenv("RLLC_THREADS");
    assert_same_files("one", "seven");
    release_all(documents, DOCUMENTS);
}

static void test_splits_depend_on_text_and_seed_only(void **state) {
    (void)state;
    rllc_packing_options p = packing_with(16), q = p;
    int count[RLLC_SPLITS] = {0}, moved = 0;
    enum { N = 20000 };
    q.split_seed = 1;
    for (int i = 0; i < N; i++) {
        char text[32];
        size_t n = (size_t)snprintf(text, sizeof text, "document %d", i);
        int split = rllc_document_split(&p, text, n);
        assert_true(split >= 0 && split < RLLC_SPLITS);
        assert_int_equal(split, rllc_document_split(&p, text, n));
        count[split]++;
        moved += split != rllc_document_split(&q, text, n);
    }
    /* Binomial counts: within 5 standard deviations of the shares .8, .05, .1, .05. */
    static const double share[RLLC_SPLITS] = {0.8, 0.05, 0.1, 0.05};
    for (int s = 0; s < RLLC_SPLITS; s++) {
        double mean = N * share[s], deviation = count[s] - mean;
        assert_true(deviation * deviation < 25 * mean * (1 - share[s]));
    }
    double agree = 0.8 * 0.8 + 0.05 * 0.05 + 0.1 * 0.1 + 0.05 * 0.05, gap = moved - N * (1 - agree);
    assert_true(gap * gap < 25 * N * agree * (1 - agree));
    p.validation_fraction = 1;
    p.sampling_fraction = p.analysis_fraction = 0;
    assert_int_equal(rllc_document_split(&p, "x", 1), RLLC_VALIDATION);
    p.validation_fraction = 0;
    assert_int_equal(rllc_document_split(&p, "x", 1), RLLC_TRAIN);
}

/* Rows in which a span is repeated: their share, the span, its place; the others untouched. */
static void test_repeated_spans(void **state) {
    (void)state;
    rllc_reader_options reader = reader_for(noise_file("noise.txt", DOCUMENTS, documents));
    rllc_packing_options p = packing_with(40), natural = p;
    p.repeat_fraction = 0.3;
    assert_ok(rllc_corpus_pack(scratch("repeat"), &reader, &p, tokenizer, NULL));
    assert_ok(rllc_corpus_pack(scratch("natural"), &reader, &natural, tokenizer, NULL));
    rllc_rows a, b;
    assert_ok(rllc_rows_open(&a, scratch("repeat/train.npy"), 0));
    assert_ok(rllc_rows_open(&b, scratch("natural/train.npy"), 0));
    assert_int_equal(a.rows, b.rows);
    assert_true(a.rows > 1000);
    int64_t changed = 0, n = p.n_ctx, shortest = n, longest = 0;
    for (int64_t i = 0; i < a.rows; i++) {
        int32_t x[40], y[40];
        rllc_rows_get(&a, i, x);
        rllc_rows_get(&b, i, y);
        int64_t first = 0, last = n;
        while (first < n && x[first] == y[first]) first++;
        if (first == n) continue;
        while (x[last - 1] == y[last - 1]) last--;
        changed++;
        /* Equal tokens may hide the ends of the span: some (s, st) that covers what changed must explain the row. */
        int64_t span = 0;
        for (int64_t s = 8; s <= (n - 1) / 2 && span == 0; s++) {
            for (int64_t st = s + 1; st <= n - s && span == 0; st++) {
                bool fits = st <= first && st + s >= last;
                for (int64_t k = 0; k < s && fits; k++) fits = x[st + k] == y[1 + k];
                if (fits) span = s;
            }
        }
        assert_true(span > 0);
        shortest = span < shortest ? span : shortest;
        longest = span > longest ? span : longest;
    }
    double gap = (double)changed - 0.3 * (double)a.rows;
    assert_true(gap * gap < 25 * 0.21 * (double)a.rows);
    assert_true(shortest == 8 && longest == 19);
    rllc_rows_close(&a);
    rllc_rows_close(&b);
    p.repeat_fraction = 1;
    assert_ok(rllc_corpus_pack(scratch("repeat"), &reader, &p, tokenizer, NULL));
    p.n_ctx = 16;
    assert_fails(rllc_corpus_pack(scratch("repeat"), &reader, &p, tokenizer, NULL), RLLC_EUSAGE, "at least 17");
    p.n_ctx = 17; /* one span, one place */
    assert_ok(rllc_corpus_pack(scratch("repeat"), &reader, &p, tokenizer, NULL));
    assert_ok(rllc_rows_open(&a, scratch("repeat/train.npy"), 0));
    for (int64_t i = 0; i < a.rows; i++) {
        int32_t x[17];
        rllc_rows_get(&a, i, x);
        assert_memory_equal(x + 1, x + 9, 8 * sizeof *x);
    }
    rllc_rows_close(&a);
    release_all(documents, DOCUMENTS);
}

static int64_t count_of(const rllc_json *corpus, int split, const char *key) {
    const rllc_json *splits = rllc_json_get(corpus, "splits");
    return rllc_json_to_integer(rllc_json_get(rllc_json_get(splits, rllc_split_names[split]), key), -1);
}

static void test_corpus_json_tells_what_is_there(void **state) {
    (void)state;
    const char *path = noise_file("noise.txt", DOCUMENTS, documents);
    rllc_reader_options reader = reader_for(path);
    rllc_packing_options p = packing_with(64);
    rllc_json *j;
    int64_t total = 0, bytes = 0, expected = 0;
    assert_ok(rllc_corpus_pack(scratch("told"), &reader, &p, tokenizer, NULL));
    assert_ok(rllc_json_load(&j, scratch("told/corpus.json")));
    for (int s = 0; s < RLLC_SPLITS; s++) {
        rllc_rows r;
        assert_ok(rllc_rows_open(&r, scratch(rllc_intern_printf("told/%s.npy", rllc_split_names[s])), 0));
        assert_int_equal(count_of(j, s, "rows"), r.rows);
        assert_int_equal(count_of(j, s, "tokens") / 63, r.rows);
        assert_string_equal(r.hash.hex, rllc_hash_bytes(r.data, (size_t)(r.rows * 64 * 2)).hex);
        rllc_rows_close(&r);
        total += count_of(j, s, "documents");
        bytes += count_of(j, s, "bytes");
    }
    for (int i = 0; i < DOCUMENTS; i++) expected += (int64_t)documents[i].length;
    assert_int_equal(total, DOCUMENTS);
    assert_int_equal(bytes, expected);
    assert_string_equal(rllc_json_text(rllc_json_get(j, "tokenizer_hash")), rllc_tokenizer_hash(tokenizer).hex);
    const rllc_json *source = rllc_json_at(rllc_json_get(j, "sources"), 0);
    assert_string_equal(rllc_json_text(rllc_json_get(source, "path")), path);
    assert_int_equal(rllc_json_to_integer(rllc_json_get(rllc_json_get(j, "packing"), "n_ctx"), -1), 64);
    rllc_json_free(j);
    release_all(documents, DOCUMENTS);
}

/* Rows that are not those of corpus.json: seen at once if their number differs, else when the ids are checked. */
static void test_rows_beside_another_corpus_json(void **state) {
    (void)state;
    rllc_reader_options reader = reader_for(noise_file("noise.txt", DOCUMENTS, documents));
    rllc_packing_options p = packing_with(64);
    rllc_rows r;
    assert_ok(rllc_corpus_pack(scratch("other"), &reader, &p, tokenizer, NULL));
    assert_ok(rllc_rows_open(&r, scratch("other/train.npy"), 0));
    int64_t rows = r.rows;
    uint16_t *ids = calloc((size_t)rows * 64, sizeof *ids);
    rllc_rows_close(&r);
    assert_ok(rllc_npy_write(scratch("other/train.npy"), "<u2", 2, (int64_t[]){rows, 64}, ids, 2));
    assert_ok(rllc_rows_open(&r, scratch("other/train.npy"), 0));
    rllc_rows_close(&r);
    assert_fails(rllc_rows_open(&r, scratch("other/train.npy"), 300), RLLC_EMISMATCH, "recorded");
    assert_ok(rllc_npy_write(scratch("other/train.npy"), "<u2", 2, (int64_t[]){rows - 1, 64}, ids, 2));
    assert_fails(rllc_rows_open(&r, scratch("other/train.npy"), 0), RLLC_EMISMATCH, "rows");
    scratch_text("other/corpus.json", "{");
    assert_fails(rllc_rows_open(&r, scratch("other/train.npy"), 0), RLLC_EINPUT, "corpus.json");
    free(ids);
    release_all(documents, DOCUMENTS);
}

static void test_limits_of_tokens(void **state) {
    (void)state;
    rllc_reader_options reader = reader_for(noise_file("noise.txt", DOCUMENTS, documents));
    rllc_packing_options p = packing_with(16);
    rllc_json *j;
    p.max_tokens = 2000;
    assert_ok(rllc_corpus_pack(scratch("limited"), &reader, &p, tokenizer, NULL));
    assert_ok(rllc_json_load(&j, scratch("limited/corpus.json")));
    int64_t tokens = 0, n = 0, expected = 0;
    for (int s = 0; s < RLLC_SPLITS; s++) {
        tokens += count_of(j, s, "tokens");
        n += count_of(j, s, "documents");
    }
    /* The documents up to the one that reaches the limit, EOS between those of a split. */
    int seen[RLLC_SPLITS] = {0};
    int64_t needed = 0;
    for (; expected < 2000; needed++) {
        rllc_ids ids = {0};
        const rllc_string *d = &documents[needed];
        assert_ok(rllc_tokenizer_encode(tokenizer, d->data, d->length, &ids));
        expected += ids.n + (seen[rllc_document_split(&p, d->data, d->length)]++ > 0);
        rllc_ids_release(&ids);
    }
    assert_int_equal(tokens, expected);
    assert_int_equal(n, needed);
    rllc_json_free(j);
    release_all(documents, DOCUMENTS);
}

static void test_too_little_text(void **state) {
    (void)state;
    rllc_reader_options reader = reader_for(scratch_text("little.txt", "a few words"));
    rllc_packing_options p = packing_with(64);
    assert_fails(rllc_corpus_pack(scratch("little"), &reader, &p, tokenizer, NULL), RLLC_EINPUT, "n_ctx = 64");
    assert_false(rllc_file_exists(scratch("little/train.npy")));
    assert_false(rllc_file_exists(scratch("little/corpus.json")));
    char **names;
    int64_t n;
    assert_ok(rllc_folder_list(scratch("little"), &names, &n)); /* nothing half-written is left */
    assert_int_equal(n, 0);
    rllc_names_free(names, n);
    reader = reader_for(scratch_text("empty.txt", ""));
    assert_fails(rllc_corpus_pack(scratch("little"), &reader, &p, tokenizer, NULL), RLLC_EINPUT, "no text");
    reader = reader_for(scratch_text("bad.txt", "words \xFF words"));
    assert_fails(rllc_corpus_pack(scratch("little"), &reader, &p, tokenizer, NULL), RLLC_EINPUT, "byte 6");
}

static void test_options_are_checked(void **state) {
    (void)state;
    rllc_reader_options reader = reader_for(scratch_text("some.txt", "some words and some more words"));
    rllc_packing_options p = packing_with(1);
    assert_fails(rllc_corpus_pack(scratch("opt"), &reader, &p, tokenizer, NULL), RLLC_EUSAGE, "n_ctx");
    p = packing_with(8);
    p.sampling_fraction = 0.95;
    assert_fails(rllc_corpus_pack(scratch("opt"), &reader, &p, tokenizer, NULL), RLLC_EUSAGE, "at most 1");
    p.sampling_fraction = -0.1;
    assert_fails(rllc_corpus_pack(scratch("opt"), &reader, &p, tokenizer, NULL), RLLC_EUSAGE, "at least 0");
    p.sampling_fraction = NAN;
    assert_fails(rllc_corpus_pack(scratch("opt"), &reader, &p, tokenizer, NULL), RLLC_EUSAGE, "nan");
    p = packing_with(8);
    p.repeat_fraction = 1.5;
    assert_fails(rllc_corpus_pack(scratch("opt"), &reader, &p, tokenizer, NULL), RLLC_EUSAGE, "repeat_fraction");
    const rllc_option_table *const tables[] = {&rllc_reader_option_table, &rllc_bpe_option_table,
                                               &rllc_packing_option_table};
    for (int i = 0; i < 3; i++) assert_ok(rllc_options_check(tables[i]));
    scratch_text("file", "x");
    p = packing_with(8);
    assert_int_not_equal(rllc_corpus_pack(scratch("file"), &reader, &p, tokenizer, NULL), RLLC_OK);
    assert_int_not_equal(rllc_corpus_pack("/proc/nowhere", &reader, &p, tokenizer, NULL), RLLC_OK);
}

static bool stop_at_once(void *context) {
    (void)context;
    return true;
}

static void test_stopping_leaves_nothing(void **state) {
    (void)state;
    rllc_reader_options reader = reader_for(noise_file("noise.txt", DOCUMENTS, documents));
    rllc_packing_options p = packing_with(64);
    rllc_monitor monitor = {.stop = stop_at_once};
    rllc_bpe_options bpe;
    rllc_tokenizer *t;
    rllc_options_default(&rllc_bpe_option_table, &bpe);
    assert_fails(rllc_corpus_pack(scratch("stopped"), &reader, &p, tokenizer, &monitor), RLLC_ESTOPPED, "stopped");
    assert_false(rllc_file_exists(scratch("stopped/corpus.json")));
    assert_fails(rllc_corpus_train_tokenizer(&reader, &p, &bpe, &monitor, &t), RLLC_ESTOPPED, "stopped");
    assert_null(t);
    release_all(documents, DOCUMENTS);
}

/* The tokenizer sees the training split and nothing else. */
static void test_tokenizer_trains_on_the_training_split(void **state) {
    (void)state;
    rllc_reader_options reader = reader_for(noise_file("noise.txt", DOCUMENTS, documents));
    rllc_packing_options p = packing_with(64);
    rllc_bpe_options o;
    rllc_bpe_trainer *b;
    rllc_tokenizer *ours, *expected;
    rllc_options_default(&rllc_bpe_option_table, &o);
    o.vocab_size = 500;
    assert_ok(rllc_corpus_train_tokenizer(&reader, &p, &o, NULL, &ours));
    assert_ok(rllc_bpe_trainer_new(&b, &o));
    for (int i = 0; i < DOCUMENTS; i++) {
        if (rllc_document_split(&p, documents[i].data, documents[i].length) != RLLC_TRAIN) continue;
        assert_ok(rllc_bpe_trainer_add(b, documents[i].data, documents[i].length));
    }
    assert_ok(rllc_bpe_trainer_finish(b, NULL, &expected));
    assert_string_equal(rllc_tokenizer_hash(ours).hex, rllc_tokenizer_hash(expected).hex);
    rllc_tokenizer_free(ours);
    rllc_tokenizer_free(expected);
    rllc_bpe_trainer_free(b);
    p.validation_fraction = 1;
    p.sampling_fraction = p.analysis_fraction = 0;
    assert_fails(rllc_corpus_train_tokenizer(&reader, &p, &o, NULL, &ours), RLLC_EINPUT, "training split");
    release_all(documents, DOCUMENTS);
}

/* A vocabulary that 16 bits cannot number. */
static void test_large_vocabularies_take_four_bytes(void **state) {
    (void)state;
    rllc_string json = {0};
    rllc_tokenizer *t;
    rllc_rows r;
    enum { N = 65537 };
    assert_ok(rllc_string_add(&json, "{\"<|endoftext|>\":0"));
    for (int i = 1; i < N - 1; i++) assert_ok(rllc_string_printf(&json, ",\"t%d\":%d", i, i));
    assert_ok(rllc_string_printf(&json, ",\"a\":%d}", N - 1));
    scratch_write("large/vocab.json", json.data, json.length);
    scratch_text("large/merges.txt", "");
    assert_ok(rllc_tokenizer_load(&t, scratch("large")));
    rllc_reader_options reader = reader_for(scratch_text("large.txt", "aaaaaaaaaaaaaaaa"));
    rllc_packing_options p = packing_with(5);
    p.validation_fraction = p.sampling_fraction = p.analysis_fraction = 0;
    assert_ok(rllc_corpus_pack(scratch("large-corpus"), &reader, &p, t, NULL));
    assert_ok(rllc_rows_open(&r, scratch("large-corpus/train.npy"), N));
    int32_t row[5];
    assert_int_equal(r.bytes, 4);
    assert_int_equal(r.rows, 4);
    rllc_rows_get(&r, 3, row);
    for (int i = 0; i < 5; i++) assert_int_equal(row[i], i == 0 ? 0 : N - 1);
    rllc_rows_close(&r);
    rllc_tokenizer_free(t);
    rllc_string_release(&json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packing_is_the_plain_definition),
        cmocka_unit_test(test_packing_over_many_batches),
        cmocka_unit_test(test_threads_do_not_change_a_bit),
        cmocka_unit_test(test_splits_depend_on_text_and_seed_only),
        cmocka_unit_test(test_repeated_spans),
        cmocka_unit_test(test_corpus_json_tells_what_is_there),
        cmocka_unit_test(test_rows_beside_another_corpus_json),
        cmocka_unit_test(test_limits_of_tokens),
        cmocka_unit_test(test_too_little_text),
        cmocka_unit_test(test_options_are_checked),
        cmocka_unit_test(test_stopping_leaves_nothing),
        cmocka_unit_test(test_tokenizer_trains_on_the_training_split),
        cmocka_unit_test(test_large_vocabularies_take_four_bytes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
