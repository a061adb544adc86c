/* Encoding: bad bytes, added tokens, many threads on one tokenizer, awkward texts. */
#include "scratch.h"

/* All 256 bytes as GPT-2's symbols, and the added tokens in `added`. */
static rllc_tokenizer *with_added(const char *added, const char *options) {
    rllc_string s = {0};
    rllc_tokenizer *t;
    assert_ok(
        rllc_string_printf(&s,
                           "{\"added_tokens\":[%s],\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":%s},"
                           "\"model\":{\"type\":\"BPE\",\"vocab\":{",
                           added, options));
    for (uint32_t b = 0, others = 0; b < 256; b++) {
        bool itself = (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xFF && b != 0xAD);
        assert_ok(rllc_string_printf(&s, "%s\"\\u%04x\":%u", b ? "," : "", itself ? b : 0x100 + others, b));
        others += !itself;
    }
    assert_ok(rllc_string_add(&s, "},\"merges\":[]}}"));
    assert_ok(rllc_tokenizer_load(&t, scratch_write("bytes.json", s.data, s.length)));
    rllc_string_release(&s);
    return t;
}

static void check(const rllc_tokenizer *t, const char *text, size_t n, const int *expected, int m) {
    rllc_ids ids = {0};
    assert_ok(rllc_tokenizer_encode(t, text, n, &ids));
    assert_int_equal(ids.n, m);
    for (int i = 0; i < m; i++) assert_int_equal(ids.data[i], expected[i]);
    rllc_ids_release(&ids);
}

static void test_bytes_are_ids(void **state) {
    (void)state;
    rllc_tokenizer *t = with_added("", "false");
    rllc_string s = {0};
    uint64_t random = 1;
    scratch_add_noise(&s, &random, 5000);
    for (uint32_t c = 0; c < 0x800; c++) scratch_add_character(&s, c);
    rllc_ids ids = {0};
    assert_ok(rllc_tokenizer_encode(t, s.data, s.length, &ids));
    assert_int_equal(ids.n, s.length);
    for (int64_t i = 0; i < ids.n; i++) assert_int_equal(ids.data[i], (unsigned char)s.data[i]);
    rllc_ids_release(&ids);
    rllc_string_release(&s);
    check(t, "", 0, NULL, 0);
    check(t, "a\0b", 3, (int[]){'a', 0, 'b'}, 3);
    assert_int_equal(rllc_tokenizer_bos(t), -1);
    rllc_tokenizer_free(t);
}

/* One wrong byte anywhere: refused at its offset, and nothing is appended. */
static void test_invalid_utf8_is_refused_everywhere(void **state) {
    (void)state;
    rllc_tokenizer *t = with_added("", "false");
    static const char good[] = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\xA6\x99z";
    static const char *const bad[] = {"\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                      "\xF8",     "\x80",         "\xFF",         "\xE2\x82"};
    rllc_ids ids = {0};
    char says[64];
    assert_ok(rllc_ids_add(&ids, 7));
    for (size_t at = 0; at + 1 < sizeof good; at++) {
        if (((unsigned char)good[at] & 0xC0) == 0x80) continue; /* inside a character */
        for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
            char text[32];
            int n = snprintf(text, sizeof text, "%.*s%s%s", (int)at, good, bad[k], good + at);
            snprintf(says, sizeof says, "byte %zu of the text", at);
            assert_fails(rllc_tokenizer_encode(t, text, (size_t)n, &ids), RLLC_EINPUT, says);
            assert_int_equal(ids.n, 1);
        }
    }
    for (size_t n = 1; n + 1 < sizeof good; n++) { /* cut inside a character */
        bool whole = ((unsigned char)good[n] & 0xC0) != 0x80;
        ids.n = 0;
        assert_int_equal(rllc_tokenizer_encode(t, good, n, &ids), whole ? RLLC_OK : RLLC_EINPUT);
    }
    rllc_ids_release(&ids);
    rllc_tokenizer_free(t);
}

#define TOKEN(id, content, normalized, special)                                                                        \
    "{\"id\":" #id ",\"content\":\"" content "\",\"normalized\":" #normalized ",\"special\":" #special "}"

static void test_added_tokens_are_cut_out_first(void **state) {
    (void)state;
    rllc_tokenizer *t =
        with_added(TOKEN(256, "<|endoftext|>", false, true) "," TOKEN(257, "<a>", false, false) "," TOKEN(
                       258, "<a>b", false, false) "," TOKEN(259, "b<", true,
                                                            false) "," TOKEN(260, "xx", true,
                                                                             false) "," TOKEN(261, "xxx", true, false),
                   "false");
    assert_int_equal(rllc_tokenizer_bos(t), 256);
    assert_int_equal(rllc_tokenizer_size(t), 262);
    check(t, "<a>", 3, (int[]){257}, 1);
    check(t, "<a>bc", 5, (int[]){258, 'c'}, 2); /* the longest */
    check(t, "b<a>", 4, (int[]){'b', 257}, 2);  /* those not normalized go first */
    check(t, "b<<a>", 5, (int[]){259, 257}, 2);
    check(t, "xxxxx", 5, (int[]){261, 260}, 2); /* from the left */
    check(t, "<a", 2, (int[]){'<', 'a'}, 2);
    check(t, "<|endoftext|><|endoftext|>", 26, (int[]){256, 256}, 2);
    check(t, "<|endoftext|> <|endoftext", 25, (int[]){256, ' ', '<', '|', 'e', 'n', 'd', 'o', 'f', 't', 'e', 'x', 't'},
          13);
    rllc_string s = {0};
    assert_ok(rllc_tokenizer_decode(t, (int32_t[]){256, 'a', 261, 0xC3, 0xA9}, 5, &s));
    assert_string_equal(s.data, "<|endoftext|>axxx\xC3\xA9");
    rllc_string_release(&s);
    rllc_tokenizer_free(t);
}

static void test_prefix_space_before_every_piece(void **state) {
    (void)state;
    rllc_tokenizer *t = with_added(TOKEN(256, "<a>", false, true), "true");
    check(t, "x", 1, (int[]){' ', 'x'}, 2);
    check(t, " x", 2, (int[]){' ', 'x'}, 2);
    check(t, "\nx", 2, (int[]){' ', '\n', 'x'}, 3);
    check(t, "x<a>y", 5, (int[]){' ', 'x', 256, ' ', 'y'}, 5);
    check(t, "<a>", 3, (int[]){256}, 1);
    check(t, "", 0, NULL, 0);
    rllc_tokenizer_free(t);
}

/* ---- threads ----------------------------------------------------------------------------------------------- */

enum { TEXTS = 64 };

typedef struct shared {
    const rllc_tokenizer *t;
    rllc_string texts[TEXTS];
    rllc_ids ids[TEXTS];
} shared;

static rllc_status encode_one(void *context, int64_t i, int worker) {
    shared *s = context;
    (void)worker;
    s->ids[i].n = 0;
    return rllc_tokenizer_encode(s->t, rllc_string_text(&s->texts[i]), s->texts[i].length, &s->ids[i]);
}

static void test_one_tokenizer_serves_many_threads(void **state) {
    (void)state;
    static shared s;
    rllc_tokenizer *t = with_added(TOKEN(256, "<|endoftext|>", false, true), "true");
    uint64_t random = 9;
    rllc_hash hashes[2][TEXTS];
    s.t = t;
    for (int i = 0; i < TEXTS; i++) scratch_add_noise(&s.texts[i], &random, 3000);
    for (int k = 0; k < 2; k++) {
        assert_ok(rllc_parallel(TEXTS, k ? 8 : 1, encode_one, &s));
        for (int i = 0; i < TEXTS; i++)
            hashes[k][i] = rllc_hash_bytes(s.ids[i].data, (size_t)s.ids[i].n * sizeof(int32_t));
    }
    for (int i = 0; i < TEXTS; i++) {
        assert_string_equal(hashes[0][i].hex, hashes[1][i].hex);
        rllc_string_release(&s.texts[i]);
        rllc_ids_release(&s.ids[i]);
    }
    rllc_tokenizer_free(t);
}

static void test_saving_where_nothing_can_be_written(void **state) {
    (void)state;
    rllc_tokenizer *t = with_added("", "false");
    assert_fails(rllc_tokenizer_save(t, scratch("no/such/folder/t.json")), RLLC_EIO, "no/such/folder");
    assert_fails(rllc_tokenizer_save(t, scratch_folder), RLLC_EIO, "folder");
    rllc_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_are_ids),
        cmocka_unit_test(test_invalid_utf8_is_refused_everywhere),
        cmocka_unit_test(test_added_tokens_are_cut_out_first),
        cmocka_unit_test(test_prefix_space_before_every_piece),
        cmocka_unit_test(test_one_tokenizer_serves_many_threads),
        cmocka_unit_test(test_saving_where_nothing_can_be_written),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
