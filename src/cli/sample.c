/* rllc sample: chains around checkpoints: checkpoint x component x corpus x chain. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cells.h"

typedef struct sample_options {
    const char *checkpoint, *tokens, *store, *component, *checkpoints, *corpora, *trace;
    bool dry_run, strict;
} sample_options;

static const rllc_option options[] = {
    RLLC_OPTION(sample_options, checkpoints, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "steps",
                "checkpoints of the run, e.g. 0,100..1000:100; default: all"),
    RLLC_OPTION(sample_options, corpora, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "corpora of the run, e.g. mix,code; default: all"),
    RLLC_OPTION(sample_options, component, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "", "the same as --components"),
    RLLC_OPTION(sample_options, checkpoint, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "without a run: model.safetensors, or a folder that holds it"),
    RLLC_OPTION(sample_options, tokens, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "without a run: a packed corpus' folder, or .npy of ids: [rows, n_ctx] to draw from, or [steps, batch, n_ctx]: "
                "these batches in order"),
    RLLC_OPTION(sample_options, store, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "without a run: keep traces and estimates here, and go on from it; default: nothing is kept"),
    RLLC_OPTION(sample_options, trace, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path", "write chain, draw, loss, baseline as CSV"),
    RLLC_OPTION(sample_options, strict, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "exit with 4 unless every verdict is good"),
    RLLC_OPTION(sample_options, dry_run, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "", "say what it would cost, and stop"),
};
static const rllc_option_table table = {"sample", "what to sample", options, sizeof options / sizeof *options};
static const rllc_option_table *const tables[] = {&table, &rllc_sampling_option_table, &rllc_sampler_option_table, NULL};

enum { DRAWS_UNSET = -1, DRAWS = 200 };

/** One invocation. */
typedef struct invocation {
    rllc_common_options common;
    sample_options o;
    rllc_sampling_options sampling;
    rllc_sampler_options sampler;
    rllc_model reference; /* of the loss `reference`; size 0 without it */
    rllc_store *store;
    const char *folder; /* of the run; NULL without one */
    const char *tokenizer_hash;
    rllc_json *provenance;
    char *scratch;      /* folder of a store that is not kept */
    rllc_cell_filter shown;
    int64_t *steps;
    double done, total, tokens, flops, memory, disk; /* over all groups */
    int64_t groups;
} invocation;

/** The losses of this command, as the store calls them. */
static rllc_status note_losses(invocation *s, const rllc_sampling_job *job) {
    bool next_token, reference;
    const rllc_status status = rllc_sampling_losses(job->options.loss, &next_token, &reference);
    if (status != RLLC_OK) return status;
    s->shown.losses = rllc_intern_printf("%s%s%s", next_token ? rllc_loss_kind(NULL) : "",
                                         next_token && reference ? "," : "",
                                         reference ? rllc_loss_kind(job->reference) : "");
    return RLLC_OK;
}

/** What will be shown at the end: the components and the settings of this command, whatever else the store holds. */
static rllc_status note_shown(invocation *s, const rllc_model *m, const rllc_sampling_job *job) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    const char **names = NULL;
    int64_t n;
    RLLC_TRY(rllc_sampling_options_json(job, &text));
    s->shown.options = rllc_intern(rllc_string_text(&text));
    RLLC_TRY(note_losses(s, job));
    rllc_string_clear(&text);
    RLLC_TRY(rllc_components_expand(m, s->sampling.components, &names, &n));
    for (int64_t i = 0; i < n; i++) RLLC_TRY(rllc_string_printf(&text, "%s%s", i ? "," : "", names[i]));
    s->shown.components = rllc_intern(rllc_string_text(&text));
done:
    rllc_free(names);
    rllc_string_release(&text);
    return status;
}

/** One checkpoint and one corpus: costs it, or samples it. */
static rllc_status run_group(invocation *s, const rllc_model *m, const rllc_store_checkpoint *checkpoint,
                             const rllc_store_corpus *corpus, const rllc_rows *rows, bool given, bool only_cost) {
    double steps, tokens, flops, memory, disk;
    const rllc_sampling_job job = {.model = m, .reference = s->reference.size ? &s->reference : NULL,
                                   .checkpoint = checkpoint, .corpus = corpus, .tokenizer_hash = s->tokenizer_hash,
                                   .rows = rows, .explicit_batches = given, .sampler = s->sampler,
                                   .options = s->sampling, .store = s->store, .provenance = s->provenance,
                                   .n_threads = (int)s->common.threads, .monitor = rllc_cli_monitor(&s->common),
                                   .progress_done = s->done, .progress_total = s->total};
    rllc_status status = rllc_sampling_cost(&job, &steps, &tokens, &flops, &memory, &disk);
    if (status != RLLC_OK) return status;
    if (only_cost) {
        status = note_shown(s, m, &job);
        if (status != RLLC_OK) return status;
        s->groups++;
        s->total += steps;
        s->tokens += tokens;
        s->flops += flops;
        s->memory = memory > s->memory ? memory : s->memory;
        s->disk += disk;
        return RLLC_OK;
    }
    status = rllc_sample(&job);
    s->done += steps;
    return status;
}

static rllc_status print_cost(const invocation *s) {
    rllc_status status = RLLC_OK;
    if (!s->common.json) {
        printf("%lld groups (checkpoint x corpus), %.0f chain-steps, %.4g tokens through gradients, %.4g FLOP\n"
               "memory %.0f MB, store %.1f MB\n", (long long)s->groups, s->total, s->tokens, s->flops, s->memory / 1e6,
               s->disk / 1e6);
        return RLLC_OK;
    }
    rllc_json *j = rllc_json_object();
    RLLC_TRY(rllc_json_set(j, "groups", rllc_json_integer(s->groups)));
    RLLC_TRY(rllc_json_set(j, "chain_steps", rllc_json_real(s->total)));
    RLLC_TRY(rllc_json_set(j, "tokens", rllc_json_real(s->tokens)));
    RLLC_TRY(rllc_json_set(j, "flops", rllc_json_real(s->flops)));
    RLLC_TRY(rllc_json_set(j, "memory_bytes", rllc_json_real(s->memory)));
    RLLC_TRY(rllc_json_set(j, "store_bytes", rllc_json_real(s->disk)));
    return rllc_cli_print_json("sample", j);
done:
    rllc_json_free(j);
    return status;
}

/* ---- a checkpoint and an array of tokens -------------------------------------------------------------------- */

/** A store that lives as long as the command, unless one is named. */
static rllc_status open_loose_store(invocation *s) {
    if (s->o.store) return rllc_store_open(&s->store, s->o.store, RLLC_STORE_WRITE);
    const char *place = getenv("TMPDIR");
    if (!place || !*place) place = "/tmp";
    if (asprintf(&s->scratch, "%s/rllc-sample-XXXXXX", place) < 0) {
        s->scratch = NULL;
        return rllc_fail(RLLC_ENOMEM, "no memory for the name of a scratch folder");
    }
    if (!mkdtemp(s->scratch)) return rllc_fail(RLLC_EIO, "%s: no scratch folder can be made there; name a --store", place);
    return rllc_store_open(&s->store, rllc_intern_printf("%s/run.db", s->scratch), RLLC_STORE_WRITE);
}

static void remove_scratch(const invocation *s) {
    if (!s->scratch) return;
    unlink(rllc_intern_printf("%s/run.db", s->scratch));
    unlink(rllc_intern_printf("%s/run.db-journal", s->scratch));
    rmdir(s->scratch);
    free(s->scratch);
}

/** Batches in order, when the array has three dimensions: they decide the batch size and bound the draws. */
static rllc_status fit_given_batches(invocation *s, const rllc_rows *rows) {
    s->sampler.batch_size = rows->shape[1];
    if (s->sampler.num_draws != DRAWS_UNSET) return RLLC_OK;
    const int64_t steps = rows->shape[0] / s->sampler.gradient_accumulation_steps;
    s->sampler.num_draws = (steps - s->sampler.num_burnin_steps) / s->sampler.num_steps_bw_draws;
    if (s->sampler.num_draws >= 1) return RLLC_OK;
    return rllc_fail(RLLC_EMISMATCH, "%s: %lld batches do not reach one draw after %lld burn-in steps", rows->path,
                     (long long)rows->shape[0], (long long)s->sampler.num_burnin_steps);
}

static rllc_status put_loose_rows(invocation *s, const rllc_model *m, const rllc_rows *rows, rllc_store_checkpoint *checkpoint,
                                  rllc_store_corpus *corpus) {
    rllc_status status = RLLC_OK;
    rllc_json *shape = NULL;
    rllc_string text = {0};
    RLLC_TRY(rllc_options_to_json(&rllc_model_option_table, &m->options, &shape));
    RLLC_TRY(rllc_json_print(shape, 0, true, &text));
    *checkpoint = (rllc_store_checkpoint){.hash = rllc_intern(rllc_model_hash(m).hex), .path = s->o.checkpoint,
                                          .n_layers = m->options.n_layers, .n_heads = m->options.n_heads,
                                          .model_json = rllc_intern(rllc_string_text(&text))};
    *corpus = (rllc_store_corpus){.name = "tokens", .hash = rllc_intern(rows->hash.hex), .trained_on = true, .json = "{}"};
    RLLC_TRY(rllc_store_put_checkpoint(s->store, checkpoint));
    RLLC_TRY(rllc_store_put_corpus(s->store, corpus));
done:
    rllc_json_free(shape);
    rllc_string_release(&text);
    return status;
}

static rllc_status sample_loose(invocation *s) {
    rllc_status status = RLLC_OK;
    rllc_model m = {0};
    rllc_rows rows = {0};
    rllc_store_checkpoint checkpoint;
    rllc_store_corpus corpus;
    if (!s->o.checkpoint || !s->o.tokens)
        return rllc_fail(RLLC_EUSAGE, "name a run folder, or both --checkpoint FILE and --tokens FILE; see rllc sample --help");
    RLLC_TRY(rllc_model_load(&m, s->o.checkpoint));
    if (rllc_is_folder(s->o.tokens)) s->o.tokens = rllc_intern_printf("%s/sampling.npy", s->o.tokens);
    RLLC_TRY(rllc_rows_open(&rows, s->o.tokens, m.options.d_vocab));
    const bool given = rows.n_dims == 3;
    if (given) RLLC_TRY(fit_given_batches(s, &rows));
    if (s->sampler.num_draws == DRAWS_UNSET) s->sampler.num_draws = DRAWS;
    RLLC_TRY(rllc_sampler_complete(&s->sampler));
    RLLC_TRY(open_loose_store(s));
    RLLC_TRY(put_loose_rows(s, &m, &rows, &checkpoint, &corpus));
    RLLC_TRY(run_group(s, &m, &checkpoint, &corpus, &rows, given, true));
    if (s->o.dry_run) {
        status = print_cost(s);
        goto done;
    }
    RLLC_TRY(run_group(s, &m, &checkpoint, &corpus, &rows, given, false));
done:
    rllc_rows_close(&rows);
    rllc_model_release(&m);
    return status;
}

/* ---- a run --------------------------------------------------------------------------------------------------- */

static bool wants_step(const invocation *s, int64_t step) {
    for (int64_t i = 0; i < s->shown.n_steps; i++)
        if (s->shown.steps[i] == step) return true;
    return s->shown.n_steps == 0;
}

/** Every wanted corpus at one checkpoint. */
static rllc_status run_checkpoint(invocation *s, const rllc_store_checkpoint *c, const rllc_store_corpus *corpora, int64_t n,
                                  bool only_cost) {
    rllc_status status = RLLC_OK;
    rllc_model m = {0};
    rllc_rows rows = {0};
    RLLC_TRY(rllc_model_load(&m, c->path[0] == '/' ? c->path : rllc_intern_printf("%s/%s", s->folder, c->path)));
    if (strcmp(rllc_model_hash(&m).hex, c->hash) != 0) {
        status = rllc_fail(RLLC_EMISMATCH, "%s: the weights are not those the store knows for step %lld; train again, or "
                           "restore the file", c->path, (long long)c->step);
        goto done;
    }
    for (int64_t i = 0; i < n; i++) {
        if (!rllc_list_names(s->o.corpora, corpora[i].name)) continue;
        RLLC_TRY(rllc_rows_open(&rows, rllc_intern_printf("%s/corpora/%s/sampling.npy", s->folder, corpora[i].name),
                                only_cost ? 0 : m.options.d_vocab));
        if (strcmp(rows.hash.hex, corpora[i].hash) == 0) {
            status = run_group(s, &m, c, &corpora[i], &rows, false, only_cost);
        } else if (i + 1 == n || strcmp(corpora[i + 1].name, corpora[i].name) != 0) {
            status = rllc_fail(RLLC_EMISMATCH, "%s: not the tokens the store knows for corpus '%s'; pack it again", rows.path,
                               corpora[i].name);
        }
        rllc_rows_close(&rows);
        if (status != RLLC_OK) goto done;
    }
done:
    rllc_rows_close(&rows);
    rllc_model_release(&m);
    return status;
}

static rllc_status run_all(invocation *s, const rllc_store_checkpoint *checkpoints, int64_t n_checkpoints,
                           const rllc_store_corpus *corpora, int64_t n_corpora, bool only_cost) {
    rllc_status status = RLLC_OK;
    int64_t matched = 0;
    for (int64_t i = 0; i < n_checkpoints; i++) {
        if (!wants_step(s, checkpoints[i].step)) continue;
        RLLC_TRY(run_checkpoint(s, &checkpoints[i], corpora, n_corpora, only_cost));
        matched++;
    }
    if (matched == 0) status = rllc_fail(RLLC_ENOTFOUND, "the run has none of the checkpoints asked for");
done:
    return status;
}

/** The run's tokenizer enters the identity of its cells. */
static rllc_status find_tokenizer(invocation *s) {
    const char *path = rllc_intern_printf("%s/tokenizer.json", s->folder);
    rllc_tokenizer *t;
    if (!rllc_file_exists(path)) return RLLC_OK;
    const rllc_status status = rllc_tokenizer_load(&t, path);
    if (status != RLLC_OK) return status;
    s->tokenizer_hash = rllc_intern(rllc_tokenizer_hash(t).hex);
    rllc_tokenizer_free(t);
    return RLLC_OK;
}

static rllc_status sample_run(invocation *s) {
    rllc_status status = RLLC_OK;
    rllc_store_checkpoint *checkpoints = NULL;
    rllc_store_corpus *corpora = NULL;
    int64_t n_checkpoints, n_corpora;
    if (s->o.checkpoint || s->o.tokens || s->o.store)
        return rllc_fail(RLLC_EUSAGE, "--checkpoint, --tokens and --store go without a run folder; in a run: --checkpoints "
                         "and --corpora");
    if (s->sampler.num_draws == DRAWS_UNSET) s->sampler.num_draws = DRAWS;
    RLLC_TRY(rllc_sampler_complete(&s->sampler));
    if (!rllc_file_exists(rllc_intern_printf("%s/run.db", s->folder)))
        return rllc_fail(RLLC_ENOTFOUND, "%s: not a run folder (no run.db); make one with rllc run", s->folder);
    RLLC_TRY(find_tokenizer(s));
    RLLC_TRY(rllc_store_open(&s->store, rllc_intern_printf("%s/run.db", s->folder), RLLC_STORE_WRITE));
    RLLC_TRY(rllc_store_checkpoints(s->store, &checkpoints, &n_checkpoints));
    RLLC_TRY(rllc_checkpoints_drop_replaced(s->folder, checkpoints, &n_checkpoints));
    RLLC_TRY(rllc_store_corpora(s->store, &corpora, &n_corpora));
    RLLC_TRY(run_all(s, checkpoints, n_checkpoints, corpora, n_corpora, true));
    if (s->groups == 0) {
        status = rllc_fail(RLLC_ENOTFOUND, "the run has none of the corpora asked for");
        goto done;
    }
    if (s->o.dry_run) {
        status = print_cost(s);
        goto done;
    }
    RLLC_TRY(run_all(s, checkpoints, n_checkpoints, corpora, n_corpora, false));
done:
    rllc_free(checkpoints);
    rllc_free(corpora);
    return status;
}

/* ---- the command --------------------------------------------------------------------------------------------- */

static rllc_status read_flags(invocation *s, int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    const rllc_option_binding bindings[] = {
        {&table, &s->o}, {&rllc_sampling_option_table, &s->sampling}, {&rllc_sampler_option_table, &s->sampler}};
    int n;
    for (size_t i = 0; i < sizeof bindings / sizeof *bindings; i++)
        rllc_options_default(bindings[i].table, bindings[i].object);
    s->sampler.num_draws = DRAWS_UNSET;
    rllc_sampler_unset(&s->sampler);
    RLLC_TRY(rllc_cli_options(&rllc_command_sample, &s->common, bindings, sizeof bindings / sizeof *bindings, argc, argv,
                              &s->folder, 1, &n));
    if (s->o.component) s->sampling.components = s->o.component;
    if (s->o.checkpoints) RLLC_TRY(rllc_grid_parse(s->o.checkpoints, &s->steps, &s->shown.n_steps));
    s->shown.steps = s->steps;
    s->shown.corpora = s->o.corpora;
done:
    return status;
}

static rllc_status sample_main(int argc, const char *const *argv) {
    invocation s = {.tokenizer_hash = ""};
    rllc_status status = read_flags(&s, argc, argv);
    if (status != RLLC_OK || s.common.help) goto done;
    RLLC_TRY(rllc_cli_provenance(&s.common, &s.provenance));
    RLLC_TRY(rllc_cli_load_reference(&s.sampling, &s.reference));
    RLLC_TRY(s.folder ? sample_run(&s) : sample_loose(&s));
    if (s.o.dry_run) goto done;
    if (s.o.trace) RLLC_TRY(rllc_cells_write_traces(s.store, &s.shown, s.o.trace));
    RLLC_TRY(rllc_cells_print("sample", s.store, &s.shown, s.common.json));
    if (s.o.strict) RLLC_TRY(rllc_cells_require_good(s.store, &s.shown));
done:
    rllc_free(s.steps);
    rllc_json_free(s.provenance);
    rllc_model_release(&s.reference);
    rllc_store_close(s.store);
    remove_scratch(&s);
    return status;
}

const rllc_command rllc_command_sample = {
    .name = "sample",
    .summary = "chains around checkpoints: checkpoint x component x corpus x chain",
    .usage = "rllc sample RUN [options], or rllc sample --checkpoint FILE --tokens FILE [options]",
    .examples = "# every head of a run, at three checkpoints, on its code corpus\n"
                "rllc sample demo --checkpoints 0,1200,12000 --corpora code --components heads\n"
                "# one head of any checkpoint, on a packed corpus or on rows of token ids\n"
                "rllc sample --checkpoint model.safetensors --tokens corpora/code --component l0h3 --store llc.db\n"
                "# deterministic, on given batches [steps, batch, n_ctx]: to compare with another implementation\n"
                "rllc sample --checkpoint model.safetensors --tokens batches.npy --component l1h0 --noise-level 0 "
                "--num-chains 1 --trace out.csv\n"
                "# the complexity of a head in predicting as a smaller model does: KL divergence from that model\n"
                "rllc sample demo --component l0h3 --loss reference --reference demo/companion/seed-1/step12000\n"
                "# what it would cost\n"
                "rllc sample demo --num-draws 1000 --dry-run\n",
    .tables = tables,
    .main = sample_main,
};
