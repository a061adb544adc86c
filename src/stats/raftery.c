/* stats: how many draws an estimate of a quantile needs, by Raftery and Lewis 1992, as R's coda computes it. */
#include <math.h>
#include <string.h>

#include "stats/internal.h"

static double normal_width(const rllc_series_settings *s) {
    return rllc_normal_quantile(0.5 * (1 + s->raftery_s));
}

int64_t rllc_stats_raftery_least(const rllc_series_settings *s) {
    const double width = normal_width(s);
    return (int64_t)ceil(s->raftery_q * (1 - s->raftery_q) * (width * width) / (s->raftery_r * s->raftery_r));
}

/** Of the 0/1 chain of every thin-th draw: G^2 of a first-order against a second-order Markov chain, less its penalty.
 *  NaN when too few draws are left to tell. */
static double second_order_evidence(const unsigned char *below, int64_t n, int64_t thin) {
    double count[2][2][2] = {{{0}}}, g2 = 0;
    const int64_t kept = (n - 1) / thin + 1;
    if (kept < 4) return NAN;
    for (int64_t i = 0; i + 2 < kept; i++) count[below[i * thin]][below[(i + 1) * thin]][below[(i + 2) * thin]]++;
    for (int a = 0; a < 2; a++)
        for (int b = 0; b < 2; b++)
            for (int c = 0; c < 2; c++) {
                const double n_ab = count[a][b][0] + count[a][b][1], n_bc = count[0][b][c] + count[1][b][c];
                const double n_b = count[0][b][0] + count[0][b][1] + count[1][b][0] + count[1][b][1];
                if (count[a][b][c] > 0) g2 += 2 * count[a][b][c] * log(count[a][b][c] * n_b / (n_ab * n_bc));
            }
    return g2 - 2 * log((double)(kept - 2));
}

/** alpha = P(0 -> 1), beta = P(1 -> 0); NaN when a state is never left because it is never there. */
static void transition_rates(const unsigned char *below, int64_t n, int64_t thin, double *alpha, double *beta) {
    double count[2][2] = {{0}};
    for (int64_t i = 0; (i + 1) * thin < n; i++) count[below[i * thin]][below[(i + 1) * thin]]++;
    *alpha = count[0][1] / (count[0][0] + count[0][1]);
    *beta = count[1][0] / (count[1][0] + count[1][1]);
}

/** To three significant digits. */
static double rounded(double x) {
    if (x == 0 || !isfinite(x)) return x;
    const double scale = pow(10, 2 - floor(log10(fabs(x))));
    return rint(x * scale) / scale;
}

static void evaluate(const unsigned char *below, int64_t n, const rllc_series_settings *s, rllc_series_diagnosis *out) {
    int64_t thin = 1;
    double evidence, alpha, beta;
    while ((evidence = second_order_evidence(below, n, thin)) >= 0) thin++;
    if (isnan(evidence)) return;
    transition_rates(below, n, thin, &alpha, &beta);
    const double width = normal_width(s), sum = alpha + beta;
    const double burn = log(s->raftery_eps * sum / fmax(alpha, beta)) / log(fabs(1 - sum));
    const double keep = (2 - sum) * alpha * beta * (width * width) / (sum * sum * sum * (s->raftery_r * s->raftery_r));
    const double m = ceil(burn) * (double)thin, more = ceil(keep) * (double)thin;
    if (!(fabs(m) < 1e15 && fabs(more) < 1e15)) return; /* one state only, or a chain that changes it every time */
    out->raftery_evaluable = true;
    out->raftery_m = (int64_t)m;
    out->raftery_n = (int64_t)(m + more);
    out->raftery_i = rounded((m + more) / (double)out->raftery_nmin);
}

rllc_status rllc_stats_raftery_lewis(const double *x, int64_t n, const rllc_series_settings *s,
                                     rllc_series_diagnosis *out) {
    rllc_status status = RLLC_OK;
    rllc_stats_placed *sorted = NULL;
    unsigned char *below = NULL;
    if (n < out->raftery_nmin) return RLLC_OK;
    RLLC_TRY(rllc_alloc(&sorted, n, sizeof *sorted));
    RLLC_TRY(rllc_alloc(&below, n, sizeof *below));
    rllc_stats_sort(x, n, sorted);
    const double quantile = rllc_stats_quantile(sorted, n, s->raftery_q);
    for (int64_t i = 0; i < n; i++) below[i] = x[i] <= quantile;
    evaluate(below, n, s, out);
done:
    rllc_free(sorted);
    rllc_free(below);
    return status;
}
