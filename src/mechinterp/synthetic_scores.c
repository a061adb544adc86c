/* The analysis of attention on synthetic sequences: every row of head_scores.def is an item. */
#include "mechinterp/analysis.h"

/* Part of the identity of a stored score: raise it when the samples or the arithmetic of a score change. */
#define SCORES_VERSION 2

static const char *item(int i) {
    int n;
    const rllc_head_score *const *all = rllc_head_score_list(&n);
    return i < n ? all[i]->name : NULL;
}

static const char *identity(const rllc_analysis_job *job) {
    const rllc_score_options *o = &job->settings.score;
    return rllc_intern_printf("scores/%d samples %lld seed %llu", SCORES_VERSION, (long long)o->score_samples,
                              (unsigned long long)o->score_seed);
}

/** Tokens up to the query, on average over a few samples; 0 if the model is too small for the score. */
static double row_tokens(const rllc_head_score *score, const rllc_model_options *o) {
    enum { TRIED = 64 };
    int32_t *tokens = NULL;
    int64_t t, query, key;
    double sum = 0;
    if (o->n_ctx < score->min_ctx || o->d_vocab < score->min_vocab ||
        rllc_alloc(&tokens, o->n_ctx, sizeof *tokens) != RLLC_OK)
        return 0;
    for (uint32_t i = 0; i < TRIED; i++) {
        const rllc_stream s = rllc_stream_make(0, "cost", 0, i);
        score->sample(&s, o->n_ctx, o->d_vocab, -1, tokens, &t, &query, &key);
        sum += (double)(query + 1) / TRIED;
    }
    rllc_free(tokens);
    return sum;
}

static void cost(const rllc_analysis_job *job, const rllc_model *shape, const char *name, int64_t rows, double *tokens,
                 double *flops) {
    (void)rows;
    *tokens = row_tokens(rllc_head_score_find(name), &shape->options) * (double)job->settings.score.score_samples;
    *flops = *tokens * rllc_model_flops(shape);
}

static rllc_status put(const rllc_analysis_task *t, const rllc_score_result *r) {
    rllc_status status = RLLC_OK;
    const int64_t H = t->model->options.n_heads, heads = t->model->options.n_layers * H;
    for (int64_t h = 0; h < heads; h++) {
        const rllc_store_score row = {.checkpoint_id = t->checkpoint->id,
                                      .metric = t->item,
                                      .layer = (int)(h / H),
                                      .head = (int)(h % H),
                                      .value = r->value[h],
                                      .se = r->se[h],
                                      .n = t->job->settings.score.score_samples,
                                      .chance = r->chance};
        RLLC_TRY(rllc_store_put_score(t->job->store, &row));
    }
done:
    return status;
}

static rllc_status run(const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    rllc_score_result r = {0};
    const int64_t heads = t->model->options.n_layers * t->model->options.n_heads;
    RLLC_TRY(rllc_alloc(&r.value, heads, sizeof *r.value));
    RLLC_TRY(rllc_alloc(&r.se, heads, sizeof *r.se));
    RLLC_TRY(rllc_head_score_evaluate(rllc_head_score_find(t->item), t->engine, t->model, (int32_t)t->job->bos,
                                      &t->job->settings.score, &r));
    RLLC_TRY(rllc_store_begin(t->job->store));
    status = put(t, &r);
    if (status == RLLC_OK) status = rllc_store_commit(t->job->store);
    else rllc_store_rollback(t->job->store);
done:
    rllc_free(r.value);
    rllc_free(r.se);
    return status;
}

const rllc_analysis_kind rllc_analysis_scores = {
    .name = "scores",
    .flag = "score",
    .summary = "attention of heads on synthetic sequences",
    .source = "Hoogland et al. 2024, arXiv 2402.02364; Olsson et al. 2022, arXiv 2209.11895",
    .checkpoints = "all",
    .sequences = RLLC_SCORE_ROWS,
    .item = item,
    .identity = identity,
    .cost = cost,
    .run = run};
