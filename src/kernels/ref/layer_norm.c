/* Reference layer normalization. */
#include <math.h>

#include "kernels/ref/ref.h"

/*
 * mu = sum_j x_j / C;  var = sum_j (x_j - mu)^2 / C;  rstd = 1 / sqrt(var + eps)
 * y_j = (x_j - mu) rstd w_j + b_j                                                                           (E2)
 */
void rllc_ref_layer_norm_forward(int64_t rows, int64_t c, const float *x, const float *w, const float *b, double eps,
                                 float *y, float *mean, float *rstd) {
    for (int64_t r = 0; r < rows; r++) {
        const float *xr = x + r * c;
        double mu = 0, var = 0;
        for (int64_t j = 0; j < c; j++) mu += (double)xr[j];
        mu /= (double)c;
        for (int64_t j = 0; j < c; j++) var += ((double)xr[j] - mu) * ((double)xr[j] - mu);
        var /= (double)c;
        double scale = 1.0 / sqrt(var + eps);
        for (int64_t j = 0; j < c; j++) {
            const double xhat = ((double)xr[j] - mu) * scale;
            y[r * c + j] = (float)(w ? xhat * (double)w[j] + (double)b[j] : xhat);
        }
        mean[r] = (float)mu;
        rstd[r] = (float)scale;
    }
}

/*
 * With xhat = (x - mean) rstd and g = dy w:
 *   dx_j += rstd (g_j - sum_i g_i / C - xhat_j sum_i g_i xhat_i / C)                                        (E3)
 *   dw_j += sum_rows dy_j xhat_j;  db_j += sum_rows dy_j
 */
void rllc_ref_layer_norm_backward(int64_t rows, int64_t c, const float *x, const float *mean, const float *rstd,
                                  const float *w, const float *dy, float *dx, float *dw, float *db) {
    for (int64_t r = 0; r < rows; r++) {
        const float *xr = x + r * c, *dyr = dy + r * c;
        double mu = mean[r], scale = rstd[r], sum_g = 0, sum_gx = 0;
        for (int64_t j = 0; j < c; j++) {
            double g = (double)dyr[j] * (double)w[j];
            sum_g += g;
            sum_gx += g * ((double)xr[j] - mu) * scale;
        }
        for (int64_t j = 0; j < c; j++) {
            double g = (double)dyr[j] * (double)w[j], xhat = ((double)xr[j] - mu) * scale;
            double step = scale * (g - sum_g / (double)c - xhat * sum_gx / (double)c);
            dx[r * c + j] = (float)((double)dx[r * c + j] + step);
        }
    }
    if (dw == NULL) return;
    for (int64_t j = 0; j < c; j++) {
        double sum_w = 0, sum_b = 0;
        for (int64_t r = 0; r < rows; r++) {
            double g = dy[r * c + j];
            sum_w += g * ((double)x[r * c + j] - (double)mean[r]) * (double)rstd[r];
            sum_b += g;
        }
        dw[j] = (float)((double)dw[j] + sum_w);
        db[j] = (float)((double)db[j] + sum_b);
    }
}
