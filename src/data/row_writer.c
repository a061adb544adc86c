/* Tokens of documents become rows of n_ctx tokens in a .npy file that grows. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "data/pack.h"

enum { LEAST_SPAN = 8 };

static rllc_stream stream_for(const rllc_packing_options *p, const char *split, const char *what) {
    char purpose[64];
    snprintf(purpose, sizeof purpose, "repeat/%s/%s", split, what);
    return rllc_stream_make(p->repeat_seed, purpose, 0, 0);
}

rllc_status rllc_data_row_writer_open(rllc_data_row_writer *w, const char *folder, int split,
                                      const rllc_packing_options *p, const rllc_tokenizer *t) {
    rllc_status status = RLLC_OK;
    const char *name = rllc_split_names[split];
    *w = (rllc_data_row_writer){.n_ctx = p->n_ctx, .bos = rllc_tokenizer_bos(t), .repeat_fraction = p->repeat_fraction};
    w->descr = rllc_tokenizer_size(t) <= 65536 ? "<u2" : "<u4";
    w->path = rllc_intern_printf("%s/%s.npy", folder, name);
    if (!w->path) return rllc_fail(RLLC_ENOMEM, "no memory for a path");
    w->choice = stream_for(p, name, "choice");
    w->length = stream_for(p, name, "length");
    w->place = stream_for(p, name, "place");
    RLLC_TRY(rllc_alloc(&w->row, w->n_ctx, sizeof *w->row));
    RLLC_TRY(rllc_alloc(&w->packed, w->n_ctx, sizeof(uint32_t)));
    RLLC_TRY(rllc_hasher_new(&w->hasher));
    RLLC_TRY(rllc_output_file_open(&w->file, w->path));
    const int64_t shape[2] = {0, w->n_ctx}; /* rewritten when the rows are known */
    RLLC_TRY(rllc_npy_write_header(w->file.stream, w->descr, 2, shape));
    w->row[0] = w->bos;
    w->filled = 1;
done:
    return status;
}

void rllc_data_row_writer_release(rllc_data_row_writer *w) {
    rllc_output_file_abort(&w->file);
    rllc_hasher_free(w->hasher);
    rllc_free(w->row);
    rllc_free(w->packed);
    *w = (rllc_data_row_writer){0};
}

/* Copies a span of the row's beginning to a later place, in the share of rows that was asked for. */
static void repeat_span(rllc_data_row_writer *w) {
    uint64_t row = (uint64_t)w->rows, n = (uint64_t)w->n_ctx, half = (n - 1) / 2;
    if (w->repeat_fraction <= 0 || rllc_stream_uniform(&w->choice, row) >= w->repeat_fraction) return;
    uint64_t span = LEAST_SPAN + rllc_stream_below(&w->length, row, half - LEAST_SPAN + 1);
    uint64_t place = span + 1 + rllc_stream_below(&w->place, row, n - 2 * span);
    memcpy(w->row + place, w->row + 1, span * sizeof *w->row);
}

static rllc_status write_row(rllc_data_row_writer *w) {
    size_t size = w->descr[2] == '2' ? 2 : 4;
    repeat_span(w);
    for (int64_t i = 0; i < w->n_ctx; i++) {
        uint32_t id = (uint32_t)w->row[i];
        for (size_t b = 0; b < size; b++) w->packed[(size_t)i * size + b] = (unsigned char)(id >> 8 * b);
    }
    size_t n = (size_t)w->n_ctx * size;
    rllc_hasher_add(w->hasher, w->packed, n);
    if (fwrite(w->packed, 1, n, w->file.stream) != n) {
        return rllc_fail(RLLC_EIO, "%s: writing failed: %s", w->path, strerror(errno));
    }
    w->rows++;
    w->filled = 1;
    return RLLC_OK;
}

static rllc_status add_tokens(rllc_data_row_writer *w, const int32_t *ids, int64_t n) {
    w->tokens += n;
    for (int64_t i = 0; i < n;) {
        int64_t m = w->n_ctx - w->filled < n - i ? w->n_ctx - w->filled : n - i;
        memcpy(w->row + w->filled, ids + i, (size_t)m * sizeof *ids);
        w->filled += m;
        i += m;
        if (w->filled < w->n_ctx) continue;
        rllc_status status = write_row(w);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

rllc_status rllc_data_row_writer_add(rllc_data_row_writer *w, const rllc_ids *ids, size_t bytes) {
    rllc_status status = RLLC_OK;
    if (w->documents > 0) RLLC_TRY(add_tokens(w, &w->bos, 1));
    if (ids->n > 0) RLLC_TRY(add_tokens(w, ids->data, ids->n));
    w->documents++;
    w->bytes += (int64_t)bytes;
done:
    return status;
}

rllc_status rllc_data_row_writer_commit(rllc_data_row_writer *w) {
    const int64_t shape[2] = {w->rows, w->n_ctx};
    if (fseek(w->file.stream, 0, SEEK_SET) != 0) {
        return rllc_fail(RLLC_EIO, "%s: writing failed: %s", w->path, strerror(errno));
    }
    rllc_status status = rllc_npy_write_header(w->file.stream, w->descr, 2, shape);
    return status == RLLC_OK ? rllc_output_file_commit(&w->file) : status;
}

rllc_json *rllc_data_row_writer_json(const rllc_data_row_writer *w) {
    const char *slash = strrchr(w->path, '/');
    rllc_json *j = rllc_json_object();
    bool ok = rllc_json_set(j, "file", rllc_json_string(slash + 1)) == RLLC_OK;
    ok = ok && rllc_json_set(j, "documents", rllc_json_integer(w->documents)) == RLLC_OK;
    ok = ok && rllc_json_set(j, "bytes", rllc_json_integer(w->bytes)) == RLLC_OK;
    ok = ok && rllc_json_set(j, "tokens", rllc_json_integer(w->tokens)) == RLLC_OK;
    ok = ok && rllc_json_set(j, "rows", rllc_json_integer(w->rows)) == RLLC_OK;
    ok = ok && rllc_json_set(j, "hash", rllc_json_string(rllc_hasher_end(w->hasher).hex)) == RLLC_OK;
    if (ok) return j;
    rllc_json_free(j);
    return NULL;
}
