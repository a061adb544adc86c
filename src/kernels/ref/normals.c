/* Reference normal numbers: Box-Muller on the words of a counter-based stream. */
#include <math.h>

#include "kernels/ref/ref.h"

/* A word as a number strictly inside (0, 1). */
static double unit(uint32_t word) {
    return ((double)word + 0.5) * 0x1p-32;
}

/*
 * Number i comes from the words x0..x3 of block i / 4 of the stream, by its lane i % 4. Lanes 0 and 1 are the
 * cosine and the sine of (x0, x1), lanes 2 and 3 those of (x2, x3); with u(x) = (x + 1/2) / 2^32, of a pair (a, b):
 *   radius = sqrt(-2 log u(a));  angle = 2 pi u(b);  radius cos(angle), radius sin(angle)                    (E31)
 * |number| <= 6.77. Source: Box & Muller 1958; Salmon et al. 2011.
 */
void rllc_ref_normals(const rllc_stream *s, uint64_t first, int64_t n, float *out) {
    const double two_pi = 6.283185307179586476925;
    for (int64_t i = 0; i < n; i++) {
        uint64_t index = first + (uint64_t)i;
        uint32_t words[4];
        rllc_stream_block(s, index / 4, words);
        const uint32_t *pair = words + (index % 4 & 2);
        double radius = sqrt(-2 * log(unit(pair[0]))), angle = two_pi * unit(pair[1]);
        out[i] = (float)(radius * (index % 2 == 0 ? cos(angle) : sin(angle)));
    }
}
