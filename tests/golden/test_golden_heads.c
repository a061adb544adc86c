/* Attention, composition, ablations and paths of a small model against TransformerLens in float64. */
#include "golden.h"
#include "mechinterp/ablate.h"
#include "mechinterp/composition.h"

#define HEADS "../heads/" /* from GOLDEN_DIR */

enum { L = 2, H = 4, T = 24, R = 4, N = T - 1, SHIFT = 3 };

typedef struct fixture {
    rllc_model m;
    rllc_engine *e;
    int32_t *tokens; /* [R, T] */
} fixture;

/** The engine borrows the model: f stays where it is. */
static void open_fixture(fixture *f) {
    int64_t shape[3];
    golden_load_model(&f->m, HEADS);
    f->tokens = golden_tokens(HEADS "tokens.npy", shape);
    assert_true(shape[1] == R && shape[2] == T && f->m.options.n_layers == L && f->m.options.n_heads == H);
    assert_ok(rllc_engine_new(&f->e, &f->m, R, 2));
}

static void close_fixture(fixture *f) {
    rllc_engine_free(f->e);
    rllc_model_release(&f->m);
    free(f->tokens);
}

static double *numbers(const char *name, int64_t expected) {
    int64_t n;
    double *x = golden_array(name, &n);
    assert_int_equal(n, expected);
    return x;
}

static void assert_close(const char *what, int64_t n, const float *ours, const double *truth, double *worst) {
    for (int64_t i = 0; i < n; i++) {
        const double error = fabs((double)ours[i] - truth[i]);
        if (!(error <= *worst)) *worst = error;
        if (!(error <= 1e-5))
            fail_msg("%s, entry %lld: %.8f, expected %.8f", what, (long long)i, (double)ours[i], truth[i]);
    }
}

static void test_attention_is_theirs(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    double *patterns = numbers(HEADS "patterns.npy", 2 * L * H * T * T), worst = 0;
    const int64_t sequences[2] = {0, R - 1};
    float ours[L * H];
    for (int64_t s = 0; s < 2; s++)
        for (int64_t query = 0; query < T; query++)
            for (int64_t key = 0; key < T; key++) {
                assert_ok(rllc_engine_attention(f.e, f.m.weights, f.tokens + sequences[s] * T, 1, &query, &key, ours));
                for (int64_t h = 0; h < L * H; h++)
                    assert_close("attention", 1, &ours[h], &patterns[((s * L * H + h) * T + query) * T + key], &worst);
            }
    printf("    attention: %d numbers, largest error %.1e\n", 2 * L * H * T * T, worst);
    free(patterns);
    close_fixture(&f);
}

static void test_composition_is_theirs(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    enum { PAIRS = L * H * L * H };
    double *theirs = numbers(HEADS "composition.npy", 2 * RLLC_COMPOSITIONS * PAIRS), ours[PAIRS], worst = 0;
    for (int folded = 0; folded < 2; folded++)
        for (int kind = 0; kind < RLLC_COMPOSITIONS; kind++) {
            const double *truth = theirs + (folded * RLLC_COMPOSITIONS + kind) * PAIRS;
            assert_ok(rllc_composition_scores(&f.m, kind, folded, ours));
            for (int64_t i = 0; i < PAIRS; i++) { /* they give 0 where there is no score */
                const double x = isnan(ours[i]) ? 0 : ours[i], error = fabs(x - truth[i]);
                assert_true((truth[i] > 0) == (i / (L * H) < H && i % (L * H) >= H));
                worst = fmax(worst, error);
                if (!(error <= (folded ? 1e-8 : 1e-13))) /* they fold in float32 */
                    fail_msg("kind %d, folded %d, pair %lld: %.15f, expected %.15f", kind, folded, (long long)i, x,
                             truth[i]);
            }
        }
    printf("    composition: largest error %.1e\n", worst);
    free(theirs);
    close_fixture(&f);
}

/** Largest change of a loss: a comparison of what changes nothing would be empty. */
static double largest_change(int64_t n, const double *ablated, const double *base) {
    double largest = 0;
    for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(ablated[i] - base[i % (R * N)]));
    return largest;
}

static void test_losses_without_heads_are_theirs(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    rllc_rows rows;
    double *base = numbers(HEADS "losses.npy", R * N);
    double *theirs = numbers(HEADS "ablations.npy", RLLC_ABLATIONS * L * H * R * N), worst = 0;
    float *ours = test_memory(L * H * R * N, sizeof *ours), unchanged[R * N], *ablated[L * H];
    int heads[L * H][1][2];
    rllc_head_set sets[L * H];
    assert_ok(rllc_rows_open(&rows, GOLDEN_DIR HEADS "tokens.npy", 0));
    for (int h = 0; h < L * H; h++) {
        heads[h][0][0] = h / H;
        heads[h][0][1] = h % H;
        sets[h] = (rllc_head_set){.name = "a head", .heads = (const int(*)[2])heads[h], .n = 1};
        ablated[h] = ours + h * R * N;
    }
    for (int kind = 0; kind < RLLC_ABLATIONS; kind++) {
        rllc_ablator *a;
        const double *truth = theirs + kind * L * H * R * N;
        assert_ok(rllc_ablator_new(&a, kind, f.e, &f.m, R, &rows, R));
        assert_ok(rllc_ablator_losses(a, f.tokens, R, SHIFT - 1, sets, L * H, unchanged, ablated));
        assert_close("loss", R * N, unchanged, base, &worst);
        assert_close(rllc_ablation_names[kind], L * H * R * N, ours, truth, &worst);
        for (int h = 0; h < L * H; h++) assert_true(largest_change(R * N, truth + h * R * N, base) > 0.02);
        rllc_ablator_free(a);
    }
    printf("    ablations: %d losses, largest error %.1e; largest change %.2f\n", RLLC_ABLATIONS * L * H * R * N, worst,
           largest_change(RLLC_ABLATIONS * L * H * R * N, theirs, base));
    rllc_rows_close(&rows);
    free(ours);
    free(theirs);
    free(base);
    close_fixture(&f);
}

static void test_losses_without_paths_are_theirs(void **state) {
    (void)state;
    fixture f;
    open_fixture(&f);
    rllc_rows rows;
    enum { PARTS = 4, ALL = H * H * PARTS };
    double *base = numbers(HEADS "losses.npy", R * N);
    double *theirs = numbers(HEADS "paths.npy", 2 * ALL * R * N), worst = 0;
    float *ours = test_memory(ALL * R * N, sizeof *ours);
    rllc_replacement replaced[H];
    rllc_ablation list[ALL];
    assert_ok(rllc_rows_open(&rows, GOLDEN_DIR HEADS "tokens.npy", 0));
    for (int kind = RLLC_ABLATE_ZERO; kind <= RLLC_ABLATE_MEAN; kind++) {
        rllc_ablator *a;
        assert_ok(rllc_ablator_new(&a, kind, f.e, &f.m, R, &rows, R));
        assert_ok(rllc_ablator_prepare(a, f.tokens, R, 0));
        for (int h = 0; h < H; h++) replaced[h] = rllc_ablator_replacement(a, 0, h);
        for (int i = 0; i < ALL; i++) {
            const int part = i % PARTS;
            list[i] = (rllc_ablation){.replaced = &replaced[i / PARTS / H],
                                      .n_replaced = 1,
                                      .into_layer = 1,
                                      .into_head = i / PARTS % H,
                                      .into_q = part == 0 || part == 3,
                                      .into_k = part == 1 || part == 3,
                                      .into_v = part == 2 || part == 3,
                                      .token_losses = ours + i * R * N};
        }
        assert_ok(rllc_engine_ablate(f.e, f.m.weights, f.tokens, R, list, ALL, NULL));
        assert_close(kind ? "mean path" : "zero path", ALL * R * N, ours, theirs + kind * ALL * R * N, &worst);
        rllc_ablator_free(a);
    }
    for (int i = 0; i < 2 * ALL; i++) assert_true(largest_change(R * N, theirs + i * R * N, base) > 1e-3);
    printf("    paths: %d losses, largest error %.1e; largest change %.2f\n", 2 * ALL * R * N, worst,
           largest_change(2 * ALL * R * N, theirs, base));
    rllc_rows_close(&rows);
    free(ours);
    free(theirs);
    free(base);
    close_fixture(&f);
}

int main(int argc, char **argv) {
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_is_theirs),
        cmocka_unit_test(test_composition_is_theirs),
        cmocka_unit_test(test_losses_without_heads_are_theirs),
        cmocka_unit_test(test_losses_without_paths_are_theirs),
    };
    const int done = run_for_every_table(argv);
    if (done >= 0) return done;
    assert_table_as_asked();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
