/* Types of heads given by hand, in a file. */
#include <string.h>

#include "rllc/mechinterp.h"

/* The list under way. */
typedef struct overrides {
    rllc_head_override *list;
    int64_t n;
} overrides;

static bool is_type(const char *name) {
    for (int i = 0; i < RLLC_HEAD_TYPES; i++)
        if (strcmp(rllc_head_type_names[i], name) == 0) return true;
    return false;
}

/** One line; where: "types.yaml:3". */
static rllc_status add(overrides *o, const char *head, const char *type, const char *comment, const char *where) {
    rllc_head_override x = {.type = rllc_intern(type), .comment = rllc_intern(comment)};
    if (!x.type || !x.comment) return rllc_fail(RLLC_ENOMEM, "%s", where);
    if (!rllc_component_head(head, &x.layer, &x.head))
        return rllc_fail(RLLC_EINPUT, "%s: '%s' is not a head; expected one like 0:3 or l0h3", where, head);
    if (strchr(comment, '\n')) return rllc_fail(RLLC_EINPUT, "%s: the comment has several lines, expected one", where);
    if (!is_type(type)) {
        const char *near = rllc_nearest(type, rllc_head_type_names, RLLC_HEAD_TYPES);
        return rllc_fail(RLLC_EINPUT, "%s: no type of head is called '%s'%s%s%s", where, type,
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    for (int64_t i = 0; i < o->n; i++)
        if (o->list[i].layer == x.layer && o->list[i].head == x.head)
            return rllc_fail(RLLC_EINPUT, "%s: head %s has a type already", where, head);
    const rllc_status status = rllc_grow(&o->list, o->n, o->n + 1, sizeof *o->list);
    if (status == RLLC_OK) o->list[o->n++] = x;
    return status;
}

/** The text of bytes first .. first+n-1 without blanks around it; interned. */
static const char *trimmed(const char *first, size_t n) {
    while (n && strchr(" \t\r", first[0])) first++, n--;
    while (n && strchr(" \t\r", first[n - 1])) n--;
    return rllc_intern_printf("%.*s", (int)n, first);
}

/* ---- YAML: head: type [comment] -------------------------------------------------------------------------------- */

static rllc_status read_yaml(const char *path, overrides *o) {
    rllc_status status = RLLC_OK;
    rllc_yaml *y = NULL;
    RLLC_TRY(rllc_yaml_load(&y, path));
    if (y->kind == RLLC_YAML_SCALAR && y->is_null) goto done; /* nothing but comments */
    if (y->kind != RLLC_YAML_MAP)
        status = rllc_fail(RLLC_EINPUT, "%s:%d: expected lines of the form head: type [comment]", path, y->line);
    for (int64_t i = 0; i < y->n && status == RLLC_OK; i++) {
        const rllc_yaml *value = y->items[i];
        const char *where = rllc_intern_printf("%s:%d", path, value->line);
        if (value->kind != RLLC_YAML_SCALAR) {
            status = rllc_fail(RLLC_EINPUT, "%s: expected head: type [comment]", where);
            break;
        }
        const size_t type = strcspn(value->scalar, " \t\n");
        const char *rest = value->scalar + type;
        status = add(o, y->keys[i], trimmed(value->scalar, type), trimmed(rest, strlen(rest)), where);
    }
done:
    rllc_yaml_free(y);
    return status;
}

/* ---- CSV: head,type[,comment] ---------------------------------------------------------------------------------- */

enum { MOST_BYTES = 65536 }; /* a line */

static rllc_status read_line(const char *line, size_t n, const char *where, overrides *o) {
    const char *end = line + n, *comma = memchr(line, ',', n), *second = NULL;
    if (!comma) return rllc_fail(RLLC_EINPUT, "%s: expected head,type[,comment]", where);
    second = memchr(comma + 1, ',', (size_t)(end - comma - 1));
    const char *type_end = second ? second : end;
    const char *head = trimmed(line, (size_t)(comma - line)),
               *type = trimmed(comma + 1, (size_t)(type_end - comma - 1)),
               *comment = second ? trimmed(second + 1, (size_t)(end - second - 1)) : "";
    if (!head || !type || !comment) return rllc_fail(RLLC_ENOMEM, "%s", where);
    return add(o, head, type, comment, where);
}

static rllc_status read_csv(const char *path, overrides *o) {
    rllc_status status = RLLC_OK;
    rllc_mapping m;
    int64_t number = 0;
    size_t bad;
    status = rllc_mapping_open(&m, path);
    if (status != RLLC_OK) return status;
    if (!rllc_utf8_valid(m.data, m.size, &bad) || (m.size && memchr(m.data, 0, m.size)))
        status = rllc_fail(RLLC_EINPUT, "%s: this is no text", path);
    for (size_t at = 0; at < m.size && status == RLLC_OK;) {
        const char *line = (const char *)m.data + at, *end = memchr(line, '\n', m.size - at);
        const size_t n = end ? (size_t)(end - line) : m.size - at;
        const char *where = rllc_intern_printf("%s:%lld", path, (long long)++number);
        if (n > MOST_BYTES) {
            status = rllc_fail(RLLC_EINPUT, "%s: a line of %zu bytes, expected at most %d", where, n, MOST_BYTES);
            break;
        }
        const char *text = trimmed(line, n);
        at += n + 1;
        if (!text || !*text || *text == '#' || (number == 1 && strncmp(text, "head,", 5) == 0)) continue;
        status = read_line(line, n, where, o);
    }
    rllc_mapping_close(&m);
    return status;
}

rllc_status rllc_head_overrides_load(const char *path, rllc_head_override **list, int64_t *n) {
    overrides o = {0};
    const size_t length = strlen(path);
    const bool csv = length > 4 && strcmp(path + length - 4, ".csv") == 0;
    const rllc_status status = csv ? read_csv(path, &o) : read_yaml(path, &o);
    if (status != RLLC_OK) {
        rllc_free(o.list);
        o = (overrides){0};
    }
    *list = o.list;
    *n = o.n;
    return status;
}
