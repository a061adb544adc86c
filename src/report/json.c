/* report: reading the JSON records of a store, whose shape belongs to other rooms. */
#include "report/internal.h"

#include <math.h>
#include <string.h>

typedef struct search {
    const char *key;
    const rllc_json *found;
} search;

static rllc_status look(void *context, const char *key, const rllc_json *value) {
    search *s = context;
    if (!s->found && strcmp(key, s->key) == 0 && !rllc_json_is_object(value)) s->found = value;
    if (!s->found) s->found = rllc_report_find(value, s->key);
    return RLLC_OK;
}

/* Depth is bounded by the parser. */
const rllc_json *rllc_report_find(const rllc_json *j, const char *key) {
    search s = {.key = key};
    if (rllc_json_is_object(j) && rllc_json_each(j, look, &s) != RLLC_OK) return NULL;
    for (int64_t i = 0; !s.found && rllc_json_is_array(j) && i < rllc_json_length(j); i++)
        s.found = rllc_report_find(rllc_json_at(j, i), key);
    return s.found;
}

rllc_json *rllc_report_parse(const char *text) {
    rllc_json *j = NULL;
    return text && rllc_json_parse(&j, text, strlen(text), "record") == RLLC_OK ? j : NULL;
}

rllc_status rllc_report_add_scalar(rllc_string *out, const rllc_json *j) {
    char text[32];
    if (rllc_json_is_string(j)) return rllc_string_add(out, rllc_json_text(j));
    if (rllc_json_is_integer(j)) return rllc_string_printf(out, "%lld", (long long)rllc_json_to_integer(j, 0));
    if (rllc_json_is_object(j) || rllc_json_is_array(j)) return RLLC_OK;
    if (rllc_json_is_null(j)) return rllc_string_add(out, "none");
    double value = rllc_json_to_real(j, NAN);
    if (!isnan(value)) return rllc_string_add(out, rllc_format_double(text, value));
    return rllc_string_add(out, rllc_json_to_boolean(j, false) ? "yes" : "no");
}
