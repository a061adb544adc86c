/*
 * train: data + model + optimiser -> checkpoints and a loss curve.
 *
 * folder/checkpoints/step<N>/model.safetensors, trainer_state.json and, for the latest checkpoint (or all, by option),
 * optimizer.safetensors. Step = completed updates; step 0 = initialisation. Interrupted at any moment and run again,
 * training ends with bit-identical weights, for any number of threads.
 */
#ifndef RLLC_TRAIN_H
#define RLLC_TRAIN_H

#include "rllc/data.h"
#include "rllc/model.h"
#include "rllc/optim.h"
#include "rllc/store.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rllc_train_options {
    int64_t steps;            /* updates */
    int64_t batch_size;       /* sequences an update */
    const char *checkpoints;  /* grid, rllc_grid_parse; 0 and `steps` are always added */
    int64_t validation_every; /* steps between validation losses; 0 = at checkpoints only */
    int64_t validation_rows;  /* sequences of the validation split used; 0 = all */
    bool keep_all_optimizer_states;
    int64_t save_every_seconds; /* also save the resumable state this often (latest only); 0 = at checkpoints only */
} rllc_train_options;
extern const rllc_option_table rllc_train_option_table;

typedef struct rllc_train_job {
    const char *folder;                /* of this seed */
    uint64_t seed;                     /* init and data order */
    rllc_model_options model;
    rllc_adamw_options optimizer;
    rllc_train_options options;
    const rllc_rows *train, *validation; /* validation may be NULL */
    const char *tokenizer_hash;          /* of the tokenizer behind the rows, noted with the weights; may be NULL */
    rllc_store *store;                 /* may be NULL */
    int n_threads;
    const rllc_monitor *monitor;
} rllc_train_job;

/** Runs or goes on to the end. RLLC_ESTOPPED when the monitor asked to stop (state saved).
 *  RLLC_EMISMATCH if the folder holds a run of other options, seed or data (and says which). */
rllc_status rllc_train(const rllc_train_job *job) RLLC_MUST_USE;

/** Bytes of memory that training will hold, and bytes on disk for the checkpoints. Refuses what rllc_train would refuse of
 *  the job alone, so that a caller can ask before it makes a folder or a store. */
rllc_status rllc_train_cost(const rllc_train_job *job, double *tokens, double *memory, double *disk) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
