/*
 * optim: rules that descend: parameters + gradient -> parameters.
 */
#ifndef RLLC_OPTIM_H
#define RLLC_OPTIM_H

#include "rllc/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rllc_adamw_options {
    double lr;            /* 1e-3 */
    double beta1, beta2;  /* 0.9, 0.999 */
    double eps;           /* 1e-8 */
    double weight_decay;  /* 0.05, on every parameter */
    double max_grad_norm; /* 0 = no clipping */
} rllc_adamw_options;
extern const rllc_option_table rllc_adamw_option_table;

/** AdamW state for n parameters. */
typedef struct rllc_adamw {
    rllc_adamw_options options;
    int64_t n;
    int64_t step; /* completed updates */
    float *m, *v; /* [n] each: the running means of the gradient and of its square */
    double *squares; /* scratch: the squared length of each chunk of the gradient */
} rllc_adamw;

rllc_status rllc_adamw_init(rllc_adamw *a, int64_t n, const rllc_adamw_options *options) RLLC_MUST_USE;
void rllc_adamw_release(rllc_adamw *a);
/**
 * One step (E7). g may be scaled in place by clipping. RLLC_ENOTFINITE (nothing changed) if g has a NaN or infinity.
 * *gradient_norm (may be NULL) gets |g| before clipping. Runs on n_threads; the bits do not depend on their number.
 */
rllc_status rllc_adamw_update(rllc_adamw *a, float *g, float *w, int n_threads, double *gradient_norm) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
