/*
 * stats: pure statistics on arrays: diagnostics of chains, spectra of operators given as callbacks. Knows no model.
 */
#ifndef RLLC_STATS_H
#define RLLC_STATS_H

#include "rllc/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- chains: draws x [n_chains][n_draws], all chains of one length ---------------------------------------- */

/** Definitions: Vehtari, Gelman, Simpson, Carpenter, Buerkner 2021, as in R's posterior and ArviZ. NaN where undefined
 *  (too few draws, no variance). */
typedef struct rllc_chains_diagnosis {
    double rhat_split, rhat_rank;                  /* split; rank-normalised and folded, the larger */
    double ess_bulk, ess_tail, ess_mean, ess_sd;
    double mcse_mean, mcse_sd;
    double autocorrelation_time;                   /* n_chains n_draws / ess_mean */
} rllc_chains_diagnosis;
rllc_status rllc_chains_diagnose(const double *x, int64_t n_chains, int64_t n_draws,
                                 rllc_chains_diagnosis *out) RLLC_MUST_USE;

/* ---- one series: definitions of R's coda -------------------------------------------------------------------- */

typedef struct rllc_series_settings {
    double geweke_first, geweke_last;              /* 0.1, 0.5 */
    double heidelberg_eps, heidelberg_pvalue;      /* 0.1, 0.05 */
    double raftery_q, raftery_r, raftery_s, raftery_eps; /* 0.025, 0.01, 0.95, 0.001 */
} rllc_series_settings;
extern const rllc_series_settings rllc_series_settings_default;
extern const rllc_option_table rllc_series_option_table;

typedef struct rllc_series_diagnosis {
    double mean, sd;
    double spectrum0;                              /* spectral density at 0 of the fitted autoregression */
    double effective_size;                         /* n var / spectrum0 */
    double geweke_z;
    bool stationary, halfwidth_passed;             /* Heidelberger-Welch */
    int64_t start;                                 /* first draw (from 1) of the stationary part; 0 = there is none */
    double pvalue, halfwidth, stationary_mean;     /* pvalue of the last part tried; the others NaN if none is stationary */
    bool exact_stationary;                         /* the same test with the exact distribution (docs/diagnostics.md) */
    int64_t exact_start;
    double exact_pvalue;
    bool raftery_evaluable;                        /* false: fewer draws than raftery_nmin, or too few changes of state */
    int64_t raftery_m, raftery_n, raftery_nmin;    /* as coda prints them: its N is M + N */
    double raftery_i;
} rllc_series_diagnosis;
/** settings NULL: the default ones. Numbers that are not finite make every result NaN (nmin stays). */
rllc_status rllc_series_diagnose(const double *x, int64_t n, const rllc_series_settings *settings,
                                 rllc_series_diagnosis *out) RLLC_MUST_USE;
/** Autocorrelations at lags 0..max_lag (biased autocovariances over that at lag 0), out [max_lag + 1]. */
void rllc_autocorrelation(const double *x, int64_t n, int64_t max_lag, double *out);
/** coda's spectrum0.ar; 0 for a straight line, NaN when a number is not finite. */
rllc_status rllc_spectrum0_ar(const double *x, int64_t n, double *out) RLLC_MUST_USE;

/* ---- distributions -------------------------------------------------------------------------------------------- */

double rllc_normal_cdf(double x);
double rllc_normal_quantile(double p);             /* relative error below 1e-14 */
double rllc_student_quantile(double p, double df); /* df > 0, also fractional; relative error below 1e-12 */

/* ---- spectra ---------------------------------------------------------------------------------------------------- */

/** sum_k weight[k] f(node[k]) stands for v^T f(A) v, or for tr f(A) when probes were averaged. */
typedef struct rllc_quadrature {
    int64_t n;
    double *node, *weight; /* one allocation: rllc_quadrature_release */
    double *residual;      /* from rllc_lanczos: an eigenvalue of A lies within this of the node (E94); else 0 */
} rllc_quadrature;
rllc_status rllc_quadrature_init(rllc_quadrature *q, int64_t n) RLLC_MUST_USE; /* n nodes and weights, zero */
void rllc_quadrature_release(rllc_quadrature *q);
double rllc_quadrature_weight(const rllc_quadrature *q); /* the sum of the weights */
/** The mean of n quadratures: all their nodes, with weights divided by n. */
rllc_status rllc_quadrature_mean(const rllc_quadrature *list, int64_t n, rllc_quadrature *out) RLLC_MUST_USE;
double rllc_quadrature_sum(const rllc_quadrature *q, double (*f)(double x, const void *context), const void *context);

/** Applies symmetric operators to several vectors at once: y[i] = A_{which[i]} x[i] of dim[which[i]] numbers. */
typedef rllc_status (*rllc_operator)(void *context, int64_t n, const int64_t *which, const float *const *x,
                                     float *const *y);
/**
 * Gauss quadratures of v^T f(A) v by Lanczos with full reorthogonalisation, n vectors v = start[i] [dim[i]] in lockstep
 * (operator i acts on vector i). out[i] has at most `steps` nodes; its weights sum to |v|^2. A zero start gives n = 0.
 * Memory: sum_i dim[i] * (steps + 2) floats.
 */
rllc_status rllc_lanczos(void *context, rllc_operator apply, int64_t n, const int64_t *dim, const float *const *start,
                         int64_t steps, rllc_quadrature *out) RLLC_MUST_USE;

/** Eigenvalues re + i im [n] of a real matrix a [n, n] that need not be symmetric, conjugate pairs together; a is lost.
 *  Entries that are not finite are RLLC_ENOTFINITE.                                                           (E114) */
rllc_status rllc_eigenvalues(double *a, int64_t n, double *re, double *im) RLLC_MUST_USE;

/* ---- spectra from random probes: n vectors of random signs, or their quadratures from rllc_lanczos --------------- */

/** A mean over independent probes: standard error, and 95 % interval by Student's t. NaN but for the mean if n < 2. */
typedef struct rllc_probe_mean {
    double mean, se, low, high;
    int64_t n;
} rllc_probe_mean;
void rllc_probe_mean_make(const double *x, int64_t n, rllc_probe_mean *out);

/** v[i] = 1 or -1: the sign of coordinate i is that of its index in the spans, whatever else they hold. */
void rllc_random_signs(const rllc_stream *s, const rllc_span *spans, int64_t n_spans, float *v);

/** Trace of a symmetric operator (Hutchinson 1990): the mean of v^T A v over n probes v [dim], by one call of apply, whose
 *  which[i] = i. Memory: n dim floats.                                                                      (E93) */
rllc_status rllc_trace_estimate(void *context, rllc_operator apply, int64_t n, int64_t dim, const float *const *probe,
                                rllc_probe_mean *out) RLLC_MUST_USE;
/** tr f(A): the mean of the probes' quadratures of f. f(x) = x gives the trace above, without further products. (E93) */
rllc_status rllc_probes_trace(const rllc_quadrature *list, int64_t n, double (*f)(double x, const void *context),
                              const void *context, rllc_probe_mean *out) RLLC_MUST_USE;
/** Number of eigenvalues larger than `threshold` in size.                                                     (E95) */
rllc_status rllc_probes_count(const rllc_quadrature *list, int64_t n, double threshold,
                              rllc_probe_mean *out) RLLC_MUST_USE;
/** Spectral density on n_grid equal steps from low to high, each node a Gaussian of standard deviation `width`; its
 *  integral over all x is 1. `at` and density [n_grid], n_grid >= 2; 0 everywhere if the quadratures hold nothing.  (E95) */
void rllc_probes_density(const rllc_quadrature *list, int64_t n, double width, double low, double high, int64_t n_grid,
                         double *at, double *density);
/** The k largest eigenvalues, descending: the j-th is the largest j-th Ritz value of any probe, and (but for rounding) not
 *  above the true one. residual: an eigenvalue lies within it. Returns how many there are.                     (E94) */
int64_t rllc_probes_top(const rllc_quadrature *list, int64_t n, int64_t k, double *value, double *residual);

#ifdef __cplusplus
}
#endif
#endif
