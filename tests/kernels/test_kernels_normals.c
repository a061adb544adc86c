/* Normal numbers: the mapping from index to number, their accuracy, and their distribution. */
#include "kernels_test.h"

enum { N = 1000000 };

static rllc_stream stream(uint32_t chain, uint32_t step) {
    return rllc_stream_make(11, "tests/kernels/normals", chain, step);
}

/* The formula of rllc/kernels.h, written out once more from the words of the stream. */
static void test_normals_ref_is_box_muller_on_the_words(void **state) {
    (void)state;
    rllc_stream s = stream(1, 2);
    for (uint64_t index = 0; index < 400; index++) {
        float got;
        rllc_kernels_ref.normals(&s, index, 1, &got);
        uint64_t pair = index & ~(uint64_t)1;
        double u = (rllc_stream_u32(&s, pair) + 0.5) / 4294967296.0;
        double v = (rllc_stream_u32(&s, pair + 1) + 0.5) / 4294967296.0;
        double expected = sqrt(-2 * log(u)) * (index % 2 ? sin(2 * acos(-1) * v) : cos(2 * acos(-1) * v));
        ASSERT_AT_MOST(fabs(expected - (double)got), 2.5e-7, "number %ld", (long)index);
    }
}

static void test_normals_agree_with_ref(void **state) {
    (void)state;
    const uint64_t firsts[] = {0, 1, 2, 3, 17, (1ull << 34) - 9, ~0ull - 4 * 1000};
    float *expected = array(999), *got = array(999);
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        rllc_stream s = stream((uint32_t)i, 0xfffffff0u + (uint32_t)i);
        rllc_kernels_ref.normals(&s, firsts[i], 999, expected);
        FOR_EACH_FAST_TABLE(table) {
            table->normals(&s, firsts[i], 999, got);
            ASSERT_AT_MOST(distance(got, expected, 999), 2e-6, "%s: from place %d", table->name, (int)i);
        }
    }
    expected = array(N);
    got = array(N);
    rllc_stream s = stream(3, 4);
    rllc_kernels_ref.normals(&s, 0, N, expected);
    FOR_EACH_FAST_TABLE(table) {
        table->normals(&s, 0, N, got);
        ASSERT_AT_MOST(distance(got, expected, N), 2e-6, "%s", table->name);
    }
}

static void test_normals_bits_depend_on_the_index_alone(void **state) {
    (void)state;
    rllc_stream s = stream(5, 6);
    FOR_EACH_TABLE(table) {
        float *whole = array(500);
        table->normals(&s, 1000, 500, whole);
        for (int64_t first = 0; first < 70; first++) {
            for (int64_t n = 0; n < 140; n += first % 3 + 1) {
                float part[141];
                part[n] = 123;
                table->normals(&s, (uint64_t)(1000 + first), n, part);
                assert_true(same_bits(part, whole + first, n));
                assert_true(part[n] == 123.0f);
            }
        }
    }
}

static double mean_of_power(const float *x, int64_t n, int power) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double p = 1;
        for (int j = 0; j < power; j++) p *= (double)x[i];
        sum += p;
    }
    return sum / (double)n;
}

static double share_beyond(const float *x, int64_t n, double bound) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += fabs((double)x[i]) > bound;
    return (double)count / (double)n;
}

/* E x^p = 0, 1, 0, 3, 0, 15 with variances 1, 2, 15, 96, 945, 10170 (of x^p): five standard errors of the mean. */
static void test_normals_have_the_moments_and_tails(void **state) {
    (void)state;
    const double moment[] = {0, 1, 0, 3, 0, 15}, variance[] = {1, 2, 15, 96, 945, 10170};
    float *x = array(N);
    rllc_stream s = stream(7, 8);
    FOR_EACH_TABLE(table) {
        table->normals(&s, 0, N, x);
        for (int p = 0; p < 6; p++) {
            ASSERT_AT_MOST(fabs(mean_of_power(x, N, p + 1) - moment[p]), 5 * sqrt(variance[p] / N), "%s: moment %d",
                           table->name, p + 1);
        }
        for (double bound = 0.5; bound < 5; bound += 0.5) {
            double share = erfc(bound / sqrt(2));
            double error = fabs(share_beyond(x, N, bound) - share);
            ASSERT_AT_MOST(error, 5 * sqrt(share / N), "%s: beyond %g", table->name, bound);
        }
        assert_true(largest(x, N) < 6.77 && largest(x, N) > 4); /* of a million, one is beyond 4.9 */
    }
}

static double correlation(const float *x, const float *y, int64_t n, int power) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double a = (double)x[i], b = (double)y[i];
        sum += power == 1 ? a * b : (a * a - 1) * (b * b - 1) / 2;
    }
    return sum / (double)n;
}

/* Numbers next to each other, and those of adjacent steps, chains and seeds: values and squares are uncorrelated. */
static void test_normals_of_adjacent_streams_are_independent(void **state) {
    (void)state;
    enum { M = 400000 };
    float *x = array(M + 8), *y = array(M);
    rllc_stream s = stream(7, 8);
    rllc_stream others[] = {stream(7, 9), stream(8, 8), rllc_stream_make(12, "tests/kernels/normals", 7, 8),
                            rllc_stream_make(11, "tests/kernels/normalt", 7, 8)};
    FOR_EACH_TABLE(table) {
        table->normals(&s, 0, M + 8, x);
        for (int power = 1; power <= 2; power++) {
            for (int lag = 1; lag <= 8; lag++) {
                ASSERT_AT_MOST(fabs(correlation(x, x + lag, M, power)), 5 / sqrt(M), "%s: lag %d", table->name, lag);
            }
            for (int o = 0; o < 4; o++) {
                table->normals(&others[o], 0, M, y);
                ASSERT_AT_MOST(fabs(correlation(x, y, M, power)), 5 / sqrt(M), "%s: stream %d", table->name, o);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_normals_ref_is_box_muller_on_the_words, teardown),
        cmocka_unit_test_teardown(test_normals_agree_with_ref, teardown),
        cmocka_unit_test_teardown(test_normals_bits_depend_on_the_index_alone, teardown),
        cmocka_unit_test_teardown(test_normals_have_the_moments_and_tails, teardown),
        cmocka_unit_test_teardown(test_normals_of_adjacent_streams_are_independent, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
