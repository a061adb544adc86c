/* Estimates of the local learning coefficient from the traces of chains. No memory is needed: a chain's value is
 * summed again where it is used. Every sum is rounded once, so that chains may come in any order. */
#include "llc/exact_sum.h"
#include "rllc/llc.h"

#include <math.h>
#include <string.h>

/* Against what the losses of a chain are measured. */
typedef enum { PAIRED, CONVENTIONAL } reference;

/* mean_t loss_t, or mean_t (loss_t - baseline_t). */
static double trace_mean(const rllc_trace *trace, reference against) {
    rllc_exact_sum sum = {0};
    if (against == PAIRED && !trace->baseline) return NAN;
    for (int64_t t = 0; t < trace->n_draws; t++) {
        rllc_exact_add(&sum, against == PAIRED ? trace->loss[t] - trace->baseline[t] : trace->loss[t]);
    }
    return rllc_exact_value(&sum) / (double)trace->n_draws;
}

/* The chain's estimate (E13, E14); NaN if it diverged, has no draws, or is not finite. */
static double chain_value(const rllc_trace *trace, double nbeta, reference against) {
    if (trace->diverged || trace->n_draws <= 0) return NAN;
    const double mean = trace_mean(trace, against);
    const double value = nbeta * (against == PAIRED ? mean : mean - trace->init_loss);
    return isfinite(value) ? value : NAN;
}

/* Marked as diverged, or with a loss or baseline that is not finite though nobody marked it. */
static bool has_diverged(const rllc_trace *trace) {
    if (trace->diverged || trace->n_draws <= 0) return trace->diverged;
    return !isfinite(trace_mean(trace, CONVENTIONAL)) || (trace->baseline && !isfinite(trace_mean(trace, PAIRED)));
}

typedef struct {
    const rllc_trace *traces;
    int64_t n;
    double nbeta;
    reference against;
} ensemble;

/* Mean over the live chains, of one stream or (stream NULL) of all; *count = how many. NaN if none. */
static double mean_of(const ensemble *e, const int *stream, int64_t *count) {
    rllc_exact_sum sum = {0};
    *count = 0;
    for (int64_t i = 0; i < e->n; i++) {
        if (stream && e->traces[i].stream != *stream) continue;
        const double value = chain_value(&e->traces[i], e->nbeta, e->against);
        if (isnan(value)) continue;
        rllc_exact_add(&sum, value);
        ++*count;
    }
    return *count > 0 ? rllc_exact_value(&sum) / (double)*count : NAN;
}

/* Sum of (value - centre)^2 over the live chains of one stream or all. */
static double squares_about(const ensemble *e, const int *stream, double centre) {
    rllc_exact_sum sum = {0};
    for (int64_t i = 0; i < e->n; i++) {
        if (stream && e->traces[i].stream != *stream) continue;
        const double value = chain_value(&e->traces[i], e->nbeta, e->against);
        if (!isnan(value)) rllc_exact_add(&sum, (value - centre) * (value - centre));
    }
    return rllc_exact_value(&sum);
}

/* Whether no chain before i is of its stream. */
static bool first_of_stream(const ensemble *e, int64_t i) {
    for (int64_t j = 0; j < i; j++) {
        if (e->traces[j].stream == e->traces[i].stream) return false;
    }
    return true;
}

/* Standard error of the mean from the spread between and within streams (E15). */
static double standard_error(const ensemble *e, double mean, int64_t n) {
    rllc_exact_sum between = {0}, within = {0};
    int64_t n_streams = 0;
    for (int64_t i = 0; i < e->n; i++) {
        int64_t m = 0;
        if (!first_of_stream(e, i)) continue;
        const double stream_mean = mean_of(e, &e->traces[i].stream, &m);
        if (m == 0) continue;
        n_streams++;
        rllc_exact_add(&between, (double)m * (stream_mean - mean) * (stream_mean - mean));
        rllc_exact_add(&within, squares_about(e, &e->traces[i].stream, stream_mean));
    }
    double square = 0;
    if (n_streams > 1) square = rllc_exact_value(&between) / (double)(n_streams - 1);
    if (n > n_streams) square = fmax(square, rllc_exact_value(&within) / (double)(n - n_streams));
    return n > 1 ? sqrt(square / (double)n) : NAN;
}

static void summarise(const ensemble *e, double *mean, double *sd, double *se) {
    int64_t n = 0;
    *mean = mean_of(e, NULL, &n);
    *sd = n > 1 ? sqrt(squares_about(e, NULL, *mean) / (double)(n - 1)) : NAN;
    *se = standard_error(e, *mean, n);
}

void rllc_estimate_from_traces(const rllc_trace *traces, int64_t n, double nbeta, rllc_estimate *out, double *per_chain,
                               double *per_chain_init) {
    const ensemble paired = {traces, n, nbeta, PAIRED}, conventional = {traces, n, nbeta, CONVENTIONAL};
    memset(out, 0, sizeof *out);
    out->n_chains = n;
    for (int64_t i = 0; i < n; i++) {
        out->n_diverged += has_diverged(&traces[i]);
        if (per_chain) per_chain[i] = chain_value(&traces[i], nbeta, PAIRED);
        if (per_chain_init) per_chain_init[i] = chain_value(&traces[i], nbeta, CONVENTIONAL);
    }
    summarise(&paired, &out->llc_mean, &out->llc_sd, &out->llc_se);
    summarise(&conventional, &out->llc_mean_init, &out->llc_sd_init, &out->llc_se_init);
}

const char *rllc_estimate_name(const char *component, bool refined_data) {
    const bool refined_weights = strcmp(component, "full") != 0;
    if (refined_weights) return refined_data ? "wdrLLC" : "wrLLC";
    return refined_data ? "drLLC" : "LLC";
}
