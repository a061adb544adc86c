/* Content hashes: XXH3 of 128 bits for identities, of 64 bits for splits and tables. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "rllc/base.h"

struct rllc_hasher {
    XXH3_state_t *state;
};

static rllc_hash in_hex(XXH128_hash_t value) {
    static const char digits[] = "0123456789abcdef";
    XXH128_canonical_t bytes; /* big-endian, as xxhsum prints it */
    XXH128_canonicalFromHash(&bytes, value);
    rllc_hash hash;
    for (int i = 0; i < 16; i++) {
        hash.hex[2 * i] = digits[bytes.digest[i] >> 4];
        hash.hex[2 * i + 1] = digits[bytes.digest[i] & 15];
    }
    hash.hex[32] = '\0';
    return hash;
}

rllc_hash rllc_hash_bytes(const void *bytes, size_t n) {
    return in_hex(XXH3_128bits(n > 0 ? bytes : "", n));
}

rllc_hash rllc_hash_text(const char *text) {
    return rllc_hash_bytes(text, strlen(text));
}

uint64_t rllc_hash64(const void *bytes, size_t n, uint64_t seed) {
    return XXH3_64bits_withSeed(n > 0 ? bytes : "", n, seed);
}

rllc_status rllc_hasher_new(rllc_hasher **out) {
    *out = NULL;
    rllc_hasher *h = malloc(sizeof *h);
    XXH3_state_t *state = h ? XXH3_createState() : NULL;
    if (!state) {
        free(h);
        return rllc_fail(RLLC_ENOMEM, "no memory for a hash state");
    }
    XXH3_128bits_reset(state);
    h->state = state;
    *out = h;
    return RLLC_OK;
}

void rllc_hasher_add(rllc_hasher *h, const void *bytes, size_t n) {
    if (n > 0) XXH3_128bits_update(h->state, bytes, n);
}

rllc_hash rllc_hasher_end(const rllc_hasher *h) {
    return in_hex(XXH3_128bits_digest(h->state));
}

void rllc_hasher_free(rllc_hasher *h) {
    if (!h) return;
    XXH3_freeState(h->state);
    free(h);
}

/* Adds what is left of an open file; read rather than mapped, so that a file cut short meanwhile is no SIGBUS. */
static rllc_status add_file(rllc_hasher *h, int file, const char *path, unsigned char *buffer, size_t size) {
    for (;;) {
        ssize_t n = read(file, buffer, size);
        if (n == 0) return RLLC_OK;
        if (n > 0) rllc_hasher_add(h, buffer, (size_t)n);
        if (n < 0 && errno != EINTR) return rllc_fail(RLLC_EIO, "%s: cannot read: %s", path, strerror(errno));
    }
}

rllc_status rllc_hash_file(const char *path, rllc_hash *out) {
    const size_t size = (size_t)1 << 20;
    rllc_hasher *h = NULL;
    unsigned char *buffer = NULL;
    rllc_status status = RLLC_OK;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        bool missing = errno == ENOENT || errno == ENOTDIR;
        return rllc_fail(missing ? RLLC_ENOTFOUND : RLLC_EIO, "%s: cannot open: %s", path, strerror(errno));
    }
    RLLC_TRY(rllc_alloc(&buffer, (int64_t)size, 1));
    RLLC_TRY(rllc_hasher_new(&h));
    RLLC_TRY(add_file(h, file, path, buffer, size));
    *out = rllc_hasher_end(h);
done:
    rllc_hasher_free(h);
    rllc_free(buffer);
    close(file);
    return status;
}
