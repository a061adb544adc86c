/* Hamiltonian Monte Carlo with the leapfrog integrator. */
#include "samplers.h"

/**
 * One evaluation of a transition of num_leapfrog_steps.                                                       (E76)
 *
 *   p ~ N(0, 1); num_leapfrog_steps times: p <- p - h/2 dU(w), w <- w + h p, p <- p - h/2 dU(w);  h = sqrt(lr)
 *
 * then accepted with probability min(1, exp(H - H')), H = U + |p|^2 / 2. One leapfrog step is mala with the same lr.
 */
static rllc_status step(const rllc_sampler_options *o, rllc_sampler_state *s, double *loss, const float *gradient,
                        const rllc_stream *noise) {
    return rllc_metropolis_step(o, s, o->num_leapfrog_steps, loss, gradient, noise);
}

static int64_t evaluations(const rllc_sampler_options *o) {
    return o->num_leapfrog_steps;
}

const rllc_sampler_kind rllc_sampler_hmc = {
    .name = "hmc",
    .summary = "Hamiltonian Monte Carlo: exact for a fixed batch, far moves",
    .source = "Duane et al. 1987; Neal 2011",
    .reads = "lr,weight_decay,bounding_box,num_leapfrog_steps",
    .n_memory = 3,
    .exact = true,
    .evaluations = evaluations,
    .step = step,
    .acceptance = rllc_metropolis_acceptance,
    .position = rllc_metropolis_position,
};
