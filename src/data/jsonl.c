/* JSON Lines: which file is one, where the text of a document stands, and whether its metadata are wanted. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "data/input.h"

/* ---- the filter -------------------------------------------------------------------------------------------- */

void rllc_data_filter_release(rllc_data_filter *f) {
    rllc_free(f->text);
    rllc_free(f->paths);
    rllc_free(f->values);
    *f = (rllc_data_filter){0};
}

rllc_status rllc_data_filter_parse(rllc_data_filter *f, const char *where) {
    rllc_status status = RLLC_OK;
    int parts = 1;
    *f = (rllc_data_filter){0};
    if (!where || *where == '\0') return RLLC_OK;
    for (const char *c = where; *c; c++) parts += *c == ',';
    size_t n = strlen(where) + 1;
    RLLC_TRY(rllc_alloc(&f->text, (int64_t)n, 1));
    RLLC_TRY(rllc_alloc(&f->paths, parts, sizeof *f->paths));
    RLLC_TRY(rllc_alloc(&f->values, parts, sizeof *f->values));
    memcpy(f->text, where, n);
    for (char *at = f->text; at;) {
        char *comma = strchr(at, ','), *equals = strchr(at, '=');
        if (comma) *comma = '\0';
        if (!equals || (comma && equals > comma) || equals == at) {
            status =
                rllc_fail(RLLC_EUSAGE, "--where: '%s' is not key.path=value, such as meta.pile_set_name=Github", at);
            goto done;
        }
        *equals = '\0';
        f->paths[f->n] = at;
        f->values[f->n++] = equals + 1;
        at = comma ? comma + 1 : NULL;
    }
done:
    if (status != RLLC_OK) rllc_data_filter_release(f);
    return status;
}

/* "a.b" is the member "a.b", or "b" of "a". */
static const rllc_json *member(const rllc_json *object, const char *path) {
    const rllc_json *whole = rllc_json_get(object, path);
    const char *dot = strchr(path, '.');
    char key[256];
    if (whole || !dot || (size_t)(dot - path) >= sizeof key) return whole;
    memcpy(key, path, (size_t)(dot - path));
    key[dot - path] = '\0';
    const rllc_json *inner = rllc_json_get(object, key);
    return inner ? member(inner, dot + 1) : NULL;
}

static bool equals(const rllc_json *j, const char *value) {
    const char *text = rllc_json_text(j);
    char number[32];
    if (text) return rllc_json_text_length(j) == strlen(value) && strcmp(text, value) == 0;
    if (rllc_json_is_null(j)) return strcmp(value, "null") == 0;
    if (rllc_json_is_integer(j)) {
        snprintf(number, sizeof number, "%" PRId64, rllc_json_to_integer(j, 0));
        return strcmp(number, value) == 0;
    }
    if (!j || rllc_json_is_object(j) || rllc_json_is_array(j)) return false;
    bool truth = rllc_json_to_boolean(j, false);
    if (truth || !rllc_json_to_boolean(j, true)) return strcmp(value, truth ? "true" : "false") == 0;
    return strcmp(rllc_format_double(number, rllc_json_to_real(j, 0.0)), value) == 0;
}

bool rllc_data_filter_holds(const rllc_data_filter *f, const rllc_json *document) {
    for (int i = 0; i < f->n; i++) {
        if (!equals(member(document, f->paths[i]), f->values[i])) return false;
    }
    return true;
}

/* ---- the text ---------------------------------------------------------------------------------------------- */

const rllc_json *rllc_data_document_text(const rllc_json *document, const char *field) {
    static const char *const usual[] = {"text", "contents", "content"};
    if (field) return member(document, field);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        const rllc_json *text = rllc_json_get(document, usual[i]);
        if (text) return text;
    }
    return NULL;
}

/* Whether the name ends so, before the ending of a compression if it has one. */
static bool ends_in(const char *path, const char *ending) {
    static const char *const packed[] = {".gz", ".zst", ".xz", ".bz2", ".lz4"};
    size_t n = strlen(path), m = strlen(ending);
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++) {
        size_t k = strlen(packed[i]);
        if (n > k && strcasecmp(path + n - k, packed[i]) == 0) {
            n -= k;
            break;
        }
    }
    return n > m && strncasecmp(path + n - m, ending, m) == 0;
}

rllc_status rllc_data_is_jsonl(const char *path, const char *line, size_t n, const char *field, bool *yes) {
    rllc_json *document = NULL;
    *yes = ends_in(path, ".jsonl") || ends_in(path, ".ndjson");
    if (*yes || n == 0 || line[0] != '{') return RLLC_OK;
    rllc_status status = rllc_data_json_parse(&document, line, n, path);
    if (status != RLLC_OK) return status == RLLC_EINPUT ? RLLC_OK : status;
    *yes = rllc_json_is_object(document) &&
           (ends_in(path, ".json") || rllc_json_is_string(rllc_data_document_text(document, field)));
    rllc_json_free(document);
    return RLLC_OK;
}
