/* multigrams: how many different patterns there are among the records of a head. */
#ifndef RLLC_MECHINTERP_MULTIGRAMS_H
#define RLLC_MECHINTERP_MULTIGRAMS_H

#include "rllc/base.h"

/** How often each different pattern occurs. */
typedef struct rllc_multigrams {
    int64_t records; /* all, with and without a pattern */
    int64_t n;       /* different patterns */
    int64_t *count;  /* [n] */
} rllc_multigrams;

/** patterns [records]; NULL where a record has none. */
rllc_status rllc_multigrams_count(rllc_multigrams *out, const char *const *patterns, int64_t records) RLLC_MUST_USE;
void rllc_multigrams_release(rllc_multigrams *m);
/** Patterns that occur at least `times` times. */
int64_t rllc_multigrams_distinct(const rllc_multigrams *m, int64_t times);
/** Expected number of different patterns among m records drawn without replacement, 0 <= m <= records. (E106) */
double rllc_multigrams_expected(const rllc_multigrams *m, int64_t drawn);
/** At most `points` numbers of records from 1 to all, evenly spaced in the logarithm, each once; returns how many. */
int64_t rllc_multigrams_points(int64_t records, int64_t points, int64_t *out);

#endif
