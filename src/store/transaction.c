/* Transactions: the outermost is SQLite's own, those inside are savepoints. */
#include "store/internal.h"

rllc_status rllc_store_begin(rllc_store *s) {
    /* A writer takes the lock at once: two that both read first and write later could only fail. */
    const int which = s->depth > 0 ? RLLC_SQL_SAVE : s->writable ? RLLC_SQL_BEGIN_WRITE : RLLC_SQL_BEGIN_READ;
    const rllc_status status = rllc_store_run(s, which, RLLC_NO_VALUES);
    if (status == RLLC_OK) s->depth++;
    return status;
}

/* Runs a statement whose failure changes nothing and must not replace the recorded detail. */
static void run_quietly(rllc_store *s, const char *sql) {
    (void)sqlite3_exec(s->db, sql, NULL, NULL, NULL);
}

void rllc_store_rollback(rllc_store *s) {
    if (s->depth == 0) return;
    s->depth--;
    if (s->depth > 0) { /* without effect if SQLite has already given up the whole transaction */
        run_quietly(s, "ROLLBACK TO nested");
        run_quietly(s, "RELEASE nested");
    } else {
        run_quietly(s, "ROLLBACK");
    }
}

rllc_status rllc_store_commit(rllc_store *s) {
    if (s->depth == 0) return rllc_fail(RLLC_EFAIL, "%s: there is no open transaction to commit", s->path);
    const rllc_status status = rllc_store_run(s, s->depth > 1 ? RLLC_SQL_RELEASE : RLLC_SQL_COMMIT, RLLC_NO_VALUES);
    if (status != RLLC_OK) {
        rllc_store_rollback(s);
        return status;
    }
    s->depth--;
    return RLLC_OK;
}

rllc_status rllc_store_end(rllc_store *s, rllc_status status) {
    if (status == RLLC_OK) return rllc_store_commit(s);
    rllc_store_rollback(s);
    return status;
}
