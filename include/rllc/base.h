/*
 * base: what every room stands on.
 *
 * Status and error detail, memory, strings, files, JSON, YAML, option tables, counter-based random numbers,
 * a thread pool, content hashes, and the monitor through which long work reports progress and learns to stop.
 * The library never prints and never exits: it returns a status and records one sentence of detail.
 */
#ifndef RLLC_BASE_H
#define RLLC_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RLLC_MUST_USE __attribute__((warn_unused_result))
#define RLLC_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define RLLC_MUST_USE
#define RLLC_PRINTF(f, a)
#endif

/* ---- status ---------------------------------------------------------------------------------------------- */

typedef enum rllc_status {
#define RLLC_STATUS(name, exit_code, sentence) name,
#include "rllc/status.def"
#undef RLLC_STATUS
} rllc_status;

/** The sentence of status.def. Never NULL. */
const char *rllc_status_sentence(rllc_status status);

/** The exit code of a program that ends with this status: 0 done, 1 failure, 2 usage, 3 bad input, 75 stopped early. */
int rllc_status_exit_code(rllc_status status);

/**
 * Records the detail of a failure for this thread and returns `status`, so that a failing function ends with
 * `return rllc_fail(RLLC_EINPUT, "%s: byte %zu: ...", path, at);`. One sentence: what is wrong, where, what was
 * expected, what to do. No final newline. `status` must not be RLLC_OK.
 */
rllc_status rllc_fail(rllc_status status, const char *format, ...) RLLC_PRINTF(2, 3);

/** Puts "context: " before the recorded detail and returns `status`; with RLLC_OK it does nothing. */
rllc_status rllc_fail_within(rllc_status status, const char *format, ...) RLLC_PRINTF(2, 3);

/** The detail recorded last on this thread, "" if none. Valid until the next failure on this thread. */
const char *rllc_error_detail(void);

/** In a function with `rllc_status status = RLLC_OK;` and a label `done:`. */
#define RLLC_TRY(call)                          \
    do {                                        \
        status = (call);                        \
        if (status != RLLC_OK) goto done;       \
    } while (0)

/* ---- memory ---------------------------------------------------------------------------------------------- */

/** count * size zeroed bytes, aligned to 64; overflow and exhaustion are RLLC_ENOMEM. count = 0 gives a pointer too. */
rllc_status rllc_alloc(void *out_pointer, int64_t count, size_t size) RLLC_MUST_USE; /* out_pointer: T ** */
/** Grows an array of rllc_alloc (or NULL) to new_count >= old_count elements; the new part is zero. On failure nothing
 *  changes. */
rllc_status rllc_grow(void *pointer, int64_t old_count, int64_t new_count, size_t size) RLLC_MUST_USE;
void rllc_free(void *pointer); /* accepts NULL; for memory from rllc_alloc and rllc_grow */

/** Peak resident set of this process so far, bytes (0 if unknown). */
size_t rllc_peak_memory(void);

/* ---- strings --------------------------------------------------------------------------------------------- */

/** A growing string; {0} is the empty one. `data` is always NUL-terminated once anything was added (else NULL). */
typedef struct rllc_string {
    char *data;
    size_t length, capacity;
} rllc_string;

rllc_status rllc_string_add(rllc_string *s, const char *text) RLLC_MUST_USE;
rllc_status rllc_string_add_bytes(rllc_string *s, const void *bytes, size_t n) RLLC_MUST_USE;
rllc_status rllc_string_printf(rllc_string *s, const char *format, ...) RLLC_PRINTF(2, 3) RLLC_MUST_USE; /* appends */
void rllc_string_clear(rllc_string *s); /* keeps the memory */
void rllc_string_release(rllc_string *s);
/** s->data, or "" when nothing was ever added. */
const char *rllc_string_text(const rllc_string *s);

/** The one stored copy of this text; lives as long as the process. NULL in, or no memory, gives NULL. Thread-safe.
 *  It makes option structs plain values: a string option is an interned pointer. */
const char *rllc_intern(const char *text);
const char *rllc_intern_printf(const char *format, ...) RLLC_PRINTF(1, 2);

/** The candidate with the smallest edit distance to `word` if that is close enough to suggest, else NULL. */
const char *rllc_nearest(const char *word, const char *const *candidates, int n);

/** Shortest decimal form that reads back to the same double; "NaN", "inf", "-inf". Writes at most 32 bytes. */
const char *rllc_format_double(char buffer[32], double value);

/** Whether the bytes are valid UTF-8; if not, *bad_at (may be NULL) is the offset of the first bad byte. */
bool rllc_utf8_valid(const void *bytes, size_t n, size_t *bad_at);

/* ---- files ----------------------------------------------------------------------------------------------- */

/** A whole file mapped read-only. A file of 0 bytes gives data = NULL, size = 0. */
typedef struct rllc_mapping {
    const unsigned char *data;
    size_t size;
} rllc_mapping;

rllc_status rllc_mapping_open(rllc_mapping *m, const char *path) RLLC_MUST_USE;
void rllc_mapping_close(rllc_mapping *m);

/**
 * A file that appears whole or not at all: written to a temporary neighbour, then flushed, fsynced, renamed and
 * the folder fsynced by commit. Write to `stream` with stdio; commit reports any earlier write error too.
 */
typedef struct rllc_output_file {
    FILE *stream;
    char *path, *temporary;
} rllc_output_file;

rllc_status rllc_output_file_open(rllc_output_file *f, const char *path) RLLC_MUST_USE;
rllc_status rllc_output_file_commit(rllc_output_file *f) RLLC_MUST_USE; /* closes anyway; on failure nothing appears */
void rllc_output_file_abort(rllc_output_file *f);                       /* accepts {0} and an already committed file */

/** Writes a whole file as above. */
rllc_status rllc_file_write(const char *path, const void *bytes, size_t n) RLLC_MUST_USE;
rllc_status rllc_make_folders(const char *path) RLLC_MUST_USE; /* mkdir -p */
bool rllc_file_exists(const char *path);
bool rllc_is_folder(const char *path);
/** Sorted (byte order) names in a folder without . and ..; free with rllc_names_free. */
rllc_status rllc_folder_list(const char *path, char ***names, int64_t *n) RLLC_MUST_USE;
void rllc_names_free(char **names, int64_t n);

/* ---- JSON (jansson behind) ------------------------------------------------------------------------------- */

typedef struct json_t rllc_json; /* reference counted: a value belongs to whoever made it, until given to a container */

/** Strict: no duplicate keys, UTF-8 checked, nesting at most 2048. `name` is for messages (a path, or path:line). */
rllc_status rllc_json_parse(rllc_json **out, const char *text, size_t n, const char *name) RLLC_MUST_USE;
rllc_status rllc_json_load(rllc_json **out, const char *path) RLLC_MUST_USE;
void rllc_json_free(rllc_json *j); /* drops one reference; accepts NULL */
/** Appends text; indent 0 = one line. Keys sorted when `sorted` (canonical form for hashing), else insertion order. */
rllc_status rllc_json_print(const rllc_json *j, int indent, bool sorted, rllc_string *out) RLLC_MUST_USE;

rllc_json *rllc_json_object(void);
rllc_json *rllc_json_array(void);
/* Setters: `value` is taken over, also on failure; NULL value is RLLC_ENOMEM, so constructors nest without checks. */
rllc_status rllc_json_set(rllc_json *object, const char *key, rllc_json *value) RLLC_MUST_USE;
rllc_status rllc_json_append(rllc_json *array, rllc_json *value) RLLC_MUST_USE;
rllc_json *rllc_json_string(const char *text); /* NULL becomes null; bytes that are no UTF-8 become U+FFFD */
rllc_json *rllc_json_integer(int64_t value);
rllc_json *rllc_json_real(double value); /* NaN and infinities become null */
rllc_json *rllc_json_boolean(bool value);
rllc_json *rllc_json_null(void);

/* Readers: borrowed results; a missing key or another type gives NULL / the fallback. */
const rllc_json *rllc_json_get(const rllc_json *object, const char *key);
const rllc_json *rllc_json_at(const rllc_json *array, int64_t i);
int64_t rllc_json_length(const rllc_json *array_or_object); /* 0 for other types */
bool rllc_json_is_object(const rllc_json *j);
bool rllc_json_is_array(const rllc_json *j);
bool rllc_json_is_string(const rllc_json *j);
bool rllc_json_is_integer(const rllc_json *j);
bool rllc_json_is_null(const rllc_json *j); /* true only for an explicit null */
const char *rllc_json_text(const rllc_json *j); /* NULL if not a string; may hold NUL inside: see _text_length */
size_t rllc_json_text_length(const rllc_json *j);
int64_t rllc_json_to_integer(const rllc_json *j, int64_t fallback);
double rllc_json_to_real(const rllc_json *j, double fallback); /* integers too */
bool rllc_json_to_boolean(const rllc_json *j, bool fallback);
/** Calls visit(context, key, value) for each member in insertion order until it fails. */
rllc_status rllc_json_each(const rllc_json *object, rllc_status (*visit)(void *, const char *, const rllc_json *),
                           void *context) RLLC_MUST_USE;

/* ---- YAML (libyaml behind) ------------------------------------------------------------------------------- */

typedef enum { RLLC_YAML_SCALAR, RLLC_YAML_LIST, RLLC_YAML_MAP } rllc_yaml_kind;

/** A node of a YAML (or JSON) document; scalars stay text and are typed by the schema that reads them. */
typedef struct rllc_yaml {
    rllc_yaml_kind kind;
    bool is_null;             /* SCALAR written plainly as null, ~ or nothing at all; its text is kept in `scalar` */
    char *scalar;             /* SCALAR; never NULL */
    char **keys;              /* MAP: n keys, in order; no duplicates */
    struct rllc_yaml **items; /* LIST and MAP: n children */
    int64_t n;
    int line;                 /* 1-based; 0 = from the command line */
    const char *file;         /* interned name for messages */
} rllc_yaml;

rllc_status rllc_yaml_parse(rllc_yaml **out, const char *text, size_t n, const char *name) RLLC_MUST_USE;
rllc_status rllc_yaml_load(rllc_yaml **out, const char *path) RLLC_MUST_USE;
void rllc_yaml_free(rllc_yaml *y);
rllc_yaml *rllc_yaml_get(const rllc_yaml *map, const char *key); /* borrowed; NULL if absent */
/** Applies "a.b.c=value" (value is parsed as YAML): makes the maps on the way, replaces what was there. */
rllc_status rllc_yaml_override(rllc_yaml *root, const char *assignment) RLLC_MUST_USE;
/** Deep merge: maps merge key by key, anything else in `over` replaces. `over` is left unchanged. */
rllc_status rllc_yaml_merge(rllc_yaml *base, const rllc_yaml *over) RLLC_MUST_USE;
rllc_status rllc_yaml_print(const rllc_yaml *y, rllc_string *out) RLLC_MUST_USE;

/* ---- option tables --------------------------------------------------------------------------------------- */

typedef enum {
    RLLC_INTEGER, /* int64_t */
    RLLC_SEED,    /* uint64_t */
    RLLC_REAL,    /* double */
    RLLC_BOOLEAN, /* bool */
    RLLC_TEXT,    /* const char * (interned); a YAML list of scalars is joined with "," */
    RLLC_CHOICE   /* int: index into the comma-separated `choices` */
} rllc_option_type;

/** One field of an options struct. It drives default, validation, flag, YAML key, JSON, help and docs. */
typedef struct rllc_option {
    const char *name; /* snake_case: the YAML key; the flag is --snake-case (both spellings accepted) */
    rllc_option_type type;
    size_t offset;
    const char *initial;  /* default, as text; NULL for TEXT means NULL */
    double low, high;     /* inclusive bounds for numbers; low > high = unbounded */
    const char *choices;  /* CHOICE: "normal,sinusoidal" */
    const char *unit;     /* "" if none */
    const char *help;     /* one phrase */
} rllc_option;

typedef struct rllc_option_table {
    const char *name; /* "model": YAML section and JSON key */
    const char *summary;
    const rllc_option *options;
    int n;
} rllc_option_table;

/** A row of a table: RLLC_OPTION(struct type, field, type, initial, low, high or RLLC_UNBOUNDED, choices, unit, help) */
#define RLLC_OPTION(owner, field, type, initial, ...) {#field, type, offsetof(owner, field), initial, __VA_ARGS__}
#define RLLC_UNBOUNDED 1.0, 0.0 /* for low, high */

/** Whether the table is sound (for tests): snake_case names, each once; defaults parse and lie within bounds; help. */
rllc_status rllc_options_check(const rllc_option_table *table) RLLC_MUST_USE;
/** Sets every field of `object` to its default. */
void rllc_options_default(const rllc_option_table *table, void *object);
/** Parses `text` (NULL is a null, for TEXT only) into the named field, with bounds: plain decimal numbers under every
 *  locale, integers also as 1e5. `where` begins the message, e.g. "--lr" or "config.yaml:12: lr". */
rllc_status rllc_options_set(const rllc_option_table *table, void *object, const char *name, const char *text,
                             const char *where) RLLC_MUST_USE;
/** Reads a YAML map; an unknown key is RLLC_EINPUT and names the nearest known one, with file and line. */
rllc_status rllc_options_from_yaml(const rllc_option_table *table, void *object, const rllc_yaml *map) RLLC_MUST_USE;
/** All fields as an object; reals in shortest round-trip form. The canonical record stored with every result. */
rllc_status rllc_options_to_json(const rllc_option_table *table, const void *object, rllc_json **out) RLLC_MUST_USE;
rllc_status rllc_options_from_json(const rllc_option_table *table, void *object, const rllc_json *j) RLLC_MUST_USE;

/** A table with the struct that its flags write to. */
typedef struct rllc_option_binding {
    const rllc_option_table *table;
    void *object;
} rllc_option_binding;

/**
 * Reads flags anywhere on the line ("--lr 1e-3", "--lr=1e-3", "--json", "--no-json" for booleans, "--" ends flags);
 * the rest goes to positionals (capacity argc). An unknown flag is RLLC_EUSAGE and names the nearest known one.
 */
rllc_status rllc_options_from_arguments(const rllc_option_binding *bindings, int n_bindings, int argc,
                                        const char *const *argv, const char **positionals,
                                        int *n_positionals) RLLC_MUST_USE;
/** Appends aligned help lines "  --lr X   step size (default 0.001)". */
rllc_status rllc_options_help(const rllc_option_table *table, rllc_string *out) RLLC_MUST_USE;

/**
 * Parses a grid of steps into sorted unique integers: "0,100,200..1000:200" (arithmetic), "1..512:x2" (geometric),
 * and numbers joined by commas or blanks. Free *values with rllc_free.
 */
rllc_status rllc_grid_parse(const char *text, int64_t **values, int64_t *n) RLLC_MUST_USE;

/* ---- random numbers -------------------------------------------------------------------------------------- */

/**
 * A stream of counter-based random numbers, Philox4x32-10 (Salmon et al. 2011).                               (E30)
 * The key is a hash of (seed, purpose); the counter is (index / 4, step, chain), so any number can be
 * computed alone, in any order, on any thread. Lane index % 4 of a block belongs to that index.
 */
typedef struct rllc_stream {
    uint32_t key[2];
    uint32_t chain;
    uint32_t step;
} rllc_stream;

/** purpose: what the numbers are for, e.g. "noise/<checkpoint hash>/<corpus hash>". */
rllc_stream rllc_stream_make(uint64_t seed, const char *purpose, uint32_t chain, uint32_t step);
/** The four 32-bit words of block `block` (counter words: block low, block high, step, chain). */
void rllc_stream_block(const rllc_stream *s, uint64_t block, uint32_t out[4]);
uint32_t rllc_stream_u32(const rllc_stream *s, uint64_t index);
/* The next two use the 64 bits of words 2 (index % 2) (low half) and the one after (high half) of block index / 2. */
double rllc_stream_uniform(const rllc_stream *s, uint64_t index); /* in (0, 1): a multiple of 2^-53, or 2^-54 for 0 */
uint64_t rllc_stream_below(const rllc_stream *s, uint64_t index, uint64_t n); /* 0..n-1, biased by less than n / 2^64 */
/** A pseudo-random permutation of 0..n-1, evaluated at i without memory (Feistel network with cycle walking). */
uint64_t rllc_permute(uint64_t i, uint64_t n, uint64_t key);

/** Consecutive parameter indices first .. first+n-1 of a whole model: they address noise and name components. */
typedef struct rllc_span {
    int64_t first, n;
} rllc_span;

/* ---- threads --------------------------------------------------------------------------------------------- */

/** Threads to use when the user says 0: the affinity mask of this process, or RLLC_THREADS / OMP_NUM_THREADS if set. */
int rllc_default_threads(void);

/**
 * Runs task(context, i, worker) for i = 0..n-1 on n_threads threads (0 = default), worker = 0..n_threads-1.
 * Which worker runs which i is not fixed; results must not depend on it. Every i runs unless one fails; the status
 * and detail returned are those of the smallest i that fails, whatever the timing (indices are handed out in order and
 * none handed out is dropped). Inside a task that runs beside others a further call runs serially, as worker 0.
 */
rllc_status rllc_parallel(int64_t n, int n_threads, rllc_status (*task)(void *context, int64_t i, int worker),
                          void *context) RLLC_MUST_USE;

/* ---- identities ------------------------------------------------------------------------------------------ */

/** 128-bit content hash (XXH3-128) as 32 hexadecimal digits. */
typedef struct rllc_hash {
    char hex[33];
} rllc_hash;

typedef struct rllc_hasher rllc_hasher; /* streaming */

rllc_hash rllc_hash_bytes(const void *bytes, size_t n);
rllc_hash rllc_hash_text(const char *text);
rllc_status rllc_hash_file(const char *path, rllc_hash *out) RLLC_MUST_USE;
rllc_status rllc_hasher_new(rllc_hasher **out) RLLC_MUST_USE;
void rllc_hasher_add(rllc_hasher *h, const void *bytes, size_t n);
rllc_hash rllc_hasher_end(const rllc_hasher *h);
void rllc_hasher_free(rllc_hasher *h);
/** 64-bit XXH3 with a seed: splits, tables. */
uint64_t rllc_hash64(const void *bytes, size_t n, uint64_t seed);

/* ---- monitor --------------------------------------------------------------------------------------------- */

typedef struct rllc_progress {
    const char *stage; /* "train", "sample", ... */
    const char *unit;  /* "step", "draw", "MB", ... */
    double current, total;
    const char *note;  /* short, e.g. "loss 3.21 val 3.30"; may be "" */
} rllc_progress;

/** How long work talks to its caller. Any member may be NULL. Called from the thread that entered the library. */
typedef struct rllc_monitor {
    void *context;
    void (*progress)(void *context, const rllc_progress *p);
    void (*message)(void *context, const char *text); /* one line worth telling, without newline */
    bool (*stop)(void *context);                      /* true: save and return RLLC_ESTOPPED */
} rllc_monitor;

/* Each accepts a NULL monitor. */
void rllc_report_progress(const rllc_monitor *m, const char *stage, const char *unit, double current, double total,
                          const char *note_format, ...) RLLC_PRINTF(6, 7);
void rllc_report_message(const rllc_monitor *m, const char *format, ...) RLLC_PRINTF(2, 3);
bool rllc_should_stop(const rllc_monitor *m);

/** Seconds of a monotonic clock. */
double rllc_now(void);

/* ---- provenance ------------------------------------------------------------------------------------------ */

#define RLLC_VERSION "0.1.0"
/** Commit the library was built from ("unknown" outside git), with "+" when the tree had changes. */
const char *rllc_commit(void);
/** Host, CPU, threads, memory, compiler, version, commit and the libraries of base as a JSON object; rooms that know
 *  more (kernel path, SQLite) add their own members. */
rllc_status rllc_machine_json(rllc_json **out) RLLC_MUST_USE;

#ifdef __cplusplus
}
#endif
#endif
