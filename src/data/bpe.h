/* data bpe: what a tokenizer is made of, how it is put together, and the merging of one pre-token. */
#ifndef RLLC_DATA_BPE_H
#define RLLC_DATA_BPE_H

#include "data/table.h"
#include "data/text.h"

/** A token that is cut out of the text before anything else. */
typedef struct rllc_data_added {
    int32_t id;
    bool special, normalized;
} rllc_data_added;

struct rllc_tokenizer {
    int64_t size;
    rllc_data_strings names; /* number = id: the token as tokenizer.json spells it (byte symbols, or plain text) */
    char *bytes;             /* the raw bytes of every token, a NUL behind each */
    size_t *begin;           /* [size + 1] */
    bool *in_model;          /* [size] the id is in model.vocab, not only in added_tokens */
    int32_t byte_id[256];    /* -1: the vocabulary lacks this byte */
    int32_t *left, *right, *result; /* [n_merges] by rank */
    int64_t n_merges, merges_capacity;
    rllc_data_pairs ranks;   /* (left, right) -> rank */
    rllc_data_strings whole; /* pre-tokens that are one token, by their bytes: the answer without merging */
    int32_t *whole_id;
    rllc_data_added *added;
    int64_t n_added;
    rllc_data_split **splits; /* steps before the byte level */
    int64_t n_splits;
    bool add_prefix_space, use_regex, ignore_merges;
    int32_t bos;
    rllc_hash hash;
    const char *remark; /* interned, or NULL */
};

/* ---- symbols.c: GPT-2's printable character for each byte -------------------------------------------------- */

/** Appends the symbol (one character of UTF-8, two bytes at most) of each byte. */
rllc_status rllc_data_symbols_of(const void *bytes, size_t n, rllc_string *out) RLLC_MUST_USE;
/** Writes the bytes behind the symbols to out[n] and their number to *m; false if a character is no byte symbol. */
bool rllc_data_bytes_of(const char *symbols, size_t n, unsigned char *out, size_t *m);
/** The code point of a byte's symbol. */
uint32_t rllc_data_symbol(unsigned char byte);

/* ---- build.c: a tokenizer, step by step, each checked ------------------------------------------------------ */

/** A token with its id, as a file lists it. `name` is borrowed until rllc_data_tokens returns. */
typedef struct rllc_data_entry {
    const char *name;
    size_t n;
    int64_t id;
    bool in_model;
} rllc_data_entry;

rllc_status rllc_data_tokenizer_new(rllc_tokenizer **out) RLLC_MUST_USE;
/** Gives every id its token. The ids must be 0 .. n-1, each once, and the names distinct. Reorders the entries.
 *  file: begins messages. */
rllc_status rllc_data_tokens(rllc_tokenizer *t, rllc_data_entry *entries, int64_t n, const char *file) RLLC_MUST_USE;
/** The next merge, by names. where: begins messages. */
rllc_status rllc_data_merge_add(rllc_tokenizer *t, const char *a, size_t n_a, const char *b, size_t n_b,
                                const char *where) RLLC_MUST_USE;
rllc_status rllc_data_added_add(rllc_tokenizer *t, int32_t id, bool special, bool normalized,
                                const char *file) RLLC_MUST_USE;
/** Takes the step over, also on failure. */
rllc_status rllc_data_split_add(rllc_tokenizer *t, rllc_data_split *step) RLLC_MUST_USE;
/** Derives the rest. bos: the name of the BOS token, or NULL: then <|endoftext|>, else the only special token. */
rllc_status rllc_data_tokenizer_finish(rllc_tokenizer *t, const char *bos, size_t n_bos,
                                       const char *file) RLLC_MUST_USE;

/** Whether the vocabulary and the merges are the same. */
bool rllc_data_same_model(const rllc_tokenizer *a, const rllc_tokenizer *b);

/* ---- the file forms ---------------------------------------------------------------------------------------- */

/** tokenizer_json.c. bos as in rllc_data_tokenizer_finish. */
rllc_status rllc_data_tokenizer_json(rllc_tokenizer **out, const char *path, const char *bos) RLLC_MUST_USE;
/** added_tokens.c: the list of that name in tokenizer.json. */
rllc_status rllc_data_read_added(rllc_tokenizer *t, const rllc_json *list, const char *path) RLLC_MUST_USE;
/** pretokenizer_json.c: the pre-tokeniser of tokenizer.json. */
rllc_status rllc_data_read_pretokenizer(rllc_tokenizer *t, const rllc_json *j, const char *path) RLLC_MUST_USE;
/** vocab_merges.c: vocab.json and merges.txt in one folder. */
rllc_status rllc_data_vocab_merges(rllc_tokenizer **out, const char *folder) RLLC_MUST_USE;
/** vocab_merges.c: the bos_token of tokenizer_config.json or special_tokens_map.json, interned; NULL if not named. */
rllc_status rllc_data_folder_bos(const char *folder, const char **bos) RLLC_MUST_USE;
/** write.c: appends the canonical tokenizer.json. */
rllc_status rllc_data_tokenizer_print(const rllc_tokenizer *t, rllc_string *out) RLLC_MUST_USE;

/** A key of an object that must have one of two types or be absent; for what the readers of tokenizer files ask. */
rllc_status rllc_data_want_boolean(const rllc_json *object, const char *key, bool fallback, const char *where,
                                   bool *out) RLLC_MUST_USE;
/** RLLC_EUNSUPPORTED, naming the key, unless it is absent, null, false, 0 or "". */
rllc_status rllc_data_want_nothing(const rllc_json *object, const char *key, const char *where) RLLC_MUST_USE;
/** RLLC_EUNSUPPORTED, naming the key, if the object has one that is not in the NULL-terminated list. */
rllc_status rllc_data_want_keys(const rllc_json *object, const char *const *known, const char *where) RLLC_MUST_USE;

/* ---- merge.c ----------------------------------------------------------------------------------------------- */

/** Memory for merging long pre-tokens; {0} is empty. */
typedef struct rllc_data_workspace {
    int32_t *id, *next, *previous;
    int64_t capacity;
    uint64_t *heap; /* rank << 32 | position */
    int64_t n_heap, heap_capacity;
} rllc_data_workspace;

void rllc_data_workspace_release(rllc_data_workspace *w);
/**
 * Appends the ids of one pre-token: its bytes, then again and again the pair of smallest rank, the leftmost first, is
 * joined until no pair has a rank. n bytes cost n^2 up to 64 of them, n log n beyond.   Source: Sennrich et al. 2016.
 */
rllc_status rllc_data_merge(const rllc_tokenizer *t, rllc_data_workspace *w, const unsigned char *s, size_t n,
                            rllc_ids *out) RLLC_MUST_USE;
/** Makes room for n more ids. */
rllc_status rllc_data_ids_reserve(rllc_ids *ids, int64_t n) RLLC_MUST_USE;

#endif
