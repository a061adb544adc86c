/* report figure: the loss traces of the last checkpoint's chains, for a look at convergence. */
#include "report/internal.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_POINTS = 250, COLUMNS = 4 };

/* The traces of some cells: one panel a cell, one series a chain. */
typedef struct traces {
    rllc_panel *panels;
    rllc_series *series;
    double **memory; /* [2 * n_series]: x, y of each series */
    int64_t n_panels, n_series, capacity;
    bool thinned;
} traces;

static void release(traces *t) {
    for (int64_t i = 0; t->memory && i < 2 * t->n_series; i++) rllc_free(t->memory[i]);
    rllc_free(t->memory);
    rllc_free(t->panels);
    rllc_free(t->series);
    *t = (traces){0};
}

static rllc_status make_room(traces *t, int64_t n_chains) {
    rllc_status status = RLLC_OK;
    int64_t wanted = t->n_series + n_chains;
    if (wanted <= t->capacity) return RLLC_OK;
    RLLC_TRY(rllc_grow(&t->series, t->capacity, 2 * wanted, sizeof *t->series));
    RLLC_TRY(rllc_grow(&t->memory, 2 * t->capacity, 4 * wanted, sizeof *t->memory));
    t->capacity = 2 * wanted;
done:
    return status;
}

static rllc_status add_chain(traces *t, rllc_store *store, const rllc_store_chain *chain) {
    rllc_status status = RLLC_OK;
    double *x, *y, *baseline = NULL;
    int64_t n = 0;
    double **memory = &t->memory[2 * t->n_series];
    rllc_series *s = &t->series[t->n_series++];
    RLLC_TRY(rllc_alloc(&memory[0], chain->n_draws, sizeof(double)));
    RLLC_TRY(rllc_alloc(&memory[1], chain->n_draws, sizeof(double)));
    RLLC_TRY(rllc_alloc(&baseline, chain->n_draws, sizeof *baseline));
    x = memory[0];
    y = memory[1];
    RLLC_TRY(rllc_store_get_trace(store, chain->cell_id, chain->chain, y, baseline, chain->n_draws, &n));
    for (int64_t i = 0; i < n; i++) {
        x[i] = (double)i;
        y[i] -= baseline[i];
    }
    int64_t kept = rllc_report_thin(x, y, n, MOST_POINTS, false);
    t->thinned = t->thinned || kept < n;
    *s = (rllc_series){.label = rllc_intern_printf("chain %lld", (long long)chain->chain),
                       .n = kept,
                       .x = x,
                       .y = y,
                       .color = (int)chain->chain};
done:
    rllc_free(baseline);
    return status;
}

static rllc_status add_cell(traces *t, rllc_store *store, const rllc_store_estimate *e, const char *label) {
    rllc_status status = RLLC_OK;
    int64_t diverged = 0, first = t->n_series;
    RLLC_TRY(make_room(t, e->n_chains));
    for (int64_t k = 0; k < e->n_chains; k++) {
        rllc_store_chain chain;
        status = rllc_store_get_chain(store, e->cell_id, k, &chain, NULL, 0, NULL);
        if (status == RLLC_ENOTFOUND) continue; /* an estimate from chains that were deleted since */
        if (status != RLLC_OK) goto done;
        RLLC_TRY(add_chain(t, store, &chain));
        diverged += chain.diverged;
    }
    status = RLLC_OK;
    if (diverged) label = rllc_intern_printf("%s (%lld diverged)", label, (long long)diverged);
    t->panels[t->n_panels++] =
        (rllc_panel){.title = label, .x_label = "draw", .y_label = "loss above w*, nats", .n = t->n_series - first};
done:
    return status;
}

/* The last checkpoint's traces of the curves of one layer (of those that are not heads: layer -1). */
static rllc_status draw_layer(const rllc_report_context *c, const rllc_report_curves *curves,
                              const rllc_report_setting *s, int layer, bool *any, rllc_string *stems) {
    rllc_status status = RLLC_OK;
    traces t = {0};
    rllc_string name = {0}, caption = {0};
    RLLC_TRY(rllc_alloc(&t.panels, s->n_curves, sizeof *t.panels));
    for (int64_t i = 0; i < s->n_curves; i++) {
        const rllc_report_curve *curve = &s->curves[i];
        int64_t last = curve->first + curve->n - 1;
        if (curve->layer != layer || (int64_t)curves->step[last] != s->last_step) continue;
        RLLC_TRY(add_cell(&t, c->store, &curves->estimates[curves->order[last]], curve->label));
    }
    if (t.n_series == 0) goto done;
    *any = true;
    rllc_series *next = t.series; /* the array has stopped moving */
    for (int64_t p = 0; p < t.n_panels; next += t.panels[p++].n) t.panels[p].series = next;
    if (layer >= 0) rllc_report_share_y(t.panels, t.n_panels, true);
    RLLC_TRY(rllc_string_printf(&name, "traces-seed%llu-", (unsigned long long)s->seed));
    RLLC_TRY(rllc_report_add_stem(&name, s->corpus));
    RLLC_TRY(layer >= 0 ? rllc_string_printf(&name, "-layer%d", layer) : rllc_string_add(&name, "-components"));
    RLLC_TRY(rllc_string_printf(&caption, "Step %lld. ", (long long)s->last_step));
    RLLC_TRY(rllc_report_describe(&s, 1, &caption));
    if (t.thinned)
        RLLC_TRY(rllc_string_printf(&caption, " Means of up to %d groups of neighbouring draws.", MOST_POINTS));
    const rllc_figure f = {
        .name = name.data, .caption = caption.data, .panels = t.panels, .n = t.n_panels, .columns = COLUMNS};
    RLLC_TRY(rllc_report_draw(c, &f, stems));
done:
    release(&t);
    rllc_string_release(&name);
    rllc_string_release(&caption);
    return status;
}

/* Heads of each layer, then the other components. */
static rllc_status draw_setting(const rllc_report_context *c, const rllc_report_curves *curves,
                                const rllc_report_setting *s, bool *any, rllc_string *stems) {
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < s->n_curves; i++) /* heads are in order of layers */
        if (s->curves[i].layer >= 0 && (i == 0 || s->curves[i - 1].layer != s->curves[i].layer))
            RLLC_TRY(draw_layer(c, curves, s, s->curves[i].layer, any, stems));
    RLLC_TRY(draw_layer(c, curves, s, -1, any, stems));
done:
    return status;
}

static rllc_status draw(const rllc_report_context *c, rllc_string *stems) {
    rllc_status status = RLLC_OK;
    rllc_report_curves curves = {0};
    bool any = false;
    RLLC_TRY(rllc_report_curves_load(&curves, c->store));
    for (int64_t i = 0; i < curves.n_settings;
         i++) /* the first setting of each seed: its training corpus, if sampled */
        if (i == 0 || curves.settings[i].seed != curves.settings[i - 1].seed)
            RLLC_TRY(draw_setting(c, &curves, &curves.settings[i], &any, stems));
    if (!any) status = rllc_fail(RLLC_ENOTFOUND, "there is no chain with an estimate: rllc sample RUN");
done:
    rllc_report_curves_release(&curves);
    return status;
}

const rllc_report_figure rllc_report_figure_traces = {
    .name = "traces",
    .title = "Chains of the last checkpoint",
    .summary = "The loss at each draw minus the loss at the trained weights w* on the same minibatch; n\xCE\xB2 times "
               "the mean of this is the estimate. Good chains leave zero within a few dozen draws, then stay level and "
               "agree with each other. A trace that still rises at the end asks for more draws or burn-in; one below "
               "zero says that w* is not a minimum of this loss.",
    .draw = draw,
};
