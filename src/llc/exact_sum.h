/* Sums of doubles that are rounded once, at the end: they do not depend on the order of the terms. */
#ifndef RLLC_LLC_EXACT_SUM_H
#define RLLC_LLC_EXACT_SUM_H

#include <stdint.h>

#define RLLC_EXACT_LIMBS 67 /* of 32 bits: from 2^-1074 to 2^1070, 46 bits above the largest double */

/** sum_i limb[i] 2^(32 i - 1074), and how many infinities and NaNs were added; {0} is zero. */
typedef struct rllc_exact_sum {
    int64_t limb[RLLC_EXACT_LIMBS];
    int64_t pending; /* terms since carries were last moved up */
    int64_t n_plus, n_minus, n_nan;
} rllc_exact_sum;

/** Adds a term; up to 2^45 of them. */
void rllc_exact_add(rllc_exact_sum *s, double term);
/** The sum rounded to nearest, ties to even; with infinities or NaN among the terms, what any sum of them gives. */
double rllc_exact_value(const rllc_exact_sum *s);

#endif
