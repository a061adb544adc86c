/* Option structs from YAML maps: every message names file, line and key. */
#include <string.h>

#include "base/options.h"

/* "config.yaml:12", or "lr=-1" for a value from the command line. */
static const char *place_of(const rllc_yaml *y) {
    return y->line > 0 ? rllc_intern_printf("%s:%d", y->file, y->line) : y->file;
}

/* A list of scalars as "a,b,c". */
static rllc_status joined(const rllc_yaml *list, const char *where, rllc_status bad, rllc_string *out) {
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < list->n; i++) {
        if (list->items[i]->kind != RLLC_YAML_SCALAR) {
            RLLC_TRY(rllc_fail(bad, "%s: the list holds a list or map, expected single values", where));
        }
        if (i > 0) RLLC_TRY(rllc_string_add(out, ","));
        RLLC_TRY(rllc_string_add(out, list->items[i]->scalar));
    }
    if (list->n == 0) RLLC_TRY(rllc_string_add(out, ""));
done:
    return status;
}

static rllc_status set_from_node(const rllc_option *o, void *object, const rllc_yaml *y, const char *where,
                                 rllc_status bad) {
    if (y->kind == RLLC_YAML_SCALAR) return rllc_base_option_set(o, object, y->is_null ? NULL : y->scalar, where, bad);
    if (y->kind == RLLC_YAML_LIST && o->type == RLLC_TEXT) {
        rllc_string text = {0};
        rllc_status status = joined(y, where, bad, &text);
        if (status == RLLC_OK) status = rllc_base_option_set(o, object, rllc_string_text(&text), where, bad);
        rllc_string_release(&text);
        return status;
    }
    return rllc_base_option_refuse(o, y->kind == RLLC_YAML_LIST ? "a list" : "a map", where, bad);
}

rllc_status rllc_options_from_yaml(const rllc_option_table *table, void *object, const rllc_yaml *map) {
    if (map->kind == RLLC_YAML_SCALAR && map->is_null) return RLLC_OK; /* "model:" with nothing below */
    if (map->kind != RLLC_YAML_MAP) {
        return rllc_fail(map->line > 0 ? RLLC_EINPUT : RLLC_EUSAGE, "%s: %s: expected a map of keys and values",
                         place_of(map), table->name);
    }
    for (int64_t i = 0; i < map->n; i++) {
        const rllc_yaml *y = map->items[i];
        rllc_status bad = y->line > 0 ? RLLC_EINPUT : RLLC_EUSAGE;
        const rllc_option *o = rllc_base_option_find(table, map->keys[i]);
        const char *place = place_of(y);
        if (!place) return rllc_fail(RLLC_ENOMEM, "no memory to read '%s'", map->keys[i]);
        bool exact = o && strcmp(o->name, map->keys[i]) == 0; /* "n-heads" beside "n_heads" would set one twice */
        if (!exact) return rllc_base_option_unknown(table, map->keys[i], place, bad);
        const char *where = rllc_intern_printf("%s: %s", place, o->name);
        if (!where) return rllc_fail(RLLC_ENOMEM, "no memory to read '%s'", map->keys[i]);
        rllc_status status = set_from_node(o, object, y, where, bad);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}
