/* The engine against finite differences, against itself, and over threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rllc/model.h"

enum { ROWS = 5 };

static rllc_model_options tiny(int64_t layers, int normalization, int64_t n_ctx) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = layers;
    o.d_model = 12;
    o.n_heads = 3;
    o.d_head = 5;
    o.n_ctx = n_ctx;
    o.d_vocab = 19;
    o.normalization = normalization;
    o.init_scale = 1.7; /* large enough that attention is far from uniform */
    return o;
}

/** A model with every tensor random, biases and gains too. */
static void make_model(rllc_model *m, const rllc_model_options *o) {
    assert_int_equal(rllc_model_init(m, o), RLLC_OK);
    rllc_model_randomize(m, 7);
    const rllc_stream s = rllc_stream_make(3, "test", 0, 0);
    for (int64_t i = 0; i < m->size; i++) m->weights[i] += 0.2F * (float)(rllc_stream_uniform(&s, (uint64_t)i) - 0.5);
}

static int32_t *make_tokens(const rllc_model *m, int64_t rows) {
    int32_t *tokens;
    assert_int_equal(rllc_alloc(&tokens, rows * m->options.n_ctx, sizeof *tokens), RLLC_OK);
    const rllc_stream s = rllc_stream_make(5, "tokens", 0, 0);
    for (int64_t i = 0; i < rows * m->options.n_ctx; i++)
        tokens[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, (uint64_t)m->options.d_vocab);
    return tokens;
}

static double loss_at(rllc_engine *e, const float *w, const int32_t *tokens) {
    rllc_evaluation v = {0};
    assert_int_equal(rllc_engine_evaluate(e, w, tokens, ROWS, &v), RLLC_OK);
    return v.loss;
}

/** (L(w + h u) - L(w - h u)) / 2h, u the unit gradient of one tensor. */
static double central(rllc_engine *e, const rllc_model *m, const rllc_parameter *p, const float *g, double norm,
                      const int32_t *tokens, float *w, double h) {
    double side[2];
    for (int s = 0; s < 2; s++) {
        memcpy(w, m->weights, (size_t)m->size * sizeof *w);
        for (int64_t j = 0; j < p->n; j++)
            w[p->offset + j] += (float)((s ? -h : h) * (double)g[p->offset + j] / norm);
        side[s] = loss_at(e, w, tokens);
    }
    return (side[0] - side[1]) / (2 * h);
}

/** Directional derivative along the gradient restricted to each tensor: sum g^2 against a central difference. */
static void check_gradient(const rllc_model_options *o) {
    rllc_model m;
    rllc_engine *e;
    make_model(&m, o);
    int32_t *tokens = make_tokens(&m, ROWS);
    float *g, *w;
    assert_int_equal(rllc_alloc(&g, m.size, sizeof *g), RLLC_OK);
    assert_int_equal(rllc_alloc(&w, m.size, sizeof *w), RLLC_OK);
    assert_int_equal(rllc_engine_new(&e, &m, ROWS, 1), RLLC_OK);
    rllc_evaluation v = {.gradient = g};
    assert_int_equal(rllc_engine_evaluate(e, m.weights, tokens, ROWS, &v), RLLC_OK);
    assert_true(fabs(v.loss - loss_at(e, m.weights, tokens)) < 1e-9);
    for (int64_t i = 0; i < m.n_parameters; i++) {
        const rllc_parameter *p = &m.parameters[i];
        double norm = 0;
        for (int64_t j = 0; j < p->n; j++) norm += (double)g[p->offset + j] * (double)g[p->offset + j];
        norm = sqrt(norm);
        if (strstr(p->name, "b_K")) { /* softmax rows sum to one: exactly flat */
            assert_true(norm < 1e-6);
            continue;
        }
        assert_true(norm > 1e-5);
        const double h = 8e-3; /* float32 losses: rounding 3e-8 / h; curvature h^2 is extrapolated away */
        const double slope = (4 * central(e, &m, p, g, norm, tokens, w, h / 2) - central(e, &m, p, g, norm, tokens, w, h)) / 3;
        if (fabs(slope - norm) > 0.001 * norm + 5e-5)
            fail_msg("%s: slope %.8f, gradient norm %.8f", p->name, slope, norm);
    }
    rllc_engine_free(e);
    rllc_free(g);
    rllc_free(w);
    rllc_free(tokens);
    rllc_model_release(&m);
}

static void test_engine_gradient_matches_finite_differences(void **state) {
    (void)state;
    for (int layers = 1; layers <= 3; layers++) {
        const rllc_model_options o = tiny(layers, RLLC_NORM_LN, 9);
        check_gradient(&o);
    }
    const rllc_model_options bare = tiny(2, RLLC_NORM_NULL, 9);
    check_gradient(&bare);
}

static const char *const selections[] = {"full", "l0h1", "l1h2", "l0", "l1", "l0 attn", "embed", "pos_embed", "unembed",
                                         "l0h0+l0h2", "l0h1+l1h0", "blocks.0.attn.b_O", "blocks.1.attn.W_O", "ln_final.w",
                                         "blocks.1.ln1.b", "blocks.0.attn.W_Q", "l1h0+unembed", "blocks.0.attn.W_Q+l0h1",
                                         "blocks.1.attn.b_O+l1h1", "blocks.0.attn.b_K"};
enum { N = sizeof selections / sizeof *selections };

struct world {
    rllc_model m;
    rllc_component components[N];
    float *free[N], *gradient[N], *full_gradient;
    int32_t *tokens;
};

/** Members whose free coordinates differ a little from the base. */
static void make_world(struct world *w, int64_t n_ctx) {
    const rllc_model_options o = tiny(2, RLLC_NORM_LN, n_ctx);
    make_model(&w->m, &o);
    w->tokens = make_tokens(&w->m, ROWS);
    assert_int_equal(rllc_alloc(&w->full_gradient, w->m.size, sizeof(float)), RLLC_OK);
    for (int i = 0; i < N; i++) {
        assert_int_equal(rllc_component_parse(&w->components[i], &w->m, selections[i]), RLLC_OK);
        const rllc_component *c = &w->components[i];
        assert_int_equal(rllc_alloc(&w->free[i], c->size, sizeof(float)), RLLC_OK);
        assert_int_equal(rllc_alloc(&w->gradient[i], c->size, sizeof(float)), RLLC_OK);
        const rllc_stream s = rllc_stream_make(11, "move", (uint32_t)i, 0);
        int64_t at = 0;
        for (int64_t r = 0; r < c->n_ranges; r++)
            for (int64_t j = 0; j < c->ranges[r].n; j++, at++)
                w->free[i][at] = w->m.weights[c->ranges[r].first + j] +
                                 0.1F * (float)(rllc_stream_uniform(&s, (uint64_t)at) - 0.5);
    }
}

static void release_world(struct world *w) {
    for (int i = 0; i < N; i++) {
        rllc_free(w->free[i]);
        rllc_free(w->gradient[i]);
        rllc_component_release(&w->components[i]);
    }
    rllc_free(w->tokens);
    rllc_free(w->full_gradient);
    rllc_model_release(&w->m);
}

static void run_members(struct world *w, rllc_engine *e, const int *which, int n, double *loss, double *base) {
    rllc_member members[N];
    for (int i = 0; i < n; i++)
        members[i] = (rllc_member){.component = &w->components[which[i]], .free = w->free[which[i]],
                                   .gradient = w->gradient[which[i]]};
    assert_int_equal(rllc_engine_lockstep(e, w->m.weights, w->tokens, ROWS, members, n, base, NULL), RLLC_OK);
    for (int i = 0; i < n; i++) loss[which[i]] = members[i].loss;
}

static void test_lockstep_equals_the_plain_pass(void **state) {
    (void)state;
    struct world w;
    rllc_engine *e;
    double loss[N], base;
    int all[N];
    for (int i = 0; i < N; i++) all[i] = i;
    make_world(&w, 11);
    assert_int_equal(rllc_engine_new(&e, &w.m, ROWS, 2), RLLC_OK);
    run_members(&w, e, all, N, loss, &base);
    assert_true(fabs(base - loss_at(e, w.m.weights, w.tokens)) < 1e-12);
    float *moved;
    assert_int_equal(rllc_alloc(&moved, w.m.size, sizeof *moved), RLLC_OK);
    for (int i = 0; i < N; i++) {
        const rllc_component *c = &w.components[i];
        memcpy(moved, w.m.weights, (size_t)w.m.size * sizeof *moved);
        for (int64_t r = 0, at = 0; r < c->n_ranges; at += c->ranges[r++].n)
            memcpy(moved + c->ranges[r].first, w.free[i] + at, (size_t)c->ranges[r].n * sizeof *moved);
        rllc_evaluation v = {.gradient = w.full_gradient};
        assert_int_equal(rllc_engine_evaluate(e, moved, w.tokens, ROWS, &v), RLLC_OK);
        assert_true(fabs(v.loss - loss[i]) < 1e-6);
        double worst = 0, scale = 0;
        for (int64_t r = 0, at = 0; r < c->n_ranges; at += c->ranges[r++].n)
            for (int64_t j = 0; j < c->ranges[r].n; j++) {
                const double a = w.full_gradient[c->ranges[r].first + j], b = w.gradient[i][at + j];
                worst = fmax(worst, fabs(a - b));
                scale = fmax(scale, fabs(a));
            }
        if (worst > 1e-5 * scale + 1e-9) fail_msg("%s: error %g of %g", selections[i], worst, scale);
    }
    rllc_free(moved);
    rllc_engine_free(e);
    release_world(&w);
}

/** Every member alone on one thread, against all together on several: bit for bit. */
static void test_lockstep_does_not_depend_on_company_or_threads(void **state) {
    (void)state;
    struct world w;
    double together[N], alone[N], base[2];
    float *kept[N];
    int all[N];
    for (int i = 0; i < N; i++) all[i] = i;
    make_world(&w, 130); /* two sequences a block, three blocks */
    rllc_engine *e;
    assert_int_equal(rllc_engine_new(&e, &w.m, ROWS, 3), RLLC_OK);
    run_members(&w, e, all, N, together, &base[0]);
    rllc_engine_free(e);
    for (int i = 0; i < N; i++) {
        assert_int_equal(rllc_alloc(&kept[i], w.components[i].size, sizeof(float)), RLLC_OK);
        memcpy(kept[i], w.gradient[i], (size_t)w.components[i].size * sizeof(float));
    }
    assert_int_equal(rllc_engine_new(&e, &w.m, ROWS, 1), RLLC_OK);
    for (int i = 0; i < N; i++) {
        run_members(&w, e, &i, 1, alone, &base[1]);
        assert_memory_equal(&alone[i], &together[i], sizeof(double));
        assert_memory_equal(&base[0], &base[1], sizeof(double));
        if (memcmp(kept[i], w.gradient[i], (size_t)w.components[i].size * sizeof(float)) != 0)
            fail_msg("%s: other bits alone", selections[i]);
        rllc_free(kept[i]);
    }
    rllc_engine_free(e);
    release_world(&w);
}

static void test_union_of_everything_is_full(void **state) {
    (void)state;
    rllc_model m;
    rllc_component full, parts;
    const rllc_model_options o = tiny(2, RLLC_NORM_LN, 6);
    make_model(&m, &o);
    assert_int_equal(rllc_component_parse(&full, &m, "full"), RLLC_OK);
    assert_int_equal(rllc_component_parse(&parts, &m, "unembed+l1+l0+embed+pos_embed+ln_final.w+ln_final.b"), RLLC_OK);
    assert_int_equal(full.n_ranges, 1);
    assert_int_equal(parts.n_ranges, 1);
    assert_int_equal(parts.size, m.size);
    assert_string_equal(parts.name, "full");
    rllc_component_release(&full);
    rllc_component_release(&parts);
    rllc_model_release(&m);
}

static void test_attention_rows_sum_to_one(void **state) {
    (void)state;
    rllc_model m;
    rllc_engine *e;
    enum { T = 7 };
    const rllc_model_options o = tiny(2, RLLC_NORM_LN, T);
    make_model(&m, &o);
    int32_t *one = make_tokens(&m, 1);
    int32_t tokens[T * T];
    int64_t query[T], key[T];
    float out[T * 6];
    for (int i = 0; i < T; i++) {
        memcpy(tokens + i * T, one, T * sizeof *one);
        query[i] = 4;
        key[i] = i;
    }
    assert_int_equal(rllc_engine_new(&e, &m, T, 1), RLLC_OK);
    assert_int_equal(rllc_engine_attention(e, m.weights, tokens, T, query, key, out), RLLC_OK);
    for (int h = 0; h < 6; h++) {
        double sum = 0;
        for (int i = 0; i < T; i++) sum += (double)out[i * 6 + h];
        assert_true(fabs(sum - 1) < 1e-5);
        assert_true(out[5 * 6 + h] == 0 && out[6 * 6 + h] == 0);
    }
    rllc_engine_free(e);
    rllc_free(one);
    rllc_model_release(&m);
}

static void test_engine_refuses_what_it_cannot_take(void **state) {
    (void)state;
    rllc_model m;
    rllc_engine *e;
    const rllc_model_options o = tiny(1, RLLC_NORM_LN, 6);
    make_model(&m, &o);
    int32_t *tokens = make_tokens(&m, ROWS);
    rllc_evaluation v = {0};
    assert_int_equal(rllc_engine_new(&e, &m, ROWS, 1), RLLC_OK);
    assert_int_equal(rllc_engine_evaluate(e, m.weights, tokens, ROWS + 1, &v), RLLC_EMISMATCH);
    tokens[8] = 19;
    assert_int_equal(rllc_engine_evaluate(e, m.weights, tokens, ROWS, &v), RLLC_EMISMATCH);
    assert_non_null(strstr(rllc_error_detail(), "sequence 1 at position 2"));
    assert_int_equal(rllc_engine_set_context(e, 7), RLLC_EMISMATCH);
    assert_int_equal(rllc_engine_set_context(e, 4), RLLC_OK);
    rllc_engine_free(e);
    rllc_free(tokens);
    rllc_model_release(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engine_gradient_matches_finite_differences),
        cmocka_unit_test(test_lockstep_equals_the_plain_pass),
        cmocka_unit_test(test_lockstep_does_not_depend_on_company_or_threads),
        cmocka_unit_test(test_union_of_everything_is_full),
        cmocka_unit_test(test_attention_rows_sum_to_one),
        cmocka_unit_test(test_engine_refuses_what_it_cannot_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
