/* Which sequences make the minibatch of (stream, step). */
#include "group.h"

/** Row i of the minibatch, drawn with replacement; the same for every checkpoint, so that curves share their noise. */
static rllc_status draw_rows(void *context, int64_t stream, int64_t step, int64_t rows, int32_t *tokens) {
    const rllc_group *g = context;
    const rllc_rows *data = g->job->rows;
    const rllc_stream s = rllc_stream_make(g->job->sampler.seed, g->batch_purpose, (uint32_t)stream, (uint32_t)step);
    for (int64_t i = 0; i < rows; i++)
        rllc_rows_get(data, (int64_t)rllc_stream_below(&s, (uint64_t)i, (uint64_t)data->rows), tokens + i * data->n_ctx);
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

int64_t rllc_group_init_batches(const rllc_group *g) {
    const int64_t wanted = g->job->sampler.num_init_loss_batches;
    return g->job->explicit_batches && g->job->rows->shape[0] < wanted ? g->job->rows->shape[0] : wanted;
}
