/* Whether a head, at the second occurrence of a token, looks at what followed the first. */
#include "mechinterp/synthetic.h"

/**
 * n = 128 tokens (n_ctx if that is less): BOS, one special token at i ~ U{1..n/2-1} and at j ~ U{n/2+1..n-1}, all
 * others uniform over the ids that are neither. Attention from j to i + 1.
 */
static void sample(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos, int32_t *tokens, int64_t *t,
                   int64_t *query, int64_t *key) {
    const int64_t n = n_ctx < 128 ? n_ctx : 128, half = n / 2;
    const int32_t special = rllc_mechinterp_token(s, RLLC_DRAW, d_vocab, bos);
    const int64_t first = rllc_mechinterp_between(s, RLLC_DRAW + 1, 1, half - 1);
    *t = n;
    *query = rllc_mechinterp_between(s, RLLC_DRAW + 2, half + 1, n - 1);
    *key = first + 1;
    for (int64_t i = 0; i < n; i++)
        tokens[i] = i == 0 && bos >= 0 ? bos : rllc_mechinterp_token_but(s, (uint64_t)i, d_vocab, bos, special);
    tokens[first] = tokens[*query] = special;
}

const rllc_head_score rllc_head_score_prefix_matching = {
    .name = "prefix_matching",
    .summary = "attention from a token's second occurrence to what followed its first, in random tokens",
    .source = "Olsson et al. 2022, arXiv 2209.11895; as sampled by Hoogland et al. 2024, arXiv 2402.02364",
    .samples = "prefix",
    .min_ctx = 4,
    .min_vocab = 3,
    .sample = sample};
