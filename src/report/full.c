/* report figure: the LLC of the whole model over training, on every corpus. */
#include "report/internal.h"

static const rllc_report_curve *full_curve(const rllc_report_setting *s) {
    for (int64_t i = 0; i < s->n_curves; i++)
        if (s->curves[i].full) return &s->curves[i];
    return NULL;
}

/* A panel for each seed with one curve for each setting; returns the number of panels. */
static int64_t fill_panels(const rllc_report_curves *c, rllc_series *series, rllc_panel *panels,
                           const rllc_report_setting **settings, int64_t *n_settings) {
    int64_t n = 0, n_panels = 0;
    uint64_t seed = 0;
    for (int64_t i = 0; i < c->n_settings; i++) {
        const rllc_report_setting *s = &c->settings[i];
        const rllc_report_curve *curve = full_curve(s);
        if (!curve) continue;
        if (n_panels == 0 || seed != s->seed) {
            seed = s->seed;
            panels[n_panels++] = (rllc_panel){.title = rllc_intern_printf("Seed %llu", (unsigned long long)seed),
                                              .x_label = "training step",
                                              .y_label = "LLC, drLLC",
                                              .log_x = true,
                                              .series = &series[n]};
        }
        rllc_panel *p = &panels[n_panels - 1];
        series[n] = rllc_report_series(c, curve, (int)p->n);
        series[n++].label = rllc_intern_printf("%s, %s", curve->name, s->corpus);
        p->n++;
        settings[(*n_settings)++] = s;
    }
    if (n_panels == 1) panels[0].title = "";
    rllc_report_share_y(panels, n_panels, true);
    return n_panels;
}

static rllc_status draw(const rllc_report_context *c, rllc_string *stems) {
    rllc_status status = RLLC_OK;
    rllc_report_curves curves = {0};
    rllc_series *series = NULL;
    rllc_panel *panels = NULL;
    const rllc_report_setting **settings = NULL;
    int64_t n_settings = 0;
    rllc_string caption = {0};
    RLLC_TRY(rllc_report_curves_load(&curves, c->store));
    RLLC_TRY(rllc_alloc(&series, curves.n_settings, sizeof *series));
    RLLC_TRY(rllc_alloc(&panels, curves.n_settings, sizeof *panels));
    RLLC_TRY(rllc_alloc(&settings, curves.n_settings, sizeof *settings));
    int64_t n = fill_panels(&curves, series, panels, settings, &n_settings);
    if (n == 0) {
        status = rllc_fail(RLLC_ENOTFOUND, "the whole model was not sampled: rllc sample RUN --components full");
        goto done;
    }
    RLLC_TRY(rllc_report_describe(settings, n_settings, &caption));
    RLLC_TRY(rllc_string_add(&caption, " Bands: one standard deviation over chains."));
    const rllc_figure f = {
        .name = "full", .caption = caption.data, .panels = panels, .n = n, .columns = rllc_report_columns(n)};
    RLLC_TRY(rllc_report_draw(c, &f, stems));
done:
    rllc_report_curves_release(&curves);
    rllc_free(series);
    rllc_free(panels);
    rllc_free(settings);
    rllc_string_release(&caption);
    return status;
}

const rllc_report_figure rllc_report_figure_full = {
    .name = "full",
    .title = "LLC of the whole model, on every corpus",
    .summary = "Every weight moves. LLC: the loss of the training corpus. drLLC (data-refined): the loss of another "
               "corpus.",
    .draw = draw,
};
