/* The analysis of weights alone: what heads copy, and how large components are. */
#include <math.h>
#include <string.h>

#include "mechinterp/analysis.h"
#include "mechinterp/copying.h"

/* Part of the identity of what is stored: raise it when the arithmetic changes. */
#define WEIGHTS_VERSION 1

static const char *item(int i) {
    static const char *const names[] = {"copying", "weight_norm"};
    return i < (int)(sizeof names / sizeof *names) ? names[i] : NULL;
}

static const char *identity(const rllc_analysis_job *job) {
    (void)job;
    return rllc_intern_printf("weights/%d", WEIGHTS_VERSION);
}

static void cost(const rllc_analysis_job *job, const rllc_model *shape, const char *name, int64_t rows, double *tokens,
                 double *flops) {
    (void)job;
    (void)rows;
    const int passes = shape->options.normalization == RLLC_NORM_LN ? 2 : 1;
    *tokens = 0;
    *flops = strcmp(name, "copying") == 0 ? passes * rllc_copying_flops(shape) : 6.0 * (double)shape->size;
}

static rllc_status put_copying(const rllc_analysis_task *t, const char *metric, const double *value) {
    rllc_status status = RLLC_OK;
    const int64_t H = t->model->options.n_heads, heads = t->model->options.n_layers * H;
    for (int64_t i = 0; i < heads; i++) {
        const rllc_store_score row = {.checkpoint_id = t->checkpoint->id,
                                      .metric = metric,
                                      .layer = (int)(i / H),
                                      .head = (int)(i % H),
                                      .corpus = "",
                                      .value = value[i],
                                      .se = NAN};
        RLLC_TRY(rllc_store_put_score(t->job->store, &row));
    }
done:
    return status;
}

static rllc_status run_copying(const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    double *value[2] = {NULL, NULL};
    const int64_t heads = t->model->options.n_layers * t->model->options.n_heads;
    const int n = t->model->options.normalization == RLLC_NORM_LN ? 2 : 1;
    for (int i = 0; i < n; i++) {
        RLLC_TRY(rllc_alloc(&value[i], heads, sizeof *value[i]));
        RLLC_TRY(rllc_copying_scores(t->model, i == 1, t->job->n_threads, value[i]));
        RLLC_TRY(rllc_analysis_progress(t, (double)(i + 1) / n));
    }
    RLLC_TRY(rllc_store_begin(t->job->store));
    status = put_copying(t, "copying", value[0]);
    if (status == RLLC_OK && n == 2) status = put_copying(t, "copying/ln", value[1]);
    if (status == RLLC_OK)
        status = rllc_store_commit(t->job->store);
    else
        rllc_store_rollback(t->job->store);
done:
    rllc_free(value[0]);
    rllc_free(value[1]);
    return status;
}

/** The L2 norm of a component's weights.                                                                       (E116)
 */
static rllc_status put_norm(const rllc_analysis_task *t, const char *name) {
    rllc_status status = RLLC_OK;
    rllc_component c = {0};
    double sum = 0;
    RLLC_TRY(rllc_component_parse(&c, t->model, name));
    for (int64_t r = 0; r < c.n_ranges; r++)
        for (int64_t i = c.ranges[r].first; i < c.ranges[r].first + c.ranges[r].n; i++)
            sum += (double)t->model->weights[i] * (double)t->model->weights[i];
    const rllc_store_measure row = {.checkpoint_id = t->checkpoint->id,
                                    .metric = "weight_norm",
                                    .component = c.name,
                                    .corpus = "",
                                    .value = sqrt(sum),
                                    .se = NAN,
                                    .json = ""};
    RLLC_TRY(rllc_store_put_measure(t->job->store, &row));
done:
    rllc_component_release(&c);
    return status;
}

static rllc_status put_norms(const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    const char **names = NULL;
    int64_t n = 0;
    RLLC_TRY(rllc_components_expand(
        t->model, t->model->options.n_layers ? "full,heads,embed,pos_embed,unembed" : "full,embed,pos_embed,unembed",
        &names, &n));
    for (int64_t i = 0; i < n; i++) RLLC_TRY(put_norm(t, names[i]));
    for (int64_t i = 0; i < t->model->n_parameters; i++) RLLC_TRY(put_norm(t, t->model->parameters[i].name));
done:
    rllc_free(names);
    return status;
}

static rllc_status run_norms(const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_store_begin(t->job->store));
    status = put_norms(t);
    if (status == RLLC_OK) return rllc_store_commit(t->job->store);
    rllc_store_rollback(t->job->store);
done:
    return status;
}

static rllc_status run(const rllc_analysis_task *t) {
    return strcmp(t->item, "copying") == 0 ? run_copying(t) : run_norms(t);
}

const rllc_analysis_kind rllc_analysis_weights = {
    .name = "weights",
    .flag = "score",
    .summary = "what heads copy, from the eigenvalues of their OV circuits; norms of components",
    .source = "Elhage et al. 2021, A mathematical framework for transformer circuits",
    .checkpoints = "all",
    .item = item,
    .identity = identity,
    .cost = cost,
    .run = run};
