/* A loop of independent fused multiply-adds in registers, for each instruction set. */
#include <string.h>

#include "kernels/peak.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Twelve chains: more than latency times width of any core, and no more than fit registers. */
#define FMA_LOOP(VECTOR, SET, FMA, LANES)                                                                              \
    volatile float sink;                                                                                               \
    VECTOR sum[12], x = SET(0.999f), y = SET(1e-3f);                                                                   \
    for (int i = 0; i < 12; i++) sum[i] = SET((float)i);                                                               \
    for (int64_t n = 0; n < times; n++) {                                                                              \
        _Pragma("GCC unroll 12") for (int i = 0; i < 12; i++) sum[i] = FMA(sum[i], x, y);                              \
    }                                                                                                                  \
    for (int i = 1; i < 12; i++) sum[0] = FMA(sum[i], x, sum[0]);                                                      \
    float first;                                                                                                       \
    memcpy(&first, &sum[0], sizeof first);                                                                             \
    sink = first;                                                                                                      \
    (void)sink;                                                                                                        \
    return 2.0 * 12 * LANES * (double)times

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static double loop_avx512(int64_t times) {
    FMA_LOOP(__m512, _mm512_set1_ps, _mm512_fmadd_ps, 16);
}

__attribute__((target("avx2,fma"))) static double loop_avx2(int64_t times) {
    FMA_LOOP(__m256, _mm256_set1_ps, _mm256_fmadd_ps, 8);
}
#endif

typedef float four __attribute__((vector_size(16)));

static four four_of(float x) {
    return x - (four){0};
}

static four multiply_add(four a, four b, four c) {
    return a * b + c;
}

static double loop_generic(int64_t times) {
    FMA_LOOP(four, four_of, multiply_add, 4);
}

double rllc_fma_loop(const rllc_kernels *k, int64_t times) {
#if defined(__x86_64__)
    if (strcmp(k->name, "cpu-avx512") == 0) return loop_avx512(times);
    if (strcmp(k->name, "cpu-avx2") == 0) return loop_avx2(times);
#endif
    (void)k;
    return loop_generic(times);
}
