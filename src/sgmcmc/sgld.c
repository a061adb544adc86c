/* Stochastic gradient Langevin dynamics. */
#include <math.h>

#include "rllc/kernels.h"
#include "samplers.h"

void rllc_langevin_step(const rllc_sampler_options *o, rllc_sampler_state *s, const float *gradient, const float *eta) {
    const rllc_kernels *k = rllc_kernels_get();
    const rllc_sgld_step rule = {.lr = o->lr, .nbeta = o->nbeta, .localization = o->localization,
                                 .weight_decay = o->weight_decay, .noise_level = o->noise_level,
                                 .bounding_box = o->bounding_box};
    s->noise_norm = o->noise_level != 0 ? sqrt(o->lr * k->sum_squares(s->dim, eta)) * o->noise_level : 0;
    k->sgld(s->dim, &rule, gradient, s->w0, o->noise_level != 0 ? eta : NULL, s->w);
}

/**
 * One SGLD step on the free coordinates.                                                                      (E12)
 *
 *   w <- w - lr/2 (nbeta g + localization (w - w0) + weight_decay w) + sqrt(lr) noise_level eta
 *
 * Cost: one pass over dim.
 */
static rllc_status step(const rllc_sampler_options *o, rllc_sampler_state *s, double *loss, const float *gradient,
                        const rllc_stream *noise) {
    (void)loss;
    if (o->noise_level != 0) rllc_noise_normals(s, noise, 0, s->scratch);
    rllc_langevin_step(o, s, gradient, s->scratch);
    return RLLC_OK;
}

const rllc_sampler_kind rllc_sampler_sgld = {
    .name = "sgld",
    .summary = "stochastic gradient Langevin dynamics around w*",
    .source = "Welling & Teh 2011; Lau et al. 2023",
    .reads = "lr,noise_level,weight_decay,bounding_box",
    .step = step,
};
