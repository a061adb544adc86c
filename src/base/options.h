/* base, internal: what options.c, options_json.c, arguments.c and options_help.c share. */
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
/** `unknown` was found where one of the table's names should stand: "; did you mean 'x'?", or NULL. */
const char *rllc_base_option_suggestion(const rllc_option_table *table, const char *unknown);
/** The text of choice `index`, NULL if there is none; interned. */
const char *rllc_base_choice_name(const char *choices, int index);

/** Where a field lies in its struct. */
static inline void *rllc_base_option_field(const rllc_option *option, void *object) {
    return (char *)object + option->offset;
}

#endif
