/* The model without layers against softmax(W_E W_U + b_U) written out in double: loss, gradient, members, files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "rllc/model.h"

enum { V = 7, C = 3, T = 4, ROWS = 5 };

static void make(rllc_model *m, int normalization) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = 0;
    o.d_model = C;
    o.n_heads = 2;
    o.d_head = 5;
    o.n_ctx = T;
    o.d_vocab = V;
    o.normalization = normalization;
    assert_int_equal(rllc_model_init(m, &o), RLLC_OK);
    const rllc_stream s = rllc_stream_make(3, "test", 0, 0);
    for (int64_t i = 0; i < m->size; i++) m->weights[i] = (float)(2 * rllc_stream_uniform(&s, (uint64_t)i) - 1);
}

static int32_t *tokens(void) {
    static int32_t ids[ROWS * T];
    const rllc_stream s = rllc_stream_make(5, "tokens", 0, 0);
    for (int i = 0; i < ROWS * T; i++) ids[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, V);
    return ids;
}

static const float *tensor(const rllc_model *m, const char *name) {
    return m->weights + rllc_model_find(m, name)->offset;
}

/** Mean loss, and its gradient by W_E [V, C], W_U [C, V], b_U [V], in that order. */
static double by_hand(const rllc_model *m, const int32_t *ids, double *gradient) {
    const float *E = tensor(m, "embed.W_E"), *U = tensor(m, "unembed.W_U"), *b = tensor(m, "unembed.b_U");
    const double n = ROWS * (T - 1);
    double loss = 0;
    memset(gradient, 0, (2 * V * C + V) * sizeof *gradient);
    for (int r = 0; r < ROWS; r++)
        for (int t = 0; t + 1 < T; t++) {
            const int x = ids[r * T + t], y = ids[r * T + t + 1];
            double a[V], z = 0;
            for (int v = 0; v < V; v++) {
                a[v] = (double)b[v];
                for (int c = 0; c < C; c++) a[v] += (double)E[x * C + c] * (double)U[c * V + v];
                z += exp(a[v]);
            }
            loss += (log(z) - a[y]) / n;
            for (int v = 0; v < V; v++) {
                const double d = (exp(a[v]) / z - (v == y)) / n;
                gradient[2 * V * C + v] += d;
                for (int c = 0; c < C; c++) {
                    gradient[x * C + c] += d * (double)U[c * V + v];
                    gradient[V * C + c * V + v] += d * (double)E[x * C + c];
                }
            }
        }
    return loss;
}

static void test_loss_and_gradient_are_the_bigram_model(void **state) {
    (void)state;
    rllc_model m;
    rllc_engine *e;
    double expected[2 * V * C + V];
    make(&m, RLLC_NORM_NULL);
    assert_int_equal(m.size, 2 * V * C + V + T * C);
    float *gradient = calloc((size_t)m.size, sizeof *gradient);
    assert_int_equal(rllc_engine_new(&e, &m, ROWS, 2), RLLC_OK);
    rllc_evaluation out = {.gradient = gradient};
    assert_int_equal(rllc_engine_evaluate(e, m.weights, tokens(), ROWS, &out), RLLC_OK);
    assert_true(fabs(out.loss - by_hand(&m, tokens(), expected)) < 1e-6); /* float32 losses of order 1 */
    const char *names[] = {"embed.W_E", "unembed.W_U", "unembed.b_U"};
    const double *from = expected;
    for (int i = 0; i < 3; i++) {
        const rllc_parameter *p = rllc_model_find(&m, names[i]);
        for (int64_t k = 0; k < p->n; k++) assert_true(fabs((double)gradient[p->offset + k] - from[k]) < 1e-6);
        from += p->n;
    }
    const rllc_parameter *positions =
        rllc_model_find(&m, "pos_embed.W_pos"); /* enters queries and keys: there are none */
    for (int64_t k = 0; k < positions->n; k++) assert_true(gradient[positions->offset + k] == 0);
    rllc_engine_free(e);
    free(gradient);
    rllc_model_release(&m);
}

/** Members that move a part agree, to the bit, with the whole gradient there. */
static void members_agree(int normalization) {
    static const char *const names[] = {"embed", "unembed", "embed+unembed", "pos_embed", "unembed.b_U"};
    rllc_model m;
    rllc_engine *e;
    make(&m, normalization);
    float *whole = calloc((size_t)m.size, sizeof *whole);
    assert_int_equal(rllc_engine_new(&e, &m, ROWS, 1), RLLC_OK);
    rllc_evaluation out = {.gradient = whole};
    assert_int_equal(rllc_engine_evaluate(e, m.weights, tokens(), ROWS, &out), RLLC_OK);
    for (int i = 0; i < 5; i++) {
        rllc_component c;
        assert_int_equal(rllc_component_parse(&c, &m, names[i]), RLLC_OK);
        float *free_at = calloc((size_t)c.size, sizeof *free_at), *gradient = calloc((size_t)c.size, sizeof *gradient),
              *to = free_at;
        for (int64_t r = 0; r < c.n_ranges; to += c.ranges[r++].n)
            memcpy(to, m.weights + c.ranges[r].first, (size_t)c.ranges[r].n * sizeof *to);
        rllc_member member = {.component = &c, .free = free_at, .gradient = gradient};
        double base;
        assert_int_equal(rllc_engine_lockstep(e, m.weights, tokens(), ROWS, &member, 1, &base, NULL), RLLC_OK);
        assert_true(member.loss == out.loss && base == out.loss);
        const float *g = gradient;
        for (int64_t r = 0; r < c.n_ranges; g += c.ranges[r++].n)
            assert_memory_equal(g, whole + c.ranges[r].first, (size_t)c.ranges[r].n * sizeof *g);
        free(free_at);
        free(gradient);
        rllc_component_release(&c);
    }
    free(whole);
    rllc_engine_free(e);
    rllc_model_release(&m);
}

static void test_members_agree_with_the_whole(void **state) {
    (void)state;
    members_agree(RLLC_NORM_NULL);
    members_agree(RLLC_NORM_LN);
}

static void test_files_keep_a_model_without_layers(void **state) {
    (void)state;
    char path[] = "/tmp/rllc-zero-XXXXXX";
    rllc_model m, back;
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    make(&m, RLLC_NORM_NULL);
    assert_int_equal(rllc_model_save(&m, NULL, path, NULL), RLLC_OK);
    assert_int_equal(rllc_model_load(&back, path), RLLC_OK);
    assert_int_equal(back.options.n_layers, 0);
    assert_int_equal(back.options.d_head, 5);
    assert_int_equal(back.size, m.size);
    assert_memory_equal(back.weights, m.weights, (size_t)m.size * sizeof(float));
    assert_true(rllc_component_flops(
                    &m, &(rllc_component){.ranges = &(rllc_span){0, m.size}, .n_ranges = 1, .size = m.size}) > 0);
    unlink(path);
    rllc_model_release(&back);
    rllc_model_release(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss_and_gradient_are_the_bigram_model),
        cmocka_unit_test(test_members_agree_with_the_whole),
        cmocka_unit_test(test_files_keep_a_model_without_layers),
    };
    return cmocka_run_group_tests_name("zero layers", tests, NULL, NULL);
}
