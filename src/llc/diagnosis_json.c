/* A diagnosis as JSON: what the store keeps and `rllc diagnose --json` shows. */
#include <math.h>

#include "rllc/llc.h"

typedef struct number {
    const char *key;
    double value;
} number;

static rllc_status add_numbers(rllc_json *to, const number *list, size_t n) {
    rllc_status status = RLLC_OK;
    for (size_t i = 0; i < n; i++) RLLC_TRY(rllc_json_set(to, list[i].key, rllc_json_real(list[i].value)));
done:
    return status;
}
#define NUMBERS(to, list) add_numbers(to, list, sizeof(list) / sizeof *(list))

static rllc_status add_series(rllc_json *to, const rllc_series_diagnosis *s) {
    const number list[] = {{"mean", s->mean},
                           {"geweke_z", s->geweke_z},
                           {"effective_size", s->effective_size},
                           {"spectrum0", s->spectrum0},
                           {"heidelberg_pvalue", s->exact_pvalue},
                           {"heidelberg_halfwidth", s->halfwidth},
                           {"raftery_i", s->raftery_evaluable ? s->raftery_i : NAN}};
    rllc_status status = RLLC_OK;
    RLLC_TRY(NUMBERS(to, list));
    RLLC_TRY(rllc_json_set(to, "heidelberg_stationary", rllc_json_boolean(s->exact_stationary)));
    RLLC_TRY(rllc_json_set(to, "heidelberg_start", rllc_json_integer(s->exact_start)));
    RLLC_TRY(rllc_json_set(to, "raftery_evaluable", rllc_json_boolean(s->raftery_evaluable)));
    RLLC_TRY(rllc_json_set(to, "raftery_nmin", rllc_json_integer(s->raftery_nmin)));
done:
    return status;
}

static rllc_status add_budget(rllc_json *to, const rllc_diagnosis *d) {
    rllc_status status = RLLC_OK;
    rllc_json *budget = NULL;
    RLLC_TRY(rllc_bias_budget_to_json(&d->budget, &budget));
    RLLC_TRY(rllc_json_set(budget, "top_curvature", rllc_json_real(d->top)));
    RLLC_TRY(rllc_json_set(budget, "bottom_curvature", rllc_json_real(d->bottom)));
    return rllc_json_set(to, "budget", budget);
done:
    rllc_json_free(budget);
    return status;
}

static rllc_status add_findings(rllc_json *to, const rllc_diagnosis *d) {
    static const char *const grades[] = {"good", "doubtful", "failed"};
    rllc_status status = RLLC_OK;
    rllc_json *list = rllc_json_array(), *one = NULL;
    for (int i = 0; i < d->n_findings; i++) {
        const rllc_finding *f = &d->findings[i];
        if (!*f->sentence) continue;
        one = rllc_json_object();
        RLLC_TRY(rllc_json_set(one, "check", rllc_json_string(f->check)));
        RLLC_TRY(rllc_json_set(one, "verdict", rllc_json_string(rllc_verdict_name(f->verdict))));
        RLLC_TRY(rllc_json_set(one, "grade", rllc_json_string(grades[f->grade])));
        RLLC_TRY(rllc_json_set(one, "value", rllc_json_real(f->value)));
        RLLC_TRY(rllc_json_set(one, "sentence", rllc_json_string(f->sentence)));
        status = rllc_json_append(list, one);
        one = NULL;
        if (status != RLLC_OK) goto done;
    }
    return rllc_json_set(to, "findings", list);
done:
    rllc_json_free(one);
    rllc_json_free(list);
    return status;
}

static rllc_status add_chains(rllc_json *to, const rllc_diagnosis *d, int64_t n_chains) {
    rllc_status status = RLLC_OK;
    rllc_json *list = rllc_json_array(), *one = NULL;
    for (int64_t i = 0; i < n_chains; i++) {
        one = rllc_json_object();
        RLLC_TRY(add_series(one, &d->series[i]));
        status = rllc_json_append(list, one);
        one = NULL;
        if (status != RLLC_OK) goto done;
    }
    return rllc_json_set(to, "per_chain", list);
done:
    rllc_json_free(one);
    rllc_json_free(list);
    return status;
}

rllc_status rllc_diagnosis_to_json(const rllc_diagnosis *d, int64_t n_chains, rllc_json **out) {
    const rllc_chains_diagnosis *c = &d->chains;
    const number list[] = {{"rhat_rank", c->rhat_rank},
                           {"rhat_split", c->rhat_split},
                           {"ess_bulk", c->ess_bulk},
                           {"ess_tail", c->ess_tail},
                           {"ess_mean", c->ess_mean},
                           {"mcse_mean", c->mcse_mean},
                           {"mcse_sd", c->mcse_sd},
                           {"autocorrelation_time", c->autocorrelation_time},
                           {"geweke_z", d->mean_trace.geweke_z},
                           {"early_z", d->early_z},
                           {"late_z", d->late_z},
                           {"early_share", d->early_share},
                           {"late_share", d->late_share},
                           {"within_size", d->within_size},
                           {"share_below", d->share_below},
                           {"gradient_norm", d->gradient_norm},
                           {"pull_norm", d->pull_norm},
                           {"noise_norm", d->noise_norm},
                           {"distance", d->distance},
                           {"mala", d->mala},
                           {"acceptance", d->acceptance},
                           {"virial", d->virial},
                           {"heat_capacity", d->heat_capacity},
                           {"effective_degree", d->effective_degree},
                           {"gradient_snr", d->gradient_snr}};
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "verdict", rllc_json_string(rllc_verdict_name(d->verdict))));
    RLLC_TRY(rllc_json_set(j, "grade", rllc_json_integer(d->grade)));
    RLLC_TRY(add_findings(j, d));
    RLLC_TRY(NUMBERS(j, list));
    if (d->has_budget) RLLC_TRY(add_budget(j, d));
    RLLC_TRY(add_chains(j, d, n_chains));
    *out = j;
    return RLLC_OK;
done:
    rllc_json_free(j);
    return status;
}
