/* Chains: where they stand, their traces of losses, and per-token losses. */
#include "store/internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights and losses are stored as little-endian float32");

/* ---- chains and traces ----------------------------------------------------------------------------------- */

static rllc_status check_chain(const rllc_store *s, const rllc_store_chain *c, int64_t first, int64_t n,
                               const double *loss) {
    if (first < 0 || n < 0 || (n > 0 && !loss) || (n > 0 && first + n != c->n_draws)) {
        return rllc_fail(RLLC_EMISMATCH,
                         "%s: cell %" PRId64 ", chain %" PRId64 ": draws %" PRId64 " to %" PRId64 " are given "
                         "for a trace of %" PRId64 ", expected the last ones",
                         s->path, c->cell_id, c->chain, first, first + n - 1, c->n_draws);
    }
    if (c->weights && c->dim <= 0) {
        return rllc_fail(RLLC_EMISMATCH, "%s: cell %" PRId64 ", chain %" PRId64 ": weights of dimension %" PRId64,
                         s->path, c->cell_id, c->chain, c->dim);
    }
    return RLLC_OK;
}

/* The number of draws stored. */
static rllc_status count_draws(rllc_store *s, const rllc_store_chain *c, int64_t *count) {
    return rllc_store_run_integer(s, RLLC_SQL_COUNT_TRACE, RLLC_VALUES(RLLC_INT(c->cell_id), RLLC_INT(c->chain)), count,
                                  NULL);
}

#define RECORD(c, which, i) RLLC_NUM((c)->records[which] ? (c)->records[which][i] : NAN)

static rllc_status put_draws(rllc_store *s, const rllc_store_chain *c, int64_t first, int64_t n, const double *loss,
                             const double *baseline) {
    rllc_status status = RLLC_OK;
    int64_t stored = 0;
    RLLC_TRY(rllc_store_run(s, RLLC_SQL_CUT_TRACE,
                            RLLC_VALUES(RLLC_INT(c->cell_id), RLLC_INT(c->chain), RLLC_INT(c->n_draws))));
    RLLC_TRY(count_draws(s, c, &stored));
    if (n > 0 ? stored < first : stored != c->n_draws) {
        status = rllc_fail(RLLC_EMISMATCH,
                           "%s: cell %" PRId64 ", chain %" PRId64 ": the trace holds %" PRId64 " draws, so the "
                           "draws from %" PRId64 " on would leave a gap",
                           s->path, c->cell_id, c->chain, stored, n > 0 ? first : c->n_draws);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        RLLC_TRY(rllc_store_run(s, RLLC_SQL_PUT_DRAW,
                                RLLC_VALUES(RLLC_INT(c->cell_id), RLLC_INT(c->chain), RLLC_INT(first + i),
                                            RLLC_NUM(loss[i]), RLLC_NUM(baseline ? baseline[i] : NAN),
                                            RECORD(c, RLLC_STORE_DISTANCE, i), RECORD(c, RLLC_STORE_GRADIENT_NORM, i),
                                            RECORD(c, RLLC_STORE_GRADIENT_DOT, i), RECORD(c, RLLC_STORE_NOISE_NORM, i),
                                            RECORD(c, RLLC_STORE_MALA, i))));
    }
done:
    return status;
}

rllc_status rllc_store_put_chain(rllc_store *s, const rllc_store_chain *chain, int64_t first, int64_t n,
                                 const double *loss, const double *baseline) {
    const size_t size = chain->weights ? (size_t)chain->dim * sizeof(float) : 0;
    rllc_status status = check_chain(s, chain, first, n, loss);
    if (status == RLLC_OK) status = rllc_store_begin(s);
    if (status != RLLC_OK) return status;
    status = rllc_store_run(s, RLLC_SQL_PUT_CHAIN,
                            RLLC_VALUES(RLLC_INT(chain->cell_id), RLLC_INT(chain->chain), RLLC_INT(chain->stream),
                                        RLLC_INT(chain->step), RLLC_INT(chain->n_draws), RLLC_NUM(chain->init_loss),
                                        RLLC_INT(chain->diverged), RLLC_STR(chain->reason),
                                        RLLC_BLOB(chain->weights, size), RLLC_BLOB(chain->memory, chain->memory_bytes),
                                        RLLC_NUM(chain->acceptance)));
    if (status == RLLC_OK) status = put_draws(s, chain, first, n, loss, baseline);
    return rllc_store_end(s, status);
}

/* Copies the weights of the row, if it has any and they are wanted. */
static rllc_status get_weights(const rllc_store *s, sqlite3_stmt *row, rllc_store_chain *out, float *weights,
                               int64_t dim) {
    const int size = sqlite3_column_bytes(row, 6);
    out->dim = size / (int)sizeof(float);
    if (!weights || size == 0) return RLLC_OK;
    if ((int64_t)size != dim * (int64_t)sizeof(float)) {
        return rllc_fail(RLLC_EMISMATCH,
                         "%s: cell %" PRId64 ", chain %" PRId64 ": weights of %d bytes are stored, expected %" PRId64
                         " numbers of 4 bytes",
                         s->path, out->cell_id, out->chain, size, dim);
    }
    memcpy(weights, sqlite3_column_blob(row, 6), (size_t)size);
    return RLLC_OK;
}

rllc_status rllc_store_get_chain(rllc_store *s, int64_t cell_id, int64_t chain, rllc_store_chain *out,
                                 float *weights_out, int64_t dim, bool *has_weights) {
    rllc_status status = RLLC_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    *out = (rllc_store_chain){.cell_id = cell_id, .chain = chain, .init_loss = NAN, .acceptance = NAN, .reason = ""};
    RLLC_TRY(rllc_store_query(s, RLLC_SQL_GET_CHAIN, RLLC_VALUES(RLLC_INT(cell_id), RLLC_INT(chain)), &statement));
    RLLC_TRY(rllc_store_next(s, statement, &row));
    if (!row) {
        status = rllc_fail(RLLC_ENOTFOUND, "%s: cell %" PRId64 " has no chain %" PRId64, s->path, cell_id, chain);
        goto done;
    }
    out->stream = sqlite3_column_int64(statement, 0);
    out->step = sqlite3_column_int64(statement, 1);
    out->n_draws = sqlite3_column_int64(statement, 2);
    out->init_loss = rllc_store_real(statement, 3);
    out->diverged = sqlite3_column_int64(statement, 4) != 0;
    out->reason = rllc_store_text(statement, 5);
    if (!out->reason) {
        status = rllc_fail(RLLC_ENOMEM, "%s: no memory for a chain", s->path);
        goto done;
    }
    out->acceptance = rllc_store_real(statement, 7);
    RLLC_TRY(get_weights(s, statement, out, weights_out, dim));
    if (has_weights) *has_weights = sqlite3_column_type(statement, 6) != SQLITE_NULL;
done:
    sqlite3_reset(statement);
    return status;
}

rllc_status rllc_store_get_memory(rllc_store *s, int64_t cell_id, int64_t chain, void *memory, int64_t bytes) {
    rllc_status status = RLLC_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    RLLC_TRY(rllc_store_query(s, RLLC_SQL_GET_MEMORY, RLLC_VALUES(RLLC_INT(cell_id), RLLC_INT(chain)), &statement));
    RLLC_TRY(rllc_store_next(s, statement, &row));
    const int64_t stored = row ? sqlite3_column_bytes(statement, 0) : 0;
    if (stored != bytes) {
        status = rllc_fail(RLLC_EMISMATCH,
                           "%s: cell %" PRId64 ", chain %" PRId64 ": %" PRId64 " bytes of the sampler's memory are stored, "
                           "expected %" PRId64 "; delete the cell and sample it again",
                           s->path, cell_id, chain, stored, bytes);
    } else if (bytes > 0) {
        memcpy(memory, sqlite3_column_blob(statement, 0), (size_t)bytes);
    }
done:
    sqlite3_reset(statement);
    return status;
}

/* The first draws of a trace: n_columns columns after the draw's number; a column that is not wanted is NULL. */
static rllc_status get_columns(rllc_store *s, int which, int64_t cell_id, int64_t chain, double *const *columns,
                               int n_columns, int64_t capacity, int64_t *n) {
    rllc_status status = RLLC_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    *n = 0;
    RLLC_TRY(rllc_store_query(s, which, RLLC_VALUES(RLLC_INT(cell_id), RLLC_INT(chain), RLLC_INT(capacity)), &statement));
    for (int64_t i = 0;; i++) {
        RLLC_TRY(rllc_store_next(s, statement, &row));
        if (!row) break;
        if (sqlite3_column_int64(statement, 0) != i) {
            status = rllc_fail(RLLC_EINPUT,
                               "%s: cell %" PRId64 ", chain %" PRId64 ": draw %" PRId64 " is missing from the "
                               "trace; the store is damaged",
                               s->path, cell_id, chain, i);
            goto done;
        }
        for (int k = 0; k < n_columns; k++)
            if (columns[k]) columns[k][i] = rllc_store_real(statement, k + 1);
        *n = i + 1;
    }
done:
    sqlite3_reset(statement);
    return status;
}

rllc_status rllc_store_get_trace(rllc_store *s, int64_t cell_id, int64_t chain, double *loss, double *baseline,
                                 int64_t capacity, int64_t *n) {
    double *const columns[] = {loss, baseline};
    return get_columns(s, RLLC_SQL_GET_TRACE, cell_id, chain, columns, 2, capacity, n);
}

rllc_status rllc_store_get_records(rllc_store *s, int64_t cell_id, int64_t chain, double *const *columns,
                                   int64_t capacity, int64_t *n) {
    return get_columns(s, RLLC_SQL_GET_RECORDS, cell_id, chain, columns, RLLC_STORE_RECORDS, capacity, n);
}

/* ---- per-token losses ------------------------------------------------------------------------------------ */

rllc_status rllc_store_put_token_losses(rllc_store *s, int64_t cell_id, int64_t chain, int64_t stream, int64_t draw,
                                        const float *values, int64_t rows, int64_t columns) {
    int64_t count = 0, size = 0;
    if (rows < 0 || columns < 0 || !values || __builtin_mul_overflow(rows, columns, &count) ||
        __builtin_mul_overflow(count, (int64_t)sizeof(float), &size)) {
        return rllc_fail(RLLC_EMISMATCH,
                         "%s: cell %" PRId64 ", chain %" PRId64 ": %" PRId64 " x %" PRId64 " per-token losses "
                         "cannot be stored",
                         s->path, cell_id, chain, rows, columns);
    }
    rllc_status status = rllc_store_begin(s);
    if (status != RLLC_OK) return status;
    status = rllc_store_run(s, RLLC_SQL_PUT_TOKEN_LOSSES,
                            RLLC_VALUES(RLLC_INT(cell_id), RLLC_INT(chain), RLLC_INT(stream), RLLC_INT(draw),
                                        RLLC_INT(rows), RLLC_INT(columns), RLLC_BLOB(values, size)));
    return rllc_store_end(s, status);
}

static rllc_status copy_losses(const rllc_store *s, sqlite3_stmt *row, float *values, int64_t capacity, int64_t rows,
                               int64_t columns) {
    const int64_t size = sqlite3_column_bytes(row, 2);
    int64_t count = 0;
    if (rows < 0 || columns < 0 || __builtin_mul_overflow(rows, columns, &count) || size % 4 != 0 ||
        size / 4 != count) {
        return rllc_fail(RLLC_EINPUT,
                         "%s: per-token losses of %" PRId64 " x %" PRId64 " have %" PRId64 " bytes; the store is "
                         "damaged",
                         s->path, rows, columns, size);
    }
    if (values && count > capacity) {
        return rllc_fail(RLLC_EMISMATCH,
                         "%s: per-token losses of %" PRId64 " x %" PRId64 " do not fit into room for %" PRId64, s->path,
                         rows, columns, capacity);
    }
    if (values && size > 0) memcpy(values, sqlite3_column_blob(row, 2), (size_t)size);
    return RLLC_OK;
}

rllc_status rllc_store_get_token_losses(rllc_store *s, int64_t cell_id, int64_t chain, int64_t stream, int64_t draw,
                                        float *values, int64_t capacity, int64_t *rows, int64_t *columns) {
    rllc_status status = RLLC_OK;
    sqlite3_stmt *statement = NULL;
    bool row = false;
    *rows = *columns = 0;
    RLLC_TRY(rllc_store_query(s, RLLC_SQL_GET_TOKEN_LOSSES,
                              RLLC_VALUES(RLLC_INT(cell_id), RLLC_INT(chain), RLLC_INT(stream), RLLC_INT(draw)),
                              &statement));
    RLLC_TRY(rllc_store_next(s, statement, &row));
    if (!row) {
        status = rllc_fail(RLLC_ENOTFOUND,
                           "%s: cell %" PRId64 ", chain %" PRId64 " has no per-token losses of draw %" PRId64, s->path,
                           cell_id, chain, draw);
        goto done;
    }
    *rows = sqlite3_column_int64(statement, 0);
    *columns = sqlite3_column_int64(statement, 1);
    RLLC_TRY(copy_losses(s, statement, values, capacity, *rows, *columns));
done:
    sqlite3_reset(statement);
    return status;
}
