/* Sums over arrays and parameter updates; see (E7) and (E12). */
#ifndef RLLC_KERNELS_CPU_UPDATE_H
#define RLLC_KERNELS_CPU_UPDATE_H

#include "kernels/cpu/vector.h"

static void add(int64_t n, const float *x, float *y) {
    for (int64_t i = 0; i < n; i += W) {
        int64_t lanes = v_lanes(n - i);
        v_store_lanes(y + i, v_load_lanes(y + i, lanes) + v_load_lanes(x + i, lanes), lanes);
    }
}

static void add_rows(int64_t rows, int64_t c, const float *x, int64_t ldx, float *y, int64_t ldy) {
    for (int64_t r = 0; r < rows; r++) add(c, x + r * ldx, y + r * ldy);
}

/* In registers over 64 rows, then into the total: less rounding than one long chain. */
static void column_sum(int64_t rows, int64_t c, const float *x, int64_t ldx, float *sum) {
    for (int64_t r0 = 0; r0 < rows; r0 += 64) {
        int64_t end = r0 + 64 < rows ? r0 + 64 : rows;
        for (int64_t j = 0; j < c; j += W) {
            int64_t lanes = v_lanes(c - j);
            vf part = v_splat(0);
            for (int64_t r = r0; r < end; r++) part += v_load_lanes(x + r * ldx + j, lanes);
            v_store_lanes(sum + j, v_load_lanes(sum + j, lanes) + part, lanes);
        }
    }
}

static double sum_squares(int64_t n, const float *x) {
    vd sum[4];
    UNROLL for (int u = 0; u < 4; u++) sum[u] = (vd){0};
    for (int64_t i = 0; i < n; i += 2 * W) {
        float part[2 * W] = {0};
        const float *at = x + i;
        if (n - i < 2 * W) at = memcpy(part, at, (size_t)(n - i) * sizeof *x);
        UNROLL for (int u = 0; u < 4; u++) {
            vd d = __builtin_convertvector(*(const vh_anywhere *)(at + u * (W / 2)), vd);
            sum[u] += d * d;
        }
    }
    vd all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    double total = 0;
    for (int l = 0; l < W / 2; l++) total += all[l];
    return total;
}

static void adamw(int64_t n, const rllc_adamw_step *s, const float *g, float *w, float *m, float *v) {
    const vf beta1 = v_splat((float)s->beta1), beta2 = v_splat((float)s->beta2);
    const vf rest1 = v_splat((float)(1 - s->beta1)), rest2 = v_splat((float)(1 - s->beta2));
    const vf decay = v_splat((float)(s->lr * s->weight_decay)), rate = v_splat((float)(s->lr / s->correction1));
    const vf unbias = v_splat((float)(1 / sqrt(s->correction2))), eps = v_splat((float)s->eps);
    for (int64_t i = 0; i < n; i += W) {
        int64_t lanes = v_lanes(n - i);
        vf gi = v_load_lanes(g + i, lanes), wi = v_load_lanes(w + i, lanes);
        vf mean = v_fma(beta1, v_load_lanes(m + i, lanes), rest1 * gi);
        vf square = v_fma(beta2, v_load_lanes(v + i, lanes), rest2 * (gi * gi));
        vf step = v_fma(decay, wi, rate * (mean / v_fma(v_sqrt(square), unbias, eps)));
        v_store_lanes(m + i, mean, lanes);
        v_store_lanes(v + i, square, lanes);
        v_store_lanes(w + i, wi - step, lanes);
    }
}

/* The noise may be absent (NULL): then no term is added at all. */
INLINE void sgld_body(const bool noisy, const bool boxed, int64_t n, const rllc_sgld_step *s, const float *g,
                      const float *w0, const float *eta, float *w) {
    const vf nbeta = v_splat((float)s->nbeta), localization = v_splat((float)s->localization);
    const vf decay = v_splat((float)s->weight_decay), half_lr = v_splat((float)(0.5 * s->lr));
    const vf noise = v_splat((float)(sqrt(s->lr) * s->noise_level)), box = v_splat((float)s->bounding_box);
    for (int64_t i = 0; i < n; i += W) {
        int64_t lanes = v_lanes(n - i);
        vf wi = v_load_lanes(w + i, lanes), centre = v_load_lanes(w0 + i, lanes);
        vf drift = v_fma(nbeta, v_load_lanes(g + i, lanes), v_fma(localization, wi - centre, decay * wi));
        vf step = half_lr * drift;
        if (noisy) step = v_fma(-noise, v_load_lanes(eta + i, lanes), step);
        wi -= step;
        if (boxed) wi = v_min(centre + box, v_max(centre - box, wi));
        v_store_lanes(w + i, wi, lanes);
    }
}

static void sgld(int64_t n, const rllc_sgld_step *s, const float *g, const float *w0, const float *eta, float *w) {
    const bool noisy = s->noise_level != 0, boxed = s->bounding_box > 0;
    if (noisy && boxed) sgld_body(true, true, n, s, g, w0, eta, w);
    else if (noisy) sgld_body(true, false, n, s, g, w0, eta, w);
    else if (boxed) sgld_body(false, true, n, s, g, w0, eta, w);
    else sgld_body(false, false, n, s, g, w0, eta, w);
}

#endif
