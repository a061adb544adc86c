/* Exact Gibbs expectations of products of powers: normal crossings, and chains of matrices through a width of 1. */
#include <math.h>
#include <string.h>

#include "quadrature.h"

/**
 * Everything happens in s = log L = log scale + sum_i exponent_i log |x_i|. Under the localization |x_i|^2 localization is
 * chi-square with dim_i degrees: the density of log |x_i| is exp(dim t - localization e^(2t) / 2) up to a constant, falls
 * off exponentially to the left and twice exponentially to the right. Densities on one uniform grid are convolved; the
 * trapezoid rule converges faster than any power on such integrands.                                          (E58)
 */
struct density {
    int64_t n;
    double low, step; /* s of the first point */
    double *p;
};

enum { MOST_POINTS = 40000 };

/** Density of exponent log |x| + shift, |x|^2 localization chi-square of dim degrees; the largest value is 1. */
static rllc_status factor(struct density *d, int64_t exponent, int64_t dim, double localization, double step) {
    const double e = (double)exponent, k = (double)dim, top = 0.5 * log(k / localization); /* of the mode */
    const double peak = k * top - localization * exp(2 * top) / 2;
    const double left = top - 42 / k - 1, right = 0.5 * log((k + 150 + 20 * sqrt(k)) / localization);
    *d = (struct density){.step = step};
    const int64_t first = (int64_t)floor(left * e / step), last = (int64_t)ceil(right * e / step);
    d->n = last - first + 1;
    d->low = (double)first * step;
    const rllc_status status = rllc_alloc(&d->p, d->n, sizeof *d->p);
    for (int64_t i = 0; status == RLLC_OK && i < d->n; i++) {
        const double t = (d->low + (double)i * step) / e;
        d->p[i] = exp(k * t - localization * exp(2 * t) / 2 - peak);
    }
    return status;
}

static rllc_status convolve(struct density *a, const struct density *b) {
    struct density c = {.n = a->n + b->n - 1, .low = a->low + b->low, .step = a->step};
    double most = 0;
    const rllc_status status = rllc_alloc(&c.p, c.n, sizeof *c.p);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < a->n; i++)
        for (int64_t k = 0; k < b->n; k++) c.p[i + k] += a->p[i] * b->p[k];
    for (int64_t i = 0; i < c.n; i++) most = fmax(most, c.p[i]);
    int64_t first = 0, last = c.n - 1;
    while (first < last && c.p[first] < 1e-19 * most) first++;
    while (last > first && c.p[last] < 1e-40 * most) last--;
    for (int64_t i = first; i <= last; i++) c.p[i - first] = c.p[i] / most;
    rllc_free(a->p);
    *a = (struct density){.n = last - first + 1, .low = c.low + (double)first * c.step, .step = c.step, .p = c.p};
    return RLLC_OK;
}

/** E[x] of weights p(s) exp(-x), x = nbeta scale e^s. */
static double expectation(const struct density *d, double factor) {
    double z = 0, e = 0;
    for (int64_t i = 0; i < d->n; i++) {
        const double x = factor * exp(d->low + (double)i * d->step), w = d->p[i] * exp(-x);
        z += w;
        if (w > 0) e += w * x;
    }
    return e / z;
}

rllc_status rllc_gibbs_crossing(int64_t n, const int64_t *exponents, const int64_t *dims, double scale, double nbeta,
                                double localization, double *mean) {
    rllc_status status = RLLC_OK;
    struct density all = {0}, one = {0};
    int64_t moving = 0, least = 0;
    for (int64_t i = 0; i < n; i++) {
        if (exponents[i] <= 0) continue;
        moving++;
        if (!least || exponents[i] < least) least = exponents[i];
    }
    *mean = 0;
    if (moving == 0 || scale == 0 || nbeta == 0) return RLLC_OK;
    if (localization <= 0) { /* one power: nbeta L is Gamma(dim / exponent, 1) at every nbeta */
        for (int64_t i = 0; moving == 1 && i < n; i++)
            if (exponents[i] > 0) *mean = (dims ? (double)dims[i] : 1) / (double)exponents[i];
        if (moving == 1) return RLLC_OK;
        return rllc_fail(RLLC_EUNSUPPORTED, "without localization a product of powers has no normalised density");
    }
    const double step = 0.06 * (double)least;
    for (int64_t i = 0; i < n; i++) {
        if (exponents[i] <= 0) continue;
        RLLC_TRY(factor(&one, exponents[i], dims ? dims[i] : 1, localization, step));
        if (!all.p) {
            all = one;
            one.p = NULL;
            continue;
        }
        if (all.n + one.n > MOST_POINTS) {
            status =
                rllc_fail(RLLC_EUNSUPPORTED, "the product of %lld powers is too long for its integral", (long long)n);
            goto done;
        }
        RLLC_TRY(convolve(&all, &one));
        rllc_free(one.p);
        one.p = NULL;
    }
    *mean = expectation(&all, nbeta * scale);
done:
    rllc_free(all.p);
    rllc_free(one.p);
    return status;
}

/** Lower incomplete gamma function of a > 0 by its series, or its continued fraction (Lentz). */
static double lower_gamma(double a, double x) {
    if (x < a + 30) {
        double term = 1 / a, sum = term;
        for (double k = a + 1; term > 1e-17 * sum; k++) sum += term *= x / k;
        return sum * exp(a * log(x) - x);
    }
    double b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
    for (int k = 1; k < 1000; k++) {
        const double an = -(double)k * ((double)k - a);
        b += 2;
        d = 1 / (an * d + b);
        c = b + an / c;
        h *= d * c;
        if (fabs(d * c - 1) < 1e-16) break;
    }
    return tgamma(a) - exp(a * log(x) - x) * h;
}

/**
 * lambda_j = 1 / exponent_j, c_j = prod_{i != j} lambda_i / (lambda_i - lambda_j), B = nbeta side^(sum of exponents):
 * E = sum c_j lambda_j B^-lambda_j gamma(lambda_j + 1, B) / sum c_j lambda_j B^-lambda_j gamma(lambda_j, B).   (E59)
 */
rllc_status rllc_gibbs_crossing_box(int64_t n, const int64_t *exponents, double side, double nbeta, double *mean) {
    double total = 0, z = 0, e = 0;
    for (int64_t i = 0; i < n; i++) total += (double)exponents[i];
    const double b = nbeta * pow(side, total);
    for (int64_t j = 0; j < n; j++) {
        if (exponents[j] <= 0) continue;
        const double lambda = 1 / (double)exponents[j];
        double c = lambda;
        for (int64_t i = 0; i < n; i++) {
            if (i == j || exponents[i] <= 0) continue;
            if (exponents[i] == exponents[j])
                return rllc_fail(RLLC_EUNSUPPORTED, "the closed form on a box wants exponents that differ");
            c *= 1 / (double)exponents[i] / (1 / (double)exponents[i] - lambda);
        }
        z += c * pow(b, -lambda) * lower_gamma(lambda, b);
        e += c * pow(b, -lambda) * lower_gamma(lambda + 1, b);
    }
    *mean = z != 0 ? e / z : 0;
    return RLLC_OK;
}

rllc_status rllc_gibbs_deep_linear(int64_t n_widths, const int64_t *widths, double nbeta, double localization,
                                   double *mean) {
    rllc_status status = RLLC_OK;
    int64_t *exponents = NULL, narrow = -1;
    if (n_widths == 3) return rllc_gibbs_reduced_rank(widths[0], widths[1], widths[2], nbeta, localization, mean);
    for (int64_t i = 0; i < n_widths; i++)
        if (widths[i] == 1) narrow = i;
    if (n_widths == 2) { /* one layer: a quadratic */
        *mean = (double)(widths[0] * widths[1]) * nbeta / (2 * nbeta + localization);
        return RLLC_OK;
    }
    if (narrow < 0)
        return rllc_fail(RLLC_EUNSUPPORTED,
                         "no integral of low dimension is known for three layers or more without a width of 1");
    /* Through a width of 1 the product is column x row; each norm is a product of chi-squares of the other widths. */
    RLLC_TRY(rllc_alloc(&exponents, 2 * n_widths, sizeof *exponents));
    int64_t *dims = exponents + n_widths;
    for (int64_t i = 0; i < n_widths; i++) {
        exponents[i] = i == narrow ? 0 : 2;
        dims[i] = widths[i];
    }
    RLLC_TRY(rllc_gibbs_crossing(n_widths, exponents, dims, 1, nbeta, localization, mean));
done:
    rllc_free(exponents);
    return status;
}
