/* What the parts of the benchmark of sharing have in common: modes, repeats, what came of them. */
#ifndef RLLC_BENCH_SHARING_STUDY_H
#define RLLC_BENCH_SHARING_STUDY_H

#include "rllc/rllc.h"

/** How --batches deals four chains to streams of minibatches. */
typedef struct study_mode {
    const char *name;
    int64_t streams;
    bool fixed;
} study_mode;
enum { STUDY_MODES = 4, STUDY_CHAINS = 4, STUDY_FIXED = 3 };
extern const study_mode study_modes[STUDY_MODES]; /* shared, streams=2, independent, fixed */

/** A potential that shows an inner one's minibatches, from stream `first` on: repeats have streams of their own. */
typedef struct study_batches {
    rllc_potential head; /* first; members are the inner one's */
    rllc_potential *inner;
    int64_t first;
    bool fixed; /* every step sees the first minibatch */
} study_batches;
study_batches study_batches_of(rllc_potential *inner);

/** What is sampled again and again; member c * STUDY_CHAINS + k is chain k of component c. */
typedef struct study_target {
    const char *name, *noise; /* "quadratic", "q = 0.2": printed */
    rllc_potential *potential;
    int64_t components;
    const char *const *labels;    /* [components] */
    rllc_sampler_options o;       /* repeat r has the seed o.seed + r */
    const double *truth;          /* [components] exact; NULL: the mean over repeats with fresh minibatches */
    double variance[STUDY_MODES]; /* exact, of the mean over chains; NaN: unknown */
    double variance_init[STUDY_MODES];
    int64_t verdicts; /* repeats whose curvature is measured and whose verdict is asked */
} study_target;

/** A number with its Monte-Carlo error. */
typedef struct study_number {
    double value, error;
} study_number;

/** One of the two estimators over the repeats. */
typedef struct study_estimator {
    study_number mean, sd, ratio, cover; /* of the estimate; spread; reported error / spread; share of 95 % intervals */
    double reported;                     /* mean reported error */
} study_estimator;

typedef struct study_result {
    study_estimator paired, conventional;
    study_number naive;                    /* sd over chains / sqrt(chains), over the spread of the paired estimate */
    double truth, noise, complexity;       /* the latter two: sums over the bias budgets that were measured */
    int64_t asked, verdict[RLLC_VERDICTS]; /* asked for a verdict; estimates with verdict v */
} study_result;

/** out [components * STUDY_MODES]; repeats of every mode with the same noise and the same first streams. */
rllc_status study_run(const study_target *t, int64_t repeats, study_result *out) RLLC_MUST_USE;
void study_print_header(void);
void study_print(const study_target *t, const study_result *results);

/* The parts; each prints its tables. */
rllc_status study_quadratic(int64_t repeats, const char *figure_folder) RLLC_MUST_USE;
rllc_status study_samples(int64_t repeats) RLLC_MUST_USE;
rllc_status study_transformer(const char *checkpoint, const char *tokens, int64_t repeats) RLLC_MUST_USE;
rllc_status study_speed(double seconds) RLLC_MUST_USE;

/** Cost of a step in FLOPs per token of a minibatch: base pass per stream, heads times chains members (E86). */
typedef struct study_cost {
    double base, head, member; /* of a stream; of a head and stream; of a chain of a head */
} study_cost;
double study_cost_of(const study_cost *c, int64_t streams, int64_t heads, int64_t chains);

#endif
