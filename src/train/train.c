/* The training loop: one place for progress, stopping, recording and saving. */
#include <math.h>
#include <sys/statvfs.h>

#include "train/trainer.h"

/* ---- beginning ------------------------------------------------------------------------------------------- */

static bool has_checkpoint(const rllc_trainer *t, int64_t step) {
    return rllc_file_exists(
        rllc_intern_printf("%s/checkpoints/step%lld/model.safetensors", t->job->folder, (long long)step));
}

/** The folder must not be past the end asked for, and must hold every checkpoint asked for up to its step. */
static rllc_status check_grid(const rllc_trainer *t) {
    const char *folder = t->job->folder;
    if (t->step > t->job->options.steps)
        return rllc_fail(RLLC_EMISMATCH,
                         "%s holds another run: steps: it is at step %lld already, past the %lld asked for; "
                         "use another folder",
                         folder, (long long)t->step, (long long)t->job->options.steps);
    for (int64_t i = 0; i < t->n_grid && t->grid[i] < t->saved_step; i++)
        if (!has_checkpoint(t, t->grid[i]))
            return rllc_fail(RLLC_EMISMATCH,
                             "%s holds another run: checkpoints: step %lld was asked for, but the run is at "
                             "step %lld and did not keep it; leave it out or use another folder",
                             folder, (long long)t->grid[i], (long long)t->step);
    return RLLC_OK;
}

static void warn_if_disk_is_small(const rllc_trainer *t) {
    struct statvfs fs;
    double tokens, memory, disk;
    if (rllc_train_cost(t->job, &tokens, &memory, &disk) != RLLC_OK || statvfs(t->job->folder, &fs) != 0) return;
    const double free_bytes = (double)fs.f_bavail * (double)fs.f_frsize;
    if (free_bytes < disk)
        rllc_report_message(t->job->monitor, "%s: the checkpoints need %.2f GB and %.2f GB are free", t->job->folder,
                            disk / 1e9, free_bytes / 1e9);
}

static rllc_status trainer_init(rllc_trainer *t, const rllc_train_job *job) {
    rllc_status status = RLLC_OK;
    *t = (rllc_trainer){.job = job, .lock = -1, .saved_step = -1, .gradient_norm = NAN, .validation_loss = NAN};
    t->started = t->saved_at = rllc_now();
    RLLC_TRY(rllc_train_check(job));
    RLLC_TRY(rllc_train_grid(&job->options, &t->grid, &t->n_grid));
    RLLC_TRY(rllc_train_identity(job, &t->identity));
    RLLC_TRY(rllc_model_init(&t->model, &job->model));
    RLLC_TRY(rllc_adamw_init(&t->adamw, t->model.size, &job->optimizer));
    RLLC_TRY(rllc_alloc(&t->gradient, t->model.size, sizeof *t->gradient));
    RLLC_TRY(rllc_alloc(&t->tokens, job->options.batch_size * job->model.n_ctx, sizeof *t->tokens));
    RLLC_TRY(rllc_engine_new(&t->engine, &t->model, job->options.batch_size, job->n_threads));
done:
    return status;
}

static void trainer_release(rllc_trainer *t) {
    rllc_train_folder_close(t);
    rllc_engine_free(t->engine);
    rllc_adamw_release(&t->adamw);
    rllc_model_release(&t->model);
    rllc_json_free(t->identity);
    rllc_free(t->gradient);
    rllc_free(t->tokens);
    rllc_free(t->grid);
    rllc_free(t->records);
}

/* ---- steps ----------------------------------------------------------------------------------------------- */

static rllc_status not_finite(const rllc_trainer *t, const char *what) {
    char lr[32];
    return rllc_fail(RLLC_ENOTFINITE,
                     "%s of update %lld is not finite (lr %s); the checkpoints up to step %lld are kept in "
                     "%s; train with a smaller lr, or with max_grad_norm 1, in another folder",
                     what, (long long)(t->step + 1), rllc_format_double(lr, t->job->optimizer.lr),
                     (long long)t->saved_step, t->job->folder);
}

static rllc_status update(rllc_trainer *t) {
    const rllc_train_job *job = t->job;
    const int64_t batch = job->options.batch_size;
    rllc_evaluation e = {.gradient = t->gradient};
    for (int64_t i = 0; i < batch; i++) {
        const int64_t row = rllc_train_row(job->seed, job->train->rows, t->step * batch + i);
        rllc_rows_get(job->train, row, t->tokens + i * job->train->n_ctx);
    }
    rllc_status status = rllc_engine_evaluate(t->engine, t->model.weights, t->tokens, batch, &e);
    if (status == RLLC_ENOTFINITE || (status == RLLC_OK && !isfinite(e.loss))) return not_finite(t, "the loss");
    if (status != RLLC_OK) return rllc_fail_within(status, "update %lld", (long long)(t->step + 1));
    status = rllc_adamw_update(&t->adamw, t->gradient, t->model.weights, job->n_threads, &t->gradient_norm);
    if (status == RLLC_ENOTFINITE) return not_finite(t, "the gradient");
    if (status != RLLC_OK) return status;
    t->step++;
    t->loss_sum += e.loss;
    t->loss_n++;
    t->loss = e.loss;
    return RLLC_OK;
}

/** Whatever is due at the present step: a point of the curves, a checkpoint, a state to go on from. */
static rllc_status keep(rllc_trainer *t) {
    rllc_status status = RLLC_OK;
    const rllc_train_options *o = &t->job->options;
    const bool checkpoint = rllc_train_grid_has(t, t->step);
    const bool recorded = t->n_records > 0 && t->records[t->n_records - 1].step == t->step;
    if (!recorded && (checkpoint || (o->validation_every > 0 && t->step % o->validation_every == 0)))
        RLLC_TRY(rllc_train_record_now(t));
    if (checkpoint) {
        RLLC_TRY(rllc_train_folder_save(t, true));
        t->n_records = 0;
        RLLC_TRY(rllc_train_store_checkpoint(t, t->step, rllc_model_hash(&t->model).hex));
    } else if (o->save_every_seconds > 0 && rllc_now() - t->saved_at >= (double)o->save_every_seconds) {
        RLLC_TRY(rllc_train_folder_save(t, false));
    }
done:
    return status;
}

static void report(const rllc_trainer *t, int64_t first) {
    const double elapsed = rllc_now() - t->started;
    const double tokens = (double)(t->step - first) * (double)(t->job->options.batch_size * t->model.options.n_ctx);
    const double rate = elapsed > 0 ? tokens / elapsed : 0;
    const double loss = t->loss_n > 0 ? t->loss_sum / (double)t->loss_n : t->loss;
    if (isnan(t->validation_loss))
        rllc_report_progress(t->job->monitor, "train", "step", (double)t->step, (double)t->job->options.steps,
                             "loss %.4f, %.0f tokens/s", loss, rate);
    else
        rllc_report_progress(t->job->monitor, "train", "step", (double)t->step, (double)t->job->options.steps,
                             "loss %.4f val %.4f, %.0f tokens/s", loss, t->validation_loss, rate);
}

static rllc_status stop(rllc_trainer *t) {
    if (t->saved_step != t->step) {
        const rllc_status status = rllc_train_folder_save(t, false);
        if (status != RLLC_OK) return status;
    }
    return rllc_fail(RLLC_ESTOPPED,
                     "stopped at step %lld of %lld, everything is saved in %s; run the same command again to "
                     "go on",
                     (long long)t->step, (long long)t->job->options.steps, t->job->folder);
}

static rllc_status loop(rllc_trainer *t) {
    rllc_status status = RLLC_OK;
    const int64_t first = t->step;
    /* at the beginning; or a grid that now asks for the very step a resumable state was left at */
    if (t->saved_step < 0 || (rllc_train_grid_has(t, t->step) && !has_checkpoint(t, t->step))) RLLC_TRY(keep(t));
    while (t->step < t->job->options.steps) {
        if (rllc_should_stop(t->job->monitor)) return stop(t);
        RLLC_TRY(update(t));
        RLLC_TRY(keep(t));
        report(t, first);
    }
done:
    return status;
}

rllc_status rllc_train(const rllc_train_job *job) {
    rllc_status status = RLLC_OK;
    rllc_trainer t;
    RLLC_TRY(trainer_init(&t, job));
    RLLC_TRY(rllc_train_folder_open(&t));
    RLLC_TRY(rllc_train_folder_resume(&t));
    RLLC_TRY(check_grid(&t));
    RLLC_TRY(rllc_train_store_rebuild(&t));
    t.started = rllc_now();
    if (t.saved_step < 0) {
        rllc_model_randomize(&t.model, job->seed);
        warn_if_disk_is_small(&t);
    } else if (t.step < job->options.steps) {
        rllc_report_message(job->monitor, "going on from step %lld in %s", (long long)t.step, job->folder);
    }
    RLLC_TRY(loop(&t));
done:
    trainer_release(&t);
    return status;
}
