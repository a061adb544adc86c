/* The analysis of curvature: Hessian, Fisher information and norms of components, component by component. */
#include <math.h>
#include <string.h>

#include "mechinterp/ablate.h"
#include "mechinterp/analysis.h"
#include "mechinterp/curvature.h"

/* Part of the identity of what is stored: raise it when the arithmetic changes. */
#define CURVATURES_VERSION 1

/* Selectors as rllc_components_expand takes them. */
static const char *const items[] = {"heads", "full", "layers", "embed", "pos_embed", "unembed"};

static const char *item(int i) {
    return i < (int)(sizeof items / sizeof *items) ? items[i] : NULL;
}

static const char *identity(const rllc_analysis_job *job) {
    rllc_json *j = NULL;
    rllc_string text = {0};
    const char *found = "";
    if (rllc_options_to_json(&rllc_curvature_option_table, &job->settings.curvature, &j) == RLLC_OK &&
        rllc_json_print(j, 0, true, &text) == RLLC_OK)
        found = rllc_intern_printf("curvatures/%d %s", CURVATURES_VERSION, rllc_string_text(&text));
    rllc_json_free(j);
    rllc_string_release(&text);
    return found;
}

static int64_t batch_rows(const rllc_curvature_options *o, int64_t rows) {
    return rows < o->hessian_rows ? rows : o->hessian_rows;
}

static double expanded_size(const rllc_model *shape, const char *selector, int64_t *n) {
    const char **names = NULL;
    double size = 0;
    *n = 0;
    if (rllc_components_expand(shape, selector, &names, n) != RLLC_OK) return 0;
    for (int64_t i = 0; i < *n; i++) {
        rllc_component c;
        if (rllc_component_parse(&c, shape, names[i]) != RLLC_OK) continue;
        size += (double)c.size;
        rllc_component_release(&c);
    }
    rllc_free(names);
    return size;
}

static void cost(const rllc_analysis_job *job, const rllc_model *shape, const char *name, int64_t rows, double *tokens,
                 double *flops) {
    const rllc_curvature_options *o = &job->settings.curvature;
    int64_t n;
    const double size = expanded_size(shape, name, &n), a_batch = (double)(batch_rows(o, rows) * shape->options.n_ctx);
    const double passes = n ? rllc_component_curvature_cost(o, (int64_t)(size / (double)n)) * (double)n : 0;
    *tokens = a_batch * passes;
    *flops = *tokens * 3 * rllc_model_flops(shape);
}

/* ---- one component --------------------------------------------------------------------------------------------- */

static rllc_status put_number(const rllc_analysis_task *t, const char *component, const char *metric, double value,
                              double se, int64_t n, const char *json) {
    const rllc_store_measure row = {.checkpoint_id = t->checkpoint->id,
                                    .metric = metric,
                                    .component = component,
                                    .corpus = t->corpus->name,
                                    .value = value,
                                    .se = se,
                                    .n = n,
                                    .json = json};
    return rllc_store_put_measure(t->job->store, &row);
}

/** One row a number; the whole result, spectrum and density included, beside the trace. */
static rllc_status put_numbers(const rllc_analysis_task *t, const rllc_component_curvature *r, const char *json) {
    rllc_status status = RLLC_OK;
    const char *c = r->component;
    const rllc_probe_mean *trace = &r->hessian_trace, *fixed = &r->rank_fixed, *adaptive = &r->rank_adaptive;
    RLLC_TRY(put_number(t, c, "hessian_trace", trace->mean, trace->se, trace->n, json));
    RLLC_TRY(put_number(t, c, "hessian_rank", fixed->mean, fixed->se, fixed->n, ""));
    RLLC_TRY(put_number(t, c, "hessian_rank_adaptive", adaptive->mean, adaptive->se, adaptive->n, ""));
    if (r->n_eigenvalues)
        RLLC_TRY(put_number(t, c, "hessian_top", r->eigenvalues[0].value, r->eigenvalues[0].residual, 0, ""));
    if (r->fim_trace.n) {
        const rllc_fisher *f = &r->fim_trace, *e = &r->empirical_fim_trace;
        RLLC_TRY(put_number(t, c, "fim_trace", f->mean, f->se, f->n, ""));
        RLLC_TRY(put_number(t, c, "empirical_fim_trace", e->mean, e->se, e->n, ""));
    }
    RLLC_TRY(put_number(t, c, "gradient_norm", r->gradient_norm, NAN, 0, ""));
done:
    return status;
}

static rllc_status put(const rllc_analysis_task *t, const rllc_component_curvature *r) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    rllc_string text = {0};
    RLLC_TRY(rllc_component_curvature_to_json(r, &j));
    RLLC_TRY(rllc_json_print(j, 0, true, &text));
    RLLC_TRY(rllc_store_begin(t->job->store));
    status = put_numbers(t, r, rllc_string_text(&text));
    if (status == RLLC_OK)
        status = rllc_store_commit(t->job->store);
    else
        rllc_store_rollback(t->job->store);
done:
    rllc_json_free(j);
    rllc_string_release(&text);
    return status;
}

static rllc_status measure(const rllc_analysis_task *t, rllc_engine *e, const char *name, const int32_t *tokens,
                           int64_t rows) {
    rllc_status status = RLLC_OK;
    rllc_component c = {0};
    rllc_component_curvature r = {0};
    rllc_monitor quiet = t->job->monitor ? *t->job->monitor : (rllc_monitor){0}; /* the task reports for all of them */
    quiet.progress = NULL;
    RLLC_TRY(rllc_component_parse(&c, t->model, name));
    RLLC_TRY(rllc_component_curvature_measure(t->model, e, &c, tokens, rows, &t->job->settings.curvature, &quiet, &r));
    RLLC_TRY(put(t, &r));
done:
    rllc_component_curvature_release(&r);
    rllc_component_release(&c);
    return status;
}

/* ---- all of a selector ----------------------------------------------------------------------------------------- */

/** A component that ended before an interruption is not measured again. */
static const char *stage_of(const rllc_analysis_task *t, const char *component) {
    return rllc_intern_printf("curvature/%s/%lld/%s/%s", component, (long long)t->checkpoint->id, t->checkpoint->hash,
                              t->corpus->name);
}

static rllc_status run(const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    const int64_t rows = batch_rows(&t->job->settings.curvature, t->rows->rows), T = t->model->options.n_ctx;
    const char **names = NULL, *input = rllc_intern_printf("%s rows %s", identity(t->job), t->rows->hash.hex);
    int64_t n = 0;
    int32_t *tokens = NULL;
    rllc_engine *e = NULL;
    RLLC_TRY(rllc_components_expand(t->model, t->item, &names, &n));
    RLLC_TRY(rllc_alloc(&tokens, rows * T, sizeof *tokens));
    RLLC_TRY(rllc_engine_new(&e, t->model, rows, t->job->n_threads));
    for (int64_t r = 0; r < rows; r++) rllc_rows_get(t->rows, rllc_spread(r, rows, t->rows->rows), tokens + r * T);
    for (int64_t i = 0; i < n; i++) {
        if (!rllc_store_stage_is_done(t->job->store, stage_of(t, names[i]), input)) {
            RLLC_TRY(measure(t, e, names[i], tokens, rows));
            RLLC_TRY(rllc_store_stage_done(t->job->store, stage_of(t, names[i]), input));
        }
        RLLC_TRY(rllc_analysis_progress(t, (double)(i + 1) / (double)n));
    }
done:
    rllc_engine_free(e);
    rllc_free(tokens);
    rllc_free(names);
    return status;
}

const rllc_analysis_kind rllc_analysis_curvatures = {.name = "curvatures",
                                                     .flag = "curvature",
                                                     .summary = "Hessian, Fisher information and norms of components",
                                                     .source = "Wang et al. 2024, arXiv 2410.02984, appendix D",
                                                     .of_corpus = true,
                                                     .checkpoints = "dozen",
                                                     .usual = 2,
                                                     .item = item,
                                                     .identity = identity,
                                                     .cost = cost,
                                                     .run = run};
