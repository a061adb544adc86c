/* What the tests of plot and report share: scratch folders, whole files, a strict reader of XML, hostile text. */
#ifndef TESTS_PLOT_SUPPORT_H
#define TESTS_PLOT_SUPPORT_H

#include <ctype.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "rllc/base.h"

#define assert_ok(call)                                                                                                \
    do {                                                                                                               \
        rllc_status ok_status = (call);                                                                                \
        if (ok_status != RLLC_OK) fail_msg("%s: %s", rllc_status_sentence(ok_status), rllc_error_detail());            \
    } while (0)

/* Markup, gnuplot's own language, a shell's, quotes, broken UTF-8, a control character, the end of a CDATA section. */
#define HOSTILE "it's a \"very\" <b>odd</b>_^{2} & `date` $(id) @x %d $x \\n ]]> \xCE\xBB \xFF\x01 l0 attn\\"

static inline int remove_one(const char *path, const struct stat *s, int kind, struct FTW *f) {
    (void)s, (void)kind, (void)f;
    return remove(path);
}

static inline int make_scratch(void **state) {
    char pattern[] = "/tmp/rllc-plot-XXXXXX";
    *state = mkdtemp(pattern) ? strdup(pattern) : NULL;
    return *state ? 0 : -1;
}

static inline int drop_scratch(void **state) {
    nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return 0;
}

/* A whole file as a string; free with free. NULL if there is none. */
static inline char *read_text(const char *folder, const char *name) {
    char path[2048];
    rllc_mapping m;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (rllc_mapping_open(&m, path) != RLLC_OK) return NULL;
    char *text = calloc(m.size + 1, 1);
    if (text && m.size) memcpy(text, m.data, m.size);
    rllc_mapping_close(&m);
    return text;
}

/* ---- XML ------------------------------------------------------------------------------------------------- */

typedef struct xml_reader {
    const char *at, *start;
    char open[64][32]; /* names of the elements that are open */
    int depth, elements;
    int64_t ids;
    char id[4096][96]; /* of the whole document: none may come twice */
    char problem[200];
} xml_reader;

static inline bool xml_fail(xml_reader *x, const char *what) {
    if (!*x->problem) snprintf(x->problem, sizeof x->problem, "byte %td: %s: %.40s", x->at - x->start, what, x->at);
    return false;
}

static inline bool xml_entity(xml_reader *x) {
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(x->at, known[i], strlen(known[i])) == 0) return x->at += strlen(known[i]), true;
    return xml_fail(x, "unknown entity");
}

static inline bool xml_name(xml_reader *x, char name[32]) {
    size_t n = 0;
    while ((isalnum((unsigned char)*x->at) || strchr("_:-.", *x->at)) && *x->at && n < 31) name[n++] = *x->at++;
    name[n] = '\0';
    return n ? true : xml_fail(x, "a name expected");
}

static inline bool xml_note_id(xml_reader *x, const char *value, size_t n) {
    if (n >= 96 || x->ids >= 4096) return xml_fail(x, "id too long or too many");
    snprintf(x->id[x->ids], 96, "%.*s", (int)n, value);
    for (int64_t i = 0; i < x->ids; i++)
        if (strcmp(x->id[i], x->id[x->ids]) == 0) return xml_fail(x, "an id comes twice");
    x->ids++;
    return true;
}

static inline bool xml_attribute(xml_reader *x, char seen[16][32], int *n_seen) {
    char *name = seen[*n_seen];
    if (!xml_name(x, name)) return false;
    for (int i = 0; i < *n_seen; i++)
        if (strcmp(seen[i], name) == 0) return xml_fail(x, "an attribute comes twice");
    if (++*n_seen >= 16) return xml_fail(x, "too many attributes");
    while (isspace((unsigned char)*x->at)) x->at++;
    if (*x->at++ != '=') return xml_fail(x, "= expected");
    while (isspace((unsigned char)*x->at)) x->at++;
    char quote = *x->at++;
    if (quote != '"' && quote != '\'') return xml_fail(x, "quote expected");
    const char *value = x->at;
    while (*x->at != quote) {
        if (!*x->at || *x->at == '<') return xml_fail(x, "attribute not closed");
        if (*x->at == '&' ? !xml_entity(x) : !++x->at) return false;
    }
    x->at++;
    return strcmp(name, "id") == 0 ? xml_note_id(x, value, (size_t)(x->at - 1 - value)) : true;
}

static inline bool xml_tag(xml_reader *x) {
    char name[32], seen[16][32];
    int n_seen = 0;
    x->at++;
    if (*x->at == '/') {
        x->at++;
        if (!xml_name(x, name) || *x->at++ != '>') return xml_fail(x, "closing tag");
        if (x->depth == 0 || strcmp(x->open[--x->depth], name) != 0) return xml_fail(x, "closes another element");
        return true;
    }
    if (!xml_name(x, name)) return false;
    x->elements++;
    for (;;) {
        bool blank = isspace((unsigned char)*x->at) != 0;
        while (isspace((unsigned char)*x->at)) x->at++;
        if (x->at[0] == '/' && x->at[1] == '>') return x->at += 2, true;
        if (*x->at == '>') break;
        if (!blank || !xml_attribute(x, seen, &n_seen)) return xml_fail(x, "attribute expected after a blank");
    }
    x->at++;
    if (x->depth >= 64) return xml_fail(x, "too deep");
    memcpy(x->open[x->depth++], name, sizeof name);
    return true;
}

static inline bool xml_document(xml_reader *x) {
    if (strncmp(x->at, "<?xml", 5) == 0 || strncmp(x->at, "<!DOCTYPE html>", 15) == 0) x->at = strchr(x->at, '>') + 1;
    while (*x->at) {
        if (*x->at == '<') {
            if (!xml_tag(x)) return false;
        } else if (*x->at == '&') {
            if (!xml_entity(x)) return false;
        } else if (strncmp(x->at, "]]>", 3) == 0) {
            return xml_fail(x, "]]> in text");
        } else if ((unsigned char)*x->at < 0x20 && !isspace((unsigned char)*x->at)) {
            return xml_fail(x, "control character");
        } else {
            x->at++;
        }
    }
    if (x->depth) return xml_fail(x, "an element is still open");
    return x->elements > 0;
}

/* Fails unless the text is well-formed XML in valid UTF-8 with unique ids. Free the result with free. */
static inline xml_reader *assert_well_formed(const char *text) {
    size_t bad = 0;
    assert_non_null(text);
    if (!rllc_utf8_valid(text, strlen(text), &bad)) fail_msg("byte %zu is not UTF-8", bad);
    xml_reader *x = calloc(1, sizeof *x);
    assert_non_null(x);
    x->at = x->start = text;
    if (!xml_document(x)) fail_msg("not well-formed: %s", x->problem);
    return x;
}

#endif
