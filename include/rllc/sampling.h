/*
 * sampling: checkpoint x component x corpus -> chains of losses. All members (component, chain) of one checkpoint and
 * corpus advance in lockstep on common minibatches.
 */
#ifndef RLLC_SAMPLING_H
#define RLLC_SAMPLING_H

#include "rllc/data.h"
#include "rllc/llc.h"
#include "rllc/model.h"
#include "rllc/sgmcmc.h"
#include "rllc/store.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { RLLC_TOKEN_LOSSES_NONE, RLLC_TOKEN_LOSSES_DRAW, RLLC_TOKEN_LOSSES_TOKEN };

typedef struct rllc_sampling_options {
    const char *components; /* selectors: "heads", "full,l0h3,embed" */
    const char *batches;    /* "shared", "streams=2" (default), "independent": which chains share minibatches */
    int token_losses;       /* summary | draw | token */
    int64_t commit_seconds; /* 60 */
} rllc_sampling_options;
extern const rllc_option_table rllc_sampling_option_table;

/** One group: a checkpoint and a corpus; every component's chains run in lockstep. */
typedef struct rllc_sampling_job {
    const rllc_model *model;
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

/** Cost of a group: member-steps, tokens through gradients, bytes of memory and of store. */
rllc_status rllc_sampling_cost(const rllc_sampling_job *job, double *member_steps, double *tokens, double *flops,
                               double *memory, double *disk) RLLC_MUST_USE;

/** Rebuilds every estimate of the store from its traces; *n = how many. */
rllc_status rllc_estimates_rebuild(rllc_store *store, int64_t *n) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
