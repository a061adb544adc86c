/* NumPy's .npy: a header of one Python dict, then the numbers. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "rllc/data.h"

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
enum { MAX_DIMS = 8, FIXED_HEADER = 192 };

/* ---- writing ----------------------------------------------------------------------------------------------- */

static rllc_status header_text(rllc_string *out, const char *descr, int n_dims, const int64_t *shape) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_printf(out, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr));
    for (int i = 0; i < n_dims; i++) {
        RLLC_TRY(rllc_string_printf(out, "%" PRId64 "%s", shape[i], n_dims == 1 ? "," : i + 1 < n_dims ? ", " : ""));
    }
    RLLC_TRY(rllc_string_add(out, "), }"));
done:
    return status;
}

rllc_status rllc_npy_write_header(FILE *f, const char *descr, int n_dims, const int64_t *shape) {
    rllc_string text = {0};
    if (n_dims < 0 || n_dims > MAX_DIMS)
        return rllc_fail(RLLC_EINPUT, ".npy: %d dimensions; 0 to %d are supported", n_dims, MAX_DIMS);
    rllc_status status = header_text(&text, descr, n_dims, shape);
    /* Padded to 192 bytes, which any 3 dimensions fit; beyond, to the next multiple of 64, as NumPy does. */
    size_t total = 10 + text.length + 1;
    total = total <= FIXED_HEADER ? FIXED_HEADER : (total + 63) / 64 * 64;
    while (status == RLLC_OK && text.length < total - 11) status = rllc_string_add(&text, " ");
    if (status == RLLC_OK) status = rllc_string_add(&text, "\n");
    if (status == RLLC_OK) {
        unsigned char head[10] = {
            0, 0, 0, 0, 0, 0, 1, 0, (unsigned char)(text.length & 0xFF), (unsigned char)(text.length >> 8)};
        memcpy(head, magic, sizeof magic);
        bool wrote =
            fwrite(head, 1, sizeof head, f) == sizeof head && fwrite(text.data, 1, text.length, f) == text.length;
        if (!wrote) status = rllc_fail(RLLC_EIO, "writing the header of a .npy file failed");
    }
    rllc_string_release(&text);
    return status;
}

rllc_status rllc_npy_write(const char *path, const char *descr, int n_dims, const int64_t *shape, const void *data,
                           size_t item_size) {
    rllc_status status = RLLC_OK;
    rllc_output_file f = {0};
    size_t n = 1;
    for (int i = 0; i < n_dims; i++) {
        if (shape[i] < 0 || __builtin_mul_overflow(n, (size_t)shape[i], &n)) {
            return rllc_fail(RLLC_EINPUT, "%s: the shape of the array cannot be", path);
        }
    }
    RLLC_TRY(rllc_output_file_open(&f, path));
    RLLC_TRY(rllc_npy_write_header(f.stream, descr, n_dims, shape));
    if (n > 0 && fwrite(data, item_size, n, f.stream) != n) {
        status = rllc_fail(RLLC_EIO, "%s: writing failed", path);
        goto done;
    }
    RLLC_TRY(rllc_output_file_commit(&f));
done:
    rllc_output_file_abort(&f);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------------------- */

/* What is left of the header's text. */
typedef struct scanner {
    const char *at, *end;
    const char *path;
} scanner;

static rllc_status malformed(const scanner *s, const char *expected) {
    return rllc_fail(RLLC_EINPUT, "%s: the .npy header is malformed %td bytes before its end; expected %s", s->path,
                     s->end - s->at, expected);
}

static void skip_blanks(scanner *s) {
    while (s->at < s->end && isspace((unsigned char)*s->at)) s->at++;
}

static bool take(scanner *s, char c) {
    skip_blanks(s);
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

static rllc_status take_text(scanner *s, char *out, size_t size) {
    skip_blanks(s);
    char quote = s->at < s->end ? *s->at : 0;
    if (quote != '\'' && quote != '"') return malformed(s, "a quoted text");
    const char *close = memchr(s->at + 1, quote, (size_t)(s->end - s->at - 1));
    if (!close) return malformed(s, "a closing quote");
    size_t n = (size_t)(close - s->at - 1);
    if (n >= size || memchr(s->at + 1, '\\', n) || memchr(s->at + 1, '\0', n))
        return malformed(s, "a short plain text");
    memcpy(out, s->at + 1, n);
    out[n] = '\0';
    s->at = close + 1;
    return RLLC_OK;
}

static rllc_status take_order(scanner *s) {
    skip_blanks(s);
    size_t left = (size_t)(s->end - s->at);
    if (left >= 4 && memcmp(s->at, "True", 4) == 0) {
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: the array is in Fortran order; save it with numpy.ascontiguousarray",
                         s->path);
    }
    if (left < 5 || memcmp(s->at, "False", 5) != 0) return malformed(s, "True or False");
    s->at += 5;
    return RLLC_OK;
}

static rllc_status take_shape(scanner *s, int *n_dims, int64_t shape[MAX_DIMS]) {
    *n_dims = 0;
    if (!take(s, '(')) return malformed(s, "a tuple of sizes");
    while (!take(s, ')')) {
        int64_t value = 0;
        const char *begin = s->at;
        if (*n_dims == MAX_DIMS) return rllc_fail(RLLC_EUNSUPPORTED, "%s: more than %d dimensions", s->path, MAX_DIMS);
        for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++) {
            if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, *s->at - '0', &value)) {
                return malformed(s, "a size below 2^63");
            }
        }
        if (s->at == begin) return malformed(s, "a size");
        shape[(*n_dims)++] = value;
        skip_blanks(s);
        if (!take(s, ',') && (s->at == s->end || *s->at != ')')) return malformed(s, "a comma or )");
    }
    return RLLC_OK;
}

static rllc_status take_dict(scanner *s, char descr[8], int *n_dims, int64_t shape[MAX_DIMS]) {
    rllc_status status = RLLC_OK;
    unsigned seen = 0;
    if (!take(s, '{')) return malformed(s, "a dict");
    while (!take(s, '}')) {
        char key[16];
        RLLC_TRY(take_text(s, key, sizeof key));
        if (!take(s, ':')) return malformed(s, "a colon");
        unsigned bit = strcmp(key, "descr") == 0           ? 1
                       : strcmp(key, "fortran_order") == 0 ? 2
                       : strcmp(key, "shape") == 0         ? 4
                                                           : 0;
        if (bit == 0 || (seen & bit)) return malformed(s, "the keys descr, fortran_order and shape, each once");
        seen |= bit;
        skip_blanks(s);
        if (bit == 1 && s->at < s->end && *s->at == '[') {
            return rllc_fail(RLLC_EUNSUPPORTED, "%s: arrays of records are not supported", s->path);
        }
        RLLC_TRY(bit == 1 ? take_text(s, descr, 8) : bit == 2 ? take_order(s) : take_shape(s, n_dims, shape));
        if (!take(s, ',') && (s->at == s->end || *s->at != '}')) return malformed(s, "a comma or }");
    }
    skip_blanks(s);
    if (s->at != s->end) return malformed(s, "nothing after the dict");
    if (seen != 7) return malformed(s, "the keys descr, fortran_order and shape");
done:
    return status;
}

/* Bytes of an item of this type, 0 if the type is not a plain number or bool. */
static size_t item_bytes(const char *descr) {
    bool order = descr[0] == '<' || descr[0] == '>' || descr[0] == '|' || descr[0] == '=';
    const char *type = descr + (order ? 1 : 0);
    if (!type[0] || !strchr("biufc", type[0]) || !type[1]) return 0;
    size_t size = 0;
    for (const char *c = type + 1; *c; c++) {
        if (*c < '0' || *c > '9' || size > 99) return 0;
        size = size * 10 + (size_t)(*c - '0');
    }
    return size;
}

static rllc_status check_size(const rllc_mapping *m, const char *path, const char *descr, int n_dims,
                              const int64_t *shape, size_t offset) {
    size_t item = item_bytes(descr), n = item;
    if (descr[0] == '>')
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: the type '%s' is big-endian; save it little-endian", path, descr);
    if (item == 0) return rllc_fail(RLLC_EUNSUPPORTED, "%s: the type '%s' is not a plain number", path, descr);
    bool empty = false, overflow = false;
    for (int i = 0; i < n_dims; i++) {
        empty = empty || shape[i] == 0;
        overflow = __builtin_mul_overflow(n, (size_t)shape[i], &n) || overflow;
    }
    if (empty) n = 0;
    if ((overflow && !empty) || n != m->size - offset) {
        return rllc_fail(RLLC_EINPUT, "%s: the header promises %s%zu bytes of data from byte %zu on, the file has %zu",
                         path, overflow && !empty ? "more than " : "", overflow && !empty ? (size_t)PTRDIFF_MAX : n,
                         offset, m->size - offset);
    }
    return RLLC_OK;
}

rllc_status rllc_npy_parse(const rllc_mapping *m, const char *path, char descr[8], int *n_dims, int64_t shape[8],
                           size_t *offset) {
    const unsigned char *d = m->data;
    size_t length, begin;
    if (m->size < 12 || memcmp(d, magic, sizeof magic) != 0) {
        return rllc_fail(RLLC_EINPUT, "%s: not a .npy file (%zu bytes); write it with numpy.save", path, m->size);
    }
    if (d[6] == 1) {
        begin = 10;
        length = (size_t)d[8] | (size_t)d[9] << 8;
    } else if (d[6] == 2 || d[6] == 3) {
        begin = 12;
        length = (size_t)d[8] | (size_t)d[9] << 8 | (size_t)d[10] << 16 | (size_t)d[11] << 24;
    } else {
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: .npy version %u; 1, 2 and 3 are supported", path, d[6]);
    }
    if (length > m->size - begin) {
        return rllc_fail(RLLC_EINPUT, "%s: the .npy header claims %zu bytes, the file has %zu after it began", path,
                         length, m->size - begin);
    }
    scanner s = {(const char *)d + begin, (const char *)d + begin + length, path};
    rllc_status status = take_dict(&s, descr, n_dims, shape);
    if (status != RLLC_OK) return status;
    *offset = begin + length;
    return check_size(m, path, descr, *n_dims, shape, *offset);
}
