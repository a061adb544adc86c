/* The tangent of the backward pass: from the logits down to the lowest tensor that moves.               (E90-E92) */
#include "tangent.h"

static float *tangent_sum(const rllc_tangent_pass *p, int64_t i) {
    return p->g + (i + 1) * p->plan->gradient_size;
}

/** Whether what the unembedding reads moves, so that its gradient is wanted. */
static bool below_moves(const rllc_tangent_pass *p) {
    return p->plan->start < p->e->model->options.n_layers || p->plan->ln_final;
}

/* ---- unembedding ---------------------------------------------------------------------------------------------------
 */

/** l1 [n, V] of rows first..: nf1 W_U + nf W_U1 + b_U1. */
static void logits_tangent(const rllc_tangent_pass *p, int64_t i, int64_t first, int64_t n) {
    const rllc_kernels *k = p->e->k;
    const int64_t C = p->e->model->options.d_model, V = p->e->model->options.d_vocab;
    const rllc_pass_weights *w1 = &p->directions[i].w;
    float *out = p->space->logits;
    k->zero(n * V, out);
    if (below_moves(p))
        k->gemm(false, false, n, V, C, 1.0F, p->space->tangents[i].nf + first * C, C, p->e->base.W_U, V, 0.0F, out, V);
    if (!p->plan->unembed) return;
    k->gemm(false, false, n, V, C, 1.0F, p->a->nf + first * C, C, w1->W_U, V, 1.0F, out, V);
    k->add_rows(n, V, w1->b_U, 0, out, V);
}

/** In place: l1 becomes delta1 = s P (l1 - sum_v P l1), from delta = s (P - onehot); rows without a target: 0. */
static void loss_gradient_tangent(const rllc_tangent_pass *p, const int32_t *targets, int64_t n, double scale) {
    const int64_t V = p->e->model->options.d_vocab;
    for (int64_t r = 0; r < n; r++) {
        const float *delta = p->ws->logits + r * V;
        float *l = p->space->logits + r * V;
        const int32_t y = targets[r];
        if (y < 0) {
            p->e->k->zero(V, l);
            continue;
        }
        double mean = (double)l[y]; /* the onehot's part */
        for (int64_t v = 0; v < V; v++) mean += (double)delta[v] / scale * (double)l[v];
        const double at_target = ((double)delta[y] + scale) * ((double)l[y] - mean);
        for (int64_t v = 0; v < V; v++) l[v] = (float)((double)delta[v] * ((double)l[v] - mean));
        l[y] = (float)at_target;
    }
}

/** Gradients of the unembedding and of what it reads, of direction i, from delta (ws->logits) and delta1. */
static void unembed_tangent(const rllc_tangent_pass *p, int64_t i, int64_t first, int64_t n) {
    const rllc_kernels *k = p->e->k;
    const int64_t C = p->e->model->options.d_model, V = p->e->model->options.d_vocab;
    const float *delta = p->ws->logits, *delta1 = p->space->logits;
    const rllc_tangent *x = &p->space->tangents[i];
    float *g = tangent_sum(p, i);
    if (below_moves(p)) {
        float *dnf = x->dx + first * C;
        k->gemm(false, true, n, C, V, 1.0F, delta1, V, p->e->base.W_U, V, 0.0F, dnf, C);
        if (p->plan->unembed) k->gemm(false, true, n, C, V, 1.0F, delta, V, p->directions[i].w.W_U, V, 1.0F, dnf, C);
    }
    if (!p->plan->unembed) return;
    k->gemm(true, false, C, V, n, 1.0F, p->a->nf + first * C, C, delta1, V, 1.0F, g + p->plan->at_W_U, V);
    if (below_moves(p))
        k->gemm(true, false, C, V, n, 1.0F, x->nf + first * C, C, delta, V, 1.0F, g + p->plan->at_W_U, V);
    k->column_sum(n, V, delta1, V, g + p->plan->at_b_U);
}

/** Loss; gradients of the unembedding; ws->dnf, and its tangents in tangents[].dx. */
static double unembed(const rllc_tangent_pass *p, double scale) {
    const rllc_kernels *k = p->e->k;
    const rllc_plan *plan = p->plan;
    rllc_workspace *ws = p->ws;
    const int64_t C = p->e->model->options.d_model, V = p->e->model->options.d_vocab;
    double sum = 0;
    for (int64_t r = 0; r < p->b->rows; r += RLLC_BLOCK_ROWS) {
        const int64_t n = p->b->rows - r < RLLC_BLOCK_ROWS ? p->b->rows - r : RLLC_BLOCK_ROWS;
        const float *nf = p->a->nf + r * C;
        rllc_logits(p->e, ws, &p->e->base, p->a->nf, r, n);
        k->cross_entropy(n, V, ws->logits, V, ws->targets + r, scale, ws->losses, NULL);
        rllc_collect(p->e, ws, p->b, r, n, ws->losses, NULL, &sum);
        if (plan->unembed) {
            k->gemm(true, false, C, V, n, 1.0F, nf, C, ws->logits, V, 1.0F, p->g + plan->at_W_U, V);
            k->column_sum(n, V, ws->logits, V, p->g + plan->at_b_U);
        }
        if (below_moves(p))
            k->gemm(false, true, n, C, V, 1.0F, ws->logits, V, p->e->base.W_U, V, 0.0F, ws->dnf + r * C, C);
        for (int64_t i = 0; i < p->n; i++) {
            logits_tangent(p, i, r, n);
            loss_gradient_tangent(p, ws->targets + r, n, scale);
            unembed_tangent(p, i, r, n);
        }
    }
    return sum;
}

/** ws->dx and tangents[].dx from ws->dnf and its tangents. */
static void final_norm(const rllc_tangent_pass *p) {
    const rllc_kernels *k = p->e->k;
    const rllc_model_options *o = &p->e->model->options;
    const rllc_pass_weights *w = &p->e->base;
    const int64_t C = o->d_model, rows = p->b->rows;
    for (int64_t i = 0; w->lnf_w && i < p->n; i++) {
        const rllc_tangent *x = &p->space->tangents[i];
        float *g = tangent_sum(p, i);
        k->copy_rows(rows, C, x->dx, C, p->space->dn, C);
        k->zero(rows * C, x->dx);
        const rllc_norm_rows r = {.rows = rows,
                                  .c = C,
                                  .x = p->a->x[o->n_layers],
                                  .mean = p->a->mean_f,
                                  .rstd = p->a->rstd_f,
                                  .w = w->lnf_w,
                                  .dy = p->ws->dnf,
                                  .x1 = x->x[o->n_layers],
                                  .w1 = p->directions[i].w.lnf_w,
                                  .dy1 = p->space->dn,
                                  .dx1 = x->dx,
                                  .dw1 = p->plan->ln_final ? g + p->plan->at_lnf_w : NULL,
                                  .db1 = p->plan->ln_final ? g + p->plan->at_lnf_b : NULL};
        rllc_tangent_norm_backward(&r);
    }
    rllc_final_norm_backward(p->e, p->ws, w, p->plan, rows, p->a, p->g);
}

/* ---- layers -------------------------------------------------------------------------------------------------------- */

/** g += z1^T dx + z^T dx1 of the planned heads. */
static void W_O_tangent(const rllc_tangent_pass *p, const rllc_layer_pass *s, int l, const rllc_tangent *x, float *g) {
    const rllc_kernels *k = p->e->k;
    const int64_t C = p->e->model->options.d_model, D = p->e->model->options.d_head;
    const int64_t HD = p->e->model->options.n_heads * D, rows = p->b->rows;
    for (int64_t i = 0; i < s->p->n_heads; i++) {
        const int64_t at = s->p->heads[i] * D;
        float *out = g + s->p->at_W_O + i * D * C;
        k->gemm(true, false, D, C, rows, 1.0F, x->z[l] + at, HD, p->space->dx, C, 1.0F, out, C);
        k->gemm(true, false, D, C, rows, 1.0F, p->a->z[l] + at, HD, x->dx, C, 1.0F, out, C);
    }
}

/** dz1 = dx1 W_O^T + dx W_O1^T, all heads. */
static void output_backward(const rllc_tangent_pass *p, const rllc_layer_pass *s, int l, int64_t i) {
    const rllc_kernels *k = p->e->k;
    const int64_t C = p->e->model->options.d_model, rows = p->b->rows;
    const int64_t HD = p->e->model->options.n_heads * p->e->model->options.d_head;
    float *dz = p->space->dz + i * rows * HD;
    k->gemm(false, true, rows, HD, C, 1.0F, p->space->tangents[i].dx, C, s->w->W_O, C, 0.0F, dz, HD);
    if (s->p->W_O)
        k->gemm(false, true, rows, HD, C, 1.0F, p->space->dx, C, p->directions[i].w.layers[l].W_O, C, 1.0F, dz, HD);
}

/** g += n1^T dqkv + n^T dqkv1 of the planned heads; their tables likewise. */
static void qkv_tangent(const rllc_tangent_pass *p, const rllc_layer_pass *s, int l, bool input_moves, int64_t i) {
    const rllc_kernels *k = p->e->k;
    const rllc_plan_layer *q = s->p;
    const int64_t C = p->e->model->options.d_model, w = 3 * p->e->model->options.d_head, width = q->n_heads * w;
    const int64_t rows = p->b->rows, t = p->e->t;
    float *g = tangent_sum(p, i);
    for (int64_t h = 0; h < q->n_heads; h++) {
        const float *d = p->ws->dqkv + q->heads[h] * w, *d1 = p->space->dqkv + i * rows * s->ld + q->heads[h] * w;
        float *out = g + q->at_qkv + h * w;
        if (q->qkv && input_moves)
            k->gemm(true, false, C, w, rows, 1.0F, p->space->tangents[i].n[l], C, d, s->ld, 1.0F, out, width);
        if (q->qkv) k->gemm(true, false, C, w, rows, 1.0F, p->a->n[l], C, d1, s->ld, 1.0F, out, width);
        for (int64_t r = 0; q->table && r < rows; r += t)
            k->add_rows(t, w, d1 + r * s->ld, s->ld, g + q->at_table + h * w, width);
    }
}

/** dx1 += what comes through LN1 from dn1 = dqkv1 W^T + dqkv W1^T. */
static void norm_backward(const rllc_tangent_pass *p, const rllc_layer_pass *s, int l, int64_t i) {
    const rllc_kernels *k = p->e->k;
    const int64_t C = p->e->model->options.d_model, rows = p->b->rows;
    const rllc_layer_weights *w1 = &p->directions[i].w.layers[l];
    const rllc_tangent *x = &p->space->tangents[i];
    float *dn = p->space->dn, *g = tangent_sum(p, i);
    k->gemm(false, true, rows, C, s->ld, 1.0F, p->space->dqkv + i * rows * s->ld, s->ld, s->w->qkv, s->ld, 0.0F, dn, C);
    if (s->p->qkv) k->gemm(false, true, rows, C, s->ld, 1.0F, p->ws->dqkv, s->ld, w1->qkv, s->ld, 1.0F, dn, C);
    if (!s->w->ln_w) {
        k->add(rows * C, dn, x->dx);
        return;
    }
    const rllc_norm_rows r = {.rows = rows,
                              .c = C,
                              .x = p->a->x[l],
                              .mean = p->a->mean[l],
                              .rstd = p->a->rstd[l],
                              .w = s->w->ln_w,
                              .dy = p->ws->dn,
                              .x1 = x->x[l],
                              .w1 = w1->ln_w,
                              .dy1 = dn,
                              .dx1 = x->dx,
                              .dw1 = s->p->ln ? g + s->p->at_ln_w : NULL,
                              .db1 = s->p->ln ? g + s->p->at_ln_b : NULL};
    rllc_tangent_norm_backward(&r);
}

static void layer_backward(const rllc_tangent_pass *p, int l) {
    const rllc_kernels *k = p->e->k;
    const rllc_model_options *o = &p->e->model->options;
    const int64_t C = o->d_model, rows = p->b->rows;
    bool through;
    const rllc_layer_pass s = rllc_layer_pass_of(p->e, &p->e->base, p->plan, l, &through);
    k->copy_rows(rows, C, p->ws->dx, C, p->space->dx, C);
    rllc_layer_backward(p->e, p->ws, &s, l, !through, p->b, p->a, p->g);
    for (int64_t i = 0; i < p->n; i++) {
        const rllc_tangent *x = &p->space->tangents[i];
        if (s.p->W_O) W_O_tangent(p, &s, l, x, tangent_sum(p, i));
        if (s.p->b_O) k->column_sum(rows, C, x->dx, C, tangent_sum(p, i) + s.p->at_b_O);
        if (s.n_heads) output_backward(p, &s, l, i);
    }
    if (s.n_heads == 0) return;
    k->zero(p->n * rows * s.ld, p->space->dqkv);
    rllc_tangent_attend_backward(p, &s, l);
    for (int64_t i = 0; i < p->n; i++) {
        if (s.p->qkv || s.p->table) qkv_tangent(p, &s, l, through, i);
        if (through) norm_backward(p, &s, l, i);
    }
}

double rllc_tangent_backward(const rllc_tangent_pass *p) {
    const rllc_model_options *o = &p->e->model->options;
    const rllc_plan *plan = p->plan;
    const int64_t C = o->d_model;
    const double loss = unembed(p, p->scale);
    if (!below_moves(p)) return loss;
    final_norm(p);
    for (int l = (int)o->n_layers - 1; l >= 0 && l >= plan->start; l--) layer_backward(p, l);
    if (!plan->W_E) return loss;
    p->e->k->scatter_rows(p->b->rows, C, p->ws->tokens, p->ws->dx, C, p->g + plan->at_W_E, C);
    for (int64_t i = 0; i < p->n; i++)
        p->e->k->scatter_rows(p->b->rows, C, p->ws->tokens, p->space->tangents[i].dx, C,
                              tangent_sum(p, i) + plan->at_W_E, C);
    return loss;
}
