/* Curvature of a component against its whole Hessian, assembled and diagonalised in double. */
#include "mechinterp/curvature.h"
#include "support/support.h"

enum { ROWS = 6, T = 7, V = 9, MOST = 64 };

typedef struct bed {
    rllc_model m;
    rllc_engine *e;
    rllc_component c;
    int32_t tokens[ROWS * T];
    rllc_curvature_options o;
} bed;

static void bed_init(bed *b, const char *component, int threads) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = 2, o.d_model = 6, o.n_heads = 2, o.d_head = 2, o.n_ctx = T, o.d_vocab = V;
    *b = (bed){0};
    assert_ok(rllc_model_init(&b->m, &o));
    rllc_model_randomize(&b->m, 5);
    const rllc_stream s = rllc_stream_make(3, "test", 0, 0);
    for (int64_t i = 0; i < b->m.size; i++)
        b->m.weights[i] += 0.8F * (float)(rllc_stream_uniform(&s, (uint64_t)i) - 0.5);
    for (int i = 0; i < ROWS * T; i++) b->tokens[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, V);
    assert_ok(rllc_engine_new(&b->e, &b->m, ROWS, threads));
    assert_ok(rllc_component_parse(&b->c, &b->m, component));
    rllc_options_default(&rllc_curvature_option_table, &b->o);
}

static void bed_release(bed *b) {
    rllc_component_release(&b->c);
    rllc_engine_free(b->e);
    rllc_model_release(&b->m);
}

static rllc_status measure(bed *b, rllc_component_curvature *r) {
    return rllc_component_curvature_measure(&b->m, b->e, &b->c, b->tokens, ROWS, &b->o, NULL, r);
}

/* Eigenvalues of a symmetric matrix by Jacobi rotations, descending. */
static void jacobi(int64_t n, double a[MOST][MOST], double *value) {
    for (int sweep = 0; sweep < 50; sweep++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                if (fabs(a[p][q]) < 1e-300) continue;
                const double angle = 0.5 * atan2(2 * a[p][q], a[q][q] - a[p][p]), c = cos(angle), s = sin(angle);
                for (int64_t k = 0; k < n; k++) {
                    const double x = a[k][p], y = a[k][q];
                    a[k][p] = c * x - s * y;
                    a[k][q] = s * x + c * y;
                }
                for (int64_t k = 0; k < n; k++) {
                    const double x = a[p][k], y = a[q][k];
                    a[p][k] = c * x - s * y;
                    a[q][k] = s * x + c * y;
                }
            }
    for (int64_t i = 0; i < n; i++) {
        int64_t k = i;
        for (; k > 0 && value[k - 1] < a[i][i]; k--) value[k] = value[k - 1];
        value[k] = a[i][i];
    }
}

static void spectrum_of(bed *b, double *value) {
    static double a[MOST][MOST];
    float unit[MOST], column[MOST];
    const float *v = unit;
    float *out = column;
    for (int64_t i = 0; i < b->c.size; i++) {
        memset(unit, 0, sizeof unit);
        unit[i] = 1;
        assert_ok(rllc_engine_hessian(b->e, b->m.weights, b->tokens, ROWS, &b->c, 1, &v, &out, NULL, NULL));
        for (int64_t j = 0; j < b->c.size; j++) a[j][i] = (double)column[j];
    }
    for (int64_t i = 0; i < b->c.size; i++)
        for (int64_t j = 0; j < i; j++) a[i][j] = a[j][i] = (a[i][j] + a[j][i]) / 2;
    jacobi(b->c.size, a, value);
}

static double above(int64_t n, const double *value, double threshold) {
    double count = 0;
    for (int64_t i = 0; i < n; i++) count += fabs(value[i]) > threshold;
    return count;
}

static void check_probe(const char *what, const rllc_probe_mean *m, double truth, double sharp) {
    printf("    %-24s %.4f +- %.4f, exact %.4f\n", what, m->mean, m->se, truth);
    assert_true(fabs(m->mean - truth) <= 4 * m->se + 1e-3 * fabs(truth));
    assert_true(m->se <= sharp);
}

static void test_measures_are_those_of_the_whole_hessian(void **state) {
    (void)state;
    const char *const names[] = {"l0h1", "l1h0", "pos_embed"};
    for (int k = 0; k < 3; k++) {
        bed b;
        rllc_component_curvature r;
        double value[MOST], trace = 0, frobenius = 0, integral = 0;
        bed_init(&b, names[k], 1);
        b.o.hessian_probes = 100;
        b.o.hessian_steps = MOST;
        b.o.hessian_points = 2001;
        const int64_t n = b.c.size;
        assert_true(n <= MOST);
        spectrum_of(&b, value);
        assert_ok(measure(&b, &r));
        for (int64_t i = 0; i < n; i++) {
            trace += value[i];
            frobenius += value[i] * value[i];
        }
        assert_string_equal(r.component, names[k]);
        assert_true(r.dim == n && r.rows == ROWS && r.tokens == ROWS * (T - 1));
        check_probe("trace", &r.hessian_trace, trace, sqrt(2 * frobenius / 100));
        check_probe("rank, fixed", &r.rank_fixed, above(n, value, r.threshold), 1);
        check_probe("rank, adaptive", &r.rank_adaptive, above(n, value, r.adaptive_threshold), 1);
        assert_true(fabs(r.adaptive_threshold - 0.01 * fmax(value[0], -value[n - 1])) < 1e-5);
        assert_int_equal(r.n_eigenvalues, 5);
        for (int i = 0; i < 5; i++) {
            assert_true(fabs(r.eigenvalues[i].value - value[i]) < 1e-5 * fabs(value[0]));
            assert_true(r.eigenvalues[i].residual < 1e-4 * fabs(value[0]));
        }
        assert_true(fabs(r.smallest.value - value[n - 1]) < 1e-5 * fabs(value[0]));
        for (int64_t g = 0; g < r.n_points; g++) {
            assert_true(r.density[g] >= 0);
            integral += r.density[g] * (r.at[1] - r.at[0]);
        }
        assert_true(fabs(integral - 1) < 1e-2);
        assert_true(fabs(r.width - 0.01 * (value[0] - value[n - 1])) < 1e-5);
        rllc_component_curvature_release(&r);
        bed_release(&b);
    }
}

static void test_norms_loss_and_fisher_are_the_engine_s(void **state) {
    (void)state;
    bed b;
    rllc_component_curvature r;
    rllc_fisher f[2];
    bed_init(&b, "l0h1+unembed", 1);
    float *free_ = test_memory(b.c.size, sizeof *free_), *g = test_memory(b.c.size, sizeof *g);
    double w2 = 0, g2 = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < b.c.n_ranges; i++)
        for (int64_t j = 0; j < b.c.ranges[i].n; j++) free_[at++] = b.m.weights[b.c.ranges[i].first + j];
    rllc_member m = {.component = &b.c, .free = free_, .gradient = g};
    assert_ok(rllc_engine_lockstep(b.e, b.m.weights, b.tokens, ROWS, &m, 1, NULL, NULL));
    for (int64_t i = 0; i < b.c.size; i++) {
        w2 += (double)free_[i] * (double)free_[i];
        g2 += (double)g[i] * (double)g[i];
    }
    b.o.fisher_tokens = T - 1;
    assert_ok(measure(&b, &r));
    assert_true(fabs(r.loss - m.loss) < 1e-7 && fabs(r.weight_norm - sqrt(w2)) < 1e-6);
    assert_true(fabs(r.gradient_norm / sqrt(g2) - 1) < 1e-6);
    assert_ok(rllc_engine_fisher(b.e, b.m.weights, b.tokens, ROWS, &b.c, T - 1, 0, &f[0], &f[1]));
    assert_true(r.fim_trace.mean == f[0].mean && r.fim_trace.se == f[0].se && r.fim_trace.n == ROWS * (T - 1));
    assert_true(r.empirical_fim_trace.mean == f[1].mean);
    rllc_component_curvature_release(&r);
    free(free_), free(g);
    bed_release(&b);
}

static void test_curvature_does_not_depend_on_threads(void **state) {
    (void)state;
    rllc_string text[2] = {{0}, {0}};
    for (int k = 0; k < 2; k++) {
        bed b;
        rllc_component_curvature r;
        rllc_json *j;
        bed_init(&b, "l1", k + 1);
        b.o.hessian_steps = 6;
        assert_ok(measure(&b, &r));
        assert_ok(rllc_component_curvature_to_json(&r, &j));
        assert_ok(rllc_json_print(j, 1, false, &text[k]));
        rllc_json_free(j);
        rllc_component_curvature_release(&r);
        bed_release(&b);
    }
    assert_string_equal(text[0].data, text[1].data);
    rllc_string_release(&text[0]);
    rllc_string_release(&text[1]);
}

static double real_at(const rllc_json *j, const char *key, const char *member) {
    return rllc_json_to_real(rllc_json_get(rllc_json_get(j, key), member), NAN);
}

static void test_json_says_all(void **state) {
    (void)state;
    bed b;
    rllc_component_curvature r;
    rllc_json *j;
    bed_init(&b, "l0h0", 1);
    b.o.fisher_tokens = 0;
    b.o.hessian_points = 3;
    assert_ok(measure(&b, &r));
    assert_ok(rllc_component_curvature_to_json(&r, &j));
    assert_string_equal(rllc_json_text(rllc_json_get(j, "component")), "l0h0");
    assert_int_equal(rllc_json_to_integer(rllc_json_get(j, "parameters"), 0), b.c.size);
    assert_true(rllc_json_to_real(rllc_json_get(j, "weight_norm"), 0) == r.weight_norm);
    assert_true(rllc_json_to_real(rllc_json_get(j, "gradient_norm"), 0) == r.gradient_norm);
    assert_true(real_at(j, "hessian_trace", "mean") == r.hessian_trace.mean);
    assert_true(real_at(j, "hessian_trace", "se") == r.hessian_trace.se);
    assert_true(real_at(j, "rank_adaptive", "high") == r.rank_adaptive.high);
    assert_int_equal(rllc_json_to_integer(rllc_json_get(rllc_json_get(j, "rank_fixed"), "probes"), 0),
                     b.o.hessian_probes);
    assert_int_equal(rllc_json_length(rllc_json_get(j, "eigenvalues")), 5);
    assert_true(rllc_json_to_real(rllc_json_get(rllc_json_at(rllc_json_get(j, "eigenvalues"), 1), "value"), 0) ==
                r.eigenvalues[1].value);
    assert_int_equal(rllc_json_length(rllc_json_get(rllc_json_get(j, "density"), "at")), 3);
    assert_true(rllc_json_is_null(rllc_json_get(j, "fim_trace")));
    rllc_json_free(j);
    rllc_component_curvature_release(&r);
    bed_release(&b);
}

static void test_cost_counts_passes(void **state) {
    (void)state;
    rllc_curvature_options o;
    rllc_options_default(&rllc_curvature_option_table, &o);
    o.hessian_probes = 4, o.hessian_steps = 10, o.fisher_tokens = 6;
    assert_true(fabs(rllc_component_curvature_cost(&o, 1000) - (1 + 10 * (1 + 8) + 5)) < 1e-12);
    assert_true(fabs(rllc_component_curvature_cost(&o, 3) - (1 + 3 * (1 + 8) + 5)) < 1e-12);
    /* 10 million numbers in 13 vectors are 520 MB: a probe at a time, each with its own forward pass */
    assert_true(fabs(rllc_component_curvature_cost(&o, 11000000) - (1 + 10 * (4 + 8) + 5)) < 1e-12);
}

static bool stop(void *context) {
    (void)context;
    return true;
}

static void test_curvature_refuses(void **state) {
    (void)state;
    bed b;
    rllc_component_curvature r;
    bed_init(&b, "l0h0", 1);
    const rllc_curvature_options good = b.o;
    b.o.hessian_eigenvalues = b.o.hessian_steps + 1;
    assert_int_equal(measure(&b, &r), RLLC_EUSAGE);
    b.o = good;
    b.o.hessian_probes = 1;
    assert_int_equal(measure(&b, &r), RLLC_EUSAGE);
    b.o = good;
    b.o.fisher_tokens = T;
    assert_int_equal(measure(&b, &r), RLLC_EMISMATCH);
    b.o = good;
    const rllc_monitor monitor = {.stop = stop};
    assert_int_equal(rllc_component_curvature_measure(&b.m, b.e, &b.c, b.tokens, ROWS, &b.o, &monitor, &r),
                     RLLC_ESTOPPED);
    assert_null(r.eigenvalues);
    assert_int_equal(rllc_component_curvature_measure(&b.m, b.e, &b.c, b.tokens, ROWS + 1, &b.o, NULL, &r),
                     RLLC_EMISMATCH);
    b.m.weights[b.m.size - 1] = NAN;
    assert_int_equal(measure(&b, &r), RLLC_ENOTFINITE);
    bed_release(&b);
    assert_ok(rllc_options_check(&rllc_curvature_option_table));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measures_are_those_of_the_whole_hessian),
        cmocka_unit_test(test_norms_loss_and_fisher_are_the_engine_s),
        cmocka_unit_test(test_curvature_does_not_depend_on_threads),
        cmocka_unit_test(test_json_says_all),
        cmocka_unit_test(test_cost_counts_passes),
        cmocka_unit_test(test_curvature_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
