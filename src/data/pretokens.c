/* GPT-2's pre-tokeniser: its regular expression, written out as a scanner. */
#include "data/text.h"

/* 's 't 'm 'd 're 've 'll: bytes of the contraction at s[at] = ', or 0. */
static size_t contraction(const unsigned char *s, size_t n, size_t at) {
    unsigned char a = at + 1 < n ? s[at + 1] : 0, b = at + 2 < n ? s[at + 2] : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

static size_t run_end(const unsigned char *classes, const unsigned char *s, size_t n, size_t at, int class) {
    while (at < n) {
        size_t width;
        if (classes[rllc_data_code_point(s + at, &width)] != class) break;
        at += width;
    }
    return at;
}

/* \s+(?!\S)|\s+: a run before something else leaves its last character to that, if it has another. */
static size_t space_end(const unsigned char *classes, const unsigned char *s, size_t n, size_t at) {
    size_t last = at, end = at;
    while (end < n) {
        size_t width;
        if (classes[rllc_data_code_point(s + end, &width)] != RLLC_DATA_SPACE) break;
        last = end;
        end += width;
    }
    return end == n || last == at ? end : last;
}

size_t rllc_data_pretoken_end(const unsigned char *classes, const unsigned char *s, size_t n, size_t at) {
    if (s[at] == '\'') {
        size_t length = contraction(s, n, at);
        if (length > 0) return at + length;
    }
    size_t width, begin = s[at] == ' ' && at + 1 < n ? at + 1 : at; /* " ?" */
    int class = classes[rllc_data_code_point(s + begin, &width)];
    if (class == RLLC_DATA_SPACE) return space_end(classes, s, n, at);
    return run_end(classes, s, n, begin + width, class);
}
