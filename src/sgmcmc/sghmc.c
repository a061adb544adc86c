/* Stochastic gradient Hamiltonian Monte Carlo. */
#include "samplers.h"

/**
 * One step, xi = momentum_decay; the momenta u start at 0.                                                    (E73)
 *
 *   u <- (1 - xi) u - lr/2 (nbeta g + localization (w - w0) + weight_decay w) + sqrt(lr xi) noise_level eta
 *   w <- w + u
 *
 * xi = 1 is sgld. In the notation of Chen et al.: eta = lr / 2, alpha = xi.
 */
static rllc_status step(const rllc_sampler_options *o, rllc_sampler_state *s, double *loss, const float *gradient,
                        const rllc_stream *noise) {
    (void)loss;
    rllc_momentum_step(o, s, gradient, noise, o->momentum_decay, o->momentum_decay);
    return RLLC_OK;
}

static rllc_status check(const rllc_sampler_options *o) {
    if (o->momentum_decay > 0) return RLLC_OK;
    return rllc_fail(RLLC_EUSAGE, "momentum_decay 0 leaves sghmc neither friction nor noise; take a value above 0, "
                     "up to 1");
}

const rllc_sampler_kind rllc_sampler_sghmc = {
    .name = "sghmc",
    .summary = "stochastic gradient Hamiltonian Monte Carlo: SGLD with momentum",
    .source = "Chen, Fox & Guestrin 2014",
    .reads = "lr,noise_level,weight_decay,bounding_box,momentum_decay",
    .n_memory = 1,
    .check = check,
    .step = step,
};
