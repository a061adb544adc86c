/* JSON: strict reading, reals in shortest form, canonical order, hostile text. */
#include "base/helpers.h"

#include <math.h>

static rllc_status parse(rllc_json **out, const char *text) {
    return rllc_json_parse(out, text, strlen(text), "test.json");
}

static char *printed(const rllc_json *j, int indent, bool sorted) {
    rllc_string s = {0};
    assert_ok(rllc_json_print(j, indent, sorted, &s));
    return s.data;
}

static void test_json_text_survives_reading_and_printing(void **state) {
    (void)state;
    static const char *const same[] = {
        "{\"b\": 1, \"a\": [true, false, null, \"x\"]}", "[]", "{}", "\"\"", "7", "-0.0", "1.0", "0.1",
        "9223372036854775807", "-9223372036854775808", "1e+300", "[[[[[]]]]]",
        "\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u007f\"",
        "\"\xE2\x82\xAC\xF0\x9F\x98\x80\"", "\"a\\u0000b\"", "{\"\": \"/\"}"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        rllc_json *j;
        assert_ok(parse(&j, same[i]));
        char *text = printed(j, 0, false);
        assert_string_equal(text, same[i]);
        free(text);
        rllc_json_free(j);
    }
}

static void test_json_print_indented_and_sorted(void **state) {
    (void)state;
    rllc_json *j;
    assert_ok(parse(&j, "{\"b\":{\"z\":[],\"y\":{}},\"a\":[1,2],\"B\":0}"));
    char *text = printed(j, 2, false), *canonical = printed(j, 0, true);
    assert_string_equal(text, "{\n  \"b\": {\n    \"z\": [],\n    \"y\": {}\n  },\n"
                              "  \"a\": [\n    1,\n    2\n  ],\n  \"B\": 0\n}");
    assert_string_equal(canonical, "{\"B\": 0, \"a\": [1, 2], \"b\": {\"y\": {}, \"z\": []}}");
    free(text);
    free(canonical);
    rllc_json_free(j);
}

static void test_json_refuses_what_is_not_strict(void **state) {
    (void)state;
    static const struct {
        const char *text, *detail;
    } bad[] = {{"", "test.json: line 1"},        {"{", "end of file"},      {"[1,]", "line 1"},
               {"{\"a\":1,\"a\":2}", "duplicate"}, {"[1] x", "end of file"}, {"{'a':1}", "expected"},
               {"[NaN]", "NaN"},                  {"[Infinity]", "invalid"}, {"[01]", "line 1"},
               {"[1e999]", "overflow"},           {"[99999999999999999999]", "too big"},
               {"\"\xFF\"", "byte 0xff"},         {"\"\xED\xA0\x80\"", "byte 0xed"}, {"\"\\ud800\"", "Unicode"},
               {"[\"a\n\"]", "line 1"},           {"\n\n[tru]", "line 3"},   {"// c\n1", "line 1"},
               {"{\"a\\u0000\":1}", "NUL"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rllc_json *j = (rllc_json *)1;
        assert_fails(parse(&j, bad[i].text), RLLC_EINPUT, bad[i].detail);
        assert_null(j);
        assert_memory_equal(rllc_error_detail(), "test.json: line ", 16);
        for (const char *p = rllc_error_detail(); *p; p++) assert_true((unsigned char)*p >= 0x20);
    }
}

static void test_json_nesting_is_bounded(void **state) {
    (void)state;
    const size_t n = 1000000;
    char *text = malloc(n);
    rllc_json *j;
    assert_non_null(text);
    memset(text, '[', n);
    assert_fails(rllc_json_parse(&j, text, n, "deep"), RLLC_EINPUT, "depth");
    memset(text, '[', 2000);
    memset(text + 2000, ']', 2000);
    assert_ok(rllc_json_parse(&j, text, 4000, "deep"));
    char *again = printed(j, 0, false);
    assert_memory_equal(again, text, 4000);
    free(again);
    rllc_json_free(j);
    free(text);
    j = rllc_json_array();
    for (int i = 0; i < 3000; i++) { /* deeper than can be read back: built, not parsed */
        rllc_json *outer = rllc_json_array();
        assert_ok(rllc_json_append(outer, j));
        j = outer;
    }
    rllc_string s = {0};
    assert_fails(rllc_json_print(j, 0, false, &s), RLLC_EINPUT, "nested");
    rllc_string_release(&s);
    rllc_json_free(j);
}

static void test_json_every_truncation_is_refused(void **state) {
    (void)state;
    const char text[] = "{\"a\": [1, 2.5, -3e2, true, null], \"b\": {\"c\": \"\xE2\x82\xAC\\u20ac\\n\"}}";
    rllc_json *j;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        assert_int_equal(rllc_json_parse(&j, text, n, "cut"), RLLC_EINPUT);
        assert_null(j);
    }
    assert_ok(rllc_json_parse(&j, text, sizeof text - 1, "whole"));
    rllc_json_free(j);
}

/* Random bytes in good text: refused with a reason, or read as something that prints to a fixed point. */
static void test_json_mutations_are_refused_or_round_trip(void **state) {
    (void)state;
    static const char seed_text[] =
        "{\"model\": {\"n\": 12, \"x\": 1.5e-3, \"t\": \"a\\u00e9\\\\\"}, \"l\": [[], {}, null, true]}";
    static const char alphabet[] = "{}[]\",:\\u0019.eE+-truefalsn \n\t\x80\xC3\xFF";
    uint64_t random = 5;
    int64_t n_accepted = 0, n = effort(20000);
    for (int64_t i = 0; i < n; i++) {
        char text[sizeof seed_text];
        memcpy(text, seed_text, sizeof text);
        size_t size = sizeof text - 1 - (next_random(&random) % 4 == 0 ? next_random(&random) % 20 : 0);
        for (uint64_t k = next_random(&random) % 3 + 1; k > 0; k--) {
            text[next_random(&random) % size] = alphabet[next_random(&random) % (sizeof alphabet - 1)];
        }
        rllc_json *j, *again;
        if (rllc_json_parse(&j, text, size, "mutated") != RLLC_OK) {
            assert_true(strlen(rllc_error_detail()) > 20);
            continue;
        }
        n_accepted++;
        char *first = printed(j, 2, true);
        assert_ok(rllc_json_parse(&again, first, strlen(first), "printed"));
        char *second = printed(again, 2, true);
        assert_string_equal(first, second);
        free(first);
        free(second);
        rllc_json_free(j);
        rllc_json_free(again);
    }
    assert_true(n_accepted > n / 50 && n_accepted < n);
}

static void test_json_readers_give_fallbacks(void **state) {
    (void)state;
    rllc_json *j;
    assert_ok(parse(&j, "{\"i\": 3, \"r\": 2.5, \"s\": \"x\", \"z\": null, "
                        "\"t\": true, \"a\": [1, 2], \"n\": \"a\\u0000b\"}"));
    assert_int_equal(rllc_json_length(j), 7);
    assert_int_equal(rllc_json_to_integer(rllc_json_get(j, "i"), 9), 3);
    assert_int_equal(rllc_json_to_integer(rllc_json_get(j, "r"), 9), 9);
    assert_int_equal(rllc_json_to_integer(rllc_json_get(j, "none"), 9), 9);
    assert_true(rllc_json_to_real(rllc_json_get(j, "i"), 9) == 3);
    assert_true(rllc_json_to_real(rllc_json_get(j, "r"), 9) == 2.5);
    assert_true(rllc_json_to_real(rllc_json_get(j, "s"), 9) == 9);
    assert_true(rllc_json_to_boolean(rllc_json_get(j, "t"), false));
    assert_true(rllc_json_to_boolean(rllc_json_get(j, "i"), true));
    assert_string_equal(rllc_json_text(rllc_json_get(j, "s")), "x");
    assert_null(rllc_json_text(rllc_json_get(j, "i")));
    assert_int_equal(rllc_json_text_length(rllc_json_get(j, "n")), 3);
    assert_true(rllc_json_is_null(rllc_json_get(j, "z")));
    assert_false(rllc_json_is_null(rllc_json_get(j, "none")));
    const rllc_json *a = rllc_json_get(j, "a");
    assert_true(rllc_json_is_array(a) && !rllc_json_is_object(a) && rllc_json_is_object(j));
    assert_true(rllc_json_is_string(rllc_json_get(j, "s")) && rllc_json_is_integer(rllc_json_at(a, 1)));
    assert_int_equal(rllc_json_length(a), 2);
    assert_int_equal(rllc_json_to_integer(rllc_json_at(a, 1), 0), 2);
    assert_null(rllc_json_at(a, 2));
    assert_null(rllc_json_at(a, -1));
    assert_null(rllc_json_at(j, 0));
    assert_null(rllc_json_get(a, "x"));
    assert_null(rllc_json_get(NULL, "x"));
    assert_int_equal(rllc_json_length(NULL), 0);
    rllc_json_free(j);
    rllc_json_free(NULL);
}

static void test_json_constructors_nest_and_take_over(void **state) {
    (void)state;
    rllc_json *j = rllc_json_object(), *list = rllc_json_array();
    assert_ok(rllc_json_append(list, rllc_json_real(0.1)));
    assert_ok(rllc_json_append(list, rllc_json_real(NAN)));
    assert_ok(rllc_json_append(list, rllc_json_real(-INFINITY)));
    assert_ok(rllc_json_append(list, rllc_json_string(NULL)));
    assert_ok(rllc_json_append(list, rllc_json_string("bad \xFF\xC3 bytes\xE2\x82")));
    assert_ok(rllc_json_set(j, "list", list));
    assert_ok(rllc_json_set(j, "n", rllc_json_integer(INT64_MIN)));
    assert_ok(rllc_json_set(j, "n", rllc_json_boolean(true))); /* replaces */
    assert_ok(rllc_json_set(j, "z", rllc_json_null()));
    char *text = printed(j, 0, false);
    assert_string_equal(text, "{\"list\": [0.1, null, null, null, "
                              "\"bad \xEF\xBF\xBD\xEF\xBF\xBD bytes\xEF\xBF\xBD\xEF\xBF\xBD\"], "
                              "\"n\": true, \"z\": null}");
    free(text);
    assert_int_equal(rllc_json_set(j, "x", NULL), RLLC_ENOMEM);
    assert_int_equal(rllc_json_append(list, NULL), RLLC_ENOMEM);
    assert_int_equal(rllc_json_set(NULL, "x", rllc_json_null()), RLLC_ENOMEM);
    assert_int_equal(rllc_json_append(NULL, rllc_json_integer(1)), RLLC_ENOMEM);
    assert_int_equal(rllc_json_set(list, "x", rllc_json_integer(1)), RLLC_EINPUT);
    assert_int_equal(rllc_json_append(j, rllc_json_integer(1)), RLLC_EINPUT);
    assert_int_equal(rllc_json_set(j, "\xFF", rllc_json_integer(1)), RLLC_EINPUT);
    rllc_json_free(j);
}

typedef struct seen {
    char keys[16];
    int64_t sum;
} seen;

static rllc_status note(void *context, const char *key, const rllc_json *value) {
    seen *s = context;
    if (strcmp(key, "stop") == 0) return rllc_fail(RLLC_EINPUT, "stopped");
    strcat(s->keys, key);
    s->sum += rllc_json_to_integer(value, 0);
    return RLLC_OK;
}

static void test_json_each_goes_in_order_until_failure(void **state) {
    (void)state;
    rllc_json *j;
    seen s = {0};
    assert_ok(parse(&j, "{\"z\": 1, \"a\": 2, \"m\": 4}"));
    assert_ok(rllc_json_each(j, note, &s));
    assert_string_equal(s.keys, "zam");
    assert_int_equal(s.sum, 7);
    rllc_json_free(j);
    s = (seen){0};
    assert_ok(parse(&j, "{\"z\": 1, \"stop\": 2, \"m\": 4}"));
    assert_fails(rllc_json_each(j, note, &s), RLLC_EINPUT, "stopped");
    assert_string_equal(s.keys, "z");
    rllc_json_free(j);
    assert_ok(rllc_json_each(NULL, note, &s));
}

static void test_json_load_names_the_file(void **state) {
    const char *path = scratch_path(state, "x.json");
    rllc_json *j;
    assert_fails(rllc_json_load(&j, path), RLLC_ENOTFOUND, path);
    assert_ok(rllc_file_write(path, "[1\n,]", 5));
    assert_fails(rllc_json_load(&j, path), RLLC_EINPUT, "x.json: line 2");
    assert_ok(rllc_file_write(path, "", 0));
    assert_fails(rllc_json_load(&j, path), RLLC_EINPUT, path);
    assert_ok(rllc_file_write(path, "[1]", 3));
    assert_ok(rllc_json_load(&j, path));
    rllc_json_free(j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_text_survives_reading_and_printing),
        cmocka_unit_test(test_json_print_indented_and_sorted),
        cmocka_unit_test(test_json_refuses_what_is_not_strict),
        cmocka_unit_test(test_json_nesting_is_bounded),
        cmocka_unit_test(test_json_every_truncation_is_refused),
        cmocka_unit_test(test_json_mutations_are_refused_or_round_trip),
        cmocka_unit_test(test_json_readers_give_fallbacks),
        cmocka_unit_test(test_json_constructors_nest_and_take_over),
        cmocka_unit_test(test_json_each_goes_in_order_until_failure),
        cmocka_unit_test_setup_teardown(test_json_load_names_the_file, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
