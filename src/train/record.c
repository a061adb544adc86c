/* Points of the training curves: kept in memory since the last checkpoint, in its trainer_state.json, and in the store.
 */
#include <math.h>

#include "train/trainer.h"

const char *const rllc_train_metric_names[RLLC_TRAIN_METRICS] = {"train_loss",  "validation_loss", "gradient_norm",
                                                                 "weight_norm", "tokens",          "seconds"};

rllc_status rllc_train_records_add(rllc_trainer *t, const rllc_train_record *record) {
    if (t->n_records == t->capacity) {
        const int64_t wanted = t->capacity ? 2 * t->capacity : 16;
        const rllc_status status = rllc_grow(&t->records, t->capacity, wanted, sizeof *t->records);
        if (status != RLLC_OK) return status;
        t->capacity = wanted;
    }
    t->records[t->n_records++] = *record;
    return RLLC_OK;
}

static rllc_status record_to_json(const rllc_train_record *r, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "step", rllc_json_integer(r->step)));
    for (int i = 0; i < RLLC_TRAIN_METRICS; i++)
        if (!isnan(r->values[i])) RLLC_TRY(rllc_json_set(j, rllc_train_metric_names[i], rllc_json_real(r->values[i])));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

rllc_status rllc_train_records_to_json(const rllc_trainer *t, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *list = rllc_json_array();
    *out = NULL;
    for (int64_t i = 0; i < t->n_records; i++) {
        rllc_json *j;
        RLLC_TRY(record_to_json(&t->records[i], &j));
        RLLC_TRY(rllc_json_append(list, j));
    }
    *out = list;
    list = NULL;
done:
    rllc_json_free(list);
    return status;
}

rllc_status rllc_train_records_from_json(rllc_trainer *t, const rllc_json *j, const char *path) {
    t->n_records = 0;
    if (!rllc_json_is_array(j)) return rllc_fail(RLLC_EINPUT, "%s: \"records\" is not a list", path);
    for (int64_t i = 0; i < rllc_json_length(j); i++) {
        const rllc_json *item = rllc_json_at(j, i);
        rllc_train_record r = {.step = rllc_json_to_integer(rllc_json_get(item, "step"), -1)};
        if (r.step < 0) return rllc_fail(RLLC_EINPUT, "%s: record %lld has no \"step\"", path, (long long)i);
        for (int k = 0; k < RLLC_TRAIN_METRICS; k++)
            r.values[k] = rllc_json_to_real(rllc_json_get(item, rllc_train_metric_names[k]), NAN);
        const rllc_status status = rllc_train_records_add(t, &r);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

rllc_status rllc_train_records_store(const rllc_trainer *t, int64_t first) {
    rllc_status status = RLLC_OK;
    rllc_store *s = t->job->store;
    if (!s) return RLLC_OK;
    RLLC_TRY(rllc_store_begin(s));
    for (int64_t i = 0; i < t->n_records; i++) {
        const rllc_train_record *r = &t->records[i];
        for (int k = 0; k < RLLC_TRAIN_METRICS && r->step >= first; k++) {
            if (isnan(r->values[k])) continue;
            status = rllc_store_put_training(s, t->job->seed, r->step, rllc_train_metric_names[k], r->values[k]);
            if (status != RLLC_OK) goto undo;
        }
    }
    return rllc_store_commit(s);
undo:
    rllc_store_rollback(s);
done:
    return status;
}
