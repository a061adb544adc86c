/* data synth: what a generator of synthetic rows is made of. */
#ifndef RLLC_DATA_SYNTH_H
#define RLLC_DATA_SYNTH_H

#include "rllc/data.h"

/* Generators speak of symbols; rllc_data_symbol_bytes gives each its printable byte. */
enum {
    RLLC_DATA_PLAIN = 76,    /* symbols 0 .. vocab-1 of these: letters, then punctuation */
    RLLC_DATA_BRACKETS = 76, /* type i opens with 76 + 2i and closes with 77 + 2i */
    RLLC_DATA_BRACKET_TYPES = 4,
    RLLC_DATA_MARKERS = 84, /* digits */
    RLLC_DATA_SYMBOLS = 94
};
extern const char rllc_data_symbol_bytes[RLLC_DATA_SYMBOLS + 1];

/** Where a generator writes n tokens: a row behind its BOS, or a segment of one. */
typedef struct rllc_data_piece {
    rllc_stream stream; /* of the row; a piece's lanes are its steps stream.step .. + RLLC_DATA_LANES-1 */
    int64_t n;          /* what prepare was told */
    uint8_t *symbols, *labels, *generators; /* generators: for a kind that mixes */
    float *optimum;
    void *scratch; /* bytes: the kind's scratch() */
} rllc_data_piece;

enum { RLLC_DATA_LANES = 4 };

/** A lane of random numbers of the piece; numbers of different lanes have nothing to do with each other. */
static inline rllc_stream rllc_data_lane(const rllc_data_piece *p, uint32_t lane) {
    rllc_stream s = p->stream;
    s.step += lane;
    return s;
}

struct rllc_synth_kind {
    const char *name, *summary;
    const rllc_option_table *options; /* NULL: none */
    size_t options_size;
    bool (*mixes)(const void *options, const rllc_synth_kind *other); /* whether it is a part of this; NULL: no parts */
    /** Checks the options and makes the tables for pieces of n tokens. */
    rllc_status (*prepare)(void **state, const rllc_synth_settings *settings, const void *options, int64_t n);
    void (*release)(void *state);         /* NULL: rllc_free */
    size_t (*scratch)(const void *state); /* NULL: 0 */
    void (*generate)(const void *state, rllc_data_piece *p);
    /** Adds weight times what the first n tokens of a piece are expected to hold. */
    void (*expect)(const void *state, int64_t n, double weight, rllc_synth_truth *truth);
    rllc_status (*facts)(const void *state, rllc_json *j); /* NULL: none */
};

#define RLLC_SYNTH(identifier) extern const rllc_synth_kind rllc_synth_##identifier##_kind;
#include "synth.def"
#undef RLLC_SYNTH

/** A kind's place in the list. */
int rllc_data_synth_number(const rllc_synth_kind *kind);
void rllc_data_synth_release(const rllc_synth_kind *kind, void *state); /* accepts NULL */

const rllc_synth_kind *rllc_data_synth_kind(const rllc_synth *s);
const rllc_synth_settings *rllc_data_synth_settings(const rllc_synth *s);
const void *rllc_data_synth_state(const rllc_synth *s);

/** synth_record.c: {label: {"tokens", "optimum"}} of the labels that occur; optimum: sums on the way in, nats per token
 * there. */
rllc_status rllc_data_synth_by_label(const double *tokens, const double *optimum, bool counted,
                                     rllc_json **out) RLLC_MUST_USE;

/** The tables behind `markov`: transition probabilities are integers over 2^32, so sampling from them is exact. */
typedef struct rllc_data_table {
    int64_t vocab, order, contexts; /* contexts = vocab^order */
    uint32_t *count;                /* [contexts, vocab]; a row adds up to 2^32; none is 0 */
    double *stationary[9];          /* [j], j = 0 .. order: probabilities of j symbols in a row [vocab^j] */
    double *cumulative;             /* [contexts] of stationary[order] */
    double entropy_rate;            /* nats per token (E100) */
    double block[9];                /* [j], j = 0 .. order: entropy of j symbols in a row */
} rllc_data_table;

rllc_status rllc_data_table_make(rllc_data_table *t, int64_t vocab, int64_t order, double concentration,
                                 uint64_t seed) RLLC_MUST_USE;
void rllc_data_table_release(rllc_data_table *t);

#endif
