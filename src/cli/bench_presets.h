/* bench presets: the kinds of pass that a preset consists of, and how long the whole of it takes. */
#ifndef RLLC_CLI_BENCH_PRESETS_H
#define RLLC_CLI_BENCH_PRESETS_H

#include "cli/bench.h"
#include "cli/bench_profile.h"
#include "cli/config.h"

/** A kind of pass, and what was measured of it. */
typedef struct rllc_bench_kind {
    const char *name;       /* "training step", "base pass", "full", "last-layer heads", ..., or a component's */
    const char *components; /* as in rllc_bench_work */
    int64_t chains, asked;  /* members of a component; sequences of the preset's batch */
    int64_t rows, members;  /* of a call */
    rllc_spread each;       /* seconds a call */
    double batch, tokens;   /* tokens of a call: of the batch; of all members */
    double flops;           /* of one token of the batch */
    double bytes;
    rllc_bench_profile profile;
} rllc_bench_kind;

typedef struct rllc_bench_plan {
    const char *name;
    rllc_run_config config;
    rllc_model model; /* the layout; no pass uses its weights */
    int64_t streams;
    rllc_bench_kind *kinds;
    int64_t n;
} rllc_bench_plan;

/** The passes: training, base, full, heads of each layer from the last down, other components, every head. */
rllc_status rllc_bench_plan_init(rllc_bench_plan *p, const char *preset) RLLC_MUST_USE;
void rllc_bench_plan_release(rllc_bench_plan *p);
const rllc_bench_kind *rllc_bench_plan_find(const rllc_bench_plan *p, const char *name);

/** Seconds of the whole preset, from what each of its kinds took. */
typedef struct rllc_bench_whole {
    double training;
    double base, updates; /* of sampling: base passes, steps of the chains */
    double *members;      /* [n kinds] of sampling: members of this kind */
    double sampling;      /* the sum */
} rllc_bench_whole;
/** Free members with rllc_free. sgld: seconds a coordinate, one thread. */
rllc_status rllc_bench_plan_whole(const rllc_bench_plan *p, int n_threads, double sgld,
                                  rllc_bench_whole *out) RLLC_MUST_USE;

void rllc_bench_print_plan(const rllc_bench *b, const rllc_bench_plan *p);
void rllc_bench_print_whole(const rllc_bench_plan *p, const rllc_bench_whole *w);
void rllc_bench_print_profile(const rllc_bench_plan *p);

#endif
