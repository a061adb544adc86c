/* Aligned zeroed arrays, their growth, and what impossible sizes get. */
#include "base/helpers.h"

/* The sanitizers end a program that asks for too much, unless told otherwise. */
#define FOR_SANITIZERS __attribute__((visibility("default"))) const char *
FOR_SANITIZERS __asan_default_options(void);
FOR_SANITIZERS __tsan_default_options(void);

FOR_SANITIZERS __asan_default_options(void) {
    return "allocator_may_return_null=1";
}

FOR_SANITIZERS __tsan_default_options(void) {
    return "allocator_may_return_null=1";
}

static void test_alloc_is_zeroed_and_aligned(void **state) {
    (void)state;
    for (int64_t n = 0; n < 300; n += 7) {
        double *array;
        assert_ok(rllc_alloc(&array, n, sizeof *array));
        assert_non_null(array);
        assert_int_equal((uintptr_t)array % 64, 0);
        for (int64_t i = 0; i < n; i++) assert_true(array[i] == 0);
        if (n > 0) memset(array, 0xAB, (size_t)n * sizeof *array); /* dirty memory for the next one */
        rllc_free(array);
    }
    rllc_free(NULL);
}

static void test_alloc_refuses_impossible_sizes(void **state) {
    (void)state;
    static const struct {
        int64_t count;
        size_t size;
    } impossible[] = {{-1, 1},           {-1, 0},            {INT64_MAX, 1},       {INT64_MAX, 8},
                      {INT64_MAX / 2, 16},
                      {1, SIZE_MAX},     {2, SIZE_MAX / 2},   {1, SIZE_MAX - 63},   {INT64_MAX / 64 + 1, 64},
                      {(int64_t)1 << 46, 1 << 10}};
    for (size_t i = 0; i < sizeof impossible / sizeof *impossible; i++) {
        char *array = (char *)1;
        assert_int_equal(rllc_alloc(&array, impossible[i].count, impossible[i].size), RLLC_ENOMEM);
        assert_null(array);
    }
}

static void test_grow_keeps_old_and_zeroes_new(void **state) {
    (void)state;
    int64_t *array = NULL;
    int64_t n = 0;
    for (int64_t more = 1; more < 5000; more = more * 2 + 1) {
        assert_ok(rllc_grow(&array, n, more, sizeof *array));
        assert_int_equal((uintptr_t)array % 64, 0);
        for (int64_t i = 0; i < n; i++) assert_int_equal(array[i], i + 1);
        for (int64_t i = n; i < more; i++) assert_int_equal(array[i], 0);
        for (int64_t i = 0; i < more; i++) array[i] = i + 1;
        n = more;
    }
    assert_ok(rllc_grow(&array, n, n, sizeof *array));
    rllc_free(array);
}

static void test_grow_failure_changes_nothing(void **state) {
    (void)state;
    char *array;
    assert_ok(rllc_alloc(&array, 3, 1));
    memcpy(array, "ab", 3);
    char *before = array;
    assert_int_equal(rllc_grow(&array, 3, INT64_MAX, 1), RLLC_ENOMEM);
    assert_int_equal(rllc_grow(&array, 3, (int64_t)1 << 60, 1), RLLC_ENOMEM);
    assert_int_equal(rllc_grow(&array, 3, 2, 1), RLLC_ENOMEM);
    assert_int_equal(rllc_grow(&array, -1, 2, 1), RLLC_ENOMEM);
    assert_ptr_equal(array, before);
    assert_string_equal(array, "ab");
    rllc_free(array);
}

static void test_peak_memory_sees_what_was_touched(void **state) {
    (void)state;
    const int64_t size = 64 << 20;
    size_t before = rllc_peak_memory();
    char *array;
    assert_true(before > 0);
    assert_ok(rllc_alloc(&array, size, 1));
    memset(array, 1, (size_t)size);
    assert_true(array[size / 2] == 1);
    assert_true(rllc_peak_memory() >= (size_t)size);
    assert_true(rllc_peak_memory() >= before);
    rllc_free(array);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_is_zeroed_and_aligned),   cmocka_unit_test(test_alloc_refuses_impossible_sizes),
        cmocka_unit_test(test_grow_keeps_old_and_zeroes_new), cmocka_unit_test(test_grow_failure_changes_nothing),
        cmocka_unit_test(test_peak_memory_sees_what_was_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
