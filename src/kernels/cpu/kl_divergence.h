/* Log-probabilities, and the relative entropy of logits to them, in place; see (E97, E98). */
#ifndef RLLC_KERNELS_CPU_KL_DIVERGENCE_H
#define RLLC_KERNELS_CPU_KL_DIVERGENCE_H

#include <float.h>

#include "kernels/cpu/cross_entropy.h"

/* (l - max) - log_sum, not below -FLT_MAX: what lanes that are not there come to as well. NaN for NaN. */
INLINE vf log_probabilities(const float *row, int64_t lanes, float max, float log_sum) {
    return v_max(v_splat(-FLT_MAX), (load_logits(row, lanes) - v_splat(max)) - v_splat(log_sum));
}

static void log_softmax(int64_t rows, int64_t v, float *logits, int64_t ld) {
    for (int64_t r = 0; r < rows; r++) {
        float *row = logits + r * ld;
        const float max = largest_logit(v, row), log_sum = (float)log(exponentials(v, row, max, false));
        for (int64_t j = 0; j < v; j += W) {
            const int64_t lanes = v_lanes(v - j);
            v_store_lanes(row + j, log_probabilities(row + j, lanes, max, log_sum), lanes);
        }
    }
}

/* e^d - 1 - d for |d| < 1/2: its series, to 5e-8 of itself. */
INLINE vf exp_beyond_linear(vf d) {
    vf s = v_splat(1.0f / 40320);
    s = v_fma(s, d, v_splat(1.0f / 5040));
    s = v_fma(s, d, v_splat(1.0f / 720));
    s = v_fma(s, d, v_splat(1.0f / 120));
    s = v_fma(s, d, v_splat(1.0f / 24));
    s = v_fma(s, d, v_splat(1.0f / 6));
    s = v_fma(s, d, v_splat(0.5f));
    return s * d * d;
}

/* p (e^d - 1 - d) of one vector; *difference = p (e^d - 1) = q - p. Near d = 0 no digits cancel. */
INLINE vf divergence_terms(vf log_p, vf log_q, vf *difference) {
    const vf d = log_q - log_p, p = v_exp_below(log_p), q = v_exp_below(log_q), h = exp_beyond_linear(d);
    const vi near = (d < v_splat(0.5f)) & (d > v_splat(-0.5f));
    *difference = v_select(near, p * (d + h), q - p);
    return v_select(near, p * h, (q - p) - p * d);
}

static void kl_divergence(int64_t rows, int64_t v, float *logits, int64_t ld, const float *reference, int64_t ldr,
                          const int32_t *targets, double gradient_scale, float *loss) {
    const bool gradient = gradient_scale != 0;
    const float scale = (float)gradient_scale;
    for (int64_t r = 0; r < rows; r++) {
        float *row = logits + r * ld;
        const float *given = reference + r * ldr;
        loss[r] = 0;
        if (targets[r] < 0) {
            if (gradient) memset(row, 0, (size_t)v * sizeof *row);
            continue;
        }
        const float max = largest_logit(v, row), log_sum = (float)log(exponentials(v, row, max, false));
        vf sum = v_splat(0);
        for (int64_t j = 0; j < v; j += W) {
            const int64_t lanes = v_lanes(v - j);
            vf difference;
            const vf log_p = v_max(v_splat(-FLT_MAX), load_logits(given + j, lanes));
            sum += divergence_terms(log_p, log_probabilities(row + j, lanes, max, log_sum), &difference);
            if (gradient) v_store_lanes(row + j, v_splat(scale) * difference, lanes);
        }
        loss[r] = v_sum(sum);
    }
}

#endif
