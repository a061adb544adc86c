/* Documents, one after another, out of files of any size: no more than one document and one block is in memory. */
#include <stdio.h>
#include <string.h>

#include "data/input.h"

#define SEPARATOR "<|endoftext|>"
enum { SEPARATOR_BYTES = sizeof SEPARATOR - 1, BLOCK = 1 << 18 };
#define DEFAULT_LIMIT ((int64_t)1 << 30)

typedef enum { PLAIN, JSONL } form;

struct rllc_reader {
    rllc_reader_options options;
    rllc_data_filter filter;
    char **files;
    int64_t n_files, current; /* current: the file being read, n_files at the end */
    int64_t *file_bytes;      /* as they lie in the file; -1 until it was read to its end */
    rllc_hash *file_hashes;
    double total, before;     /* bytes of all files, and of those read to their end */
    rllc_data_stream *stream; /* NULL between files */
    form form;
    char *window; /* decoded bytes [begin, end) not yet passed on */
    size_t begin, end, capacity;
    bool ended;          /* the stream has no more */
    uint64_t offset;     /* of window[begin] in the decoded file */
    int64_t line;        /* JSONL: of window[begin], from 1 */
    bool line_start;     /* PLAIN: window[begin] begins a line */
    rllc_json *document; /* JSONL: holds the text given out last */
    const char *rest;    /* the part of a cut document that is still to come */
    size_t n_rest;
    int64_t text_bytes, seen, matched;
};

static int64_t limit_of(const rllc_reader *r) {
    return r->options.max_document_bytes > 0 ? r->options.max_document_bytes : DEFAULT_LIMIT;
}

static const char *file_name(const rllc_reader *r) {
    return strcmp(r->files[r->current], "-") == 0 ? "standard input" : r->files[r->current];
}

rllc_status rllc_reader_open(rllc_reader **out, const rllc_reader_options *options) {
    rllc_status status = RLLC_OK;
    rllc_reader *r = NULL;
    *out = NULL;
    RLLC_TRY(rllc_alloc(&r, 1, sizeof *r));
    r->options = *options;
    RLLC_TRY(rllc_data_filter_parse(&r->filter, options->where));
    RLLC_TRY(rllc_data_sources(options->sources, &r->files, &r->n_files, &r->total));
    RLLC_TRY(rllc_alloc(&r->file_bytes, r->n_files, sizeof *r->file_bytes));
    RLLC_TRY(rllc_alloc(&r->file_hashes, r->n_files, sizeof *r->file_hashes));
    for (int64_t i = 0; i < r->n_files; i++) r->file_bytes[i] = -1;
    *out = r;
    r = NULL;
done:
    rllc_reader_close(r);
    return status;
}

void rllc_reader_close(rllc_reader *r) {
    if (!r) return;
    rllc_data_stream_close(r->stream);
    rllc_data_filter_release(&r->filter);
    rllc_names_free(r->files, r->n_files);
    rllc_free(r->file_bytes);
    rllc_free(r->file_hashes);
    rllc_free(r->window);
    rllc_json_free(r->document);
    rllc_free(r);
}

void rllc_reader_position(const rllc_reader *r, double *done, double *total) {
    *done = r->before + (r->stream ? (double)rllc_data_stream_raw_bytes(r->stream) : 0.0);
    *total = r->total;
}

/* Reads one more block into the window. */
static rllc_status fill(rllc_reader *r) {
    if (r->begin > 0 && (r->begin == r->end || r->capacity - r->end < BLOCK)) {
        memmove(r->window, r->window + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    if (r->capacity - r->end < BLOCK) {
        size_t wider = r->capacity + (r->capacity > BLOCK ? r->capacity : 2 * BLOCK);
        rllc_status status = rllc_grow(&r->window, (int64_t)r->capacity, (int64_t)wider, 1);
        if (status != RLLC_OK) return status;
        r->capacity = wider;
    }
    size_t got;
    rllc_status status = rllc_data_stream_read(r->stream, r->window + r->end, BLOCK, &got);
    if (status != RLLC_OK) return status;
    r->end += got;
    r->ended = got == 0;
    return RLLC_OK;
}

static rllc_status too_long(const rllc_reader *r) {
    if (r->form == JSONL) {
        return rllc_fail(RLLC_EINPUT, "%s:%lld: the line is longer than max_document_bytes = %lld", file_name(r),
                         (long long)r->line, (long long)limit_of(r));
    }
    return rllc_fail(RLLC_EINPUT,
                     "%s: the document at byte %llu is longer than max_document_bytes = %lld; separate documents "
                     "with " SEPARATOR,
                     file_name(r), (unsigned long long)r->offset, (long long)limit_of(r));
}

/* Finds `what` in the window from begin + from on, reading as needed; *at = its place after begin, or the end of the
   file's bytes if it does not come. */
static rllc_status find(rllc_reader *r, size_t from, const char *what, size_t n, size_t *at, bool *found) {
    for (;;) {
        size_t have = r->end - r->begin;
        const char *hit = have >= from + n ? memmem(r->window + r->begin + from, have - from, what, n) : NULL;
        *found = hit != NULL;
        *at = hit ? (size_t)(hit - r->window) - r->begin : have;
        if ((int64_t)*at > limit_of(r)) return too_long(r);
        if (hit || r->ended) return RLLC_OK;
        if (have >= from + n) from = have - n + 1;
        rllc_status status = fill(r);
        if (status != RLLC_OK) return status;
    }
}

static void advance(rllc_reader *r, size_t n) {
    r->begin += n;
    r->offset += n;
}

/* Makes sure of n bytes in the window unless the file ends before. */
static rllc_status have(rllc_reader *r, size_t n) {
    while (r->end - r->begin < n && !r->ended) {
        rllc_status status = fill(r);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* ---- files ------------------------------------------------------------------------------------------------- */

/* Looks at the first line that is not blank, without passing it on. */
static rllc_status tell_form(rllc_reader *r) {
    size_t blank = 0, end = 0;
    bool found, jsonl;
    rllc_status status = RLLC_OK;
    for (; (int64_t)blank <= limit_of(r); blank++) {
        RLLC_TRY(have(r, blank + 1));
        if (r->end - r->begin <= blank || !is_blank(r->window[r->begin + blank])) break;
    }
    if (r->end - r->begin > blank && r->window[r->begin + blank] == '{') {
        RLLC_TRY(find(r, blank, "\n", 1, &end, &found));
    } else {
        end = blank;
    }
    RLLC_TRY(rllc_data_is_jsonl(r->files[r->current], r->window + r->begin + blank, end - blank, r->options.text_field,
                                &jsonl));
    r->form = jsonl ? JSONL : PLAIN;
    if (!jsonl && r->filter.n > 0 && r->end > r->begin) {
        status =
            rllc_fail(RLLC_EINPUT, "%s: is plain text, which has no metadata; --where needs JSON Lines", file_name(r));
    }
done:
    return status;
}

static rllc_status open_file(rllc_reader *r) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_data_stream_open(&r->stream, r->files[r->current]));
    r->begin = r->end = 0;
    r->offset = 0;
    r->line = 1;
    r->ended = false;
    r->line_start = true;
    r->form = PLAIN;
    RLLC_TRY(have(r, 3));
    if (r->end - r->begin >= 3 && memcmp(r->window + r->begin, "\xEF\xBB\xBF", 3) == 0) advance(r, 3);
    RLLC_TRY(tell_form(r));
done:
    return status;
}

static void close_file(rllc_reader *r) {
    r->file_bytes[r->current] = rllc_data_stream_raw_bytes(r->stream);
    r->file_hashes[r->current] = rllc_data_stream_raw_hash(r->stream);
    r->before += (double)r->file_bytes[r->current];
    rllc_data_stream_close(r->stream);
    r->stream = NULL;
    r->current++;
}

/* ---- plain text -------------------------------------------------------------------------------------------- */

/* Passes over a separator; if it has a line to itself, over the end of that line too. */
static rllc_status skip_separator(rllc_reader *r) {
    rllc_status status = RLLC_OK;
    advance(r, SEPARATOR_BYTES);
    RLLC_TRY(have(r, 2));
    const char *s = r->window + r->begin;
    size_t n = r->end - r->begin, newline = n > 0 && s[0] == '\n' ? 1 : n > 1 && s[0] == '\r' && s[1] == '\n' ? 2 : 0;
    if (r->line_start) advance(r, newline);
    r->line_start = r->line_start && newline > 0;
done:
    return status;
}

/* The next document of the file; *n = 0 if it is empty. */
static rllc_status next_plain(rllc_reader *r, const char **text, size_t *n) {
    rllc_status status = RLLC_OK;
    size_t at, bad;
    bool found;
    RLLC_TRY(find(r, 0, SEPARATOR, SEPARATOR_BYTES, &at, &found));
    if (at == 0 && found) {
        *n = 0;
        return skip_separator(r); /* may move the window: only where nothing in it is given out */
    }
    *text = r->window + r->begin;
    *n = at;
    if (!rllc_utf8_valid(*text, *n, &bad)) {
        status = rllc_fail(RLLC_EINPUT, "%s: byte %llu%s (0x%02X) is not valid UTF-8", file_name(r),
                           (unsigned long long)(r->offset + bad),
                           rllc_data_stream_compressed(r->stream) ? " of the unpacked text" : "",
                           (unsigned char)(*text)[bad]);
        goto done;
    }
    if (at > 0) r->line_start = (*text)[at - 1] == '\n';
    advance(r, at);
done:
    return status;
}

/* ---- JSON Lines -------------------------------------------------------------------------------------------- */

static rllc_status parse_line(rllc_reader *r, const char *line, size_t n) {
    size_t bad;
    char name[1024];
    snprintf(name, sizeof name, "%.990s:%lld", file_name(r), (long long)r->line);
    if (!rllc_utf8_valid(line, n, &bad)) {
        return rllc_fail(RLLC_EINPUT, "%s: byte %zu of the line (0x%02X) is not valid UTF-8", name, bad,
                         (unsigned char)line[bad]);
    }
    rllc_json_free(r->document);
    r->document = NULL;
    rllc_status status = rllc_data_json_parse(&r->document, line, n, name);
    if (status == RLLC_OK && !rllc_json_is_object(r->document)) {
        return rllc_fail(RLLC_EINPUT, "%s: the line is not a JSON object; JSON Lines has one object a line", name);
    }
    return status;
}

static rllc_status next_jsonl(rllc_reader *r, const char **text, size_t *n) {
    rllc_status status = RLLC_OK;
    size_t length, blank = 0;
    bool found;
    *n = 0;
    RLLC_TRY(find(r, 0, "\n", 1, &length, &found));
    const char *line = r->window + r->begin;
    while (blank < length && is_blank(line[blank])) blank++;
    if (blank < length) {
        RLLC_TRY(parse_line(r, line, length));
        r->seen++;
        if (rllc_data_filter_holds(&r->filter, r->document)) {
            const rllc_json *value = rllc_data_document_text(r->document, r->options.text_field);
            if (!rllc_json_is_string(value)) {
                const char *field = r->options.text_field;
                status = rllc_fail(RLLC_EINPUT, "%s:%lld: the document has no %s%s%s that is a string%s", file_name(r),
                                   (long long)r->line, field ? "'" : "text, contents or content", field ? field : "",
                                   field ? "'" : "", field ? "" : "; name its key with --text-field");
                goto done;
            }
            r->matched++;
            *text = rllc_json_text(value);
            *n = rllc_json_text_length(value);
        }
    }
    advance(r, length + found);
    r->line++;
done:
    return status;
}

/* ---- both -------------------------------------------------------------------------------------------------- */

/* The next document that is not empty; *text = NULL at the end. */
static rllc_status next_document(rllc_reader *r, const char **text, size_t *n) {
    rllc_status status = RLLC_OK;
    *text = NULL;
    *n = 0;
    while (r->current < r->n_files) {
        if (!r->stream) RLLC_TRY(open_file(r));
        if (r->begin == r->end) RLLC_TRY(have(r, 1));
        if (r->begin == r->end) {
            close_file(r);
            continue;
        }
        RLLC_TRY(r->form == JSONL ? next_jsonl(r, text, n) : next_plain(r, text, n));
        if (*n > 0) return RLLC_OK;
        *text = NULL;
    }
    if (r->filter.n > 0 && r->matched == 0) {
        status = rllc_fail(RLLC_EINPUT, "none of the %lld documents has %s", (long long)r->seen, r->options.where);
    }
done:
    return status;
}

/* Gives out the first part of a document that is to be cut and keeps the rest. */
static void cut(rllc_reader *r, const char *text, size_t *n) {
    size_t least = (size_t)r->options.cut_bytes;
    r->rest = NULL;
    if (least == 0 || *n <= least) return;
    const char *newline = memchr(text + least, '\n', *n - least);
    if (!newline || newline + 1 == text + *n) return;
    r->rest = newline + 1;
    r->n_rest = *n - (size_t)(r->rest - text);
    *n -= r->n_rest;
}

rllc_status rllc_reader_next(rllc_reader *r, const char **text, size_t *n) {
    *text = r->rest;
    *n = r->n_rest;
    if (r->options.max_bytes > 0 && r->text_bytes >= r->options.max_bytes) {
        *text = NULL;
        *n = 0;
        return RLLC_OK;
    }
    if (!r->rest) {
        rllc_status status = next_document(r, text, n);
        if (status != RLLC_OK) *text = NULL;
        if (!*text) return status;
    }
    cut(r, *text, n);
    r->text_bytes += (int64_t)*n;
    return RLLC_OK;
}

rllc_status rllc_data_reader_sources(const rllc_reader *r, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *list = rllc_json_array(), *item = NULL;
    for (int64_t i = 0; i < r->n_files; i++) {
        bool whole = r->file_bytes[i] >= 0;
        item = rllc_json_object();
        RLLC_TRY(rllc_json_set(item, "path", rllc_json_string(r->files[i])));
        RLLC_TRY(rllc_json_set(item, "bytes", whole ? rllc_json_integer(r->file_bytes[i]) : rllc_json_null()));
        RLLC_TRY(rllc_json_set(item, "hash", whole ? rllc_json_string(r->file_hashes[i].hex) : rllc_json_null()));
        rllc_json *taken = item;
        item = NULL;
        RLLC_TRY(rllc_json_append(list, taken));
    }
    *out = list;
    list = NULL;
done:
    rllc_json_free(item);
    rllc_json_free(list);
    return status;
}
