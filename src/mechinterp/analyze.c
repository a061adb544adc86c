/* Everything that is asked of a run's heads, into its store. */
#include <string.h>

#include "mechinterp/request.h"

/* The checkpoint in hand. */
typedef struct bench {
    rllc_model model;
    rllc_engine *engine;
    int64_t checkpoint; /* index; -1: none */
} bench;

/* What a task's progress is measured against. */
typedef struct position {
    rllc_request *q;
    const rllc_task *task;
} position;

/* ---- running ----------------------------------------------------------------------------------------------- */

static void bench_release(bench *b) {
    rllc_engine_free(b->engine);
    rllc_model_release(&b->model);
    *b = (bench){.checkpoint = -1};
}

static rllc_status bench_load(bench *b, const rllc_request *q, int64_t checkpoint) {
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
    for (int64_t i = 0; i < q->n_tasks; i++)
        if (rllc_task_kind(&q->tasks[i])->sequences > sequences) sequences = rllc_task_kind(&q->tasks[i])->sequences;
    RLLC_TRY(rllc_engine_new(&b->engine, &b->model, sequences, q->job->n_threads));
    b->checkpoint = checkpoint;
done:
    return status;
}

static void report(const rllc_request *q, const rllc_task *t, double flops) {
    const char *text = rllc_task_corpus(q, t);
    rllc_report_progress(q->job->monitor, "analysis", "GFLOP", flops / 1e9, q->cost.flops / 1e9, "%s%s%s, step %lld",
                         rllc_task_item(t), *text ? ", " : "", text, (long long)q->checkpoints[t->checkpoint].step);
}

static rllc_status stopped(const rllc_request *q) {
    return rllc_fail(RLLC_ESTOPPED, "stopped after %lld of %lld tasks, all saved; run the same command again to go on",
                     (long long)q->done_tasks, (long long)q->cost.missing);
}

rllc_status rllc_analysis_progress(const rllc_analysis_task *t, double done) {
    const position *p = t->progress;
    report(p->q, p->task, p->q->done_flops + done * p->task->flops);
    return rllc_should_stop(p->q->job->monitor) ? stopped(p->q) : RLLC_OK;
}

static rllc_status run_task(rllc_request *q, bench *b, const rllc_task *t) {
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
                                      .item = rllc_task_item(t),
                                      .checkpoint = &q->checkpoints[t->checkpoint],
                                      .model = &b->model,
                                      .engine = b->engine,
                                      .corpus = t->corpus < 0 ? NULL : &q->corpora[t->corpus].row,
                                      .rows = t->corpus < 0 ? NULL : &q->corpora[t->corpus].rows,
                                      .train = q->train.data ? &q->train : NULL,
                                      .tokenizer = q->tokenizer,
                                      .kept = &q->kept[t->kind],
                                      .progress = &p};
    RLLC_TRY(rllc_task_kind(t)->run(&given));
    RLLC_TRY(rllc_task_done(q, t));
    q->done_flops += t->flops;
    q->done_tasks++;
    report(q, t, q->done_flops);
done:
    if (status == RLLC_ESTOPPED) return status;
    return rllc_fail_within(status, "%s at the checkpoint of seed %llu, step %lld", rllc_task_item(t),
                            (unsigned long long)q->checkpoints[t->checkpoint].seed,
                            (long long)q->checkpoints[t->checkpoint].step);
}

rllc_status rllc_analyze(const rllc_analysis_job *job, const rllc_analysis_request *asked, int n) {
    rllc_status status = RLLC_OK;
    rllc_request q;
    bench b = {.checkpoint = -1};
    RLLC_TRY(rllc_request_init(&q, job, asked, n));
    for (int64_t i = 0; i < q.n_tasks; i++)
        if (q.tasks[i].missing) RLLC_TRY(run_task(&q, &b, &q.tasks[i]));
done:
    bench_release(&b);
    rllc_request_release(&q);
    return status;
}

rllc_status rllc_analyze_cost(const rllc_analysis_job *job, const rllc_analysis_request *asked, int n,
                              rllc_analysis_cost *out) {
    rllc_request q;
    const rllc_status status = rllc_request_init(&q, job, asked, n);
    *out = q.cost;
    rllc_request_release(&q);
    return status;
}
