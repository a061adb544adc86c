/* How much a head looks at the token before. */
#include "mechinterp/synthetic.h"

static void sample(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos, int32_t *tokens, int64_t *t,
                   int64_t *query, int64_t *key) {
    rllc_mechinterp_random_sequence(s, n_ctx, d_vocab, bos, tokens, t, query);
    *key = *query - 1;
}

const rllc_head_score rllc_head_score_previous_token = {
    .name = "previous_token",
    .summary = "attention from the last token to the one before it, in BOS and random tokens",
    .source = "Hoogland et al. 2024, arXiv 2402.02364",
    .samples = "random",
    .min_ctx = 2,
    .min_vocab = 2,
    .sample = sample};
