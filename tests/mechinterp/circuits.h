/*
 * circuits: hand_built.h with an output. The residual stream has the slots token (V) | position (T) | previous token
 * (V) | output (V), and only the output slot is read by the unembedding: a head that writes s times a token there gives
 * that token a logit of s times the attention on it.
 */
#ifndef TESTS_MECHINTERP_CIRCUITS_H
#define TESTS_MECHINTERP_CIRCUITS_H

#include "mechinterp/hand_built.h"

static inline int64_t output_slot(const hand_built *b) {
    return 2 * b->v + b->t;
}

static inline void build_circuit(hand_built *b, int64_t n_layers, int64_t n_heads, int64_t v, int64_t t,
                                 int normalization) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = n_layers;
    o.n_heads = n_heads;
    o.d_model = 3 * v + t;
    o.d_head = v > t ? v : t;
    o.n_ctx = t;
    o.d_vocab = v;
    o.normalization = normalization;
    *b = (hand_built){.v = v, .t = t};
    assert_ok(rllc_model_init(&b->model, &o));
    for (int64_t i = 0; i < b->model.n_parameters; i++) { /* gains of LayerNorms */
        const rllc_parameter *p = &b->model.parameters[i];
        for (int64_t k = 0; k < p->n && p->init == '1'; k++) b->model.weights[p->offset + k] = 1;
    }
    for (int64_t i = 0; i < v; i++) *entry(b, "embed.W_E", i, i, 0) = 1;
    for (int64_t i = 0; i < t; i++) *entry(b, "pos_embed.W_pos", i, v + i, 0) = 1;
    for (int64_t i = 0; i < v; i++) *entry(b, "unembed.W_U", output_slot(b) + i, i, 0) = 1;
}

/** The head reads token `from` and writes s times `to` into the output slot. */
static inline void write_output(hand_built *b, int layer, int head, int64_t from, int64_t to, double s) {
    *entry(b, rllc_intern_printf("blocks.%d.attn.W_V", layer), head, from, from) = 1;
    *entry(b, rllc_intern_printf("blocks.%d.attn.W_O", layer), head, from, output_slot(b) + to) = (float)s;
}

/** The head copies the attended token to the output, s times. */
static inline void copy_to_output(hand_built *b, int layer, int head, double s) {
    for (int64_t i = 0; i < b->v; i++) write_output(b, layer, head, i, i, s);
}

/** Logit c from a query token to a key token. */
static inline void attend_token(hand_built *b, int layer, int head, int64_t query, int64_t key, double c) {
    *entry(b, rllc_intern_printf("blocks.%d.attn.W_Q", layer), head, query, query) =
        (float)(c * sqrt((double)b->model.options.d_head));
    *entry(b, rllc_intern_printf("blocks.%d.attn.W_K", layer), head, key, query) = 1;
}

/**
 * Undoes a LayerNorm in front of a head whose residual stream always has the mean mu and the deviation sigma: what the
 * head reads is x + position again (positions are added behind the LayerNorm, so their rows stay as they are).
 */
static inline void undo_norm(hand_built *b, int layer, int head, double mu, double sigma) {
    static const char *const weights[] = {"W_Q", "W_K", "W_V"}, *const biases[] = {"b_Q", "b_K", "b_V"};
    const rllc_model_options *o = &b->model.options;
    for (int m = 0; m < 3; m++)
        for (int64_t d = 0; d < o->d_head; d++) {
            double sum = 0;
            for (int64_t i = 0; i < o->d_model; i++) {
                float *w = entry(b, rllc_intern_printf("blocks.%d.attn.%s", layer, weights[m]), head, i, d);
                if (i < b->v || i >= b->v + b->t) *w = (float)(sigma * (double)*w);
                sum += (double)*w;
            }
            *entry(b, rllc_intern_printf("blocks.%d.attn.%s", layer, biases[m]), head, d, 0) +=
                (float)(mu / sigma * sum);
        }
}

/** The full circuit: head 0:0 writes the previous token, head 1:0 attends to what followed its own token and copies it.
 */
static inline void build_induction(hand_built *b, int64_t n_heads, int64_t v, int64_t t, double c, double s,
                                   int normalization) {
    build_circuit(b, 2, n_heads, v, t, normalization);
    attend_back(b, 0, 0, 1, c);
    write_previous(b, 0, 0);
    attend_to_follower(b, 1, 0, c);
    copy_to_output(b, 1, 0, s);
}

#endif
