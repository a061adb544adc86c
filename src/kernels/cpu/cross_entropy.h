/* Softmax cross-entropy in place: three passes over a row that stays in cache; see (E6). */
#ifndef RLLC_KERNELS_CPU_CROSS_ENTROPY_H
#define RLLC_KERNELS_CPU_CROSS_ENTROPY_H

#include "kernels/cpu/vector.h"

/* A part of a vector whose missing lanes are minus infinity: they change no maximum and no sum of exponentials. */
INLINE vf load_logits(const float *p, int64_t lanes) {
    if (lanes == W) return v_load(p);
    float x[W];
    for (int l = 0; l < W; l++) x[l] = l < lanes ? p[l] : -INFINITY;
    return v_load(x);
}

static float largest_logit(int64_t v, const float *row) {
    vf max[4];
    UNROLL for (int u = 0; u < 4; u++) max[u] = v_splat(-INFINITY);
    int64_t j = 0;
    for (; j + 4 * W <= v; j += 4 * W) {
        UNROLL for (int u = 0; u < 4; u++) max[u] = v_max(max[u], v_load(row + j + u * W));
    }
    for (; j < v; j += W) max[0] = v_max(max[0], load_logits(row + j, v_lanes(v - j)));
    return v_largest(v_max(v_max(max[0], max[1]), v_max(max[2], max[3])));
}

/* Sum of exp(row - max); the row becomes these exponentials if `keep`. */
static double exponentials(int64_t v, float *row, float max, bool keep) {
    vf sum[2] = {v_splat(0), v_splat(0)};
    int64_t j = 0;
    for (; j + 2 * W <= v; j += 2 * W) {
        UNROLL for (int u = 0; u < 2; u++) {
            vf e = v_exp_below(v_load(row + j + u * W) - v_splat(max));
            if (keep) v_store(row + j + u * W, e);
            sum[u] += e;
        }
    }
    for (; j < v; j += W) {
        int64_t lanes = v_lanes(v - j);
        vf e = v_exp_below(load_logits(row + j, lanes) - v_splat(max));
        if (keep) v_store_lanes(row + j, e, lanes);
        sum[0] += e;
    }
    return (double)v_sum(sum[0] + sum[1]);
}

static void scale_row(int64_t v, float *row, float factor) {
    for (int64_t j = 0; j < v; j += W) {
        int64_t lanes = v_lanes(v - j);
        v_store_lanes(row + j, v_load_lanes(row + j, lanes) * v_splat(factor), lanes);
    }
}

static void cross_entropy(int64_t rows, int64_t v, float *logits, int64_t ld, const int32_t *targets,
                          double gradient_scale, float *loss, float *lse) {
    const bool gradient = gradient_scale != 0;
    for (int64_t r = 0; r < rows; r++) {
        float *row = logits + r * ld;
        int32_t target = targets[r];
        if (target < 0) {
            loss[r] = 0;
            if (lse) lse[r] = 0;
            if (gradient) memset(row, 0, (size_t)v * sizeof *row);
            continue;
        }
        float max = largest_logit(v, row);
        double below = (double)max - (double)row[target];
        double sum = exponentials(v, row, max, gradient);
        loss[r] = (float)(below + log(sum));
        if (lse) lse[r] = (float)((double)max + log(sum));
        if (!gradient) continue;
        double p = (double)row[target] / sum;
        scale_row(v, row, (float)(gradient_scale / sum));
        row[target] = (float)(gradient_scale * (p - 1));
    }
}

#endif
