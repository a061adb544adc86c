/* What is asked of a run, as tasks: which analyses of which checkpoints and corpora, and what the store lacks of them.
 */
#include "mechinterp/request.h"

#include <math.h>
#include <string.h>

static const rllc_analysis_kind *const kinds[] = {
#define RLLC_ANALYSIS(identifier) &rllc_analysis_##identifier,
#include "mechinterp/analyses.def"
#undef RLLC_ANALYSIS
};

const rllc_analysis_kind *const *rllc_analysis_list(int *n) {
    *n = RLLC_N_ANALYSES;
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

/* ---- selection ------------------------------------------------------------------------------------------- */

static rllc_status unknown_item(const char *flag, const char *name) {
    const char *names[RLLC_N_ANALYSES * RLLC_MAX_ITEMS];
    int n = 0;
    for (int k = 0; k < RLLC_N_ANALYSES; k++)
        for (int i = 0; strcmp(kinds[k]->flag, flag) == 0 && kinds[k]->item(i); i++) names[n++] = kinds[k]->item(i);
    const char *near = n ? rllc_nearest(name, names, n) : NULL;
    if (n == 0) return rllc_fail(RLLC_EUSAGE, "there is no kind of analysis '%s'", flag);
    return rllc_fail(RLLC_EUSAGE, "nothing of --%s is called '%s'; did you mean '%s'?", flag, name,
                     near ? near : names[0]);
}

/** Notes one name behind a flag; "all": every item of its kinds. */
static rllc_status select_item(rllc_request *q, const char *flag, const char *name) {
    bool found = false;
    const bool all = strcmp(name, "all") == 0;
    for (int k = 0; k < RLLC_N_ANALYSES; k++) {
        if (strcmp(kinds[k]->flag, flag) != 0) continue;
        for (int i = 0; i < RLLC_MAX_ITEMS && kinds[k]->item(i); i++)
            if (all || strcmp(kinds[k]->item(i), name) == 0) q->wanted[k][i] = found = true;
    }
    return found ? RLLC_OK : unknown_item(flag, name);
}

static rllc_status select_items(rllc_request *q, const rllc_analysis_request *asked, int n) {
    for (int k = 0; k < RLLC_N_ANALYSES && n == 0; k++)
        for (int i = 0; i < RLLC_MAX_ITEMS && kinds[k]->item(i); i++)
            q->wanted[k][i] = !kinds[k]->usual || i < kinds[k]->usual;
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

bool rllc_request_wants(const rllc_request *q, int k) {
    for (int i = 0; i < RLLC_MAX_ITEMS; i++)
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
static int64_t nearest(const rllc_request *q, uint64_t seed, double step) {
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
static bool in_selection(const rllc_request *q, const char *selection, int64_t i) {
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
static rllc_status check_steps(const rllc_request *q, const int64_t *steps, int64_t n) {
    for (int64_t s = 0; s < n; s++) {
        bool found = false;
        for (int64_t i = 0; i < q->n_checkpoints && !found; i++) found = q->checkpoints[i].step == steps[s];
        if (!found) return rllc_fail(RLLC_ENOTFOUND, "the store has no checkpoint of step %lld", (long long)steps[s]);
    }
    return RLLC_OK;
}

/** Which kinds are run at checkpoint i: at[k]. */
static void kinds_at(const rllc_request *q, const int64_t *steps, int64_t n_steps, int64_t i,
                     bool at[RLLC_N_ANALYSES]) {
    const char *text = q->job->checkpoints;
    bool listed = false;
    for (int64_t s = 0; s < n_steps; s++) listed |= steps[s] == q->checkpoints[i].step;
    for (int k = 0; k < RLLC_N_ANALYSES; k++) {
        const char *selection = text && *text ? text : kinds[k]->checkpoints;
        at[k] = rllc_request_wants(q, k) && (n_steps ? listed : in_selection(q, selection, i));
    }
}

/* ---- corpora ----------------------------------------------------------------------------------------------- */

static const char *split_path(const char *folder, int split) {
    return rllc_intern_printf("%s/%s.npy", folder, rllc_split_names[split]);
}

static const char *run_corpus(const rllc_request *q, const char *name) {
    return rllc_intern_printf("%s/corpora/%s", q->job->folder, name);
}

/** Hash of a packed corpus, that of its sampling split; "" if there is none in the folder. Interned. */
static const char *corpus_hash(const char *folder) {
    rllc_rows rows = {0};
    const char *hash = "", *path = split_path(folder, RLLC_SAMPLING);
    if (rllc_file_exists(path) && rllc_rows_open(&rows, path, 0) == RLLC_OK) hash = rllc_intern(rows.hash.hex);
    rllc_rows_close(&rows);
    return hash;
}

static rllc_status open_corpus(rllc_request *q, const rllc_store_corpus *row, const char *folder) {
    rllc_status status = RLLC_OK;
    rllc_given_corpus *c = &q->corpora[q->n_corpora];
    const char *train = split_path(folder, RLLC_TRAIN), *tokenizer = rllc_intern_printf("%s/tokenizer.json", folder);
    c->row = *row;
    RLLC_TRY(rllc_rows_open(&c->rows, split_path(folder, RLLC_ANALYSIS), q->d_vocab));
    q->n_corpora++;
    if (c->rows.rows < 2)
        return rllc_fail(RLLC_EINPUT,
                         "%s: %lld rows, at least 2 are needed; pack the corpus with a larger analysis_fraction",
                         c->rows.path, (long long)c->rows.rows);
    if (row->trained_on && !q->train.data && rllc_file_exists(train))
        RLLC_TRY(rllc_rows_open(&q->train, train, q->d_vocab));
    if (!q->tokenizer && rllc_file_exists(tokenizer)) RLLC_TRY(rllc_tokenizer_load(&q->tokenizer, tokenizer));
done:
    return status;
}

/** "name=folder": a packed corpus from elsewhere enters the store; the first one of a store that knows no training
 *  corpus is taken for it. */
static rllc_status open_given(rllc_request *q, const char *name, const char *folder, bool *trained) {
    rllc_status status = RLLC_OK;
    rllc_store_corpus row = {.name = name, .hash = corpus_hash(folder), .trained_on = !*trained, .json = "{}"};
    if (!*row.hash)
        return rllc_fail(RLLC_ENOTFOUND, "%s: no packed corpus is there (sampling.npy, as rllc tokenize writes it)",
                         folder);
    RLLC_TRY(rllc_store_put_corpus(q->job->store, &row));
    RLLC_TRY(open_corpus(q, &row, folder));
    *trained = true;
done:
    return status;
}

static rllc_status open_all_given(rllc_request *q, bool trained) {
    rllc_status status = RLLC_OK;
    for (const char *p = q->job->corpora ? q->job->corpora : ""; *p; p += strspn(p, ", ")) {
        const size_t length = strcspn(p, ", "), name = strcspn(p, "=, ");
        if (name < length)
            RLLC_TRY(open_given(q, rllc_intern_printf("%.*s", (int)name, p),
                                rllc_intern_printf("%.*s", (int)(length - name - 1), p + name + 1), &trained));
        p += length;
    }
done:
    return status;
}

/** Refused if nothing that was asked for can do without text. */
static rllc_status no_corpus(const rllc_request *q) {
    const char *asked = q->job->corpora && *q->job->corpora ? q->job->corpora : NULL;
    bool others = false;
    for (int k = 0; k < RLLC_N_ANALYSES; k++) others |= !kinds[k]->of_corpus && rllc_request_wants(q, k);
    if (asked || !others)
        return rllc_fail(RLLC_ENOTFOUND,
                         "%s: no corpus %s%sto read; corpora/NAME/analysis.npy, as rllc run packs it, is not there: "
                         "give --corpora NAME=FOLDER of a packed corpus",
                         q->job->folder, asked ? asked : "", asked ? " " : "");
    rllc_report_message(q->job->monitor, "%s has no corpora: what needs text is left out", q->job->folder);
    return RLLC_OK;
}

/** The corpora asked for, if anything that was asked for reads text. */
static rllc_status open_corpora(rllc_request *q) {
    rllc_status status = RLLC_OK;
    rllc_store_corpus *list = NULL;
    int64_t n = 0;
    bool needed = false, trained = false;
    const char *given = q->job->corpora ? q->job->corpora : "", *tokenizer = NULL;
    for (int k = 0; k < RLLC_N_ANALYSES; k++) needed |= kinds[k]->of_corpus && rllc_request_wants(q, k);
    if (!needed) goto done;
    tokenizer = rllc_intern_printf("%s/tokenizer.json", q->job->folder);
    if (rllc_file_exists(tokenizer)) RLLC_TRY(rllc_tokenizer_load(&q->tokenizer, tokenizer));
    RLLC_TRY(rllc_store_corpora(q->job->store, &list, &n));
    RLLC_TRY(rllc_alloc(&q->corpora, n + (int64_t)strlen(given) + 1, sizeof *q->corpora));
    for (int64_t i = 0; i < n; i++) {
        const char *folder = run_corpus(q, list[i].name);
        trained |= list[i].trained_on;
        if (names(given, list[i].name) && strcmp(corpus_hash(folder), list[i].hash) == 0)
            RLLC_TRY(open_corpus(q, &list[i], folder));
    }
    RLLC_TRY(open_all_given(q, trained));
    if (q->n_corpora == 0) status = no_corpus(q);
done:
    rllc_free(list);
    return status;
}

/* ---- tasks ------------------------------------------------------------------------------------------------- */

/** Stages are named by what they measure; their input hash is that of everything that decides the result. */
static const char *stage_of(const rllc_request *q, const rllc_task *t) {
    const rllc_store_checkpoint *c = &q->checkpoints[t->checkpoint];
    return rllc_intern_printf("analysis/%s/%s/%lld/%s/%s", kinds[t->kind]->name, kinds[t->kind]->item(t->item),
                              (long long)c->id, c->hash, t->corpus < 0 ? "" : q->corpora[t->corpus].row.name);
}

static const char *input_of(const rllc_request *q, const rllc_task *t) {
    return rllc_intern(rllc_hash_text(rllc_intern_printf("%s bos %lld rows %s", kinds[t->kind]->identity(q->job),
                                                         (long long)q->job->bos,
                                                         t->corpus < 0 ? "" : q->corpora[t->corpus].rows.hash.hex))
                           .hex);
}

static void add_task(rllc_request *q, const rllc_model *shape, rllc_task t) {
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

static void add_checkpoint(rllc_request *q, const rllc_model *shape, int64_t checkpoint,
                           const bool at[RLLC_N_ANALYSES]) {
    for (int k = 0; k < RLLC_N_ANALYSES; k++) {
        const int64_t passes = kinds[k]->of_corpus ? q->n_corpora : 1;
        for (int64_t c = 0; at[k] && c < passes; c++)
            for (int i = 0; i < RLLC_MAX_ITEMS && kinds[k]->item(i); i++)
                if (q->wanted[k][i])
                    add_task(
                        q, shape,
                        (rllc_task){
                            .kind = k, .item = i, .checkpoint = checkpoint, .corpus = kinds[k]->of_corpus ? c : -1});
    }
}

static rllc_status make_tasks(rllc_request *q) {
    rllc_status status = RLLC_OK;
    const char *text = q->job->checkpoints;
    int64_t *steps = NULL, n_steps = 0, a_checkpoint = 0;
    rllc_model shape = {0};
    bool at[RLLC_N_ANALYSES];
    if (text && *text && !is_selection(text)) RLLC_TRY(rllc_grid_parse(text, &steps, &n_steps));
    RLLC_TRY(check_steps(q, steps, n_steps));
    for (int k = 0; k < RLLC_N_ANALYSES; k++)
        for (int i = 0; i < RLLC_MAX_ITEMS; i++)
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

static rllc_status find_vocabulary(rllc_request *q) {
    rllc_model shape = {0};
    if (q->n_checkpoints == 0) return RLLC_OK;
    const rllc_status status = shape_of(&q->checkpoints[0], &shape);
    q->d_vocab = shape.options.d_vocab;
    rllc_model_release(&shape);
    return status;
}

rllc_status rllc_request_init(rllc_request *q, const rllc_analysis_job *job, const rllc_analysis_request *asked,
                              int n) {
    rllc_status status = RLLC_OK;
    *q = (rllc_request){.job = job};
    RLLC_TRY(select_items(q, asked, n));
    RLLC_TRY(rllc_store_checkpoints(job->store, &q->checkpoints, &q->n_checkpoints));
    RLLC_TRY(find_vocabulary(q));
    RLLC_TRY(open_corpora(q));
    RLLC_TRY(make_tasks(q));
done:
    return status;
}

void rllc_request_release(rllc_request *q) {
    for (int k = 0; k < RLLC_N_ANALYSES; k++)
        if (q->kept[k]) kinds[k]->forget(q->kept[k]);
    for (int64_t i = 0; i < q->n_corpora; i++) rllc_rows_close(&q->corpora[i].rows);
    rllc_free(q->corpora);
    rllc_rows_close(&q->train);
    rllc_tokenizer_free(q->tokenizer);
    rllc_free(q->checkpoints);
    rllc_free(q->tasks);
}

/* ---- one task ---------------------------------------------------------------------------------------------- */

const rllc_analysis_kind *rllc_task_kind(const rllc_task *t) {
    return kinds[t->kind];
}

const char *rllc_task_item(const rllc_task *t) {
    return kinds[t->kind]->item(t->item);
}

const char *rllc_task_corpus(const rllc_request *q, const rllc_task *t) {
    return t->corpus < 0 ? "" : q->corpora[t->corpus].row.name;
}

rllc_status rllc_task_done(const rllc_request *q, const rllc_task *t) {
    return rllc_store_stage_done(q->job->store, stage_of(q, t), input_of(q, t));
}
