/* The most affected predictions against a sort of all; different patterns against enumeration. */
#include "mechinterp/hand_built.h"
#include "mechinterp/multigrams.h"
#include "mechinterp/top.h"

/* ---- the most affected --------------------------------------------------------------------------------------- */

enum { SEQUENCES = 40, PREDICTIONS = 30 };

static int by_order(const void *a, const void *b) {
    const rllc_affected *x = a, *y = b;
    if (x->increase != y->increase) return x->increase > y->increase ? -1 : 1;
    if (x->sequence != y->sequence) return x->sequence < y->sequence ? -1 : 1;
    return x->position < y->position ? -1 : 1;
}

/** All of the losses sorted; then what is taken from them one by one. */
static int64_t brute_force(const float *loss, const float *ablated, int64_t per_sequence, int64_t capacity,
                           rllc_affected *out) {
    rllc_affected *all = test_memory(SEQUENCES * PREDICTIONS, sizeof *all);
    int64_t taken[SEQUENCES] = {0}, n = 0;
    for (int64_t i = 0; i < SEQUENCES * PREDICTIONS; i++)
        all[i] = (rllc_affected){i / PREDICTIONS, i % PREDICTIONS, loss[i], ablated[i],
                                 (double)ablated[i] - (double)loss[i]};
    qsort(all, SEQUENCES * PREDICTIONS, sizeof *all, by_order);
    for (int64_t i = 0; i < SEQUENCES * PREDICTIONS && n < capacity && all[i].increase > 0; i++)
        if (taken[all[i].sequence]++ < per_sequence) out[n++] = all[i];
    free(all);
    return n;
}

static void check_top(int64_t levels, int64_t per_sequence, int64_t capacity) {
    float loss[SEQUENCES * PREDICTIONS], ablated[SEQUENCES * PREDICTIONS];
    rllc_affected expected[SEQUENCES * PREDICTIONS];
    const rllc_stream s = rllc_stream_make(7, "top", (uint32_t)levels, (uint32_t)capacity);
    rllc_top t;
    for (int64_t i = 0; i < SEQUENCES * PREDICTIONS; i++) { /* few levels: many ties */
        loss[i] = (float)rllc_stream_below(&s, (uint64_t)(2 * i), (uint64_t)levels);
        ablated[i] = (float)rllc_stream_below(&s, (uint64_t)(2 * i + 1), (uint64_t)levels);
    }
    const int64_t n = brute_force(loss, ablated, per_sequence, capacity, expected);
    assert_ok(rllc_top_init(&t, capacity));
    for (int64_t q = SEQUENCES - 1; q >= 0; q--) /* in any order */
        assert_ok(rllc_top_add(&t, per_sequence, q, PREDICTIONS, loss + q * PREDICTIONS, ablated + q * PREDICTIONS));
    rllc_top_sort(&t);
    assert_int_equal(t.n, n);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(t.list[i].sequence, expected[i].sequence);
        assert_int_equal(t.list[i].position, expected[i].position);
        assert_true(t.list[i].increase == expected[i].increase);
        assert_true(t.list[i].loss == expected[i].loss && t.list[i].ablated == expected[i].ablated);
    }
    rllc_top_release(&t);
}

static void test_the_most_affected_are_those_of_a_sort(void **state) {
    (void)state;
    const int64_t levels[] = {2, 5, 1000000}, per[] = {1, 4, RLLC_TOP_OF_SEQUENCE}, capacity[] = {1, 2, 17, 100, 5000};
    for (int l = 0; l < 3; l++)
        for (int p = 0; p < 3; p++)
            for (int c = 0; c < 5; c++) check_top(levels[l], per[p], capacity[c]);
}

static void test_what_does_not_suffer_is_left_out(void **state) {
    (void)state;
    const float loss[] = {1, 2, 3, NAN}, ablated[] = {1, 1, 3.5F, 1};
    rllc_top t;
    assert_ok(rllc_top_init(&t, 10));
    assert_ok(rllc_top_add(&t, 4, 0, 3, loss, ablated));
    assert_int_equal(t.n, 1);
    assert_int_equal(t.list[0].position, 2);
    assert_int_equal(rllc_top_add(&t, 4, 0, 4, loss, ablated), RLLC_ENOTFINITE);
    assert_non_null(strstr(rllc_error_detail(), "position 3"));
    rllc_top_release(&t);
}

/* ---- different patterns -------------------------------------------------------------------------------------- */

/** Mean number of different patterns over all subsets of `drawn` records. */
static double enumerate(const char *const *patterns, int64_t n, int64_t drawn) {
    double sum = 0, subsets = 0;
    for (unsigned set = 0; set < 1U << n; set++) {
        if (__builtin_popcount(set) != drawn) continue;
        subsets++;
        for (int64_t i = 0; i < n; i++) {
            bool first = (set >> i & 1) && patterns[i];
            for (int64_t j = 0; j < i && first; j++)
                first = !(set >> j & 1) || !patterns[j] || strcmp(patterns[i], patterns[j]) != 0;
            sum += first;
        }
    }
    return sum / subsets;
}

static void check_patterns(const char *const *patterns, int64_t n) {
    rllc_multigrams m;
    assert_ok(rllc_multigrams_count(&m, patterns, n));
    for (int64_t drawn = 0; drawn <= n; drawn++)
        assert_near(rllc_multigrams_expected(&m, drawn), enumerate(patterns, n, drawn), 1e-12);
    assert_near(rllc_multigrams_expected(&m, n), (double)m.n, 0);
    rllc_multigrams_release(&m);
}

static void test_expected_patterns_equal_enumeration(void **state) {
    (void)state;
    check_patterns((const char *const[]){"a", "b", "a", NULL, "c", "a", "b", NULL, "d", "e", "a"}, 11);
    check_patterns((const char *const[]){"a", "a", "a", "a"}, 4);
    check_patterns((const char *const[]){"a", "b", "c", "d"}, 4);
    check_patterns((const char *const[]){NULL, NULL, "d"}, 3);
    check_patterns((const char *const[]){NULL}, 0);
}

static void test_different_patterns_by_how_often_they_occur(void **state) {
    (void)state;
    rllc_multigrams m;
    assert_ok(
        rllc_multigrams_count(&m, (const char *const[]){"5 6", "5 +1 6", NULL, "5 6", "5 6", "7 +1 6", "7 +1 6"}, 7));
    assert_int_equal(m.records, 7);
    assert_int_equal(rllc_multigrams_distinct(&m, 1), 3);
    assert_int_equal(rllc_multigrams_distinct(&m, 2), 2);
    assert_int_equal(rllc_multigrams_distinct(&m, 3), 1);
    assert_int_equal(rllc_multigrams_distinct(&m, 4), 0);
    rllc_multigrams_release(&m);
}

static void test_points_are_log_spaced(void **state) {
    (void)state;
    int64_t p[16];
    assert_int_equal(rllc_multigrams_points(1000, 4, p), 4);
    for (int64_t i = 0, power = 1; i < 4; i++, power *= 10) assert_int_equal(p[i], power);
    assert_int_equal(rllc_multigrams_points(3, 16, p), 3); /* each once */
    for (int i = 0; i < 3; i++) assert_int_equal(p[i], i + 1);
    assert_int_equal(rllc_multigrams_points(1, 16, p), 1);
    assert_int_equal(rllc_multigrams_points(0, 16, p), 0);
    assert_int_equal(rllc_multigrams_points(7, 1, p), 1);
    assert_int_equal(p[0], 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_most_affected_are_those_of_a_sort),
        cmocka_unit_test(test_what_does_not_suffer_is_left_out),
        cmocka_unit_test(test_expected_patterns_equal_enumeration),
        cmocka_unit_test(test_different_patterns_by_how_often_they_occur),
        cmocka_unit_test(test_points_are_log_spaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
