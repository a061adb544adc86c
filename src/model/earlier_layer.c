/*
 * Heads of a layer below the last: the map behind them is the next layer's projections, which move by a product of
 * depth `rank`. From there up the change is of full rank, and the pass is the plain one. (E80)
 */
#include "batch.h"

/** Up: the moved heads, the next layer's q, k, v by low rank, and the layers above. */
static void forward(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b, int64_t at, const float *rstd_base) {
    const rllc_engine *e = p->e;
    rllc_low_rank_space *s = &ws->low_rank;
    const rllc_plan *plan = e->plans[e->order[at]];
    const rllc_pass_weights *w = &e->weights[at];
    rllc_activations *a = &ws->view;
    const int l = plan->start + 1;
    const int64_t HD = e->model->options.n_heads * e->model->options.d_head, width = plan->outputs;
    *a = ws->own;
    rllc_heads_forward(e, ws, &w->layers[plan->start], b, ws->base.n[plan->start], s->heads);
    rllc_member_rows(e, s, plan, &w->entry, b->rows, rstd_base, s->heads->z, a->x[l]);
    if (rstd_base) {
        e->k->scale_rows(b->rows, width, s->ratio, s->a, width, s->u, width);
    } else {
        e->k->copy_rows(b->rows, width, s->a, width, s->u, width);
    }
    e->k->gemm(false, false, b->rows, width, plan->rank, 1.0F, s->y, plan->rank, w->entry.b, width, 1.0F, s->u, width);
    e->k->copy_rows(b->rows, width, s->u, width, a->qkv[l], width);
    for (int64_t q = 0; q < b->sequences; q++)
        e->k->add_rows(e->t, width, e->folds[l].c, width, a->qkv[l] + q * e->t * width, width);
    rllc_attend(e, ws, &w->layers[l], b, a->qkv[l], true, a->z[l], HD, a->lse[l]);
    rllc_add_output(e, &w->layers[l], b->rows, a->x[l], a->z[l], a->x[l + 1]);
    rllc_forward_layers(e, ws, w, b, l + 1, &ws->own, a);
}

/** Down to the next layer's dq, dk, dv, through the low-rank map to dz, and the moved heads' gradients. */
static void backward(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b, int64_t at, float *g) {
    const rllc_engine *e = p->e;
    rllc_low_rank_space *s = &ws->low_rank;
    const rllc_plan *plan = e->plans[e->order[at]];
    const rllc_pass_weights *w = &e->weights[at];
    const int64_t width = plan->outputs, rank = plan->rank;
    rllc_backward(e, ws, w, plan, b, &ws->view, g);
    e->k->gemm(false, true, b->rows, rank, width, 1.0F, ws->dqkv, width, w->entry.b, width, 0.0F, s->dy, rank);
    e->k->row_dots(b->rows, width, ws->dqkv, width, s->u, width, s->g);
    e->k->gemm(true, false, rank, width, b->rows, 1.0F, s->y, rank, ws->dqkv, width, 1.0F, g + plan->at_m, width);
    rllc_member_rows_backward(e, s, plan, &w->entry, b->rows, s->heads->z, ws->dx, s->heads->dz,
                              g + plan->layers[plan->start].at_W_O);
    rllc_heads_backward(e, ws, &w->layers[plan->start], plan, b, ws->base.n[plan->start], s->heads, g);
}

/** u* = x* Wf / sigma*, of the base's stream entering layer l. */
static void base_outputs(const rllc_engine *e, rllc_workspace *ws, const rllc_block *b, int l) {
    rllc_low_rank_space *s = &ws->low_rank;
    const int64_t C = e->model->options.d_model, width = 3 * e->model->options.n_heads * e->model->options.d_head;
    const float *x = ws->base.x[l];
    if (e->base.layers[l].ln_w) {
        e->k->layer_norm_forward(b->rows, C, x, NULL, NULL, e->model->options.ln_eps, s->xhat, s->mean, s->rstd);
        x = s->xhat;
    }
    e->k->gemm(false, false, b->rows, width, C, 1.0F, x, C, e->folds[l].W, width, 0.0F, s->u_base, width);
}

void rllc_earlier_layer_block(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b, const rllc_family *f,
                              bool fresh, int64_t slot, float *buffer) {
    rllc_engine *e = p->e;
    const rllc_plan *plan = e->plans[e->order[f->first]];
    const int l = plan->start + 1;
    const float *rstd = e->base.layers[l].ln_w ? ws->base.rstd[l] : NULL;
    if (fresh) base_outputs(e, ws, b, l);
    rllc_family_rows(e, &ws->low_rank, plan, &f->base, b->rows, ws->base.x[l], rstd, ws->base.z[l - 1],
                     ws->low_rank.u_base);
    for (int64_t at = f->first; at < f->end; at++) {
        const int64_t i = e->order[at];
        const rllc_member *m = &p->members[i];
        const rllc_loss_request q = {.token_losses = m->token_losses,
                                     .dnf = m->gradient,
                                     .gradient_scale = m->gradient ? rllc_pass_gradient_scale(p) : 0};
        forward(p, ws, b, at, rstd);
        *rllc_pass_loss_sum(p, i, slot) += rllc_loss(e, ws, &e->weights[at], ws->view.nf, b, &q);
        if (m->gradient) backward(p, ws, b, at, buffer + e->gradient_at[i]);
    }
}
