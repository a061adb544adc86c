/* Each linear sampler on one direction of a quadratic, as a recursion; the exact samplers' Gibbs value. */
#include <math.h>
#include <string.h>

#include "linear.h"

/** With u = w - w*, the total gradient is G = a u + b + nbeta (minibatch noise): a = nbeta curvature + localization +
 *  weight_decay, b = nbeta slope + weight_decay at. */
struct force {
    double a, b, noise; /* variance of G's noise */
};

static struct force force_of(const rllc_sampler_options *o, const rllc_direction *d) {
    return (struct force){.a = o->nbeta * d->curvature + o->localization + o->weight_decay,
                          .b = o->nbeta * d->slope + o->weight_decay * d->at,
                          .noise = o->nbeta * o->nbeta * d->noise / (double)o->gradient_accumulation_steps};
}

/** u <- u - (lr/2) G + sqrt(lr) noise_level eta.                                                              (E12) */
static void sgld(const rllc_sampler_options *o, struct force k, rllc_linear_chain *c) {
    c->n = 1;
    c->F[0][0] = 1 - o->lr * k.a / 2;
    c->f[0] = -o->lr * k.b / 2;
    c->Q[0][0] = o->lr * o->noise_level * o->noise_level + o->lr * o->lr / 4 * k.noise;
}

/** u <- u - (lr/2) G + sqrt(lr) noise_level (eta_t + eta_t+1) / 2: the state carries eta_t.                    */
static void sgld_lm(const rllc_sampler_options *o, struct force k, rllc_linear_chain *c) {
    const double half = sqrt(o->lr) * o->noise_level / 2;
    c->n = 2;
    c->F[0][0] = 1 - o->lr * k.a / 2;
    c->F[0][1] = half;
    c->f[0] = -o->lr * k.b / 2;
    c->Q[0][0] = half * half + o->lr * o->lr / 4 * k.noise;
    c->Q[0][1] = c->Q[1][0] = half;
    c->Q[1][1] = 1;
    c->covariance[1][1] = 1;
}

/** v <- (1 - xi) v - (lr/2) G + sqrt(lr xi) noise_level eta,  u <- u + v.                                      */
static void sghmc(const rllc_sampler_options *o, struct force k, rllc_linear_chain *c) {
    const double keep = 1 - o->momentum_decay, pull = o->lr * k.a / 2;
    const double q = o->lr * o->momentum_decay * o->noise_level * o->noise_level + o->lr * o->lr / 4 * k.noise;
    c->n = 2;
    c->F[0][0] = 1 - pull;
    c->F[1][0] = -pull;
    c->F[0][1] = c->F[1][1] = keep;
    c->f[0] = c->f[1] = -o->lr * k.b / 2;
    c->Q[0][0] = c->Q[0][1] = c->Q[1][0] = c->Q[1][1] = q;
}

static const struct linear_sampler {
    const char *name;
    void (*recursion)(const rllc_sampler_options *o, struct force k, rllc_linear_chain *c);
} linear_samplers[] = {{"sgld", sgld}, {"sgld-lm", sgld_lm}, {"sghmc", sghmc}};

/** E[nbeta (L - L(w*))] under the density itself: u ~ N(-b/a, 1/a). */
static rllc_status gibbs(const rllc_sampler_options *o, struct force k, const rllc_direction *d, double *mean) {
    if (d->curvature == 0 && d->slope == 0) {
        *mean = 0;
        return RLLC_OK;
    }
    if (!(k.a > 0)) return rllc_fail(RLLC_EUNSUPPORTED, "the density is not normalisable: nbeta h + localization <= 0");
    const double centre = -k.b / k.a;
    *mean = o->nbeta * (d->slope * centre + d->curvature / 2 * (1 / k.a + centre * centre));
    return RLLC_OK;
}

rllc_status rllc_direction_law(const rllc_sampler_options *o, const rllc_direction *d, double *mean, double *variance) {
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    const struct force k = force_of(o, d);
    rllc_status status = RLLC_OK;
    *mean = *variance = NAN;
    if (!kind) return rllc_fail(RLLC_EUSAGE, "unknown sampler '%s'", o->sampler ? o->sampler : "null");
    if (o->bounding_box > 0)
        return rllc_fail(RLLC_EUNSUPPORTED, "no closed form is known for a chain in a bounding box");
    if (kind->exact) return gibbs(o, k, d, mean);
    for (size_t i = 0; i < sizeof linear_samplers / sizeof *linear_samplers; i++) {
        if (strcmp(linear_samplers[i].name, kind->name) != 0) continue;
        rllc_linear_chain c = {0};
        linear_samplers[i].recursion(o, k, &c);
        c.mean[0] = d->start;
        c.covariance[0][0] = o->init_noise * o->init_noise;
        RLLC_TRY(rllc_linear_law(&c, o, d->slope, d->curvature, mean, variance));
        *mean *= o->nbeta;
        *variance *= o->nbeta * o->nbeta;
        return RLLC_OK;
    }
    return rllc_fail(RLLC_EUNSUPPORTED, "%s has no closed form at a finite step", kind->name);
done:
    return status;
}

rllc_status rllc_mode_law(const rllc_sampler_options *o, rllc_mode mode, double *mean, double *variance) {
    const rllc_direction d = {
        .curvature = mode.h, .slope = mode.h * mode.c, .at = mode.c, .start = mode.start, .noise = mode.noise};
    return rllc_direction_law(o, &d, mean, variance);
}
