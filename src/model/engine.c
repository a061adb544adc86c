/* An engine's life and memory. */
#include "batch.h"

static void release_table_memory(rllc_engine *e) {
    for (int i = 0; e->workspaces && i < e->n_threads; i++) rllc_workspace_release(&e->workspaces[i], e->k);
    float **const parts[] = {&e->base_space,    &e->minus_one,    &e->minus_mean,   &e->zeros,    &e->base_copy,
                             &e->gradient_copy, &e->member_space, &e->family_space, &e->gradients};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        e->k->release(*parts[i]);
        *parts[i] = NULL;
    }
    for (int l = 0; l <= RLLC_MAX_LAYERS; l++) {
        e->k->release(e->folds[l].space);
        e->folds[l] = (rllc_fold){0};
    }
    e->gradient_copy_size = e->member_space_size = e->family_space_size = e->gradients_size = 0;
    e->low_rank = (rllc_needs){0};
}

/** n numbers of the same value, in the table's memory. */
static rllc_status constant(const rllc_kernels *k, int64_t n, float value, float **out) {
    rllc_status status = RLLC_OK;
    float *host = NULL;
    RLLC_TRY(rllc_alloc(&host, n, sizeof *host));
    RLLC_TRY(rllc_table_alloc(k, out, n));
    for (int64_t i = 0; i < n; i++) host[i] = value;
    k->upload((size_t)n * sizeof *host, host, *out);
done:
    rllc_free(host);
    return status;
}

static rllc_status allocate_table_memory(rllc_engine *e) {
    rllc_status status = RLLC_OK;
    const int64_t C = e->model->options.d_model;
    for (int i = 0; i < e->n_threads; i++) RLLC_TRY(rllc_workspace_init(&e->workspaces[i], e->model, e->k));
    RLLC_TRY(rllc_table_alloc(e->k, &e->base_space, rllc_pass_weights_size(e->model, NULL)));
    RLLC_TRY(constant(e->k, RLLC_PIECE_ROWS, -1.0F, &e->minus_one));
    RLLC_TRY(constant(e->k, C, -1.0F / (float)C, &e->minus_mean));
    RLLC_TRY(rllc_table_alloc(e->k, &e->zeros, 3 * e->model->options.d_head));
    if (!e->k->host_memory) RLLC_TRY(rllc_table_alloc(e->k, &e->base_copy, e->model->size));
done:
    return status;
}

rllc_status rllc_engine_new(rllc_engine **out, const rllc_model *m, int64_t max_rows, int n_threads) {
    rllc_status status = RLLC_OK;
    rllc_engine *e = NULL;
    *out = NULL;
    if (m->options.n_layers > RLLC_MAX_LAYERS)
        return rllc_fail(RLLC_EUNSUPPORTED, "the model has %lld layers, at most %d are supported",
                         (long long)m->options.n_layers, RLLC_MAX_LAYERS);
    RLLC_TRY(rllc_alloc(&e, 1, sizeof *e));
    e->model = m;
    e->k = rllc_kernels_get();
    e->max_rows = max_rows;
    e->n_threads = n_threads > 0 ? n_threads : rllc_default_threads();
    if (e->n_threads > RLLC_SLOTS) e->n_threads = RLLC_SLOTS;
    e->t = m->options.n_ctx;
    RLLC_TRY(rllc_alloc(&e->all_heads, m->options.n_heads, sizeof *e->all_heads));
    for (int h = 0; h < m->options.n_heads; h++) e->all_heads[h] = h;
    RLLC_TRY(rllc_alloc(&e->workspaces, e->n_threads, sizeof *e->workspaces));
    RLLC_TRY(rllc_alloc(&e->loss_sums, RLLC_SLOTS, sizeof *e->loss_sums));
    RLLC_TRY(allocate_table_memory(e));
done:
    if (status != RLLC_OK) {
        rllc_engine_free(e);
    } else {
        *out = e;
    }
    return status;
}

static void forget_plans(rllc_engine *e) {
    for (int64_t i = 0; i < e->n_members; i++) {
        rllc_plan_release(e->plans[i]);
        rllc_free(e->plans[i]);
        e->plans[i] = NULL;
    }
}

void rllc_engine_free(rllc_engine *e) {
    if (!e) return;
    release_table_memory(e);
    rllc_engine_free(e->reference);
    forget_plans(e);
    rllc_free(e->workspaces);
    rllc_free(e->plans);
    rllc_free(e->order);
    rllc_free(e->weights);
    rllc_free(e->families);
    rllc_free(e->loss_sums);
    rllc_free(e->space_at);
    rllc_free(e->gradient_at);
    rllc_free(e->all_heads);
    rllc_free(e->replaced);
    rllc_free(e);
}

rllc_status rllc_engine_set_kernels(rllc_engine *e, const rllc_kernels *k) {
    rllc_status status = RLLC_OK;
    release_table_memory(e);
    e->k = k;
    RLLC_TRY(allocate_table_memory(e));
    if (!e->reference) return RLLC_OK;
    RLLC_TRY(rllc_engine_set_kernels(e->reference, k));
    RLLC_TRY(rllc_reference_allocate(e));
done:
    return status;
}

void rllc_engine_set_plain(rllc_engine *e, bool plain) {
    if (e->plain != plain) forget_plans(e);
    e->plain = plain;
}

rllc_status rllc_engine_set_context(rllc_engine *e, int64_t t) {
    if (t < 2 || t > e->model->options.n_ctx)
        return rllc_fail(RLLC_EMISMATCH, "sequences of %lld tokens do not fit the model: expected 2 to %lld",
                         (long long)t, (long long)e->model->options.n_ctx);
    if (e->reference && t > e->reference->model->options.n_ctx)
        return rllc_fail(RLLC_EMISMATCH, "sequences of %lld tokens do not fit the reference model: it reads up to %lld",
                         (long long)t, (long long)e->reference->model->options.n_ctx);
    e->t = t;
    return RLLC_OK;
}

int64_t rllc_engine_context(const rllc_engine *e) {
    return e->t;
}

/* ---- what members need ------------------------------------------------------------------------------------------- */

rllc_status rllc_engine_plan(rllc_engine *e, const rllc_member *members, int64_t n) {
    rllc_status status = RLLC_OK;
    if (n > e->n_members) {
        const int64_t old = e->n_members;
        RLLC_TRY(rllc_grow(&e->plans, old, n, sizeof *e->plans));
        RLLC_TRY(rllc_grow(&e->order, 2 * old, 2 * n, sizeof *e->order));
        RLLC_TRY(rllc_grow(&e->space_at, old, n, sizeof *e->space_at));
        RLLC_TRY(rllc_grow(&e->gradient_at, old, n, sizeof *e->gradient_at));
        RLLC_TRY(rllc_grow(&e->weights, old, n, sizeof *e->weights));
        RLLC_TRY(rllc_grow(&e->families, old, n, sizeof *e->families));
        RLLC_TRY(rllc_grow(&e->loss_sums, e->loss_sums ? (old + 1) * RLLC_SLOTS : 0, (n + 1) * RLLC_SLOTS,
                           sizeof *e->loss_sums));
        e->n_members = n;
    }
    for (int64_t i = 0; i < n; i++) {
        if (!e->plans[i]) RLLC_TRY(rllc_alloc(&e->plans[i], 1, sizeof **e->plans));
        if (rllc_plan_fits(e->plans[i], members[i].component)) continue;
        rllc_plan_release(e->plans[i]);
        RLLC_TRY(rllc_plan_init(e->plans[i], e->model, members[i].component, e->plain));
    }
    rllc_group_sort(e, n);
done:
    return status;
}

/** *part holds at least n floats afterwards; what it held is lost if it grows. */
static rllc_status ensure(const rllc_kernels *k, float **part, int64_t *size, int64_t n) {
    if (n <= *size) return RLLC_OK;
    k->release(*part);
    *size = 0;
    const rllc_status status = rllc_table_alloc(k, part, n);
    if (status == RLLC_OK) *size = n;
    return status;
}

rllc_status rllc_engine_ensure(rllc_engine *e, const rllc_needs *needs, int64_t buffers) {
    rllc_status status = RLLC_OK;
    const rllc_needs all = rllc_needs_join(e->low_rank, *needs);
    RLLC_TRY(ensure(e->k, &e->member_space, &e->member_space_size, needs->member_space));
    RLLC_TRY(ensure(e->k, &e->family_space, &e->family_space_size, needs->family_space));
    RLLC_TRY(ensure(e->k, &e->gradients, &e->gradients_size, needs->gradient * buffers));
    if (!e->k->host_memory) RLLC_TRY(ensure(e->k, &e->gradient_copy, &e->gradient_copy_size, needs->largest));
    for (int64_t l = 0; l <= e->model->options.n_layers; l++)
        if (needs->folds[l] && !e->folds[l].space)
            RLLC_TRY(rllc_table_alloc(e->k, &e->folds[l].space, rllc_fold_size(e->model, l)));
    if (rllc_low_rank_space_floats(e->model, e->k, &all) > rllc_low_rank_space_floats(e->model, e->k, &e->low_rank)) {
        e->low_rank = (rllc_needs){0}; /* until every thread has the larger one */
        for (int i = 0; i < e->n_threads; i++) {
            rllc_low_rank_space_release(&e->workspaces[i].low_rank, e->k);
            RLLC_TRY(rllc_low_rank_space_init(&e->workspaces[i].low_rank, e->model, e->k, &all));
        }
    }
    e->low_rank = all;
done:
    return status;
}
