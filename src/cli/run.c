/* rllc run: everything one configuration asks for, from text to report, each stage skipped when it is done. */
#include <string.h>
#include <sys/stat.h>

#include "cli/run.h"

typedef struct run_options {
    const char *preset, *output;
    bool dry_run, show_config;
} run_options;

static const rllc_option options[] = {
    RLLC_OPTION(run_options, preset, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "demo (minutes), small (an hour or two) or paper (the paper's own: weeks)"),
    RLLC_OPTION(run_options, output, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "folder", "the run's folder (also -o)"),
    RLLC_OPTION(run_options, dry_run, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "what there is to do, and what it costs here in tokens, time and disk (also -n)"),
    RLLC_OPTION(run_options, show_config, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "print the whole configuration as YAML, and stop"),
};
static const rllc_option_table table = {"run", "what is run", options, sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table, NULL};

/* ---- the folder ------------------------------------------------------------------------------------------ */

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return a && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The whole configuration goes into the store and, unless it is the user's own file, into config.yaml. */
static rllc_status record_config(rllc_run *r, const char *file) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    const char *path = rllc_run_path(r, "config.yaml");
    RLLC_TRY(rllc_run_config_print(&r->config, &text));
    if (!same_file(file, path)) RLLC_TRY(rllc_file_write(path, rllc_string_text(&text), text.length));
    RLLC_TRY(rllc_store_set_meta(r->store, "config", rllc_string_text(&text)));
    if (r->config.preset) RLLC_TRY(rllc_store_set_meta(r->store, "preset", r->config.preset));
done:
    rllc_string_release(&text);
    return status;
}

static rllc_status write_report(rllc_run *r) {
    rllc_status status = RLLC_OK;
    if (rllc_run_report_is_done(r)) {
        rllc_report_message(r->monitor, "report: unchanged");
        return RLLC_OK;
    }
    RLLC_TRY(rllc_report_write(r->store, r->config.output, r->monitor));
    RLLC_TRY(rllc_store_stage_done(r->store, "report", r->identity.report));
done:
    return status;
}

static rllc_status print_result(const rllc_run *r, double seconds) {
    rllc_status status = RLLC_OK;
    const char *report = rllc_run_path(r, "report.html");
    if (!r->common.json) {
        printf("%s\n", report);
        return RLLC_OK;
    }
    rllc_json *j = rllc_json_object();
    RLLC_TRY(rllc_json_set(j, "output", rllc_json_string(r->config.output)));
    RLLC_TRY(rllc_json_set(j, "report", rllc_json_string(report)));
    RLLC_TRY(rllc_json_set(j, "store", rllc_json_string(rllc_run_path(r, "run.db"))));
    RLLC_TRY(rllc_json_set(j, "seconds", rllc_json_real(seconds)));
    return rllc_cli_print_json("run", j);
done:
    rllc_json_free(j);
    return status;
}

/* ---- the stages ------------------------------------------------------------------------------------------ */

static rllc_status execute(rllc_run *r, const char *file) {
    rllc_status status = RLLC_OK;
    const double start = rllc_now();
    RLLC_TRY(rllc_make_folders(r->config.output));
    RLLC_TRY(rllc_store_open(&r->store, rllc_run_path(r, "run.db"), RLLC_STORE_WRITE));
    RLLC_TRY(record_config(r, file));
    RLLC_TRY(rllc_run_tokenizer(r));
    RLLC_TRY(rllc_run_check_reference(r));
    RLLC_TRY(rllc_run_corpora(r));
    RLLC_TRY(rllc_run_train(r));
    RLLC_TRY(rllc_run_companion(r));
    RLLC_TRY(rllc_run_scores(r));
    RLLC_TRY(rllc_run_sample(r));
    RLLC_TRY(write_report(r));
    RLLC_TRY(print_result(r, rllc_now() - start));
done:
    return status;
}

/* A dry run reads what is there and writes nothing. */
static rllc_status plan(rllc_run *r) {
    rllc_status status = RLLC_OK;
    const char *store = rllc_run_path(r, "run.db"), *tokenizer = rllc_run_path(r, "tokenizer.json");
    if (rllc_file_exists(store)) RLLC_TRY(rllc_store_open(&r->store, store, RLLC_STORE_READ));
    if (rllc_run_tokenizer_is_done(r)) {
        RLLC_TRY(rllc_tokenizer_load(&r->tokenizer, tokenizer));
    } else if (r->config.tokenizer_path && rllc_file_exists(r->config.tokenizer_path)) {
        RLLC_TRY(rllc_tokenizer_load(&r->tokenizer, r->config.tokenizer_path));
    }
    RLLC_TRY(rllc_run_plan(r));
done:
    return status;
}

static rllc_status show_config(const rllc_run *r) {
    rllc_string text = {0};
    rllc_status status = rllc_run_config_print(&r->config, &text);
    if (status == RLLC_OK) fputs(rllc_string_text(&text), stdout);
    rllc_string_release(&text);
    return status;
}

/* ---- the command line ------------------------------------------------------------------------------------ */

/* "a.b=c" is an override, anything else the file. */
static rllc_status sort_arguments(const char **words, int n, const char **file, const char **overrides,
                                  int *n_overrides) {
    for (int i = 0; i < n; i++) {
        const char *equals = strchr(words[i], '=');
        if (equals && !rllc_file_exists(words[i])) {
            overrides[(*n_overrides)++] = words[i];
        } else if (*file) {
            return rllc_fail(RLLC_EUSAGE, "two configuration files, %s and %s; rllc run takes one, and overrides a.b=c",
                             *file, words[i]);
        } else {
            *file = words[i];
        }
    }
    return RLLC_OK;
}

/* A folder's name may hold what YAML reads as its own: quoted. */
static rllc_status output_override(const char *folder, const char **out) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    rllc_json *name = rllc_json_string(folder);
    RLLC_TRY(rllc_string_add(&text, "output="));
    RLLC_TRY(rllc_json_print(name, 0, false, &text));
    *out = rllc_intern(rllc_string_text(&text));
done:
    rllc_json_free(name);
    rllc_string_release(&text);
    return status;
}

static rllc_status run_with(rllc_run *r, const run_options *o, const char *file, const char *const *overrides, int n) {
    rllc_status status = RLLC_OK;
    if (!file && !o->preset) {
        return rllc_fail(RLLC_EUSAGE,
                         "name a configuration file, or a preset: rllc run config.yaml, rllc run --preset demo");
    }
    RLLC_TRY(rllc_run_config_read(&r->config, o->preset, file, overrides, n));
    if (o->show_config) {
        status = show_config(r);
        goto done;
    }
    r->monitor = rllc_cli_monitor(&r->common);
    RLLC_TRY(rllc_run_identity_make(&r->config, o->dry_run, &r->identity));
    RLLC_TRY(rllc_cli_provenance(&r->common, &r->provenance));
    RLLC_TRY(o->dry_run ? plan(r) : execute(r, file));
done:
    return status;
}

static void run_release(rllc_run *r) {
    rllc_store_close(r->store);
    rllc_tokenizer_free(r->tokenizer);
    rllc_json_free(r->provenance);
    rllc_run_identity_release(&r->identity);
    rllc_run_config_release(&r->config);
}

static rllc_status run_main(int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    rllc_run r = {0};
    run_options o;
    const rllc_option_binding bindings[] = {{&table, &o}};
    const char **words = NULL, **overrides = NULL, *file = NULL;
    int n = 0, n_overrides = 0;
    rllc_options_default(&table, &o);
    RLLC_TRY(rllc_alloc(&words, argc + 1, sizeof *words));
    RLLC_TRY(rllc_alloc(&overrides, argc + 2, sizeof *overrides));
    RLLC_TRY(rllc_cli_options(&rllc_command_run, &r.common, bindings, 1, argc, argv, words, argc, &n));
    if (r.common.help) goto done;
    RLLC_TRY(sort_arguments(words, n, &file, overrides, &n_overrides));
    if (o.output) RLLC_TRY(output_override(o.output, &overrides[n_overrides++]));
    RLLC_TRY(run_with(&r, &o, file, overrides, n_overrides));
done:
    run_release(&r);
    rllc_free(words);
    rllc_free(overrides);
    return status;
}

const rllc_command rllc_command_run = {
    .name = "run",
    .summary = "do everything one YAML file asks for, skipping what is done",
    .usage = "rllc run CONFIG.yaml [a.b=c ...] [options], or rllc run --preset NAME [a.b=c ...] [options]",
    .examples = "# what it would do and cost, without doing it\n"
                "rllc run --preset small --dry-run\n"
                "# the demonstration on your own folder of text\n"
                "rllc run --preset demo --output mine corpora.mix.sources=texts corpora.natural.sources=texts\n"
                "# a configuration of your own; paths in it begin where you are\n"
                "rllc run config.yaml seeds=[1,2,3] training.steps=20000\n"
                "# each head's complexity also in predicting as a one-layer model does, trained for it by the same run\n"
                "rllc run config.yaml sampling.loss=[next_token,reference] companion.n_layers=1\n"
                "# every key with its value, to begin a configuration from\n"
                "rllc run --preset demo --show-config > config.yaml\n",
    .tables = tables,
    .main = run_main};
