/* Ten AdamW steps of the two-layer model against torch.optim.AdamW in float64, on every kernel table. */
#include "golden/golden.h"

/*
 * Adam divides by sqrt(v) + 1e-8: where a gradient entry is as small as its own rounding error the direction of the
 * step is rounding, for torch's float32 as for ours. So weights are compared on the scale of their tensor, at 1e-5
 * (float32 torch itself is measured beside), except b_K, whose gradient is 0 exactly: its float32 gradient is rounding
 * alone, and all that can be asked is that it moves by at most lr a step.
 */
static const double tolerance = 1e-5;

static double setting(const char *section, const char *key) {
    rllc_json *j = NULL;
    assert_ok(rllc_json_load(&j, GOLDEN_DIR "settings.json"));
    double value = rllc_json_to_real(rllc_json_get(rllc_json_get(j, section), key), NAN);
    rllc_json_free(j);
    assert_true(isfinite(value));
    return value;
}

static rllc_adamw_options settings(void) {
    rllc_adamw_options o;
    rllc_options_default(&rllc_adamw_option_table, &o);
    o.lr = setting("adamw", "lr");
    o.beta1 = setting("adamw", "beta1");
    o.beta2 = setting("adamw", "beta2");
    o.eps = setting("adamw", "eps");
    o.weight_decay = setting("adamw", "weight_decay");
    o.max_grad_norm = 0;
    return o;
}

static void compare_weights(const rllc_model *m, const float *w, double lr, int step) {
    char name[64];
    snprintf(name, sizeof name, "l2/adamw/step%d_64.safetensors", step);
    double *truth = golden_vector(m, name, NAN);
    snprintf(name, sizeof name, "l2/adamw/step%d_32.safetensors", step);
    double *torch32 = golden_vector(m, name, NAN);
    float *narrow = golden_narrow(m->size, torch32);
    golden_error ours = {0}, theirs = {0};
    for (int64_t p = 0; p < m->n_parameters; p++) {
        const rllc_parameter *t = &m->parameters[p];
        if (golden_is_key_bias(t->name)) {
            for (int64_t i = t->offset; i < t->offset + t->n; i++)
                assert_true(fabs((double)w[i] - truth[i]) <= 1.01 * lr * step);
            continue;
        }
        golden_compare(&ours, t->name, t->n, w + t->offset, truth + t->offset);
        golden_compare(&theirs, t->name, t->n, narrow + t->offset, truth + t->offset);
    }
    printf("  after step %d\n", step);
    golden_print("weights, torch float32", &theirs);
    golden_print("weights, ours", &ours);
    assert_true(ours.worst <= tolerance);
    free(narrow);
    free(torch32);
    free(truth);
}

static void test_adamw_agrees(void **state) {
    (void)state;
    rllc_model m;
    int64_t shape[3], n = 0;
    golden_load_model(&m, "l2");
    int32_t *tokens = golden_tokens("l2/adamw/tokens.npy", shape);
    double *losses = golden_array("l2/adamw/losses.npy", &n);
    assert_int_equal(n, 2 * shape[0]);
    rllc_adamw_options options = settings();
    rllc_adamw adamw;
    rllc_engine *engine = NULL;
    assert_ok(rllc_adamw_init(&adamw, m.size, &options));
    assert_ok(rllc_engine_new(&engine, &m, shape[1], 2));
    rllc_evaluation out = {.gradient = test_memory(m.size, sizeof(float))};
    double worst = 0;
    for (int64_t step = 0; step < shape[0]; step++) {
        assert_ok(rllc_engine_evaluate(engine, m.weights, tokens + step * shape[1] * shape[2], shape[1], &out));
        worst = fmax(worst, fabs(out.loss - losses[step]) / losses[step]);
        double norm = 0, squares = 0;
        for (int64_t i = 0; i < m.size; i++) squares += (double)out.gradient[i] * (double)out.gradient[i];
        assert_ok(rllc_adamw_update(&adamw, out.gradient, m.weights, 2, &norm));
        assert_true(fabs(norm - sqrt(squares)) <= 1e-6 * norm);
        assert_int_equal(adamw.step, step + 1);
        if (step == 0 || step == shape[0] - 1) compare_weights(&m, m.weights, options.lr, (int)step + 1);
    }
    printf("  losses of %lld steps: max relative error %.1e\n", (long long)shape[0], worst);
    assert_true(worst <= 1e-6);
    free(out.gradient);
    rllc_engine_free(engine);
    rllc_adamw_release(&adamw);
    free(losses);
    free(tokens);
    rllc_model_release(&m);
}

int main(int argc, char **argv) {
    (void)argc;
    int status = run_for_every_table(argv);
    if (status >= 0) return status;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_adamw_agrees)};
    return cmocka_run_group_tests_name("golden adamw", tests, NULL, NULL);
}
