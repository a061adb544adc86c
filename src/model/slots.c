/*
 * Sums over slots: total = ((slot 0 + slot 1) + slot 2) + ..., the same bits for any number of threads.
 *
 * Every slot is summed by one thread into a buffer of its own. There are two buffers a thread, or as many as slots: who
 * needs one when none is free adds the next finished slots to the total first. Slots are handed out in order together
 * with a buffer, so the slot that the total waits for is always being worked on.
 */
#include "batch.h"

int64_t rllc_slots_buffers(int64_t slots, int n_threads) {
    const int64_t n = 2 * (int64_t)n_threads + 1;
    return n < slots ? n : slots;
}

void rllc_slots_init(rllc_slots *s, const rllc_kernels *k, int64_t slots, int64_t buffers, int64_t size,
                     float *memory) {
    *s = (rllc_slots){.k = k, .n = slots, .buffers = buffers, .size = size, .memory = memory};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->freed, NULL);
}

void rllc_slots_release(rllc_slots *s) {
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->freed);
}

static float *buffer_of(const rllc_slots *s, int64_t slot) {
    return s->memory + s->of[slot] * s->size;
}

static int64_t free_buffer(const rllc_slots *s) {
    for (int64_t i = 0; i < s->buffers; i++)
        if (!s->used[i]) return i;
    return -1;
}

/** Adds the next slot to the total; the buffer of slot 0 is the total. */
static void fold_next(rllc_slots *s) {
    const int64_t slot = s->folded++;
    if (slot == 0) return;
    s->k->add(s->size, buffer_of(s, slot), buffer_of(s, 0));
    s->used[s->of[slot]] = false;
}

int64_t rllc_slots_take(rllc_slots *s, float **buffer) {
    int64_t slot = -1, free = -1;
    pthread_mutex_lock(&s->lock);
    while (s->next < s->n && (free = free_buffer(s)) < 0) {
        if (s->done[s->folded]) {
            fold_next(s);
        } else {
            pthread_cond_wait(&s->freed, &s->lock);
        }
    }
    if (s->next < s->n) {
        slot = s->next++;
        s->of[slot] = free;
        s->used[free] = true;
        *buffer = buffer_of(s, slot);
    }
    pthread_cond_broadcast(&s->freed); /* who waits looks again: a buffer may be free, or no slot left */
    pthread_mutex_unlock(&s->lock);
    if (slot >= 0) s->k->zero(s->size, *buffer);
    return slot;
}

void rllc_slots_finish(rllc_slots *s, int64_t slot) {
    pthread_mutex_lock(&s->lock);
    s->done[slot] = true;
    pthread_cond_broadcast(&s->freed);
    pthread_mutex_unlock(&s->lock);
}

enum { CHUNK = 1 << 15 };

static rllc_status total_chunk(void *context, int64_t i, int worker) {
    const rllc_slots *s = context;
    (void)worker;
    const int64_t at = i * CHUNK, n = s->size - at < CHUNK ? s->size - at : CHUNK;
    for (int64_t slot = s->folded > 0 ? s->folded : 1; slot < s->n; slot++)
        s->k->add(n, buffer_of(s, slot) + at, buffer_of(s, 0) + at);
    return RLLC_OK;
}

rllc_status rllc_slots_total(rllc_slots *s, int n_threads) {
    return rllc_parallel((s->size + CHUNK - 1) / CHUNK, n_threads, total_chunk, s);
}

const float *rllc_slots_sum(const rllc_slots *s) {
    return buffer_of(s, 0);
}
