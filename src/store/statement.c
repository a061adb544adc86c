/* Prepared statements, the rows they give, and the sentences for what can go wrong with a database file. */
#include "store/internal.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const char *const texts[] = {
#define RLLC_STORE_SQL(name, text) text,
#include "store/statements.def"
#undef RLLC_STORE_SQL
};

/* ---- failures -------------------------------------------------------------------------------------------- */

static rllc_status fail_io(const rllc_store *s, int code, const char *doing) {
    const int error = s->db ? sqlite3_system_errno(s->db) : errno;
    if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
        return rllc_fail(RLLC_EIO,
                         "%s: cannot %s: %s; nothing of this step was kept and the results before it are safe; "
                         "make room and run again",
                         s->path, doing, strerror(error));
    }
    return rllc_fail(RLLC_EIO, "%s: cannot %s: %s%s%s; the results committed before are safe", s->path, doing,
                     sqlite3_errstr(code), error ? ": " : "", error ? strerror(error) : "");
}

rllc_status rllc_store_fail(const rllc_store *s, int code, const char *doing) {
    const char *detail = s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code);
    switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return rllc_fail(RLLC_EIO,
                         "%s: cannot %s: another process has held the store locked for %.3g s; let it end "
                         "(`fuser %s` names it), then run again",
                         s->path, doing, s->wait_ms / 1000.0, s->path);
    case SQLITE_FULL:
        return rllc_fail(RLLC_EIO,
                         "%s: cannot %s: no space is left on the disk; nothing of this step was kept and the "
                         "results before it are safe; make room and run again",
                         s->path, doing);
    case SQLITE_CORRUPT:
        return rllc_fail(RLLC_EINPUT,
                         "%s: cannot %s: the store is damaged (%s); keep a copy, then restore a backup or try "
                         "`sqlite3 %s .recover`",
                         s->path, doing, detail, s->path);
    case SQLITE_NOTADB:
        return rllc_fail(RLLC_EINPUT,
                         "%s: is no store (not a SQLite file, or its first page is damaged); name the run.db of "
                         "a run",
                         s->path);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return rllc_fail(RLLC_EIO, "%s: cannot %s: %s; the file and its folder must be %s", s->path, doing, detail,
                         s->writable ? "writable" : "readable (and writable once, if a writer was killed)");
    case SQLITE_NOMEM: return rllc_fail(RLLC_ENOMEM, "%s: cannot %s: memory is exhausted", s->path, doing);
    case SQLITE_TOOBIG:
        return rllc_fail(RLLC_EUNSUPPORTED, "%s: cannot %s: more than 1 GB in one value", s->path, doing);
    case SQLITE_CONSTRAINT: return rllc_fail(RLLC_EMISMATCH, "%s: cannot %s: %s", s->path, doing, detail);
    case SQLITE_IOERR:
    case SQLITE_PROTOCOL:
    case SQLITE_NOLFS: return fail_io(s, code, doing);
    default: return rllc_fail(RLLC_EFAIL, "%s: cannot %s: %s", s->path, doing, detail);
    }
}

/* What a statement does, for a message: "run 'INSERT INTO meta'". */
static rllc_status fail_statement(const rllc_store *s, int code, int which) {
    char doing[64];
    const char *text = texts[which];
    int n = 0, words = 0;
    while (text[n] && n < 40 && (text[n] != ' ' || ++words < 3)) n++;
    (void)snprintf(doing, sizeof doing, "run '%.*s'", n, text);
    return rllc_store_fail(s, code, doing);
}

/* SQLite may give up a whole transaction by itself (full disk, I/O error): what follows must not commit piecemeal. */
static rllc_status check_transaction(const rllc_store *s, int which) {
    if (s->depth > 0 && sqlite3_get_autocommit(s->db)) {
        return rllc_fail(RLLC_EIO,
                         "%s: the transaction was given up after an earlier failure, so nothing more can be "
                         "written into it; roll back and begin again",
                         s->path);
    }
    if (!s->writable && !sqlite3_stmt_readonly(s->statements[which])) {
        return rllc_fail(RLLC_EFAIL, "%s: the store was opened for reading, so nothing can be written", s->path);
    }
    return RLLC_OK;
}

/* ---- running --------------------------------------------------------------------------------------------- */

static int bind(sqlite3_stmt *statement, int i, const rllc_store_value *v) {
    switch (v->kind) {
    case RLLC_VALUE_INTEGER: return sqlite3_bind_int64(statement, i, v->integer);
    case RLLC_VALUE_REAL: return sqlite3_bind_double(statement, i, v->real);
    case RLLC_VALUE_TEXT: return sqlite3_bind_text(statement, i, v->bytes ? v->bytes : "", -1, SQLITE_STATIC);
    case RLLC_VALUE_BLOB:
        return v->bytes ? sqlite3_bind_blob64(statement, i, v->bytes, (sqlite3_uint64)v->integer, SQLITE_STATIC)
                        : sqlite3_bind_null(statement, i);
    }
    return SQLITE_MISUSE;
}

rllc_status rllc_store_query(rllc_store *s, int which, const rllc_store_value *values, int n, sqlite3_stmt **out) {
    sqlite3_stmt **slot = &s->statements[which];
    int code = SQLITE_OK;
    *out = NULL;
    if (!*slot) code = sqlite3_prepare_v3(s->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, slot, NULL);
    if (code != SQLITE_OK) return fail_statement(s, code, which);
    const rllc_status status = check_transaction(s, which);
    if (status != RLLC_OK) return status;
    for (int i = 0; i < n && code == SQLITE_OK; i++) code = bind(*slot, i + 1, &values[i]);
    if (code != SQLITE_OK) return fail_statement(s, code, which);
    *out = *slot;
    return RLLC_OK;
}

static int which_is(const rllc_store *s, const sqlite3_stmt *statement) {
    int which = 0;
    while (s->statements[which] != statement) which++;
    return which;
}

rllc_status rllc_store_next(rllc_store *s, sqlite3_stmt *statement, bool *row) {
    const int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? RLLC_OK : fail_statement(s, code, which_is(s, statement));
}

rllc_status rllc_store_run_integer(rllc_store *s, int which, const rllc_store_value *values, int n, int64_t *out,
                                   bool *found) {
    rllc_status status = RLLC_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    if (found) *found = false;
    RLLC_TRY(rllc_store_query(s, which, values, n, &statement));
    RLLC_TRY(rllc_store_next(s, statement, &row));
    if (found) *found = row;
    if (row && out) *out = sqlite3_column_int64(statement, 0);
    while (row) RLLC_TRY(rllc_store_next(s, statement, &row)); /* an INSERT ... RETURNING ends only here */
done:
    sqlite3_reset(statement);
    return status;
}

rllc_status rllc_store_run(rllc_store *s, int which, const rllc_store_value *values, int n) {
    return rllc_store_run_integer(s, which, values, n, NULL, NULL);
}

/* ---- rows ------------------------------------------------------------------------------------------------ */

const char *rllc_store_text(sqlite3_stmt *statement, int column) {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return rllc_intern(text ? text : "");
}

double rllc_store_real(sqlite3_stmt *statement, int column) {
    return sqlite3_column_type(statement, column) == SQLITE_NULL ? NAN : sqlite3_column_double(statement, column);
}

rllc_status rllc_store_list(rllc_store *s, int which, const rllc_store_value *values, int n_values, size_t size,
                            bool (*read)(sqlite3_stmt *, void *), void *list_pointer, int64_t *n) {
    rllc_status status = RLLC_OK;
    sqlite3_stmt *statement = NULL;
    char *list = NULL;
    int64_t capacity = 0, count = 0;
    bool row = false;
    const void *nothing = NULL;
    memcpy(list_pointer, &nothing, sizeof nothing);
    *n = 0;
    RLLC_TRY(rllc_alloc(&list, 0, size)); /* an empty list is a valid pointer too */
    RLLC_TRY(rllc_store_query(s, which, values, n_values, &statement));
    for (;;) {
        RLLC_TRY(rllc_store_next(s, statement, &row));
        if (!row) break;
        if (count == capacity) {
            const int64_t wider = capacity ? 2 * capacity : 64;
            RLLC_TRY(rllc_grow(&list, capacity, wider, size));
            capacity = wider;
        }
        if (!read(statement, list + (size_t)count * size)) {
            status = rllc_fail(RLLC_ENOMEM, "%s: no memory for a list of %lld rows", s->path, (long long)count + 1);
            goto done;
        }
        count++;
    }
    memcpy(list_pointer, &list, sizeof list);
    *n = count;
    list = NULL;
done:
    sqlite3_reset(statement);
    rllc_free(list);
    return status;
}
