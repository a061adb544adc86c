/* bench profile: where the time of a pass goes, by slot of the kernel table. */
#ifndef RLLC_CLI_BENCH_PROFILE_H
#define RLLC_CLI_BENCH_PROFILE_H

#include "cli/bench_pass.h"

enum {
#define RLLC_SLOT(name, parameters, arguments) RLLC_SLOT_##name,
#include "cli/bench_slots.def"
#undef RLLC_SLOT
    RLLC_BENCH_SLOTS
};

/** Shares of the threads' time, which is seconds on the wall times threads. */
typedef struct rllc_bench_profile {
    double slot[RLLC_BENCH_SLOTS];
    double calls[RLLC_BENCH_SLOTS]; /* in one call of the pass */
    double update;                  /* AdamW, all of it (training) */
    double outside;                 /* the rest: packing, bookkeeping, waiting for another thread */
    double idle;                    /* part of that in which the thread did not run: waiting, or others' work */
    double timers;                  /* reading the clock: part of `outside` and of the slots */
} rllc_bench_profile;

const char *rllc_bench_slot_name(int slot);

/**
 * Calls the pass for at least so long with a table whose every slot reads a clock before and after the real one. The
 * engine is back on its own table afterwards. One profile at a time in a process.
 */
rllc_status rllc_bench_profile_measure(rllc_bench_pass *p, double seconds, rllc_bench_profile *out) RLLC_MUST_USE;

#endif
