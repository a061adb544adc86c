/* Tangents of a LayerNorm, forward and back, row by row in double.                                           (E91) */
#include "tangent.h"

void rllc_tangent_norm(int64_t rows, int64_t c, const float *x, const float *mean, const float *rstd, const float *w,
                       const float *x1, const float *w1, const float *b1, float *y1) {
    for (int64_t r = 0; r < rows; r++, x += c, x1 += c, y1 += c) {
        const double mu = (double)mean[r], s = (double)rstd[r];
        double m = 0, along = 0; /* means of x1 and of xhat x1 */
        for (int64_t i = 0; i < c; i++) {
            m += (double)x1[i];
            along += ((double)x[i] - mu) * s * (double)x1[i];
        }
        m /= (double)c;
        along /= (double)c;
        for (int64_t i = 0; i < c; i++) {
            const double xhat = ((double)x[i] - mu) * s, xhat1 = s * ((double)x1[i] - m - xhat * along);
            y1[i] = (float)(xhat1 * (double)w[i] + xhat * (double)w1[i] + (double)b1[i]);
        }
    }
}

/** Numbers of one row: means of x1, xhat x1, d, d xhat and the tangents of the last two. d = dy w. */
struct row {
    double mu, s, m, along, d, dx, d1, dx1;
};

static double xhat_at(const struct row *q, const float *x, int64_t i) {
    return ((double)x[i] - q->mu) * q->s;
}

static double xhat1_at(const struct row *q, const float *x, const float *x1, int64_t i) {
    return q->s * ((double)x1[i] - q->m - xhat_at(q, x, i) * q->along);
}

static void means(const rllc_norm_rows *r, const float *x, const float *x1, const float *dy, const float *dy1,
                  struct row *q) {
    const double c = (double)r->c;
    for (int64_t i = 0; i < r->c; i++) {
        q->m += (double)x1[i] / c;
        q->along += xhat_at(q, x, i) * (double)x1[i] / c;
    }
    for (int64_t i = 0; i < r->c; i++) {
        const double xhat = xhat_at(q, x, i), d = (double)dy[i] * (double)r->w[i];
        const double d1 = (double)dy1[i] * (double)r->w[i] + (double)dy[i] * (double)r->w1[i];
        q->d += d / c;
        q->dx += d * xhat / c;
        q->d1 += d1 / c;
        q->dx1 += (d1 * xhat + d * xhat1_at(q, x, x1, i)) / c;
    }
}

void rllc_tangent_norm_backward(const rllc_norm_rows *r) {
    for (int64_t k = 0; k < r->rows; k++) {
        const float *x = r->x + k * r->c, *x1 = r->x1 + k * r->c, *dy = r->dy + k * r->c, *dy1 = r->dy1 + k * r->c;
        float *out = r->dx1 + k * r->c;
        struct row q = {.mu = (double)r->mean[k], .s = (double)r->rstd[k]};
        means(r, x, x1, dy, dy1, &q);
        const double s1 = -q.s * q.s * q.along; /* tangent of rstd */
        for (int64_t i = 0; i < r->c; i++) {
            const double xhat = xhat_at(&q, x, i), xhat1 = xhat1_at(&q, x, x1, i);
            const double d = (double)dy[i] * (double)r->w[i];
            const double d1 = (double)dy1[i] * (double)r->w[i] + (double)dy[i] * (double)r->w1[i];
            const double rest = d - q.d - xhat * q.dx, rest1 = d1 - q.d1 - xhat1 * q.dx - xhat * q.dx1;
            out[i] += (float)(s1 * rest + q.s * rest1);
            if (r->dw1) r->dw1[i] += (float)((double)dy1[i] * xhat + (double)dy[i] * xhat1);
            if (r->db1) r->db1[i] += dy1[i];
        }
    }
}
