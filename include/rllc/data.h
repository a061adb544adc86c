/*
 * data: text becomes tokens becomes batches.
 *
 * Readers (plain text, JSONL, compressed, folders, standard input) yield documents; a byte-level BPE tokenizer turns
 * them into ids; packing turns ids into rows of n_ctx tokens; splits are decided by a hash of each document's text.
 */
#ifndef RLLC_DATA_H
#define RLLC_DATA_H

#include "rllc/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- documents ------------------------------------------------------------------------------------------- */

typedef struct rllc_reader_options {
    const char *sources;     /* comma-separated files, folders, "-" */
    const char *text_field;  /* JSONL: NULL = the first of text, contents, content */
    const char *where;       /* JSONL: "meta.pile_set_name=Github"; several joined by "," must all hold; NULL = all */
    int64_t max_bytes;       /* stop after the document that reaches this much text; 0 = no limit */
    int64_t cut_bytes;       /* cut longer documents at the first line end after this many bytes; 0 = never */
    int64_t max_document_bytes; /* a longer document is RLLC_EINPUT: the bound on memory; 0 = 1 GiB */
} rllc_reader_options;
extern const rllc_option_table rllc_reader_option_table;

/**
 * Reads documents in the order of the sources; a folder's files (recursively, sorted by path; names that begin with a
 * dot are left out) count as if they were listed. JSON Lines is what ends in .jsonl or .ndjson (before .gz .zst .xz
 * .bz2), or whose first line is a JSON object with the text field (for .json: any object); else a file is plain text,
 * whose documents are separated by <|endoftext|> (with the line break after it, if it has a line to itself).
 * Compression is told by content. A byte order mark at the beginning of a file is left out, and so are documents
 * without any text.
 */
typedef struct rllc_reader rllc_reader;
rllc_status rllc_reader_open(rllc_reader **out, const rllc_reader_options *options) RLLC_MUST_USE;
/** Next document: UTF-8 bytes owned by the reader, valid until the next call; *text = NULL at the end. */
rllc_status rllc_reader_next(rllc_reader *r, const char **text, size_t *n) RLLC_MUST_USE;
/** Bytes of (compressed) input consumed and in all (0 if unknown), for progress. */
void rllc_reader_position(const rllc_reader *r, double *done, double *total);
void rllc_reader_close(rllc_reader *r);

/* ---- tokenizer ------------------------------------------------------------------------------------------- */

typedef struct rllc_tokenizer rllc_tokenizer; /* immutable after construction: safe to share between threads */

/** tokenizer.json, vocab.json (with merges.txt beside it), or a folder holding them. Where a folder holds both and they
 *  differ, vocab.json is taken and rllc_tokenizer_remark says so. tokenizer_config.json may name the BOS token. */
rllc_status rllc_tokenizer_load(rllc_tokenizer **out, const char *path) RLLC_MUST_USE;
/** Writes Hugging Face tokenizer.json (merges as pairs). Equal tokenizers give equal bytes. */
rllc_status rllc_tokenizer_save(const rllc_tokenizer *t, const char *path) RLLC_MUST_USE;
void rllc_tokenizer_free(rllc_tokenizer *t);

int64_t rllc_tokenizer_size(const rllc_tokenizer *t); /* ids are 0 .. size-1 */
int32_t rllc_tokenizer_bos(const rllc_tokenizer *t);  /* id of <|endoftext|> (BOS = EOS); -1 if there is none */
rllc_hash rllc_tokenizer_hash(const rllc_tokenizer *t);
/** The raw bytes of a token, with a NUL behind; NULL if there is no such id. */
const char *rllc_tokenizer_token(const rllc_tokenizer *t, int32_t id, size_t *n);
/** Something about its files that a program should pass on to its user, or NULL. */
const char *rllc_tokenizer_remark(const rllc_tokenizer *t);

/** A growing array of ids; {0} is empty. */
typedef struct rllc_ids {
    int32_t *data;
    int64_t n, capacity;
} rllc_ids;
void rllc_ids_release(rllc_ids *ids);
rllc_status rllc_ids_add(rllc_ids *ids, int32_t id) RLLC_MUST_USE;

/** Appends the ids of the text. Bytes that are not UTF-8 are RLLC_EINPUT with the byte offset. */
rllc_status rllc_tokenizer_encode(const rllc_tokenizer *t, const char *text, size_t n, rllc_ids *out) RLLC_MUST_USE;
/** Appends the bytes of the tokens. An id out of range is RLLC_EINPUT. */
rllc_status rllc_tokenizer_decode(const rllc_tokenizer *t, const int32_t *ids, int64_t n, rllc_string *out) RLLC_MUST_USE;

typedef struct rllc_bpe_options {
    int64_t vocab_size;    /* 5000 */
    int64_t min_frequency; /* 2: Hugging Face's default is 0; ours says which */
    const char *special;   /* "<|endoftext|>" */
    bool special_last;     /* true: id vocab_size-1, as the paper's tokenizer; false: id 0, as Hugging Face's trainer */
    int64_t max_bytes;     /* train on at most this much text; 0 = all (flag: --train-bytes) */
} rllc_bpe_options;
extern const rllc_option_table rllc_bpe_option_table;

/**
 * Hugging Face's BpeTrainer, merge for merge: the special token, the 256 byte symbols, then the most frequent pair again
 * and again (ties: smaller ids), until the vocabulary is full or no pair occurs max(1, min_frequency) times. Counts are
 * 64-bit (theirs are 32-bit and overflow beyond 2^31 occurrences of a pair).
 */
typedef struct rllc_bpe_trainer rllc_bpe_trainer;
rllc_status rllc_bpe_trainer_new(rllc_bpe_trainer **out, const rllc_bpe_options *options) RLLC_MUST_USE;
rllc_status rllc_bpe_trainer_add(rllc_bpe_trainer *b, const char *text, size_t n) RLLC_MUST_USE; /* counts pre-tokens */
rllc_status rllc_bpe_trainer_finish(rllc_bpe_trainer *b, const rllc_monitor *monitor, rllc_tokenizer **out) RLLC_MUST_USE;
void rllc_bpe_trainer_free(rllc_bpe_trainer *b);

/* ---- packed corpora -------------------------------------------------------------------------------------- */

enum { RLLC_TRAIN, RLLC_VALIDATION, RLLC_SAMPLING, RLLC_ANALYSIS, RLLC_SPLITS };
extern const char *const rllc_split_names[RLLC_SPLITS]; /* "train", "validation", "sampling", "analysis" */

typedef struct rllc_packing_options {
    int64_t n_ctx;             /* row = BOS + n_ctx-1 tokens */
    double validation_fraction, sampling_fraction, analysis_fraction; /* of documents, by hash; the rest trains */
    uint64_t split_seed;
    double repeat_fraction;    /* share of rows in which a span is copied (demo recipe; 0 = the paper) */
    uint64_t repeat_seed;
    int64_t max_tokens;        /* 0 = no limit */
} rllc_packing_options;
extern const rllc_option_table rllc_packing_option_table;

/**
 * Tokenizes and packs one corpus into folder/<split>.npy (uint16, or uint32 when the vocabulary needs it; shape
 * [rows, n_ctx]) and folder/corpus.json: for each split documents, bytes, tokens, rows, content hash; the options,
 * the tokenizer's hash, the sources with their sizes. A split without a full row is an empty array.
 * A corpus without one full row in any split is RLLC_EINPUT. The folder appears whole (each file by rename, json last).
 *
 * The documents of a split, in source order and joined by EOS, are cut into rows of n_ctx-1 tokens, each with BOS before
 * it (one token serves as both); a tail that does not fill a row is dropped. With repeat_fraction r, in a share r of the
 * rows tokens 1..s are copied over places st..st+s-1: s uniform in 8..(n_ctx-1)/2, st uniform in s+1..n_ctx-s, both
 * addressed by (repeat_seed, split, row). The files do not depend on the number of threads.
 */
rllc_status rllc_corpus_pack(const char *folder, const rllc_reader_options *reader, const rllc_packing_options *packing,
                             const rllc_tokenizer *tokenizer, const rllc_monitor *monitor) RLLC_MUST_USE;

/** Trains a tokenizer on the training split that rllc_corpus_pack would make of the same text. */
rllc_status rllc_corpus_train_tokenizer(const rllc_reader_options *reader, const rllc_packing_options *packing,
                                        const rllc_bpe_options *bpe, const rllc_monitor *monitor,
                                        rllc_tokenizer **out) RLLC_MUST_USE;

/** The split of a document: depends on its bytes and split_seed only, not on the corpus it is found in. */
int rllc_document_split(const rllc_packing_options *p, const char *text, size_t n);

/** Rows of tokens mapped from a .npy file (u1, u2, u4, i4, i8, little-endian C order) of 1 to 3 dimensions. */
typedef struct rllc_rows {
    rllc_mapping mapping;
    const unsigned char *data;
    int bytes;         /* per token */
    bool is_signed;
    int n_dims;        /* of the file: 1 to 3 */
    int64_t shape[3];  /* [1, rows, n_ctx], or [steps, batch, n_ctx] */
    int64_t rows;      /* shape[0] * shape[1] */
    int64_t n_ctx;
    rllc_hash hash;    /* of the token data; from corpus.json when beside it, else computed */
    const char *path;  /* interned */
} rllc_rows;

/** Also checks that every id is < d_vocab when d_vocab > 0 (one pass over the file; d_vocab = 0 skips it). */
rllc_status rllc_rows_open(rllc_rows *r, const char *path, int64_t d_vocab) RLLC_MUST_USE;
void rllc_rows_get(const rllc_rows *r, int64_t row, int32_t *out); /* [n_ctx] */
void rllc_rows_close(rllc_rows *r);

/* ---- synthetic corpora ----------------------------------------------------------------------------------- */

/** What decides a token, as a target of prediction. */
typedef enum rllc_label {
    RLLC_LABEL_NONE,            /* BOS, noise, and what nothing before it decides */
    RLLC_LABEL_N_GRAM,          /* drawn from the table, given the tokens just before */
    RLLC_LABEL_SKIP_N_GRAM,     /* what the token `lag` places back stands for */
    RLLC_LABEL_INDUCTION,       /* in the second copy of a span, behind its first token */
    RLLC_LABEL_CLOSING_BRACKET, /* closes the last bracket that is open: its type is forced */
    RLLC_LABEL_OPENING_BRACKET,
    RLLC_LABEL_FILLER,          /* noise between brackets */
    RLLC_LABELS
} rllc_label;
extern const char *const rllc_label_names[RLLC_LABELS]; /* "none", "n_gram", "skip_n_gram", ... */

typedef struct rllc_synth_options {
    int64_t rows, validation_rows, sampling_rows, analysis_rows; /* rows: of the training split */
    int64_t n_ctx; /* row = BOS + n_ctx-1 tokens */
    int64_t vocab; /* symbols in use, besides brackets and markers; each is a printable byte */
    uint64_t seed;
} rllc_synth_options;
extern const rllc_option_table rllc_synth_option_table;

/** A generator: a constant in its own file, listed in src/data/synth.def. */
typedef struct rllc_synth_kind rllc_synth_kind;
const rllc_synth_kind *const *rllc_synth_list(int *n);
rllc_status rllc_synth_find(const char *name, const rllc_synth_kind **out) RLLC_MUST_USE; /* RLLC_EUSAGE: unknown */
const char *rllc_synth_name(const rllc_synth_kind *kind);
const char *rllc_synth_summary(const rllc_synth_kind *kind);
const rllc_option_table *rllc_synth_kind_table(const rllc_synth_kind *kind); /* its own options; NULL: none */
extern const rllc_option_table rllc_synth_markov_option_table, rllc_synth_skip_option_table,
    rllc_synth_repeat_option_table, rllc_synth_dyck_option_table,
    rllc_synth_mixture_option_table; /* the same, for help */

/** The options of a synthetic corpus: what every generator takes, and a struct for each generator of the list. */
typedef struct rllc_synth_settings {
    rllc_synth_options common;
    void **of_kind; /* in the order of rllc_synth_list; filled through the kind's table */
} rllc_synth_settings;
rllc_status rllc_synth_settings_init(rllc_synth_settings *s) RLLC_MUST_USE; /* every option at its default */
void rllc_synth_settings_release(rllc_synth_settings *s);
/** Whether a generator with these settings reads the options of `other`: its own, and those of a mixture's parts. */
bool rllc_synth_reads(const rllc_synth_kind *kind, const rllc_synth_settings *s, const rllc_synth_kind *other);

/** A generator with its settings checked and its tables made; immutable, safe to share between threads. */
typedef struct rllc_synth rllc_synth;
rllc_status rllc_synth_open(rllc_synth **out, const rllc_synth_kind *kind,
                            const rllc_synth_settings *settings) RLLC_MUST_USE;
void rllc_synth_free(rllc_synth *s); /* accepts NULL */

/** Rows of tokens and what is known of each; every array is [n, n_ctx] and the caller's. */
typedef struct rllc_synth_rows {
    int32_t *tokens;     /* BOS first */
    uint8_t *labels;     /* rllc_label */
    uint8_t *generators; /* 0 = BOS, else 1 + place in rllc_synth_list of what made the token */
    float *optimum;      /* -log p(token | tokens before it) under the generator's law: no model does better; BOS 0 */
} rllc_synth_rows;
/** Rows first .. first+n-1 of a split. Each depends on (settings, split, row) alone; n_threads 0 = default. */
rllc_status rllc_synth_generate(const rllc_synth *s, int split, int64_t first, int64_t n, int n_threads,
                                rllc_synth_rows *out) RLLC_MUST_USE;

/** Expected values for one row, exact: tokens with each label, and the sum of their optimum. */
typedef struct rllc_synth_truth {
    double tokens[RLLC_LABELS];
    double optimum[RLLC_LABELS]; /* nats; NaN where there is no closed form */
} rllc_synth_truth;
void rllc_synth_expect(const rllc_synth *s, rllc_synth_truth *out);
/** Nats per predicted token; NaN where there is no closed form. */
double rllc_synth_optimum(const rllc_synth *s);
/** The record that corpus.json keeps: {"kind", "common", "options": {kind: {...}}, "facts": what is known in closed
 *  form (entropy rates and the like), "optimum", "row": {label: {"tokens", "optimum"}}, "labels", "generators"}, the last
 *  two the names by number. */
rllc_status rllc_synth_to_json(const rllc_synth *s, rllc_json **out) RLLC_MUST_USE;
/** The tokenizer of the rows: the 256 byte symbols, <|endoftext|> last, no merges. Lives as long as s. */
const rllc_tokenizer *rllc_synth_tokenizer(const rllc_synth *s);

/**
 * Writes a corpus as rllc_corpus_pack does (<split>.npy, corpus.json last, tokenizer.json) and beside it, for each
 * split, <split>.labels.npy (u1), <split>.optimum.npy (f4) and, of a mixture, <split>.generators.npy (u1), all
 * [rows, n_ctx]. corpus.json holds the options, the facts, the expected optimum by label, and what the files add up to.
 * A folder that holds something but no corpus.json is RLLC_EUSAGE. The files do not depend on the number of threads.
 */
rllc_status rllc_corpus_synth(const char *folder, const rllc_synth *s, const rllc_monitor *monitor) RLLC_MUST_USE;
/** RLLC_EUSAGE if rllc_corpus_synth would not write there. */
rllc_status rllc_corpus_synth_check(const char *folder) RLLC_MUST_USE;

/* ---- .npy ------------------------------------------------------------------------------------------------ */

/** Writes a C-order array; descr like "<f4", "<f8", "<u2", "<i8"; data may be streamed with the writer below. */
rllc_status rllc_npy_write(const char *path, const char *descr, int n_dims, const int64_t *shape, const void *data,
                           size_t item_size) RLLC_MUST_USE;
/** Header only, to a stream (the caller then writes the items). Fixed length for up to 3 dimensions, so it can be
 *  rewritten in place when the first dimension is known at the end. */
rllc_status rllc_npy_write_header(FILE *f, const char *descr, int n_dims, const int64_t *shape) RLLC_MUST_USE;
/** Parses a header: descr (at most 7 chars + NUL), shape, offset of the data. Checks that the data fit the file. */
rllc_status rllc_npy_parse(const rllc_mapping *m, const char *path, char descr[8], int *n_dims, int64_t shape[8],
                           size_t *offset) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
