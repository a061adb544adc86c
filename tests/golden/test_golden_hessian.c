/* Second derivatives against plain torch in float64, on every kernel table: whole Hessians, and products. */
#include "golden/golden.h"

/* Of the largest entry of the matrix or product. All of it is float32 rounding of ours; the worst seen on any table is
 * 7e-7 (it is printed). A term left out of one tangent leaves more than 1e-3. */
static const double tolerance = 5e-6;

static const char *in(const char *model, const char *file) {
    return rllc_intern_printf("../hessian/%s/%s", model, file);
}

typedef struct fixture {
    rllc_model model;
    rllc_engine *engine;
    int32_t *tokens;
    int64_t rows;
} fixture;

static void setup(fixture *f, const char *name) {
    int64_t shape[3];
    golden_load_model(&f->model, rllc_intern_printf("../hessian/%s", name));
    f->tokens = golden_tokens(in(name, "tokens.npy"), shape);
    f->rows = shape[1];
    assert_int_equal(shape[2], f->model.options.n_ctx);
    assert_ok(rllc_engine_new(&f->engine, &f->model, f->rows, 1));
}

static void teardown(fixture *f) {
    rllc_engine_free(f->engine);
    rllc_model_release(&f->model);
    free(f->tokens);
}

/* Every column of a component's Hessian, by products with unit vectors. */
static void check_component(fixture *f, const char *name) {
    rllc_component c;
    int64_t n = 0;
    double *truth = golden_array(rllc_intern_printf("../hessian/ln/%s.npy", name), &n);
    assert_ok(rllc_component_parse(&c, &f->model, name));
    assert_int_equal(n, c.size * c.size);
    float *unit = test_memory(n, sizeof *unit), *ours = test_memory(n, sizeof *ours);
    const float **v = test_memory(c.size, sizeof *v);
    float **out = test_memory(c.size, sizeof *out);
    for (int64_t i = 0; i < c.size; i++) {
        unit[i * c.size + i] = 1;
        v[i] = unit + i * c.size;
        out[i] = ours + i * c.size;
    }
    assert_ok(rllc_engine_hessian(f->engine, f->model.weights, f->tokens, f->rows, &c, c.size, v, out, NULL, NULL));
    golden_error e = {0};
    golden_compare(&e, name, n, ours, truth);
    golden_print("whole Hessian", &e);
    assert_true(e.worst <= tolerance);
    free(unit), free(ours), free(v), free(out), free(truth);
    rllc_component_release(&c);
}

static void test_hessians_of_components_agree(void **state) {
    (void)state;
    fixture f;
    setup(&f, "ln");
    check_component(&f, "l0h1");
    check_component(&f, "l1h0");
    check_component(&f, "pos_embed");
    check_component(&f, "blocks.0.ln1.w+l1h1+ln_final.w");
    teardown(&f);
}

static void test_products_of_whole_models_agree(void **state) {
    (void)state;
    const char *const names[] = {"ln", "null", "one"};
    for (int k = 0; k < 3; k++) {
        fixture f;
        rllc_component c;
        int64_t n = 0;
        setup(&f, names[k]);
        assert_ok(rllc_component_parse(&c, &f.model, "full"));
        double *vectors = golden_array(in(names[k], "vectors.npy"), &n);
        double *truth = golden_array(in(names[k], "products.npy"), NULL);
        assert_int_equal(n, 3 * c.size);
        float *narrow = golden_narrow(n, vectors), *ours = test_memory(n, sizeof *ours);
        const float *v[] = {narrow, narrow + c.size, narrow + 2 * c.size};
        float *out[] = {ours, ours + c.size, ours + 2 * c.size};
        assert_ok(rllc_engine_hessian(f.engine, f.model.weights, f.tokens, f.rows, &c, 3, v, out, NULL, NULL));
        golden_error e = {0};
        for (int i = 0; i < 3; i++) golden_compare(&e, names[k], c.size, out[i], truth + i * c.size);
        golden_print("products, whole model", &e);
        assert_true(e.worst <= tolerance);
        free(vectors), free(truth), free(narrow), free(ours);
        rllc_component_release(&c);
        teardown(&f);
    }
}

/* All predictions, true labels: no sampling is left. The expectation over own labels is met by many seeds. */
static void test_fisher_agrees(void **state) {
    (void)state;
    enum { SEEDS = 400 };
    fixture f;
    rllc_component c;
    rllc_fisher own, true_;
    double sum = 0, squares = 0;
    setup(&f, "ln");
    assert_ok(rllc_component_parse(&c, &f.model, "l1h0"));
    double *truth = golden_array("../hessian/ln/fisher.npy", NULL);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        assert_ok(rllc_engine_fisher(f.engine, f.model.weights, f.tokens, f.rows, &c, 0, seed, &own, &true_));
        sum += own.mean / SEEDS;
        squares += own.mean * own.mean / SEEDS;
    }
    const double se = sqrt((squares - sum * sum) / SEEDS);
    printf("    Fisher trace: empirical off by %.1e; own labels %.5f +- %.5f, exact %.5f\n",
           fabs(true_.mean / truth[0] - 1), sum, se, truth[1]);
    assert_true(fabs(true_.mean / truth[0] - 1) < tolerance);
    assert_true(fabs(sum - truth[1]) < 3.5 * se && se < 0.03 * truth[1]);
    free(truth);
    rllc_component_release(&c);
    teardown(&f);
}

int main(int argc, char **argv) {
    (void)argc;
    const int all = run_for_every_table(argv);
    if (all >= 0) return all;
    assert_table_as_asked();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hessians_of_components_agree),
        cmocka_unit_test(test_products_of_whole_models_agree),
        cmocka_unit_test(test_fisher_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
