/* How much a head looks at the token it stands on. */
#include "mechinterp/synthetic.h"

static void sample(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos, int32_t *tokens, int64_t *t,
                   int64_t *query, int64_t *key) {
    rllc_mechinterp_random_sequence(s, n_ctx, d_vocab, bos, tokens, t, query);
    *key = *query;
}

const rllc_head_score rllc_head_score_current_token = {
    .name = "current_token",
    .summary = "attention from the last token to itself, in BOS and random tokens",
    .source = "as previous_token: Wang et al. 2024, arXiv 2410.02984, name such heads",
    .samples = "random",
    .min_ctx = 2,
    .min_vocab = 2,
    .sample = sample};
