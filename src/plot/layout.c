/* plot: where panels, names of curves, legend and caption stand on the page. */
#include "plot/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double page_width = 960.0, edge = 10.0, label_indent = RLLC_PLOT_LEADER + RLLC_PLOT_DASH + 4.0;
enum { most_columns = 5 }; /* more panels in a row could not be read */

/* ---- names at the ends of curves ------------------------------------------------------------------------- */

/*
 * Least squares under at[i+1] >= at[i] + gap: with q[i] = at[i] - i*gap it is isotonic regression, solved by pooling
 * neighbours that are out of order; bounds on all of it clip the solution.
 */
void rllc_plot_spread(double *at, int64_t n, double gap, double low, double high) {
    if (n < 1) return;
    if ((double)(n - 1) * gap > high - low) gap = n > 1 ? (high - low) / (double)(n - 1) : 0.0;
    for (int64_t i = 0; i < n; i++) at[i] -= (double)i * gap;
    for (int64_t i = 1; i < n; i++) { /* at[0..i-1] is in order: pool backwards from i */
        int64_t first = i;
        double sum = at[i];
        while (first > 0 && at[first - 1] > sum / (double)(i - first + 1)) sum += at[--first];
        for (int64_t k = first; k <= i; k++) at[k] = sum / (double)(i - first + 1);
    }
    double top = high - (double)(n - 1) * gap;
    for (int64_t i = 0; i < n; i++) at[i] = fmin(fmax(at[i], low), top) + (double)i * gap;
}

static bool named(const rllc_series *s) {
    return s->label && *s->label;
}

/* The last point that can be drawn; false if there is none. */
static bool last_point(const rllc_panel *p, const rllc_series *s, double *x, double *y) {
    for (int64_t k = s->n - 1; k >= 0; k--)
        if (isfinite(s->x[k]) && isfinite(s->y[k])) {
            *x = rllc_plot_x(p, s->x[k]);
            *y = s->y[k];
            return true;
        }
    return false;
}

static int by_end(const void *a, const void *b) {
    const rllc_plot_label *p = a, *q = b;
    if (p->end != q->end) return p->end < q->end ? -1 : 1;
    return p->series < q->series ? -1 : p->series > q->series; /* one array: a total order */
}

static void place_labels(const rllc_plot_layout *l, const rllc_panel *p, rllc_plot_frame *f) {
    double scale = (f->bottom - f->top) / (f->y.high - f->y.low);
    f->n_labels = 0;
    for (int64_t i = 0; i < p->n; i++) {
        rllc_plot_label *label = &f->labels[f->n_labels];
        if (!named(&p->series[i]) || !last_point(p, &p->series[i], &label->x, &label->y)) continue;
        label->series = &p->series[i];
        label->end = fmin(fmax(f->bottom - (label->y - f->y.low) * scale, f->top), f->bottom);
        f->n_labels++;
    }
    qsort(f->labels, (size_t)f->n_labels, sizeof *f->labels, by_end);
    double *at = l->scratch;
    for (int64_t i = 0; i < f->n_labels; i++) at[i] = f->labels[i].end;
    rllc_plot_spread(at, f->n_labels, 1.15 * l->font, f->top, f->bottom);
    for (int64_t i = 0; i < f->n_labels; i++) f->labels[i].at = at[i];
}

/* ---- legend ---------------------------------------------------------------------------------------------- */

static bool same_key(const rllc_series *a, const rllc_series *b) {
    return a->color == b->color && strcmp(a->label, b->label) == 0;
}

/* One entry for each different (name, colour) in the figure. */
static void collect_keys(rllc_plot_layout *l, const rllc_figure *f) {
    l->n_keys = 0;
    for (int64_t p = 0; p < f->n; p++)
        for (int64_t i = 0; i < f->panels[p].n; i++) {
            const rllc_series *s = &f->panels[p].series[i];
            bool seen = !named(s);
            for (int64_t k = 0; k < l->n_keys && !seen; k++) seen = same_key(l->keys[k].series, s);
            if (!seen) l->keys[l->n_keys++].series = s;
        }
}

static int64_t count_named(const rllc_panel *p) {
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++) n += named(&p->series[i]);
    return n;
}

/* A legend serves panels that share their names, and panels with more curves than names fit beside. */
static bool wants_legend(const rllc_plot_layout *l, const rllc_figure *f, double panel_height) {
    bool shared = f->n > 1 && l->n_keys > 0;
    for (int64_t p = 0; p < f->n; p++) {
        int64_t n = count_named(&f->panels[p]);
        if ((double)n * 1.15 * l->font > panel_height) return true;
        shared = shared && n == l->n_keys;
    }
    return shared;
}

/* Sets entries in lines from the top; returns the height used. */
static double place_keys(rllc_plot_layout *l) {
    double x = edge, line = 1.5 * l->font, y = edge + 0.5 * line;
    if (!l->n_keys) return 0.0;
    for (int64_t k = 0; k < l->n_keys; k++) {
        double text = fmin(rllc_plot_text_width(l->keys[k].series->label, l->font), RLLC_PLOT_KEY_ROOM);
        double width = RLLC_PLOT_SWATCH + 6.0 + text + 16.0;
        if (x > edge && x + width > l->width - edge) x = edge, y += line;
        l->keys[k].left = x;
        l->keys[k].middle = y;
        x += width;
    }
    return y + 0.5 * line;
}

/* ---- panels ---------------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b) {
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Room around the axes of one panel, px, and what panels share. */
typedef struct margins {
    double start;            /* left edge of the first cell: after a shared y title */
    double cell;             /* width of a cell */
    double left, right;      /* inside a cell: own y title and tick labels; names of curves */
    double above, below;     /* panel title; tick labels and own x title */
    bool x_shared, y_shared; /* every panel's axis has the same name: it stands at the page's edge only */
} margins;

static bool same_axis_names(const rllc_figure *f, bool of_x) {
    for (int64_t p = 1; p < f->n; p++)
        if (!same_text(of_x ? f->panels[p].x_label : f->panels[p].y_label,
                       of_x ? f->panels[0].x_label : f->panels[0].y_label))
            return false;
    return true;
}

static double label_margin(const rllc_plot_layout *l, const rllc_figure *f) {
    double widest = 0.0;
    if (l->n_keys) return 12.0;
    for (int64_t p = 0; p < f->n; p++)
        for (int64_t i = 0; i < f->panels[p].n; i++)
            if (named(&f->panels[p].series[i]))
                widest = fmax(widest, rllc_plot_text_width(f->panels[p].series[i].label, l->font));
    return widest > 0.0 ? fmin(widest, 0.4 * l->width / l->columns) + label_indent + 8.0 : 12.0;
}

static double tick_margin(const rllc_plot_layout *l, const rllc_figure *f) {
    double widest = 0.0;
    for (int64_t p = 0; p < f->n; p++) {
        const rllc_plot_axis *y = &l->frames[p].y;
        for (int i = 0; i < y->n; i++) widest = fmax(widest, rllc_plot_text_width(y->ticks[i].label, l->font));
    }
    return widest + 12.0;
}

static margins measure(const rllc_plot_layout *l, const rllc_figure *f) {
    margins m = {.x_shared = same_axis_names(f, true), .y_shared = same_axis_names(f, false)};
    double title = 1.5 * l->font;
    bool titled = false;
    for (int64_t p = 0; p < f->n; p++) titled = titled || (f->panels[p].title && *f->panels[p].title);
    m.start = edge + (m.y_shared ? title : 0.0);
    m.cell = (l->width - edge - m.start) / l->columns;
    m.left = (m.y_shared ? 0.0 : title) + tick_margin(l, f);
    m.right = label_margin(l, f);
    m.above = (titled ? 1.8 * l->font : 0.0) + 4.0;
    m.below = 2.4 * l->font + (m.x_shared ? 0.0 : title);
    return m;
}

static void place_panels(rllc_plot_layout *l, const rllc_figure *f, double height) {
    int y_ticks = height < 160.0 ? 3 : (int)(height / 52.0);
    for (int64_t p = 0; p < f->n; p++) /* the widths of y labels decide the width of the axes, which decides x ticks */
        rllc_plot_axes(&f->panels[p], 1, y_ticks, &l->frames[p].x, &l->frames[p].y);
    margins m = measure(l, f);
    double top = edge + place_keys(l), pitch = m.above + height + m.below;
    for (int64_t p = 0; p < f->n; p++) {
        rllc_plot_frame *frame = &l->frames[p];
        int64_t column = p % l->columns, row = p / l->columns;
        frame->x_titled = !m.x_shared || p + l->columns >= f->n;
        frame->y_titled = !m.y_shared || column == 0;
        frame->y_title = (m.y_shared ? edge : m.start + (double)column * m.cell) + 0.6 * l->font;
        frame->left = m.start + (double)column * m.cell + m.left;
        frame->right = m.start + (double)(column + 1) * m.cell - m.right;
        frame->top = top + (double)row * pitch + m.above;
        frame->bottom = frame->top + height;
        frame->room = m.right - label_indent - 8.0;
        rllc_plot_axes(&f->panels[p], (int)((frame->right - frame->left) / (5.0 * l->font)), y_ticks, &frame->x,
                       &frame->y);
    }
    l->height = top + l->rows * pitch + (m.x_shared ? 1.5 * l->font : 0.0);
}

static rllc_status place_caption(rllc_plot_layout *l, const rllc_figure *f) {
    rllc_status status = rllc_plot_wrap(&l->caption, f->caption, l->small, l->width - 2.0 * edge, &l->caption_lines);
    l->height += l->caption_lines ? 8.0 + 1.35 * l->small * l->caption_lines : 0.0;
    l->height = ceil(l->height + edge);
    return status;
}

rllc_status rllc_plot_layout_init(rllc_plot_layout *l, const rllc_figure *f) {
    rllc_status status = RLLC_OK;
    static const double heights[] = {360.0, 290.0, 220.0, 140.0};
    int64_t n_series = 0;
    memset(l, 0, sizeof *l);
    int wanted = f->columns > 0 ? f->columns : most_columns;
    l->columns = (int)(f->n < wanted ? f->n : wanted);
    if (l->columns > most_columns) l->columns = most_columns;
    l->rows = (int)((f->n + l->columns - 1) / l->columns);
    l->width = page_width;
    l->font = l->columns < 3 ? 14.0 : l->columns == 3 ? 13.0 : 12.0;
    l->small = 12.0;
    l->line = l->columns < 3 ? 2.0 : l->columns == 3 ? 1.6 : 1.2;
    double height = heights[l->columns < 4 ? l->columns - 1 : 3];
    if (l->rows > 2 && l->columns < 4) height *= 0.72; /* a long page of large panels */
    for (int64_t p = 0; p < f->n; p++) n_series += f->panels[p].n;
    RLLC_TRY(rllc_alloc(&l->frames, f->n, sizeof *l->frames));
    RLLC_TRY(rllc_alloc(&l->labels, n_series, sizeof *l->labels));
    RLLC_TRY(rllc_alloc(&l->keys, n_series, sizeof *l->keys));
    RLLC_TRY(rllc_alloc(&l->scratch, n_series, sizeof *l->scratch));
    collect_keys(l, f);
    if (!wants_legend(l, f, height)) l->n_keys = 0;
    place_panels(l, f, height);
    rllc_plot_label *labels = l->labels;
    for (int64_t p = 0; p < f->n; p++) {
        l->frames[p].labels = labels;
        if (!l->n_keys) place_labels(l, &f->panels[p], &l->frames[p]);
        labels += f->panels[p].n;
    }
    RLLC_TRY(place_caption(l, f));
done:
    if (status != RLLC_OK) rllc_plot_layout_release(l);
    return status;
}

void rllc_plot_layout_release(rllc_plot_layout *l) {
    rllc_free(l->frames);
    rllc_free(l->labels);
    rllc_free(l->keys);
    rllc_free(l->scratch);
    rllc_string_release(&l->caption);
    memset(l, 0, sizeof *l);
}
