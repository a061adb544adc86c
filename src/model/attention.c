/* Attention of every head from a query to a key, for scores. */
#include "batch.h"

struct attention_call {
    rllc_pass pass;
    const int64_t *query, *key;
    float *out;
};

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
    rllc_upload_tokens(e, ws, &b);
    rllc_forward(e, ws, &e->base, NULL, &b, NULL, &ws->view);
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
