/* data train: the pieces of the tokenizer trainer. */
#ifndef RLLC_DATA_TRAIN_H
#define RLLC_DATA_TRAIN_H

#include "data/bpe.h"

/** The words of a text as ids, all in one array, with how often each occurs. */
typedef struct rllc_data_corpus_words {
    int32_t *ids;
    int64_t *begin;       /* [n] */
    int32_t *length;      /* [n] */
    const int64_t *count; /* [n] */
    int64_t n;
} rllc_data_corpus_words;

/** A list of word numbers, in a pool. */
typedef struct rllc_data_cohort {
    int64_t head, tail; /* nodes, -1 = none */
} rllc_data_cohort;

/** What is known about a pair. */
typedef struct rllc_data_pair {
    int32_t left, right;
    int64_t count;
    rllc_data_cohort fresh; /* words where it appeared since the last merge */
    int64_t last_word;      /* the last of them */
} rllc_data_pair;

/** A candidate: the words where the pair appeared at one time, and its count then. */
typedef struct rllc_data_candidate {
    int64_t count;
    int32_t left, right;
    int64_t pair;
    rllc_data_cohort words;
} rllc_data_candidate;

/** Pairs with their counts and the queue of candidates. */
typedef struct rllc_data_queue {
    rllc_data_pairs numbers; /* (left, right) -> number in pairs */
    rllc_data_pair *pairs;
    int64_t n_pairs, pairs_capacity;
    rllc_data_candidate *heap;
    int64_t n_heap, heap_capacity;
    struct {
        int64_t next;
        int32_t word;
    } * nodes;
    int64_t n_nodes, nodes_capacity, free_node;
    int64_t *touched; /* pairs that appeared somewhere since the last merge */
    int64_t n_touched, touched_capacity;
} rllc_data_queue;

rllc_status rllc_data_queue_init(rllc_data_queue *q) RLLC_MUST_USE;
void rllc_data_queue_release(rllc_data_queue *q);
/** Adds `change` to the count of a pair; if it is positive, the pair has appeared in this word. */
rllc_status rllc_data_queue_count(rllc_data_queue *q, int32_t left, int32_t right, int64_t change,
                                  int64_t word) RLLC_MUST_USE;
/** Makes candidates of the pairs that have appeared since the last call. */
rllc_status rllc_data_queue_settle(rllc_data_queue *q) RLLC_MUST_USE;
/** The candidate with the largest true count (ties: smaller ids); false if there is none. Its words go back to the
 *  pool with rllc_data_queue_recycle. */
rllc_status rllc_data_queue_pop(rllc_data_queue *q, rllc_data_candidate *best, bool *found) RLLC_MUST_USE;
void rllc_data_queue_recycle(rllc_data_queue *q, rllc_data_cohort words);

#endif
