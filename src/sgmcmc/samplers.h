/* The registered sampling rules, and what they share: addressed noise, the Langevin, momentum and Metropolis steps. */
#ifndef RLLC_SGMCMC_SAMPLERS_H
#define RLLC_SGMCMC_SAMPLERS_H

#include "rllc/sgmcmc.h"

#define RLLC_SAMPLER(identifier) extern const rllc_sampler_kind rllc_sampler_##identifier;
#include "samplers.def"
#undef RLLC_SAMPLER

/* A stream holds one normal for each coordinate of the model from index 0 on. What else a rule draws from the stream of
 * a step stands far above: no model has 2^60 coordinates. Normals use block index / 4, uniforms block index / 2. */
#define RLLC_NOISE_MOMENTUM ((uint64_t)1 << 60) /* normals of the first momentum */
#define RLLC_NOISE_ACCEPT ((uint64_t)1 << 62)   /* the uniform that decides a proposal */

/** RLLC_ENOTFINITE with the reason if loss or gradient are not finite. */
rllc_status rllc_sampler_finite(const rllc_sampler_state *s, double loss, const float *gradient) RLLC_MUST_USE;

/** eta[i] = normal number offset + (index of coordinate i in the whole model) of the stream. */
void rllc_noise_normals(const rllc_sampler_state *s, const rllc_stream *noise, uint64_t offset, float *eta);
/** eta[i] = half the sum of the normals of this step and of the next. */
void rllc_noise_average(const rllc_sampler_state *s, const rllc_stream *noise, float *eta);

/** The step E12 with this noise (NULL if noise_level is 0). */
void rllc_langevin_step(const rllc_sampler_options *o, rllc_sampler_state *s, const float *gradient, const float *eta);
/** Coordinates beyond the bounding box, if there is one, are put on it; their momenta u (may be NULL) change sign. */
void rllc_box_reflect(const rllc_sampler_options *o, rllc_sampler_state *s, float *u);
/**
 * u <- (1 - friction) u - lr/2 (nbeta g + localization (w - w0) + weight_decay w) + sqrt(lr noise) noise_level eta,
 * w <- w + u, with eta that of the step; the momenta u are s->memory.
 */
void rllc_momentum_step(const rllc_sampler_options *o, rllc_sampler_state *s, const float *gradient,
                        const rllc_stream *stream, double friction, double noise);

/** Scalars of a Metropolis rule. A proposal is decided on when the loss and gradient at its end are given: at the first
 *  evaluation of the next step. */
enum {
    RLLC_METROPOLIS_PHASE,        /* evaluations of this step already used */
    RLLC_METROPOLIS_LOSS,         /* of the chain's state */
    RLLC_METROPOLIS_ENERGY,       /* H at the start of the trajectory */
    RLLC_METROPOLIS_ENERGY_ERROR, /* H' - H of the proposal decided last */
    RLLC_METROPOLIS_PROPOSED,
    RLLC_METROPOLIS_ACCEPTED,
    RLLC_METROPOLIS_DOOMED        /* the trajectory met a loss that is not finite */
};
/** One evaluation's worth of a Metropolis transition of `leapfrogs` steps of size sqrt(lr); memory of three vectors. */
rllc_status rllc_metropolis_step(const rllc_sampler_options *o, rllc_sampler_state *s, int64_t leapfrogs, double *loss,
                                 const float *gradient, const rllc_stream *noise) RLLC_MUST_USE;
const float *rllc_metropolis_position(const rllc_sampler_state *s);
double rllc_metropolis_acceptance(const rllc_sampler_options *o, const rllc_sampler_state *s);

#endif
