/* stats: the stationarity and half-width tests of Heidelberger and Welch 1983, as R's coda performs them. */
#include <math.h>

#include "stats/internal.h"

/* e^-u K_(1/4)(u) = integral over t > 0 of exp(-u (1 + cosh t)) cosh(t / 4). The integrand is entire and falls doubly
   exponentially, so the trapezoid rule with step h errs by about exp(-pi^2 / h). */
static double scaled_bessel(double u) {
    const double h = 0.125;
    double sum = exp(-2 * u) / 2;
    for (int64_t i = 1; i < 4000; i++) { /* t up to 500: the largest u whose terms vanish sooner is 1e-214 */
        const double t = h * (double)i, term = exp(-u * (1 + cosh(t))) * cosh(t / 4);
        sum += term;
        if (u * cosh(t) > 750) break;
    }
    return h * sum;
}

/* Anderson and Darling 1952: F(q) = sum_k Gamma(k + 1/2) / (k! sqrt(pi)) sqrt(4 k + 1) / (pi sqrt(q)) e^-u K_(1/4)(u),
   u = (4 k + 1)^2 / (16 q); the first `terms`, without those of u > `far`. */
static double cramer_sum(double q, int terms, double far) {
    double sum = 0, ratio = 1;
    if (isnan(q) || q < 0 || isinf(q)) return NAN;
    for (int k = 0; k < terms; k++) {
        const double a = 4 * k + 1, u = a * a / (16 * q);
        if (!(u <= far)) break;
        sum += ratio * sqrt(a) / (3.14159265358979323846 * sqrt(q)) * scaled_bessel(u);
        ratio *= (k + 0.5) / (k + 1);
    }
    return sum;
}

double rllc_stats_cramer_cdf_coda(double q) {
    return cramer_sum(q, 4, log(1e5));
}

double rllc_stats_cramer_cdf(double q) {
    return q > 10 ? 1 : cramer_sum(q, 100, 700); /* 1 - F(10) is about exp(-pi^2 10 / 2) = 4e-22 */
}

/** sum_k B_k^2 / (n^2 S), B_k the sum of the first k deviations from the mean. */
static double cramer_statistic(const double *x, int64_t n, double spectrum) {
    const double mean = rllc_stats_mean(x, n);
    double bridge = 0, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        bridge += x[i] - mean;
        sum += bridge * bridge;
    }
    return sum / ((double)n * (double)n * spectrum);
}

/** The first draw (from 1) at or after `start`; within 1e-5 of it counts as at it, as for R's time series. */
static int64_t first_draw(double start) {
    const double nearest = floor(start + 0.5);
    return (int64_t)(fabs(nearest - start) <= 1e-5 * start ? nearest : ceil(start));
}

/** Drops tenths from the beginning, at most half, until the rest passes; the p-value of the last part tried. */
static bool find_start(const double *x, int64_t n, double spectrum, double least, double (*cdf)(double), int64_t *start,
                       double *pvalue) {
    const double step = (double)n / 10;
    const int64_t n_starts = (int64_t)floor(((double)n / 2 - 1) / step + 1e-10) + 1;
    for (int64_t i = 0; i < n_starts; i++) {
        *start = first_draw(1 + (double)i * step);
        const double below = cdf(cramer_statistic(x + *start - 1, n - *start + 1, spectrum));
        *pvalue = 1 - below;
        if (below < 1 - least) return true;
    }
    *start = 0;
    return false;
}

rllc_status rllc_stats_heidelberg_welch(const double *x, int64_t n, const rllc_series_settings *s,
                                        rllc_series_diagnosis *out) {
    rllc_status status = RLLC_OK;
    const int64_t half = first_draw((double)n / 2);
    double spectrum;
    if (n < 2) return RLLC_OK;
    RLLC_TRY(rllc_spectrum0_ar(x + half - 1, n - half + 1, &spectrum));
    out->exact_stationary =
        find_start(x, n, spectrum, s->heidelberg_pvalue, rllc_stats_cramer_cdf, &out->exact_start, &out->exact_pvalue);
    out->stationary =
        find_start(x, n, spectrum, s->heidelberg_pvalue, rllc_stats_cramer_cdf_coda, &out->start, &out->pvalue);
    if (!out->stationary) goto done;
    const double *const kept = x + out->start - 1;
    const int64_t n_kept = n - out->start + 1;
    RLLC_TRY(rllc_spectrum0_ar(kept, n_kept, &spectrum));
    out->stationary_mean = rllc_stats_mean(kept, n_kept);
    out->halfwidth = 1.96 * sqrt(spectrum / (double)n_kept);
    out->halfwidth_passed = fabs(out->halfwidth / out->stationary_mean) <= s->heidelberg_eps;
done:
    return status;
}
