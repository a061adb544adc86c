/*
 * The tangent pass: the derivative, along directions of the weights, of a forward and a backward pass over a block.
 * (E90)
 *
 * A tangent of a quantity is its derivative along a direction; it has the quantity's shape and name. "Primal" is the
 * pass itself, at the base weights. Every step is done for all directions before the next, so that what does not
 * depend on the direction (activations, softmax, gradients of activations) is formed once.
 */
#ifndef RLLC_MODEL_TANGENT_H
#define RLLC_MODEL_TANGENT_H

#include "batch.h"

/** A direction of the weights, in their own layouts. */
typedef struct rllc_direction {
    float *flat;         /* [P], zero where the component does not move */
    float *space;        /* behind the packed tensors */
    rllc_pass_weights w; /* tangents of the packed weights; bias: of pos W + b */
} rllc_direction;

/** What one direction keeps of a block between the forward and the backward pass. */
typedef struct rllc_tangent {
    float *x[RLLC_MAX_LAYERS + 1]; /* [R, C] */
    float *n[RLLC_MAX_LAYERS];     /* [R, C]; x itself without normalization */
    float *qkv[RLLC_MAX_LAYERS];   /* [R, 3 H D] */
    float *z[RLLC_MAX_LAYERS];     /* [R, H D] */
    float *nf;                     /* [R, C] */
    float *dx;                     /* [R, C] of the gradient of the residual stream at the layer in hand */
} rllc_tangent;

enum { RLLC_TANGENT_TILE = 64 }; /* queries whose attention is formed at once */

/** Memory of one thread. No array of T x T: attention is formed in tiles of 64 queries. */
typedef struct rllc_tangent_space {
    rllc_tangent *tangents; /* [directions] */
    float *logits;          /* [BLOCK_ROWS, V] tangent of logits, then of their gradient */
    float *dx;              /* [R, C] primal gradient of the layer's output */
    float *dn;              /* [R, C] tangent, of one direction at a time; likewise dnf */
    float *dz, *dqkv;       /* [directions] times [R, H D], [R, 3 H D] */
    float *tiles;           /* 5 of [TILE, T] */
    float *memory;
} rllc_tangent_space;

/** A block in hand. */
typedef struct rllc_tangent_pass {
    const rllc_engine *e;
    rllc_workspace *ws; /* the primal gradients */
    rllc_tangent_space *space;
    const rllc_plan *plan;
    const rllc_block *b;
    const rllc_activations *a; /* the primal activations */
    const rllc_direction *directions;
    int64_t n;
    double scale; /* 1 / predictions of the batch */
    float *g;     /* packed gradient, then its tangent along each direction, each of plan->gradient_size floats */
} rllc_tangent_pass;

/** Floats of a thread's space for n directions, and the space itself. */
int64_t rllc_tangent_space_floats(const rllc_model *m, int64_t n);
rllc_status rllc_tangent_space_init(rllc_tangent_space *s, const rllc_model *m, int64_t n) RLLC_MUST_USE;
void rllc_tangent_space_release(rllc_tangent_space *s);

/** Tangents of all activations of the block.                                                                  (E91) */
void rllc_tangent_forward(const rllc_tangent_pass *p);
/** Loss of the block, and the gradient and its tangents into p->g: "+=". */
double rllc_tangent_backward(const rllc_tangent_pass *p);

/* LayerNorm rows and attention                                                                            (E91, E92) */

/** Tangent of y = xhat w + b from that of x; w1, b1: of the gain and the offset. */
void rllc_tangent_norm(int64_t rows, int64_t c, const float *x, const float *mean, const float *rstd, const float *w,
                       const float *x1, const float *w1, const float *b1, float *y1);

/** A LayerNorm on the way back: y = xhat w + b with the gradient dy, and the tangents (1) along a direction. */
typedef struct rllc_norm_rows {
    int64_t rows, c;
    const float *x, *mean, *rstd, *w, *dy;
    const float *x1, *w1, *dy1;
    float *dx1;       /* "+=" */
    float *dw1, *db1; /* [C] "+=", or NULL */
} rllc_norm_rows;
void rllc_tangent_norm_backward(const rllc_norm_rows *r);

/** Tangents of z of the heads of s at layer l, from those of q, k, v, for all directions. */
void rllc_tangent_attend(const rllc_tangent_pass *p, const rllc_layer_pass *s, int l);
/** Tangents of dq, dk, dv into space->dqkv, from those of dz in space->dz and the primal ws->dz. */
void rllc_tangent_attend_backward(const rllc_tangent_pass *p, const rllc_layer_pass *s, int l);

#endif
