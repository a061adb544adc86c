/* A call over a batch, as the files of the engine share it. */
#ifndef RLLC_MODEL_BATCH_H
#define RLLC_MODEL_BATCH_H

#include "engine.h"

/** How a batch is cut: the same for any number of threads. */
typedef struct rllc_cut {
    int64_t sequences; /* of a full block */
    int64_t blocks, slots;
} rllc_cut;

/** A call in progress; members first .. end-1 are the group in hand. */
typedef struct rllc_pass {
    rllc_engine *e;
    const int32_t *tokens;
    int64_t rows;
    rllc_cut cut;
    rllc_member *members;
    int64_t n_members, first, end;
    const float *base;
    bool run_base;  /* activations at the base weights are needed */
    bool base_loss; /* ... and their loss */
    float *base_token_losses, *logits;
} rllc_pass;

rllc_cut rllc_cut_batch(int64_t t, int64_t rows);
/** Block k of the batch. */
rllc_block rllc_pass_block(const rllc_pass *p, int64_t k);
/** The base weights, packed into the engine. */
void rllc_pass_pack_base(rllc_pass *p);
/** Rows and token ids that the engine can take. */
rllc_status rllc_pass_check(const rllc_pass *p) RLLC_MUST_USE;

#endif
