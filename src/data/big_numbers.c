/* JSON with integers beyond 64 bits, which others' files have: Hugging Face's model_max_length is about 1e30. */
#include <string.h>

#include "data/input.h"

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The end of the string literal that begins at `at`. */
static size_t string_end(const char *text, size_t n, size_t at) {
    for (at++; at < n && text[at] != '"'; at++) at += text[at] == '\\';
    return at < n ? at + 1 : n;
}

/* Appends the text with ".0" behind every integer of 19 digits or more: it is then read as a real number. */
static rllc_status soften(const char *text, size_t n, rllc_string *out, bool *changed) {
    rllc_status status = RLLC_OK;
    size_t done = 0;
    *changed = false;
    for (size_t at = 0; at < n;) {
        if (text[at] == '"') {
            at = string_end(text, n, at);
            continue;
        }
        if (!is_digit(text[at])) {
            at++;
            continue;
        }
        size_t begin = at;
        while (at < n && is_digit(text[at])) at++;
        size_t digits = at - begin;
        bool integer = at == n || (text[at] != '.' && text[at] != 'e' && text[at] != 'E');
        while (at < n && (is_digit(text[at]) || (text[at] && strchr(".eE+-", text[at])))) at++;
        if (!integer || digits < 19) continue;
        RLLC_TRY(rllc_string_add_bytes(out, text + done, at - done));
        RLLC_TRY(rllc_string_add(out, ".0"));
        done = at;
        *changed = true;
    }
    RLLC_TRY(rllc_string_add_bytes(out, text + done, n - done));
done:
    return status;
}

rllc_status rllc_data_json_parse(rllc_json **out, const char *text, size_t n, const char *name) {
    rllc_string softer = {0};
    bool changed;
    rllc_status status = rllc_json_parse(out, text, n, name);
    if (status != RLLC_EINPUT) return status;
    rllc_status second = soften(text, n, &softer, &changed);
    if (second == RLLC_OK && changed) status = rllc_json_parse(out, softer.data, softer.length, name);
    rllc_string_release(&softer);
    return second == RLLC_OK ? status : second;
}

rllc_status rllc_data_json_load(rllc_json **out, const char *path) {
    rllc_mapping m;
    *out = NULL;
    rllc_status status = rllc_mapping_open(&m, path);
    if (status != RLLC_OK) return status;
    status = rllc_data_json_parse(out, (const char *)m.data, m.size, path);
    rllc_mapping_close(&m);
    return status;
}
