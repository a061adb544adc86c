/* token_classes: what kind of prediction a token is, by the text alone. */
#ifndef RLLC_MECHINTERP_TOKEN_CLASSES_H
#define RLLC_MECHINTERP_TOKEN_CLASSES_H

#include "mechinterp/delimiters.h"
#include "mechinterp/ngrams.h"

/** Classes in order of precedence; bit 1 << class. (E107) */
enum { RLLC_CLASS_INDUCTION, RLLC_CLASS_DYCK, RLLC_CLASS_NGRAM, RLLC_CLASS_OTHER, RLLC_CLASSES };
extern const char *const rllc_class_names[RLLC_CLASSES]; /* "induction", "dyck", "n-gram", "other" */

/* A triple of the training split is known when it occurs so often and is so likely after its first two tokens. */
enum { RLLC_KNOWN_COUNT = 10 };
#define RLLC_KNOWN_SHARE 0.5

/** What classes are decided by. */
typedef struct rllc_token_rules {
    rllc_delimiters delimiters;
    rllc_trigrams trigrams;
} rllc_token_rules;

/** train: rows whose triples are known (NULL: none are); tokenizer NULL: nothing is a delimiter. */
rllc_status rllc_token_rules_init(rllc_token_rules *out, const rllc_tokenizer *tokenizer, int32_t bos,
                                  const rllc_rows *train, int64_t d_vocab, const rllc_monitor *monitor) RLLC_MUST_USE;
void rllc_token_rules_release(rllc_token_rules *r);

/**
 * Classes of the predictions of tokens [n]: out[k] holds the bits of tokens[k + 1] given tokens[0 .. k], k = 0 ..
 * n - 2. Induction and Dyck may both hold; n-gram only where neither does, other where nothing does. Ids are of
 * the vocabulary.
 */
void rllc_token_classes(const rllc_token_rules *r, const int32_t *tokens, int64_t n, unsigned char *out);
/** The first class in order of precedence. */
int rllc_token_class(unsigned char bits);

#endif
