/* What the tests of the kernels share: arrays, random numbers, comparison, and the loop over tables. */
#ifndef RLLC_TESTS_KERNELS_TEST_H
#define RLLC_TESTS_KERNELS_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rllc/kernels.h"

#define HELPER __attribute__((unused)) static

/* Every array is a block of its own, ending where it ends, so that a sanitizer sees the first step beyond. */
static void *blocks[4096];
static int n_blocks;

HELPER float *array(int64_t n) {
    assert_true(n_blocks < 4096);
    float *p = malloc((size_t)(n > 0 ? n : 1) * sizeof *p);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++) p[i] = NAN;
    blocks[n_blocks++] = p;
    return p;
}

HELPER void release_arrays(void) {
    while (n_blocks > 0) free(blocks[--n_blocks]);
}

HELPER int teardown(void **state) {
    (void)state;
    release_arrays();
    return 0;
}

/* n numbers, normal with this scale, the same for the same seed. */
HELPER float *normal_array(int64_t n, uint64_t seed, double scale) {
    rllc_stream s = rllc_stream_make(seed, "tests/kernels", 0, 0);
    float *p = array(n);
    rllc_kernels_ref.normals(&s, 0, n, p);
    for (int64_t i = 0; i < n; i++) p[i] = (float)(scale * (double)p[i]);
    return p;
}

HELPER float *copy_array(const float *x, int64_t n) {
    float *p = array(n);
    if (n > 0) memcpy(p, x, (size_t)n * sizeof *p);
    return p;
}

/* A copy that begins one float off the alignment of malloc. */
HELPER float *shifted_array(const float *x, int64_t n) {
    float *p = array(n + 1) + 1;
    if (n > 0) memcpy(p, x, (size_t)n * sizeof *p);
    return p;
}

HELPER bool same_bits(const float *x, const float *y, int64_t n) {
    return n <= 0 || memcmp(x, y, (size_t)n * sizeof *x) == 0;
}

/* The largest |x - y|; infinity if one is a NaN and the other not, or they are different infinities. */
HELPER double distance(const float *x, const float *y, int64_t n) {
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(x[i]) && isnan(y[i])) continue;
        double d = x[i] == y[i] ? 0 : fabs((double)x[i] - (double)y[i]);
        if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
    }
    return worst;
}

HELPER double largest(const float *x, int64_t n) {
    double worst = 0;
    for (int64_t i = 0; i < n; i++) worst = fmax(worst, fabs((double)x[i]));
    return worst;
}

#define ASSERT_AT_MOST(value, bound, ...)                          \
    do {                                                           \
        double value_ = (value), bound_ = (bound);                 \
        if (!(value_ <= bound_)) {                                 \
            print_error(__VA_ARGS__);                              \
            fail_msg(": %g is more than %g", value_, bound_);      \
        }                                                          \
    } while (0)

/* The tables to be compared with ref. */
#define FOR_EACH_FAST_TABLE(k)                                                                               \
    for (int n_tables_ = 0, table_ = 1; table_ < (rllc_kernels_list(&n_tables_), n_tables_); table_++)       \
        for (const rllc_kernels *k = rllc_kernels_list(&n_tables_)[table_]; k != NULL; k = NULL)
#define FOR_EACH_TABLE(k)                                                                                    \
    for (int n_tables_ = 0, table_ = 0; table_ < (rllc_kernels_list(&n_tables_), n_tables_); table_++)       \
        for (const rllc_kernels *k = rllc_kernels_list(&n_tables_)[table_]; k != NULL; k = NULL)

#endif
