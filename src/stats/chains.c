/* stats: several chains of one quantity: R-hat, effective sample sizes, Monte Carlo errors (docs/diagnostics.md). */
#include <math.h>
#include <string.h>

#include "stats/internal.h"

/** Chains, and room for a transformed copy of them. */
typedef struct workspace {
    const double *x;           /* [m][n] */
    int64_t m, n, half;        /* half = n / 2 */
    double *changed;           /* [m][n] a function of x */
    double *split;             /* [2 m][half] its halves; the middle draw of an odd number is left out */
    double *acov;              /* [half] */
    rllc_stats_placed *sorted; /* [m n] */
    rllc_stats_fourier fourier;
} workspace;

static rllc_status open_workspace(workspace *w, const double *x, int64_t m, int64_t n) {
    rllc_status status = RLLC_OK;
    *w = (workspace){.x = x, .m = m, .n = n, .half = n / 2};
    RLLC_TRY(rllc_alloc(&w->changed, m * n, sizeof *w->changed));
    RLLC_TRY(rllc_alloc(&w->split, 2 * m * w->half, sizeof *w->split));
    RLLC_TRY(rllc_alloc(&w->acov, w->half, sizeof *w->acov));
    RLLC_TRY(rllc_alloc(&w->sorted, m * n, sizeof *w->sorted));
    RLLC_TRY(rllc_stats_fourier_open(&w->fourier, 2 * w->half));
done:
    return status;
}

static void close_workspace(workspace *w) {
    rllc_free(w->changed);
    rllc_free(w->split);
    rllc_free(w->acov);
    rllc_free(w->sorted);
    rllc_stats_fourier_close(&w->fourier);
}

static void split(workspace *w, const double *from) {
    for (int64_t c = 0; c < w->m; c++) {
        memcpy(w->split + 2 * c * w->half, from + c * w->n, (size_t)w->half * sizeof *from);
        memcpy(w->split + (2 * c + 1) * w->half, from + (c + 1) * w->n - w->half, (size_t)w->half * sizeof *from);
    }
}

/* ---- R-hat ---------------------------------------------------------------------------------------------------- */

/** Of x [m][n]: sqrt( ((n - 1)/n W + B/n) / W ), B = n var(chain means), W = mean of the chains' variances. */
static double rhat(const double *x, int64_t m, int64_t n) {
    double within = 0, mean_of_means = 0, between = 0;
    if (n < 2 || rllc_stats_is_constant(x, m * n)) return NAN;
    for (int64_t c = 0; c < m; c++) {
        within += rllc_stats_variance(x + c * n, n) / (double)m;
        mean_of_means += rllc_stats_mean(x + c * n, n) / (double)m;
    }
    for (int64_t c = 0; c < m; c++) {
        const double d = rllc_stats_mean(x + c * n, n) - mean_of_means;
        between += (double)n * d * d / (double)(m - 1);
    }
    return sqrt((between / within + (double)(n - 1)) / (double)n);
}

/** R-hat of the normal scores of the halves now in w->split. */
static double rhat_of_scores(workspace *w) {
    const int64_t total = 2 * w->m * w->half;
    rllc_stats_normal_scores(w->split, total, w->sorted, w->split);
    return rhat(w->split, 2 * w->m, w->half);
}

static double rhat_rank(workspace *w) {
    rllc_stats_sort(w->x, w->m * w->n, w->sorted);
    const double median = rllc_stats_quantile(w->sorted, w->m * w->n, 0.5);
    for (int64_t i = 0; i < w->m * w->n; i++) w->changed[i] = fabs(w->x[i] - median);
    split(w, w->changed);
    const double folded = rhat_of_scores(w);
    split(w, w->x);
    const double plain = rhat_of_scores(w);
    return isnan(folded) || isnan(plain) ? NAN : fmax(folded, plain);
}

/* ---- effective sample size ------------------------------------------------------------------------------------ */

/** Geyer's initial positive sequence, then monotone: rho[0..half) in, changed in place; the sum -1 + 2 sum_t rho_t. */
static double autocorrelation_sum(double *rho, int64_t n) {
    int64_t t = 0;
    double even = 1, odd = rho[1], sum = -1;
    rho[0] = 1;
    while (t < n - 5 && even + odd > 0) {
        t += 2;
        even = rho[t];
        odd = rho[t + 1];
        if (!(even + odd >= 0)) rho[t] = rho[t + 1] = 0;
    }
    const int64_t last = t; /* the pair at which it stopped: its even member counts once, if positive */
    rho[last] = even > 0 ? even : 0;
    for (t = 2; t <= last - 2; t += 2)
        if (rho[t] + rho[t + 1] > rho[t - 2] + rho[t - 1]) rho[t] = rho[t + 1] = (rho[t - 2] + rho[t - 1]) / 2;
    for (t = 0; t < last; t++) sum += 2 * rho[t];
    return sum + rho[last];
}

/** Of the halves now in w->split. */
static double ess(workspace *w) {
    const int64_t m = 2 * w->m, n = w->half;
    double mean_of_means = 0, between = 0;
    if (n < 3 || rllc_stats_is_constant(w->split, m * n)) return NAN;
    rllc_stats_mean_autocovariance(w->split, m, n, &w->fourier, w->acov);
    for (int64_t c = 0; c < m; c++) mean_of_means += rllc_stats_mean(w->split + c * n, n) / (double)m;
    for (int64_t c = 0; c < m; c++) {
        const double d = rllc_stats_mean(w->split + c * n, n) - mean_of_means;
        between += d * d / (double)(m - 1);
    }
    const double within = w->acov[0] * (double)n / (double)(n - 1), all = w->acov[0] + between;
    for (int64_t t = 0; t < n; t++) w->acov[t] = 1 - (within - w->acov[t]) / all;
    const double total = (double)(m * n), tau = autocorrelation_sum(w->acov, n);
    return total / fmax(tau, 1 / log10(total)); /* antithetic chains: no better than S log10 S */
}

static double ess_of(workspace *w, const double *x) {
    split(w, x);
    return ess(w);
}

/** Of the indicator of x <= its p-quantile; w->sorted holds x in order. */
static double ess_of_quantile(workspace *w, double p) {
    const double quantile = rllc_stats_quantile(w->sorted, w->m * w->n, p);
    for (int64_t i = 0; i < w->m * w->n; i++) w->changed[i] = w->x[i] <= quantile;
    return ess_of(w, w->changed);
}

/** sd of the variance's first-order error: sqrt( (m4 - m2^2) / (4 m2 ESS of squared deviations) ). */
static double mcse_sd(workspace *w, double mean) {
    double second = 0, fourth = 0;
    const int64_t total = w->m * w->n;
    for (int64_t i = 0; i < total; i++) {
        const double square = (w->x[i] - mean) * (w->x[i] - mean);
        w->changed[i] = square;
        second += square / (double)total;
    }
    for (int64_t i = 0; i < total; i++) fourth += w->changed[i] / second * w->changed[i] / (double)total;
    return sqrt((fourth - second) / (4 * ess_of(w, w->changed)));
}

static void diagnose(workspace *w, rllc_chains_diagnosis *d) {
    const int64_t total = w->m * w->n;
    const double mean = rllc_stats_mean(w->x, total), sd = sqrt(rllc_stats_variance(w->x, total));
    split(w, w->x);
    d->rhat_split = rhat(w->split, 2 * w->m, w->half);
    d->ess_mean = ess(w);
    d->mcse_mean = sd / sqrt(d->ess_mean);
    d->autocorrelation_time = (double)total / d->ess_mean;
    d->rhat_rank = rhat_rank(w);
    d->ess_bulk = ess(w); /* the normal scores are still in w->split */
    for (int64_t i = 0; i < total; i++) w->changed[i] = fabs(w->x[i] - mean);
    d->ess_sd = ess_of(w, w->changed);
    d->mcse_sd = mcse_sd(w, mean);
    rllc_stats_sort(w->x, total, w->sorted);
    const double low = ess_of_quantile(w, 0.05), high = ess_of_quantile(w, 0.95);
    d->ess_tail = isnan(low) || isnan(high) ? NAN : fmin(low, high);
}

rllc_status rllc_chains_diagnose(const double *x, int64_t n_chains, int64_t n_draws, rllc_chains_diagnosis *out) {
    rllc_status status = RLLC_OK;
    workspace w = {0};
    *out = (rllc_chains_diagnosis){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    if (n_chains < 1 || n_draws < 2) return RLLC_OK;
    const int64_t total = n_chains * n_draws;
    if (!rllc_stats_all_finite(x, total) || rllc_stats_is_constant(x, total)) return RLLC_OK;
    RLLC_TRY(open_workspace(&w, x, n_chains, n_draws));
    diagnose(&w, out);
done:
    close_workspace(&w);
    return status;
}
