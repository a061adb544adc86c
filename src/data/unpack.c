/* Decompression: zstd by libzstd (windows of any size), the others by libarchive. */
#include <errno.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>
#include <zstd.h>

#include "data/input.h"

struct rllc_data_unpacker {
    rllc_data_pull *pull;
    void *context;
    const char *path, *compression;
    ZSTD_DCtx *zstd;
    ZSTD_inBuffer in;
    bool in_frame; /* zstd: a frame has begun and not ended */
    struct archive *archive;
    bool empty;            /* libarchive: nothing is packed */
    rllc_status failed;    /* libarchive: of the last pull */
    int64_t given;         /* libarchive: bytes handed over */
    unsigned char tail[8]; /* the last of them */
    uint32_t crc, length;  /* of what was unpacked, as gzip counts */
    uint32_t crc_table[256];
};

const char *rllc_data_compression(const unsigned char *head, size_t n) {
    static const struct {
        const char *name;
        unsigned char bytes[6];
        size_t n;
    } magic[] = {{"gzip", {0x1F, 0x8B}, 2},
                 {"zstd", {0x28, 0xB5, 0x2F, 0xFD}, 4},
                 {"xz", {0xFD, '7', 'z', 'X', 'Z', 0}, 6},
                 {"lz4", {0x04, 0x22, 0x4D, 0x18}, 4}};
    for (size_t i = 0; i < sizeof magic / sizeof magic[0]; i++) {
        if (n >= magic[i].n && memcmp(head, magic[i].bytes, magic[i].n) == 0) return magic[i].name;
    }
    if (n >= 4 && (head[0] & 0xF0) == 0x50 && memcmp(head + 1, "\x2A\x4D\x18", 3) == 0)
        return "zstd"; /* skippable frame */
    /* "BZh9" may begin a text; the number of a block (pi) or of the end (sqrt pi) behind it does not. */
    bool level = n >= 10 && memcmp(head, "BZh", 3) == 0 && head[3] >= '1' && head[3] <= '9';
    if (level && (memcmp(head + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
                  memcmp(head + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0)) {
        return "bzip2";
    }
    return NULL;
}

static rllc_status damaged(const rllc_data_unpacker *u, const char *reason) {
    return rllc_fail(RLLC_EINPUT, "%s: the %s data are damaged or end early: %s", u->path, u->compression, reason);
}

/* ---- gzip's own check, which libarchive (3.6) leaves out --------------------------------------------------- */

static void make_crc_table(uint32_t table[256]) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1; /* RFC 1952, 8 */
        table[i] = c;
    }
}

static void count_unpacked(rllc_data_unpacker *u, const unsigned char *bytes, size_t n) {
    uint32_t crc = ~u->crc;
    for (size_t i = 0; i < n; i++) crc = crc >> 8 ^ u->crc_table[(crc ^ bytes[i]) & 0xFF];
    u->crc = ~crc;
    u->length += (uint32_t)n;
}

/* Keeps the last 8 bytes of the file. */
static void keep_tail(rllc_data_unpacker *u, const unsigned char *bytes, size_t n) {
    size_t fresh = n < 8 ? n : 8;
    memmove(u->tail, u->tail + fresh, 8 - fresh);
    memcpy(u->tail + 8 - fresh, bytes + n - fresh, fresh);
}

static uint32_t word_at(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* The file ends in the check value and the length of its last member. If that is the length of everything, there is no
   other member, and the check value must be that of everything, too. */
static rllc_status check_gzip(const rllc_data_unpacker *u) {
    if (word_at(u->tail + 4) != u->length || word_at(u->tail) == u->crc) return RLLC_OK;
    return damaged(u, "the check value (CRC-32) is wrong");
}

/* ---- libarchive -------------------------------------------------------------------------------------------- */

static la_ssize_t give(struct archive *a, void *context, const void **block) {
    rllc_data_unpacker *u = context;
    size_t n;
    u->failed = u->pull(u->context, block, &n);
    if (u->failed != RLLC_OK) {
        archive_set_error(a, EIO, "%s", "reading failed");
        return -1;
    }
    u->given += (int64_t)n;
    if (n > 0) keep_tail(u, *block, n);
    return (la_ssize_t)n;
}

static rllc_status archive_failure(const rllc_data_unpacker *u) {
    const char *reason = archive_error_string(u->archive);
    return u->failed != RLLC_OK ? u->failed : damaged(u, reason ? reason : "no reason given");
}

static rllc_status open_archive(rllc_data_unpacker *u) {
    u->archive = archive_read_new();
    if (!u->archive) return rllc_fail(RLLC_ENOMEM, "no memory for libarchive");
    const char *c = u->compression;
    int supported = strcmp(c, "gzip") == 0    ? archive_read_support_filter_gzip(u->archive)
                    : strcmp(c, "bzip2") == 0 ? archive_read_support_filter_bzip2(u->archive)
                    : strcmp(c, "lz4") == 0   ? archive_read_support_filter_lz4(u->archive)
                                              : archive_read_support_filter_xz(u->archive);
    if (supported != ARCHIVE_OK) {
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: this libarchive was built without %s; unpack the file first", u->path,
                         c);
    }
    archive_read_support_format_raw(u->archive);
    archive_read_support_format_empty(u->archive);
    struct archive_entry *entry;
    if (archive_read_open(u->archive, u, NULL, give, NULL) != ARCHIVE_OK) return archive_failure(u);
    int found = archive_read_next_header(u->archive, &entry);
    if (found != ARCHIVE_OK && found != ARCHIVE_EOF) return archive_failure(u);
    u->empty = found == ARCHIVE_EOF;
    if (archive_filter_code(u->archive, 0) == ARCHIVE_FILTER_NONE) return damaged(u, "the header is cut");
    make_crc_table(u->crc_table);
    return RLLC_OK;
}

/* libarchive takes what follows the last frame for the end: nothing may follow. */
static rllc_status check_end(rllc_data_unpacker *u) {
    const void *block;
    size_t more;
    int64_t used = archive_filter_bytes(u->archive, -1);
    rllc_status status = u->pull(u->context, &block, &more);
    if (status != RLLC_OK) return status;
    if (used == u->given && more == 0) return strcmp(u->compression, "gzip") == 0 ? check_gzip(u) : RLLC_OK;
    return rllc_fail(RLLC_EINPUT,
                     "%s: bytes follow the end of the %s data (at byte %lld); is the file cut or joined wrongly?",
                     u->path, u->compression, (long long)used);
}

static rllc_status read_archive(rllc_data_unpacker *u, void *buffer, size_t n, size_t *got) {
    la_ssize_t m = u->empty ? 0 : archive_read_data(u->archive, buffer, n);
    if (m < 0) return archive_failure(u);
    *got = (size_t)m;
    if (strcmp(u->compression, "gzip") == 0) count_unpacked(u, buffer, *got);
    return m == 0 ? check_end(u) : RLLC_OK;
}

/* ---- libzstd ----------------------------------------------------------------------------------------------- */

static rllc_status open_zstd(rllc_data_unpacker *u) {
    u->zstd = ZSTD_createDCtx();
    if (!u->zstd) return rllc_fail(RLLC_ENOMEM, "no memory for libzstd");
    ZSTD_bounds window = ZSTD_dParam_getBounds(ZSTD_d_windowLogMax); /* frames of zstd --long=31, too */
    size_t done = ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, window.upperBound);
    return ZSTD_isError(done) ? rllc_fail(RLLC_EFAIL, "libzstd: %s", ZSTD_getErrorName(done)) : RLLC_OK;
}

static rllc_status read_zstd(rllc_data_unpacker *u, void *buffer, size_t n, size_t *got) {
    ZSTD_outBuffer out = {buffer, n, 0};
    while (out.pos == 0) {
        bool more = true;
        if (u->in.pos == u->in.size) {
            rllc_status status = u->pull(u->context, &u->in.src, &u->in.size);
            if (status != RLLC_OK) return status;
            u->in.pos = 0;
            more = u->in.size > 0;
        }
        if (!more && !u->in_frame) break;
        size_t left = ZSTD_decompressStream(u->zstd, &out, &u->in);
        if (ZSTD_isError(left)) return damaged(u, ZSTD_getErrorName(left));
        u->in_frame = left != 0;
        if (!more && out.pos == 0 && u->in_frame) return damaged(u, "the last frame is cut");
    }
    *got = out.pos;
    return RLLC_OK;
}

/* ---- both -------------------------------------------------------------------------------------------------- */

rllc_status rllc_data_unpacker_new(rllc_data_unpacker **out, const char *compression, rllc_data_pull *pull,
                                   void *context, const char *path) {
    rllc_status status = RLLC_OK;
    rllc_data_unpacker *u = NULL;
    *out = NULL;
    RLLC_TRY(rllc_alloc(&u, 1, sizeof *u));
    u->pull = pull;
    u->context = context;
    u->path = path;
    u->compression = compression;
    RLLC_TRY(strcmp(compression, "zstd") == 0 ? open_zstd(u) : open_archive(u));
    *out = u;
    u = NULL;
done:
    rllc_data_unpacker_free(u);
    return status;
}

rllc_status rllc_data_unpacker_read(rllc_data_unpacker *u, void *buffer, size_t n, size_t *got) {
    *got = 0;
    return u->zstd ? read_zstd(u, buffer, n, got) : read_archive(u, buffer, n, got);
}

void rllc_data_unpacker_free(rllc_data_unpacker *u) {
    if (!u) return;
    ZSTD_freeDCtx(u->zstd);
    if (u->archive) archive_read_free(u->archive);
    rllc_free(u);
}
