/*
 * The inside of the engine: plans, packed weights, activations, workspaces.
 *
 * Shape letters: T context, C model width, H heads, D head width, L layers, V vocabulary, R rows (tokens) of a block.
 * A *block* is a group of whole sequences that one thread carries through the model at a time; a *slot* is a fixed
 * range of blocks with its own sums. Blocks and slots follow from the batch alone, so sums have one order (and one
 * result) for any number of threads.
 */
#ifndef RLLC_MODEL_ENGINE_H
#define RLLC_MODEL_ENGINE_H

#include <math.h>

#include "rllc/model.h"

enum { RLLC_MAX_LAYERS = 64, RLLC_SLOTS = 16, RLLC_BLOCK_ROWS = 256 };

/** The factor on q k^T (E4). */
static inline double rllc_attention_scale(int64_t d_head) { return 1.0 / sqrt((double)d_head); }

/* ---- plan: what a component asks of a pass ----------------------------------------------------------------- */

typedef struct rllc_plan_layer {
    bool ln, qkv, table, W_O, b_O; /* which gradients are formed; table = bias table, summed over sequences */
    int64_t n_heads;               /* heads whose gradients are formed, */
    int *heads;                    /* ascending */
    /* offsets into the packed gradient, -1 = not formed */
    int64_t at_ln_w, at_ln_b, at_qkv /* [C, n 3D] */, at_table /* [T, n 3D] */, at_W_O /* [n D, C] */, at_b_O;
} rllc_plan_layer;

typedef struct rllc_plan {
    rllc_component component; /* own copy of the ranges: says whether the plan still fits */
    bool W_E, W_pos, ln_final, unembed;
    int start;          /* first stage whose output differs from the base: -1 embedding, 0..L-1 layers, L final */
    bool partial_start; /* at layer `start` only the listed heads differ (and perhaps b_O) */
    rllc_plan_layer layers[RLLC_MAX_LAYERS];
    int64_t at_W_E, at_lnf_w, at_lnf_b, at_W_U, at_b_U;
    int64_t gradient_size;  /* floats of the packed gradient */
    int64_t *slice_offsets; /* [tensors * H]: where a slice (or, at head 0, a whole tensor) stands in the free vector */
    int *head_lists;        /* backs layers[].heads */
} rllc_plan;

rllc_status rllc_plan_init(rllc_plan *p, const rllc_model *m, const rllc_component *c) RLLC_MUST_USE;
void rllc_plan_release(rllc_plan *p);
bool rllc_plan_fits(const rllc_plan *p, const rllc_component *c);

/* ---- packed weights ---------------------------------------------------------------------------------------- */

/** What one layer computes with. The listed heads are those this pass computes: all, or the changed ones. */
typedef struct rllc_layer_weights {
    int64_t n_heads;
    const int *heads;
    const float *qkv;  /* [C, n 3D]: columns q | k | v of each listed head */
    const float *bias; /* [T, n 3D]: pos W_Q + b_Q | pos W_K + b_K | b_V */
    const float *W_O;  /* [H D, C] */
    const float *b_O, *ln_w, *ln_b; /* ln NULL without normalization */
} rllc_layer_weights;

typedef struct rllc_pass_weights {
    const float *W_E, *W_pos, *lnf_w, *lnf_b, *W_U, *b_U;
    rllc_layer_weights layers[RLLC_MAX_LAYERS];
} rllc_pass_weights;

/** Floats of packing space for a plan (NULL: the base weights). */
int64_t rllc_pass_weights_size(const rllc_model *m, const rllc_plan *plan);
/** Packs base weights (plan, free, base_pass NULL), or a member's: what it does not move is shared with base_pass. */
void rllc_pass_weights_pack(rllc_pass_weights *w, const rllc_model *m, const rllc_kernels *k, int64_t t,
                            const int *all_heads, const float *base, const rllc_plan *plan, const float *free,
                            const rllc_pass_weights *base_pass, float *space);

/* ---- a pass over a block ----------------------------------------------------------------------------------- */

typedef struct rllc_activations {
    float *x[RLLC_MAX_LAYERS + 1]; /* [R, C] residual stream entering layer l; x[L] leaves the last */
    float *n[RLLC_MAX_LAYERS];     /* [R, C] what attention reads: LN1(x), or x */
    float *mean[RLLC_MAX_LAYERS], *rstd[RLLC_MAX_LAYERS]; /* [R] */
    float *qkv[RLLC_MAX_LAYERS];   /* [R, n 3D] */
    float *z[RLLC_MAX_LAYERS];     /* [R, H D] */
    float *lse[RLLC_MAX_LAYERS];   /* [n, R] */
    float *nf, *mean_f, *rstd_f;   /* what the unembedding reads */
} rllc_activations;

/** Scratch of one thread. `own` is a member's storage; during its pass some pointers of `view` are the base's. */
typedef struct rllc_workspace {
    rllc_activations base, own, view;
    float *logits;                 /* [BLOCK_ROWS, V] */
    float *dnf, *dx, *dn, *dz, *dqkv;
    float *attention;              /* kernel scratch */
    float *losses;                 /* [R] */
    int32_t *targets;              /* [R] */
    float *memory;
} rllc_workspace;

/** The block in hand. */
typedef struct rllc_block {
    const int32_t *tokens; /* [sequences, T] */
    int64_t first;         /* index of the first sequence in the batch */
    int64_t sequences, rows;
} rllc_block;

struct rllc_engine {
    const rllc_model *model;
    const rllc_kernels *k;
    int64_t max_rows;
    int n_threads;
    int64_t t;      /* context length in use */
    int *all_heads; /* 0 .. H-1 */
    rllc_workspace *workspaces; /* [n_threads] */
    float *base_space;
    rllc_pass_weights base;
    /* what the members of a call need; grown by the first call, then reused */
    rllc_plan **plans;          /* [members] */
    double *loss_sums;          /* [members + 1][SLOTS], the base last */
    int64_t *gradient_at;       /* [members] packed gradient in slot s: gradients + gradient_at + s * gradient_size */
    int64_t n_members;
    rllc_pass_weights *weights; /* of the group in hand, */
    int64_t n_weights;
    float *member_space, *gradients; /* and what they point to */
    int64_t member_space_size, gradients_size;
};

/** Runs the stages from plan->start (all of them when plan is NULL) for the block; a->... may alias base's. */
void rllc_forward(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const rllc_plan *plan,
                  const rllc_block *b, const rllc_activations *base, rllc_activations *a);

typedef struct rllc_loss_request {
    double gradient_scale; /* 0 = no gradient */
    float *token_losses;   /* [B, T-1] of the whole batch, or NULL */
    float *logits;         /* [B, T, V] of the whole batch, or NULL */
    float *dW_U, *db_U;    /* "+=", or NULL */
    bool dnf;              /* form the gradient of what the unembedding reads, into ws->dnf */
} rllc_loss_request;

/** Unembedding and cross-entropy by row blocks; returns the sum of the block's losses. */
double rllc_loss(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const float *nf,
                 const rllc_block *b, const rllc_loss_request *q);

/** From ws->dnf down to the lowest tensor the plan asks for; adds to the packed gradient g. */
void rllc_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const rllc_plan *plan,
                   const rllc_block *b, const rllc_activations *a, float *g);

/** Packed gradient (summed over the batch) to the component's free layout. */
void rllc_gradient_unpack(const rllc_engine *e, const rllc_pass_weights *w, const rllc_plan *plan, const float *g,
                          float *out);

/** Floats and layout of a thread's workspace. */
rllc_status rllc_workspace_init(rllc_workspace *ws, const rllc_model *m, const rllc_kernels *k) RLLC_MUST_USE;
int64_t rllc_workspace_floats(const rllc_model *m, const rllc_kernels *k);
void rllc_workspace_release(rllc_workspace *ws);

#endif
