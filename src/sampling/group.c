/* A group's life: cells and chains from and to the store. */
#include <math.h>
#include <string.h>

#include "group.h"

/* Changes when the arithmetic of sampling changes, so that old results are not taken for new ones. */
#define ARITHMETIC "rllc.sample/2"

rllc_status rllc_sampling_options_json(const rllc_sampling_job *job, rllc_string *out) {
    rllc_status status = RLLC_OK;
    rllc_json *all = NULL, *sampler = NULL;
    rllc_sampler_options o = job->sampler;
    if (job->explicit_batches &&
        job->rows->shape[0] < o.num_init_loss_batches) /* what the init loss's error rests on */
        o.num_init_loss_batches = job->rows->shape[0];
    RLLC_TRY(rllc_options_to_json(&rllc_sampler_option_table, &o, &sampler));
    all = rllc_json_object();
    RLLC_TRY(rllc_json_set(all, "arithmetic", rllc_json_string(ARITHMETIC)));
    RLLC_TRY(rllc_json_set(all, "batches", rllc_json_string(job->explicit_batches ? "given" : job->options.batches)));
    RLLC_TRY(rllc_json_set(all, "mala", rllc_json_boolean(job->options.mala)));
    RLLC_TRY(rllc_json_set(all, "token_losses", rllc_json_integer(job->options.token_losses)));
    status = rllc_json_set(all, "sampler", sampler);
    sampler = NULL; /* taken over */
    if (status != RLLC_OK) goto done;
    RLLC_TRY(rllc_json_print(all, 0, true, out));
done:
    rllc_json_free(all);
    rllc_json_free(sampler);
    return status;
}

/** Hash of everything that decides the result, and of the names under which it is kept: noise and minibatches depend on
 *  the contents alone, so one set of weights under two names gives two cells with the same bits. */
static rllc_status make_identity(const rllc_group *g, const rllc_component *c, const char *options, const char **out) {
    const rllc_sampling_job *job = g->job;
    rllc_status status = RLLC_OK;
    rllc_hasher *h;
    RLLC_TRY(rllc_hasher_new(&h));
    const char *texts[] = {job->checkpoint->hash,
                           job->corpus->hash,
                           job->corpus->name,
                           job->tokenizer_hash,
                           g->loss_kind,
                           options,
                           c->name};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) rllc_hasher_add(h, texts[i], strlen(texts[i]) + 1);
    rllc_hasher_add(h, &job->checkpoint->seed, sizeof job->checkpoint->seed);
    rllc_hasher_add(h, &job->checkpoint->step, sizeof job->checkpoint->step);
    rllc_hasher_add(h, c->ranges, (size_t)c->n_ranges * sizeof *c->ranges);
    *out = rllc_intern(rllc_hasher_end(h).hex);
    rllc_hasher_free(h);
    if (!*out) status = rllc_fail(RLLC_ENOMEM, "no memory for the identity of a cell");
done:
    return status;
}

static rllc_status check_job(const rllc_sampling_job *job) {
    const rllc_rows *r = job->rows;
    if (r->n_ctx != job->model->options.n_ctx)
        return rllc_fail(RLLC_EMISMATCH, "%s: rows of %lld tokens, but the model's context is %lld", r->path,
                         (long long)r->n_ctx, (long long)job->model->options.n_ctx);
    if (r->rows == 0) return rllc_fail(RLLC_EINPUT, "%s: no rows to sample from", r->path);
    const rllc_status status = rllc_sampler_check(&job->sampler);
    if (status != RLLC_OK) return status;
    if (rllc_sampler_find(job->sampler.sampler)->exact && !rllc_job_is_fixed(job))
        return rllc_fail(RLLC_EUSAGE,
                         "%s samples exactly and needs the same data at every step: --batches fixed (one set of "
                         "batch_size sequences), or sgld",
                         job->sampler.sampler);
    if (rllc_sampler_find(job->sampler.sampler)->exact && job->options.token_losses != RLLC_TOKEN_LOSSES_NONE)
        return rllc_fail(RLLC_EUSAGE, "token losses would be of a proposal, accepted or not: they do not go with %s",
                         job->sampler.sampler);
    if (job->sampler.gradient_accumulation_steps > 1 && job->options.token_losses != RLLC_TOKEN_LOSSES_NONE)
        return rllc_fail(RLLC_EUSAGE,
                         "token losses are of one minibatch: they do not go with gradient_accumulation_steps");
    if (!job->explicit_batches) return RLLC_OK;
    if (r->shape[1] != job->sampler.batch_size)
        return rllc_fail(RLLC_EMISMATCH, "%s: batches of %lld sequences, but batch_size is %lld", r->path,
                         (long long)r->shape[1], (long long)job->sampler.batch_size);
    const int64_t needed = rllc_sampler_steps(&job->sampler) * job->sampler.gradient_accumulation_steps;
    if (r->shape[0] < needed)
        return rllc_fail(RLLC_EMISMATCH,
                         "%s: %lld batches, but burn-in and draws take %lld; give more batches or "
                         "lower --num-draws",
                         r->path, (long long)r->shape[0], (long long)needed);
    return RLLC_OK;
}

static rllc_status put_provenance(const rllc_sampling_job *job, int64_t *id) {
    rllc_status status = RLLC_OK;
    rllc_json *made = NULL, *kernels = NULL;
    if (job->provenance) return rllc_store_provenance(job->store, job->provenance, id);
    RLLC_TRY(rllc_machine_json(&made));
    RLLC_TRY(rllc_kernels_json(&kernels));
    status = rllc_json_set(made, "kernels", kernels);
    if (status == RLLC_OK) status = rllc_store_provenance(job->store, made, id);
done:
    rllc_json_free(made);
    return status;
}

static rllc_status open_cells(rllc_group *g) {
    const rllc_sampling_job *job = g->job;
    rllc_status status = RLLC_OK;
    rllc_string options = {0};
    const char **names = NULL;
    int64_t provenance_id;
    RLLC_TRY(rllc_components_expand(job->model, job->options.components, &names, &g->n_components));
    RLLC_TRY(rllc_alloc(&g->components, g->n_components, sizeof *g->components));
    RLLC_TRY(rllc_alloc(&g->cells, g->n_components, sizeof *g->cells));
    RLLC_TRY(rllc_sampling_options_json(job, &options));
    RLLC_TRY(put_provenance(job, &provenance_id));
    for (int64_t i = 0; i < g->n_components; i++) {
        rllc_store_cell *c = &g->cells[i];
        RLLC_TRY(rllc_component_parse(&g->components[i], job->model, names[i]));
        *c = (rllc_store_cell){.checkpoint_id = job->checkpoint->id,
                               .corpus_id = job->corpus->id,
                               .component = g->components[i].name,
                               .dim = g->components[i].size,
                               .loss_kind = g->loss_kind,
                               .options_json = rllc_intern(rllc_string_text(&options)),
                               .provenance_id = provenance_id,
                               .nbeta = job->sampler.nbeta,
                               .refined_data = !job->corpus->trained_on || g->reference};
        RLLC_TRY(make_identity(g, &g->components[i], c->options_json, &c->identity));
        RLLC_TRY(rllc_store_put_cell(job->store, c));
    }
done:
    rllc_free(names);
    rllc_string_release(&options);
    return status;
}

/** The chain as the store knows it, or new at w*. */
static rllc_status open_chain(rllc_group *g, rllc_kept *k, rllc_chain *c) {
    const rllc_sampling_job *job = g->job;
    const rllc_store_cell *cell = &g->cells[k->cell];
    const int64_t draws = rllc_sampler_draws(&job->sampler);
    rllc_status status = RLLC_OK;
    rllc_store_chain row;
    bool has_weights = false;
    void *memory = NULL;
    int64_t n;
    status = rllc_store_get_chain(job->store, cell->id, c->chain, &row, c->state.w, c->state.dim, &has_weights);
    if (status == RLLC_ENOTFOUND) return RLLC_OK;
    if (status != RLLC_OK) goto done;
    c->state.step = row.step;
    c->init_loss = row.init_loss;
    c->diverged = row.diverged;
    c->reason = row.reason;
    RLLC_TRY(rllc_store_get_trace(job->store, cell->id, c->chain, c->record[RLLC_RECORD_LOSS],
                                  c->record[RLLC_RECORD_BASELINE], draws, &c->n_draws));
    RLLC_TRY(rllc_store_get_records(job->store, cell->id, c->chain, c->record + RLLC_RECORD_DISTANCE, draws, &n));
    if (c->n_draws != row.n_draws || (!has_weights && !c->diverged && c->state.step < g->steps)) {
        status = rllc_fail(RLLC_EINPUT,
                           "the store holds chain %lld of cell %lld (%s) incompletely: delete the cell and "
                           "sample it again",
                           (long long)c->chain, (long long)cell->id, cell->component);
        goto done;
    }
    *k = (rllc_kept){.cell = k->cell, .n_stored = c->n_draws, .step = c->state.step, .known = true};
    if (!has_weights) goto done;
    RLLC_TRY(rllc_alloc(&memory, rllc_chain_memory_bytes(c), 1));
    RLLC_TRY(rllc_store_get_memory(job->store, cell->id, c->chain, memory, rllc_chain_memory_bytes(c)));
    rllc_chain_restore(c, memory);
done:
    rllc_free(memory);
    return status;
}

/** A chain of each cell that is not complete: which component it moves, for the potential. */
static rllc_status list_chains(rllc_group *g) {
    const int64_t per_cell = g->job->sampler.num_chains, most = g->n_components * per_cell;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_alloc(&g->chains.list, most, sizeof *g->chains.list));
    RLLC_TRY(rllc_alloc(&g->kept, most, sizeof *g->kept));
    RLLC_TRY(rllc_alloc(&g->moving, most, sizeof *g->moving));
    for (int64_t i = 0; i < g->n_components; i++)
        for (int64_t k = 0; !g->cells[i].complete && k < per_cell; k++) {
            g->kept[g->chains.n].cell = i;
            g->moving[g->chains.n++] = &g->components[i];
        }
done:
    return status;
}

static rllc_status make_token_losses(rllc_group *g) {
    const int64_t n = g->job->sampler.batch_size * (g->job->model->options.n_ctx - 1);
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_alloc(&g->token_losses, g->chains.n + 1, sizeof *g->token_losses));
    for (int64_t i = 0; i <= g->chains.n; i++) RLLC_TRY(rllc_alloc(&g->token_losses[i], n, sizeof(float)));
done:
    return status;
}

static rllc_status open_chains(rllc_group *g) {
    const rllc_sampling_job *job = g->job;
    const int64_t per_cell = job->sampler.num_chains;
    rllc_status status = RLLC_OK;
    RLLC_TRY(list_chains(g));
    if (g->chains.n == 0) return RLLC_OK;
    if (job->options.token_losses != RLLC_TOKEN_LOSSES_NONE) RLLC_TRY(make_token_losses(g));
    RLLC_TRY(rllc_potential_transformer(&g->chains.potential, job->model, g->moving, g->chains.n,
                                        job->sampler.batch_size, rllc_group_batches(g), job->n_threads,
                                        g->token_losses));
    if (g->reference) RLLC_TRY(rllc_potential_transformer_set_reference(g->chains.potential, g->reference));
    for (int64_t i = 0; i < g->chains.n; i++) {
        const int64_t chain = i % per_cell;
        RLLC_TRY(rllc_chain_init(&g->chains.list[i], g->chains.potential, &job->sampler, i, chain,
                                 chain % g->chains.streams, g->noise_purpose, job->options.mala));
        g->chains.list[i].label = g->components[g->kept[i].cell].name;
        RLLC_TRY(open_chain(g, &g->kept[i], &g->chains.list[i]));
    }
    g->chains.monitor = job->monitor;
    g->chains.label = rllc_intern_printf("step %lld, %s%s", (long long)job->checkpoint->step, job->corpus->name,
                                         g->reference ? " to the reference" : "");
    RLLC_TRY(rllc_chains_open(&g->chains));
done:
    return status;
}

rllc_status rllc_group_open(rllc_group *g, const rllc_sampling_job *job, const rllc_model *reference) {
    rllc_status status = RLLC_OK;
    *g = (rllc_group){.job = job,
                      .steps = rllc_sampler_steps(&job->sampler),
                      .reference = reference,
                      .loss_kind = rllc_loss_kind(reference)};
    RLLC_TRY(check_job(job));
    if (reference) RLLC_TRY(rllc_model_check_reference(job->model, job->model->options.n_ctx, reference));
    RLLC_TRY(rllc_batches_streams(job->explicit_batches ? "shared" : job->options.batches, job->sampler.num_chains,
                                  &g->chains.streams));
    g->noise_purpose = rllc_intern_printf("noise/%s/%s", job->checkpoint->hash, job->corpus->hash);
    g->batch_purpose = rllc_intern_printf("batch/%s", job->corpus->hash);
    if (!g->noise_purpose || !g->batch_purpose || !g->loss_kind) return rllc_fail(RLLC_ENOMEM, "no memory for the sampling group");
    RLLC_TRY(rllc_store_begin(job->store));
    status = open_cells(g);
    if (status != RLLC_OK) {
        rllc_store_rollback(job->store);
        goto done;
    }
    RLLC_TRY(rllc_store_commit(job->store));
    RLLC_TRY(open_chains(g));
done:
    if (status != RLLC_OK) rllc_group_close(g);
    return status;
}

void rllc_group_close(rllc_group *g) {
    rllc_chains_close(&g->chains);
    for (int64_t i = 0; g->token_losses && i <= g->chains.n; i++) rllc_free(g->token_losses[i]);
    rllc_free(g->token_losses);
    rllc_chains_free(g->chains.list, g->chains.n);
    rllc_potential_free(g->chains.potential);
    for (int64_t i = 0; g->components && i < g->n_components; i++) rllc_component_release(&g->components[i]);
    rllc_free(g->components);
    rllc_free(g->cells);
    rllc_free(g->kept);
    rllc_free(g->moving);
    *g = (rllc_group){0};
}
