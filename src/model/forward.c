/* The forward pass over a block, stage by stage. */
#include "engine.h"

void rllc_upload_tokens(const rllc_engine *e, rllc_workspace *ws, const rllc_block *b) {
    for (int64_t r = 0; r < b->rows; r++) ws->host_ids[r] = (r + 1) % e->t ? b->tokens[r + 1] : -1;
    e->k->upload((size_t)b->rows * sizeof *ws->targets, ws->host_ids, ws->targets);
    e->k->upload((size_t)b->rows * sizeof *ws->tokens, b->tokens, ws->tokens);
}

/** n = LN1(x), or x itself without normalization.                                                             (E2) */
static void normalize(const rllc_engine *e, const rllc_layer_weights *w, const rllc_activations *own, int l,
                      int64_t rows, rllc_activations *a) {
    if (!w->ln_w) {
        a->n[l] = a->x[l];
        return;
    }
    a->n[l] = own->n[l];
    a->mean[l] = own->mean[l];
    a->rstd[l] = own->rstd[l];
    e->k->layer_norm_forward(rows, e->model->options.d_model, a->x[l], w->ln_w, w->ln_b, e->model->options.ln_eps,
                             a->n[l], a->mean[l], a->rstd[l]);
}

void rllc_project(const rllc_engine *e, const rllc_layer_weights *w, const rllc_block *b, const float *n, float *qkv) {
    const int64_t C = e->model->options.d_model, width = w->n_heads * 3 * e->model->options.d_head;
    e->k->gemm(false, false, b->rows, width, C, 1.0F, n, C, w->qkv, width, 0.0F, qkv, width);
    for (int64_t s = 0; s < b->sequences; s++)
        e->k->add_rows(e->t, width, w->bias, width, qkv + s * e->t * width, width);
}

void rllc_attend(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_weights *w, const rllc_block *b,
                 const float *qkv, bool all, float *z, int64_t ldz, float *lse) {
    const int64_t D = e->model->options.d_head, ld = w->n_heads * 3 * D;
    for (int64_t i = 0; i < w->n_heads; i++)
        for (int64_t s = 0; s < b->sequences; s++) {
            const float *q = qkv + s * e->t * ld + i * 3 * D;
            float *to = z + s * e->t * ldz + (all ? w->heads[i] : i) * D;
            e->k->attention_forward(e->t, D, rllc_attention_scale(D), q, q + D, q + 2 * D, ld, to, ldz,
                                    lse + i * b->rows + s * e->t, ws->attention);
        }
    rllc_replace_outputs(e, ws, w, b, all, z, ldz);
}

void rllc_add_output(const rllc_engine *e, const rllc_layer_weights *w, int64_t rows, const float *x, const float *z,
                     float *out) {
    const int64_t C = e->model->options.d_model, HD = e->model->options.n_heads * e->model->options.d_head;
    e->k->copy_rows(rows, C, x, C, out, C);
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

/** Layer l from what attention reads; z of heads not listed is the base's. */
static void layer(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_weights *w, const rllc_block *b, int l,
                  const rllc_activations *base, rllc_activations *a) {
    const int64_t H = e->model->options.n_heads, HD = H * e->model->options.d_head;
    if (w->n_heads) rllc_project(e, w, b, a->n[l], a->qkv[l]);
    if (w->n_heads < H) e->k->copy_rows(b->rows, HD, base->z[l], HD, a->z[l], HD);
    rllc_attend(e, ws, w, b, a->qkv[l], true, a->z[l], HD, a->lse[l]);
    rllc_add_output(e, w, b->rows, a->x[l], a->z[l], a->x[l + 1]);
}

void rllc_forward_layers(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const rllc_block *b,
                         int first, const rllc_activations *own, rllc_activations *a) {
    for (int l = first; l < e->model->options.n_layers; l++) {
        normalize(e, &w->layers[l], own, l, b->rows, a);
        layer(e, ws, &w->layers[l], b, l, NULL, a);
    }
    final_norm(e, w, own, b->rows, a);
}

void rllc_forward(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const rllc_plan *plan,
                  const rllc_block *b, const rllc_activations *base, rllc_activations *a) {
    const rllc_model_options *o = &e->model->options;
    const rllc_activations *own = plan ? &ws->own : &ws->base;
    const int start = plan ? plan->start : -1;
    *a = *own;
    if (start < 0) {
        e->k->gather_rows(b->rows, o->d_model, ws->tokens, w->W_E, o->d_model, a->x[0], o->d_model);
        rllc_forward_layers(e, ws, w, b, 0, own, a);
        return;
    }
    a->x[start] = base->x[start];
    if (start == o->n_layers) {
        final_norm(e, w, own, b->rows, a);
        return;
    }
    if (plan->layers[start].ln) {
        normalize(e, &w->layers[start], own, start, b->rows, a);
    } else { /* the same input through the same LayerNorm */
        a->n[start] = base->n[start];
        a->mean[start] = base->mean[start];
        a->rstd[start] = base->rstd[start];
    }
    layer(e, ws, &w->layers[start], b, start, base, a);
    rllc_forward_layers(e, ws, w, b, start + 1, own, a);
}
