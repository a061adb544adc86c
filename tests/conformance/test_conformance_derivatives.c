/* Every entry of every tensor's gradient against differences of the loss, on every kernel table: no stored numbers. */
#include "conformance/conformance.h"

/*
 * The fourth-order difference (8 (L(+h) - L(-h)) - (L(+2h) - L(-2h))) / 12h has a truncation error of h^4 L^(5) / 30
 * and a noise of 1.5 d / h, where d, 1e-7 or so, is the float32 rounding in the mean loss. At h = 0.02 of the
 * parameter the sum of both stays below 1e-3 of the largest gradient entry; a wrong term shows as 1e-1 or more.
 */
static const double step = 0.02, tolerance = 1e-3;

static double loss_at(rllc_engine *engine, const conformance_model *f, const float *weights) {
    rllc_evaluation out = {0};
    assert_ok(rllc_engine_evaluate(engine, weights, f->tokens, f->rows, &out));
    return out.loss;
}

static double difference(rllc_engine *engine, const conformance_model *f, float *weights, int64_t i) {
    const float keep = weights[i];
    const float at[4] = {keep + (float)step, keep - (float)step, keep + 2 * (float)step, keep - 2 * (float)step};
    double loss[4];
    for (int k = 0; k < 4; k++) {
        weights[i] = at[k];
        loss[k] = loss_at(engine, f, weights);
    }
    weights[i] = keep;
    /* the steps really taken, in float32 */
    double h1 = (double)at[0] - (double)at[1], h2 = (double)at[2] - (double)at[3];
    return (4 * (loss[0] - loss[1]) / h1 - (loss[2] - loss[3]) / h2) / 3;
}

static void check(const rllc_model_options *shape, uint64_t seed) {
    conformance_model f;
    conformance_model_setup(&f, shape, 3, seed);
    rllc_engine *engine = NULL;
    assert_ok(rllc_engine_new(&engine, &f.model, f.rows, 1));
    rllc_evaluation out = {.gradient = test_memory(f.model.size, sizeof(float))};
    assert_ok(rllc_engine_evaluate(engine, f.model.weights, f.tokens, f.rows, &out));
    double scale = 0, worst = 0;
    for (int64_t i = 0; i < f.model.size; i++) scale = fmax(scale, fabs((double)out.gradient[i]));
    const char *worst_at = "-";
    for (int64_t p = 0; p < f.model.n_parameters; p++) {
        const rllc_parameter *t = &f.model.parameters[p];
        double largest = 0;
        for (int64_t i = t->offset; i < t->offset + t->n; i++) {
            double error = fabs(difference(engine, &f, f.model.weights, i) - (double)out.gradient[i]) / scale;
            if (!(error <= worst)) worst = error, worst_at = t->name;
            largest = fmax(largest, fabs((double)out.gradient[i]));
        }
        /* a tensor with nothing to see would pass unseen; only b_K may be still (a row's softmax does not see it) */
        if (!conformance_ends_with(t->name, ".b_K")) assert_true(largest > 20 * tolerance * scale);
    }
    printf("    %lld layers, normalization %s: %lld entries, max error %.1e of the scale (%s)\n",
           (long long)shape->n_layers, shape->normalization == RLLC_NORM_LN ? "LN" : "null", (long long)f.model.size,
           worst, worst_at);
    assert_true(worst <= tolerance);
    free(out.gradient);
    rllc_engine_free(engine);
    conformance_model_release(&f);
}

static void test_gradient_is_the_difference_quotient(void **state) {
    (void)state;
    rllc_model_options shape = conformance_shape(2, 8, 2, 3, 9, 11);
    check(&shape, 1);
    shape.n_layers = 1;
    check(&shape, 2);
    shape.n_layers = 3;
    check(&shape, 3);
}

static void test_gradient_without_normalization_is_the_difference_quotient(void **state) {
    (void)state;
    rllc_model_options shape = conformance_shape(2, 8, 2, 3, 9, 11);
    shape.normalization = RLLC_NORM_NULL;
    check(&shape, 4);
}

int main(int argc, char **argv) {
    (void)argc;
    int status = run_for_every_table(argv);
    if (status >= 0) return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient_is_the_difference_quotient),
        cmocka_unit_test(test_gradient_without_normalization_is_the_difference_quotient),
    };
    return cmocka_run_group_tests_name("derivatives", tests, NULL, NULL);
}
