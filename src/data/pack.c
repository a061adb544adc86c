/* A corpus: documents are read in turn, tokenized in parallel, dealt to the splits and packed in turn. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "data/input.h"
#include "data/pack.h"

enum { BATCH_BYTES = 1 << 22, BATCH_DOCUMENTS = 4096 };

/* Some documents, copied out of the reader, and their ids. */
typedef struct batch {
    const rllc_tokenizer *tokenizer;
    rllc_string text; /* all of them, one after another */
    size_t begin[BATCH_DOCUMENTS + 1];
    rllc_ids ids[BATCH_DOCUMENTS];
    int64_t n, first; /* documents, and the number of the first of them in the corpus */
    bool last;
} batch;

typedef struct packer {
    const rllc_packing_options *options;
    rllc_reader *reader;
    batch *batch;
    rllc_data_row_writer writers[RLLC_SPLITS];
    int64_t tokens;
} packer;

int rllc_document_split(const rllc_packing_options *p, const char *text, size_t n) {
    double u = (double)(rllc_hash64(text, n, p->split_seed) >> 11) * 0x1p-53; /* uniform in [0, 1) */
    double validation = p->validation_fraction, sampling = validation + p->sampling_fraction;
    if (u < validation) return RLLC_VALIDATION;
    if (u < sampling) return RLLC_SAMPLING;
    return u < sampling + p->analysis_fraction ? RLLC_ANALYSIS : RLLC_TRAIN;
}

static rllc_status check_fractions(const rllc_packing_options *p) {
    double v = p->validation_fraction, s = p->sampling_fraction, a = p->analysis_fraction;
    if (v >= 0 && s >= 0 && a >= 0 && v + s + a <= 1) return RLLC_OK;
    return rllc_fail(RLLC_EUSAGE,
                     "validation_fraction + sampling_fraction + analysis_fraction = %g; each must be at least 0 and "
                     "the sum at most 1",
                     v + s + a);
}

static rllc_status check_options(const rllc_packing_options *p, const rllc_tokenizer *t) {
    if (p->n_ctx < 2)
        return rllc_fail(RLLC_EUSAGE, "n_ctx is %lld; a row needs BOS and a token, so at least 2", (long long)p->n_ctx);
    if (!(p->repeat_fraction >= 0 && p->repeat_fraction <= 1)) {
        return rllc_fail(RLLC_EUSAGE, "repeat_fraction is %g; expected 0 to 1", p->repeat_fraction);
    }
    if (p->repeat_fraction > 0 && p->n_ctx < 17) {
        return rllc_fail(RLLC_EUSAGE,
                         "repeat_fraction needs n_ctx of at least 17, not %lld: spans have 8 tokens or more",
                         (long long)p->n_ctx);
    }
    if (rllc_tokenizer_bos(t) < 0) {
        return rllc_fail(RLLC_EINPUT,
                         "the tokenizer has no <|endoftext|> and no other single special token to begin rows with");
    }
    return check_fractions(p);
}

/* ---- batches ----------------------------------------------------------------------------------------------- */

static rllc_status read_batch(packer *p) {
    rllc_status status = RLLC_OK;
    batch *b = p->batch;
    b->first += b->n;
    b->n = 0;
    rllc_string_clear(&b->text);
    while (b->n < BATCH_DOCUMENTS && b->text.length < BATCH_BYTES) {
        const char *text;
        size_t n;
        RLLC_TRY(rllc_reader_next(p->reader, &text, &n));
        b->last = text == NULL;
        if (b->last) break;
        b->begin[b->n] = b->text.length;
        RLLC_TRY(rllc_string_add_bytes(&b->text, text, n));
        b->begin[++b->n] = b->text.length;
    }
done:
    return status;
}

static rllc_status encode_document(void *context, int64_t i, int worker) {
    batch *b = context;
    (void)worker;
    b->ids[i].n = 0;
    rllc_status status =
        rllc_tokenizer_encode(b->tokenizer, b->text.data + b->begin[i], b->begin[i + 1] - b->begin[i], &b->ids[i]);
    return rllc_fail_within(status, "document %lld", (long long)(b->first + i + 1));
}

static void free_batch(batch *b) {
    if (!b) return;
    for (int64_t i = 0; i < BATCH_DOCUMENTS; i++) rllc_ids_release(&b->ids[i]);
    rllc_string_release(&b->text);
    rllc_free(b);
}

static bool full(const packer *p) {
    return p->options->max_tokens > 0 && p->tokens >= p->options->max_tokens;
}

/* Long documents leave large buffers behind; what is far above the usual is given back. */
static void trim(rllc_ids *ids) {
    if (ids->capacity > BATCH_BYTES) rllc_ids_release(ids);
}

static rllc_status pack_batch(packer *p) {
    batch *b = p->batch;
    for (int64_t i = 0; i < b->n && !full(p); i++) {
        const char *text = b->text.data + b->begin[i];
        size_t n = b->begin[i + 1] - b->begin[i];
        rllc_data_row_writer *w = &p->writers[rllc_document_split(p->options, text, n)];
        int64_t before = w->tokens;
        rllc_status status = rllc_data_row_writer_add(w, &b->ids[i], n);
        if (status != RLLC_OK) return status;
        p->tokens += w->tokens - before;
        trim(&b->ids[i]);
    }
    return RLLC_OK;
}

static void report(const packer *p, const rllc_monitor *monitor) {
    double done, total;
    rllc_reader_position(p->reader, &done, &total);
    rllc_report_progress(monitor, "pack", "MB", done / 1e6, total / 1e6, "%.3g M tokens", (double)p->tokens / 1e6);
}

static rllc_status pack_all(packer *p, const rllc_monitor *monitor) {
    rllc_status status = RLLC_OK;
    while (!p->batch->last && !full(p)) {
        if (rllc_should_stop(monitor)) return rllc_fail(RLLC_ESTOPPED, "stopped while packing; nothing was written");
        RLLC_TRY(read_batch(p));
        RLLC_TRY(rllc_parallel(p->batch->n, 0, encode_document, p->batch));
        RLLC_TRY(pack_batch(p));
        report(p, monitor);
    }
done:
    return status;
}

/* ---- what is written --------------------------------------------------------------------------------------- */

static rllc_status check_rows(const packer *p, const rllc_reader_options *reader, const rllc_monitor *monitor) {
    int64_t rows = 0, documents = 0;
    for (int i = 0; i < RLLC_SPLITS; i++) {
        rows += p->writers[i].rows;
        documents += p->writers[i].documents;
    }
    if (documents == 0) return rllc_fail(RLLC_EINPUT, "%s: there is no text in it", reader->sources);
    if (rows == 0) {
        return rllc_fail(
            RLLC_EINPUT,
            "%s: %lld tokens in %lld documents do not fill one row of n_ctx = %lld in any split; give more "
            "text or a smaller n_ctx",
            reader->sources, (long long)p->tokens, (long long)documents, (long long)p->options->n_ctx);
    }
    const double share[RLLC_SPLITS] = {
        1 - p->options->validation_fraction - p->options->sampling_fraction - p->options->analysis_fraction,
        p->options->validation_fraction, p->options->sampling_fraction, p->options->analysis_fraction};
    for (int i = 0; i < RLLC_SPLITS; i++) {
        if (p->writers[i].rows > 0 || share[i] < 1e-9) continue;
        rllc_report_message(
            monitor,
            "the %s split has no full row: %lld of %lld documents fell into it; more documents help, also long ones "
            "cut into several with cut_bytes",
            rllc_split_names[i], (long long)p->writers[i].documents, (long long)documents);
    }
    return RLLC_OK;
}

static rllc_status set_options(rllc_json *j, const char *key, const rllc_option_table *table, const void *options) {
    rllc_json *value = NULL;
    rllc_status status = rllc_options_to_json(table, options, &value);
    return status == RLLC_OK ? rllc_json_set(j, key, value) : status;
}

static rllc_status corpus_json(const packer *p, const rllc_reader_options *reader, const rllc_tokenizer *t,
                               rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *splits = rllc_json_object(), *sources = NULL;
    RLLC_TRY(rllc_json_set(j, "schema", rllc_json_string("rllc.corpus/1")));
    RLLC_TRY(rllc_json_set(j, "version", rllc_json_string(RLLC_VERSION)));
    RLLC_TRY(rllc_json_set(j, "tokenizer_hash", rllc_json_string(rllc_tokenizer_hash(t).hex)));
    RLLC_TRY(rllc_json_set(j, "d_vocab", rllc_json_integer(rllc_tokenizer_size(t))));
    RLLC_TRY(rllc_json_set(j, "bos", rllc_json_integer(rllc_tokenizer_bos(t))));
    RLLC_TRY(rllc_json_set(j, "n_ctx", rllc_json_integer(p->options->n_ctx)));
    for (int i = 0; i < RLLC_SPLITS; i++) {
        RLLC_TRY(rllc_json_set(splits, rllc_split_names[i], rllc_data_row_writer_json(&p->writers[i])));
    }
    status = rllc_json_set(j, "splits", splits);
    splits = NULL;
    RLLC_TRY(status);
    RLLC_TRY(set_options(j, "reader", &rllc_reader_option_table, reader));
    RLLC_TRY(set_options(j, "packing", &rllc_packing_option_table, p->options));
    RLLC_TRY(rllc_data_reader_sources(p->reader, &sources));
    RLLC_TRY(rllc_json_set(j, "sources", sources));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    rllc_json_free(splits);
    return status;
}

/* The files appear, corpus.json last. An older corpus.json goes first: it must not stand beside new rows. */
static rllc_status commit(packer *p, const char *folder, const rllc_reader_options *reader, const rllc_tokenizer *t) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    rllc_string text = {0};
    const char *path = rllc_intern_printf("%s/corpus.json", folder);
    if (!path) return rllc_fail(RLLC_ENOMEM, "no memory for a path");
    RLLC_TRY(corpus_json(p, reader, t, &j));
    RLLC_TRY(rllc_json_print(j, 2, false, &text));
    RLLC_TRY(rllc_string_add(&text, "\n"));
    if (unlink(path) != 0 && errno != ENOENT) {
        status = rllc_fail(RLLC_EIO, "%s: cannot be replaced: %s", path, strerror(errno));
        goto done;
    }
    for (int i = 0; i < RLLC_SPLITS; i++) RLLC_TRY(rllc_data_row_writer_commit(&p->writers[i]));
    RLLC_TRY(rllc_file_write(path, text.data, text.length));
done:
    rllc_json_free(j);
    rllc_string_release(&text);
    return status;
}

rllc_status rllc_corpus_pack(const char *folder, const rllc_reader_options *reader, const rllc_packing_options *packing,
                             const rllc_tokenizer *tokenizer, const rllc_monitor *monitor) {
    rllc_status status = RLLC_OK;
    packer p = {.options = packing};
    RLLC_TRY(check_options(packing, tokenizer));
    RLLC_TRY(rllc_reader_open(&p.reader, reader));
    RLLC_TRY(rllc_alloc(&p.batch, 1, sizeof *p.batch));
    p.batch->tokenizer = tokenizer;
    RLLC_TRY(rllc_make_folders(folder));
    for (int i = 0; i < RLLC_SPLITS; i++)
        RLLC_TRY(rllc_data_row_writer_open(&p.writers[i], folder, i, packing, tokenizer));
    RLLC_TRY(pack_all(&p, monitor));
    RLLC_TRY(check_rows(&p, reader, monitor));
    RLLC_TRY(commit(&p, folder, reader, tokenizer));
done:
    for (int i = 0; i < RLLC_SPLITS; i++) rllc_data_row_writer_release(&p.writers[i]);
    free_batch(p.batch);
    rllc_reader_close(p.reader);
    return status;
}

rllc_status rllc_corpus_train_tokenizer(const rllc_reader_options *reader, const rllc_packing_options *packing,
                                        const rllc_bpe_options *bpe, const rllc_monitor *monitor,
                                        rllc_tokenizer **out) {
    rllc_status status = RLLC_OK;
    rllc_reader *r = NULL;
    rllc_bpe_trainer *b = NULL;
    const char *text;
    size_t n;
    int64_t bytes = 0;
    double done, total;
    *out = NULL;
    RLLC_TRY(check_fractions(packing));
    RLLC_TRY(rllc_reader_open(&r, reader));
    RLLC_TRY(rllc_bpe_trainer_new(&b, bpe));
    for (;;) {
        if (rllc_should_stop(monitor)) {
            status = rllc_fail(RLLC_ESTOPPED, "stopped while reading text for the tokenizer; nothing was written");
            goto done;
        }
        RLLC_TRY(rllc_reader_next(r, &text, &n));
        if (!text || (bpe->max_bytes > 0 && bytes >= bpe->max_bytes)) break;
        if (rllc_document_split(packing, text, n) != RLLC_TRAIN) continue;
        RLLC_TRY(rllc_bpe_trainer_add(b, text, n));
        bytes += (int64_t)n;
        rllc_reader_position(r, &done, &total);
        rllc_report_progress(monitor, "words", "MB", done / 1e6, total / 1e6, "%s", "");
    }
    if (bytes == 0) {
        status = rllc_fail(RLLC_EINPUT, "%s: no text in the training split to train a tokenizer on", reader->sources);
        goto done;
    }
    RLLC_TRY(rllc_bpe_trainer_finish(b, monitor, out));
    if (rllc_tokenizer_size(*out) < bpe->vocab_size) {
        rllc_report_message(
            monitor, "the text gives a vocabulary of %lld entries, not %lld: no further pair occurs often enough",
            (long long)rllc_tokenizer_size(*out), (long long)bpe->vocab_size);
    }
done:
    rllc_bpe_trainer_free(b);
    rllc_reader_close(r);
    return status;
}
