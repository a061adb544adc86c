/* The progress line: widths, counts, rates, and JSON. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/frame.h"

static const char *line_of(rllc_progress p, rllc_progress_times t, bool bar, bool utf8, int columns, rllc_string *s) {
    rllc_string_clear(s);
    assert_int_equal(rllc_progress_line(&p, &t, bar, utf8, columns, s), RLLC_OK);
    return rllc_string_text(s);
}

static int columns_of(const char *text) {
    int n = 0;
    for (; *text; text++) n += (*text & 0xC0) != 0x80;
    return n;
}

static void test_progress_plain_says_all(void **state) {
    (void)state;
    rllc_string s = {0};
    const rllc_progress p = {"train", "step", 720, 1712, "loss 3.21"};
    const rllc_progress_times t = {.elapsed = 751, .rate = 0.96};
    assert_string_equal(line_of(p, t, false, false, 0, &s),
                        "train  42% 720/1712 step [12:31<17:13, 1.04 s/step] loss 3.21");
    rllc_string_release(&s);
}

static void test_progress_bar_fits_any_width(void **state) {
    (void)state;
    rllc_string s = {0};
    const rllc_progress_times t = {.elapsed = 751, .rate = 123456};
    for (int columns = 70; columns < 200; columns++) {
        for (int i = 0; i <= 100; i++) {
            const rllc_progress p = {"sample", "chain-step", 17.12 * i, 1712, "checkpoint 600, code, λ̂=23.1±0.4"};
            for (int utf8 = 0; utf8 < 2; utf8++) {
                assert_true(columns_of(line_of(p, t, true, utf8, columns, &s)) <= columns - 1);
                assert_true(rllc_utf8_valid(s.data, s.length, NULL));
            }
        }
    }
    rllc_string_release(&s);
}

static void test_progress_bar_fills_with_the_work(void **state) {
    (void)state;
    rllc_string s = {0};
    const rllc_progress_times t = {.elapsed = 1, .rate = 1};
    int last = -1;
    for (int i = 0; i <= 100; i++) {
        const rllc_progress p = {"x", "step", i, 100, ""};
        int filled = 0;
        for (const char *c = line_of(p, t, true, false, 100, &s); *c; c++) filled += *c == '#';
        assert_true(filled >= last);
        last = filled;
    }
    const char *open = strchr(s.data, '|'), *close = strrchr(s.data, '|');
    assert_int_equal(last, close - open - 1); /* full at the end */
    rllc_string_release(&s);
}

static void test_progress_without_a_total_counts(void **state) {
    (void)state;
    rllc_string s = {0};
    const rllc_progress p = {"read", "MB", 12.5, 0, ""};
    const rllc_progress_times t = {.elapsed = 4, .rate = 3};
    assert_string_equal(line_of(p, t, true, true, 80, &s), "read 12.5 MB [00:04, 3 MB/s]");
    rllc_string_release(&s);
}

static void test_progress_json_reads_back(void **state) {
    (void)state;
    rllc_string s = {0};
    rllc_json *j = NULL;
    const rllc_progress p = {"train", "step", 50, 200, "loss \"3\""};
    const rllc_progress_times t = {.elapsed = 5, .rate = 10};
    assert_int_equal(rllc_progress_json(&p, &t, &s), RLLC_OK);
    assert_int_equal(rllc_json_parse(&j, s.data, s.length, "line"), RLLC_OK);
    assert_string_equal(rllc_json_text(rllc_json_get(j, "stage")), "train");
    assert_string_equal(rllc_json_text(rllc_json_get(j, "note")), "loss \"3\"");
    assert_true(rllc_json_to_real(rllc_json_get(j, "remaining"), 0) == 15);
    rllc_json_free(j);
    rllc_string_release(&s);
}

static void test_duration_units(void **state) {
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } cases[] = {{0, "00:00"},      {59.6, "01:00"},     {3599, "59:59"},
                 {3600, "1:00:00"}, {86399, "23:59:59"}, {3 * 86400 + 4 * 3600 + 5 * 60 + 6, "3d 04:05:06"},
                 {NAN, "?"},        {-1, "?"},           {INFINITY, "?"}};
    rllc_string s = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rllc_string_clear(&s);
        assert_int_equal(rllc_duration_add(&s, cases[i].seconds), RLLC_OK);
        assert_string_equal(rllc_string_text(&s), cases[i].text);
    }
    rllc_string_release(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress_plain_says_all),          cmocka_unit_test(test_progress_bar_fits_any_width),
        cmocka_unit_test(test_progress_bar_fills_with_the_work), cmocka_unit_test(test_progress_without_a_total_counts),
        cmocka_unit_test(test_progress_json_reads_back),         cmocka_unit_test(test_duration_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
