/* JSON values to text: reals in their shortest round-trip form, keys in order or sorted, UTF-8 kept as it is. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "rllc/base.h"

#define DEEPEST 2048 /* as deep as jansson reads */

typedef struct printer {
    rllc_string *out;
    int indent;
    bool sorted;
    int depth;
} printer;

static rllc_status print_value(printer *p, const rllc_json *j);

static rllc_status print_text(rllc_string *out, const char *text, size_t n) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add_bytes(out, "\"", 1));
    size_t begin = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7F) continue;
        RLLC_TRY(rllc_string_add_bytes(out, text + begin, i - begin));
        begin = i + 1;
        const char *known = c ? strchr("\"\"\\\\\nn\tt\rr\bb\ff", c) : NULL;
        if (known) {
            char escape[2] = {'\\', known[1]};
            RLLC_TRY(rllc_string_add_bytes(out, escape, 2));
        } else {
            RLLC_TRY(rllc_string_printf(out, "\\u%04x", c));
        }
    }
    RLLC_TRY(rllc_string_add_bytes(out, text + begin, n - begin));
    RLLC_TRY(rllc_string_add_bytes(out, "\"", 1));
done:
    return status;
}

/* A real stays one: a form that would read back as an integer gets ".0". */
static rllc_status print_real(rllc_string *out, double value) {
    char buffer[32];
    rllc_format_double(buffer, value);
    return rllc_string_printf(out, "%s%s", buffer, strpbrk(buffer, ".e") ? "" : ".0");
}

static rllc_status new_line(printer *p) {
    if (p->indent <= 0) return RLLC_OK;
    return rllc_string_printf(p->out, "\n%*s", p->indent * p->depth, "");
}

static rllc_status print_array(printer *p, const rllc_json *j) {
    rllc_status status = RLLC_OK;
    size_t n = json_array_size(j);
    RLLC_TRY(rllc_string_add(p->out, "["));
    p->depth++;
    for (size_t i = 0; i < n; i++) {
        if (i > 0) RLLC_TRY(rllc_string_add(p->out, p->indent > 0 ? "," : ", "));
        RLLC_TRY(new_line(p));
        RLLC_TRY(print_value(p, json_array_get(j, i)));
    }
    p->depth--;
    if (n > 0) RLLC_TRY(new_line(p));
    RLLC_TRY(rllc_string_add(p->out, "]"));
done:
    return status;
}

static int by_key(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static rllc_status print_object(printer *p, const rllc_json *j) {
    rllc_status status = RLLC_OK;
    json_t *members = (json_t *)(uintptr_t)j;
    int64_t n = (int64_t)json_object_size(j), i = 0;
    const char **keys = NULL;
    RLLC_TRY(rllc_alloc(&keys, n, sizeof *keys));
    for (void *at = json_object_iter(members); at; at = json_object_iter_next(members, at)) {
        keys[i++] = json_object_iter_key(at);
    }
    if (p->sorted) qsort(keys, (size_t)n, sizeof *keys, by_key);
    RLLC_TRY(rllc_string_add(p->out, "{"));
    p->depth++;
    for (i = 0; i < n; i++) {
        if (i > 0) RLLC_TRY(rllc_string_add(p->out, p->indent > 0 ? "," : ", "));
        RLLC_TRY(new_line(p));
        RLLC_TRY(print_text(p->out, keys[i], strlen(keys[i])));
        RLLC_TRY(rllc_string_add(p->out, ": "));
        RLLC_TRY(print_value(p, json_object_get(j, keys[i])));
    }
    p->depth--;
    if (n > 0) RLLC_TRY(new_line(p));
    RLLC_TRY(rllc_string_add(p->out, "}"));
done:
    rllc_free(keys);
    return status;
}

static rllc_status print_value(printer *p, const rllc_json *j) {
    if (p->depth > DEEPEST) return rllc_fail(RLLC_EINPUT, "a JSON value is nested deeper than %d", DEEPEST);
    switch (json_typeof(j)) {
    case JSON_OBJECT: return print_object(p, j);
    case JSON_ARRAY: return print_array(p, j);
    case JSON_STRING: return print_text(p->out, json_string_value(j), json_string_length(j));
    case JSON_INTEGER: return rllc_string_printf(p->out, "%lld", (long long)json_integer_value(j));
    case JSON_REAL: return print_real(p->out, json_real_value(j));
    case JSON_TRUE: return rllc_string_add(p->out, "true");
    case JSON_FALSE: return rllc_string_add(p->out, "false");
    case JSON_NULL: break;
    }
    return rllc_string_add(p->out, "null");
}

rllc_status rllc_json_print(const rllc_json *j, int indent, bool sorted, rllc_string *out) {
    if (!j) return rllc_fail(RLLC_ENOMEM, "no memory for a JSON value");
    printer p = {.out = out, .indent = indent, .sorted = sorted};
    return print_value(&p, j);
}
