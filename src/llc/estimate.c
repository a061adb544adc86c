/* Estimates of the local learning coefficient from the traces of chains, with their errors. Every sum over chains is
 * rounded once, so that chains may come in any order. */
#include "llc/exact_sum.h"
#include "rllc/llc.h"
#include "rllc/stats.h"

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

enum {
    FEWEST_DRAWS = 20,   /* shorter traces tell nothing of their autocorrelation */
    ENOUGH_FREEDOM = 30, /* degrees of freedom with which the spread between streams needs no help */
};

typedef struct {
    const rllc_trace *traces;
    int64_t n;
    const rllc_estimate_settings *settings;
    reference against;
    double *value;  /* [n] of each chain, NaN if it does not enter */
    double *series; /* [longest trace] scratch */
} ensemble;

static double value_of(const ensemble *e, int64_t i) { return e->value[i]; }

/* Mean over the live chains, of one stream or (stream NULL) of all; *count = how many. NaN if none. */
static double mean_of(const ensemble *e, const int *stream, int64_t *count) {
    rllc_exact_sum sum = {0};
    *count = 0;
    for (int64_t i = 0; i < e->n; i++) {
        if (stream && e->traces[i].stream != *stream) continue;
        const double value = value_of(e, i);
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
        const double value = value_of(e, i);
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

/* Mean squares of the chains' values (E15), each times the variance of one value where nothing else is shared. */
typedef struct {
    double between, within; /* between streams; between chains of a stream; NaN without freedom */
    int64_t between_freedom, within_freedom;
} spread;

static spread measure_spread(const ensemble *e, double mean, int64_t n) {
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
    spread s = {NAN, NAN, n_streams - 1, n - n_streams};
    if (s.between_freedom > 0) s.between = rllc_exact_value(&between) / (double)s.between_freedom;
    if (s.within_freedom > 0) s.within = rllc_exact_value(&within) / (double)s.within_freedom;
    return s;
}

/* The mean trace of a stream's live chains, in units of the estimate; its length (the shortest's), and how many chains. */
static int64_t stream_series(const ensemble *e, int stream, int64_t *n_chains) {
    int64_t draws = INT64_MAX;
    *n_chains = 0;
    for (int64_t i = 0; i < e->n; i++) {
        if (e->traces[i].stream != stream || isnan(value_of(e, i))) continue;
        if (e->traces[i].n_draws < draws) draws = e->traces[i].n_draws;
        ++*n_chains;
    }
    for (int64_t t = 0; *n_chains > 0 && t < draws; t++) {
        rllc_exact_sum sum = {0};
        for (int64_t i = 0; i < e->n; i++) {
            const rllc_trace *c = &e->traces[i];
            if (c->stream != stream || isnan(value_of(e, i))) continue;
            rllc_exact_add(&sum, e->against == PAIRED ? c->loss[t] - c->baseline[t] : c->loss[t]);
        }
        e->series[t] = e->settings->nbeta * rllc_exact_value(&sum) / (double)*n_chains;
    }
    return *n_chains > 0 ? draws : 0;
}

/* Variance of the mean from the autocorrelation of each stream's mean trace, which holds the noise that its chains share:
 * sum_k (m_k / n)^2 S_k(0) / T_k (E17). NaN where some trace is too short. */
static rllc_status trace_variance(const ensemble *e, int64_t n, double *out) {
    rllc_status status = RLLC_OK;
    rllc_exact_sum sum = {0};
    *out = NAN;
    for (int64_t i = 0; i < e->n; i++) {
        int64_t m;
        double spectrum;
        if (!first_of_stream(e, i)) continue;
        const int64_t draws = stream_series(e, e->traces[i].stream, &m);
        if (m == 0) continue;
        if (draws < FEWEST_DRAWS) return RLLC_OK;
        RLLC_TRY(rllc_spectrum0_ar(e->series, draws, &spectrum));
        rllc_exact_add(&sum, (double)(m * m) * spectrum / (double)draws);
    }
    if (n > 0) *out = rllc_exact_value(&sum) / ((double)n * (double)n);
done:
    return status;
}

/* Variance of a draw's loss at w*, over the baselines of a stream's first live chain; *draws of them. */
static double baseline_variance(const ensemble *e, int stream, int64_t *draws) {
    rllc_exact_sum sum = {0}, squares = {0};
    const rllc_trace *c = NULL;
    for (int64_t i = 0; i < e->n && !c; i++)
        if (e->traces[i].stream == stream && e->traces[i].baseline && !isnan(value_of(e, i))) c = &e->traces[i];
    if (!c || c->n_draws < 2) return NAN;
    *draws = c->n_draws;
    for (int64_t t = 0; t < c->n_draws; t++) rllc_exact_add(&sum, c->baseline[t]);
    const double mean = rllc_exact_value(&sum) / (double)c->n_draws;
    for (int64_t t = 0; t < c->n_draws; t++) rllc_exact_add(&squares, (c->baseline[t] - mean) * (c->baseline[t] - mean));
    return rllc_exact_value(&squares) / (double)(c->n_draws - 1);
}

/* What the init loss adds to the variance of the conventional mean: nbeta^2 s^2 (1/B - 2 shared / (B p T)), s^2 the
 * variance of a minibatch's loss, B minibatches behind it, `shared` of them among the p T of the draws (E18). A draw's
 * loss is the mean of p minibatches: its variance is s^2 / p. */
static double init_variance(const ensemble *e, int64_t n) {
    const rllc_estimate_settings *o = e->settings;
    const double p = o->draw_batches > 0 ? (double)o->draw_batches : 1;
    rllc_exact_sum sum = {0};
    for (int64_t i = 0; i < e->n; i++) {
        int64_t m = 0, draws = 0;
        if (!first_of_stream(e, i)) continue;
        (void)mean_of(e, &e->traces[i].stream, &m);
        const double s2 = m > 0 ? p * baseline_variance(e, e->traces[i].stream, &draws) : NAN;
        if (isnan(s2)) continue;
        const double b = (double)o->init_batches, shared = 2 * (double)o->init_shared / (p * (double)draws);
        rllc_exact_add(&sum, (double)(m * m) * s2 * (1 - shared) / b);
    }
    return o->nbeta * o->nbeta * rllc_exact_value(&sum) / ((double)n * (double)n);
}

/* The 95 % point of chi-square over its degrees of freedom (Wilson & Hilferty 1931). */
static double chance_factor(int64_t freedom) {
    const double v = 2 / (9 * (double)freedom), root = 1 - v + 1.6449 * sqrt(v);
    return root * root * root;
}

/* Variance of the mean: from autocorrelation; a spread takes its place where chance does not explain that it is larger,
 * or where there is no autocorrelation (NaN). `common`: what all chains of a stream share unseen, the init
 * loss; streams have one each, so the spread between them holds it already. */
static double combine(double correlated, double common, const spread *s, int64_t n) {
    const double between = s->between / (double)n, within = s->within / (double)n + common, known = correlated + common;
    if (isnan(known)) return fmax(between, within); /* fmax passes over a NaN */
    double variance = known;
    if (between > known * chance_factor(s->between_freedom)) variance = fmax(variance, between);
    if (within > known * chance_factor(s->within_freedom)) variance = fmax(variance, within);
    return variance;
}

static rllc_status summarise(const ensemble *e, double *mean, double *sd, double *se) {
    rllc_status status = RLLC_OK;
    int64_t n = 0;
    double correlated = NAN;
    *mean = mean_of(e, NULL, &n);
    const spread s = measure_spread(e, *mean, n);
    const int64_t freedom = e->settings->population_sd ? n : n - 1;
    *sd = freedom > 0 ? sqrt(squares_about(e, NULL, *mean) / (double)freedom) : NAN;
    if (s.between_freedom < ENOUGH_FREEDOM) RLLC_TRY(trace_variance(e, n, &correlated)); /* so at most 30 streams */
    const bool uncertain = e->against == CONVENTIONAL && e->settings->init_batches > 0;
    const double variance = combine(correlated, uncertain ? init_variance(e, n) : 0, &s, n);
    *se = variance < 0 ? 0 : sqrt(variance); /* NaN stays */
done:
    return status;
}

static void fill_values(ensemble *e, double *value) {
    e->value = value;
    for (int64_t i = 0; i < e->n; i++) value[i] = chain_value(&e->traces[i], e->settings->nbeta, e->against);
}

rllc_status rllc_estimate_from_traces(const rllc_trace *traces, int64_t n, const rllc_estimate_settings *settings,
                                      rllc_estimate *out, double *per_chain, double *per_chain_init) {
    rllc_status status = RLLC_OK;
    ensemble paired = {.traces = traces, .n = n, .settings = settings, .against = PAIRED}, conventional = paired;
    double *values = NULL;
    int64_t longest = 0;
    memset(out, 0, sizeof *out);
    out->n_chains = n;
    for (int64_t i = 0; i < n; i++) {
        out->n_diverged += has_diverged(&traces[i]);
        if (traces[i].n_draws > longest) longest = traces[i].n_draws;
    }
    conventional.against = CONVENTIONAL;
    RLLC_TRY(rllc_alloc(&values, 2 * n, sizeof *values));
    RLLC_TRY(rllc_alloc(&paired.series, longest, sizeof *paired.series));
    conventional.series = paired.series;
    fill_values(&paired, values);
    fill_values(&conventional, values + n);
    if (per_chain) memcpy(per_chain, values, (size_t)n * sizeof *per_chain);
    if (per_chain_init) memcpy(per_chain_init, values + n, (size_t)n * sizeof *per_chain_init);
    RLLC_TRY(summarise(&paired, &out->llc_mean, &out->llc_sd, &out->llc_se));
    RLLC_TRY(summarise(&conventional, &out->llc_mean_init, &out->llc_sd_init, &out->llc_se_init));
done:
    rllc_free(values);
    rllc_free(paired.series);
    return status;
}

const char *rllc_estimate_name(const char *component, bool refined_data) {
    const bool refined_weights = strcmp(component, "full") != 0;
    if (refined_weights) return refined_data ? "wdrLLC" : "wrLLC";
    return refined_data ? "drLLC" : "LLC";
}
