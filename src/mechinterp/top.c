/* A bounded heap of predictions. */
#include "mechinterp/top.h"

#include <math.h>
#include <stdlib.h>

/* Whether x comes before y. */
static bool is_before(const rllc_affected *x, const rllc_affected *y) {
    if (x->increase != y->increase) return x->increase > y->increase;
    if (x->sequence != y->sequence) return x->sequence < y->sequence;
    return x->position < y->position;
}

/* Moves the last entry towards the front until its parent comes after it. */
static void rise(rllc_top *t) {
    for (int64_t i = t->n - 1, parent; i > 0 && is_before(&t->list[parent = (i - 1) / 2], &t->list[i]); i = parent) {
        const rllc_affected swap = t->list[i];
        t->list[i] = t->list[parent];
        t->list[parent] = swap;
    }
}

/* Moves the first entry back until both its children come before it. */
static void sink(rllc_top *t) {
    for (int64_t i = 0, child; (child = 2 * i + 1) < t->n; i = child) {
        if (child + 1 < t->n && is_before(&t->list[child], &t->list[child + 1])) child++;
        if (is_before(&t->list[child], &t->list[i])) return;
        const rllc_affected swap = t->list[i];
        t->list[i] = t->list[child];
        t->list[child] = swap;
    }
}

static void offer(rllc_top *t, const rllc_affected *x) {
    if (t->n < t->capacity) {
        t->list[t->n++] = *x;
        rise(t);
    } else if (is_before(x, &t->list[0])) {
        t->list[0] = *x;
        sink(t);
    }
}

rllc_status rllc_top_init(rllc_top *t, int64_t capacity) {
    *t = (rllc_top){.capacity = capacity};
    return rllc_alloc(&t->list, capacity, sizeof *t->list);
}

void rllc_top_release(rllc_top *t) {
    rllc_free(t->list);
    *t = (rllc_top){0};
}

rllc_status rllc_top_add(rllc_top *t, int64_t per_sequence, int64_t sequence, int64_t n, const float *losses,
                         const float *ablated) {
    rllc_affected list[RLLC_TOP_OF_SEQUENCE];
    rllc_top of_sequence = {.list = list, .capacity = per_sequence};
    for (int64_t k = 0; k < n; k++) {
        const rllc_affected x = {.sequence = sequence,
                                 .position = k,
                                 .loss = losses[k],
                                 .ablated = ablated[k],
                                 .increase = (double)ablated[k] - (double)losses[k]};
        if (!isfinite(x.increase))
            return rllc_fail(RLLC_ENOTFINITE, "sequence %lld, position %lld: losses %g and %g", (long long)sequence,
                             (long long)k, (double)losses[k], (double)ablated[k]);
        if (x.increase > 0) offer(&of_sequence, &x);
    }
    for (int64_t i = 0; i < of_sequence.n; i++) offer(t, &list[i]);
    return RLLC_OK;
}

static int by_increase(const void *a, const void *b) {
    return is_before(a, b) ? -1 : is_before(b, a);
}

void rllc_top_sort(rllc_top *t) {
    qsort(t->list, (size_t)t->n, sizeof *t->list, by_increase);
}
