/* Weights in the layout a pass computes with: the q, k, v projections of a layer side by side, positions folded in. */
#include <string.h>

#include "engine.h"

/** Where the slices of tensor `suffix` of a layer come from: the member's free vector, or the base. */
struct slices {
    const rllc_engine *e;
    const rllc_model *m;
    const float *base, *free;
    const rllc_plan *plan;
};

static int64_t index_of(const rllc_model *m, const char *suffix, int layer) {
    for (int64_t i = 0; i < m->n_parameters; i++) {
        const rllc_parameter *p = &m->parameters[i];
        if (p->layer != layer) continue;
        const char *dot = layer < 0 ? p->name : strchr(strchr(p->name, '.') + 1, '.') + 1;
        if (strcmp(dot, suffix) == 0) return i;
    }
    return -1;
}

/** Slice h of the tensor, or the whole tensor for those without heads; NULL if the model has no such tensor. */
static const float *slice(const struct slices *s, const char *suffix, int layer, int64_t h) {
    const int64_t i = index_of(s->m, suffix, layer);
    if (i < 0) return NULL;
    const rllc_parameter *p = &s->m->parameters[i];
    const int64_t at = s->plan ? s->plan->slice_offsets[i * s->m->options.n_heads + h] : -1;
    if (at >= 0) return s->free + at;
    return s->base + p->offset + (p->has_heads ? h * (p->n / p->shape[0]) : 0);
}

/** qkv [C, n 3D] and bias [T, n 3D] of the listed heads.                                                    (E8) */
static void pack_qkv(const struct slices *s, int layer, const int *heads, int64_t n, const float *W_pos, float *qkv,
                     float *bias) {
    static const char *const weight[] = {"attn.W_Q", "attn.W_K", "attn.W_V"};
    static const char *const offset[] = {"attn.b_Q", "attn.b_K", "attn.b_V"};
    const rllc_kernels *k = s->e->k;
    const int64_t C = s->m->options.d_model, D = s->m->options.d_head, width = n * 3 * D, t = s->e->t;
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < 3; j++)
            k->copy_rows(C, D, slice(s, weight[j], layer, heads[i]), D, qkv + (3 * i + j) * D, width);
    k->gemm(false, false, t, width, C, 1.0F, W_pos, C, qkv, width, 0.0F, bias, width);
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < 3; j++) {
            const float *b = slice(s, offset[j], layer, heads[i]);
            float *out = bias + (3 * i + j) * D;
            if (j < 2) {
                k->add_rows(t, D, b, 0, out, width);
            } else { /* positions do not enter the values */
                k->copy_rows(t, D, b, 0, out, width);
            }
        }
}

static bool layer_changes(const rllc_plan *plan, int64_t l) {
    const rllc_plan_layer *p = &plan->layers[l];
    return p->n_heads > 0 || p->ln || p->b_O;
}

/** Heads that the pass computes at layer l: all, unless only some of them differ where the pass begins. */
static int64_t packed_heads(const rllc_model *m, const rllc_plan *plan, int64_t l) {
    return plan && plan->partial_start && l == plan->start ? plan->layers[l].n_heads : m->options.n_heads;
}

/** Whether W_O must be assembled from moved and unmoved heads. */
static bool mixed_W_O(const rllc_model *m, const rllc_plan *plan, int64_t l) {
    if (!plan || !plan->layers[l].W_O) return false;
    const int64_t H = m->options.n_heads;
    const int64_t *at = plan->slice_offsets + index_of(m, "attn.W_O", (int)l) * H;
    for (int64_t h = 0; h < H; h++)
        if (at[h] < 0) return true;
    return false;
}

static int64_t round_up(int64_t n) {
    return (n + 15) / 16 * 16;
}

static bool is_entry(const rllc_plan *plan, int64_t l) {
    return plan && plan->path != RLLC_PATH_PLAIN && l == plan->start;
}

int64_t rllc_entry_size(const rllc_model *m, const rllc_plan *plan) {
    return round_up(plan->rank * m->options.d_model) + round_up(plan->rank * plan->outputs);
}

int64_t rllc_pass_weights_size(const rllc_model *m, const rllc_plan *plan) {
    const rllc_model_options *o = &m->options;
    int64_t size = 0;
    for (int64_t l = 0; l < o->n_layers; l++) {
        if (plan && !layer_changes(plan, l)) continue;
        const int64_t width = packed_heads(m, plan, l) * 3 * o->d_head;
        size += round_up(o->d_model * width) + round_up(o->n_ctx * width);
        if (is_entry(plan, l)) {
            size += rllc_entry_size(m, plan);
        } else if (mixed_W_O(m, plan, l)) {
            size += round_up(o->n_heads * o->d_head * o->d_model);
        }
    }
    return size;
}

int64_t rllc_member_space(const rllc_engine *e, const rllc_plan *plan) {
    return rllc_pass_weights_size(e->model, plan) + (e->k->host_memory ? 0 : round_up(plan->component.size));
}

static float *take(float **space, int64_t n) {
    float *part = *space;
    *space += round_up(n);
    return part;
}

static void pack_layer(rllc_layer_weights *w, const struct slices *s, int layer, const float *W_pos, float **space) {
    const rllc_model_options *o = &s->m->options;
    const int64_t C = o->d_model, D = o->d_head;
    w->layer = layer;
    w->n_heads = packed_heads(s->m, s->plan, layer);
    w->heads = w->n_heads < o->n_heads ? s->plan->layers[layer].heads : s->e->all_heads;
    const int64_t width = w->n_heads * 3 * D;
    float *qkv = take(space, C * width), *bias = take(space, o->n_ctx * width);
    if (w->n_heads) pack_qkv(s, layer, w->heads, w->n_heads, W_pos, qkv, bias);
    w->qkv = qkv;
    w->bias = bias;
    w->W_O = slice(s, "attn.W_O", layer, 0);
    if (mixed_W_O(s->m, s->plan, layer) && !is_entry(s->plan, layer)) {
        float *all = take(space, o->n_heads * D * C);
        for (int64_t h = 0; h < o->n_heads; h++)
            s->e->k->copy_rows(D, C, slice(s, "attn.W_O", layer, h), C, all + h * D * C, C);
        w->W_O = all;
    }
    w->b_O = slice(s, "attn.b_O", layer, 0);
    w->ln_w = slice(s, "ln1.w", layer, 0);
    w->ln_b = slice(s, "ln1.b", layer, 0);
}

void rllc_entry_pack(rllc_entry_weights *w, const rllc_engine *e, const float *base, const rllc_plan *plan,
                     const float *free, float *space) {
    const struct slices s = {e, e->model, base, free, free ? plan : NULL};
    const int64_t C = e->model->options.d_model, D = e->model->options.d_head;
    const rllc_plan_layer *p = &plan->layers[plan->start];
    float *W_O = take(&space, plan->rank * C), *b = take(&space, plan->rank * plan->outputs);
    for (int64_t i = 0; i < p->n_heads; i++)
        e->k->copy_rows(D, C, slice(&s, "attn.W_O", plan->start, p->heads[i]), C, W_O + i * D * C, C);
    e->k->gemm(false, false, plan->rank, plan->outputs, C, 1.0F, W_O, C, e->folds[plan->start + 1].W, plan->outputs,
               0.0F, b, plan->outputs);
    *w = (rllc_entry_weights){W_O, b};
}

void rllc_pass_weights_pack(rllc_pass_weights *w, const rllc_engine *e, const float *base, const rllc_plan *plan,
                            const float *free, const rllc_pass_weights *base_pass, float *space) {
    const struct slices s = {e, e->model, base, free, plan};
    w->W_E = slice(&s, "embed.W_E", -1, 0);
    w->W_pos = slice(&s, "pos_embed.W_pos", -1, 0);
    w->lnf_w = slice(&s, "ln_final.w", -1, 0);
    w->lnf_b = slice(&s, "ln_final.b", -1, 0);
    w->W_U = slice(&s, "unembed.W_U", -1, 0);
    w->b_U = slice(&s, "unembed.b_U", -1, 0);
    for (int l = 0; l < e->model->options.n_layers; l++) {
        if (plan && !layer_changes(plan, l)) {
            w->layers[l] = base_pass->layers[l];
        } else {
            pack_layer(&w->layers[l], &s, l, w->W_pos, &space);
        }
    }
    if (plan && plan->path != RLLC_PATH_PLAIN) rllc_entry_pack(&w->entry, e, base, plan, free, space);
}

/* ---- folds ----------------------------------------------------------------------------------------------------- */

static void fold_shape(const rllc_model_options *o, int64_t l, int64_t *outputs, int64_t *rows) {
    *outputs = l == o->n_layers ? o->d_vocab : 3 * o->n_heads * o->d_head;
    *rows = l == o->n_layers ? 1 : o->n_ctx;
}

int64_t rllc_fold_size(const rllc_model *m, int64_t l) {
    int64_t outputs, rows;
    fold_shape(&m->options, l, &outputs, &rows);
    return round_up(m->options.d_model * outputs) + round_up(rows * outputs) + outputs;
}

void rllc_fold_pack(const rllc_engine *e, int64_t l, rllc_fold *f) {
    const rllc_model_options *o = &e->model->options;
    const rllc_pass_weights *w = &e->base;
    const rllc_kernels *k = e->k;
    const bool final = l == o->n_layers;
    const float *map = final ? w->W_U : w->layers[l].qkv, *added = final ? w->b_U : w->layers[l].bias;
    const float *gain = final ? w->lnf_w : w->layers[l].ln_w, *offset = final ? w->lnf_b : w->layers[l].ln_b;
    int64_t n, rows;
    fold_shape(o, l, &n, &rows);
    if (!final) rows = e->t;
    f->W = map;
    f->c = added;
    if (!gain) return;
    float *space = f->space, *W = take(&space, o->d_model * n), *c = take(&space, rows * n), *row = take(&space, n);
    k->scale_rows(o->d_model, n, gain, map, n, W, n);
    k->zero(n, row);
    k->column_sum(o->d_model, n, W, n, row);
    k->add_scaled_rows(o->d_model, n, e->minus_mean, row, 0, W, n); /* every column loses its mean */
    k->gemm(false, false, 1, n, o->d_model, 1.0F, offset, o->d_model, map, n, 0.0F, row, n);
    k->copy_rows(rows, n, added, n, c, n);
    k->add_rows(rows, n, row, 0, c, n);
    f->W = W;
    f->c = c;
}
