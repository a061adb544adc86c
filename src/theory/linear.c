/* Exact moments of time averages of a quadratic along a linear Gaussian recursion. */
#include <math.h>
#include <string.h>

#include "linear.h"

enum { M = RLLC_LINEAR_MOST };

/** Moments of the state at a draw. */
struct moments {
    double mean[M], covariance[M][M];
};

static void advance(const rllc_linear_chain *c, struct moments *x) {
    struct moments y = {{0}, {{0}}};
    double FS[M][M] = {{0}};
    for (int i = 0; i < c->n; i++) {
        y.mean[i] = c->f[i];
        for (int j = 0; j < c->n; j++) {
            y.mean[i] += c->F[i][j] * x->mean[j];
            for (int k = 0; k < c->n; k++) FS[i][j] += c->F[i][k] * x->covariance[k][j];
        }
    }
    for (int i = 0; i < c->n; i++)
        for (int j = 0; j < c->n; j++) {
            y.covariance[i][j] = c->Q[i][j];
            for (int k = 0; k < c->n; k++) y.covariance[i][j] += FS[i][k] * c->F[j][k];
        }
    *x = y;
}

/** R = F^steps. */
static void power(const rllc_linear_chain *c, int64_t steps, double R[M][M]) {
    memset(R, 0, sizeof(double[M][M]));
    for (int i = 0; i < c->n; i++) R[i][i] = 1;
    for (int64_t s = 0; s < steps; s++) {
        double next[M][M] = {{0}};
        for (int i = 0; i < c->n; i++)
            for (int j = 0; j < c->n; j++)
                for (int k = 0; k < c->n; k++) next[i][j] += c->F[i][k] * R[k][j];
        memcpy(R, next, sizeof next);
    }
}

/**
 * Sums over the draws after draw k, as functions of the covariance s of its state with u: Cov(u_l, u_k) = (R^(l-k) s)_0,
 *   sum_l Cov^2 = s^T G s,   sum_l d_l Cov = g^T s,   d = slope + curvature mean u:
 *   G <- R^T (G + e e^T) R,  g <- R^T (g + d e),  e the unit vector of u; backwards from G = g = 0.
 */
static void go_back(int n, double R[M][M], double d, double G[M][M], double g[M]) {
    double next[M][M] = {{0}}, GR[M][M] = {{0}}, h[M] = {0};
    G[0][0] += 1;
    g[0] += d;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            for (int k = 0; k < n; k++) GR[i][j] += G[i][k] * R[k][j];
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++) {
            h[i] += R[k][i] * g[k];
            for (int j = 0; j < n; j++) next[i][j] += R[k][i] * GR[k][j];
        }
    memcpy(G, next, sizeof next);
    memcpy(g, h, sizeof h);
}

rllc_status rllc_linear_law(const rllc_linear_chain *c, const rllc_sampler_options *o, double slope, double curvature,
                            double *mean, double *variance) {
    rllc_status status = RLLC_OK;
    struct moments *at = NULL, x;
    double R[M][M], G[M][M] = {{0}}, g[M] = {0}, sum = 0, squares = 0;
    const int64_t draws = rllc_sampler_draws(o), steps = rllc_sampler_steps(o);
    int64_t first = -1, second = -1;
    memcpy(x.mean, c->mean, sizeof x.mean);
    memcpy(x.covariance, c->covariance, sizeof x.covariance);
    RLLC_TRY(rllc_alloc(&at, draws, sizeof *at));
    for (int64_t step = 0; step < steps; step++) {
        const int64_t draw = rllc_sampler_draw_at(o, step);
        if (draw >= 0) at[draw] = x;
        if (draw == 0) first = step;
        if (draw == 1) second = step;
        advance(c, &x);
    }
    power(c, draws > 1 ? second - first : 0, R);
    for (int64_t k = draws - 1; k >= 0; k--) {
        const double m = at[k].mean[0], v = at[k].covariance[0][0], d = slope + curvature * m;
        double later = 0;
        for (int i = 0; i < c->n; i++) {
            later += d * g[i] * at[k].covariance[i][0];
            for (int j = 0; j < c->n; j++)
                later += curvature * curvature / 2 * at[k].covariance[i][0] * G[i][j] * at[k].covariance[j][0];
        }
        sum += slope * m + curvature * (v + m * m) / 2;
        squares += curvature * curvature / 2 * v * v + d * d * v + 2 * later;
        go_back(c->n, R, d, G, g);
    }
    *mean = sum / (double)draws;
    *variance = squares / (double)draws / (double)draws;
done:
    rllc_free(at);
    return status;
}
