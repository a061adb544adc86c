/* Logits of one position of each sequence. */
#include "batch.h"

struct logits_call {
    rllc_pass pass;
    const int64_t *position;
    float *out;
};

static rllc_status logits_block(void *context, int64_t k, int worker) {
    const struct logits_call *c = context;
    rllc_engine *e = c->pass.e;
    rllc_workspace *ws = &e->workspaces[worker];
    const int64_t V = e->model->options.d_vocab;
    const rllc_block b = rllc_pass_block(&c->pass, k);
    rllc_upload_tokens(e, ws, &b);
    rllc_forward(e, ws, &e->base, NULL, &b, NULL, &ws->view);
    for (int64_t s = 0; s < b.sequences; s++) {
        rllc_logits(e, ws, &e->base, ws->view.nf, s * e->t + c->position[b.first + s], 1);
        e->k->download((size_t)V * sizeof *c->out, ws->logits, c->out + (b.first + s) * V);
    }
    return RLLC_OK;
}

rllc_status rllc_engine_logits_at(rllc_engine *e, const float *weights, const int32_t *tokens, int64_t rows,
                                  const int64_t *position, float *out) {
    rllc_status status = RLLC_OK;
    struct logits_call c = {.pass = {.e = e, .tokens = tokens, .rows = rows, .cut = rllc_cut_batch(e->t, rows)},
                            .position = position,
                            .out = out};
    RLLC_TRY(rllc_pass_check(&c.pass));
    for (int64_t r = 0; r < rows; r++)
        if (position[r] < 0 || position[r] >= e->t)
            return rllc_fail(RLLC_EMISMATCH, "sequence %lld asks for logits at %lld, expected 0 to %lld", (long long)r,
                             (long long)position[r], (long long)e->t - 1);
    rllc_pass_pack_base(&c.pass, weights);
    RLLC_TRY(rllc_parallel(c.pass.cut.blocks, e->n_threads, logits_block, &c));
done:
    return status;
}
