/* ablate: losses with the outputs of heads replaced. */
#ifndef RLLC_MECHINTERP_ABLATE_H
#define RLLC_MECHINTERP_ABLATE_H

#include "rllc/data.h"
#include "rllc/mechinterp.h"

/** What stands in for a head's output z (E87). */
enum {
    RLLC_ABLATE_ZERO,          /* zeros */
    RLLC_ABLATE_MEAN,          /* its mean over reference sequences and positions */
    RLLC_ABLATE_MEAN_POSITION, /* its mean over reference sequences, position by position */
    RLLC_ABLATE_RESAMPLE,      /* z at the same position of another sequence of the batch */
    RLLC_ABLATIONS
};
extern const char *const rllc_ablation_names[RLLC_ABLATIONS]; /* "zero", "mean", "mean_position", "resample" */

/** Row i of n spread evenly over `rows`: rows stand in the order of the documents, so the first n would be of one kind. */
static inline int64_t rllc_spread(int64_t i, int64_t n, int64_t rows) {
    return n < rows ? (int64_t)((double)i * (double)rows / (double)n) : i;
}

/** Heads that are ablated together: pairs (layer, head). */
typedef struct rllc_head_set {
    const char *name; /* "l0h1+l0h4"; interned */
    const int (*heads)[2];
    int64_t n;
} rllc_head_set;

/** Means of heads, and room for the outputs of a batch; borrows engine and model. */
typedef struct rllc_ablator rllc_ablator;
/** reference: rows whose means are taken (n_reference of them, spread), for the mean ablations; else NULL. */
rllc_status rllc_ablator_new(rllc_ablator **out, int ablation, rllc_engine *engine, const rllc_model *m,
                             int64_t max_rows, const rllc_rows *reference, int64_t n_reference) RLLC_MUST_USE;
void rllc_ablator_free(rllc_ablator *a); /* accepts NULL */

/**
 * Losses of every prediction of `rows` sequences tokens [rows, n_ctx], as the model is (base [rows, n_ctx-1], may be
 * NULL) and with each set ablated: ablated[i] [rows, n_ctx-1]. permutation: which shift of the batch resampling takes
 * (sequence r gets z of r + 1 + permutation mod (rows - 1) places on; rows >= 2). Same bits for any threads and sets.
 */
rllc_status rllc_ablator_losses(rllc_ablator *a, const int32_t *tokens, int64_t rows, int64_t permutation,
                                const rllc_head_set *sets, int64_t n_sets, float *base,
                                float *const *ablated) RLLC_MUST_USE;

/* The pieces, for who combines them otherwise (paths): what stands in for a head, valid until the next prepare. */
rllc_status rllc_ablator_prepare(rllc_ablator *a, const int32_t *tokens, int64_t rows,
                                 int64_t permutation) RLLC_MUST_USE;
rllc_replacement rllc_ablator_replacement(const rllc_ablator *a, int layer, int head);

#endif
