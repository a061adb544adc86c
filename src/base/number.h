/* base, internal: text <-> numbers, the same under every locale. */
#ifndef RLLC_BASE_NUMBER_H
#define RLLC_BASE_NUMBER_H

#include "rllc/base.h"

/** What came of reading a number. */
typedef enum {
    RLLC_NUMBER_OK,
    RLLC_NUMBER_MALFORMED, /* not a plain decimal number (of the kind asked for) */
    RLLC_NUMBER_TOO_BIG    /* out of the range of the type; a non-zero real that would become 0 too */
} rllc_number_result;

/** The whole text as [+-]digits[.digits][e[+-]digits]; no blanks, no hexadecimal, no nan or inf. */
rllc_number_result rllc_base_parse_real(const char *text, double *value);
/** As above, if integral; with a point or exponent only up to 2^53, where every integer is a double. */
rllc_number_result rllc_base_parse_integer(const char *text, int64_t *value);
rllc_number_result rllc_base_parse_seed(const char *text, uint64_t *value);

#endif
