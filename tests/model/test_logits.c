/* Logits of one position: the bits of all logits, over threads and behind the fence. */
#include "support/fenced.h"
#include "support/support.h"

enum { ROWS = 37, T = 17, V = 43 }; /* three blocks */

static void test_logits_at_are_those_of_all_positions(void **state) {
    (void)state;
    static float all[ROWS * T * V], some[3][ROWS * V];
    int32_t tokens[ROWS * T];
    int64_t position[ROWS];
    rllc_model_options o;
    rllc_model m;
    rllc_engine *e;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = 2, o.d_model = 32, o.n_heads = 4, o.d_head = 8, o.n_ctx = T, o.d_vocab = V;
    assert_ok(rllc_model_init(&m, &o));
    rllc_model_randomize(&m, 7);
    for (int64_t i = 0; i < m.size; i++) m.weights[i] += 0.01F * (float)(i % 5);
    const rllc_stream s = rllc_stream_make(5, "tokens", 0, 0);
    for (int i = 0; i < ROWS * T; i++) tokens[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, V);
    for (int r = 0; r < ROWS; r++) position[r] = r * 5 % T;
    rllc_evaluation x = {.logits = all};
    for (int k = 0; k < 3; k++) {
        assert_ok(rllc_engine_new(&e, &m, ROWS, k == 1 ? 3 : 1));
        if (k == 0) assert_ok(rllc_engine_evaluate(e, m.weights, tokens, ROWS, &x));
        if (k == 2) assert_ok(rllc_engine_set_kernels(e, rllc_fenced_kernels(rllc_kernels_get())));
        assert_ok(rllc_engine_logits_at(e, m.weights, tokens, ROWS, position, some[k]));
        for (int r = 0; r < ROWS; r++)
            assert_memory_equal(some[k] + r * V, all + (r * T + position[r]) * V, V * sizeof(float));
        if (k == 0) {
            position[3] = T;
            assert_int_equal(rllc_engine_logits_at(e, m.weights, tokens, ROWS, position, some[k]), RLLC_EMISMATCH);
            position[3] = 15;
        }
        rllc_engine_free(e);
    }
    assert_int_equal(rllc_fenced_live(), 0);
    rllc_model_release(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logits_at_are_those_of_all_positions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
