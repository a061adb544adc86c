/*
 * sampling: checkpoint x component x corpus -> chains of losses. All members (component, chain) of one checkpoint and
 * corpus advance in lockstep on common minibatches.
 */
#ifndef RLLC_SAMPLING_H
#define RLLC_SAMPLING_H

#include "rllc/data.h"
#include "rllc/llc.h"
#include "rllc/model.h"
#include "rllc/potential.h"
#include "rllc/sgmcmc.h"
#include "rllc/store.h"
#include "rllc/theory.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- chains on a potential ------------------------------------------------------------------------------------ */

/** One chain: a member of a potential, its sampler's state and what it has recorded. */
typedef struct rllc_chain {
    const rllc_sampler_options *options; /* borrowed; chains of one call share a schedule, not necessarily lr, nbeta, ... */
    int64_t member;             /* of the potential */
    int64_t chain, stream;      /* address of the noise; whose minibatches */
    const char *noise_purpose;  /* interned; with options->seed: the noise */
    const char *label;          /* names it in messages, before its number; NULL = nothing */
    rllc_sampler_state state;   /* own memory */
    float *gradient;
    float *previous;            /* [2 dim] w and gradient one step ago, for the MALA diagnostic; NULL = not wanted */
    int64_t n_draws;
    double *record[RLLC_RECORD_N]; /* each [rllc_sampler_draws] */
    double init_loss;           /* NaN until measured */
    bool diverged;
    const char *reason;         /* "" if it did not */
    double previous_loss;       /* for the MALA diagnostic */
} rllc_chain;

/** A chain at w* (displaced by init_noise). mala: record the acceptance of each step; costs 2 dim floats. */
rllc_status rllc_chain_init(rllc_chain *c, const rllc_potential *p, const rllc_sampler_options *o, int64_t member,
                            int64_t chain, int64_t stream, const char *noise_purpose, bool mala) RLLC_MUST_USE;
void rllc_chain_release(rllc_chain *c);
/** Borrows what the chain has recorded. */
rllc_trace rllc_chain_trace(const rllc_chain *c);

/**
 * One step of those of the n chains that stand at `step` and have not diverged: loss and gradient on the minibatch of
 * their stream, the draw if one is due, the update (E12). after (may be NULL) is called for each stream and minibatch
 * whose losses a draw records, before the update.
 */
typedef struct rllc_chains {
    rllc_potential *potential;
    rllc_chain *list;
    int64_t n, streams;
    rllc_status (*on_draw)(void *context, int64_t stream, int64_t draw, const int64_t *members, int64_t n);
    void *context;
    const rllc_monitor *monitor;
    const char *label;          /* begins the message about a chain that diverged */
    struct rllc_chains_work *work; /* own */
} rllc_chains;
rllc_status rllc_chains_open(rllc_chains *c) RLLC_MUST_USE; /* after potential, list, n, streams are set */
void rllc_chains_close(rllc_chains *c);                     /* frees the work, not the list */
rllc_status rllc_chains_step(rllc_chains *c, int64_t step) RLLC_MUST_USE;
/** Init loss (E14): mean loss at w* over the first `batches` minibatches of each stream, for chains without one. */
rllc_status rllc_chains_measure_init_loss(rllc_chains *c, int64_t batches) RLLC_MUST_USE;

/**
 * Opens chains that stand at their start, measures their init losses, takes every step of their common schedule, closes.
 * RLLC_ESTOPPED if asked to stop. For analytic potentials; rllc_sample keeps its chains in a store between steps.
 */
rllc_status rllc_chains_finish(rllc_chains *c) RLLC_MUST_USE;

/**
 * Whole chains in memory, one for each member of p: chain i moves member i, with minibatches of stream i mod streams.
 * *chains is [p->n_members], to be freed with rllc_chains_free.
 */
rllc_status rllc_chains_run(rllc_potential *p, const rllc_sampler_options *o, int64_t streams, const char *noise_purpose,
                            const rllc_monitor *monitor, rllc_chain **chains) RLLC_MUST_USE;
void rllc_chains_free(rllc_chain *chains, int64_t n);

/**
 * Curvature of the mean loss over the first `batches` minibatches of a stream, at w* of the members asked for (each once).
 * Products with the restricted Hessian are central differences of gradients; every member's vectors advance in lockstep:
 * `probes` of random signs (spectrum), the mean gradient (drift), and at most RLLC_NOISE_VECTORS contrasts between the
 * minibatches' gradients (noise), each through `steps` Lanczos steps. batches = 1, or whole: these minibatches are all
 * the data, the loss has no minibatch noise. RLLC_ENOTFINITE where gradients at or beside w* are not finite.
 * out [n]. Cost a member: 2 batches steps (probes + 1 + noise vectors) gradients of one minibatch.
 */
enum { RLLC_NOISE_VECTORS = 2 };
typedef struct rllc_curvature_settings {
    int64_t probes, steps, batches;
    bool whole;                  /* the loss that is sampled is the mean over these minibatches */
    int64_t stream;
    uint64_t seed;               /* of the random signs */
    const rllc_monitor *monitor; /* may be NULL */
} rllc_curvature_settings;
rllc_status rllc_measure_curvature(rllc_potential *p, const rllc_curvature_settings *settings, int64_t n,
                                   const int64_t *members, rllc_curvature *out) RLLC_MUST_USE;

/* ---- groups --------------------------------------------------------------------------------------------------- */

enum { RLLC_TOKEN_LOSSES_NONE, RLLC_TOKEN_LOSSES_DRAW, RLLC_TOKEN_LOSSES_TOKEN };

typedef struct rllc_sampling_options {
    const char *components; /* selectors: "heads", "full,l0h3,embed" */
    const char *batches;    /* "shared", "streams=2" (default), "independent": which chains share minibatches; "fixed" */
    int token_losses;       /* summary | draw | token */
    bool mala;              /* record the MALA diagnostic */
    int64_t curvature_probes, curvature_steps; /* behind the bias budget; 0 probes = none */
    int64_t commit_seconds; /* 60 */
    const char *loss;       /* "next_token", "reference", or both: each makes cells of its own */
    const char *reference;  /* path of the checkpoint that the loss `reference` is relative to */
} rllc_sampling_options;
extern const rllc_option_table rllc_sampling_option_table;

/** One group: a checkpoint and a corpus; every component's chains run in lockstep. */
typedef struct rllc_sampling_job {
    const rllc_model *model;
    const rllc_model *reference;             /* of options.reference; NULL unless options.loss names it */
    const rllc_store_checkpoint *checkpoint; /* id set, hash of the model */
    const rllc_store_corpus *corpus;         /* id set */
    const char *tokenizer_hash;              /* "" if unknown */
    const rllc_rows *rows;                   /* the corpus' sampling split; or explicit batches */
    bool explicit_batches;                   /* rows has shape [steps, batch, n_ctx]: used in order, by every chain */
    rllc_sampler_options sampler;
    rllc_sampling_options options;
    rllc_store *store;
    const rllc_json *provenance;             /* stored with the cells; NULL = machine and kernels */
    int n_threads;
    const rllc_monitor *monitor;
    double progress_done, progress_total;    /* member-steps before this job and in all jobs; 0, 0 = this job alone */
} rllc_sampling_job;

/**
 * Runs what is missing of the group's cells, committing traces, chain weights and positions to the store about every
 * commit_seconds and at the end; then derives the estimates. RLLC_ESTOPPED if asked to stop (all saved).
 */
rllc_status rllc_sample(const rllc_sampling_job *job) RLLC_MUST_USE;

/** All options that the job's cells are stored with, as canonical JSON text: cells with equal text had equal settings. */
rllc_status rllc_sampling_options_json(const rllc_sampling_job *job, rllc_string *out) RLLC_MUST_USE;

/** The number of streams that `batches` means for this many chains. */
rllc_status rllc_batches_streams(const char *batches, int64_t num_chains, int64_t *streams) RLLC_MUST_USE;

/** Which losses a list such as "next_token,reference" names; NULL is next_token. RLLC_EINPUT for any other name. */
rllc_status rllc_sampling_losses(const char *list, bool *next_token, bool *reference) RLLC_MUST_USE;
/** How cells of a loss are stored: "next_token" (reference NULL) or "reference:" and the hash of its weights. Interned. */
const char *rllc_loss_kind(const rllc_model *reference);

/** Cost of a group: member-steps, tokens through gradients, bytes of memory and of store. */
rllc_status rllc_sampling_cost(const rllc_sampling_job *job, double *member_steps, double *tokens, double *flops,
                               double *memory, double *disk) RLLC_MUST_USE;

/** Rebuilds every estimate of the store from its traces; *n = how many. */
rllc_status rllc_estimates_rebuild(rllc_store *store, int64_t *n) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
