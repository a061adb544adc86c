/* The Metropolis-adjusted Langevin algorithm: SGLD's step as a proposal. */
#include "samplers.h"

/**
 * One transition.                                                                                             (E75)
 *
 *   w' = w - lr/2 dU(w) + sqrt(lr) eta,  U = nbeta L + localization/2 |w - w0|^2 + weight_decay/2 |w|^2
 *
 * accepted with the probability that makes exp(-U) stationary. As one leapfrog step of size sqrt(lr) from momenta eta,
 * the ratio of the densities of the two ways is that of the kinetic energies.
 */
static rllc_status step(const rllc_sampler_options *o, rllc_sampler_state *s, double *loss, const float *gradient,
                        const rllc_stream *noise) {
    return rllc_metropolis_step(o, s, 1, loss, gradient, noise);
}

const rllc_sampler_kind rllc_sampler_mala = {
    .name = "mala",
    .summary = "Metropolis-adjusted Langevin: exact for a fixed batch",
    .source = "Besag 1994; Roberts & Tweedie 1996",
    .reads = "lr,weight_decay,bounding_box",
    .n_memory = 3,
    .exact = true,
    .step = step,
    .acceptance = rllc_metropolis_acceptance,
    .position = rllc_metropolis_position,
};
