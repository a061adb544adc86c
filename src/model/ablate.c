/* Interventions: outputs of heads replaced, in every pass or in one ablation; everywhere or on one path. */
#include <string.h>

#include "batch.h"

/* ---- replacing ---------------------------------------------------------------------------------------------- */

/** z [t, D] of one sequence from the host's numbers at `from`. */
static void replace_sequence(const rllc_engine *e, rllc_workspace *ws, const float *from, int64_t stride, float *z,
                             int64_t ldz) {
    const rllc_kernels *k = e->k;
    const int64_t D = e->model->options.d_head, rows = stride ? e->t : 1;
    const size_t row = (size_t)D * sizeof *z;
    if (!from) {
        k->copy_rows(e->t, D, e->zeros, 0, z, ldz);
    } else if (k->host_memory) {
        k->copy_rows(e->t, D, from, stride, z, ldz);
    } else {
        for (int64_t i = 0; i < rows; i++) k->upload(row, from + i * stride, ws->replacement + i * D);
        k->copy_rows(e->t, D, ws->replacement, stride ? D : 0, z, ldz);
    }
}

static void replace_head(const rllc_engine *e, rllc_workspace *ws, const rllc_replacement *r, const rllc_block *b,
                         float *z, int64_t ldz) {
    for (int64_t s = 0; s < b->sequences; s++) {
        const int64_t sequence = b->first + s, source = r->sequences ? r->sequences[sequence] : sequence;
        replace_sequence(e, ws, r->z ? r->z + source * r->sequence_stride : NULL, r->position_stride,
                         z + s * e->t * ldz, ldz);
    }
}

void rllc_replace_outputs(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_weights *w, const rllc_block *b,
                          bool all, float *z, int64_t ldz) {
    const int64_t D = e->model->options.d_head, n = e->n_replaced + ws->n_replaced;
    for (int64_t i = 0; i < n; i++) {
        const rllc_replacement *r = i < e->n_replaced ? &e->replaced[i] : &ws->replaced[i - e->n_replaced];
        for (int64_t h = 0; r->layer == w->layer && h < w->n_heads; h++)
            if (w->heads[h] == r->head) replace_head(e, ws, r, b, z + (all ? r->head : h) * D, ldz);
    }
}

bool rllc_is_replaced(const rllc_engine *e, int layer, int head) {
    for (int64_t i = 0; i < e->n_replaced; i++)
        if (e->replaced[i].layer == layer && e->replaced[i].head == head) return true;
    return false;
}

static rllc_status check_replaced(const rllc_engine *e, const rllc_replacement *list, int64_t n) {
    const rllc_model_options *o = &e->model->options;
    for (int64_t i = 0; i < n; i++)
        if (list[i].layer < 0 || list[i].layer >= o->n_layers || list[i].head < 0 || list[i].head >= o->n_heads)
            return rllc_fail(RLLC_EMISMATCH,
                             "head %d:%d is to be replaced; the model has layers 0..%lld of heads 0..%lld",
                             list[i].layer, list[i].head, (long long)o->n_layers - 1, (long long)o->n_heads - 1);
    return RLLC_OK;
}

rllc_status rllc_engine_set_replacements(rllc_engine *e, const rllc_replacement *list, int64_t n) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(check_replaced(e, list, n));
    rllc_free(e->replaced);
    e->replaced = NULL;
    e->n_replaced = 0;
    if (n == 0) goto done;
    RLLC_TRY(rllc_alloc(&e->replaced, n, sizeof *list));
    memcpy(e->replaced, list, (size_t)n * sizeof *list);
    e->n_replaced = n;
done:
    return status;
}

/* ---- ablations ---------------------------------------------------------------------------------------------- */

struct ablate_call {
    rllc_pass pass;
    const rllc_ablation *list;
    int64_t n;
    float *base_token_losses;
};

static int lowest_layer(const rllc_ablation *a) {
    int layer = RLLC_MAX_LAYERS;
    for (int64_t i = 0; i < a->n_replaced; i++)
        if (a->replaced[i].layer < layer) layer = a->replaced[i].layer;
    return layer;
}

/** The block's residual stream entering the layer above the replaced heads, as their path sees it; into own.x. */
static void path_stream(const rllc_engine *e, rllc_workspace *ws, const rllc_block *b, int layer) {
    const int64_t HD = e->model->options.n_heads * e->model->options.d_head;
    float *z = ws->own.z[layer];
    e->k->copy_rows(b->rows, HD, ws->base.z[layer], HD, z, HD);
    rllc_replace_outputs(e, ws, &e->base.layers[layer], b, true, z, HD);
    rllc_add_output(e, &e->base.layers[layer], b->rows, ws->base.x[layer], z, ws->own.x[layer + 1]);
}

/** q, k or v (part 0, 1, 2) of one head from n, into its columns of qkv [R, 3 D]. */
static void project_part(const rllc_engine *e, const rllc_layer_weights *w, const rllc_block *b, const float *n,
                         int head, int part, float *qkv) {
    const int64_t C = e->model->options.d_model, D = e->model->options.d_head, ld = w->n_heads * 3 * D;
    const int64_t at = head * 3 * D + part * D;
    float *to = qkv + part * D;
    e->k->gemm(false, false, b->rows, D, C, 1.0F, n, C, w->qkv + at, ld, 0.0F, to, 3 * D);
    for (int64_t s = 0; s < b->sequences; s++) e->k->add_rows(e->t, D, w->bias + at, ld, to + s * e->t * 3 * D, 3 * D);
}

/** z of the head that the path leads into, in own.z of its layer, the other heads' beside it. */
static void path_into(const rllc_engine *e, rllc_workspace *ws, const rllc_block *b, const rllc_ablation *a) {
    const rllc_model_options *o = &e->model->options;
    const int64_t C = o->d_model, D = o->d_head, HD = o->n_heads * D;
    const int l = a->into_layer;
    const rllc_layer_weights *w = &e->base.layers[l];
    const bool parts[3] = {a->into_q, a->into_k, a->into_v};
    const float *n = ws->own.x[l];
    float *qkv = ws->dqkv, *z = ws->own.z[l];
    path_stream(e, ws, b, l - 1);
    if (w->ln_w) {
        e->k->layer_norm_forward(b->rows, C, ws->own.x[l], w->ln_w, w->ln_b, o->ln_eps, ws->own.n[l], ws->own.mean[l],
                                 ws->own.rstd[l]);
        n = ws->own.n[l];
    }
    e->k->copy_rows(b->rows, 3 * D, ws->base.qkv[l] + a->into_head * 3 * D, 3 * HD, qkv, 3 * D);
    for (int part = 0; part < 3; part++)
        if (parts[part]) project_part(e, w, b, n, a->into_head, part, qkv);
    e->k->copy_rows(b->rows, HD, ws->base.z[l], HD, z, HD);
    for (int64_t s = 0; s < b->sequences; s++) {
        const float *q = qkv + s * e->t * 3 * D;
        e->k->attention_forward(e->t, D, rllc_attention_scale(D), q, q + D, q + 2 * D, 3 * D,
                                z + s * e->t * HD + a->into_head * D, HD, ws->own.lse[l], ws->attention);
    }
}

static void ablate(const struct ablate_call *c, rllc_workspace *ws, const rllc_block *b, const rllc_ablation *a) {
    const rllc_engine *e = c->pass.e;
    const int64_t HD = e->model->options.n_heads * e->model->options.d_head;
    const bool path = a->into_layer > 0;
    const int l = path ? a->into_layer : lowest_layer(a);
    const rllc_loss_request q = {.token_losses = a->token_losses};
    ws->replaced = a->replaced;
    ws->n_replaced = a->n_replaced;
    if (path) {
        path_into(e, ws, b, a);
        ws->n_replaced = 0; /* the layers above see the heads as they are */
        rllc_replace_outputs(e, ws, &e->base.layers[l], b, true, ws->own.z[l], HD);
    } else {
        e->k->copy_rows(b->rows, HD, ws->base.z[l], HD, ws->own.z[l], HD);
        rllc_replace_outputs(e, ws, &e->base.layers[l], b, true, ws->own.z[l], HD);
    }
    ws->view = ws->own;
    rllc_add_output(e, &e->base.layers[l], b->rows, ws->base.x[l], ws->own.z[l], ws->view.x[l + 1]);
    rllc_forward_layers(e, ws, &e->base, b, l + 1, &ws->own, &ws->view);
    (void)rllc_loss(e, ws, &e->base, ws->view.nf, b, &q);
    ws->n_replaced = 0;
}

static rllc_status ablate_block(void *context, int64_t k, int worker) {
    const struct ablate_call *c = context;
    rllc_engine *e = c->pass.e;
    rllc_workspace *ws = &e->workspaces[worker];
    const rllc_block b = rllc_pass_block(&c->pass, k);
    const rllc_loss_request q = {.token_losses = c->base_token_losses};
    rllc_activations a;
    rllc_upload_tokens(e, ws, &b);
    if (e->reference) rllc_reference_block(e, ws, &b);
    rllc_forward(e, ws, &e->base, NULL, &b, NULL, &a);
    ws->base = a;
    if (q.token_losses) (void)rllc_loss(e, ws, &e->base, a.nf, &b, &q);
    for (int64_t i = 0; i < c->n; i++) ablate(c, ws, &b, &c->list[i]);
    return RLLC_OK;
}

static rllc_status check_path(const rllc_engine *e, const rllc_ablation *a) {
    const rllc_model_options *o = &e->model->options;
    if (a->into_layer == 0) return RLLC_OK;
    if (a->into_layer < 0 || a->into_layer >= o->n_layers || a->into_head < 0 || a->into_head >= o->n_heads)
        return rllc_fail(RLLC_EMISMATCH, "a path leads into head %d:%d; the model has layers 0..%lld of heads 0..%lld",
                         a->into_layer, a->into_head, (long long)o->n_layers - 1, (long long)o->n_heads - 1);
    for (int64_t i = 0; i < a->n_replaced; i++)
        if (a->replaced[i].layer != a->into_layer - 1)
            return rllc_fail(RLLC_EUNSUPPORTED, "the path from head %d:%d into head %d:%d skips a layer or goes back",
                             a->replaced[i].layer, a->replaced[i].head, a->into_layer, a->into_head);
    return RLLC_OK;
}

rllc_status rllc_engine_ablate(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                               const rllc_ablation *list, int64_t n, float *base_token_losses) {
    rllc_status status = RLLC_OK;
    struct ablate_call c = {.pass = {.e = e, .tokens = tokens, .rows = rows, .cut = rllc_cut_batch(e->t, rows)},
                            .list = list,
                            .n = n,
                            .base_token_losses = base_token_losses};
    RLLC_TRY(rllc_pass_check(&c.pass));
    for (int64_t i = 0; i < n; i++) {
        if (list[i].n_replaced < 1) return rllc_fail(RLLC_EMISMATCH, "ablation %lld replaces no head", (long long)i);
        RLLC_TRY(check_replaced(e, list[i].replaced, list[i].n_replaced));
        RLLC_TRY(check_path(e, &list[i]));
    }
    rllc_pass_pack_base(&c.pass, weights);
    if (e->reference) rllc_reference_prepare(e);
    RLLC_TRY(rllc_parallel(c.pass.cut.blocks, e->n_threads, ablate_block, &c));
done:
    return status;
}

/* ---- outputs ------------------------------------------------------------------------------------------------ */

struct outputs_call {
    rllc_pass pass;
    float *z;
};

static rllc_status outputs_block(void *context, int64_t k, int worker) {
    const struct outputs_call *c = context;
    rllc_engine *e = c->pass.e;
    rllc_workspace *ws = &e->workspaces[worker];
    const rllc_block b = rllc_pass_block(&c->pass, k);
    const int64_t L = e->model->options.n_layers, n = e->t * e->model->options.n_heads * e->model->options.d_head;
    rllc_upload_tokens(e, ws, &b);
    rllc_forward(e, ws, &e->base, NULL, &b, NULL, &ws->view);
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t l = 0; l < L; l++)
            e->k->download((size_t)n * sizeof(float), ws->view.z[l] + s * n, c->z + ((b.first + s) * L + l) * n);
    return RLLC_OK;
}

rllc_status rllc_engine_outputs(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows, float *z) {
    rllc_status status = RLLC_OK;
    struct outputs_call c = {.pass = {.e = e, .tokens = tokens, .rows = rows, .cut = rllc_cut_batch(e->t, rows)},
                             .z = z};
    RLLC_TRY(rllc_pass_check(&c.pass));
    rllc_pass_pack_base(&c.pass, weights);
    RLLC_TRY(rllc_parallel(c.pass.cut.blocks, e->n_threads, outputs_block, &c));
done:
    return status;
}
