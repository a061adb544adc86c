/* Tokenizers of Hugging Face's: the same files from the same text, the same ids for the same texts.
   tests/golden/tokenizer.json is made by tools/reference/tokenizer_golden.py. */
#include "scratch.h"

static rllc_json *golden;

static int load(void **state) {
    const char *path = rllc_intern_printf("%s/tests/golden/tokenizer.json", RLLC_SOURCE_DIR);
    return rllc_json_load(&golden, path) == RLLC_OK ? scratch_setup(state) : -1;
}

static int unload(void **state) {
    rllc_json_free(golden);
    return scratch_teardown(state);
}

static const rllc_json *kind(const char *name) {
    const rllc_json *k = rllc_json_get(rllc_json_get(golden, "tokenizers"), name);
    assert_non_null(k);
    return k;
}

static const char *const kinds[] = {"plain", "exhausted", "prefix", "split", "whole", "added"};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static rllc_tokenizer *load_kind(const char *name) {
    rllc_tokenizer *t;
    const rllc_json *file = rllc_json_get(kind(name), "file");
    assert_ok(
        rllc_tokenizer_load(&t, scratch_write("tokenizer.json", rllc_json_text(file), rllc_json_text_length(file))));
    return t;
}

static void test_encode_agrees_with_hugging_face(void **state) {
    (void)state;
    const rllc_json *texts = rllc_json_get(golden, "texts");
    int64_t compared = 0;
    for (int k = 0; k < KINDS; k++) {
        rllc_tokenizer *t = load_kind(kinds[k]);
        for (int64_t i = 0; i < rllc_json_length(texts); i++) {
            const rllc_json *text = rllc_json_at(texts, i),
                            *ids = rllc_json_at(rllc_json_get(kind(kinds[k]), "ids"), i);
            rllc_ids ours = {0};
            assert_ok(rllc_tokenizer_encode(t, rllc_json_text(text), rllc_json_text_length(text), &ours));
            if (ours.n != rllc_json_length(ids)) {
                fail_msg("%s: %lld ids of '%s', not %lld", kinds[k], (long long)ours.n, rllc_json_text(text),
                         (long long)rllc_json_length(ids));
            }
            for (int64_t n = 0; n < ours.n; n++, compared++) {
                assert_int_equal(ours.data[n], rllc_json_to_integer(rllc_json_at(ids, n), -1));
            }
            rllc_ids_release(&ours);
        }
        rllc_tokenizer_free(t);
    }
    assert_true(compared > 3000);
}

/* decode(encode(x)) = x, but for the space that add_prefix_space puts before every piece. */
static void test_decode_gives_the_text_back(void **state) {
    (void)state;
    const rllc_json *texts = rllc_json_get(golden, "texts");
    for (int k = 0; k < KINDS; k++) {
        if (strcmp(kinds[k], "prefix") == 0) continue;
        rllc_tokenizer *t = load_kind(kinds[k]);
        for (int64_t i = 0; i < rllc_json_length(texts); i++) {
            const rllc_json *text = rllc_json_at(texts, i);
            rllc_ids ids = {0};
            rllc_string back = {0};
            assert_ok(rllc_tokenizer_encode(t, rllc_json_text(text), rllc_json_text_length(text), &ids));
            assert_ok(rllc_tokenizer_decode(t, ids.data, ids.n, &back));
            assert_int_equal(back.length, rllc_json_text_length(text));
            assert_memory_equal(rllc_string_text(&back), rllc_json_text(text), back.length);
            rllc_ids_release(&ids);
            rllc_string_release(&back);
        }
        rllc_tokenizer_free(t);
    }
}

static rllc_tokenizer *train(int64_t vocab_size, int64_t min_frequency, bool special_last) {
    rllc_bpe_options o;
    rllc_bpe_trainer *b;
    rllc_tokenizer *t;
    const rllc_json *documents = rllc_json_get(golden, "documents");
    rllc_options_default(&rllc_bpe_option_table, &o);
    o.vocab_size = vocab_size;
    o.min_frequency = min_frequency;
    o.special_last = special_last;
    assert_ok(rllc_bpe_trainer_new(&b, &o));
    for (int64_t i = 0; i < rllc_json_length(documents); i++) {
        const rllc_json *d = rllc_json_at(documents, i);
        assert_ok(rllc_bpe_trainer_add(b, rllc_json_text(d), rllc_json_text_length(d)));
    }
    assert_ok(rllc_bpe_trainer_finish(b, NULL, &t));
    rllc_bpe_trainer_free(b);
    return t;
}

static void assert_file_is(const char *path, const rllc_json *text) {
    rllc_mapping m;
    assert_ok(rllc_mapping_open(&m, path));
    assert_int_equal(m.size, rllc_json_text_length(text));
    assert_memory_equal(m.data, rllc_json_text(text), m.size);
    rllc_mapping_close(&m);
}

static void test_training_writes_the_same_file(void **state) {
    (void)state;
    static const char *const names[] = {"plain", "exhausted"};
    for (int i = 0; i < 2; i++) {
        const rllc_json *k = kind(names[i]), *trained = rllc_json_get(k, "trained");
        rllc_tokenizer *t = train(rllc_json_to_integer(rllc_json_at(trained, 0), -1),
                                  rllc_json_to_integer(rllc_json_at(trained, 1), -1), false);
        assert_ok(rllc_tokenizer_save(t, scratch("trained.json")));
        assert_file_is(scratch("trained.json"), rllc_json_get(k, "file"));
        assert_int_equal(rllc_tokenizer_bos(t), 0);
        rllc_tokenizer_free(t);
    }
}

/* Every token one id down, the special one at the end; the text comes out as the same tokens. */
static void test_special_last_only_renumbers(void **state) {
    (void)state;
    rllc_tokenizer *first = train(400, 2, false), *last = train(400, 2, true);
    int64_t size = rllc_tokenizer_size(first);
    assert_int_equal(rllc_tokenizer_size(last), size);
    assert_int_equal(rllc_tokenizer_bos(last), size - 1);
    for (int64_t id = 0; id < size; id++) {
        size_t n, m;
        const char *a = rllc_tokenizer_token(first, (int32_t)id, &n);
        const char *b = rllc_tokenizer_token(last, (int32_t)((id + size - 1) % size), &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
    }
    const rllc_json *texts = rllc_json_get(golden, "texts");
    for (int64_t i = 0; i < rllc_json_length(texts); i++) {
        const rllc_json *text = rllc_json_at(texts, i);
        rllc_ids a = {0}, b = {0};
        assert_ok(rllc_tokenizer_encode(first, rllc_json_text(text), rllc_json_text_length(text), &a));
        assert_ok(rllc_tokenizer_encode(last, rllc_json_text(text), rllc_json_text_length(text), &b));
        assert_int_equal(a.n, b.n);
        for (int64_t k = 0; k < a.n; k++) assert_int_equal((a.data[k] + size - 1) % size, b.data[k]);
        rllc_ids_release(&a);
        rllc_ids_release(&b);
    }
    rllc_tokenizer_free(first);
    rllc_tokenizer_free(last);
}

static void test_load_and_save_keep_the_file(void **state) {
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        rllc_tokenizer *t = load_kind(kinds[k]), *again;
        assert_ok(rllc_tokenizer_save(t, scratch("again.json")));
        if (strcmp(kinds[k], "split") != 0)
            assert_file_is(scratch("again.json"), rllc_json_get(kind(kinds[k]), "file"));
        assert_ok(rllc_tokenizer_load(&again, scratch("again.json")));
        assert_string_equal(rllc_tokenizer_hash(t).hex, rllc_tokenizer_hash(again).hex);
        assert_ok(rllc_tokenizer_save(again, scratch("third.json")));
        rllc_hash a, b;
        assert_ok(rllc_hash_file(scratch("again.json"), &a));
        assert_ok(rllc_hash_file(scratch("third.json"), &b));
        assert_string_equal(a.hex, b.hex);
        assert_string_equal(a.hex, rllc_tokenizer_hash(t).hex); /* the hash is that of the canonical file */
        rllc_tokenizer_free(t);
        rllc_tokenizer_free(again);
    }
}

static void test_different_tokenizers_have_different_hashes(void **state) {
    (void)state;
    rllc_hash hashes[KINDS];
    for (int k = 0; k < KINDS; k++) {
        rllc_tokenizer *t = load_kind(kinds[k]);
        hashes[k] = rllc_tokenizer_hash(t);
        rllc_tokenizer_free(t);
        for (int i = 0; i < k; i++) assert_string_not_equal(hashes[i].hex, hashes[k].hex);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_agrees_with_hugging_face),
        cmocka_unit_test(test_decode_gives_the_text_back),
        cmocka_unit_test(test_training_writes_the_same_file),
        cmocka_unit_test(test_special_last_only_renumbers),
        cmocka_unit_test(test_load_and_save_keep_the_file),
        cmocka_unit_test(test_different_tokenizers_have_different_hashes),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
