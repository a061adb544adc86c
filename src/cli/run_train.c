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

/* Rows of the training corpus, and what they are trained on with. */
typedef struct training {
    rllc_rows train, validation;
    rllc_hash tokenizer;
    rllc_train_job job;
} training;

static void training_close(training *t) {
    rllc_rows_close(&t->train);
    rllc_rows_close(&t->validation);
}

static rllc_status training_open(training *t, const rllc_run *r) {
    const rllc_run_config *c = &r->config;
    rllc_status status = RLLC_OK;
    *t = (training){.tokenizer = rllc_tokenizer_hash(r->tokenizer),
                    .job = {.optimizer = c->optimizer,
                            .options = c->training,
                            .store = r->store,
                            .n_threads = (int)r->common.threads,
                            .monitor = r->monitor}};
    RLLC_TRY(rllc_run_model_options(r, &t->job.model));
    const int64_t v = t->job.model.d_vocab;
    RLLC_TRY(rllc_rows_open(&t->train, rllc_run_rows_path(r, c->training_corpus, RLLC_TRAIN), v));
    RLLC_TRY(rllc_rows_open(&t->validation, rllc_run_rows_path(r, c->training_corpus, RLLC_VALIDATION), v));
    t->job.train = &t->train;
    t->job.validation = t->validation.rows > 0 ? &t->validation : NULL;
    t->job.tokenizer_hash = t->tokenizer.hex;
done:
    if (status != RLLC_OK) training_close(t);
    return status;
}

rllc_status rllc_run_train(rllc_run *r) {
    rllc_status status = RLLC_OK;
    const rllc_run_config *c = &r->config;
    training t;
    RLLC_TRY(training_open(&t, r));
    status = rllc_run_config_grid(c, &t.job.options.checkpoints);
    for (int64_t i = 0; i < c->n_seeds && status == RLLC_OK; i++) {
        if (rllc_run_train_is_done(r, i)) {
            rllc_report_message(r->monitor, "training, seed %llu: unchanged", (unsigned long long)c->seeds[i]);
            continue;
        }
        rllc_report_message(r->monitor, "training, seed %llu: %lld steps", (unsigned long long)c->seeds[i],
                            (long long)c->training.steps);
        t.job.seed = c->seeds[i];
        t.job.folder = rllc_run_seed_path(r, t.job.seed);
        status = rllc_train(&t.job);
        if (status == RLLC_OK)
            status = rllc_store_stage_done(r->store, rllc_run_train_stage(t.job.seed), r->identity.train[i]);
    }
    training_close(&t);
done:
    return status;
}

/* ---- the companion ----------------------------------------------------------------------------------------- */

static rllc_status train_companion(const rllc_run *r) {
    rllc_status status = RLLC_OK;
    training t;
    RLLC_TRY(training_open(&t, r));
    t.job.model.n_layers = r->config.companion_layers;
    t.job.seed = r->config.companion_seed;
    t.job.folder = rllc_run_companion_path(r);
    t.job.store = NULL;
    status = rllc_store_open(&t.job.store, rllc_run_path(r, "companion/run.db"), RLLC_STORE_WRITE);
    if (status == RLLC_OK)
        status = rllc_store_set_meta(t.job.store, "bos",
                                     rllc_intern_printf("%d", (int)rllc_tokenizer_bos(r->tokenizer)));
    if (status == RLLC_OK) status = rllc_train(&t.job);
    rllc_store_close(t.job.store);
    training_close(&t);
done:
    return status;
}

rllc_status rllc_run_companion(rllc_run *r) {
    rllc_status status = RLLC_OK;
    if (!r->identity.companion) return RLLC_OK;
    if (rllc_run_companion_is_done(r)) {
        rllc_report_message(r->monitor, "companion: unchanged");
        return RLLC_OK;
    }
    rllc_report_message(r->monitor, "companion: %lld layers, seed %llu, %lld steps", (long long)r->config.companion_layers,
                        (unsigned long long)r->config.companion_seed, (long long)r->config.training.steps);
    RLLC_TRY(rllc_make_folders(rllc_run_path(r, "companion")));
    RLLC_TRY(train_companion(r));
    RLLC_TRY(rllc_store_stage_done(r->store, "companion", r->identity.companion));
done:
    return status;
}

rllc_status rllc_run_reference(const rllc_run *r, bool dry, rllc_model *out) {
    bool next_token, reference;
    rllc_model_options shape;
    rllc_status status = RLLC_OK;
    const char *path = r->config.sampling.reference;
    *out = (rllc_model){0};
    RLLC_TRY(rllc_sampling_losses(r->config.sampling.loss, &next_token, &reference));
    if (!reference) return RLLC_OK;
    if (!path)
        path = rllc_intern_printf("%s/checkpoints/step%lld", rllc_run_companion_path(r), (long long)r->config.training.steps);
    if (!dry || r->config.sampling.reference) return rllc_fail_within(rllc_model_load(out, path), "sampling.reference");
    RLLC_TRY(rllc_run_model_options(r, &shape));
    shape.n_layers = r->config.companion_layers;
    RLLC_TRY(rllc_model_init(out, &shape));
done:
    return status;
}

rllc_status rllc_run_check_reference(const rllc_run *r) {
    rllc_status status = RLLC_OK;
    rllc_model_options shape;
    rllc_model m = {0}, reference = {0};
    if (!r->config.sampling.reference) return RLLC_OK;
    RLLC_TRY(rllc_run_reference(r, false, &reference));
    RLLC_TRY(rllc_run_model_options(r, &shape));
    RLLC_TRY(rllc_model_init(&m, &shape));
    RLLC_TRY(rllc_fail_within(rllc_model_check_reference(&m, shape.n_ctx, &reference), "sampling.reference"));
done:
    rllc_model_release(&m);
    rllc_model_release(&reference);
    return status;
}

/* ---- scores ------------------------------------------------------------------------------------------------ */

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
