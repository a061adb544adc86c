/* Losses relative to a reference model: its forward pass, once for a block, and the relative entropy to it.    (E99) */
#include "batch.h"

rllc_status rllc_reference_allocate(rllc_engine *e) {
    const int64_t V = e->model->options.d_vocab, rows = rllc_block_rows(&e->model->options);
    rllc_status status = RLLC_OK;
    for (int i = 0; i < e->n_threads; i++) {
        rllc_workspace *ws = &e->workspaces[i];
        RLLC_TRY(rllc_table_alloc(e->k, &ws->reference, rows * V));
        RLLC_TRY(rllc_table_alloc(e->k, &ws->moved, 2 * RLLC_PIECE_ROWS * V));
    }
done:
    return status;
}

void rllc_reference_release(rllc_workspace *ws, const rllc_kernels *k) {
    k->release(ws->reference);
    k->release(ws->moved);
    ws->reference = ws->moved = NULL;
}

static void drop(rllc_engine *e) {
    for (int i = 0; i < e->n_threads; i++) rllc_reference_release(&e->workspaces[i], e->k);
    rllc_engine_free(e->reference);
    e->reference = NULL;
}

rllc_status rllc_model_check_reference(const rllc_model *m, int64_t t, const rllc_model *reference) {
    const rllc_model_options *o = &reference->options;
    if (o->d_vocab != m->options.d_vocab)
        return rllc_fail(RLLC_EMISMATCH, "the reference model has a vocabulary of %lld, the model one of %lld",
                         (long long)o->d_vocab, (long long)m->options.d_vocab);
    if (o->n_ctx < t)
        return rllc_fail(RLLC_EMISMATCH, "the reference model reads up to %lld tokens, the sequences have %lld",
                         (long long)o->n_ctx, (long long)t);
    return RLLC_OK;
}

rllc_status rllc_engine_set_reference(rllc_engine *e, const rllc_model *reference) {
    rllc_status status = RLLC_OK;
    drop(e);
    if (!reference) return RLLC_OK;
    RLLC_TRY(rllc_model_check_reference(e->model, e->t, reference));
    RLLC_TRY(rllc_engine_new(&e->reference, reference, e->max_rows, e->n_threads));
    if (e->reference->k != e->k) RLLC_TRY(rllc_engine_set_kernels(e->reference, e->k));
    RLLC_TRY(rllc_reference_allocate(e));
done:
    if (status != RLLC_OK) drop(e);
    return status;
}

int64_t rllc_engine_reference_bytes(const rllc_model *m, const rllc_model *reference, int n_threads) {
    const rllc_kernels *k = rllc_kernels_get();
    const int64_t V = m->options.d_vocab, rows = rllc_block_rows(&m->options);
    if (n_threads <= 0) n_threads = rllc_default_threads();
    if (n_threads > RLLC_SLOTS) n_threads = RLLC_SLOTS;
    int64_t floats = rllc_pass_weights_size(reference, NULL) + (k->host_memory ? 0 : reference->size);
    floats += n_threads * (rllc_workspace_floats(reference, k) + (rows + 2 * RLLC_PIECE_ROWS) * V);
    return floats * (int64_t)sizeof(float);
}

/* ---- a pass -------------------------------------------------------------------------------------------------- */

void rllc_reference_prepare(rllc_engine *e) {
    rllc_pass p = {.e = e->reference};
    e->reference->t = e->t;
    rllc_pass_pack_base(&p, e->reference->model->weights);
}

void rllc_reference_block(const rllc_engine *e, rllc_workspace *ws, const rllc_block *b) {
    const rllc_engine *r = e->reference;
    rllc_workspace *own = &r->workspaces[ws - e->workspaces];
    const int64_t C = r->model->options.d_model, V = r->model->options.d_vocab;
    rllc_activations a;
    rllc_upload_tokens(r, own, b);
    rllc_forward(r, own, &r->base, NULL, b, NULL, &a);
    e->k->gemm(false, false, b->rows, V, C, 1.0F, a.nf, C, r->base.W_U, V, 0.0F, ws->reference, V);
    e->k->add_rows(b->rows, V, r->base.b_U, 0, ws->reference, V);
    e->k->log_softmax(b->rows, V, ws->reference, V);
}

/** With the logits formed, the rest is products with their gradient: see (E79) for the names. */
void rllc_reference_low_rank(const rllc_engine *e, rllc_workspace *ws, int64_t first, const rllc_low_rank *x) {
    const rllc_kernels *k = e->k;
    const int64_t n = x->rows, V = x->v;
    float *u = ws->moved, *l = u + RLLC_PIECE_ROWS * V;
    if (x->a_scale) {
        k->scale_rows(n, V, x->a_scale, x->a, x->lda, u, V);
    } else {
        k->copy_rows(n, V, x->a, x->lda, u, V);
    }
    k->gemm(false, false, n, V, x->n, 1.0F, x->y, x->ldy, x->b, x->ldb, 1.0F, u, V);
    k->copy_rows(n, V, u, V, l, V);
    k->add_rows(n, V, x->c, 0, l, V);
    k->kl_divergence(n, V, l, V, ws->reference + first * V, V, x->targets, x->gradient_scale, x->loss);
    if (x->gradient_scale == 0) return;
    k->gemm(false, true, n, x->n, V, 1.0F, l, V, x->b, x->ldb, 0.0F, x->dy, x->lddy);
    k->row_dots(n, V, l, V, u, V, x->g);
    k->gemm(true, false, V, x->n, n, 1.0F, l, V, x->y, x->ldy, 1.0F, x->m, x->n);
}
