/* Everything that is asked of a run's heads, into its store: which tasks there are, what they cost, and running them.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mechinterp/analysis.h"

static const rllc_analysis_kind *const kinds[] = {
#define RLLC_ANALYSIS(identifier) &rllc_analysis_##identifier,
#include "mechinterp/analyses.def"
#undef RLLC_ANALYSIS
};
enum { N_KINDS = sizeof kinds / sizeof *kinds, MAX_ITEMS = 64 };

const rllc_analysis_kind *const *rllc_analysis_list(int *n) {
    *n = N_KINDS;
    return kinds;
}

const char *rllc_analysis_describe(const rllc_analysis_kind *kind, const char **flag, int *n_items) {
    int n = 0;
    while (kind->item(n)) n++;
    *flag = kind->flag;
    *n_items = n;
    return kind->summary;
}

const char *rllc_analysis_item(const rllc_analysis_kind *kind, int i) {
    return kind->item(i);
}

/* A corpus and its tokens. */
typedef struct corpus {
    rllc_store_corpus row;
    rllc_rows rows;
} corpus;

typedef struct task {
    int kind, item;
    int64_t checkpoint, corpus; /* corpus -1: none */
    bool missing;
    double flops;
} task;

/* What is asked for, as tasks in the order they are run. */
typedef struct request {
    const rllc_analysis_job *job;
    bool wanted[N_KINDS][MAX_ITEMS];
    rllc_store_checkpoint *checkpoints;
    int64_t n_checkpoints;
    corpus *corpora;
    int64_t n_corpora;
    rllc_rows train;
    rllc_tokenizer *tokenizer;
    task *tasks;
    int64_t n_tasks;
    rllc_analysis_cost cost;
    void *kept[N_KINDS]; /* what kinds keep from task to task */
    double done_flops; /* of the tasks that have ended, of those missing */
    int64_t done_tasks;
} request;

/* The checkpoint in hand. */
typedef struct bench {
    rllc_model model;
    rllc_engine *engine;
    int64_t checkpoint; /* index; -1: none */
} bench;

/* What a task's progress is measured against. */
typedef struct position {
    request *q;
    const task *task;
} position;

/* ---- selection ------------------------------------------------------------------------------------------- */

static rllc_status unknown_item(const char *flag, const char *name) {
    const char *names[N_KINDS * MAX_ITEMS];
    int n = 0;
    for (int k = 0; k < N_KINDS; k++)
        for (int i = 0; strcmp(kinds[k]->flag, flag) == 0 && kinds[k]->item(i); i++) names[n++] = kinds[k]->item(i);
    const char *near = n ? rllc_nearest(name, names, n) : NULL;
    if (n == 0) return rllc_fail(RLLC_EUSAGE, "there is no kind of analysis '%s'", flag);
    return rllc_fail(RLLC_EUSAGE, "nothing of --%s is called '%s'; did you mean '%s'?", flag, name,
                     near ? near : names[0]);
}

/** Notes one name behind a flag; "all": every item of its kinds. */
static rllc_status select_item(request *q, const char *flag, const char *name) {
    bool found = false;
    const bool all = strcmp(name, "all") == 0;
    for (int k = 0; k < N_KINDS; k++) {
        if (strcmp(kinds[k]->flag, flag) != 0) continue;
        for (int i = 0; i < MAX_ITEMS && kinds[k]->item(i); i++)
            if (all || strcmp(kinds[k]->item(i), name) == 0) q->wanted[k][i] = found = true;
    }
    return found ? RLLC_OK : unknown_item(flag, name);
}

static rllc_status select_items(request *q, const rllc_analysis_request *asked, int n) {
    for (int k = 0; k < N_KINDS && n == 0; k++)
        for (int i = 0; i < MAX_ITEMS && kinds[k]->item(i); i++) q->wanted[k][i] = !kinds[k]->on_request;
    for (int r = 0; r < n; r++)
        for (const char *p = asked[r].items && *asked[r].items ? asked[r].items : "all"; *p;) {
            const size_t length = strcspn(p, ", ");
            const rllc_status status =
                length ? select_item(q, asked[r].flag, rllc_intern_printf("%.*s", (int)length, p)) : RLLC_OK;
            if (status != RLLC_OK) return status;
            p += length;
            p += strspn(p, ", ");
        }
    return RLLC_OK;
}

static bool wants_kind(const request *q, int k) {
    for (int i = 0; i < MAX_ITEMS; i++)
        if (q->wanted[k][i]) return true;
    return false;
}

static bool names(const char *list, const char *name) {
    if (!list || !*list) return true;
    const size_t n = strlen(name);
    for (const char *p = list; *p; p += strspn(p, ", ")) {
        const size_t length = strcspn(p, ", ");
        if (length == n && strncmp(p, name, n) == 0) return true;
        p += length;
    }
    return false;
}

/* ---- checkpoints ------------------------------------------------------------------------------------------ */

/** The checkpoint of this one's seed whose log(step + 1) lies nearest to that of `step`. */
static int64_t nearest(const request *q, uint64_t seed, double step) {
    int64_t best = -1;
    double distance = INFINITY;
    for (int64_t i = 0; i < q->n_checkpoints; i++) {
        const double d = fabs(log((double)q->checkpoints[i].step + 1) - log(step + 1));
        if (q->checkpoints[i].seed != seed || d >= distance) continue;
        distance = d;
        best = i;
    }
    return best;
}

/**
 * "dozen": the nearest to twelve steps evenly spaced in log(step + 1), the first and the last among them. "two": one
 * sixth of training (8,500 of 50,000: where the paper looks first) and its end.
 */
static bool in_selection(const request *q, const char *selection, int64_t i) {
    const rllc_store_checkpoint *c = &q->checkpoints[i];
    double last = 0;
    if (strcmp(selection, "all") == 0) return true;
    for (int64_t j = 0; j < q->n_checkpoints; j++)
        if (q->checkpoints[j].seed == c->seed && (double)q->checkpoints[j].step > last)
            last = (double)q->checkpoints[j].step;
    if (strcmp(selection, "two") == 0) return i == nearest(q, c->seed, last / 6) || i == nearest(q, c->seed, last);
    for (int k = 0; k < 12; k++)
        if (i == nearest(q, c->seed, exp(log(last + 1) * k / 11) - 1)) return true;
    return false;
}

static bool is_selection(const char *text) {
    return strcmp(text, "all") == 0 || strcmp(text, "dozen") == 0 || strcmp(text, "two") == 0;
}

/** Refuses a step that no checkpoint has. */
static rllc_status check_steps(const request *q, const int64_t *steps, int64_t n) {
    for (int64_t s = 0; s < n; s++) {
        bool found = false;
        for (int64_t i = 0; i < q->n_checkpoints && !found; i++) found = q->checkpoints[i].step == steps[s];
        if (!found) return rllc_fail(RLLC_ENOTFOUND, "the store has no checkpoint of step %lld", (long long)steps[s]);
    }
    return RLLC_OK;
}

/** Which kinds are run at checkpoint i: at[k]. */
static void kinds_at(const request *q, const int64_t *steps, int64_t n_steps, int64_t i, bool at[N_KINDS]) {
    const char *text = q->job->checkpoints;
    bool listed = false;
    for (int64_t s = 0; s < n_steps; s++) listed |= steps[s] == q->checkpoints[i].step;
    for (int k = 0; k < N_KINDS; k++) {
        const char *selection = text && *text ? text : kinds[k]->checkpoints;
        at[k] = wants_kind(q, k) && (n_steps ? listed : in_selection(q, selection, i));
    }
}

/* ---- corpora ----------------------------------------------------------------------------------------------- */

static const char *split_path(const request *q, const char *name, int split) {
    return rllc_intern_printf("%s/corpora/%s/%s.npy", q->job->folder, name, rllc_split_names[split]);
}

/** Whether the folder holds the tokens that this row of the store means. */
static bool is_current(const request *q, const rllc_store_corpus *c) {
    rllc_rows rows = {0};
    bool same = false;
    if (rllc_file_exists(split_path(q, c->name, RLLC_SAMPLING)) &&
        rllc_rows_open(&rows, split_path(q, c->name, RLLC_SAMPLING), 0) == RLLC_OK)
        same = strcmp(rows.hash.hex, c->hash) == 0;
    rllc_rows_close(&rows);
    return same;
}

static rllc_status open_corpus(request *q, const rllc_store_corpus *row, int64_t d_vocab) {
    rllc_status status = RLLC_OK;
    corpus *c = &q->corpora[q->n_corpora];
    c->row = *row;
    RLLC_TRY(rllc_rows_open(&c->rows, split_path(q, row->name, RLLC_ANALYSIS), d_vocab));
    q->n_corpora++;
    if (c->rows.rows < 2)
        return rllc_fail(RLLC_EINPUT,
                         "%s: %lld rows, at least 2 are needed; pack the corpus with a larger analysis_fraction",
                         c->rows.path, (long long)c->rows.rows);
    if (row->trained_on && !q->train.data && rllc_file_exists(split_path(q, row->name, RLLC_TRAIN)))
        RLLC_TRY(rllc_rows_open(&q->train, split_path(q, row->name, RLLC_TRAIN), 0));
done:
    return status;
}

/** Vocabulary of the run's models, from its first checkpoint. */
static int64_t vocabulary(const request *q) {
    rllc_model_options o = {0};
    rllc_json *j = NULL;
    const char *text = q->n_checkpoints ? q->checkpoints[0].model_json : "{}";
    rllc_options_default(&rllc_model_option_table, &o);
    o.d_vocab = 0;
    if (rllc_json_parse(&j, text, strlen(text), "model") == RLLC_OK)
        (void)!rllc_options_from_json(&rllc_model_option_table, &o, j);
    rllc_json_free(j);
    return o.d_vocab;
}

/** The corpora asked for; none at all is refused if something that reads text was asked for by name. */
static rllc_status open_corpora(request *q, bool by_name) {
    rllc_status status = RLLC_OK;
    rllc_store_corpus *list = NULL;
    int64_t n = 0;
    bool needed = false;
    for (int k = 0; k < N_KINDS; k++) needed |= kinds[k]->of_corpus && wants_kind(q, k);
    if (!needed) goto done;
    RLLC_TRY(rllc_store_corpora(q->job->store, &list, &n));
    RLLC_TRY(rllc_alloc(&q->corpora, n + 1, sizeof *q->corpora));
    for (int64_t i = 0; i < n; i++)
        if (names(q->job->corpora, list[i].name) && is_current(q, &list[i]))
            RLLC_TRY(open_corpus(q, &list[i], vocabulary(q)));
    if (q->n_corpora == 0 && (by_name || (q->job->corpora && *q->job->corpora)))
        status = rllc_fail(RLLC_ENOTFOUND,
                           "%s: no corpus %s%sto read: corpora/NAME/analysis.npy, as rllc run packs it, is missing",
                           q->job->folder, q->job->corpora ? q->job->corpora : "", q->job->corpora ? " " : "");
    else if (q->n_corpora == 0)
        rllc_report_message(q->job->monitor, "%s has no corpora: what needs text is left out", q->job->folder);
    const char *tokenizer = rllc_intern_printf("%s/tokenizer.json", q->job->folder);
    if (status == RLLC_OK && q->n_corpora && rllc_file_exists(tokenizer))
        RLLC_TRY(rllc_tokenizer_load(&q->tokenizer, tokenizer));
done:
    rllc_free(list);
    return status;
}

/* ---- tasks ------------------------------------------------------------------------------------------------- */

/** Stages are named by what they measure; their input hash is that of everything that decides the result. */
static const char *stage_of(const request *q, const task *t) {
    const rllc_store_checkpoint *c = &q->checkpoints[t->checkpoint];
    return rllc_intern_printf("analysis/%s/%s/%lld/%s/%s", kinds[t->kind]->name, kinds[t->kind]->item(t->item),
                              (long long)c->id, c->hash, t->corpus < 0 ? "" : q->corpora[t->corpus].row.name);
}

static const char *input_of(const request *q, const task *t) {
    return rllc_intern(rllc_hash_text(rllc_intern_printf("%s bos %lld rows %s", kinds[t->kind]->identity(q->job),
                                                         (long long)q->job->bos,
                                                         t->corpus < 0 ? "" : q->corpora[t->corpus].rows.hash.hex))
                           .hex);
}

static void add_task(request *q, const rllc_model *shape, task t) {
    const rllc_analysis_kind *kind = kinds[t.kind];
    double tokens = 0;
    t.missing = !rllc_store_stage_is_done(q->job->store, stage_of(q, &t), input_of(q, &t));
    q->cost.asked++;
    if (t.missing) {
        kind->cost(q->job, shape, kind->item(t.item), t.corpus < 0 ? 0 : q->corpora[t.corpus].rows.rows, &tokens,
                   &t.flops);
        q->cost.missing++;
        q->cost.tokens += tokens;
        q->cost.flops += t.flops;
    }
    q->tasks[q->n_tasks++] = t;
}

/** A model of the checkpoint's shape, without its weights. */
static rllc_status shape_of(const rllc_store_checkpoint *c, rllc_model *shape) {
    rllc_status status = RLLC_OK;
    rllc_model_options o;
    rllc_json *j = NULL;
    rllc_options_default(&rllc_model_option_table, &o);
    RLLC_TRY(rllc_json_parse(&j, c->model_json, strlen(c->model_json), "model"));
    RLLC_TRY(rllc_options_from_json(&rllc_model_option_table, &o, j));
    rllc_model_release(shape);
    RLLC_TRY(rllc_model_init(shape, &o));
done:
    rllc_json_free(j);
    return rllc_fail_within(status, "shape of the model of step %lld", (long long)c->step);
}

static void add_checkpoint(request *q, const rllc_model *shape, int64_t checkpoint, const bool at[N_KINDS]) {
    for (int k = 0; k < N_KINDS; k++) {
        const int64_t passes = kinds[k]->of_corpus ? q->n_corpora : 1;
        for (int64_t c = 0; at[k] && c < passes; c++)
            for (int i = 0; i < MAX_ITEMS && kinds[k]->item(i); i++)
                if (q->wanted[k][i])
                    add_task(
                        q, shape,
                        (task){.kind = k, .item = i, .checkpoint = checkpoint, .corpus = kinds[k]->of_corpus ? c : -1});
    }
}

static rllc_status make_tasks(request *q) {
    rllc_status status = RLLC_OK;
    const char *text = q->job->checkpoints;
    int64_t *steps = NULL, n_steps = 0, a_checkpoint = 0;
    rllc_model shape = {0};
    bool at[N_KINDS];
    if (text && *text && !is_selection(text)) RLLC_TRY(rllc_grid_parse(text, &steps, &n_steps));
    RLLC_TRY(check_steps(q, steps, n_steps));
    for (int k = 0; k < N_KINDS; k++)
        for (int i = 0; i < MAX_ITEMS; i++)
            if (q->wanted[k][i]) a_checkpoint += kinds[k]->of_corpus ? q->n_corpora : 1;
    RLLC_TRY(rllc_alloc(&q->tasks, a_checkpoint * q->n_checkpoints + 1, sizeof *q->tasks));
    for (int64_t i = 0; i < q->n_checkpoints; i++) {
        if (i == 0 || strcmp(q->checkpoints[i].model_json, q->checkpoints[i - 1].model_json) != 0)
            RLLC_TRY(shape_of(&q->checkpoints[i], &shape));
        kinds_at(q, steps, n_steps, i, at);
        add_checkpoint(q, &shape, i, at);
    }
done:
    rllc_model_release(&shape);
    rllc_free(steps);
    return status;
}

static rllc_status request_init(request *q, const rllc_analysis_job *job, const rllc_analysis_request *asked, int n) {
    rllc_status status = RLLC_OK;
    *q = (request){.job = job};
    RLLC_TRY(select_items(q, asked, n));
    RLLC_TRY(rllc_store_checkpoints(job->store, &q->checkpoints, &q->n_checkpoints));
    RLLC_TRY(open_corpora(q, n > 0));
    RLLC_TRY(make_tasks(q));
done:
    return status;
}

static void request_release(request *q) {
    for (int k = 0; k < N_KINDS; k++)
        if (q->kept[k]) kinds[k]->forget(q->kept[k]);
    for (int64_t i = 0; i < q->n_corpora; i++) rllc_rows_close(&q->corpora[i].rows);
    rllc_free(q->corpora);
    rllc_rows_close(&q->train);
    rllc_tokenizer_free(q->tokenizer);
    rllc_free(q->checkpoints);
    rllc_free(q->tasks);
}

/* ---- running ----------------------------------------------------------------------------------------------- */

static void bench_release(bench *b) {
    rllc_engine_free(b->engine);
    rllc_model_release(&b->model);
    *b = (bench){.checkpoint = -1};
}

static rllc_status bench_load(bench *b, const request *q, int64_t checkpoint) {
    rllc_status status = RLLC_OK;
    const rllc_store_checkpoint *c = &q->checkpoints[checkpoint];
    const char *path = c->path[0] == '/' ? c->path : rllc_intern_printf("%s/%s", q->job->folder, c->path);
    int64_t sequences = 1;
    if (b->checkpoint == checkpoint) return RLLC_OK;
    bench_release(b);
    RLLC_TRY(rllc_model_load(&b->model, path));
    const rllc_hash hash = rllc_model_hash(&b->model);
    if (strcmp(hash.hex, c->hash) != 0)
        return rllc_fail(RLLC_EMISMATCH,
                         "%s: its weights are not those the store knows for step %lld (hash %s, expected %s); the file "
                         "was changed",
                         path, (long long)c->step, hash.hex, c->hash);
    for (int k = 0; k < N_KINDS; k++)
        if (wants_kind(q, k) && kinds[k]->sequences > sequences) sequences = kinds[k]->sequences;
    RLLC_TRY(rllc_engine_new(&b->engine, &b->model, sequences, q->job->n_threads));
    b->checkpoint = checkpoint;
done:
    return status;
}

static void report(const request *q, const task *t, double flops) {
    const char *text = t->corpus < 0 ? "" : q->corpora[t->corpus].row.name;
    rllc_report_progress(q->job->monitor, "analysis", "GFLOP", flops / 1e9, q->cost.flops / 1e9, "%s%s%s, step %lld",
                         kinds[t->kind]->item(t->item), *text ? ", " : "", text,
                         (long long)q->checkpoints[t->checkpoint].step);
}

static rllc_status stopped(const request *q) {
    return rllc_fail(RLLC_ESTOPPED, "stopped after %lld of %lld tasks, all saved; run the same command again to go on",
                     (long long)q->done_tasks, (long long)q->cost.missing);
}

rllc_status rllc_analysis_progress(const rllc_analysis_task *t, double done) {
    const position *p = t->progress;
    report(p->q, p->task, p->q->done_flops + done * p->task->flops);
    return rllc_should_stop(p->q->job->monitor) ? stopped(p->q) : RLLC_OK;
}

static rllc_status run_task(request *q, bench *b, const task *t) {
    rllc_status status = RLLC_OK;
    if (rllc_should_stop(q->job->monitor)) return stopped(q);
    RLLC_TRY(bench_load(b, q, t->checkpoint));
    if (t->corpus >= 0 && q->corpora[t->corpus].rows.n_ctx != b->model.options.n_ctx) {
        status = rllc_fail(RLLC_EMISMATCH, "%s: rows of %lld tokens, but the model has n_ctx %lld",
                           q->corpora[t->corpus].rows.path, (long long)q->corpora[t->corpus].rows.n_ctx,
                           (long long)b->model.options.n_ctx);
        goto done;
    }
    RLLC_TRY(rllc_engine_set_context(b->engine, b->model.options.n_ctx));
    position p = {q, t};
    const rllc_analysis_task given = {.job = q->job,
                                      .item = kinds[t->kind]->item(t->item),
                                      .checkpoint = &q->checkpoints[t->checkpoint],
                                      .model = &b->model,
                                      .engine = b->engine,
                                      .corpus = t->corpus < 0 ? NULL : &q->corpora[t->corpus].row,
                                      .rows = t->corpus < 0 ? NULL : &q->corpora[t->corpus].rows,
                                      .train = q->train.data ? &q->train : NULL,
                                      .tokenizer = q->tokenizer,
                                      .kept = &q->kept[t->kind],
                                      .progress = &p};
    RLLC_TRY(kinds[t->kind]->run(&given));
    RLLC_TRY(rllc_store_stage_done(q->job->store, stage_of(q, t), input_of(q, t)));
    q->done_flops += t->flops;
    q->done_tasks++;
    report(q, t, q->done_flops);
done:
    if (status == RLLC_ESTOPPED) return status;
    return rllc_fail_within(status, "%s at the checkpoint of seed %llu, step %lld", kinds[t->kind]->item(t->item),
                            (unsigned long long)q->checkpoints[t->checkpoint].seed,
                            (long long)q->checkpoints[t->checkpoint].step);
}

rllc_status rllc_analyze(const rllc_analysis_job *job, const rllc_analysis_request *asked, int n) {
    rllc_status status = RLLC_OK;
    request q;
    bench b = {.checkpoint = -1};
    RLLC_TRY(request_init(&q, job, asked, n));
    for (int64_t i = 0; i < q.n_tasks; i++)
        if (q.tasks[i].missing) RLLC_TRY(run_task(&q, &b, &q.tasks[i]));
done:
    bench_release(&b);
    request_release(&q);
    return status;
}

rllc_status rllc_analyze_cost(const rllc_analysis_job *job, const rllc_analysis_request *asked, int n,
                              rllc_analysis_cost *out) {
    request q;
    const rllc_status status = request_init(&q, job, asked, n);
    *out = q.cost;
    request_release(&q);
    return status;
}
