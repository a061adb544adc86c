/* What a training run will take, before it takes it. */
#include "train/trainer.h"

/** The engine's bytes for whole-model gradients of a batch. */
static rllc_status engine_bytes(const rllc_train_job *job, const rllc_model *m, double *out) {
    rllc_component full;
    const rllc_component *const members[1] = {&full};
    const rllc_status status = rllc_component_parse(&full, m, "full");
    if (status != RLLC_OK) return status;
    *out = (double)rllc_engine_bytes(m, job->options.batch_size, job->n_threads, members, 1);
    rllc_component_release(&full);
    return RLLC_OK;
}

rllc_status rllc_train_cost(const rllc_train_job *job, double *tokens, double *memory, double *disk) {
    rllc_status status = RLLC_OK;
    rllc_model m = {0};
    int64_t *grid = NULL, n = 0;
    const double row = (double)job->options.batch_size * (double)job->model.n_ctx, file = 8192; /* headers and JSON */
    RLLC_TRY(rllc_model_init(&m, &job->model));
    RLLC_TRY(rllc_train_grid(&job->options, &grid, &n));
    RLLC_TRY(engine_bytes(job, &m, memory));
    const double weights = 4.0 * (double)m.size;
    *tokens = (double)job->options.steps * row;
    *memory += 4 * weights + 4 * row; /* weights, gradient, two moments; the batch */
    /* moments: beside every checkpoint, or beside the latest and the one being written, and a state between */
    const double moments = job->options.keep_all_optimizer_states ? (double)n : 2;
    *disk = (double)n * (weights + file) + moments * 2 * weights + 3 * weights;
done:
    rllc_free(grid);
    rllc_model_release(&m);
    return status;
}
