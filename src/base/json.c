/* JSON values: parsing with every strictness, making and reading. jansson behind; json_print.c writes text. */
#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "rllc/base.h"

/* jansson repeats input in its messages: control characters must not reach a terminal. */
static void make_printable(char *text) {
    for (; *text; text++) {
        if (iscntrl((unsigned char)*text)) *text = '?';
    }
}

/* jansson reports a failed allocation while reading as a mistake in the text, so its allocations are watched. */
static _Thread_local bool allocation_failed;

static void *watched_malloc(size_t size) {
    void *pointer = malloc(size);
    if (!pointer) allocation_failed = true;
    return pointer;
}

static void watch_allocations(void) {
    json_set_alloc_funcs(watched_malloc, free); /* the same heap as before: earlier values stay valid */
}

rllc_status rllc_json_parse(rllc_json **out, const char *text, size_t n, const char *name) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    json_error_t error = {0};
    pthread_once(&once, watch_allocations);
    allocation_failed = false;
    *out = json_loadb(n > 0 ? text : "", n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (allocation_failed) { /* even with a value: jansson may have left out a byte of a string */
        json_decref(*out);
        *out = NULL;
        return rllc_fail(RLLC_ENOMEM, "%s: no memory to read it", name);
    }
    if (*out) return RLLC_OK;
    make_printable(error.text);
    return rllc_fail(RLLC_EINPUT, "%s: line %d, byte %d: %s; expected JSON in UTF-8", name, error.line, error.position,
                     error.text);
}

rllc_status rllc_json_load(rllc_json **out, const char *path) {
    rllc_mapping m;
    *out = NULL;
    rllc_status status = rllc_mapping_open(&m, path);
    if (status != RLLC_OK) return status;
    status = rllc_json_parse(out, (const char *)m.data, m.size, path);
    rllc_mapping_close(&m);
    return status;
}

void rllc_json_free(rllc_json *j) {
    json_decref(j);
}

rllc_json *rllc_json_object(void) {
    return json_object();
}

rllc_json *rllc_json_array(void) {
    return json_array();
}

rllc_status rllc_json_set(rllc_json *object, const char *key, rllc_json *value) {
    if (!value) return rllc_fail(RLLC_ENOMEM, "no memory for the JSON value of '%s'", key);
    if (!json_is_object(object) || !rllc_utf8_valid(key, strlen(key), NULL)) {
        json_decref(value);
        return object && !json_is_object(object)
                   ? rllc_fail(RLLC_EINPUT, "the key '%s' was set in a JSON value that is no object", key)
               : object ? rllc_fail(RLLC_EINPUT, "a JSON key is not valid UTF-8")
                        : rllc_fail(RLLC_ENOMEM, "no memory for the JSON object of '%s'", key);
    }
    if (json_object_set_new(object, key, value) == 0) return RLLC_OK;
    return rllc_fail(RLLC_ENOMEM, "no memory for the JSON value of '%s'", key);
}

rllc_status rllc_json_append(rllc_json *array, rllc_json *value) {
    if (!value || !array) {
        json_decref(value);
        return rllc_fail(RLLC_ENOMEM, "no memory for a JSON value");
    }
    if (!json_is_array(array)) {
        json_decref(value);
        return rllc_fail(RLLC_EINPUT, "an item was appended to a JSON value that is no array");
    }
    if (json_array_append_new(array, value) == 0) return RLLC_OK;
    return rllc_fail(RLLC_ENOMEM, "no memory for a JSON value");
}

/* Invalid bytes (of a file name, a host name) become U+FFFD, since JSON cannot hold them. */
static rllc_json *repaired_string(const char *text, size_t n) {
    rllc_string s = {0};
    rllc_status status = RLLC_OK;
    rllc_json *value = NULL;
    while (n > 0) {
        size_t good = n;
        bool valid = rllc_utf8_valid(text, n, &good);
        RLLC_TRY(rllc_string_add_bytes(&s, text, good));
        if (valid) break;
        RLLC_TRY(rllc_string_add(&s, "\xEF\xBF\xBD"));
        text += good + 1;
        n -= good + 1;
    }
    value = json_stringn(rllc_string_text(&s), s.length);
done:
    rllc_string_release(&s);
    return value;
}

rllc_json *rllc_json_string(const char *text) {
    if (!text) return json_null();
    size_t n = strlen(text);
    return rllc_utf8_valid(text, n, NULL) ? json_stringn(text, n) : repaired_string(text, n);
}

rllc_json *rllc_json_integer(int64_t value) {
    return json_integer(value);
}

rllc_json *rllc_json_real(double value) {
    rllc_json *j = json_real(value); /* NULL for NaN and infinities */
    return j || (value - value == 0) ? j : json_null();
}

rllc_json *rllc_json_boolean(bool value) {
    return json_boolean(value);
}

rllc_json *rllc_json_null(void) {
    return json_null();
}

const rllc_json *rllc_json_get(const rllc_json *object, const char *key) {
    return json_object_get(object, key);
}

const rllc_json *rllc_json_at(const rllc_json *array, int64_t i) {
    return i < 0 ? NULL : json_array_get(array, (size_t)i);
}

int64_t rllc_json_length(const rllc_json *array_or_object) {
    return (int64_t)(json_is_array(array_or_object) ? json_array_size(array_or_object)
                                                    : json_object_size(array_or_object));
}

bool rllc_json_is_object(const rllc_json *j) {
    return json_is_object(j);
}

bool rllc_json_is_array(const rllc_json *j) {
    return json_is_array(j);
}

bool rllc_json_is_string(const rllc_json *j) {
    return json_is_string(j);
}

bool rllc_json_is_integer(const rllc_json *j) {
    return json_is_integer(j);
}

bool rllc_json_is_null(const rllc_json *j) {
    return json_is_null(j);
}

const char *rllc_json_text(const rllc_json *j) {
    return json_string_value(j);
}

size_t rllc_json_text_length(const rllc_json *j) {
    return json_string_length(j);
}

int64_t rllc_json_to_integer(const rllc_json *j, int64_t fallback) {
    return json_is_integer(j) ? json_integer_value(j) : fallback;
}

double rllc_json_to_real(const rllc_json *j, double fallback) {
    return json_is_number(j) ? json_number_value(j) : fallback;
}

bool rllc_json_to_boolean(const rllc_json *j, bool fallback) {
    return json_is_boolean(j) ? json_is_true(j) : fallback;
}

rllc_status rllc_json_each(const rllc_json *object, rllc_status (*visit)(void *, const char *, const rllc_json *),
                           void *context) {
    json_t *members = (json_t *)(uintptr_t)object; /* jansson's iterators take no const; nothing is changed */
    for (void *at = json_object_iter(members); at; at = json_object_iter_next(members, at)) {
        rllc_status status = visit(context, json_object_iter_key(at), json_object_iter_value(at));
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}
