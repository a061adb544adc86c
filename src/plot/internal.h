/* plot, inside: where everything stands on the page, and the steps from a figure to its three files. */
#ifndef RLLC_PLOT_INTERNAL_H
#define RLLC_PLOT_INTERNAL_H

#include "rllc/plot.h"

/* ---- style ----------------------------------------------------------------------------------------------- */

enum { RLLC_PLOT_COLORS = 8 };
/** Colour, marker (gnuplot point type) and dash of a palette index: beyond 8 the colours come again with other dashes.
 */
const char *rllc_plot_color(int index);
int rllc_plot_marker(int index);
const char *rllc_plot_dash(int index);

/* ---- text ------------------------------------------------------------------------------------------------ */

/** Appends the text as a gnuplot string that is drawn literally; what XML cannot hold becomes a blank or U+FFFD. */
rllc_status rllc_plot_add_quoted(rllc_string *out, const char *text) RLLC_MUST_USE;
/** Width of the text in a sans-serif font of this size, px; an estimate, rather wide than narrow. */
double rllc_plot_text_width(const char *text, double font);
/** Appends the text, cut with an ellipsis if it is wider than `width` px. */
rllc_status rllc_plot_add_fitted(rllc_string *out, const char *text, double font, double width) RLLC_MUST_USE;
/** Breaks text into lines at most `width` wide; they are joined by '\n' in out. *lines: how many. */
rllc_status rllc_plot_wrap(rllc_string *out, const char *text, double font, double width, int *lines) RLLC_MUST_USE;

/* ---- axes ------------------------------------------------------------------------------------------------ */

enum { RLLC_PLOT_TICKS = 64 };

typedef struct rllc_plot_axis {
    double low, high; /* drawn coordinates */
    int n;
    struct rllc_plot_tick {
        double at;      /* drawn coordinate */
        char label[24]; /* "" = a minor tick */
    } ticks[RLLC_PLOT_TICKS];
} rllc_plot_axis;

/** Where x is drawn: x itself or log10(x + 1). */
double rllc_plot_x(const rllc_panel *p, double x);
/** Axes that hold all of a panel's finite data, with about x_target and y_target labelled ticks. */
void rllc_plot_axes(const rllc_panel *p, int x_target, int y_target, rllc_plot_axis *x, rllc_plot_axis *y);

/* ---- layout ---------------------------------------------------------------------------------------------- */

/** Name of a curve, written at its right end. */
typedef struct rllc_plot_label {
    const rllc_series *series;
    double x, y; /* last point, drawn coordinates */
    double end;  /* the same, px from the top */
    double at;   /* where the name goes so that none covers another, px from the top */
} rllc_plot_label;

typedef struct rllc_plot_frame {
    double left, right, top, bottom; /* of the axes, px from the top left */
    rllc_plot_axis x, y;
    double room;             /* for a curve's name beside the axes, px */
    double y_title;          /* middle of the y axis' name, px from the left */
    bool x_titled, y_titled; /* whether the axis' name is written here (else at a neighbour) */
    rllc_plot_label *labels; /* empty when there is a legend */
    int64_t n_labels;
} rllc_plot_frame;

/** An entry of the legend above the panels. */
typedef struct rllc_plot_key {
    const rllc_series *series;
    double left, middle; /* of its swatch, px */
} rllc_plot_key;

typedef struct rllc_plot_layout {
    double width, height; /* px */
    double font, small;   /* px: names and ticks; caption */
    double line;          /* width of curves, px */
    int columns, rows;
    rllc_plot_frame *frames; /* [figure->n] */
    rllc_plot_label *labels; /* of all frames */
    double *scratch;         /* [series in all] */
    rllc_plot_key *keys;
    int64_t n_keys;
    rllc_string caption; /* wrapped */
    int caption_lines;
} rllc_plot_layout;

/* Lengths, px: a legend's line sample and at most of its name; from the axes to a name's own dash, and that dash. */
enum { RLLC_PLOT_SWATCH = 22, RLLC_PLOT_KEY_ROOM = 300, RLLC_PLOT_LEADER = 14, RLLC_PLOT_DASH = 10 };

rllc_status rllc_plot_layout_init(rllc_plot_layout *l, const rllc_figure *f) RLLC_MUST_USE;
void rllc_plot_layout_release(rllc_plot_layout *l);
/** Moves ascending positions apart to `gap`, within low..high, as little as possible in squares. */
void rllc_plot_spread(double *at, int64_t n, double gap, double low, double high);

/* ---- files ----------------------------------------------------------------------------------------------- */

rllc_status rllc_plot_csv(const rllc_figure *f, rllc_string *out) RLLC_MUST_USE;
/** The script: its data inside, it writes the SVG on standard output. */
rllc_status rllc_plot_script(const rllc_figure *f, const rllc_plot_layout *l, rllc_string *out) RLLC_MUST_USE;
/** Runs gnuplot on a script file. RLLC_EUNSUPPORTED if there is no gnuplot, RLLC_EFAIL with what it said if it fails.
 */
rllc_status rllc_plot_gnuplot(const char *script_path, rllc_string *svg) RLLC_MUST_USE;
/** gnuplot's SVG made fit to stand with others in one page: named, described, ids of its own. */
rllc_status rllc_plot_svg_clean(const rllc_figure *f, const rllc_plot_layout *l, const rllc_string *raw,
                                rllc_string *out) RLLC_MUST_USE;
/** What the script plots as number `index`, counting bands and curves in drawing order; NULL for none. */
const rllc_series *rllc_plot_drawn(const rllc_figure *f, int64_t index);

#endif
