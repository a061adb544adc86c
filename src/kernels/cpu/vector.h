/*
 * Vectors of floats for the instruction set this file is compiled for: 16 lanes with AVX-512, 8 with AVX2, else 4.
 *
 * Built on the vector extensions of gcc and clang; intrinsics stand only where those have no word for it. A partial
 * load fills with zeros, and whole and partial vectors go through the same instructions, so that a number comes out
 * the same wherever in an array it stands.
 */
#ifndef RLLC_KERNELS_CPU_VECTOR_H
#define RLLC_KERNELS_CPU_VECTOR_H

#include <math.h>
#include <string.h>

#include "rllc/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 16")

#if defined(__AVX512F__)
#define W 16
#elif defined(__AVX2__)
#define W 8
#else
#define W 4
#endif

typedef float vf __attribute__((vector_size(4 * W)));
typedef int32_t vi __attribute__((vector_size(4 * W)));
typedef uint32_t vu __attribute__((vector_size(4 * W)));
typedef uint64_t vq __attribute__((vector_size(4 * W)));                     /* W / 2 lanes */
typedef double vd __attribute__((vector_size(4 * W)));                       /* W / 2 lanes */
typedef float vh __attribute__((vector_size(2 * W)));                        /* W / 2 lanes */
typedef float vf_anywhere __attribute__((vector_size(4 * W), aligned(4)));   /* at any float */
typedef float vh_anywhere __attribute__((vector_size(2 * W), aligned(4)));

/* ---- memory ---------------------------------------------------------------------------------------------- */

INLINE vf v_load(const float *p) { return *(const vf_anywhere *)p; }
INLINE void v_store(float *p, vf x) { *(vf_anywhere *)p = x; }
INLINE vf v_splat(float x) { return x - (vf){0}; }
INLINE vi v_splat_int(int32_t x) { return x - (vi){0}; }

#if defined(__AVX2__) && !defined(__AVX512F__)
INLINE __m256i first_lanes(int64_t n) {
    const vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return (__m256i)(lane < v_splat_int((int32_t)n));
}
#endif

/* The first n (0 .. W) lanes; the rest are zero. */
INLINE vf v_load_part(const float *p, int64_t n) {
#if defined(__AVX512F__)
    return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined(__AVX2__)
    return (vf)_mm256_maskload_ps(p, first_lanes(n));
#else
    vf x = {0};
    memcpy(&x, p, (size_t)n * sizeof *p);
    return x;
#endif
}

/* Stores the first n (0 .. W) lanes. */
INLINE void v_store_part(float *p, vf x, int64_t n) {
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)x);
#elif defined(__AVX2__)
    _mm256_maskstore_ps(p, first_lanes(n), (__m256)x);
#else
    memcpy(p, &x, (size_t)n * sizeof *p);
#endif
}

/* Loops over n floats: whole vectors by v_load and v_store, then one part. */
INLINE int64_t v_lanes(int64_t left) { return left < W ? left : W; }
INLINE vf v_load_lanes(const float *p, int64_t lanes) { return lanes == W ? v_load(p) : v_load_part(p, lanes); }
INLINE void v_store_lanes(float *p, vf x, int64_t lanes) {
    if (lanes == W) v_store(p, x);
    else v_store_part(p, x, lanes);
}

/* ---- lane by lane ---------------------------------------------------------------------------------------- */

/*
 * a b + c, rounded once where the processor can. The compiler may fuse nothing by itself (-ffp-contract=off): which
 * products are fused must not depend on how it unrolls, or the bits of a number would depend on its place.
 */
INLINE vf v_fma(vf a, vf b, vf c) {
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__FP_FAST_FMAF)
    for (int i = 0; i < W; i++) c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
#else
    return a * b + c;
#endif
}

/* mask lanes are 0 or -1 */
INLINE vf v_select(vi mask, vf yes, vf no) { return (vf)((mask & (vi)yes) | (~mask & (vi)no)); }

/* The larger; b where either is a NaN. */
INLINE vf v_max(vf a, vf b) {
#if defined(__AVX512F__)
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__)
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
    return v_select(a > b, a, b);
#endif
}

/* The smaller; b where either is a NaN. */
INLINE vf v_min(vf a, vf b) {
#if defined(__AVX512F__)
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__x86_64__)
    return (vf)_mm_min_ps((__m128)a, (__m128)b);
#else
    return v_select(a < b, a, b);
#endif
}

INLINE vf v_sqrt(vf x) {
#if defined(__AVX512F__)
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
    return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__x86_64__)
    return (vf)_mm_sqrt_ps((__m128)x);
#else
    for (int i = 0; i < W; i++) x[i] = sqrtf(x[i]);
    return x;
#endif
}

/* ---- across lanes ---------------------------------------------------------------------------------------- */

/* The lanes of a and b in turn, a first: of their lower halves (LOW), of their upper halves (HIGH). */
#if W == 16
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define INTERLEAVE_HIGH(a, b) \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif W == 8
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define INTERLEAVE_LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

/* Transposes W vectors of W lanes: log2 W perfect shuffles. */
INLINE void v_transpose(vf x[W]) {
    UNROLL for (int step = 1; step < W; step *= 2) {
        vf y[W];
        UNROLL for (int i = 0; i < W / 2; i++) {
            y[2 * i] = INTERLEAVE_LOW(x[i], x[i + W / 2]);
            y[2 * i + 1] = INTERLEAVE_HIGH(x[i], x[i + W / 2]);
        }
        UNROLL for (int i = 0; i < W; i++) x[i] = y[i];
    }
}

/* The lanes of x, the upper half first: adding it folds x in half; then within halves, and so on. */
#if W == 16
#define FOLD_16(x) __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
#define FOLD_8(x) __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11)
#define FOLD_4(x) __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
#define FOLD_2(x) __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14)
#elif W == 8
#define FOLD_8(x) __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3)
#define FOLD_4(x) __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5)
#define FOLD_2(x) __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6)
#else
#define FOLD_4(x) __builtin_shufflevector(x, x, 2, 3, 0, 1)
#define FOLD_2(x) __builtin_shufflevector(x, x, 1, 0, 3, 2)
#endif

/* By halves, in one fixed order. */
INLINE float v_sum(vf x) {
#if W == 16
    x += FOLD_16(x);
#endif
#if W >= 8
    x += FOLD_8(x);
#endif
    x += FOLD_4(x);
    x += FOLD_2(x);
    return x[0];
}

INLINE float v_largest(vf x) {
#if W == 16
    x = v_max(x, FOLD_16(x));
#endif
#if W >= 8
    x = v_max(x, FOLD_8(x));
#endif
    x = v_max(x, FOLD_4(x));
    x = v_max(x, FOLD_2(x));
    return x[0];
}

/* ---- functions ------------------------------------------------------------------------------------------- */

/*
 * exp(x) for -88 <= x <= 88, to 1.02 units in the last place (tests/kernels measures it), and 0 below -87.68. With
 * n = round(x / log 2) and r = x - n log 2: 2^n (1 + r + r^2 P(r)), P minimax of degree 4 for the relative error, 3e-9.
 * Of several vectors in place (a constant, at most 4), step by step for all: the chain of one is too long to hide.
 */
INLINE void v_exp_clamped_abreast(const int n, vf *x) {
    const vf shift = v_splat(0x1.8p23f + 127); /* adding it rounds, and leaves n + 127 in the low bits */
    vf shifted[4], p[4];
    UNROLL for (int i = 0; i < n; i++) shifted[i] = v_fma(x[i], v_splat(1.44269504f), shift);
    UNROLL for (int i = 0; i < n; i++) x[i] = v_fma(shifted[i] - shift, v_splat(-0.693359375f), x[i]);
    UNROLL for (int i = 0; i < n; i++) x[i] = v_fma(shifted[i] - shift, v_splat(2.12194440e-4f), x[i]);
    UNROLL for (int i = 0; i < n; i++) p[i] = v_fma(v_splat(1.38145837e-3f), x[i], v_splat(8.36872403e-3f));
    UNROLL for (int i = 0; i < n; i++) p[i] = v_fma(p[i], x[i], v_splat(4.1668389e-2f));
    UNROLL for (int i = 0; i < n; i++) p[i] = v_fma(p[i], x[i], v_splat(0.166665211f));
    UNROLL for (int i = 0; i < n; i++) p[i] = v_fma(p[i], x[i], v_splat(0.49999994f));
    UNROLL for (int i = 0; i < n; i++) p[i] = v_fma(p[i] * x[i], x[i], x[i]) + v_splat(1.0f);
    UNROLL for (int i = 0; i < n; i++) x[i] = p[i] * (vf)((vu)shifted[i] << 23); /* -127 makes the power 0 */
}

INLINE vf v_exp_clamped(vf x) {
    v_exp_clamped_abreast(1, &x);
    return x;
}

/* exp(x) of n vectors in place; see v_exp. */
INLINE void v_exp_abreast(const int n, vf *x) {
    UNROLL for (int i = 0; i < n; i++) x[i] = v_max(v_splat(-88.0f), v_min(v_splat(88.0f), x[i]));
    v_exp_clamped_abreast(n, x);
}

/* exp(x) for x <= 0, NaN for NaN: the exponentials of a softmax. */
INLINE vf v_exp_below(vf x) { return v_exp_clamped(v_max(v_splat(-88.0f), x)); }

/* exp(x), exp(88) above 88, NaN for NaN. */
INLINE vf v_exp(vf x) { return v_exp_clamped(v_max(v_splat(-88.0f), v_min(v_splat(88.0f), x))); }

/*
 * log(2^e (1 + f)) for sqrt(1/2) <= 1 + f <= sqrt(2), to 0.9 units in the last place: e log 2 + f - f^2/2 + f^3 P(f),
 * P minimax of degree 7 for the relative error (6e-9).
 */
INLINE vf v_log_parts(vf e, vf f) {
    vf p = v_splat(-7.63681531e-2f);
    p = v_fma(p, f, v_splat(0.127650782f));
    p = v_fma(p, f, v_splat(-0.131609827f));
    p = v_fma(p, f, v_splat(0.142013475f));
    p = v_fma(p, f, v_splat(-0.166232392f));
    p = v_fma(p, f, v_splat(0.200012401f));
    p = v_fma(p, f, v_splat(-0.250008255f));
    p = v_fma(p, f, v_splat(0.333333313f));
    vf square = f * f;
    vf tail = v_fma(v_splat(-0.5f), square, v_fma(square * f, p, e * v_splat(-2.12194440e-4f)));
    return v_fma(e, v_splat(0.693359375f), f + tail);
}

/* Splits a positive normal x into 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2). */
INLINE void v_split(vf x, vf *e, vf *f) {
    vi bits = (vi)x - v_splat_int(0x3f3504f3); /* sqrt(1/2) */
    vi exponent = bits >> 23;
    *e = __builtin_convertvector(exponent, vf);
    *f = (vf)((bits & v_splat_int(0x7fffff)) + v_splat_int(0x3f3504f3)) - v_splat(1.0f);
}

/* log(x) for positive normal finite x; NaN for NaN, +infinity for +infinity. */
INLINE vf v_log(vf x) {
    vf e, f;
    v_split(x, &e, &f);
    vf y = v_log_parts(e, f);
    return v_select(x < v_splat(INFINITY), y, x);
}

#endif
