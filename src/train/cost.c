/* What a training run asks for: whether it can be, and what it will take. */
#include "train/trainer.h"

rllc_status rllc_train_check(const rllc_train_job *job) {
    const rllc_train_options *o = &job->options;
    if (!job->folder || !job->train) return rllc_fail(RLLC_EUSAGE, "training needs a folder and rows of tokens");
    if (o->steps < 0 || o->batch_size < 1 || o->validation_every < 0 || o->validation_rows < 0 || job->model.n_ctx < 2)
        return rllc_fail(RLLC_EUSAGE, "training needs steps >= 0, batch_size >= 1 and n_ctx >= 2");
    if (job->train->rows < 1)
        return rllc_fail(RLLC_EINPUT, "%s: no rows to train on; give more text", job->train->path);
    if (o->steps > INT64_MAX / o->batch_size / job->model.n_ctx)
        return rllc_fail(RLLC_EUSAGE, "steps %lld times batch_size %lld is out of range", (long long)o->steps,
                         (long long)o->batch_size);
    const rllc_rows *all[2] = {job->train, job->validation};
    for (int k = 0; k < 2; k++)
        if (all[k] && all[k]->rows > 0 && all[k]->n_ctx != job->model.n_ctx)
            return rllc_fail(RLLC_EMISMATCH,
                             "%s: rows of %lld tokens, but the model's n_ctx is %lld; set n_ctx %lld or "
                             "tokenize with the other",
                             all[k]->path, (long long)all[k]->n_ctx, (long long)job->model.n_ctx,
                             (long long)all[k]->n_ctx);
    return RLLC_OK;
}

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
    RLLC_TRY(rllc_train_check(job));
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
