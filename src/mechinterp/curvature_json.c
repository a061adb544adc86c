/* A component's curvature as JSON. */
#include "mechinterp/curvature.h"

static rllc_json *object_of_reals(int n, const char *const *names, const double *values) {
    rllc_json *j = rllc_json_object();
    for (int i = 0; j && i < n; i++)
        if (rllc_json_set(j, names[i], rllc_json_real(values[i])) != RLLC_OK) {
            rllc_json_free(j);
            return NULL;
        }
    return j;
}

static rllc_json *array_of_reals(int64_t n, const double *x) {
    rllc_json *j = rllc_json_array();
    for (int64_t i = 0; j && i < n; i++)
        if (rllc_json_append(j, rllc_json_real(x[i])) != RLLC_OK) {
            rllc_json_free(j);
            return NULL;
        }
    return j;
}

static rllc_json *ritz(const rllc_ritz *r) {
    static const char *const names[] = {"value", "residual"};
    return object_of_reals(2, names, (const double[]){r->value, r->residual});
}

/** j with how many numbers were averaged. */
static rllc_json *with_count(rllc_json *j, const char *name, int64_t n) {
    if (!j || rllc_json_set(j, name, rllc_json_integer(n)) == RLLC_OK) return j;
    rllc_json_free(j);
    return NULL;
}

static rllc_json *probe_mean(const rllc_probe_mean *m) {
    static const char *const names[] = {"mean", "se", "low", "high"};
    return with_count(object_of_reals(4, names, (const double[]){m->mean, m->se, m->low, m->high}), "probes", m->n);
}

/** null if not measured. */
static rllc_json *fisher(const rllc_fisher *f) {
    static const char *const names[] = {"mean", "se"};
    if (f->n == 0) return rllc_json_null();
    return with_count(object_of_reals(2, names, (const double[]){f->mean, f->se}), "predictions", f->n);
}

static rllc_status set_eigenvalues(rllc_json *j, const rllc_component_curvature *r) {
    rllc_status status = RLLC_OK;
    rllc_json *list = rllc_json_array();
    for (int64_t i = 0; list && i < r->n_eigenvalues; i++) RLLC_TRY(rllc_json_append(list, ritz(&r->eigenvalues[i])));
    return rllc_json_set(j, "eigenvalues", list);
done:
    rllc_json_free(list);
    return status;
}

static rllc_status set_density(rllc_json *j, const rllc_component_curvature *r) {
    rllc_status status = RLLC_OK;
    rllc_json *d = rllc_json_object();
    if (!d) return rllc_fail(RLLC_ENOMEM, "no memory for the density");
    RLLC_TRY(rllc_json_set(d, "width", rllc_json_real(r->width)));
    RLLC_TRY(rllc_json_set(d, "at", array_of_reals(r->n_points, r->at)));
    RLLC_TRY(rllc_json_set(d, "density", array_of_reals(r->n_points, r->density)));
    return rllc_json_set(j, "density", d);
done:
    rllc_json_free(d);
    return status;
}

rllc_status rllc_component_curvature_to_json(const rllc_component_curvature *r, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    *out = NULL;
    if (!j) return rllc_fail(RLLC_ENOMEM, "no memory for the curvature of '%s'", r->component);
    RLLC_TRY(rllc_json_set(j, "component", rllc_json_string(r->component)));
    RLLC_TRY(rllc_json_set(j, "parameters", rllc_json_integer(r->dim)));
    RLLC_TRY(rllc_json_set(j, "rows", rllc_json_integer(r->rows)));
    RLLC_TRY(rllc_json_set(j, "tokens", rllc_json_integer(r->tokens)));
    RLLC_TRY(rllc_json_set(j, "loss", rllc_json_real(r->loss)));
    RLLC_TRY(rllc_json_set(j, "weight_norm", rllc_json_real(r->weight_norm)));
    RLLC_TRY(rllc_json_set(j, "gradient_norm", rllc_json_real(r->gradient_norm)));
    RLLC_TRY(rllc_json_set(j, "hessian_trace", probe_mean(&r->hessian_trace)));
    RLLC_TRY(set_eigenvalues(j, r));
    RLLC_TRY(rllc_json_set(j, "smallest", ritz(&r->smallest)));
    RLLC_TRY(rllc_json_set(j, "threshold", rllc_json_real(r->threshold)));
    RLLC_TRY(rllc_json_set(j, "rank_fixed", probe_mean(&r->rank_fixed)));
    RLLC_TRY(rllc_json_set(j, "adaptive_threshold", rllc_json_real(r->adaptive_threshold)));
    RLLC_TRY(rllc_json_set(j, "rank_adaptive", probe_mean(&r->rank_adaptive)));
    RLLC_TRY(set_density(j, r));
    RLLC_TRY(rllc_json_set(j, "fim_trace", fisher(&r->fim_trace)));
    RLLC_TRY(rllc_json_set(j, "empirical_fim_trace", fisher(&r->empirical_fim_trace)));
    *out = j;
    return RLLC_OK;
done:
    rllc_json_free(j);
    return status;
}
