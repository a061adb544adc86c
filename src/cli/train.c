/* rllc train: train a model with checkpoints, or go on training. */
#include <math.h>
#include <string.h>

#include "cli/batches.h"

typedef struct train_command {
    const char *data, *tokens, *validation, *tokenizer, *output, *store;
    uint64_t seed;
    bool dry_run;
} train_command;

static const rllc_option options[] = {
    RLLC_OPTION(train_command, data, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "folder",
                "corpus packed by rllc tokenize: corpus.json, train.npy, validation.npy"),
    RLLC_OPTION(train_command, tokens, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "instead of --data: .npy of token ids, one row a sequence"),
    RLLC_OPTION(train_command, validation, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                ".npy to measure the validation loss on; default: that of --data"),
    RLLC_OPTION(train_command, tokenizer, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "with --tokens: the tokenizer behind the ids, for d_vocab and BOS"),
    RLLC_OPTION(train_command, output, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "folder",
                "where checkpoints go; a run that is there is gone on with"),
    RLLC_OPTION(train_command, store, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "database of the curves; default: run.db in the output folder"),
    RLLC_OPTION(train_command, seed, RLLC_SEED, "1", RLLC_UNBOUNDED, NULL, "",
                "of the initial weights and the order of rows"),
    RLLC_OPTION(train_command, dry_run, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "say what it would cost, and stop"),
};
static const rllc_option_table table = {"train", "data in, checkpoints out", options,
                                        sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table, &rllc_model_option_table, &rllc_adamw_option_table,
                                                  &rllc_train_option_table, NULL};

/* What stays open while training runs, and what is known of the ids. */
typedef struct inputs {
    rllc_rows train, validation;
    bool has_validation;
    int64_t d_vocab, bos; /* 0, -2: not known */
    const char *tokenizer_hash;
    rllc_store *store;
} inputs;

enum { BOS_UNKNOWN = -2 };

static void inputs_release(inputs *in) {
    rllc_store_close(in->store);
    if (in->has_validation) rllc_rows_close(&in->validation);
    rllc_rows_close(&in->train);
}

static rllc_status check_flags(const train_command *o) {
    if ((o->data == NULL) == (o->tokens == NULL))
        return rllc_fail(RLLC_EUSAGE, "give either --data FOLDER or --tokens FILE.npy; usage: %s",
                         rllc_command_train.usage);
    if (o->data && o->tokenizer)
        return rllc_fail(RLLC_EUSAGE, "--tokenizer goes with --tokens: a packed corpus knows its own");
    return rllc_cli_require(&rllc_command_train, "--output", o->output);
}

/** What corpus.json says of the ids. */
static rllc_status ask_corpus(inputs *in, const char *folder) {
    rllc_json *j = NULL;
    const char *path = rllc_intern_printf("%s/corpus.json", folder);
    if (!rllc_file_exists(path))
        return rllc_fail(RLLC_ENOTFOUND, "%s: there is no such file; --data is a folder that rllc tokenize packed",
                         path);
    rllc_status status = rllc_json_load(&j, path);
    if (status != RLLC_OK) return status;
    in->d_vocab = rllc_json_to_integer(rllc_json_get(j, "d_vocab"), 0);
    in->bos = rllc_json_to_integer(rllc_json_get(j, "bos"), BOS_UNKNOWN);
    in->tokenizer_hash = rllc_intern(rllc_json_text(rllc_json_get(j, "tokenizer_hash")));
    if (in->d_vocab < 1)
        status = rllc_fail(RLLC_EINPUT, "%s: \"d_vocab\" is missing or not a size; pack the corpus again", path);
    rllc_json_free(j);
    return status;
}

static rllc_status ask_tokenizer(inputs *in, const char *path) {
    rllc_tokenizer *t;
    const rllc_status status = rllc_tokenizer_load(&t, path);
    if (status != RLLC_OK) return status;
    in->d_vocab = rllc_tokenizer_size(t);
    in->bos = rllc_tokenizer_bos(t);
    in->tokenizer_hash = rllc_intern(rllc_tokenizer_hash(t).hex);
    rllc_tokenizer_free(t);
    return RLLC_OK;
}

/** d_vocab, unless it was given. */
static rllc_status complete_model(const inputs *in, rllc_model_options *m) {
    if (m->d_vocab == 0 && in->d_vocab == 0)
        return rllc_fail(RLLC_EUSAGE, "the vocabulary is not known: give --d-vocab N or --tokenizer PATH");
    if (m->d_vocab == 0) m->d_vocab = in->d_vocab;
    if (in->d_vocab > m->d_vocab)
        return rllc_fail(RLLC_EMISMATCH, "the tokenizer has %lld tokens, but d_vocab is %lld; leave --d-vocab out",
                         (long long)in->d_vocab, (long long)m->d_vocab);
    return RLLC_OK;
}

static rllc_status inputs_open(inputs *in, const train_command *o, rllc_model_options *m) {
    rllc_status status = RLLC_OK;
    const char *train = o->tokens, *validation = o->validation;
    in->bos = BOS_UNKNOWN;
    if (o->data) {
        RLLC_TRY(ask_corpus(in, o->data));
        train = rllc_intern_printf("%s/train.npy", o->data);
        if (!validation) validation = rllc_intern_printf("%s/validation.npy", o->data);
    } else if (o->tokenizer) {
        RLLC_TRY(ask_tokenizer(in, o->tokenizer));
    }
    RLLC_TRY(complete_model(in, m));
    RLLC_TRY(rllc_rows_open(&in->train, train, m->d_vocab));
    if (m->n_ctx == 0) m->n_ctx = in->train.n_ctx;
    if (validation) {
        RLLC_TRY(rllc_rows_open(&in->validation, validation, m->d_vocab));
        in->has_validation = true;
    }
done:
    return status;
}

/** Only once all inputs are good: a refused command leaves nothing behind. */
static rllc_status store_open(inputs *in, const train_command *o) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    const char *path = o->store ? o->store : rllc_intern_printf("%s/run.db", o->output);
    RLLC_TRY(rllc_make_folders(o->output));
    RLLC_TRY(rllc_store_open(&in->store, path, RLLC_STORE_WRITE));
    if (in->bos == BOS_UNKNOWN) goto done;
    const char *bos = rllc_intern_printf("%lld", (long long)in->bos);
    const bool known =
        rllc_store_get_meta(in->store, "bos", &text) == RLLC_OK && strcmp(rllc_string_text(&text), bos) == 0;
    if (!known) RLLC_TRY(rllc_store_set_meta(in->store, "bos", bos));
done:
    rllc_string_release(&text);
    return status;
}

/* ---- cost ------------------------------------------------------------------------------------------------ */

static rllc_status cost_json(const rllc_train_job *job, double tokens, double memory, double disk) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    RLLC_TRY(rllc_json_set(j, "steps", rllc_json_integer(job->options.steps)));
    RLLC_TRY(rllc_json_set(j, "tokens", rllc_json_real(tokens)));
    RLLC_TRY(rllc_json_set(j, "memory_bytes", rllc_json_real(memory)));
    RLLC_TRY(rllc_json_set(j, "disk_bytes", rllc_json_real(disk)));
    return rllc_cli_print_json("train", j);
done:
    rllc_json_free(j);
    return status;
}

/** What it takes: on stderr before it begins, or as the answer of --dry-run. */
static rllc_status state_cost(const rllc_train_job *job, const rllc_common_options *common, bool dry_run) {
    double tokens, memory, disk;
    const rllc_status status = rllc_train_cost(job, &tokens, &memory, &disk);
    if (status != RLLC_OK) return status;
    if (dry_run && common->json) return cost_json(job, tokens, memory, disk);
    const double epochs = tokens / ((double)job->train->rows * (double)job->train->n_ctx);
    const char *text =
        rllc_intern_printf("%lld steps of %lld x %lld tokens: %.3g M tokens, %.3g passes over the data, about "
                           "%.0f MB of memory and %.0f MB on disk",
                           (long long)job->options.steps, (long long)job->options.batch_size,
                           (long long)job->model.n_ctx, tokens / 1e6, epochs, ceil(memory / 1e6), ceil(disk / 1e6));
    if (dry_run)
        printf("%s\n", text);
    else
        rllc_report_message(job->monitor, "%s", text);
    return RLLC_OK;
}

/* ---- result ---------------------------------------------------------------------------------------------- */

/** The last point of a curve of this seed; NaN if it has none. */
static rllc_status last_point(rllc_store *s, uint64_t seed, const char *metric, double *out) {
    rllc_store_point *list = NULL;
    int64_t n = 0, step = -1;
    const rllc_status status = rllc_store_training(s, metric, &list, &n);
    *out = NAN;
    for (int64_t i = 0; status == RLLC_OK && i < n; i++)
        if (list[i].seed == seed && list[i].step > step) {
            step = list[i].step;
            *out = list[i].value;
        }
    rllc_free(list);
    return status;
}

static rllc_status print_result(const rllc_train_job *job, bool json) {
    static const char *const metrics[] = {"train_loss", "validation_loss", "tokens", "seconds"};
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    double value[4];
    const char *checkpoint = rllc_intern_printf("%s/checkpoints/step%lld", job->folder, (long long)job->options.steps);
    for (int i = 0; i < 4; i++) RLLC_TRY(last_point(job->store, job->seed, metrics[i], &value[i]));
    if (!json) {
        printf("step %lld: training loss %.4f", (long long)job->options.steps, value[0]);
        if (!isnan(value[1])) printf(", validation loss %.4f", value[1]);
        printf(", %.3g M tokens in %.1f s\n%s\n", value[2] / 1e6, value[3], checkpoint);
        return RLLC_OK;
    }
    j = rllc_json_object();
    RLLC_TRY(rllc_json_set(j, "step", rllc_json_integer(job->options.steps)));
    RLLC_TRY(rllc_json_set(j, "checkpoint", rllc_json_string(checkpoint)));
    for (int i = 0; i < 4; i++) RLLC_TRY(rllc_json_set(j, metrics[i], rllc_json_real(value[i])));
    return rllc_cli_print_json("train", j);
done:
    rllc_json_free(j);
    return status;
}

static rllc_status run(const train_command *o, const rllc_common_options *common, rllc_train_job *job) {
    rllc_status status = RLLC_OK;
    inputs in = {0};
    RLLC_TRY(check_flags(o));
    RLLC_TRY(rllc_cli_check_grid("--checkpoints", job->options.checkpoints));
    RLLC_TRY(inputs_open(&in, o, &job->model));
    job->folder = o->output;
    job->seed = o->seed;
    job->train = &in.train;
    job->validation = in.has_validation && in.validation.rows > 0 ? &in.validation : NULL;
    job->tokenizer_hash = in.tokenizer_hash;
    job->n_threads = (int)common->threads;
    job->monitor = rllc_cli_monitor(common);
    RLLC_TRY(state_cost(job, common, o->dry_run));
    if (o->dry_run) goto done;
    RLLC_TRY(store_open(&in, o));
    job->store = in.store;
    RLLC_TRY(rllc_train(job));
    RLLC_TRY(print_result(job, common->json));
done:
    inputs_release(&in);
    return status;
}

static rllc_status train_main(int argc, const char *const *argv) {
    rllc_common_options common;
    train_command o;
    rllc_train_job job = {0};
    rllc_options_default(&table, &o);
    rllc_options_default(&rllc_model_option_table, &job.model);
    rllc_options_default(&rllc_adamw_option_table, &job.optimizer);
    rllc_options_default(&rllc_train_option_table, &job.options);
    job.model.n_ctx = job.model.d_vocab = 0; /* not given: they follow from the corpus */
    const rllc_option_binding bindings[] = {{&table, &o},
                                            {&rllc_model_option_table, &job.model},
                                            {&rllc_adamw_option_table, &job.optimizer},
                                            {&rllc_train_option_table, &job.options}};
    const rllc_status status = rllc_cli_options(&rllc_command_train, &common, bindings, 4, argc, argv, NULL, 0, NULL);
    return status != RLLC_OK || common.help ? status : run(&o, &common, &job);
}

const rllc_command rllc_command_train = {
    .name = "train",
    .summary = "train a model with checkpoints, or go on training",
    .usage = "rllc train --data FOLDER --output FOLDER [--seed N] [options]; n_ctx and d_vocab follow from the data",
    .examples =
        "# a small model on a packed corpus; run it again after an interruption and it goes on\n"
        "rllc train --data corpus --output run --d-model 64 --n-heads 4 --d-head 16 --steps 10000 --batch-size 16\n"
        "# memory, disk and tokens, without training\n"
        "rllc train --data corpus --output run --dry-run\n",
    .tables = tables,
    .main = train_main};
