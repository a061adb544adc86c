/* Opening, creating and closing the file of a store. */
#include "store/internal.h"
#include "store/schema.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rllc_status run_sql(rllc_store *s, const char *sql, const char *doing) {
    const int code = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? RLLC_OK : rllc_store_fail(s, code, doing);
}

/* One integer of a statement that is needed only while opening. */
static rllc_status ask_integer(rllc_store *s, const char *sql, int64_t *out) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(s->db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) *out = sqlite3_column_int64(statement, 0);
    const rllc_status status = code == SQLITE_ROW ? RLLC_OK : rllc_store_fail(s, code, "read the store's first page");
    sqlite3_finalize(statement);
    return status;
}

/* ---- the place ------------------------------------------------------------------------------------------- */

/* The folder of the file, absolute and without links. */
static rllc_status find_folder(rllc_store *s) {
    char *copy = strdup(s->path);
    if (!copy) return rllc_fail(RLLC_ENOMEM, "%s: no memory for a path", s->path);
    char *absolute = realpath(dirname(copy), NULL);
    rllc_status status = RLLC_OK;
    if (!absolute) {
        status = rllc_fail(s->writable ? RLLC_EIO : RLLC_ENOTFOUND, "%s: its folder cannot be entered: %s", s->path,
                           strerror(errno));
    } else {
        s->folder = rllc_intern(absolute);
        if (!s->folder) status = rllc_fail(RLLC_ENOMEM, "%s: no memory for a path", s->path);
    }
    free(absolute);
    free(copy);
    return status;
}

static rllc_status check_place(const rllc_store *s) {
    if (rllc_is_folder(s->path)) {
        return rllc_fail(RLLC_EINPUT, "%s: is a folder; name the store's file, for example %s/run.db", s->path,
                         s->path);
    }
    if (!s->writable && !rllc_file_exists(s->path)) {
        return rllc_fail(RLLC_ENOTFOUND, "%s: no such store; a run makes one (run.db in its folder)", s->path);
    }
    if (s->writable && access(s->folder, W_OK | X_OK) != 0) {
        return rllc_fail(RLLC_EIO, "%s: the folder %s cannot be written (%s), but SQLite must make its journal there",
                         s->path, s->folder, strerror(errno));
    }
    if (s->writable && rllc_file_exists(s->path) && access(s->path, R_OK | W_OK) != 0) {
        return rllc_fail(RLLC_EIO, "%s: the store cannot be written: %s", s->path, strerror(errno));
    }
    return RLLC_OK;
}

/* ---- the file -------------------------------------------------------------------------------------------- */

/* Settings of this connection. What a hostile file says (views, triggers, functions in its schema) is not obeyed. */
static rllc_status configure(rllc_store *s) {
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, s->wait_ms);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, (int *)NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, (int *)NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, (int *)NULL);
    return run_sql(s,
                   s->writable ? "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; PRAGMA synchronous=EXTRA"
                               : "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; PRAGMA query_only=ON",
                   "set up the store");
}

/* Whose file it is: *fresh = an empty one that may become a store. */
static rllc_status identify(rllc_store *s, bool *fresh) {
    rllc_status status = RLLC_OK;
    int64_t application = 0, version = 0, tables = 0;
    RLLC_TRY(ask_integer(s, "PRAGMA application_id", &application));
    RLLC_TRY(ask_integer(s, "PRAGMA user_version", &version));
    RLLC_TRY(ask_integer(s, "SELECT count(*) FROM sqlite_schema", &tables));
    *fresh = application == 0 && version == 0 && tables == 0;
    if (*fresh && s->writable) goto done;
    if (*fresh) {
        status = rllc_fail(RLLC_EINPUT, "%s: is an empty file, not a store", s->path);
    } else if (application != RLLC_STORE_APPLICATION) {
        status = rllc_fail(RLLC_EINPUT, "%s: is a SQLite file of another program, not a store", s->path);
    } else if (version > RLLC_STORE_VERSION) {
        status = rllc_fail(RLLC_EUNSUPPORTED,
                           "%s: was written by a newer rllc (store version %lld, this program knows %d); "
                           "update rllc",
                           s->path, (long long)version, RLLC_STORE_VERSION);
    } else if (version < 1) {
        status = rllc_fail(RLLC_EINPUT, "%s: has store version %lld, expected %d; the file is damaged", s->path,
                           (long long)version, RLLC_STORE_VERSION);
    }
done:
    return status;
}

#define COUNT(list) (sizeof(list) / sizeof *(list))

static rllc_status run_all(rllc_store *s, const char *const *list, size_t n, const char *doing) {
    rllc_status status = RLLC_OK;
    for (size_t i = 0; i < n; i++) RLLC_TRY(run_sql(s, list[i], doing));
done:
    return status;
}

/* The tables that are not there yet, and the marks of this version. */
static rllc_status complete_tables(rllc_store *s, const char *doing) {
    rllc_status status = RLLC_OK;
    char *marks =
        sqlite3_mprintf("PRAGMA application_id=%d; PRAGMA user_version=%d", RLLC_STORE_APPLICATION, RLLC_STORE_VERSION);
    if (!marks) return rllc_store_fail(s, SQLITE_NOMEM, doing);
    RLLC_TRY(run_all(s, rllc_store_schema, COUNT(rllc_store_schema), doing));
    RLLC_TRY(run_sql(s, marks, doing));
done:
    sqlite3_free(marks);
    return status;
}

static rllc_status create_tables(rllc_store *s) {
    rllc_status status = RLLC_OK;
    bool fresh = false;
    RLLC_TRY(run_sql(s, "PRAGMA auto_vacuum=INCREMENTAL", "make the store")); /* possible before the first table only */
    RLLC_TRY(rllc_store_begin(s));
    status = identify(s, &fresh); /* another process may have been first */
    if (status == RLLC_OK && fresh) status = complete_tables(s, "make the store's tables");
    status = rllc_store_end(s, status);
done:
    return status;
}

static rllc_status add_missing(rllc_store *s) {
    const char *doing = "bring an older store up to date";
    rllc_status status = RLLC_OK;
    int64_t version = RLLC_STORE_VERSION;
    RLLC_TRY(ask_integer(s, "PRAGMA user_version", &version)); /* another process may have been first */
    if (version == RLLC_STORE_VERSION) return RLLC_OK;
    if (version < 2) RLLC_TRY(run_all(s, rllc_store_from_1, COUNT(rllc_store_from_1), doing));
    if (version < 3) RLLC_TRY(run_all(s, rllc_store_from_2, COUNT(rllc_store_from_2), doing));
    RLLC_TRY(complete_tables(s, doing));
done:
    return status;
}

/* A store of an older version gets the tables and columns that came since, in one transaction; reading too does it. */
static rllc_status upgrade(rllc_store *s) {
    rllc_status status = RLLC_OK;
    int64_t version = RLLC_STORE_VERSION;
    const bool writable = s->writable;
    RLLC_TRY(ask_integer(s, "PRAGMA user_version", &version));
    if (version == RLLC_STORE_VERSION) return RLLC_OK;
    s->writable = true;
    RLLC_TRY(run_sql(s, "PRAGMA query_only=OFF", "bring an older store up to date"));
    RLLC_TRY(rllc_store_begin(s));
    RLLC_TRY(rllc_store_end(s, add_missing(s)));
    if (!writable) RLLC_TRY(run_sql(s, "PRAGMA query_only=ON", "bring an older store up to date"));
done:
    s->writable = writable;
    return status;
}

static rllc_status open_file(rllc_store *s) {
    /* Reading too opens for writing where that is allowed: only so can the journal of a killed writer be rolled back.
     */
    const int flags = SQLITE_OPEN_READWRITE | (s->writable ? SQLITE_OPEN_CREATE : 0);
    rllc_string plain = {0};
    rllc_status status = RLLC_OK;
    bool fresh = false;
    /* ":memory:" and "file:a?mode=memory" mean files too. */
    RLLC_TRY(rllc_string_printf(&plain, "%s%s", s->path[0] == '/' ? "" : "./", s->path));
    const int code = sqlite3_open_v2(plain.data, &s->db, flags, NULL);
    if (code != SQLITE_OK) RLLC_TRY(rllc_store_fail(s, code, "open the store"));
    RLLC_TRY(configure(s));
    /* In one transaction: another process may make the store between two readings of the same page. */
    RLLC_TRY(run_sql(s, "BEGIN", "read the store's first page"));
    RLLC_TRY(identify(s, &fresh));
    RLLC_TRY(run_sql(s, "COMMIT", "read the store's first page"));
    if (fresh) RLLC_TRY(create_tables(s));
    else RLLC_TRY(upgrade(s));
done:
    rllc_string_release(&plain);
    return status;
}

rllc_status rllc_store_open_waiting(rllc_store **out, const char *path, int mode, int wait_ms) {
    rllc_status status = RLLC_OK;
    rllc_store *s = NULL;
    *out = NULL;
    if (!path || !*path) return rllc_fail(RLLC_EINPUT, "the name of the store is empty");
    RLLC_TRY(rllc_alloc(&s, 1, sizeof *s));
    s->writable = mode == RLLC_STORE_WRITE;
    s->wait_ms = wait_ms;
    s->path = rllc_intern(path);
    if (!s->path) {
        status = rllc_fail(RLLC_ENOMEM, "no memory for the name of the store");
        goto done;
    }
    RLLC_TRY(find_folder(s));
    RLLC_TRY(check_place(s));
    RLLC_TRY(open_file(s));
    *out = s;
    s = NULL;
done:
    rllc_store_close(s);
    return status;
}

rllc_status rllc_store_open(rllc_store **out, const char *path, int mode) {
    return rllc_store_open_waiting(out, path, mode, RLLC_STORE_WAIT_MS);
}

/* Chains that have ended leave the pages of their weights behind; many of them are given back to the disk. */
static void shrink(rllc_store *s) {
    int64_t pages = 0, unused = 0;
    sqlite3_busy_timeout(s->db, 0);
    if (ask_integer(s, "PRAGMA page_count", &pages) != RLLC_OK) return;
    if (ask_integer(s, "PRAGMA freelist_count", &unused) != RLLC_OK) return;
    if (unused > pages / 4) (void)sqlite3_exec(s->db, "PRAGMA incremental_vacuum", NULL, NULL, NULL);
}

void rllc_store_close(rllc_store *s) {
    if (!s) return;
    while (s->depth > 0) rllc_store_rollback(s);
    for (int i = 0; i < RLLC_SQL_COUNT; i++) sqlite3_finalize(s->statements[i]);
    if (s->db && s->writable) shrink(s);
    sqlite3_close(s->db);
    rllc_free(s);
}
