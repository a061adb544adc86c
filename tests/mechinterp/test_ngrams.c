/* Counts of pairs and triples against a naive count. */
#include "mechinterp/hand_built.h"
#include "mechinterp/ngrams.h"

/** Rows in memory. */
static rllc_rows rows_of(const int32_t *tokens, int64_t rows, int64_t n_ctx) {
    return (rllc_rows){.data = (const unsigned char *)tokens,
                       .bytes = 4,
                       .is_signed = true,
                       .n_dims = 2,
                       .shape = {1, rows, n_ctx},
                       .rows = rows,
                       .n_ctx = n_ctx,
                       .path = "rows"};
}

enum { ROWS = 60, CTX = 50, VOCAB = 12 };

/** Skewed ids: some pairs predict what follows, some do not. */
static int32_t *draw_tokens(uint64_t seed, int64_t vocab) {
    int32_t *t = test_memory(ROWS * CTX, sizeof *t);
    const rllc_stream s = rllc_stream_make(seed, "ngrams", 0, 0);
    for (int64_t i = 0; i < ROWS * CTX; i++) {
        const double u = rllc_stream_uniform(&s, (uint64_t)i);
        t[i] = i % CTX == 0 ? 0 : (int32_t)(u * u * u * (double)vocab);
        if (i % CTX > 1 && t[i - 1] + t[i - 2] == 3 && u < 0.6) t[i] = (int32_t)vocab - 1;
    }
    return t;
}

static int64_t naive(const int32_t *t, const int32_t *key, int64_t n, bool last_free) {
    int64_t count = 0;
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t k = 0; k + n <= CTX; k++) {
            bool same = true;
            for (int64_t i = 0; i < n - last_free; i++) same &= t[r * CTX + k + i] == key[i];
            count += same;
        }
    return count;
}

static void test_pairs_equal_a_naive_count(void **state) {
    (void)state;
    int32_t *t = draw_tokens(1, VOCAB);
    const rllc_rows rows = rows_of(t, ROWS, CTX);
    rllc_bigrams g;
    int64_t pairs = 0;
    assert_ok(rllc_bigrams_count(&g, &rows, VOCAB + 1, RLLC_BIGRAM_PAIRS, NULL));
    for (int32_t a = 0; a <= VOCAB; a++) {
        double entropy = 0;
        const int64_t total = naive(t, (int32_t[]){a, 0}, 2, true);
        assert_int_equal(g.total[a], total);
        for (int32_t b = 0; b <= VOCAB; b++) {
            const int64_t n = naive(t, (int32_t[]){a, b}, 2, false);
            const double p = total ? (double)n / (double)total : 0;
            pairs += n > 0;
            assert_true(rllc_bigrams_probability(&g, a, b) == p);
            if (p > 0) entropy -= p * log(p);
        }
        assert_near(rllc_bigrams_entropy(&g, a), entropy, 1e-12);
    }
    assert_int_equal(g.n, pairs);
    assert_int_equal(g.first[VOCAB + 1], pairs);
    rllc_bigrams_release(&g);
    free(t);
}

static void test_more_pairs_than_the_first_table_holds(void **state) {
    (void)state;
    enum { N = 400 };
    int32_t *t = test_memory(N * N * 2, sizeof *t); /* every pair (a, b) once, in a row of its own */
    for (int32_t i = 0; i < N * N; i++) {
        t[2 * i] = i % N;
        t[2 * i + 1] = i / N;
    }
    const rllc_rows rows = rows_of(t, N * N, 2);
    rllc_bigrams g;
    assert_ok(rllc_bigrams_count(&g, &rows, N, N * N, NULL));
    assert_int_equal(g.n, N * N);
    for (int32_t a = 0; a < N; a++) {
        assert_near(rllc_bigrams_entropy(&g, a), log(N), 1e-9);
        for (int32_t b = 0; b < N; b++) assert_int_equal(g.next[g.first[a] + b], b);
    }
    rllc_bigrams_release(&g);
    assert_int_equal(rllc_bigrams_count(&g, &rows, N, N * N - 1, NULL), RLLC_EUNSUPPORTED);
    assert_null(g.first);
    free(t);
}

static void check_trigrams(const int32_t *t, int64_t vocab, int64_t min_count, double min_share, int64_t n_slots,
                           int64_t *passes) {
    const rllc_rows rows = rows_of(t, ROWS, CTX);
    rllc_trigrams g;
    int64_t kept = 0;
    assert_ok(rllc_trigrams_count(&g, &rows, vocab, min_count, min_share, n_slots, NULL));
    for (int32_t a = 0; a < vocab; a++)
        for (int32_t b = 0; b < vocab; b++) {
            const int64_t total = naive(t, (int32_t[]){a, b, 0}, 3, true);
            for (int32_t y = 0; total && y < vocab; y++) {
                const int64_t n = naive(t, (int32_t[]){a, b, y}, 3, false);
                const rllc_trigram *found = rllc_trigrams_find(&g, a, b, y);
                const bool expected = n >= min_count && (double)n / (double)total >= min_share;
                kept += expected;
                assert_true((found != NULL) == expected);
                if (!found) continue;
                assert_int_equal(found->count, n);
                assert_int_equal(found->total, total);
            }
        }
    assert_true(kept > 3);
    assert_int_equal(g.n, kept);
    *passes = g.passes;
    rllc_trigrams_release(&g);
}

static void test_triples_equal_a_naive_count_however_small_the_table(void **state) {
    (void)state;
    int32_t *t = draw_tokens(2, VOCAB);
    int64_t one, many;
    check_trigrams(t, VOCAB, 10, 0.5, 1 << 12, &one);
    check_trigrams(t, VOCAB, 10, 0.5, 32, &many);
    assert_int_equal(one, 1);
    assert_true(many > 20); /* some 560 distinct triples, at most 22 at a time */
    check_trigrams(t, VOCAB, 1, 0.0, 64, &many);
    check_trigrams(t, VOCAB, 2, 0.25, 128, &many);
    free(t);
}

static void test_largest_ids_and_ids_out_of_range(void **state) {
    (void)state;
    const int32_t top = (int32_t)RLLC_NGRAM_VOCAB - 1;
    int32_t t[] = {top, top, top, 0, top, 0, top, top};
    const rllc_rows rows = rows_of(t, 2, 4), bad = rows_of(t, 1, 4);
    rllc_bigrams g;
    rllc_trigrams h;
    assert_ok(rllc_bigrams_count(&g, &rows, RLLC_NGRAM_VOCAB, 10, NULL));
    assert_true(rllc_bigrams_probability(&g, top, top) == 0.6);
    assert_true(rllc_bigrams_probability(&g, top, 0) == 0.4);
    assert_true(rllc_bigrams_probability(&g, 5, 0) == 0 && rllc_bigrams_entropy(&g, 5) == 0);
    rllc_bigrams_release(&g);
    assert_ok(rllc_trigrams_count(&h, &rows, RLLC_NGRAM_VOCAB, 1, 0.5, 1 << 22, NULL));
    assert_int_equal(h.n, 4);
    assert_int_equal(rllc_trigrams_find(&h, top, 0, top)->total, 1);
    assert_int_equal(rllc_trigrams_find(&h, top, top, top)->total, 2); /* exactly half */
    assert_int_equal(rllc_trigrams_find(&h, top, top, 0)->total, 2);
    assert_null(rllc_trigrams_find(&h, 0, 0, 0));
    rllc_trigrams_release(&h);
    t[1] = -1;
    assert_int_equal(rllc_bigrams_count(&g, &bad, 100, 10, NULL), RLLC_EMISMATCH);
    assert_int_equal(rllc_trigrams_count(&h, &bad, top, 1, 0, 1 << 22, NULL), RLLC_EMISMATCH);
    assert_int_equal(rllc_trigrams_count(&h, &bad, 100, 1, 0, 128, NULL), RLLC_EUSAGE);
    assert_int_equal(rllc_bigrams_count(&g, &bad, RLLC_NGRAM_VOCAB + 1, 10, NULL), RLLC_EUNSUPPORTED);
}

static void test_rows_without_a_pair_or_a_known_triple(void **state) {
    (void)state;
    const int32_t t[] = {1, 2, 1, 0, 2};
    const rllc_rows single = rows_of(t, 5, 1), few = rows_of(t, 1, 5);
    rllc_bigrams g;
    rllc_trigrams h;
    assert_ok(rllc_bigrams_count(&g, &single, 3, 10, NULL));
    assert_int_equal(g.n, 0);
    assert_true(rllc_bigrams_probability(&g, 1, 2) == 0 && rllc_bigrams_entropy(&g, 1) == 0);
    rllc_bigrams_release(&g);
    assert_ok(rllc_trigrams_count(&h, &few, 3, 2, 0, 64, NULL));
    assert_int_equal(h.n, 0);
    assert_null(rllc_trigrams_find(&h, 1, 2, 1));
    rllc_trigrams_release(&h);
}

static bool stop_now(void *context) {
    (void)context;
    return true;
}

static void test_counting_stops_when_asked(void **state) {
    (void)state;
    int32_t t[4] = {0};
    const rllc_rows rows = rows_of(t, 1, 4);
    const rllc_monitor monitor = {.stop = stop_now};
    rllc_bigrams g;
    assert_int_equal(rllc_bigrams_count(&g, &rows, 1, 10, &monitor), RLLC_ESTOPPED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_equal_a_naive_count),
        cmocka_unit_test(test_more_pairs_than_the_first_table_holds),
        cmocka_unit_test(test_triples_equal_a_naive_count_however_small_the_table),
        cmocka_unit_test(test_largest_ids_and_ids_out_of_range),
        cmocka_unit_test(test_rows_without_a_pair_or_a_known_triple),
        cmocka_unit_test(test_counting_stops_when_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
