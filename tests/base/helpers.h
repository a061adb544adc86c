/* What the tests of base share: a scratch folder, a plain generator of test data, how hard to try. */
#ifndef RLLC_TESTS_BASE_HELPERS_H
#define RLLC_TESTS_BASE_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ftw.h>
#include <unistd.h>

#include "rllc/base.h"

/** Fails the test with the recorded detail unless the call succeeded. */
#define assert_ok(call)                                                                \
    do {                                                                               \
        rllc_status assert_ok_status = (call);                                         \
        if (assert_ok_status != RLLC_OK) print_error("%s\n", rllc_error_detail());     \
        assert_int_equal(assert_ok_status, RLLC_OK);                                   \
    } while (0)

/** The call must fail with this status and a detail that holds this text. */
#define assert_fails(call, expected, text)                                             \
    do {                                                                               \
        assert_int_equal((call), (expected));                                          \
        if (!strstr(rllc_error_detail(), (text))) {                                    \
            fail_msg("'%s' does not hold '%s'", rllc_error_detail(), (const char *)(text)); \
        }                                                                              \
    } while (0)

static inline int scratch_remove_one(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info, (void)type, (void)where;
    return remove(path);
}

static inline int scratch_setup(void **state) {
    char *folder = strdup("/tmp/rllc-base-XXXXXX");
    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

static inline int scratch_teardown(void **state) {
    int result = nftw(*state, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return result;
}

/** "<scratch>/<name>", interned. */
static inline const char *scratch_path(void **state, const char *name) {
    return rllc_intern_printf("%s/%s", (const char *)*state, name);
}

/** SplitMix64 (Steele, Lea & Flood 2014): test data that shares nothing with the generator under test. */
static inline uint64_t next_random(uint64_t *state) {
    uint64_t x = *state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

/** Repetitions of a randomised test: `usual` times RLLC_TEST_EFFORT (default 1). */
static inline int64_t effort(int64_t usual) {
    const char *text = getenv("RLLC_TEST_EFFORT");
    double factor = text ? atof(text) : 1;
    return factor > 0 ? (int64_t)((double)usual * factor) + 1 : usual;
}

#endif
