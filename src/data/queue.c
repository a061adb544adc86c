/* The tokenizer trainer's pairs: their counts, where they appeared, and a heap of candidates by count. */
#include "data/train.h"

static const rllc_data_cohort nowhere = {-1, -1};

rllc_status rllc_data_queue_init(rllc_data_queue *q) {
    *q = (rllc_data_queue){.free_node = -1};
    return RLLC_OK;
}

void rllc_data_queue_release(rllc_data_queue *q) {
    rllc_data_pairs_release(&q->numbers);
    rllc_free(q->pairs);
    rllc_free(q->heap);
    rllc_free(q->nodes);
    rllc_free(q->touched);
    *q = (rllc_data_queue){0};
}

/* Doubles an array that is full. */
static rllc_status widen(void *array, int64_t n, int64_t *capacity, size_t size) {
    if (n < *capacity) return RLLC_OK;
    int64_t wider = *capacity > 0 ? *capacity * 2 : 1024;
    rllc_status status = rllc_grow(array, *capacity, wider, size);
    if (status == RLLC_OK) *capacity = wider;
    return status;
}

static rllc_status pair_number(rllc_data_queue *q, int32_t left, int32_t right, int64_t *number) {
    rllc_status status = RLLC_OK;
    *number = rllc_data_pairs_find(&q->numbers, left, right);
    if (*number >= 0) return RLLC_OK;
    RLLC_TRY(widen(&q->pairs, q->n_pairs, &q->pairs_capacity, sizeof *q->pairs));
    RLLC_TRY(rllc_data_pairs_add(&q->numbers, left, right, q->n_pairs));
    q->pairs[q->n_pairs] = (rllc_data_pair){.left = left, .right = right, .fresh = nowhere, .last_word = -1};
    *number = q->n_pairs++;
done:
    return status;
}

static rllc_status cohort_add(rllc_data_queue *q, rllc_data_cohort *c, int64_t word) {
    int64_t node = q->free_node;
    if (node >= 0) {
        q->free_node = q->nodes[node].next;
    } else {
        rllc_status status = widen(&q->nodes, q->n_nodes, &q->nodes_capacity, sizeof *q->nodes);
        if (status != RLLC_OK) return status;
        node = q->n_nodes++;
    }
    q->nodes[node].word = (int32_t)word;
    q->nodes[node].next = -1;
    if (c->tail >= 0) {
        q->nodes[c->tail].next = node;
    } else {
        c->head = node;
    }
    c->tail = node;
    return RLLC_OK;
}

void rllc_data_queue_recycle(rllc_data_queue *q, rllc_data_cohort words) {
    if (words.head < 0) return;
    q->nodes[words.tail].next = q->free_node;
    q->free_node = words.head;
}

rllc_status rllc_data_queue_count(rllc_data_queue *q, int32_t left, int32_t right, int64_t change, int64_t word) {
    rllc_status status = RLLC_OK;
    int64_t number;
    RLLC_TRY(pair_number(q, left, right, &number));
    rllc_data_pair *p = &q->pairs[number];
    p->count += change;
    if (change <= 0 || p->last_word == word) goto done;
    if (p->fresh.head < 0) {
        RLLC_TRY(widen(&q->touched, q->n_touched, &q->touched_capacity, sizeof *q->touched));
        q->touched[q->n_touched++] = number;
    }
    RLLC_TRY(cohort_add(q, &p->fresh, word));
    p->last_word = word;
done:
    return status;
}

/* Larger counts first, then smaller ids. */
static bool before(const rllc_data_candidate *a, const rllc_data_candidate *b) {
    if (a->count != b->count) return a->count > b->count;
    return a->left != b->left ? a->left < b->left : a->right < b->right;
}

static rllc_status push(rllc_data_queue *q, rllc_data_candidate c) {
    rllc_status status = widen(&q->heap, q->n_heap, &q->heap_capacity, sizeof *q->heap);
    if (status != RLLC_OK) return status;
    int64_t i = q->n_heap++;
    for (; i > 0 && before(&c, &q->heap[(i - 1) / 2]); i = (i - 1) / 2) q->heap[i] = q->heap[(i - 1) / 2];
    q->heap[i] = c;
    return RLLC_OK;
}

/* Puts c at the top and lets it sink. */
static void sink(rllc_data_queue *q, rllc_data_candidate c) {
    int64_t i = 0, n = q->n_heap;
    for (int64_t child = 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && before(&q->heap[child + 1], &q->heap[child])) child++;
        if (!before(&q->heap[child], &c)) break;
        q->heap[i] = q->heap[child];
        i = child;
    }
    q->heap[i] = c;
}

rllc_status rllc_data_queue_settle(rllc_data_queue *q) {
    for (int64_t i = 0; i < q->n_touched; i++) {
        rllc_data_pair *p = &q->pairs[q->touched[i]];
        rllc_data_candidate c = {p->count, p->left, p->right, q->touched[i], p->fresh};
        p->fresh = nowhere;
        p->last_word = -1;
        if (c.count <= 0) {
            rllc_data_queue_recycle(q, c.words);
            continue;
        }
        rllc_status status = push(q, c);
        if (status != RLLC_OK) return status;
    }
    q->n_touched = 0;
    return RLLC_OK;
}

/* Counts only shrink while a candidate waits, or grow with a newer candidate of the same pair: one whose count is out
   of date is put back with the true one until the top is true. */
rllc_status rllc_data_queue_pop(rllc_data_queue *q, rllc_data_candidate *best, bool *found) {
    *found = q->n_heap > 0;
    while (*found && q->heap[0].count != q->pairs[q->heap[0].pair].count) {
        rllc_data_candidate c = q->heap[0];
        c.count = q->pairs[c.pair].count;
        sink(q, c);
    }
    if (!*found) return RLLC_OK;
    *best = q->heap[0];
    rllc_data_candidate last = q->heap[--q->n_heap];
    if (q->n_heap > 0) sink(q, last);
    return RLLC_OK;
}
