/* Option structs to JSON, the record kept with every result, and back. */
#include <string.h>

#include "base/options.h"

/* Interning gives NULL without memory, which must not become a null in the record. */
static rllc_json *interned_string(const char *text) {
    return text ? rllc_json_string(text) : NULL;
}

static rllc_json *field_to_json(const rllc_option *o, const void *object) {
    const void *field = (const char *)object + o->offset;
    uint64_t seed;
    switch (o->type) {
    case RLLC_INTEGER: return rllc_json_integer(*(const int64_t *)field);
    case RLLC_SEED: /* JSON readers hold integers in 64 bits with sign: larger seeds are written as text */
        seed = *(const uint64_t *)field;
        return seed <= INT64_MAX ? rllc_json_integer((int64_t)seed)
                                 : interned_string(rllc_intern_printf("%llu", (unsigned long long)seed));
    case RLLC_REAL: return rllc_json_real(*(const double *)field);
    case RLLC_BOOLEAN: return rllc_json_boolean(*(const bool *)field);
    case RLLC_TEXT: return rllc_json_string(*(const char *const *)field);
    case RLLC_CHOICE: return interned_string(rllc_base_choice_name(o->choices, *(const int *)field));
    }
    return NULL;
}

rllc_status rllc_options_to_json(const rllc_option_table *table, const void *object, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    *out = NULL;
    for (int i = 0; i < table->n; i++) {
        RLLC_TRY(rllc_json_set(j, table->options[i].name, field_to_json(&table->options[i], object)));
    }
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

typedef struct target {
    const rllc_option_table *table;
    void *object;
} target;

/* The text that option parsing takes; NULL for null. Containers are printed, to be refused with their text shown. */
static rllc_status value_text(const rllc_json *value, rllc_string *buffer, const char **text) {
    *text = NULL;
    if (rllc_json_is_null(value)) return RLLC_OK;
    if (rllc_json_is_string(value)) {
        *text = rllc_json_text(value);
        return RLLC_OK;
    }
    rllc_status status = rllc_json_print(value, 0, false, buffer);
    *text = rllc_string_text(buffer);
    return status;
}

/* A JSON value has a type of its own, which must fit: "8" is no number, 1.0 no integer, [] no text. */
static bool fits(const rllc_option *o, const rllc_json *value) {
    bool is_text = rllc_json_is_string(value), is_null = rllc_json_is_null(value);
    bool is_container = rllc_json_is_object(value) || rllc_json_is_array(value);
    switch (o->type) {
    case RLLC_TEXT: return is_text || is_null;
    case RLLC_CHOICE: return is_text;
    case RLLC_SEED: return is_text || rllc_json_is_integer(value);
    case RLLC_INTEGER: return rllc_json_is_integer(value);
    case RLLC_REAL: return !is_text && !is_null && !is_container;
    case RLLC_BOOLEAN: return !is_text && !is_null && !is_container;
    }
    return false;
}

static rllc_status set_member(void *context, const char *key, const rllc_json *value) {
    const target *t = context;
    rllc_status status = RLLC_OK;
    rllc_string buffer = {0};
    const char *text;
    const rllc_option *o = rllc_base_option_find(t->table, key);
    const char *where = rllc_intern_printf("%s.%s", t->table->name, key);
    if (!o || strcmp(o->name, key) != 0) return rllc_base_option_unknown(t->table, key, "", RLLC_EINPUT);
    if (!where) return rllc_fail(RLLC_ENOMEM, "no memory to read '%s'", key);
    RLLC_TRY(value_text(value, &buffer, &text));
    if (text && strlen(text) != (rllc_json_is_string(value) ? rllc_json_text_length(value) : buffer.length)) {
        RLLC_TRY(rllc_fail(RLLC_EINPUT, "%s: the text holds a NUL character", where));
    }
    if (!fits(o, value)) {
        const char *shown = rllc_json_is_string(value) ? rllc_intern_printf("the text \"%.190s\"", text) : text;
        RLLC_TRY(rllc_base_option_refuse(o, shown, where, RLLC_EINPUT));
    }
    RLLC_TRY(rllc_base_option_set(o, t->object, text, where, RLLC_EINPUT));
done:
    rllc_string_release(&buffer);
    return status;
}

rllc_status rllc_options_from_json(const rllc_option_table *table, void *object, const rllc_json *j) {
    if (!rllc_json_is_object(j)) {
        return rllc_fail(RLLC_EINPUT, "%s: expected a JSON object with the options as members", table->name);
    }
    target t = {.table = table, .object = object};
    return rllc_json_each(j, set_member, &t);
}
