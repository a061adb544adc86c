/* One stored copy of every interned text: a chained hash table that lives as long as the process. */
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "rllc/base.h"

typedef struct entry {
    struct entry *next;
    uint64_t hash;
    char text[];
} entry;

static struct {
    pthread_mutex_t lock;
    entry **buckets; /* a power of two of them */
    size_t n_buckets, n;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static entry *find(uint64_t hash, const char *text) {
    if (table.n_buckets == 0) return NULL;
    entry *e = table.buckets[hash & (table.n_buckets - 1)];
    while (e && (e->hash != hash || strcmp(e->text, text) != 0)) e = e->next;
    return e;
}

/* Doubles the buckets when there are as many texts; false without memory for the first ones. */
static bool make_room(void) {
    if (table.n < table.n_buckets) return true;
    size_t n = table.n_buckets ? 2 * table.n_buckets : 256;
    entry **buckets = calloc(n, sizeof *buckets);
    if (!buckets) return table.n_buckets > 0; /* longer chains are only slower */
    for (size_t i = 0; i < table.n_buckets; i++) {
        for (entry *e = table.buckets[i], *next; e; e = next) {
            next = e->next;
            e->next = buckets[e->hash & (n - 1)];
            buckets[e->hash & (n - 1)] = e;
        }
    }
    free(table.buckets);
    table.buckets = buckets;
    table.n_buckets = n;
    return true;
}

static entry *insert(uint64_t hash, const char *text, size_t length) {
    if (!make_room()) return NULL;
    entry *e = malloc(sizeof *e + length + 1);
    if (!e) return NULL;
    e->hash = hash;
    memcpy(e->text, text, length + 1);
    entry **bucket = &table.buckets[hash & (table.n_buckets - 1)];
    e->next = *bucket;
    *bucket = e;
    table.n++;
    return e;
}

const char *rllc_intern(const char *text) {
    if (!text) return NULL;
    size_t length = strlen(text);
    uint64_t hash = rllc_hash64(text, length, 0);
    pthread_mutex_lock(&table.lock);
    entry *e = find(hash, text);
    if (!e) e = insert(hash, text, length);
    pthread_mutex_unlock(&table.lock);
    return e ? e->text : NULL;
}

const char *rllc_intern_printf(const char *format, ...) {
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) return NULL;
    const char *stored = rllc_intern(text);
    free(text);
    return stored;
}
