/* What rules with momentum share: the underdamped step, and walls. */
#include <math.h>
#include <string.h>

#include "rllc/kernels.h"
#include "samplers.h"

void rllc_box_reflect(const rllc_sampler_options *o, rllc_sampler_state *s, float *u) {
    if (o->bounding_box <= 0) return;
    for (int64_t i = 0; i < s->dim; i++) {
        const double low = (double)s->w0[i] - o->bounding_box, high = (double)s->w0[i] + o->bounding_box;
        const double wi = s->w[i];
        if (wi >= low && wi <= high) continue;
        s->w[i] = (float)(wi < low ? low : high);
        if (u) u[i] = -u[i];
    }
}

void rllc_momentum_step(const rllc_sampler_options *o, rllc_sampler_state *s, const float *gradient,
                        const rllc_stream *stream, double friction, double noise) {
    const double half_lr = 0.5 * o->lr, keep = 1 - friction, scale = sqrt(o->lr * noise) * o->noise_level;
    const double nbeta = o->nbeta, localization = o->localization, decay = o->weight_decay;
    float *restrict w = s->w, *restrict u = s->memory, *restrict eta = s->scratch;
    const float *restrict w0 = s->w0, *restrict g = gradient;
    if (scale != 0) rllc_noise_normals(s, stream, 0, eta);
    else memset(eta, 0, (size_t)s->dim * sizeof *eta);
    s->noise_norm = scale * sqrt(rllc_kernels_get()->sum_squares(s->dim, eta));
    for (int64_t i = 0; i < s->dim; i++) {
        const double wi = w[i], force = nbeta * (double)g[i] + localization * (wi - (double)w0[i]) + decay * wi;
        const double ui = keep * (double)u[i] - half_lr * force + scale * (double)eta[i];
        u[i] = (float)ui;
        w[i] = (float)(wi + ui);
    }
    rllc_box_reflect(o, s, u);
}
