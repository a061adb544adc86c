/* changes: how the loss changes when something is replaced, for many replacements and classes of predicted tokens. */
#ifndef RLLC_MECHINTERP_CHANGES_H
#define RLLC_MECHINTERP_CHANGES_H

#include "mechinterp/ablate.h"
#include "mechinterp/analysis.h"

enum { RLLC_MAX_CLASSES = 1 + 8 };

/**
 * Change of replacement i on class c: the mean over all predictions of that class; its standard error over sequences.
 * (E88) change = sum_s d_s / sum_s n_s,  se^2 = S / (S - 1) sum_s (d_s - change n_s)^2 / (sum_s n_s)^2 d_s the sum over
 * a sequence, n_s its predictions of the class, S sequences with at least one.
 */
typedef struct rllc_changes {
    int64_t n_sets, n_classes; /* class 0 is every prediction */
    double *d, *dd, *dn;       /* [n_sets, n_classes] sums over sequences of d, d^2, d n */
    double *n, *nn;            /* [n_classes] of n, n^2 */
    int64_t *sequences;        /* [n_classes] with at least one */
    double base, base_square;  /* of the sequences' mean losses without replacement */
    int64_t base_sequences;
} rllc_changes;

rllc_status rllc_changes_init(rllc_changes *c, int64_t n_sets, int64_t n_classes) RLLC_MUST_USE;
void rllc_changes_release(rllc_changes *c);
/** Adds one sequence: `predictions` losses without, and with each set replaced, each n_added times (permutations) as
 *  ablated[set * n_added + k]; classes [predictions] (bits: bit c - 1 = class c), or NULL if there is class 0 alone. */
void rllc_changes_add(rllc_changes *c, int64_t predictions, const float *base, const float *const *ablated,
                      int64_t n_added, const uint8_t *classes);
/** *change NaN without a prediction of the class; *se NaN with fewer than two sequences. Returns the sequences. */
int64_t rllc_changes_get(const rllc_changes *c, int64_t set, int64_t class, double *change, double *se);

#endif
