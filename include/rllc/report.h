/*
 * report: store -> figures and one self-contained HTML file. Never recomputes: it sees store, stats, plot, base only.
 */
#ifndef RLLC_REPORT_H
#define RLLC_REPORT_H

#include "rllc/plot.h"
#include "rllc/store.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a figure function may use: the store and where files go. */
typedef struct rllc_report_context {
    rllc_store *store;
    const char *folder; /* for .svg, .csv, .gp */
    rllc_status *undrawn; /* the first failure of gnuplot: a figure goes on, so that all its data are written */
    rllc_string *why;     /* its detail */
} rllc_report_context;

/** A figure of the report: a constant in its own file, listed in figures.def. */
typedef struct rllc_report_figure {
    const char *name, *title, *summary;
    /** Draws the files name*.svg it makes and appends their stems to stems (one a line). Without data: RLLC_ENOTFOUND
     *  with the command that would make them as detail. */
    rllc_status (*draw)(const rllc_report_context *c, rllc_string *stems);
} rllc_report_figure;

const rllc_report_figure *const *rllc_report_figure_list(int *n);

typedef struct rllc_report_job {
    rllc_store *store;
    const char *figures; /* folder for the figures' .svg, .csv and .gp */
    const char *page;    /* the HTML file; NULL = figures only */
    const char *only;    /* draw this one figure; NULL = all */
    const rllc_monitor *monitor;
} rllc_report_job;

/**
 * Draws the figures that the store has data for and writes the page, whole or not at all. A store without anything to
 * show is RLLC_ENOTFOUND. When figures cannot be drawn (no gnuplot), the page is written without them and says so, and
 * the status is that of the first such failure.
 * *result (may be NULL): {"page", "figures": [{"name", "title", "files": [...]}], "missing": [{"name", "reason"}]}.
 */
rllc_status rllc_report_run(const rllc_report_job *job, rllc_json **result) RLLC_MUST_USE;

/** All figures into folder/figures, the page to folder/report.html. */
rllc_status rllc_report_write(rllc_store *store, const char *folder, const rllc_monitor *monitor) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
