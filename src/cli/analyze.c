/* rllc analyze: what each head does: scores, ablations, circuits, tokens in context, curvature. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/batches.h"
#include "cli/cells.h"

typedef struct analyze_options {
    const char *score, *ablate, *paths, *compose, *curvature, *context_ablation, *checkpoints, *corpora;
    bool contexts;
    int64_t bos;
    bool dry_run;
} analyze_options;

enum { BOS_UNKNOWN = -2 };

/** Whether --checkpoints lists steps, and does not name a selection. */
static bool is_grid(const char *text) {
    return text && *text && strcmp(text, "all") != 0 && strcmp(text, "dozen") != 0 && strcmp(text, "two") != 0;
}

#define WHICH(field, help) RLLC_OPTION(analyze_options, field, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "", help)
#define SWITCH(field, help) RLLC_OPTION(analyze_options, field, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "", help)

static const rllc_option options[] = {
    WHICH(score, "scores of heads and models: all, or names (docs/mechinterp.md)"),
    WHICH(ablate, "change of the loss without a head: all, or zero, mean, mean_position, resample, sets"),
    WHICH(paths, "the same for the way from a head into a head of the next layer: all, or zero, mean"),
    WHICH(compose, "composition of heads of successive layers: all, or composition_k, composition_q, composition_v"),
    SWITCH(contexts, "the tokens in context that each head matters for, labelled"),
    RLLC_OPTION(analyze_options, context_ablation, RLLC_TEXT, "zero", RLLC_UNBOUNDED, NULL, "",
                "how a head is taken out for --contexts: zero, mean, or all (both)"),
    WHICH(curvature, "Hessian, Fisher and norms: all, or components as rllc sample takes them"),
    RLLC_OPTION(analyze_options, checkpoints, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "steps",
                "0,100..1000:100, or all, dozen, two; default: all for scores and composition, a log-spaced dozen for "
                "ablations and curvature, two for paths and contexts"),
    RLLC_OPTION(analyze_options, corpora, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "corpora of the run, e.g. mix,code, or NAME=FOLDER of packed ones; default: all of the run"),
    RLLC_OPTION(analyze_options, bos, RLLC_INTEGER, "-2", -2, 2147483647, NULL, "",
                "token id that begins a sequence, -1 = none; -2 = the tokenizer's, as the store knows it"),
    SWITCH(dry_run, "say what it would cost, and stop"),
};
static const rllc_option_table table = {"analyze", "what is measured; nothing named: everything", options,
                                        sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table,
                                                  &rllc_score_option_table,
                                                  &rllc_ablation_option_table,
                                                  &rllc_context_option_table,
                                                  &rllc_curvature_option_table,
                                                  NULL};

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
    RLLC_TRY(rllc_json_set(j, "corpus", rllc_json_string(s->corpus)));
    RLLC_TRY(rllc_json_set(j, "value", rllc_json_real(s->value)));
    RLLC_TRY(rllc_json_set(j, "se", rllc_json_real(s->se)));
    RLLC_TRY(rllc_json_set(j, "n", rllc_json_integer(s->n)));
    RLLC_TRY(rllc_json_set(j, "chance", rllc_json_real(s->chance)));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

static bool same_table(const rllc_store_score *a, const rllc_store_score *b) {
    return strcmp(a->metric, b->metric) == 0 && strcmp(a->corpus, b->corpus) == 0 && a->seed == b->seed;
}

static int by_table_then_step(const void *a, const void *b) {
    const rllc_store_score *x = a, *y = b;
    const int metric = strcmp(x->metric, y->metric), corpus = strcmp(x->corpus, y->corpus);
    if (metric || corpus) return metric ? metric : corpus;
    if (x->seed != y->seed) return x->seed < y->seed ? -1 : 1;
    if (x->step != y->step) return x->step < y->step ? -1 : 1;
    return x->layer != y->layer ? x->layer - y->layer : x->head - y->head;
}

static void print_heading(const rllc_store_score *list, int64_t n) {
    printf("%s%s%s, seed %llu", list->metric, *list->corpus ? ", " : "", list->corpus, (unsigned long long)list->seed);
    if (isfinite(list->chance)) printf(" (chance %.4f)", list->chance);
    printf("\n%10s", "step");
    for (int64_t k = 0; k < n && list[k].step == list->step && same_table(list, &list[k]); k++)
        if (list[k].layer < 0)
            printf("   model");
        else
            printf("  %3d:%-2d", list[k].layer, list[k].head);
}

/** A table a metric: a line a checkpoint, a column a head. */
static void print_tables(const rllc_store_score *list, int64_t n) {
    const rllc_store_score *last = NULL;
    for (int64_t i = 0; i < n; i++) {
        const rllc_store_score *s = &list[i];
        const bool begins = !last || !same_table(last, s);
        if (begins && last) printf("\n\n");
        if (begins) print_heading(s, n - i);
        if (begins || last->step != s->step) printf("\n%10lld", (long long)s->step);
        printf(" %7.4f", s->value);
        last = s;
    }
    if (last) printf("\n");
}

/** Whether the store's metric comes from what was asked: "zero" of --ablate is "ablation/zero". */
static bool is_asked(const rllc_analysis_request *asked, int n, const char *metric) {
    for (int r = 0; r < n; r++)
        if (rllc_list_names(asked[r].items, metric) || strcmp(asked[r].items, "all") == 0) return true;
    return n == 0;
}

static rllc_status print_scores(const rllc_analysis_job *job, const rllc_analysis_request *asked, int n_asked,
                                bool json) {
    rllc_status status = RLLC_OK;
    rllc_store_score *list = NULL;
    int64_t *steps = NULL, n_steps = 0, n = 0, kept = 0;
    rllc_json *j = NULL, *rows = NULL, *row;
    if (is_grid(job->checkpoints)) RLLC_TRY(rllc_grid_parse(job->checkpoints, &steps, &n_steps));
    RLLC_TRY(rllc_store_scores(job->store, NULL, &list, &n));
    for (int64_t i = 0; i < n; i++)
        if (is_asked(asked, n_asked, list[i].metric) && is_step(steps, n_steps, list[i].step)) list[kept++] = list[i];
    qsort(list, (size_t)kept, sizeof *list, by_table_then_step);
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

static rllc_status cost_json(const rllc_analysis_cost *cost) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    RLLC_TRY(rllc_json_set(j, "asked", rllc_json_integer(cost->asked)));
    RLLC_TRY(rllc_json_set(j, "missing", rllc_json_integer(cost->missing)));
    RLLC_TRY(rllc_json_set(j, "tokens", rllc_json_real(cost->tokens)));
    RLLC_TRY(rllc_json_set(j, "flops", rllc_json_real(cost->flops)));
    return rllc_cli_print_json("analyze", j);
done:
    rllc_json_free(j);
    return status;
}

/** What it takes: on stderr before it begins, or as the answer of --dry-run. */
static rllc_status state_cost(const rllc_analysis_job *job, const rllc_analysis_request *asked, int n,
                              const rllc_common_options *common, bool dry_run) {
    rllc_analysis_cost cost;
    const rllc_status status = rllc_analyze_cost(job, asked, n, &cost);
    if (status != RLLC_OK) return status;
    if (dry_run && common->json) return cost_json(&cost);
    const char *text =
        rllc_intern_printf("%lld of %lld tasks to do, about %.3g M tokens and %.3g TFLOP", (long long)cost.missing,
                           (long long)cost.asked, cost.tokens / 1e6, cost.flops / 1e12);
    if (dry_run)
        printf("%s\n", text);
    else
        rllc_report_message(job->monitor, "%s", text);
    return RLLC_OK;
}

/** The lines that the flags make; returns how many. */
static int read_requests(const analyze_options *o, rllc_analysis_request *out) {
    const rllc_analysis_request all[] = {
        {"score", o->score},     {"ablate", o->ablate},       {"paths", o->paths},
        {"compose", o->compose}, {"curvature", o->curvature}, {"contexts", o->contexts ? o->context_ablation : NULL}};
    int n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].items) out[n++] = all[i];
    return n;
}

static rllc_status run(const char *folder, const analyze_options *o, const rllc_analysis_settings *settings,
                       const rllc_common_options *common) {
    rllc_status status = RLLC_OK;
    rllc_analysis_request asked[6];
    const int n = read_requests(o, asked);
    rllc_analysis_job job = {.folder = folder,
                             .checkpoints = o->checkpoints,
                             .corpora = o->corpora,
                             .settings = *settings,
                             .n_threads = (int)common->threads,
                             .monitor = rllc_cli_monitor(common)};
    const char *path = rllc_intern_printf("%s/run.db", folder);
    if (is_grid(o->checkpoints)) RLLC_TRY(rllc_cli_check_grid("--checkpoints", o->checkpoints));
    if (!rllc_file_exists(path))
        return rllc_fail(RLLC_ENOTFOUND,
                         "%s: there is no such file; RUN is the folder that rllc train or rllc run wrote", path);
    RLLC_TRY(rllc_store_open(&job.store, path, RLLC_STORE_WRITE));
    RLLC_TRY(find_bos(job.store, o->bos, &job.bos));
    RLLC_TRY(state_cost(&job, asked, n, common, o->dry_run));
    if (o->dry_run) goto done;
    RLLC_TRY(rllc_analyze(&job, asked, n));
    RLLC_TRY(print_scores(&job, asked, n, common->json));
done:
    rllc_store_close(job.store);
    return status;
}

static rllc_status analyze_main(int argc, const char *const *argv) {
    rllc_common_options common;
    analyze_options o;
    rllc_analysis_settings settings;
    const char *folder = NULL;
    int n = 0;
    const rllc_option_binding bindings[] = {{&table, &o},
                                            {&rllc_score_option_table, &settings.score},
                                            {&rllc_ablation_option_table, &settings.ablation},
                                            {&rllc_curvature_option_table, &settings.curvature},
                                            {&rllc_context_option_table, &settings.context}};
    for (size_t i = 0; i < sizeof bindings / sizeof *bindings; i++)
        rllc_options_default(bindings[i].table, bindings[i].object);
    rllc_status status = rllc_cli_options(&rllc_command_analyze, &common, bindings, sizeof bindings / sizeof *bindings,
                                          argc, argv, &folder, 1, &n);
    if (status != RLLC_OK || common.help) return status;
    status = rllc_cli_require(&rllc_command_analyze, "RUN", n == 1 ? folder : NULL);
    return status != RLLC_OK ? status : run(folder, &o, &settings, &common);
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
