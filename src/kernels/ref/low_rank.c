/* Reference cross-entropy of logits that a low-rank term moves. */
#include <math.h>

#include "kernels/ref/ref.h"

int64_t rllc_ref_low_rank_scratch(int64_t rows, int64_t v, int64_t n) {
    (void)rows, (void)v, (void)n;
    return 0;
}

/** u_j = a_scale a_j + sum_p y_p b_pj */
static double entry(const rllc_low_rank *x, int64_t r, int64_t j) {
    double sum = 0;
    for (int64_t p = 0; p < x->n; p++) sum += (double)x->y[r * x->ldy + p] * (double)x->b[p * x->ldb + j];
    return (x->a_scale ? (double)x->a_scale[r] : 1.0) * (double)x->a[r * x->lda + j] + sum;
}

/*
 * delta_j = gradient_scale (softmax(l)_j - [j = target]);                                                    (E79)
 *   dy_p = sum_j b_pj delta_j;  g = sum_j delta_j u_j;  m_jp += delta_j y_p
 */
static void gradients(const rllc_low_rank *x, int64_t r, double lse) {
    float *dy = x->dy + r * x->lddy;
    double g = 0;
    for (int64_t j = 0; j < x->v; j++) {
        const double u = entry(x, r, j);
        const double delta = x->gradient_scale * (exp(u + (double)x->c[j] - lse) - (j == x->targets[r] ? 1.0 : 0.0));
        g += delta * u;
        for (int64_t p = 0; p < x->n; p++) x->m[j * x->n + p] += (float)(delta * (double)x->y[r * x->ldy + p]);
    }
    for (int64_t p = 0; p < x->n; p++) {
        double sum = 0;
        for (int64_t j = 0; j < x->v; j++)
            sum += (double)x->b[p * x->ldb + j] * x->gradient_scale *
                   (exp(entry(x, r, j) + (double)x->c[j] - lse) - (j == x->targets[r] ? 1.0 : 0.0));
        dy[p] = (float)sum;
    }
    x->g[r] = (float)g;
}

void rllc_ref_low_rank_loss(const rllc_low_rank *x) {
    for (int64_t r = 0; r < x->rows; r++) {
        const int32_t target = x->targets[r];
        const bool gradient = x->gradient_scale != 0;
        double max = -INFINITY, sum = 0;
        if (target < 0) {
            x->loss[r] = 0;
            if (gradient) x->g[r] = 0;
            for (int64_t p = 0; gradient && p < x->n; p++) x->dy[r * x->lddy + p] = 0;
            continue;
        }
        for (int64_t j = 0; j < x->v; j++) {
            const double l = entry(x, r, j) + (double)x->c[j];
            if (!(l <= max)) max = l; /* a NaN stays */
        }
        for (int64_t j = 0; j < x->v; j++) sum += exp(entry(x, r, j) + (double)x->c[j] - max);
        const double lse = max + log(sum);
        x->loss[r] = (float)(lse - (entry(x, r, target) + (double)x->c[target]));
        if (gradient) gradients(x, r, lse);
    }
}
