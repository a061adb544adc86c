/* Loss, token losses, logits and all gradients of the model against plain torch in float64, on every kernel table. */
#include "golden/golden.h"

/*
 * The truth is float64 torch on the same float32 weights, so all of the difference is our float32 rounding. Torch's
 * own float32 is measured beside it. 1e-5 is ten times the largest error seen on any table, and far below what any
 * mistake in an equation leaves.
 */
static const double tolerance = 1e-5;

static const char *const models[] = {"l2", "l1", "l3", "null", "long", "many"};
enum { N_MODELS = sizeof models / sizeof *models };

/* The large cases have neither logits (their token losses see them) nor a float32 gradient stored. */
static bool is_large(const char *name) {
    return strcmp(name, "long") == 0 || strcmp(name, "many") == 0;
}

typedef struct fixture {
    rllc_model model;
    int32_t *tokens;
    int64_t rows, n_ctx;
} fixture;

static const char *in(const char *folder, const char *file) {
    return rllc_intern_printf("%s/%s", folder, file);
}

static void setup(fixture *f, const char *name) {
    int64_t shape[3];
    golden_load_model(&f->model, name);
    f->tokens = golden_tokens(in(name, "tokens.npy"), shape);
    f->rows = shape[1];
    f->n_ctx = shape[2];
    assert_int_equal(shape[0], 1);
    assert_int_equal(f->n_ctx, f->model.options.n_ctx);
}

static void teardown(fixture *f) {
    rllc_model_release(&f->model);
    free(f->tokens);
}

static void evaluate(const fixture *f, int n_threads, rllc_evaluation *out) {
    rllc_engine *engine = NULL;
    assert_ok(rllc_engine_new(&engine, &f->model, f->rows, n_threads));
    assert_ok(rllc_engine_evaluate(engine, f->model.weights, f->tokens, f->rows, out));
    rllc_engine_free(engine);
}

static void test_model_reads_shapes(void **state) {
    (void)state;
    const int64_t layers[] = {2, 1, 3, 2, 2, 2};
    for (int i = 0; i < N_MODELS; i++) {
        rllc_model m;
        golden_load_model(&m, models[i]);
        assert_int_equal(m.options.n_layers, layers[i]);
        assert_int_equal(m.options.normalization, strcmp(models[i], "null") == 0 ? RLLC_NORM_NULL : RLLC_NORM_LN);
        char name[64];
        snprintf(name, sizeof name, "%s/model.safetensors", models[i]);
        double *stored = golden_vector(&m, name, NAN);
        for (int64_t j = 0; j < m.size; j++) assert_true((double)m.weights[j] == stored[j]);
        free(stored);
        rllc_model_release(&m);
    }
}

static void test_loss_agrees(void **state) {
    (void)state;
    for (int i = 0; i < N_MODELS; i++) {
        fixture f;
        setup(&f, models[i]);
        int64_t n = 0;
        double *truth = golden_array(in(models[i], "token_losses64.npy"), &n);
        double *mean = golden_array(in(models[i], "loss64.npy"), NULL);
        double *torch32 = golden_array(in(models[i], "token_losses32.npy"), NULL);
        assert_int_equal(n, f.rows * (f.n_ctx - 1));
        rllc_evaluation out = {.token_losses = test_memory(n, sizeof(float))};
        evaluate(&f, 1, &out);
        golden_error ours = {0}, theirs = {0};
        float *narrow = golden_narrow(n, torch32);
        golden_compare(&ours, models[i], n, out.token_losses, truth);
        golden_compare(&theirs, models[i], n, narrow, truth);
        golden_print("token losses, torch float32", &theirs);
        golden_print("token losses, ours", &ours);
        printf("    mean loss off by %.1e\n", fabs(out.loss - mean[0]) / mean[0]);
        assert_true(ours.worst <= tolerance);
        assert_true(fabs(out.loss - mean[0]) <= 1e-6 * mean[0]);
        free(out.token_losses);
        free(narrow);
        free(torch32);
        free(mean);
        free(truth);
        teardown(&f);
    }
}

static void test_logits_agree(void **state) {
    (void)state;
    for (int i = 0; i < N_MODELS; i++) {
        if (is_large(models[i])) continue;
        fixture f;
        setup(&f, models[i]);
        int64_t n = 0;
        double *truth = golden_array(in(models[i], "logits64.npy"), &n);
        double *torch32 = golden_array(in(models[i], "logits32.npy"), NULL);
        assert_int_equal(n, f.rows * f.n_ctx * f.model.options.d_vocab);
        rllc_evaluation out = {.logits = test_memory(n, sizeof(float))};
        evaluate(&f, 2, &out);
        golden_error ours = {0}, theirs = {0};
        float *narrow = golden_narrow(n, torch32);
        golden_compare(&ours, models[i], n, out.logits, truth);
        golden_compare(&theirs, models[i], n, narrow, truth);
        golden_print("logits, torch float32", &theirs);
        golden_print("logits, ours", &ours);
        assert_true(ours.worst <= tolerance);
        free(out.logits);
        free(narrow);
        free(torch32);
        free(truth);
        teardown(&f);
    }
}

static void test_gradients_agree(void **state) {
    (void)state;
    for (int i = 0; i < N_MODELS; i++) {
        fixture f;
        setup(&f, models[i]);
        double *truth = golden_vector(&f.model, in(models[i], "gradient64.safetensors"), NAN);
        rllc_evaluation out = {.gradient = test_memory(f.model.size, sizeof(float))};
        evaluate(&f, 2, &out);
        if (!is_large(models[i])) {
            double *torch32 = golden_vector(&f.model, in(models[i], "gradient32.safetensors"), NAN);
            float *narrow = golden_narrow(f.model.size, torch32);
            golden_error theirs = {0};
            golden_compare_gradient(&theirs, &f.model, narrow, truth);
            golden_print("gradients, torch float32", &theirs);
            free(narrow);
            free(torch32);
        }
        golden_error ours = {0};
        golden_compare_gradient(&ours, &f.model, out.gradient, truth);
        golden_print("gradients, ours", &ours);
        assert_true(ours.worst <= tolerance);
        free(out.gradient);
        free(truth);
        teardown(&f);
    }
}

/* A token that never occurs has an embedding that nothing depends on. */
static void test_gradient_of_absent_token_is_zero(void **state) {
    (void)state;
    fixture f;
    setup(&f, "l2");
    rllc_evaluation out = {.gradient = test_memory(f.model.size, sizeof(float))};
    evaluate(&f, 1, &out);
    const rllc_parameter *embed = rllc_model_find(&f.model, "embed.W_E");
    int64_t c = f.model.options.d_model, absent = f.model.options.d_vocab - 1;
    for (int64_t i = 0; i < c; i++) assert_true(out.gradient[embed->offset + absent * c + i] == 0.0f);
    free(out.gradient);
    teardown(&f);
}

int main(int argc, char **argv) {
    (void)argc;
    int status = run_for_every_table(argv);
    if (status >= 0) return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_reads_shapes),
        cmocka_unit_test(test_loss_agrees),
        cmocka_unit_test(test_logits_agree),
        cmocka_unit_test(test_gradients_agree),
        cmocka_unit_test(test_gradient_of_absent_token_is_zero),
    };
    return cmocka_run_group_tests_name("golden model", tests, NULL, NULL);
}
