/* The normals of a step, addressed by the index of the coordinate in the whole model: what else moves is no matter. */
#include "rllc/kernels.h"
#include "samplers.h"

void rllc_noise_normals(const rllc_sampler_state *s, const rllc_stream *noise, uint64_t offset, float *eta) {
    const rllc_kernels *k = rllc_kernels_get();
    for (int64_t i = 0, at = 0; i < s->n_spans; at += s->spans[i++].n)
        k->normals(noise, offset + (uint64_t)s->spans[i].first, s->spans[i].n, eta + at);
}

/* The bits of a normal depend on its index alone, so the second one can come in pieces that stay in the cache. */
enum { PIECE = 1024 };

void rllc_noise_average(const rllc_sampler_state *s, const rllc_stream *noise, float *eta) {
    const rllc_kernels *k = rllc_kernels_get();
    rllc_stream next = *noise;
    float other[PIECE];
    next.step++;
    rllc_noise_normals(s, noise, 0, eta);
    for (int64_t i = 0; i < s->n_spans; i++)
        for (int64_t from = 0; from < s->spans[i].n; from += PIECE) {
            const int64_t left = s->spans[i].n - from, n = left < PIECE ? left : PIECE;
            k->normals(&next, (uint64_t)(s->spans[i].first + from), n, other);
            for (int64_t j = 0; j < n; j++) eta[j] = 0.5f * (eta[j] + other[j]);
            eta += n;
        }
}
