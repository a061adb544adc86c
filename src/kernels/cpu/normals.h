/* Normal numbers: Philox4x32-10 on W blocks at once, then Box-Muller; the mapping is (E31) in rllc/kernels.h. */
#ifndef RLLC_KERNELS_CPU_NORMALS_H
#define RLLC_KERNELS_CPU_NORMALS_H

#include "kernels/cpu/vector.h"

/* Lane by lane, the 64-bit product of the lower 32-bit halves. */
INLINE vq multiply_low(vq a, vq b) {
#if defined(__AVX512F__)
    return (vq)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (vq)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
    return (vq)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

/*
 * The four words of W / 2 blocks, in the lower halves of 64-bit lanes (the upper halves are left as they come).
 * The counter words are: block low, block high, step, chain. Salmon et al. 2011, as in Random123.
 */
INLINE void philox(const rllc_stream *s, vq block, vq x[4]) {
    const vq zero = {0}, multiplier0 = zero + 0xD2511F53u, multiplier1 = zero + 0xCD9E8D57u;
    uint32_t key0 = s->key[0], key1 = s->key[1];
    x[0] = block;
    x[1] = block >> 32;
    x[2] = zero + s->step;
    x[3] = zero + s->chain;
    for (int round = 0; round < 10; round++, key0 += 0x9E3779B9u, key1 += 0xBB67AE85u) {
        vq product0 = multiply_low(x[0], multiplier0), product1 = multiply_low(x[2], multiplier1);
        x[0] = (product1 >> 32) ^ x[1] ^ (zero + key0);
        x[2] = (product0 >> 32) ^ x[3] ^ (zero + key1);
        x[1] = product1;
        x[3] = product0;
    }
}

/*
 * -2 log u(x) with u = (x + 1/2) / 2^32, to the last places even where u is next to 1: above sqrt(1/2) the logarithm
 * is taken of 1 - (1 - u), and 1 - u is u of the complement of x.
 */
INLINE vf minus_two_log(vu x) {
    vi near_one = (vi)(x >= 0xB504F334u);
    vu word = (vu)((vi)x ^ near_one);
    vf u = (__builtin_convertvector(word, vf) + v_splat(0.5f)) * v_splat(0x1p-32f), e, f;
    v_split(u, &e, &f);
    e = (vf)((vi)e & ~near_one);
    f = v_select(near_one, -u, f);
    return v_splat(-2.0f) * v_log_parts(e, f);
}

/* cos and sin of 2 pi u(x): the nearest quarter turn is taken off in integers, the rest is at most 1/8 turn. */
INLINE void turn(vu x, vf *cosine, vf *sine) {
    vu quarter = (x + 0x20000000u) >> 30;
    vf t = (__builtin_convertvector((vi)(x - (quarter << 30)), vf) + v_splat(0.5f)) * v_splat(0x1p-32f);
    vf s = t * t;
    vf c_part = v_splat(59.2458649f), s_part = v_splat(-75.2399216f);
    c_part = v_fma(c_part, s, v_splat(-85.4437408f));
    c_part = v_fma(c_part, s, v_splat(64.9393234f));
    c_part = v_fma(c_part, s, v_splat(-19.7392082f));
    c_part = v_fma(c_part, s, v_splat(1.0f));
    s_part = v_fma(s_part, s, v_splat(81.5881195f));
    s_part = v_fma(s_part, s, v_splat(-41.341629f));
    s_part = v_fma(s_part, s, v_splat(6.28318501f)) * t;
    vi swap = -(vi)(quarter & 1);
    *cosine = (vf)((vu)v_select(swap, s_part, c_part) ^ ((quarter + 1) & 2) << 30);
    *sine = (vf)((vu)v_select(swap, c_part, s_part) ^ (quarter & 2) << 30);
}

/* The 4 W numbers of W blocks. */
static void normal_blocks(const rllc_stream *s, uint64_t block, float out[4 * W]) {
    vq even[4], odd[4], first = (vq){0} + block;
    UNROLL for (int l = 0; l < W / 2; l++) first[l] += 2 * (uint64_t)l;
    philox(s, first, even);
    philox(s, first + 1, odd);
    vf z[4];
    UNROLL for (int pair = 0; pair < 4; pair += 2) {
        vu word[2];
        UNROLL for (int i = 0; i < 2; i++) {
            word[i] = (vu)((even[pair + i] & 0xffffffffu) | odd[pair + i] << 32);
        }
        vf radius = v_sqrt(minus_two_log(word[0])), cosine, sine;
        turn(word[1], &cosine, &sine);
        z[pair] = radius * cosine;
        z[pair + 1] = radius * sine;
    }
    vf low[2] = {INTERLEAVE_LOW(z[0], z[2]), INTERLEAVE_LOW(z[1], z[3])};
    vf high[2] = {INTERLEAVE_HIGH(z[0], z[2]), INTERLEAVE_HIGH(z[1], z[3])};
    v_store(out, INTERLEAVE_LOW(low[0], low[1]));
    v_store(out + W, INTERLEAVE_HIGH(low[0], low[1]));
    v_store(out + 2 * W, INTERLEAVE_LOW(high[0], high[1]));
    v_store(out + 3 * W, INTERLEAVE_HIGH(high[0], high[1]));
}

static void normals(const rllc_stream *s, uint64_t first, int64_t n, float *out) {
    uint64_t block = first / 4;
    int64_t skip = (int64_t)(first % 4);
    while (n > 0) {
        int64_t here = n < 4 * W - skip ? n : 4 * W - skip;
        if (here == 4 * W) {
            normal_blocks(s, block, out);
        } else {
            float part[4 * W];
            normal_blocks(s, block, part);
            memcpy(out, part + skip, (size_t)here * sizeof *out);
        }
        skip = 0;
        block += W;
        out += here;
        n -= here;
    }
}

#endif
