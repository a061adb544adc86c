/* Growing strings, and the check of UTF-8. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "rllc/base.h"

/* Room for `more` bytes and the final NUL. */
static rllc_status reserve(rllc_string *s, size_t more) {
    size_t needed;
    if (__builtin_add_overflow(s->length, more, &needed) || needed > PTRDIFF_MAX / 2) {
        return rllc_fail(RLLC_ENOMEM, "a text of %zu + %zu bytes is too long", s->length, more);
    }
    needed++;
    if (needed <= s->capacity) return RLLC_OK;
    size_t capacity = s->capacity < 32 ? 64 : 2 * s->capacity;
    if (capacity < needed) capacity = needed;
    char *data = realloc(s->data, capacity);
    if (!data) return rllc_fail(RLLC_ENOMEM, "no memory for a text of %zu bytes", capacity);
    s->data = data;
    s->capacity = capacity;
    return RLLC_OK;
}

rllc_status rllc_string_add_bytes(rllc_string *s, const void *bytes, size_t n) {
    rllc_status status = reserve(s, n);
    if (status != RLLC_OK) return status;
    if (n > 0) memcpy(s->data + s->length, bytes, n);
    s->length += n;
    s->data[s->length] = '\0';
    return RLLC_OK;
}

rllc_status rllc_string_add(rllc_string *s, const char *text) {
    return rllc_string_add_bytes(s, text, strlen(text));
}

rllc_status rllc_string_printf(rllc_string *s, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    rllc_status status = length < 0 ? rllc_fail(RLLC_EFAIL, "cannot format a text: %s", strerror(errno))
                                    : reserve(s, (size_t)length);
    if (status == RLLC_OK) {
        vsnprintf(s->data + s->length, (size_t)length + 1, format, again);
        s->length += (size_t)length;
    }
    va_end(again);
    return status;
}

void rllc_string_clear(rllc_string *s) {
    s->length = 0;
    if (s->data) s->data[0] = '\0';
}

void rllc_string_release(rllc_string *s) {
    free(s->data);
    *s = (rllc_string){0};
}

const char *rllc_string_text(const rllc_string *s) {
    return s->data ? s->data : "";
}

/* Length of the valid character at p[0..n-1], 0 if there is none: no overlong forms, surrogates or values beyond
   U+10FFFF (table 3-7 of the Unicode standard). */
static size_t utf8_character(const unsigned char *p, size_t n) {
    if (p[0] < 0x80) return 1;
    size_t length = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < length) return 0;
    unsigned char low = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < low || p[1] > high) return 0;
    for (size_t i = 2; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
    }
    return length;
}

bool rllc_utf8_valid(const void *bytes, size_t n, size_t *bad_at) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n;) {
        uint64_t eight;
        if (n - i >= 8 && (memcpy(&eight, p + i, 8), (eight & 0x8080808080808080u) == 0)) {
            i += 8;
            continue;
        }
        size_t length = utf8_character(p + i, n - i);
        if (length == 0) {
            if (bad_at) *bad_at = i;
            return false;
        }
        i += length;
    }
    return true;
}
