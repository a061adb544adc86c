/* The stochastic gradient Nose-Hoover thermostat. */
#include <math.h>

#include "rllc/kernels.h"
#include "samplers.h"

enum { XI, STARTED }; /* scalars: the friction; whether it and the momenta are set */

/**
 * One step, A = diffusion_factor, T = noise_level^2.                                                          (E74)
 *
 *   u <- (1 - xi) u - lr/2 (nbeta g + localization (w - w0) + weight_decay w) + sqrt(lr A) noise_level eta
 *   w <- w + u
 *   xi <- xi + |u|^2 / dim - T lr/2
 *
 * from u ~ N(0, T lr/2), xi = A. One thermostat for all coordinates that move. In the notation of Ding et al. the step
 * is eta = lr / 2, so that lr has the meaning that it has in sgld, which is this rule with xi = A = 1 held fixed.
 */
static rllc_status step(const rllc_sampler_options *o, rllc_sampler_state *s, double *loss, const float *gradient,
                        const rllc_stream *noise) {
    (void)loss;
    double *xi = &s->scalar[XI];
    const double wanted = 0.5 * o->lr * o->noise_level * o->noise_level; /* mean square of a momentum */
    if (s->scalar[STARTED] == 0) {
        s->scalar[STARTED] = 1;
        *xi = o->diffusion_factor;
        rllc_noise_normals(s, noise, RLLC_NOISE_MOMENTUM, s->memory);
        for (int64_t i = 0; i < s->dim; i++) s->memory[i] = (float)(sqrt(wanted) * (double)s->memory[i]);
    }
    rllc_momentum_step(o, s, gradient, noise, *xi, o->diffusion_factor);
    if (s->dim > 0) *xi += rllc_kernels_get()->sum_squares(s->dim, s->memory) / (double)s->dim - wanted;
    return RLLC_OK;
}

static rllc_status check(const rllc_sampler_options *o) {
    if (o->diffusion_factor > 0) return RLLC_OK;
    return rllc_fail(RLLC_EUSAGE, "diffusion_factor 0 leaves sgnht without noise: it would not reach every state; take "
                     "a value above 0");
}

const rllc_sampler_kind rllc_sampler_sgnht = {
    .name = "sgnht",
    .summary = "Nose-Hoover thermostat: momentum whose friction adapts to the noise of the gradient",
    .source = "Ding et al. 2014",
    .reads = "lr,noise_level,weight_decay,bounding_box,diffusion_factor",
    .n_memory = 1,
    .check = check,
    .step = step,
};
