/* One checkpoint and one corpus being sampled: its cells, their chains, and the minibatches they share. */
#ifndef RLLC_SAMPLING_GROUP_H
#define RLLC_SAMPLING_GROUP_H

#include "rllc/potential.h"
#include "rllc/sampling.h"

/** What the group knows of a chain besides: chains.list[i] is kept[i]. */
typedef struct rllc_kept {
    int64_t cell;      /* index in group->cells */
    int64_t n_stored;  /* draws in the store */
    int64_t step;      /* at the last commit */
    bool known;        /* the store has a row of it that still holds */
} rllc_kept;

typedef struct rllc_group {
    const rllc_sampling_job *job;
    const rllc_model *reference; /* that the loss is relative to; NULL: of the next token */
    const char *loss_kind;       /* as the store calls it */
    int64_t steps, streams;
    const char *noise_purpose, *batch_purpose;
    int64_t n_components;
    rllc_component *components;
    rllc_store_cell *cells;           /* [n_components] */
    rllc_chains chains;               /* of the cells that are not complete */
    rllc_kept *kept;                  /* [chains.n] */
    const rllc_component **moving;    /* [chains.n] component of each chain, for the potential */
    rllc_potential *potential;
    float **token_losses;             /* [chains.n + 1] or NULL */
    double member_steps_done;
} rllc_group;

/** Opens the group under one of the job's losses (reference NULL: of the next token): cells found or made in the store,
 *  unfinished chains read back or started at w*. */
rllc_status rllc_group_open(rllc_group *g, const rllc_sampling_job *job, const rllc_model *reference) RLLC_MUST_USE;
void rllc_group_close(rllc_group *g);

/** Writes what changed since the last commit: draws, chain weights and positions; marks finished cells complete. */
rllc_status rllc_group_commit(rllc_group *g, double seconds) RLLC_MUST_USE;

/** Bytes of a chain's state besides w: the sampler's memory, the step before, the scalars. */
int64_t rllc_chain_memory_bytes(const rllc_chain *c);
/** Copies that state to or from a block of that size. */
void rllc_chain_save(const rllc_chain *c, void *block);
void rllc_chain_restore(rllc_chain *c, const void *block);

/** Minibatches of the job, for the potential. */
rllc_batch_source rllc_group_batches(rllc_group *g);

/** The losses whose cells the job asks for; RLLC_EUSAGE if it lacks the reference model. */
rllc_status rllc_job_losses(const rllc_sampling_job *job, bool *next_token, bool *reference) RLLC_MUST_USE;

/** Whether every step sees the same minibatch (batches: fixed). */
bool rllc_job_is_fixed(const rllc_sampling_job *job);

/** How the curvature at w* is measured: on two minibatches, the fewest that show their noise; fixed ones, all of them:
 *  their mean is the loss, without noise. */
rllc_curvature_settings rllc_job_curvature(const rllc_sampling_job *job);

/** Batches behind the init loss: num_init_loss_batches, or fewer when the batches are given and end earlier. */
int64_t rllc_group_init_batches(const rllc_group *g);

/** The estimate of one cell from its stored traces, into the store. */
rllc_status rllc_estimate_cell(rllc_store *store, const rllc_store_cell *cell) RLLC_MUST_USE;

#endif
