/* The scanner against GPT-2's expression run by PCRE2, and the pinned character classes against PCRE2's. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "scratch.h"

#include <pcre2.h>

#include "data/text.h"

static pcre2_code *compiled(const char *pattern) {
    int error;
    PCRE2_SIZE at;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
    assert_non_null(code);
    return code;
}

static bool matches(const pcre2_code *code, pcre2_match_data *data, const void *s, size_t n) {
    return pcre2_match(code, s, n, 0, PCRE2_ANCHORED, data, NULL) >= 0;
}

/* An older Unicode lacks characters, a newer one adds some: only what both assign can be compared. Categories of
   assigned characters do not move between letters, numbers and the rest. */
static void test_classes_agree_with_pcre2(void **state) {
    (void)state;
    static const char *const patterns[] = {"\\p{Cn}", "\\p{L}", "\\p{N}", "\\s"};
    const unsigned char *classes = rllc_data_classes();
    pcre2_code *code[4];
    int64_t compared = 0, newer = 0;
    for (int i = 0; i < 4; i++) code[i] = compiled(patterns[i]);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    rllc_string s = {0};
    for (uint32_t c = 0; c < RLLC_DATA_CODE_POINTS; c++) {
        rllc_string_clear(&s);
        scratch_add_character(&s, c);
        if (s.length == 0) { /* surrogates */
            assert_int_equal(classes[c], RLLC_DATA_OTHER);
            continue;
        }
        if (matches(code[0], data, s.data, s.length)) {
            newer += classes[c] != RLLC_DATA_OTHER;
            continue;
        }
        int expected = matches(code[1], data, s.data, s.length)                  ? RLLC_DATA_LETTER
                       : matches(code[2], data, s.data, s.length)                ? RLLC_DATA_NUMBER
                       : c != 0x180E && matches(code[3], data, s.data, s.length) ? RLLC_DATA_SPACE
                                                                                 : RLLC_DATA_OTHER;
        if (classes[c] != expected) fail_msg("U+%04X has class %d, PCRE2 says %d", c, classes[c], expected);
        compared++;
    }
    assert_true(compared > 280000); /* private use counts as assigned */
    assert_true(newer < 20000);
    assert_int_equal(classes[0x1C89], RLLC_DATA_LETTER); /* new in Unicode 16 */
    assert_int_equal(classes[0x088F], RLLC_DATA_OTHER);  /* a letter since Unicode 17 */
    assert_int_equal(classes[0x180E], RLLC_DATA_OTHER);  /* white space until Unicode 6.2 */
    pcre2_match_data_free(data);
    for (int i = 0; i < 4; i++) pcre2_code_free(code[i]);
    rllc_string_release(&s);
}

/* The pre-tokens of s, cut by the expression itself. */
static size_t expected_end(const pcre2_code *code, pcre2_match_data *data, const rllc_string *s, size_t at) {
    int found = pcre2_match(code, (PCRE2_SPTR)s->data, s->length, at, PCRE2_ANCHORED, data, NULL);
    assert_true(found > 0);
    return pcre2_get_ovector_pointer(data)[1];
}

static void compare_cuts(const pcre2_code *code, pcre2_match_data *data, const rllc_string *s) {
    const unsigned char *classes = rllc_data_classes();
    for (size_t at = 0, end; at < s->length; at = end) {
        end = rllc_data_pretoken_end(classes, (const unsigned char *)s->data, s->length, at);
        size_t expected = expected_end(code, data, s, at);
        if (end != expected)
            fail_msg("in '%s' at %zu: cut at %zu, the expression cuts at %zu", s->data, at, end, expected);
    }
}

/* Characters whose class PCRE2's Unicode does not know, or takes for another, would compare two versions of Unicode. */
static bool comparable(const pcre2_code *unknown, pcre2_match_data *data, const rllc_string *s) {
    return pcre2_match(unknown, (PCRE2_SPTR)s->data, s->length, 0, 0, data, NULL) < 0;
}

static void test_scanner_is_the_expression(void **state) {
    (void)state;
    pcre2_code *code = compiled("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");
    pcre2_code *unknown = compiled("[\\p{Cn}\\x{180E}]");
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    rllc_string s = {0};
    uint64_t random = 1;
    int compared = 0;
    for (int i = 0; i < 60000; i++) {
        rllc_string_clear(&s);
        scratch_add_noise(&s, &random, 1 + (int)(scratch_random(&random) % 12));
        if (s.length == 0 || !comparable(unknown, data, &s)) continue;
        compare_cuts(code, data, &s);
        compared++;
    }
    assert_true(compared > 10000);
    /* Every text of 7 of these characters: all the ways in which the alternatives meet; and all contractions. */
    static const char *const letters[] = {" \n'sl1!", "'vreltm"};
    for (uint32_t n = 0; n < 2 * 7 * 7 * 7 * 7 * 7 * 7 * 7; n++) {
        char text[8];
        uint32_t k = n / 2;
        for (int i = 0; i < 7; i++, k /= 7) text[i] = letters[n % 2][k % 7];
        text[7] = '\0';
        rllc_string fixed = {text, 7, 8};
        compare_cuts(code, data, &fixed);
    }
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    pcre2_code_free(unknown);
    rllc_string_release(&s);
}

static rllc_status join(void *context, const unsigned char *s, size_t n) {
    rllc_string *out = context;
    if (n == 0) return RLLC_EFAIL;
    rllc_status status = rllc_string_add_bytes(out, s, n);
    return status == RLLC_OK ? rllc_string_add(out, "|") : status;
}

static void check_split(const char *pattern, bool literal, rllc_data_behavior behavior, bool invert, const char *text,
                        const char *expected) {
    rllc_data_split *s;
    rllc_string out = {0};
    assert_ok(rllc_data_split_new(&s, pattern, strlen(pattern), literal, behavior, invert, "x.json"));
    assert_ok(rllc_data_split_each(s, (const unsigned char *)text, strlen(text), join, &out));
    assert_string_equal(rllc_string_text(&out), expected);
    rllc_string_release(&out);
    rllc_data_split_free(s);
}

/* What Hugging Face's Split does with the same arguments (found by asking it). */
static void test_split_behaviors(void **state) {
    (void)state;
    check_split("\\d", false, RLLC_DATA_ISOLATED, false, "ab12c", "ab|1|2|c|");
    check_split("\\d", false, RLLC_DATA_REMOVED, false, "ab12c", "ab|c|");
    check_split("\\d", false, RLLC_DATA_REMOVED, true, "ab12c", "1|2|");
    check_split("\\d", true, RLLC_DATA_ISOLATED, false, "a\\db\\d", "a|\\d|b|\\d|");
    check_split("a*", false, RLLC_DATA_ISOLATED, false, "baac", "b|aa|c|");
    check_split("x*", false, RLLC_DATA_ISOLATED, false, "bcé", "b|c|é|");
    check_split("\\s+", false, RLLC_DATA_ISOLATED, false, "a \xE1\xA0\x8E\xC2\xA0 b", "a| |\xE1\xA0\x8E|\xC2\xA0 |b|");
    check_split("[\\s,]+", false, RLLC_DATA_REMOVED, false, ", a ,b", "a|b|");
    check_split("\\S+", false, RLLC_DATA_REMOVED, true, "ab c", "ab|c|");
    check_split("[]a]", false, RLLC_DATA_ISOLATED, false, "x]ay", "x|]|a|y|");
    check_split("\\p{L}+", false, RLLC_DATA_ISOLATED, false, "1\xE1\xB2\x89z2", "1|\xE1\xB2\x89z|2|"); /* U+1C89 */
    check_split("z", false, RLLC_DATA_ISOLATED, false, "", "");
}

static void test_split_refuses(void **state) {
    (void)state;
    rllc_data_split *s;
    assert_fails(rllc_data_split_new(&s, "(", 1, false, RLLC_DATA_ISOLATED, false, "x.json"), RLLC_EINPUT, "x.json");
    assert_null(s);
    assert_fails(rllc_data_split_new(&s, "", 0, false, RLLC_DATA_ISOLATED, false, "x.json"), RLLC_EINPUT, "empty");
    assert_fails(rllc_data_split_new(&s, "[\\S]", 4, false, RLLC_DATA_ISOLATED, false, "x.json"), RLLC_EUNSUPPORTED,
                 "\\S");
    assert_fails(rllc_data_split_new(&s, "[a[b]]", 6, false, RLLC_DATA_ISOLATED, false, "x.json"), RLLC_EUNSUPPORTED,
                 "brackets");
    assert_fails(rllc_data_split_new(&s, "\\Qa", 3, false, RLLC_DATA_ISOLATED, false, "x.json"), RLLC_EUNSUPPORTED,
                 "\\Q");
    /* Backtracking without end becomes an error, not a hang. */
    rllc_string out = {0};
    assert_ok(rllc_data_split_new(&s, "(a+)+[bd]", 9, false, RLLC_DATA_ISOLATED, false, "x.json"));
    assert_fails(
        rllc_data_split_each(s, (const unsigned char *)"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", 41, join, &out),
        RLLC_EFAIL, "Split");
    rllc_string_release(&out);
    rllc_data_split_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes_agree_with_pcre2),
        cmocka_unit_test(test_scanner_is_the_expression),
        cmocka_unit_test(test_split_behaviors),
        cmocka_unit_test(test_split_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
