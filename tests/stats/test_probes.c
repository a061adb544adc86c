/* Random probes of a symmetric operator against dense matrices whose spectra are known. */
#include "support/support.h"

enum { DIM = 48, PROBES = 400 };

/* A = Q diag(h) Q with the reflection Q = 1 - 2 u u^T; u = 0: diagonal. */
typedef struct matrix {
    double h[DIM], u[DIM], a[DIM][DIM];
    int64_t calls;
} matrix;

static void make_matrix(matrix *m, bool diagonal) {
    const rllc_stream s = rllc_stream_make(1, "matrix", 0, 0);
    double norm = 0;
    memset(m, 0, sizeof *m);
    for (int i = 0; i < DIM; i++) {
        /* a few large ones, a bulk around 0 of both signs, exact zeros */
        m->h[i] = i < 4 ? 10.0 - 2 * i : i < 30 ? 0.02 * (i - 16.5) : 0;
        m->u[i] = diagonal ? 0 : rllc_stream_uniform(&s, (uint64_t)i) - 0.5;
        norm += m->u[i] * m->u[i];
    }
    for (int i = 0; i < DIM && !diagonal; i++) m->u[i] /= sqrt(norm);
    for (int i = 0; i < DIM; i++)
        for (int j = 0; j < DIM; j++)
            for (int k = 0; k < DIM; k++)
                m->a[i][j] += ((i == k) - 2 * m->u[i] * m->u[k]) * m->h[k] * ((k == j) - 2 * m->u[k] * m->u[j]);
}

static rllc_status apply(void *context, int64_t n, const int64_t *which, const float *const *x, float *const *y) {
    matrix *m = context;
    (void)which;
    m->calls += n;
    for (int64_t k = 0; k < n; k++)
        for (int i = 0; i < DIM; i++) {
            double sum = 0;
            for (int j = 0; j < DIM; j++) sum += m->a[i][j] * (double)x[k][j];
            y[k][i] = (float)sum;
        }
    return RLLC_OK;
}

typedef struct probes {
    float v[PROBES][DIM];
    const float *at[PROBES];
    int64_t dim[PROBES];
    rllc_quadrature q[PROBES];
    int64_t n;
} probes;

static void make_probes(probes *p, matrix *m, int64_t n, int64_t steps) {
    const rllc_span all = {0, DIM};
    p->n = n;
    for (int64_t i = 0; i < n; i++) {
        const rllc_stream s = rllc_stream_make(2, "probe", (uint32_t)i, 0);
        rllc_random_signs(&s, &all, 1, p->v[i]);
        p->at[i] = p->v[i];
        p->dim[i] = DIM;
    }
    if (steps > 0) assert_ok(rllc_lanczos(m, apply, n, p->dim, p->at, steps, p->q));
}

static void release_probes(probes *p) {
    for (int64_t i = 0; i < p->n; i++) rllc_quadrature_release(&p->q[i]);
}

static double identity(double x, const void *context) {
    (void)context;
    return x;
}

static double square(double x, const void *context) {
    (void)context;
    return x * x;
}

static void test_probe_mean_by_hand(void **state) {
    (void)state;
    const double x[] = {1, 2, 6};
    rllc_probe_mean m;
    rllc_probe_mean_make(x, 3, &m);
    assert_true(fabs(m.mean - 3) < 1e-15 && fabs(m.se - sqrt(7.0 / 3)) < 1e-14 && m.n == 3);
    assert_true(fabs(m.high - (3 + 4.302652729911275 * sqrt(7.0 / 3))) < 1e-9); /* t of 2 degrees at 0.975 */
    assert_true(fabs(m.high + m.low - 6) < 1e-12);
    rllc_probe_mean_make(x, 1, &m);
    assert_true(m.mean == 1 && isnan(m.se) && isnan(m.low) && isnan(m.high));
}

static void test_signs_belong_to_coordinates(void **state) {
    (void)state;
    const rllc_span all = {0, 100}, parts[] = {{3, 5}, {40, 20}};
    const rllc_stream s = rllc_stream_make(4, "signs", 0, 0);
    float v[100], w[25], sum = 0;
    rllc_random_signs(&s, &all, 1, v);
    rllc_random_signs(&s, parts, 2, w);
    for (int i = 0; i < 5; i++) assert_true(w[i] == v[3 + i]);
    for (int i = 0; i < 20; i++) assert_true(w[5 + i] == v[40 + i]);
    for (int i = 0; i < 100; i++) {
        assert_true(fabsf(v[i]) == 1);
        sum += v[i];
    }
    assert_true(fabsf(sum) < 40);
}

/* v_i^2 = 1: every probe of a diagonal matrix gives its trace. Else the variance is 2 sum_(i != j) A_ij^2. */
static void test_trace(void **state) {
    (void)state;
    static matrix m;
    static probes p;
    rllc_probe_mean t, again;
    double trace = 0, spread = 0;
    make_matrix(&m, true);
    for (int i = 0; i < DIM; i++) trace += m.h[i];
    make_probes(&p, &m, 3, 0);
    assert_ok(rllc_trace_estimate(&m, apply, 3, DIM, p.at, &t));
    assert_true(fabs(t.mean - trace) < 1e-5 && t.se < 1e-5 && m.calls == 3);
    make_matrix(&m, false);
    for (int i = 0; i < DIM; i++)
        for (int j = 0; j < DIM; j++) spread += i == j ? 0 : 2 * m.a[i][j] * m.a[i][j];
    make_probes(&p, &m, PROBES, 5);
    assert_ok(rllc_trace_estimate(&m, apply, PROBES, DIM, p.at, &t));
    printf("    trace %.4f, estimated %.4f +- %.4f (exact error %.4f)\n", trace, t.mean, t.se, sqrt(spread / PROBES));
    assert_true(fabs(t.mean - trace) < 4 * t.se);
    assert_true(fabs(t.se / sqrt(spread / PROBES) - 1) < 0.15);
    assert_true(t.low < t.mean && t.mean < t.high && fabs((t.high - t.low) / t.se - 2 * 1.966) < 0.01);
    assert_ok(rllc_probes_trace(p.q, PROBES, identity, NULL, &again)); /* the first moment is exact */
    assert_true(fabs(again.mean - t.mean) < 1e-5 && fabs(again.se - t.se) < 1e-5);
    release_probes(&p);
}

/* The interval covers the truth about as often as it says. */
static void test_trace_interval_covers(void **state) {
    (void)state;
    static matrix m;
    static probes p;
    enum { OF = 8 };
    double trace = 0;
    int covered = 0;
    make_matrix(&m, false);
    for (int i = 0; i < DIM; i++) trace += m.h[i];
    make_probes(&p, &m, PROBES, 0);
    for (int i = 0; i < PROBES / OF; i++) {
        rllc_probe_mean t;
        assert_ok(rllc_trace_estimate(&m, apply, OF, DIM, p.at + i * OF, &t));
        covered += t.low <= trace && trace <= t.high;
    }
    printf("    %d of %d intervals of %d probes cover the trace\n", covered, PROBES / OF, OF);
    assert_true(covered >= 43); /* 47.5 expected of 50, binomial spread 1.5 */
}

/* A diagonal matrix once more: with as many steps as eigenvalues each has its own node of weight its multiplicity. */
static void test_count_and_density_are_exact_where_nothing_is_random(void **state) {
    (void)state;
    static matrix m;
    static probes p;
    enum { GRID = 2001 };
    static double at[GRID], density[GRID];
    rllc_probe_mean c;
    make_matrix(&m, true);
    make_probes(&p, &m, 2, DIM);
    const double thresholds[] = {1e-4, 0.1, 1, 5, 11}, width = 0.3;
    const double counts[] = {30, 20, 4, 3, 0};
    for (int k = 0; k < 5; k++) {
        double truth = 0;
        for (int i = 0; i < DIM; i++) truth += fabs(m.h[i]) > thresholds[k];
        assert_true(truth == counts[k]);
        assert_ok(rllc_probes_count(p.q, 2, thresholds[k], &c));
        if (fabs(c.mean - truth) > 1e-3) fail_msg("above %g: %g of %g", thresholds[k], c.mean, truth);
        assert_true(c.se < 1e-3);
    }
    rllc_probes_density(p.q, 2, width, -3, 13, GRID, at, density);
    double integral = 0;
    for (int g = 0; g < GRID; g++) {
        double truth = 0;
        for (int i = 0; i < DIM; i++)
            truth += exp(-0.5 * pow((at[g] - m.h[i]) / width, 2)) / (DIM * width * sqrt(2 * acos(-1)));
        assert_true(fabs(density[g] - truth) < 1e-4);
        integral += density[g] * 16.0 / (GRID - 1);
    }
    assert_true(fabs(integral - 1) < 1e-6 && at[0] == -3 && at[GRID - 1] == 13);
    release_probes(&p);
    rllc_probes_density(p.q, 0, width, 0, 1, 3, at, density);
    assert_true(at[1] == 0.5 && density[1] == 0);
}

/* Rotated: counts and second moments within their errors. */
static void test_count_within_its_error(void **state) {
    (void)state;
    static matrix m;
    static probes p;
    rllc_probe_mean c;
    double frobenius = 0;
    make_matrix(&m, false);
    make_probes(&p, &m, PROBES, 40);
    assert_ok(rllc_probes_count(p.q, PROBES, 1, &c));
    printf("    4 eigenvalues above 1, counted %.3f +- %.3f\n", c.mean, c.se);
    assert_true(c.se > 0 && fabs(c.mean - 4) < 4 * c.se && c.se < 0.2);
    assert_ok(rllc_probes_count(p.q, PROBES, 0.001, &c));
    assert_true(fabs(c.mean - 30) < 4 * c.se && c.se < 0.5);
    for (int i = 0; i < DIM; i++) frobenius += m.h[i] * m.h[i];
    assert_ok(rllc_probes_trace(p.q, PROBES, square, NULL, &c));
    assert_true(fabs(c.mean - frobenius) < 4 * c.se && c.se < 0.05 * frobenius);
    release_probes(&p);
}

static void test_top_and_its_bound(void **state) {
    (void)state;
    static matrix m;
    static probes p;
    double value[6], residual[6];
    make_matrix(&m, false);
    for (int64_t steps = 1; steps <= 16; steps += 3) {
        make_probes(&p, &m, 3, steps);
        const int64_t n = rllc_probes_top(p.q, 3, 6, value, residual);
        assert_int_equal(n, steps < 6 ? steps : 6);
        for (int64_t j = 0; j < n; j++) {
            double nearest = INFINITY, sorted = j < 4 ? m.h[j] : m.h[29 - (j - 4)];
            for (int i = 0; i < DIM; i++) nearest = fmin(nearest, fabs(m.h[i] - value[j]));
            assert_true(nearest <= residual[j] + 1e-5); /* an eigenvalue lies there */
            assert_true(value[j] <= sorted + 1e-5);     /* never above the j-th */
            assert_true(j == 0 || value[j] <= value[j - 1]);
        }
        if (steps == 16)
            for (int j = 0; j < 4; j++) assert_true(fabs(value[j] - m.h[j]) < 1e-5 && residual[j] < 1e-3);
        release_probes(&p);
    }
    assert_int_equal(rllc_probes_top(NULL, 0, 3, value, residual), 0);
}

/* Two steps by hand: the Ritz vectors of span{v, A v} and what A leaves of them. */
static void test_residual_is_that_of_the_ritz_vector(void **state) {
    (void)state;
    static matrix m;
    static probes p;
    double q[2][DIM], aq[2][DIM], t[2][2] = {{0}}, norm = 0, along = 0;
    make_matrix(&m, false);
    make_probes(&p, &m, 1, 2);
    for (int i = 0; i < DIM; i++) q[0][i] = (double)p.v[0][i] / sqrt(DIM);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < DIM; i++) {
            aq[k][i] = 0;
            for (int j = 0; j < DIM; j++) aq[k][i] += m.a[i][j] * q[k][j];
        }
        if (k == 1) break;
        for (int i = 0; i < DIM; i++) along += q[0][i] * aq[0][i];
        for (int i = 0; i < DIM; i++) q[1][i] = aq[0][i] - along * q[0][i];
        for (int i = 0; i < DIM; i++) norm += q[1][i] * q[1][i];
        for (int i = 0; i < DIM; i++) q[1][i] /= sqrt(norm);
    }
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++)
            for (int i = 0; i < DIM; i++) t[a][b] += q[a][i] * aq[b][i];
    for (int s = 0; s < 2; s++) {
        const double half = hypot((t[0][0] - t[1][1]) / 2, t[0][1]),
                     theta = (t[0][0] + t[1][1]) / 2 + (s ? half : -half);
        const double x = t[0][1], y = theta - t[0][0], size = hypot(x, y); /* eigenvector (x, y) */
        double left = 0;
        for (int i = 0; i < DIM; i++) {
            const double r = (x * aq[0][i] + y * aq[1][i] - theta * (x * q[0][i] + y * q[1][i])) / size;
            left += r * r;
        }
        assert_true(fabs(p.q[0].node[s] - theta) < 1e-5);
        assert_true(fabs(p.q[0].residual[s] / sqrt(left) - 1) < 1e-4);
    }
    release_probes(&p);
}

static rllc_status fails(void *context, int64_t n, const int64_t *which, const float *const *x, float *const *y) {
    (void)context, (void)n, (void)which, (void)x, (void)y;
    return rllc_fail(RLLC_EIO, "no product");
}

static void test_failed_products_are_reported(void **state) {
    (void)state;
    const float v[2] = {1, 1}, *at = v;
    rllc_probe_mean t;
    assert_int_equal(rllc_trace_estimate(NULL, fails, 1, 2, &at, &t), RLLC_EIO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_probe_mean_by_hand),
        cmocka_unit_test(test_signs_belong_to_coordinates),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_trace_interval_covers),
        cmocka_unit_test(test_count_and_density_are_exact_where_nothing_is_random),
        cmocka_unit_test(test_count_within_its_error),
        cmocka_unit_test(test_top_and_its_bound),
        cmocka_unit_test(test_residual_is_that_of_the_ritz_vector),
        cmocka_unit_test(test_failed_products_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
