/* rllc heads: what type each head is of, and why, from what the store knows. */
#include <string.h>

#include "cli/batches.h"

typedef struct heads_options {
    const char *checkpoint, *manual;
} heads_options;

static const rllc_option options[] = {
    RLLC_OPTION(heads_options, checkpoint, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "steps",
                "0,100..1000:100, or all; default: the last checkpoint of which something is known"),
    RLLC_OPTION(heads_options, manual, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "file of types that win over the rules: lines \"head: type [comment]\", or .csv"),
};
static const rllc_option_table table = {"heads", "which checkpoints, and types given by hand", options,
                                        sizeof options / sizeof options[0]};
static const rllc_option_table *const tables[] = {&table, &rllc_head_type_option_table, NULL};

/* What is asked, and what the store has. */
typedef struct request {
    rllc_store *store;
    const char *folder;
    rllc_head_type_options thresholds;
    rllc_head_override *overrides;
    int64_t n_overrides;
    rllc_store_score *scores;
    int64_t n_scores;
    rllc_store_checkpoint *checkpoints; /* the chosen ones */
    int64_t n_checkpoints;
    rllc_json *json; /* array of heads; NULL: a table is printed */
} request;

static bool is_measured(const request *q, const rllc_store_checkpoint *c) {
    for (int64_t i = 0; i < q->n_scores; i++)
        if (q->scores[i].checkpoint_id == c->id && q->scores[i].head >= 0) return true;
    return false;
}

/** Whether a later checkpoint of the same seed is measured. */
static bool is_followed(const request *q, int64_t i, int64_t n) {
    for (int64_t j = i + 1; j < n; j++)
        if (q->checkpoints[j].seed == q->checkpoints[i].seed && is_measured(q, &q->checkpoints[j])) return true;
    return false;
}

/** Keeps the checkpoints of the steps asked for; each step must be there, and something be known of it. */
static rllc_status keep_steps(request *q, const int64_t *steps, int64_t n_steps) {
    const int64_t n = q->n_checkpoints;
    q->n_checkpoints = 0;
    for (int64_t s = 0; s < n_steps; s++) {
        bool found = false;
        for (int64_t i = 0; i < n && !found; i++) found = q->checkpoints[i].step == steps[s];
        if (!found) return rllc_fail(RLLC_ENOTFOUND, "the store has no checkpoint of step %lld", (long long)steps[s]);
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t s = 0; s < n_steps; s++) {
            const rllc_store_checkpoint c = q->checkpoints[i];
            if (c.step != steps[s]) continue;
            if (!is_measured(q, &c) && q->n_overrides == 0)
                return rllc_fail(
                    RLLC_ENOTFOUND,
                    "nothing is known of the heads of step %lld; rllc analyze %s --checkpoints %lld measures",
                    (long long)c.step, q->folder, (long long)c.step);
            q->checkpoints[q->n_checkpoints++] = c;
        }
    return RLLC_OK;
}

/** all: every measured checkpoint; else the last measured one of each seed. */
static rllc_status keep_measured(request *q, bool all) {
    const int64_t n = q->n_checkpoints;
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) /* is_followed looks behind i, where nothing has moved yet */
        if (is_measured(q, &q->checkpoints[i]) && (all || !is_followed(q, i, n)))
            q->checkpoints[kept++] = q->checkpoints[i];
    q->n_checkpoints = kept;
    if (kept > 0) return RLLC_OK;
    return rllc_fail(RLLC_ENOTFOUND, "%s/run.db knows nothing of its heads; rllc analyze %s measures", q->folder,
                     q->folder);
}

static rllc_status choose_checkpoints(request *q, const char *text) {
    rllc_status status = RLLC_OK;
    int64_t *steps = NULL, n_steps = 0;
    const bool all = text && strcmp(text, "all") == 0;
    RLLC_TRY(rllc_store_checkpoints(q->store, &q->checkpoints, &q->n_checkpoints));
    if (all || !text || !*text) return keep_measured(q, all);
    RLLC_TRY(rllc_grid_parse(text, &steps, &n_steps));
    RLLC_TRY(keep_steps(q, steps, n_steps));
done:
    rllc_free(steps);
    return status;
}

/* ---- results --------------------------------------------------------------------------------------------------- */

static rllc_status add_json(const rllc_store_head_type *t, rllc_json *list) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *details;
    RLLC_TRY(rllc_json_set(j, "seed", rllc_json_string(rllc_intern_printf("%llu", (unsigned long long)t->seed))));
    RLLC_TRY(rllc_json_set(j, "step", rllc_json_integer(t->step)));
    RLLC_TRY(rllc_json_set(j, "head", rllc_json_string(rllc_intern_printf("%d:%d", t->layer, t->head))));
    RLLC_TRY(rllc_json_set(j, "layer", rllc_json_integer(t->layer)));
    RLLC_TRY(rllc_json_set(j, "type", rllc_json_string(t->type)));
    RLLC_TRY(rllc_json_set(j, "source", rllc_json_string(t->source)));
    RLLC_TRY(rllc_json_set(j, "why", rllc_json_string(t->evidence)));
    RLLC_TRY(rllc_json_parse(&details, t->json, strlen(t->json), "evidence"));
    RLLC_TRY(rllc_json_set(j, "details", details));
    status = rllc_json_append(list, j);
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

static rllc_status show(const request *q, const rllc_store_checkpoint *c, const rllc_store_head_type *types,
                        int64_t n) {
    rllc_status status = RLLC_OK;
    if (!q->json) printf("step %lld, seed %llu\n", (long long)c->step, (unsigned long long)c->seed);
    for (int64_t i = 0; i < n; i++) {
        if (q->json)
            RLLC_TRY(add_json(&types[i], q->json));
        else
            printf("%3d:%-3d %s\n", types[i].layer, types[i].head, types[i].evidence);
    }
done:
    return status;
}

static rllc_status classify(const request *q, const rllc_store_checkpoint *c) {
    rllc_status status = RLLC_OK;
    const int64_t n = c->n_layers * c->n_heads;
    rllc_store_head_type *types = NULL;
    RLLC_TRY(rllc_alloc(&types, n, sizeof *types));
    RLLC_TRY(rllc_head_types_classify(q->scores, q->n_scores, c, &q->thresholds, q->overrides, q->n_overrides, types));
    RLLC_TRY(rllc_store_begin(q->store));
    for (int64_t i = 0; i < n && status == RLLC_OK; i++) status = rllc_store_put_head_type(q->store, &types[i]);
    if (status == RLLC_OK)
        status = rllc_store_commit(q->store);
    else
        rllc_store_rollback(q->store);
    RLLC_TRY(status);
    RLLC_TRY(show(q, c, types, n));
done:
    rllc_free(types);
    return status;
}

static rllc_status print_json(request *q) {
    rllc_json *j = rllc_json_object();
    const rllc_status status = rllc_json_set(j, "heads", q->json);
    q->json = NULL;
    if (status == RLLC_OK) return rllc_cli_print_json("heads", j);
    rllc_json_free(j);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------------------ */

static rllc_status run(request *q, const heads_options *o, bool json) {
    rllc_status status = RLLC_OK;
    const char *path = rllc_intern_printf("%s/run.db", q->folder);
    if (o->checkpoint && strcmp(o->checkpoint, "all") != 0)
        RLLC_TRY(rllc_cli_check_grid("--checkpoint", o->checkpoint));
    if (!rllc_file_exists(path))
        return rllc_fail(RLLC_ENOTFOUND,
                         "%s: there is no such file; RUN is the folder that rllc train or rllc run wrote", path);
    if (o->manual && *o->manual) RLLC_TRY(rllc_head_overrides_load(o->manual, &q->overrides, &q->n_overrides));
    RLLC_TRY(rllc_store_open(&q->store, path, RLLC_STORE_WRITE));
    RLLC_TRY(rllc_store_scores(q->store, NULL, &q->scores, &q->n_scores));
    RLLC_TRY(choose_checkpoints(q, o->checkpoint));
    if (json) q->json = rllc_json_array();
    for (int64_t i = 0; i < q->n_checkpoints; i++) RLLC_TRY(classify(q, &q->checkpoints[i]));
    if (json) RLLC_TRY(print_json(q));
done:
    return status;
}

static rllc_status heads_main(int argc, const char *const *argv) {
    rllc_common_options common;
    heads_options o;
    request q = {0};
    int n = 0;
    const rllc_option_binding bindings[] = {{&table, &o}, {&rllc_head_type_option_table, &q.thresholds}};
    for (int i = 0; i < 2; i++) rllc_options_default(bindings[i].table, bindings[i].object);
    rllc_status status = rllc_cli_options(&rllc_command_heads, &common, bindings, 2, argc, argv, &q.folder, 1, &n);
    if (status != RLLC_OK || common.help) return status;
    status = rllc_cli_require(&rllc_command_heads, "RUN", n == 1 ? q.folder : NULL);
    if (status == RLLC_OK) status = run(&q, &o, common.json);
    rllc_store_close(q.store);
    rllc_free(q.overrides);
    rllc_free(q.scores);
    rllc_free(q.checkpoints);
    rllc_json_free(q.json);
    return status;
}

const rllc_command rllc_command_heads = {.name = "heads",
                                         .summary = "what type each head is of, and why",
                                         .usage = "rllc heads RUN [--checkpoint STEPS] [--manual FILE] [options]",
                                         .examples =
                                             "# the types of the last checkpoint that rllc analyze has measured\n"
                                             "rllc heads run\n"
                                             "# of two checkpoints, some types given by hand\n"
                                             "rllc heads run --checkpoint 8500,50000 --manual types.yaml\n",
                                         .tables = tables,
                                         .main = heads_main};
