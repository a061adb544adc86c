/*
 * The inside of the engine: plans, packed weights, activations, workspaces.
 *
 * Shape letters: T context, C model width, H heads, D head width, L layers, V vocabulary, R rows (tokens) of a block.
 * A *block* is a group of whole sequences that one thread carries through the model at a time; a *slot* is a fixed
 * range of blocks with its own sums. Blocks and slots follow from the batch alone, so sums have one order (and one
 * result) for any number of threads. A *piece* is as many rows of a block as have their logits formed at once.
 *
 * Everything that a pass computes with or writes lies in the memory of the kernel table, which need not be the host's:
 * only kernels, upload and download touch it. Token ids, losses, and the caller's weights and gradients are the host's.
 */
#ifndef RLLC_MODEL_ENGINE_H
#define RLLC_MODEL_ENGINE_H

#include <math.h>
#include <pthread.h>

#include "rllc/model.h"

enum { RLLC_MAX_LAYERS = 64, RLLC_SLOTS = 16, RLLC_BLOCK_ROWS = 256, RLLC_PIECE_ROWS = 128 };

/** The factor on q k^T (E4). */
static inline double rllc_attention_scale(int64_t d_head) {
    return 1.0 / sqrt((double)d_head);
}

/* ---- plan: what a component asks of a pass ----------------------------------------------------------------- */

/**
 * How a member is computed. What a few heads of one layer write into the residual stream has rank n_heads D, and the
 * first thing it meets is a LayerNorm with a linear map behind it: seen through both, the change is still of that rank
 * (E80), and what all such members share is formed once.
 */
typedef enum rllc_path {
    RLLC_PATH_PLAIN,   /* forward from the first stage that differs, backward down to it: the definition */
    RLLC_PATH_LAST,    /* heads of the last layer: the map is the unembedding */
    RLLC_PATH_EARLIER, /* heads of a layer below: the map is the next layer's projections */
} rllc_path;

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
    rllc_path path;
    int64_t rank;    /* n_heads D of layer `start`; 0 on the plain path */
    int64_t outputs; /* columns of the map behind the next LayerNorm: 3 H D, or V; 0 on the plain path */
    rllc_plan_layer layers[RLLC_MAX_LAYERS];
    int64_t at_W_E, at_lnf_w, at_lnf_b, at_W_U, at_b_U;
    int64_t
        at_m; /* sums of (gradient of outputs) x (z / sigma): [V, rank] on the last layer's path, else [rank, 3 H D] */
    int64_t gradient_size;  /* floats of the packed gradient */
    int64_t *slice_offsets; /* [tensors * H]: where a slice (or, at head 0, a whole tensor) stands in the free vector */
    int *head_lists;        /* backs layers[].heads */
} rllc_plan;

rllc_status rllc_plan_init(rllc_plan *p, const rllc_model *m, const rllc_component *c, bool plain) RLLC_MUST_USE;
void rllc_plan_release(rllc_plan *p);
bool rllc_plan_fits(const rllc_plan *p, const rllc_component *c);
/** Members whose frozen rest is the same: the same heads, on a path other than the plain one. */
bool rllc_plan_related(const rllc_plan *a, const rllc_plan *b);

/* ---- packed weights ---------------------------------------------------------------------------------------- */

/** What one layer computes with. The listed heads are those this pass computes: all, or the changed ones. */
typedef struct rllc_layer_weights {
    int layer;
    int64_t n_heads;
    const int *heads;
    const float *qkv;               /* [C, n 3D]: columns q | k | v of each listed head */
    const float *bias;              /* [T, n 3D]: pos W_Q + b_Q | pos W_K + b_K | b_V */
    const float *W_O;               /* [H D, C] */
    const float *b_O, *ln_w, *ln_b; /* ln NULL without normalization */
} rllc_layer_weights;

/** A few heads of one layer, as what lies behind them sees them. */
typedef struct rllc_entry_weights {
    const float *W_O; /* [rank, C] */
    const float *b;   /* [rank, outputs] W_O Wf, of the fold behind them */
} rllc_entry_weights;

typedef struct rllc_pass_weights {
    const float *W_E, *W_pos, *lnf_w, *lnf_b, *W_U, *b_U;
    rllc_layer_weights layers[RLLC_MAX_LAYERS];
    rllc_entry_weights entry; /* of a member that is not on the plain path */
} rllc_pass_weights;

/**
 * A LayerNorm and the linear map behind it, folded: map(LN(x)) = x Wf / sigma(x) + c.                        (E80)
 * fold l = 1 .. L-1 is ln1 of layer l and its projections; fold L is ln_final and the unembedding.
 */
typedef struct rllc_fold {
    const float *W; /* [C, outputs] centred diag(w) W, or W itself without normalization */
    const float *c; /* b W + what is added: [T, 3 H D], or [V] */
    float *space;   /* what backs them; NULL until a member needs this fold */
} rllc_fold;

/** Floats of packing space for a plan (NULL: the base weights). */
int64_t rllc_pass_weights_size(const rllc_model *m, const rllc_plan *plan);
/** The same for a member, and where the table cannot reach the host the copy of its free weights behind that: packed
 *  weights point into them. */
int64_t rllc_member_space(const rllc_engine *e, const rllc_plan *plan);
/** Packs base weights (plan, free, base_pass NULL), or a member's: what it does not move is shared with base_pass. All
 *  pointers are the table's. */
void rllc_pass_weights_pack(rllc_pass_weights *w, const rllc_engine *e, const float *base, const rllc_plan *plan,
                            const float *free, const rllc_pass_weights *base_pass, float *space);
/** The entry of the plan's heads, from the member's weights or (free NULL) the base's, into rllc_entry_size floats. */
int64_t rllc_entry_size(const rllc_model *m, const rllc_plan *plan);
void rllc_entry_pack(rllc_entry_weights *w, const rllc_engine *e, const float *base, const rllc_plan *plan,
                     const float *free, float *space);
/** Floats behind fold l, and the fold itself from the packed base weights. */
int64_t rllc_fold_size(const rllc_model *m, int64_t l);
void rllc_fold_pack(const rllc_engine *e, int64_t l, rllc_fold *f);

/* ---- a pass over a block ----------------------------------------------------------------------------------- */

typedef struct rllc_activations {
    float *x[RLLC_MAX_LAYERS + 1]; /* [R, C] residual stream entering layer l; x[L] leaves the last */
    float *n[RLLC_MAX_LAYERS];     /* [R, C] what attention reads: LN1(x), or x */
    float *mean[RLLC_MAX_LAYERS], *rstd[RLLC_MAX_LAYERS]; /* [R] */
    float *qkv[RLLC_MAX_LAYERS];                          /* [R, n 3D] */
    float *z[RLLC_MAX_LAYERS];                            /* [R, H D] */
    float *lse[RLLC_MAX_LAYERS];                          /* [n, R] */
    float *nf, *mean_f, *rstd_f;                          /* what the unembedding reads */
} rllc_activations;

/** The moved heads of a member in a block. */
typedef struct rllc_heads {
    float *qkv; /* [R, 3 rank] */
    float *z;   /* [R, rank] */
    float *dz;  /* [R, rank] */
    float *lse; /* [n_heads, R] */
} rllc_heads;

/** What the paths of low rank need; rows: a block's for the earlier layers' path, else a piece's. */
typedef struct rllc_low_rank_space {
    float *u_base;                      /* [rows, 3 H D] x* Wf / sigma*, earlier path (the last layer's: logits) */
    float *r, *a;                       /* [rows, C], [rows, outputs] of a family: x* - z* W_O*, u_base - y* b* */
    float *y_base;                      /* [rows, rank] z* / sigma* */
    float *x, *xhat;                    /* [rows, C] of a member */
    float *mean, *rstd, *ratio, *g, *h; /* [rows] */
    float *y, *dy, *t;                  /* [rows, rank] */
    float *u;                           /* [rows, 3 H D] */
    float *lse, *losses;                /* [PIECE_ROWS] at the base; of a member */
    float *kernel;                      /* scratch of low_rank_loss */
    rllc_heads *heads;                  /* [members of the last layer's path at once; 1 for the earlier path] */
    float *memory;
} rllc_low_rank_space;

/** Scratch of one thread. `own` is a member's storage; during its pass some pointers of `view` are the base's. */
typedef struct rllc_workspace {
    rllc_activations base, own, view;
    float *logits; /* [BLOCK_ROWS, V] */
    float *reference, *moved; /* with a reference model: its log-probabilities [R, V]; u and l of a member [2, PIECE, V] */
    float *dnf, *dx, *dn, *dz, *dqkv;
    float *attention;          /* kernel scratch */
    float *replacement;        /* [T, D] staging of replaced outputs */
    const rllc_replacement *replaced; /* of the ablation in hand, besides the engine's own */
    int64_t n_replaced;
    float *losses;             /* [BLOCK_ROWS] */
    int32_t *tokens, *targets; /* [R] */
    float *host;               /* [BLOCK_ROWS] and */
    int32_t *host_ids;         /* [R] of the host's memory, for what is uploaded and downloaded */
    float *memory;
    rllc_low_rank_space low_rank;
} rllc_workspace;

/** The block in hand. */
typedef struct rllc_block {
    const int32_t *tokens; /* [sequences, T] */
    int64_t first;         /* index of the first sequence in the batch */
    int64_t sequences, rows;
} rllc_block;

/** Members of a call with the same frozen rest: order[first .. end-1]. */
typedef struct rllc_family {
    int64_t first, end;
    int64_t space_at; /* in family_space */
    rllc_entry_weights base;
} rllc_family;

/** Floats that a group of members needs, beside what every engine holds. */
typedef struct rllc_needs {
    int64_t gradient;     /* packed gradients, one buffer */
    int64_t member_space; /* rllc_member_space of each, */
    int64_t family_space; /* and those of families */
    int64_t largest;      /* coordinates of one member */
    int64_t last;         /* members on the last layer's path */
    int64_t rank;         /* the largest of any member's */
    bool folds[RLLC_MAX_LAYERS + 1];
    bool earlier;
} rllc_needs;

struct rllc_engine {
    const rllc_model *model;
    const rllc_kernels *k;
    int64_t max_rows;
    int n_threads;
    bool plain;                 /* every member on the plain path */
    rllc_replacement *replaced; /* in every pass */
    int64_t n_replaced;
    rllc_engine *reference;     /* carries the model that losses are relative to; NULL: losses of the next token */
    int64_t t;                  /* context length in use */
    int *all_heads;             /* 0 .. H-1 */
    rllc_workspace *workspaces; /* [n_threads] */
    float *base_space;
    float *minus_one, *minus_mean; /* [PIECE_ROWS] of -1; [C] of -1/C */
    float *zeros;                  /* [3 D] */
    rllc_pass_weights base;
    rllc_fold folds[RLLC_MAX_LAYERS + 1];
    /* the host's base weights, and one member's gradient, where the table cannot reach the host; else NULL */
    float *base_copy, *gradient_copy;
    int64_t gradient_copy_size;
    /* what the members of a call need; sized by the first call, then reused */
    rllc_plan **plans;    /* [members] */
    int64_t *order;       /* [members] in which they are computed: families together */
    double *loss_sums;    /* [members + 1][SLOTS], the base last */
    int64_t *space_at;    /* [members] of a member in member_space */
    int64_t *gradient_at; /* [members] of a member in a buffer of gradients */
    int64_t n_members;
    rllc_pass_weights *weights; /* [members] by order */
    rllc_family *families;      /* [members] */
    float *member_space, *family_space, *gradients;
    int64_t member_space_size, family_space_size, gradients_size;
    rllc_needs low_rank; /* what the workspaces' low-rank parts are sized for */
};

/* ---- forward ------------------------------------------------------------------------------------------------ */

/** Runs the stages from plan->start (all of them when plan is NULL) for the block; a->... may alias base's. */
void rllc_forward(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const rllc_plan *plan,
                  const rllc_block *b, const rllc_activations *base, rllc_activations *a);
/** The same from layer `first`, whose input a->x[first] is given; own: storage. */
void rllc_forward_layers(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const rllc_block *b,
                         int first, const rllc_activations *own, rllc_activations *a);
/** qkv [R, n 3D] of the listed heads from n [R, C].                                                           (E8) */
void rllc_project(const rllc_engine *e, const rllc_layer_weights *w, const rllc_block *b, const float *n, float *qkv);
/** z of the listed heads from qkv; head h at column h D of z if `all`, else the listed ones side by side.       (E4) */
void rllc_attend(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_weights *w, const rllc_block *b,
                 const float *qkv, bool all, float *z, int64_t ldz, float *lse);
/** Overwrites z of the heads of that layer that are replaced, by the engine or by the ablation in hand; z as in
 *  rllc_attend.                                                                                                (E87) */
void rllc_replace_outputs(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_weights *w, const rllc_block *b,
                          bool all, float *z, int64_t ldz);
/** Whether every pass replaces the output of this head: nothing flows back into its attention then. */
bool rllc_is_replaced(const rllc_engine *e, int layer, int head);
/** out = x + sum_h z_h W_O^h + b_O, all heads.                                                                 (E9) */
void rllc_add_output(const rllc_engine *e, const rllc_layer_weights *w, int64_t rows, const float *x, const float *z,
                     float *out);
/** The block's token ids, and the token after each row (-1 at the end of a sequence), in the table's memory. */
void rllc_upload_tokens(const rllc_engine *e, rllc_workspace *ws, const rllc_block *b);

/* ---- loss ---------------------------------------------------------------------------------------------------- */

typedef struct rllc_loss_request {
    double gradient_scale; /* 0 = no gradient */
    float *token_losses;   /* [B, T-1] of the whole batch, or NULL: the host's, */
    float *logits;         /* [B, T, V] of the whole batch, or NULL: likewise */
    float *dW_U, *db_U;    /* "+=", or NULL */
    bool dnf;              /* form the gradient of what the unembedding reads, into ws->dnf */
} rllc_loss_request;

/** Unembedding and losses by row blocks; returns the sum of the block's losses. */
double rllc_loss(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const float *nf,
                 const rllc_block *b, const rllc_loss_request *q);
/** Losses of rows first .. first+n-1 of the block from ws->logits, into ws->losses: cross-entropy (E6), or relative
 *  entropy to the reference (E99). The logits become gradients unless the scale is 0. lse (or NULL): of cross-entropy. */
void rllc_row_losses(const rllc_engine *e, rllc_workspace *ws, int64_t first, int64_t n, double gradient_scale,
                     float *lse);
/** logits [n, V] of rows first .. first+n-1 of the block, into ws->logits. */
void rllc_logits(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const float *nf, int64_t first,
                 int64_t n);
/** Adds the losses of rows first .. first+n-1 of the block to *sum, and copies them to [B, T-1] (or NULL). */
void rllc_collect(const rllc_engine *e, rllc_workspace *ws, const rllc_block *b, int64_t first, int64_t n,
                  const float *losses, float *token_losses, double *sum);

/* ---- backward ------------------------------------------------------------------------------------------------- */

/** From ws->dnf down to the lowest tensor the plan asks for; adds to the packed gradient g. On the earlier layers' path
 *  down to ws->dqkv of the layer above the heads, with ws->dx the gradient of that layer's input but for what its
 *  LayerNorm hands down. */
void rllc_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w, const rllc_plan *plan,
                   const rllc_block *b, const rllc_activations *a, float *g);

/** Packed gradient (summed over the batch) to the component's free layout, in the table's memory. */
void rllc_gradient_unpack(const rllc_engine *e, const rllc_pass_weights *w, const rllc_plan *plan, const float *g,
                          float *out);

/** One layer in the backward pass: which heads go through, and where they stand in the packed arrays. */
typedef struct rllc_layer_pass {
    const rllc_layer_weights *w;
    const rllc_plan_layer *p;
    const int *heads; /* heads whose dq, dk, dv are formed */
    int64_t n_heads;
    int64_t ld; /* of qkv and dqkv: all the heads that the forward pass computed */
    bool all;   /* z and dz have a column for every head, else for the listed ones */
} rllc_layer_pass;

/** Gradient of the residual stream leaving the last layer (ws->dx), from that of what the unembedding reads.  (E3) */
void rllc_final_norm_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_pass_weights *w,
                              const rllc_plan *plan, int64_t rows, const rllc_activations *a, float *g);
/** What layer l of a backward pass does; *through: the gradient goes on to the layer's input. */
rllc_layer_pass rllc_layer_pass_of(const rllc_engine *e, const rllc_pass_weights *w, const rllc_plan *plan, int l,
                                   bool *through);
/** Layer l: gradients of its planned tensors; ws->dx becomes that of its input, unless `stop`: then ws->dqkv is left.
 */
void rllc_layer_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_pass *s, int l, bool stop,
                         const rllc_block *b, const rllc_activations *a, float *g);
/** dq, dk, dv of the heads that go through, into ws->dqkv.                                                     (E5) */
void rllc_attention_backward(const rllc_engine *e, rllc_workspace *ws, const rllc_layer_pass *s, const rllc_block *b,
                             const float *qkv, const float *z, const float *dz, int64_t ldz, const float *lse);
/** Gradients of the projections and of the bias table (summed over sequences) of the planned heads from ws->dqkv: "+="
 *  into the packed gradient g.                                                                                 (E8) */
void rllc_qkv_gradient(const rllc_engine *e, const rllc_workspace *ws, const rllc_layer_pass *s, const rllc_block *b,
                       const float *n, float *g);

/* ---- reference ------------------------------------------------------------------------------------------------- */

/** Once a call: the reference's weights packed for the call's context. */
void rllc_reference_prepare(rllc_engine *e);
/** The reference's log-probabilities of the block in hand, into ws->reference. */
void rllc_reference_block(const rllc_engine *e, rllc_workspace *ws, const rllc_block *b);
/** What low_rank_loss gives, of the loss relative to the reference; rows from `first` of the block on.           (E99) */
void rllc_reference_low_rank(const rllc_engine *e, rllc_workspace *ws, int64_t first, const rllc_low_rank *x);
/** Memory of the threads for it, in the engine's table. */
rllc_status rllc_reference_allocate(rllc_engine *e) RLLC_MUST_USE;
void rllc_reference_release(rllc_workspace *ws, const rllc_kernels *k);

/* ---- workspaces ------------------------------------------------------------------------------------------------ */

/** Rows of a block: at most so many. */
int64_t rllc_block_rows(const rllc_model_options *o);
/** Floats and layout of a thread's workspace. */
rllc_status rllc_workspace_init(rllc_workspace *ws, const rllc_model *m, const rllc_kernels *k) RLLC_MUST_USE;
int64_t rllc_workspace_floats(const rllc_model *m, const rllc_kernels *k);
void rllc_workspace_release(rllc_workspace *ws, const rllc_kernels *k);
/** The low-rank part, for members like these. */
rllc_status rllc_low_rank_space_init(rllc_low_rank_space *s, const rllc_model *m, const rllc_kernels *k,
                                     const rllc_needs *needs) RLLC_MUST_USE;
int64_t rllc_low_rank_space_floats(const rllc_model *m, const rllc_kernels *k, const rllc_needs *needs);
void rllc_low_rank_space_release(rllc_low_rank_space *s, const rllc_kernels *k);

/** n floats of the table's memory, zero; RLLC_ENOMEM. */
rllc_status rllc_table_alloc(const rllc_kernels *k, float **out, int64_t n) RLLC_MUST_USE;

#endif
