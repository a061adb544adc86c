/*
 * plot: figures as data, and the device that draws them (gnuplot, as a process).
 */
#ifndef RLLC_PLOT_H
#define RLLC_PLOT_H

#include "rllc/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rllc_series {
    const char *label;        /* drawn literally; NULL or "" = a curve without a name */
    int64_t n;                /* points */
    const double *x, *y;      /* a value that is not finite interrupts the curve */
    const double *low, *high; /* band; NULL = none */
    int color;                /* index into the palette (Okabe-Ito extended); -1 = grey context line */
    bool points;              /* points with bars from low to high instead of a line with a band */
} rllc_series;

typedef struct rllc_panel {
    const char *title, *x_label, *y_label;
    bool log_x; /* drawn on log10(x + 1) with ticks at 0, 1, 10, ...: step 0 is shown */
    const rllc_series *series;
    int64_t n;
    bool has_y_range;
    double y_low, y_high;
} rllc_panel;

/**
 * Panels side by side. Curves are named at their right ends; where the panels share their names, or have more curves
 * than names fit beside, a legend above serves all of them.
 */
typedef struct rllc_figure {
    const char *name;    /* file stem */
    const char *caption; /* settings and run identity, one or two sentences */
    const rllc_panel *panels;
    int64_t n;
    int columns; /* panels a row; at most 5 can be read, 0 = as many as that allows */
} rllc_figure;

/** Writes folder/name.csv (series data), name.gp (script) and name.svg. Without gnuplot: RLLC_EUNSUPPORTED saying
 *  which package to install; .csv and .gp are there all the same. */
rllc_status rllc_figure_draw(const rllc_figure *f, const char *folder) RLLC_MUST_USE;

/** Appends text for SVG, XML or HTML: markup characters as entities, control characters as blanks, broken UTF-8 as
 *  U+FFFD. NULL adds nothing. */
rllc_status rllc_markup_escape(rllc_string *out, const char *text) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
