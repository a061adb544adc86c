/* Scores of every checkpoint of a run, into its store. */
#include <stdlib.h>
#include <string.h>

#include "rllc/mechinterp.h"

/* Part of the identity of a stored score: raise it when the samples or the arithmetic of a score change. */
#define SCORES_VERSION 1

/* Rows of head_scores.def. */
enum {
    N_SCORES = 0
#define RLLC_HEAD_SCORE(identifier) +1
#include "mechinterp/head_scores.def"
#undef RLLC_HEAD_SCORE
};

/* What is asked for: checkpoints x scores. */
typedef struct request {
    const rllc_score_job *job;
    const rllc_head_score *scores[N_SCORES];
    int n_scores;
    rllc_store_checkpoint *checkpoints;
    int64_t n_checkpoints;
    rllc_hash options; /* of everything but the weights that decides a value */
} request;

static rllc_status add_score(request *q, const char *name, size_t length) {
    const char *wanted = rllc_intern_printf("%.*s", (int)length, name), *names[N_SCORES];
    const rllc_head_score *found = rllc_head_score_find(wanted);
    int n;
    const rllc_head_score *const *all = rllc_head_score_list(&n);
    if (!found) {
        for (int i = 0; i < n; i++) names[i] = all[i]->name;
        const char *near = rllc_nearest(wanted, names, n);
        return rllc_fail(RLLC_EUSAGE, "no score is called '%s'; did you mean '%s'?", wanted,
                         near ? near : all[0]->name);
    }
    for (int i = 0; i < q->n_scores; i++)
        if (q->scores[i] == found) return RLLC_OK;
    q->scores[q->n_scores++] = found;
    return RLLC_OK;
}

static rllc_status select_scores(request *q) {
    const char *list = q->job->scores;
    int n;
    const rllc_head_score *const *all = rllc_head_score_list(&n);
    if (!list || !*list) {
        for (int i = 0; i < n; i++) q->scores[q->n_scores++] = all[i];
        return RLLC_OK;
    }
    for (const char *p = list; *p;) {
        const size_t length = strcspn(p, ", ");
        const rllc_status status = length ? add_score(q, p, length) : RLLC_OK;
        if (status != RLLC_OK) return status;
        p += length;
        p += strspn(p, ", ");
    }
    return RLLC_OK;
}

/** Keeps the checkpoints whose step is on the list; a step that no checkpoint has is refused. */
static rllc_status select_checkpoints(request *q) {
    rllc_status status = RLLC_OK;
    int64_t *steps = NULL, n_steps = 0, kept = 0;
    const char *grid = q->job->checkpoints;
    RLLC_TRY(rllc_store_checkpoints(q->job->store, &q->checkpoints, &q->n_checkpoints));
    if (!grid || !*grid) goto done;
    RLLC_TRY(rllc_grid_parse(grid, &steps, &n_steps));
    for (int64_t s = 0; s < n_steps; s++) {
        bool found = false;
        for (int64_t i = 0; i < q->n_checkpoints && !found; i++) found = q->checkpoints[i].step == steps[s];
        if (!found) {
            status = rllc_fail(RLLC_ENOTFOUND, "the store has no checkpoint of step %lld", (long long)steps[s]);
            goto done;
        }
    }
    for (int64_t i = 0; i < q->n_checkpoints; i++)
        for (int64_t s = 0; s < n_steps; s++)
            if (q->checkpoints[i].step == steps[s]) q->checkpoints[kept++] = q->checkpoints[i];
    q->n_checkpoints = kept;
done:
    rllc_free(steps);
    return status;
}

static rllc_status request_init(request *q, const rllc_score_job *job) {
    rllc_status status = RLLC_OK;
    *q = (request){.job = job};
    q->options = rllc_hash_text(rllc_intern_printf("scores/%d samples %lld seed %llu bos %lld", SCORES_VERSION,
                                                   (long long)job->options.score_samples,
                                                   (unsigned long long)job->options.score_seed, (long long)job->bos));
    RLLC_TRY(select_scores(q));
    RLLC_TRY(select_checkpoints(q));
done:
    return status;
}

/** Stages are named by score and weights; their input hash is that of the options. */
static const char *stage_of(const rllc_head_score *score, const rllc_store_checkpoint *c) {
    return rllc_intern_printf("score/%s/%lld/%s", score->name, (long long)c->id, c->hash);
}

static bool is_missing(const request *q, int64_t checkpoint, int score) {
    return !rllc_store_stage_is_done(q->job->store, stage_of(q->scores[score], &q->checkpoints[checkpoint]),
                                     q->options.hex);
}

static int64_t count_missing(const request *q) {
    int64_t n = 0;
    for (int64_t c = 0; c < q->n_checkpoints; c++)
        for (int s = 0; s < q->n_scores; s++) n += is_missing(q, c, s);
    return n;
}

/* The model in hand, and an engine for its shape. */
typedef struct bench {
    rllc_model model;
    rllc_engine *engine;
    double *value, *se;
} bench;

static void bench_release(bench *b) {
    rllc_engine_free(b->engine);
    rllc_model_release(&b->model);
    rllc_free(b->value);
    rllc_free(b->se);
    *b = (bench){0};
}

static rllc_status bench_load(bench *b, const request *q, const rllc_store_checkpoint *c) {
    rllc_status status = RLLC_OK;
    const char *path = c->path[0] == '/' ? c->path : rllc_intern_printf("%s/%s", q->job->folder, c->path);
    bench_release(b);
    RLLC_TRY(rllc_model_load(&b->model, path));
    const rllc_hash hash = rllc_model_hash(&b->model);
    if (strcmp(hash.hex, c->hash) != 0)
        return rllc_fail(RLLC_EMISMATCH,
                         "%s: its weights are not those the store knows for step %lld (hash %s, expected "
                         "%s); the file was changed",
                         path, (long long)c->step, hash.hex, c->hash);
    const int64_t heads = b->model.options.n_layers * b->model.options.n_heads;
    RLLC_TRY(rllc_alloc(&b->value, heads, sizeof *b->value));
    RLLC_TRY(rllc_alloc(&b->se, heads, sizeof *b->se));
    RLLC_TRY(rllc_engine_new(&b->engine, &b->model, RLLC_SCORE_ROWS, q->job->n_threads));
done:
    return status;
}

static rllc_status store_result(const request *q, const rllc_store_checkpoint *c, const rllc_head_score *score,
                                const bench *b) {
    rllc_status status = RLLC_OK;
    rllc_store *s = q->job->store;
    const int64_t n_heads = b->model.options.n_heads, heads = b->model.options.n_layers * n_heads;
    RLLC_TRY(rllc_store_begin(s));
    for (int64_t h = 0; h < heads && status == RLLC_OK; h++) {
        const rllc_store_score row = {.checkpoint_id = c->id,
                                      .seed = c->seed,
                                      .step = c->step,
                                      .metric = score->name,
                                      .layer = (int)(h / n_heads),
                                      .head = (int)(h % n_heads),
                                      .corpus = "",
                                      .value = b->value[h],
                                      .se = b->se[h],
                                      .n = q->job->options.score_samples};
        status = rllc_store_put_score(s, &row);
    }
    if (status == RLLC_OK) status = rllc_store_stage_done(s, stage_of(score, c), q->options.hex);
    if (status == RLLC_OK) return rllc_store_commit(s);
    rllc_store_rollback(s);
done:
    return status;
}

/** The missing scores of one checkpoint; *done counts them. */
static rllc_status score_checkpoint(const request *q, bench *b, int64_t i, int64_t *done_pairs, int64_t missing) {
    rllc_status status = RLLC_OK;
    const rllc_store_checkpoint *c = &q->checkpoints[i];
    bool loaded = false;
    for (int s = 0; s < q->n_scores; s++) {
        if (!is_missing(q, i, s)) continue;
        if (rllc_should_stop(q->job->monitor))
            return rllc_fail(RLLC_ESTOPPED,
                             "stopped after %lld of %lld scores, all saved; run the same command again to go "
                             "on",
                             (long long)*done_pairs, (long long)missing);
        if (!loaded) RLLC_TRY(bench_load(b, q, c));
        loaded = true;
        rllc_score_result r = {.value = b->value, .se = b->se};
        RLLC_TRY(
            rllc_head_score_evaluate(q->scores[s], b->engine, &b->model, (int32_t)q->job->bos, &q->job->options, &r));
        RLLC_TRY(store_result(q, c, q->scores[s], b));
        ++*done_pairs;
        rllc_report_progress(q->job->monitor, "scores", "score", (double)*done_pairs, (double)missing, "%s, step %lld",
                             q->scores[s]->name, (long long)c->step);
    }
done:
    return rllc_fail_within(status, "checkpoint of seed %llu, step %lld", (unsigned long long)c->seed,
                            (long long)c->step);
}

rllc_status rllc_scores_run(const rllc_score_job *job) {
    rllc_status status = RLLC_OK;
    request q;
    bench b = {0};
    int64_t done_pairs = 0;
    RLLC_TRY(request_init(&q, job));
    const int64_t missing = count_missing(&q);
    for (int64_t i = 0; i < q.n_checkpoints; i++) RLLC_TRY(score_checkpoint(&q, &b, i, &done_pairs, missing));
done:
    bench_release(&b);
    rllc_free(q.checkpoints);
    return status;
}

/** Tokens up to the query in a sample of a score at this model's context, on average over a few. */
static double row_tokens(const rllc_head_score *score, const rllc_store_checkpoint *c) {
    enum { TRIED = 64 };
    rllc_model_options o;
    rllc_json *j = NULL;
    int32_t *tokens = NULL;
    int64_t t, query, key;
    double sum = 0;
    rllc_options_default(&rllc_model_option_table, &o);
    if (rllc_json_parse(&j, c->model_json, strlen(c->model_json), "model") == RLLC_OK &&
        rllc_options_from_json(&rllc_model_option_table, &o, j) == RLLC_OK && o.n_ctx >= score->min_ctx &&
        o.d_vocab >= score->min_vocab && rllc_alloc(&tokens, o.n_ctx, sizeof *tokens) == RLLC_OK)
        for (uint32_t i = 0; i < TRIED; i++) {
            const rllc_stream s = rllc_stream_make(0, "cost", 0, i);
            score->sample(&s, o.n_ctx, o.d_vocab, -1, tokens, &t, &query, &key);
            sum += (double)(query + 1) / TRIED;
        }
    rllc_free(tokens);
    rllc_json_free(j);
    return sum;
}

rllc_status rllc_scores_cost(const rllc_score_job *job, int64_t *asked, int64_t *missing, double *tokens) {
    rllc_status status = RLLC_OK;
    request q;
    RLLC_TRY(request_init(&q, job));
    *asked = q.n_checkpoints * q.n_scores;
    *missing = count_missing(&q);
    *tokens = 0;
    for (int64_t c = 0; c < q.n_checkpoints; c++)
        for (int s = 0; s < q.n_scores; s++)
            if (is_missing(&q, c, s))
                *tokens += row_tokens(q.scores[s], &q.checkpoints[c]) * (double)job->options.score_samples;
done:
    rllc_free(q.checkpoints);
    return status;
}
