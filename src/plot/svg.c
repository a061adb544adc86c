/*
 * plot: gnuplot's SVG made fit to stand with others in one page. It gets a name and a description, its own prefix on
 * ids (gnuplot uses the same ones in every file), tooltips that name the curves, a chain of fonts, smooth bands.
 */
#include "plot/internal.h"

#include <string.h>

typedef struct cleaner {
    const rllc_figure *figure;
    const rllc_plot_layout *layout;
    const char *at, *end; /* what is left to read */
    rllc_string *out;
    int64_t drawn; /* plots met so far */
    bool titled;   /* the document's own <title> is behind us */
} cleaner;

static bool starts(const char *at, const char *end, const char *word) {
    size_t n = strlen(word);
    return (size_t)(end - at) >= n && memcmp(at, word, n) == 0;
}

static rllc_status add_head(cleaner *c) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_printf(c->out,
                                "<svg xmlns=\"http://www.w3.org/2000/svg\" "
                                "xmlns:xlink=\"http://www.w3.org/1999/xlink\" "
                                "role=\"img\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n<title>",
                                (int)c->layout->width, (int)c->layout->height, (int)c->layout->width,
                                (int)c->layout->height));
    RLLC_TRY(rllc_markup_escape(c->out, c->figure->name));
    RLLC_TRY(rllc_string_add(c->out, "</title>\n<desc>"));
    RLLC_TRY(rllc_markup_escape(c->out, c->figure->caption));
    RLLC_TRY(rllc_string_add(c->out, "</desc>\n"));
done:
    return status;
}

/* Skips to behind the closing tag; at the end of the text it stops there. */
static void skip_element(cleaner *c, const char *closing) {
    while (c->at < c->end && !starts(c->at, c->end, closing)) c->at++;
    c->at = starts(c->at, c->end, closing) ? c->at + strlen(closing) : c->end;
}

/* The titles of plots are tooltips: gnuplot's say "gnuplot_plot_1a", these name the curve. */
static rllc_status replace_title(cleaner *c) {
    rllc_status status = RLLC_OK;
    skip_element(c, "</title>");
    if (!c->titled) {
        c->titled = true;
        return RLLC_OK;
    }
    const rllc_series *s = rllc_plot_drawn(c->figure, c->drawn++);
    if (!s || !s->label || !*s->label) return RLLC_OK;
    RLLC_TRY(rllc_string_add(c->out, "<title>"));
    RLLC_TRY(rllc_markup_escape(c->out, s->label));
    RLLC_TRY(rllc_string_add(c->out, "</title>"));
done:
    return status;
}

/* An attribute with its quotes, at `a`, of a tag that ends at `end`; its length, 0 if it is cut off. */
static size_t attribute_length(const char *a, const char *end, const char **value, size_t *n) {
    const char *open = memchr(a, '=', (size_t)(end - a));
    if (!open || open + 1 >= end) return 0;
    const char *close = memchr(open + 2, open[1], (size_t)(end - open - 2));
    if (!close) return 0;
    *value = open + 2;
    *n = (size_t)(close - *value);
    return (size_t)(close + 1 - a);
}

static rllc_status add_font(cleaner *c, const char *value, size_t n) {
    bool bold = n > 5 && memcmp(value + n - 5, ":Bold", 5) == 0;
    return rllc_string_printf(c->out, "font-family=\"Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif\"%s",
                              bold ? " font-weight=\"bold\"" : "");
}

/* Copies one attribute, changed where it must; *used = its length in the source, 0 = not one of ours. */
static rllc_status replace_attribute(cleaner *c, const char *a, const char *end, size_t *used) {
    const char *value = NULL;
    size_t n = 0;
    bool id = starts(a, end, "id="), link = starts(a, end, "xlink:href="), font = starts(a, end, "font-family=");
    bool edges = starts(a, end, "shape-rendering="); /* crisp edges: a band like a staircase */
    *used = 0;
    if (!id && !link && !font && !edges) return RLLC_OK;
    *used = attribute_length(a, end, &value, &n);
    if (*used == 0 || edges) return RLLC_OK;
    if (font) return add_font(c, value, n);
    if (id && n >= 8 && memcmp(value, "gnuplot_", 8) == 0) return RLLC_OK; /* nothing refers to these */
    if (link && (n == 0 || *value != '#')) return rllc_string_add_bytes(c->out, a, *used);
    return link ? rllc_string_printf(c->out, "xlink:href=\"#%s-%.*s\"", c->figure->name, (int)n - 1, value + 1)
                : rllc_string_printf(c->out, "id=\"%s-%.*s\"", c->figure->name, (int)n, value);
}

static rllc_status copy_tag(cleaner *c, const char *close) {
    rllc_status status = rllc_string_add_bytes(c->out, c->at++, 1);
    while (status == RLLC_OK && c->at < close) {
        size_t used = 0;
        if (c->at[-1] == ' ') RLLC_TRY(replace_attribute(c, c->at, close, &used));
        if (!used) {
            RLLC_TRY(rllc_string_add_bytes(c->out, c->at, 1));
            used = 1;
        }
        c->at += used;
    }
done:
    return status;
}

static rllc_status clean_tag(cleaner *c) {
    const char *close = memchr(c->at, '>', (size_t)(c->end - c->at));
    if (!close) return rllc_fail(RLLC_EFAIL, "figure %s: gnuplot's SVG ends inside a tag", c->figure->name);
    if (starts(c->at, c->end, "<title>")) return replace_title(c);
    if (starts(c->at, c->end, "<desc>")) return skip_element(c, "</desc>"), RLLC_OK;
    if (starts(c->at, c->end, "<?xml")) return c->at = close + 1, RLLC_OK;
    if (starts(c->at, c->end, "<svg")) return c->at = close + 1, add_head(c);
    return copy_tag(c, close + 1);
}

rllc_status rllc_plot_svg_clean(const rllc_figure *f, const rllc_plot_layout *l, const rllc_string *raw,
                                rllc_string *out) {
    rllc_status status = RLLC_OK;
    const char *data = rllc_string_text(raw);
    cleaner c = {.figure = f, .layout = l, .at = data, .end = data + raw->length, .out = out};
    RLLC_TRY(rllc_string_add(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"));
    while (c.at < c.end) {
        if (*c.at == '<') {
            RLLC_TRY(clean_tag(&c));
        } else { /* text: gnuplot leaves '>' as it is */
            bool greater = *c.at == '>', blank = *c.at == '\n' && c.at + 1 < c.end && c.at[1] == '\n';
            if (greater)
                RLLC_TRY(rllc_string_add(out, "&gt;"));
            else if (!blank)
                RLLC_TRY(rllc_string_add_bytes(out, c.at, 1));
            c.at++;
        }
    }
done:
    return status;
}
