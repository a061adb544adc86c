/* What was measured: corpora, checkpoints, training curves. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

rllc_status rllc_store_put_row(rllc_store *s, int which, const rllc_store_value *values, int n, int64_t *id) {
    const rllc_status status = rllc_store_begin(s);
    return status == RLLC_OK ? rllc_store_end(s, rllc_store_run_integer(s, which, values, n, id, NULL)) : status;
}

/* ---- corpora --------------------------------------------------------------------------------------------- */

rllc_status rllc_store_put_corpus(rllc_store *s, rllc_store_corpus *c) {
    return rllc_store_put_row(s, RLLC_SQL_PUT_CORPUS,
                   RLLC_VALUES(RLLC_STR(c->name), RLLC_STR(c->hash), RLLC_INT(c->trained_on), RLLC_STR(c->json)),
                   &c->id);
}

static bool read_corpus(sqlite3_stmt *statement, void *element) {
    rllc_store_corpus *c = element;
    c->id = sqlite3_column_int64(statement, 0);
    c->name = rllc_store_text(statement, 1);
    c->hash = rllc_store_text(statement, 2);
    c->trained_on = sqlite3_column_int64(statement, 3) != 0;
    c->json = rllc_store_text(statement, 4);
    return c->name && c->hash && c->json;
}

rllc_status rllc_store_corpora(rllc_store *s, rllc_store_corpus **list, int64_t *n) {
    return rllc_store_list(s, RLLC_SQL_LIST_CORPORA, RLLC_NO_VALUES, sizeof **list, read_corpus, list, n);
}

/* ---- checkpoints ----------------------------------------------------------------------------------------- */

/* An absolute path inside the store's folder without that folder; any other path as it is. Interned. */
static const char *relative_path(const rllc_store *s, const char *path) {
    if (!path || path[0] != '/') return path;
    char *absolute = realpath(path, NULL); /* NULL if there is no such file: then compared as written */
    const char *full = absolute ? absolute : path;
    const size_t n = strlen(s->folder);
    const bool inside = strncmp(full, s->folder, n) == 0 && full[n] == '/';
    const char *result = inside ? rllc_intern(full + n + 1) : path;
    free(absolute);
    return result;
}

rllc_status rllc_store_put_checkpoint(rllc_store *s, rllc_store_checkpoint *c) {
    const char *path = relative_path(s, c->path);
    if (c->path && !path) return rllc_fail(RLLC_ENOMEM, "%s: no memory for the path of a checkpoint", s->path);
    return rllc_store_put_row(s, RLLC_SQL_PUT_CHECKPOINT,
                   RLLC_VALUES(RLLC_INT(c->seed), RLLC_INT(c->step), RLLC_STR(c->hash), RLLC_STR(path),
                               RLLC_INT(c->n_layers), RLLC_INT(c->n_heads), RLLC_STR(c->model_json)),
                   &c->id);
}

static bool read_checkpoint(sqlite3_stmt *statement, void *element) {
    rllc_store_checkpoint *c = element;
    c->id = sqlite3_column_int64(statement, 0);
    c->seed = (uint64_t)sqlite3_column_int64(statement, 1);
    c->step = sqlite3_column_int64(statement, 2);
    c->hash = rllc_store_text(statement, 3);
    c->path = rllc_store_text(statement, 4);
    c->n_layers = sqlite3_column_int64(statement, 5);
    c->n_heads = sqlite3_column_int64(statement, 6);
    c->model_json = rllc_store_text(statement, 7);
    return c->hash && c->path && c->model_json;
}

rllc_status rllc_store_checkpoints(rllc_store *s, rllc_store_checkpoint **list, int64_t *n) {
    return rllc_store_list(s, RLLC_SQL_LIST_CHECKPOINTS, RLLC_NO_VALUES, sizeof **list, read_checkpoint, list, n);
}

/* ---- training -------------------------------------------------------------------------------------------- */

rllc_status rllc_store_put_training(rllc_store *s, uint64_t seed, int64_t step, const char *metric, double value) {
    return rllc_store_put_row(s, RLLC_SQL_PUT_TRAINING,
                   RLLC_VALUES(RLLC_STR(metric), RLLC_INT(seed), RLLC_INT(step), RLLC_NUM(value)), NULL);
}

rllc_status rllc_store_rewind_training(rllc_store *s, uint64_t seed, int64_t last) {
    rllc_status status = rllc_store_begin(s);
    if (status != RLLC_OK) return status;
    status = rllc_store_run(s, RLLC_SQL_REWIND_TRAINING, RLLC_VALUES(RLLC_INT(seed), RLLC_INT(last)));
    if (status == RLLC_OK) {
        status = rllc_store_run(s, RLLC_SQL_REWIND_CHECKPOINTS, RLLC_VALUES(RLLC_INT(seed), RLLC_INT(last)));
    }
    return rllc_store_end(s, status);
}

static bool read_point(sqlite3_stmt *statement, void *element) {
    rllc_store_point *p = element;
    p->seed = (uint64_t)sqlite3_column_int64(statement, 0);
    p->step = sqlite3_column_int64(statement, 1);
    p->value = rllc_store_real(statement, 2);
    return true;
}

rllc_status rllc_store_training(rllc_store *s, const char *metric, rllc_store_point **list, int64_t *n) {
    return rllc_store_list(s, RLLC_SQL_LIST_TRAINING, RLLC_VALUES(RLLC_STR(metric)), sizeof **list, read_point, list,
                           n);
}
