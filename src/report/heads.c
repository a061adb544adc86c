/* report figure: the weight-refined LLC of every head over training, on the training corpus (and, for heads_other.c,
 * the same drawing on other corpora). */
#include "report/internal.h"

static int64_t count_heads(const rllc_report_setting *s) {
    int64_t n = 0;
    for (int64_t i = 0; i < s->n_curves; i++) n += s->curves[i].head >= 0;
    return n;
}

/* A panel for each layer that has heads; they are neighbours, in order. */
static int64_t fill_layers(const rllc_report_curves *c, const rllc_report_setting *s, rllc_series *series,
                           rllc_panel *panels) {
    int64_t n_panels = 0, n = 0;
    int layer = -1;
    for (int64_t i = 0; i < s->n_curves; i++) {
        const rllc_report_curve *curve = &s->curves[i];
        if (curve->head < 0) continue;
        if (curve->layer != layer) {
            layer = curve->layer;
            panels[n_panels++] = (rllc_panel){.title = rllc_intern_printf("Layer %d", layer),
                                              .x_label = "training step",
                                              .y_label = curve->name,
                                              .log_x = true,
                                              .series = &series[n]};
        }
        series[n++] = rllc_report_series(c, curve, curve->head);
        panels[n_panels - 1].n++;
    }
    rllc_report_share_y(panels, n_panels, true);
    return n_panels;
}

static rllc_status draw_setting(const rllc_report_context *c, const rllc_report_curves *curves,
                                const rllc_report_setting *s, rllc_string *stems) {
    rllc_status status = RLLC_OK;
    rllc_string name = {0}, caption = {0};
    rllc_series *series = NULL;
    rllc_panel *panels = NULL;
    int64_t n = count_heads(s);
    RLLC_TRY(rllc_alloc(&series, n, sizeof *series));
    RLLC_TRY(rllc_alloc(&panels, n, sizeof *panels));
    int64_t n_panels = fill_layers(curves, s, series, panels);
    RLLC_TRY(
        rllc_string_printf(&name, "%s-seed%llu-", s->refined_data ? "wdrllc" : "wrllc", (unsigned long long)s->seed));
    RLLC_TRY(rllc_report_add_stem(&name, s->corpus));
    RLLC_TRY(rllc_report_describe(&s, 1, &caption));
    RLLC_TRY(rllc_string_add(&caption, " Lines: mean over chains; bands: one standard deviation over chains."));
    const rllc_figure f = {.name = name.data,
                           .caption = caption.data,
                           .panels = panels,
                           .n = n_panels,
                           .columns = rllc_report_columns(n_panels)};
    RLLC_TRY(rllc_report_draw(c, &f, stems));
done:
    rllc_free(series);
    rllc_free(panels);
    rllc_string_release(&name);
    rllc_string_release(&caption);
    return status;
}

rllc_status rllc_report_draw_heads(const rllc_report_context *c, bool refined_data, rllc_string *stems) {
    rllc_status status = RLLC_OK;
    rllc_report_curves curves = {0};
    bool any = false;
    RLLC_TRY(rllc_report_curves_load(&curves, c->store));
    for (int64_t i = 0; i < curves.n_settings; i++) {
        const rllc_report_setting *s = &curves.settings[i];
        if (s->refined_data != refined_data || count_heads(s) == 0) continue;
        RLLC_TRY(draw_setting(c, &curves, s, stems));
        any = true;
    }
    if (!any && refined_data)
        status = rllc_fail(RLLC_ENOTFOUND, "no head was sampled on data other than the training corpus: rllc sample "
                                           "RUN --components heads --corpora NAME");
    if (!any && !refined_data)
        status = rllc_fail(RLLC_ENOTFOUND, "no head was sampled on the training corpus: rllc sample RUN --components "
                                           "heads");
done:
    rllc_report_curves_release(&curves);
    return status;
}

static rllc_status draw(const rllc_report_context *c, rllc_string *stems) {
    return rllc_report_draw_heads(c, false, stems);
}

const rllc_report_figure rllc_report_figure_heads = {
    .name = "heads",
    .title = "wrLLC of every head, on the training corpus",
    .summary = "The complexity of each head's part in the model, over training: only that head's weights move, and the "
               "loss is that of the data trained on. Heads that do the same kind of work tend to run together; a curve "
               "that leaves the others marks a head that has taken up something of its own.",
    .draw = draw,
};
