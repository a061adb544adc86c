/* text_scores: what is asked of a head's attention on text. */
#ifndef RLLC_MECHINTERP_TEXT_SCORES_H
#define RLLC_MECHINTERP_TEXT_SCORES_H

#include "rllc/base.h"

/** A sequence, and what more than one score wants to know of it. */
typedef struct rllc_text_row {
    const int32_t *tokens; /* [t] */
    int64_t t;
    const int32_t *earlier; /* [t] where the token stood last before; -1 = nowhere, and for BOS, which separates */
    const int32_t *partner; /* [t] which delimiter token k closes; -1 = none */
} rllc_text_row;

/** A score of every head, averaged over the queries of text that it can be asked of: a line of the table. Either
 *  `keys` or `of_entropy`. */
typedef struct rllc_text_score {
    const char *name, *summary;
    /** Writes the positions <= k that are right for query k, returns how many; 0: the query is not asked.
     *  The value is the attention to all of them, its chance level their share of the k + 1 visible positions. (E111)
     */
    int64_t (*keys)(const rllc_text_row *row, int64_t k, int32_t *out);
    /** The value of a query k >= 1 from the entropy of its attention in nats.                                 (E112) */
    double (*of_entropy)(double entropy, int64_t k);
} rllc_text_score;

const rllc_text_score *rllc_text_score_list(int *n);

/** Fills earlier [t]. last [d_vocab]: scratch, all -1 before and after. */
void rllc_text_earlier(const int32_t *tokens, int64_t t, int32_t bos, int32_t *last, int32_t *earlier);

#endif
