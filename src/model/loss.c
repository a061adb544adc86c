/* Unembedding and losses over a block, a few rows at a time: no array of T x V. */
#include "engine.h"

void rllc_logits(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const float *nf, int64_t first,
                 int64_t n) {
    const int64_t C = e->model->options.d_model, V = e->model->options.d_vocab;
    e->k->gemm(false, false, n, V, C, 1.0F, nf + first * C, C, w->W_U, V, 0.0F, ws->logits, V);
    e->k->add_rows(n, V, w->b_U, 0, ws->logits, V);
}

void rllc_row_losses(const rllc_engine *e, rllc_workspace *ws, int64_t first, int64_t n, double gradient_scale,
                     float *lse) {
    const int64_t V = e->model->options.d_vocab;
    const int32_t *targets = ws->targets + first;
    if (e->reference) {
        e->k->kl_divergence(n, V, ws->logits, V, ws->reference + first * V, V, targets, gradient_scale, ws->losses);
    } else {
        e->k->cross_entropy(n, V, ws->logits, V, targets, gradient_scale, ws->losses, lse);
    }
}

void rllc_collect(const rllc_engine *e, rllc_workspace *ws, const rllc_block *b, int64_t first, int64_t n,
                  const float *losses, float *token_losses, double *sum) {
    e->k->download((size_t)n * sizeof *losses, losses, ws->host);
    for (int64_t i = 0; i < n; i++) {
        const int64_t sequence = (first + i) / e->t, position = (first + i) % e->t;
        if (position == e->t - 1) continue;
        *sum += (double)ws->host[i];
        if (token_losses) token_losses[(b->first + sequence) * (e->t - 1) + position] = ws->host[i];
    }
}

double rllc_loss(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const float *nf,
                 const rllc_block *b, const rllc_loss_request *q) {
    const rllc_kernels *k = e->k;
    const int64_t C = e->model->options.d_model, V = e->model->options.d_vocab;
    double sum = 0;
    for (int64_t r = 0; r < b->rows; r += RLLC_BLOCK_ROWS) {
        const int64_t n = b->rows - r < RLLC_BLOCK_ROWS ? b->rows - r : RLLC_BLOCK_ROWS;
        const float *y = nf + r * C;
        rllc_logits(e, ws, w, nf, r, n);
        if (q->logits)
            k->download((size_t)(n * V) * sizeof *ws->logits, ws->logits, q->logits + (b->first * e->t + r) * V);
        rllc_row_losses(e, ws, r, n, q->gradient_scale, NULL);
        rllc_collect(e, ws, b, r, n, ws->losses, q->token_losses, &sum);
        if (q->dW_U) k->gemm(true, false, C, V, n, 1.0F, y, C, ws->logits, V, 1.0F, q->dW_U, V);
        if (q->db_U) k->column_sum(n, V, ws->logits, V, q->db_U);
        if (q->dnf) k->gemm(false, true, n, C, V, 1.0F, ws->logits, V, w->W_U, V, 0.0F, ws->dnf + r * C, C);
    }
    return sum;
}
