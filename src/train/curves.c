/* Measuring a point of the curves, and keeping the store in step with the folder. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/trainer.h"

/** Mean loss over `validation_rows` sequences spread evenly over the split. */
static rllc_status validation_loss(rllc_trainer *t, double *out) {
    const rllc_rows *rows = t->job->validation;
    const int64_t asked = t->job->options.validation_rows, batch = t->job->options.batch_size;
    const int64_t n = asked > 0 && asked < rows->rows ? asked : rows->rows;
    double sum = 0;
    for (int64_t first = 0; first < n; first += batch) {
        const int64_t now = n - first < batch ? n - first : batch;
        rllc_evaluation e = {0};
        for (int64_t i = 0; i < now; i++) {
            const int64_t row = (int64_t)((double)(first + i) * ((double)rows->rows / (double)n));
            rllc_rows_get(rows, row, t->tokens + i * rows->n_ctx);
        }
        const rllc_status status = rllc_engine_evaluate(t->engine, t->model.weights, t->tokens, now, &e);
        if (status != RLLC_OK) return rllc_fail_within(status, "validation loss at step %lld", (long long)t->step);
        sum += e.loss * (double)now;
    }
    *out = sum / (double)n;
    return RLLC_OK;
}

rllc_status rllc_train_record_now(rllc_trainer *t) {
    rllc_status status = RLLC_OK;
    rllc_train_record r = {.step = t->step};
    for (int k = 0; k < RLLC_TRAIN_METRICS; k++) r.values[k] = NAN;
    if (t->loss_n > 0) r.values[RLLC_TRAIN_LOSS] = t->loss_sum / (double)t->loss_n;
    if (t->job->validation && t->job->validation->rows > 0)
        RLLC_TRY(validation_loss(t, &r.values[RLLC_VALIDATION_LOSS]));
    r.values[RLLC_GRADIENT_NORM] = t->gradient_norm;
    r.values[RLLC_WEIGHT_NORM] = sqrt(rllc_kernels_get()->sum_squares(t->model.size, t->model.weights));
    r.values[RLLC_TOKENS] = (double)(t->step * t->job->options.batch_size * t->model.options.n_ctx);
    r.values[RLLC_SECONDS] = t->seconds + rllc_now() - t->started;
    t->loss_sum = 0;
    t->loss_n = 0;
    t->validation_loss = r.values[RLLC_VALIDATION_LOSS];
    RLLC_TRY(rllc_train_records_add(t, &r));
    RLLC_TRY(rllc_train_records_store(t, t->step));
done:
    return status;
}

rllc_status rllc_train_store_checkpoint(const rllc_trainer *t, int64_t step, const char *hash) {
    rllc_status status = RLLC_OK;
    rllc_json *options = NULL;
    rllc_string text = {0};
    if (!t->job->store) return RLLC_OK;
    char *folder = realpath(t->job->folder, NULL); /* absolute: the store shortens what lies beside it */
    if (!folder) return rllc_fail(RLLC_EIO, "%s: %s", t->job->folder, strerror(errno));
    RLLC_TRY(rllc_options_to_json(&rllc_model_option_table, &t->job->model, &options));
    RLLC_TRY(rllc_json_print(options, 0, true, &text));
    rllc_store_checkpoint c = {
        .seed = t->job->seed,
        .step = step,
        .hash = hash,
        .path = rllc_intern_printf("%s/checkpoints/step%lld/model.safetensors", folder, (long long)step),
        .n_layers = t->job->model.n_layers,
        .n_heads = t->job->model.n_heads,
        .model_json = rllc_string_text(&text)};
    RLLC_TRY(rllc_store_put_checkpoint(t->job->store, &c));
done:
    free(folder);
    rllc_json_free(options);
    rllc_string_release(&text);
    return status;
}

/** What the folder of one checkpoint knows, put into the store again. `scratch` shares only the job. */
static rllc_status restore(rllc_trainer *scratch, int64_t step, const char *folder) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    RLLC_TRY(rllc_train_state_json(scratch, folder, &j));
    const char *hash = rllc_json_text(rllc_json_get(j, "model_hash"));
    if (!hash) {
        status = rllc_fail(RLLC_EINPUT, "%s/trainer_state.json: no \"model_hash\"", folder);
        goto done;
    }
    RLLC_TRY(rllc_train_store_checkpoint(scratch, step, hash));
    RLLC_TRY(rllc_train_records_from_json(scratch, rllc_json_get(j, "records"), folder));
    RLLC_TRY(rllc_train_records_store(scratch, 0));
done:
    rllc_json_free(j);
    return status;
}

rllc_status rllc_train_store_rebuild(rllc_trainer *t) {
    rllc_status status = RLLC_OK;
    rllc_trainer scratch = {.job = t->job, .identity = t->identity, .lock = -1};
    rllc_store *s = t->job->store;
    if (!s) return RLLC_OK;
    RLLC_TRY(rllc_store_begin(s));
    status = rllc_store_rewind_training(s, t->job->seed, t->saved_step);
    if (status == RLLC_OK) status = rllc_train_folder_checkpoints(t, t->saved_step, restore, &scratch);
    if (status == RLLC_OK) status = rllc_train_records_store(t, 0);
    if (status == RLLC_OK)
        status = rllc_store_commit(s);
    else
        rllc_store_rollback(s);
done:
    rllc_free(scratch.records);
    return status;
}
