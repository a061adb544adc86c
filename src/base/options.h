/* base, internal: what the files about options share. */
#ifndef RLLC_BASE_OPTIONS_H
#define RLLC_BASE_OPTIONS_H

#include "rllc/base.h"

/** The field of this name ("-" and "_" are the same), NULL if there is none. */
const rllc_option *rllc_base_option_find(const rllc_option_table *table, const char *name);
/** Parses `text` (NULL only for TEXT) into the field; failures have the status `bad` and begin with `where`. */
rllc_status rllc_base_option_set(const rllc_option *option, void *object, const char *text, const char *where,
                                 rllc_status bad) RLLC_MUST_USE;
/** Appends "a number in [0, 10]", "true or false", "one of a, b": what the option takes. */
rllc_status rllc_base_option_expected(const rllc_option *option, rllc_string *out) RLLC_MUST_USE;
/** Fails with `bad`: "<where>: found <text>, expected ..."; text NULL is shown as null. */
rllc_status rllc_base_option_refuse(const rllc_option *option, const char *text, const char *where, rllc_status bad);
/** Fails with `bad`: unknown key; names the nearest key, or all of them when none is near. */
rllc_status rllc_base_option_unknown(const rllc_option_table *table, const char *name, const char *where,
                                     rllc_status bad);
/** The text of choice `index`, NULL if there is none; interned. */
const char *rllc_base_choice_name(const char *choices, int index);

/** Where a field lies in its struct. */
static inline void *rllc_base_option_field(const rllc_option *option, void *object) {
    return (char *)object + option->offset;
}

#endif
