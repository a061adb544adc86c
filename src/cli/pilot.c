/* Short chains at every point of a grid, in lockstep on common minibatches and with common noise. */
#include "cli/pilot.h"

#include <math.h>
#include <string.h>

enum { STREAMS = 2, GROUP_BYTES = 1 << 30 }; /* streams of minibatches: the default of rllc sample */

typedef struct pilot_work {
    rllc_pilot *p;
    const char *noise_purpose, *batch_purpose;
    rllc_potential *potential;
    double done, total; /* chain steps */
} pilot_work;

/** The rows that rllc sample would draw. */
static rllc_status draw_rows(void *context, int64_t stream, int64_t step, int64_t rows, int32_t *tokens) {
    const pilot_work *w = context;
    const rllc_rows *data = w->p->rows;
    const rllc_stream s = rllc_stream_make(w->p->base.seed, w->batch_purpose, (uint32_t)stream, (uint32_t)step);
    for (int64_t i = 0; i < rows; i++)
        rllc_rows_get(data, (int64_t)rllc_stream_below(&s, (uint64_t)i, (uint64_t)data->rows),
                      tokens + i * data->n_ctx);
    return RLLC_OK;
}

/* ---- the grid ------------------------------------------------------------------------------------------------ */

/** E[u.G] / dim at equilibrium: 1 / (1 - lr a / 4) a direction (1 for sgld-lm), and what minibatch noise adds (E42). */
static double predict_virial(const rllc_curvature *c, const rllc_sampler_options *o) {
    const bool lm = strcmp(o->sampler, "sgld-lm") == 0;
    double sum = 0;
    for (int64_t k = 0; k < c->spectrum.n; k++) {
        const double a = o->nbeta * c->spectrum.node[k] + o->localization;
        sum += c->spectrum.weight[k] / (lm ? 1 : 1 - o->lr * a / 4);
    }
    for (int64_t k = 0; k < c->noise.n; k++) {
        const double a = o->nbeta * c->noise.node[k] + o->localization;
        sum += c->noise.weight[k] * o->lr * o->nbeta * o->nbeta / 4 / (1 - o->lr * a / 4);
    }
    return sum / (double)c->dim;
}

static rllc_status make_points(rllc_pilot *p) {
    rllc_status status = RLLC_OK;
    p->n = p->n_lr * p->n_nbeta * p->n_localization;
    RLLC_TRY(rllc_alloc(&p->points, p->n, sizeof *p->points));
    for (int64_t i = 0; i < p->n; i++) {
        rllc_pilot_point *point = &p->points[i];
        const int64_t row = i / p->n_lr;
        point->options = p->base;
        point->options.lr = p->lr[i % p->n_lr];
        point->options.localization = p->localization[row % p->n_localization];
        point->options.nbeta = p->nbeta[row / p->n_localization];
        rllc_bias_budget_make(&p->curvature, &point->options, &point->budget);
        point->predicted_virial = predict_virial(&p->curvature, &point->options);
        point->pruned = !(point->options.lr < point->budget.lr_max) || isnan(point->budget.complexity);
        point->estimate = (rllc_estimate){.llc_mean = NAN, .llc_sd = NAN, .llc_se = NAN};
        point->virial = point->heat_capacity = NAN;
        point->finding = "";
    }
done:
    return status;
}

/* ---- its chains ------------------------------------------------------------------------------------------------ */

static rllc_status conclude(const rllc_pilot *p, rllc_pilot_point *point, const rllc_chain *chains) {
    rllc_status status = RLLC_OK;
    rllc_trace *traces = NULL;
    rllc_diagnosis d = {0};
    const int64_t n = point->options.num_chains;
    RLLC_TRY(rllc_alloc(&traces, n, sizeof *traces));
    for (int64_t i = 0; i < n; i++) traces[i] = rllc_chain_trace(&chains[i]);
    const rllc_estimate_settings settings = {.nbeta = point->options.nbeta};
    RLLC_TRY(rllc_estimate_from_traces(traces, n, &settings, &point->estimate, NULL, NULL));
    const rllc_evidence evidence = {.traces = traces,
                                    .n = n,
                                    .estimate = &point->estimate,
                                    .options = &point->options,
                                    .dim = p->component->size,
                                    .refined_data = p->refined_data,
                                    .curvature = &p->curvature};
    RLLC_TRY(rllc_diagnose(&evidence, &d));
    point->virial = d.virial;
    point->heat_capacity = d.heat_capacity;
    point->verdict = d.verdict;
    point->grade = d.grade;
    for (int i = 0; i < d.n_findings; i++)
        if (d.findings[i].verdict == d.verdict && d.findings[i].grade == d.grade)
            point->finding = d.findings[i].sentence;
done:
    rllc_diagnosis_release(&d);
    rllc_free(traces);
    return status;
}

static rllc_status step_all(pilot_work *w, rllc_chains *all) {
    rllc_status status = RLLC_OK;
    const int64_t steps = rllc_sampler_steps(&w->p->base);
    RLLC_TRY(rllc_chains_open(all));
    for (int64_t step = 0; step < steps; step++) {
        if (rllc_should_stop(w->p->monitor)) {
            status = rllc_fail(RLLC_ESTOPPED, "calibration stopped; nothing of it is kept");
            break;
        }
        status = rllc_chains_step(all, step);
        if (status != RLLC_OK) break;
        w->done += (double)all->n;
        rllc_report_progress(w->p->monitor, "pilot", "step", w->done, w->total, "%s", "");
    }
    rllc_chains_close(all);
done:
    return status;
}

/** The chains of some points: every point has the same noise and the same minibatches. */
static rllc_status sample_points(pilot_work *w, rllc_pilot_point **points, int64_t n) {
    rllc_status status = RLLC_OK;
    const int64_t each = w->p->base.num_chains;
    rllc_chains all = {.potential = w->potential, .n = n * each, .streams = each < STREAMS ? each : STREAMS};
    RLLC_TRY(rllc_alloc(&all.list, all.n, sizeof *all.list));
    for (int64_t i = 0; i < all.n; i++)
        RLLC_TRY(rllc_chain_init(&all.list[i], w->potential, &points[i / each]->options, 0, i % each,
                                 i % each % all.streams, w->noise_purpose, false));
    RLLC_TRY(step_all(w, &all));
    for (int64_t i = 0; i < n; i++) RLLC_TRY(conclude(w->p, points[i], &all.list[i * each]));
done:
    rllc_chains_free(all.list, all.n);
    return status;
}

/** As many points at a time as fit the memory; what shares a pass changes no bit. */
static rllc_status sample_all(pilot_work *w) {
    rllc_pilot *p = w->p;
    rllc_status status = RLLC_OK;
    rllc_pilot_point **todo = NULL;
    int64_t n = 0;
    const int64_t bytes = p->component->size * (int64_t)sizeof(float) * 6 * p->base.num_chains; /* state and engine */
    const int64_t most = GROUP_BYTES / bytes > 1 ? GROUP_BYTES / bytes : 1;
    RLLC_TRY(rllc_alloc(&todo, p->n, sizeof *todo));
    for (int64_t i = 0; i < p->n; i++)
        if (!p->points[i].pruned) todo[n++] = &p->points[i];
    w->total = (double)(n * p->base.num_chains * rllc_sampler_steps(&p->base));
    for (int64_t first = 0; first < n; first += most)
        RLLC_TRY(sample_points(w, todo + first, n - first < most ? n - first : most));
done:
    rllc_free(todo);
    return status;
}

rllc_status rllc_pilot_run(rllc_pilot *p) {
    rllc_status status = RLLC_OK;
    pilot_work w = {.p = p,
                    .noise_purpose = rllc_intern_printf("noise/%s/%s", p->checkpoint_hash, p->corpus_hash),
                    .batch_purpose = rllc_intern_printf("batch/%s", p->corpus_hash)};
    const rllc_curvature_settings settings = {.probes = p->curvature_probes,
                                              .steps = p->curvature_steps,
                                              .batches = p->curvature_batches,
                                              .seed = p->base.seed,
                                              .monitor = p->monitor};
    RLLC_TRY(rllc_potential_transformer(&w.potential, p->model, &p->component, 1, p->base.batch_size,
                                        (rllc_batch_source){&w, draw_rows}, p->n_threads, NULL));
    RLLC_TRY(rllc_measure_curvature(w.potential, &settings, 1, (const int64_t[]){0}, &p->curvature));
    RLLC_TRY(make_points(p));
    RLLC_TRY(sample_all(&w));
done:
    rllc_potential_free(w.potential);
    return status;
}

void rllc_pilot_release(rllc_pilot *p) {
    rllc_curvature_release(&p->curvature);
    rllc_free(p->points);
    p->points = NULL;
}
