/* curvature: second-order measures of a component on a batch: its Hessian's spectrum and its Fisher information. */
#ifndef RLLC_MECHINTERP_CURVATURE_H
#define RLLC_MECHINTERP_CURVATURE_H

#include "rllc/mechinterp.h"
#include "rllc/stats.h"

/** An eigenvalue of the component's Hessian: one lies within `residual` of value.                             (E94) */
typedef struct rllc_ritz {
    double value, residual;
} rllc_ritz;

/** All of the mean loss over the batch, at the model's weights, on the component's coordinates. */
typedef struct rllc_component_curvature {
    const char *component;     /* interned */
    int64_t dim, rows, tokens; /* coordinates; sequences; predictions */
    double loss;
    double weight_norm, gradient_norm;         /* Euclidean */
    rllc_probe_mean hessian_trace;             /* E93 */
    int64_t n_eigenvalues;                     /* those asked for, or as many as there are coordinates */
    rllc_ritz *eigenvalues;                    /* the largest, descending */
    rllc_ritz smallest;                        /* below 0 at a saddle */
    double threshold, adaptive_threshold;      /* the second: hessian_fraction of the largest eigenvalue in size */
    rllc_probe_mean rank_fixed, rank_adaptive; /* eigenvalues above them in size, E95 */
    int64_t n_points;
    double width;                               /* of the density's Gaussians */
    double *at, *density;                       /* [n_points], one allocation; integral 1, E95 */
    rllc_fisher fim_trace, empirical_fim_trace; /* n = 0: not measured, E96 */
} rllc_component_curvature;

/**
 * Measures a component of model m at m->weights on tokens [rows, t] (t of the engine's context), with an engine made
 * for at least `rows` sequences. Same bits for any number of threads. RLLC_EUSAGE for options that contradict each
 * other, RLLC_ENOTFINITE where weights are, RLLC_ESTOPPED when the monitor (may be NULL) asks. Memory: of as many
 * probes at once as keep to 512 MB, dim (hessian_steps + 3) floats a probe, and the products'
 * (rllc_engine_hessian_bytes).
 */
rllc_status rllc_component_curvature_measure(const rllc_model *m, rllc_engine *e, const rllc_component *c,
                                             const int32_t *tokens, int64_t rows, const rllc_curvature_options *o,
                                             const rllc_monitor *monitor, rllc_component_curvature *out) RLLC_MUST_USE;
void rllc_component_curvature_release(rllc_component_curvature *r);
rllc_status rllc_component_curvature_to_json(const rllc_component_curvature *r, rllc_json **out) RLLC_MUST_USE;
/**
 * What a measurement costs, in passes forward and back over its batch (a pass back counts two): 1 for loss and
 * gradient, 1 + 2 p for the products of p probes that share a pass, and 5/6 for each prediction of a sequence (a pass
 * forward and two back on half of it). Components whose pass begins high, and Fisher terms, which form few logits, cost
 * less.
 */
double rllc_component_curvature_cost(const rllc_curvature_options *o, int64_t dim);

#endif
