/* The paper's model: how many numbers it has, where they start, and what its loss is before training. */
#include "conformance/conformance.h"

static rllc_model paper(int64_t n_layers) {
    rllc_model_options o = conformance_shape(n_layers, 256, 8, 32, 1024, 5000);
    rllc_model m;
    assert_ok(rllc_model_init(&m, &o));
    return m;
}

static int64_t component_size(const rllc_model *m, const char *name) {
    rllc_component c;
    assert_ok(rllc_component_parse(&c, m, name));
    int64_t size = c.size;
    rllc_component_release(&c);
    return size;
}

static void test_model_has_the_paper_s_numbers(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t size;
    } expected[] = {
        {"full", 3355016},
        {"l0h3", 4 * 256 * 32 + 3 * 32}, /* W_Q W_K W_V W_O and b_Q b_K b_V slices: 32,864 */
        {"1:7", 32864},
        {"l0", 4 * 65536 + 3 * 256 + 256 + 2 * 256},
        {"l1 attn", 4 * 65536 + 3 * 256 + 256},
        {"embed", 5000 * 256},
        {"pos_embed", 1024 * 256},
        {"unembed", 256 * 5000 + 5000},
        {"l0h1+l0h4+l0h1", 2 * 32864},
        {"embed+pos_embed+l0+l1+ln_final.w+ln_final.b+unembed", 3355016},
        {"l0+l0h3+l0 attn", 4 * 65536 + 3 * 256 + 256 + 2 * 256},
    };
    rllc_model two = paper(2), one = paper(1);
    assert_int_equal(two.size, 3355016);
    assert_int_equal(one.size, 3091336);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_int_equal(component_size(&two, expected[i].name), expected[i].size);
    rllc_model_release(&two);
    rllc_model_release(&one);
}

/* W_*: independent N(0, s^2), s = 0.8 / sqrt(256) = 0.05; biases 0; LayerNorm gains 1. Within 5 standard errors. */
static void test_weights_start_as_in_the_paper(void **state) {
    (void)state;
    const double s = 0.05;
    rllc_model m = paper(2);
    rllc_model_randomize(&m, 1);
    double square = 0, drawn = 0;
    for (int64_t p = 0; p < m.n_parameters; p++) {
        const rllc_parameter *t = &m.parameters[p];
        const double n = (double)t->n;
        double m1 = 0, m2 = 0, m4 = 0;
        for (int64_t i = t->offset; i < t->offset + t->n; i++) {
            const double w = (double)m.weights[i], z = w / s;
            square += w * w;
            m1 += z / n, m2 += z * z / n, m4 += z * z * z * z / n;
            if (strstr(t->name, "W_") == NULL) assert_true(w == (conformance_ends_with(t->name, ".w") ? 1 : 0));
        }
        if (strstr(t->name, "W_") == NULL) continue;
        drawn += n;
        assert_true(fabs(m1) * sqrt(n) < 5);
        assert_true(fabs(m2 - 1) * sqrt(n / 2) < 5);
        assert_true(fabs(m4 - 3) * sqrt(n / 96) < 5);
    }
    assert_true(drawn == 3346432);
    /* the norm follows from the law: 95.57; the published run of this model started at 95.567 */
    const double expected = s * s * drawn + 3 * 256, error = s * s * sqrt(2 * drawn) / (2 * sqrt(expected));
    printf("    weight norm %.4f, expected %.4f +- %.4f\n", sqrt(square), sqrt(expected), error);
    assert_true(fabs(sqrt(square) - sqrt(expected)) < 5 * error);
    rllc_model_release(&m);
}

static void test_seeds_and_tensors_differ(void **state) {
    (void)state;
    rllc_model_options o = conformance_shape(2, 32, 4, 8, 32, 64);
    rllc_model a, b;
    assert_ok(rllc_model_init(&a, &o));
    assert_ok(rllc_model_init(&b, &o));
    rllc_model_randomize(&a, 1);
    rllc_model_randomize(&b, 1);
    assert_memory_equal(a.weights, b.weights, (size_t)a.size * sizeof(float));
    rllc_model_randomize(&b, 2);
    const rllc_parameter *q = rllc_model_find(&a, "blocks.0.attn.W_Q"), *k = rllc_model_find(&a, "blocks.0.attn.W_K");
    double across_seeds = 0, across_tensors = 0, n = (double)q->n, s2 = 0.8 * 0.8 / 32;
    for (int64_t i = 0; i < q->n; i++) {
        const double w = (double)a.weights[q->offset + i];
        across_seeds += w * (double)b.weights[q->offset + i] / s2;
        across_tensors += w * (double)a.weights[k->offset + i] / s2;
    }
    assert_true(fabs(across_seeds) < 5 * sqrt(n));
    assert_true(fabs(across_tensors) < 5 * sqrt(n));
    rllc_model_release(&a);
    rllc_model_release(&b);
}

/*
 * At the start a logit is the sum of 256 products of a normalised x and W_U: N(0, 256 s^2 = 0.64), so the expected loss
 * is log V + 0.64 / 2 = 8.837 up to the finite vocabulary. A context's mean loss over 1,023 random targets has a
 * standard deviation of about 0.8 / sqrt(1023); W_U is common to all, which the tolerance of 0.1 covers.
 */
static void test_loss_starts_as_in_the_paper(void **state) {
    (void)state;
    rllc_model m = paper(2);
    rllc_model_randomize(&m, 1);
    int32_t *tokens = test_memory(1024, sizeof *tokens);
    rllc_stream s = rllc_stream_make(3, "tokens", 0, 0);
    for (int64_t i = 0; i < 1024; i++) tokens[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, 5000);
    rllc_engine *engine = NULL;
    rllc_evaluation out = {0};
    assert_ok(rllc_engine_new(&engine, &m, 1, 2));
    assert_ok(rllc_engine_evaluate(engine, m.weights, tokens, 1, &out));
    printf("    initial loss %.4f, expected %.4f\n", out.loss, log(5000) + 0.32);
    assert_true(fabs(out.loss - log(5000) - 0.32) < 0.1);
    rllc_engine_free(engine);
    free(tokens);
    rllc_model_release(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model_has_the_paper_s_numbers),
        cmocka_unit_test(test_weights_start_as_in_the_paper),
        cmocka_unit_test(test_seeds_and_tensors_differ),
        cmocka_unit_test(test_loss_starts_as_in_the_paper),
    };
    return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
