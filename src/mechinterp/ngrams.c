/* Counts of pairs and triples of tokens, in a table of bounded size. */
#include <math.h>
#include <stdlib.h>

#include "mechinterp/ngrams.h"

/* ---- a table of counts ------------------------------------------------------------------------------------ */

typedef struct slot {
    uint64_t key; /* + 1; 0: empty */
    int64_t count;
} slot;

/* Open addressing with linear probing, at most 2/3 full. */
typedef struct counter {
    slot *slots;
    int64_t n, n_slots; /* n_slots: a power of two */
} counter;

/* A bijection of 64 bits (the finalizer of MurmurHash3). */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 33) * 0xff51afd7ed558ccdULL;
    x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ULL;
    return x ^ x >> 33;
}

static bool is_full(const counter *c) {
    return 3 * c->n >= 2 * c->n_slots;
}

/* The slot of a key, or the empty one where it belongs. */
static slot *find_slot(const counter *c, uint64_t key) {
    const uint64_t mask = (uint64_t)c->n_slots - 1;
    uint64_t i = mix(key) & mask;
    while (c->slots[i].key && c->slots[i].key != key + 1) i = (i + 1) & mask;
    return &c->slots[i];
}

/* Twice the slots. */
static rllc_status counter_grow(counter *c) {
    counter wider = {.n = c->n, .n_slots = 2 * c->n_slots};
    const rllc_status status = rllc_alloc(&wider.slots, wider.n_slots, sizeof *wider.slots);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < c->n_slots; i++)
        if (c->slots[i].key) *find_slot(&wider, c->slots[i].key - 1) = c->slots[i];
    rllc_free(c->slots);
    *c = wider;
    return RLLC_OK;
}

/* Empties slot `hole` and closes the gap (Knuth, vol. 3, 6.4, algorithm R). */
static void remove_slot(counter *c, uint64_t hole) {
    const uint64_t mask = (uint64_t)c->n_slots - 1;
    for (uint64_t i = (hole + 1) & mask; c->slots[i].key; i = (i + 1) & mask) {
        const uint64_t home = mix(c->slots[i].key - 1) & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue; /* its home lies behind the hole */
        c->slots[hole] = c->slots[i];
        hole = i;
    }
    c->slots[hole] = (slot){0};
    c->n--;
}

static int by_key(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The entries in front, ascending; the table is no table any more. */
static void counter_sort(counter *c) {
    int64_t n = 0;
    for (int64_t i = 0; i < c->n_slots; i++)
        if (c->slots[i].key) c->slots[n++] = c->slots[i];
    qsort(c->slots, (size_t)n, sizeof *c->slots, by_key);
}

/* ---- rows -------------------------------------------------------------------------------------------------- */

/* One row, checked. */
static rllc_status get_row(const rllc_rows *rows, int64_t row, int64_t d_vocab, const rllc_monitor *monitor,
                           int32_t *out) {
    if (row % 1024 == 0) {
        rllc_report_progress(monitor, "counts of tokens", "row", (double)row, (double)rows->rows, "%s",
                             rows->path ? rows->path : "");
        if (rllc_should_stop(monitor)) return rllc_fail(RLLC_ESTOPPED, "stopped while counting tokens");
    }
    rllc_rows_get(rows, row, out);
    for (int64_t k = 0; k < rows->n_ctx; k++)
        if (out[k] < 0 || out[k] >= d_vocab)
            return rllc_fail(RLLC_EMISMATCH, "%s: row %lld holds the id %d, but the vocabulary ends at %lld",
                             rows->path ? rows->path : "rows", (long long)row, out[k], (long long)d_vocab - 1);
    return RLLC_OK;
}

static rllc_status check_vocab(int64_t d_vocab) {
    if (d_vocab >= 1 && d_vocab <= RLLC_NGRAM_VOCAB) return RLLC_OK;
    return rllc_fail(RLLC_EUNSUPPORTED, "counts of pairs and triples need a vocabulary of 1 to %lld tokens, not %lld",
                     (long long)RLLC_NGRAM_VOCAB, (long long)d_vocab);
}

/* ---- pairs ------------------------------------------------------------------------------------------------- */

static rllc_status add_pair(counter *c, int32_t a, int32_t b, int64_t max_pairs) {
    slot *s = find_slot(c, (uint64_t)a << 21 | (uint64_t)b);
    if (!s->key) {
        if (c->n >= max_pairs)
            return rllc_fail(RLLC_EUNSUPPORTED,
                             "more than %lld distinct pairs of tokens; use a smaller vocabulary or fewer rows",
                             (long long)max_pairs);
        if (is_full(c)) {
            const rllc_status status = counter_grow(c);
            if (status != RLLC_OK) return status;
            s = find_slot(c, (uint64_t)a << 21 | (uint64_t)b);
        }
        s->key = ((uint64_t)a << 21 | (uint64_t)b) + 1;
        c->n++;
    }
    s->count++;
    return RLLC_OK;
}

/* Sorted entries to rows of followers. */
static rllc_status fill_bigrams(rllc_bigrams *g, const counter *c) {
    rllc_status status = RLLC_OK;
    g->n = c->n;
    RLLC_TRY(rllc_alloc(&g->first, g->d_vocab + 1, sizeof *g->first));
    RLLC_TRY(rllc_alloc(&g->total, g->d_vocab, sizeof *g->total));
    RLLC_TRY(rllc_alloc(&g->next, g->n, sizeof *g->next));
    RLLC_TRY(rllc_alloc(&g->count, g->n, sizeof *g->count));
    for (int64_t i = 0; i < g->n; i++) {
        const uint64_t key = c->slots[i].key - 1;
        g->first[(key >> 21) + 1]++;
        g->total[key >> 21] += c->slots[i].count;
        g->next[i] = (int32_t)(key & (RLLC_NGRAM_VOCAB - 1));
        g->count[i] = c->slots[i].count;
    }
    for (int64_t a = 0; a < g->d_vocab; a++) g->first[a + 1] += g->first[a];
done:
    return status;
}

rllc_status rllc_bigrams_count(rllc_bigrams *out, const rllc_rows *rows, int64_t d_vocab, int64_t max_pairs,
                               const rllc_monitor *monitor) {
    rllc_status status = RLLC_OK;
    counter c = {.n_slots = 1 << 16};
    int32_t *t = NULL;
    *out = (rllc_bigrams){.d_vocab = d_vocab};
    RLLC_TRY(check_vocab(d_vocab));
    RLLC_TRY(rllc_alloc(&c.slots, c.n_slots, sizeof *c.slots));
    RLLC_TRY(rllc_alloc(&t, rows->n_ctx, sizeof *t));
    for (int64_t r = 0; r < rows->rows; r++) {
        RLLC_TRY(get_row(rows, r, d_vocab, monitor, t));
        for (int64_t k = 1; k < rows->n_ctx; k++) RLLC_TRY(add_pair(&c, t[k - 1], t[k], max_pairs));
    }
    counter_sort(&c);
    RLLC_TRY(fill_bigrams(out, &c));
done:
    rllc_free(c.slots);
    rllc_free(t);
    if (status != RLLC_OK) rllc_bigrams_release(out);
    return status;
}

void rllc_bigrams_release(rllc_bigrams *g) {
    rllc_free(g->first);
    rllc_free(g->total);
    rllc_free(g->next);
    rllc_free(g->count);
    *g = (rllc_bigrams){0};
}

double rllc_bigrams_probability(const rllc_bigrams *g, int32_t a, int32_t b) { /* (E105) */
    int64_t low = g->first[a], high = g->first[a + 1];
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (g->next[middle] < b)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == g->first[a + 1] || g->next[low] != b) return 0;
    return (double)g->count[low] / (double)g->total[a];
}

double rllc_bigrams_entropy(const rllc_bigrams *g, int32_t a) { /* (E105) */
    double sum = 0;
    for (int64_t i = g->first[a]; i < g->first[a + 1]; i++) {
        const double p = (double)g->count[i] / (double)g->total[a];
        sum -= p * log(p);
    }
    return sum;
}

/* ---- triples ----------------------------------------------------------------------------------------------- */

/* A pass counts the triples whose pair (a, b) hashes to low .. last. */
typedef struct pass {
    counter table;
    uint64_t low, last;
} pass;

/* Puts off the upper half of what the pass counts until there is room. At the latest a single pair is left: it has at
 * most d_vocab followers, and the table holds more. */
static void narrow(pass *p) {
    while (is_full(&p->table)) {
        p->last = p->low + (p->last - p->low) / 2;
        for (int64_t i = 0; i < p->table.n_slots; i++)
            while (p->table.slots[i].key && mix((p->table.slots[i].key - 1) >> 21) > p->last)
                remove_slot(&p->table, (uint64_t)i);
    }
}

static void add_triple(pass *p, int32_t a, int32_t b, int32_t y) {
    const uint64_t pair = (uint64_t)a << 21 | (uint64_t)b, hash = mix(pair), key = pair << 21 | (uint64_t)y;
    if (hash < p->low || hash > p->last) return;
    slot *s = find_slot(&p->table, key);
    if (!s->key && is_full(&p->table)) {
        narrow(p);
        if (hash > p->last) return;
        s = find_slot(&p->table, key);
    }
    if (!s->key) {
        s->key = key + 1;
        p->table.n++;
    }
    s->count++;
}

static rllc_status count_pass(pass *p, const rllc_rows *rows, int64_t d_vocab, const rllc_monitor *monitor,
                              int32_t *t) {
    rllc_status status = RLLC_OK;
    for (int64_t r = 0; r < rows->rows; r++) {
        RLLC_TRY(get_row(rows, r, d_vocab, monitor, t));
        for (int64_t k = 2; k < rows->n_ctx; k++) add_triple(p, t[k - 2], t[k - 1], t[k]);
    }
done:
    return status;
}

/* Keeps the predictable triples of the pass and empties the table. */
static rllc_status keep(rllc_trigrams *out, int64_t *capacity, counter *c, int64_t min_count, double min_share) {
    counter_sort(c);
    for (int64_t i = 0, end; i < c->n; i = end) {
        int64_t total = 0;
        for (end = i; end < c->n && (c->slots[end].key - 1) >> 21 == (c->slots[i].key - 1) >> 21; end++)
            total += c->slots[end].count;
        for (int64_t j = i; j < end; j++) {
            const int64_t count = c->slots[j].count;
            if (count < min_count || (double)count < min_share * (double)total) continue;
            if (out->n == *capacity) {
                const int64_t wider = *capacity ? 2 * *capacity : 256;
                const rllc_status status = rllc_grow(&out->list, *capacity, wider, sizeof *out->list);
                if (status != RLLC_OK) return status;
                *capacity = wider;
            }
            out->list[out->n++] = (rllc_trigram){.key = c->slots[j].key - 1, .count = count, .total = total};
        }
    }
    for (int64_t i = 0; i < c->n_slots; i++) c->slots[i] = (slot){0};
    c->n = 0;
    return RLLC_OK;
}

rllc_status rllc_trigrams_count(rllc_trigrams *out, const rllc_rows *rows, int64_t d_vocab, int64_t min_count,
                                double min_share, int64_t n_slots, const rllc_monitor *monitor) {
    rllc_status status = RLLC_OK;
    pass p = {.table.n_slots = n_slots};
    int32_t *t = NULL;
    int64_t capacity = 0;
    *out = (rllc_trigrams){0};
    RLLC_TRY(check_vocab(d_vocab));
    if (n_slots < 2 * d_vocab || n_slots & (n_slots - 1))
        return rllc_fail(RLLC_EUSAGE, "a table of %lld slots; expected a power of two, at least twice the vocabulary",
                         (long long)n_slots);
    RLLC_TRY(rllc_alloc(&p.table.slots, n_slots, sizeof *p.table.slots));
    RLLC_TRY(rllc_alloc(&t, rows->n_ctx, sizeof *t));
    do {
        p.last = UINT64_MAX;
        RLLC_TRY(count_pass(&p, rows, d_vocab, monitor, t));
        RLLC_TRY(keep(out, &capacity, &p.table, min_count, min_share));
        out->passes++;
        p.low = p.last + 1;
    } while (p.last != UINT64_MAX);
    if (out->n) qsort(out->list, (size_t)out->n, sizeof *out->list, by_key);
done:
    rllc_free(p.table.slots);
    rllc_free(t);
    if (status != RLLC_OK) rllc_trigrams_release(out);
    return status;
}

void rllc_trigrams_release(rllc_trigrams *t) {
    rllc_free(t->list);
    *t = (rllc_trigrams){0};
}

const rllc_trigram *rllc_trigrams_find(const rllc_trigrams *t, int32_t a, int32_t b, int32_t y) {
    const rllc_trigram wanted = {.key = (uint64_t)a << 42 | (uint64_t)b << 21 | (uint64_t)y};
    return t->n ? bsearch(&wanted, t->list, (size_t)t->n, sizeof wanted, by_key) : NULL;
}
