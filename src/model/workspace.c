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

/** A block has fewer than BLOCK_ROWS + T rows. */
int64_t rllc_block_rows(const rllc_model_options *o) {
    return RLLC_BLOCK_ROWS + o->n_ctx;
}

rllc_status rllc_table_alloc(const rllc_kernels *k, float **out, int64_t n) {
    *out = k->allocate((size_t)n * sizeof **out);
    return *out ? RLLC_OK : rllc_fail(RLLC_ENOMEM, "no memory for %.0f MB of the engine", 4e-6 * (double)n);
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
    const int64_t C = o->d_model, HD = o->n_heads * o->d_head, rows = rllc_block_rows(o);
    lay_out_activations(&ws->base, o, rows, arena);
    lay_out_activations(&ws->own, o, rows, arena);
    ws->logits = take(arena, RLLC_BLOCK_ROWS * o->d_vocab);
    ws->dnf = take(arena, rows * C);
    ws->dx = take(arena, rows * C);
    ws->dn = take(arena, rows * C);
    ws->dz = take(arena, rows * HD);
    ws->dqkv = take(arena, rows * 3 * HD);
    ws->attention = take(arena, k->attention_scratch(o->n_ctx, o->d_head));
    ws->replacement = take(arena, o->n_ctx * o->d_head);
    ws->losses = take(arena, RLLC_BLOCK_ROWS);
    ws->tokens = (int32_t *)take(arena, rows);
    ws->targets = (int32_t *)take(arena, rows);
}

int64_t rllc_workspace_floats(const rllc_model *m, const rllc_kernels *k) {
    rllc_workspace ws = {0};
    struct arena arena = {0};
    lay_out(&ws, m, k, &arena);
    return arena.used;
}

rllc_status rllc_workspace_init(rllc_workspace *ws, const rllc_model *m, const rllc_kernels *k) {
    rllc_status status = RLLC_OK;
    *ws = (rllc_workspace){0};
    RLLC_TRY(rllc_table_alloc(k, &ws->memory, rllc_workspace_floats(m, k)));
    RLLC_TRY(rllc_alloc(&ws->host, RLLC_BLOCK_ROWS + 2 * m->options.d_head, sizeof *ws->host));
    RLLC_TRY(rllc_alloc(&ws->host_ids, rllc_block_rows(&m->options), sizeof *ws->host_ids));
    struct arena arena = {.memory = ws->memory};
    lay_out(ws, m, k, &arena);
    return RLLC_OK;
done:
    return rllc_fail_within(status, "workspace of a thread");
}

void rllc_workspace_release(rllc_workspace *ws, const rllc_kernels *k) {
    if (!ws) return;
    k->release(ws->memory);
    rllc_free(ws->host);
    rllc_free(ws->host_ids);
    rllc_low_rank_space_release(&ws->low_rank, k);
    rllc_reference_release(ws, k);
    *ws = (rllc_workspace){0};
}

/* ---- the low-rank part ----------------------------------------------------------------------------------------- */

/** Members whose moved heads are held at once. */
static int64_t at_once(const rllc_needs *n) {
    return n->last > 1 ? n->last : 1;
}

static void lay_out_low_rank(rllc_low_rank_space *s, const rllc_model *m, const rllc_kernels *k, const rllc_needs *n,
                             struct arena *arena) {
    const rllc_model_options *o = &m->options;
    const int64_t C = o->d_model, V = o->d_vocab, width = 3 * o->n_heads * o->d_head;
    const int64_t rows = n->earlier || RLLC_PIECE_ROWS > rllc_block_rows(o) ? rllc_block_rows(o) : RLLC_PIECE_ROWS;
    const int64_t a = n->earlier ? rows * width : 0, piece = n->last ? RLLC_PIECE_ROWS * V : 0;
    s->u_base = take(arena, a);
    s->r = take(arena, rows * C);
    s->a = take(arena, a > piece ? a : piece);
    s->y_base = take(arena, rows * n->rank);
    s->x = take(arena, rows * C);
    s->xhat = take(arena, rows * C);
    float **const vectors[] = {&s->mean, &s->rstd, &s->ratio, &s->g, &s->h};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) *vectors[i] = take(arena, rows);
    s->y = take(arena, rows * n->rank);
    s->dy = take(arena, rows * n->rank);
    s->t = take(arena, rows * n->rank);
    s->u = take(arena, a);
    s->lse = take(arena, RLLC_PIECE_ROWS);
    s->losses = take(arena, RLLC_PIECE_ROWS);
    s->kernel = take(arena, n->last ? k->low_rank_scratch(RLLC_PIECE_ROWS, V, n->rank) : 0);
    for (int64_t i = 0; i < at_once(n); i++) {
        rllc_heads unused, *h = s->heads ? &s->heads[i] : &unused;
        h->qkv = take(arena, rllc_block_rows(o) * 3 * n->rank);
        h->z = take(arena, rllc_block_rows(o) * n->rank);
        h->dz = take(arena, rllc_block_rows(o) * n->rank);
        h->lse = take(arena, rllc_block_rows(o) * (n->rank / o->d_head));
    }
}

int64_t rllc_low_rank_space_floats(const rllc_model *m, const rllc_kernels *k, const rllc_needs *needs) {
    rllc_low_rank_space s = {0};
    struct arena arena = {0};
    if (needs->rank == 0) return 0;
    lay_out_low_rank(&s, m, k, needs, &arena);
    return arena.used;
}

rllc_status rllc_low_rank_space_init(rllc_low_rank_space *s, const rllc_model *m, const rllc_kernels *k,
                                     const rllc_needs *needs) {
    rllc_status status = RLLC_OK;
    *s = (rllc_low_rank_space){0};
    RLLC_TRY(rllc_table_alloc(k, &s->memory, rllc_low_rank_space_floats(m, k, needs)));
    RLLC_TRY(rllc_alloc(&s->heads, at_once(needs), sizeof *s->heads));
    struct arena arena = {.memory = s->memory};
    lay_out_low_rank(s, m, k, needs, &arena);
    return RLLC_OK;
done:
    rllc_low_rank_space_release(s, k);
    return rllc_fail_within(status, "workspace of the moved heads");
}

void rllc_low_rank_space_release(rllc_low_rank_space *s, const rllc_kernels *k) {
    k->release(s->memory);
    rllc_free(s->heads);
    *s = (rllc_low_rank_space){0};
}
