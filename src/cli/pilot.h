/* pilot: short chains at every point of a grid of lr, nbeta and localization, around one checkpoint. For calibrate. */
#ifndef RLLC_CLI_PILOT_H
#define RLLC_CLI_PILOT_H

#include "cli/command.h"

/** One setting: what curvature predicts, and what its chains gave. */
typedef struct rllc_pilot_point {
    rllc_sampler_options options;
    rllc_bias_budget budget;  /* for the draws that the pilot records */
    double predicted_virial;  /* E[u.G] / dim at equilibrium on the quadratic */
    bool pruned;              /* unstable by its curvature: not sampled */
    rllc_estimate estimate;
    double virial, heat_capacity;
    rllc_verdict verdict;
    int grade;
    const char *finding;      /* the sentence that decided the verdict; interned */
} rllc_pilot_point;

typedef struct rllc_pilot {
    const rllc_model *model;
    const rllc_component *component;
    const rllc_rows *rows;
    const char *checkpoint_hash, *corpus_hash; /* address noise and minibatches, as for rllc sample */
    bool refined_data;
    rllc_sampler_options base;                 /* all but lr, nbeta, localization */
    const double *lr, *nbeta, *localization;
    int64_t n_lr, n_nbeta, n_localization;
    int64_t curvature_probes, curvature_steps, curvature_batches;
    int n_threads;
    const rllc_monitor *monitor;
    rllc_curvature curvature;                  /* out */
    rllc_pilot_point *points;                  /* out: [n] localization inside nbeta, lr inside localization */
    int64_t n;
} rllc_pilot;

/** Measures the curvature, prunes, samples what is left in lockstep. */
rllc_status rllc_pilot_run(rllc_pilot *p) RLLC_MUST_USE;
void rllc_pilot_release(rllc_pilot *p);

#endif
