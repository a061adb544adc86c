/* The same question where a whole span of random tokens is repeated, so that every token of the copy has an answer. */
#include "mechinterp/synthetic.h"

static void sample(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos, int32_t *tokens, int64_t *t,
                   int64_t *query, int64_t *key) {
    const int64_t span = rllc_mechinterp_repeated_sequence(s, n_ctx, d_vocab, bos, tokens, t, query);
    *key = *query - span + 1; /* follows its token's first occurrence */
}

const rllc_head_score rllc_head_score_induction = {
    .name = "induction",
    .summary = "attention from a token of a repeated random span to what followed its first occurrence",
    .source = "Elhage et al. 2021; Olsson et al. 2022, arXiv 2209.11895",
    .samples = "repeated",
    .min_ctx = 5,
    .min_vocab = 3,
    .sample = sample};
