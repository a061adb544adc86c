/*
 * potential: what can be sampled. A potential serves many members (component, chain) on the same minibatch.
 */
#ifndef RLLC_POTENTIAL_H
#define RLLC_POTENTIAL_H

#include "rllc/model.h"
#include "rllc/sgmcmc.h"
#include "rllc/theory.h"

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
     * same minibatch. A member's arithmetic does not depend on which others share the call (bit for bit). A member may
     * be listed any number of times, each with its own w: n is not bounded by n_members.
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

/** Its losses and gradients are relative to `reference` from now on (rllc_engine_set_reference); borrowed. */
rllc_status rllc_potential_transformer_set_reference(rllc_potential *transformer,
                                                     const rllc_model *reference) RLLC_MUST_USE;

/** L(w) = 1/2 sum_i h_i (w_i - c_i)^2, the Gaussian test bed; members share w0. Whole-vector index = i. */
rllc_status rllc_potential_quadratic(rllc_potential **out, int64_t dim, const double *h, const double *centre,
                                     const float *w0, int64_t n_members) RLLC_MUST_USE;

/* ---- targets whose learning coefficient is known ----------------------------------------------------------------- */

/** A family of them: a constant in its own file, listed in src/potential/analytic.def. */
typedef struct rllc_analytic_kind rllc_analytic_kind;
const rllc_analytic_kind *const *rllc_analytic_list(int *n);
rllc_status rllc_analytic_find(const char *name, const rllc_analytic_kind **out) RLLC_MUST_USE; /* RLLC_EUSAGE: unknown */
const char *rllc_analytic_name(const rllc_analytic_kind *kind);
const char *rllc_analytic_summary(const rllc_analytic_kind *kind);
const rllc_option_table *rllc_analytic_kind_table(const rllc_analytic_kind *kind); /* the kind's own options, */
size_t rllc_analytic_options_size(const rllc_analytic_kind *kind);                 /* and bytes of the struct they fill */

extern const rllc_option_table rllc_quadratic_option_table, rllc_monomial_option_table, rllc_reduced_rank_option_table,
    rllc_deep_linear_option_table, rllc_tanh_option_table, rllc_bigram_option_table; /* the same tables, for help */

/** What every kind takes. */
typedef struct rllc_analytic_options {
    const char *mask;              /* which coordinates move: 1,1,0; 0..3,7; names of blocks A+B; NULL = all */
    const char *center;            /* displaces w* from the kind's minimum: one number, or one a coordinate */
    const char *start;             /* displaces the chains' start from w* */
    const char *noise_of_gradient; /* variance of the normal noise added to the gradient */
    int64_t samples;               /* 0: the population loss; else the mean over this many samples */
    double sample_noise;           /* sd of the noise on the samples' targets */
} rllc_analytic_options;
extern const rllc_option_table rllc_analytic_option_table;

/** One target, num_chains members around its w*. */
typedef struct rllc_analytic {
    rllc_potential *potential;    /* owned by this */
    int64_t dim, free_dim;        /* coordinates; those that move */
    int64_t streams;              /* num_chains where chains see minibatches of a finite sample, else 1 */
    const float *start;           /* [free_dim] displacement of the chains' start; NULL: none */
    rllc_coefficient coefficient; /* at w*, of what moves; lambda NaN: unknown */
    const char *doubt;            /* what a reader should know: "" or a sentence (interned) */
} rllc_analytic;

/** options: the struct of the kind's table. o: num_chains, batch_size, seed are read. */
rllc_status rllc_analytic_make(rllc_analytic **out, const rllc_analytic_kind *kind, const void *options,
                               const rllc_analytic_options *common, const rllc_sampler_options *o) RLLC_MUST_USE;
void rllc_analytic_free(rllc_analytic *a); /* accepts NULL */

/** What one chain's estimate should be. */
typedef struct rllc_expectation {
    double mean, sd;    /* NaN: unknown */
    const char *source; /* "law": exact at these settings; "gibbs": of a perfect sampler in equilibrium; "none" */
    const char *reason; /* why there is none, or no sd; "" */
} rllc_expectation;
/** Exact where the loss is quadratic in what moves, or of one variable; the Gibbs value for exact samplers. */
rllc_status rllc_analytic_expect(rllc_analytic *a, const rllc_sampler_options *o, rllc_expectation *out) RLLC_MUST_USE;
/** The Gibbs value whatever the sampler, source "gibbs" or "none". */
rllc_status rllc_analytic_gibbs(rllc_analytic *a, const rllc_sampler_options *o, rllc_expectation *out) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
