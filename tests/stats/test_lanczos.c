/* Lanczos quadratures and the tridiagonal eigenvalues behind them, on matrices whose spectrum is known. */
#include "stats/tridiagonal.h"
#include "support/support.h"

enum { DIM = 40, MOST = 4 };

/* Products in float have relative rounding 6e-8; sums of DIM terms in double add nothing. 1e-6 leaves room for the
 * condition of the functions below. */
static const double FLOAT_TOLERANCE = 2e-6;

/* A = Q diag(h) Q with the reflection Q = 1 - 2 u u^T: its eigenvectors are the columns of Q. */
typedef struct matrix {
    int64_t dim;
    double h[DIM], u[DIM];
} matrix;

typedef struct operators {
    matrix *list;
    int64_t calls, products;
} operators;

static void reflect(const matrix *m, const double *x, double *y) {
    double dot = 0;
    for (int64_t i = 0; i < m->dim; i++) dot += m->u[i] * x[i];
    for (int64_t i = 0; i < m->dim; i++) y[i] = x[i] - 2 * dot * m->u[i];
}

static rllc_status apply(void *context, int64_t n, const int64_t *which, const float *const *x, float *const *y) {
    operators *o = context;
    o->calls++;
    o->products += n;
    for (int64_t k = 0; k < n; k++) {
        const matrix *m = &o->list[which[k]];
        double a[DIM], b[DIM];
        for (int64_t i = 0; i < m->dim; i++) a[i] = (double)x[k][i];
        reflect(m, a, b);
        for (int64_t i = 0; i < m->dim; i++) b[i] *= m->h[i];
        reflect(m, b, a);
        for (int64_t i = 0; i < m->dim; i++) y[k][i] = (float)a[i];
    }
    return RLLC_OK;
}

static void make_matrix(matrix *m, int64_t dim, uint64_t seed) {
    const rllc_stream s = rllc_stream_make(seed, "matrix", 0, 0);
    double norm = 0;
    m->dim = dim;
    for (int64_t i = 0; i < dim; i++) {
        m->h[i] = -0.2 + (double)i * 0.1;
        m->u[i] = rllc_stream_uniform(&s, (uint64_t)i) - 0.5;
        norm += m->u[i] * m->u[i];
    }
    for (int64_t i = 0; i < dim; i++) m->u[i] /= sqrt(norm);
}

static void make_start(int64_t dim, uint64_t seed, float *v) {
    const rllc_stream s = rllc_stream_make(seed, "start", 0, 0);
    for (int64_t i = 0; i < dim; i++) v[i] = (float)(rllc_stream_uniform(&s, (uint64_t)i) - 0.4);
}

/* v^T f(A) v from the eigenvectors. */
static double exact(const matrix *m, const float *v, double (*f)(double, const void *), const void *context) {
    double a[DIM], b[DIM], sum = 0;
    for (int64_t i = 0; i < m->dim; i++) a[i] = (double)v[i];
    reflect(m, a, b);
    for (int64_t i = 0; i < m->dim; i++) sum += b[i] * b[i] * f(m->h[i], context);
    return sum;
}

static double power(double x, const void *context) {
    return pow(x, *(const double *)context);
}

static double saturating(double x, const void *context) {
    return x / (x + *(const double *)context);
}

static rllc_status lanczos_one(matrix *m, const float *v, int64_t steps, rllc_quadrature *q) {
    operators o = {.list = m};
    return rllc_lanczos(&o, apply, 1, &m->dim, &v, steps, q);
}

/* k steps are exact for polynomials up to degree 2k - 1, and not beyond. */
static void test_lanczos_is_exact_for_polynomials(void **state) {
    (void)state;
    matrix m;
    float v[DIM];
    make_matrix(&m, DIM, 1);
    make_start(DIM, 2, v);
    for (int64_t steps = 1; steps <= 4; steps++) {
        rllc_quadrature q;
        assert_ok(lanczos_one(&m, v, steps, &q));
        assert_int_equal(q.n, steps);
        for (int degree = 0; degree <= 2 * steps; degree++) {
            const double d = degree, truth = exact(&m, v, power, &d), got = rllc_quadrature_sum(&q, power, &d);
            if (degree < 2 * steps)
                assert_true(fabs(got / truth - 1) < FLOAT_TOLERANCE);
            else
                assert_true(fabs(got / truth - 1) > 10 * FLOAT_TOLERANCE);
        }
        rllc_quadrature_release(&q);
    }
}

/* With as many steps as eigenvalues every function is exact, and the nodes are the eigenvalues. */
static void test_lanczos_full_run_gives_the_spectrum(void **state) {
    (void)state;
    matrix m;
    float v[DIM];
    make_matrix(&m, 12, 3);
    make_start(12, 4, v);
    rllc_quadrature q;
    const double shift = 1.5;
    assert_ok(lanczos_one(&m, v, 100, &q));
    assert_int_equal(q.n, 12);
    for (int i = 0; i < 12; i++) assert_true(fabs(q.node[i] - m.h[i]) < FLOAT_TOLERANCE);
    assert_true(fabs(rllc_quadrature_sum(&q, saturating, &shift) - exact(&m, v, saturating, &shift)) < FLOAT_TOLERANCE);
    double square = 0;
    for (int i = 0; i < 12; i++) square += (double)v[i] * (double)v[i];
    assert_true(fabs(rllc_quadrature_weight(&q) / square - 1) < 1e-12); /* first components of a rotation, in double */
    rllc_quadrature_release(&q);
}

/* Orthogonality lost would bring the largest eigenvalue back again and again. */
static void test_lanczos_has_no_ghosts(void **state) {
    (void)state;
    matrix m;
    float v[DIM];
    make_matrix(&m, DIM, 5);
    make_start(DIM, 6, v);
    m.h[DIM - 1] = 1000;
    rllc_quadrature q;
    assert_ok(lanczos_one(&m, v, 30, &q));
    int large = 0;
    for (int64_t k = 0; k < q.n; k++) large += q.node[k] > 500;
    assert_int_equal(large, 1);
    assert_true(fabs(q.node[q.n - 1] / 1000 - 1) < FLOAT_TOLERANCE);
    rllc_quadrature_release(&q);
}

/* A start inside an invariant subspace ends the run there; zero starts and zero matrices too. */
static void test_lanczos_breakdown(void **state) {
    (void)state;
    matrix m;
    float v[DIM] = {0};
    rllc_quadrature q;
    make_matrix(&m, DIM, 7);
    for (int i = 0; i < DIM; i++) m.u[i] = 0; /* diagonal */
    m.h[3] = m.h[4];
    v[0] = 3;
    v[3] = 1;
    v[4] = 1;
    v[9] = 2;
    assert_ok(lanczos_one(&m, v, 20, &q)); /* three distinct eigenvalues are seen */
    assert_int_equal(q.n, 3);
    const double nodes[] = {m.h[0], m.h[4], m.h[9]}, weights[] = {9, 2, 4};
    for (int i = 0; i < 3; i++) {
        assert_true(fabs(q.node[i] - nodes[i]) < FLOAT_TOLERANCE);
        assert_true(fabs(q.weight[i] / weights[i] - 1) < FLOAT_TOLERANCE);
    }
    rllc_quadrature_release(&q);
    for (int i = 0; i < DIM; i++) m.h[i] = 0;
    assert_ok(lanczos_one(&m, v, 20, &q));
    assert_int_equal(q.n, 1);
    assert_true(q.node[0] == 0 && fabs(q.weight[0] - 15) < 1e-12);
    rllc_quadrature_release(&q);
    memset(v, 0, sizeof v);
    assert_ok(lanczos_one(&m, v, 20, &q));
    assert_int_equal(q.n, 0);
    rllc_quadrature_release(&q);
}

/* Several operators at once: each advances as if it were alone, and one call serves all that still run. */
static void test_lanczos_lockstep_is_alone(void **state) {
    (void)state;
    matrix list[MOST];
    float v[MOST][DIM];
    const float *starts[MOST];
    int64_t dims[MOST];
    rllc_quadrature together[MOST], alone;
    for (int i = 0; i < MOST; i++) {
        dims[i] = 5 + 11 * i;
        make_matrix(&list[i], dims[i], (uint64_t)(10 + i));
        make_start(dims[i], (uint64_t)(20 + i), v[i]);
        starts[i] = v[i];
    }
    operators o = {.list = list};
    assert_ok(rllc_lanczos(&o, apply, MOST, dims, starts, 9, together));
    assert_int_equal(o.calls, 9);
    assert_int_equal(o.products, 5 + 3 * 9);
    for (int i = 0; i < MOST; i++) {
        assert_ok(lanczos_one(&list[i], v[i], 9, &alone));
        assert_int_equal(alone.n, together[i].n);
        assert_memory_equal(alone.node, together[i].node, (size_t)(2 * alone.n) * sizeof(double));
        rllc_quadrature_release(&alone);
    }
    rllc_quadrature all;
    assert_ok(rllc_quadrature_mean(together, MOST, &all));
    const double shift = 2;
    double sum = 0;
    for (int i = 0; i < MOST; i++) sum += rllc_quadrature_sum(&together[i], saturating, &shift) / MOST;
    assert_true(fabs(rllc_quadrature_sum(&all, saturating, &shift) - sum) < 1e-12);
    rllc_quadrature_release(&all);
    for (int i = 0; i < MOST; i++) rllc_quadrature_release(&together[i]);
}

static rllc_status fails(void *context, int64_t n, const int64_t *which, const float *const *x, float *const *y) {
    (void)n, (void)which, (void)x;
    if (*(int *)context == 0) return rllc_fail(RLLC_EIO, "no product");
    y[0][1] = NAN;
    return RLLC_OK;
}

static void test_lanczos_reports_what_went_wrong(void **state) {
    (void)state;
    float v[3] = {1, 2, 3};
    const float *start = v;
    const int64_t dim = 3;
    rllc_quadrature q;
    int kind = 0;
    assert_int_equal(rllc_lanczos(&kind, fails, 1, &dim, &start, 3, &q), RLLC_EIO);
    assert_null(q.node);
    kind = 1;
    assert_int_equal(rllc_lanczos(&kind, fails, 1, &dim, &start, 3, &q), RLLC_ENOTFINITE);
    v[2] = INFINITY;
    assert_int_equal(rllc_lanczos(&kind, fails, 1, &dim, &start, 3, &q), RLLC_ENOTFINITE);
}

/* The second-difference matrix: eigenvalues 2 - 2 cos(k pi / (n + 1)), first components sqrt(2 / (n + 1)) sin(...). */
static void test_tridiagonal_second_difference(void **state) {
    (void)state;
    for (int64_t n = 1; n <= 60; n += 7) {
        double d[64], e[64], z[64];
        for (int64_t i = 0; i < n; i++) {
            d[i] = 2;
            e[i] = -1;
        }
        assert_ok(rllc_tridiagonal_eigen(n, d, e, z));
        for (int64_t k = 0; k < n; k++) {
            const double angle = (double)(k + 1) * M_PI / (double)(n + 1);
            assert_true(fabs(d[k] - (2 - 2 * cos(angle))) < 1e-13 * (double)(n + 4)); /* a few roundings a sweep */
            assert_true(fabs(fabs(z[k]) - sqrt(2 / (double)(n + 1)) * sin(angle)) < 1e-12);
        }
    }
}

/* Split, graded over many orders, and broken matrices. */
static void test_tridiagonal_limits(void **state) {
    (void)state;
    double d[4] = {3, 1, 2, -5}, e[4] = {0, 0, 0, 7}, z[4];
    assert_ok(rllc_tridiagonal_eigen(4, d, e, z));
    assert_true(d[0] == -5 && d[1] == 1 && d[2] == 2 && d[3] == 3 && z[3] == 1 && z[0] == 0);
    double graded[3] = {1e8, 1, 1e-8}, off[3] = {1e3, 1e-5, 0}, first[3]; /* 2x2 block: 1e8 + 1e-2, 1 - 1e-2 */
    assert_ok(rllc_tridiagonal_eigen(3, graded, off, first));
    assert_true(fabs(graded[2] / (1e8 + 0.01) - 1) < 1e-13);
    assert_true(fabs(graded[1] - 0.99) < 1e-6); /* the next order of the expansion is 1e-10; rounding 1e8 * 1e-16 */
    double bad[2] = {NAN, 1}, o[2] = {1, 0};
    assert_int_equal(rllc_tridiagonal_eigen(2, bad, o, z), RLLC_ENOTFINITE);
    assert_ok(rllc_tridiagonal_eigen(0, NULL, NULL, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lanczos_is_exact_for_polynomials),
        cmocka_unit_test(test_lanczos_full_run_gives_the_spectrum),
        cmocka_unit_test(test_lanczos_has_no_ghosts),
        cmocka_unit_test(test_lanczos_breakdown),
        cmocka_unit_test(test_lanczos_lockstep_is_alone),
        cmocka_unit_test(test_lanczos_reports_what_went_wrong),
        cmocka_unit_test(test_tridiagonal_second_difference),
        cmocka_unit_test(test_tridiagonal_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
