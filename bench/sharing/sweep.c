/* The noisy quadratic at the paper's settings over the size of the minibatch noise: against the exact law (E83, E84).
 */
#include <math.h>
#include <stdio.h>

#include "quadratic.h"
#include "study.h"

/** Heating q = lr nbeta^2 C / 4: the power of the minibatch noise in units of the sampler's own. */
static const double heating[] = {0, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4};
enum { LEVELS = sizeof heating / sizeof *heating };

/** A head's worth: an estimate near 2, a fifth of the directions resolved, the spread of minibatch losses of the demo.
 */
static noisy_setting setting_of(const rllc_sampler_options *o, double q) {
    static const double curvature[] = {0.3, 1, 3, 10};
    noisy_setting s = {.dim = 12, .level = 0.15};
    for (int i = 0; i < s.dim; i++) {
        s.h[i] = curvature[i % 4];
        s.noise[i] = 4 * q / (o->lr * o->nbeta * o->nbeta);
    }
    return s;
}

static rllc_status run_level(double q, int64_t repeats, study_result *out, study_target *t) {
    rllc_status status = RLLC_OK;
    char noise[32];
    double truth;
    *t =
        (study_target){.name = "quadratic", .noise = noise, .components = 1, .verdicts = repeats < 200 ? repeats : 200};
    rllc_options_default(&rllc_sampler_option_table, &t->o);
    t->o.num_chains = STUDY_CHAINS;
    t->o.seed = rllc_hash64(&q, sizeof q, 0) >> 1; /* levels are independent */
    const noisy_setting s = setting_of(&t->o, q);
    snprintf(noise, sizeof noise, "q = %.3g", q);
    truth = noisy_mean(&s, &t->o);
    t->truth = &truth;
    for (int mode = 0; mode < STUDY_MODES; mode++) {
        const int64_t streams = study_modes[mode].streams;
        t->variance[mode] = study_modes[mode].fixed ? NAN : noisy_variance(&s, &t->o, streams);
        t->variance_init[mode] = t->variance[mode] + noisy_level_variance(&s, &t->o, streams);
    }
    RLLC_TRY(noisy_make(&t->potential, &s, STUDY_CHAINS, t->o.seed));
    RLLC_TRY(study_run(t, repeats, out));
    study_print(t, out);
done:
    rllc_potential_free(t->potential);
    return status;
}

/* ---- the figure ----------------------------------------------------------------------------------------------------
 */

enum { CURVE = 60, FRESH = STUDY_FIXED }; /* points of an exact curve; modes with fresh minibatches */

typedef struct points {
    double y[LEVELS], low[LEVELS], high[LEVELS];
} points;

typedef struct picture {
    double share[LEVELS], fine[CURVE]; /* x: q / (1 + q) */
    double exact[FRESH][CURVE],
        price[2][FRESH][CURVE]; /* spread, and its square times cost: of one head, of all heads */
    points spread[FRESH], honest[FRESH], naive;
} picture;

static void put(points *p, int level, double value, double error) {
    p->y[level] = value;
    p->low[level] = value - 2 * error;
    p->high[level] = value + 2 * error;
}

static void place(picture *p, int level, const study_result *r, const study_target *t) {
    const double unit = sqrt(t->variance[FRESH - 1]);
    p->share[level] = heating[level] / (1 + heating[level]);
    for (int mode = 0; mode < FRESH; mode++) {
        const study_estimator *e = &r[mode].paired;
        put(&p->spread[mode], level, e->sd.value / unit, e->sd.error / unit);
        put(&p->honest[mode], level, e->ratio.value, e->ratio.error);
    }
    put(&p->naive, level, r[0].naive.value, r[0].naive.error);
}

/** Cost of a step of the paper's model: one last-layer head, or all sixteen heads. */
static rllc_status costs(study_cost *one, study_cost *all) {
    rllc_status status = RLLC_OK;
    rllc_model m = {0};
    rllc_component last = {0}, first = {0};
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    RLLC_TRY(rllc_model_init(&m, &o));
    RLLC_TRY(rllc_component_parse(&last, &m, "l1h0"));
    RLLC_TRY(rllc_component_parse(&first, &m, "l0h0"));
    *one = (study_cost){rllc_model_flops(&m), rllc_family_flops(&m, &last), rllc_component_flops(&m, &last)};
    *all = (study_cost){one->base, (one->head + rllc_family_flops(&m, &first)) / 2,
                        (one->member + rllc_component_flops(&m, &first)) / 2};
done:
    rllc_component_release(&last);
    rllc_component_release(&first);
    rllc_model_release(&m);
    return status;
}

static rllc_status curves(picture *p) {
    rllc_status status = RLLC_OK;
    rllc_sampler_options o;
    study_cost cost[2];
    rllc_options_default(&rllc_sampler_option_table, &o);
    o.num_chains = STUDY_CHAINS;
    RLLC_TRY(costs(&cost[0], &cost[1]));
    for (int i = 0; i < CURVE; i++) {
        p->fine[i] = 0.8 * i / (CURVE - 1);
        const noisy_setting s = setting_of(&o, p->fine[i] / (1 - p->fine[i]));
        const double unit = noisy_variance(&s, &o, STUDY_CHAINS), two = noisy_variance(&s, &o, 2);
        for (int mode = 0; mode < FRESH; mode++) {
            const int64_t streams = study_modes[mode].streams;
            const double variance = noisy_variance(&s, &o, streams);
            p->exact[mode][i] = sqrt(variance / unit);
            for (int k = 0; k < 2; k++) {
                const int64_t heads = k == 0 ? 1 : 16;
                p->price[k][mode][i] = variance / two * study_cost_of(&cost[k], streams, heads, STUDY_CHAINS) /
                                       study_cost_of(&cost[k], 2, heads, STUDY_CHAINS);
            }
        }
    }
done:
    return status;
}

static rllc_series dots(const picture *p, const points *v, const char *label, int color) {
    return (rllc_series){.label = label,
                         .n = LEVELS,
                         .x = p->share,
                         .y = v->y,
                         .low = v->low,
                         .high = v->high,
                         .color = color,
                         .points = true};
}

static rllc_status draw(const picture *p, int64_t repeats, const char *folder) {
    rllc_series spread[2 * FRESH], honest[FRESH + 1], price[2][FRESH];
    static const char *const x = "share of minibatch noise in a chain's noise";
    for (int mode = 0; mode < FRESH; mode++) {
        const char *name = study_modes[mode].name;
        spread[mode] = dots(p, &p->spread[mode], name, mode);
        spread[FRESH + mode] = (rllc_series){.n = CURVE, .x = p->fine, .y = p->exact[mode], .color = mode};
        honest[mode] = dots(p, &p->honest[mode], name, mode);
        for (int k = 0; k < 2; k++)
            price[k][mode] =
                (rllc_series){.label = name, .n = CURVE, .x = p->fine, .y = p->price[k][mode], .color = mode};
    }
    honest[FRESH] = dots(p, &p->naive, "shared, sd / 2", 3);
    const rllc_panel panels[] = {{.title = "error of llc_mean: repeats and law",
                                  .x_label = x,
                                  .y_label = "relative to independent",
                                  .series = spread,
                                  .n = 2 * FRESH},
                                 {.title = "reported error / true error",
                                  .x_label = x,
                                  .y_label = "ratio",
                                  .series = honest,
                                  .n = FRESH + 1,
                                  .has_y_range = true,
                                  .y_low = 0,
                                  .y_high = 1.4},
                                 {.title = "error^2 x cost, one last-layer head",
                                  .x_label = x,
                                  .y_label = "relative to streams=2",
                                  .series = price[0],
                                  .n = FRESH,
                                  .has_y_range = true,
                                  .y_low = 0.4,
                                  .y_high = 2},
                                 {.title = "error^2 x cost, 16 heads",
                                  .x_label = x,
                                  .y_label = "relative to streams=2",
                                  .series = price[1],
                                  .n = FRESH,
                                  .has_y_range = true,
                                  .y_low = 0.4,
                                  .y_high = 2}};
    const rllc_figure figure = {
        .name = "sharing",
        .caption = rllc_intern_printf(
            "sh bench/sharing.sh: a quadratic with minibatch noise at the paper's settings, 4 chains, %lld "
            "repeats a point, bars of two Monte-Carlo errors; costs: FLOPs of the paper's model, rllc " RLLC_VERSION,
            (long long)repeats),
        .panels = panels,
        .n = sizeof panels / sizeof *panels,
        .columns = 2};
    rllc_status status = rllc_make_folders(folder);
    if (status == RLLC_OK) status = rllc_figure_draw(&figure, folder);
    return status;
}

rllc_status study_quadratic(int64_t repeats, const char *figure_folder) {
    rllc_status status = RLLC_OK;
    picture *p = NULL;
    study_target t;
    study_result r[STUDY_MODES];
    RLLC_TRY(rllc_alloc(&p, 1, sizeof *p));
    for (int level = 0; level < LEVELS; level++) {
        RLLC_TRY(run_level(heating[level], repeats, r, &t));
        place(p, level, r, &t);
    }
    RLLC_TRY(curves(p));
    if (figure_folder) RLLC_TRY(draw(p, repeats, figure_folder));
done:
    rllc_free(p);
    return status;
}
