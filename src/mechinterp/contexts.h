/* contexts: what is kept of the tokens in context of one head. */
#ifndef RLLC_MECHINTERP_CONTEXTS_H
#define RLLC_MECHINTERP_CONTEXTS_H

#include "mechinterp/analysis.h"
#include "mechinterp/delimiters.h"
#include "mechinterp/top.h"

/** The records of a head, the most affected first. */
typedef struct rllc_head_records {
    int layer, head;
    const rllc_affected *list; /* [n] */
    float **attention;         /* [n]: attention[i] [list[i].position + 1] */
    int64_t n, sequences;      /* sequences: looked at for them */
} rllc_head_records;

/** Labels the records and puts them, the shares of their labels and the numbers of their patterns into the store. */
rllc_status rllc_contexts_put(const rllc_analysis_task *t, const rllc_delimiters *d,
                              const rllc_head_records *r) RLLC_MUST_USE;

#endif
