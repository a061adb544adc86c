/* report: numbers as people read them. */
#include "report/internal.h"

#include <math.h>
#include <string.h>

rllc_status rllc_report_add_count(rllc_string *out, int64_t value) {
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    size_t n = strlen(digits), first = digits[0] == '-';
    rllc_status status = rllc_string_add(out, first ? "\xE2\x88\x92" : "");
    for (size_t i = first; i < n && status == RLLC_OK; i++) {
        if (i > first && (n - i) % 3 == 0) status = rllc_string_add(out, ",");
        if (status == RLLC_OK) status = rllc_string_add_bytes(out, digits + i, 1);
    }
    return status;
}

rllc_status rllc_report_add_number(rllc_string *out, double value, int decimals) {
    if (isnan(value)) return rllc_string_add(out, "\xE2\x80\x93");
    if (isinf(value)) return rllc_string_add(out, value > 0 ? "\xE2\x88\x9E" : "\xE2\x88\x92\xE2\x88\x9E");
    char text[400];
    if (fabs(value) >= 1e9)
        snprintf(text, sizeof text, "%.6g", value);
    else
        snprintf(text, sizeof text, "%.*f", decimals, value);
    bool zero = strspn(text, "-0.") == strlen(text); /* no "-0.00" */
    const char *bare = *text == '-' ? text + 1 : text;
    return rllc_string_printf(out, "%s%s", *text == '-' && !zero ? "\xE2\x88\x92" : "", bare);
}

rllc_status rllc_report_add_duration(rllc_string *out, double seconds) {
    if (!(seconds >= 0.0) || seconds > 1e12) return rllc_string_add(out, "\xE2\x80\x93");
    if (seconds < 59.95) return rllc_string_printf(out, seconds < 9.995 ? "%.2g s" : "%.0f s", seconds);
    long long whole = (long long)(seconds + 0.5);
    if (whole < 3600) return rllc_string_printf(out, "%lld min %02lld s", whole / 60, whole % 60);
    if (whole < 86400) return rllc_string_printf(out, "%lld h %02lld min", whole / 3600, whole % 3600 / 60);
    return rllc_string_printf(out, "%lld d %02lld h", whole / 86400, whole % 86400 / 3600);
}

/* The rule of the Particle Data Group: two digits of the error if they are below 35, else one. */
int rllc_report_decimals(double error) {
    if (!isfinite(error) || error <= 0.0) return 2;
    int first = (int)floor(log10(error));
    double leading = error / pow(10.0, first);
    int decimals = (leading < 3.55 ? 1 : 0) - first;
    return decimals < 0 ? 0 : decimals > 5 ? 5 : decimals;
}
