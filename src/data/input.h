/* data input: bytes of a file, decompressed; the list of files behind the sources; what one JSON line says. */
#ifndef RLLC_DATA_INPUT_H
#define RLLC_DATA_INPUT_H

#include "rllc/data.h"

/* ---- stream.c ---------------------------------------------------------------------------------------------- */

/** The decompressed bytes of one file or of standard input. */
typedef struct rllc_data_stream rllc_data_stream;

/** "-" is standard input, from where it stands. */
rllc_status rllc_data_stream_open(rllc_data_stream **out, const char *path) RLLC_MUST_USE;
/** Reads up to n > 0 bytes; *got = 0 at the end. */
rllc_status rllc_data_stream_read(rllc_data_stream *s, void *buffer, size_t n, size_t *got) RLLC_MUST_USE;
/** Bytes read from the file so far, as they lie there. */
int64_t rllc_data_stream_raw_bytes(const rllc_data_stream *s);
/** The hash of the file's own bytes, once the end was reached. */
rllc_hash rllc_data_stream_raw_hash(const rllc_data_stream *s);
bool rllc_data_stream_compressed(const rllc_data_stream *s);
void rllc_data_stream_close(rllc_data_stream *s);

/* ---- unpack.c: the decoders behind a stream ---------------------------------------------------------------- */

/** Where a decoder gets its bytes: a block that stays valid until the next call; *n = 0 at the end. */
typedef rllc_status rllc_data_pull(void *context, const void **block, size_t *n);

typedef struct rllc_data_unpacker rllc_data_unpacker;
/** The name of the compression that these first bytes of a file show, NULL if none. 16 bytes are enough. */
const char *rllc_data_compression(const unsigned char *head, size_t n);
rllc_status rllc_data_unpacker_new(rllc_data_unpacker **out, const char *compression, rllc_data_pull *pull,
                                   void *context, const char *path) RLLC_MUST_USE;
rllc_status rllc_data_unpacker_read(rllc_data_unpacker *u, void *buffer, size_t n, size_t *got) RLLC_MUST_USE;
void rllc_data_unpacker_free(rllc_data_unpacker *u);

/* ---- sources.c --------------------------------------------------------------------------------------------- */

/** Files in reading order; "-" stays. total: their bytes, 0 if one has no size. Free with rllc_names_free. */
rllc_status rllc_data_sources(const char *sources, char ***files, int64_t *n, double *total) RLLC_MUST_USE;

/* ---- jsonl.c ----------------------------------------------------------------------------------------------- */

/** "key.path=value,..." taken apart. */
typedef struct rllc_data_filter {
    char *text; /* a copy, cut up */
    const char **paths, **values;
    int n;
} rllc_data_filter;

rllc_status rllc_data_filter_parse(rllc_data_filter *f, const char *where) RLLC_MUST_USE; /* NULL: holds always */
void rllc_data_filter_release(rllc_data_filter *f);
bool rllc_data_filter_holds(const rllc_data_filter *f, const rllc_json *document);
/** The text of a document: its `field`, or with NULL the first of text, contents, content. NULL if there is none. */
const rllc_json *rllc_data_document_text(const rllc_json *document, const char *field);
/** Whether a file is JSON Lines, by its name and its first line that is not blank. */
rllc_status rllc_data_is_jsonl(const char *path, const char *line, size_t n, const char *field,
                               bool *yes) RLLC_MUST_USE;

/* ---- big_numbers.c ----------------------------------------------------------------------------------------- */

/** rllc_json_parse and rllc_json_load, but integers too large for 64 bits become reals. */
rllc_status rllc_data_json_parse(rllc_json **out, const char *text, size_t n, const char *name) RLLC_MUST_USE;
rllc_status rllc_data_json_load(rllc_json **out, const char *path) RLLC_MUST_USE;

/* ---- reader.c ---------------------------------------------------------------------------------------------- */

/** The sources read so far: [{"path", "bytes", "hash"}]; bytes and hash are null for a file not read to its end. */
rllc_status rllc_data_reader_sources(const rllc_reader *r, rllc_json **out) RLLC_MUST_USE;

#endif
