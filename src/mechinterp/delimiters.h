/* delimiters: which brackets, quotes and tags are open after a context, and what a token closes. */
#ifndef RLLC_MECHINTERP_DELIMITERS_H
#define RLLC_MECHINTERP_DELIMITERS_H

#include "rllc/data.h"

/** The texts of the tokens. */
typedef struct rllc_delimiters {
    int64_t n;      /* tokens; 0: without a tokenizer, nothing is a delimiter */
    int64_t *first; /* [n + 1]: token i is bytes[first[i] .. first[i + 1] - 1] */
    char *bytes;
    int32_t bos; /* begins a new document; -1: none */
} rllc_delimiters;

/** texts [n], NUL-terminated. */
rllc_status rllc_delimiters_from_texts(rllc_delimiters *out, const char *const *texts, int64_t n,
                                       int32_t bos) RLLC_MUST_USE;
/** tokenizer NULL: knows no delimiters. */
rllc_status rllc_delimiters_from_tokenizer(rllc_delimiters *out, const rllc_tokenizer *tokenizer,
                                           int32_t bos) RLLC_MUST_USE;
void rllc_delimiters_release(rllc_delimiters *d);

enum { RLLC_NESTING_DEPTH = 1024 };

/** What is open, innermost last; of more than RLLC_NESTING_DEPTH the outermost are forgotten. {0}: nothing. */
typedef struct rllc_nesting {
    unsigned char open[RLLC_NESTING_DEPTH];
    int32_t at[RLLC_NESTING_DEPTH]; /* the token that opened it, counted from the first one read */
    int depth;
    int32_t read;    /* tokens */
    int32_t partner; /* at of the one closed last */
    uint32_t before; /* the last four bytes, the latest lowest */
} rllc_nesting;

/** Reads a token; next: the one behind it, -1 if it is not known. */
void rllc_nesting_read(rllc_nesting *s, const rllc_delimiters *d, int32_t token, int32_t next);
/** Which token opened what the first delimiter of this one closes; -1 if it closes none. */
int32_t rllc_nesting_partner(const rllc_nesting *s, const rllc_delimiters *d, int32_t token);
/** Whether the first delimiter of the token closes one that is open. */
bool rllc_nesting_closes(const rllc_nesting *s, const rllc_delimiters *d, int32_t token);

#endif
