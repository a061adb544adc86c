/*
 * Many seeds: the error of a sampled coefficient is distributed as theory says, and so is the error in units of the
 * standard error that is reported with it. One seed can hide a bias of two standard errors; four hundred cannot.
 */
#include "theory/theory.h"

enum { SEEDS = 400, CHAINS = 30 };

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov-Smirnov distance of the sorted z from N(0, 1), times sqrt n. */
static double kolmogorov(const double *z, int n) {
    double d = 0;
    for (int i = 0; i < n; i++) {
        const double f = 0.5 * erfc(-z[i] / sqrt(2));
        d = fmax(d, fmax(f - (double)i / n, (double)(i + 1) / n - f));
    }
    return d * sqrt(n);
}

/* z against N(0, 1): KS at p = 1e-4, and mean and variance within 5 of their standard errors. */
static void assert_standard_normal(const char *what, double *z, int n) {
    double mean = 0, square = 0;
    for (int i = 0; i < n; i++) mean += z[i] / n, square += z[i] * z[i] / n;
    qsort(z, (size_t)n, sizeof *z, ascending);
    const double ks = kolmogorov(z, n);
    printf("    %-34s mean %+.3f (+- %.3f), mean square %.3f (+- %.3f), KS %.2f of 2.23\n", what, mean, 1 / sqrt(n),
           square, sqrt(2.0 / n), ks);
    assert_true(ks < 2.23); /* 2 exp(-2 x^2) = 1e-4 */
    assert_true(fabs(mean) * sqrt(n) < 5);
    assert_true(fabs(square - 1) / sqrt(2.0 / n) < 5);
}

static void check(const char *what, rllc_sampler_options o, int64_t dim, const double *h, double c) {
    const theory_exact exact = theory_quadratic_exact(&o, dim, h, (double)(float)c);
    double z[SEEDS], covered = 0;
    for (int s = 0; s < SEEDS; s++) {
        o.seed = theory_seed(what) + (uint64_t)s;
        conformance_run run = theory_quadratic_sample(&o, dim, h, c, CHAINS);
        const rllc_estimate e = conformance_estimate(&run, o.nbeta, NULL);
        z[s] = (e.llc_mean - exact.mean) / (exact.sd / sqrt(CHAINS));
        covered += fabs(e.llc_mean - exact.mean) < 2.045 * e.llc_se; /* 97.5 % point of t with 29 degrees of freedom */
        conformance_run_release(&run);
    }
    assert_standard_normal(what, z, SEEDS);
    covered /= SEEDS;
    printf("    %-34s the reported 95 %% interval holds the exact value in %.1f %% of runs\n", "", 100 * covered);
    assert_true(fabs(covered - 0.95) < 5 * sqrt(0.95 * 0.05 / SEEDS));
}

static void test_errors_are_distributed_as_they_should(void **state) {
    (void)state;
    double h[12];
    theory_geometric(h, 12, 1e-3, 10);
    check("geometric spectrum", theory_settings(200, 5, 5e-4, 200, 0, 1), 12, h, 0);
    check("geometric, burn-in and thinned", theory_settings(200, 5, 5e-4, 60, 50, 3), 12, h, 0);
    check("geometric, off the minimum", theory_settings(200, 50, 5e-4, 200, 0, 1), 12, h, 0.2);
    const double steep[6] = {0, 1, 6.67, 20, 50, 100};
    rllc_sampler_options o;
    rllc_options_default(&rllc_sampler_option_table, &o);
    check("the paper's settings", o, 6, steep, 0);
}

/* A hundred million normals: moments, tails and quarters of the circle, on the table in use. */
static void test_normals_in_bulk(void **state) {
    (void)state;
    enum { BLOCK = 1 << 16 };
    const int64_t n_blocks = 1600;
    const double n = (double)BLOCK * (double)n_blocks;
    static float x[BLOCK];
    double m1 = 0, m2 = 0, m4 = 0, pairs = 0;
    int64_t beyond[6] = {0};
    for (int64_t b = 0; b < n_blocks; b++) {
        const rllc_stream s = rllc_stream_make(9, "noise/bulk", (uint32_t)(b % 40), (uint32_t)(b / 40));
        rllc_kernels_get()->normals(&s, (uint64_t)(b * 12345), BLOCK, x);
        for (int i = 0; i < BLOCK; i++) {
            const double v = (double)x[i], v2 = v * v;
            m1 += v, m2 += v2, m4 += v2 * v2;
            pairs += i > 0 ? v * (double)x[i - 1] : 0;
            for (int k = 1; k <= 5; k++) beyond[k] += v > k;
        }
    }
    printf("    %.0f normals: z-scores of mean %+.2f, variance %+.2f, fourth moment %+.2f, neighbours %+.2f\n", n,
           m1 / sqrt(n), (m2 - n) / sqrt(2 * n), (m4 - 3 * n) / sqrt(96 * n), pairs / sqrt(n));
    assert_true(fabs(m1) < 5 * sqrt(n));
    assert_true(fabs(m2 - n) < 5 * sqrt(2 * n));
    assert_true(fabs(m4 - 3 * n) < 5 * sqrt(96 * n));
    assert_true(fabs(pairs) < 5 * sqrt(n));
    for (int k = 1; k <= 5; k++) {
        const double expected = n * 0.5 * erfc(k / sqrt(2));
        printf("    beyond %d: %lld, expected %.1f\n", k, (long long)beyond[k], expected);
        assert_true(fabs((double)beyond[k] - expected) < 5 * sqrt(expected));
    }
}

int main(int argc, char **argv) {
    (void)argc;
    int status = run_for_every_table(argv);
    if (status >= 0) return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_are_distributed_as_they_should),
        cmocka_unit_test(test_normals_in_bulk),
    };
    return cmocka_run_group_tests_name("seeds", tests, NULL, NULL);
}
