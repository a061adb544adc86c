/* labels: what a prediction in context may rest on, by rule: induction, brackets, n-grams, skip n-grams. */
#ifndef RLLC_MECHINTERP_LABELS_H
#define RLLC_MECHINTERP_LABELS_H

#include "mechinterp/delimiters.h"

/** Bits, in order of precedence. */
enum {
    RLLC_CONTEXT_INDUCTION = 1,
    RLLC_CONTEXT_DYCK = 2,
    RLLC_CONTEXT_NGRAM = 4,
    RLLC_CONTEXT_SKIP_NGRAM = 8,
    RLLC_CONTEXT_LABELS = 4
};
extern const char
    *const rllc_context_label_names[RLLC_CONTEXT_LABELS]; /* as stored: "induction", "dyck", "n-gram", "skip n-gram" */

enum {
    RLLC_NGRAM_LONGEST = 6, /* tokens of an n-gram, the predicted one among them */
    RLLC_PATTERN = 96       /* bytes of its text */
};

/** Token k of a context predicts the next. */
typedef struct rllc_prediction {
    const int32_t *tokens; /* [k + 2] */
    int64_t k;
    const float *attention; /* [k + 1] of the head, from k */
} rllc_prediction;

typedef struct rllc_labelled {
    int labels;                 /* bits of all that hold */
    const char *label;          /* the first of them in order of precedence; "" = none */
    bool sink;                  /* the head attends most to BOS: what it attends to is no evidence */
    char pattern[RLLC_PATTERN]; /* "5 7 9": an n-gram; "5 +3 7 9": a skip n-gram with a gap of 3 tokens; "" = none */
} rllc_labelled;

/** Definitions L1-L4 of docs/contexts.md. */
rllc_status rllc_context_label(const rllc_prediction *p, const rllc_delimiters *d, rllc_labelled *out) RLLC_MUST_USE;

/** L1: token k stood before, followed by token k + 1. */
bool rllc_is_induction(const int32_t *tokens, int64_t k);
/** L2: token k + 1 closes what is open. */
bool rllc_is_dyck(const int32_t *tokens, int64_t k, const rllc_delimiters *d);

#endif
