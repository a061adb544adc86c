/* head_types: what the store says of a head, number by number. */
#ifndef RLLC_MECHINTERP_HEAD_TYPES_H
#define RLLC_MECHINTERP_HEAD_TYPES_H

#include "rllc/mechinterp.h"

enum {
    RLLC_EVIDENCE_PREFIX,
    RLLC_EVIDENCE_REPEATED,
    RLLC_EVIDENCE_PREVIOUS,
    RLLC_EVIDENCE_CURRENT,
    RLLC_EVIDENCE_BRACKET,
    RLLC_EVIDENCE_DUPLICATE,
    RLLC_EVIDENCE_SHARE_INDUCTION,
    RLLC_EVIDENCE_SHARE_DYCK,
    RLLC_EVIDENCE_SHARE_MULTIGRAM,
    RLLC_EVIDENCE_MULTIGRAMS,
    RLLC_EVIDENCE_ABLATION,
    RLLC_EVIDENCE
};

/** One number of a head. */
typedef struct rllc_evidence {
    bool known;
    double value, se, chance; /* se and chance NaN if the store has none */
    double relative; /* what a threshold is compared with: value / chance of a score, value of a share, |value| / mean
                        of all heads of an ablation */
    const char *corpus;
} rllc_evidence;

/** rows: of the head's checkpoint; corpus: NULL or "" = the strongest. out [RLLC_EVIDENCE]. */
void rllc_evidence_collect(const rllc_store_score *const *rows, int64_t n, int layer, int head, const char *corpus,
                           rllc_evidence *out);
/** Whether the number is attention compared with chance. */
bool rllc_evidence_is_score(int which);
/** "prefix_matching": the metric in the store. */
const char *rllc_evidence_metric(int which);
/** "prefix matching", "tokens in context": what is missing when it is not known. */
const char *rllc_evidence_name(int which);
/** Appends "prefix matching 0.41 (37x chance 0.011)". */
rllc_status rllc_evidence_say(int which, const rllc_evidence *e, rllc_string *out) RLLC_MUST_USE;
/** All that is known, by metric: {"prefix_matching": {"value": 0.41, ...}, ...}; new. */
rllc_status rllc_evidence_to_json(const rllc_evidence *all, rllc_json **out) RLLC_MUST_USE;

#endif
