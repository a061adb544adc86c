/* cli diagnosis: what can be said about chains from their draws alone, as JSON and as a table. */
#include "cli/csv_diagnosis.h"

#include <math.h>

rllc_status rllc_csv_diagnosis_compute(const rllc_series_settings *settings, int64_t max_lag, rllc_csv_diagnosis *d) {
    rllc_status status = RLLC_OK;
    const rllc_csv_chains *const c = &d->chains;
    d->n_lags = (max_lag < c->n_draws ? max_lag : c->n_draws - 1) + 1;
    RLLC_TRY(rllc_alloc(&d->each, c->n_chains, sizeof *d->each));
    RLLC_TRY(rllc_alloc(&d->autocorrelation, c->n_chains * d->n_lags, sizeof *d->autocorrelation));
    RLLC_TRY(rllc_chains_diagnose(c->x, c->n_chains, c->n_draws, &d->all));
    for (int64_t i = 0; i < c->n_chains; i++) {
        const double *const x = c->x + i * c->n_draws;
        RLLC_TRY(rllc_series_diagnose(x, c->n_draws, settings, &d->each[i]));
        rllc_autocorrelation(x, c->n_draws, d->n_lags - 1, d->autocorrelation + i * d->n_lags);
    }
done:
    return status;
}

void rllc_csv_diagnosis_release(rllc_csv_diagnosis *d) {
    rllc_csv_chains_release(&d->chains);
    rllc_free(d->each);
    rllc_free(d->autocorrelation);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

typedef struct named_real {
    const char *key;
    double value;
} named_real;

/* In all that follows *out belongs to the caller also on failure. */

/** A member of an object, or without a key an element of an array: taken over whether or not it succeeds. */
static rllc_status hand_over(rllc_json *to, const char *key, rllc_json **part) {
    rllc_json *const given = *part;
    *part = NULL;
    return key ? rllc_json_set(to, key, given) : rllc_json_append(to, given);
}

static rllc_status set_reals(rllc_json *j, const named_real *reals, size_t n) {
    rllc_status status = RLLC_OK;
    for (size_t i = 0; i < n; i++) RLLC_TRY(rllc_json_set(j, reals[i].key, rllc_json_real(reals[i].value)));
done:
    return status;
}

/** The test with the exact distribution: coda's, whose results stand beside it, passes what is furthest from
 *  stationary. */
static rllc_status exact_json(const rllc_series_diagnosis *s, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *const j = *out = rllc_json_object();
    RLLC_TRY(rllc_json_set(j, "stationary", rllc_json_boolean(s->exact_stationary)));
    RLLC_TRY(rllc_json_set(j, "start", s->exact_stationary ? rllc_json_integer(s->exact_start) : rllc_json_null()));
    RLLC_TRY(rllc_json_set(j, "pvalue", rllc_json_real(s->exact_pvalue)));
done:
    return status;
}

static rllc_status heidelberg_json(const rllc_series_diagnosis *s, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *const j = *out = rllc_json_object(), *exact = NULL;
    const named_real reals[] = {{"pvalue", s->pvalue}, {"halfwidth", s->halfwidth}, {"mean", s->stationary_mean}};
    RLLC_TRY(rllc_json_set(j, "stationary", rllc_json_boolean(s->stationary)));
    RLLC_TRY(rllc_json_set(j, "start", s->stationary ? rllc_json_integer(s->start) : rllc_json_null()));
    RLLC_TRY(set_reals(j, reals, sizeof reals / sizeof *reals));
    RLLC_TRY(rllc_json_set(j, "halfwidth_passed",
                           s->stationary ? rllc_json_boolean(s->halfwidth_passed) : rllc_json_null()));
    RLLC_TRY(exact_json(s, &exact));
    RLLC_TRY(hand_over(j, "exact", &exact));
done:
    rllc_json_free(exact);
    return status;
}

/** Why Raftery and Lewis say nothing; NULL if they do. */
static const char *raftery_silence(const rllc_series_diagnosis *s, int64_t n_draws) {
    if (s->raftery_evaluable) return NULL;
    if (n_draws < s->raftery_nmin) return "fewer draws than Nmin";
    return isnan(s->mean) ? "values that are not finite" : "too few changes between below and above the quantile";
}

static rllc_status raftery_json(const rllc_series_diagnosis *s, int64_t n_draws, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *const j = *out = rllc_json_object();
    const char *const silence = raftery_silence(s, n_draws);
    RLLC_TRY(rllc_json_set(j, "M", silence ? rllc_json_null() : rllc_json_integer(s->raftery_m)));
    RLLC_TRY(rllc_json_set(j, "N", silence ? rllc_json_null() : rllc_json_integer(s->raftery_n)));
    RLLC_TRY(rllc_json_set(j, "Nmin", rllc_json_integer(s->raftery_nmin)));
    RLLC_TRY(rllc_json_set(j, "I", rllc_json_real(s->raftery_i)));
    if (silence) RLLC_TRY(rllc_json_set(j, "reason", rllc_json_string(silence)));
done:
    return status;
}

static rllc_status chain_json(const rllc_csv_diagnosis *d, int64_t i, rllc_json **out) {
    rllc_status status = RLLC_OK;
    const rllc_series_diagnosis *const s = &d->each[i];
    rllc_json *const j = *out = rllc_json_object();
    rllc_json *part = NULL;
    const named_real reals[] = {{"mean", s->mean},
                                {"sd", s->sd},
                                {"geweke_z", s->geweke_z},
                                {"effective_size", s->effective_size},
                                {"spectrum0", s->spectrum0}};
    RLLC_TRY(rllc_json_set(j, "chain", rllc_json_integer(d->chains.label[i])));
    RLLC_TRY(set_reals(j, reals, sizeof reals / sizeof *reals));
    RLLC_TRY(heidelberg_json(s, &part));
    RLLC_TRY(hand_over(j, "heidelberg_welch", &part));
    RLLC_TRY(raftery_json(s, d->chains.n_draws, &part));
    RLLC_TRY(hand_over(j, "raftery_lewis", &part));
    part = rllc_json_array();
    for (int64_t lag = 0; lag < d->n_lags; lag++)
        RLLC_TRY(rllc_json_append(part, rllc_json_real(d->autocorrelation[i * d->n_lags + lag])));
    RLLC_TRY(hand_over(j, "autocorrelation", &part));
done:
    rllc_json_free(part);
    return status;
}

rllc_status rllc_csv_diagnosis_print_json(const rllc_csv_diagnosis *d) {
    rllc_status status = RLLC_OK;
    const rllc_chains_diagnosis *const a = &d->all;
    rllc_json *const j = rllc_json_object(), *list = rllc_json_array(), *one = NULL;
    const named_real reals[] = {
        {"rhat_rank", a->rhat_rank}, {"rhat_split", a->rhat_split}, {"ess_bulk", a->ess_bulk},
        {"ess_tail", a->ess_tail},   {"ess_mean", a->ess_mean},     {"ess_sd", a->ess_sd},
        {"mcse_mean", a->mcse_mean}, {"mcse_sd", a->mcse_sd},       {"autocorrelation_time", a->autocorrelation_time}};
    RLLC_TRY(rllc_json_set(j, "num_chains", rllc_json_integer(d->chains.n_chains)));
    RLLC_TRY(rllc_json_set(j, "num_draws", rllc_json_integer(d->chains.n_draws)));
    RLLC_TRY(set_reals(j, reals, sizeof reals / sizeof *reals));
    for (int64_t i = 0; i < d->chains.n_chains; i++) {
        RLLC_TRY(chain_json(d, i, &one));
        RLLC_TRY(hand_over(list, NULL, &one));
    }
    RLLC_TRY(hand_over(j, "per_chain", &list));
    return rllc_cli_print_json("diagnose", j);
done:
    rllc_json_free(one);
    rllc_json_free(list);
    rllc_json_free(j);
    return status;
}

/* ---- table ------------------------------------------------------------------------------------------------------- */

static void print_number(int width, int digits, double value) {
    if (isnan(value))
        printf(" %*s", width, "-");
    else
        printf(" %*.*g", width, digits, value);
}

static void print_all(const char *title, const rllc_csv_diagnosis *d) {
    const rllc_chains_diagnosis *const a = &d->all;
    const named_real lines[][4] = {
        {{"rhat_rank", a->rhat_rank},
         {"rhat_split", a->rhat_split},
         {"autocorrelation", a->autocorrelation_time},
         {NULL, 0}},
        {{"ess_bulk", a->ess_bulk}, {"ess_tail", a->ess_tail}, {"ess_mean", a->ess_mean}, {"ess_sd", a->ess_sd}},
        {{"mcse_mean", a->mcse_mean}, {"mcse_sd", a->mcse_sd}, {NULL, 0}, {NULL, 0}}};
    printf("%s: %lld chain%s of %lld draws\n", title, (long long)d->chains.n_chains, d->chains.n_chains == 1 ? "" : "s",
           (long long)d->chains.n_draws);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        for (size_t k = 0; k < 4 && lines[i][k].key; k++) {
            printf("%s%-15s", k ? "   " : "", lines[i][k].key);
            print_number(9, 6, lines[i][k].value);
        }
        printf("\n");
    }
}

static void print_start(bool stationary, int64_t start, double pvalue) {
    if (stationary)
        printf(" from %-6lld", (long long)start);
    else
        printf(" %-11s", isnan(pvalue) ? "-" : "no");
    print_number(8, 2, pvalue);
}

static void print_chain(const rllc_csv_diagnosis *d, int64_t i) {
    const rllc_series_diagnosis *const s = &d->each[i];
    printf("%5lld", (long long)d->chains.label[i]);
    print_number(10, 5, s->mean);
    print_number(10, 4, s->sd);
    print_number(8, 3, s->geweke_z);
    print_number(9, 5, s->effective_size);
    print_number(7, 3, d->n_lags > 1 ? d->autocorrelation[i * d->n_lags + 1] : NAN);
    print_start(s->exact_stationary, s->exact_start, s->exact_pvalue);
    print_start(s->stationary, s->start, s->pvalue);
    print_number(9, 3, s->halfwidth);
    if (s->raftery_evaluable)
        printf(" %8lld %8lld", (long long)s->raftery_m, (long long)s->raftery_n);
    else
        printf(" %8s %8s", "-", "-");
    print_number(7, 3, s->raftery_i);
    printf("\n");
}

/** Why statistics are missing: a draw that is not finite is never left out. */
static void print_not_finite(const rllc_csv_chains *c) {
    int64_t n = 0, first = -1;
    for (int64_t i = c->n_chains * c->n_draws - 1; i >= 0; i--)
        if (!isfinite(c->x[i])) n++, first = i;
    if (n > 0)
        printf("%lld draw%s not finite (the first in chain %lld): what rests on a chain with one has no value; leave such "
               "chains out with --chains\n",
               (long long)n, n == 1 ? " is" : "s are", (long long)c->label[first / c->n_draws]);
}

void rllc_csv_diagnosis_print_table(const char *title, const rllc_csv_diagnosis *d) {
    const char *silence = NULL;
    print_all(title, d);
    print_not_finite(&d->chains);
    printf("\n%5s %10s %10s %8s %9s %7s %-11s %8s %-11s %8s %9s %8s %8s %7s\n", "chain", "mean", "sd", "geweke_z",
           "eff_size", "acf(1)", "stationary", "p", "as coda", "p", "halfwidth", "RL M", "RL N", "RL I");
    for (int64_t i = 0; i < d->chains.n_chains; i++) {
        print_chain(d, i);
        if (!silence) silence = raftery_silence(&d->each[i], d->chains.n_draws);
    }
    if (silence)
        printf("Raftery-Lewis (RL), where not evaluable: %s (%lld)\n", silence, (long long)d->each[0].raftery_nmin);
}
