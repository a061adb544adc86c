/* data tables: distinct strings numbered from 0, and numbers for pairs of ids. Both are open-addressed and only grow.
 */
#ifndef RLLC_DATA_TABLE_H
#define RLLC_DATA_TABLE_H

#include <string.h>

#include "rllc/data.h"

/** Distinct byte strings in the order in which they were added; {0} is empty. */
typedef struct rllc_data_strings {
    char *bytes; /* every string with a NUL behind it */
    size_t n_bytes, capacity;
    size_t *begin; /* [n + 1] */
    int64_t n, n_capacity;
    struct {
        uint32_t tag, index; /* high half of the hash; string number + 1, 0 = free */
    } * slots;
    uint64_t n_slots; /* a power of two, or 0 */
} rllc_data_strings;

void rllc_data_strings_release(rllc_data_strings *s);
/** The number of the string, which is added if it is new. */
rllc_status rllc_data_strings_add(rllc_data_strings *s, const void *bytes, size_t n, int64_t *index) RLLC_MUST_USE;
/** The number of the string, -1 if it is not there. */
int64_t rllc_data_strings_find(const rllc_data_strings *s, const void *bytes, size_t n);

static inline const char *rllc_data_string(const rllc_data_strings *s, int64_t index, size_t *n) {
    *n = s->begin[index + 1] - s->begin[index] - 1;
    return s->bytes + s->begin[index];
}

/** A number for each pair of ids; {0} is empty. */
typedef struct rllc_data_pairs {
    struct {
        uint64_t key; /* left << 32 | right; UINT64_MAX = free (ids are below 2^31) */
        int64_t value;
    } * slots;
    uint64_t n_slots; /* a power of two, or 0 */
    int64_t n;
} rllc_data_pairs;

void rllc_data_pairs_release(rllc_data_pairs *p);
/** Adds a pair that is not there yet. */
rllc_status rllc_data_pairs_add(rllc_data_pairs *p, int32_t left, int32_t right, int64_t value) RLLC_MUST_USE;

static inline uint64_t rllc_data_mixed(uint64_t x) {
    x *= 0x9E3779B97F4A7C15u; /* 2^64 / golden ratio: Fibonacci hashing, then the high bits are folded down */
    return x ^ x >> 29;
}

/** The value of the pair, -1 if it is not there. */
static inline int64_t rllc_data_pairs_find(const rllc_data_pairs *p, int32_t left, int32_t right) {
    if (p->n_slots == 0) return -1;
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right, mask = p->n_slots - 1;
    for (uint64_t i = rllc_data_mixed(key) >> 8 & mask;; i = (i + 1) & mask) {
        if (p->slots[i].key == key) return p->slots[i].value;
        if (p->slots[i].key == UINT64_MAX) return -1;
    }
}

#endif
