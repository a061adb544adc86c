/* YAML trees: making, finding, merging, overriding. yaml_parse.c reads text, yaml_print.c writes it. */
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"

rllc_yaml *rllc_base_yaml_new(rllc_yaml_kind kind, const char *file, int line) {
    rllc_yaml *y = calloc(1, sizeof *y);
    if (y) *y = (rllc_yaml){.kind = kind, .file = file, .line = line};
    return y;
}

void rllc_yaml_free(rllc_yaml *y) {
    if (!y) return;
    for (int64_t i = 0; i < y->n; i++) {
        if (y->keys) free(y->keys[i]);
        rllc_yaml_free(y->items[i]);
    }
    rllc_free(y->keys);
    rllc_free(y->items);
    free(y->scalar);
    free(y);
}

/* Arrays hold 0 or a power of two (at least 4) of children, so their capacity follows from n. */
static rllc_status make_room(rllc_yaml *parent) {
    bool full = parent->n == 0 || (parent->n >= 4 && (parent->n & (parent->n - 1)) == 0);
    if (!full) return RLLC_OK;
    int64_t capacity = parent->n < 4 ? 4 : 2 * parent->n;
    rllc_status status = rllc_grow(&parent->items, parent->n, capacity, sizeof *parent->items);
    if (status == RLLC_OK && parent->kind == RLLC_YAML_MAP) {
        status = rllc_grow(&parent->keys, parent->n, capacity, sizeof *parent->keys);
    }
    return status;
}

rllc_status rllc_base_yaml_add(rllc_yaml *parent, const char *key, rllc_yaml *child) {
    rllc_status status = child ? make_room(parent) : rllc_fail(RLLC_ENOMEM, "no memory for a YAML node");
    char *copy = NULL;
    if (status == RLLC_OK && parent->kind == RLLC_YAML_MAP) {
        copy = strdup(key);
        if (!copy) status = rllc_fail(RLLC_ENOMEM, "no memory for the YAML key '%s'", key);
    }
    if (status != RLLC_OK) {
        rllc_yaml_free(child);
        return status;
    }
    if (copy) parent->keys[parent->n] = copy;
    parent->items[parent->n++] = child;
    return RLLC_OK;
}

static int64_t position_of(const rllc_yaml *map, const char *key) {
    if (!map || map->kind != RLLC_YAML_MAP) return -1;
    for (int64_t i = 0; i < map->n; i++) {
        if (strcmp(map->keys[i], key) == 0) return i;
    }
    return -1;
}

rllc_yaml *rllc_yaml_get(const rllc_yaml *map, const char *key) {
    int64_t i = position_of(map, key);
    return i < 0 ? NULL : map->items[i];
}

/* Puts a child (taken over) under a key, in place of the one that was there. */
static rllc_status put(rllc_yaml *map, const char *key, rllc_yaml *child) {
    int64_t i = position_of(map, key);
    if (i < 0 || !child) return rllc_base_yaml_add(map, key, child);
    rllc_yaml_free(map->items[i]);
    map->items[i] = child;
    return RLLC_OK;
}

static rllc_yaml *copy_of(const rllc_yaml *y) {
    rllc_yaml *copy = rllc_base_yaml_new(y->kind, y->file, y->line);
    if (!copy) return NULL;
    copy->is_null = y->is_null;
    if (y->scalar && !(copy->scalar = strdup(y->scalar))) goto failed;
    for (int64_t i = 0; i < y->n; i++) {
        if (rllc_base_yaml_add(copy, y->keys ? y->keys[i] : NULL, copy_of(y->items[i])) != RLLC_OK) goto failed;
    }
    return copy;
failed:
    rllc_yaml_free(copy);
    return NULL;
}

rllc_status rllc_yaml_merge(rllc_yaml *base, const rllc_yaml *over) {
    if (base->kind != RLLC_YAML_MAP || over->kind != RLLC_YAML_MAP) {
        const rllc_yaml *wrong = base->kind != RLLC_YAML_MAP ? base : over;
        return rllc_fail(RLLC_EINPUT, "%s:%d: found a %s, expected a map of keys and values", wrong->file, wrong->line,
                         wrong->kind == RLLC_YAML_LIST ? "list" : "single value");
    }
    for (int64_t i = 0; i < over->n; i++) {
        rllc_yaml *there = rllc_yaml_get(base, over->keys[i]);
        bool both_maps = there && there->kind == RLLC_YAML_MAP && over->items[i]->kind == RLLC_YAML_MAP;
        rllc_status status = both_maps ? rllc_yaml_merge(there, over->items[i])
                                       : put(base, over->keys[i], copy_of(over->items[i]));
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

/* Marks a value as given on the command line by this assignment. */
static void set_origin(rllc_yaml *y, const char *assignment) {
    y->file = assignment;
    y->line = 0;
    for (int64_t i = 0; i < y->n; i++) set_origin(y->items[i], assignment);
}

/* The value text of an assignment; nothing at all is null. */
static rllc_status parse_value(rllc_yaml **out, const char *text, const char *assignment) {
    rllc_status status;
    *out = NULL;
    if (text[strspn(text, " \t\r\n")] == '\0') text = "null";
    status = rllc_yaml_parse(out, text, strlen(text), assignment);
    if (status == RLLC_EINPUT) status = rllc_fail_within(RLLC_EUSAGE, "the value of this assignment is no YAML");
    if (status == RLLC_OK) set_origin(*out, assignment);
    return status;
}

/* The map under one part of the path: made if nothing or null is there. */
static rllc_status enter(rllc_yaml **at, const char *key, const char *assignment) {
    rllc_yaml *child = rllc_yaml_get(*at, key);
    if (!child || child->is_null) {
        rllc_status status = put(*at, key, rllc_base_yaml_new(RLLC_YAML_MAP, assignment, 0));
        if (status != RLLC_OK) return status;
        child = rllc_yaml_get(*at, key);
    }
    if (child->kind != RLLC_YAML_MAP) {
        return rllc_fail(RLLC_EUSAGE, "%s: '%s' holds a %s, so nothing can be set inside it; replace it whole",
                         assignment, key, child->kind == RLLC_YAML_LIST ? "list" : "single value");
    }
    *at = child;
    return RLLC_OK;
}

/* Walks "a.b.c" (cut up in place) from the root and puts the value (taken over) under the last key. */
static rllc_status put_at_path(rllc_yaml *root, char *path, rllc_yaml *value, const char *assignment) {
    rllc_yaml *at = root;
    int depth = 1;
    for (char *key = path, *dot;; key = dot + 1) {
        rllc_status status = RLLC_OK;
        dot = strchr(key, '.');
        if (dot) *dot = '\0';
        if (*key == '\0' || strlen(key) > RLLC_YAML_LONGEST_KEY || ++depth > RLLC_YAML_DEEPEST / 2) {
            status = rllc_fail(RLLC_EUSAGE, "%s: expected keys joined by points before '=', such as model.n_heads=8",
                               assignment);
        } else if (!dot) {
            return put(at, key, value);
        } else {
            status = enter(&at, key, assignment);
        }
        if (status != RLLC_OK) {
            rllc_yaml_free(value);
            return status;
        }
    }
}

rllc_status rllc_yaml_override(rllc_yaml *root, const char *assignment) {
    rllc_status status = RLLC_OK;
    rllc_yaml *value = NULL;
    char *path = NULL;
    const char *equals = strchr(assignment, '=');
    const char *origin = rllc_intern(assignment);
    if (!equals) return rllc_fail(RLLC_EUSAGE, "'%s': expected key=value, such as model.n_heads=8", assignment);
    if (root->kind != RLLC_YAML_MAP) return rllc_fail(RLLC_EUSAGE, "%s: the document is not a map", assignment);
    path = strndup(assignment, (size_t)(equals - assignment));
    if (!path || !origin) RLLC_TRY(rllc_fail(RLLC_ENOMEM, "no memory for '%s'", assignment));
    RLLC_TRY(parse_value(&value, equals + 1, origin));
    RLLC_TRY(put_at_path(root, path, value, origin));
done:
    free(path);
    return status;
}
