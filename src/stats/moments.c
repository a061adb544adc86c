/* stats: moments and order statistics. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "stats/internal.h"

double rllc_stats_mean(const double *x, int64_t n) {
    double sum = 0;
    if (n < 1) return NAN;
    for (int64_t i = 0; i < n; i++) sum += x[i] - x[0];
    return x[0] + sum / (double)n;
}

double rllc_stats_variance(const double *x, int64_t n) {
    double sum = 0;
    if (n < 2) return NAN;
    const double mean = rllc_stats_mean(x, n);
    for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum / (double)(n - 1);
}

bool rllc_stats_all_finite(const double *x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

bool rllc_stats_is_constant(const double *x, int64_t n) {
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        low = fmin(low, x[i]);
        high = fmax(high, x[i]);
    }
    return !(high - low > 4 * DBL_EPSILON * fmax(fabs(low), fabs(high)));
}

static int by_value(const void *a, const void *b) {
    const double x = ((const rllc_stats_placed *)a)->value, y = ((const rllc_stats_placed *)b)->value;
    return (x > y) - (x < y);
}

void rllc_stats_sort(const double *x, int64_t n, rllc_stats_placed *sorted) {
    for (int64_t i = 0; i < n; i++) sorted[i] = (rllc_stats_placed){x[i], i};
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
}

double rllc_stats_quantile(const rllc_stats_placed *sorted, int64_t n, double p) {
    const double position = (double)(n - 1) * p, low = floor(position), part = position - low;
    const int64_t i = (int64_t)low;
    if (part == 0 || sorted[i + 1].value == sorted[i].value) return sorted[i].value;
    return (1 - part) * sorted[i].value + part * sorted[i + 1].value;
}

void rllc_stats_normal_scores(const double *x, int64_t n, rllc_stats_placed *work, double *out) {
    rllc_stats_sort(x, n, work);
    for (int64_t first = 0, next; first < n; first = next) {
        for (next = first + 1; next < n && work[next].value == work[first].value;) next++;
        const double rank = (double)(first + 1 + next) / 2; /* the mean of first + 1 .. next */
        const double score = rllc_normal_quantile((rank - 0.375) / ((double)n + 0.25));
        for (int64_t i = first; i < next; i++) out[work[i].place] = score;
    }
}
