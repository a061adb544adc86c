/*
 * sgmcmc: rules that sample: parameters + gradient + noise -> parameters. They never see a model.
 */
#ifndef RLLC_SGMCMC_H
#define RLLC_SGMCMC_H

#include "rllc/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The field's names; defaults are the paper's. */
typedef struct rllc_sampler_options {
    const char *sampler;          /* "sgld" */
    double lr;                    /* epsilon, 1e-3 */
    double nbeta;                 /* 30 */
    double localization;          /* gamma, 200 */
    double noise_level;           /* 1 */
    double weight_decay;          /* prior at 0; 0 */
    double bounding_box;          /* clamp to w0 +- this; 0 = none */
    int64_t num_chains;           /* 4 */
    int64_t num_draws;            /* 200 */
    int64_t num_burnin_steps;     /* 0 */
    int64_t num_steps_bw_draws;   /* 1 */
    int64_t batch_size;           /* 32 sequences */
    int64_t num_init_loss_batches;/* 16 */
    uint64_t seed;                /* 100 */
} rllc_sampler_options;
extern const rllc_option_table rllc_sampler_option_table;

/** What a step needs besides the options. */
typedef struct rllc_sampler_state {
    int64_t dim;
    float *w;              /* [dim] free coordinates, updated in place */
    const float *w0;       /* [dim] centre of the localization = start */
    const rllc_span *spans; /* indices of the coordinates in the whole model: they address the noise */
    int64_t n_spans;
    float *scratch;        /* [dim] */
} rllc_sampler_state;

/** A sampling rule: a constant in its own file, listed in samplers.def. */
typedef struct rllc_sampler_kind {
    const char *name, *summary, *source;
    rllc_status (*step)(const rllc_sampler_options *o, rllc_sampler_state *s, const float *gradient,
                        const rllc_stream *noise);
} rllc_sampler_kind;

const rllc_sampler_kind *rllc_sampler_find(const char *name); /* NULL if unknown */
const rllc_sampler_kind *const *rllc_sampler_list(int *n);

/** Steps of a chain: burn-in + draws * steps between draws. Draw k is recorded at step burnin + (k + 1) * between - 1
 *  (as devinterp 1), with the loss at the weights before that step's update. */
int64_t rllc_sampler_steps(const rllc_sampler_options *o);
/** The draw recorded at this step, -1 if none. */
int64_t rllc_sampler_draw_at(const rllc_sampler_options *o, int64_t step);

/** One step. RLLC_ENOTFINITE if the gradient has a NaN or infinity (w unchanged). No allocation. */
rllc_status rllc_sampler_step(const rllc_sampler_options *o, rllc_sampler_state *s, const float *gradient,
                              const rllc_stream *noise) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
