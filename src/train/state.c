/*
 * A training state as three files of one folder.
 *
 * model.safetensors     weights
 * trainer_state.json    everything else but AdamW's moments; names the hashes of the weights and of the moments
 * optimizer.safetensors exp_avg.<tensor>, exp_avg_sq.<tensor>; its metadata names the hash of trainer_state.json
 *
 * So each file vouches for another, and a state is complete when the last one is there and all hashes agree.
 */
#include <math.h>
#include <string.h>

#include "rllc/checkpoint.h"
#include "train/trainer.h"

#define SCHEMA "rllc.trainer_state/1"
static const char *const moment_names[2] = {"exp_avg", "exp_avg_sq"};

/* ---- writing --------------------------------------------------------------------------------------------- */

/** 2 * n_parameters views of the moments, under their file names. */
static rllc_status moment_views(const rllc_trainer *t, rllc_tensor_view **out) {
    rllc_tensor_view *views;
    const rllc_status status = rllc_alloc(&views, 2 * t->model.n_parameters, sizeof *views);
    *out = NULL;
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < t->model.n_parameters; i++)
        for (int k = 0; k < 2; k++) {
            const rllc_parameter *p = &t->model.parameters[i];
            rllc_tensor_view *v = &views[2 * i + k];
            *v = (rllc_tensor_view){.dtype = RLLC_F32, .n_dims = p->n_dims, .n = p->n};
            v->name = rllc_intern_printf("%s.%s", moment_names[k], p->name);
            v->data = (k == 0 ? t->adamw.m : t->adamw.v) + p->offset;
            for (int d = 0; d < p->n_dims; d++) v->shape[d] = p->shape[d];
        }
    *out = views;
    return RLLC_OK;
}

/** What any reader of the weights may want to know, as text. */
static rllc_status model_metadata(const rllc_trainer *t, rllc_json **out) {
    rllc_status status = RLLC_OK;
    const rllc_train_job *job = t->job;
    rllc_json *j = rllc_json_object();
    rllc_hash config;
    *out = NULL;
    RLLC_TRY(rllc_train_identity_hash(t->identity, &config));
    RLLC_TRY(rllc_json_set(j, "rllc.version", rllc_json_string(RLLC_VERSION)));
    RLLC_TRY(rllc_json_set(j, "rllc.step", rllc_json_string(rllc_intern_printf("%lld", (long long)t->step))));
    RLLC_TRY(
        rllc_json_set(j, "rllc.seed", rllc_json_string(rllc_intern_printf("%llu", (unsigned long long)job->seed))));
    RLLC_TRY(rllc_json_set(j, "rllc.config_hash", rllc_json_string(config.hex)));
    RLLC_TRY(rllc_json_set(j, "rllc.data_hash", rllc_json_string(job->train->hash.hex)));
    if (job->tokenizer_hash) RLLC_TRY(rllc_json_set(j, "rllc.tokenizer_hash", rllc_json_string(job->tokenizer_hash)));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

static rllc_json *describe_rows(const rllc_rows *rows) {
    if (!rows) return rllc_json_null();
    rllc_json *j = rllc_json_object();
    if (rllc_json_set(j, "path", rllc_json_string(rows->path)) == RLLC_OK &&
        rllc_json_set(j, "rows", rllc_json_integer(rows->rows)) == RLLC_OK &&
        rllc_json_set(j, "n_ctx", rllc_json_integer(rows->n_ctx)) == RLLC_OK &&
        rllc_json_set(j, "hash", rllc_json_string(rows->hash.hex)) == RLLC_OK)
        return j;
    rllc_json_free(j);
    return NULL;
}

/** A second owner for a value that stays with us: JSON text and back. */
static rllc_status set_copy(rllc_json *object, const char *key, const rllc_json *value) {
    rllc_string text = {0};
    rllc_json *copy = NULL;
    rllc_status status = rllc_json_print(value, 0, false, &text);
    if (status == RLLC_OK) status = rllc_json_parse(&copy, rllc_string_text(&text), text.length, key);
    rllc_string_release(&text);
    return status == RLLC_OK ? rllc_json_set(object, key, copy) : status;
}

static rllc_status set_provenance(const rllc_trainer *t, rllc_json *j) {
    rllc_status status = RLLC_OK;
    rllc_json *part = NULL;
    rllc_hash config;
    RLLC_TRY(set_copy(j, "identity", t->identity));
    RLLC_TRY(rllc_train_identity_hash(t->identity, &config));
    RLLC_TRY(rllc_json_set(j, "config_hash", rllc_json_string(config.hex)));
    RLLC_TRY(rllc_options_to_json(&rllc_train_option_table, &t->job->options, &part));
    RLLC_TRY(rllc_json_set(j, "training", part));
    RLLC_TRY(rllc_json_set(j, "train_data", describe_rows(t->job->train)));
    RLLC_TRY(rllc_json_set(j, "validation_data", describe_rows(t->job->validation)));
    if (t->job->tokenizer_hash) RLLC_TRY(rllc_json_set(j, "tokenizer_hash", rllc_json_string(t->job->tokenizer_hash)));
    RLLC_TRY(rllc_kernels_json(&part));
    RLLC_TRY(rllc_json_set(j, "kernels", part));
    RLLC_TRY(rllc_json_set(j, "version", rllc_json_string(RLLC_VERSION)));
    RLLC_TRY(rllc_json_set(j, "commit", rllc_json_string(rllc_commit())));
done:
    return status;
}

static rllc_status set_state(const rllc_trainer *t, rllc_json *j, const rllc_hash *optimizer) {
    rllc_status status = RLLC_OK;
    rllc_json *records = NULL;
    const int64_t tokens = t->step * t->job->options.batch_size * t->model.options.n_ctx;
    RLLC_TRY(rllc_json_set(j, "schema", rllc_json_string(SCHEMA)));
    RLLC_TRY(rllc_json_set(j, "step", rllc_json_integer(t->step)));
    RLLC_TRY(rllc_json_set(j, "tokens", rllc_json_integer(tokens)));
    RLLC_TRY(rllc_json_set(j, "seconds", rllc_json_real(t->seconds + rllc_now() - t->started)));
    RLLC_TRY(rllc_json_set(j, "model_hash", rllc_json_string(rllc_model_hash(&t->model).hex)));
    RLLC_TRY(rllc_json_set(j, "optimizer_hash", rllc_json_string(optimizer->hex)));
    RLLC_TRY(
        rllc_json_set(j, "random_state", rllc_json_string("none: every number is addressed by (seed, step, index)")));
    RLLC_TRY(rllc_json_set(j, "loss_sum", rllc_json_real(t->loss_sum)));
    RLLC_TRY(rllc_json_set(j, "loss_n", rllc_json_integer(t->loss_n)));
    RLLC_TRY(rllc_json_set(j, "gradient_norm", rllc_json_real(t->gradient_norm)));
    RLLC_TRY(rllc_train_records_to_json(t, &records));
    RLLC_TRY(rllc_json_set(j, "records", records));
done:
    return status;
}

static rllc_status write_state_json(const rllc_trainer *t, const char *path, const rllc_hash *optimizer,
                                    rllc_hash *own) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    rllc_string text = {0};
    RLLC_TRY(set_state(t, j, optimizer));
    RLLC_TRY(set_provenance(t, j));
    RLLC_TRY(rllc_json_print(j, 2, false, &text));
    RLLC_TRY(rllc_string_add(&text, "\n"));
    *own = rllc_hash_bytes(rllc_string_text(&text), text.length);
    RLLC_TRY(rllc_file_write(path, rllc_string_text(&text), text.length));
done:
    rllc_json_free(j);
    rllc_string_release(&text);
    return status;
}

rllc_status rllc_train_state_write(const rllc_trainer *t, const char *folder) {
    rllc_status status = RLLC_OK;
    rllc_tensor_view *views = NULL;
    rllc_json *metadata = NULL, *vouching = NULL;
    rllc_hash state;
    const int64_t n = 2 * t->model.n_parameters;
    RLLC_TRY(moment_views(t, &views));
    const rllc_hash optimizer = rllc_tensors_hash(views, n);
    RLLC_TRY(model_metadata(t, &metadata));
    RLLC_TRY(rllc_model_save(&t->model, NULL, rllc_intern_printf("%s/model.safetensors", folder), metadata));
    RLLC_TRY(write_state_json(t, rllc_intern_printf("%s/trainer_state.json", folder), &optimizer, &state));
    vouching = rllc_json_object();
    RLLC_TRY(rllc_json_set(vouching, "rllc.schema", rllc_json_string("rllc.adamw/1")));
    RLLC_TRY(rllc_json_set(vouching, "rllc.trainer_state_hash", rllc_json_string(state.hex)));
    RLLC_TRY(rllc_safetensors_write(rllc_intern_printf("%s/optimizer.safetensors", folder), views, n, vouching));
done:
    rllc_free(views);
    rllc_json_free(metadata);
    rllc_json_free(vouching);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------------------- */

rllc_status rllc_train_state_json(const rllc_trainer *t, const char *folder, rllc_json **out) {
    rllc_status status = RLLC_OK;
    const char *path = rllc_intern_printf("%s/trainer_state.json", folder), *schema;
    *out = NULL;
    RLLC_TRY(rllc_json_load(out, path));
    schema = rllc_json_text(rllc_json_get(*out, "schema"));
    if (!schema || strcmp(schema, SCHEMA) != 0) {
        status =
            rllc_fail(RLLC_EUNSUPPORTED, "%s: schema is '%s', expected '" SCHEMA "'", path, schema ? schema : "absent");
        goto done;
    }
    RLLC_TRY(rllc_train_identity_check(t->identity, rllc_json_get(*out, "identity"), t->job->folder));
done:
    if (status != RLLC_OK) {
        rllc_json_free(*out);
        *out = NULL;
    }
    return status;
}

static rllc_status check_hash(const rllc_json *j, const char *key, const rllc_hash *found, const char *path) {
    const char *wanted = rllc_json_text(rllc_json_get(j, key));
    if (wanted && strcmp(wanted, found->hex) == 0) return RLLC_OK;
    return rllc_fail(RLLC_EINPUT, "%s: its content hash is %s, but %s says %s: the file was changed or damaged", path,
                     found->hex, key, wanted ? wanted : "nothing");
}

static rllc_status read_weights(rllc_trainer *t, const char *folder, const rllc_json *j) {
    rllc_status status = RLLC_OK;
    rllc_model loaded = {0};
    const char *path = rllc_intern_printf("%s/model.safetensors", folder);
    RLLC_TRY(rllc_model_load(&loaded, path));
    const rllc_hash hash = rllc_model_hash(&loaded);
    RLLC_TRY(check_hash(j, "model_hash", &hash, path));
    if (loaded.size != t->model.size) {
        status = rllc_fail(RLLC_EINPUT, "%s: %lld numbers, expected %lld", path, (long long)loaded.size,
                           (long long)t->model.size);
        goto done;
    }
    memcpy(t->model.weights, loaded.weights, (size_t)loaded.size * sizeof *loaded.weights);
done:
    rllc_model_release(&loaded);
    return status;
}

/** One moment of one tensor, from a view of the file. */
static rllc_status read_moment(const rllc_safetensors *s, const rllc_tensor_view *wanted) {
    const rllc_tensor_view *found = rllc_safetensors_find(s, wanted->name);
    if (!found || found->dtype != RLLC_F32 || found->n != wanted->n)
        return rllc_fail(RLLC_EINPUT, "%s: tensor '%s' is %s", s->path, wanted->name,
                         found ? "not float32 of the model's size" : "missing");
    return rllc_tensor_to_float(found, (float *)(uintptr_t)wanted->data);
}

static rllc_status read_moments(rllc_trainer *t, const char *folder, const rllc_json *j) {
    rllc_status status = RLLC_OK;
    rllc_safetensors s = {0};
    rllc_tensor_view *views = NULL;
    rllc_hash state;
    const char *path = rllc_intern_printf("%s/optimizer.safetensors", folder);
    const char *state_path = rllc_intern_printf("%s/trainer_state.json", folder);
    const int64_t n = 2 * t->model.n_parameters;
    RLLC_TRY(rllc_safetensors_open(&s, path));
    RLLC_TRY(rllc_hash_file(state_path, &state));
    RLLC_TRY(check_hash(s.metadata, "rllc.trainer_state_hash", &state, state_path));
    RLLC_TRY(moment_views(t, &views));
    for (int64_t i = 0; i < n; i++) RLLC_TRY(read_moment(&s, &views[i]));
    const rllc_hash hash = rllc_tensors_hash(views, n);
    RLLC_TRY(check_hash(j, "optimizer_hash", &hash, path));
done:
    rllc_safetensors_close(&s);
    rllc_free(views);
    return status;
}

/** The kernels decide the last bits: going on with others is allowed, and said. */
static rllc_status compare_kernels(const rllc_trainer *t, const rllc_json *j) {
    rllc_status status = RLLC_OK;
    rllc_json *own = NULL;
    rllc_string mine = {0}, theirs = {0};
    RLLC_TRY(rllc_kernels_json(&own));
    RLLC_TRY(rllc_json_print(own, 0, true, &mine));
    if (rllc_json_get(j, "kernels")) RLLC_TRY(rllc_json_print(rllc_json_get(j, "kernels"), 0, true, &theirs));
    if (strcmp(rllc_string_text(&mine), rllc_string_text(&theirs)) != 0)
        rllc_report_message(
            t->job->monitor,
            "going on with other arithmetic (%s) than the run began with (%s): the weights will agree with "
            "an uninterrupted run's to rounding, not to the bit",
            rllc_string_text(&mine), rllc_string_text(&theirs));
done:
    rllc_json_free(own);
    rllc_string_release(&mine);
    rllc_string_release(&theirs);
    return status;
}

rllc_status rllc_train_state_read(rllc_trainer *t, const char *folder) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    RLLC_TRY(rllc_train_state_json(t, folder, &j));
    RLLC_TRY(read_moments(t, folder, j));
    RLLC_TRY(read_weights(t, folder, j));
    RLLC_TRY(rllc_train_records_from_json(t, rllc_json_get(j, "records"), folder));
    t->step = rllc_json_to_integer(rllc_json_get(j, "step"), 0);
    t->adamw.step = t->step;
    t->loss_sum = rllc_json_to_real(rllc_json_get(j, "loss_sum"), 0);
    t->loss_n = rllc_json_to_integer(rllc_json_get(j, "loss_n"), 0);
    t->gradient_norm = rllc_json_to_real(rllc_json_get(j, "gradient_norm"), NAN);
    t->seconds = rllc_json_to_real(rllc_json_get(j, "seconds"), 0);
    RLLC_TRY(compare_kernels(t, j));
done:
    rllc_json_free(j);
    return status;
}
