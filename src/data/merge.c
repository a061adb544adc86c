/* Byte-pair merging of one pre-token, and the growing array of ids. */
#include "data/bpe.h"

enum { SHORT = 64 };

void rllc_ids_release(rllc_ids *ids) {
    rllc_free(ids->data);
    *ids = (rllc_ids){0};
}

rllc_status rllc_data_ids_reserve(rllc_ids *ids, int64_t n) {
    if (ids->capacity - ids->n >= n) return RLLC_OK;
    int64_t capacity = ids->capacity * 2 > ids->n + n ? ids->capacity * 2 : ids->n + n;
    rllc_status status = rllc_grow(&ids->data, ids->capacity, capacity, sizeof *ids->data);
    if (status == RLLC_OK) ids->capacity = capacity;
    return status;
}

rllc_status rllc_ids_add(rllc_ids *ids, int32_t id) {
    rllc_status status = rllc_data_ids_reserve(ids, 1);
    if (status == RLLC_OK) ids->data[ids->n++] = id;
    return status;
}

void rllc_data_workspace_release(rllc_data_workspace *w) {
    rllc_free(w->id);
    rllc_free(w->next);
    rllc_free(w->previous);
    rllc_free(w->heap);
    *w = (rllc_data_workspace){0};
}

static rllc_status bytes_to_ids(const rllc_tokenizer *t, const unsigned char *s, size_t n, int32_t *id) {
    for (size_t i = 0; i < n; i++) {
        id[i] = t->byte_id[s[i]];
        if (id[i] < 0) {
            return rllc_fail(RLLC_EINPUT,
                             "the tokenizer's vocabulary has no token for the byte 0x%02X; use one with all 256 "
                             "byte symbols",
                             s[i]);
        }
    }
    return RLLC_OK;
}

/* A few bytes: the ranks of all neighbours stand in an array, which is searched each time. */
static void merge_short(const rllc_tokenizer *t, int32_t *id, size_t n, rllc_ids *out) {
    int64_t rank[SHORT];
    for (size_t i = 0; i + 1 < n; i++) rank[i] = rllc_data_pairs_find(&t->ranks, id[i], id[i + 1]);
    for (;;) {
        int64_t best = INT64_MAX;
        size_t at = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            if (rank[i] >= 0 && rank[i] < best) {
                best = rank[i];
                at = i;
            }
        }
        if (best == INT64_MAX) break;
        id[at] = t->result[best];
        n--;
        memmove(id + at + 1, id + at + 2, (n - at - 1) * sizeof *id);
        if (at + 1 < n) memmove(rank + at, rank + at + 1, (n - at - 1) * sizeof *rank);
        if (at > 0) rank[at - 1] = rllc_data_pairs_find(&t->ranks, id[at - 1], id[at]);
        if (at + 1 < n) rank[at] = rllc_data_pairs_find(&t->ranks, id[at], id[at + 1]);
    }
    memcpy(out->data + out->n, id, n * sizeof *id);
    out->n += (int64_t)n;
}

static rllc_status heap_push(rllc_data_workspace *w, uint64_t key) {
    if (w->n_heap == w->heap_capacity) {
        int64_t capacity = w->heap_capacity > 0 ? w->heap_capacity * 2 : 1024;
        rllc_status status = rllc_grow(&w->heap, w->heap_capacity, capacity, sizeof *w->heap);
        if (status != RLLC_OK) return status;
        w->heap_capacity = capacity;
    }
    int64_t i = w->n_heap++;
    for (; i > 0 && w->heap[(i - 1) / 2] > key; i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = key;
    return RLLC_OK;
}

static uint64_t heap_pop(rllc_data_workspace *w) {
    uint64_t top = w->heap[0], last = w->heap[--w->n_heap];
    int64_t i = 0, n = w->n_heap;
    for (int64_t child = 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && w->heap[child + 1] < w->heap[child]) child++;
        if (w->heap[child] >= last) break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

/* Notes the pair that begins at this position, if it has a rank. */
static rllc_status consider(const rllc_tokenizer *t, rllc_data_workspace *w, int32_t at) {
    if (w->next[at] < 0) return RLLC_OK;
    int64_t rank = rllc_data_pairs_find(&t->ranks, w->id[at], w->id[w->next[at]]);
    return rank < 0 ? RLLC_OK : heap_push(w, (uint64_t)rank << 32 | (uint32_t)at);
}

static rllc_status workspace_reserve(rllc_data_workspace *w, int64_t n) {
    rllc_status status = RLLC_OK;
    if (w->capacity >= n) return RLLC_OK;
    rllc_free(w->id); /* nothing in it is kept */
    rllc_free(w->next);
    rllc_free(w->previous);
    w->id = w->next = w->previous = NULL;
    w->capacity = 0;
    RLLC_TRY(rllc_alloc(&w->id, n, sizeof *w->id));
    RLLC_TRY(rllc_alloc(&w->next, n, sizeof *w->next));
    RLLC_TRY(rllc_alloc(&w->previous, n, sizeof *w->previous));
    w->capacity = n;
done:
    return status;
}

/* Many bytes: a linked list of symbols, and a heap of the pairs by rank and position. An entry of the heap is out of
   date when its position has no pair of that rank any more. A joined symbol stays at the position of its left half. */
static rllc_status merge_long(const rllc_tokenizer *t, rllc_data_workspace *w, const unsigned char *s, size_t n,
                              rllc_ids *out) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(workspace_reserve(w, (int64_t)n));
    RLLC_TRY(bytes_to_ids(t, s, n, w->id));
    w->n_heap = 0;
    for (int32_t i = 0; i < (int32_t)n; i++) {
        w->previous[i] = i - 1;
        w->next[i] = i + 1 < (int32_t)n ? i + 1 : -1;
    }
    for (int32_t i = 0; i < (int32_t)n; i++) RLLC_TRY(consider(t, w, i));
    while (w->n_heap > 0) {
        uint64_t top = heap_pop(w);
        int64_t rank = (int64_t)(top >> 32);
        int32_t at = (int32_t)(top & UINT32_MAX);
        if (w->id[at] < 0 || w->next[at] < 0) continue;
        int32_t joined = w->next[at];
        if (rllc_data_pairs_find(&t->ranks, w->id[at], w->id[joined]) != rank) continue;
        w->id[at] = t->result[rank];
        w->id[joined] = -1;
        w->next[at] = w->next[joined];
        if (w->next[at] >= 0) w->previous[w->next[at]] = at;
        if (w->previous[at] >= 0) RLLC_TRY(consider(t, w, w->previous[at]));
        RLLC_TRY(consider(t, w, at));
    }
    for (int32_t i = 0; i >= 0; i = w->next[i]) out->data[out->n++] = w->id[i];
done:
    return status;
}

rllc_status rllc_data_merge(const rllc_tokenizer *t, rllc_data_workspace *w, const unsigned char *s, size_t n,
                            rllc_ids *out) {
    int32_t id[SHORT];
    if (n == 0) return RLLC_OK;
    if (n > INT32_MAX) {
        return rllc_fail(RLLC_EUNSUPPORTED, "%zu bytes of text without a place to cut; at most %d are supported", n,
                         INT32_MAX);
    }
    rllc_status status = rllc_data_ids_reserve(out, (int64_t)n);
    if (status != RLLC_OK) return status;
    if (n > SHORT) return merge_long(t, w, s, n, out);
    status = bytes_to_ids(t, s, n, id);
    if (status == RLLC_OK) merge_short(t, id, n, out);
    return status;
}
