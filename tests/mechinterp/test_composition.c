/* Composition scores: the direct computation, invariances, a circuit with a known score, chance, and the store. */
#include "mechinterp/circuits.h"
#include "mechinterp/composition.h"

static void make(rllc_model *m, int64_t n_layers, int64_t n_heads, int64_t d_model, int64_t d_head, int normalization) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = n_layers;
    o.n_heads = n_heads;
    o.d_model = d_model;
    o.d_head = d_head;
    o.n_ctx = 4;
    o.d_vocab = 5;
    o.normalization = normalization;
    assert_ok(rllc_model_init(m, &o));
}

static float *tensor(rllc_model *m, int64_t layer, const char *name) {
    const rllc_parameter *p = rllc_model_find(m, rllc_intern_printf("blocks.%lld.%s", (long long)layer, name));
    assert_non_null(p);
    return m->weights + p->offset;
}

static double *scores_of(const rllc_model *m, int kind, bool folded) {
    const int64_t heads = m->options.n_layers * m->options.n_heads;
    double *out = test_memory(heads * heads, sizeof *out);
    assert_ok(rllc_composition_scores(m, kind, folded, out));
    return out;
}

static void assert_same_scores(const rllc_model *a, const rllc_model *b, int kind, bool folded, double tolerance) {
    const int64_t heads = a->options.n_layers * a->options.n_heads;
    double *x = scores_of(a, kind, folded), *y = scores_of(b, kind, folded);
    for (int64_t i = 0; i < heads * heads; i++)
        if (!isnan(x[i]) || !isnan(y[i])) assert_near(x[i], y[i], tolerance);
    free(x);
    free(y);
}

/* ---- the direct computation: matrices of C x C in double --------------------------------------------------- */

/** Reading matrices of a head with LayerNorm's centring and gain multiplied out as C x C matrices. */
static void direct_read(rllc_model *m, int64_t head, const char *name, bool folded, double *out) {
    const int64_t C = m->options.d_model, D = m->options.d_head, H = m->options.n_heads;
    const float *w = tensor(m, head / H, rllc_intern_printf("attn.%s", name)) + head % H * C * D;
    for (int64_t i = 0; i < C; i++)
        for (int64_t d = 0; d < D; d++) {
            double x = folded ? 0 : (double)w[i * D + d];
            for (int64_t k = 0; k < C && folded; k++)
                x += ((i == k) - 1.0 / (double)C) * (double)tensor(m, head / H, "ln1.w")[k] * (double)w[k * D + d];
            out[i * D + d] = x;
        }
}

/** out [C, C] = a b^T for a, b [C, D]; transposed: b is [D, C]. */
static void direct_product(int64_t C, int64_t D, const double *a, const double *b, double *out) {
    for (int64_t i = 0; i < C; i++)
        for (int64_t j = 0; j < C; j++) {
            out[i * C + j] = 0;
            for (int64_t d = 0; d < D; d++) out[i * C + j] += a[i * D + d] * b[j * D + d];
        }
}

static double norm(int64_t n, const double *x) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

static double direct_score(rllc_model *m, int kind, bool folded, int64_t from, int64_t to) {
    enum { MOST = 64 * 64 };
    static double v[MOST], o[MOST], a[MOST], b[MOST], left[MOST], right[MOST], product[MOST];
    const int64_t C = m->options.d_model, D = m->options.d_head, H = m->options.n_heads;
    const int64_t last = kind == RLLC_COMPOSITION_V ? to : from;
    assert_true(C * C <= MOST && C * D <= MOST);
    direct_read(m, from, "W_V", folded, v);
    for (int pass = 0; pass < 2; pass++) { /* W_O of `from` for the left factor, then of `to` where V needs it */
        const int64_t head = pass ? last : from;
        const float *w = tensor(m, head / H, "attn.W_O") + head % H * C * D;
        for (int64_t c = 0; c < C; c++)
            for (int64_t d = 0; d < D; d++) o[c * D + d] = (double)w[d * C + c];
        if (pass == 0) direct_product(C, D, v, o, left);
    }
    direct_read(m, to, kind == RLLC_COMPOSITION_K ? "W_K" : kind == RLLC_COMPOSITION_Q ? "W_Q" : "W_V", folded, a);
    if (kind != RLLC_COMPOSITION_V) direct_read(m, to, kind == RLLC_COMPOSITION_K ? "W_Q" : "W_K", folded, b);
    direct_product(C, D, a, kind == RLLC_COMPOSITION_V ? o : b, right);
    for (int64_t i = 0; i < C; i++)
        for (int64_t j = 0; j < C; j++) {
            product[i * C + j] = 0;
            for (int64_t k = 0; k < C; k++) product[i * C + j] += left[i * C + k] * right[k * C + j];
        }
    return norm(C * C, product) / (norm(C * C, left) * norm(C * C, right));
}

static void check_direct(int64_t n_layers, int64_t n_heads, int64_t C, int64_t D) {
    rllc_model m;
    const int64_t heads = n_layers * n_heads;
    make(&m, n_layers, n_heads, C, D, RLLC_NORM_LN);
    rllc_model_randomize(&m, 3);
    for (int64_t l = 0; l < n_layers; l++) /* gains that are not 1 */
        for (int64_t c = 0; c < C; c++) tensor(&m, l, "ln1.w")[c] = (float)(0.3 + 0.2 * (double)((c * 7 + l) % 5));
    for (int kind = 0; kind < RLLC_COMPOSITIONS; kind++)
        for (int folded = 0; folded < 2; folded++) {
            double *found = scores_of(&m, kind, folded);
            for (int64_t i = 0; i < heads * heads; i++) {
                const int64_t from = i / heads, to = i % heads;
                if (from / n_heads >= to / n_heads) {
                    assert_true(isnan(found[i]));
                    continue;
                }
                const double expected = direct_score(&m, kind, folded, from, to);
                assert_true(found[i] > 0 && found[i] <= 1 + 1e-12);
                assert_near(found[i], expected, 1e-12 * expected);
            }
            free(found);
        }
    rllc_model_release(&m);
}

static void test_scores_equal_the_direct_computation(void **state) {
    (void)state;
    check_direct(2, 3, 16, 4);
    check_direct(3, 2, 24, 5); /* pairs that skip a layer */
    check_direct(2, 2, 6, 9);  /* heads wider than the stream */
    check_direct(2, 1, 40, 1);
}

/* ---- invariances: small integers, so that the changed weights are exact in float32 ------------------------- */

static void fill_with_integers(rllc_model *m, uint64_t seed) {
    const rllc_stream s = rllc_stream_make(seed, "integers", 0, 0);
    for (int64_t i = 0; i < m->size; i++) m->weights[i] = (float)((int64_t)rllc_stream_below(&s, (uint64_t)i, 17) - 8);
}

/** x [C, columns] <- R x with R = Hadamard / 4 of 16 rows: orthogonal, and exact on integers. */
static void turn(float *x, int64_t columns, int64_t row_stride, int64_t column_stride) {
    double before[16];
    for (int64_t j = 0; j < columns; j++) {
        for (int64_t i = 0; i < 16; i++) before[i] = (double)x[i * row_stride + j * column_stride];
        for (int64_t i = 0; i < 16; i++) {
            double sum = 0;
            for (int64_t k = 0; k < 16; k++) sum += (__builtin_popcountll((uint64_t)(i & k)) % 2 ? -1 : 1) * before[k];
            x[i * row_stride + j * column_stride] = (float)(sum / 4);
        }
    }
}

static void test_scores_do_not_see_a_turn_of_the_residual_stream(void **state) {
    (void)state;
    enum { C = 16, D = 4, H = 2 };
    rllc_model a, b;
    make(&a, 2, H, C, D, RLLC_NORM_NULL);
    make(&b, 2, H, C, D, RLLC_NORM_NULL);
    fill_with_integers(&a, 1);
    memcpy(b.weights, a.weights, (size_t)a.size * sizeof *a.weights);
    for (int64_t l = 0; l < 2; l++)
        for (int64_t h = 0; h < H; h++) {
            turn(tensor(&b, l, "attn.W_Q") + h * C * D, D, D, 1);
            turn(tensor(&b, l, "attn.W_K") + h * C * D, D, D, 1);
            turn(tensor(&b, l, "attn.W_V") + h * C * D, D, D, 1);
            turn(tensor(&b, l, "attn.W_O") + h * C * D, D, 1, C);
        }
    assert_true(memcmp(tensor(&a, 1, "attn.W_Q"), tensor(&b, 1, "attn.W_Q"), C * D * sizeof(float)) != 0);
    for (int kind = 0; kind < RLLC_COMPOSITIONS; kind++) assert_same_scores(&a, &b, kind, false, 1e-13);
    rllc_model_release(&a);
    rllc_model_release(&b);
}

/** Column 0 of x [C, D] gets `times` column 1 added. */
static void shear(float *x, int64_t C, int64_t D, int into, int of, float times) {
    for (int64_t c = 0; c < C; c++) x[c * D + into] += times * x[c * D + of];
}

static void test_scores_do_not_see_a_change_of_basis_inside_a_head(void **state) {
    (void)state;
    enum { C = 12, D = 3, H = 2 };
    rllc_model a, b;
    make(&a, 2, H, C, D, RLLC_NORM_LN);
    make(&b, 2, H, C, D, RLLC_NORM_LN);
    fill_with_integers(&a, 2);
    memcpy(b.weights, a.weights, (size_t)a.size * sizeof *a.weights);
    for (int64_t l = 0; l < 2; l++)
        for (int64_t h = 0; h < H; h++) { /* W_Q M and W_K M^-T; W_V M and M^-1 W_O */
            float *o = tensor(&b, l, "attn.W_O") + h * C * D;
            shear(tensor(&b, l, "attn.W_Q") + h * C * D, C, D, 0, 1, 3);
            shear(tensor(&b, l, "attn.W_K") + h * C * D, C, D, 1, 0, -3);
            shear(tensor(&b, l, "attn.W_V") + h * C * D, C, D, 2, 0, 5);
            for (int64_t c = 0; c < C; c++) o[0 * C + c] -= 5 * o[2 * C + c];
        }
    for (int kind = 0; kind < RLLC_COMPOSITIONS; kind++)
        for (int folded = 0; folded < 2; folded++) assert_same_scores(&a, &b, kind, folded, 1e-13);
    shear(tensor(&b, 1, "attn.W_Q"), C, D, 0, 1, 1); /* without its counterpart it is another head */
    double *x = scores_of(&a, RLLC_COMPOSITION_K, false), *y = scores_of(&b, RLLC_COMPOSITION_K, false);
    assert_true(fabs(x[2] - y[2]) > 1e-4);
    free(x);
    free(y);
    rllc_model_release(&a);
    rllc_model_release(&b);
}

static void test_induction_circuit_composes_through_its_keys_alone(void **state) {
    (void)state;
    enum { V = 12, T = 24 };
    hand_built b;
    build_induction(&b, 2, V, T, 5, 8, RLLC_NORM_NULL);
    double *k = scores_of(&b.model, RLLC_COMPOSITION_K, false), *q = scores_of(&b.model, RLLC_COMPOSITION_Q, false),
           *v = scores_of(&b.model, RLLC_COMPOSITION_V, false);
    assert_near(k[0 * 4 + 2], 1 / sqrt(V), 1e-15);
    assert_true(q[0 * 4 + 2] == 0 && v[0 * 4 + 2] == 0);
    for (int pair = 0; pair < 3; pair++) { /* heads without weights compose with nothing */
        const int64_t at = (pair < 2) * 4 + 2 + (pair > 0);
        assert_true(k[at] == 0 && q[at] == 0 && v[at] == 0);
    }
    free(k);
    free(q);
    free(v);
    rllc_model_release(&b.model);
}

/* ---- chance ------------------------------------------------------------------------------------------------ */

typedef struct moments {
    double mean, se, square, square_se;
} moments;

/** Scores of independent pairs of random heads. */
static moments simulate(int64_t C, int64_t D, int kind, bool folded, int64_t n) {
    rllc_model m;
    double sum[3] = {0}, all[4];
    make(&m, 2, 1, C, D, RLLC_NORM_LN);
    for (int64_t i = 0; i < n; i++) {
        rllc_model_randomize(&m, (uint64_t)i);
        assert_ok(rllc_composition_scores(&m, kind, folded, all));
        const double r = all[1];
        sum[0] += r;
        sum[1] += r * r;
        sum[2] += r * r * r * r;
    }
    const double count = (double)n, mean = sum[0] / count, square = sum[1] / count;
    rllc_model_release(&m);
    return (moments){mean, sqrt((square - mean * mean) / count), square,
                     sqrt((sum[2] / count - square * square) / count)};
}

/** `slack`: how far E126 is off at this shape (docs/circuits.md). */
static void check_chance(int64_t C, int64_t D, int kind, bool folded, int64_t n, double slack) {
    rllc_model m;
    make(&m, 2, 1, C, D, RLLC_NORM_LN);
    const double chance = rllc_composition_chance(&m.options, kind, folded);
    const moments found = simulate(C, D, kind, folded, n);
    rllc_model_release(&m);
    assert_near(found.square, 1 / (double)C, 4 * found.square_se); /* E123 is exact */
    assert_near(found.mean, chance, 4 * found.se + slack * chance);
    if (D == 1) assert_true(1 / sqrt((double)C) - found.mean > 20 * found.se); /* what 1 / sqrt(C) would say */
}

static void test_chance_is_the_mean_score_of_random_heads(void **state) {
    (void)state;
    for (int kind = 0; kind < RLLC_COMPOSITIONS; kind++)
        for (int folded = 0; folded < 2; folded++) {
            check_chance(10, 1, kind, folded, 4000, 0); /* exact for D = 1 */
            check_chance(32, 8, kind, folded, 1000, 6e-4);
            check_chance(8, 2, kind, folded, 4000, 0.02);
        }
}

static void test_chance_at_the_paper_s_shape(void **state) {
    (void)state;
    const rllc_model_options o = {.n_layers = 2, .n_heads = 8, .d_model = 256, .d_head = 32};
    for (int kind = 0; kind < RLLC_COMPOSITIONS; kind++) {
        const double chance = rllc_composition_chance(&o, kind, false);
        assert_near(chance, 0.0625, 5e-5);
        assert_true(chance < 0.0625);
    }
}

/* ---- refusals ---------------------------------------------------------------------------------------------- */

static void test_what_cannot_be_scored_is_refused(void **state) {
    (void)state;
    rllc_model m;
    double out[16];
    make(&m, 2, 2, 8, 2, RLLC_NORM_NULL);
    rllc_model_randomize(&m, 1);
    assert_int_equal(rllc_composition_scores(&m, RLLC_COMPOSITION_K, true, out), RLLC_EUSAGE);
    tensor(&m, 1, "attn.W_Q")[17] = NAN; /* head 1:1 */
    assert_int_equal(rllc_composition_scores(&m, RLLC_COMPOSITION_K, false, out), RLLC_ENOTFINITE);
    assert_non_null(strstr(rllc_error_detail(), "0:0 and 1:1"));
    rllc_model_release(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_equal_the_direct_computation),
        cmocka_unit_test(test_scores_do_not_see_a_turn_of_the_residual_stream),
        cmocka_unit_test(test_scores_do_not_see_a_change_of_basis_inside_a_head),
        cmocka_unit_test(test_induction_circuit_composes_through_its_keys_alone),
        cmocka_unit_test(test_chance_is_the_mean_score_of_random_heads),
        cmocka_unit_test(test_chance_at_the_paper_s_shape),
        cmocka_unit_test(test_what_cannot_be_scored_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
