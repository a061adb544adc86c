/* An engine's life and memory. */
#include "engine.h"

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
    for (int i = 0; i < e->n_threads; i++) RLLC_TRY(rllc_workspace_init(&e->workspaces[i], m, e->k));
    RLLC_TRY(rllc_alloc(&e->loss_sums, RLLC_SLOTS, sizeof *e->loss_sums));
    RLLC_TRY(rllc_alloc(&e->base_space, rllc_pass_weights_size(m, NULL), sizeof *e->base_space));
done:
    if (status != RLLC_OK) {
        rllc_engine_free(e);
    } else {
        *out = e;
    }
    return status;
}

void rllc_engine_free(rllc_engine *e) {
    if (!e) return;
    for (int i = 0; e->workspaces && i < e->n_threads; i++) rllc_workspace_release(&e->workspaces[i]);
    for (int64_t i = 0; i < e->n_members; i++) {
        rllc_plan_release(e->plans[i]);
        rllc_free(e->plans[i]);
    }
    rllc_free(e->workspaces);
    rllc_free(e->plans);
    rllc_free(e->weights);
    rllc_free(e->base_space);
    rllc_free(e->member_space);
    rllc_free(e->gradients);
    rllc_free(e->loss_sums);
    rllc_free(e->gradient_at);
    rllc_free(e->all_heads);
    rllc_free(e);
}

rllc_status rllc_engine_set_context(rllc_engine *e, int64_t t) {
    if (t < 2 || t > e->model->options.n_ctx)
        return rllc_fail(RLLC_EMISMATCH, "sequences of %lld tokens do not fit the model: expected 2 to %lld", (long long)t,
                         (long long)e->model->options.n_ctx);
    e->t = t;
    return RLLC_OK;
}
