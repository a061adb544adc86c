/* The vector functions under the fast kernels: accuracy in units in the last place, and the edges of their domains. */
#include "kernels_test.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include "kernels/cpu/normals.h"
#pragma GCC diagnostic pop

static float exp_of(float x) {
    return v_exp(v_splat(x))[W - 1];
}

static float log_of(float x) {
    return v_log(v_splat(x))[0];
}

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* |got - exact| in units of the last place of a float of that size. */
static double error_in_ulp(float got, double exact) {
    int exponent;
    frexp(exact, &exponent);
    return fabs((double)got - exact) / ldexp(1, exponent < -125 ? -149 : exponent - 24);
}

/* Every 9973rd float: a quarter of a million of each sign. Below 2^-126 a unit is that of the subnormal numbers. */
static void test_exp_is_accurate_to_an_ulp_and_a_half(void **state) {
    (void)state;
    for (uint64_t bits = 0; bits < 1ull << 32; bits += 9973) {
        float x = from_bits((uint32_t)bits);
        if (isnan(x)) assert_true(isnan(exp_of(x)));
        else if (x < -87.684f) assert_true(exp_of(x) == 0);
        else if (x < -87.683f) continue; /* there the last subnormal numbers give way to 0 */
        else if (x <= 88) ASSERT_AT_MOST(error_in_ulp(exp_of(x), exp((double)x)), 1.5, "exp(%g)", (double)x);
        else assert_true(exp_of(x) == exp_of(88));
        if (x <= 0) assert_true(v_exp_below(v_splat(x))[0] == exp_of(x));
    }
}

static void test_exp_is_right_at_the_edges(void **state) {
    (void)state;
    assert_true(exp_of(0) == 1 && exp_of(-0.0f) == 1 && exp_of(0x1p-140f) == 1 && exp_of(-0x1p-140f) == 1);
    assert_true(exp_of(-INFINITY) == 0 && exp_of(-1e30f) == 0 && exp_of(-87.7f) == 0);
    assert_true(exp_of(-87.33f) > 0 && isfinite(exp_of(INFINITY)));
}

static void test_log_is_accurate_to_an_ulp_and_a_half(void **state) {
    (void)state;
    for (uint32_t bits = 0x00800000; bits < 0x7f800000; bits += 9973) {
        float x = from_bits(bits);
        if (x != 1) ASSERT_AT_MOST(error_in_ulp(log_of(x), log((double)x)), 1.5, "log(%g)", (double)x);
    }
    for (float x = 0.999f; x < 1.001f; x = nextafterf(x, 2)) {
        if (x != 1) ASSERT_AT_MOST(error_in_ulp(log_of(x), log((double)x)), 1.5, "log(%.9g)", (double)x);
    }
    assert_true(log_of(1) == 0 && isnan(log_of(NAN)) && log_of(INFINITY) == INFINITY);
}

/* Words at the ends and at the joins of the ranges: the tail, next to 1, and around every eighth of a turn. */
static void test_box_muller_is_accurate_for_every_kind_of_word(void **state) {
    (void)state;
    const double two_pi = 2 * acos(-1);
    uint32_t edges[] = {0, 1, 2, 0x7fffffff, 0x80000000, 0xB504F333, 0xB504F334, 0xfffffffe, 0xffffffff};
    for (uint32_t i = 0; i < 9 + 200000; i++) {
        uint32_t word = i < 9 ? edges[i] : i * 2654435761u;
        if (i >= 9 && i % 3 == 0) word = (i % 8) * 0x20000000u + (i >> 3) % 64 - 32;
        double u = ((double)word + 0.5) * 0x1p-32;
        vf cosine, sine;
        turn((vu){0} + word, &cosine, &sine);
        ASSERT_AT_MOST(error_in_ulp(minus_two_log((vu){0} + word)[0], -2 * log(u)), 3, "-2 log of word %08x", word);
        ASSERT_AT_MOST(fabs((double)cosine[0] - cos(two_pi * u)), 1.2e-7, "cos of word %08x", word);
        ASSERT_AT_MOST(fabs((double)sine[0] - sin(two_pi * u)), 1.2e-7, "sin of word %08x", word);
    }
}

static void test_transpose_and_sums_are_what_they_say(void **state) {
    (void)state;
    vf x[W], y = v_splat(0);
    for (int i = 0; i < W; i++) {
        for (int j = 0; j < W; j++) x[i][j] = (float)(100 * i + j);
        y[i] = (float)(i + 1);
    }
    v_transpose(x);
    for (int i = 0; i < W; i++) {
        for (int j = 0; j < W; j++) assert_true(x[i][j] == (float)(100 * j + i));
    }
    assert_true(v_sum(y) == (float)(W * (W + 1) / 2) && v_largest(y) == (float)W && v_largest(-y) == -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_is_accurate_to_an_ulp_and_a_half),
        cmocka_unit_test(test_exp_is_right_at_the_edges),
        cmocka_unit_test(test_log_is_accurate_to_an_ulp_and_a_half),
        cmocka_unit_test(test_box_muller_is_accurate_for_every_kind_of_word),
        cmocka_unit_test(test_transpose_and_sums_are_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
