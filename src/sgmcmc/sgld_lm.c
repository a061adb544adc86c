/* SGLD with the noise of Leimkuhler & Matthews: the mean of this step's and the next one's. */
#include "samplers.h"

/**
 * One step.                                                                                                   (E70)
 *
 *   w <- w - lr/2 (nbeta g + localization (w - w0) + weight_decay w) + sqrt(lr) noise_level (eta_t + eta_t+1) / 2
 *
 * eta_t is the noise that sgld adds at step t. The noise is regenerated, not kept: a chain is (w, step) as for sgld, at
 * the price of a second normal a coordinate.
 */
static rllc_status step(const rllc_sampler_options *o, rllc_sampler_state *s, double *loss, const float *gradient,
                        const rllc_stream *noise) {
    (void)loss;
    if (o->noise_level != 0) rllc_noise_average(s, noise, s->scratch);
    rllc_langevin_step(o, s, gradient, s->scratch);
    return RLLC_OK;
}

const rllc_sampler_kind rllc_sampler_sgld_lm = {
    .name = "sgld-lm",
    .summary = "SGLD with averaged noise: no bias of the step size on quadratics, at the same cost",
    .source = "Leimkuhler & Matthews 2013",
    .reads = "lr,noise_level,weight_decay,bounding_box",
    .step = step,
};
