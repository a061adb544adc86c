/* Counter-based random numbers (Philox4x32-10) and a permutation that needs no memory.                         (E30) */
#include <assert.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wunused-function"
#include <Random123/philox.h>
#pragma GCC diagnostic pop

#include "rllc/base.h"

__extension__ typedef unsigned __int128 uint128;

rllc_stream rllc_stream_make(uint64_t seed, const char *purpose, uint32_t chain, uint32_t step) {
    uint64_t key = rllc_hash64(purpose, strlen(purpose), seed);
    return (rllc_stream){.key = {(uint32_t)key, (uint32_t)(key >> 32)}, .chain = chain, .step = step};
}

void rllc_stream_block(const rllc_stream *s, uint64_t block, uint32_t out[4]) {
    philox4x32_ctr_t counter = {{(uint32_t)block, (uint32_t)(block >> 32), s->step, s->chain}};
    philox4x32_key_t key = {{s->key[0], s->key[1]}};
    philox4x32_ctr_t words = philox4x32_R(10, counter, key);
    memcpy(out, words.v, sizeof words.v);
}

uint32_t rllc_stream_u32(const rllc_stream *s, uint64_t index) {
    uint32_t words[4];
    rllc_stream_block(s, index / 4, words);
    return words[index % 4];
}

/* Words 2 (index % 2), the low half, and the next, the high half, of block index / 2. */
static uint64_t stream_u64(const rllc_stream *s, uint64_t index) {
    uint32_t words[4];
    rllc_stream_block(s, index / 2, words);
    const uint32_t *pair = words + 2 * (index % 2);
    return (uint64_t)pair[1] << 32 | pair[0];
}

double rllc_stream_uniform(const rllc_stream *s, uint64_t index) {
    uint64_t bits = stream_u64(s, index) >> 11;
    return bits == 0 ? 0x1p-54 : (double)bits * 0x1p-53; /* 0 itself becomes half a unit: logarithms are taken of it */
}

uint64_t rllc_stream_below(const rllc_stream *s, uint64_t index, uint64_t n) {
    return (uint64_t)((uint128)stream_u64(s, index) * n >> 64);
}

/* MurmurHash3's finaliser in Stafford's variant 13 (as in SplitMix64): every input bit reaches every output bit. */
static uint64_t mixed(uint64_t x) {
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

/* A balanced Feistel network on 2 * half bits: a bijection whatever the round function is (Luby & Rackoff 1988). Over
   keys, pairs of images deviate from equal frequency by about 2^(-half (rounds / 2 - 1)) (measured for halves of 1 to 3
   bits and 4 to 24 rounds): small domains get the rounds that bring this to 2^-20. */
static uint64_t feistel(uint64_t x, int half, uint64_t key) {
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    const uint64_t n_rounds = half >= 10 ? 6 : 2 + 2 * (uint64_t)((20 + half - 1) / half);
    uint64_t left = x >> half, right = x & mask;
    for (uint64_t round = 1; round <= n_rounds; round++) {
        uint64_t function = mixed(mixed(key + round * 0x9E3779B97F4A7C15u) ^ right) & mask;
        uint64_t swapped = left ^ function;
        left = right;
        right = swapped;
    }
    return left << half | right;
}

uint64_t rllc_permute(uint64_t i, uint64_t n, uint64_t key) {
    assert(i < n);
    if (n < 2) return 0;
    int bits = 64 - __builtin_clzll(n - 1);
    /* Cycle walking (Black & Rogaway 2002): the domain is less than 4 n, so under 4 evaluations on average. */
    do {
        i = feistel(i, (bits + 1) / 2, key);
    } while (i >= n);
    return i;
}
