/* Circuits built by hand: attention and losses equal their closed forms. */
#include "mechinterp/circuit_truth.h"

/* ---- attention by position --------------------------------------------------------------------------------- */

static void check_positional(double c) {
    hand_built b;
    int32_t tokens[T];
    const double tolerance = rounding(c);
    double previous = 0, current_of_previous = 0, first = 0, current = 0;
    build_circuit(&b, 1, 2, V, T, RLLC_NORM_NULL);
    attend_back(&b, 0, 0, 1, c);
    attend_back(&b, 0, 1, 0, c);
    repeated(tokens, 1);
    double *a = patterns_of(&b.model, tokens);
    for (int64_t i = 0; i < T; i++) {
        if (i) previous += a[i * T + i - 1] / (T - 1);
        current_of_previous += a[i * T + i] / T;
        first += a[i * T] / T;
        current += a[(T + i) * T + i] / T;
    }
    assert_near(previous, reference(rllc_intern_printf("prev head c=%g,previous_token_score", c)), tolerance);
    assert_near(current_of_previous, reference(rllc_intern_printf("prev head c=%g,current_token_score", c)), tolerance);
    assert_near(first, reference(rllc_intern_printf("prev head c=%g,first_token_score", c)), tolerance);
    assert_near(current, reference(rllc_intern_printf("cur head c=%g,current_token_score", c)), tolerance);
    free(a);
    rllc_model_release(&b.model);
}

static void test_previous_and_current_token_heads(void **state) {
    (void)state;
    check_positional(0);
    check_positional(2);
    check_positional(5);
    check_positional(10);
    check_positional(20);
}

static double mean_loss(const float *losses, int64_t first, int64_t last) {
    double sum = 0;
    for (int64_t i = first; i <= last; i++) sum += (double)losses[i];
    return sum / (double)(last - first + 1);
}

/** Attention of head 1:0 at the second occurrences on what followed the first. */
static double prefix_matching(const double *patterns, int64_t head) {
    double sum = 0;
    for (int64_t i = V; i < T; i++) sum += patterns[(head * T + i) * T + i - V + 1];
    return sum / V;
}

static void check_induction(double c) {
    hand_built b;
    const circuit k = {.c0 = c, .c = c, .s = 8};
    const char *name = rllc_intern_printf("induction 2-layer c=%g", c);
    int32_t tokens[T];
    float losses[N];
    build_induction(&b, 1, V, T, c, 8, RLLC_NORM_NULL);
    repeated(tokens, 1);
    double *a = patterns_of(&b.model, tokens), row[T];
    for (int64_t i = 0; i < T; i++) {
        induction_row(&k, tokens, i, row);
        for (int64_t j = 0; j <= i; j++) assert_near(a[(T + i) * T + j], row[j], 5e-6);
    }
    assert_near(prefix_matching(a, 1), reference(rllc_intern_printf("%s,prefix_matching_score", name)), 3e-6);
    token_losses(&b.model, tokens, 1, losses);
    for (int64_t i = 0; i < N; i++) assert_near((double)losses[i], loss_at(&k, tokens, i), 2e-5);
    assert_near(mean_loss(losses, V, T - 2), reference(rllc_intern_printf("%s s=8,loss_second_half(pos V..n-2)", name)),
                5e-6);
    assert_near(mean_loss(losses, 0, V - 2), reference(rllc_intern_printf("%s s=8,loss_first_half", name)), 5e-6);
    free(a);
    rllc_model_release(&b.model);
}

static void test_induction_circuit(void **state) {
    (void)state;
    check_induction(0);
    check_induction(2);
    check_induction(5);
    check_induction(10);
    check_induction(20);
}

static void test_without_bos_the_limit_of_prefix_matching_is_not_one(void **state) {
    (void)state;
    hand_built b;
    int32_t tokens[T];
    float losses[N];
    build_induction(&b, 1, V, T, 60, 8, RLLC_NORM_NULL);
    repeated(tokens, 1);
    double *a = patterns_of(&b.model, tokens);
    assert_near(prefix_matching(a, 1), (V - 0.5) / V, rounding(60)); /* position 0 attends to itself: a tie */
    assert_near(prefix_matching(a, 1), reference("induction limit c=60,prefix_matching_score"), rounding(60));
    assert_near(a[(T + V) * T], 0.5, rounding(60));
    assert_near(a[(T + V) * T + 1], 0.5, rounding(60));
    token_losses(&b.model, tokens, 1, losses);
    assert_near(mean_loss(losses, V + 1, T - 2), log(exp(8) + V - 1) - 8, 2e-6);
    assert_near(mean_loss(losses, V + 1, T - 2), reference("induction limit c=60 s=8,loss at queries V+1..n-2"), 2e-6);
    free(a);
    rllc_model_release(&b.model);
}

/**
 * With LayerNorm everywhere. A hard previous-token head leaves two ones in every residual stream, so the LayerNorms of
 * both layers are undone exactly, up to T e^-c0 < 1e-15; the last one scales by what the output slot holds. Rounding of
 * logits of up to 20 in float32 is all that is left: 2e-5 in attention and losses.
 */
static void test_induction_circuit_behind_layer_norms(void **state) {
    (void)state;
    hand_built b;
    const double C = 3 * V + T, one = sqrt(1 / C - 1 / (C * C) + 1e-5), two = sqrt(2 / C - 4 / (C * C) + 1e-5);
    const circuit k = {.c0 = 40, .c = 20, .s = 8, .norm = true, .gain = 2};
    int32_t tokens[T];
    float losses[N];
    build_induction(&b, 1, V, T, 20, 8, RLLC_NORM_LN);
    attend_back(&b, 0, 0, 1, 40);
    undo_norm(&b, 0, 0, 1 / C, one);
    undo_norm(&b, 1, 0, 2 / C, two);
    for (int64_t i = 0; i < V; i++) *entry(&b, "unembed.W_U", output_slot(&b) + i, i, 0) = 2;
    repeated(tokens, 1);
    double *a = patterns_of(&b.model, tokens), row[T];
    for (int64_t i = 0; i < T; i++) {
        assert_near(a[i * T + (i ? i - 1 : 0)], 1, rounding(40));
        induction_row(&k, tokens, i, row);
        for (int64_t j = 0; j <= i; j++) assert_near(a[(T + i) * T + j], row[j], 2e-5);
    }
    token_losses(&b.model, tokens, 1, losses);
    for (int64_t i = 0; i < N; i++)
        assert_near((double)losses[i], loss_at(&k, tokens, i), 2e-5 * (1 + loss_at(&k, tokens, i)));
    assert_true(mean_loss(losses, V + 1, T - 2) < 1e-3 && mean_loss(losses, 0, V - 2) > 5);
    free(a);
    rllc_model_release(&b.model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_previous_and_current_token_heads),
        cmocka_unit_test(test_induction_circuit),
        cmocka_unit_test(test_without_bos_the_limit_of_prefix_matching_is_not_one),
        cmocka_unit_test(test_induction_circuit_behind_layer_norms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
