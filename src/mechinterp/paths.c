/* The analysis of paths: what the loss loses when one head no longer sees another, through its queries, keys or values.
 */
#include <math.h>
#include <string.h>

#include "mechinterp/changes.h"
#include "mechinterp/heads.h"

/* Part of the identity of what is stored: raise it when the arithmetic changes. */
#define PATHS_VERSION 1

enum { SEQUENCES = 4 /* a call of the engine: bounds the memory for losses */, PARTS = 4 };

/* What of the reading head is made from the stream without the writing one. */
static const struct part {
    const char *name;
    bool q, k, v;
} parts[PARTS] = {
    {"q", true, false, false}, {"k", false, true, false}, {"v", false, false, true}, {"qkv", true, true, true}};

static const char *item(int i) {
    return i <= RLLC_ABLATE_MEAN ? rllc_ablation_names[i] : NULL;
}

static const char *identity(const rllc_analysis_job *job) {
    return rllc_intern_printf("paths/%d contexts %lld", PATHS_VERSION, (long long)job->settings.ablation.path_contexts);
}

static int64_t contexts(const rllc_analysis_job *job, int64_t rows) {
    return rows < job->settings.ablation.path_contexts ? rows : job->settings.ablation.path_contexts;
}

static void cost(const rllc_analysis_job *job, const rllc_model *shape, const char *name, int64_t rows, double *tokens,
                 double *flops) {
    const rllc_model_options *o = &shape->options;
    const double H = (double)o->n_heads, projected = 2.0 * (double)o->d_model * 3 * (double)o->d_head;
    const double passes = strcmp(name, "mean") == 0 ? 2 : 1;
    double each = 0;
    for (int64_t l = 1; l < o->n_layers; l++) each += H * H * PARTS * (rllc_ablation_flops(shape, l) + projected);
    *tokens = (double)(contexts(job, rows) * o->n_ctx) * passes;
    *flops = *tokens / passes * (passes * rllc_model_flops(shape) + each);
}

/* Every path of a model, and the batch in hand. */
typedef struct measurement {
    const rllc_analysis_task *task;
    int64_t n_paths; /* pairs of heads x PARTS */
    rllc_ablator *ablator;
    rllc_changes changes;
    rllc_replacement *sources; /* [layers * heads] */
    rllc_ablation *paths;
    int32_t *tokens;
    float *base, *losses; /* [SEQUENCES, T-1]; [paths, SEQUENCES, T-1] */
    const float **of_one;
} measurement;

/** Path i: from a head of one layer into one of the next. */
static void path_heads(const rllc_model_options *o, int64_t i, int64_t *layer, int64_t *from, int64_t *into,
                       int *part) {
    const int64_t H = o->n_heads;
    *part = (int)(i % PARTS);
    *into = i / PARTS % H;
    *from = i / PARTS / H % H;
    *layer = i / PARTS / H / H;
}

static void make_paths(measurement *m) {
    const rllc_model_options *o = &m->task->model->options;
    for (int64_t h = 0; h < o->n_layers * o->n_heads; h++)
        m->sources[h] = rllc_ablator_replacement(m->ablator, (int)(h / o->n_heads), (int)(h % o->n_heads));
    for (int64_t i = 0; i < m->n_paths; i++) {
        int64_t layer, from, into;
        int part;
        path_heads(o, i, &layer, &from, &into, &part);
        m->paths[i] = (rllc_ablation){.replaced = &m->sources[layer * o->n_heads + from],
                                      .n_replaced = 1,
                                      .into_layer = (int)layer + 1,
                                      .into_head = (int)into,
                                      .into_q = parts[part].q,
                                      .into_k = parts[part].k,
                                      .into_v = parts[part].v,
                                      .token_losses = m->losses + i * SEQUENCES * (o->n_ctx - 1)};
    }
}

static rllc_status measurement_init(measurement *m, int64_t n_sequences) {
    rllc_status status = RLLC_OK;
    const rllc_analysis_task *t = m->task;
    const rllc_model_options *o = &t->model->options;
    const int64_t size = SEQUENCES * (o->n_ctx - 1);
    RLLC_TRY(rllc_changes_init(&m->changes, m->n_paths, 1));
    RLLC_TRY(rllc_alloc(&m->sources, o->n_layers * o->n_heads, sizeof *m->sources));
    RLLC_TRY(rllc_alloc(&m->paths, m->n_paths, sizeof *m->paths));
    RLLC_TRY(rllc_alloc(&m->tokens, SEQUENCES * o->n_ctx, sizeof *m->tokens));
    RLLC_TRY(rllc_alloc(&m->base, size, sizeof *m->base));
    RLLC_TRY(rllc_alloc(&m->losses, m->n_paths * size, sizeof *m->losses));
    RLLC_TRY(rllc_alloc(&m->of_one, m->n_paths, sizeof *m->of_one));
    RLLC_TRY(rllc_ablator_new(&m->ablator, strcmp(t->item, "mean") == 0 ? RLLC_ABLATE_MEAN : RLLC_ABLATE_ZERO,
                              t->engine, t->model, SEQUENCES, t->rows, n_sequences));
    make_paths(m);
done:
    return status;
}

static void measurement_release(measurement *m) {
    rllc_changes_release(&m->changes);
    rllc_ablator_free(m->ablator);
    rllc_free(m->sources);
    rllc_free(m->paths);
    rllc_free(m->tokens);
    rllc_free(m->base);
    rllc_free(m->losses);
    rllc_free(m->of_one);
}

static rllc_status add_batch(measurement *m, int64_t first, int64_t rows) {
    rllc_status status = RLLC_OK;
    const rllc_analysis_task *t = m->task;
    const int64_t T = t->model->options.n_ctx;
    for (int64_t r = 0; r < rows; r++)
        rllc_rows_get(t->rows, rllc_spread(first + r, contexts(t->job, t->rows->rows), t->rows->rows),
                      m->tokens + r * T);
    RLLC_TRY(rllc_engine_ablate(t->engine, t->model->weights, m->tokens, rows, m->paths, m->n_paths, m->base));
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < m->n_paths; i++) m->of_one[i] = m->paths[i].token_losses + r * (T - 1);
        rllc_changes_add(&m->changes, T - 1, m->base + r * (T - 1), m->of_one, 1, NULL);
    }
done:
    return status;
}

static rllc_status put(const measurement *m) {
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < m->n_paths; i++) {
        int64_t layer, from, into;
        int part;
        path_heads(&m->task->model->options, i, &layer, &from, &into, &part);
        rllc_store_pair row = {.checkpoint_id = m->task->checkpoint->id,
                               .metric = rllc_intern_printf("path/%s/%s", m->task->item, parts[part].name),
                               .from_layer = (int)layer,
                               .from_head = (int)from,
                               .to_layer = (int)layer + 1,
                               .to_head = (int)into,
                               .corpus = m->task->corpus->name,
                               .chance = NAN};
        row.n = rllc_changes_get(&m->changes, i, 0, &row.value, &row.se);
        RLLC_TRY(rllc_store_put_pair(m->task->job->store, &row));
    }
done:
    return status;
}

static rllc_status run(const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    const rllc_model_options *o = &t->model->options;
    const int64_t n = contexts(t->job, t->rows->rows);
    measurement m = {.task = t, .n_paths = (o->n_layers - 1) * o->n_heads * o->n_heads * PARTS};
    if (o->n_layers < 2) return RLLC_OK; /* one layer has no paths between heads */
    RLLC_TRY(measurement_init(&m, n));
    for (int64_t first = 0; first < n; first += SEQUENCES) {
        const int64_t rows = n - first < SEQUENCES ? n - first : SEQUENCES;
        RLLC_TRY(add_batch(&m, first, rows));
        RLLC_TRY(rllc_analysis_progress(t, (double)(first + rows) / (double)n));
    }
    RLLC_TRY(rllc_store_begin(t->job->store));
    status = put(&m);
    if (status == RLLC_OK)
        status = rllc_store_commit(t->job->store);
    else
        rllc_store_rollback(t->job->store);
done:
    measurement_release(&m);
    return status;
}

const rllc_analysis_kind rllc_analysis_paths = {
    .name = "paths",
    .flag = "paths",
    .summary = "change of the loss when a head no longer sees one of the layer below",
    .source = "Wang et al. 2024, arXiv 2410.02984",
    .of_corpus = true,
    .checkpoints = "two",
    .sequences = SEQUENCES,
    .item = item,
    .identity = identity,
    .cost = cost,
    .run = run};
