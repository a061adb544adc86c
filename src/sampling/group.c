/* A group's life: cells and chains from and to the store. */
#include <math.h>
#include <string.h>

#include "group.h"

/* Changes when the arithmetic of sampling changes, so that old results are not taken for new ones. */
#define ARITHMETIC "rllc.sample/1"

rllc_status rllc_sampling_options_json(const rllc_sampling_job *job, rllc_string *out) {
    rllc_status status = RLLC_OK;
    rllc_json *all = NULL, *sampler = NULL;
    RLLC_TRY(rllc_options_to_json(&rllc_sampler_option_table, &job->sampler, &sampler));
    all = rllc_json_object();
    RLLC_TRY(rllc_json_set(all, "arithmetic", rllc_json_string(ARITHMETIC)));
    RLLC_TRY(rllc_json_set(all, "batches", rllc_json_string(job->explicit_batches ? "given" : job->options.batches)));
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
    const char *texts[] = {job->checkpoint->hash, job->corpus->hash, job->corpus->name, job->tokenizer_hash,
                           "next_token", options, c->name};
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
    if (!rllc_sampler_find(job->sampler.sampler))
        return rllc_fail(RLLC_EUSAGE, "unknown sampler '%s'; known: sgld", job->sampler.sampler);
    if (!job->explicit_batches) return RLLC_OK;
    if (r->shape[1] != job->sampler.batch_size)
        return rllc_fail(RLLC_EMISMATCH, "%s: batches of %lld sequences, but batch_size is %lld", r->path,
                         (long long)r->shape[1], (long long)job->sampler.batch_size);
    if (r->shape[0] < rllc_sampler_steps(&job->sampler))
        return rllc_fail(RLLC_EMISMATCH, "%s: %lld batches, but burn-in and draws take %lld steps; give more batches or "
                         "lower --num-draws", r->path, (long long)r->shape[0],
                         (long long)rllc_sampler_steps(&job->sampler));
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
        *c = (rllc_store_cell){.checkpoint_id = job->checkpoint->id, .corpus_id = job->corpus->id,
                               .component = g->components[i].name, .dim = g->components[i].size,
                               .loss_kind = "next_token", .options_json = rllc_intern(rllc_string_text(&options)),
                               .provenance_id = provenance_id, .nbeta = job->sampler.nbeta,
                               .refined_data = !job->corpus->trained_on};
        RLLC_TRY(make_identity(g, &g->components[i], c->options_json, &c->identity));
        RLLC_TRY(rllc_store_put_cell(job->store, c));
    }
done:
    rllc_free(names);
    rllc_string_release(&options);
    return status;
}

/** The chain as the store knows it, or new at w*. */
static rllc_status open_chain(rllc_group *g, rllc_chain *c) {
    const rllc_sampling_job *job = g->job;
    const rllc_potential_member *m = &g->potential->members[c - g->chains];
    const rllc_store_cell *cell = &g->cells[c->cell];
    rllc_status status = RLLC_OK;
    rllc_store_chain kept;
    bool has_weights = false;
    c->state = (rllc_sampler_state){.dim = m->dim, .w0 = m->w0, .spans = m->spans, .n_spans = m->n_spans};
    RLLC_TRY(rllc_alloc(&c->state.w, m->dim, sizeof *c->state.w));
    RLLC_TRY(rllc_alloc(&c->state.scratch, m->dim, sizeof *c->state.scratch));
    RLLC_TRY(rllc_alloc(&c->gradient, m->dim, sizeof *c->gradient));
    RLLC_TRY(rllc_alloc(&c->loss, job->sampler.num_draws, sizeof *c->loss));
    RLLC_TRY(rllc_alloc(&c->baseline, job->sampler.num_draws, sizeof *c->baseline));
    memcpy(c->state.w, m->w0, (size_t)m->dim * sizeof *m->w0);
    c->init_loss = NAN;
    c->reason = "";
    c->dirty = true;
    status = rllc_store_get_chain(job->store, cell->id, c->chain, &kept, c->state.w, m->dim, &has_weights);
    if (status == RLLC_ENOTFOUND) return RLLC_OK;
    if (status != RLLC_OK) goto done;
    c->step = kept.step;
    c->init_loss = kept.init_loss;
    c->diverged = kept.diverged;
    c->reason = kept.reason;
    c->dirty = false;
    RLLC_TRY(rllc_store_get_trace(job->store, cell->id, c->chain, c->loss, c->baseline, job->sampler.num_draws,
                                  &c->n_draws));
    c->n_stored = c->n_draws;
    if (c->n_draws != kept.n_draws || (!has_weights && !c->diverged && c->step < g->steps))
        return rllc_fail(RLLC_EINPUT, "the store holds chain %lld of cell %lld (%s) incompletely: delete the cell and "
                         "sample it again", (long long)c->chain, (long long)cell->id, cell->component);
done:
    return status;
}

static rllc_status open_chains(rllc_group *g) {
    const rllc_sampling_job *job = g->job;
    const int64_t per_cell = job->sampler.num_chains;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_alloc(&g->chains, g->n_components * per_cell, sizeof *g->chains));
    RLLC_TRY(rllc_alloc(&g->moving, g->n_components * per_cell, sizeof *g->moving));
    for (int64_t i = 0; i < g->n_components; i++)
        for (int64_t k = 0; !g->cells[i].complete && k < per_cell; k++) {
            g->chains[g->n_chains] = (rllc_chain){.cell = i, .chain = k, .stream = k % g->streams};
            g->moving[g->n_chains++] = &g->components[i];
        }
    if (g->n_chains == 0) return RLLC_OK;
    if (job->options.token_losses != RLLC_TOKEN_LOSSES_NONE) {
        const int64_t n = job->sampler.batch_size * (job->model->options.n_ctx - 1);
        RLLC_TRY(rllc_alloc(&g->token_losses, g->n_chains + 1, sizeof *g->token_losses));
        for (int64_t i = 0; i <= g->n_chains; i++) RLLC_TRY(rllc_alloc(&g->token_losses[i], n, sizeof(float)));
    }
    RLLC_TRY(rllc_potential_transformer(&g->potential, job->model, g->moving, g->n_chains, job->sampler.batch_size,
                                        rllc_group_batches(g), job->n_threads, g->token_losses));
    for (int64_t i = 0; i < g->n_chains; i++) RLLC_TRY(open_chain(g, &g->chains[i]));
done:
    return status;
}

rllc_status rllc_group_open(rllc_group *g, const rllc_sampling_job *job) {
    rllc_status status = RLLC_OK;
    *g = (rllc_group){.job = job, .steps = rllc_sampler_steps(&job->sampler)};
    RLLC_TRY(check_job(job));
    RLLC_TRY(rllc_batches_streams(job->explicit_batches ? "shared" : job->options.batches, job->sampler.num_chains,
                                  &g->streams));
    g->noise_purpose = rllc_intern_printf("noise/%s/%s", job->checkpoint->hash, job->corpus->hash);
    g->batch_purpose = rllc_intern_printf("batch/%s", job->corpus->hash);
    if (!g->noise_purpose || !g->batch_purpose) return rllc_fail(RLLC_ENOMEM, "no memory for the sampling group");
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
    for (int64_t i = 0; i < g->n_chains; i++) {
        rllc_chain *c = &g->chains[i];
        rllc_free(c->state.w);
        rllc_free(c->state.scratch);
        rllc_free(c->gradient);
        rllc_free(c->loss);
        rllc_free(c->baseline);
    }
    for (int64_t i = 0; g->token_losses && i <= g->n_chains; i++) rllc_free(g->token_losses[i]);
    rllc_free(g->token_losses);
    rllc_potential_free(g->potential);
    for (int64_t i = 0; g->components && i < g->n_components; i++) rllc_component_release(&g->components[i]);
    rllc_free(g->components);
    rllc_free(g->cells);
    rllc_free(g->chains);
    rllc_free(g->moving);
    *g = (rllc_group){0};
}
