/* Option tables: defaults, and values from text, checked by type, bounds and choices. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/options.h"

static bool same_name(const char *a, const char *b) {
    while (*a && (*a == *b || ((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))) a++, b++;
    return *a == *b;
}

const rllc_option *rllc_base_option_find(const rllc_option_table *table, const char *name) {
    for (int i = 0; i < table->n; i++) {
        if (same_name(table->options[i].name, name)) return &table->options[i];
    }
    return NULL;
}

/* The nearest of the table's names, NULL if none is near. */
static const char *nearest_name(const rllc_option_table *table, const char *unknown) {
    const char **names;
    if (rllc_alloc(&names, table->n, sizeof *names) != RLLC_OK) return NULL;
    for (int i = 0; i < table->n; i++) names[i] = table->options[i].name;
    const char *nearest = rllc_nearest(unknown, names, table->n);
    rllc_free(names);
    return nearest;
}

/* The index of `text` among "a,b,c", -1 if it is not there. */
static int choice_index(const char *choices, const char *text) {
    size_t length = strlen(text);
    int index = 0;
    for (const char *p = choices;; index++) {
        size_t n = strcspn(p, ",");
        if (n == length && memcmp(p, text, n) == 0) return index;
        if (p[n] == '\0') return -1;
        p += n + 1;
    }
}

const char *rllc_base_choice_name(const char *choices, int index) {
    const char *p = choices;
    for (int i = 0; i < index; i++) {
        p += strcspn(p, ",");
        if (*p == '\0') return NULL;
        p++;
    }
    return index < 0 ? NULL : rllc_intern_printf("%.*s", (int)strcspn(p, ","), p);
}

/* A bound as people write it: 1e9 rather than 1000000000. */
static const char *short_number(char buffer[32], double value) {
    rllc_format_double(buffer, value);
    size_t length = strlen(buffer), n_zeros = 0;
    while (n_zeros < length && buffer[length - 1 - n_zeros] == '0') n_zeros++;
    bool plain = strspn(buffer, "-0123456789") == length;
    if (plain && n_zeros >= 5 && n_zeros < length) snprintf(buffer + length - n_zeros, 32 - length, "e%zu", n_zeros);
    return buffer;
}

/* " in [0, 10]", " of at least 0", " of at most 10", or nothing. */
static rllc_status add_bounds(const rllc_option *o, rllc_string *out) {
    char low[32], high[32];
    const double limit = o->type == RLLC_REAL ? 1e300 : 9e18; /* a bound beyond the type is none */
    if (o->low > o->high) return RLLC_OK;
    bool from = o->low > -limit, to = o->high < limit;
    if (from && to) {
        return rllc_string_printf(out, " in [%s, %s]", short_number(low, o->low), short_number(high, o->high));
    }
    if (from) return rllc_string_printf(out, " of at least %s", short_number(low, o->low));
    if (to) return rllc_string_printf(out, " of at most %s", short_number(high, o->high));
    return RLLC_OK;
}

rllc_status rllc_base_option_expected(const rllc_option *o, rllc_string *out) {
    rllc_status status = RLLC_OK;
    bool unbounded = o->low > o->high;
    switch (o->type) {
    case RLLC_INTEGER: RLLC_TRY(rllc_string_add(out, "an integer")); break;
    case RLLC_SEED: RLLC_TRY(rllc_string_add(out, unbounded ? "an integer from 0 to 2^64-1" : "an integer")); break;
    case RLLC_REAL: RLLC_TRY(rllc_string_add(out, "a number")); break;
    case RLLC_BOOLEAN: return rllc_string_add(out, "true or false");
    case RLLC_TEXT: return rllc_string_add(out, "a text");
    case RLLC_CHOICE:
        RLLC_TRY(rllc_string_add(out, strchr(o->choices, ',') ? "one of " : ""));
        for (const char *p = o->choices; *p; p++) {
            RLLC_TRY(*p == ',' ? rllc_string_add(out, ", ") : rllc_string_add_bytes(out, p, 1));
        }
        return RLLC_OK;
    }
    RLLC_TRY(add_bounds(o, out));
done:
    return status;
}

/* The nearest choice to a word that is none, NULL if none is near. */
static const char *nearest_choice(const rllc_option *o, const char *text) {
    const char *names[64];
    int n = 0;
    while (n < 64 && (names[n] = rllc_base_choice_name(o->choices, n)) != NULL) n++;
    return rllc_nearest(text, names, n);
}

rllc_status rllc_base_option_refuse(const rllc_option *o, const char *text, const char *where, rllc_status bad) {
    rllc_string expected = {0};
    rllc_status status = rllc_base_option_expected(o, &expected);
    if (status == RLLC_OK) {
        const char *near = o->type == RLLC_CHOICE && text ? nearest_choice(o, text) : NULL;
        const char *found = !text ? "null" : *text == '\0' ? "nothing" : text;
        status = rllc_fail(bad, "%s: found %.200s, expected %s%s%s%s", where, found, rllc_string_text(&expected),
                           near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    rllc_string_release(&expected);
    return status;
}

static bool parse_boolean(const char *text, bool *value) {
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (int i = 0; i < 6; i++) {
        if (strcasecmp(text, words[i]) != 0) continue;
        *value = i % 2 == 1;
        return true;
    }
    return false;
}

static bool within(const rllc_option *o, double value) {
    return o->low > o->high || (value >= o->low && value <= o->high);
}

/* Parses and stores; false if the text is not what the option takes. */
static bool store(const rllc_option *o, void *field, const char *text) {
    int64_t integer;
    uint64_t seed;
    double real;
    bool boolean;
    int choice;
    switch (o->type) {
    case RLLC_INTEGER:
        if (rllc_base_parse_integer(text, &integer) != RLLC_NUMBER_OK || !within(o, (double)integer)) return false;
        *(int64_t *)field = integer;
        return true;
    case RLLC_SEED:
        if (rllc_base_parse_seed(text, &seed) != RLLC_NUMBER_OK || !within(o, (double)seed)) return false;
        *(uint64_t *)field = seed;
        return true;
    case RLLC_REAL:
        if (rllc_base_parse_real(text, &real) != RLLC_NUMBER_OK || !within(o, real)) return false;
        *(double *)field = real;
        return true;
    case RLLC_BOOLEAN:
        if (!parse_boolean(text, &boolean)) return false;
        *(bool *)field = boolean;
        return true;
    case RLLC_CHOICE:
        choice = choice_index(o->choices, text);
        if (choice < 0) return false;
        *(int *)field = choice;
        return true;
    case RLLC_TEXT: break; /* set by the caller */
    }
    return false;
}

rllc_status rllc_base_option_set(const rllc_option *o, void *object, const char *text, const char *where,
                                 rllc_status bad) {
    void *field = rllc_base_option_field(o, object);
    if (o->type == RLLC_TEXT) {
        const char *stored = rllc_intern(text);
        if (text && !stored) return rllc_fail(RLLC_ENOMEM, "%s: no memory for the text", where);
        *(const char **)field = stored;
        return RLLC_OK;
    }
    return text && store(o, field, text) ? RLLC_OK : rllc_base_option_refuse(o, text, where, bad);
}

void rllc_options_default(const rllc_option_table *table, void *object) {
    for (int i = 0; i < table->n; i++) {
        const rllc_option *o = &table->options[i];
        rllc_status status = rllc_base_option_set(o, object, o->initial, o->name, RLLC_EINPUT);
        assert(status == RLLC_OK); /* the table itself is wrong */
        (void)status;
    }
}

rllc_status rllc_base_option_unknown(const rllc_option_table *table, const char *name, const char *where,
                                     rllc_status bad) {
    const char *near = nearest_name(table, name);
    rllc_string hint = {0};
    rllc_status status = near ? rllc_string_printf(&hint, "did you mean '%s'?", near)
                              : rllc_string_add(&hint, "expected one of");
    for (int i = 0; i < table->n && !near && status == RLLC_OK; i++) {
        status = rllc_string_printf(&hint, "%s%s", i ? ", " : " ", table->options[i].name);
    }
    if (status == RLLC_OK) {
        status = rllc_fail(bad, "%s%sunknown key '%.100s' in '%s'; %s", where, *where ? ": " : "", name, table->name,
                           rllc_string_text(&hint));
    }
    rllc_string_release(&hint);
    return status;
}

rllc_status rllc_options_set(const rllc_option_table *table, void *object, const char *name, const char *text,
                             const char *where) {
    const rllc_option *o = rllc_base_option_find(table, name);
    if (!o) return rllc_base_option_unknown(table, name, where, RLLC_EINPUT);
    return rllc_base_option_set(o, object, text, where, RLLC_EINPUT);
}
