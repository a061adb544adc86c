/* Layer normalization, row by row; see (E2) and (E3) in rllc/kernels.h and src/kernels/ref. */
#ifndef RLLC_KERNELS_CPU_LAYER_NORM_H
#define RLLC_KERNELS_CPU_LAYER_NORM_H

#include "kernels/cpu/vector.h"

/* The lanes of the vector at column j of c are `lanes`; those past the row are 0 in x - mean too. */
INLINE vf centred(const float *x, float mean, int64_t lanes) {
    if (lanes == W) return v_load(x) - v_splat(mean);
    float means[W];
    for (int l = 0; l < W; l++) means[l] = l < lanes ? mean : 0;
    return v_load_part(x, lanes) - v_load(means);
}

static void layer_norm_forward(int64_t rows, int64_t c, const float *x, const float *w, const float *b, double eps,
                               float *y, float *mean, float *rstd) {
    for (int64_t r = 0; r < rows; r++, x += c, y += c) {
        vf sum = v_splat(0), square = v_splat(0);
        for (int64_t j = 0; j < c; j += W) sum += v_load_lanes(x + j, v_lanes(c - j));
        float mu = v_sum(sum) / (float)c;
        for (int64_t j = 0; j < c; j += W) {
            vf d = centred(x + j, mu, v_lanes(c - j));
            square = v_fma(d, d, square);
        }
        float scale = (float)(1.0 / sqrt((double)v_sum(square) / (double)c + eps));
        for (int64_t j = 0; j < c; j += W) {
            int64_t lanes = v_lanes(c - j);
            vf xhat = centred(x + j, mu, lanes) * v_splat(scale);
            if (w) xhat = v_fma(xhat, v_load_lanes(w + j, lanes), v_load_lanes(b + j, lanes));
            v_store_lanes(y + j, xhat, lanes);
        }
        mean[r] = mu;
        rstd[r] = scale;
    }
}

static void layer_norm_backward_row(int64_t c, const float *x, float mu, float scale, const float *w, const float *dy,
                                    float *dx) {
    vf sum_g = v_splat(0), sum_gx = v_splat(0);
    for (int64_t j = 0; j < c; j += W) {
        int64_t lanes = v_lanes(c - j);
        vf g = v_load_lanes(dy + j, lanes) * v_load_lanes(w + j, lanes);
        sum_g += g;
        sum_gx = v_fma(g, centred(x + j, mu, lanes), sum_gx);
    }
    vf mean_g = v_splat(v_sum(sum_g) / (float)c), mean_gx = v_splat(v_sum(sum_gx) / (float)c * scale);
    for (int64_t j = 0; j < c; j += W) {
        int64_t lanes = v_lanes(c - j);
        vf g = v_load_lanes(dy + j, lanes) * v_load_lanes(w + j, lanes);
        vf xhat = centred(x + j, mu, lanes) * v_splat(scale);
        vf change = v_fma(-xhat, mean_gx, g - mean_g);
        v_store_lanes(dx + j, v_fma(v_splat(scale), change, v_load_lanes(dx + j, lanes)), lanes);
    }
}

/* Columns are summed over this many rows in registers, then added to the total: less rounding than one long chain. */
enum { COLUMN_ROWS = 64 };

static void layer_norm_backward(int64_t rows, int64_t c, const float *x, const float *mean, const float *rstd,
                                const float *w, const float *dy, float *dx, float *dw, float *db) {
    for (int64_t r0 = 0; r0 < rows; r0 += COLUMN_ROWS) {
        int64_t end = r0 + COLUMN_ROWS < rows ? r0 + COLUMN_ROWS : rows;
        for (int64_t r = r0; r < end; r++) {
            layer_norm_backward_row(c, x + r * c, mean[r], rstd[r], w, dy + r * c, dx + r * c);
        }
        if (dw == NULL) continue;
        for (int64_t j = 0; j < c; j += W) {
            int64_t lanes = v_lanes(c - j);
            vf sum_w = v_splat(0), sum_b = v_splat(0);
            for (int64_t r = r0; r < end; r++) {
                vf g = v_load_lanes(dy + r * c + j, lanes);
                sum_w = v_fma(g, centred(x + r * c + j, mean[r], lanes) * v_splat(rstd[r]), sum_w);
                sum_b += g;
            }
            v_store_lanes(dw + j, v_load_lanes(dw + j, lanes) + sum_w, lanes);
            v_store_lanes(db + j, v_load_lanes(db + j, lanes) + sum_b, lanes);
        }
    }
}

#endif
