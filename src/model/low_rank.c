/*
 * A few heads of one layer, seen through the LayerNorm and the linear map behind them.
 *
 * With x = r + z W_O, r frozen, and the folded map Wf:  map(LN(x)) = (r Wf + z b) / sigma(x) + c,  b = W_O Wf.    (E80)
 * u stands for map - c; its part that does not move is a = (r Wf) / sigma*, so that  u = (sigma* / sigma) a + y b,
 * y = z / sigma. With delta the gradient of u and g = delta . u:                                                 (E81)
 *   dz = (b delta - (g / C) W_O xhat) / sigma;   dW_O = (Wf sum delta x y)^T - sum (g / (C sigma)) z x xhat
 */
#include "batch.h"

void rllc_family_rows(const rllc_engine *e, rllc_low_rank_space *s, const rllc_plan *plan, const rllc_entry_weights *w,
                      int64_t rows, const float *x, const float *rstd, const float *z, const float *u) {
    const rllc_kernels *k = e->k;
    const rllc_plan_layer *p = &plan->layers[plan->start];
    const int64_t C = e->model->options.d_model, D = e->model->options.d_head, HD = e->model->options.n_heads * D;
    k->copy_rows(rows, C, x, C, s->r, C);
    for (int64_t i = 0; i < p->n_heads; i++) {
        const float *from = z + p->heads[i] * D;
        k->gemm(false, false, rows, C, D, -1.0F, from, HD, w->W_O + i * D * C, C, 1.0F, s->r, C);
        if (rstd) {
            k->scale_rows(rows, D, rstd, from, HD, s->y_base + i * D, plan->rank);
        } else {
            k->copy_rows(rows, D, from, HD, s->y_base + i * D, plan->rank);
        }
    }
    k->copy_rows(rows, plan->outputs, u, plan->outputs, s->a, plan->outputs);
    k->gemm(false, false, rows, plan->outputs, plan->rank, -1.0F, s->y_base, plan->rank, w->b, plan->outputs, 1.0F,
            s->a, plan->outputs);
}

void rllc_member_rows(const rllc_engine *e, rllc_low_rank_space *s, const rllc_plan *plan, const rllc_entry_weights *w,
                      int64_t rows, const float *rstd_base, const float *z, float *x) {
    const rllc_kernels *k = e->k;
    const int64_t C = e->model->options.d_model, rank = plan->rank;
    k->copy_rows(rows, C, s->r, C, x, C);
    k->gemm(false, false, rows, C, rank, 1.0F, z, rank, w->W_O, C, 1.0F, x, C);
    if (!rstd_base) {
        k->copy_rows(rows, rank, z, rank, s->y, rank);
        return;
    }
    k->layer_norm_forward(rows, C, x, NULL, NULL, e->model->options.ln_eps, s->xhat, s->mean, s->rstd);
    k->divide(rows, s->rstd, rstd_base, s->ratio);
    k->scale_rows(rows, rank, s->rstd, z, rank, s->y, rank);
}

void rllc_member_rows_backward(const rllc_engine *e, rllc_low_rank_space *s, const rllc_plan *plan,
                               const rllc_entry_weights *w, int64_t rows, const float *z, const float *dx, float *dz,
                               float *dW_O) {
    const rllc_kernels *k = e->k;
    const int64_t C = e->model->options.d_model, rank = plan->rank;
    if (e->model->options.normalization == RLLC_NORM_LN) {
        k->multiply(rows, -1.0 / (double)C, s->rstd, s->g, s->h); /* -g / (C sigma) */
        k->gemm(false, true, rows, rank, C, 1.0F, s->xhat, C, w->W_O, C, 0.0F, s->t, rank);
        k->scale_rows(rows, rank, s->rstd, s->dy, rank, dz, rank);
        k->add_scaled_rows(rows, rank, s->h, s->t, rank, dz, rank);
        k->scale_rows(rows, rank, s->h, z, rank, s->t, rank);
        k->gemm(true, false, rank, C, rows, 1.0F, s->t, rank, s->xhat, C, 1.0F, dW_O, C);
    } else {
        k->copy_rows(rows, rank, s->dy, rank, dz, rank);
    }
    if (!dx) return;
    k->gemm(false, true, rows, rank, C, 1.0F, dx, C, w->W_O, C, 1.0F, dz, rank);
    k->gemm(true, false, rank, C, rows, 1.0F, z, rank, dx, C, 1.0F, dW_O, C);
}

void rllc_heads_forward(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_weights *w, const rllc_block *b,
                        const float *n, const rllc_heads *h) {
    rllc_project(e, w, b, n, h->qkv);
    rllc_attend(e, ws, w, b, h->qkv, false, h->z, w->n_heads * e->model->options.d_head, h->lse);
}

void rllc_heads_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_weights *w, const rllc_plan *plan,
                         const rllc_block *b, const float *n, const rllc_heads *h, float *g) {
    const rllc_plan_layer *p = &plan->layers[plan->start];
    const rllc_layer_pass s = {.w = w, .p = p, .heads = p->heads, .n_heads = p->n_heads, .ld = 3 * plan->rank};
    if (!p->qkv && !p->table) return; /* W_O alone */
    rllc_attention_backward(e, ws, &s, b, h->qkv, h->z, h->dz, plan->rank, h->lse);
    rllc_qkv_gradient(e, ws, &s, b, n, g);
}
