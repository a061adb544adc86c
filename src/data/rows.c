/* Rows of token ids, mapped from a .npy file. */
#include <stdio.h>
#include <string.h>

#include "rllc/data.h"

/* What corpus.json beside the file says about it: "" where there is none, or it speaks of other files. */
static rllc_status recorded_hash(const char *path, rllc_hash *hash, int64_t *rows) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char file[4096];
    rllc_json *corpus = NULL;
    hash->hex[0] = '\0';
    int n = snprintf(file, sizeof file, "%.*scorpus.json", (int)(name - path), path);
    if (n < 0 || n >= (int)sizeof file || !rllc_file_exists(file)) return RLLC_OK;
    rllc_status status = rllc_json_load(&corpus, file);
    if (status != RLLC_OK) return status;
    const rllc_json *splits = rllc_json_get(corpus, "splits");
    for (int i = 0; i < RLLC_SPLITS; i++) {
        const rllc_json *split = rllc_json_get(splits, rllc_split_names[i]);
        const char *named = rllc_json_text(rllc_json_get(split, "file")),
                   *hex = rllc_json_text(rllc_json_get(split, "hash"));
        if (!named || !hex || strcmp(named, name) != 0 || strlen(hex) != 32) continue;
        memcpy(hash->hex, hex, 33);
        *rows = rllc_json_to_integer(rllc_json_get(split, "rows"), -1);
    }
    rllc_json_free(corpus);
    return RLLC_OK;
}

static rllc_status set_type(rllc_rows *r, const char *path, const char *descr) {
    static const struct {
        const char *descr;
        int bytes;
        bool is_signed;
    } types[] = {{"|u1", 1, false}, {"<u1", 1, false}, {"<u2", 2, false},
                 {"<u4", 4, false}, {"<i4", 4, true},  {"<i8", 8, true}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].descr, descr) != 0) continue;
        r->bytes = types[i].bytes;
        r->is_signed = types[i].is_signed;
        return RLLC_OK;
    }
    return rllc_fail(RLLC_EUNSUPPORTED,
                     "%s: token ids of type '%s'; u1, u2, u4, i4 and i8 (little-endian) are supported", path, descr);
}

static rllc_status set_shape(rllc_rows *r, const char *path, int n_dims, const int64_t *shape) {
    if (n_dims < 1 || n_dims > 3) {
        return rllc_fail(RLLC_EUNSUPPORTED,
                         "%s: %d dimensions; rows of ids have 1 to 3: [n_ctx], [rows, n_ctx] or [steps, batch, n_ctx]",
                         path, n_dims);
    }
    for (int i = 0; i < 3; i++) r->shape[i] = i < 3 - n_dims ? 1 : shape[i - (3 - n_dims)];
    r->n_ctx = r->shape[2];
    if (r->n_ctx == 0 || __builtin_mul_overflow(r->shape[0], r->shape[1], &r->rows)) {
        return rllc_fail(RLLC_EINPUT, "%s: rows without a single id", path);
    }
    return RLLC_OK;
}

static int64_t token_at(const rllc_rows *r, int64_t i) {
    const unsigned char *p = r->data + i * r->bytes;
    uint64_t value = 0;
    for (int b = r->bytes - 1; b >= 0; b--) value = value << 8 | p[b];
    return r->is_signed && r->bytes == 4 ? (int32_t)(uint32_t)value : (int64_t)value;
}

static rllc_status check_ids(const rllc_rows *r, int64_t d_vocab) {
    for (int64_t i = 0; i < r->rows * r->n_ctx; i++) {
        int64_t id = token_at(r, i);
        if (id >= 0 && id < d_vocab) continue;
        return rllc_fail(RLLC_EMISMATCH,
                         "%s: row %lld, place %lld: the id %lld is not in a vocabulary of %lld; was it made with "
                         "another tokenizer?",
                         r->path, (long long)(i / r->n_ctx), (long long)(i % r->n_ctx), (long long)id,
                         (long long)d_vocab);
    }
    return RLLC_OK;
}

/* The hash stands in corpus.json; it is computed where it does not, or where the data are read anyway. */
static rllc_status set_hash(rllc_rows *r, bool verify) {
    int64_t rows = -1;
    rllc_status status = recorded_hash(r->path, &r->hash, &rows);
    if (status != RLLC_OK) return status;
    bool recorded = r->hash.hex[0] != '\0';
    if (recorded && rows != r->rows) {
        return rllc_fail(RLLC_EMISMATCH,
                         "%s: %lld rows, but the corpus.json beside it says %lld; pack the corpus again", r->path,
                         (long long)r->rows, (long long)rows);
    }
    if (recorded && !verify) return RLLC_OK;
    rllc_hash found = rllc_hash_bytes(r->data, (size_t)(r->rows * r->n_ctx * r->bytes));
    if (recorded && strcmp(found.hex, r->hash.hex) != 0) {
        return rllc_fail(RLLC_EMISMATCH,
                         "%s: the ids are not those that corpus.json beside it speaks of (hash %s, recorded %s); pack "
                         "the corpus again",
                         r->path, found.hex, r->hash.hex);
    }
    r->hash = found;
    return RLLC_OK;
}

rllc_status rllc_rows_open(rllc_rows *r, const char *path, int64_t d_vocab) {
    rllc_status status = RLLC_OK;
    char descr[8];
    int n_dims;
    int64_t shape[8];
    size_t offset;
    *r = (rllc_rows){0};
    r->path = rllc_intern(path);
    if (!r->path) return rllc_fail(RLLC_ENOMEM, "no memory for a path");
    RLLC_TRY(rllc_mapping_open(&r->mapping, path));
    RLLC_TRY(rllc_npy_parse(&r->mapping, path, descr, &n_dims, shape, &offset));
    RLLC_TRY(set_type(r, path, descr));
    RLLC_TRY(set_shape(r, path, n_dims, shape));
    r->n_dims = n_dims;
    r->data = r->mapping.data + offset;
    if (d_vocab > 0) RLLC_TRY(check_ids(r, d_vocab));
    RLLC_TRY(set_hash(r, d_vocab > 0));
done:
    if (status != RLLC_OK) rllc_rows_close(r);
    return status;
}

void rllc_rows_get(const rllc_rows *r, int64_t row, int32_t *out) {
    int64_t begin = row * r->n_ctx;
    if (r->bytes == 2) { /* what this program writes */
        const unsigned char *p = r->data + begin * 2;
        for (int64_t i = 0; i < r->n_ctx; i++) out[i] = p[2 * i] | p[2 * i + 1] << 8;
        return;
    }
    for (int64_t i = 0; i < r->n_ctx; i++) out[i] = (int32_t)token_at(r, begin + i);
}

void rllc_rows_close(rllc_rows *r) {
    rllc_mapping_close(&r->mapping);
    *r = (rllc_rows){0};
}
