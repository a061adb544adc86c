/* Reference sums and parameter updates. */
#include <math.h>

#include "kernels/ref/ref.h"

/* y_i += x_i */
void rllc_ref_add(int64_t n, const float *x, float *y) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

/* y_rj += x_rj */
void rllc_ref_add_rows(int64_t rows, int64_t c, const float *x, int64_t ldx, float *y, int64_t ldy) {
    for (int64_t r = 0; r < rows; r++) rllc_ref_add(c, x + r * ldx, y + r * ldy);
}

/* sum_j += sum_r x_rj */
void rllc_ref_column_sum(int64_t rows, int64_t c, const float *x, int64_t ldx, float *sum) {
    for (int64_t j = 0; j < c; j++) {
        double total = sum[j];
        for (int64_t r = 0; r < rows; r++) total += (double)x[r * ldx + j];
        sum[j] = (float)total;
    }
}

/* sum_i x_i^2 */
double rllc_ref_sum_squares(int64_t n, const float *x) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

/*
 * m_i <- beta1 m_i + (1 - beta1) g_i;  v_i <- beta2 v_i + (1 - beta2) g_i^2                                  (E7)
 * w_i <- w_i - lr weight_decay w_i - lr / correction1 * m_i / (sqrt(v_i / correction2) + eps)
 * Source: Loshchilov & Hutter 2019, as in torch.optim.AdamW.
 */
void rllc_ref_adamw(int64_t n, const rllc_adamw_step *s, const float *g, float *w, float *m, float *v) {
    for (int64_t i = 0; i < n; i++) {
        double gi = g[i], wi = w[i];
        m[i] = (float)(s->beta1 * (double)m[i] + (1 - s->beta1) * gi);
        v[i] = (float)(s->beta2 * (double)v[i] + (1 - s->beta2) * gi * gi);
        double step = (double)m[i] / (sqrt((double)v[i] / s->correction2) + s->eps);
        w[i] = (float)(wi - s->lr * s->weight_decay * wi - s->lr / s->correction1 * step);
    }
}

/*
 * w_i <- w_i - lr/2 (nbeta g_i + localization (w_i - w0_i) + weight_decay w_i) + sqrt(lr) noise_level eta_i  (E12)
 * then clamped to [w0_i - bounding_box, w0_i + bounding_box] if bounding_box > 0; a NaN stays a NaN.
 * Source: Welling & Teh 2011; Lau et al. 2023.
 */
void rllc_ref_sgld(int64_t n, const rllc_sgld_step *s, const float *g, const float *w0, const float *eta, float *w) {
    double noise = s->noise_level == 0 ? 0 : sqrt(s->lr) * s->noise_level;
    for (int64_t i = 0; i < n; i++) {
        double wi = w[i], centre = w0[i];
        double drift = s->nbeta * (double)g[i] + s->localization * (wi - centre) + s->weight_decay * wi;
        wi -= 0.5 * s->lr * drift;
        if (noise != 0) wi += noise * (double)eta[i];
        if (s->bounding_box > 0) {
            if (wi < centre - s->bounding_box) wi = centre - s->bounding_box;
            if (wi > centre + s->bounding_box) wi = centre + s->bounding_box;
        }
        w[i] = (float)wi;
    }
}
