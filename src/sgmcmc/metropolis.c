/* Exact transitions, one evaluation of loss and gradient at a time: leapfrog steps, then Metropolis' decision. */
#include <math.h>
#include <string.h>

#include "rllc/kernels.h"
#include "samplers.h"

/** Memory: the chain's state with its gradient (while s->w is on its way), and the momenta. */
typedef struct vectors {
    float *x, *gradient, *momentum;
} vectors;

static vectors vectors_of(const rllc_sampler_state *s) {
    return (vectors){s->memory, s->memory + s->dim, s->memory + 2 * s->dim};
}

/** U(w) + |p|^2 / 2 in double, U = nbeta L + localization/2 |w - w0|^2 + weight_decay/2 |w|^2. */
static double energy(const rllc_sampler_options *o, rllc_sampler_state *s, double loss, const float *momentum) {
    const rllc_kernels *k = rllc_kernels_get();
    double sum = o->nbeta * loss + 0.5 * k->sum_squares(s->dim, momentum);
    for (int64_t i = 0; i < s->dim; i++) s->scratch[i] = s->w[i] - s->w0[i];
    sum += 0.5 * o->localization * k->sum_squares(s->dim, s->scratch);
    if (o->weight_decay != 0) sum += 0.5 * o->weight_decay * k->sum_squares(s->dim, s->w);
    return sum;
}

/** p <- p - time dU/dw at s->w. */
static void kick(const rllc_sampler_options *o, const rllc_sampler_state *s, double time, const float *gradient,
                 float *momentum) {
    const double nbeta = o->nbeta, localization = o->localization, decay = o->weight_decay;
    const float *restrict w = s->w, *restrict w0 = s->w0, *restrict g = gradient;
    float *restrict p = momentum;
    for (int64_t i = 0; i < s->dim; i++) {
        const double wi = w[i], slope = nbeta * (double)g[i] + localization * (wi - (double)w0[i]) + decay * wi;
        p[i] = (float)((double)p[i] - time * slope);
    }
}

/** w <- w + time p */
static void drift(rllc_sampler_state *s, double time, const float *momentum) {
    float *restrict w = s->w;
    const float *restrict p = momentum;
    for (int64_t i = 0; i < s->dim; i++) w[i] = (float)((double)w[i] + time * (double)p[i]);
}

static bool inside_box(const rllc_sampler_options *o, const rllc_sampler_state *s) {
    for (int64_t i = 0; o->bounding_box > 0 && i < s->dim; i++)
        if (fabs((double)s->w[i] - (double)s->w0[i]) > o->bounding_box) return false;
    return true;
}

static bool is_finite(const rllc_sampler_state *s, double loss, const float *gradient) {
    return isfinite(loss) && isfinite(rllc_kernels_get()->sum_squares(s->dim, gradient));
}

/** s->w becomes the chain's state. */
static void adopt(rllc_sampler_state *s, double loss, const float *gradient) {
    const vectors v = vectors_of(s);
    memcpy(v.x, s->w, (size_t)s->dim * sizeof *v.x);
    memcpy(v.gradient, gradient, (size_t)s->dim * sizeof *v.gradient);
    s->scalar[RLLC_METROPOLIS_LOSS] = loss;
}

/** Accepts the proposal s->w with probability min(1, exp(-dH)); else s->w returns to the state. A proposal that is
 *  outside the box or has no finite loss has no density. */
static void decide(const rllc_sampler_options *o, rllc_sampler_state *s, double loss, const float *gradient,
                   const rllc_stream *noise) {
    const vectors v = vectors_of(s);
    bool accepted = false;
    s->scalar[RLLC_METROPOLIS_ENERGY_ERROR] = INFINITY;
    if (s->scalar[RLLC_METROPOLIS_DOOMED] == 0 && is_finite(s, loss, gradient) && inside_box(o, s)) {
        kick(o, s, 0.5 * sqrt(o->lr), gradient, v.momentum);
        s->scalar[RLLC_METROPOLIS_ENERGY_ERROR] = energy(o, s, loss, v.momentum) - s->scalar[RLLC_METROPOLIS_ENERGY];
        accepted = log(rllc_stream_uniform(noise, RLLC_NOISE_ACCEPT)) < -s->scalar[RLLC_METROPOLIS_ENERGY_ERROR];
    }
    if (accepted) {
        adopt(s, loss, gradient);
        s->scalar[RLLC_METROPOLIS_ACCEPTED]++;
    } else {
        memcpy(s->w, v.x, (size_t)s->dim * sizeof *s->w);
    }
}

/** Fresh momenta, and the first leapfrog step from the state. */
static void depart(const rllc_sampler_options *o, rllc_sampler_state *s, const rllc_stream *noise) {
    const vectors v = vectors_of(s);
    rllc_noise_normals(s, noise, 0, v.momentum);
    s->scalar[RLLC_METROPOLIS_ENERGY] = energy(o, s, s->scalar[RLLC_METROPOLIS_LOSS], v.momentum);
    s->scalar[RLLC_METROPOLIS_DOOMED] = 0;
    s->scalar[RLLC_METROPOLIS_PROPOSED]++;
    kick(o, s, 0.5 * sqrt(o->lr), v.gradient, v.momentum);
    drift(s, sqrt(o->lr), v.momentum);
}

/** A leapfrog step from inside the trajectory. Where the loss is not finite the proposal is lost: s->w waits at the
 *  state until the transition's evaluations are over. */
static void travel(const rllc_sampler_options *o, rllc_sampler_state *s, double loss, const float *gradient) {
    const vectors v = vectors_of(s);
    if (s->scalar[RLLC_METROPOLIS_DOOMED] != 0) return;
    if (is_finite(s, loss, gradient)) {
        kick(o, s, sqrt(o->lr), gradient, v.momentum);
        drift(s, sqrt(o->lr), v.momentum);
    } else {
        s->scalar[RLLC_METROPOLIS_DOOMED] = 1;
        memcpy(s->w, v.x, (size_t)s->dim * sizeof *s->w);
    }
}

rllc_status rllc_metropolis_step(const rllc_sampler_options *o, rllc_sampler_state *s, int64_t leapfrogs, double *loss,
                                 const float *gradient, const rllc_stream *noise) {
    rllc_status status = RLLC_OK;
    double *phase = &s->scalar[RLLC_METROPOLIS_PHASE];
    if (*phase != 0) {
        travel(o, s, *loss, gradient);
    } else {
        if (s->scalar[RLLC_METROPOLIS_PROPOSED] == 0) {
            RLLC_TRY(rllc_sampler_finite(s, *loss, gradient));
            adopt(s, *loss, gradient);
        } else {
            decide(o, s, *loss, gradient, noise);
        }
        depart(o, s, noise);
    }
    *phase = *phase + 1 < (double)leapfrogs ? *phase + 1 : 0;
    *loss = s->scalar[RLLC_METROPOLIS_LOSS];
done:
    return status;
}

const float *rllc_metropolis_position(const rllc_sampler_state *s) {
    return s->scalar[RLLC_METROPOLIS_PROPOSED] > 0 ? vectors_of(s).x : s->w;
}

double rllc_metropolis_acceptance(const rllc_sampler_options *o, const rllc_sampler_state *s) {
    (void)o;
    const double decided = s->scalar[RLLC_METROPOLIS_PROPOSED] - 1; /* the last one is on its way */
    return decided > 0 ? s->scalar[RLLC_METROPOLIS_ACCEPTED] / decided : NAN;
}
