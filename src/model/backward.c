/* The backward pass over a block, and unpacking of the summed gradient. */
#include "engine.h"

void rllc_final_norm_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w,
                              const rllc_plan *plan, int64_t rows, const rllc_activations *a, float *g) {
    const int64_t C = e->model->options.d_model;
    if (!w->lnf_w) {
        e->k->copy_rows(rows, C, ws->dnf, C, ws->dx, C);
        return;
    }
    e->k->zero(rows * C, ws->dx);
    e->k->layer_norm_backward(rows, C, a->x[e->model->options.n_layers], a->mean_f, a->rstd_f, w->lnf_w, ws->dnf,
                              ws->dx, plan->ln_final ? g + plan->at_lnf_w : NULL,
                              plan->ln_final ? g + plan->at_lnf_b : NULL);
}

/** Column of head h in qkv, which lists s->w->heads. */
static int64_t column(const rllc_layer_pass *s, int h, int64_t d) {
    int64_t i = 0;
    while (s->w->heads[i] != h) i++;
    return i * 3 * d;
}

/** dz = dx W_O^T, for the heads that go through. */
static void output_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_pass *s, int64_t rows) {
    const int64_t C = e->model->options.d_model, D = e->model->options.d_head, HD = e->model->options.n_heads * D;
    if (s->n_heads * D == HD) {
        e->k->gemm(false, true, rows, HD, C, 1.0F, ws->dx, C, s->w->W_O, C, 0.0F, ws->dz, HD);
        return;
    }
    for (int64_t i = 0; i < s->n_heads; i++) {
        const int64_t at = s->heads[i] * D;
        e->k->gemm(false, true, rows, D, C, 1.0F, ws->dx, C, s->w->W_O + at * C, C, 0.0F, ws->dz + at, HD);
    }
}

void rllc_attention_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_pass *s, const rllc_block *b,
                             const float *qkv, const float *z, const float *dz, int64_t ldz, const float *lse) {
    const int64_t D = e->model->options.d_head;
    for (int64_t i = 0; i < s->n_heads; i++) {
        const int64_t at = column(s, s->heads[i], D);
        if (rllc_is_replaced(e, s->w->layer, s->heads[i])) {
            e->k->copy_rows(b->rows, 3 * D, e->zeros, 0, ws->dqkv + at, s->ld);
            continue;
        }
        for (int64_t q = 0; q < b->sequences; q++) {
            const int64_t row = q * e->t, zc = row * ldz + (s->all ? s->heads[i] * D : at / 3);
            const float *in = qkv + row * s->ld + at;
            float *out = ws->dqkv + row * s->ld + at;
            e->k->attention_backward(e->t, D, rllc_attention_scale(D), in, in + D, in + 2 * D, s->ld, z + zc, dz + zc,
                                     ldz, lse + at / (3 * D) * b->rows + row, out, out + D, out + 2 * D, s->ld,
                                     ws->attention);
        }
    }
}

/** Adds dW_O = z^T dx of the planned heads. */
static void W_O_gradient(const rllc_engine *e, const rllc_workspace *ws, const rllc_plan_layer *p, int64_t rows,
                         const float *z, float *g) {
    const int64_t C = e->model->options.d_model, D = e->model->options.d_head, HD = e->model->options.n_heads * D;
    const bool all = p->n_heads * D == HD;
    for (int64_t i = 0; i < (all ? 1 : p->n_heads); i++)
        e->k->gemm(true, false, all ? HD : D, C, rows, 1.0F, z + p->heads[i] * D, HD, ws->dx, C, 1.0F,
                   g + p->at_W_O + i * D * C, C);
}

void rllc_qkv_gradient(const rllc_engine *e, const rllc_workspace *ws, const rllc_layer_pass *s, const rllc_block *b,
                       const float *n, float *g) {
    const rllc_plan_layer *p = s->p;
    const int64_t C = e->model->options.d_model, D = e->model->options.d_head, width = p->n_heads * 3 * D;
    const bool all = width == s->ld;
    const int64_t parts = all ? 1 : p->n_heads, columns = all ? width : 3 * D;
    for (int64_t i = 0; i < parts; i++) {
        const float *d = ws->dqkv + column(s, p->heads[i], D);
        if (p->qkv)
            e->k->gemm(true, false, C, columns, b->rows, 1.0F, n, C, d, s->ld, 1.0F, g + p->at_qkv + i * 3 * D, width);
        if (p->table)
            for (int64_t q = 0; q < b->sequences; q++)
                e->k->add_rows(e->t, columns, d + q * e->t * s->ld, s->ld, g + p->at_table + i * 3 * D, width);
    }
}

/** dx += what comes through LN1 from dn = dqkv [W_Q W_K W_V]^T. */
static void norm_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_pass *s, int l, int64_t rows,
                          const rllc_activations *a, float *g) {
    const int64_t C = e->model->options.d_model;
    const rllc_plan_layer *p = s->p;
    e->k->gemm(false, true, rows, C, s->ld, 1.0F, ws->dqkv, s->ld, s->w->qkv, s->ld, 0.0F, ws->dn, C);
    if (!s->w->ln_w) {
        e->k->add(rows * C, ws->dn, ws->dx);
        return;
    }
    e->k->layer_norm_backward(rows, C, a->x[l], a->mean[l], a->rstd[l], s->w->ln_w, ws->dn, ws->dx,
                              p->ln ? g + p->at_ln_w : NULL, p->ln ? g + p->at_ln_b : NULL);
}

void rllc_layer_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_pass *s, int l, bool stop,
                         const rllc_block *b, const rllc_activations *a, float *g) {
    const rllc_model_options *o = &e->model->options;
    const rllc_plan_layer *p = s->p;
    if (p->W_O) W_O_gradient(e, ws, p, b->rows, a->z[l], g);
    if (p->b_O) e->k->column_sum(b->rows, o->d_model, ws->dx, o->d_model, g + p->at_b_O);
    if (s->n_heads == 0) return;
    output_backward(e, ws, s, b->rows);
    rllc_attention_backward(e, ws, s, b, a->qkv[l], a->z[l], ws->dz, o->n_heads * o->d_head, a->lse[l]);
    if (p->qkv || p->table) rllc_qkv_gradient(e, ws, s, b, a->n[l], g);
    if (!stop) norm_backward(e, ws, s, l, b->rows, a, g);
}

rllc_layer_pass rllc_layer_pass_of(const rllc_engine *e, const rllc_pass_weights *w, const rllc_plan *plan, int l,
                                   bool *through) {
    const rllc_plan_layer *p = &plan->layers[l];
    *through = p->ln || plan->start < l;
    rllc_layer_pass s = {
        .w = &w->layers[l], .p = p, .ld = w->layers[l].n_heads * 3 * e->model->options.d_head, .all = true};
    s.heads = *through ? s.w->heads : p->heads;
    s.n_heads = *through ? s.w->n_heads : p->qkv || p->table ? p->n_heads : 0;
    return s;
}

void rllc_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const rllc_plan *plan,
                   const rllc_block *b, const rllc_activations *a, float *g) {
    const rllc_model_options *o = &e->model->options;
    const int64_t C = o->d_model;
    const bool earlier = plan->path == RLLC_PATH_EARLIER;
    /* what the plan moves begins where the forward pass restarts */
    const int lowest = earlier ? plan->start + 1 : plan->start;
    if (lowest >= o->n_layers && !plan->ln_final) return;
    rllc_final_norm_backward(e, ws, w, plan, b->rows, a, g);
    for (int l = (int)o->n_layers - 1; l >= 0 && l >= lowest; l--) {
        bool through;
        const rllc_layer_pass s = rllc_layer_pass_of(e, w, plan, l, &through);
        rllc_layer_backward(e, ws, &s, l, !through || (earlier && l == lowest), b, a, g);
    }
    if (plan->W_E) e->k->scatter_rows(b->rows, C, ws->tokens, ws->dx, C, g + plan->at_W_E, C);
}
