/* plot: text made harmless for gnuplot and XML, measured and broken into lines. */
#include "plot/internal.h"

#include <string.h>

/* One character of hostile text: its length in bytes, and the text to show instead (NULL: itself). */
static size_t next_character(const char *s, size_t n, const char **instead) {
    unsigned char c = (unsigned char)*s;
    *instead = NULL;
    if (c < 0x80) {
        if (c < 0x20 || c == 0x7F) *instead = " ";
        return 1;
    }
    for (size_t length = 2; length <= 4 && length <= n; length++) {
        if (!rllc_utf8_valid(s, length, NULL)) continue;
        bool c1 = c == 0xC2 && (unsigned char)s[1] < 0xA0; /* U+0080..9F: control characters */
        bool none = length == 3 && c == 0xEF && (unsigned char)s[1] == 0xBF && (unsigned char)s[2] >= 0xBE;
        if (c1) *instead = " ";
        if (none) *instead = "\xEF\xBF\xBD"; /* U+FFFE and U+FFFF are not XML characters */
        return length;
    }
    *instead = "\xEF\xBF\xBD";
    return 1;
}

static rllc_status add_text(rllc_string *out, const char *text, const char *(*replace)(char)) {
    rllc_status status = RLLC_OK;
    size_t n = text ? strlen(text) : 0;
    for (size_t i = 0; i < n && status == RLLC_OK;) {
        const char *instead;
        size_t length = next_character(text + i, n - i, &instead);
        if (!instead && length == 1) instead = replace(text[i]);
        status = instead ? rllc_string_add(out, instead) : rllc_string_add_bytes(out, text + i, length);
        i += length;
    }
    return status;
}

/* In gnuplot's single quotes only the quote itself is special, and is doubled. */
static const char *replace_quote(char c) {
    return c == '\'' ? "''" : NULL;
}

static const char *replace_markup(char c) {
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

rllc_status rllc_plot_add_quoted(rllc_string *out, const char *text) {
    rllc_status status = rllc_string_add(out, "'");
    if (status == RLLC_OK) status = add_text(out, text, replace_quote);
    return status == RLLC_OK ? rllc_string_add(out, "'") : status;
}

rllc_status rllc_markup_escape(rllc_string *out, const char *text) {
    return add_text(out, text, replace_markup);
}

/* Widths in em of Helvetica, roughly: narrow, wide and all other letters; everything from Hangul Jamo on is square. */
static double character_width(const char *s, size_t length) {
    if (length >= 3 && (unsigned char)s[0] >= 0xE1 && !(s[0] == '\xE2')) return 1.0;
    if (length > 1) return 0.62;
    if (strchr("ijlI.,:;|!'()[]/ tf", *s)) return 0.33;
    if (strchr("mwMW@%", *s)) return 0.9;
    return *s >= 'A' && *s <= 'Z' ? 0.69 : 0.57;
}

double rllc_plot_text_width(const char *text, double font) {
    double width = 0.0;
    size_t n = text ? strlen(text) : 0;
    for (size_t i = 0; i < n;) {
        const char *instead;
        size_t length = next_character(text + i, n - i, &instead);
        width += character_width(text + i, length);
        i += length;
    }
    return width * font;
}

/* Bytes of text that fit into the width (at least one character), to the last blank that fits if `at_blank`. */
static size_t fitting(const char *text, size_t n, double font, double width, bool at_blank) {
    size_t blank = 0, i = 0;
    double used = 0.0;
    while (i < n) {
        const char *instead;
        size_t length = next_character(text + i, n - i, &instead);
        used += character_width(text + i, length) * font;
        if (used > width && i > 0) return blank ? blank : i;
        if (at_blank && text[i] == ' ') blank = i;
        i += length;
    }
    return n;
}

rllc_status rllc_plot_add_fitted(rllc_string *out, const char *text, double font, double width) {
    size_t n = strlen(text);
    if (rllc_plot_text_width(text, font) <= width) return rllc_string_add(out, text);
    rllc_status status = rllc_string_add_bytes(out, text, fitting(text, n, font, width - 0.8 * font, false));
    return status == RLLC_OK ? rllc_string_add(out, "\xE2\x80\xA6") : status;
}

rllc_status rllc_plot_wrap(rllc_string *out, const char *text, double font, double width, int *lines) {
    rllc_status status = RLLC_OK;
    *lines = 0;
    size_t n = text ? strlen(text) : 0;
    while (n > 0 && status == RLLC_OK) {
        size_t length = fitting(text, n, font, width, true);
        if (*lines) status = rllc_string_add(out, "\n");
        for (size_t i = 0; i < length && status == RLLC_OK; i++) /* a break inside the text is a blank here */
            status = rllc_string_add_bytes(out, text[i] == '\n' ? " " : text + i, 1);
        text += length;
        n -= length;
        while (n > 0 && *text == ' ') text++, n--;
        ++*lines;
    }
    return status;
}
