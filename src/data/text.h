/* data text: classes of characters, and the cutting of text into pre-tokens. */
#ifndef RLLC_DATA_TEXT_H
#define RLLC_DATA_TEXT_H

#include "rllc/data.h"

/* ---- classes.c --------------------------------------------------------------------------------------------- */

enum { RLLC_DATA_OTHER, RLLC_DATA_LETTER, RLLC_DATA_NUMBER, RLLC_DATA_SPACE };
enum { RLLC_DATA_CODE_POINTS = 0x110000 };

/** The class of every code point (Unicode 16.0, pinned): \p{L}, \p{N}, \s, or none of them. Thread-safe. */
const unsigned char *rllc_data_classes(void);

/** The code point that begins at s, which is valid UTF-8, and its bytes. */
static inline uint32_t rllc_data_code_point(const unsigned char *s, size_t *width) {
    if (s[0] < 0x80) {
        *width = 1;
        return s[0];
    }
    if (s[0] < 0xE0) {
        *width = 2;
        return (uint32_t)(s[0] & 0x1F) << 6 | (s[1] & 0x3F);
    }
    if (s[0] < 0xF0) {
        *width = 3;
        return (uint32_t)(s[0] & 0x0F) << 12 | (uint32_t)(s[1] & 0x3F) << 6 | (s[2] & 0x3F);
    }
    *width = 4;
    return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3F) << 12 | (uint32_t)(s[2] & 0x3F) << 6 | (s[3] & 0x3F);
}

/* ---- pretokens.c ------------------------------------------------------------------------------------------- */

/**
 * The end of the pre-token that begins at byte `at` < n of valid UTF-8 text, as GPT-2's expression cuts it:
 *
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * classes: from rllc_data_classes.   Source: Radford et al. 2019.
 */
size_t rllc_data_pretoken_end(const unsigned char *classes, const unsigned char *s, size_t n, size_t at);

/* ---- split.c ----------------------------------------------------------------------------------------------- */

typedef enum { RLLC_DATA_ISOLATED, RLLC_DATA_REMOVED } rllc_data_behavior;

/** One "Split" step of a pre-tokeniser: an expression (PCRE2), and what becomes of its matches and of the rest. */
typedef struct rllc_data_split rllc_data_split;

/** pattern: an expression, or literal text. invert: the matches are what is kept and the rest what separates. */
rllc_status rllc_data_split_new(rllc_data_split **out, const char *pattern, size_t n, bool literal,
                                rllc_data_behavior behavior, bool invert, const char *name) RLLC_MUST_USE;
void rllc_data_split_free(rllc_data_split *s);
/** Calls visit for each non-empty piece of the text, in order. */
rllc_status rllc_data_split_each(const rllc_data_split *s, const unsigned char *text, size_t n,
                                 rllc_status (*visit)(void *, const unsigned char *, size_t),
                                 void *context) RLLC_MUST_USE;
const char *rllc_data_split_pattern(const rllc_data_split *s, size_t *n); /* as it was given */
bool rllc_data_split_literal(const rllc_data_split *s);
bool rllc_data_split_removes(const rllc_data_split *s);
bool rllc_data_split_inverts(const rllc_data_split *s);

#endif
