/* The packed gradient, summed over the batch, in the layout of the free vector. */
#include <string.h>

#include "engine.h"

/** A tensor whose packed gradient, at `from`, already has its layout. */
static void copy_out(const rllc_engine *e, const rllc_plan *plan, int64_t i, const float *g, int64_t from, float *out) {
    const rllc_model *m = e->model;
    const int64_t at = plan->slice_offsets[i * m->options.n_heads], n = m->parameters[i].n;
    if (at >= 0) e->k->copy_rows(1, n, g + from, n, out + at, n);
}

/** dW [C, D] = columns of the projection's gradient, plus pos^T times the table's for queries and keys.       (E8) */
static void unpack_projection(const rllc_engine *e, const rllc_pass_weights *w, const rllc_plan_layer *p, int64_t i,
                              int j, const float *g, float *out) {
    const int64_t C = e->model->options.d_model, D = e->model->options.d_head, width = p->n_heads * 3 * D;
    const int64_t at = (3 * i + j) * D;
    e->k->copy_rows(C, D, g + p->at_qkv + at, width, out, D);
    if (j < 2) e->k->gemm(true, false, C, D, e->t, 1.0F, w->W_pos, C, g + p->at_table + at, width, 1.0F, out, D);
}

static void unpack_bias(const rllc_engine *e, const rllc_plan_layer *p, int64_t i, int j, const float *g, float *out) {
    const int64_t D = e->model->options.d_head;
    e->k->zero(D, out);
    e->k->column_sum(e->t, D, g + p->at_table + (3 * i + j) * D, p->n_heads * 3 * D, out);
}

/** dW_O [D, C] of listed head i += (Wf sum delta x y)^T.                                                      (E81) */
static void add_through_fold(const rllc_engine *e, const rllc_plan *plan, int64_t i, const float *g, float *out) {
    const int64_t C = e->model->options.d_model, D = e->model->options.d_head, n = plan->outputs;
    const float *m = g + plan->at_m, *W = e->folds[plan->start + 1].W;
    if (plan->path == RLLC_PATH_LAST) {
        e->k->gemm(true, true, D, C, n, 1.0F, m + i * D, plan->rank, W, n, 1.0F, out, C);
    } else {
        e->k->gemm(false, true, D, C, n, 1.0F, m + i * D * n, n, W, n, 1.0F, out, C);
    }
}

/** One head's slice of a tensor with heads. */
static void unpack_slice(const rllc_engine *e, const rllc_pass_weights *w, const rllc_plan *plan,
                         const rllc_plan_layer *p, const char *suffix, int64_t i, const float *g, float *out) {
    const int64_t C = e->model->options.d_model, D = e->model->options.d_head;
    const char letter = suffix[2];
    if (letter == 'O') {
        e->k->copy_rows(D, C, g + p->at_W_O + i * D * C, C, out, C);
        if (plan->path != RLLC_PATH_PLAIN) add_through_fold(e, plan, i, g, out);
        return;
    }
    const int j = letter == 'Q' ? 0 : letter == 'K' ? 1 : 2;
    if (suffix[0] == 'W') {
        unpack_projection(e, w, p, i, j, g, out);
    } else {
        unpack_bias(e, p, i, j, g, out);
    }
}

/** dW_pos = sum over layers and heads of [dq dk] [W_Q W_K]^T. */
static void unpack_positions(const rllc_engine *e, const rllc_pass_weights *w, const rllc_plan *plan, int64_t i,
                             const float *g, float *out) {
    const rllc_model_options *o = &e->model->options;
    const int64_t C = o->d_model, D = o->d_head, width = o->n_heads * 3 * D;
    const int64_t at = plan->slice_offsets[i * o->n_heads];
    if (at < 0) return;
    e->k->zero(e->model->parameters[i].n, out + at);
    for (int64_t l = 0; l < o->n_layers; l++)
        for (int64_t h = 0; h < o->n_heads; h++)
            e->k->gemm(false, true, e->t, C, 2 * D, 1.0F, g + plan->layers[l].at_table + h * 3 * D, width,
                       w->layers[l].qkv + h * 3 * D, width, 1.0F, out + at, C);
}

static void unpack_layer_tensor(const rllc_engine *e, const rllc_pass_weights *w, const rllc_plan *plan, int64_t i,
                                const float *g, float *out) {
    const rllc_model *m = e->model;
    const rllc_parameter *t = &m->parameters[i];
    const rllc_plan_layer *p = &plan->layers[t->layer];
    const char *suffix = strrchr(t->name, '.') + 1;
    if (!t->has_heads) {
        const int64_t at = strstr(t->name, ".ln1.w") ? p->at_ln_w : strstr(t->name, ".ln1.b") ? p->at_ln_b : p->at_b_O;
        copy_out(e, plan, i, g, at, out);
        return;
    }
    for (int64_t k = 0; k < p->n_heads; k++) {
        const int64_t at = plan->slice_offsets[i * m->options.n_heads + p->heads[k]];
        if (at >= 0) unpack_slice(e, w, plan, p, suffix, k, g, out + at);
    }
}

void rllc_gradient_unpack(const rllc_engine *e, const rllc_pass_weights *w, const rllc_plan *plan, const float *g,
                          float *out) {
    const rllc_model *m = e->model;
    for (int64_t i = 0; i < m->n_parameters; i++) {
        const rllc_parameter *t = &m->parameters[i];
        const char *name = t->name;
        if (t->layer >= 0) {
            unpack_layer_tensor(e, w, plan, i, g, out);
        } else if (strcmp(name, "pos_embed.W_pos") == 0) {
            unpack_positions(e, w, plan, i, g, out);
        } else {
            const int64_t at = strcmp(name, "embed.W_E") == 0     ? plan->at_W_E
                               : strcmp(name, "ln_final.w") == 0  ? plan->at_lnf_w
                               : strcmp(name, "ln_final.b") == 0  ? plan->at_lnf_b
                               : strcmp(name, "unembed.W_U") == 0 ? plan->at_W_U
                                                                  : plan->at_b_U;
            copy_out(e, plan, i, g, at, out);
        }
    }
}
