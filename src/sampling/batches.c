/* Which sequences make the minibatch of (stream, step). */
#include <string.h>

#include "group.h"

/** Row i of the minibatch, drawn with replacement; the same for every checkpoint, so that curves share their noise. */
static rllc_status draw_rows(void *context, int64_t stream, int64_t step, int64_t rows, int32_t *tokens) {
    const rllc_group *g = context;
    const rllc_rows *data = g->job->rows;
    if (rllc_job_is_fixed(g->job)) step %= g->job->sampler.gradient_accumulation_steps; /* the first step's, for ever */
    const rllc_stream s = rllc_stream_make(g->job->sampler.seed, g->batch_purpose, (uint32_t)stream, (uint32_t)step);
    for (int64_t i = 0; i < rows; i++)
        rllc_rows_get(data, (int64_t)rllc_stream_below(&s, (uint64_t)i, (uint64_t)data->rows),
                      tokens + i * data->n_ctx);
    return RLLC_OK;
}

static rllc_status given_rows(void *context, int64_t stream, int64_t step, int64_t rows, int32_t *tokens) {
    const rllc_group *g = context;
    const rllc_rows *data = g->job->rows;
    (void)stream;
    for (int64_t i = 0; i < rows; i++) rllc_rows_get(data, step * rows + i, tokens + i * data->n_ctx);
    return RLLC_OK;
}

rllc_batch_source rllc_group_batches(rllc_group *g) {
    return (rllc_batch_source){g, g->job->explicit_batches ? given_rows : draw_rows};
}

bool rllc_job_is_fixed(const rllc_sampling_job *job) {
    return !job->explicit_batches && strcmp(job->options.batches, "fixed") == 0;
}

/** How many different minibatches a stream has. */
static int64_t distinct(const rllc_sampling_job *job) {
    if (job->explicit_batches) return job->rows->shape[0];
    return rllc_job_is_fixed(job) ? job->sampler.gradient_accumulation_steps : INT64_MAX;
}

int64_t rllc_group_init_batches(const rllc_group *g) {
    const int64_t wanted = g->job->sampler.num_init_loss_batches, most = distinct(g->job);
    return wanted < most ? wanted : most;
}

rllc_curvature_settings rllc_job_curvature(const rllc_sampling_job *job) {
    const bool whole = rllc_job_is_fixed(job);
    return (rllc_curvature_settings){.probes = job->options.curvature_probes,
                                     .steps = job->options.curvature_steps,
                                     .batches = whole || distinct(job) < 2 ? distinct(job) : 2,
                                     .whole = whole,
                                     .seed = job->sampler.seed,
                                     .monitor = job->monitor};
}
