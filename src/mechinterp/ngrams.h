/* ngrams: which tokens follow a token, and a pair of tokens, in the rows of a corpus. */
#ifndef RLLC_MECHINTERP_NGRAMS_H
#define RLLC_MECHINTERP_NGRAMS_H

#include "rllc/data.h"

/* Vocabularies whose triples fit into a 63-bit key. */
#define RLLC_NGRAM_VOCAB ((int64_t)1 << 21)

/**
 * How often b follows a: every pair of neighbours in a row counts, BOS like any other token; rows do not run on into
 * each other. Exact. The followers of a are entries first[a] .. first[a + 1] - 1, ascending in b.
 */
typedef struct rllc_bigrams {
    int64_t d_vocab;
    int64_t n;      /* distinct pairs */
    int64_t *first; /* [d_vocab + 1] */
    int64_t *total; /* [d_vocab] times that a is followed by anything */
    int32_t *next;  /* [n] b */
    int64_t *count; /* [n] */
} rllc_bigrams;

enum { RLLC_BIGRAM_PAIRS = 1 << 26 };

/**
 * Counts the pairs of all rows. Holds 16 bytes a slot of a table at most 2/3 full while it counts, 12 bytes a pair
 * afterwards; more than max_pairs (RLLC_BIGRAM_PAIRS: 3 GiB while counting) distinct pairs are RLLC_EUNSUPPORTED.
 */
rllc_status rllc_bigrams_count(rllc_bigrams *out, const rllc_rows *rows, int64_t d_vocab, int64_t max_pairs,
                               const rllc_monitor *monitor) RLLC_MUST_USE;
void rllc_bigrams_release(rllc_bigrams *b);
/** P(b | a); 0 if a is never followed by anything. (E105) */
double rllc_bigrams_probability(const rllc_bigrams *g, int32_t a, int32_t b);
/** Entropy of P(. | a) in nats; 0 if a is never followed by anything. (E105) */
double rllc_bigrams_entropy(const rllc_bigrams *g, int32_t a);

/** A triple that its first two tokens predict: count of (a, b, y), and of (a, b) followed by anything. */
typedef struct rllc_trigram {
    uint64_t key; /* a 2^42 + b 2^21 + y */
    int64_t count, total;
} rllc_trigram;

/** The triples with count >= min_count and count / total >= min_share, ascending in key. Exact. */
typedef struct rllc_trigrams {
    rllc_trigram *list;
    int64_t n;
    int64_t passes; /* over the rows that it took */
} rllc_trigrams;

enum { RLLC_TRIGRAM_SLOTS = 1 << 24 };

/**
 * Counts the triples of all rows in a table of n_slots (a power of two; RLLC_TRIGRAM_SLOTS: 256 MiB) however many there
 * are: when the table is 2/3 full, half of the pairs (a, b) that are being counted are put off to a later pass over the
 * rows. What is kept: at most 1 / min_count of the tokens, 24 bytes each.
 */
rllc_status rllc_trigrams_count(rllc_trigrams *out, const rllc_rows *rows, int64_t d_vocab, int64_t min_count,
                                double min_share, int64_t n_slots, const rllc_monitor *monitor) RLLC_MUST_USE;
void rllc_trigrams_release(rllc_trigrams *t);
/** Entry of (a, b, y); NULL if it is not predictable. */
const rllc_trigram *rllc_trigrams_find(const rllc_trigrams *t, int32_t a, int32_t b, int32_t y);

#endif
