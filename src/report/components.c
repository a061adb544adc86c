/* report figure: the weight-refined LLC of components that are not single heads: layers, embeddings, unions. */
#include "report/internal.h"

static bool wanted(const rllc_report_curve *c) {
    return !c->full && c->head < 0;
}

static int64_t count(const rllc_report_setting *s) {
    int64_t n = 0;
    for (int64_t i = 0; i < s->n_curves; i++) n += wanted(&s->curves[i]);
    return n;
}

/* A panel for each corpus of one seed. */
static rllc_status draw_seed(const rllc_report_context *c, const rllc_report_curves *curves, uint64_t seed,
                             rllc_string *stems) {
    rllc_status status = RLLC_OK;
    rllc_series *series = NULL;
    rllc_panel *panels = NULL;
    const rllc_report_setting **settings = NULL; /* of the panels */
    rllc_string name = {0}, caption = {0};
    int64_t n = 0, n_panels = 0;
    for (int64_t i = 0; i < curves->n_settings; i++) n += count(&curves->settings[i]);
    RLLC_TRY(rllc_alloc(&series, n, sizeof *series));
    RLLC_TRY(rllc_alloc(&panels, curves->n_settings, sizeof *panels));
    RLLC_TRY(rllc_alloc(&settings, curves->n_settings, sizeof *settings));
    n = 0;
    for (int64_t i = 0; i < curves->n_settings; i++) {
        const rllc_report_setting *s = &curves->settings[i];
        if (s->seed != seed || count(s) == 0) continue;
        rllc_panel *p = &panels[n_panels];
        settings[n_panels++] = s;
        *p = (rllc_panel){.title = s->corpus,
                          .x_label = "training step",
                          .y_label = "wrLLC, wdrLLC",
                          .log_x = true,
                          .series = &series[n]};
        for (int64_t k = 0; k < s->n_curves; k++)
            if (wanted(&s->curves[k])) series[n++] = rllc_report_series(curves, &s->curves[k], (int)p->n++);
    }
    if (n_panels == 0) goto done;
    rllc_report_share_y(panels, n_panels, true);
    RLLC_TRY(rllc_report_describe(settings, n_panels, &caption));
    RLLC_TRY(rllc_string_add(&caption, " Bands: one standard deviation over chains."));
    RLLC_TRY(rllc_string_printf(&name, "components-seed%llu", (unsigned long long)seed));
    const rllc_figure f = {.name = name.data,
                           .caption = caption.data,
                           .panels = panels,
                           .n = n_panels,
                           .columns = rllc_report_columns(n_panels)};
    RLLC_TRY(rllc_report_draw(c, &f, stems));
done:
    rllc_free(series);
    rllc_free(panels);
    rllc_free(settings);
    rllc_string_release(&name);
    rllc_string_release(&caption);
    return status;
}

static rllc_status draw(const rllc_report_context *c, rllc_string *stems) {
    rllc_status status = RLLC_OK;
    rllc_report_curves curves = {0};
    uint64_t *seeds = NULL;
    int64_t n = 0, any = 0;
    RLLC_TRY(rllc_report_curves_load(&curves, c->store));
    RLLC_TRY(rllc_report_seeds(&curves, &seeds, &n));
    for (int64_t i = 0; i < curves.n_settings; i++) any += count(&curves.settings[i]);
    for (int64_t i = 0; i < n; i++) RLLC_TRY(draw_seed(c, &curves, seeds[i], stems));
    if (!any)
        status = rllc_fail(RLLC_ENOTFOUND, "no component other than single heads was sampled: rllc sample RUN "
                                           "--components layers,embed,unembed");
done:
    rllc_report_curves_release(&curves);
    rllc_free(seeds);
    return status;
}

const rllc_report_figure rllc_report_figure_components = {
    .name = "components",
    .title = "Other components",
    .summary = "Layers, embeddings and other parts, each moved alone. They differ in size: larger parts have more to "
               "move, so compare shapes rather than heights.",
    .draw = draw,
};
