/* What a run says about itself: provenance of results, key/value texts, finished stages. */
#include "store/internal.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

/* Adds the first line of a small file of /proc, or nothing. */
static rllc_status add_line(rllc_string *out, const char *path) {
    char line[1024] = "";
    FILE *file = fopen(path, "re");
    if (!file) return RLLC_OK;
    if (!fgets(line, sizeof line, file)) line[0] = '\0';
    (void)fclose(file);
    line[strcspn(line, "\n")] = '\0';
    return rllc_string_add(out, line);
}

/* Names this process among all that ever ran: host, boot, process id and start time (field 22 of /proc/self/stat,
 * the 20th after the name in parentheses). */
static rllc_status add_process(rllc_string *out) {
    rllc_status status = RLLC_OK;
    rllc_string stat = {0};
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    RLLC_TRY(rllc_string_printf(out, "%s ", host));
    RLLC_TRY(add_line(out, "/proc/sys/kernel/random/boot_id"));
    RLLC_TRY(add_line(&stat, "/proc/self/stat"));
    const char *field = strrchr(rllc_string_text(&stat), ')');
    for (int i = 0; field && i < 20; i++) field = strchr(field + 1, ' ');
    RLLC_TRY(rllc_string_printf(out, " %ld %.*s", (long)getpid(), field ? (int)strcspn(field + 1, " ") : 0,
                                field ? field + 1 : ""));
done:
    rllc_string_release(&stat);
    return status;
}

rllc_status rllc_store_provenance(rllc_store *s, const rllc_json *json, int64_t *id) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0}, process = {0};
    bool found = false;
    RLLC_TRY(rllc_json_print(json, 0, false, &text));
    RLLC_TRY(add_process(&process));
    const rllc_hash id_of_process = rllc_hash_text(rllc_string_text(&process));
    const char *who = id_of_process.hex, *what = rllc_string_text(&text);
    RLLC_TRY(rllc_store_begin(s));
    status =
        rllc_store_run_integer(s, RLLC_SQL_FIND_PROVENANCE, RLLC_VALUES(RLLC_STR(who), RLLC_STR(what)), id, &found);
    if (status == RLLC_OK && !found) {
        status = rllc_store_run(s, RLLC_SQL_PUT_PROVENANCE,
                                RLLC_VALUES(RLLC_STR(who), RLLC_STR(what), RLLC_INT(time(NULL))));
        *id = sqlite3_last_insert_rowid(s->db);
    }
    status = rllc_store_end(s, status);
done:
    rllc_string_release(&text);
    rllc_string_release(&process);
    return status;
}

/* Appends the one text of a statement's first row; RLLC_ENOTFOUND with "the store has no <what>" if there is none. */
static rllc_status get_text(rllc_store *s, int which, rllc_store_value key, const char *what, rllc_string *out) {
    rllc_status status = RLLC_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    RLLC_TRY(rllc_store_query(s, which, &key, 1, &statement));
    RLLC_TRY(rllc_store_next(s, statement, &row));
    if (row) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        RLLC_TRY(rllc_string_add(out, text ? text : ""));
    } else {
        status = rllc_fail(RLLC_ENOTFOUND, "%s: the store has no %s", s->path, what);
    }
done:
    sqlite3_reset(statement);
    return status;
}

rllc_status rllc_store_get_provenance(rllc_store *s, int64_t id, rllc_string *out) {
    char what[48];
    (void)snprintf(what, sizeof what, "provenance %lld", (long long)id);
    return get_text(s, RLLC_SQL_GET_PROVENANCE, RLLC_INT(id), what, out);
}

/* Runs one writing statement in a transaction of its own. */
static rllc_status write_one(rllc_store *s, int which, const rllc_store_value *values, int n) {
    const rllc_status status = rllc_store_begin(s);
    return status == RLLC_OK ? rllc_store_end(s, rllc_store_run(s, which, values, n)) : status;
}

rllc_status rllc_store_set_meta(rllc_store *s, const char *key, const char *value) {
    return write_one(s, RLLC_SQL_PUT_META, RLLC_VALUES(RLLC_STR(key), RLLC_STR(value)));
}

rllc_status rllc_store_get_meta(rllc_store *s, const char *key, rllc_string *out) {
    char what[128];
    (void)snprintf(what, sizeof what, "'%.100s'", key);
    return get_text(s, RLLC_SQL_GET_META, RLLC_STR(key), what, out);
}

rllc_status rllc_store_stage_done(rllc_store *s, const char *stage, const char *input_hash) {
    return write_one(s, RLLC_SQL_PUT_STAGE, RLLC_VALUES(RLLC_STR(stage), RLLC_STR(input_hash), RLLC_INT(time(NULL))));
}

bool rllc_store_stage_is_done(rllc_store *s, const char *stage, const char *input_hash) {
    sqlite3_stmt *statement = NULL;
    bool row = false, same = false;
    rllc_status status = rllc_store_query(s, RLLC_SQL_GET_STAGE, RLLC_VALUES(RLLC_STR(stage)), &statement);
    if (status == RLLC_OK) status = rllc_store_next(s, statement, &row);
    if (status == RLLC_OK && row) {
        const char *text = (const char *)sqlite3_column_text(statement, 0);
        same = text && strcmp(text, input_hash) == 0;
    }
    sqlite3_reset(statement);
    return same;
}
