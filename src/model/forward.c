/* The forward pass over a block, and the loss with its gradient. */
#include <string.h>

#include "engine.h"

static void embed(const rllc_model_options *o, const rllc_pass_weights *w, const rllc_block *b, float *x) {
    const int64_t C = o->d_model;
    for (int64_t r = 0; r < b->rows; r++) memcpy(x + r * C, w->W_E + b->tokens[r] * C, (size_t)C * sizeof *x);
}

/** n = LN1(x), or x itself.                                                                                  (E2) */
static void normalize(const rllc_engine *e, const rllc_layer_weights *w, const rllc_activations *own, int l, int64_t rows,
                      rllc_activations *a) {
    const rllc_model_options *o = &e->model->options;
    if (!w->ln_w) {
        a->n[l] = a->x[l];
        return;
    }
    a->n[l] = own->n[l];
    a->mean[l] = own->mean[l];
    a->rstd[l] = own->rstd[l];
    e->k->layer_norm_forward(rows, o->d_model, a->x[l], w->ln_w, w->ln_b, o->ln_eps, a->n[l], a->mean[l], a->rstd[l]);
}

/** qkv = n [W_Q W_K W_V] + (positions and biases), for the listed heads.                                       (E8) */
static void project(const rllc_engine *e, const rllc_layer_weights *w, const rllc_block *b, const float *n, float *qkv) {
    const int64_t C = e->model->options.d_model, width = w->n_heads * 3 * e->model->options.d_head;
    e->k->gemm(false, false, b->rows, width, C, 1.0F, n, C, w->qkv, width, 0.0F, qkv, width);
    for (int64_t s = 0; s < b->sequences; s++)
        e->k->add_rows(e->t, width, w->bias, width, qkv + s * e->t * width, width);
}

/** z of the listed heads into columns of z [R, H D].                                                           (E4) */
static void attend(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_weights *w, const rllc_block *b,
                   const float *qkv, float *z, float *lse) {
    const int64_t D = e->model->options.d_head, ld = w->n_heads * 3 * D, ldz = e->model->options.n_heads * D;
    for (int64_t i = 0; i < w->n_heads; i++)
        for (int64_t s = 0; s < b->sequences; s++) {
            const float *q = qkv + s * e->t * ld + i * 3 * D;
            e->k->attention_forward(e->t, D, rllc_attention_scale(D), q, q + D, q + 2 * D, ld,
                                    z + s * e->t * ldz + w->heads[i] * D, ldz, lse + i * b->rows + s * e->t,
                                    ws->attention);
        }
}

/** x_out = x + sum_h z_h W_O^h + b_O.                                                                          (E9) */
static void add_output(const rllc_engine *e, const rllc_layer_weights *w, int64_t rows, const float *x, const float *z,
                       float *out) {
    const int64_t C = e->model->options.d_model, HD = e->model->options.n_heads * e->model->options.d_head;
    memcpy(out, x, (size_t)(rows * C) * sizeof *out);
    e->k->add_rows(rows, C, w->b_O, 0, out, C);
    e->k->gemm(false, false, rows, C, HD, 1.0F, z, HD, w->W_O, C, 1.0F, out, C);
}

static void final_norm(const rllc_engine *e, const rllc_pass_weights *w, const rllc_activations *own, int64_t rows,
                       rllc_activations *a) {
    const rllc_model_options *o = &e->model->options;
    if (!w->lnf_w) {
        a->nf = a->x[o->n_layers];
        return;
    }
    a->nf = own->nf;
    a->mean_f = own->mean_f;
    a->rstd_f = own->rstd_f;
    e->k->layer_norm_forward(rows, o->d_model, a->x[o->n_layers], w->lnf_w, w->lnf_b, o->ln_eps, a->nf, a->mean_f,
                             a->rstd_f);
}

void rllc_forward(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const rllc_plan *plan,
                  const rllc_block *b, const rllc_activations *base, rllc_activations *a) {
    const rllc_model_options *o = &e->model->options;
    const rllc_activations *own = plan ? &ws->own : &ws->base;
    const int L = (int)o->n_layers, start = plan ? plan->start : -1, first = start < 0 ? 0 : start;
    *a = *own;
    if (start < 0) {
        embed(o, w, b, a->x[0]);
    } else {
        a->x[first] = base->x[first];
    }
    for (int l = first; l < L; l++) {
        const rllc_layer_weights *lw = &w->layers[l];
        if (l == start && !plan->layers[l].ln) { /* the same input through the same LayerNorm */
            a->n[l] = base->n[l];
            a->mean[l] = base->mean[l];
            a->rstd[l] = base->rstd[l];
        } else {
            normalize(e, lw, own, l, b->rows, a);
        }
        if (lw->n_heads) project(e, lw, b, a->n[l], a->qkv[l]);
        if (lw->n_heads < o->n_heads)
            memcpy(a->z[l], base->z[l], (size_t)(b->rows * o->n_heads * o->d_head) * sizeof(float));
        attend(e, ws, lw, b, a->qkv[l], a->z[l], a->lse[l]);
        add_output(e, lw, b->rows, a->x[l], a->z[l], a->x[l + 1]);
    }
    final_norm(e, w, own, b->rows, a);
}

/** targets[r] = the token after row r in its sequence, -1 at the end. */
static void find_targets(const rllc_engine *e, const rllc_block *b, int32_t *targets) {
    for (int64_t r = 0; r < b->rows; r++) targets[r] = (r + 1) % e->t ? b->tokens[r + 1] : -1;
}

/** Copies the block's losses to [B, T-1] and returns their sum. */
static double collect(const rllc_engine *e, const rllc_block *b, const float *losses, float *token_losses) {
    double sum = 0;
    for (int64_t s = 0; s < b->sequences; s++)
        for (int64_t i = 0; i < e->t - 1; i++) {
            const float loss = losses[s * e->t + i];
            sum += (double)loss;
            if (token_losses) token_losses[(b->first + s) * (e->t - 1) + i] = loss;
        }
    return sum;
}

double rllc_loss(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const float *nf,
                 const rllc_block *b, const rllc_loss_request *q) {
    const rllc_kernels *k = e->k;
    const int64_t C = e->model->options.d_model, V = e->model->options.d_vocab;
    find_targets(e, b, ws->targets);
    for (int64_t r = 0; r < b->rows; r += RLLC_BLOCK_ROWS) {
        const int64_t n = b->rows - r < RLLC_BLOCK_ROWS ? b->rows - r : RLLC_BLOCK_ROWS;
        const float *y = nf + r * C;
        k->gemm(false, false, n, V, C, 1.0F, y, C, w->W_U, V, 0.0F, ws->logits, V);
        k->add_rows(n, V, w->b_U, 0, ws->logits, V);
        if (q->logits)
            memcpy(q->logits + (b->first * e->t + r) * V, ws->logits, (size_t)(n * V) * sizeof *ws->logits);
        k->cross_entropy(n, V, ws->logits, V, ws->targets + r, q->gradient_scale, ws->losses + r);
        if (q->dW_U) k->gemm(true, false, C, V, n, 1.0F, y, C, ws->logits, V, 1.0F, q->dW_U, V);
        if (q->db_U) k->column_sum(n, V, ws->logits, V, q->db_U);
        if (q->dnf) k->gemm(false, true, n, C, V, 1.0F, ws->logits, V, w->W_U, V, 0.0F, ws->dnf + r * C, C);
    }
    return collect(e, b, ws->losses, q->token_losses);
}
