/* Exact sums: rounded once, so the order of the terms does not matter. */
#include <float.h>
#include <math.h>

#include "base/helpers.h"
#include "llc/exact_sum.h"

__extension__ typedef __int128 wide;

static double sum_of(const double *terms, int n) {
    rllc_exact_sum s = {0};
    for (int i = 0; i < n; i++) rllc_exact_add(&s, terms[i]);
    return rllc_exact_value(&s);
}

#define assert_sum(expected, ...)                                                                                      \
    assert_true(sum_of((const double[]){__VA_ARGS__},                                                                  \
                       (int)(sizeof((const double[]){__VA_ARGS__}) / sizeof(double))) == (expected))

static void test_sums_that_are_known(void **state) {
    (void)state;
    rllc_exact_sum empty = {0};
    assert_true(rllc_exact_value(&empty) == 0);
    assert_sum(1, DBL_MAX, 1, -DBL_MAX);
    assert_sum(-1, DBL_MAX, -1, -DBL_MAX);
    assert_sum(0x1p-1074, 1e300, 0x1p-1074, -1e300);
    assert_sum(-0x1p-1074, -0x1p-1074);
    assert_sum(0x1p-1022, 0x1p-1023, 0x1p-1023);
    assert_sum(0.0, 1e-300, -1e-300);
    assert_sum(DBL_MAX, DBL_MAX, DBL_MAX, -DBL_MAX);
    assert_sum(INFINITY, DBL_MAX, DBL_MAX);
    assert_sum(-INFINITY, -DBL_MAX, -DBL_MAX);
    assert_sum(INFINITY, 1, INFINITY, -5);
    assert_sum(-INFINITY, -INFINITY, DBL_MAX);
    assert_true(isnan(sum_of((const double[]){INFINITY, -INFINITY}, 2)));
    assert_true(isnan(sum_of((const double[]){1, NAN, INFINITY}, 3)));
    assert_sum(0.1, 0.1);
    assert_sum(-DBL_MIN / 3, -DBL_MIN / 3);
}

static void test_ties_go_to_even_and_any_excess_breaks_them(void **state) {
    (void)state;
    assert_sum(1, 1, 0x1p-53);                      /* half a unit: to even */
    assert_sum(1 + 0x1p-51, 1 + 0x1p-52, 0x1p-53);  /* from odd: to even, up */
    assert_sum(1 + 0x1p-52, 1, 0x1p-53, 0x1p-1074); /* far below the window: up */
    assert_sum(1, 1, 0x1p-53, -0x1p-1074);
    assert_sum(1 + 0x1p-52, 1, 0x1p-53, 0x1p-70); /* just below the window */
    assert_sum(-1 - 0x1p-52, -1, -0x1p-53, -0x1p-200);
    assert_sum(-1, -1, -0x1p-53, 0x1p-90);
    assert_sum(0x1p53, 0x1p53, 1);
    assert_sum(0x1p53 + 2, 0x1p53, 1, 0x1p-60);
}

/* Against 128-bit integers: terms are multiples of 2^-72 below 2^21 in size. */
static void test_sum_equals_integer_arithmetic_in_any_order(void **state) {
    (void)state;
    enum { N = 300 };
    uint64_t seed = 3;
    for (int64_t k = 0; k < effort(3000); k++) {
        double terms[N];
        wide exact = 0;
        const int n = 1 + (int)(next_random(&seed) % N);
        const int spread = 1 + (int)(next_random(&seed) % 40);
        for (int i = 0; i < n; i++) {
            const int64_t mantissa = (int64_t)(next_random(&seed) >> 11) * (next_random(&seed) % 2 ? 1 : -1);
            const int shift = (int)(next_random(&seed) % (uint64_t)spread);
            terms[i] = ldexp((double)mantissa, shift - 72);
            exact += (wide)mantissa * ((wide)1 << shift);
            if (i > 0 && next_random(&seed) % 3 == 0) { /* cancellation */
                terms[i] = -terms[i - 1];
                exact -= (wide)mantissa * ((wide)1 << shift);
                exact += (wide)ldexp(terms[i], 72);
            }
        }
        const double expected = ldexp((double)exact, -72), forth = sum_of(terms, n);
        for (int i = 0; i < n; i++) { /* another order */
            const int j = (int)(next_random(&seed) % (uint64_t)n);
            const double kept = terms[i];
            terms[i] = terms[j];
            terms[j] = kept;
        }
        const double back = sum_of(terms, n);
        if (forth != expected || back != expected)
            fail_msg("%d terms: %a and %a, expected %a", n, forth, back, expected);
    }
}

/* Numbers of all sizes: the order never matters, and scaling by powers of two scales the sum. */
static void test_all_exponents(void **state) {
    (void)state;
    enum { N = 100 };
    uint64_t seed = 4;
    for (int64_t k = 0; k < effort(2000); k++) {
        double terms[N], halves[N];
        for (int i = 0; i < N; i++) {
            do {
                const uint64_t bits = next_random(&seed);
                memcpy(&terms[i], &bits, sizeof bits);
            } while (!isfinite(terms[i]) || fabs(terms[i]) > 1e300 || fabs(terms[i]) < 1e-280);
            halves[N - 1 - i] = terms[i] / 1024;
        }
        assert_true(sum_of(terms, N) == 1024 * sum_of(halves, N));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_that_are_known),
        cmocka_unit_test(test_ties_go_to_even_and_any_excess_breaks_them),
        cmocka_unit_test(test_sum_equals_integer_arithmetic_in_any_order),
        cmocka_unit_test(test_all_exponents),
    };
    return cmocka_run_group_tests_name("exact sum", tests, NULL, NULL);
}
