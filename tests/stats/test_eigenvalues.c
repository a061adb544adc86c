/* Eigenvalues of matrices without symmetry: spectra known in closed form, numpy's, and traces of powers. */
#include "support/support.h"

enum { MOST = 64 };

typedef struct spectrum {
    double re[MOST], im[MOST];
    int64_t n;
} spectrum;

static spectrum of(const double *a, int64_t n) {
    spectrum s = {.n = n};
    double *copy = test_memory(n * n, sizeof *copy);
    memcpy(copy, a, (size_t)(n * n) * sizeof *a);
    assert_ok(rllc_eigenvalues(copy, n, s.re, s.im));
    free(copy);
    return s;
}

/** Every expected eigenvalue is found once. */
static void assert_spectrum(spectrum found, double (*expected)[2], double tolerance) {
    for (int64_t i = 0; i < found.n; i++) {
        int64_t best = -1;
        double least = INFINITY;
        for (int64_t j = 0; j < found.n; j++) {
            const double d = hypot(found.re[j] - expected[i][0], found.im[j] - expected[i][1]);
            if (d < least) least = d, best = j;
        }
        if (!(least <= tolerance))
            fail_msg("no eigenvalue near %.15g + %.15g i: %g away", expected[i][0], expected[i][1], least);
        found.re[best] = INFINITY;
    }
}

static void fill(double *a, int64_t n, uint64_t seed) {
    const rllc_stream s = rllc_stream_make(seed, "matrix", 0, 0);
    for (int64_t i = 0; i < n; i++) a[i] = rllc_stream_uniform(&s, (uint64_t)i) - 0.5;
}

static void multiply(int64_t n, const double *a, const double *b, double *c) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            c[i * n + j] = 0;
            for (int64_t k = 0; k < n; k++) c[i * n + j] += a[i * n + k] * b[k * n + j];
        }
}

static void test_circulant_spectrum_is_a_fourier_transform(void **state) {
    (void)state;
    for (int64_t n = 1; n <= 24; n++) {
        double first[24], a[24 * 24], expected[24][2] = {{0}};
        fill(first, n, 3);
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) a[i * n + j] = first[(j - i + n) % n];
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < n; j++) {
                expected[k][0] += first[j] * cos(2 * M_PI * (double)(j * k) / (double)n);
                expected[k][1] += first[j] * sin(2 * M_PI * (double)(j * k) / (double)n);
            }
        assert_spectrum(of(a, n), expected, 1e-13);
    }
}

/* The cyclic shift: roots of unity, on which QR without another shift from time to time stands still. */
static void test_cyclic_shift_has_roots_of_unity(void **state) {
    (void)state;
    for (int64_t n = 2; n <= 16; n++) {
        double a[256] = {0}, expected[16][2];
        for (int64_t i = 0; i < n; i++) {
            a[((i + 1) % n) * n + i] = 1;
            expected[i][0] = cos(2 * M_PI * (double)i / (double)n);
            expected[i][1] = sin(2 * M_PI * (double)i / (double)n);
        }
        assert_spectrum(of(a, n), expected, 1e-13);
    }
}

/* Block diagonal with known pairs, seen in another basis: S B S^-1 with S = I + a strict triangle, inverted exactly by
 * forward substitution. */
static void test_similar_matrices_have_one_spectrum(void **state) {
    (void)state;
    enum { N = 10 };
    double b[N * N] = {0}, t[N * N], s[N * N] = {0}, inverse[N * N] = {0}, a[N * N], expected[N][2];
    for (int i = 0; i < N; i += 2) { /* r (cos, sin): a rotation; the last pair real and equal */
        const double re = 1 + i, im = i == N - 2 ? 0 : 0.5 + i;
        b[i * N + i] = b[(i + 1) * N + i + 1] = re;
        b[i * N + i + 1] = im;
        b[(i + 1) * N + i] = -im;
        expected[i][0] = expected[i + 1][0] = re;
        expected[i][1] = im;
        expected[i + 1][1] = -im;
    }
    fill(s, N * N, 5);
    for (int i = 0; i < N; i++)
        for (int j = i; j < N; j++) s[i * N + j] = i == j;
    for (int c = 0; c < N; c++)
        for (int i = 0; i < N; i++) {
            inverse[i * N + c] = i == c;
            for (int j = 0; j < i; j++) inverse[i * N + c] -= s[i * N + j] * inverse[j * N + c];
        }
    multiply(N, s, b, t);
    multiply(N, t, inverse, a);
    assert_spectrum(of(a, N), expected, 1e-12);
}

/* numpy 2.4.6: numpy.linalg.eigvals of ((7 i + 13 j + 5 i j) % 17) - 8 + ((3 i + j) % 5) / 4. */
static void test_spectrum_is_that_of_numpy(void **state) {
    (void)state;
    double expected[8][2] = {{-12.4583205986068, 0},
                             {-8.48655401850244, 0},
                             {-4.06524716068191, -11.0674788532142},
                             {-4.06524716068191, 11.0674788532142},
                             {0.529465624476656, 0},
                             {3.09084805413101, 0},
                             {9.35252762993271, -9.74721410320267},
                             {9.35252762993271, 9.74721410320267}};
    double a[64];
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) a[i * 8 + j] = (7 * i + 13 * j + 5 * i * j) % 17 - 8 + (3 * i + j) % 5 * 0.25;
    assert_spectrum(of(a, 8), expected, 5e-13);
}

/** sum_k lambda^p = tr A^p, p = 1, 2, 3; the imaginary parts cancel. Sizes that a head has, and scales far from 1. */
static void test_sums_of_powers_are_traces(void **state) {
    (void)state;
    static double a[MOST * MOST], b[MOST * MOST], c[MOST * MOST];
    static const double scales[] = {1, 1e-200, 1e90};
    for (int64_t n = 3; n <= MOST; n += 1 + n / 4)
        for (int k = 0; k < 3; k++) {
            double sum[3] = {0}, trace[3] = {0}, imaginary = 0;
            fill(a, n * n, (uint64_t)n);
            for (int64_t i = 0; i < n * n; i++) a[i] *= scales[k];
            const spectrum s = of(a, n);
            for (int64_t i = 0; i < n * n; i++) a[i] /= scales[k];
            multiply(n, a, a, b);
            multiply(n, b, a, c);
            for (int64_t i = 0; i < n; i++) {
                const double re = s.re[i] / scales[k], im = s.im[i] / scales[k];
                sum[0] += re;
                sum[1] += re * re - im * im;
                sum[2] += re * (re * re - 3 * im * im);
                imaginary += im;
                trace[0] += a[i * n + i], trace[1] += b[i * n + i], trace[2] += c[i * n + i];
            }
            for (int p = 0; p < 3; p++)
                if (!(fabs(sum[p] - trace[p]) < 1e-11 * (double)n))
                    fail_msg("n %lld, power %d: %.15g, expected %.15g", (long long)n, p + 1, sum[p], trace[p]);
            assert_true(fabs(imaginary) < 1e-12);
        }
}

static void test_small_and_special_matrices(void **state) {
    (void)state;
    static const double zero[9] = {0}, jordan[9] = {2, 1, 0, 0, 2, 1, 0, 0, 2},
                        triangle[9] = {1, 5, 7, 0, -2, 9, 0, 0, 3};
    double zeros[3][2] = {{0}}, twos[3][2] = {{2, 0}, {2, 0}, {2, 0}}, diagonal[3][2] = {{1, 0}, {-2, 0}, {3, 0}};
    assert_ok(rllc_eigenvalues(NULL, 0, NULL, NULL));
    assert_spectrum(of(zero, 3), zeros, 0);
    assert_spectrum(of(jordan, 3), twos, 1e-4); /* an eigenvalue of multiplicity 3 is good to the cube root */
    assert_spectrum(of(triangle, 3), diagonal, 1e-14);
}

static void test_entries_that_are_not_finite_are_refused(void **state) {
    (void)state;
    double a[4] = {1, 2, NAN, 4}, re[2], im[2];
    assert_int_equal(rllc_eigenvalues(a, 2, re, im), RLLC_ENOTFINITE);
    assert_non_null(strstr(rllc_error_detail(), "(1, 0)"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_circulant_spectrum_is_a_fourier_transform),
        cmocka_unit_test(test_cyclic_shift_has_roots_of_unity),
        cmocka_unit_test(test_similar_matrices_have_one_spectrum),
        cmocka_unit_test(test_spectrum_is_that_of_numpy),
        cmocka_unit_test(test_sums_of_powers_are_traces),
        cmocka_unit_test(test_small_and_special_matrices),
        cmocka_unit_test(test_entries_that_are_not_finite_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
