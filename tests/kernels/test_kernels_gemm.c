/* The matrix product of every table against the definition, and what its bits may depend on. */
#include "kernels_test.h"

enum { PAD = 3 };

typedef struct product {
    bool ta, tb;
    int64_t m, n, k, lda, ldb, ldc;
    float alpha, beta;
    float *a, *b, *c;
} product;

static product make_product(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, float beta) {
    product p = {.ta = ta, .tb = tb, .m = m, .n = n, .k = k, .alpha = alpha, .beta = beta};
    p.lda = (ta ? m : k) + PAD;
    p.ldb = (tb ? k : n) + PAD;
    p.ldc = n + PAD;
    p.a = normal_array((ta ? k : m) * p.lda, 1, 1);
    p.b = normal_array((tb ? n : k) * p.ldb, 2, 1);
    p.c = normal_array(m * p.ldc, 3, 1);
    return p;
}

static float *run(const rllc_kernels *k, const product *p) {
    float *c = copy_array(p->c, p->m * p->ldc);
    k->gemm(p->ta, p->tb, p->m, p->n, p->k, p->alpha, p->a, p->lda, p->b, p->ldb, p->beta, c, p->ldc);
    return c;
}

/*
 * A product of k terms of size 1, summed in chains of at most 256 and those in turn: its rounding error is a random
 * walk of sqrt(256) + k / 256 steps of half a unit of a sum of size sqrt(k); eight of those are never seen.
 */
static double tolerance(int64_t k, double alpha) {
    return 8 * 6e-8 * fabs(alpha) * sqrt((double)k + 1) * (sqrt(k < 256 ? (double)k : 256.0) + (double)k / 256) + 4e-7;
}

static void check(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, float beta) {
    product p = make_product(ta, tb, m, n, k, alpha, beta);
    float *expected = run(&rllc_kernels_ref, &p);
    FOR_EACH_FAST_TABLE(table) {
        float *c = run(table, &p);
        ASSERT_AT_MOST(distance(c, expected, m * p.ldc), tolerance(k, (double)alpha), "%s: %d%d %ld x %ld x %ld",
                       table->name, ta, tb, (long)m, (long)n, (long)k);
        for (int64_t i = 0; i < m; i++) assert_true(same_bits(c + i * p.ldc + n, p.c + i * p.ldc + n, PAD));
    }
    release_arrays();
}

static void test_gemm_agrees_with_ref(void **state) {
    (void)state;
    const int64_t sizes[] = {1, 2, 3, 5, 8, 13, 14, 15, 16, 17, 28, 31, 32, 33, 47, 64, 65, 97};
    const int64_t depths[] = {1, 2, 3, 7, 16, 33, 64, 100, 255, 256, 257, 511, 513};
    const float alphas[] = {1, 0.5f, -1.25f}, betas[] = {0, 1, 0.75f};
    rllc_stream s = rllc_stream_make(7, "shapes", 0, 0);
    for (uint64_t i = 0; i < 600; i++) {
        uint64_t at = 8 * i;
        int64_t m = sizes[rllc_stream_below(&s, at, 18)], n = sizes[rllc_stream_below(&s, at + 1, 18)];
        check(i & 1, i & 2, m, n, depths[rllc_stream_below(&s, at + 2, 13)], alphas[rllc_stream_below(&s, at + 3, 3)],
              betas[rllc_stream_below(&s, at + 4, 3)]);
    }
}

/* One row, one column, nothing: the smallest of everything, in all four transpositions. */
static void test_gemm_agrees_with_ref_on_the_smallest(void **state) {
    (void)state;
    for (int t = 0; t < 4; t++) {
        for (int64_t m = 1; m <= 3; m++) {
            for (int64_t n = 1; n <= 3; n++) {
                for (int64_t k = 0; k <= 3; k++) {
                    check(t & 1, t & 2, m, n, k, 1, 0);
                    check(t & 1, t & 2, m, n, k, 1, 1);
                }
            }
        }
    }
}

/* Wider than one packed block of any table, and rows of A that lie 4 KiB apart. */
static void test_gemm_agrees_with_ref_over_blocks(void **state) {
    (void)state;
    check(false, false, 15, 1100, 300, 1, 0);
    check(false, true, 15, 1100, 300, 1, 1);
    check(true, false, 30, 530, 520, 1, 0);
    check(true, true, 29, 530, 260, 2, 1);
    check(false, false, 33, 40, 1024 - PAD, 1, 0);
}

static void test_gemm_with_beta_zero_never_reads_c(void **state) {
    (void)state;
    for (int64_t k = 0; k <= 600; k += 300) {
        product p = make_product(false, false, 9, 37, k, 1, 0);
        for (int64_t i = 0; i < p.m * p.ldc; i++) p.c[i] = NAN;
        FOR_EACH_TABLE(table) {
            float *c = run(table, &p);
            for (int64_t i = 0; i < p.m; i++) {
                for (int64_t j = 0; j < p.n; j++) assert_true(isfinite(c[i * p.ldc + j]));
            }
        }
        release_arrays();
    }
}

/* The bits of an element depend on its row, its column and k: not on m, n, alignment, stride or transposition. */
static void check_company(float alpha) {
    product p = make_product(false, false, 37, 75, 300, alpha, 1);
    FOR_EACH_FAST_TABLE(table) {
        float *whole = run(table, &p);
        for (int64_t i = 0; i < p.m; i += 5) { /* a row alone, off alignment */
            float *row = shifted_array(p.c + i * p.ldc, p.n);
            float *a = shifted_array(p.a + i * p.lda, p.k);
            table->gemm(false, false, 1, p.n, p.k, alpha, a, p.k, p.b, p.ldb, 1, row, p.n);
            assert_true(same_bits(row, whole + i * p.ldc, p.n));
        }
        for (int64_t j = 0; j < p.n; j += 7) { /* a column alone, from a transposed B of one row */
            float *b = array(p.k), *c = array(p.m);
            for (int64_t q = 0; q < p.k; q++) b[q] = p.b[q * p.ldb + j];
            for (int64_t i = 0; i < p.m; i++) c[i] = p.c[i * p.ldc + j];
            table->gemm(false, true, p.m, 1, p.k, alpha, p.a, p.lda, b, p.k, 1, c, 1);
            for (int64_t i = 0; i < p.m; i++) assert_true(same_bits(c + i, whole + i * p.ldc + j, 1));
        }
        float *at = array(p.k * p.m), *bt = array(p.n * p.k), *c = copy_array(p.c, p.m * p.ldc);
        for (int64_t q = 0; q < p.k; q++) {
            for (int64_t i = 0; i < p.m; i++) at[q * p.m + i] = p.a[i * p.lda + q];
            for (int64_t j = 0; j < p.n; j++) bt[j * p.k + q] = p.b[q * p.ldb + j];
        }
        table->gemm(true, true, p.m, p.n, p.k, alpha, at, p.m, bt, p.k, 1, c, p.ldc);
        assert_true(same_bits(c, whole, p.m * p.ldc));
    }
}

static void test_gemm_bits_do_not_depend_on_company(void **state) {
    (void)state;
    check_company(1);
    check_company(0.3f);
}

static void test_gemm_carries_nan_and_infinity(void **state) {
    (void)state;
    FOR_EACH_TABLE(table) {
        product p = make_product(false, false, 20, 40, 30, 1, 0);
        p.a[3 * p.lda + 4] = NAN;
        p.b[5 * p.ldb + 39] = INFINITY;
        float *c = run(table, &p);
        for (int64_t i = 0; i < p.m; i++) {
            for (int64_t j = 0; j < p.n; j++) assert_true(isfinite(c[i * p.ldc + j]) == (i != 3 && j != 39));
        }
        assert_true(isnan(c[3 * p.ldc]) && isinf(c[39]));
        release_arrays();
    }
}

typedef struct parallel_job {
    const rllc_kernels *table;
    const product *p;
    float *out[8];
} parallel_job;

static rllc_status multiply_one(void *context, int64_t i, int worker) {
    (void)worker;
    parallel_job *job = context;
    const product *p = job->p;
    float *c = job->out[i];
    for (int repeat = 0; repeat < 20; repeat++) {
        memcpy(c, p->c, (size_t)(p->m * p->ldc) * sizeof *c);
        job->table->gemm(p->ta, p->tb, p->m, p->n, p->k, p->alpha, p->a, p->lda, p->b, p->ldb, p->beta, c, p->ldc);
    }
    return RLLC_OK;
}

static void test_gemm_gives_the_same_bits_on_every_thread(void **state) {
    (void)state;
    product p = make_product(true, false, 50, 130, 400, 1, 1);
    FOR_EACH_FAST_TABLE(table) {
        float *expected = run(table, &p);
        parallel_job job = {.table = table, .p = &p};
        for (int i = 0; i < 8; i++) job.out[i] = array(p.m * p.ldc + 5) + i % 5;
        assert_int_equal(rllc_parallel(8, 4, multiply_one, &job), RLLC_OK);
        for (int i = 0; i < 8; i++) assert_true(same_bits(job.out[i], expected, p.m * p.ldc));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_gemm_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_gemm_agrees_with_ref_on_the_smallest, teardown),
        cmocka_unit_test_teardown(test_gemm_agrees_with_ref_over_blocks, teardown),
        cmocka_unit_test_teardown(test_gemm_with_beta_zero_never_reads_c, teardown),
        cmocka_unit_test_teardown(test_gemm_bits_do_not_depend_on_company, teardown),
        cmocka_unit_test_teardown(test_gemm_carries_nan_and_infinity, teardown),
        cmocka_unit_test_teardown(test_gemm_gives_the_same_bits_on_every_thread, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
