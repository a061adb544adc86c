/* Zeroed, 64-byte aligned arrays with checked sizes, and the peak memory of the process. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "rllc/base.h"

#define ALIGNMENT ((size_t)64)

/* Bytes of an array, rounded up to the alignment; false when that is no possible size of an object. */
static bool array_bytes(int64_t count, size_t size, size_t *bytes) {
    size_t n;
    if (count < 0 || __builtin_mul_overflow((uint64_t)count, size, &n) || n > PTRDIFF_MAX - ALIGNMENT) return false;
    *bytes = n == 0 ? ALIGNMENT : (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return true;
}

static rllc_status aligned_bytes(void **out, int64_t count, size_t size) {
    size_t bytes;
    *out = NULL;
    if (!array_bytes(count, size, &bytes)) {
        return rllc_fail(RLLC_ENOMEM, "%lld elements of %zu bytes are more than can be addressed", (long long)count,
                         size);
    }
    void *fresh = aligned_alloc(ALIGNMENT, bytes);
    if (!fresh) return rllc_fail(RLLC_ENOMEM, "no memory for %zu more bytes", bytes);
    *out = fresh;
    return RLLC_OK;
}

rllc_status rllc_alloc(void *out_pointer, int64_t count, size_t size) {
    void *fresh;
    rllc_status status = aligned_bytes(&fresh, count, size);
    if (status == RLLC_OK) memset(fresh, 0, (size_t)count * size);
    memcpy(out_pointer, &fresh, sizeof fresh); /* T ** is not void **: copied as bytes */
    return status;
}

rllc_status rllc_grow(void *pointer, int64_t old_count, int64_t new_count, size_t size) {
    void *old, *fresh;
    memcpy(&old, pointer, sizeof old);
    if (old_count < 0 || new_count < old_count) {
        return rllc_fail(RLLC_ENOMEM, "an array of %lld elements cannot grow to %lld", (long long)old_count,
                         (long long)new_count);
    }
    if (old && new_count == old_count) return RLLC_OK;
    rllc_status status = aligned_bytes(&fresh, new_count, size);
    if (status != RLLC_OK) return status;
    size_t kept = (size_t)old_count * size;
    if (kept > 0 && old) memcpy(fresh, old, kept);
    if (!old) kept = 0;
    memset((char *)fresh + kept, 0, (size_t)new_count * size - kept);
    free(old);
    memcpy(pointer, &fresh, sizeof fresh);
    return RLLC_OK;
}

void rllc_free(void *pointer) {
    free(pointer);
}

size_t rllc_peak_memory(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0 || usage.ru_maxrss < 0) return 0;
    return (size_t)usage.ru_maxrss * 1024; /* Linux counts kilobytes */
}
