/* "Split" steps of pre-tokenisers other than GPT-2's: any expression, run by PCRE2. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "data/text.h"

struct rllc_data_split {
    pcre2_code *code;
    rllc_string pattern; /* as it was given */
    bool literal, invert;
    rllc_data_behavior behavior;
};

/* Appends the ranges of a class (RLLC_DATA_LETTER, ...) as they stand inside brackets. */
static rllc_status add_ranges(rllc_string *out, int class) {
    const unsigned char *classes = rllc_data_classes();
    for (uint32_t c = 0; c < RLLC_DATA_CODE_POINTS; c++) {
        if (classes[c] != class) continue;
        uint32_t first = c;
        while (c + 1 < RLLC_DATA_CODE_POINTS && classes[c + 1] == class) c++;
        rllc_status status = rllc_string_printf(out, "\\x{%x}-\\x{%x}", first, c);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

/* What \s, \p{L} and \p{N} (and their opposites) are: the escape's bytes, its class, whether it is an opposite. */
static size_t known_class(const char *p, size_t n, int *class, bool *opposite) {
    static const struct {
        const char *escape;
        int class;
        bool opposite;
    } known[] = {{"\\s", RLLC_DATA_SPACE, false},     {"\\S", RLLC_DATA_SPACE, true},
                 {"\\p{L}", RLLC_DATA_LETTER, false}, {"\\P{L}", RLLC_DATA_LETTER, true},
                 {"\\p{^L}", RLLC_DATA_LETTER, true}, {"\\pL", RLLC_DATA_LETTER, false},
                 {"\\p{N}", RLLC_DATA_NUMBER, false}, {"\\P{N}", RLLC_DATA_NUMBER, true},
                 {"\\p{^N}", RLLC_DATA_NUMBER, true}, {"\\pN", RLLC_DATA_NUMBER, false}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t m = strlen(known[i].escape);
        if (n < m || memcmp(p, known[i].escape, m) != 0) continue;
        *class = known[i].class;
        *opposite = known[i].opposite;
        return m;
    }
    return 0;
}

/* Passes over one escape. The classes that GPT-2's expression has are spelled out, so that they do not depend on
   PCRE2's version of Unicode (nor on its \s, which has U+180E, no white space since Unicode 6.3). */
static rllc_status spell_escape(rllc_string *out, const char *p, size_t n, bool in_brackets, size_t *used,
                                const char *name) {
    rllc_status status = RLLC_OK;
    int class;
    bool opposite;
    *used = known_class(p, n, &class, &opposite);
    if (*used == 0) {
        if (n > 1 && p[1] == 'Q')
            return rllc_fail(RLLC_EUNSUPPORTED, "%s: \\Q in a Split pattern is not supported", name);
        *used = n > 1 ? 2 : 1;
        return rllc_string_add_bytes(out, p, *used);
    }
    if (in_brackets && opposite) {
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: %.*s inside brackets of a Split pattern is not supported", name,
                         (int)*used, p);
    }
    if (!in_brackets) RLLC_TRY(rllc_string_add(out, opposite ? "[^" : "["));
    RLLC_TRY(add_ranges(out, class));
    if (!in_brackets) RLLC_TRY(rllc_string_add(out, "]"));
done:
    return status;
}

/* Appends the pattern with its classes spelled out. */
static rllc_status spell_out(rllc_string *out, const char *p, size_t n, const char *name) {
    rllc_status status = RLLC_OK;
    bool in_brackets = false;
    for (size_t i = 0, used = 1; i < n; i += used) {
        if (p[i] == '\\') {
            RLLC_TRY(spell_escape(out, p + i, n - i, in_brackets, &used, name));
            continue;
        }
        if (p[i] == '[' && in_brackets) {
            return rllc_fail(RLLC_EUNSUPPORTED, "%s: brackets inside brackets of a Split pattern are not supported",
                             name);
        }
        bool opens = p[i] == '[', closes = p[i] == ']' && in_brackets;
        in_brackets = (in_brackets || opens) && !closes;
        used = 1;
        /* A bracket right after the opening ([] or [^]) stands for itself. */
        if (opens && i + used < n && p[i + used] == '^') used++;
        if (opens && i + used < n && p[i + used] == ']') used++;
        RLLC_TRY(rllc_string_add_bytes(out, p + i, used));
    }
done:
    return status;
}

static rllc_status compile(rllc_data_split *s, const char *name) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    int error;
    PCRE2_SIZE at;
    uint32_t options = PCRE2_UTF | (s->literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C);
    if (s->literal) {
        RLLC_TRY(rllc_string_add_bytes(&text, s->pattern.data, s->pattern.length));
    } else {
        RLLC_TRY(spell_out(&text, rllc_string_text(&s->pattern), s->pattern.length, name));
    }
    s->code = pcre2_compile((PCRE2_SPTR)rllc_string_text(&text), text.length, options, &error, &at, NULL);
    if (!s->code) {
        unsigned char reason[160];
        pcre2_get_error_message(error, reason, sizeof reason);
        status =
            rllc_fail(RLLC_EINPUT, "%s: the pattern of a Split is not a valid expression: %s", name, (char *)reason);
        goto done;
    }
    (void)pcre2_jit_compile(s->code, PCRE2_JIT_COMPLETE); /* without it matching is slower, not different */
done:
    rllc_string_release(&text);
    return status;
}

rllc_status rllc_data_split_new(rllc_data_split **out, const char *pattern, size_t n, bool literal,
                                rllc_data_behavior behavior, bool invert, const char *name) {
    rllc_status status = RLLC_OK;
    rllc_data_split *s = NULL;
    *out = NULL;
    if (n == 0) return rllc_fail(RLLC_EINPUT, "%s: the pattern of a Split is empty", name);
    RLLC_TRY(rllc_alloc(&s, 1, sizeof *s));
    s->literal = literal;
    s->invert = invert;
    s->behavior = behavior;
    RLLC_TRY(rllc_string_add_bytes(&s->pattern, pattern, n));
    RLLC_TRY(compile(s, name));
    *out = s;
    s = NULL;
done:
    rllc_data_split_free(s);
    return status;
}

void rllc_data_split_free(rllc_data_split *s) {
    if (!s) return;
    pcre2_code_free(s->code);
    rllc_string_release(&s->pattern);
    rllc_free(s);
}

/* Some expressions need more stack than the compiled matcher has; the interpreter takes memory from the heap. */
static int match_at(const rllc_data_split *s, pcre2_match_data *data, const unsigned char *text, size_t n,
                    size_t from) {
    if (from > n) return PCRE2_ERROR_NOMATCH;
    int found = pcre2_match(s->code, text, n, from, PCRE2_NO_UTF_CHECK, data, NULL);
    if (found != PCRE2_ERROR_JIT_STACKLIMIT) return found;
    return pcre2_match(s->code, text, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, NULL);
}

/* The next match at or after `from`; *begin = n at the end. An empty match right after the last one does not count. */
static rllc_status next_match(const rllc_data_split *s, pcre2_match_data *data, const unsigned char *text, size_t n,
                              size_t from, size_t last_end, size_t *begin, size_t *end) {
    const PCRE2_SIZE *where = pcre2_get_ovector_pointer(data);
    for (;;) {
        int found = match_at(s, data, text, n, from);
        if (found == PCRE2_ERROR_NOMATCH) {
            *begin = *end = n;
            return RLLC_OK;
        }
        if (found < 0) {
            unsigned char reason[160];
            pcre2_get_error_message(found, reason, sizeof reason);
            return rllc_fail(found == PCRE2_ERROR_NOMEMORY ? RLLC_ENOMEM : RLLC_EFAIL,
                             "matching the tokenizer's Split pattern failed: %s", (char *)reason);
        }
        *begin = where[0];
        *end = where[1];
        if (*end > *begin || *begin != last_end) return RLLC_OK;
        size_t width = 1;
        if (from < n) (void)rllc_data_code_point(text + from, &width);
        from += width;
    }
}

rllc_status rllc_data_split_each(const rllc_data_split *s, const unsigned char *text, size_t n,
                                 rllc_status (*visit)(void *, const unsigned char *, size_t), void *context) {
    rllc_status status = RLLC_OK;
    bool keep_match = s->behavior == RLLC_DATA_ISOLATED || s->invert;
    bool keep_rest = s->behavior == RLLC_DATA_ISOLATED || !s->invert;
    size_t last = 0, last_end = SIZE_MAX, begin = 0, end = 0;
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(s->code, NULL);
    if (!data) return rllc_fail(RLLC_ENOMEM, "no memory for matching the tokenizer's Split pattern");
    for (;;) {
        RLLC_TRY(next_match(s, data, text, n, last, last_end, &begin, &end));
        if (begin > last && keep_rest) RLLC_TRY(visit(context, text + last, begin - last));
        if (end > begin && keep_match) RLLC_TRY(visit(context, text + begin, end - begin));
        if (begin == n) break;
        last = last_end = end;
    }
done:
    pcre2_match_data_free(data);
    return status;
}

const char *rllc_data_split_pattern(const rllc_data_split *s, size_t *n) {
    *n = s->pattern.length;
    return rllc_string_text(&s->pattern);
}

bool rllc_data_split_literal(const rllc_data_split *s) {
    return s->literal;
}

bool rllc_data_split_removes(const rllc_data_split *s) {
    return s->behavior == RLLC_DATA_REMOVED;
}

bool rllc_data_split_inverts(const rllc_data_split *s) {
    return s->invert;
}
