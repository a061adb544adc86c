/* The scratch of one thread: activations of a block, base and member, and the buffers of the backward pass. */
#include "engine.h"

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

static void lay_out_activations(rllc_activations *a, const rllc_model_options *o, int64_t rows, struct arena *arena) {
    const int64_t C = o->d_model, HD = o->n_heads * o->d_head;
    const bool ln = o->normalization == RLLC_NORM_LN;
    for (int64_t l = 0; l <= o->n_layers; l++) a->x[l] = take(arena, rows * C);
    for (int64_t l = 0; l < o->n_layers; l++) {
        if (ln) {
            a->n[l] = take(arena, rows * C);
            a->mean[l] = take(arena, rows);
            a->rstd[l] = take(arena, rows);
        }
        a->qkv[l] = take(arena, rows * 3 * HD);
        a->z[l] = take(arena, rows * HD);
        a->lse[l] = take(arena, rows * o->n_heads);
    }
    if (ln) {
        a->nf = take(arena, rows * C);
        a->mean_f = take(arena, rows);
        a->rstd_f = take(arena, rows);
    }
}

static void lay_out(rllc_workspace *ws, const rllc_model *m, const rllc_kernels *k, struct arena *arena) {
    const rllc_model_options *o = &m->options;
    const int64_t C = o->d_model, HD = o->n_heads * o->d_head;
    const int64_t rows = RLLC_BLOCK_ROWS + o->n_ctx; /* a block has fewer than BLOCK_ROWS + T rows */
    lay_out_activations(&ws->base, o, rows, arena);
    lay_out_activations(&ws->own, o, rows, arena);
    ws->logits = take(arena, RLLC_BLOCK_ROWS * o->d_vocab);
    ws->dnf = take(arena, rows * C);
    ws->dx = take(arena, rows * C);
    ws->dn = take(arena, rows * C);
    ws->dz = take(arena, rows * HD);
    ws->dqkv = take(arena, rows * 3 * HD);
    ws->attention = take(arena, k->attention_scratch(o->n_ctx, o->d_head));
    ws->losses = take(arena, rows);
    ws->targets = (int32_t *)take(arena, rows);
}

int64_t rllc_workspace_floats(const rllc_model *m, const rllc_kernels *k) {
    rllc_workspace ws = {0};
    struct arena arena = {0};
    lay_out(&ws, m, k, &arena);
    return arena.used;
}

rllc_status rllc_workspace_init(rllc_workspace *ws, const rllc_model *m, const rllc_kernels *k) {
    *ws = (rllc_workspace){0};
    rllc_status status = rllc_alloc(&ws->memory, rllc_workspace_floats(m, k), sizeof *ws->memory);
    if (status != RLLC_OK) return rllc_fail_within(status, "workspace of a thread");
    struct arena arena = {.memory = ws->memory};
    lay_out(ws, m, k, &arena);
    return RLLC_OK;
}

void rllc_workspace_release(rllc_workspace *ws) {
    if (ws) rllc_free(ws->memory);
}
