/* The statistics of an estimate's chains, and the verdict that the checks reach on them. */
#include <math.h>
#include <string.h>

#include "checks.h"

static const rllc_check *const checks[] = {
#define RLLC_CHECK(identifier) &rllc_check_##identifier,
#include "checks.def"
#undef RLLC_CHECK
};

_Static_assert(sizeof checks / sizeof *checks <= RLLC_MAX_FINDINGS, "every check has room for its finding");

const char *rllc_verdict_name(rllc_verdict v) {
    static const char *const names[RLLC_VERDICTS] = {
        [RLLC_DIVERGED] = "diverged",
        [RLLC_LOSS_DECREASED] = "loss decreased",
        [RLLC_INITIAL_SPIKE] = "initial spike",
        [RLLC_TOO_MUCH_NOISE] = "too much noise",
        [RLLC_CHAINS_DISAGREE] = "chains disagree",
        [RLLC_NOT_CONVERGED] = "not converged",
        [RLLC_TOO_LITTLE_SIGNAL] = "too little signal",
        [RLLC_GOOD] = "good",
    };
    return names[v];
}

double rllc_round_down(double x) {
    if (!(x > 0) || isinf(x)) return x;
    const double unit = pow(10, floor(log10(x)));
    const double leading = floor(x / unit + 1e-9);
    return (leading < 1 ? 1 : leading) * unit;
}

bool rllc_chains_stand(const rllc_evidence *e, const rllc_diagnosis *d) {
    return d->distance < 1e-6 * sqrt((double)e->dim) || d->acceptance < 0.01;
}

/* ---- traces -------------------------------------------------------------------------------------------------- */

bool rllc_chain_is_live(const rllc_trace *t) {
    if (t->diverged || t->n_draws < 1 || !t->baseline) return false;
    for (int64_t i = 0; i < t->n_draws; i++)
        if (!isfinite(t->loss[i]) || !isfinite(t->baseline[i])) return false;
    return true;
}

/** How many chains live, and the length they have in common. */
static void count_live(const rllc_evidence *e, rllc_diagnosis *d) {
    for (int64_t i = 0; i < e->n; i++) {
        if (!rllc_chain_is_live(&e->traces[i])) continue;
        if (d->n_live++ == 0 || e->traces[i].n_draws < d->n_draws) d->n_draws = e->traces[i].n_draws;
    }
}

/** y [n_live][n_draws], and their mean over chains [n_draws]. */
static void fill_traces(const rllc_evidence *e, const rllc_diagnosis *d, double *y, double *mean) {
    int64_t at = 0;
    memset(mean, 0, (size_t)d->n_draws * sizeof *mean);
    for (int64_t i = 0; i < e->n; i++) {
        const rllc_trace *t = &e->traces[i];
        if (!rllc_chain_is_live(t)) continue;
        for (int64_t k = 0; k < d->n_draws; k++) {
            const double value = e->options->nbeta * (t->loss[k] - t->baseline[k]);
            y[at * d->n_draws + k] = value;
            mean[k] += value / (double)d->n_live;
        }
        at++;
    }
}

/** Mean of one recorded column over the live chains' draws from `first` on; NaN where it was not recorded. */
static double column_mean(const rllc_evidence *e, const rllc_diagnosis *d, int column, int64_t first) {
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < e->n; i++) {
        const double *x = e->traces[i].record[column];
        if (!rllc_chain_is_live(&e->traces[i]) || !x) continue;
        for (int64_t k = first; k < d->n_draws; k++) {
            if (isnan(x[k])) continue; /* the first step has no MALA acceptance */
            sum += x[k];
            n++;
        }
    }
    return n ? sum / (double)n : NAN;
}

/** E[u.G] / dim over the second half, G = nbeta g + localization u: 1 at equilibrium for any loss (E19). */
static double virial(const rllc_evidence *e, const rllc_diagnosis *d) {
    const int64_t half = d->n_draws / 2;
    double squares = 0;
    int64_t n = 0;
    if (e->options->weight_decay != 0 || e->options->bounding_box != 0 || e->dim == 0) return NAN;
    for (int64_t i = 0; i < e->n; i++) {
        const double *x = e->traces[i].record[RLLC_RECORD_DISTANCE];
        if (!rllc_chain_is_live(&e->traces[i]) || !x) continue;
        for (int64_t k = half; k < d->n_draws; k++, n++) squares += x[k] * x[k];
    }
    const double dot = column_mean(e, d, RLLC_RECORD_GRADIENT_DOT, half);
    return n ? (e->options->nbeta * dot + e->options->localization * squares / (double)n) / (double)e->dim : NAN;
}

static void measure_plateau(const rllc_evidence *e, rllc_diagnosis *d, const double *y) {
    const int64_t half = d->n_draws / 2, n = (d->n_draws - half) * d->n_live;
    double mean = 0, squares = 0;
    for (int64_t c = 0; c < d->n_live; c++)
        for (int64_t k = half; k < d->n_draws; k++) mean += y[c * d->n_draws + k] / (double)n;
    for (int64_t c = 0; c < d->n_live; c++)
        for (int64_t k = half; k < d->n_draws; k++)
            squares += (y[c * d->n_draws + k] - mean) * (y[c * d->n_draws + k] - mean);
    d->heat_capacity = n > 1 ? squares / (double)(n - 1) / mean : NAN;
    d->effective_degree = e->options->nbeta * column_mean(e, d, RLLC_RECORD_GRADIENT_DOT, half) / mean;
    d->virial = virial(e, d);
}

static void measure_records(const rllc_evidence *e, rllc_diagnosis *d, const double *y) {
    const rllc_sampler_options *o = e->options;
    int64_t below = 0, accepted = 0;
    double acceptance = 0;
    for (int64_t i = 0; i < d->n_live * d->n_draws; i++) below += y[i] < 0;
    for (int64_t i = 0; i < e->n; i++)
        if (rllc_chain_is_live(&e->traces[i]) && !isnan(e->traces[i].acceptance))
            acceptance += e->traces[i].acceptance, accepted++;
    d->share_below = (double)below / (double)(d->n_live * d->n_draws);
    d->acceptance = accepted ? acceptance / (double)accepted : NAN;
    d->gradient_norm = o->lr / 2 * o->nbeta * column_mean(e, d, RLLC_RECORD_GRADIENT_NORM, 0);
    d->pull_norm = o->lr / 2 * o->localization * column_mean(e, d, RLLC_RECORD_DISTANCE, 0);
    d->noise_norm = column_mean(e, d, RLLC_RECORD_NOISE_NORM, 0);
    d->distance = column_mean(e, d, RLLC_RECORD_DISTANCE, d->n_draws / 2);
    d->mala = column_mean(e, d, RLLC_RECORD_MALA, 0);
}

static double mean_of(const double *x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

/** Spectral density at 0 of a series without its line of least squares: a trend does not pass for correlation. */
static rllc_status level_spectrum(const double *x, int64_t n, double *scratch, double *out) {
    const double middle = (double)(n - 1) / 2, level = mean_of(x, n);
    double cross = 0, square = 0;
    for (int64_t i = 0; i < n; i++) {
        cross += ((double)i - middle) * (x[i] - level);
        square += ((double)i - middle) * ((double)i - middle);
    }
    for (int64_t i = 0; i < n; i++) scratch[i] = x[i] - level - cross / square * ((double)i - middle);
    return rllc_spectrum0_ar(scratch, n, out);
}

/** Does the mean trace begin elsewhere, does it still move? As Geweke's z, but with one spectrum, that of the second
 * half: those of the short windows are too rough for chains of a few hundred draws. */
static rllc_status measure_trends(rllc_diagnosis *d, const double *mean) {
    const int64_t tenth = d->n_draws / 10, half = d->n_draws / 2, quarter = d->n_draws / 4, late = d->n_draws - half;
    rllc_status status = RLLC_OK;
    double *scratch = NULL, spectrum;
    if (quarter < 5) return RLLC_OK;
    RLLC_TRY(rllc_alloc(&scratch, late, sizeof *scratch));
    RLLC_TRY(level_spectrum(mean + half, late, scratch, &spectrum));
    if (spectrum <= 0) goto done;
    const double last = mean_of(mean + half, late);
    d->early_z = (mean_of(mean, tenth) - last) / sqrt(spectrum / (double)tenth + spectrum / (double)late);
    const double rise = mean_of(mean + d->n_draws - quarter, quarter) - mean_of(mean + half, quarter);
    d->late_z = -rise / sqrt(2 * spectrum / (double)quarter);
    d->late_share = rise / fabs(last);
    d->early_share = (last - mean_of(mean, d->n_draws)) / fabs(last);
done:
    rllc_free(scratch);
    return status;
}

static rllc_status measure_traces(const rllc_evidence *e, rllc_diagnosis *d) {
    const rllc_series_settings *settings = &rllc_series_settings_default;
    rllc_status status = RLLC_OK;
    double *y = NULL, *mean = NULL;
    RLLC_TRY(rllc_alloc(&y, d->n_live * d->n_draws, sizeof *y));
    RLLC_TRY(rllc_alloc(&mean, d->n_draws, sizeof *mean));
    fill_traces(e, d, y, mean);
    RLLC_TRY(rllc_chains_diagnose(y, d->n_live, d->n_draws, &d->chains));
    for (int64_t i = 0, at = 0; i < e->n; i++)
        if (rllc_chain_is_live(&e->traces[i]))
            RLLC_TRY(rllc_series_diagnose(y + d->n_draws * at++, d->n_draws, settings, &d->series[i]));
    for (int64_t i = 0; i < e->n; i++)
        if (rllc_chain_is_live(&e->traces[i])) d->within_size += d->series[i].effective_size;
    RLLC_TRY(rllc_series_diagnose(mean, d->n_draws, settings, &d->mean_trace));
    RLLC_TRY(measure_trends(d, mean));
    measure_plateau(e, d, y);
    measure_records(e, d, y);
done:
    rllc_free(y);
    rllc_free(mean);
    return status;
}

/* ---- verdict --------------------------------------------------------------------------------------------------- */

static void judge(const rllc_evidence *e, rllc_diagnosis *d) {
    d->verdict = RLLC_GOOD;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        rllc_finding *f = &d->findings[d->n_findings++];
        *f = (rllc_finding){.check = checks[i]->name,
                            .verdict = checks[i]->verdict,
                            .grade = RLLC_GRADE_GOOD,
                            .value = NAN,
                            .sentence = ""};
        checks[i]->look(e, d, f);
        if (!f->sentence) f->sentence = ""; /* no memory for it */
        if (f->grade == RLLC_GRADE_GOOD) f->verdict = RLLC_GOOD;
        if (f->grade > d->grade) d->grade = f->grade;
        if (f->grade > RLLC_GRADE_GOOD && d->verdict == RLLC_GOOD)
            d->verdict = f->verdict; /* the gravest comes first */
    }
}

rllc_status rllc_diagnose(const rllc_evidence *e, rllc_diagnosis *out) {
    rllc_status status = RLLC_OK;
    *out = (rllc_diagnosis){.share_below = NAN,
                            .gradient_norm = NAN,
                            .pull_norm = NAN,
                            .noise_norm = NAN,
                            .distance = NAN,
                            .mala = NAN,
                            .acceptance = NAN,
                            .virial = NAN,
                            .heat_capacity = NAN,
                            .effective_degree = NAN,
                            .gradient_snr = NAN,
                            .top = NAN,
                            .bottom = NAN};
    out->mean_trace.geweke_z = out->early_z = out->late_z = out->early_share = out->late_share = NAN;
    out->chains = (rllc_chains_diagnosis){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    RLLC_TRY(rllc_alloc(&out->series, e->n, sizeof *out->series));
    count_live(e, out);
    if (e->curvature) {
        out->has_budget = true;
        rllc_bias_budget_make(e->curvature, e->options, &out->budget);
        out->top = e->curvature->top;
        out->bottom = e->curvature->bottom;
        out->gradient_snr = e->curvature->gradient_square / e->curvature->noise_trace;
    }
    if (out->n_live > 0) RLLC_TRY(measure_traces(e, out));
    judge(e, out);
done:
    if (status != RLLC_OK) rllc_diagnosis_release(out);
    return status;
}

void rllc_diagnosis_release(rllc_diagnosis *d) {
    rllc_free(d->series);
    d->series = NULL;
}
