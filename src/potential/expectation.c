/* What is known about an analytic target: its learning coefficient, and what an estimate of it should be. */
#include <math.h>
#include <string.h>

#include "target.h"

/* ---- restricted to what moves ------------------------------------------------------------------------------ */

/** Whether all that moves lies in one block in which the loss is quadratic. */
static bool is_quadratic(const struct rllc_target *t) {
    if (t->all.free_dim == 0) return true;
    for (int64_t b = 0; b < t->model.n_blocks; b++) {
        const rllc_analytic_block *block = &t->model.blocks[b];
        if (block->first <= t->index[0] && t->index[t->all.free_dim - 1] < block->first + block->n)
            return block->quadratic;
    }
    return false;
}

/** Hessian [n, n] and gradient at w* [n] of the n moving coordinates of a loss that is quadratic in them. */
static rllc_status restrict_quadratic(struct rllc_target *t, double *hessian, double *gradient) {
    const int64_t n = t->all.free_dim;
    rllc_status status = RLLC_OK;
    double loss;
    RLLC_TRY(t->model.evaluate(&t->model, t->w0_whole, &loss, t->slope));
    for (int64_t i = 0; i < n; i++) gradient[i] = t->slope[t->index[i]];
    memcpy(t->whole, t->w0_whole, (size_t)t->model.dim * sizeof *t->whole);
    for (int64_t i = 0; i < n; i++) t->whole[t->index[i]] = 0;
    for (int64_t i = -1; i < n; i++) { /* column i of the hessian: gradient at e_i less that at 0 */
        if (i >= 0) t->whole[t->index[i]] = 1;
        RLLC_TRY(t->model.evaluate(&t->model, t->whole, &loss, t->slope));
        for (int64_t r = 0; r < n; r++)
            for (int64_t c = i < 0 ? 0 : i; c < (i < 0 ? n : i + 1); c++)
                hessian[r * n + c] = i < 0 ? -t->slope[t->index[r]] : hessian[r * n + c] + t->slope[t->index[r]];
        if (i >= 0) t->whole[t->index[i]] = 0;
    }
done:
    return status;
}

static rllc_status coefficient_of_quadratic(struct rllc_target *t) {
    const int64_t n = t->all.free_dim;
    double *hessian = NULL;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_alloc(&hessian, n * n + 2 * n, sizeof *hessian));
    double *gradient = hessian + n * n, *values = gradient + n, top = 0, slope = 0;
    int64_t rank = 0;
    RLLC_TRY(restrict_quadratic(t, hessian, gradient));
    RLLC_TRY(rllc_symmetric_eigen(n, hessian, values, NULL));
    for (int64_t i = 0; i < n; i++) top = fmax(top, fabs(values[i])), slope = fmax(slope, fabs(gradient[i]));
    for (int64_t i = 0; i < n; i++) rank += values[i] > 1e-9 * top;
    t->all.coefficient = rllc_coefficient_rank(rank);
    if (n > 0 && values[0] < -1e-9 * top) {
        t->all.coefficient = (rllc_coefficient){NAN, 0};
        t->all.doubt = "w* is a saddle: there is no learning coefficient";
    } else if (slope > 1e-6 * fmax(top, 1e-30)) {
        t->all.doubt =
            "w* is not a minimum: the coefficient is that of the minimum, and estimates at w* may be negative";
    }
done:
    rllc_free(hessian);
    return status;
}

rllc_status rllc_target_coefficient(struct rllc_target *t) {
    if (is_quadratic(t)) return coefficient_of_quadratic(t);
    rllc_status status = t->model.coefficient(&t->model, t->w0_whole, t->moves, &t->all.coefficient);
    double loss, slope = 0;
    RLLC_TRY(status);
    RLLC_TRY(t->model.evaluate(&t->model, t->w0_whole, &loss, t->slope));
    for (int64_t i = 0; i < t->all.free_dim; i++) slope = fmax(slope, fabs(t->slope[t->index[i]]));
    if (slope > 1e-6)
        t->all.doubt = "w* is not a minimum: estimates there may be negative";
    else if (isnan(t->all.coefficient.lambda))
        t->all.doubt = "no learning coefficient is known for this point and mask";
done:
    return status;
}

/* ---- expectations ------------------------------------------------------------------------------------------- */

static rllc_status expect_quadratic(struct rllc_target *t, const rllc_sampler_options *o, double *mean,
                                    double *variance) {
    const int64_t n = t->all.free_dim;
    double *hessian = NULL;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_alloc(&hessian, n * n + 4 * n, sizeof *hessian));
    double *gradient = hessian + n * n, *start = gradient + n, *noise = start + n, *at = noise + n;
    RLLC_TRY(restrict_quadratic(t, hessian, gradient));
    for (int64_t i = 0; i < n; i++) {
        start[i] = (double)t->start[i];
        noise[i] = t->noise_sd ? t->noise_sd[i] * t->noise_sd[i] : 0;
        at[i] = (double)t->w0[i];
    }
    const rllc_quadratic q = {
        .dim = n, .hessian = hessian, .gradient = gradient, .start = start, .noise = noise, .at = at};
    RLLC_TRY(rllc_quadratic_law(o, &q, mean, variance));
done:
    rllc_free(hessian);
    return status;
}

static void along(void *context, double w, double *loss, double *slope) {
    struct rllc_target *t = context;
    memcpy(t->whole, t->w0_whole, (size_t)t->model.dim * sizeof *t->whole);
    t->whole[t->index[0]] = w;
    *slope = *loss = NAN;
    if (t->model.evaluate(&t->model, t->whole, loss, t->slope) == RLLC_OK) *slope = t->slope[t->index[0]];
}

enum { GIBBS_NODES = 4000 };

/** One coordinate moves: E[nbeta (L - L(w*))] by quadrature, in the bounding box if there is one. */
static rllc_status gibbs_1d(struct rllc_target *t, const rllc_sampler_options *o, double *mean) {
    const double c = t->w0_whole[t->index[0]];
    double base, value, slope, reach = o->bounding_box > 0 ? o->bounding_box : 1e-6, z = 0, e = 0, low = INFINITY,
                               *node = NULL;
    const rllc_status status = rllc_alloc(&node, 3 * GIBBS_NODES, sizeof *node);
    if (status != RLLC_OK) return status;
    double *weight = node + GIBBS_NODES, *energy = weight + GIBBS_NODES;
    along(t, c, &base, &slope);
    for (double rise = 0; o->bounding_box == 0 && rise < 45 && reach < 1e9; reach *= 1.05) {
        rise = INFINITY;
        for (int side = -1; side <= 1; side += 2) {
            along(t, c + side * reach, &value, &slope);
            const double w = c + side * reach;
            rise = fmin(rise, o->nbeta * (value - base) + o->localization / 2 * reach * reach +
                                  o->weight_decay / 2 * (w * w - c * c));
        }
    }
    rllc_gauss_legendre(GIBBS_NODES, c - reach, c + reach, node, weight);
    for (int i = 0; i < GIBBS_NODES; i++) {
        along(t, node[i], &value, &slope);
        energy[i] = o->nbeta * (value - base) + o->localization / 2 * (node[i] - c) * (node[i] - c) +
                    o->weight_decay / 2 * node[i] * node[i];
        low = fmin(low, energy[i]);
    }
    for (int i = 0; i < GIBBS_NODES; i++) {
        along(t, node[i], &value, &slope);
        const double w = weight[i] * exp(low - energy[i]);
        z += w;
        e += w * o->nbeta * (value - base);
    }
    *mean = e / z;
    rllc_free(node);
    return reach < 1e9 ? RLLC_OK : rllc_fail(RLLC_EUNSUPPORTED, "the density is not normalisable");
}

/** Gibbs value of what moves. */
static rllc_status gibbs(struct rllc_target *t, const rllc_sampler_options *o, double *mean) {
    if (is_quadratic(t) && (o->bounding_box == 0 || t->all.free_dim == 0)) {
        rllc_sampler_options exact = *o;
        double variance;
        exact.sampler = "mala"; /* any exact rule: its law is the Gibbs value */
        return expect_quadratic(t, &exact, mean, &variance);
    }
    if (t->all.free_dim == 1) return gibbs_1d(t, o, mean);
    for (int64_t i = 0; i < t->model.dim; i++)
        if (t->w0_whole[i] != t->model.point[i] || !t->moves[i] || o->weight_decay > 0)
            return rllc_fail(
                RLLC_EUNSUPPORTED,
                "no integral is known but for all coordinates around the kind's own w*, without weight decay");
    if (t->samples > 0) return rllc_fail(RLLC_EUNSUPPORTED, "no integral is known for a finite sample");
    if (!t->model.gibbs) return rllc_fail(RLLC_EUNSUPPORTED, "no integral is known for this kind");
    return t->model.gibbs(&t->model, o, mean);
}

/** A reason instead of a failure: unknown is an answer. */
static rllc_status settle(rllc_status status, const char *source, double mean, double variance, rllc_expectation *out) {
    *out = (rllc_expectation){NAN, NAN, "none", ""};
    if (status == RLLC_EUNSUPPORTED) {
        out->reason = rllc_intern(rllc_error_detail());
        return RLLC_OK;
    }
    if (status != RLLC_OK) return status;
    *out = (rllc_expectation){mean, sqrt(variance), source, ""};
    return RLLC_OK;
}

rllc_status rllc_analytic_gibbs(rllc_analytic *a, const rllc_sampler_options *o, rllc_expectation *out) {
    double mean = NAN;
    const rllc_status status = gibbs((struct rllc_target *)a->potential, o, &mean);
    return settle(status, "gibbs", mean, NAN, out);
}

rllc_status rllc_analytic_expect(rllc_analytic *a, const rllc_sampler_options *o, rllc_expectation *out) {
    struct rllc_target *t = (struct rllc_target *)a->potential;
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    double mean = NAN, variance = NAN, escape;
    *out = (rllc_expectation){NAN, NAN, "none", "no closed form is known for minibatches of a finite sample"};
    if (t->minibatches) return RLLC_OK;
    if (kind && kind->exact) {
        const rllc_status status = rllc_analytic_gibbs(a, o, out);
        if (status == RLLC_OK && t->all.free_dim == 0) *out = (rllc_expectation){0, 0, "law", ""};
        return status;
    }
    rllc_status status;
    if (is_quadratic(t)) {
        status = expect_quadratic(t, o, &mean, &variance);
    } else if (t->all.free_dim == 1) {
        const rllc_loss_1d loss = {t, along};
        const double noise = t->noise_sd ? t->noise_sd[0] * t->noise_sd[0] : 0;
        status =
            rllc_grid_law(o, &loss, t->w0_whole[t->index[0]], (double)t->start[0], noise, &mean, &variance, &escape);
    } else {
        status = rllc_fail(RLLC_EUNSUPPORTED,
                           "none is known at a finite step where several coordinates move and the loss is not "
                           "quadratic in them");
    }
    return settle(status, "law", mean, variance, out);
}
