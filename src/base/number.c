/* Text <-> numbers, the same under every locale. */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

static locale_t plain_locale; /* "C", made once; NULL if even that failed */

static void make_plain_locale(void) {
    plain_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static locale_t plain(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_plain_locale);
    return plain_locale;
}

/* strtod of the C locale. */
static double read_double(const char *text) {
    locale_t locale = plain();
    return locale ? strtod_l(text, NULL, locale) : strtod(text, NULL);
}

static void write_double(char buffer[32], int precision, double value) {
    locale_t locale = plain();
    locale_t before = locale ? uselocale(locale) : (locale_t)0; /* of this thread only */
    char text[40]; /* room that the compiler can see; %.17g needs 24 */
    snprintf(text, sizeof text, "%.*g", precision, value);
    memcpy(buffer, text, 31);
    buffer[31] = '\0';
    if (locale) uselocale(before);
}

const char *rllc_format_double(char buffer[32], double value) {
    if (isnan(value)) return strcpy(buffer, "NaN");
    if (isinf(value)) return strcpy(buffer, value > 0 ? "inf" : "-inf");
    /* A decimal of up to 15 digits survives the way through a normal double, so %.15g finds the shortest form of those;
       subnormal numbers have fewer digits, so for them every precision is tried. */
    int precision = fpclassify(value) == FP_SUBNORMAL ? 1 : 15;
    do {
        write_double(buffer, precision, value);
    } while (precision++ < 17 && read_double(buffer) != value);
    return buffer;
}

static const char *digits(const char *p) {
    while (*p >= '0' && *p <= '9') p++;
    return p;
}

/* Whether the text is a decimal number, and whether it has neither point nor exponent. */
static bool is_decimal(const char *text, bool *only_digits) {
    const char *p = text + (*text == '+' || *text == '-');
    const char *whole = digits(p);
    ptrdiff_t n_digits = whole - p;
    p = whole;
    if (*p == '.') {
        const char *fraction = digits(p + 1);
        n_digits += fraction - (p + 1);
        p = fraction;
    }
    *only_digits = p == whole;
    if (n_digits > 0 && (*p == 'e' || *p == 'E')) {
        const char *exponent = p + 1 + (p[1] == '+' || p[1] == '-');
        p = digits(exponent);
        *only_digits = false;
        if (p == exponent) return false;
    }
    return n_digits > 0 && *p == '\0';
}

/* Whether a digit before the exponent is not 0. */
static bool has_value(const char *text) {
    for (const char *p = text; *p && *p != 'e' && *p != 'E'; p++) {
        if (*p >= '1' && *p <= '9') return true;
    }
    return false;
}

rllc_number_result rllc_base_parse_real(const char *text, double *value) {
    bool only_digits;
    if (!is_decimal(text, &only_digits)) return RLLC_NUMBER_MALFORMED;
    double v = read_double(text);
    if (isinf(v) || (v == 0 && has_value(text))) return RLLC_NUMBER_TOO_BIG;
    *value = v;
    return RLLC_NUMBER_OK;
}

/* An integer written with a point or an exponent: 1e5, 2.5e3. */
static rllc_number_result parse_integral_real(const char *text, int64_t *value) {
    double v;
    rllc_number_result result = rllc_base_parse_real(text, &v);
    if (result != RLLC_NUMBER_OK) return result;
    if (v != trunc(v)) return RLLC_NUMBER_MALFORMED;
    if (fabs(v) > 9007199254740992.0) return RLLC_NUMBER_TOO_BIG; /* 2^53 */
    *value = (int64_t)v;
    return RLLC_NUMBER_OK;
}

rllc_number_result rllc_base_parse_integer(const char *text, int64_t *value) {
    bool only_digits;
    if (!is_decimal(text, &only_digits)) return RLLC_NUMBER_MALFORMED;
    if (!only_digits) return parse_integral_real(text, value);
    errno = 0;
    long long v = strtoll(text, NULL, 10);
    if (errno == ERANGE) return RLLC_NUMBER_TOO_BIG;
    *value = v;
    return RLLC_NUMBER_OK;
}

rllc_number_result rllc_base_parse_seed(const char *text, uint64_t *value) {
    bool only_digits;
    if (!is_decimal(text, &only_digits)) return RLLC_NUMBER_MALFORMED;
    if (!only_digits) {
        int64_t v = 0;
        rllc_number_result result = parse_integral_real(text, &v);
        if (result == RLLC_NUMBER_OK && v < 0) return RLLC_NUMBER_TOO_BIG;
        if (result == RLLC_NUMBER_OK) *value = (uint64_t)v;
        return result;
    }
    if (*text == '-' && has_value(text)) return RLLC_NUMBER_TOO_BIG;
    errno = 0;
    unsigned long long v = strtoull(text, NULL, 10);
    if (errno == ERANGE) return RLLC_NUMBER_TOO_BIG;
    *value = v;
    return RLLC_NUMBER_OK;
}
