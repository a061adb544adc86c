/* trainer: what one training run holds in memory, shared by the files of this room. */
#ifndef RLLC_TRAIN_TRAINER_H
#define RLLC_TRAIN_TRAINER_H

#include "rllc/train.h"

/* The curves, in the order of rllc_train_record.values: names of the store's metrics. */
enum {
    RLLC_TRAIN_LOSS,
    RLLC_VALIDATION_LOSS,
    RLLC_GRADIENT_NORM,
    RLLC_WEIGHT_NORM,
    RLLC_TOKENS,
    RLLC_SECONDS,
    RLLC_TRAIN_METRICS
};
extern const char *const rllc_train_metric_names[RLLC_TRAIN_METRICS];

/** One point of every curve; NaN where there is none. */
typedef struct rllc_train_record {
    int64_t step;
    double values[RLLC_TRAIN_METRICS];
} rllc_train_record;

typedef struct rllc_trainer {
    const rllc_train_job *job;
    rllc_model model;
    rllc_adamw adamw;
    rllc_engine *engine;
    float *gradient;       /* [P] */
    int32_t *tokens;       /* [batch_size, n_ctx] */
    int64_t *grid, n_grid; /* steps of the checkpoints, 0 and the last included */
    rllc_json *identity;   /* what decides weights and curves: see identity.c */
    int lock;              /* file descriptor, -1 = none */

    /* The state: everything below is saved and comes back. */
    int64_t step;    /* completed updates */
    double loss_sum; /* minibatch losses of the updates since the last record, and their number */
    int64_t loss_n;
    double gradient_norm;       /* of the last update, before clipping; NaN before the first */
    double seconds;             /* spent training by earlier processes */
    rllc_train_record *records; /* since the last checkpoint, which holds the earlier ones */
    int64_t n_records, capacity;

    double loss; /* of the last update, and of the last record's validation: for the progress line */
    double validation_loss;
    double started;     /* rllc_now() when this process took over */
    int64_t saved_step; /* of the newest state on disk, -1 = none */
    double saved_at;    /* rllc_now() when it was written */
} rllc_trainer;

/* ---- order.c --------------------------------------------------------------------------------------------- */

/** The row of the split that visit number v = step * batch_size + i shows: a keyed permutation each epoch. */
int64_t rllc_train_row(uint64_t seed, int64_t n_rows, int64_t visit);

/* ---- identity.c ------------------------------------------------------------------------------------------ */

/** Seed, model, optimiser, batch size, validation rows and data hashes as JSON. */
rllc_status rllc_train_identity(const rllc_train_job *job, rllc_json **out) RLLC_MUST_USE;
/** Hash of the canonical text of an identity. */
rllc_status rllc_train_identity_hash(const rllc_json *identity, rllc_hash *out) RLLC_MUST_USE;
/** RLLC_EMISMATCH naming every field that differs, with both values. */
rllc_status rllc_train_identity_check(const rllc_json *wanted, const rllc_json *found,
                                      const char *folder) RLLC_MUST_USE;

/* ---- record.c -------------------------------------------------------------------------------------------- */

rllc_status rllc_train_records_add(rllc_trainer *t, const rllc_train_record *record) RLLC_MUST_USE;
rllc_status rllc_train_records_to_json(const rllc_trainer *t, rllc_json **out) RLLC_MUST_USE;
/** Replaces the trainer's records. */
rllc_status rllc_train_records_from_json(rllc_trainer *t, const rllc_json *j, const char *path) RLLC_MUST_USE;
/** Writes the trainer's records with step >= first to the store (none: nothing to do). */
rllc_status rllc_train_records_store(const rllc_trainer *t, int64_t first) RLLC_MUST_USE;

/* ---- curves.c -------------------------------------------------------------------------------------------- */

/** Measures and records a point of every curve at the present step; begins a new mean of the training loss. */
rllc_status rllc_train_record_now(rllc_trainer *t) RLLC_MUST_USE;
/** Tells the store (none: nothing to do) of a checkpoint in the folder. */
rllc_status rllc_train_store_checkpoint(const rllc_trainer *t, int64_t step, const char *hash) RLLC_MUST_USE;
/** Makes the store agree with the folder up to the resumed step, whatever was lost or never written between them. */
rllc_status rllc_train_store_rebuild(rllc_trainer *t) RLLC_MUST_USE;

/* ---- state.c --------------------------------------------------------------------------------------------- */

/** Writes model.safetensors, trainer_state.json and, last, optimizer.safetensors into an existing folder. */
rllc_status rllc_train_state_write(const rllc_trainer *t, const char *folder) RLLC_MUST_USE;
/** Reads such a folder; every part is checked against the hashes written with it. RLLC_EMISMATCH: another run's. */
rllc_status rllc_train_state_read(rllc_trainer *t, const char *folder) RLLC_MUST_USE;
/** Reads and checks trainer_state.json only. */
rllc_status rllc_train_state_json(const rllc_trainer *t, const char *folder, rllc_json **out) RLLC_MUST_USE;

/* ---- folder.c -------------------------------------------------------------------------------------------- */

/** Makes the folder and takes its lock; RLLC_EFAIL if another process trains there. */
rllc_status rllc_train_folder_open(rllc_trainer *t) RLLC_MUST_USE;
void rllc_train_folder_close(rllc_trainer *t);
/** Reads the newest complete state, or leaves t->saved_step = -1 if the folder holds none. */
rllc_status rllc_train_folder_resume(rllc_trainer *t) RLLC_MUST_USE;
/** Saves the state as a checkpoint (or under resume/), whole or not at all, then drops what it supersedes. */
rllc_status rllc_train_folder_save(rllc_trainer *t, bool checkpoint) RLLC_MUST_USE;
/** Calls visit for the folder of every checkpoint up to step `last`, in order. */
rllc_status rllc_train_folder_checkpoints(const rllc_trainer *t, int64_t last,
                                          rllc_status (*visit)(rllc_trainer *, int64_t step, const char *folder),
                                          rllc_trainer *context) RLLC_MUST_USE;

/* ---- cost.c ---------------------------------------------------------------------------------------------- */

/** Numbers in range, rows there and of the model's length. */
rllc_status rllc_train_check(const rllc_train_job *job) RLLC_MUST_USE;

/* ---- grid.c ---------------------------------------------------------------------------------------------- */

/** The steps to keep: the option's grid up to `steps`, with 0 and `steps`. Free *steps with rllc_free. */
rllc_status rllc_train_grid(const rllc_train_options *o, int64_t **steps, int64_t *n) RLLC_MUST_USE;
bool rllc_train_grid_has(const rllc_trainer *t, int64_t step);

#endif
