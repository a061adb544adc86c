/* SGLD preconditioned by a running second moment of the gradient. */
#include <math.h>

#include "rllc/kernels.h"
#include "samplers.h"

enum { DEVINTERP, CORRECTED }; /* the choices of rmsprop_variant */
enum { UPDATES };              /* scalars: how often V was updated */

/** V <- alpha V + (1 - alpha) g^2, from V = 0 (devinterp) or V = 1 (corrected). g is the loss gradient alone. */
static void update(const rllc_sampler_options *o, rllc_sampler_state *s, const float *gradient) {
    const double alpha = o->rmsprop_alpha;
    float *restrict v = s->memory;
    const float *restrict g = gradient;
    if (o->rmsprop_variant == CORRECTED && s->scalar[UPDATES] == 0)
        for (int64_t i = 0; i < s->dim; i++) v[i] = 1;
    for (int64_t i = 0; i < s->dim; i++)
        v[i] = (float)(alpha * (double)v[i] + (1 - alpha) * (double)g[i] * (double)g[i]);
    s->scalar[UPDATES]++;
}

/**
 * One step, with V updated first unless it is frozen.                                                    (E71, E72)
 *
 *   G = 1 / (sqrt(V / c) + eps), c = 1 (devinterp) or 1 - alpha^updates (corrected)
 *   w <- w - lr/2 G (nbeta g + localization (w - w0) + weight_decay w) + sqrt(lr G) noise_level eta
 *
 * No term for the change of G with w: the target is exp(-U) only where V stands still.
 */
static rllc_status step(const rllc_sampler_options *o, rllc_sampler_state *s, double *loss, const float *gradient,
                        const rllc_stream *noise) {
    (void)loss;
    const bool corrected = o->rmsprop_variant == CORRECTED, noisy = o->noise_level != 0;
    const double eps = o->rmsprop_eps > 0 ? o->rmsprop_eps : corrected ? 1e-8 : 0.1;
    if (!o->rmsprop_freeze || s->step < o->num_burnin_steps) update(o, s, gradient);
    const double unbias = corrected ? 1 / (1 - pow(o->rmsprop_alpha, s->scalar[UPDATES])) : 1;
    const double nbeta = o->nbeta, localization = o->localization, decay = o->weight_decay;
    float *restrict w = s->w, *restrict eta = s->scratch;
    const float *restrict v = s->memory, *restrict w0 = s->w0, *restrict g = gradient;
    if (noisy) rllc_noise_normals(s, noise, 0, eta);
    for (int64_t i = 0; i < s->dim; i++) {
        const double step_size = o->lr / (sqrt((double)v[i] * unbias) + eps), wi = w[i];
        const double drift = nbeta * (double)g[i] + localization * (wi - (double)w0[i]) + decay * wi;
        const double kick = noisy ? sqrt(step_size) * o->noise_level * (double)eta[i] : 0;
        w[i] = (float)(wi - 0.5 * step_size * drift + kick);
        eta[i] = (float)kick;
    }
    s->noise_norm = sqrt(rllc_kernels_get()->sum_squares(s->dim, eta));
    rllc_box_reflect(o, s, NULL);
    return RLLC_OK;
}

static rllc_status check(const rllc_sampler_options *o) {
    if (o->rmsprop_freeze && o->num_burnin_steps == 0)
        return rllc_fail(RLLC_EUSAGE, "rmsprop_freeze holds what burn-in learnt, but num_burnin_steps is 0; give "
                         "some burn-in");
    if (o->rmsprop_variant == CORRECTED && o->rmsprop_alpha == 1)
        return rllc_fail(RLLC_EUSAGE, "rmsprop_alpha 1 learns nothing: the corrected variant would divide by 0; take a "
                         "value below 1");
    return RLLC_OK;
}

const rllc_sampler_kind rllc_sampler_rmsprop_sgld = {
    .name = "rmsprop-sgld",
    .summary = "SGLD with steps scaled by a running second moment of the gradient",
    .source = "Li et al. 2016; Hitchcock & Hoogland 2025",
    .reads = "lr,noise_level,weight_decay,bounding_box,rmsprop_variant,rmsprop_alpha,rmsprop_eps,rmsprop_freeze",
    .n_memory = 1,
    .check = check,
    .step = step,
};
