/* A call over a batch, as the files of the engine share it. */
#ifndef RLLC_MODEL_BATCH_H
#define RLLC_MODEL_BATCH_H

#include "engine.h"

/** How a batch is cut: the same for any number of threads. */
typedef struct rllc_cut {
    int64_t sequences; /* of a full block */
    int64_t blocks, slots;
} rllc_cut;

/** Sums over the slots, in their order, with few buffers; see slots.c. */
typedef struct rllc_slots {
    const rllc_kernels *k;
    int64_t n, buffers, size; /* slots; buffers of `size` floats */
    float *memory;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t freed;
    int64_t next, folded;   /* slots handed out; slots in the total, which lies in the buffer of slot 0 */
    int64_t of[RLLC_SLOTS]; /* buffer of a slot */
    bool done[RLLC_SLOTS];
    bool used[RLLC_SLOTS]; /* buffers */
} rllc_slots;

/** A call in progress; order[first .. end-1] is the group in hand. */
typedef struct rllc_pass {
    rllc_engine *e;
    const int32_t *tokens;
    int64_t rows;
    rllc_cut cut;
    rllc_member *members;
    int64_t n_members, first, end;
    const float *base; /* the table's */
    bool run_base;     /* activations at the base weights are needed */
    bool base_loss;    /* ... and their loss */
    float *base_token_losses, *logits;
    int64_t n_families, last_members; /* of the group: families; members on the last layer's path, which come first */
    rllc_slots slots;
} rllc_pass;

rllc_cut rllc_cut_batch(int64_t t, int64_t rows);
/** Block k of the batch. */
rllc_block rllc_pass_block(const rllc_pass *p, int64_t k);
/** The base weights, packed into the engine. */
void rllc_pass_pack_base(rllc_pass *p, const float *base);
/** Rows and token ids that the engine can take. */
rllc_status rllc_pass_check(const rllc_pass *p) RLLC_MUST_USE;

/** Where the losses of member i (n_members: the base) in a slot are summed. */
static inline double *rllc_pass_loss_sum(const rllc_pass *p, int64_t member, int64_t slot) {
    return &p->e->loss_sums[member * RLLC_SLOTS + slot];
}
/** 1 / predictions of the batch. */
static inline double rllc_pass_gradient_scale(const rllc_pass *p) {
    return 1.0 / ((double)p->rows * (double)(p->e->t - 1));
}

/* ---- groups: which members are computed together, and what they need ------------------------------------------- */

/** Puts order[] so that families stand together, those of the last layer's path first. */
void rllc_group_sort(rllc_engine *e, int64_t n_members);
/** What members order[first .. end-1] need. */
rllc_needs rllc_group_needs(const rllc_engine *e, const rllc_member *members, int64_t first, int64_t end);
/** The end of the group that begins at `first`: as many members as keep the buffers of gradients within a bound. */
int64_t rllc_group_end(const rllc_engine *e, const rllc_member *members, int64_t first, int64_t n_members,
                       int64_t buffers);
/** The larger of each need. */
rllc_needs rllc_needs_join(rllc_needs a, rllc_needs b);

/** Plans of the members, and the order in which they are computed. */
rllc_status rllc_engine_plan(rllc_engine *e, const rllc_member *members, int64_t n) RLLC_MUST_USE;
/** Memory for a group. */
rllc_status rllc_engine_ensure(rllc_engine *e, const rllc_needs *needs, int64_t buffers) RLLC_MUST_USE;

/* ---- slots ------------------------------------------------------------------------------------------------------ */

/** Buffers for that many slots on that many threads. */
int64_t rllc_slots_buffers(int64_t slots, int n_threads);
void rllc_slots_init(rllc_slots *s, const rllc_kernels *k, int64_t slots, int64_t buffers, int64_t size, float *memory);
void rllc_slots_release(rllc_slots *s);
/** The next slot and its buffer, zeroed; -1 when all are handed out. Waits for a buffer if none is free. */
int64_t rllc_slots_take(rllc_slots *s, float **buffer);
void rllc_slots_finish(rllc_slots *s, int64_t slot);
/** Adds up the slots not yet in the total, once every slot has finished; then rllc_slots_sum is the total. */
rllc_status rllc_slots_total(rllc_slots *s, int n_threads) RLLC_MUST_USE;
const float *rllc_slots_sum(const rllc_slots *s);

/* ---- paths of low rank ---------------------------------------------------------------------------------------------
 */

/** Members first .. end-1 of the group (all on the last layer's path) on a block, with the base's loss if it is asked
 *  for; adds to the members' packed gradients in `buffer`. */
void rllc_last_layer_block(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b, int64_t slot, float *buffer);
/** One family on the earlier layers' path; `fresh`: the block's u_base must be formed (first family at its layer). */
void rllc_earlier_layer_block(const rllc_pass *p, rllc_workspace *ws, const rllc_block *b, const rllc_family *f,
                              bool fresh, int64_t slot, float *buffer);

/* what both do */

/** r = x* - z* W_O*, y* = z* / sigma*, a = u* - y* b* of a family. z: [rows, H D] of the base's layer; rstd NULL
 *  without normalization.                                                                                      (E80) */
void rllc_family_rows(const rllc_engine *e, rllc_low_rank_space *s, const rllc_plan *plan, const rllc_entry_weights *w,
                      int64_t rows, const float *x, const float *rstd, const float *z, const float *u);
/** A member's x = r + z W_O; with normalization xhat, rstd and ratio = rstd / rstd*; y = z / sigma.            (E80) */
void rllc_member_rows(const rllc_engine *e, rllc_low_rank_space *s, const rllc_plan *plan, const rllc_entry_weights *w,
                      int64_t rows, const float *rstd_base, const float *z, float *x);
/** From dy and g: dz, and the gradient of W_O but for its part in m: "+=". dx (or NULL): gradient of x that reaches it
 *  beside the LayerNorm.                                                                                        (E81)
 */
void rllc_member_rows_backward(const rllc_engine *e, rllc_low_rank_space *s, const rllc_plan *plan,
                               const rllc_entry_weights *w, int64_t rows, const float *z, const float *dx, float *dz,
                               float *dW_O);
/** The moved heads' projections and attention, and back from dz to their gradients. n: what the layer reads. */
void rllc_heads_forward(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_weights *w, const rllc_block *b,
                        const float *n, const rllc_heads *h);
void rllc_heads_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_weights *w, const rllc_plan *plan,
                         const rllc_block *b, const float *n, const rllc_heads *h, float *g);

#endif
