/* The hash tables of the tokenizer: distinct strings, and pairs of ids. */
#include "data/table.h"

enum { FIRST_SLOTS = 64, FIRST_BYTES = 1024, FIRST_STRINGS = 32 };

/* Pre-tokens are short: those of up to 16 bytes are read as two overlapping words, without a call. */
static uint64_t hash_of(const void *bytes, size_t n) {
    const unsigned char *s = bytes;
    uint64_t a = 0, b = 0;
    if (n > 16) return rllc_hash64(bytes, n, 0);
    if (n >= 8) {
        memcpy(&a, s, 8);
        memcpy(&b, s + n - 8, 8);
    } else if (n >= 4) {
        uint32_t low, high;
        memcpy(&low, s, 4);
        memcpy(&high, s + n - 4, 4);
        a = low;
        b = high;
    } else if (n > 0) {
        a = s[0] | (uint64_t)s[n / 2] << 8 | (uint64_t)s[n - 1] << 16;
    }
    return rllc_data_mixed(rllc_data_mixed(a ^ (uint64_t)n << 56) + (b ^ b << 32));
}

void rllc_data_strings_release(rllc_data_strings *s) {
    rllc_free(s->bytes);
    rllc_free(s->begin);
    rllc_free(s->slots);
    *s = (rllc_data_strings){0};
}

/* The slot that holds the string, or the free one where it belongs. */
static uint64_t slot_of(const rllc_data_strings *s, uint64_t hash, const void *bytes, size_t n) {
    uint64_t mask = s->n_slots - 1;
    uint32_t tag = (uint32_t)(hash >> 32);
    for (uint64_t i = hash & mask;; i = (i + 1) & mask) {
        if (s->slots[i].index == 0) return i;
        if (s->slots[i].tag != tag) continue;
        size_t length;
        const char *other = rllc_data_string(s, s->slots[i].index - 1, &length);
        if (length == n && memcmp(other, bytes, n) == 0) return i;
    }
}

int64_t rllc_data_strings_find(const rllc_data_strings *s, const void *bytes, size_t n) {
    if (s->n_slots == 0) return -1;
    return (int64_t)s->slots[slot_of(s, hash_of(bytes, n), bytes, n)].index - 1;
}

static rllc_status rehash(rllc_data_strings *s) {
    rllc_data_strings wider = *s;
    wider.n_slots = s->n_slots > 0 ? s->n_slots * 2 : FIRST_SLOTS;
    rllc_status status = rllc_alloc(&wider.slots, (int64_t)wider.n_slots, sizeof *wider.slots);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < s->n; i++) {
        size_t n;
        const char *bytes = rllc_data_string(s, i, &n);
        uint64_t hash = hash_of(bytes, n), at = hash & (wider.n_slots - 1);
        while (wider.slots[at].index != 0) at = (at + 1) & (wider.n_slots - 1); /* all strings are distinct */
        wider.slots[at].tag = (uint32_t)(hash >> 32);
        wider.slots[at].index = (uint32_t)(i + 1);
    }
    rllc_free(s->slots);
    *s = wider;
    return RLLC_OK;
}

/* Makes room for one more string of n bytes. */
static rllc_status reserve(rllc_data_strings *s, size_t n) {
    rllc_status status = RLLC_OK;
    if (s->n >= (int64_t)UINT32_MAX - 1) {
        return rllc_fail(RLLC_EUNSUPPORTED, "more than %u distinct strings; use less text", UINT32_MAX - 1);
    }
    if ((uint64_t)s->n * 2 >= s->n_slots) RLLC_TRY(rehash(s));
    if (s->n + 1 >= s->n_capacity) {
        int64_t capacity = s->n_capacity > 0 ? s->n_capacity * 2 : FIRST_STRINGS;
        RLLC_TRY(rllc_grow(&s->begin, s->n_capacity, capacity, sizeof *s->begin));
        s->n_capacity = capacity;
    }
    if (s->capacity - s->n_bytes <= n) {
        size_t capacity = s->capacity + (s->capacity > n + FIRST_BYTES ? s->capacity : n + FIRST_BYTES);
        RLLC_TRY(rllc_grow(&s->bytes, (int64_t)s->capacity, (int64_t)capacity, 1));
        s->capacity = capacity;
    }
done:
    return status;
}

rllc_status rllc_data_strings_add(rllc_data_strings *s, const void *bytes, size_t n, int64_t *index) {
    rllc_status status = RLLC_OK;
    uint64_t hash = hash_of(bytes, n);
    if (s->n_slots > 0) {
        uint64_t at = slot_of(s, hash, bytes, n);
        *index = (int64_t)s->slots[at].index - 1;
        if (*index >= 0) return RLLC_OK;
    }
    RLLC_TRY(reserve(s, n));
    uint64_t at = slot_of(s, hash, bytes, n);
    s->slots[at].tag = (uint32_t)(hash >> 32);
    s->slots[at].index = (uint32_t)(s->n + 1);
    memcpy(s->bytes + s->n_bytes, bytes, n);
    s->bytes[s->n_bytes + n] = '\0';
    s->begin[s->n] = s->n_bytes;
    s->n_bytes += n + 1;
    *index = s->n++;
    s->begin[s->n] = s->n_bytes;
done:
    return status;
}

void rllc_data_pairs_release(rllc_data_pairs *p) {
    rllc_free(p->slots);
    *p = (rllc_data_pairs){0};
}

static void put_pair(rllc_data_pairs *p, uint64_t key, int64_t value) {
    uint64_t mask = p->n_slots - 1, i = rllc_data_mixed(key) >> 8 & mask;
    while (p->slots[i].key != UINT64_MAX) i = (i + 1) & mask;
    p->slots[i].key = key;
    p->slots[i].value = value;
}

static rllc_status widen_pairs(rllc_data_pairs *p) {
    rllc_data_pairs wider = {.n_slots = p->n_slots > 0 ? p->n_slots * 2 : FIRST_SLOTS, .n = p->n};
    rllc_status status = rllc_alloc(&wider.slots, (int64_t)wider.n_slots, sizeof *wider.slots);
    if (status != RLLC_OK) return status;
    for (uint64_t i = 0; i < wider.n_slots; i++) wider.slots[i].key = UINT64_MAX;
    for (uint64_t i = 0; i < p->n_slots; i++) {
        if (p->slots[i].key != UINT64_MAX) put_pair(&wider, p->slots[i].key, p->slots[i].value);
    }
    rllc_free(p->slots);
    *p = wider;
    return RLLC_OK;
}

rllc_status rllc_data_pairs_add(rllc_data_pairs *p, int32_t left, int32_t right, int64_t value) {
    if ((uint64_t)p->n * 2 >= p->n_slots) {
        rllc_status status = widen_pairs(p);
        if (status != RLLC_OK) return status;
    }
    put_pair(p, (uint64_t)(uint32_t)left << 32 | (uint32_t)right, value);
    p->n++;
    return RLLC_OK;
}
