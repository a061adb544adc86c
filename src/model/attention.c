/* Attention of heads: from a query to a key, rows of patterns, and all of every pattern. */
#include <string.h>

#include "batch.h"

struct attention_call {
    rllc_pass pass;
    const int64_t *query, *key;
    float *out;
};

static void forward_block(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b) {
    rllc_upload_tokens(p->e, ws, b);
    rllc_forward(p->e, ws, &p->e->base, NULL, b, NULL, &ws->view);
}

/** host: room for 2 D numbers. */
static float attention_entry(const rllc_engine *e, const rllc_activations *a, int64_t l, int64_t h, int64_t rows,
                             int64_t query_row, int64_t key_row, float *host) {
    const int64_t D = e->model->options.d_head, ld = e->model->options.n_heads * 3 * D;
    const float *q = a->qkv[l] + query_row * ld + h * 3 * D, *k = a->qkv[l] + key_row * ld + h * 3 * D + D;
    double s = 0;
    float lse;
    e->k->download((size_t)D * sizeof *q, q, host);
    e->k->download((size_t)D * sizeof *k, k, host + D);
    e->k->download(sizeof lse, &a->lse[l][h * rows + query_row], &lse);
    for (int64_t i = 0; i < D; i++) s += (double)host[i] * (double)host[D + i];
    return (float)exp(s * rllc_attention_scale(D) - (double)lse);
}

static rllc_status attention_block(void *context, int64_t k, int worker) {
    const struct attention_call *c = context;
    const rllc_pass *p = &c->pass;
    rllc_engine *e = p->e;
    const int64_t H = e->model->options.n_heads, L = e->model->options.n_layers;
    rllc_workspace *ws = &e->workspaces[worker];
    const rllc_block b = rllc_pass_block(p, k);
    forward_block(p, ws, &b);
    for (int64_t s = 0; s < b.sequences; s++) {
        const int64_t r = b.first + s, row = s * e->t;
        for (int64_t i = 0; i < L * H; i++)
            c->out[r * L * H + i] =
                c->key[r] > c->query[r]
                    ? 0.0F
                    : attention_entry(e, &ws->view, i / H, i % H, b.rows, row + c->query[r], row + c->key[r], ws->host);
    }
    return RLLC_OK;
}

rllc_status rllc_engine_attention(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                  const int64_t *query, const int64_t *key, float *out) {
    rllc_status status = RLLC_OK;
    struct attention_call c = {.pass = {.e = e, .tokens = tokens, .rows = rows, .cut = rllc_cut_batch(e->t, rows)},
                               .query = query,
                               .key = key,
                               .out = out};
    RLLC_TRY(rllc_pass_check(&c.pass));
    for (int64_t r = 0; r < rows; r++)
        if (query[r] < 0 || query[r] >= e->t || key[r] < 0 || key[r] >= e->t)
            return rllc_fail(RLLC_EMISMATCH, "sequence %lld asks for attention from %lld to %lld, expected 0 to %lld",
                             (long long)r, (long long)query[r], (long long)key[r], (long long)e->t - 1);
    rllc_pass_pack_base(&c.pass, weights);
    RLLC_TRY(rllc_parallel(c.pass.cut.blocks, e->n_threads, attention_block, &c));
done:
    return status;
}

/* ---- rows of patterns -------------------------------------------------------------------------------------------- */

enum { QUERIES = 64 }; /* of a pattern, formed at once */

/* One thread's room: a few rows of one pattern at a time, never T x T. */
struct pattern_room {
    float *scores;  /* [QUERIES, T] the table's */
    float *a, *lse; /* [QUERIES, T], [QUERIES] the host's */
};

struct pattern_call {
    rllc_pass pass;
    struct pattern_room rooms[RLLC_SLOTS]; /* [n_threads] */
    const rllc_attention_row *list;
    int64_t n;
    rllc_attention_visitor visit;
    void *context;
};

static rllc_status pattern_call_init(struct pattern_call *c, rllc_engine *e, const int32_t *tokens, int64_t rows) {
    rllc_status status = RLLC_OK;
    *c = (struct pattern_call){.pass = {.e = e, .tokens = tokens, .rows = rows, .cut = rllc_cut_batch(e->t, rows)}};
    RLLC_TRY(rllc_pass_check(&c->pass));
    for (int i = 0; i < e->n_threads; i++) {
        RLLC_TRY(rllc_table_alloc(e->k, &c->rooms[i].scores, QUERIES * e->t));
        RLLC_TRY(rllc_alloc(&c->rooms[i].a, QUERIES * e->t, sizeof *c->rooms[i].a));
        RLLC_TRY(rllc_alloc(&c->rooms[i].lse, QUERIES, sizeof *c->rooms[i].lse));
    }
done:
    return status;
}

static void pattern_call_release(struct pattern_call *c) {
    for (int i = 0; i < RLLC_SLOTS; i++) {
        c->pass.e->k->release(c->rooms[i].scores);
        rllc_free(c->rooms[i].a);
        rllc_free(c->rooms[i].lse);
    }
}

/** Where a head's queries of one sequence begin: rows of the block, at stride 3 H D. */
struct pattern {
    const float *q, *lse;
    int64_t ld;
};

static struct pattern pattern_of(const rllc_engine *e, const rllc_activations *a, const rllc_block *b, int64_t sequence,
                                 int64_t l, int64_t h) {
    const int64_t D = e->model->options.d_head, ld = e->model->options.n_heads * 3 * D,
                  row = (sequence - b->first) * e->t;
    return (struct pattern){.q = a->qkv[l] + row * ld + h * 3 * D, .lse = a->lse[l] + h * b->rows + row, .ld = ld};
}

/** A_ij = exp(scale q_i . k_j - lse_i) of queries first .. first+n-1, each up to its own position.             (E110)
 *  into room->a, row i at stride first + n. */
static void pattern_rows(const rllc_engine *e, const struct pattern_room *room, const struct pattern *p, int64_t first,
                         int64_t n) {
    const int64_t D = e->model->options.d_head, keys = first + n;
    const double scale = rllc_attention_scale(D);
    e->k->gemm(false, true, n, keys, D, 1.0F, p->q + first * p->ld, p->ld, p->q + D, p->ld, 0.0F, room->scores, keys);
    e->k->download((size_t)(n * keys) * sizeof *room->a, room->scores, room->a);
    e->k->download((size_t)n * sizeof *room->lse, p->lse + first, room->lse);
    for (int64_t i = 0; i < n; i++) {
        float *a = room->a + i * keys;
        for (int64_t j = 0; j <= first + i; j++) a[j] = expf((float)(scale * (double)a[j] - (double)room->lse[i]));
    }
}

static rllc_status patterns_block(void *context, int64_t k, int worker) {
    const struct pattern_call *c = context;
    rllc_engine *e = c->pass.e;
    const struct pattern_room *room = &c->rooms[worker];
    const rllc_block b = rllc_pass_block(&c->pass, k);
    const int64_t H = e->model->options.n_heads, heads = e->model->options.n_layers * H;
    forward_block(&c->pass, &e->workspaces[worker], &b);
    for (int64_t s = b.first; s < b.first + b.sequences; s++)
        for (int64_t i = 0; i < heads; i++) {
            const struct pattern p = pattern_of(e, &e->workspaces[worker].view, &b, s, i / H, i % H);
            for (int64_t first = 0; first < e->t; first += QUERIES) {
                const int64_t n = e->t - first < QUERIES ? e->t - first : QUERIES;
                pattern_rows(e, room, &p, first, n);
                for (int64_t q = 0; q < n; q++)
                    c->visit(c->context, s, (int)(i / H), (int)(i % H), first + q, room->a + q * (first + n));
            }
        }
    return RLLC_OK;
}

rllc_status rllc_engine_attention_patterns(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                           rllc_attention_visitor visit, void *context) {
    rllc_status status = RLLC_OK;
    struct pattern_call c;
    RLLC_TRY(pattern_call_init(&c, e, tokens, rows));
    c.visit = visit;
    c.context = context;
    rllc_pass_pack_base(&c.pass, weights);
    RLLC_TRY(rllc_parallel(c.pass.cut.blocks, e->n_threads, patterns_block, &c));
done:
    pattern_call_release(&c);
    return status;
}

static rllc_status rows_block(void *context, int64_t k, int worker) {
    const struct pattern_call *c = context;
    rllc_engine *e = c->pass.e;
    const struct pattern_room *room = &c->rooms[worker];
    const rllc_block b = rllc_pass_block(&c->pass, k);
    bool ran = false;
    for (int64_t i = 0; i < c->n; i++) {
        const rllc_attention_row *r = &c->list[i];
        if (r->sequence < b.first || r->sequence >= b.first + b.sequences) continue;
        if (!ran) forward_block(&c->pass, &e->workspaces[worker], &b);
        ran = true;
        const struct pattern p = pattern_of(e, &e->workspaces[worker].view, &b, r->sequence, r->layer, r->head);
        pattern_rows(e, room, &p, r->query, 1);
        memcpy(r->attention, room->a, (size_t)(r->query + 1) * sizeof *room->a);
    }
    return RLLC_OK;
}

static rllc_status check_row(const rllc_engine *e, int64_t rows, const rllc_attention_row *r, int64_t i) {
    const rllc_model_options *o = &e->model->options;
    if (r->sequence >= 0 && r->sequence < rows && r->layer >= 0 && r->layer < o->n_layers && r->head >= 0 &&
        r->head < o->n_heads && r->query >= 0 && r->query < e->t)
        return RLLC_OK;
    return rllc_fail(RLLC_EMISMATCH,
                     "row %lld of patterns is sequence %lld, head %d:%d, query %lld; there are %lld sequences of %lld "
                     "tokens, %lld layers and %lld heads",
                     (long long)i, (long long)r->sequence, r->layer, r->head, (long long)r->query, (long long)rows,
                     (long long)e->t, (long long)o->n_layers, (long long)o->n_heads);
}

rllc_status rllc_engine_attention_rows(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                       const rllc_attention_row *list, int64_t n) {
    rllc_status status = RLLC_OK;
    struct pattern_call c;
    RLLC_TRY(pattern_call_init(&c, e, tokens, rows));
    for (int64_t i = 0; i < n; i++) RLLC_TRY(check_row(e, rows, &list[i], i));
    c.list = list;
    c.n = n;
    rllc_pass_pack_base(&c.pass, weights);
    RLLC_TRY(rllc_parallel(c.pass.cut.blocks, e->n_threads, rows_block, &c));
done:
    pattern_call_release(&c);
    return status;
}
