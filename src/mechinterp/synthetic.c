/* Random token sequences for scores. */
#include "mechinterp/synthetic.h"

int64_t rllc_mechinterp_between(const rllc_stream *s, uint64_t index, int64_t low, int64_t high) {
    return low + (int64_t)rllc_stream_below(s, index, (uint64_t)(high - low + 1));
}

int32_t rllc_mechinterp_token(const rllc_stream *s, uint64_t index, int64_t d_vocab, int32_t bos) {
    if (bos < 0) return (int32_t)rllc_stream_below(s, index, (uint64_t)d_vocab);
    const int32_t id = (int32_t)rllc_stream_below(s, index, (uint64_t)(d_vocab - 1));
    return id + (id >= bos);
}

int32_t rllc_mechinterp_token_but(const rllc_stream *s, uint64_t index, int64_t d_vocab, int32_t bos, int32_t other) {
    if (bos < 0) return rllc_mechinterp_token(s, index, d_vocab, other);
    const int32_t low = bos < other ? bos : other, high = bos < other ? other : bos;
    int32_t id = (int32_t)rllc_stream_below(s, index, (uint64_t)(d_vocab - 2));
    id += id >= low;
    return id + (id >= high);
}

void rllc_mechinterp_random_sequence(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos, int32_t *tokens,
                                     int64_t *t, int64_t *query) {
    const int64_t longest = n_ctx < 64 ? n_ctx : 64, shortest = longest / 4 > 2 ? longest / 4 : 2;
    *t = rllc_mechinterp_between(s, RLLC_DRAW, shortest, longest);
    *query = *t - 1;
    for (int64_t i = 0; i < *t; i++)
        tokens[i] = i == 0 && bos >= 0 ? bos : rllc_mechinterp_token(s, (uint64_t)i, d_vocab, bos);
}

int64_t rllc_mechinterp_repeated_sequence(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos,
                                          int32_t *tokens, int64_t *t, int64_t *query) {
    const int64_t ids = bos < 0 ? d_vocab : d_vocab - 1, room = (n_ctx - 1) / 2;
    int64_t span = room < RLLC_SPAN ? room : RLLC_SPAN;
    if (span > ids) span = ids;
    const uint64_t permutation = (uint64_t)rllc_stream_u32(s, RLLC_DRAW) << 32 | rllc_stream_u32(s, RLLC_DRAW + 1);
    tokens[0] = bos < 0 ? rllc_mechinterp_token(s, 0, d_vocab, bos) : bos;
    for (int64_t i = 0; i < span; i++) {
        const int32_t id = (int32_t)rllc_permute((uint64_t)i, (uint64_t)ids, permutation);
        tokens[1 + i] = tokens[1 + span + i] = id + (bos >= 0 && id >= bos);
    }
    *t = 1 + 2 * span;
    *query = 1 + span + rllc_mechinterp_between(s, RLLC_DRAW + 2, 0, span - 1);
    return span;
}
