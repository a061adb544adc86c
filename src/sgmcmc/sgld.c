/* Stochastic gradient Langevin dynamics. */
#include "rllc/kernels.h"
#include "samplers.h"

/**
 * One SGLD step on the free coordinates.                                                                      (E12)
 *
 *   w <- w - lr/2 (nbeta g + localization (w - w0) + weight_decay w) + sqrt(lr) noise_level eta
 *
 * eta[i] is normal number (index of coordinate i in the whole model) of the stream, so what else moves does not
 * change it. Cost: one pass over dim.
 */
static rllc_status step(const rllc_sampler_options *o, rllc_sampler_state *s, const float *gradient,
                        const rllc_stream *noise) {
    const rllc_kernels *k = rllc_kernels_get();
    const rllc_sgld_step rule = {.lr = o->lr, .nbeta = o->nbeta, .localization = o->localization,
                                 .weight_decay = o->weight_decay, .noise_level = o->noise_level,
                                 .bounding_box = o->bounding_box};
    float *eta = s->scratch;
    if (o->noise_level != 0)
        for (int64_t i = 0, at = 0; i < s->n_spans; at += s->spans[i++].n)
            k->normals(noise, (uint64_t)s->spans[i].first, s->spans[i].n, eta + at);
    k->sgld(s->dim, &rule, gradient, s->w0, o->noise_level != 0 ? eta : NULL, s->w);
    return RLLC_OK;
}

const rllc_sampler_kind rllc_sampler_sgld = {
    .name = "sgld",
    .summary = "stochastic gradient Langevin dynamics around w*",
    .source = "Welling & Teh 2011; Lau et al. 2023",
    .step = step,
};
