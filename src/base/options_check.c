/* Whether an option table is sound: what the tests of every room with options ask. */
#include "base/options.h"

static bool is_snake_case(const char *name) {
    bool good = *name >= 'a' && *name <= 'z';
    for (const char *p = name; *p; p++) {
        good = good && ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_');
    }
    return good;
}

static rllc_status check_option(const rllc_option_table *table, const rllc_option *o) {
    union {
        int64_t integer;
        uint64_t seed;
        double real;
        bool boolean;
        const char *text;
        int choice;
    } field;
    rllc_option alone = *o;
    alone.offset = 0;
    if (!is_snake_case(o->name)) return rllc_fail(RLLC_EFAIL, "%s: '%s' is not snake_case", table->name, o->name);
    if (rllc_base_option_find(table, o->name) != o) {
        return rllc_fail(RLLC_EFAIL, "%s: the option '%s' stands twice", table->name, o->name);
    }
    if (!o->help || !*o->help) return rllc_fail(RLLC_EFAIL, "%s.%s: has no help", table->name, o->name);
    if (o->type == RLLC_CHOICE && (!o->choices || !*o->choices)) {
        return rllc_fail(RLLC_EFAIL, "%s.%s: has no choices", table->name, o->name);
    }
    rllc_status status = rllc_base_option_set(&alone, &field, o->initial, "its default", RLLC_EFAIL);
    return rllc_fail_within(status, "%s.%s", table->name, o->name);
}

rllc_status rllc_options_check(const rllc_option_table *table) {
    for (int i = 0; i < table->n; i++) {
        rllc_status status = check_option(table, &table->options[i]);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}
