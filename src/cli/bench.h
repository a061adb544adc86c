/* bench: what the parts of the command share: its options, its table of results, its sections. */
#ifndef RLLC_CLI_BENCH_H
#define RLLC_CLI_BENCH_H

#include "cli/bench_pass.h"

typedef struct rllc_bench_options {
    const char *presets;
    double seconds;
    int64_t rounds;
    bool plain, profile, scaling;
    const char *axes, *figure, *tsv;
} rllc_bench_options;

/* ---- results --------------------------------------------------------------------------------------------- */

/** One number, with the extremes of its rounds. Texts are literals or interned. */
typedef struct rllc_bench_row {
    const char *section; /* machine, preset, profile, scaling */
    const char *what;    /* demo/training step, context/full/256 */
    const char *quantity, *unit;
    rllc_spread value;
} rllc_bench_row;

typedef struct rllc_bench_table {
    rllc_bench_row *rows;
    int64_t n, capacity;
} rllc_bench_table;

rllc_status rllc_bench_add(rllc_bench_table *t, const char *section, const char *what, const char *quantity,
                           const char *unit, rllc_spread value) RLLC_MUST_USE;
/** A number that is not measured in rounds. */
rllc_spread rllc_bench_once(double value);
rllc_status rllc_bench_write_tsv(const rllc_bench_table *t, int n_threads, const char *path) RLLC_MUST_USE;
rllc_status rllc_bench_print_json(const rllc_bench_table *t, int n_threads) RLLC_MUST_USE;

/* ---- sections -------------------------------------------------------------------------------------------- */

typedef struct rllc_bench {
    rllc_bench_options options;
    int n_threads;
    bool text; /* print tables for people as they become ready */
    const rllc_monitor *monitor;
    rllc_bench_table table;
    double peak_one, peak; /* of fused multiply-adds: the best round, one thread and all, FLOP/s */
    double product;        /* of the matrix product, all threads, FLOP/s */
    double sgld;           /* seconds a coordinate of an SGLD step, one thread */
} rllc_bench;

/** Times every pass: options.rounds rounds of at least options.seconds; seconds a call. Rounds of one pass alternate
 *  with those of the others, so that a machine that slows down slows all of them down. each [n]. */
rllc_status rllc_bench_time(const rllc_bench *b, rllc_bench_pass *passes, int64_t n, bool processor,
                            rllc_spread *each) RLLC_MUST_USE;
/** For people: seconds as "1d 02:03:04". Interned. */
const char *rllc_bench_duration(double seconds);

rllc_status rllc_bench_machine(rllc_bench *b) RLLC_MUST_USE;
rllc_status rllc_bench_preset(rllc_bench *b, const char *name) RLLC_MUST_USE;
rllc_status rllc_bench_scaling(rllc_bench *b) RLLC_MUST_USE;
/** Whether a list names axes of the scaling only; NULL does. */
rllc_status rllc_bench_check_axes(const char *list) RLLC_MUST_USE;

#endif
