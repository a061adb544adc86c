/*
 * hand_built: models without normalization whose attention is known in closed form.
 *
 * The residual stream has one-hot slots token (V) | position (T, through W_pos, so only queries and keys see it) |
 * previous token (V). A head with logit c on exactly one of the q + 1 visible keys attends there with e^c / (e^c + q).
 */
#ifndef TESTS_MECHINTERP_HAND_BUILT_H
#define TESTS_MECHINTERP_HAND_BUILT_H

#include "support/support.h"

/** cmocka's own comparison rounds to float. */
static inline void assert_near(double found, double expected, double tolerance) {
    if (!(fabs(found - expected) <= tolerance)) fail_msg("%.17g, expected %.17g +- %g", found, expected, tolerance);
}

typedef struct hand_built {
    rllc_model model;
    int64_t v, t;
} hand_built;

static inline float *entry(hand_built *b, const char *name, int64_t i, int64_t j, int64_t k) {
    const rllc_parameter *p = rllc_model_find(&b->model, name);
    assert_non_null(p);
    if (p->n_dims == 2) return b->model.weights + p->offset + i * p->shape[1] + j;
    return b->model.weights + p->offset + (i * p->shape[1] + j) * p->shape[2] + k;
}

static inline void build(hand_built *b, int64_t n_layers, int64_t n_heads, int64_t v, int64_t t) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = n_layers;
    o.n_heads = n_heads;
    o.d_model = 2 * v + t;
    o.d_head = v > t ? v : t;
    o.n_ctx = t;
    o.d_vocab = v;
    o.normalization = RLLC_NORM_NULL;
    *b = (hand_built){.v = v, .t = t};
    assert_ok(rllc_model_init(&b->model, &o));
    for (int64_t i = 0; i < v; i++) *entry(b, "embed.W_E", i, i, 0) = 1;
    for (int64_t i = 0; i < t; i++) *entry(b, "pos_embed.W_pos", i, v + i, 0) = 1;
}

/** Logit c from position i to position i - back. */
static inline void attend_back(hand_built *b, int layer, int head, int64_t back, double c) {
    const char *wq = rllc_intern_printf("blocks.%d.attn.W_Q", layer),
               *wk = rllc_intern_printf("blocks.%d.attn.W_K", layer);
    const float q = (float)(c * sqrt((double)b->model.options.d_head));
    for (int64_t i = 0; i < b->t; i++) {
        *entry(b, wq, head, b->v + i, i) = q;
        if (i + back < b->t) *entry(b, wk, head, b->v + i, i + back) = 1;
    }
}

/** The head copies the attended token into the previous-token slot. */
static inline void write_previous(hand_built *b, int layer, int head) {
    const char *wv = rllc_intern_printf("blocks.%d.attn.W_V", layer),
               *wo = rllc_intern_printf("blocks.%d.attn.W_O", layer);
    for (int64_t i = 0; i < b->v; i++) {
        *entry(b, wv, head, i, i) = 1;
        *entry(b, wo, head, i, b->v + b->t + i) = 1;
    }
}

/** Logit c from a token to every position whose previous-token slot holds the same token. */
static inline void attend_to_follower(hand_built *b, int layer, int head, double c) {
    const char *wq = rllc_intern_printf("blocks.%d.attn.W_Q", layer),
               *wk = rllc_intern_printf("blocks.%d.attn.W_K", layer);
    const float q = (float)(c * sqrt((double)b->model.options.d_head));
    for (int64_t i = 0; i < b->v; i++) {
        *entry(b, wq, head, i, i) = q;
        *entry(b, wk, head, b->v + b->t + i, i) = 1;
    }
}

/** e^c / (e^c + q): the share of one key with logit c among q + 1 visible ones. */
static inline double share(double c, double q) {
    return exp(c) / (exp(c) + q);
}

#endif
