/*
 * What decides a run: the same identity trains the same weights and curves, bit for bit.
 *
 * How far to train, which checkpoints to keep and how often to record may change between one call and the next.
 */
#include <math.h>
#include <string.h>

#include "train/trainer.h"

static rllc_status set_options(rllc_json *parent, const char *key, const rllc_option_table *table, const void *object) {
    rllc_json *j = NULL;
    rllc_status status = rllc_options_to_json(table, object, &j);
    return status == RLLC_OK ? rllc_json_set(parent, key, j) : status;
}

static rllc_json *hash_of(const rllc_rows *rows) {
    return rows ? rllc_json_string(rows->hash.hex) : rllc_json_null();
}

rllc_status rllc_train_identity(const rllc_train_job *job, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *identity = rllc_json_object(), *training = rllc_json_object(), *data = rllc_json_object();
    char seed[24];
    *out = NULL;
    (void)snprintf(seed, sizeof seed, "%llu", (unsigned long long)job->seed);
    RLLC_TRY(rllc_json_set(identity, "seed", rllc_json_string(seed)));
    RLLC_TRY(set_options(identity, "model", &rllc_model_option_table, &job->model));
    RLLC_TRY(set_options(identity, "optimizer", &rllc_adamw_option_table, &job->optimizer));
    RLLC_TRY(rllc_json_set(training, "batch_size", rllc_json_integer(job->options.batch_size)));
    RLLC_TRY(rllc_json_set(training, "validation_rows", rllc_json_integer(job->options.validation_rows)));
    RLLC_TRY(rllc_json_set(data, "train", hash_of(job->train)));
    RLLC_TRY(rllc_json_set(data, "validation", hash_of(job->validation)));
    status = rllc_json_set(identity, "training", training);
    training = NULL;
    RLLC_TRY(status);
    status = rllc_json_set(identity, "data", data);
    data = NULL;
    RLLC_TRY(status);
    *out = identity;
    identity = NULL;
done:
    rllc_json_free(identity);
    rllc_json_free(training);
    rllc_json_free(data);
    return status;
}

rllc_status rllc_train_identity_hash(const rllc_json *identity, rllc_hash *out) {
    rllc_string text = {0};
    rllc_status status = rllc_json_print(identity, 0, true, &text);
    if (status == RLLC_OK) *out = rllc_hash_bytes(rllc_string_text(&text), text.length);
    rllc_string_release(&text);
    return status;
}

/* One side of a comparison while its members are visited. */
typedef struct comparison {
    const rllc_json *other;
    const char *prefix;
    bool reverse; /* only report members the other side lacks */
    rllc_string *report;
} comparison;

static rllc_status print_value(const rllc_json *j, rllc_string *out) {
    return j ? rllc_json_print(j, 0, true, out) : rllc_string_add(out, "absent");
}

static rllc_status report(comparison *c, const char *key, const rllc_json *here, const rllc_json *there) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_printf(c->report, "%s%s%s is ", c->report->length ? "; " : "", c->prefix, key));
    RLLC_TRY(print_value(there, c->report));
    RLLC_TRY(rllc_string_add(c->report, " there and "));
    RLLC_TRY(print_value(here, c->report));
    RLLC_TRY(rllc_string_add(c->report, " here"));
done:
    return status;
}

/** Equal text, or equal numbers: 1 and 1.0 are one value. */
static rllc_status equal(const rllc_json *a, const rllc_json *b, bool *out) {
    rllc_status status = RLLC_OK;
    rllc_string x = {0}, y = {0};
    const double u = rllc_json_to_real(a, NAN), v = rllc_json_to_real(b, NAN);
    RLLC_TRY(rllc_json_print(a, 0, true, &x));
    RLLC_TRY(rllc_json_print(b, 0, true, &y));
    *out = strcmp(rllc_string_text(&x), rllc_string_text(&y)) == 0 || u == v;
done:
    rllc_string_release(&x);
    rllc_string_release(&y);
    return status;
}

static rllc_status compare_member(void *context, const char *key, const rllc_json *value) {
    comparison *c = context;
    const rllc_json *other = rllc_json_get(c->other, key);
    bool same = false;
    if (other && rllc_json_is_object(value) && rllc_json_is_object(other)) {
        comparison inner = {other, rllc_intern_printf("%s%s.", c->prefix, key), c->reverse, c->report};
        return rllc_json_each(value, compare_member, &inner);
    }
    if (!other) return c->reverse ? report(c, key, NULL, value) : report(c, key, value, NULL);
    if (c->reverse) return RLLC_OK;
    const rllc_status status = equal(value, other, &same);
    return status != RLLC_OK || same ? status : report(c, key, value, other);
}

rllc_status rllc_train_identity_check(const rllc_json *wanted, const rllc_json *found, const char *folder) {
    rllc_status status = RLLC_OK;
    rllc_string differences = {0};
    comparison forward = {found, "", false, &differences}, backward = {wanted, "", true, &differences};
    if (!rllc_json_is_object(found))
        return rllc_fail(RLLC_EINPUT, "%s: trainer_state.json has no \"identity\"", folder);
    RLLC_TRY(rllc_json_each(wanted, compare_member, &forward));
    RLLC_TRY(rllc_json_each(found, compare_member, &backward));
    if (differences.length)
        status = rllc_fail(RLLC_EMISMATCH, "%s holds another run: %s; use the same options to go on, or another folder",
                           folder, rllc_string_text(&differences));
done:
    rllc_string_release(&differences);
    return status;
}
