/* A synthetic corpus on its way into a folder: the rows as a packed corpus has them, and beside them what is known. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "data/synth.h"

enum { TOKENS, LABELS, OPTIMUM, GENERATORS, COLUMNS };
static const struct {
    const char *suffix, *descr;
    size_t size;
} columns[COLUMNS] = {{"", "<u2", 2}, {".labels", "|u1", 1}, {".optimum", "<f4", 4}, {".generators", "|u1", 1}};

enum { CHUNK_TOKENS = 1 << 18 };

/* One split: its files, and what they add up to. */
typedef struct split_writer {
    rllc_output_file file[COLUMNS];
    const char *name[COLUMNS]; /* interned, without the folder */
    const char *path[COLUMNS];
    int64_t rows;
    rllc_hash hash;
    int64_t tokens[RLLC_LABELS];
    double optimum[RLLC_LABELS]; /* sums, added up row by row */
} split_writer;

typedef struct writer {
    const rllc_synth *synth;
    rllc_synth_options common;
    const char *folder;
    bool mixture;
    split_writer split[RLLC_SPLITS];
    rllc_synth_rows rows; /* [chunk, n_ctx] */
    unsigned char *packed;
    int64_t chunk, written, all;
} writer;

/* ---- where it may go -------------------------------------------------------------------------------------------- */

rllc_status rllc_corpus_synth_check(const char *folder) {
    char **names = NULL;
    int64_t n = 0;
    bool corpus = false;
    if (!folder || !*folder) return rllc_fail(RLLC_EUSAGE, "the folder for the corpus is not named");
    if (!rllc_is_folder(folder)) {
        if (!rllc_file_exists(folder)) return RLLC_OK;
        return rllc_fail(RLLC_EUSAGE, "%s: is a file; name a folder for the corpus", folder);
    }
    rllc_status status = rllc_folder_list(folder, &names, &n);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < n; i++) corpus = corpus || strcmp(names[i], "corpus.json") == 0;
    rllc_names_free(names, n);
    if (n == 0 || corpus) return RLLC_OK;
    return rllc_fail(RLLC_EUSAGE,
                     "%s: holds something, but no corpus.json, so nothing is written there; name another folder",
                     folder);
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static int last_column(const writer *w) {
    return w->mixture ? GENERATORS : OPTIMUM;
}

static rllc_status open_split(writer *w, int split) {
    rllc_status status = RLLC_OK;
    split_writer *s = &w->split[split];
    const int64_t shape[2] = {s->rows, w->common.n_ctx};
    for (int c = 0; c <= last_column(w); c++) {
        s->name[c] = rllc_intern_printf("%s%s.npy", rllc_split_names[split], columns[c].suffix);
        s->path[c] = s->name[c] ? rllc_intern_printf("%s/%s", w->folder, s->name[c]) : NULL;
        if (!s->path[c]) return rllc_fail(RLLC_ENOMEM, "no memory for a path");
        RLLC_TRY(rllc_output_file_open(&s->file[c], s->path[c]));
        RLLC_TRY(rllc_npy_write_header(s->file[c].stream, columns[c].descr, 2, shape));
    }
done:
    return status;
}

static void add_up(const writer *w, split_writer *s, int64_t n) {
    const int64_t n_ctx = w->common.n_ctx;
    for (int64_t r = 0; r < n; r++)
        for (int64_t i = r * n_ctx + 1; i < (r + 1) * n_ctx; i++) {
            s->tokens[w->rows.labels[i]]++;
            s->optimum[w->rows.labels[i]] += (double)w->rows.optimum[i];
        }
}

static rllc_status write_chunk(const writer *w, split_writer *s, int64_t n, rllc_hasher *hasher) {
    const size_t items = (size_t)(n * w->common.n_ctx);
    const void *data[COLUMNS] = {w->packed, w->rows.labels, w->rows.optimum, w->rows.generators};
    for (size_t i = 0; i < items; i++) {
        w->packed[2 * i] = (unsigned char)w->rows.tokens[i];
        w->packed[2 * i + 1] = (unsigned char)(w->rows.tokens[i] >> 8);
    }
    rllc_hasher_add(hasher, w->packed, 2 * items);
    for (int c = 0; c <= last_column(w); c++)
        if (fwrite(data[c], columns[c].size, items, s->file[c].stream) != items)
            return rllc_fail(RLLC_EIO, "%s: writing failed: %s", s->path[c], strerror(errno));
    return RLLC_OK;
}

static rllc_status write_split(writer *w, int split, const rllc_monitor *monitor) {
    rllc_status status = RLLC_OK;
    split_writer *s = &w->split[split];
    rllc_hasher *hasher = NULL;
    RLLC_TRY(rllc_hasher_new(&hasher));
    RLLC_TRY(open_split(w, split));
    for (int64_t first = 0, n; first < s->rows; first += n) {
        if (rllc_should_stop(monitor)) {
            status = rllc_fail(RLLC_ESTOPPED, "stopped while making rows; nothing was written");
            goto done;
        }
        n = s->rows - first < w->chunk ? s->rows - first : w->chunk;
        RLLC_TRY(rllc_synth_generate(w->synth, split, first, n, 0, &w->rows));
        add_up(w, s, n);
        RLLC_TRY(write_chunk(w, s, n, hasher));
        w->written += n;
        rllc_report_progress(monitor, "synth", "row", (double)w->written, (double)w->all, "%s",
                             rllc_split_names[split]);
    }
    s->hash = rllc_hasher_end(hasher);
done:
    rllc_hasher_free(hasher);
    return status;
}

/* ---- corpus.json ------------------------------------------------------------------------------------------------ */

static rllc_status split_json(const writer *w, int split, rllc_json *splits) {
    rllc_status status = RLLC_OK;
    const split_writer *s = &w->split[split];
    rllc_json *j = rllc_json_object(), *labels = NULL;
    const int64_t tokens = s->rows * (w->common.n_ctx - 1);
    double counts[RLLC_LABELS], sum = 0;
    for (int i = 0; i < RLLC_LABELS; i++) {
        counts[i] = (double)s->tokens[i];
        sum += s->optimum[i];
    }
    RLLC_TRY(rllc_json_set(j, "file", rllc_json_string(s->name[TOKENS])));
    RLLC_TRY(rllc_json_set(j, "documents", rllc_json_integer(s->rows)));
    RLLC_TRY(rllc_json_set(j, "bytes", rllc_json_integer(tokens)));
    RLLC_TRY(rllc_json_set(j, "tokens", rllc_json_integer(tokens)));
    RLLC_TRY(rllc_json_set(j, "rows", rllc_json_integer(s->rows)));
    RLLC_TRY(rllc_json_set(j, "hash", rllc_json_string(s->hash.hex)));
    RLLC_TRY(rllc_json_set(j, "optimum", rllc_json_real(sum / (double)tokens)));
    RLLC_TRY(rllc_data_synth_by_label(counts, s->optimum, true, &labels));
    RLLC_TRY(rllc_json_set(j, "labels", labels));
    status = rllc_json_set(splits, rllc_split_names[split], j);
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

static rllc_status corpus_json(const writer *w, rllc_json **out) {
    rllc_status status = RLLC_OK;
    const rllc_tokenizer *t = rllc_synth_tokenizer(w->synth);
    rllc_json *j = rllc_json_object(), *splits = rllc_json_object(), *part = NULL;
    RLLC_TRY(rllc_json_set(j, "schema", rllc_json_string("rllc.corpus/1")));
    RLLC_TRY(rllc_json_set(j, "version", rllc_json_string(RLLC_VERSION)));
    RLLC_TRY(rllc_json_set(j, "tokenizer_hash", rllc_json_string(rllc_tokenizer_hash(t).hex)));
    RLLC_TRY(rllc_json_set(j, "d_vocab", rllc_json_integer(rllc_tokenizer_size(t))));
    RLLC_TRY(rllc_json_set(j, "bos", rllc_json_integer(rllc_tokenizer_bos(t))));
    RLLC_TRY(rllc_json_set(j, "n_ctx", rllc_json_integer(w->common.n_ctx)));
    for (int i = 0; i < RLLC_SPLITS; i++) RLLC_TRY(split_json(w, i, splits));
    status = rllc_json_set(j, "splits", splits);
    splits = NULL;
    RLLC_TRY(status);
    RLLC_TRY(rllc_synth_to_json(w->synth, &part));
    RLLC_TRY(rllc_json_set(j, "synth", part));
    RLLC_TRY(rllc_json_set(j, "sources", rllc_json_array()));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    rllc_json_free(splits);
    return status;
}

/* ---- the folder ------------------------------------------------------------------------------------------------- */

static rllc_status remove_file(const char *path) {
    if (!path) return rllc_fail(RLLC_ENOMEM, "no memory for a path");
    if (unlink(path) == 0 || errno == ENOENT) return RLLC_OK;
    return rllc_fail(RLLC_EIO, "%s: cannot be replaced: %s", path, strerror(errno));
}

/* The files appear, corpus.json last. An older corpus.json goes first: it must not stand beside new rows. */
static rllc_status commit(writer *w) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    rllc_string text = {0};
    const char *path = rllc_intern_printf("%s/corpus.json", w->folder);
    const char *tokenizer = rllc_intern_printf("%s/tokenizer.json", w->folder);
    if (!tokenizer) return rllc_fail(RLLC_ENOMEM, "no memory for a path");
    RLLC_TRY(corpus_json(w, &j));
    RLLC_TRY(rllc_json_print(j, 2, false, &text));
    RLLC_TRY(rllc_string_add(&text, "\n"));
    RLLC_TRY(remove_file(path));
    for (int i = 0; i < RLLC_SPLITS; i++) {
        for (int c = 0; c <= last_column(w); c++) RLLC_TRY(rllc_output_file_commit(&w->split[i].file[c]));
        if (!w->mixture)
            RLLC_TRY(remove_file(rllc_intern_printf("%s/%s.generators.npy", w->folder, rllc_split_names[i])));
    }
    RLLC_TRY(rllc_tokenizer_save(rllc_synth_tokenizer(w->synth), tokenizer));
    RLLC_TRY(rllc_file_write(path, text.data, text.length));
done:
    rllc_json_free(j);
    rllc_string_release(&text);
    return status;
}

static rllc_status allocate(writer *w) {
    rllc_status status = RLLC_OK;
    w->chunk = CHUNK_TOKENS / w->common.n_ctx > 0 ? CHUNK_TOKENS / w->common.n_ctx : 1;
    const int64_t n = w->chunk * w->common.n_ctx;
    RLLC_TRY(rllc_alloc(&w->rows.tokens, n, sizeof *w->rows.tokens));
    RLLC_TRY(rllc_alloc(&w->rows.labels, n, sizeof *w->rows.labels));
    RLLC_TRY(rllc_alloc(&w->rows.generators, n, sizeof *w->rows.generators));
    RLLC_TRY(rllc_alloc(&w->rows.optimum, n, sizeof *w->rows.optimum));
    RLLC_TRY(rllc_alloc(&w->packed, n, 2));
done:
    return status;
}

static void release(writer *w) {
    for (int i = 0; i < RLLC_SPLITS; i++)
        for (int c = 0; c < COLUMNS; c++) rllc_output_file_abort(&w->split[i].file[c]);
    rllc_free(w->rows.tokens);
    rllc_free(w->rows.labels);
    rllc_free(w->rows.generators);
    rllc_free(w->rows.optimum);
    rllc_free(w->packed);
}

rllc_status rllc_corpus_synth(const char *folder, const rllc_synth *s, const rllc_monitor *monitor) {
    rllc_status status = RLLC_OK;
    writer w = {.synth = s, .common = rllc_data_synth_settings(s)->common, .folder = folder};
    w.mixture = rllc_data_synth_kind(s)->mixes != NULL;
    const int64_t rows[RLLC_SPLITS] = {w.common.rows, w.common.validation_rows, w.common.sampling_rows,
                                       w.common.analysis_rows};
    for (int i = 0; i < RLLC_SPLITS; i++) w.all += w.split[i].rows = rows[i];
    if (w.all == 0) return rllc_fail(RLLC_EUSAGE, "no rows in any split; give --rows");
    RLLC_TRY(rllc_corpus_synth_check(folder));
    RLLC_TRY(rllc_make_folders(folder));
    RLLC_TRY(allocate(&w));
    for (int i = 0; i < RLLC_SPLITS; i++) RLLC_TRY(write_split(&w, i, monitor));
    RLLC_TRY(commit(&w));
done:
    release(&w);
    return status;
}
