/* The bytes of a file or of standard input, unpacked if they are compressed, hashed as they lie in the file. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "data/input.h"

enum { BLOCK = 1 << 18, HEAD = 16 };

struct rllc_data_stream {
    const char *path; /* interned */
    int file;
    bool owned; /* not standard input */
    unsigned char *block;
    size_t n, at; /* bytes in the block, and how many of them were passed on */
    bool ended;
    int64_t raw_bytes;
    rllc_hasher *hasher;
    rllc_data_unpacker *unpacker; /* NULL: not compressed */
};

/* Adds to the block until it has at least `least` bytes or the file ends. */
static rllc_status fill(rllc_data_stream *s, size_t least) {
    while (!s->ended && s->n < least) {
        ssize_t got = read(s->file, s->block + s->n, BLOCK - s->n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return rllc_fail(RLLC_EIO, "%s: reading failed: %s", s->path, strerror(errno));
        rllc_hasher_add(s->hasher, s->block + s->n, (size_t)got);
        s->n += (size_t)got;
        s->raw_bytes += got;
        s->ended = got == 0;
    }
    return RLLC_OK;
}

/* What is left of the block, else the next one. */
static rllc_status pull(void *context, const void **block, size_t *n) {
    rllc_data_stream *s = context;
    if (s->at == s->n) {
        s->at = s->n = 0;
        rllc_status status = fill(s, 1);
        if (status != RLLC_OK) return status;
    }
    *block = s->block + s->at;
    *n = s->n - s->at;
    s->at = s->n;
    return RLLC_OK;
}

rllc_status rllc_data_stream_open(rllc_data_stream **out, const char *path) {
    rllc_status status = RLLC_OK;
    rllc_data_stream *s = NULL;
    *out = NULL;
    RLLC_TRY(rllc_alloc(&s, 1, sizeof *s));
    s->owned = strcmp(path, "-") != 0;
    s->path = rllc_intern(s->owned ? path : "standard input");
    s->file = -1;
    if (!s->path) RLLC_TRY(rllc_fail(RLLC_ENOMEM, "no memory for a path"));
    s->file = s->owned ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (s->file < 0) {
        status =
            rllc_fail(errno == ENOENT ? RLLC_ENOTFOUND : RLLC_EIO, "%s: cannot be opened: %s", path, strerror(errno));
        goto done;
    }
    RLLC_TRY(rllc_alloc(&s->block, BLOCK, 1));
    RLLC_TRY(rllc_hasher_new(&s->hasher));
    RLLC_TRY(fill(s, HEAD));
    const char *compression = rllc_data_compression(s->block, s->n);
    if (compression) RLLC_TRY(rllc_data_unpacker_new(&s->unpacker, compression, pull, s, s->path));
    *out = s;
    s = NULL;
done:
    rllc_data_stream_close(s);
    return status;
}

rllc_status rllc_data_stream_read(rllc_data_stream *s, void *buffer, size_t n, size_t *got) {
    *got = 0;
    if (s->unpacker) return rllc_data_unpacker_read(s->unpacker, buffer, n, got);
    if (s->at == s->n) {
        s->at = s->n = 0;
        rllc_status status = fill(s, 1);
        if (status != RLLC_OK) return status;
    }
    *got = n < s->n - s->at ? n : s->n - s->at;
    memcpy(buffer, s->block + s->at, *got);
    s->at += *got;
    return RLLC_OK;
}

int64_t rllc_data_stream_raw_bytes(const rllc_data_stream *s) {
    return s->raw_bytes;
}

rllc_hash rllc_data_stream_raw_hash(const rllc_data_stream *s) {
    return rllc_hasher_end(s->hasher);
}

bool rllc_data_stream_compressed(const rllc_data_stream *s) {
    return s->unpacker != NULL;
}

void rllc_data_stream_close(rllc_data_stream *s) {
    if (!s) return;
    rllc_data_unpacker_free(s->unpacker);
    if (s->owned && s->file >= 0) close(s->file);
    rllc_hasher_free(s->hasher);
    rllc_free(s->block);
    rllc_free(s);
}
