/* What the files of this room share: the open store, its prepared statements, typed values, rows and lists. */
#ifndef RLLC_STORE_INTERNAL_H
#define RLLC_STORE_INTERNAL_H

#include "rllc/store.h"

#include <sqlite3.h>

#define RLLC_STORE_WAIT_MS 30000 /* how long to wait for another process' lock */

/** Every prepared statement: RLLC_SQL_PUT_META, ... */
enum {
#define RLLC_STORE_SQL(name, text) RLLC_SQL_##name,
#include "store/statements.def"
#undef RLLC_STORE_SQL
    RLLC_SQL_COUNT
};

struct rllc_store {
    sqlite3 *db;
    const char *path;   /* as given; interned */
    const char *folder; /* absolute, without links; interned */
    bool writable;
    int depth; /* open transactions, one inside the other */
    int wait_ms;
    sqlite3_stmt *statements[RLLC_SQL_COUNT];
};

/** rllc_store_open with another waiting time. */
rllc_status rllc_store_open_waiting(rllc_store **out, const char *path, int mode, int wait_ms) RLLC_MUST_USE;

/** The status and sentence for a failed call of SQLite; `doing` completes "cannot ...". */
rllc_status rllc_store_fail(const rllc_store *s, int code, const char *doing);

/* ---- values and statements ------------------------------------------------------------------------------- */

typedef struct rllc_store_value {
    enum { RLLC_VALUE_INTEGER, RLLC_VALUE_REAL, RLLC_VALUE_TEXT, RLLC_VALUE_BLOB } kind;
    int64_t integer; /* BLOB: bytes */
    double real;     /* NaN is stored as NULL */
    const void *bytes;
} rllc_store_value;

#define RLLC_INT(x) ((rllc_store_value){.kind = RLLC_VALUE_INTEGER, .integer = (int64_t)(x)})
#define RLLC_NUM(x) ((rllc_store_value){.kind = RLLC_VALUE_REAL, .real = (x)})
#define RLLC_STR(x) ((rllc_store_value){.kind = RLLC_VALUE_TEXT, .bytes = (x)}) /* NULL is stored as '' */
#define RLLC_BLOB(p, n)                                                                                                \
    ((rllc_store_value){.kind = RLLC_VALUE_BLOB, .integer = (int64_t)(n), .bytes = (p)}) /* NULL stays */

/** The values of a statement and how many they are. */
#define RLLC_VALUES(...)                                                                                               \
    (const rllc_store_value[]){__VA_ARGS__},                                                                           \
        (int)(sizeof((const rllc_store_value[]){__VA_ARGS__}) / sizeof(rllc_store_value))
#define RLLC_NO_VALUES NULL, 0

/** Binds; rows follow with rllc_store_next. End with sqlite3_reset(*out), which accepts NULL. */
rllc_status rllc_store_query(rllc_store *s, int which, const rllc_store_value *values, int n,
                             sqlite3_stmt **out) RLLC_MUST_USE;
/** Takes the next row; *row = false after the last. */
rllc_status rllc_store_next(rllc_store *s, sqlite3_stmt *statement, bool *row) RLLC_MUST_USE;
/** Binds and runs a statement that gives no row. */
rllc_status rllc_store_run(rllc_store *s, int which, const rllc_store_value *values, int n) RLLC_MUST_USE;
/** Binds, runs, and returns the one integer of the first row; *found = false (may be NULL) if there is none. */
rllc_status rllc_store_run_integer(rllc_store *s, int which, const rllc_store_value *values, int n, int64_t *out,
                                   bool *found) RLLC_MUST_USE;

/** A column as an interned text, "" for NULL; NULL without memory. */
const char *rllc_store_text(sqlite3_stmt *statement, int column);
/** A column as a number, NaN for NULL. */
double rllc_store_real(sqlite3_stmt *statement, int column);

/** All rows of a statement as one array: read(statement, element) fills each element of `size` bytes, false = no
 * memory. */
rllc_status rllc_store_list(rllc_store *s, int which, const rllc_store_value *values, int n_values, size_t size,
                            bool (*read)(sqlite3_stmt *, void *), void *list_pointer, int64_t *n) RLLC_MUST_USE;

/** Runs an upsert in a transaction of its own; *id (may be NULL): what it returns. */
rllc_status rllc_store_put_row(rllc_store *s, int which, const rllc_store_value *values, int n,
                               int64_t *id) RLLC_MUST_USE;
/** Commits if status is RLLC_OK, else rolls back; returns the status of the whole. */
rllc_status rllc_store_end(rllc_store *s, rllc_status status) RLLC_MUST_USE;

/** Reads the columns RLLC_STORE_CELL_COLUMNS from column 0 on. */
bool rllc_store_read_cell(sqlite3_stmt *statement, void *cell);
#define RLLC_STORE_N_CELL_COLUMNS 16

#endif
