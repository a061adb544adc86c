/*
 * circuit_truth: what the circuits of circuits.h do, computed again in double from their definition, and the numbers
 * that an independent program computed (tests/golden/heads/hand_built.csv).
 */
#ifndef TESTS_MECHINTERP_CIRCUIT_TRUTH_H
#define TESTS_MECHINTERP_CIRCUIT_TRUTH_H

#include "mechinterp/circuits.h"

enum { V = 12, T = 24, N = T - 1 };

/** What float32 leaves of an attention whose largest logit is c. */
static inline double rounding(double c) {
    return 1e-6 * (1 + c / 8);
}

/** The stored value of "model,score,". */
static inline double reference(const char *name) {
    FILE *f = fopen(RLLC_SOURCE_DIR "/tests/golden/heads/hand_built.csv", "r");
    char line[256];
    double value = NAN;
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ',')
            value = strtod(line + strlen(name) + 1, NULL);
    fclose(f);
    if (isnan(value)) fail_msg("hand_built.csv has no '%s'", name);
    return value;
}

/** All patterns of one sequence: A [L H, T, T]. */
static inline double *patterns_of(const rllc_model *m, const int32_t *tokens) {
    const int64_t heads = m->options.n_layers * m->options.n_heads, t = m->options.n_ctx;
    double *out = test_memory(heads * t * t, sizeof *out);
    float *found = test_memory(t * heads, sizeof *found);
    int32_t *rows = test_memory(t * t, sizeof *rows);
    int64_t *query = test_memory(t, sizeof *query), *key = test_memory(t, sizeof *key);
    rllc_engine *e;
    assert_ok(rllc_engine_new(&e, m, t, 1));
    for (int64_t i = 0; i < t; i++) {
        memcpy(rows + i * t, tokens, (size_t)t * sizeof *rows);
        query[i] = i;
    }
    for (int64_t j = 0; j < t; j++) {
        for (int64_t i = 0; i < t; i++) key[i] = j;
        assert_ok(rllc_engine_attention(e, m->weights, rows, t, query, key, found));
        for (int64_t i = 0; i < t; i++)
            for (int64_t h = 0; h < heads; h++) out[(h * t + i) * t + j] = (double)found[i * heads + h];
    }
    rllc_engine_free(e);
    free(found);
    free(rows);
    free(query);
    free(key);
    return out;
}

/** The same random ids twice, in `rows` sequences of different order. */
static inline void repeated(int32_t *tokens, int64_t rows) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < T; i++)
            tokens[r * T + i] = (int32_t)rllc_permute((uint64_t)(i % V), V, 77 + (uint64_t)r);
}

/* ---- the induction circuit, computed again in double -------------------------------------------------------- */

/* c0, c: logits of the two layers; scale: what a token's attention is worth as a logit; norm: behind a LayerNorm. */
typedef struct circuit {
    double c0, c, s;
    bool no_previous; /* the layer-0 head is silent: every key looks alike */
    bool norm;
    double gain; /* of the unembedding */
} circuit;

/** Softmax over 0..i of logits. */
static inline void softmax(int64_t n, double *x) {
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += x[j] = exp(x[j]);
    for (int64_t j = 0; j < n; j++) x[j] /= sum;
}

/** Attention of the layer-1 head from i. */
static inline void induction_row(const circuit *k, const int32_t *tokens, int64_t i, double row[T]) {
    for (int64_t j = 0; j <= i; j++) {
        double previous[T], match = 0; /* how much of the previous-token slot of j is the token of i */
        for (int64_t p = 0; p <= j; p++) previous[p] = p == j - 1 ? k->c0 : 0;
        softmax(j + 1, previous);
        for (int64_t p = 0; p <= j; p++) match += tokens[p] == tokens[i] ? previous[p] : 0;
        row[j] = k->no_previous ? 0 : k->c * match;
    }
    softmax(i + 1, row);
}

/** Loss of a prediction whose output slot holds `mass` [V] times s; the other slots hold two ones. */
static inline double loss_of(const circuit *k, const double mass[V], int64_t target) {
    double sum = 0, scale = k->s, square = 2;
    for (int64_t v = 0; v < V; v++) square += k->s * k->s * mass[v] * mass[v];
    if (k->norm) {
        const double C = 3 * V + T, mean = (2 + k->s) / C;
        scale = k->gain * k->s / sqrt(square / C - mean * mean + 1e-5);
    }
    for (int64_t v = 0; v < V; v++) sum += exp(scale * mass[v]);
    return log(sum) - scale * mass[target];
}

/** Attended tokens of position i: mass [V]. */
static inline void mass_of(const circuit *k, const int32_t *tokens, int64_t i, double mass[V]) {
    double row[T];
    induction_row(k, tokens, i, row);
    memset(mass, 0, V * sizeof *mass);
    for (int64_t j = 0; j <= i; j++) mass[tokens[j]] += row[j];
}

static inline double loss_at(const circuit *k, const int32_t *tokens, int64_t i) {
    double mass[V];
    mass_of(k, tokens, i, mass);
    return loss_of(k, mass, tokens[i + 1]);
}

static inline void token_losses(const rllc_model *m, const int32_t *tokens, int64_t rows, float *losses) {
    rllc_engine *e;
    rllc_evaluation out = {.token_losses = losses};
    assert_ok(rllc_engine_new(&e, m, rows, 1));
    assert_ok(rllc_engine_evaluate(e, m->weights, tokens, rows, &out));
    rllc_engine_free(e);
}

#endif
