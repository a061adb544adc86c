/* Exact Gibbs expectations of the smallest neural networks at the zero function, by integrals of one to three dimensions. */
#include <math.h>

#include "rllc/theory.h"

enum { TANH_NODES = 240, MOST_UNITS = 2, OUTER = 120, ANGLES = 64, INNER = 400 };

/** Nodes b = sinh(t): fine at 0, where a large nbeta puts the weight, and out to 12 standard deviations. */
static void stretched(int64_t n, double reach, double *x, double *weight) {
    const double sharp = 1e-6, top = asinh(reach / sharp);
    rllc_gauss_legendre(n, -top, top, x, weight);
    for (int64_t i = 0; i < n; i++) {
        weight[i] *= sharp * cosh(x[i]);
        x[i] = sharp * sinh(x[i]);
    }
}

/**
 * L = 1/2 a^T G(b) a with G_hk = E[tanh(b_h x) tanh(b_k x)]: a given b is Gaussian.                            (E61)
 *   Z = integral over b of e^(-localization |b|^2 / 2) det(localization + nbeta G)^(-1/2),
 *   E = 1/2 tr nbeta G (localization + nbeta G)^-1 averaged with that weight.
 */
rllc_status rllc_gibbs_tanh(int64_t units, int64_t n, const double *x, const double *weight, double nbeta,
                            double localization, double *mean) {
    rllc_status status = RLLC_OK;
    double node[TANH_NODES], rule[TANH_NODES], *features = NULL, z = 0, e = 0;
    if (units < 1 || units > MOST_UNITS || localization <= 0)
        return rllc_fail(RLLC_EUNSUPPORTED, "the integral is done for one or two tanh units with localization");
    stretched(TANH_NODES, 12 / sqrt(localization), node, rule);
    RLLC_TRY(rllc_alloc(&features, TANH_NODES * n, sizeof *features));
    for (int64_t i = 0; i < TANH_NODES; i++)
        for (int64_t k = 0; k < n; k++) features[i * n + k] = sqrt(weight[k]) * tanh(node[i] * x[k]);
    for (int64_t i = 0; i < TANH_NODES; i++)
        for (int64_t j = 0; j < (units == 2 ? TANH_NODES : 1); j++) {
            const double *f = features + i * n, *g = features + j * n;
            double ff = 0, fg = 0, gg = 0, w = rule[i] * exp(-localization * node[i] * node[i] / 2);
            for (int64_t k = 0; k < n; k++) ff += f[k] * f[k], fg += f[k] * g[k], gg += g[k] * g[k];
            ff *= nbeta, fg *= nbeta, gg *= nbeta;
            if (units == 1)
                gg = fg = 0;
            else
                w *= rule[j] * exp(-localization * node[j] * node[j] / 2);
            const double determinant = (localization + ff) * (localization + gg) - fg * fg;
            const double trace = (ff * (localization + gg) + gg * (localization + ff) - 2 * fg * fg) / determinant;
            z += w / sqrt(determinant);
            e += w / sqrt(determinant) * trace / 2;
        }
    *mean = e / z;
done:
    rllc_free(features);
    return status;
}

/** log mean exp(t_j) - mean t_j: KL(uniform || softmax t). */
static double divergence(int64_t vocab, const double *t) {
    double high = t[0], mean = 0, sum = 0;
    for (int64_t j = 0; j < vocab; j++) high = fmax(high, t[j]), mean += t[j] / (double)vocab;
    for (int64_t j = 0; j < vocab; j++) sum += exp(t[j] - high);
    return high + log(sum / (double)vocab) - mean;
}

/**
 * d_model = 1: L = mean_i KL(uniform || softmax(e_i u)). Shifts of u do not matter, so u = r (a direction orthogonal to 1)
 * with weight r^(V-2) e^(-localization r^2/2); given u the e_i are independent and alike:                    (E62)
 *   Z = integral over r, direction of I^V,  I = integral de e^(-localization e^2/2) exp(-(nbeta/V) KL(e u)),
 *   E = average of V I' / I,  I' the same integral with (nbeta/V) KL in front.
 */
static void inner(int64_t vocab, const double *u, double nbeta, double localization, const double *node,
                  const double *rule, double *value, double *weighted) {
    *value = *weighted = 0;
    for (int64_t k = 0; k < INNER; k++) {
        double t[3];
        for (int64_t j = 0; j < vocab; j++) t[j] = node[k] * u[j];
        const double x = nbeta / (double)vocab * divergence(vocab, t);
        const double w = rule[k] * exp(-localization * node[k] * node[k] / 2 - x);
        *value += w;
        *weighted += w * x;
    }
}

rllc_status rllc_gibbs_bigram(int64_t vocab, double nbeta, double localization, double *mean) {
    static const double pi = 3.14159265358979323846;
    double radius[OUTER], outer[OUTER], node[INNER], rule[INNER], z = 0, e = 0;
    if (vocab < 2 || vocab > 3 || localization <= 0)
        return rllc_fail(RLLC_EUNSUPPORTED, "the integral is done for two or three tokens with localization");
    stretched(OUTER, 12 / sqrt(localization), radius, outer);
    stretched(INNER, 12 / sqrt(localization), node, rule);
    const int64_t angles = vocab == 3 ? ANGLES : 1;
    for (int64_t i = OUTER / 2; i < OUTER; i++) /* radius > 0 */
        for (int64_t k = 0; k < angles; k++) {
            const double r = radius[i], angle = 2 * pi * (double)k / (double)angles;
            const double c = r * cos(angle), s = r * sin(angle);
            const double u[3] = {c / sqrt(2) + s / sqrt(6), -c / sqrt(2) + s / sqrt(6), -2 * s / sqrt(6)};
            double value, weighted;
            inner(vocab, u, nbeta, localization, node, rule, &value, &weighted);
            const double w =
                outer[i] * pow(r, (double)vocab - 2) * exp(-localization * r * r / 2) * pow(value, (double)vocab);
            z += w;
            e += w * (double)vocab * weighted / value;
        }
    *mean = e / z;
    return RLLC_OK;
}
