/* report figure: loss over training. */
#include "report/internal.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_POINTS = 400 };

/* A curve of the store, for all seeds: points by seed, step. */
typedef struct history {
    rllc_store_point *points;
    int64_t n;
    double *x, *y; /* [n] */
} history;

static rllc_status load(history *h, rllc_store *store, const char *metric) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_store_training(store, metric, &h->points, &h->n));
    RLLC_TRY(rllc_alloc(&h->x, h->n, sizeof *h->x));
    RLLC_TRY(rllc_alloc(&h->y, h->n, sizeof *h->y));
    for (int64_t i = 0; i < h->n; i++) {
        h->x[i] = (double)h->points[i].step;
        h->y[i] = h->points[i].value;
    }
done:
    return status;
}

static void release(history *h) {
    rllc_free(h->points);
    rllc_free(h->x);
    rllc_free(h->y);
}

/* The part of one seed as a series, thinned in place; false if it has none. */
static bool series_of(history *h, uint64_t seed, const char *label, int color, bool *thinned, rllc_series *s) {
    int64_t first = 0, n = 0;
    while (first < h->n && h->points[first].seed != seed) first++;
    while (first + n < h->n && h->points[first + n].seed == seed) n++;
    int64_t kept = rllc_report_thin(h->x + first, h->y + first, n, MOST_POINTS, true);
    *thinned = *thinned || kept < n;
    *s = (rllc_series){.label = label, .n = kept, .x = h->x + first, .y = h->y + first, .color = color};
    return n > 0;
}

/* The seeds of both curves, ascending. */
static int64_t merge_seeds(const history *a, const history *b, uint64_t *seeds) {
    int64_t n = 0, i = 0, k = 0;
    while (i < a->n || k < b->n) {
        bool from_a = k >= b->n || (i < a->n && a->points[i].seed <= b->points[k].seed);
        uint64_t seed = from_a ? a->points[i++].seed : b->points[k++].seed;
        if (n == 0 || seeds[n - 1] != seed) seeds[n++] = seed;
    }
    return n;
}

static rllc_status draw(const rllc_report_context *c, rllc_string *stems) {
    rllc_status status = RLLC_OK;
    history train = {0}, validation = {0};
    uint64_t *seeds = NULL;
    rllc_series *series = NULL;
    rllc_panel *panels = NULL;
    rllc_string caption = {0};
    bool thinned = false;
    RLLC_TRY(load(&train, c->store, "train_loss"));
    RLLC_TRY(load(&validation, c->store, "validation_loss"));
    RLLC_TRY(rllc_alloc(&seeds, train.n + validation.n, sizeof *seeds));
    int64_t n = merge_seeds(&train, &validation, seeds);
    if (n == 0) {
        status = rllc_fail(RLLC_ENOTFOUND, "no training curve is stored: rllc train --data CORPUS --output RUN");
        goto done;
    }
    RLLC_TRY(rllc_alloc(&series, 2 * n, sizeof *series));
    RLLC_TRY(rllc_alloc(&panels, n, sizeof *panels));
    for (int64_t i = 0; i < n; i++) {
        rllc_series *s = &series[2 * i];
        panels[i] = (rllc_panel){.title = n > 1 ? rllc_intern_printf("Seed %llu", (unsigned long long)seeds[i]) : "",
                                 .x_label = "training step",
                                 .y_label = "loss, nats per token",
                                 .log_x = true,
                                 .series = s};
        panels[i].n += series_of(&train, seeds[i], "training", 0, &thinned, &s[panels[i].n]);
        panels[i].n += series_of(&validation, seeds[i], "validation", 1, &thinned, &s[panels[i].n]);
    }
    if (n > 1) rllc_report_share_y(panels, n, false);
    RLLC_TRY(rllc_string_add(&caption, "Mean next-token cross-entropy on the training batches and on held-out "
                                       "documents."));
    if (thinned)
        RLLC_TRY(rllc_string_printf(&caption, " Means of up to %d groups of neighbouring steps.", MOST_POINTS));
    const rllc_figure f = {
        .name = "loss", .caption = caption.data, .panels = panels, .n = n, .columns = rllc_report_columns(n)};
    RLLC_TRY(rllc_report_draw(c, &f, stems));
done:
    release(&train);
    release(&validation);
    rllc_free(seeds);
    rllc_free(series);
    rllc_free(panels);
    rllc_string_release(&caption);
    return status;
}

const rllc_report_figure rllc_report_figure_loss = {
    .name = "loss",
    .title = "Loss over training",
    .summary = "Mean cross-entropy per token. The step axis is logarithmic (of step + 1, so that the initial weights "
               "are shown at 0).",
    .draw = draw,
};
