/* words: the most frequent words of a corpus that are a given number of tokens. */
#ifndef RLLC_MECHINTERP_WORDS_H
#define RLLC_MECHINTERP_WORDS_H

#include "rllc/data.h"

enum { RLLC_WORD_LONGEST = 4, RLLC_WORDS = 1000, RLLC_WORD_TOKENS = 1 << 22 /* of the corpus that are read */ };

typedef struct rllc_words {
    int n;          /* tokens a word */
    int64_t size;   /* words */
    int32_t *ids;   /* [size, n], the most frequent first; equally frequent ones in the order of their ids */
    int64_t *count; /* [size] */
} rllc_words;

/**
 * The at most RLLC_WORDS most frequent words of n tokens (2 to RLLC_WORD_LONGEST) in RLLC_WORD_TOKENS tokens of the
 * rows, in rows spread evenly. A word: a token of a space and letters, and the tokens of nothing but letters behind it;
 * bytes beyond ASCII count as letters. One that a row's end may have cut is not counted. (E119)
 */
rllc_status rllc_words_find(rllc_words *out, const rllc_rows *rows, const rllc_tokenizer *tokenizer,
                            int n) RLLC_MUST_USE;
void rllc_words_release(rllc_words *w);

#endif
