/* The tangent pass: its memory, and the tangents of all activations of a block. */
#include "tangent.h"

/* ---- memory --------------------------------------------------------------------------------------------------- */

/** Hands out parts of one allocation; with memory NULL it only counts. */
struct arena {
    float *memory;
    int64_t used;
};

static float *take(struct arena *a, int64_t n) {
    float *p = a->memory ? a->memory + a->used : NULL;
    a->used += (n + 15) / 16 * 16;
    return p;
}

static void lay_out_tangent(rllc_tangent *t, const rllc_model_options *o, int64_t rows, struct arena *arena) {
    const int64_t C = o->d_model, HD = o->n_heads * o->d_head;
    const bool ln = o->normalization == RLLC_NORM_LN;
    for (int64_t l = 0; l <= o->n_layers; l++) t->x[l] = take(arena, rows * C);
    for (int64_t l = 0; l < o->n_layers; l++) {
        t->n[l] = ln ? take(arena, rows * C) : t->x[l];
        t->qkv[l] = take(arena, rows * 3 * HD);
        t->z[l] = take(arena, rows * HD);
    }
    t->nf = ln ? take(arena, rows * C) : t->x[o->n_layers];
    t->dx = take(arena, rows * C);
}

static void lay_out(rllc_tangent_space *s, const rllc_model_options *o, int64_t n, struct arena *arena) {
    const int64_t C = o->d_model, HD = o->n_heads * o->d_head, rows = RLLC_BLOCK_ROWS + o->n_ctx;
    s->logits = take(arena, RLLC_BLOCK_ROWS * o->d_vocab);
    s->dx = take(arena, rows * C);
    s->dn = take(arena, rows * C);
    s->dz = take(arena, n * rows * HD);
    s->dqkv = take(arena, n * rows * 3 * HD);
    s->tiles = take(arena, 5 * RLLC_TANGENT_TILE * o->n_ctx);
    for (int64_t i = 0; i < n; i++) {
        rllc_tangent unused, *t = s->tangents ? &s->tangents[i] : &unused;
        lay_out_tangent(t, o, rows, arena);
    }
}

int64_t rllc_tangent_space_floats(const rllc_model *m, int64_t n) {
    rllc_tangent_space s = {0};
    struct arena arena = {0};
    lay_out(&s, &m->options, n, &arena);
    return arena.used;
}

rllc_status rllc_tangent_space_init(rllc_tangent_space *s, const rllc_model *m, int64_t n) {
    rllc_status status = RLLC_OK;
    *s = (rllc_tangent_space){0};
    RLLC_TRY(rllc_alloc(&s->memory, rllc_tangent_space_floats(m, n), sizeof *s->memory));
    RLLC_TRY(rllc_alloc(&s->tangents, n, sizeof *s->tangents));
    struct arena arena = {.memory = s->memory};
    lay_out(s, &m->options, n, &arena);
done:
    if (status != RLLC_OK) rllc_tangent_space_release(s);
    return rllc_fail_within(status, "tangents of a thread");
}

void rllc_tangent_space_release(rllc_tangent_space *s) {
    rllc_free(s->memory);
    rllc_free(s->tangents);
    *s = (rllc_tangent_space){0};
}

/* ---- forward ---------------------------------------------------------------------------------------------------- */

/** out [rows, columns of the heads of s] = beta out + n W, W [C, 3 H D]. */
static void project(const rllc_tangent_pass *p, const rllc_layer_pass *s, const float *n, const float *W, float beta,
                    float *out) {
    const int64_t C = p->e->model->options.d_model, width = 3 * p->e->model->options.d_head;
    const bool all = s->n_heads * width == s->ld;
    for (int64_t i = 0; i < (all ? 1 : s->n_heads); i++) {
        const int64_t at = s->heads[i] * width;
        p->e->k->gemm(false, false, p->b->rows, all ? s->ld : width, C, 1.0F, n, C, W + at, s->ld, beta, out + at,
                      s->ld);
    }
}

/** Tangents of q, k, v: n1 W + n W1 + table1, the first only if the layer's input moves. */
static void project_tangent(const rllc_tangent_pass *p, const rllc_layer_pass *s, int l, bool input_moves,
                            const rllc_direction *d, const rllc_tangent *x) {
    const rllc_kernels *k = p->e->k;
    k->zero(p->b->rows * s->ld, x->qkv[l]);
    if (input_moves) project(p, s, x->n[l], s->w->qkv, 0, x->qkv[l]);
    if (s->p->qkv) project(p, s, p->a->n[l], d->w.layers[l].qkv, 1, x->qkv[l]);
    for (int64_t q = 0; s->p->table && q < p->b->sequences; q++)
        k->add_rows(p->e->t, s->ld, d->w.layers[l].bias, s->ld, x->qkv[l] + q * p->e->t * s->ld, s->ld);
}

/** x1 of the next layer: x1 + z1 W_O + z W_O1 + b_O1. */
static void output_tangent(const rllc_tangent_pass *p, const rllc_layer_pass *s, int l, const rllc_direction *d,
                           const rllc_tangent *x) {
    const rllc_kernels *k = p->e->k;
    const rllc_model_options *o = &p->e->model->options;
    const int64_t C = o->d_model, HD = o->n_heads * o->d_head, rows = p->b->rows;
    const rllc_layer_weights *w1 = &d->w.layers[l];
    float *out = x->x[l + 1];
    k->copy_rows(rows, C, x->x[l], C, out, C);
    if (s->n_heads) k->gemm(false, false, rows, C, HD, 1.0F, x->z[l], HD, s->w->W_O, C, 1.0F, out, C);
    if (s->p->W_O) k->gemm(false, false, rows, C, HD, 1.0F, p->a->z[l], HD, w1->W_O, C, 1.0F, out, C);
    if (s->p->b_O) k->add_rows(rows, C, w1->b_O, 0, out, C);
}

static void layer_tangent(const rllc_tangent_pass *p, int l) {
    const rllc_activations *a = p->a;
    const rllc_model_options *o = &p->e->model->options;
    const int64_t C = o->d_model, HD = o->n_heads * o->d_head;
    bool through;
    const rllc_layer_pass s = rllc_layer_pass_of(p->e, &p->e->base, p->plan, l, &through);
    for (int64_t i = 0; i < p->n; i++) {
        const rllc_tangent *x = &p->space->tangents[i];
        const rllc_layer_weights *w1 = &p->directions[i].w.layers[l];
        if (s.w->ln_w && through)
            rllc_tangent_norm(p->b->rows, C, a->x[l], a->mean[l], a->rstd[l], s.w->ln_w, x->x[l], w1->ln_w, w1->ln_b,
                              x->n[l]);
        if (s.n_heads) project_tangent(p, &s, l, through, &p->directions[i], x);
        p->e->k->zero(p->b->rows * HD, x->z[l]);
    }
    rllc_tangent_attend(p, &s, l);
    for (int64_t i = 0; i < p->n; i++) output_tangent(p, &s, l, &p->directions[i], &p->space->tangents[i]);
}

/** x1 where the tangents begin: rows of W_E1, or 0. */
static void begin(const rllc_tangent_pass *p, int first) {
    const int64_t C = p->e->model->options.d_model;
    for (int64_t i = 0; i < p->n; i++) {
        float *x = p->space->tangents[i].x[first];
        if (p->plan->W_E) {
            p->e->k->gather_rows(p->b->rows, C, p->ws->tokens, p->directions[i].w.W_E, C, x, C);
        } else {
            p->e->k->zero(p->b->rows * C, x);
        }
    }
}

void rllc_tangent_forward(const rllc_tangent_pass *p) {
    const rllc_model_options *o = &p->e->model->options;
    const rllc_activations *a = p->a;
    const rllc_pass_weights *w = &p->e->base;
    const int L = (int)o->n_layers, first = p->plan->start < 0 ? 0 : p->plan->start;
    begin(p, first);
    for (int l = first; l < L; l++) layer_tangent(p, l);
    for (int64_t i = 0; w->lnf_w && i < p->n; i++) {
        const rllc_tangent *x = &p->space->tangents[i];
        const rllc_pass_weights *w1 = &p->directions[i].w;
        rllc_tangent_norm(p->b->rows, o->d_model, a->x[L], a->mean_f, a->rstd_f, w->lnf_w, x->x[L], w1->lnf_w,
                          w1->lnf_b, x->nf);
    }
}
