/* stats, internal: moments, order statistics, transforms and spectra that the diagnostics share. */
#ifndef RLLC_STATS_INTERNAL_H
#define RLLC_STATS_INTERNAL_H

#include "rllc/stats.h"

/* ---- moments ----------------------------------------------------------------------------------------------------- */

/** Taken about the first number, so that the mean of equal numbers is that number, to the bit. */
double rllc_stats_mean(const double *x, int64_t n);
double rllc_stats_variance(const double *x, int64_t n); /* n - 1 below; NaN for n < 2 */
bool rllc_stats_all_finite(const double *x, int64_t n);
/** Whether all numbers are equal but for the rounding of one operation. */
bool rllc_stats_is_constant(const double *x, int64_t n);

/* ---- order statistics -------------------------------------------------------------------------------------------- */

/** A number and its place in the array it came from. */
typedef struct rllc_stats_placed {
    double value;
    int64_t place;
} rllc_stats_placed;

void rllc_stats_sort(const double *x, int64_t n, rllc_stats_placed *sorted);
/** Between the order statistics around 1 + (n - 1) p, linearly: type 7 of R's quantile. */
double rllc_stats_quantile(const rllc_stats_placed *sorted, int64_t n, double p);
/** out[i] = normal quantile of (rank_i - 3/8) / (n + 1/4), ties at their mean rank; out may be x. */
void rllc_stats_normal_scores(const double *x, int64_t n, rllc_stats_placed *work, double *out);

/* ---- autocovariances --------------------------------------------------------------------------------------------- */

/** The discrete Fourier transform of a power of two of complex numbers, in place. */
typedef struct rllc_stats_fourier {
    int64_t n;
    double *cosine, *sine;   /* [n / 2]; one allocation, with the buffers */
    double *re, *im, *power; /* [n] */
} rllc_stats_fourier;

rllc_status rllc_stats_fourier_open(rllc_stats_fourier *f, int64_t at_least) RLLC_MUST_USE;
void rllc_stats_fourier_close(rllc_stats_fourier *f);
void rllc_stats_fourier_transform(const rllc_stats_fourier *f, double *re, double *im);

/** Autocovariances (n below, about each series' own mean) at lags 0..n-1, averaged over series x [m][n]. f->n >= 2n. */
void rllc_stats_mean_autocovariance(const double *x, int64_t m, int64_t n, const rllc_stats_fourier *f, double *out);
/** Autocovariances (n below) at lags 0..max_lag by direct sums. */
void rllc_stats_autocovariance(const double *x, int64_t n, int64_t max_lag, double *out);

/* ---- parts of a series' diagnosis: each fills its fields; the numbers are finite --------------------------------- */

rllc_status rllc_stats_heidelberg_welch(const double *x, int64_t n, const rllc_series_settings *s,
                                        rllc_series_diagnosis *out) RLLC_MUST_USE;
/** Distribution of the Cramer-von Mises statistic, to rounding. */
double rllc_stats_cramer_cdf(double q);
/** coda's pcramer: its first four terms. They agree with it to 1e-6 up to q = 3, where 1 - F is 4e-7; then they fall,
 * to 0.977 at q = 20 and below 0.95 from 31 on, so that chains far from stationary pass. */
double rllc_stats_cramer_cdf_coda(double q);
int64_t rllc_stats_raftery_least(const rllc_series_settings *s); /* draws it needs */
rllc_status rllc_stats_raftery_lewis(const double *x, int64_t n, const rllc_series_settings *s,
                                     rllc_series_diagnosis *out) RLLC_MUST_USE;

#endif
