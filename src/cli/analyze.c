/* rllc analyze: what each head does: attention scores over training. */
#include <stdlib.h>
#include <string.h>

#include "cli/batches.h"

typedef struct analyze_options {
    const char *score, *checkpoints;
    int64_t bos;
    bool dry_run;
} analyze_options;

enum { BOS_UNKNOWN = -2 };

static const rllc_option options[] = {
    RLLC_OPTION(analyze_options, score, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "comma-separated scores; default: all (see docs/mechinterp.md)"),
    RLLC_OPTION(analyze_options, checkpoints, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "steps",
                "which checkpoints, e.g. 0,100..1000:100; default: all in the store"),
    RLLC_OPTION(analyze_options, bos, RLLC_INTEGER, "-2", -2, 2147483647, NULL, "",
                "token id that begins a sequence, -1 = none; -2 = the tokenizer's, as the store knows it"),
    RLLC_OPTION(analyze_options, dry_run, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "say what it would cost, and stop"),
};
static const rllc_option_table table = {"analyze", "which scores of which checkpoints", options,
                                        sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table, &rllc_score_option_table, NULL};

/** From the meta entry that rllc train leaves, or from the corpora that rllc run knows. */
static rllc_status stored_bos(rllc_store *s, int64_t *out) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    rllc_store_corpus *corpora = NULL;
    rllc_json *j = NULL;
    int64_t n = 0;
    *out = BOS_UNKNOWN;
    if (rllc_store_get_meta(s, "bos", &text) == RLLC_OK) {
        char *end;
        *out = strtoll(rllc_string_text(&text), &end, 10);
        if (*end || end == rllc_string_text(&text))
            status =
                rllc_fail(RLLC_EINPUT, "the store's meta 'bos' is '%s', expected a token id", rllc_string_text(&text));
        goto done;
    }
    RLLC_TRY(rllc_store_corpora(s, &corpora, &n));
    for (int64_t i = 0; i < n && *out == BOS_UNKNOWN; i++) {
        rllc_json_free(j);
        j = NULL;
        RLLC_TRY(rllc_json_parse(&j, corpora[i].json, strlen(corpora[i].json), corpora[i].name));
        *out = rllc_json_to_integer(rllc_json_get(j, "bos"), BOS_UNKNOWN);
    }
done:
    rllc_json_free(j);
    rllc_free(corpora);
    rllc_string_release(&text);
    return status;
}

/** BOS as the flag says, or as the store does. */
static rllc_status find_bos(rllc_store *s, int64_t given, int64_t *out) {
    *out = given;
    if (given != BOS_UNKNOWN) return RLLC_OK;
    const rllc_status status = stored_bos(s, out);
    if (status != RLLC_OK || *out != BOS_UNKNOWN) return status;
    return rllc_fail(RLLC_ENOTFOUND, "the store does not know the token id of BOS; give --bos ID (-1 = none)");
}

/* ---- results --------------------------------------------------------------------------------------------- */

static bool is_listed(const char *list, const char *name) {
    if (!list || !*list) return rllc_head_score_find(name) != NULL;
    for (const char *p = list; *p; p += strspn(p, ", ")) {
        const size_t n = strcspn(p, ", ");
        if (n == strlen(name) && strncmp(p, name, n) == 0) return true;
        p += n;
    }
    return false;
}

static bool is_step(const int64_t *steps, int64_t n, int64_t step) {
    for (int64_t i = 0; i < n; i++)
        if (steps[i] == step) return true;
    return n == 0;
}

static rllc_status score_json(const rllc_store_score *s, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "seed", rllc_json_string(rllc_intern_printf("%llu", (unsigned long long)s->seed))));
    RLLC_TRY(rllc_json_set(j, "step", rllc_json_integer(s->step)));
    RLLC_TRY(rllc_json_set(j, "metric", rllc_json_string(s->metric)));
    RLLC_TRY(rllc_json_set(j, "layer", rllc_json_integer(s->layer)));
    RLLC_TRY(rllc_json_set(j, "head", rllc_json_integer(s->head)));
    RLLC_TRY(rllc_json_set(j, "value", rllc_json_real(s->value)));
    RLLC_TRY(rllc_json_set(j, "se", rllc_json_real(s->se)));
    RLLC_TRY(rllc_json_set(j, "n", rllc_json_integer(s->n)));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

static int by_metric_then_run(const void *a, const void *b) {
    const rllc_store_score *x = a, *y = b;
    const int metric = strcmp(x->metric, y->metric);
    if (metric) return metric;
    if (x->seed != y->seed) return x->seed < y->seed ? -1 : 1;
    if (x->step != y->step) return x->step < y->step ? -1 : 1;
    return x->layer != y->layer ? x->layer - y->layer : x->head - y->head;
}

/** A table a score: a line a checkpoint, a column a head. */
static void print_tables(const rllc_store_score *list, int64_t n) {
    const rllc_store_score *last = NULL;
    for (int64_t i = 0; i < n; i++) {
        const rllc_store_score *s = &list[i];
        const bool table_begins = !last || strcmp(last->metric, s->metric) != 0 || last->seed != s->seed;
        if (table_begins) {
            printf("%s\n%s, seed %llu: %s\n%10s", last ? "\n" : "", s->metric, (unsigned long long)s->seed,
                   rllc_head_score_find(s->metric)->summary, "step");
            for (int64_t k = i;
                 k < n && list[k].step == s->step && strcmp(list[k].metric, s->metric) == 0 && list[k].seed == s->seed;
                 k++)
                printf("  %3d:%-2d", list[k].layer, list[k].head);
        }
        if (table_begins || last->step != s->step) printf("\n%10lld", (long long)s->step);
        printf(" %7.4f", s->value);
        last = s;
    }
    if (last) printf("\n");
}

static rllc_status print_scores(const rllc_score_job *job, bool json) {
    rllc_status status = RLLC_OK;
    rllc_store_score *list = NULL;
    int64_t *steps = NULL, n_steps = 0, n = 0, kept = 0;
    rllc_json *j = NULL, *rows = NULL, *row;
    if (job->checkpoints && *job->checkpoints) RLLC_TRY(rllc_grid_parse(job->checkpoints, &steps, &n_steps));
    RLLC_TRY(rllc_store_scores(job->store, NULL, &list, &n));
    for (int64_t i = 0; i < n; i++)
        if (is_listed(job->scores, list[i].metric) && is_step(steps, n_steps, list[i].step)) list[kept++] = list[i];
    qsort(list, (size_t)kept, sizeof *list, by_metric_then_run);
    if (!json) {
        print_tables(list, kept);
        goto done;
    }
    j = rllc_json_object();
    rows = rllc_json_array();
    for (int64_t i = 0; i < kept; i++) {
        RLLC_TRY(score_json(&list[i], &row));
        RLLC_TRY(rllc_json_append(rows, row));
    }
    status = rllc_json_set(j, "scores", rows);
    rows = NULL;
    RLLC_TRY(status);
    status = rllc_cli_print_json("analyze", j);
    j = NULL;
done:
    rllc_free(steps);
    rllc_free(list);
    rllc_json_free(rows);
    rllc_json_free(j);
    return status;
}

/* ---- the command ----------------------------------------------------------------------------------------- */

static rllc_status cost_json(int64_t asked, int64_t missing, double tokens) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    RLLC_TRY(rllc_json_set(j, "asked", rllc_json_integer(asked)));
    RLLC_TRY(rllc_json_set(j, "missing", rllc_json_integer(missing)));
    RLLC_TRY(rllc_json_set(j, "tokens", rllc_json_real(tokens)));
    return rllc_cli_print_json("analyze", j);
done:
    rllc_json_free(j);
    return status;
}

/** What it takes: on stderr before it begins, or as the answer of --dry-run. */
static rllc_status state_cost(const rllc_score_job *job, const rllc_common_options *common, bool dry_run) {
    int64_t asked, missing;
    double tokens;
    const rllc_status status = rllc_scores_cost(job, &asked, &missing, &tokens);
    if (status != RLLC_OK) return status;
    if (dry_run && common->json) return cost_json(asked, missing, tokens);
    const char *text = rllc_intern_printf("%lld of %lld scores to measure, about %.3g M tokens", (long long)missing,
                                          (long long)asked, tokens / 1e6);
    if (dry_run)
        printf("%s\n", text);
    else
        rllc_report_message(job->monitor, "%s", text);
    return RLLC_OK;
}

static rllc_status run(const char *folder, const analyze_options *o, const rllc_score_options *scores,
                       const rllc_common_options *common) {
    rllc_status status = RLLC_OK;
    rllc_score_job job = {.folder = folder,
                          .scores = o->score,
                          .checkpoints = o->checkpoints,
                          .options = *scores,
                          .n_threads = (int)common->threads,
                          .monitor = rllc_cli_monitor(common)};
    const char *path = rllc_intern_printf("%s/run.db", folder);
    RLLC_TRY(rllc_cli_check_grid("--checkpoints", o->checkpoints));
    if (!rllc_file_exists(path))
        return rllc_fail(RLLC_ENOTFOUND,
                         "%s: there is no such file; RUN is the folder that rllc train or rllc run wrote", path);
    RLLC_TRY(rllc_store_open(&job.store, path, RLLC_STORE_WRITE));
    RLLC_TRY(find_bos(job.store, o->bos, &job.bos));
    RLLC_TRY(state_cost(&job, common, o->dry_run));
    if (o->dry_run) goto done;
    RLLC_TRY(rllc_scores_run(&job));
    RLLC_TRY(print_scores(&job, common->json));
done:
    rllc_store_close(job.store);
    return status;
}

static rllc_status analyze_main(int argc, const char *const *argv) {
    rllc_common_options common;
    analyze_options o;
    rllc_score_options scores;
    const char *folder = NULL;
    int n = 0;
    rllc_options_default(&table, &o);
    rllc_options_default(&rllc_score_option_table, &scores);
    const rllc_option_binding bindings[] = {{&table, &o}, {&rllc_score_option_table, &scores}};
    rllc_status status = rllc_cli_options(&rllc_command_analyze, &common, bindings, 2, argc, argv, &folder, 1, &n);
    if (status != RLLC_OK || common.help) return status;
    status = rllc_cli_require(&rllc_command_analyze, "RUN", n == 1 ? folder : NULL);
    return status != RLLC_OK ? status : run(folder, &o, &scores, &common);
}

const rllc_command rllc_command_analyze = {
    .name = "analyze",
    .summary = "what each head does: attention scores over training",
    .usage = "rllc analyze RUN [--score NAMES] [--checkpoints STEPS] [options]",
    .examples = "# every score of every checkpoint; what the store has already is not measured again\n"
                "rllc analyze run\n"
                "# two scores of three checkpoints\n"
                "rllc analyze run --score previous_token,induction --checkpoints 0,1000,10000\n",
    .tables = tables,
    .main = analyze_main};
