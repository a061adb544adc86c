/* Reading back where results come from: for the report, which shows it beside them. */
#include "store/internal.h"

rllc_status rllc_store_get_provenance(rllc_store *s, int64_t id, rllc_string *out) {
    rllc_status status = RLLC_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    RLLC_TRY(rllc_store_query(s, RLLC_SQL_GET_PROVENANCE, RLLC_VALUES(RLLC_INT(id)), &statement));
    RLLC_TRY(rllc_store_next(s, statement, &row));
    if (row) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        RLLC_TRY(rllc_string_add(out, text ? text : ""));
    } else {
        status = rllc_fail(RLLC_ENOTFOUND, "%s: the store has no provenance %lld", s->path, (long long)id);
    }
done:
    sqlite3_reset(statement);
    return status;
}
