/* stats: autocorrelations of one series, and its spectral density at frequency zero from a fitted autoregression. */
#include <math.h>
#include <string.h>

#include "stats/internal.h"

void rllc_stats_autocovariance(const double *x, int64_t n, int64_t max_lag, double *out) {
    const double mean = rllc_stats_mean(x, n);
    for (int64_t lag = 0; lag <= max_lag; lag++) {
        double sum = 0;
        for (int64_t i = lag; i < n; i++) sum += (x[i] - mean) * (x[i - lag] - mean);
        out[lag] = sum / (double)n;
    }
}

void rllc_autocorrelation(const double *x, int64_t n, int64_t max_lag, double *out) {
    const bool undefined = n < 1 || !rllc_stats_all_finite(x, n) || rllc_stats_is_constant(x, n);
    if (!undefined) rllc_stats_autocovariance(x, n, max_lag, out);
    const double variance = undefined ? NAN : out[0];
    for (int64_t lag = 0; lag <= max_lag; lag++) out[lag] = undefined ? NAN : out[lag] / variance;
}

/** Whether nothing but rounding is left of x when its straight line is taken away. */
static bool is_straight_line(const double *x, int64_t n) {
    const double mean = rllc_stats_mean(x, n), middle = (double)(n - 1) / 2;
    double xt = 0, tt = 0, left = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        const double t = (double)i - middle;
        xt += (x[i] - mean) * t;
        tt += t * t;
        largest = fmax(largest, fabs(x[i]));
    }
    for (int64_t i = 0; i < n; i++) {
        const double residual = x[i] - mean - xt / tt * ((double)i - middle);
        left += residual * residual;
    }
    return n <= 2 || sqrt(left / (double)(n - 1)) <= 1e-13 * largest;
}

/** An autoregression x_t = sum_k phi_k x_(t-k) + e_t that grows order by order. */
typedef struct autoregression {
    int64_t order;
    double *phi;      /* [order] */
    double *previous; /* room for the last one */
    double variance;  /* of e */
} autoregression;

/** One step of Levinson and Durbin: the Yule-Walker solution of the next order, from autocovariances acov. */
static void grow(autoregression *a, const double *acov) {
    const int64_t p = a->order;
    double reflection = acov[p + 1];
    memcpy(a->previous, a->phi, (size_t)p * sizeof *a->phi);
    for (int64_t k = 0; k < p; k++) reflection -= a->previous[k] * acov[p - k];
    reflection /= a->variance;
    for (int64_t k = 0; k < p; k++) a->phi[k] = a->previous[k] - reflection * a->previous[p - 1 - k];
    a->phi[p] = reflection;
    a->variance *= 1 - reflection * reflection;
    a->order = p + 1;
}

/** Density at 0 of the order p with the least n log(variance) + 2 p, degrees of freedom made good by n / (n - p - 1). */
static double fit(const double *acov, int64_t n, int64_t max_order, double *phi, double *previous) {
    autoregression a = {.phi = phi, .previous = previous, .variance = acov[0]};
    double least = INFINITY, density = NAN;
    for (;;) {
        double sum = 0;
        const double criterion = (double)n * log(a.variance) + 2 * (double)a.order;
        for (int64_t k = 0; k < a.order; k++) sum += phi[k];
        if (criterion < least) {
            least = criterion;
            density = a.variance * (double)n / (double)(n - a.order - 1) / ((1 - sum) * (1 - sum));
        }
        if (a.order == max_order || !(a.variance > 0)) return density;
        grow(&a, acov);
    }
}

rllc_status rllc_spectrum0_ar(const double *x, int64_t n, double *out) {
    rllc_status status = RLLC_OK;
    double *room = NULL;
    *out = n < 1 || !rllc_stats_all_finite(x, n) ? NAN : 0;
    if (isnan(*out) || is_straight_line(x, n)) return RLLC_OK;
    const int64_t by_length = (int64_t)floor(10 * log10((double)n)), max_order = by_length < n - 1 ? by_length : n - 1;
    RLLC_TRY(rllc_alloc(&room, 3 * (max_order + 1), sizeof *room));
    rllc_stats_autocovariance(x, n, max_order, room);
    *out = fit(room, n, max_order, room + max_order + 1, room + 2 * (max_order + 1));
done:
    rllc_free(room);
    return status;
}
