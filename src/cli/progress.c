/* One line of progress, as tqdm writes it: stage, percent, bar, count, times, rate, note. */
#include <math.h>
#include <string.h>

#include "cli/frame.h"

enum { NARROWEST_BAR = 6, WIDEST_BAR = 24 };

rllc_status rllc_duration_add(rllc_string *out, double seconds) {
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9) return rllc_string_add(out, "?");
    long long s = llround(seconds), days = s / 86400, hours = s / 3600 % 24, minutes = s / 60 % 60;
    if (days > 0) return rllc_string_printf(out, "%lldd %02lld:%02lld:%02lld", days, hours, minutes, s % 60);
    if (hours > 0) return rllc_string_printf(out, "%lld:%02lld:%02lld", hours, minutes, s % 60);
    return rllc_string_printf(out, "%02lld:%02lld", minutes, s % 60);
}

/* Counts up to ten million in full, then with a unit letter; fractions only for small totals. */
static rllc_status add_count(rllc_string *out, double value, double total) {
    if (total >= 1e13) return rllc_string_printf(out, "%.2fT", value / 1e12);
    if (total >= 1e10) return rllc_string_printf(out, "%.2fG", value / 1e9);
    if (total >= 1e7) return rllc_string_printf(out, "%.2fM", value / 1e6);
    if (value == floor(value)) return rllc_string_printf(out, "%.0f", value);
    return rllc_string_printf(out, "%.1f", value);
}

static rllc_status add_rate(rllc_string *out, double rate, const char *unit) {
    if (!(rate > 0) || !isfinite(rate)) return rllc_string_printf(out, "? %s/s", unit);
    if (rate < 1) return rllc_string_printf(out, "%.3g s/%s", 1 / rate, unit);
    if (rate >= 9.995e5) return rllc_string_printf(out, "%.3gM %s/s", rate / 1e6, unit);
    if (rate >= 9995) return rllc_string_printf(out, "%.3gk %s/s", rate / 1e3, unit);
    return rllc_string_printf(out, rate >= 999.5 ? "%.0f %s/s" : "%.3g %s/s", rate, unit);
}

static double fraction_of(const rllc_progress *p) {
    if (!(p->total > 0)) return 0;
    return fmin(fmax(p->current / p->total, 0), 1);
}

static double remaining(const rllc_progress *p, const rllc_progress_times *t) {
    if (!(p->total > 0)) return NAN;
    if (p->current >= p->total) return 0;
    return t->rate > 0 ? (p->total - p->current) / t->rate : NAN;
}

/* Everything after the bar: " 720/1712 step [00:31<01:20, 12.5 step/s]". */
static rllc_status add_tail(rllc_string *out, const rllc_progress *p, const rllc_progress_times *t) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, " "));
    RLLC_TRY(add_count(out, p->current, p->total));
    if (p->total > 0) {
        RLLC_TRY(rllc_string_add(out, "/"));
        RLLC_TRY(add_count(out, p->total, p->total));
    }
    RLLC_TRY(rllc_string_printf(out, " %s [", p->unit));
    RLLC_TRY(rllc_duration_add(out, t->elapsed));
    if (p->total > 0) {
        RLLC_TRY(rllc_string_add(out, "<"));
        RLLC_TRY(rllc_duration_add(out, remaining(p, t)));
    }
    RLLC_TRY(rllc_string_add(out, ", "));
    RLLC_TRY(add_rate(out, t->rate, p->unit));
    RLLC_TRY(rllc_string_add(out, "]"));
done:
    return status;
}

/* Columns that UTF-8 text takes, counting every character as one. */
static int width_of(const char *text) {
    int n = 0;
    for (; *text; text++) n += (*text & 0xC0) != 0x80;
    return n;
}

static rllc_status add_bar(rllc_string *out, double fraction, int width, bool utf8) {
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    rllc_status status = RLLC_OK;
    int steps = (int)(fraction * width * 8 + 1e-9);
    int full = utf8 ? steps / 8 : (int)(fraction * width + 1e-9);
    const char *partial = utf8 ? eighths[steps % 8] : "";
    RLLC_TRY(rllc_string_add(out, "|"));
    for (int i = 0; i < full; i++) RLLC_TRY(rllc_string_add(out, utf8 ? "█" : "#"));
    RLLC_TRY(rllc_string_add(out, partial));
    for (int i = full + (*partial != 0); i < width; i++) RLLC_TRY(rllc_string_add(out, " "));
    RLLC_TRY(rllc_string_add(out, "|"));
done:
    return status;
}

/* As much of " note" as `room` columns hold, cut between characters. */
static rllc_status add_note(rllc_string *out, const char *note, int room) {
    if (!note || !*note || room < 4) return RLLC_OK;
    const char *end = note;
    for (int used = 1; *end; end++) {
        if ((*end & 0xC0) != 0x80 && ++used > room) break;
    }
    rllc_status status = rllc_string_add(out, " ");
    return status != RLLC_OK ? status : rllc_string_add_bytes(out, note, (size_t)(end - note));
}

rllc_status rllc_progress_line(const rllc_progress *p, const rllc_progress_times *t, bool bar, bool utf8, int columns,
                               rllc_string *out) {
    rllc_status status = RLLC_OK;
    rllc_string tail = {0};
    RLLC_TRY(add_tail(&tail, p, t));
    RLLC_TRY(rllc_string_add(out, p->stage));
    if (p->total > 0) RLLC_TRY(rllc_string_printf(out, " %3.0f%%", floor(100 * fraction_of(p))));
    if (!bar) {
        RLLC_TRY(rllc_string_add(out, rllc_string_text(&tail)));
        RLLC_TRY(add_note(out, p->note, 10000));
        goto done;
    }
    /* The bar takes what stage, tail and note leave, within bounds; the note is cut before the bar goes. */
    int left = columns - 1 - (int)strlen(p->stage) - 5 - width_of(rllc_string_text(&tail));
    int note = p->note && *p->note ? width_of(p->note) + 1 : 0;
    int width = left - 2 - note;
    width = width < NARROWEST_BAR ? NARROWEST_BAR : width > WIDEST_BAR ? WIDEST_BAR : width;
    bool fits = p->total > 0 && left >= width + 2;
    if (fits) RLLC_TRY(add_bar(out, fraction_of(p), width, utf8));
    RLLC_TRY(rllc_string_add(out, rllc_string_text(&tail)));
    RLLC_TRY(add_note(out, p->note, fits ? left - width - 2 : left));
done:
    rllc_string_release(&tail);
    return status;
}

rllc_status rllc_progress_json(const rllc_progress *p, const rllc_progress_times *t, rllc_string *out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    RLLC_TRY(rllc_json_set(j, "stage", rllc_json_string(p->stage)));
    RLLC_TRY(rllc_json_set(j, "current", rllc_json_real(p->current)));
    RLLC_TRY(rllc_json_set(j, "total", p->total > 0 ? rllc_json_real(p->total) : rllc_json_null()));
    RLLC_TRY(rllc_json_set(j, "unit", rllc_json_string(p->unit)));
    RLLC_TRY(rllc_json_set(j, "elapsed", rllc_json_real(t->elapsed)));
    RLLC_TRY(rllc_json_set(j, "remaining", rllc_json_real(remaining(p, t))));
    RLLC_TRY(rllc_json_set(j, "rate", rllc_json_real(t->rate)));
    RLLC_TRY(rllc_json_set(j, "note", rllc_json_string(p->note ? p->note : "")));
    RLLC_TRY(rllc_json_print(j, 0, false, out));
done:
    rllc_json_free(j);
    return status;
}
