/* Curvature and budget as JSON: what the store keeps. */
#include <math.h>

#include "rllc/theory.h"

/* ---- out --------------------------------------------------------------------------------------------------------- */

static rllc_status numbers(rllc_json *to, const char *key, const double *x, int64_t n) {
    rllc_json *list = rllc_json_array();
    for (int64_t i = 0; i < n; i++) {
        const rllc_status status = rllc_json_append(list, rllc_json_real(x[i]));
        if (status == RLLC_OK) continue;
        rllc_json_free(list);
        return status;
    }
    return rllc_json_set(to, key, list);
}

static rllc_status set_quadrature(rllc_json *to, const char *key, const rllc_quadrature *q) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    RLLC_TRY(numbers(j, "node", q->node, q->n));
    RLLC_TRY(numbers(j, "weight", q->weight, q->n));
    return rllc_json_set(to, key, j);
done:
    rllc_json_free(j);
    return status;
}

typedef struct named {
    const char *key;
    double value;
} named;

static rllc_status set_reals(rllc_json *to, const named *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const rllc_status status = rllc_json_set(to, list[i].key, rllc_json_real(list[i].value));
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

rllc_status rllc_curvature_to_json(const rllc_curvature *c, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    const named reals[] = {{"top", c->top},
                           {"bottom", c->bottom},
                           {"gradient_square", c->gradient_square},
                           {"noise_trace", c->noise_trace}};
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "dim", rllc_json_integer(c->dim)));
    RLLC_TRY(rllc_json_set(j, "batches", rllc_json_integer(c->batches)));
    RLLC_TRY(set_reals(j, reals, sizeof reals / sizeof *reals));
    RLLC_TRY(set_quadrature(j, "spectrum", &c->spectrum));
    RLLC_TRY(set_quadrature(j, "noise", &c->noise));
    RLLC_TRY(set_quadrature(j, "drift", &c->drift));
    *out = j;
    return RLLC_OK;
done:
    rllc_json_free(j);
    return status;
}

rllc_status rllc_bias_budget_to_json(const rllc_bias_budget *b, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    const named reals[] = {{"complexity", b->complexity},
                           {"step", b->step},
                           {"noise", b->noise},
                           {"transient", b->transient},
                           {"drift", b->drift},
                           {"expected", b->expected},
                           {"localization", b->localization},
                           {"negative", b->negative},
                           {"soft_count", b->soft_count},
                           {"lr_max", b->lr_max}};
    *out = NULL;
    RLLC_TRY(set_reals(j, reals, sizeof reals / sizeof *reals));
    RLLC_TRY(rllc_json_set(j, "reason", rllc_json_string(b->reason ? b->reason : "")));
    *out = j;
    return RLLC_OK;
done:
    rllc_json_free(j);
    return status;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

static rllc_status get_quadrature(const rllc_json *from, const char *key, rllc_quadrature *q) {
    const rllc_json *j = rllc_json_get(from, key);
    const rllc_json *node = rllc_json_get(j, "node"), *weight = rllc_json_get(j, "weight");
    const int64_t n = rllc_json_length(node);
    if (!rllc_json_is_array(node) || !rllc_json_is_array(weight) || rllc_json_length(weight) != n)
        return rllc_fail(RLLC_EINPUT, "curvature: '%s' is no list of nodes with as many weights", key);
    const rllc_status status = rllc_quadrature_init(q, n);
    if (status != RLLC_OK) return status;
    for (int64_t k = 0; k < n; k++) {
        q->node[k] = rllc_json_to_real(rllc_json_at(node, k), NAN);
        q->weight[k] = rllc_json_to_real(rllc_json_at(weight, k), NAN);
        if (!isfinite(q->node[k]) || !isfinite(q->weight[k]))
            return rllc_fail(RLLC_EINPUT, "curvature: entry %lld of '%s' is no number", (long long)k, key);
    }
    return RLLC_OK;
}

rllc_status rllc_curvature_from_json(const rllc_json *j, rllc_curvature *out) {
    rllc_status status = RLLC_OK;
    *out = (rllc_curvature){.dim = rllc_json_to_integer(rllc_json_get(j, "dim"), 0),
                            .batches = rllc_json_to_integer(rllc_json_get(j, "batches"), 0),
                            .top = rllc_json_to_real(rllc_json_get(j, "top"), NAN),
                            .bottom = rllc_json_to_real(rllc_json_get(j, "bottom"), NAN),
                            .gradient_square = rllc_json_to_real(rllc_json_get(j, "gradient_square"), NAN),
                            .noise_trace = rllc_json_to_real(rllc_json_get(j, "noise_trace"), NAN)};
    if (out->dim < 1 || out->batches < 1 || !isfinite(out->top) || !isfinite(out->bottom) ||
        !isfinite(out->gradient_square) || !isfinite(out->noise_trace)) {
        status =
            rllc_fail(RLLC_EINPUT, "curvature: dim, batches, top, bottom, gradient_square or noise_trace is missing");
        goto done;
    }
    RLLC_TRY(get_quadrature(j, "spectrum", &out->spectrum));
    RLLC_TRY(get_quadrature(j, "noise", &out->noise));
    RLLC_TRY(get_quadrature(j, "drift", &out->drift));
done:
    if (status != RLLC_OK) rllc_curvature_release(out);
    return status;
}
