/* The sampling stage of a run: checkpoint x corpus groups, one after the other, with one progress over all. */
#include <string.h>

#include "cli/cells.h"
#include "cli/run.h"

/* What is to be sampled: the store's checkpoints of this run's seeds and grid, the store's corpora of this run. */
typedef struct sampling_plan {
    rllc_store_checkpoint *checkpoints;
    int64_t n_checkpoints;
    rllc_store_corpus *corpora;
    int64_t n_corpora;
    rllc_model reference; /* of the loss `reference`; size 0 without it */
    double done, total;   /* member-steps */
} sampling_plan;

static bool has_seed(const rllc_run_config *c, uint64_t seed) {
    for (int64_t i = 0; i < c->n_seeds; i++) {
        if (c->seeds[i] == seed) return true;
    }
    return false;
}

static bool has_step(const int64_t *steps, int64_t n, int64_t step) {
    for (int64_t i = 0; i < n; i++) {
        if (steps[i] == step) return true;
    }
    return false;
}

static rllc_status choose_checkpoints(const rllc_run *r, sampling_plan *p) {
    rllc_status status = RLLC_OK;
    int64_t *steps = NULL, n = 0, kept = 0;
    RLLC_TRY(rllc_grid_parse(r->config.sampling_checkpoints, &steps, &n));
    RLLC_TRY(rllc_store_checkpoints(r->store, &p->checkpoints, &p->n_checkpoints));
    for (int64_t i = 0; i < p->n_checkpoints; i++) {
        const rllc_store_checkpoint *c = &p->checkpoints[i];
        if (has_seed(&r->config, c->seed) && has_step(steps, n, c->step)) p->checkpoints[kept++] = *c;
    }
    RLLC_TRY(rllc_checkpoints_drop_replaced(r->config.output, p->checkpoints, &kept));
    p->n_checkpoints = kept;
    if (kept < n * r->config.n_seeds) {
        status = rllc_fail(RLLC_EMISMATCH,
                           "%s: the store has %lld of the %lld checkpoints to sample; remove %s and run again",
                           r->config.output, (long long)kept, (long long)(n * r->config.n_seeds),
                           rllc_run_seed_path(r, r->config.seeds[0]));
    }
done:
    rllc_free(steps);
    return status;
}

/* The store may know other contents under the same name, from before the text changed: the rows decide. */
static rllc_status choose_corpora(const rllc_run *r, sampling_plan *p) {
    rllc_status status = RLLC_OK;
    int64_t kept = 0;
    RLLC_TRY(rllc_store_corpora(r->store, &p->corpora, &p->n_corpora));
    for (int64_t i = 0; i < p->n_corpora; i++) {
        rllc_rows rows = {0};
        if (!rllc_list_names(r->config.sampling_corpora, p->corpora[i].name)) continue;
        RLLC_TRY(rllc_rows_open(&rows, rllc_run_rows_path(r, p->corpora[i].name, RLLC_SAMPLING), 0));
        if (strcmp(rows.hash.hex, p->corpora[i].hash) == 0) p->corpora[kept++] = p->corpora[i];
        rllc_rows_close(&rows);
    }
    p->n_corpora = kept;
done:
    return status;
}

/* One group: costs it when the total is not known yet, else samples it. */
static rllc_status run_group(const rllc_run *r, sampling_plan *p, const rllc_model *m,
                             const rllc_store_checkpoint *checkpoint, const rllc_store_corpus *corpus, bool only_cost) {
    rllc_status status = RLLC_OK;
    rllc_rows rows = {0};
    double steps, tokens, flops, memory, disk;
    const rllc_hash tokenizer = rllc_tokenizer_hash(r->tokenizer);
    RLLC_TRY(
        rllc_rows_open(&rows, rllc_run_rows_path(r, corpus->name, RLLC_SAMPLING), only_cost ? 0 : m->options.d_vocab));
    const rllc_sampling_job job = {.model = m,
                                   .reference = p->reference.size ? &p->reference : NULL,
                                   .checkpoint = checkpoint,
                                   .corpus = corpus,
                                   .tokenizer_hash = tokenizer.hex,
                                   .rows = &rows,
                                   .sampler = r->config.sampler,
                                   .options = r->config.sampling,
                                   .store = r->store,
                                   .provenance = r->provenance,
                                   .n_threads = (int)r->common.threads,
                                   .monitor = r->monitor,
                                   .progress_done = p->done,
                                   .progress_total = p->total};
    RLLC_TRY(rllc_sampling_cost(&job, &steps, &tokens, &flops, &memory, &disk));
    if (!only_cost) RLLC_TRY(rllc_sample(&job));
    if (only_cost) {
        p->total += steps;
    } else {
        p->done += steps;
    }
done:
    rllc_rows_close(&rows);
    return status;
}

static rllc_status run_checkpoint(const rllc_run *r, sampling_plan *p, const rllc_store_checkpoint *c, bool only_cost) {
    rllc_status status = RLLC_OK;
    rllc_model m = {0};
    RLLC_TRY(rllc_model_load(&m, c->path[0] == '/' ? c->path : rllc_run_path(r, c->path)));
    if (strcmp(rllc_model_hash(&m).hex, c->hash) != 0) {
        status = rllc_fail(RLLC_EMISMATCH,
                           "%s: the weights are not those the store knows for step %lld; restore the file, or "
                           "remove %s and run again",
                           c->path, (long long)c->step, rllc_run_seed_path(r, c->seed));
        goto done;
    }
    for (int64_t i = 0; i < p->n_corpora; i++) RLLC_TRY(run_group(r, p, &m, c, &p->corpora[i], only_cost));
done:
    rllc_model_release(&m);
    return status;
}

rllc_status rllc_run_sample(rllc_run *r) {
    rllc_status status = RLLC_OK;
    sampling_plan p = {0};
    int64_t n = 0;
    if (rllc_run_is_done(r, "sample", r->identity.sampling)) {
        rllc_report_message(r->monitor, "sampling: unchanged");
        return RLLC_OK;
    }
    RLLC_TRY(choose_checkpoints(r, &p));
    RLLC_TRY(choose_corpora(r, &p));
    RLLC_TRY(rllc_run_reference(r, false, &p.reference));
    if (p.n_checkpoints > 0)
        RLLC_TRY(run_checkpoint(r, &p, &p.checkpoints[0], true)); /* all checkpoints cost the same */
    p.total *= (double)p.n_checkpoints;
    rllc_report_message(r->monitor, "sampling: %lld checkpoints, %lld corpora, %s", (long long)p.n_checkpoints,
                        (long long)p.n_corpora, r->config.sampling.components);
    for (int64_t i = 0; i < p.n_checkpoints; i++) RLLC_TRY(run_checkpoint(r, &p, &p.checkpoints[i], false));
    RLLC_TRY(rllc_estimates_rebuild(r->store, &n));
    rllc_report_message(r->monitor, "%lld estimates", (long long)n);
    RLLC_TRY(rllc_store_stage_done(r->store, "sample", r->identity.sampling));
done:
    rllc_model_release(&p.reference);
    rllc_free(p.checkpoints);
    rllc_free(p.corpora);
    return status;
}
