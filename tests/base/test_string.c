/* Growing strings, interned texts, UTF-8, suggestions. */
#include "base/helpers.h"

#include <jansson.h>
#include <pthread.h>

static void test_string_grows_by_all_means(void **state) {
    (void)state;
    rllc_string s = {0};
    char expected[60000];
    size_t n = 0;
    assert_string_equal(rllc_string_text(&s), "");
    for (int i = 0; i < 2000; i++) {
        assert_ok(rllc_string_add(&s, "ab"));
        assert_ok(rllc_string_printf(&s, "%d,%s", i, "x"));
        assert_ok(rllc_string_add_bytes(&s, "yz!", 2));
        n += (size_t)sprintf(expected + n, "ab%d,xyz", i);
        assert_int_equal(s.length, n);
        assert_int_equal(s.data[n], 0);
    }
    assert_string_equal(rllc_string_text(&s), expected);
    const char *kept = s.data;
    rllc_string_clear(&s);
    assert_int_equal(s.length, 0);
    assert_string_equal(rllc_string_text(&s), "");
    assert_ok(rllc_string_add(&s, "again"));
    assert_ptr_equal(s.data, kept);
    rllc_string_release(&s);
    rllc_string_release(&s);
    assert_null(s.data);
}

static void test_string_holds_any_bytes_and_nothing(void **state) {
    (void)state;
    rllc_string s = {0};
    assert_ok(rllc_string_add_bytes(&s, NULL, 0));
    assert_non_null(s.data);
    assert_ok(rllc_string_add_bytes(&s, "a\0b", 3));
    assert_int_equal(s.length, 3);
    assert_memory_equal(s.data, "a\0b", 4);
    rllc_string_release(&s);
}

static void test_string_refuses_impossible_length(void **state) {
    (void)state;
    rllc_string s = {0};
    assert_int_equal(rllc_string_add_bytes(&s, "", SIZE_MAX), RLLC_ENOMEM);
    assert_int_equal(rllc_string_add_bytes(&s, "", SIZE_MAX / 2), RLLC_ENOMEM);
    assert_int_equal(s.length, 0);
}

enum { WORDS = 50000, THREADS = 4 };
static const char *interned[THREADS][WORDS];
static pthread_barrier_t start;

static void *intern_all(void *row) {
    const char **mine = row;
    pthread_barrier_wait(&start);
    for (int i = 0; i < WORDS; i++) mine[i] = rllc_intern_printf("word %d", i);
    return NULL;
}

static void test_intern_is_one_copy_across_threads(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (int t = 0; t < THREADS; t++) assert_int_equal(pthread_create(&threads[t], NULL, intern_all, interned[t]), 0);
    for (int t = 0; t < THREADS; t++) assert_int_equal(pthread_join(threads[t], NULL), 0);
    for (int i = 0; i < WORDS; i++) {
        char text[32];
        sprintf(text, "word %d", i);
        assert_string_equal(interned[0][i], text);
        assert_ptr_not_equal(interned[0][i], text);
        for (int t = 0; t < THREADS; t++) assert_ptr_equal(interned[t][i], rllc_intern(text));
    }
    assert_null(rllc_intern(NULL));
    assert_ptr_equal(rllc_intern(""), rllc_intern_printf("%s", ""));
}

/* jansson has a check of its own. */
static bool jansson_accepts(const char *bytes, size_t n) {
    json_t *j = json_stringn(bytes, n);
    json_decref(j);
    return j != NULL;
}

static void compare_utf8(const unsigned char *bytes, size_t n) {
    bool ours = rllc_utf8_valid(bytes, n, NULL), theirs = jansson_accepts((const char *)bytes, n);
    if (ours == theirs) return;
    fail_msg("%02x %02x %02x %02x (%zu bytes): %d", bytes[0], bytes[1], bytes[2], bytes[3], n, ours);
}

static void test_utf8_valid_agrees_with_jansson(void **state) {
    (void)state;
    static const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2,
                                          0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    enum { N = sizeof edges };
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) compare_utf8((unsigned char[]){(unsigned char)a, (unsigned char)b, 0, 0}, 2);
    }
    for (int i = 0; i < N * N * N * N; i++) {
        unsigned char bytes[4] = {edges[i / (N * N * N)], edges[i / (N * N) % N], edges[i / N % N], edges[i % N]};
        compare_utf8(bytes, 3);
        compare_utf8(bytes, 4);
    }
}

static void test_utf8_valid_finds_the_first_bad_byte(void **state) {
    (void)state;
    char text[64];
    size_t bad_at;
    for (size_t at = 0; at < 40; at++) {
        memset(text, 'a', sizeof text);
        assert_true(rllc_utf8_valid(text, 40, &bad_at));
        text[at] = '\xFF';
        assert_false(rllc_utf8_valid(text, 40, &bad_at));
        assert_int_equal(bad_at, at);
        memcpy(text + at, "\xE2\x82\xAC", 3);
        for (size_t n = at; n < at + 4; n++) {
            bool whole = n == at || n == at + 3;
            assert_int_equal(rllc_utf8_valid(text, n, &bad_at), whole);
            if (!whole) assert_int_equal(bad_at, at);
        }
    }
    assert_true(rllc_utf8_valid(NULL, 0, NULL));
}

static void test_nearest_suggests_what_was_meant(void **state) {
    (void)state;
    static const char *const names[] = {"lr", "nbeta", "localization", "noise_level", "num_chains", "num_draws",
                                        "num_burnin_steps", "n_heads", "n_layers", "d_model", "dry_run"};
    static const char *const cases[][2] = {
        {"n_head", "n_heads"},       {"locaization", "localization"}, {"loclaization", "localization"},
        {"noise-level", "noise_level"}, {"NOISE-LEVEL", "noise_level"}, {"l", NULL},
        {"rl", "lr"},                {"num_chain", "num_chains"},     {"d_modle", "d_model"},
        {"dryrun", "dry_run"},       {"local", "localization"},       {"num", "num_chains"},
        {"zebra", NULL},             {"", NULL},                      {"temperature", NULL},
        {"n_layer", "n_layers"},     {"xy", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found = rllc_nearest(cases[i][0], names, sizeof names / sizeof *names);
        if (!cases[i][1]) {
            if (found && strcmp(cases[i][0], "l") != 0) fail_msg("%s -> %s", cases[i][0], found);
        } else {
            if (!found) fail_msg("%s -> nothing", cases[i][0]);
            assert_string_equal(found, cases[i][1]);
        }
    }
    assert_null(rllc_nearest("lr", names, 0));
}

static void test_nearest_bears_any_length(void **state) {
    (void)state;
    static char huge[100001];
    memset(huge, 'a', sizeof huge - 1);
    const char *const candidates[] = {huge, "", "aaaa"};
    assert_null(rllc_nearest(huge, candidates, 3));
    assert_string_equal(rllc_nearest("aaab", candidates, 3), "aaaa");
    char edge[97] = {0};
    memset(edge, 'b', 96);
    const char *const one[] = {edge};
    assert_ptr_equal(rllc_nearest(edge, one, 1), edge);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_string_grows_by_all_means),
        cmocka_unit_test(test_string_holds_any_bytes_and_nothing),
        cmocka_unit_test(test_string_refuses_impossible_length),
        cmocka_unit_test(test_intern_is_one_copy_across_threads),
        cmocka_unit_test(test_utf8_valid_agrees_with_jansson),
        cmocka_unit_test(test_utf8_valid_finds_the_first_bad_byte),
        cmocka_unit_test(test_nearest_suggests_what_was_meant),
        cmocka_unit_test(test_nearest_bears_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
