/* generated: what the tests of synthetic corpora share: a generator by name and options, its rows as characters. */
#ifndef TESTS_DATA_GENERATED_H
#define TESTS_DATA_GENERATED_H

#include <math.h>

#include "scratch.h"

typedef struct generated {
    rllc_synth *s;
    rllc_synth_settings settings;
    rllc_synth_rows rows;
    char *text; /* [n, n_ctx]: the character of each token; BOS '^' */
    int64_t n, n_ctx;
} generated;

static inline const rllc_synth_kind *generated_kind(const char *name) {
    const rllc_synth_kind *kind;
    assert_ok(rllc_synth_find(name, &kind));
    return kind;
}

/* Sets "n_ctx=8 lag=3": each wherever a table has it. */
static inline void generated_set(rllc_synth_settings *s, const char *options) {
    int n;
    const rllc_synth_kind *const *kinds = rllc_synth_list(&n);
    char copy[256], *rest, *value;
    snprintf(copy, sizeof copy, "%s", options);
    for (char *name = strtok_r(copy, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        bool found = false;
        value = strchr(name, '=');
        *value++ = '\0';
        for (int k = -1; k < n; k++) {
            const rllc_option_table *t = k < 0 ? &rllc_synth_option_table : rllc_synth_kind_table(kinds[k]);
            for (int i = 0; t && i < t->n; i++) {
                if (strcmp(t->options[i].name, name) != 0) continue;
                assert_ok(rllc_options_set(t, k < 0 ? (void *)&s->common : s->of_kind[k], name, value, "test"));
                found = true;
            }
        }
        assert_true(found);
    }
}

static inline rllc_status generated_try(generated *g, const char *kind, const char *options) {
    *g = (generated){0};
    assert_ok(rllc_synth_settings_init(&g->settings));
    generated_set(&g->settings, options);
    return rllc_synth_open(&g->s, generated_kind(kind), &g->settings);
}

static inline void generated_alloc(rllc_synth_rows *r, int64_t tokens) {
    assert_ok(rllc_alloc(&r->tokens, tokens, sizeof *r->tokens));
    assert_ok(rllc_alloc(&r->labels, tokens, sizeof *r->labels));
    assert_ok(rllc_alloc(&r->generators, tokens, sizeof *r->generators));
    assert_ok(rllc_alloc(&r->optimum, tokens, sizeof *r->optimum));
}

static inline void generated_free(rllc_synth_rows *r) {
    rllc_free(r->tokens);
    rllc_free(r->labels);
    rllc_free(r->generators);
    rllc_free(r->optimum);
}

/* Rows 0 .. n-1 of the training split. */
static inline void generated_open(generated *g, const char *kind, const char *options, int64_t n) {
    assert_ok(generated_try(g, kind, options));
    g->n = n;
    g->n_ctx = g->settings.common.n_ctx;
    generated_alloc(&g->rows, n * g->n_ctx);
    assert_ok(rllc_alloc(&g->text, n * g->n_ctx, 1));
    assert_ok(rllc_synth_generate(g->s, RLLC_TRAIN, 0, n, 0, &g->rows));
    for (int64_t i = 0; i < n * g->n_ctx; i++) {
        size_t bytes;
        const char *token = rllc_tokenizer_token(rllc_synth_tokenizer(g->s), g->rows.tokens[i], &bytes);
        assert_non_null(token);
        assert_int_equal(bytes == 1, i % g->n_ctx != 0);
        g->text[i] = bytes == 1 ? token[0] : '^';
    }
}

static inline void generated_close(generated *g) {
    rllc_synth_free(g->s);
    rllc_synth_settings_release(&g->settings);
    generated_free(&g->rows);
    rllc_free(g->text);
}

/* A number of the generator's facts. */
static inline double generated_fact(const generated *g, const char *name) {
    rllc_json *j;
    assert_ok(rllc_synth_to_json(g->s, &j));
    const double value = rllc_json_to_real(rllc_json_get(rllc_json_get(j, "facts"), name), NAN);
    rllc_json_free(j);
    return value;
}

static inline void assert_near(double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance)) fail_msg("%.12g, expected %.12g +- %g", value, expected, tolerance);
}

#endif
