/* cli potential: a target of known learning coefficient, sampled; what `rllc potential KIND` and `--all` share. */
#ifndef RLLC_CLI_POTENTIAL_H
#define RLLC_CLI_POTENTIAL_H

#include "cli/command.h"

/** One target with its options, as a command line says it. */
typedef struct rllc_target_line {
    const rllc_analytic_kind *kind;
    void *options; /* the kind's */
    rllc_analytic_options target;
    rllc_sampler_options sampler;
} rllc_target_line;

/** Every option at its default. */
rllc_status rllc_target_line_init(rllc_target_line *line, const rllc_analytic_kind *kind) RLLC_MUST_USE;
void rllc_target_line_release(rllc_target_line *line);
/** The first argument that names a kind; NULL if none does. */
const rllc_analytic_kind *rllc_target_kind_of(int argc, const char *const *argv);

typedef struct rllc_target_result {
    int64_t dim, free_dim;
    rllc_coefficient coefficient;
    rllc_expectation expected;
    double gibbs;      /* what a perfect sampler would estimate; NaN where it is not known or not asked for */
    rllc_estimate estimate;
    double *per_chain; /* [num_chains] */
    double z;          /* NaN where nothing is expected */
    double se;         /* behind z: exact where known, else llc_se */
    double acceptance; /* mean over chains, of exact samplers; NaN */
    double seconds;
    const char *warnings[24]; /* interned */
    int n_warnings;
} rllc_target_result;

/** Samples the target. gibbs: hold the estimate against the Gibbs value whatever the sampler; mala: record the MALA
 *  diagnostic; judge: run the diagnosis and keep its findings as warnings,
 *  and say what a perfect sampler would give. */
rllc_status rllc_target_run(const rllc_target_line *line, bool gibbs, bool judge, const rllc_monitor *monitor,
                            rllc_target_result *out) RLLC_MUST_USE;
void rllc_target_result_release(rllc_target_result *r);

/** `rllc potential --all`: every case of potential_cases.def. figure: an SVG path or NULL. RLLC_EFAIL if a case breaks its
 *  rule. */
rllc_status rllc_potential_all(const rllc_common_options *common, const char *figure) RLLC_MUST_USE;

#endif
