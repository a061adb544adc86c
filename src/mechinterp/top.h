/* top: the predictions that suffer most when a head is replaced. */
#ifndef RLLC_MECHINTERP_TOP_H
#define RLLC_MECHINTERP_TOP_H

#include "rllc/base.h"

/** Token `position` of a sequence predicts the next. */
typedef struct rllc_affected {
    int64_t sequence, position;
    float loss, ablated; /* nats */
    double increase;     /* ablated - loss > 0 (E108) */
} rllc_affected;

/** The `capacity` most affected; among equals those of earlier sequences, then of earlier positions. */
typedef struct rllc_top {
    rllc_affected *list; /* a heap, the least affected in front; after rllc_top_sort the most affected first */
    int64_t n, capacity;
} rllc_top;

enum { RLLC_TOP_OF_SEQUENCE = 64 }; /* at most taken from one sequence */

rllc_status rllc_top_init(rllc_top *t, int64_t capacity) RLLC_MUST_USE;
void rllc_top_release(rllc_top *t);
/**
 * Offers the most affected `per_sequence` (<= RLLC_TOP_OF_SEQUENCE) of the n predictions of a sequence. What does not
 * suffer (ablated <= loss) is not offered; a loss that is not finite is RLLC_ENOTFINITE.
 */
rllc_status rllc_top_add(rllc_top *t, int64_t per_sequence, int64_t sequence, int64_t n, const float *losses,
                         const float *ablated) RLLC_MUST_USE;
void rllc_top_sort(rllc_top *t);

#endif
