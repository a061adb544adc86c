/* The order in which rows are shown. */
#include "support/support.h"
#include "train/trainer.h"

static void test_order_shows_every_row_once_an_epoch(void **state) {
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 17, 64, 1000};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int64_t epoch = 0; epoch < 4; epoch++) {
            const int64_t n = sizes[k];
            bool *seen = test_memory(n, sizeof *seen);
            for (int64_t i = 0; i < n; i++) {
                const int64_t row = rllc_train_row(11, n, epoch * n + i);
                assert_true(row >= 0 && row < n);
                assert_false(seen[row]);
                seen[row] = true;
            }
            free(seen);
        }
}

/** How many of n visits agree between two orders; independent permutations agree about once. */
static int64_t agreements(uint64_t seed_a, int64_t epoch_a, uint64_t seed_b, int64_t epoch_b, int64_t n) {
    int64_t same = 0;
    for (int64_t i = 0; i < n; i++)
        same += rllc_train_row(seed_a, n, epoch_a * n + i) == rllc_train_row(seed_b, n, epoch_b * n + i);
    return same;
}

static void test_order_differs_between_epochs_and_seeds(void **state) {
    (void)state;
    const int64_t n = 1000;
    for (int64_t e = 0; e < 5; e++) {
        assert_int_equal(agreements(7, e, 7, e, n), n);
        assert_true(agreements(7, e, 7, e + 1, n) < 10); /* Poisson(1): fewer than 10 but for 1e-7 */
        assert_true(agreements(7, e, 8, e, n) < 10);
    }
}

/** Neighbours in the file are not neighbours in time: the mean distance of successive rows is n/3, sd about
 * n/4/sqrt(n). */
static void test_order_mixes(void **state) {
    (void)state;
    const int64_t n = 4096;
    double sum = 0;
    for (int64_t i = 1; i < n; i++) sum += fabs((double)(rllc_train_row(1, n, i) - rllc_train_row(1, n, i - 1)));
    const double mean = sum / (double)(n - 1), expected = (double)n / 3, se = (double)n / sqrt(18.0) / sqrt((double)n);
    assert_true(fabs(mean - expected) < 5 * se);
}

static void test_grid_keeps_both_ends(void **state) {
    (void)state;
    rllc_train_options o = {.steps = 10, .checkpoints = "2,4..20:4"};
    int64_t *steps, n;
    assert_ok(rllc_train_grid(&o, &steps, &n));
    assert_int_equal(n, 5);
    assert_memory_equal(steps, ((int64_t[]){0, 2, 4, 8, 10}), 5 * sizeof *steps);
    rllc_free(steps);
    o = (rllc_train_options){.steps = 0, .checkpoints = NULL};
    assert_ok(rllc_train_grid(&o, &steps, &n));
    assert_int_equal(n, 1);
    assert_int_equal(steps[0], 0);
    rllc_free(steps);
    o = (rllc_train_options){.steps = 5, .checkpoints = "1..x"};
    assert_int_not_equal(rllc_train_grid(&o, &steps, &n), RLLC_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_shows_every_row_once_an_epoch),
        cmocka_unit_test(test_order_differs_between_epochs_and_seeds),
        cmocka_unit_test(test_order_mixes),
        cmocka_unit_test(test_grid_keeps_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
