/*
 * sgmcmc: rules that sample: parameters + gradient + noise -> parameters. They never see a model.
 */
#ifndef RLLC_SGMCMC_H
#define RLLC_SGMCMC_H

#include "rllc/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Whose conventions a chain follows. `none` is ours (and devinterp 1's draw order); see docs/devinterp.md. */
enum { RLLC_COMPAT_NONE, RLLC_COMPAT_DEVINTERP1, RLLC_COMPAT_DEVINTERP2 };

/** The field's names; defaults are the paper's. Options that the chosen sampler does not read must stand at their
 *  defaults (rllc_sampler_check): no option is ignored. */
typedef struct rllc_sampler_options {
    const char *sampler;          /* a name of samplers.def; "sgld" */
    double lr;                    /* epsilon, 1e-3 */
    double nbeta;                 /* 30 */
    double localization;          /* gamma, 200 */
    double noise_level;           /* 1 */
    double weight_decay;          /* prior at 0; 0 */
    double bounding_box;          /* clamp to w0 +- this; 0 = none */
    double init_noise;            /* sd of the normal displacement of each free coordinate at the start; 0 */
    int64_t num_chains;           /* 4 */
    int64_t num_draws;            /* 200 */
    int64_t num_burnin_steps;     /* 0 */
    int64_t num_steps_bw_draws;   /* 1 */
    int64_t batch_size;           /* 32 sequences */
    int64_t gradient_accumulation_steps; /* minibatches whose mean loss makes one step; 1 */
    int64_t num_init_loss_batches;/* 16 */
    uint64_t seed;                /* 100 */
    int compat;                   /* RLLC_COMPAT_* */
    int rmsprop_variant;          /* rmsprop-sgld: 0 devinterp, 1 corrected */
    double rmsprop_alpha;         /* rmsprop-sgld: decay of the second moment, 0.99 */
    double rmsprop_eps;           /* rmsprop-sgld: added to the root; 0 = the variant's own (0.1; 1e-8) */
    bool rmsprop_freeze;          /* rmsprop-sgld: the preconditioner stands still after burn-in */
    double momentum_decay;        /* sghmc: xi, share of the momentum lost a step; 0.1 */
    double diffusion_factor;      /* sgnht: A, initial friction and noise; 0.01 */
    int64_t num_leapfrog_steps;   /* hmc: gradients a transition; 10 */
} rllc_sampler_options;
extern const rllc_option_table rllc_sampler_option_table;
/** The same fields with defaults for a target of a few coordinates near the limit of large nbeta (rllc potential). */
extern const rllc_option_table rllc_sampler_target_option_table;

enum { RLLC_SAMPLER_SCALARS = 8 };

/** What a step needs besides the options. `memory` and `scalar` are zero at the start, belong to the sampler, and are
 *  saved with w: a chain goes on from (w, memory, scalar, step). */
typedef struct rllc_sampler_state {
    int64_t dim;
    float *w;              /* [dim] where the next loss and gradient are wanted; updated in place */
    const float *w0;       /* [dim] centre of the localization: w* */
    const rllc_span *spans; /* indices of the coordinates in the whole model: they address the noise */
    int64_t n_spans;
    float *scratch;        /* [dim] */
    float *memory;         /* [rllc_sampler_memory(o) * dim]: momenta, second moments, kept points; NULL if none */
    double scalar[RLLC_SAMPLER_SCALARS]; /* thermostat, energies, counts */
    int64_t step;          /* steps taken before this one */
    double noise_norm;     /* out: norm of the noise that this step added; NaN where a step has no single noise */
} rllc_sampler_state;

/** A sampling rule: a constant in its own file, listed in samplers.def. */
typedef struct rllc_sampler_kind {
    const char *name, *summary, *source;
    const char *reads;      /* the options, besides the schedule's and batches', that it reads: "lr,nbeta,..." */
    int n_memory;           /* vectors of dim that it keeps */
    bool exact;             /* a Metropolis rule: samples its target exactly, and needs the same batch at every step; its
                               memory begins with the chain's state and the gradient there, w is a proposal */
    /** What else of the options it refuses, RLLC_EUSAGE (NULL: nothing). */
    rllc_status (*check)(const rllc_sampler_options *o);
    /** Loss and gradient evaluations that make one step (NULL: one). All but the first are inside the step. */
    int64_t (*evaluations)(const rllc_sampler_options *o);
    /**
     * Takes *loss and gradient [dim] at s->w, moves s->w. On return *loss is the loss of the chain's state before the
     * update, which is what a draw records: the loss given, except where a proposal was rejected (exact rules).
     */
    rllc_status (*step)(const rllc_sampler_options *o, rllc_sampler_state *s, double *loss, const float *gradient,
                        const rllc_stream *noise);
    /** Share of proposals accepted so far, for exact rules; NULL otherwise. */
    double (*acceptance)(const rllc_sampler_options *o, const rllc_sampler_state *s);
    /** Where the chain is, where that is not s->w; NULL: s->w. */
    const float *(*position)(const rllc_sampler_state *s);
} rllc_sampler_kind;

const rllc_sampler_kind *rllc_sampler_find(const char *name); /* NULL if unknown */
const rllc_sampler_kind *const *rllc_sampler_list(int *n);
/** RLLC_EUSAGE for an unknown sampler (with the nearest name), or an option off its default that the sampler does not
 *  read: it would do nothing. */
rllc_status rllc_sampler_check(const rllc_sampler_options *o) RLLC_MUST_USE;
/** Marks what compat decides, if nobody else does, as not given: nbeta and num_init_loss_batches. Before options are read. */
void rllc_sampler_unset(rllc_sampler_options *o);
/** Fills in what is still marked so, after options are read: the defaults, or with m the sequences of one step devinterp 1's
 *  nbeta = m / ln m (1 if m = 1) and a minibatch a chain, or devinterp 2's 32 minibatches (times the accumulation, both);
 *  RLLC_EUSAGE under devinterp2 without nbeta, for it has no default. */
rllc_status rllc_sampler_complete(rllc_sampler_options *o) RLLC_MUST_USE;
int64_t rllc_sampler_memory(const rllc_sampler_options *o);      /* vectors of dim */
int64_t rllc_sampler_evaluations(const rllc_sampler_options *o); /* of loss and gradient, a step */

/** [dim] The chain's state: s->w, but for exact rules, whose s->w is a proposal. After the first evaluation of a step it
 *  is the point whose loss that evaluation returned. */
const float *rllc_sampler_position(const rllc_sampler_options *o, const rllc_sampler_state *s);

/** Steps of a chain: burn-in + draws * steps between draws. Draw k is recorded at step burnin + (k + 1) * between - 1
 *  (as devinterp 1), with the loss at the weights before that step's update. Under devinterp 2 every step, burn-in
 *  included, is recorded, as its estimate averages them all. */
int64_t rllc_sampler_steps(const rllc_sampler_options *o);
/** Draws that a whole chain records. */
int64_t rllc_sampler_draws(const rllc_sampler_options *o);
/** The draw recorded at this step, -1 if none. */
int64_t rllc_sampler_draw_at(const rllc_sampler_options *o, int64_t step);

/** One evaluation's worth of a step. No allocation. RLLC_ENOTFINITE if loss or gradient is not finite (w unchanged); an
 *  exact rule says so of its first point only: a proposal without a finite loss is a proposal rejected.
 *  `noise` is the stream of (chain, s->step); a rule may also read the stream of the step after it. */
rllc_status rllc_sampler_step(const rllc_sampler_options *o, rllc_sampler_state *s, double *loss, const float *gradient,
                              const rllc_stream *noise) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
