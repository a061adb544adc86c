/* Quantiles against closed forms and against the distribution function, written another way. */
#include "stats/chains.h"

static const double tails[] = {1e-300, 1e-100, 1e-20,  1e-9, 1e-4, 0.00499, 0.025,
                               0.1,    0.2499, 0.2501, 0.3,  0.45, 0.499999};
enum { N_TAILS = sizeof tails / sizeof *tails };

static void test_normal_quantile_inverts_the_distribution(void **state) {
    (void)state;
    /* To 16 digits: the ninety-five percent, and one percent from a table. */
    assert_close(rllc_normal_quantile(0.975), 1.959963984540054, 4e-16);
    assert_close(rllc_normal_quantile(0.01), -2.326347874040841, 4e-16);
    assert_close(rllc_normal_cdf(1), 0.8413447460685429, 4e-16);
    for (int i = 0; i < N_TAILS; i++) {
        const double p = tails[i], x = rllc_normal_quantile(p),
                     density = exp(-x * x / 2) / sqrt(2 * 3.14159265358979323846);
        /* In units of x. The distribution itself rounds its argument: by x^2 2e-16, which is no error of the quantile.
         */
        assert_true(fabs((rllc_normal_cdf(x) - p) / density / x) < (p < 0.45 ? 1e-14 : 1e-9));
        if (p > 1e-4 && p <= 0.45) assert_close(rllc_normal_quantile(1 - p), -x, 1e-11); /* 1 - p is rounded */
    }
    /* Near 1/2 the quantile is sqrt(2 pi) (p - 1/2). */
    assert_close(rllc_normal_quantile(0.5 - 0x1p-30), -sqrt(2 * 3.14159265358979323846) * 0x1p-30, 1e-15);
    assert_true(rllc_normal_quantile(0.5) == 0 && rllc_normal_quantile(0) == -INFINITY &&
                rllc_normal_quantile(1) == INFINITY);
    assert_true(isnan(rllc_normal_quantile(-0.1)) && isnan(rllc_normal_quantile(1.1)) &&
                isnan(rllc_normal_quantile(NAN)));
}

/* One, two and four degrees of freedom have closed forms. */
static void test_student_quantile_has_the_closed_forms(void **state) {
    (void)state;
    for (int i = 1; i < N_TAILS; i++) {
        const double p = tails[i], four = 4 * p * (1 - p);
        assert_close(rllc_student_quantile(p, 1),
                     p < 0.25 ? -1 / tan(3.14159265358979323846 * p) : tan(3.14159265358979323846 * (p - 0.5)), 1e-12);
        assert_close(rllc_student_quantile(p, 2), 2 * (p - 0.5) * sqrt(2 / four), 1e-12);
        if (p < 0.01 || p > 0.45) continue; /* the form below cancels */
        const double q = cos(acos(sqrt(four)) / 3) / sqrt(four);
        assert_close(rllc_student_quantile(p, 4), -2 * sqrt(q - 1), 1e-12);
    }
    assert_close(rllc_student_quantile(0.975, 1), 12.706204736174698, 1e-13);
    assert_true(rllc_student_quantile(1e-300, 0.5) == -INFINITY); /* 1e599 */
}

/* P(|T| < t) for whole numbers of degrees of freedom, as finite sums (Abramowitz & Stegun 26.7.3, 26.7.4). */
static double student_within(double t, int df) {
    const double angle = atan(t / sqrt(df)), c = cos(angle);
    double term = df % 2 ? c : 1, sum = df > 1 ? term : 0;
    for (int k = df % 2 ? 3 : 2; k < df; k += 2) {
        term *= (k - 1) * c * c / k;
        sum += term;
    }
    return df % 2 ? 2 / 3.14159265358979323846 * (angle + sin(angle) * sum) : sin(angle) * sum;
}

static void test_student_quantile_inverts_finite_sums(void **state) {
    (void)state;
    const int dfs[] = {1, 2, 3, 4, 5, 8, 31, 79, 80, 81, 500, 999, 1000, 1001, 20000};
    for (size_t k = 0; k < sizeof dfs / sizeof *dfs; k++) {
        for (double p = 0.51; p < 0.9995; p += 0.0233) {
            const double t = rllc_student_quantile(p, dfs[k]);
            assert_true(fabs(student_within(t, dfs[k]) - (2 * p - 1)) < 1e-14 + 4e-16 * dfs[k]); /* of the sums */
            assert_close(rllc_student_quantile(1 - p, dfs[k]), -t, 1e-12);
        }
    }
}

/* The three ways of computing it meet: the recursion and series of gamma functions, the fraction and the expansion. */
static void test_student_quantile_is_smooth_in_degrees_of_freedom(void **state) {
    (void)state;
    const double seams[] = {80, 1000};
    for (int k = 0; k < 2; k++) {
        for (int i = 4; i < N_TAILS; i++) {
            const double h = 1e-3 * seams[k], p = tails[i];
            double t[5];
            for (int j = 0; j < 5; j++) t[j] = rllc_student_quantile(p, seams[k] + (j - 2.5) * h);
            /* The fourth difference of a smooth function is h^4 f'''' = (1e-3)^4 24 of its part in 1 / df. */
            assert_true(fabs(t[0] - 4 * t[1] + 6 * t[2] - 4 * t[3] + t[4]) < 2e-12 * fabs(t[2]));
        }
    }
    for (int i = 0; i < N_TAILS; i++)
        assert_close(rllc_student_quantile(tails[i], 1e12), rllc_normal_quantile(tails[i]), 1e-9);
    assert_true(rllc_student_quantile(0.2, INFINITY) == rllc_normal_quantile(0.2));
    assert_true(isnan(rllc_student_quantile(0.2, 0)) && isnan(rllc_student_quantile(0.2, NAN)) &&
                isnan(rllc_student_quantile(2, 3)));
    assert_true(rllc_student_quantile(0, 3) == -INFINITY && rllc_student_quantile(1, 3) == INFINITY &&
                rllc_student_quantile(0.5, 3) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal_quantile_inverts_the_distribution),
        cmocka_unit_test(test_student_quantile_has_the_closed_forms),
        cmocka_unit_test(test_student_quantile_inverts_finite_sums),
        cmocka_unit_test(test_student_quantile_is_smooth_in_degrees_of_freedom),
    };
    return cmocka_run_group_tests_name("stats_distributions", tests, NULL, NULL);
}
