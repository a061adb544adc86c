/* Fisher information: single predictions' gradients again, from differences of the batch's; sampling; refusals. */
#include "support/support.h"

enum { ROWS = 3, T = 6, V = 7 };

typedef struct bed {
    rllc_model m;
    rllc_engine *e, *short_; /* for the batch; for one sequence cut short */
    int32_t tokens[ROWS * T];
    rllc_component c;
} bed;

static void bed_init(bed *b, const char *component, int threads) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = 2, o.d_model = 8, o.n_heads = 2, o.d_head = 3, o.n_ctx = T, o.d_vocab = V, o.init_scale = 1.7;
    *b = (bed){0};
    assert_ok(rllc_model_init(&b->m, &o));
    rllc_model_randomize(&b->m, 5);
    const rllc_stream s = rllc_stream_make(3, "test", 0, 0);
    for (int64_t i = 0; i < b->m.size; i++)
        b->m.weights[i] += 0.4F * (float)(rllc_stream_uniform(&s, (uint64_t)i) - 0.5);
    for (int i = 0; i < ROWS * T; i++) b->tokens[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, V);
    assert_ok(rllc_engine_new(&b->e, &b->m, ROWS, threads));
    assert_ok(rllc_engine_new(&b->short_, &b->m, 1, 1));
    assert_ok(rllc_component_parse(&b->c, &b->m, component));
}

static void bed_release(bed *b) {
    rllc_component_release(&b->c);
    rllc_engine_free(b->e);
    rllc_engine_free(b->short_);
    rllc_model_release(&b->m);
}

/* Adds weight times the gradient [P] of the summed losses of a sequence cut to t tokens. */
static void add_gradient(bed *b, const int32_t *tokens, int64_t t, double weight, double *sum) {
    if (t < 2) return;
    float *g = test_memory(b->m.size, sizeof *g);
    rllc_evaluation v = {.gradient = g};
    assert_ok(rllc_engine_set_context(b->short_, t));
    assert_ok(rllc_engine_evaluate(b->short_, b->m.weights, tokens, 1, &v));
    for (int64_t i = 0; i < b->m.size; i++) sum[i] += weight * (double)(t - 1) * (double)g[i];
    free(g);
}

/* |gradient of -log p(label | tokens 0 .. at)|^2 on the component: of a cut sequence less of one a token shorter. */
static double square_of(bed *b, const int32_t *tokens, int64_t at, int32_t label) {
    int32_t cut[T];
    double *g = test_memory(b->m.size, sizeof *g), square = 0;
    memcpy(cut, tokens, (size_t)(at + 1) * sizeof *cut);
    cut[at + 1] = label;
    add_gradient(b, cut, at + 2, 1, g);
    add_gradient(b, cut, at + 1, -1, g);
    for (int64_t r = 0; r < b->c.n_ranges; r++)
        for (int64_t j = 0; j < b->c.ranges[r].n; j++)
            square += g[b->c.ranges[r].first + j] * g[b->c.ranges[r].first + j];
    free(g);
    return square;
}

/* The expectation over the model's own labels: every label in turn. */
static double expected_square(bed *b, const int32_t *tokens, int64_t at) {
    int32_t cut[T];
    float losses[T];
    double sum = 0;
    for (int32_t y = 0; y < V; y++) {
        rllc_evaluation v = {.token_losses = losses};
        memcpy(cut, tokens, (size_t)(at + 1) * sizeof *cut);
        cut[at + 1] = y;
        assert_ok(rllc_engine_set_context(b->short_, at + 2));
        assert_ok(rllc_engine_evaluate(b->short_, b->m.weights, cut, 1, &v));
        sum += exp(-(double)losses[at]) * square_of(b, tokens, at, y);
    }
    return sum;
}

static const char *const components[] = {"full", "l0h1", "l1h0", "embed", "pos_embed", "unembed", "l1", "ln_final.w"};
enum { N = sizeof components / sizeof *components };

static void test_empirical_fisher_is_the_mean_square_of_single_gradients(void **state) {
    (void)state;
    for (int k = 0; k < N; k++) {
        bed b;
        rllc_fisher f;
        double truth = 0, mean[ROWS] = {0}, spread = 0;
        bed_init(&b, components[k], 1);
        for (int r = 0; r < ROWS; r++) {
            for (int at = 0; at < T - 1; at++)
                mean[r] += square_of(&b, b.tokens + r * T, at, b.tokens[r * T + at + 1]) / (T - 1);
            truth += mean[r] / ROWS;
        }
        for (int r = 0; r < ROWS; r++) spread += (mean[r] - truth) * (mean[r] - truth);
        assert_ok(rllc_engine_fisher(b.e, b.m.weights, b.tokens, ROWS, &b.c, 0, 0, NULL, &f));
        assert_int_equal(f.n, ROWS * (T - 1));
        assert_true(fabs(f.mean / truth - 1) < 1e-5);
        assert_true(fabs(f.se / sqrt(spread / (ROWS - 1) / ROWS) - 1) < 1e-4);
        bed_release(&b);
    }
}

/* Labels from the model, positions from the sequence: means over seeds against expectations known exactly. */
static void test_sampled_fisher_has_the_right_mean(void **state) {
    (void)state;
    enum { SEEDS = 400 };
    bed b;
    double truth[2] = {0}, sum[2] = {0}, squares[2] = {0};
    bed_init(&b, "l0h1", 1);
    for (int r = 0; r < ROWS; r++)
        for (int at = 0; at < T - 1; at++) {
            truth[0] += expected_square(&b, b.tokens + r * T, at) / (ROWS * (T - 1));
            truth[1] += square_of(&b, b.tokens + r * T, at, b.tokens[r * T + at + 1]) / (ROWS * (T - 1));
        }
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        rllc_fisher f[2];
        assert_ok(rllc_engine_fisher(b.e, b.m.weights, b.tokens, ROWS, &b.c, 2, seed, &f[0], &f[1]));
        assert_int_equal(f[0].n, ROWS * 2);
        for (int k = 0; k < 2; k++) sum[k] += f[k].mean / SEEDS, squares[k] += f[k].mean * f[k].mean / SEEDS;
    }
    for (int k = 0; k < 2; k++) {
        const double se = sqrt((squares[k] - sum[k] * sum[k]) / SEEDS);
        printf("    %s: exact %.5f, mean of %d seeds %.5f +- %.5f\n", k ? "true labels" : "own labels", truth[k], SEEDS,
               sum[k], se);
        assert_true(fabs(sum[k] - truth[k]) < 3.5 * se);
        assert_true(se < 0.05 * truth[k]); /* sharp enough to tell the two apart: */
    }
    assert_true(fabs(truth[0] - truth[1]) > 0.2 * truth[1]);
    bed_release(&b);
}

static void test_fisher_does_not_depend_on_threads(void **state) {
    (void)state;
    bed one, two;
    rllc_fisher a[2], b[2];
    bed_init(&one, "full", 1);
    bed_init(&two, "full", 2);
    assert_ok(rllc_engine_fisher(one.e, one.m.weights, one.tokens, ROWS, &one.c, 3, 9, &a[0], &a[1]));
    assert_ok(rllc_engine_fisher(two.e, one.m.weights, one.tokens, ROWS, &one.c, 3, 9, &b[0], &b[1]));
    for (int k = 0; k < 2; k++) assert_true(a[k].mean == b[k].mean && a[k].se == b[k].se && a[k].n == b[k].n);
    assert_ok(rllc_engine_fisher(one.e, one.m.weights, one.tokens, ROWS, &one.c, 3, 9, &b[0], NULL));
    assert_true(a[0].mean == b[0].mean); /* whichever else is asked for */
    assert_ok(rllc_engine_fisher(one.e, one.m.weights, one.tokens, ROWS, &one.c, 3, 10, &b[0], NULL));
    assert_true(a[0].mean != b[0].mean);
    assert_ok(rllc_engine_fisher(one.e, one.m.weights, one.tokens, 1, &one.c, 3, 9, &b[0], NULL));
    assert_true(isnan(b[0].se)); /* one sequence has no spread */
    bed_release(&one);
    bed_release(&two);
}

static void test_fisher_refuses(void **state) {
    (void)state;
    bed b;
    rllc_fisher f;
    bed_init(&b, "l0h0", 1);
    assert_int_equal(rllc_engine_fisher(b.e, b.m.weights, b.tokens, ROWS, &b.c, T, 0, &f, NULL), RLLC_EMISMATCH);
    assert_int_equal(rllc_engine_fisher(b.e, b.m.weights, b.tokens, ROWS, &b.c, -1, 0, &f, NULL), RLLC_EMISMATCH);
    assert_int_equal(rllc_engine_fisher(b.e, b.m.weights, b.tokens, ROWS + 1, &b.c, 1, 0, &f, NULL), RLLC_EMISMATCH);
    b.tokens[4] = -1;
    assert_int_equal(rllc_engine_fisher(b.e, b.m.weights, b.tokens, ROWS, &b.c, 1, 0, &f, NULL), RLLC_EMISMATCH);
    bed_release(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empirical_fisher_is_the_mean_square_of_single_gradients),
        cmocka_unit_test(test_sampled_fisher_has_the_right_mean),
        cmocka_unit_test(test_fisher_does_not_depend_on_threads),
        cmocka_unit_test(test_fisher_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
