/* The analysis of composition: into keys, queries and values, with and without the LayerNorm between. */
#include "mechinterp/analysis.h"
#include "mechinterp/composition.h"

#include <math.h>
#include <string.h>

/* Part of the identity of a stored score: raise it when the arithmetic changes. */
#define COMPOSITION_VERSION 1

static const char *item(int i) {
    return i < RLLC_COMPOSITIONS ? rllc_composition_names[i] : NULL;
}

static const char *identity(const rllc_analysis_job *job) {
    (void)job;
    return rllc_intern_printf("composition/%d", COMPOSITION_VERSION);
}

/** Products of D x C and C x D, and D x D, for every pair, with the LayerNorm and without. */
static void cost(const rllc_analysis_job *job, const rllc_model *shape, const char *name, int64_t rows, double *tokens,
                 double *flops) {
    (void)job;
    (void)name;
    (void)rows;
    const rllc_model_options *o = &shape->options;
    const double D = (double)o->d_head, H = (double)o->n_heads, L = (double)o->n_layers;
    *tokens = 0;
    *flops = (o->normalization == RLLC_NORM_LN ? 2 : 1) * H * H * L * (L - 1) / 2 *
             (2 * (double)o->d_model * D * D + 5 * D * D * D);
}

static rllc_status put(const rllc_analysis_task *t, const char *metric, double chance, const double *scores) {
    rllc_status status = RLLC_OK;
    const int64_t H = t->model->options.n_heads, heads = t->model->options.n_layers * H;
    for (int64_t from = 0; from < heads; from++)
        for (int64_t to = (from / H + 1) * H; to < heads; to++) {
            const rllc_store_pair row = {.checkpoint_id = t->checkpoint->id,
                                         .metric = metric,
                                         .from_layer = (int)(from / H),
                                         .from_head = (int)(from % H),
                                         .to_layer = (int)(to / H),
                                         .to_head = (int)(to % H),
                                         .value = scores[from * heads + to],
                                         .se = NAN,
                                         .chance = chance};
            RLLC_TRY(rllc_store_put_pair(t->job->store, &row));
        }
done:
    return status;
}

static int kind_of(const char *name) {
    int kind = 0;
    while (strcmp(rllc_composition_names[kind], name) != 0) kind++;
    return kind;
}

static rllc_status run(const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    const rllc_model_options *o = &t->model->options;
    const int64_t heads = o->n_layers * o->n_heads;
    const int kind = kind_of(t->item), variants = o->normalization == RLLC_NORM_LN ? 2 : 1;
    double *scores = NULL;
    RLLC_TRY(rllc_alloc(&scores, variants * heads * heads, sizeof *scores));
    for (int folded = 0; folded < variants; folded++)
        RLLC_TRY(rllc_composition_scores(t->model, kind, folded, scores + folded * heads * heads));
    RLLC_TRY(rllc_store_begin(t->job->store));
    for (int folded = 0; folded < variants && status == RLLC_OK; folded++)
        status = put(t, folded ? rllc_intern_printf("%s/ln", t->item) : t->item,
                     rllc_composition_chance(o, kind, folded), scores + folded * heads * heads);
    if (status == RLLC_OK)
        status = rllc_store_commit(t->job->store);
    else
        rllc_store_rollback(t->job->store);
done:
    rllc_free(scores);
    return status;
}

const rllc_analysis_kind rllc_analysis_composition = {
    .name = "composition",
    .flag = "compose",
    .summary = "how much of what a head writes a later head reads",
    .source =
        "Elhage et al. 2021, A mathematical framework for transformer circuits; Wang et al. 2024, arXiv 2410.02984",
    .checkpoints = "all",
    .item = item,
    .identity = identity,
    .cost = cost,
    .run = run};
