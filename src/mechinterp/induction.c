/* The same question where a whole span of random tokens is repeated, so that every token of the copy has an answer. */
#include "mechinterp/synthetic.h"

enum { SPAN = 50 };

/**
 * BOS and a span of s = min(50, (n_ctx - 1) / 2, ids but BOS) distinct random tokens, twice. One position of the copy,
 * chosen uniformly, is the query; the key follows its token's first occurrence. The tokens of the span are distinct, so
 * exactly one position is right and a perfect head scores 1.
 */
static void sample(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos, int32_t *tokens, int64_t *t,
                   int64_t *query, int64_t *key) {
    const int64_t ids = bos < 0 ? d_vocab : d_vocab - 1, room = (n_ctx - 1) / 2;
    int64_t span = room < SPAN ? room : SPAN;
    if (span > ids) span = ids;
    const uint64_t permutation = (uint64_t)rllc_stream_u32(s, RLLC_DRAW) << 32 | rllc_stream_u32(s, RLLC_DRAW + 1);
    tokens[0] = bos < 0 ? rllc_mechinterp_token(s, 0, d_vocab, bos) : bos;
    for (int64_t i = 0; i < span; i++) {
        const int32_t id = (int32_t)rllc_permute((uint64_t)i, (uint64_t)ids, permutation);
        tokens[1 + i] = tokens[1 + span + i] = id + (bos >= 0 && id >= bos);
    }
    *t = 1 + 2 * span;
    *query = 1 + span + rllc_mechinterp_between(s, RLLC_DRAW + 2, 0, span - 1);
    *key = *query - span + 1;
}

const rllc_head_score rllc_head_score_induction = {
    .name = "induction",
    .summary = "attention from a token of a repeated random span to what followed its first occurrence",
    .source = "Elhage et al. 2021; Olsson et al. 2022, arXiv 2209.11895",
    .samples = "repeated",
    .min_ctx = 5,
    .min_vocab = 3,
    .sample = sample};
