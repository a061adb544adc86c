/* The checks behind a verdict: each looks at the evidence and the statistics, and says one sentence. */
#ifndef RLLC_LLC_CHECKS_H
#define RLLC_LLC_CHECKS_H

#include <math.h>

#include "rllc/llc.h"

/** A check: a constant in its own file, listed in checks.def. */
typedef struct rllc_check {
    const char *name, *summary;
    rllc_verdict verdict; /* what a finding that is not good means */
    /** Fills grade, value and sentence ("" = nothing to say). */
    void (*look)(const rllc_evidence *e, const rllc_diagnosis *d, rllc_finding *f);
} rllc_check;

#define RLLC_CHECK(identifier) extern const rllc_check rllc_check_##identifier;
#include "checks.def"
#undef RLLC_CHECK

/** Whether the chain enters: it has draws, was not marked as diverged, and every number of it is finite. */
bool rllc_chain_is_live(const rllc_trace *t);

/** Whether the chains hardly left w*: by distance, or because an exact rule accepted next to nothing. */
bool rllc_chains_stand(const rllc_evidence *e, const rllc_diagnosis *d);

/** A step size as people write it: one or two digits, rounded down. */
double rllc_round_down(double x);

#endif
