/* Numbers to text and back: shortest, exact, and the same under a locale with a decimal comma. */
#include "base/helpers.h"

#include <float.h>
#include <locale.h>
#include <math.h>

#include "base/number.h"

static double from_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void test_format_double_of_known_values(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},         {-0.0, "-0"},        {1, "1"},          {-1.5, "-1.5"},     {0.1, "0.1"},
                 {1.0 / 3, "0.3333333333333333"},       {0.1 + 0.2, "0.30000000000000004"},    {1e22, "1e+22"},
                 {123456789, "123456789"},              {1e-7, "1e-07"},   {5e-324, "5e-324"},
                 {DBL_MAX, "1.7976931348623157e+308"},  {DBL_MIN, "2.2250738585072014e-308"},
                 {2.2250738585072009e-308, "2.225073858507201e-308"},
                 {NAN, "NaN"},     {INFINITY, "inf"},   {-INFINITY, "-inf"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char buffer[32];
        assert_string_equal(rllc_format_double(buffer, cases[i].value), cases[i].text);
    }
}

/* Digits of the mantissa without zeros at either end. */
static int n_digits(const char *text) {
    char digits[64];
    int n = 0;
    for (const char *p = text; *p && *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9' && (n > 0 || *p != '0')) digits[n++] = *p;
    }
    while (n > 0 && digits[n - 1] == '0') n--;
    return n;
}

/* Any bits: the text reads back to them, and no text of fewer digits does. */
static void test_format_double_is_exact_and_shortest(void **state) {
    (void)state;
    uint64_t random = 1;
    int64_t n = effort(30000);
    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = next_random(&random);
        double value = i % 4 == 0   ? (double)(int64_t)(bits >> 44) / 1000 /* few digits */
                       : i % 4 == 1 ? from_bits(bits & 0x800FFFFFFFFFFFFFu) /* subnormal */
                                    : from_bits(bits);
        char buffer[32], shorter[64];
        if (!isfinite(value)) continue;
        rllc_format_double(buffer, value);
        assert_true(strlen(buffer) < 32);
        double back = strtod(buffer, NULL);
        assert_memory_equal(&back, &value, sizeof value);
        int digits = n_digits(buffer);
        if (digits < 2) continue;
        sprintf(shorter, "%.*e", digits - 2, value);
        assert_true(strtod(shorter, NULL) != value);
    }
}

static void test_parse_real_takes_plain_decimal_numbers_only(void **state) {
    (void)state;
    static const char *const good[] = {"0", "1", "-1", "+2.5", "1e-3", "1E+3", ".5", "5.", "-0.0", "1e308", "5e-324",
                                       "00012", "0e999", "123456789012345678901234567890"};
    static const char *const bad[] = {"", " 1", "1 ", "0x10", "nan", "NaN", "inf", "-inf", "infinity", "1e", "1e+",
                                      "e5", ".", "-", "+", "--1", "1,5", "1_000", "5k", "1.2.3", "1e5.5", "1d5"};
    static const char *const too_big[] = {"1e309", "-1e309", "1e999999999999", "1e-400", "-0.001e-400"};
    double value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(rllc_base_parse_real(good[i], &value), RLLC_NUMBER_OK);
        assert_true(value == strtod(good[i], NULL));
    }
    value = 7;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rllc_base_parse_real(bad[i], &value), RLLC_NUMBER_MALFORMED);
    }
    for (size_t i = 0; i < sizeof too_big / sizeof *too_big; i++) {
        assert_int_equal(rllc_base_parse_real(too_big[i], &value), RLLC_NUMBER_TOO_BIG);
    }
    assert_true(value == 7);
}

static void test_parse_integer_is_exact_to_the_ends(void **state) {
    (void)state;
    static const struct {
        const char *text;
        rllc_number_result result;
        int64_t value;
    } cases[] = {{"9223372036854775807", RLLC_NUMBER_OK, INT64_MAX},
                 {"-9223372036854775808", RLLC_NUMBER_OK, INT64_MIN},
                 {"9223372036854775808", RLLC_NUMBER_TOO_BIG, 0},
                 {"-9223372036854775809", RLLC_NUMBER_TOO_BIG, 0},
                 {"9007199254740993", RLLC_NUMBER_OK, 9007199254740993},
                 {"1e5", RLLC_NUMBER_OK, 100000},
                 {"2.5e3", RLLC_NUMBER_OK, 2500},
                 {"-3.0", RLLC_NUMBER_OK, -3},
                 {"9007199254740992.0", RLLC_NUMBER_OK, 9007199254740992},
                 {"9007199254740994.0", RLLC_NUMBER_TOO_BIG, 0},
                 {"1e300", RLLC_NUMBER_TOO_BIG, 0},
                 {"1e999", RLLC_NUMBER_TOO_BIG, 0},
                 {"1.5", RLLC_NUMBER_MALFORMED, 0},
                 {"1e-3", RLLC_NUMBER_MALFORMED, 0},
                 {"0x10", RLLC_NUMBER_MALFORMED, 0},
                 {"ten", RLLC_NUMBER_MALFORMED, 0},
                 {"", RLLC_NUMBER_MALFORMED, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = 0;
        assert_int_equal(rllc_base_parse_integer(cases[i].text, &value), cases[i].result);
        assert_int_equal(value, cases[i].value);
    }
}

static void test_parse_seed_covers_64_bits(void **state) {
    (void)state;
    uint64_t value = 0;
    assert_int_equal(rllc_base_parse_seed("18446744073709551615", &value), RLLC_NUMBER_OK);
    assert_true(value == UINT64_MAX);
    assert_int_equal(rllc_base_parse_seed("-0", &value), RLLC_NUMBER_OK);
    assert_true(value == 0);
    assert_int_equal(rllc_base_parse_seed("1e3", &value), RLLC_NUMBER_OK);
    assert_true(value == 1000);
    assert_int_equal(rllc_base_parse_seed("18446744073709551616", &value), RLLC_NUMBER_TOO_BIG);
    assert_int_equal(rllc_base_parse_seed("-1", &value), RLLC_NUMBER_TOO_BIG);
    assert_int_equal(rllc_base_parse_seed("-1e3", &value), RLLC_NUMBER_TOO_BIG);
    assert_int_equal(rllc_base_parse_seed("1.5", &value), RLLC_NUMBER_MALFORMED);
    assert_true(value == 1000);
}

/* A locale with a decimal comma, built here if the system has the sources of locales but not the locale. */
static bool enter_comma_locale(const char *folder) {
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "ru_RU.UTF-8", "de_DE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (setlocale(LC_ALL, names[i])) return true;
    }
    const char *command = rllc_intern_printf("localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1", folder);
    if (system(command) != 0) return false;
    setenv("LOCPATH", folder, 1);
    return setlocale(LC_ALL, "de_DE.UTF-8") != NULL;
}

static void test_numbers_do_not_depend_on_the_locale(void **state) {
    char buffer[32];
    double value;
    if (!enter_comma_locale(*state)) {
        print_message("skipped: no locale with a decimal comma is installed, and localedef cannot make one\n");
        skip();
    }
    char comma[16];
    sprintf(comma, "%.1f", 1.5);
    assert_string_equal(comma, "1,5"); /* the locale is in force */
    assert_string_equal(rllc_format_double(buffer, 1.5), "1.5");
    assert_int_equal(rllc_base_parse_real("1.5", &value), RLLC_NUMBER_OK);
    assert_true(value == 1.5);
    assert_int_equal(rllc_base_parse_real("1,5", &value), RLLC_NUMBER_MALFORMED);
    rllc_json *j;
    rllc_string text = {0};
    assert_ok(rllc_json_parse(&j, "[1.5]", 5, "test"));
    assert_true(rllc_json_to_real(rllc_json_at(j, 0), 0) == 1.5);
    assert_ok(rllc_json_print(j, 0, false, &text));
    assert_string_equal(rllc_string_text(&text), "[1.5]");
    rllc_string_release(&text);
    rllc_json_free(j);
    setlocale(LC_ALL, "C");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_double_of_known_values),
        cmocka_unit_test(test_format_double_is_exact_and_shortest),
        cmocka_unit_test(test_parse_real_takes_plain_decimal_numbers_only),
        cmocka_unit_test(test_parse_integer_is_exact_to_the_ends),
        cmocka_unit_test(test_parse_seed_covers_64_bits),
        cmocka_unit_test_setup_teardown(test_numbers_do_not_depend_on_the_locale, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
