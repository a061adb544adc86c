/*
 * llc: loss traces -> learning-coefficient estimates with errors.
 */
#ifndef RLLC_LLC_H
#define RLLC_LLC_H

#include "rllc/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The recorded losses of one chain. */
typedef struct rllc_trace {
    int64_t n_draws;          /* recorded (fewer than asked when the chain diverged) */
    const double *loss;       /* [n_draws] minibatch loss at w_t */
    const double *baseline;   /* [n_draws] loss at w* on the same minibatch */
    double init_loss;         /* mean over the init-loss batches at w* */
    int stream;               /* chains of one stream share minibatches */
    bool diverged;            /* then the chain does not enter the estimate */
} rllc_trace;

typedef struct rllc_estimate {
    double llc_mean;      /* paired: nbeta * mean_t(L_t(w_t) - L_t(w*)), mean over chains (E13) */
    double llc_sd;        /* sd over chains, ddof 1; NaN for one chain */
    double llc_se;        /* standard error of llc_mean; honest about streams (E15, docs/llc.md) */
    double llc_mean_init; /* conventional: nbeta * (mean_t L_t(w_t) - init_loss) (E14) */
    double llc_sd_init, llc_se_init;
    int64_t n_chains, n_diverged; /* given; of these, diverged */
} rllc_estimate;

/**
 * per_chain [n], per_chain_init [n] (either may be NULL) receive each chain's value (NaN when diverged).
 * With no chain left the means are NaN: a result, not an error. A chain with a loss that is not finite counts as
 * diverged even if nobody marked it; a chain without draws does not enter, nor one without init_loss (NaN) the
 * conventional estimate. Sums are exact before they are rounded: chains in another order give the same bits.
 */
void rllc_estimate_from_traces(const rllc_trace *traces, int64_t n, double nbeta, rllc_estimate *out,
                               double *per_chain, double *per_chain_init);

/** LLC, wrLLC, drLLC or wdrLLC: the name derives from the triple. refined_data: corpus is not the training one. */
const char *rllc_estimate_name(const char *component, bool refined_data);

#ifdef __cplusplus
}
#endif
#endif
