/* Chains that are linear Gaussian recursions: exact moments of what their draws average to. */
#ifndef RLLC_THEORY_LINEAR_H
#define RLLC_THEORY_LINEAR_H

#include "rllc/theory.h"

enum { RLLC_LINEAR_MOST = 4 };

/** x <- F x + f + noise, noise ~ N(0, Q) afresh each step; x[0] is the coordinate u whose loss is recorded. */
typedef struct rllc_linear_chain {
    int n;
    double F[RLLC_LINEAR_MOST][RLLC_LINEAR_MOST], f[RLLC_LINEAR_MOST], Q[RLLC_LINEAR_MOST][RLLC_LINEAR_MOST];
    double mean[RLLC_LINEAR_MOST], covariance[RLLC_LINEAR_MOST][RLLC_LINEAR_MOST]; /* at the start */
} rllc_linear_chain;

/**
 * Mean and variance of the mean over draws of slope u + curvature u^2 / 2, at the steps that o records.       (E63)
 * Cost: n^3 a draw and a step between draws, memory n^2 a draw.
 */
rllc_status rllc_linear_law(const rllc_linear_chain *c, const rllc_sampler_options *o, double slope, double curvature,
                            double *mean, double *variance) RLLC_MUST_USE;

/** One direction u of a quadratic around w*, where it stands in absolute terms (weight decay pulls to 0), where the chain
 *  starts, and the variance of the minibatch gradient. */
typedef struct rllc_direction {
    double curvature, slope, at, start, noise;
} rllc_direction;
/** The mean and variance that this direction adds to an estimate; as rllc_mode_law. */
rllc_status rllc_direction_law(const rllc_sampler_options *o, const rllc_direction *d, double *mean,
                               double *variance) RLLC_MUST_USE;

#endif
