/* The JSON that a safetensors header may hold, read byte by byte: strings, non-negative integers, punctuation.
 * A header may have 100 MB; this needs no tree of it, and every complaint names its byte. */
#include "checkpoint/internal.h"

#include <string.h>

static int peek(const rllc_checkpoint_scan *s) {
    return s->at < s->n ? s->text[s->at] : -1;
}

static void skip_space(rllc_checkpoint_scan *s) {
    for (int c = peek(s); c == ' ' || c == '\n' || c == '\r' || c == '\t'; c = peek(s)) s->at++;
}

rllc_status rllc_checkpoint_scan_fail(const rllc_checkpoint_scan *s, const char *expected) {
    char found[32];
    const int c = peek(s);
    if (c < 0) {
        memcpy(found, "the end of the header", 22);
    } else if (c > 0x20 && c < 0x7F) {
        (void)snprintf(found, sizeof found, "'%c'", c);
    } else {
        (void)snprintf(found, sizeof found, "byte 0x%02x", (unsigned)c);
    }
    return rllc_fail(RLLC_EINPUT,
                     "%s: byte %zu of the safetensors header: found %s, expected %s; the file is damaged, "
                     "restore it or write it again",
                     s->path, s->origin + s->at, found, expected);
}

bool rllc_checkpoint_scan_take(rllc_checkpoint_scan *s, char c) {
    skip_space(s);
    if (peek(s) != (unsigned char)c) return false;
    s->at++;
    return true;
}

bool rllc_checkpoint_scan_ended(rllc_checkpoint_scan *s) {
    skip_space(s);
    return s->at == s->n;
}

rllc_status rllc_checkpoint_scan_expect(rllc_checkpoint_scan *s, char c, const char *expected) {
    return rllc_checkpoint_scan_take(s, c) ? RLLC_OK : rllc_checkpoint_scan_fail(s, expected);
}

rllc_status rllc_checkpoint_scan_integer(rllc_checkpoint_scan *s, int64_t *out) {
    static const char expected[] = "a non-negative integer below 2^63";
    skip_space(s);
    const size_t start = s->at;
    int64_t value = 0;
    for (int c = peek(s); c >= '0' && c <= '9'; c = peek(s)) {
        if (__builtin_mul_overflow(value, (int64_t)10, &value) ||
            __builtin_add_overflow(value, (int64_t)(c - '0'), &value)) {
            return rllc_checkpoint_scan_fail(s, expected);
        }
        s->at++;
    }
    const bool leading_zero = s->at > start + 1 && s->text[start] == '0';
    const int next = peek(s);
    if (leading_zero) s->at = start;
    if (s->at == start || next == '.' || next == 'e' || next == 'E') return rllc_checkpoint_scan_fail(s, expected);
    *out = value;
    return RLLC_OK;
}

/* Four hexadecimal digits at s->at; -1 if they are not there. */
static int hex4(const rllc_checkpoint_scan *s) {
    int value = 0;
    if (s->n - s->at < 4) return -1;
    for (size_t i = 0; i < 4; i++) {
        const int c = s->text[s->at + i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* The code point of an escape \uXXXX (surrogate pairs too), s->at just after the 'u'; -1 if there is none. */
static int32_t unicode_escape(rllc_checkpoint_scan *s) {
    const int32_t high = hex4(s);
    if (high < 0) return -1;
    if (high < 0xD800 || high > 0xDFFF) {
        s->at += 4;
        return high;
    }
    if (high > 0xDBFF || s->n - s->at < 10 || s->text[s->at + 4] != '\\' || s->text[s->at + 5] != 'u') return -1;
    rllc_checkpoint_scan second = *s;
    second.at += 6;
    const int32_t low = hex4(&second);
    if (low < 0xDC00 || low > 0xDFFF) return -1;
    s->at += 10;
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

static size_t put_utf8(char *out, int32_t code) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xE0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code & 0x3F));
    return 4;
}

/* One escape, s->at just after the backslash; writes at most as many bytes as it reads. */
static rllc_status scan_escape(rllc_checkpoint_scan *s, char *out, size_t *written) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const int c = peek(s);
    const char *simple = c > 0 ? strchr(from, c) : NULL;
    if (simple) {
        s->at++;
        out[0] = to[simple - from];
        *written = 1;
        return RLLC_OK;
    }
    if (c != 'u') return rllc_checkpoint_scan_fail(s, "a JSON escape");
    s->at++;
    const int32_t code = unicode_escape(s);
    if (code < 0) return rllc_checkpoint_scan_fail(s, "the four hexadecimal digits of a Unicode character");
    if (code == 0) return rllc_checkpoint_scan_fail(s, "a text without NUL characters");
    *written = put_utf8(out, code);
    return RLLC_OK;
}

rllc_status rllc_checkpoint_scan_string(rllc_checkpoint_scan *s, char *out, size_t *length, const char *expected) {
    rllc_status status = RLLC_OK;
    size_t n = 0;
    RLLC_TRY(rllc_checkpoint_scan_expect(s, '"', expected));
    for (;;) {
        const int c = peek(s);
        if (c < 0x20) return rllc_checkpoint_scan_fail(s, "the end of a string (control characters must be escaped)");
        s->at++;
        if (c == '"') break;
        if (c == '\\') {
            size_t written = 0;
            RLLC_TRY(scan_escape(s, out + n, &written));
            n += written;
        } else {
            out[n++] = (char)c;
        }
    }
    out[n] = '\0';
    *length = n;
done:
    return status;
}
