/* bench scaling: cost per unit of a small model's passes as one size at a time varies. */
#ifndef RLLC_CLI_BENCH_SCALING_H
#define RLLC_CLI_BENCH_SCALING_H

#include "cli/bench.h"

enum { RLLC_BENCH_TRAINING, RLLC_BENCH_FULL, RLLC_BENCH_FIRST, RLLC_BENCH_LAST, RLLC_BENCH_SERIES };
enum { RLLC_BENCH_POINTS = 16 };

/** One kind of pass along an axis. */
typedef struct rllc_bench_curve {
    int64_t n;
    double x[RLLC_BENCH_POINTS];
    rllc_spread cost[RLLC_BENCH_POINTS];  /* seconds of a thread per token and member */
    rllc_spread added[RLLC_BENCH_POINTS]; /* from 1 on: seconds more than at the point before, per unit of x more */
    rllc_spread flops[RLLC_BENCH_POINTS]; /* a second and thread */
} rllc_bench_curve;

/** What varies, and what it did. Costs are for people in the unit that is named, `scale` of which make a second. */
typedef struct rllc_bench_axis {
    const char *name, *x_label, *unit;
    double scale;
    bool added; /* what a unit more costs is shown: one entry, one layer */
    bool log_x;
    int64_t values[RLLC_BENCH_POINTS], n;
    rllc_bench_curve curves[RLLC_BENCH_SERIES];
} rllc_bench_axis;

const char *rllc_bench_series_name(int series);
/** The sizes that stay: for captions. */
const char *rllc_bench_scaling_base(void);
/** path ends in .svg. */
rllc_status rllc_bench_draw(const rllc_bench *b, const rllc_bench_axis *axes, int64_t n,
                            const char *path) RLLC_MUST_USE;

#endif
