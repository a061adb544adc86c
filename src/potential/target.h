/* An analytic model as a potential: what analytic.c makes and expectation.c knows about. */
#ifndef RLLC_POTENTIAL_TARGET_H
#define RLLC_POTENTIAL_TARGET_H

#include "analytic.h"

struct rllc_target {
    rllc_potential head; /* first: a target is a potential */
    rllc_analytic all;   /* what the caller sees */
    rllc_analytic_model model;
    bool *moves;    /* [dim] */
    int64_t *index; /* [free] which coordinates move */
    rllc_span *spans;
    int64_t n_spans;
    float *w0, *start, *normals;      /* [free]: w*; displacement of the start; scratch */
    double *w0_whole, *whole, *slope; /* [dim]: w*; scratch */
    double *noise_sd;                 /* [free] of the gradient's noise; NULL: none */
    int64_t samples, batch, *rows;
    bool minibatches;
    uint64_t seed;
    int64_t step;
    double baseline; /* loss at w* on the selected samples */
};

/** whole <- w* with the free coordinates w. */
void rllc_target_scatter(const struct rllc_target *t, const float *w);
/** Fills all.coefficient and all.doubt. */
rllc_status rllc_target_coefficient(struct rllc_target *t) RLLC_MUST_USE;

#endif
