/* How much a head, at the second occurrence of a token, looks at the first. */
#include "mechinterp/synthetic.h"

static void sample(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos, int32_t *tokens, int64_t *t,
                   int64_t *query, int64_t *key) {
    const int64_t span = rllc_mechinterp_repeated_sequence(s, n_ctx, d_vocab, bos, tokens, t, query);
    *key = *query - span;
}

const rllc_head_score rllc_head_score_duplicate_token = {
    .name = "duplicate_token",
    .summary = "attention from a token of a repeated random span to its first occurrence",
    .source = "Wang et al. 2023, arXiv 2211.00593, name such heads; on the sequences of induction",
    .samples = "repeated",
    .min_ctx = 5,
    .min_vocab = 3,
    .sample = sample};
