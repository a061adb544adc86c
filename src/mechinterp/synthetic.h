/* synthetic: random token sequences for scores. */
#ifndef RLLC_MECHINTERP_SYNTHETIC_H
#define RLLC_MECHINTERP_SYNTHETIC_H

#include "rllc/mechinterp.h"

/* The number at `position` of a sample's stream draws the token there; other draws begin at RLLC_DRAW. */
enum { RLLC_DRAW = 1 << 24 };

/** low .. high, both included. */
int64_t rllc_mechinterp_between(const rllc_stream *s, uint64_t index, int64_t low, int64_t high);
/** A token id that is not BOS (any id if bos < 0). */
int32_t rllc_mechinterp_token(const rllc_stream *s, uint64_t index, int64_t d_vocab, int32_t bos);
/** The same, and not `other` either (other != bos). */
int32_t rllc_mechinterp_token_but(const rllc_stream *s, uint64_t index, int64_t d_vocab, int32_t bos, int32_t other);

/**
 * BOS and uniform random ids, n ~ U{16..64} tokens in all; the query is the last one. In a model with n_ctx < 64 both
 * bounds shrink by n_ctx / 64, and never below 2.
 * Source: Hoogland et al. 2024 (published code of the previous-token score).
 */
void rllc_mechinterp_random_sequence(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos, int32_t *tokens,
                                     int64_t *t, int64_t *query);

enum { RLLC_SPAN = 50 };

/**
 * BOS and a span of s = min(50, (n_ctx - 1) / 2, ids but BOS) distinct random tokens, twice. One position of the copy,
 * chosen uniformly, is the query. The tokens of the span are distinct, so exactly one earlier position holds the
 * query's token. Returns s.
 */
int64_t rllc_mechinterp_repeated_sequence(const rllc_stream *s, int64_t n_ctx, int64_t d_vocab, int32_t bos,
                                          int32_t *tokens, int64_t *t, int64_t *query);

#define RLLC_HEAD_SCORE(identifier) extern const rllc_head_score rllc_head_score_##identifier;
#include "mechinterp/head_scores.def"
#undef RLLC_HEAD_SCORE

#endif
