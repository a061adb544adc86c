/* One checkpoint and one corpus being sampled: its cells, their chains, and the minibatches they share. */
#ifndef RLLC_SAMPLING_GROUP_H
#define RLLC_SAMPLING_GROUP_H

#include "rllc/potential.h"
#include "rllc/sampling.h"

/** A chain in progress: a member of the potential. */
typedef struct rllc_chain {
    int64_t cell;     /* index in group->cells */
    int64_t chain, stream;
    int64_t step;     /* next to take */
    int64_t n_draws, n_stored; /* recorded; of these in the store */
    double *loss, *baseline;   /* [num_draws] */
    double init_loss;
    bool diverged, dirty;      /* dirty: the store does not know all of it */
    const char *reason;
    rllc_sampler_state state;  /* w, scratch: own memory */
    float *gradient;
} rllc_chain;

typedef struct rllc_group {
    const rllc_sampling_job *job;
    int64_t steps, streams;
    const char *noise_purpose, *batch_purpose;
    int64_t n_components;
    rllc_component *components;
    rllc_store_cell *cells;           /* [n_components] */
    rllc_chain *chains;               /* of the cells that are not complete */
    int64_t n_chains;
    const rllc_component **moving;    /* [n_chains] component of each chain, for the potential */
    rllc_potential *potential;
    float **token_losses;             /* [n_chains + 1] or NULL */
    double member_steps_done;
} rllc_group;

/** Opens the group: cells found or made in the store, unfinished chains read back or started at w*. */
rllc_status rllc_group_open(rllc_group *g, const rllc_sampling_job *job) RLLC_MUST_USE;
void rllc_group_close(rllc_group *g);

/** Writes what changed since the last commit: draws, chain weights and positions; marks finished cells complete. */
rllc_status rllc_group_commit(rllc_group *g, double seconds) RLLC_MUST_USE;

/** Minibatches of the job, for the potential. */
rllc_batch_source rllc_group_batches(rllc_group *g);

/** Batches behind the init loss: num_init_loss_batches, or fewer when the batches are given and end earlier. */
int64_t rllc_group_init_batches(const rllc_group *g);

/** The estimate of one cell from its stored traces, into the store. */
rllc_status rllc_estimate_cell(rllc_store *store, const rllc_store_cell *cell) RLLC_MUST_USE;

#endif
