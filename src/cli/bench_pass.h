/* bench pass: one kind of work on the model, ready to be timed: training, a base pass, or members in lockstep. */
#ifndef RLLC_CLI_BENCH_PASS_H
#define RLLC_CLI_BENCH_PASS_H

#include "cli/rates.h"

typedef struct rllc_bench_work {
    rllc_model_options shape;
    const char *components; /* selectors of the members; "" = the base pass alone; NULL = a training step */
    int64_t chains;         /* members of each component */
    int64_t rows;           /* sequences a call */
    int n_threads;
    bool plain; /* every member on the plain path */
    const rllc_model *reference; /* that losses are relative to (borrowed); NULL: of the next token */
} rllc_bench_work;

/** Random tokens and weights: speed does not depend on what they say. Members start at the base weights. */
typedef struct rllc_bench_pass {
    rllc_bench_work work;
    rllc_model model;
    rllc_engine *engine;
    int32_t *tokens;
    rllc_component *components;
    rllc_member *members;
    float *values; /* free coordinates and gradients of all members */
    int64_t n_components, n_members;
    rllc_adamw adamw;
    float *gradient;
    double update_seconds; /* spent in AdamW updates so far */
    double flops;          /* useful operations for one token of the batch: base pass, shared parts, members */
} rllc_bench_pass;

rllc_status rllc_bench_pass_open(rllc_bench_pass *p, const rllc_bench_work *work) RLLC_MUST_USE;
void rllc_bench_pass_close(rllc_bench_pass *p);
/** One call: an update, or losses and gradients of all members. */
rllc_status rllc_bench_pass_call(rllc_bench_pass *p) RLLC_MUST_USE;
/** Calls for at least so long; seconds a call, of the clock on the wall or of this thread's processor time. */
rllc_status rllc_bench_pass_time(rllc_bench_pass *p, double seconds, bool processor, double *each) RLLC_MUST_USE;
/** Tokens of a call, those of every member (in training and in a base pass, of the batch). */
double rllc_bench_pass_tokens(const rllc_bench_pass *p);
/** Bytes of the engine, and of what the caller keeps for it. */
double rllc_bench_pass_bytes(const rllc_bench_pass *p);

/**
 * Opens the pass with as many rows as a call of at most about `seconds` takes, at most work->rows, a multiple of the
 * threads where that is possible; and calls it once.
 */
rllc_status rllc_bench_pass_open_within(rllc_bench_pass *p, const rllc_bench_work *work, double seconds) RLLC_MUST_USE;

#endif
