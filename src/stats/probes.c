/* What random probes say of a symmetric operator: traces, counts, density and top of its spectrum.       (E93, E94,
 * E95) */
#include <math.h>
#include <string.h>

#include "stats/internal.h"

void rllc_probe_mean_make(const double *x, int64_t n, rllc_probe_mean *out) {
    *out = (rllc_probe_mean){.mean = n > 0 ? rllc_stats_mean(x, n) : NAN, .se = NAN, .low = NAN, .high = NAN, .n = n};
    if (n < 2) return;
    out->se = sqrt(rllc_stats_variance(x, n) / (double)n);
    const double half = out->se * rllc_student_quantile(0.975, (double)(n - 1));
    out->low = out->mean - half;
    out->high = out->mean + half;
}

void rllc_random_signs(const rllc_stream *s, const rllc_span *spans, int64_t n_spans, float *v) {
    for (int64_t r = 0; r < n_spans; r++)
        for (int64_t k = 0; k < spans[r].n; k++)
            *v++ = rllc_stream_u32(s, (uint64_t)(spans[r].first + k)) & 1 ? 1.0F : -1.0F;
}

rllc_status rllc_trace_estimate(void *context, rllc_operator apply, int64_t n, int64_t dim, const float *const *probe,
                                rllc_probe_mean *out) {
    rllc_status status = RLLC_OK;
    int64_t *which = NULL;
    float *memory = NULL, **y = NULL;
    double *x = NULL;
    RLLC_TRY(rllc_alloc(&which, n, sizeof *which));
    RLLC_TRY(rllc_alloc(&memory, n * dim, sizeof *memory));
    RLLC_TRY(rllc_alloc(&y, n, sizeof *y));
    RLLC_TRY(rllc_alloc(&x, n, sizeof *x));
    for (int64_t i = 0; i < n; i++) {
        which[i] = i;
        y[i] = memory + i * dim;
    }
    RLLC_TRY(apply(context, n, which, probe, y));
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < dim; k++) x[i] += (double)probe[i][k] * (double)y[i][k];
    rllc_probe_mean_make(x, n, out);
done:
    rllc_free(which);
    rllc_free(memory);
    rllc_free(y);
    rllc_free(x);
    return status;
}

rllc_status rllc_probes_trace(const rllc_quadrature *list, int64_t n, double (*f)(double x, const void *context),
                              const void *context, rllc_probe_mean *out) {
    double *x;
    const rllc_status status = rllc_alloc(&x, n, sizeof *x);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < n; i++) x[i] = rllc_quadrature_sum(&list[i], f, context);
    rllc_probe_mean_make(x, n, out);
    rllc_free(x);
    return RLLC_OK;
}

static double is_larger(double x, const void *threshold) {
    return fabs(x) > *(const double *)threshold;
}

rllc_status rllc_probes_count(const rllc_quadrature *list, int64_t n, double threshold, rllc_probe_mean *out) {
    return rllc_probes_trace(list, n, is_larger, &threshold, out);
}

void rllc_probes_density(const rllc_quadrature *list, int64_t n, double width, double low, double high, int64_t n_grid,
                         double *at, double *density) {
    double total = 0;
    for (int64_t i = 0; i < n; i++) total += rllc_quadrature_weight(&list[i]);
    const double unit = total > 0 ? 1 / (total * width * sqrt(2 * 3.14159265358979323846)) : 0;
    for (int64_t g = 0; g < n_grid; g++) {
        double sum = 0;
        at[g] = low + (high - low) * (double)g / (double)(n_grid - 1);
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k < list[i].n; k++) {
                const double z = (at[g] - list[i].node[k]) / width;
                sum += list[i].weight[k] * exp(-0.5 * z * z);
            }
        density[g] = unit * sum;
    }
}

int64_t rllc_probes_top(const rllc_quadrature *list, int64_t n, int64_t k, double *value, double *residual) {
    int64_t found = 0;
    for (int64_t j = 0; j < k; j++)
        for (int64_t i = 0; i < n; i++) {
            const int64_t at = list[i].n - 1 - j; /* nodes ascend */
            if (at < 0 || (found > j && list[i].node[at] <= value[j])) continue;
            found = j + 1;
            value[j] = list[i].node[at];
            residual[j] = list[i].residual[at];
        }
    return found;
}
