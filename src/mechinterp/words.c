/* Frequent words of a given number of tokens, by sorting all that occur. */
#include "mechinterp/words.h"

#include <stdlib.h>
#include <string.h>

enum { OTHER, BEGINS, GOES_ON }; /* what a token is to a word */

/* A word, and how often it occurs. */
typedef struct word {
    int32_t ids[RLLC_WORD_LONGEST]; /* those beyond n are 0 */
    int64_t count;
} word;

typedef struct list {
    word *words;
    int64_t n, room;
} list;

static bool is_letter(unsigned char c) {
    return c >= 128 || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static rllc_status classify(const rllc_tokenizer *t, unsigned char **out, int64_t *size) {
    rllc_status status = RLLC_OK;
    *size = rllc_tokenizer_size(t);
    RLLC_TRY(rllc_alloc(out, *size, 1));
    for (int32_t id = 0; id < *size; id++) {
        size_t n;
        const char *text = rllc_tokenizer_token(t, id, &n);
        const size_t first = text && n > 1 && text[0] == ' ';
        bool letters = text && n > 0 && id != rllc_tokenizer_bos(t);
        for (size_t i = first; letters && i < n; i++) letters = is_letter((unsigned char)text[i]);
        if (letters) (*out)[id] = first ? BEGINS : GOES_ON;
    }
done:
    return status;
}

static rllc_status add(list *l, const int32_t *ids, int n) {
    if (l->n == l->room) {
        const int64_t room = l->room ? 2 * l->room : 1024;
        const rllc_status status = rllc_grow(&l->words, l->room, room, sizeof *l->words);
        if (status != RLLC_OK) return status;
        l->room = room;
    }
    word *w = &l->words[l->n++];
    *w = (word){.count = 1};
    memcpy(w->ids, ids, (size_t)n * sizeof *ids);
    return RLLC_OK;
}

static rllc_status add_row(list *l, const int32_t *tokens, int64_t t, const unsigned char *class, int64_t size, int n) {
    for (int64_t i = 0, end; i < t; i = end) {
        end = i + 1;
        if (tokens[i] < 0 || tokens[i] >= size || class[tokens[i]] != BEGINS) continue;
        while (end < t && tokens[end] >= 0 && tokens[end] < size && class[tokens[end]] == GOES_ON) end++;
        if (end - i != n || end == t) continue;
        const rllc_status status = add(l, tokens + i, n);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

static int by_ids(const void *a, const void *b) {
    const word *x = a, *y = b;
    for (int i = 0; i < RLLC_WORD_LONGEST; i++)
        if (x->ids[i] != y->ids[i]) return x->ids[i] < y->ids[i] ? -1 : 1;
    return 0;
}

static int by_count(const void *a, const void *b) {
    const word *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return by_ids(a, b);
}

/** Equal words become one, the most frequent first. */
static void rank(list *l) {
    int64_t n = 0;
    if (l->n == 0) return;
    qsort(l->words, (size_t)l->n, sizeof *l->words, by_ids);
    for (int64_t i = 0; i < l->n; i++)
        if (n && by_ids(&l->words[n - 1], &l->words[i]) == 0)
            l->words[n - 1].count++;
        else
            l->words[n++] = l->words[i];
    l->n = n;
    qsort(l->words, (size_t)n, sizeof *l->words, by_count);
}

static rllc_status keep(rllc_words *out, const list *l, int n) {
    rllc_status status = RLLC_OK;
    out->n = n;
    out->size = l->n < RLLC_WORDS ? l->n : RLLC_WORDS;
    RLLC_TRY(rllc_alloc(&out->ids, out->size * n, sizeof *out->ids));
    RLLC_TRY(rllc_alloc(&out->count, out->size, sizeof *out->count));
    for (int64_t i = 0; i < out->size; i++) {
        memcpy(out->ids + i * n, l->words[i].ids, (size_t)n * sizeof *out->ids);
        out->count[i] = l->words[i].count;
    }
done:
    return status;
}

rllc_status rllc_words_find(rllc_words *out, const rllc_rows *rows, const rllc_tokenizer *tokenizer, int n) {
    rllc_status status = RLLC_OK;
    unsigned char *class = NULL;
    int32_t *tokens = NULL;
    int64_t size;
    list l = {0};
    *out = (rllc_words){0};
    RLLC_TRY(classify(tokenizer, &class, &size));
    RLLC_TRY(rllc_alloc(&tokens, rows->n_ctx, sizeof *tokens));
    const int64_t most = RLLC_WORD_TOKENS / rows->n_ctx + 1, read = rows->rows < most ? rows->rows : most;
    for (int64_t i = 0; i < read; i++) {
        rllc_rows_get(rows, i * rows->rows / read, tokens);
        RLLC_TRY(add_row(&l, tokens, rows->n_ctx, class, size, n));
    }
    rank(&l);
    RLLC_TRY(keep(out, &l, n));
done:
    if (status != RLLC_OK) rllc_words_release(out);
    rllc_free(class);
    rllc_free(tokens);
    rllc_free(l.words);
    return status;
}

void rllc_words_release(rllc_words *w) {
    rllc_free(w->ids);
    rllc_free(w->count);
    *w = (rllc_words){0};
}
