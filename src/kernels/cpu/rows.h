/* What lies between the products: sums, scalings and copies of rows. One pass, whole vectors and then a part. */
#ifndef RLLC_KERNELS_CPU_ROWS_H
#define RLLC_KERNELS_CPU_ROWS_H

#include "kernels/cpu/vector.h"

static void zero(int64_t n, float *x) {
    if (n > 0) memset(x, 0, (size_t)n * sizeof *x);
}

static void multiply(int64_t n, double alpha, const float *x, const float *y, float *out) {
    for (int64_t i = 0; i < n; i += W) {
        const int64_t lanes = v_lanes(n - i);
        v_store_lanes(out + i, (float)alpha * v_load_lanes(x + i, lanes) * v_load_lanes(y + i, lanes), lanes);
    }
}

static void divide(int64_t n, const float *x, const float *y, float *out) {
    for (int64_t i = 0; i < n; i += W) {
        const int64_t lanes = v_lanes(n - i);
        v_store_lanes(out + i, v_load_lanes(x + i, lanes) / v_load_lanes(y + i, lanes), lanes);
    }
}

static void copy_rows(int64_t rows, int64_t c, const float *x, int64_t ldx, float *y, int64_t ldy) {
    if (ldx == c && ldy == c) {
        c *= rows;
        rows = rows > 0;
    }
    for (int64_t r = 0; r < rows && c > 0; r++) memcpy(y + r * ldy, x + r * ldx, (size_t)c * sizeof *y);
}

static void scale_rows(int64_t rows, int64_t c, const float *s, const float *x, int64_t ldx, float *y, int64_t ldy) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < c; j += W) {
            const int64_t lanes = v_lanes(c - j);
            v_store_lanes(y + r * ldy + j, s[r] * v_load_lanes(x + r * ldx + j, lanes), lanes);
        }
}

static void add_scaled_rows(int64_t rows, int64_t c, const float *s, const float *x, int64_t ldx, float *y,
                            int64_t ldy) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < c; j += W) {
            const int64_t lanes = v_lanes(c - j);
            float *at = y + r * ldy + j;
            v_store_lanes(at, v_fma(v_splat(s[r]), v_load_lanes(x + r * ldx + j, lanes), v_load_lanes(at, lanes)),
                          lanes);
        }
}

static void row_dots(int64_t rows, int64_t c, const float *x, int64_t ldx, const float *y, int64_t ldy, float *out) {
    for (int64_t r = 0; r < rows; r++) {
        vf sum = v_splat(0);
        for (int64_t j = 0; j < c; j += W) {
            const int64_t lanes = v_lanes(c - j);
            sum = v_fma(v_load_lanes(x + r * ldx + j, lanes), v_load_lanes(y + r * ldy + j, lanes), sum);
        }
        out[r] = v_sum(sum);
    }
}

static void gather_rows(int64_t rows, int64_t c, const int32_t *ids, const float *x, int64_t ldx, float *y,
                        int64_t ldy) {
    for (int64_t r = 0; r < rows && c > 0; r++) memcpy(y + r * ldy, x + ids[r] * ldx, (size_t)c * sizeof *y);
}

static void scatter_rows(int64_t rows, int64_t c, const int32_t *ids, const float *x, int64_t ldx, float *y,
                         int64_t ldy) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < c; j += W) {
            const int64_t lanes = v_lanes(c - j);
            float *at = y + ids[r] * ldy + j;
            v_store_lanes(at, v_load_lanes(at, lanes) + v_load_lanes(x + r * ldx + j, lanes), lanes);
        }
}

#endif
