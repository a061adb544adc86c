/* YAML trees to text that reads back as the same tree. */
#include <ctype.h>
#include <string.h>

#include "base/yaml.h"

static bool looks_null(const char *text) {
    return strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
}

/* Words, numbers and paths that no rule of YAML reads as anything else. */
static bool is_plain(const char *text) {
    bool starts_well = isalnum((unsigned char)*text) || *text == '_' || *text == '/' || *text == '.' ||
                       ((*text == '-' || *text == '+') && (isdigit((unsigned char)text[1]) || text[1] == '.'));
    if (!starts_well || looks_null(text) || strcmp(text, "...") == 0) return false;
    for (const char *p = text; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("_./+-", *p)) return false;
    }
    return true;
}

/* The character at p, of valid UTF-8, and its length. */
static uint32_t decode(const char *text, size_t *length) {
    const unsigned char *p = (const unsigned char *)text;
    *length = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    uint32_t code = *length == 1 ? p[0] : p[0] & (0xFFu >> (*length + 1));
    for (size_t i = 1; i < *length; i++) code = code << 6 | (p[i] & 0x3F);
    return code;
}

/* What YAML 1.1 refuses in text or takes for the end of a line. */
static bool needs_escape(uint32_t code) {
    return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x2028 || code == 0x2029 || code == 0xFEFF ||
           code == 0xFFFE || code == 0xFFFF || code == '"' || code == '\\';
}

static rllc_status print_quoted(rllc_string *out, const char *text) {
    rllc_status status = RLLC_OK;
    size_t length, bad_at;
    if (!rllc_utf8_valid(text, strlen(text), &bad_at)) {
        return rllc_fail(RLLC_EINPUT, "a YAML text is not valid UTF-8 at byte %zu", bad_at);
    }
    RLLC_TRY(rllc_string_add(out, "\""));
    for (const char *p = text; *p; p += length) {
        uint32_t code = decode(p, &length);
        if (!needs_escape(code)) RLLC_TRY(rllc_string_add_bytes(out, p, length));
        else if (code == '\n') RLLC_TRY(rllc_string_add(out, "\\n"));
        else if (code == '"' || code == '\\') RLLC_TRY(rllc_string_printf(out, "\\%c", (int)code));
        else RLLC_TRY(rllc_string_printf(out, "\\u%04X", code));
    }
    RLLC_TRY(rllc_string_add(out, "\""));
done:
    return status;
}

static rllc_status print_text(rllc_string *out, const char *text) {
    return is_plain(text) ? rllc_string_add(out, text) : print_quoted(out, text);
}

static rllc_status print_block(const rllc_yaml *y, int indent, rllc_string *out);

/* What follows "key:" or "-": a text on the same line, or a block below. */
static rllc_status print_child(const rllc_yaml *y, int indent, rllc_string *out) {
    rllc_status status = RLLC_OK;
    if (y->kind != RLLC_YAML_SCALAR && y->n > 0) {
        RLLC_TRY(rllc_string_add(out, "\n"));
        return print_block(y, indent + 2, out);
    }
    RLLC_TRY(rllc_string_add(out, " "));
    if (y->kind == RLLC_YAML_LIST) RLLC_TRY(rllc_string_add(out, "[]"));
    else if (y->kind == RLLC_YAML_MAP) RLLC_TRY(rllc_string_add(out, "{}"));
    else if (y->is_null) RLLC_TRY(rllc_string_add(out, "null"));
    else RLLC_TRY(print_text(out, y->scalar));
    RLLC_TRY(rllc_string_add(out, "\n"));
done:
    return status;
}

static rllc_status print_block(const rllc_yaml *y, int indent, rllc_string *out) {
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < y->n; i++) {
        RLLC_TRY(rllc_string_printf(out, "%*s", indent, ""));
        if (y->kind == RLLC_YAML_MAP) RLLC_TRY(print_text(out, y->keys[i]));
        RLLC_TRY(rllc_string_add(out, y->kind == RLLC_YAML_MAP ? ":" : "-"));
        RLLC_TRY(print_child(y->items[i], indent, out));
    }
done:
    return status;
}

rllc_status rllc_yaml_print(const rllc_yaml *y, rllc_string *out) {
    if (y->kind != RLLC_YAML_SCALAR && y->n > 0) return print_block(y, 0, out);
    if (y->kind == RLLC_YAML_LIST) return rllc_string_add(out, "[]\n");
    if (y->kind == RLLC_YAML_MAP) return rllc_string_add(out, "{}\n");
    rllc_status status = y->is_null ? rllc_string_add(out, "null") : print_text(out, y->scalar);
    return status == RLLC_OK ? rllc_string_add(out, "\n") : status;
}
