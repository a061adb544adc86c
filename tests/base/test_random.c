/* Counter-based random numbers: known answers, addressing, uniformity, independence; permutations. */
#include "base/helpers.h"

#include <math.h>

/* Philox4x32-10 as the paper writes it (Salmon et al. 2011, section 3.3). */
static void plain_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t k[2] = {key[0], key[1]}, c[4];
    memcpy(c, counter, sizeof c);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b,
                            (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a};
        memcpy(c, next, sizeof c);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    memcpy(out, c, sizeof c);
}

/* The known answers of the Random123 distribution (kat_vectors). */
static void test_stream_block_known_answers(void **state) {
    (void)state;
    static const struct {
        rllc_stream stream;
        uint64_t block;
        uint32_t words[4];
    } cases[] = {
        {{{0, 0}, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{{0xffffffff, 0xffffffff}, 0xffffffff, 0xffffffff}, UINT64_MAX,
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{{0xa4093822, 0x299f31d0}, 0x03707344, 0x13198a2e},
         0x85a308d3243f6a88u,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}};
    for (size_t i = 0; i < 3; i++) {
        uint32_t words[4];
        rllc_stream_block(&cases[i].stream, cases[i].block, words);
        assert_memory_equal(words, cases[i].words, sizeof words);
    }
}

static void test_stream_block_is_philox_of_block_step_chain(void **state) {
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 5000; i++) {
        uint64_t seed = next_random(&random), block = next_random(&random), other = next_random(&random);
        rllc_stream s = rllc_stream_make(seed, "noise/abc", (uint32_t)other, (uint32_t)(other >> 32));
        uint64_t key = rllc_hash64("noise/abc", 9, seed);
        uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)(other >> 32), (uint32_t)other};
        uint32_t expected[4], words[4];
        plain_philox(counter, (uint32_t[2]){(uint32_t)key, (uint32_t)(key >> 32)}, expected);
        rllc_stream_block(&s, block, words);
        assert_memory_equal(words, expected, sizeof words);
    }
}

static void test_stream_numbers_lie_in_their_blocks(void **state) {
    (void)state;
    rllc_stream s = rllc_stream_make(9, "x", 1, 2);
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t index = i < 500 ? i : UINT64_MAX - i;
        uint32_t four[4], two[4];
        rllc_stream_block(&s, index / 4, four);
        assert_true(rllc_stream_u32(&s, index) == four[index % 4]);
        rllc_stream_block(&s, index / 2, two);
        uint64_t low = two[index % 2 * 2], high = two[index % 2 * 2 + 1];
        uint64_t bits = (high << 32 | low) >> 11;
        assert_true(rllc_stream_uniform(&s, index) == ldexp((double)bits, -53));
        /* floor((high * 2^32 + low) * n / 2^64) in 64-bit pieces, for n < 2^32 */
        uint64_t n = 1000003;
        assert_true(rllc_stream_below(&s, index, n) == (high * n + (low * n >> 32)) >> 32);
        assert_true(rllc_stream_below(&s, index, 1) == 0);
        assert_true(rllc_stream_below(&s, index, UINT64_MAX) <= (high << 32 | low));
    }
}

/* Chi-square of counts against equal expectations, as a standard normal deviate (mean k-1, variance 2(k-1)). */
static double equal_counts_deviate(const int64_t *counts, int k, double n) {
    double chi = 0;
    for (int i = 0; i < k; i++) chi += ((double)counts[i] - n / k) * ((double)counts[i] - n / k) / (n / k);
    return (chi - (k - 1)) / sqrt(2.0 * (k - 1));
}

/* Moments within 4.5 standard errors (one failure in 10^5 such tests, and the numbers are fixed anyway). */
static void test_stream_uniform_moments_and_counts(void **state) {
    (void)state;
    enum { BINS = 128 };
    const int64_t n = effort(200000);
    rllc_stream s = rllc_stream_make(12345, "uniform", 0, 0);
    double sum = 0, squares = 0, neighbours = 0, before = 0.5, least = 1, most = 0;
    int64_t counts[BINS] = {0};
    for (int64_t i = 0; i < n; i++) {
        double u = rllc_stream_uniform(&s, (uint64_t)i);
        sum += u - 0.5;
        squares += (u - 0.5) * (u - 0.5) - 1.0 / 12;
        neighbours += (u - 0.5) * (before - 0.5);
        before = u;
        least = fmin(least, u);
        most = fmax(most, u);
        counts[(int)(u * BINS)]++;
    }
    double size = (double)n;
    assert_true(fabs(sum) < 4.5 * sqrt(size / 12));
    assert_true(fabs(squares) < 4.5 * sqrt(size / 180));  /* var((u-1/2)^2) = 1/80 - 1/144 = 1/180 */
    assert_true(fabs(neighbours) < 4.5 * sqrt(size / 144)); /* var of a product of two = (1/12)^2 */
    assert_true(fabs(equal_counts_deviate(counts, BINS, size)) < 4.5);
    assert_true(least > 0 && least < 20 / size && most < 1 && most > 1 - 20 / size);
}

static void test_stream_below_is_uniform(void **state) {
    (void)state;
    static const uint64_t ns[] = {2, 3, 10, 97};
    const int64_t draws = effort(100000);
    for (int k = 0; k < 4; k++) {
        int64_t counts[97] = {0};
        rllc_stream s = rllc_stream_make(5, "below", (uint32_t)k, 0);
        for (int64_t i = 0; i < draws; i++) counts[rllc_stream_below(&s, (uint64_t)i, ns[k])]++;
        assert_true(fabs(equal_counts_deviate(counts, (int)ns[k], (double)draws)) < 4.5);
    }
}

/* Streams that differ in one bit of anything share nothing. */
static void test_streams_are_independent(void **state) {
    (void)state;
    const rllc_stream base = rllc_stream_make(1, "noise/a", 0, 0);
    const rllc_stream others[] = {rllc_stream_make(3, "noise/a", 0, 0), rllc_stream_make(1, "noise/b", 0, 0),
                                  rllc_stream_make(1, "noise/a", 1, 0), rllc_stream_make(1, "noise/a", 0, 1),
                                  rllc_stream_make(1, "", 0, 0),
                                  rllc_stream_make(1 + ((uint64_t)1 << 63), "noise/a", 0, 0)};
    const int64_t n = effort(50000);
    for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
        double product = 0;
        int64_t equal_bits = 0;
        for (int64_t i = 0; i < n; i++) {
            uint64_t at = (uint64_t)i;
            product += (rllc_stream_uniform(&base, at) - 0.5) * (rllc_stream_uniform(&others[k], at) - 0.5);
            equal_bits += __builtin_popcount(rllc_stream_u32(&base, at) ^ rllc_stream_u32(&others[k], at));
        }
        assert_true(fabs(product) < 4.5 * sqrt((double)n / 144));
        assert_true(fabs((double)equal_bits - 16.0 * (double)n) < 4.5 * sqrt(8.0 * (double)n));
    }
}

static void assert_bijection(uint64_t n, uint64_t key) {
    bool *seen = calloc(n, 1);
    assert_non_null(seen);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = rllc_permute(i, n, key);
        if (at >= n || seen[at]) fail_msg("%ju of %ju -> %ju", (uintmax_t)i, (uintmax_t)n, (uintmax_t)at);
        seen[at] = true;
    }
    free(seen);
}

static void test_permute_is_a_bijection(void **state) {
    (void)state;
    for (uint64_t n = 1; n <= 600; n++) {
        assert_bijection(n, 0);
        assert_bijection(n, n * 0x123456789u);
    }
    static const uint64_t larger[] = {1023, 1024, 1025, 4095, 4097, 65535, 65536, 65537, 100003, 262145};
    for (int i = 0; i < 10; i++) assert_bijection(larger[i], 77);
    for (uint64_t i = 0; i < 2000; i++) { /* too many to list: in range, and different */
        uint64_t n = UINT64_MAX - 5, at = rllc_permute(i, n, 3);
        assert_true(at < n && at != rllc_permute(i + 1, n, 3));
        assert_true(rllc_permute(i, ((uint64_t)1 << 63) + 1, 3) <= (uint64_t)1 << 63);
    }
}

/* Over keys each element comes to each place equally often, and each pair to each pair of places. */
static void test_permute_over_keys_is_uniform(void **state) {
    (void)state;
    static const int sizes[] = {2, 3, 5, 7, 12, 24, 31};
    const int64_t n_keys = effort(30000);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int n = sizes[s], n_pairs = n * (n - 1);
        int64_t first[31] = {0}, pairs[31 * 30] = {0};
        for (uint64_t key = 0; key < (uint64_t)n_keys; key++) {
            int a = (int)rllc_permute(0, (uint64_t)n, key), b = (int)rllc_permute(1, (uint64_t)n, key);
            first[a]++;
            pairs[a * (n - 1) + b - (b > a)]++;
        }
        assert_true(fabs(equal_counts_deviate(first, n, (double)n_keys)) < 4.5);
        assert_true(fabs(equal_counts_deviate(pairs, n_pairs, (double)n_keys)) < 4.5);
    }
}

/* No drift: the correlation of i with its image is that of a random permutation, standard error 1/sqrt(n-1). */
static void test_permute_scatters_neighbours(void **state) {
    (void)state;
    const int64_t n = 50000;
    double images = 0, steps = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = (double)rllc_permute((uint64_t)i, (uint64_t)n, 99);
        double next = (double)rllc_permute((uint64_t)((i + 1) % n), (uint64_t)n, 99);
        double mean = (double)(n - 1) / 2;
        images += ((double)i - mean) * (x - mean);
        steps += (x - mean) * (next - mean);
    }
    double variance = ((double)n * (double)n - 1) / 12 * (double)n;
    assert_true(fabs(images / variance) < 4.5 / sqrt((double)n));
    assert_true(fabs(steps / variance) < 4.5 / sqrt((double)n));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream_block_known_answers),
        cmocka_unit_test(test_stream_block_is_philox_of_block_step_chain),
        cmocka_unit_test(test_stream_numbers_lie_in_their_blocks),
        cmocka_unit_test(test_stream_uniform_moments_and_counts),
        cmocka_unit_test(test_stream_below_is_uniform),
        cmocka_unit_test(test_streams_are_independent),
        cmocka_unit_test(test_permute_is_a_bijection),
        cmocka_unit_test(test_permute_over_keys_is_uniform),
        cmocka_unit_test(test_permute_scatters_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
