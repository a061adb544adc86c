/* How much a head looks at the first token, where attention goes that has nowhere else to go. */
#include "mechinterp/synthetic.h"

static void sample(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos, int32_t *tokens, int64_t *t,
                   int64_t *query, int64_t *key) {
    rllc_mechinterp_random_sequence(s, n_ctx, d_vocab, bos, tokens, t, query);
    *key = 0;
}

const rllc_head_score rllc_head_score_first_token = {
    .name = "first_token",
    .summary = "attention from the last token to the first, in BOS and random tokens",
    .source = "Xiao et al. 2023, arXiv 2309.17453, call it a sink; on the sequences of previous_token",
    .samples = "random",
    .min_ctx = 2,
    .min_vocab = 2,
    .sample = sample};
