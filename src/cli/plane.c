/* A pilot and its recommendation as figure, table and YAML. */
#include "cli/plane.h"

#include <math.h>
#include <string.h>

/* ---- figure --------------------------------------------------------------------------------------------------------
 */

enum { MOST_BIAS = 50 }; /* per cent that the axis shows */

/** Curves of both rows of panels: over lr, one for each localization, panels by nbeta. */
typedef struct curves {
    double *x, *y, *low, *high; /* estimates of all points; x = log10 lr */
    double *bias;               /* predicted share of step and noise, per cent */
    rllc_series *series;        /* [2][nbeta][localization] */
    rllc_panel *panels;         /* [2][nbeta] */
} curves;

static void fill(const rllc_pilot *p, curves *c) {
    for (int64_t i = 0; i < p->n; i++) {
        const rllc_pilot_point *point = &p->points[i];
        c->x[i] = log10(point->options.lr);
        c->y[i] = point->estimate.llc_mean;
        c->low[i] = point->estimate.llc_mean - point->estimate.llc_se;
        c->high[i] = point->estimate.llc_mean + point->estimate.llc_se;
        c->bias[i] = 100 * (point->budget.step + point->budget.noise) / point->budget.complexity;
    }
}

static void lay_out(const rllc_pilot *p, const rllc_recommendation *r, curves *c) {
    const int64_t n = p->n_nbeta * p->n_localization;
    for (int64_t k = 0; k < n; k++) {
        const int64_t at = k * p->n_lr;
        const char *label = rllc_intern_printf("localization %.4g", p->localization[k % p->n_localization]);
        const int color = (int)(k % p->n_localization);
        c->series[k] = (rllc_series){.label = label,
                                     .n = p->n_lr,
                                     .x = c->x + at,
                                     .y = c->y + at,
                                     .low = c->low + at,
                                     .high = c->high + at,
                                     .color = color};
        c->series[n + k] =
            (rllc_series){.label = label, .n = p->n_lr, .x = c->x + at, .y = c->bias + at, .color = color};
    }
    for (int64_t b = 0; b < p->n_nbeta; b++) {
        const bool here = r->best >= 0 && r->options.nbeta == p->nbeta[b];
        const char *title = rllc_intern_printf(here ? "nbeta %.4g (taken)" : "nbeta %.4g", p->nbeta[b]);
        c->panels[b] = (rllc_panel){.title = title,
                                    .x_label = "log10 lr",
                                    .y_label = "estimate",
                                    .series = c->series + b * p->n_localization,
                                    .n = p->n_localization};
        c->panels[p->n_nbeta + b] = (rllc_panel){.title = rllc_intern_printf("nbeta %.4g: bias", p->nbeta[b]),
                                                 .x_label = "log10 lr",
                                                 .y_label = "step and noise, %",
                                                 .series = c->series + n + b * p->n_localization,
                                                 .n = p->n_localization,
                                                 .has_y_range = true,
                                                 .y_low = 0,
                                                 .y_high = MOST_BIAS};
    }
}

rllc_status rllc_plane_draw(const rllc_plane *f) {
    const rllc_pilot *p = f->pilot;
    rllc_status status = RLLC_OK;
    curves c = {0};
    const char *caption = rllc_intern_printf(
        "%s on %s at step %lld: %lld chains, %lld draws after %lld steps; bands are one "
        "standard error.",
        rllc_component_label(f->component), f->corpus, (long long)f->step, (long long)p->base.num_chains,
        (long long)p->base.num_draws, (long long)p->base.num_burnin_steps);
    if (f->advice->best >= 0)
        caption = rllc_intern_printf("%s Taken: lr %.3g, nbeta %.4g, localization %.4g.", caption,
                                     f->advice->options.lr, f->advice->options.nbeta, f->advice->options.localization);
    RLLC_TRY(rllc_alloc(&c.x, 5 * p->n, sizeof *c.x));
    RLLC_TRY(rllc_alloc(&c.series, 2 * p->n_nbeta * p->n_localization, sizeof *c.series));
    RLLC_TRY(rllc_alloc(&c.panels, 2 * p->n_nbeta, sizeof *c.panels));
    c.y = c.x + p->n;
    c.low = c.y + p->n;
    c.high = c.low + p->n;
    c.bias = c.high + p->n;
    fill(p, &c);
    lay_out(p, f->advice, &c);
    const rllc_figure figure = {.name = "plane",
                                .caption = caption,
                                .panels = c.panels,
                                .n = 2 * p->n_nbeta,
                                .columns = p->n_nbeta <= 5 ? (int)p->n_nbeta : 0};
    RLLC_TRY(rllc_figure_draw(&figure, f->folder));
done:
    rllc_free(c.x);
    rllc_free(c.series);
    rllc_free(c.panels);
    return status;
}

/* ---- table ---------------------------------------------------------------------------------------------------------
 */

static void write_point(FILE *to, const rllc_pilot_point *point, const rllc_judgement *j) {
    const rllc_bias_budget *b = &point->budget;
    const double values[] = {point->options.lr,
                             point->options.nbeta,
                             point->options.localization,
                             point->estimate.llc_mean,
                             point->estimate.llc_se,
                             b->expected,
                             b->complexity,
                             b->step,
                             b->noise,
                             b->transient,
                             b->drift,
                             b->localization,
                             b->soft_count,
                             b->lr_max,
                             point->virial,
                             point->predicted_virial,
                             point->heat_capacity,
                             j->error};
    char text[32];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) fprintf(to, "%s,", rllc_format_double(text, values[i]));
    fprintf(to, "%lld,%lld,%s,\"%s\"\n", (long long)j->burnin, (long long)j->draws, rllc_objection_name(j->objection),
            j->sentence);
}

rllc_status rllc_plane_write_csv(const rllc_plane *f) {
    rllc_status status = RLLC_OK;
    rllc_output_file to = {0};
    RLLC_TRY(rllc_output_file_open(&to, rllc_intern_printf("%s/points.csv", f->folder)));
    fputs("lr,nbeta,localization,llc_mean,llc_se,expected,complexity,step,noise,transient,drift,localization_bias,soft_"
          "count,"
          "lr_max,virial,predicted_virial,heat_capacity,error,burnin,draws,objection,sentence\n",
          to.stream);
    for (int64_t i = 0; i < f->pilot->n; i++) write_point(to.stream, &f->pilot->points[i], &f->advice->points[i]);
    RLLC_TRY(rllc_output_file_commit(&to));
done:
    rllc_output_file_abort(&to);
    return status;
}

/* ---- YAML ----------------------------------------------------------------------------------------------------------
 */

/** sampling.KEY=value for the settings that calibration decides. */
static rllc_status set_keys(const rllc_sampler_options *o, rllc_yaml *root) {
    rllc_status status = RLLC_OK;
    char lr[32], nbeta[32], localization[32];
    const char *texts[] = {
        rllc_intern_printf("sampling.sampler=%s", o->sampler),
        rllc_intern_printf("sampling.lr=%s", rllc_format_double(lr, o->lr)),
        rllc_intern_printf("sampling.nbeta=%s", rllc_format_double(nbeta, o->nbeta)),
        rllc_intern_printf("sampling.localization=%s", rllc_format_double(localization, o->localization)),
        rllc_intern_printf("sampling.num_chains=%lld", (long long)o->num_chains),
        rllc_intern_printf("sampling.num_draws=%lld", (long long)o->num_draws),
        rllc_intern_printf("sampling.num_burnin_steps=%lld", (long long)o->num_burnin_steps),
        rllc_intern_printf("sampling.num_steps_bw_draws=%lld", (long long)o->num_steps_bw_draws),
        rllc_intern_printf("sampling.batch_size=%lld", (long long)o->batch_size),
        rllc_intern_printf("sampling.seed=%llu", (unsigned long long)o->seed)};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) RLLC_TRY(rllc_yaml_override(root, texts[i]));
done:
    return status;
}

rllc_status rllc_plane_write_yaml(const rllc_plane *f, const char *config, const char *path) {
    rllc_status status = RLLC_OK;
    rllc_yaml *root = NULL;
    rllc_string text = {0};
    RLLC_TRY(rllc_string_add(&text, "# settings recommended by rllc calibrate\n"));
    for (const char *line = rllc_string_text(&f->advice->reasons); *line;) {
        const size_t n = strcspn(line, "\n");
        RLLC_TRY(rllc_string_printf(&text, "# %.*s\n", (int)n, line));
        line += n + (line[n] == '\n');
    }
    if (config)
        RLLC_TRY(rllc_yaml_load(&root, config));
    else
        RLLC_TRY(rllc_yaml_parse(&root, "sampling: {}", 12, "recommendation"));
    RLLC_TRY(set_keys(&f->advice->options, root));
    RLLC_TRY(rllc_yaml_print(root, &text));
    RLLC_TRY(rllc_file_write(path, text.data, text.length));
done:
    rllc_yaml_free(root);
    rllc_string_release(&text);
    return status;
}
