/* The middle stages of a run: a model a seed, and what its heads do. */
#include "cli/run.h"

rllc_status rllc_run_model_options(const rllc_run *r, rllc_model_options *out) {
    const int64_t size = r->tokenizer ? rllc_tokenizer_size(r->tokenizer) : r->config.tokenizer.vocab_size;
    *out = r->config.model;
    if (out->d_vocab == 0) out->d_vocab = size;
    if (out->d_vocab != size && r->tokenizer) {
        return rllc_fail(RLLC_EMISMATCH, "model.d_vocab is %lld, but the tokenizer has %lld entries; leave d_vocab out",
                         (long long)out->d_vocab, (long long)size);
    }
    return RLLC_OK;
}

rllc_status rllc_run_train(rllc_run *r) {
    rllc_status status = RLLC_OK;
    const rllc_run_config *c = &r->config;
    rllc_rows train = {0}, validation = {0};
    rllc_train_job job = {.optimizer = c->optimizer,
                          .options = c->training,
                          .store = r->store,
                          .n_threads = (int)r->common.threads,
                          .monitor = r->monitor};
    const rllc_hash tokenizer = rllc_tokenizer_hash(r->tokenizer);
    RLLC_TRY(rllc_run_model_options(r, &job.model));
    RLLC_TRY(rllc_run_config_grid(c, &job.options.checkpoints));
    RLLC_TRY(rllc_rows_open(&train, rllc_run_rows_path(r, c->training_corpus, RLLC_TRAIN), job.model.d_vocab));
    RLLC_TRY(
        rllc_rows_open(&validation, rllc_run_rows_path(r, c->training_corpus, RLLC_VALIDATION), job.model.d_vocab));
    job.train = &train;
    job.validation = validation.rows > 0 ? &validation : NULL;
    job.tokenizer_hash = tokenizer.hex;
    for (int64_t i = 0; i < c->n_seeds; i++) {
        if (rllc_run_train_is_done(r, i)) {
            rllc_report_message(r->monitor, "training, seed %llu: unchanged", (unsigned long long)c->seeds[i]);
            continue;
        }
        rllc_report_message(r->monitor, "training, seed %llu: %lld steps", (unsigned long long)c->seeds[i],
                            (long long)c->training.steps);
        job.seed = c->seeds[i];
        job.folder = rllc_run_seed_path(r, job.seed);
        RLLC_TRY(rllc_train(&job));
        RLLC_TRY(rllc_store_stage_done(r->store, rllc_run_train_stage(job.seed), r->identity.train[i]));
    }
done:
    rllc_rows_close(&train);
    rllc_rows_close(&validation);
    return status;
}

rllc_status rllc_run_scores(rllc_run *r) {
    rllc_status status = RLLC_OK;
    const rllc_run_config *c = &r->config;
    if (rllc_run_is_done(r, "scores", r->identity.scores)) {
        rllc_report_message(r->monitor, "scores: unchanged");
        return RLLC_OK;
    }
    const rllc_analysis_job job = {.store = r->store,
                                   .folder = c->output,
                                   .checkpoints = c->score_checkpoints,
                                   .bos = rllc_tokenizer_bos(r->tokenizer),
                                   .settings = {.score = c->score},
                                   .n_threads = (int)r->common.threads,
                                   .monitor = r->monitor};
    const rllc_analysis_request asked = {"score", c->scores};
    RLLC_TRY(rllc_analyze(&job, &asked, 1));
    RLLC_TRY(rllc_store_stage_done(r->store, "scores", r->identity.scores));
done:
    return status;
}
