/* The backward pass over a block, and unpacking of the summed gradient. */
#include <string.h>

#include "engine.h"

/** Gradient of the residual stream leaving the last layer, from that of what the unembedding reads.          (E3) */
static void final_norm_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w,
                                const rllc_plan *plan, int64_t rows, const rllc_activations *a, float *g) {
    const int64_t C = e->model->options.d_model;
    const size_t bytes = (size_t)(rows * C) * sizeof(float);
    if (!w->lnf_w) {
        memcpy(ws->dx, ws->dnf, bytes);
        return;
    }
    memset(ws->dx, 0, bytes);
    e->k->layer_norm_backward(rows, C, a->x[e->model->options.n_layers], a->mean_f, a->rstd_f, w->lnf_w, ws->dnf, ws->dx,
                              plan->ln_final ? g + plan->at_lnf_w : NULL, plan->ln_final ? g + plan->at_lnf_b : NULL);
}

/** One layer in the backward pass: which heads go through, and where they stand in the packed arrays. */
struct layer_pass {
    const rllc_layer_weights *w;
    const rllc_plan_layer *p;
    const int *heads; /* heads whose dq, dk, dv are formed */
    int64_t n_heads;
    int64_t ld;       /* of qkv and dqkv: all the heads that the forward pass computed */
};

/** Column of head h in qkv, which lists w->heads. */
static int64_t column(const struct layer_pass *s, int h, int64_t d) {
    int64_t i = 0;
    while (s->w->heads[i] != h) i++;
    return i * 3 * d;
}

/** dz = dx W_O^T, for the heads that go through. */
static void output_backward(const rllc_engine *e, rllc_workspace *ws, const struct layer_pass *s, int64_t rows) {
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

static void attention_backward(const rllc_engine *e, rllc_workspace *ws, const struct layer_pass *s, const rllc_block *b,
                               const float *qkv, const float *z, const float *lse) {
    const int64_t D = e->model->options.d_head, ldz = e->model->options.n_heads * D;
    for (int64_t i = 0; i < s->n_heads; i++) {
        const int64_t at = column(s, s->heads[i], D);
        for (int64_t q = 0; q < b->sequences; q++) {
            const int64_t row = q * e->t;
            const float *in = qkv + row * s->ld + at;
            float *out = ws->dqkv + row * s->ld + at;
            const int64_t zc = row * ldz + s->heads[i] * D;
            e->k->attention_backward(e->t, D, rllc_attention_scale(D), in, in + D, in + 2 * D, s->ld, z + zc,
                                     ws->dz + zc, ldz, lse + at / (3 * D) * b->rows + row, out, out + D, out + 2 * D,
                                     s->ld, ws->attention);
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

/** Adds the gradients of the projections and of the bias table (summed over sequences) of the planned heads. */
static void qkv_gradient(const rllc_engine *e, const rllc_workspace *ws, const struct layer_pass *s, const rllc_block *b,
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
static void norm_backward(const rllc_engine *e, rllc_workspace *ws, const struct layer_pass *s, int l, int64_t rows,
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

void rllc_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const rllc_plan *plan,
                   const rllc_block *b, const rllc_activations *a, float *g) {
    const rllc_model_options *o = &e->model->options;
    const int64_t C = o->d_model;
    const int lowest = plan->start; /* what the plan moves begins where the forward pass restarts */
    if (lowest >= o->n_layers && !plan->ln_final) return;
    final_norm_backward(e, ws, w, plan, b->rows, a, g);
    for (int l = (int)o->n_layers - 1; l >= 0 && l >= lowest; l--) {
        const rllc_plan_layer *p = &plan->layers[l];
        const bool through = p->ln || lowest < l;
        const bool inward = through || p->qkv || p->table;
        struct layer_pass s = {.w = &w->layers[l], .p = p, .ld = w->layers[l].n_heads * 3 * o->d_head};
        s.heads = through ? s.w->heads : p->heads;
        s.n_heads = through ? s.w->n_heads : p->n_heads;
        if (p->W_O) W_O_gradient(e, ws, p, b->rows, a->z[l], g);
        if (p->b_O) e->k->column_sum(b->rows, C, ws->dx, C, g + p->at_b_O);
        if (!inward) continue;
        output_backward(e, ws, &s, b->rows);
        attention_backward(e, ws, &s, b, a->qkv[l], a->z[l], a->lse[l]);
        if (p->qkv || p->table) qkv_gradient(e, ws, &s, b, a->n[l], g);
        if (through) norm_backward(e, ws, &s, l, b->rows, a, g);
    }
    if (plan->W_E)
        for (int64_t r = 0; r < b->rows; r++) e->k->add(C, ws->dx + r * C, g + plan->at_W_E + b->tokens[r] * C);
}
