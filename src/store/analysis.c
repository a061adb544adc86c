/* What heads do: scores, pairs, measures, tokens in context, types. */
#include <string.h>

#include "store/internal.h"

/* Every list of this file begins with checkpoint_id, seed, step. */
static void read_checkpoint(sqlite3_stmt *statement, int64_t *id, uint64_t *seed, int64_t *step) {
    *id = sqlite3_column_int64(statement, 0);
    *seed = (uint64_t)sqlite3_column_int64(statement, 1);
    *step = sqlite3_column_int64(statement, 2);
}

/* All rows of a list, or those of one metric. */
static rllc_status list_metric(rllc_store *s, int all, int one, const char *metric, size_t size,
                               bool (*read)(sqlite3_stmt *, void *), void *list, int64_t *n) {
    if (!metric) return rllc_store_list(s, all, RLLC_NO_VALUES, size, read, list, n);
    return rllc_store_list(s, one, RLLC_VALUES(RLLC_STR(metric)), size, read, list, n);
}

/* ---- scores ---------------------------------------------------------------------------------------------- */

rllc_status rllc_store_put_score(rllc_store *s, const rllc_store_score *x) {
    return rllc_store_put_row(s, RLLC_SQL_PUT_SCORE,
                              RLLC_VALUES(RLLC_INT(x->checkpoint_id), RLLC_STR(x->metric), RLLC_INT(x->layer),
                                          RLLC_INT(x->head), RLLC_STR(x->corpus), RLLC_NUM(x->value), RLLC_NUM(x->se),
                                          RLLC_INT(x->n), RLLC_NUM(x->chance)),
                              NULL);
}

static bool read_score(sqlite3_stmt *statement, void *element) {
    rllc_store_score *x = element;
    read_checkpoint(statement, &x->checkpoint_id, &x->seed, &x->step);
    x->metric = rllc_store_text(statement, 3);
    x->layer = sqlite3_column_int(statement, 4);
    x->head = sqlite3_column_int(statement, 5);
    x->corpus = rllc_store_text(statement, 6);
    x->value = rllc_store_real(statement, 7);
    x->se = rllc_store_real(statement, 8);
    x->n = sqlite3_column_int64(statement, 9);
    x->chance = rllc_store_real(statement, 10);
    return x->metric && x->corpus;
}

rllc_status rllc_store_scores(rllc_store *s, const char *metric, rllc_store_score **list, int64_t *n) {
    return list_metric(s, RLLC_SQL_LIST_SCORES, RLLC_SQL_LIST_SCORES_OF, metric, sizeof **list, read_score, list, n);
}

/* ---- pairs ----------------------------------------------------------------------------------------------- */

rllc_status rllc_store_put_pair(rllc_store *s, const rllc_store_pair *x) {
    return rllc_store_put_row(s, RLLC_SQL_PUT_PAIR,
                              RLLC_VALUES(RLLC_INT(x->checkpoint_id), RLLC_STR(x->metric), RLLC_INT(x->from_layer),
                                          RLLC_INT(x->from_head), RLLC_INT(x->to_layer), RLLC_INT(x->to_head),
                                          RLLC_STR(x->corpus), RLLC_NUM(x->value), RLLC_NUM(x->se), RLLC_INT(x->n),
                                          RLLC_NUM(x->chance)),
                              NULL);
}

static bool read_pair(sqlite3_stmt *statement, void *element) {
    rllc_store_pair *x = element;
    read_checkpoint(statement, &x->checkpoint_id, &x->seed, &x->step);
    x->metric = rllc_store_text(statement, 3);
    x->from_layer = sqlite3_column_int(statement, 4);
    x->from_head = sqlite3_column_int(statement, 5);
    x->to_layer = sqlite3_column_int(statement, 6);
    x->to_head = sqlite3_column_int(statement, 7);
    x->corpus = rllc_store_text(statement, 8);
    x->value = rllc_store_real(statement, 9);
    x->se = rllc_store_real(statement, 10);
    x->n = sqlite3_column_int64(statement, 11);
    x->chance = rllc_store_real(statement, 12);
    return x->metric && x->corpus;
}

rllc_status rllc_store_pairs(rllc_store *s, const char *metric, rllc_store_pair **list, int64_t *n) {
    return list_metric(s, RLLC_SQL_LIST_PAIRS, RLLC_SQL_LIST_PAIRS_OF, metric, sizeof **list, read_pair, list, n);
}

/* ---- measures -------------------------------------------------------------------------------------------- */

rllc_status rllc_store_put_measure(rllc_store *s, const rllc_store_measure *x) {
    return rllc_store_put_row(s, RLLC_SQL_PUT_MEASURE,
                              RLLC_VALUES(RLLC_INT(x->checkpoint_id), RLLC_STR(x->metric), RLLC_STR(x->component),
                                          RLLC_STR(x->corpus), RLLC_NUM(x->value), RLLC_NUM(x->se), RLLC_INT(x->n),
                                          RLLC_STR(x->json)),
                              NULL);
}

static bool read_measure(sqlite3_stmt *statement, void *element) {
    rllc_store_measure *x = element;
    read_checkpoint(statement, &x->checkpoint_id, &x->seed, &x->step);
    x->metric = rllc_store_text(statement, 3);
    x->component = rllc_store_text(statement, 4);
    x->corpus = rllc_store_text(statement, 5);
    x->value = rllc_store_real(statement, 6);
    x->se = rllc_store_real(statement, 7);
    x->n = sqlite3_column_int64(statement, 8);
    x->json = rllc_store_text(statement, 9);
    return x->metric && x->component && x->corpus && x->json;
}

rllc_status rllc_store_measures(rllc_store *s, const char *metric, rllc_store_measure **list, int64_t *n) {
    return list_metric(s, RLLC_SQL_LIST_MEASURES, RLLC_SQL_LIST_MEASURES_OF, metric, sizeof **list, read_measure, list,
                       n);
}

/* ---- tokens in context ----------------------------------------------------------------------------------- */

static rllc_status put_contexts(rllc_store *s, const rllc_store_contexts *of, const rllc_store_context *list,
                                int64_t n) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_store_run(s, RLLC_SQL_DROP_CONTEXTS,
                            RLLC_VALUES(RLLC_INT(of->checkpoint_id), RLLC_INT(of->layer), RLLC_INT(of->head),
                                        RLLC_STR(of->corpus), RLLC_STR(of->ablation))));
    for (int64_t i = 0; i < n; i++) {
        const rllc_store_context *x = &list[i];
        RLLC_TRY(rllc_store_run(
            s, RLLC_SQL_PUT_CONTEXT,
            RLLC_VALUES(RLLC_INT(of->checkpoint_id), RLLC_INT(of->layer), RLLC_INT(of->head), RLLC_STR(of->corpus),
                        RLLC_STR(of->ablation), RLLC_INT(i), RLLC_INT(x->sequence), RLLC_INT(x->position),
                        RLLC_NUM(x->loss), RLLC_NUM(x->ablated_loss), RLLC_STR(x->label), RLLC_INT(x->labels),
                        RLLC_STR(x->pattern), RLLC_BLOB(x->tokens, (size_t)(x->position + 2) * sizeof *x->tokens),
                        RLLC_BLOB(x->attention, (size_t)(x->position + 1) * sizeof *x->attention))));
    }
done:
    return status;
}

rllc_status rllc_store_put_contexts(rllc_store *s, const rllc_store_contexts *of, const rllc_store_context *list,
                                    int64_t n) {
    const rllc_status status = rllc_store_begin(s);
    return status == RLLC_OK ? rllc_store_end(s, put_contexts(s, of, list, n)) : status;
}

/* A copy of a blob of exactly `bytes` bytes; NULL: another size, or no memory. */
static void *copy_blob(sqlite3_stmt *statement, int column, int64_t bytes) {
    void *copy = NULL;
    if (bytes <= 0 || sqlite3_column_bytes(statement, column) != bytes) return NULL;
    if (rllc_alloc(&copy, bytes, 1) != RLLC_OK) return NULL;
    memcpy(copy, sqlite3_column_blob(statement, column), (size_t)bytes);
    return copy;
}

static bool read_context(sqlite3_stmt *statement, void *element) {
    rllc_store_context *x = element;
    x->sequence = sqlite3_column_int64(statement, 1);
    x->position = sqlite3_column_int64(statement, 2);
    x->loss = rllc_store_real(statement, 3);
    x->ablated_loss = rllc_store_real(statement, 4);
    x->label = rllc_store_text(statement, 5);
    x->labels = sqlite3_column_int(statement, 6);
    x->pattern = rllc_store_text(statement, 7);
    x->tokens = copy_blob(statement, 8, (x->position + 2) * (int64_t)sizeof *x->tokens);
    x->attention = copy_blob(statement, 9, (x->position + 1) * (int64_t)sizeof *x->attention);
    return x->label && x->pattern;
}

rllc_status rllc_store_get_contexts(rllc_store *s, const rllc_store_contexts *of, rllc_store_context **list,
                                    int64_t *n) {
    rllc_status status = rllc_store_list(s, RLLC_SQL_LIST_CONTEXTS,
                                         RLLC_VALUES(RLLC_INT(of->checkpoint_id), RLLC_INT(of->layer),
                                                     RLLC_INT(of->head), RLLC_STR(of->corpus), RLLC_STR(of->ablation)),
                                         sizeof **list, read_context, list, n);
    for (int64_t i = 0; status == RLLC_OK && i < *n; i++)
        if (!(*list)[i].tokens || !(*list)[i].attention)
            status = rllc_fail(RLLC_EINPUT,
                               "%s: a token in context of head %d:%d has no tokens or attention of its length; the "
                               "store is damaged",
                               s->path, of->layer, of->head);
    if (status == RLLC_OK) return RLLC_OK;
    rllc_store_contexts_free(*list, *n);
    *list = NULL;
    *n = 0;
    return status;
}

void rllc_store_contexts_free(rllc_store_context *list, int64_t n) {
    for (int64_t i = 0; list && i < n; i++) {
        rllc_free((void *)list[i].tokens);
        rllc_free((void *)list[i].attention);
    }
    rllc_free(list);
}

/* ---- types of heads -------------------------------------------------------------------------------------- */

rllc_status rllc_store_put_head_type(rllc_store *s, const rllc_store_head_type *x) {
    return rllc_store_put_row(s, RLLC_SQL_PUT_HEAD_TYPE,
                              RLLC_VALUES(RLLC_INT(x->checkpoint_id), RLLC_INT(x->layer), RLLC_INT(x->head),
                                          RLLC_STR(x->type), RLLC_STR(x->source), RLLC_STR(x->evidence),
                                          RLLC_STR(x->json)),
                              NULL);
}

static bool read_head_type(sqlite3_stmt *statement, void *element) {
    rllc_store_head_type *x = element;
    read_checkpoint(statement, &x->checkpoint_id, &x->seed, &x->step);
    x->layer = sqlite3_column_int(statement, 3);
    x->head = sqlite3_column_int(statement, 4);
    x->type = rllc_store_text(statement, 5);
    x->source = rllc_store_text(statement, 6);
    x->evidence = rllc_store_text(statement, 7);
    x->json = rllc_store_text(statement, 8);
    return x->type && x->source && x->evidence && x->json;
}

rllc_status rllc_store_head_types(rllc_store *s, rllc_store_head_type **list, int64_t *n) {
    return rllc_store_list(s, RLLC_SQL_LIST_HEAD_TYPES, RLLC_NO_VALUES, sizeof **list, read_head_type, list, n);
}
