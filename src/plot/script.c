/* plot: a laid-out figure as a gnuplot script that holds its data and writes SVG on standard output. */
#include "plot/internal.h"

#include <math.h>

/* Pixels and data alike go through the shortest round-trip form: no locale, no lost digits. */
static rllc_status add_number(rllc_string *out, const char *before, double value) {
    char text[32];
    rllc_status status = rllc_string_add(out, before);
    return status == RLLC_OK ? rllc_string_add(out, rllc_format_double(text, isfinite(value) ? value : NAN)) : status;
}

/* A pixel as the fraction of the page that gnuplot calls screen coordinates. */
static double fraction(double px, double page) {
    return round(px / page * 1e6) / 1e6;
}

static rllc_status add_screen(rllc_string *out, const rllc_plot_layout *l, const char *before, double x, double y) {
    rllc_status status = add_number(out, before, fraction(x, l->width));
    return status == RLLC_OK ? add_number(out, ",", 1.0 - fraction(y, l->height)) : status;
}

enum { LEFT, CENTER, RIGHT };

/* Text with the middle of its line at (x, y). */
static rllc_status add_text(rllc_string *out, const rllc_plot_layout *l, const char *text, double x, double y, int side,
                            const char *font, double size, const char *color) {
    static const char *const sides[] = {"left", "center", "right"};
    rllc_status status = RLLC_OK;
    if (!text || !*text) return RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "set label "));
    RLLC_TRY(rllc_plot_add_quoted(out, text));
    RLLC_TRY(add_screen(out, l, " at screen ", x, y));
    RLLC_TRY(rllc_string_printf(out, " %s font '%s,%d' textcolor rgb '%s'\n", sides[side], font, (int)size, color));
done:
    return status;
}

/* A piece of curve with its marker in the middle, for legends and names. */
static rllc_status add_swatch(rllc_string *out, const rllc_plot_layout *l, const rllc_series *s, double x, double y,
                              double length) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(add_screen(out, l, "set arrow from screen ", x, y));
    RLLC_TRY(add_screen(out, l, " to screen ", x + length, y));
    RLLC_TRY(rllc_string_printf(out, " nohead front lc rgb '%s' dt %s", rllc_plot_color(s->color),
                                rllc_plot_dash(s->color)));
    RLLC_TRY(add_number(out, " lw ", l->line));
    RLLC_TRY(rllc_string_add(out, "\n"));
done:
    return status;
}

static rllc_status add_marker(rllc_string *out, const rllc_plot_layout *l, const rllc_series *s, double x, double y) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(add_screen(out, l, "set label '' at screen ", x, y));
    RLLC_TRY(rllc_string_printf(out, " front point pt %d ps 0.6 lc rgb '%s'\n", rllc_plot_marker(s->color),
                                rllc_plot_color(s->color)));
done:
    return status;
}

/* Markers tell curves apart where checkpoints are few; on long curves they would only blur. */
static bool has_markers(const rllc_series *s) {
    return s->points || (s->n <= 40 && s->color >= 0);
}

static rllc_status add_keys(rllc_string *out, const rllc_plot_layout *l) {
    rllc_status status = RLLC_OK;
    rllc_string name = {0};
    for (int64_t k = 0; k < l->n_keys; k++) {
        const rllc_plot_key *key = &l->keys[k];
        rllc_string_clear(&name);
        RLLC_TRY(rllc_plot_add_fitted(&name, key->series->label, l->font, RLLC_PLOT_KEY_ROOM));
        RLLC_TRY(add_swatch(out, l, key->series, key->left, key->middle, RLLC_PLOT_SWATCH));
        if (has_markers(key->series))
            RLLC_TRY(add_marker(out, l, key->series, key->left + RLLC_PLOT_SWATCH / 2, key->middle));
        RLLC_TRY(add_text(out, l, name.data, key->left + RLLC_PLOT_SWATCH + 6.0, key->middle, LEFT, "Arial", l->font,
                          "#222222"));
    }
done:
    rllc_string_release(&name);
    return status;
}

/* The name beside the axes, its swatch, and a thin leader from the curve's end. */
static rllc_status add_label(rllc_string *out, const rllc_plot_layout *l, const rllc_plot_frame *f,
                             const rllc_plot_label *label) {
    rllc_status status = RLLC_OK;
    rllc_string name = {0};
    double x = f->right + RLLC_PLOT_LEADER;
    RLLC_TRY(rllc_plot_add_fitted(&name, label->series->label, l->font, f->room));
    RLLC_TRY(add_number(out, "set arrow from first ", label->x));
    RLLC_TRY(add_number(out, ",", label->y));
    RLLC_TRY(add_screen(out, l, " to screen ", x, label->at));
    RLLC_TRY(rllc_string_printf(out, " nohead front lw 0.7 lc rgb '%s'\n", rllc_plot_color(label->series->color)));
    RLLC_TRY(add_swatch(out, l, label->series, x, label->at, RLLC_PLOT_DASH));
    RLLC_TRY(add_text(out, l, rllc_string_text(&name), x + RLLC_PLOT_DASH + 4.0, label->at, LEFT, "Arial", l->font,
                      "#222222"));
done:
    rllc_string_release(&name);
    return status;
}

static rllc_status add_caption(rllc_string *out, const rllc_plot_layout *l) {
    rllc_status status = RLLC_OK;
    rllc_string line = {0};
    const char *text = rllc_string_text(&l->caption);
    for (int i = 0; i < l->caption_lines; i++) {
        size_t n = 0;
        while (text[n] && text[n] != '\n') n++;
        rllc_string_clear(&line);
        RLLC_TRY(rllc_string_add_bytes(&line, text, n));
        double y = l->height - 10.0 - 1.35 * l->small * (l->caption_lines - i - 0.5);
        RLLC_TRY(add_text(out, l, rllc_string_text(&line), 10.0, y, LEFT, "Arial", l->small, "#666666"));
        text += n + (text[n] == '\n');
    }
done:
    rllc_string_release(&line);
    return status;
}

static rllc_status add_ticks(rllc_string *out, const char *axis, const rllc_plot_axis *a) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_printf(out, "set %stics (", axis));
    for (int i = 0; i < a->n; i++) {
        bool minor = !*a->ticks[i].label;
        if (i) RLLC_TRY(rllc_string_add(out, ", "));
        RLLC_TRY(rllc_plot_add_quoted(out, a->ticks[i].label));
        RLLC_TRY(add_number(out, " ", a->ticks[i].at));
        if (minor) RLLC_TRY(rllc_string_add(out, " 1"));
    }
    RLLC_TRY(rllc_string_add(out, ")\n"));
    RLLC_TRY(rllc_string_printf(out, "set %srange ", axis));
    RLLC_TRY(add_number(out, "[", a->low));
    RLLC_TRY(add_number(out, ":", a->high));
    RLLC_TRY(rllc_string_add(out, "]\n"));
done:
    return status;
}

static rllc_status add_frame(rllc_string *out, const rllc_plot_layout *l, const rllc_panel *p,
                             const rllc_plot_frame *f) {
    rllc_status status = RLLC_OK;
    double title = l->font < 14.0 ? l->font : l->font + 1.0, middle = 0.5 * (f->left + f->right);
    RLLC_TRY(add_number(out, "set lmargin at screen ", fraction(f->left, l->width)));
    RLLC_TRY(add_number(out, "\nset rmargin at screen ", fraction(f->right, l->width)));
    RLLC_TRY(add_number(out, "\nset tmargin at screen ", 1.0 - fraction(f->top, l->height)));
    RLLC_TRY(add_number(out, "\nset bmargin at screen ", 1.0 - fraction(f->bottom, l->height)));
    RLLC_TRY(rllc_string_add(out, "\n"));
    RLLC_TRY(add_ticks(out, "x", &f->x));
    RLLC_TRY(add_ticks(out, "y", &f->y));
    RLLC_TRY(add_text(out, l, p->title, f->left, f->top - 0.9 * l->font, LEFT, "Arial:Bold", title, "#222222"));
    if (f->x_titled)
        RLLC_TRY(add_text(out, l, p->x_label, middle, f->bottom + 2.9 * l->font, CENTER, "Arial", l->font, "#222222"));
    if (f->y_titled && p->y_label && *p->y_label) {
        RLLC_TRY(rllc_string_add(out, "set label "));
        RLLC_TRY(rllc_plot_add_quoted(out, p->y_label));
        RLLC_TRY(add_screen(out, l, " at screen ", f->y_title, 0.5 * (f->top + f->bottom)));
        RLLC_TRY(
            rllc_string_printf(out, " center rotate by 90 font 'Arial,%d' textcolor rgb '#222222'\n", (int)l->font));
    }
    if (f->y.low < 0.0 && f->y.high > 0.0)
        RLLC_TRY(rllc_string_add(out, "set arrow from graph 0,first 0 to graph 1,first 0 nohead back lc rgb "
                                      "'#999999'\n"));
    for (int64_t i = 0; i < f->n_labels; i++) RLLC_TRY(add_label(out, l, f, &f->labels[i]));
done:
    return status;
}

/* ---- curves ---------------------------------------------------------------------------------------------- */

/* Order of drawing within a panel: bands, grey context, curves. A series may appear in two of these passes. */
enum { BANDS, CONTEXT, CURVES, PASSES };

static bool drawn_in(const rllc_series *s, int pass) {
    bool any = false;
    for (int64_t k = 0; k < s->n && !any; k++) any = isfinite(s->x[k]) && isfinite(s->y[k]);
    if (!any) return false;
    return pass == BANDS ? s->low && s->high : pass == CONTEXT ? s->color < 0 : s->color >= 0;
}

const rllc_series *rllc_plot_drawn(const rllc_figure *f, int64_t index) {
    for (int64_t p = 0; p < f->n; p++) {
        bool any = false;
        for (int pass = BANDS; pass < PASSES; pass++)
            for (int64_t i = 0; i < f->panels[p].n; i++) {
                if (!drawn_in(&f->panels[p].series[i], pass)) continue;
                if (index-- == 0) return &f->panels[p].series[i];
                any = true;
            }
        if (!any && index-- == 0) return NULL; /* an empty panel plots one thing that is no series */
    }
    return NULL;
}

static rllc_status add_data(rllc_string *out, const rllc_panel *p, int64_t panel) {
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < p->n; i++) {
        const rllc_series *s = &p->series[i];
        RLLC_TRY(rllc_string_printf(out, "$p%lld_s%lld << EOD\n", (long long)panel, (long long)i));
        for (int64_t k = 0; k < s->n; k++) {
            bool gap = !isfinite(s->y[k]);
            RLLC_TRY(add_number(out, "", rllc_plot_x(p, s->x[k])));
            RLLC_TRY(add_number(out, " ", s->y[k]));
            RLLC_TRY(add_number(out, " ", gap || !s->low ? NAN : s->low[k]));
            RLLC_TRY(add_number(out, " ", gap || !s->high ? NAN : s->high[k]));
            RLLC_TRY(rllc_string_add(out, "\n"));
        }
        RLLC_TRY(rllc_string_add(out, "EOD\n"));
    }
done:
    return status;
}

static rllc_status add_curve(rllc_string *out, const rllc_plot_layout *l, const rllc_series *s, int pass) {
    rllc_status status = RLLC_OK;
    if (pass == BANDS && s->points)
        return rllc_string_printf(out, " using 1:2:3:4 with yerrorbars pt 0 lw 1 lc rgb '%s'",
                                  rllc_plot_color(s->color));
    if (pass == BANDS)
        return rllc_string_printf(out, " using 1:3:4 with filledcurves fc rgb '%s' fs transparent solid 0.18 noborder",
                                  rllc_plot_color(s->color));
    RLLC_TRY(rllc_string_printf(out, " using 1:2 with %s lc rgb '%s'",
                                s->points        ? "points"
                                : has_markers(s) ? "linespoints"
                                                 : "lines",
                                rllc_plot_color(s->color)));
    if (!s->points) RLLC_TRY(rllc_string_printf(out, " dt %s", rllc_plot_dash(s->color)));
    RLLC_TRY(add_number(out, " lw ", pass == CONTEXT ? 1.0 : l->line));
    if (has_markers(s)) RLLC_TRY(rllc_string_printf(out, " pt %d ps 0.45", rllc_plot_marker(s->color)));
done:
    return status;
}

static rllc_status add_curves(rllc_string *out, const rllc_plot_layout *l, const rllc_panel *p, int64_t panel) {
    rllc_status status = RLLC_OK;
    bool any = false;
    for (int pass = BANDS; pass < PASSES; pass++)
        for (int64_t i = 0; i < p->n; i++) {
            if (!drawn_in(&p->series[i], pass)) continue;
            RLLC_TRY(rllc_string_printf(out, "%s $p%lld_s%lld", any ? ", \\\n    " : "plot", (long long)panel,
                                        (long long)i));
            RLLC_TRY(add_curve(out, l, &p->series[i], pass));
            any = true;
        }
    if (!any) { /* axes alone, saying so */
        const rllc_plot_frame *f = &l->frames[panel - 1];
        RLLC_TRY(add_text(out, l, "no data", 0.5 * (f->left + f->right), 0.5 * (f->top + f->bottom), CENTER, "Arial",
                          l->font, "#666666"));
        RLLC_TRY(add_number(out, "plot ", f->y.low - 9.0 * (f->y.high - f->y.low))); /* out of sight */
    }
    RLLC_TRY(rllc_string_add(out, "\n"));
done:
    return status;
}

static rllc_status add_head(rllc_string *out, const rllc_figure *f, const rllc_plot_layout *l) {
    return rllc_string_printf(
        out,
        "# Draws %s.svg: gnuplot -d %s.gp > %s.svg\n"
        "set encoding utf8\n"
        "set terminal svg size %d,%d fixed noenhanced rounded font 'Arial,%d' dashlength 1 background rgb 'white'\n"
        "set key off\nset border 3 lc rgb '#555555'\n"
        "set tics nomirror out scale 0.5,0.25 textcolor rgb '#444444'\n"
        "set xtics offset 0,0.35\n"
        "set grid xtics ytics back lt 1 lc rgb '#E4E4E4' lw 0.8\n"
        "set multiplot\n",
        f->name, f->name, f->name, (int)l->width, (int)l->height, (int)l->font);
}

rllc_status rllc_plot_script(const rllc_figure *f, const rllc_plot_layout *l, rllc_string *out) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(add_head(out, f, l));
    for (int64_t p = 0; p < f->n; p++) {
        RLLC_TRY(rllc_string_printf(out, "\n# panel %lld\nunset label\nunset arrow\n", (long long)p + 1));
        RLLC_TRY(add_data(out, &f->panels[p], p + 1));
        if (p == 0) RLLC_TRY(add_keys(out, l));
        if (p == 0) RLLC_TRY(add_caption(out, l));
        RLLC_TRY(add_frame(out, l, &f->panels[p], &l->frames[p]));
        RLLC_TRY(add_curves(out, l, &f->panels[p], p + 1));
    }
    RLLC_TRY(rllc_string_add(out, "unset multiplot\n"));
done:
    return status;
}
