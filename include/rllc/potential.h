/*
 * potential: what can be sampled. A potential serves many members (component, chain) on the same minibatch.
 */
#ifndef RLLC_POTENTIAL_H
#define RLLC_POTENTIAL_H

#include "rllc/model.h"
#include "rllc/sgmcmc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rllc_potential rllc_potential;

typedef struct rllc_potential_kind {
    const char *name;
    /** Selects the minibatch (stream, step); its data are fetched here. */
    rllc_status (*prepare)(rllc_potential *, int64_t stream, int64_t step);
    /**
     * Losses and gradients of several members at their free coordinates w[i] on the prepared minibatch.
     * loss[i] mean minibatch loss; gradient[i] [dim] "=", or NULL for the loss only. *baseline: the loss at w* on the
     * same minibatch. A member's arithmetic does not depend on which others share the call (bit for bit).
     */
    rllc_status (*loss_and_gradient)(rllc_potential *, int64_t n, const int64_t *members, const float *const *w,
                                     double *loss, float *const *gradient, double *baseline);
    void (*free)(rllc_potential *);
} rllc_potential_kind;

/** What a member is: where it starts and which parameters of the whole vector move. */
typedef struct rllc_potential_member {
    int64_t dim;
    const float *w0;        /* [dim] */
    const rllc_span *spans; /* [n_spans] */
    int64_t n_spans;
} rllc_potential_member;

struct rllc_potential { /* every kind's struct begins with this */
    const rllc_potential_kind *kind;
    rllc_potential_member *members;
    int64_t n_members;
};

rllc_status rllc_potential_prepare(rllc_potential *p, int64_t stream, int64_t step) RLLC_MUST_USE;
rllc_status rllc_potential_loss_and_gradient(rllc_potential *p, int64_t n, const int64_t *members,
                                             const float *const *w, double *loss, float *const *gradient,
                                             double *baseline) RLLC_MUST_USE;
void rllc_potential_free(rllc_potential *p); /* accepts NULL */

/** Gives the tokens [rows, n_ctx] of minibatch (stream, step). */
typedef struct rllc_batch_source {
    void *context;
    rllc_status (*get)(void *context, int64_t stream, int64_t step, int64_t rows, int32_t *tokens);
} rllc_batch_source;

/**
 * The transformer's next-token loss around checkpoint m; member i moves components[i] (borrowed, like m).
 * token_losses (may be NULL): [n_members + 1][rows, T-1] filled at each call, entry n_members = the baseline.
 */
rllc_status rllc_potential_transformer(rllc_potential **out, const rllc_model *m,
                                       const rllc_component *const *components, int64_t n_members, int64_t batch_size,
                                       rllc_batch_source source, int n_threads, float **token_losses) RLLC_MUST_USE;

/** L(w) = 1/2 sum_i h_i (w_i - c_i)^2, the Gaussian test bed; members share w0. Whole-vector index = i. */
rllc_status rllc_potential_quadratic(rllc_potential **out, int64_t dim, const double *h, const double *centre,
                                     const float *w0, int64_t n_members) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
