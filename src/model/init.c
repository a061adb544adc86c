/* Weights at step 0. */
#include <math.h>
#include <string.h>

#include "rllc/model.h"

/** W_pos[t][c]: sin and cos of t f_k with f_k = (2 n_ctx)^(-k / (C/2)), scaled by the amplitude. */
static void sinusoids(const rllc_model_options *o, float *w) {
    const double half = (double)o->d_model / 2;
    for (int64_t t = 0; t < o->n_ctx; t++)
        for (int64_t c = 0; c < o->d_model; c++) {
            const double k = floor((double)c / 2);
            const double angle = (double)t * pow(2.0 * (double)o->n_ctx, -k / half);
            w[t * o->d_model + c] = (float)(o->positions_amplitude * (c % 2 ? cos(angle) : sin(angle)));
        }
}

void rllc_model_randomize(rllc_model *m, uint64_t seed) {
    const rllc_stream stream = rllc_stream_make(seed, "init", 0, 0);
    const float s = (float)(m->options.init_scale / sqrt((double)m->options.d_model));
    for (int64_t i = 0; i < m->n_parameters; i++) {
        const rllc_parameter *p = &m->parameters[i];
        float *w = m->weights + p->offset;
        if (p->init == 'W') {
            /* always the reference generator: a seed names the same model on every machine */
            rllc_kernels_ref.normals(&stream, (uint64_t)p->offset, p->n, w);
            for (int64_t j = 0; j < p->n; j++) w[j] *= s;
        } else {
            for (int64_t j = 0; j < p->n; j++) w[j] = p->init == '1' ? 1.0F : 0.0F;
        }
    }
    if (m->options.positions_init == RLLC_POS_INIT_SINUSOIDAL)
        sinusoids(&m->options, m->weights + rllc_model_find(m, "pos_embed.W_pos")->offset);
}
