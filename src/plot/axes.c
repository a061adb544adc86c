/* plot: the ranges of a panel's axes and the ticks on them. */
#include "plot/internal.h"

#include <math.h>
#include <string.h>

double rllc_plot_x(const rllc_panel *p, double x) {
    return p->log_x ? log10(x + 1.0) : x;
}

static void widen(double *low, double *high, double value) {
    if (!isfinite(value)) return;
    if (!(*low <= value)) *low = value; /* also when *low is still NaN */
    if (!(*high >= value)) *high = value;
}

static void data_range(const rllc_panel *p, double x[2], double y[2]) {
    x[0] = x[1] = y[0] = y[1] = NAN;
    for (int64_t i = 0; i < p->n; i++) {
        const rllc_series *s = &p->series[i];
        for (int64_t k = 0; k < s->n; k++) {
            if (!isfinite(s->y[k])) continue;
            widen(&x[0], &x[1], s->x[k]);
            widen(&y[0], &y[1], s->y[k]);
            if (s->low) widen(&y[0], &y[1], s->low[k]);
            if (s->high) widen(&y[0], &y[1], s->high[k]);
        }
    }
}

/* 1, 2 or 5 times a power of ten, near span / target. */
static double nice_step(double span, int target) {
    double raw = span / target, power = pow(10.0, floor(log10(raw))), r = raw / power;
    return power * (r < 1.5 ? 1.0 : r < 3.5 ? 2.0 : r < 7.5 ? 5.0 : 10.0);
}

static bool add_tick(rllc_plot_axis *a, double at, const char *label) {
    double slack = 1e-9 * (a->high - a->low);
    if (a->n >= RLLC_PLOT_TICKS || !(at >= a->low - slack && at <= a->high + slack)) return false;
    a->ticks[a->n].at = at;
    snprintf(a->ticks[a->n].label, sizeof a->ticks[a->n].label, "%s", label);
    a->n++;
    return true;
}

/* 1200 -> "1.2k": for training steps. */
static const char *count_label(char text[24], double v) {
    double unit = v >= 1e9 ? 1e9 : v >= 1e6 ? 1e6 : v >= 1e3 ? 1e3 : 1.0;
    const char *suffix = unit >= 1e9 ? "G" : unit >= 1e6 ? "M" : unit >= 1e3 ? "k" : "";
    snprintf(text, 24, "%.6g%s", v / unit, suffix);
    return text;
}

/* At least two labels, or an axis says nothing. */
static void linear_ticks(rllc_plot_axis *a, int target) {
    a->n = 0;
    double step = nice_step(a->high - a->low, target), first = ceil(a->low / step - 1e-9);
    int decimals = step < 1.0 ? (int)ceil(-log10(step) - 1e-9) : 0;
    for (int i = 0; i < RLLC_PLOT_TICKS && (first + i) * step <= a->high + 1e-9 * step; i++) {
        double value = (first + i) * step;
        char text[24];
        if (fabs(value) < 1e-9 * step) value = 0.0;
        if (fabs(value) >= 1e6 || decimals > 5)
            snprintf(text, sizeof text, "%.6g", value);
        else
            snprintf(text, sizeof text, "%.*f", decimals, value);
        add_tick(a, value, text);
    }
    if (a->n < 2 && target < 16) linear_ticks(a, 2 * target);
}

/* Ticks at 0 and at digit * 10^k; those in `labelled` get a label, the others stay away over six decades.
 * Returns how many got one. */
static int decade_ticks(rllc_plot_axis *a, const char *labelled) {
    int n = add_tick(a, 0.0, "0") ? 1 : 0;
    for (int k = 0; k <= (int)a->high && k < 300; k++)
        for (int digit = 1; digit <= 9; digit++) {
            double value = digit * pow(10.0, k);
            char text[24];
            bool named = strchr(labelled, '0' + digit) != NULL;
            if (!named && a->high - a->low > 6.0) continue;
            if (add_tick(a, log10(value + 1.0), named ? count_label(text, value) : "") && named) n++;
        }
    return n;
}

/* Decades if at least three are in sight, else 1-2-5, else evenly spaced values. */
static void log_ticks(rllc_plot_axis *a, int target) {
    if (decade_ticks(a, "1") >= 3) return;
    a->n = 0;
    if (decade_ticks(a, "125") >= 3) return;
    double low = pow(10.0, a->low) - 1.0, high = pow(10.0, a->high) - 1.0, step = nice_step(high - low, target);
    a->n = 0;
    for (int i = 0; i < RLLC_PLOT_TICKS; i++) {
        double value = (ceil(low / step - 1e-9) + i) * step;
        char text[24];
        if (value > high + 1e-9 * step) break;
        if (value > -1.0) add_tick(a, log10(value + 1.0), count_label(text, fabs(value) < 1e-9 * step ? 0.0 : value));
    }
}

static void pad_x(rllc_plot_axis *a, double low, double high) {
    if (!(low <= high)) low = 0.0, high = 1.0;
    double span = high - low;
    if (span == 0.0) span = fmax(1.0, fabs(low)), low -= 0.5 * span, high += 0.5 * span;
    a->low = low - 0.025 * span;
    a->high = high + 0.01 * span;
}

/* Zero belongs to the picture when the data come near it. */
static void pad_y(rllc_plot_axis *a, double low, double high) {
    if (!(low <= high)) low = 0.0, high = 1.0;
    double span = high - low;
    if (span < 1e-12 * fabs(high)) span = 0.0;
    if (span == 0.0) span = high == 0.0 ? 1.0 : 0.2 * fabs(high), low -= 0.5 * span, high += 0.5 * span;
    bool from_zero = low >= 0.0 && low < 0.25 * high, to_zero = high <= 0.0 && high > 0.25 * low;
    a->low = from_zero ? 0.0 : low - 0.06 * span;
    a->high = to_zero ? 0.0 : high + 0.06 * span;
}

void rllc_plot_axes(const rllc_panel *p, int x_target, int y_target, rllc_plot_axis *x, rllc_plot_axis *y) {
    x_target = x_target < 2 ? 2 : x_target;
    y_target = y_target < 2 ? 2 : y_target;
    double x_range[2], y_range[2];
    data_range(p, x_range, y_range);
    x->n = y->n = 0;
    pad_x(x, rllc_plot_x(p, x_range[0]), rllc_plot_x(p, x_range[1]));
    if (p->has_y_range) {
        y->low = p->y_low;
        y->high = p->y_high;
    } else {
        pad_y(y, y_range[0], y_range[1]);
    }
    if (p->log_x)
        log_ticks(x, x_target);
    else
        linear_ticks(x, x_target);
    linear_ticks(y, y_target);
}
