/* refusal: a call fails with this status, and its detail holds these words. */
#ifndef TESTS_THEORY_REFUSAL_H
#define TESTS_THEORY_REFUSAL_H

#include "support/support.h"

#define assert_fails(call, status, words)                                                                              \
    do {                                                                                                               \
        assert_int_equal((call), (status));                                                                            \
        if (!strstr(rllc_error_detail(), (words))) fail_msg("'%s' does not say '%s'", rllc_error_detail(), (words));   \
    } while (0)

#endif
