/* Exact learning coefficients: published tables, an independent formula, and limits that anybody can check. */
#include "theory/refusal.h"

#include "rllc/theory.h"

static void expect(rllc_coefficient c, double lambda, int64_t multiplicity) {
    assert_true(fabs(c.lambda - lambda) < 1e-12);
    assert_int_equal(c.multiplicity, multiplicity);
}

/* Aoyagi & Watanabe 2005: every case of the theorem, r = 0 and above. */
static void test_reduced_rank_table(void **state) {
    (void)state;
    static const struct {
        int64_t m, h, n, r;
        double lambda;
        int64_t multiplicity;
    } rows[] = {{1, 1, 1, 0, 0.5, 2}, {2, 1, 2, 0, 1, 2}, {3, 1, 2, 0, 1, 1},   {2, 2, 2, 0, 1.5, 1},
                {2, 2, 2, 1, 2, 2},   {3, 2, 4, 0, 3, 2}, {5, 3, 5, 0, 6.5, 2}, {5, 3, 5, 3, 10.5, 1},
                {5, 4, 5, 0, 8, 1},   {4, 3, 8, 0, 6, 1}, {8, 3, 4, 0, 6, 1},   {3, 8, 4, 0, 6, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rllc_coefficient c;
        assert_ok(rllc_coefficient_reduced_rank(rows[i].m, rows[i].h, rows[i].n, rows[i].r, &c));
        expect(c, rows[i].lambda, rows[i].multiplicity);
        const int64_t widths[] = {rows[i].m, rows[i].h, rows[i].n};
        assert_ok(rllc_coefficient_deep_linear(3, widths, rows[i].r, &c)); /* Aoyagi 2024 with two layers */
        expect(c, rows[i].lambda, rows[i].multiplicity);
    }
    rllc_coefficient c;
    assert_fails(rllc_coefficient_reduced_rank(2, 2, 2, 3, &c), RLLC_EUSAGE, "rank 3");
}

/* Aoyagi 2024 at the sizes of the theory notes, products of thousands of parameters among them. */
static void test_deep_linear_table(void **state) {
    (void)state;
    static const struct {
        int64_t n, widths[6], r;
        double lambda;
        int64_t multiplicity;
    } rows[] = {{4, {2, 2, 2, 2}, 0, 1.5, 3},
                {4, {3, 3, 3, 3}, 1, 4, 3},
                {5, {4, 4, 4, 4, 4}, 0, 5, 1},
                {5, {10, 10, 10, 10, 10}, 3, 41, 4},
                {5, {7, 1, 2, 2, 6}, 0, 1, 2},
                {6, {233, 186, 154, 128, 93, 125}, 10, 5680, 3},
                {6, {207, 174, 216, 101, 183, 164}, 11, 7905, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rllc_coefficient c;
        assert_ok(rllc_coefficient_deep_linear(rows[i].n, rows[i].widths, rows[i].r, &c));
        expect(c, rows[i].lambda, rows[i].multiplicity);
    }
    for (int64_t depth = 1; depth <= 6; depth++) { /* all widths 1: lambda 1/2, multiplicity the number of layers */
        const int64_t ones[] = {1, 1, 1, 1, 1, 1, 1};
        rllc_coefficient c;
        assert_ok(rllc_coefficient_deep_linear(depth + 1, ones, 0, &c));
        expect(c, 0.5, depth);
    }
}

static int64_t floor_divide(int64_t a, int64_t b) {
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

static int by_size(const void *a, const void *b) {
    return (*(const int64_t *)a > *(const int64_t *)b) - (*(const int64_t *)a < *(const int64_t *)b);
}

/* From the eigenvalue exponents of products of Gaussian matrices (diversity of the Rayleigh product channel):
 *   lambda = r (H_1 + H_L+1 - r) / 2 + 1/2 sum_i c_i,  c_i = 1 - i + min_k floor((M_(1) + ... + M_(k+1) - i) / k). */
static double by_exponents(int64_t n, const int64_t *widths, int64_t r) {
    int64_t left[16], twice = 0;
    for (int64_t i = 0; i < n; i++) left[i] = widths[i] - r;
    qsort(left, (size_t)n, sizeof *left, by_size);
    for (int64_t i = 1; i <= left[0]; i++) {
        int64_t least = INT64_MAX, sum = left[0];
        for (int64_t k = 1; k < n; k++) {
            sum += left[k];
            const int64_t value = floor_divide(sum - i, k);
            if (value < least) least = value;
        }
        twice += 1 - i + least;
    }
    return (double)(r * (widths[0] + widths[n - 1] - r) + twice) / 2;
}

static void test_deep_linear_agrees_with_the_exponents_of_gaussian_products(void **state) {
    (void)state;
    const rllc_stream s = rllc_stream_make(1, "widths", 0, 0);
    for (uint64_t i = 0; i < 20000; i++) {
        int64_t widths[8], least = 12;
        const int64_t n = 3 + (int64_t)rllc_stream_below(&s, 16 * i, 6);
        for (int64_t k = 0; k < n; k++) {
            widths[k] = 1 + (int64_t)rllc_stream_below(&s, 16 * i + 1 + (uint64_t)k, 12);
            least = widths[k] < least ? widths[k] : least;
        }
        const int64_t r = (int64_t)rllc_stream_below(&s, 16 * i + 12, (uint64_t)least + 1);
        rllc_coefficient c;
        assert_ok(rllc_coefficient_deep_linear(n, widths, r, &c));
        assert_true(fabs(c.lambda - by_exponents(n, widths, r)) < 1e-9);
        assert_true(c.multiplicity >= 1);
    }
}

static void test_local_values_on_the_fibre(void **state) {
    (void)state;
    rllc_coefficient c;
    assert_ok(
        rllc_coefficient_reduced_rank_at(2, 2, 2, 0, 2, 0, &c)); /* A invertible: a smooth fibre of codimension 4 */
    expect(c, 2, 1);
    assert_ok(rllc_coefficient_reduced_rank_at(2, 2, 2, 0, 1, 0, &c));
    expect(c, 1.5, 1); /* N a / 2 + RRR(1, 1, 2) = 1 + 1/2 */
    assert_ok(rllc_coefficient_reduced_rank_at(2, 2, 2, 0, 1, 1, &c));
    expect(c, 1.5, 1);
    assert_ok(rllc_coefficient_reduced_rank_at(3, 3, 3, 0, 3, 0, &c));
    expect(c, 4.5, 1);
    assert_ok(rllc_coefficient_reduced_rank_at(3, 3, 3, 0, 2, 0, &c));
    assert_true(fabs(c.lambda - 3.5) < 1e-12);
    assert_fails(rllc_coefficient_reduced_rank_at(2, 2, 2, 0, 2, 1, &c), RLLC_EUSAGE, "would not have rank 0");
}

/* The most singular point is the least; a full layer in a deeper network is no layer at all. */
static void test_profiles_of_deep_networks(void **state) {
    (void)state;
    const int64_t widths[] = {3, 3, 3, 3}, two[] = {3, 3, 3}, none[] = {0, 0, 0}, first[] = {3, 0, 0},
                  some[] = {1, 0, 0};
    rllc_coefficient c, least, merged;
    assert_ok(rllc_coefficient_deep_linear(4, widths, 0, &least));
    assert_ok(rllc_coefficient_deep_linear_at(4, widths, 0, none, &c));
    expect(c, least.lambda, least.multiplicity);
    assert_ok(rllc_coefficient_deep_linear_at(4, widths, 0, first, &c)); /* W1 invertible: widths 3, 3, 3 are left */
    assert_ok(rllc_coefficient_deep_linear(3, two, 0, &merged));
    expect(c, merged.lambda, merged.multiplicity);
    assert_true(c.lambda > least.lambda);
    assert_fails(rllc_coefficient_deep_linear_at(4, widths, 0, some, &c), RLLC_EUNSUPPORTED, "profile");
}

static void test_small_models(void **state) {
    (void)state;
    static const struct {
        int64_t units;
        double lambda;
        int64_t multiplicity;
    } rows[] = {{1, 0.5, 2}, {2, 2.0 / 3, 1}, {3, 5.0 / 6, 1}, {4, 1, 2},
                {5, 1.1, 1}, {8, 1.4, 1},     {9, 1.5, 2},     {16, 2, 2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rllc_coefficient_tanh(rows[i].units), rows[i].lambda, rows[i].multiplicity);
    const int64_t a[] = {2, 4}, b[] = {4, 2, 4, 0}, flat[] = {0, 0};
    expect(rllc_coefficient_crossing(2, a), 0.25, 1);
    expect(rllc_coefficient_crossing(4, b), 0.25, 2);
    expect(rllc_coefficient_crossing(2, flat), 0, 1);
    rllc_coefficient c;
    assert_ok(rllc_coefficient_bigram(3, 1, 0, &c));
    expect(c, 1, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reduced_rank_table),
        cmocka_unit_test(test_deep_linear_table),
        cmocka_unit_test(test_deep_linear_agrees_with_the_exponents_of_gaussian_products),
        cmocka_unit_test(test_local_values_on_the_fibre),
        cmocka_unit_test(test_profiles_of_deep_networks),
        cmocka_unit_test(test_small_models),
    };
    return cmocka_run_group_tests_name("coefficients", tests, NULL, NULL);
}
