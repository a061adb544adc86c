/* Brackets, quotes and tags, byte by byte: the rules of docs/contexts.md. */
#include <string.h>

#include "mechinterp/delimiters.h"

/* ---- texts ------------------------------------------------------------------------------------------------- */

static rllc_status allocate(rllc_delimiters *d, int64_t n, int32_t bos, int64_t bytes) {
    rllc_status status = RLLC_OK;
    *d = (rllc_delimiters){.n = n, .bos = bos};
    RLLC_TRY(rllc_alloc(&d->first, n + 1, sizeof *d->first));
    RLLC_TRY(rllc_alloc(&d->bytes, bytes, 1));
done:
    if (status != RLLC_OK) rllc_delimiters_release(d);
    return status;
}

static void set_text(rllc_delimiters *d, int64_t i, const char *text, size_t length) {
    memcpy(d->bytes + d->first[i], text, length);
    d->first[i + 1] = d->first[i] + (int64_t)length;
}

rllc_status rllc_delimiters_from_texts(rllc_delimiters *out, const char *const *texts, int64_t n, int32_t bos) {
    size_t bytes = 0;
    for (int64_t i = 0; i < n; i++) bytes += strlen(texts[i]);
    const rllc_status status = allocate(out, n, bos, (int64_t)bytes);
    for (int64_t i = 0; i < n && status == RLLC_OK; i++) set_text(out, i, texts[i], strlen(texts[i]));
    return status;
}

rllc_status rllc_delimiters_from_tokenizer(rllc_delimiters *out, const rllc_tokenizer *tokenizer, int32_t bos) {
    const int64_t n = tokenizer ? rllc_tokenizer_size(tokenizer) : 0;
    size_t bytes = 0, length = 0;
    for (int64_t i = 0; i < n; i++) bytes += rllc_tokenizer_token(tokenizer, (int32_t)i, &length) ? length : 0;
    const rllc_status status = allocate(out, n, bos, (int64_t)bytes);
    for (int64_t i = 0; i < n && status == RLLC_OK; i++) {
        const char *text = rllc_tokenizer_token(tokenizer, (int32_t)i, &length);
        set_text(out, i, text ? text : "", text ? length : 0);
    }
    return status;
}

void rllc_delimiters_release(rllc_delimiters *d) {
    rllc_free(d->first);
    rllc_free(d->bytes);
    *d = (rllc_delimiters){0};
}

/* ---- the stack --------------------------------------------------------------------------------------------- */

/* What can be open. TAG: `<` and a letter; MARK: `<` and anything else; ELEMENT: behind `<tag>`, until `</`. */
enum { ROUND = 1, SQUARE, CURLY, TAG, MARK, ELEMENT, DOUBLE, SINGLE, CURVED_DOUBLE, CURVED_SINGLE, GUILLEMET };

/* What a byte did. */
enum { NOTHING, OPENED, CLOSED, UNPAIRED };

static int opens(rllc_nesting *s, int what) {
    if (s->depth == RLLC_NESTING_DEPTH) {
        memmove(s->open, s->open + 1, (size_t)--s->depth);
        memmove(s->at, s->at + 1, (size_t)s->depth * sizeof *s->at);
    }
    s->at[s->depth] = s->read;
    s->open[s->depth++] = (unsigned char)what;
    return OPENED;
}

/* Where the innermost one is; -1: none is open. */
static int innermost(const rllc_nesting *s, int what) {
    int i = s->depth - 1;
    while (i >= 0 && s->open[i] != what) i--;
    return i;
}

/* Closes the innermost one and forgets what was left open inside it. */
static int closes(rllc_nesting *s, int what) {
    const int i = innermost(s, what);
    if (i < 0) return UNPAIRED;
    s->partner = s->at[i];
    s->depth = i;
    return CLOSED;
}

/* An empty line ends straight quotes: their parity begins anew. */
static void end_quotes(rllc_nesting *s) {
    int kept = 0;
    for (int i = 0; i < s->depth; i++) {
        if (s->open[i] == DOUBLE || s->open[i] == SINGLE) continue;
        s->at[kept] = s->at[i];
        s->open[kept++] = s->open[i];
    }
    s->depth = kept;
}

/* ---- bytes ------------------------------------------------------------------------------------------------- */

static bool is_ascii_letter(uint32_t c) {
    return (c | 32) >= 'a' && (c | 32) <= 'z';
}

static bool is_digit(uint32_t c) {
    return c >= '0' && c <= '9';
}

/* Whether the last of these bytes ends a letter or a digit; beyond ASCII all but U+2000..U+203F are taken for letters.
 */
static bool is_word(uint32_t before) {
    const uint32_t c = before & 255;
    if (c < 128) return is_ascii_letter(c) || is_digit(c);
    return (before >> 8 & 0xffff) != 0xe280;
}

/* Whether a byte begins one. 0xE2 begins the punctuation beyond ASCII. */
static bool begins_word(int c) {
    return c >= 128 ? c != 0xe2 : c >= 0 && (is_ascii_letter((uint32_t)c) || is_digit((uint32_t)c));
}

static int double_quote(rllc_nesting *s) {
    const uint32_t last = s->before & 255;
    if (last == '\\') return NOTHING;
    if (innermost(s, DOUBLE) >= 0) return closes(s, DOUBLE);
    return is_digit(last) ? NOTHING : opens(s, DOUBLE);
}

static int single_quote(rllc_nesting *s, int next) {
    const bool inside = is_word(s->before);
    if ((s->before & 255) == '\\' || (inside && begins_word(next))) return NOTHING;
    if (innermost(s, SINGLE) >= 0) return closes(s, SINGLE);
    return inside ? NOTHING : opens(s, SINGLE);
}

/* U+2018, U+2019, U+201C, U+201D by their last byte. */
static int curved_quote(rllc_nesting *s, int c, int next) {
    if (c == 0x98) return opens(s, CURVED_SINGLE);
    if (c == 0x9c) return opens(s, CURVED_DOUBLE);
    if (c == 0x9d) return closes(s, CURVED_DOUBLE);
    return is_word(s->before >> 16) && begins_word(next) ? NOTHING : closes(s, CURVED_SINGLE);
}

static int greater(rllc_nesting *s) {
    const uint32_t last = s->before & 255;
    const int tag = innermost(s, TAG), mark = innermost(s, MARK);
    if (last == '-' || last == '=') return NOTHING;
    if (tag < mark) return closes(s, MARK);
    const int did = closes(s, TAG);
    if (did == CLOSED && last != '/') opens(s, ELEMENT);
    return did;
}

/* The byte behind `<` says what it was: less than, or the beginning of something; then what the byte is itself. */
static int behind_less(rllc_nesting *s, int c) {
    if (c == ' ' || c == '\n' || c == '\t' || c == '=' || c == '-' || is_digit((uint32_t)c)) return NOTHING;
    const int did = c == '/' ? closes(s, ELEMENT) : OPENED;
    opens(s, is_ascii_letter((uint32_t)c) ? TAG : MARK);
    return did;
}

static int delimiter(rllc_nesting *s, int c, int next) {
    const uint32_t before = s->before;
    switch (c) {
    case '(': return opens(s, ROUND);
    case '[': return opens(s, SQUARE);
    case '{': return opens(s, CURLY);
    case ')': return closes(s, ROUND);
    case ']': return closes(s, SQUARE);
    case '}': return closes(s, CURLY);
    case '>': return greater(s);
    case '"': return double_quote(s);
    case '\'': return single_quote(s, next);
    case 0x98:
    case 0x99:
    case 0x9c:
    case 0x9d: return (before & 0xffff) == 0xe280 ? curved_quote(s, c, next) : NOTHING;
    case 0xab: return (before & 255) == 0xc2 ? opens(s, GUILLEMET) : NOTHING;
    case 0xbb: return (before & 255) == 0xc2 ? closes(s, GUILLEMET) : NOTHING;
    case '\n':
        if ((before & 255) == '\n') end_quotes(s);
        return NOTHING;
    default: return NOTHING;
    }
}

/* inside: not the first byte of its token. `<<` in one token is an operator. */
static int read_byte(rllc_nesting *s, int c, int next, bool inside) {
    const bool less = (s->before & 255) == '<', shift = less && inside && c == '<';
    const int first = less && !shift ? behind_less(s, c) : NOTHING, second = delimiter(s, c, next);
    s->before = s->before << 8 | (uint32_t)(shift ? ' ' : c);
    return first == NOTHING || second == CLOSED ? second : first;
}

/* Byte j of a token; of the empty ones behind the last, -1. */
static int byte_at(const rllc_delimiters *d, int32_t token, int64_t j) {
    if (token < 0 || token >= d->n || token == d->bos || d->first[token] + j >= d->first[token + 1]) return -1;
    return (unsigned char)d->bytes[d->first[token] + j];
}

void rllc_nesting_read(rllc_nesting *s, const rllc_delimiters *d, int32_t token, int32_t next) {
    if (token >= 0 && token == d->bos) {
        s->depth = 0;
        s->before = 0;
    }
    for (int64_t j = 0; byte_at(d, token, j) >= 0; j++) {
        const int after = byte_at(d, token, j + 1);
        (void)read_byte(s, byte_at(d, token, j), after >= 0 ? after : byte_at(d, next, 0), j > 0);
    }
    s->read++;
}

int32_t rllc_nesting_partner(const rllc_nesting *s, const rllc_delimiters *d, int32_t token) {
    rllc_nesting copy = *s;
    int did = NOTHING;
    for (int64_t j = 0; did == NOTHING && byte_at(d, token, j) >= 0; j++)
        did = read_byte(&copy, byte_at(d, token, j), byte_at(d, token, j + 1), j > 0);
    return did == CLOSED ? copy.partner : -1;
}

bool rllc_nesting_closes(const rllc_nesting *s, const rllc_delimiters *d, int32_t token) {
    return rllc_nesting_partner(s, d, token) >= 0;
}
