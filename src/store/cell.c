/* Cells of the sampling grid and the estimates derived from them. */
#include <string.h>

#include "store/internal.h"

static rllc_status find_cell(rllc_store *s, rllc_store_cell *c, bool *found) {
    rllc_status status = RLLC_OK;
    sqlite3_stmt *statement = NULL;
    RLLC_TRY(rllc_store_query(
        s, RLLC_SQL_FIND_CELL,
        RLLC_VALUES(RLLC_STR(c->identity), RLLC_INT(c->checkpoint_id), RLLC_INT(c->corpus_id), RLLC_STR(c->component)),
        &statement));
    RLLC_TRY(rllc_store_next(s, statement, found));
    if (*found) {
        c->id = sqlite3_column_int64(statement, 0);
        c->complete = sqlite3_column_int64(statement, 1) != 0;
        c->seconds = rllc_store_real(statement, 2);
    }
done:
    sqlite3_reset(statement);
    return status;
}

rllc_status rllc_store_put_cell(rllc_store *s, rllc_store_cell *c) {
    bool found = false;
    rllc_status status = rllc_store_begin(s);
    if (status != RLLC_OK) return status;
    status = find_cell(s, c, &found);
    if (status == RLLC_OK && !found) {
        status = rllc_store_run(s, RLLC_SQL_PUT_CELL,
                                RLLC_VALUES(RLLC_STR(c->identity), RLLC_INT(c->checkpoint_id), RLLC_INT(c->corpus_id),
                                            RLLC_STR(c->component), RLLC_INT(c->dim), RLLC_STR(c->loss_kind),
                                            RLLC_STR(c->options_json), RLLC_INT(c->provenance_id),
                                            RLLC_INT(c->complete), RLLC_NUM(c->seconds), RLLC_NUM(c->nbeta)));
        c->id = sqlite3_last_insert_rowid(s->db);
    }
    return rllc_store_end(s, status);
}

rllc_status rllc_store_update_cell(rllc_store *s, int64_t id, bool complete, double seconds) {
    rllc_status status = rllc_store_begin(s);
    if (status != RLLC_OK) return status;
    status = rllc_store_run(s, RLLC_SQL_UPDATE_CELL, RLLC_VALUES(RLLC_INT(id), RLLC_INT(complete), RLLC_NUM(seconds)));
    if (status == RLLC_OK && sqlite3_changes(s->db) == 0) {
        status = rllc_fail(RLLC_ENOTFOUND, "%s: the store has no cell %lld", s->path, (long long)id);
    }
    return rllc_store_end(s, status);
}

bool rllc_store_cell_is_next_token(const rllc_store_cell *c) {
    return strcmp(c->loss_kind, "next_token") == 0;
}

const char *rllc_store_cell_data(const rllc_store_cell *c) {
    static const char prefix[] = "reference:";
    if (rllc_store_cell_is_next_token(c)) return c->corpus;
    if (strncmp(c->loss_kind, prefix, strlen(prefix)) == 0) {
        const char *hash = c->loss_kind + strlen(prefix);
        if (strspn(hash, "0123456789abcdef") >= 8) return rllc_intern_printf("%s to %.8s", c->corpus, hash);
    }
    return rllc_intern_printf("%s to %s", c->corpus, c->loss_kind); /* as another program may have called it */
}

bool rllc_store_read_cell(sqlite3_stmt *statement, void *cell) {
    rllc_store_cell *c = cell;
    c->id = sqlite3_column_int64(statement, 0);
    c->identity = rllc_store_text(statement, 1);
    c->checkpoint_id = sqlite3_column_int64(statement, 2);
    c->corpus_id = sqlite3_column_int64(statement, 3);
    c->component = rllc_store_text(statement, 4);
    c->dim = sqlite3_column_int64(statement, 5);
    c->loss_kind = rllc_store_text(statement, 6);
    c->options_json = rllc_store_text(statement, 7);
    c->provenance_id = sqlite3_column_int64(statement, 8);
    c->complete = sqlite3_column_int64(statement, 9) != 0;
    c->seconds = rllc_store_real(statement, 10);
    c->nbeta = rllc_store_real(statement, 11);
    c->seed = (uint64_t)sqlite3_column_int64(statement, 12);
    c->step = sqlite3_column_int64(statement, 13);
    c->corpus = rllc_store_text(statement, 14);
    if (!c->loss_kind) return false;
    c->refined_data = sqlite3_column_int64(statement, 15) == 0 || !rllc_store_cell_is_next_token(c);
    return c->identity && c->component && c->loss_kind && c->options_json && c->corpus;
}

rllc_status rllc_store_cells(rllc_store *s, rllc_store_cell **list, int64_t *n) {
    return rllc_store_list(s, RLLC_SQL_LIST_CELLS, RLLC_NO_VALUES, sizeof **list, rllc_store_read_cell, list, n);
}

/* ---- estimates ------------------------------------------------------------------------------------------- */

rllc_status rllc_store_put_estimate(rllc_store *s, const rllc_store_estimate *e) {
    rllc_status status = rllc_store_begin(s);
    if (status != RLLC_OK) return status;
    status = rllc_store_run(s, RLLC_SQL_PUT_ESTIMATE,
                            RLLC_VALUES(RLLC_INT(e->cell_id), RLLC_STR(e->name), RLLC_NUM(e->llc_mean),
                                        RLLC_NUM(e->llc_sd), RLLC_NUM(e->llc_se), RLLC_NUM(e->llc_mean_init),
                                        RLLC_NUM(e->llc_sd_init), RLLC_NUM(e->llc_se_init), RLLC_INT(e->n_chains),
                                        RLLC_INT(e->n_diverged), RLLC_STR(e->per_chain_json), RLLC_STR(e->verdict),
                                        RLLC_STR(e->diagnosis_json)));
    return rllc_store_end(s, status);
}

/* A row of the joined list. */
typedef struct {
    rllc_store_cell cell;
    rllc_store_estimate estimate;
} joined;

static bool read_estimate(sqlite3_stmt *statement, void *element) {
    joined *j = element;
    rllc_store_estimate *e = &j->estimate;
    const int first = RLLC_STORE_N_CELL_COLUMNS;
    const bool cell_read = rllc_store_read_cell(statement, &j->cell);
    e->cell_id = j->cell.id;
    e->name = rllc_store_text(statement, first);
    e->llc_mean = rllc_store_real(statement, first + 1);
    e->llc_sd = rllc_store_real(statement, first + 2);
    e->llc_se = rllc_store_real(statement, first + 3);
    e->llc_mean_init = rllc_store_real(statement, first + 4);
    e->llc_sd_init = rllc_store_real(statement, first + 5);
    e->llc_se_init = rllc_store_real(statement, first + 6);
    e->n_chains = sqlite3_column_int64(statement, first + 7);
    e->n_diverged = sqlite3_column_int64(statement, first + 8);
    e->per_chain_json = rllc_store_text(statement, first + 9);
    e->verdict = rllc_store_text(statement, first + 10);
    e->diagnosis_json = rllc_store_text(statement, first + 11);
    return cell_read && e->name && e->per_chain_json && e->verdict && e->diagnosis_json;
}

rllc_status rllc_store_estimates(rllc_store *s, rllc_store_estimate **list, rllc_store_cell **cells, int64_t *n) {
    rllc_status status = RLLC_OK;
    joined *rows = NULL;
    *list = NULL;
    *cells = NULL;
    RLLC_TRY(rllc_store_list(s, RLLC_SQL_LIST_ESTIMATES, RLLC_NO_VALUES, sizeof *rows, read_estimate, &rows, n));
    RLLC_TRY(rllc_alloc(list, *n, sizeof **list));
    RLLC_TRY(rllc_alloc(cells, *n, sizeof **cells));
    for (int64_t i = 0; i < *n; i++) {
        (*list)[i] = rows[i].estimate;
        (*cells)[i] = rows[i].cell;
    }
done:
    rllc_free(rows);
    if (status != RLLC_OK) {
        rllc_free(*list);
        rllc_free(*cells);
        *list = NULL;
        *cells = NULL;
        *n = 0;
    }
    return status;
}

/* ---- curvature ------------------------------------------------------------------------------------------- */

rllc_status rllc_store_put_curvature(rllc_store *s, int64_t cell_id, const char *json) {
    rllc_status status = rllc_store_begin(s);
    if (status != RLLC_OK) return status;
    status = rllc_store_run(s, RLLC_SQL_PUT_CURVATURE, RLLC_VALUES(RLLC_INT(cell_id), RLLC_STR(json)));
    return rllc_store_end(s, status);
}

rllc_status rllc_store_get_curvature(rllc_store *s, int64_t cell_id, const char **json) {
    rllc_status status = RLLC_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    *json = NULL;
    RLLC_TRY(rllc_store_query(s, RLLC_SQL_GET_CURVATURE, RLLC_VALUES(RLLC_INT(cell_id)), &statement));
    RLLC_TRY(rllc_store_next(s, statement, &row));
    if (!row) goto done;
    *json = rllc_store_text(statement, 0);
    if (!*json) status = rllc_fail(RLLC_ENOMEM, "%s: no memory for a curvature", s->path);
done:
    sqlite3_reset(statement);
    return status;
}
