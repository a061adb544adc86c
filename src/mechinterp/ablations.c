/* The analysis of ablations: what the loss loses with a head, or with a set of heads. */
#include <math.h>
#include <string.h>

#include "mechinterp/changes.h"
#include "mechinterp/heads.h"

/* Part of the identity of what is stored: raise it when the arithmetic changes. */
#define ABLATIONS_VERSION 1

static const rllc_option options[] = {
    RLLC_OPTION(rllc_ablation_options, ablation_contexts, RLLC_INTEGER, "256", 2, 1e9, NULL, "sequences",
                "sequences of the analysis split behind an ablation; all if it has fewer"),
    RLLC_OPTION(rllc_ablation_options, ablation_permutations, RLLC_INTEGER, "4", 1, 64, NULL, "",
                "other sequences whose outputs resampling puts in the place of a head's own"),
    RLLC_OPTION(rllc_ablation_options, ablation_sets, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "heads",
                "heads ablated together, for --ablate sets: 0:1+0:4,1:6+1:7"),
    RLLC_OPTION(rllc_ablation_options, path_contexts, RLLC_INTEGER, "32", 2, 1e9, NULL, "sequences",
                "sequences of the analysis split behind the paths; all if it has fewer"),
};

const rllc_option_table rllc_ablation_option_table = {"ablation", "heads and paths ablated", options,
                                                      sizeof options / sizeof options[0]};

enum { SEQUENCES = 8 /* a call of the engine: bounds the memory for outputs and losses */ };
#define SETS "sets"

static const char *item(int i) {
    if (i < RLLC_ABLATIONS) return rllc_ablation_names[i];
    return i == RLLC_ABLATIONS ? SETS : NULL;
}

static const char *identity(const rllc_analysis_job *job) {
    const rllc_ablation_options *o = &job->settings.ablation;
    return rllc_intern_printf("ablations/%d contexts %lld permutations %lld sets %s", ABLATIONS_VERSION,
                              (long long)o->ablation_contexts, (long long)o->ablation_permutations,
                              o->ablation_sets ? o->ablation_sets : "");
}

double rllc_ablation_flops(const rllc_model *shape, int64_t layer) {
    const rllc_model_options *o = &shape->options;
    const double unembed = 2.0 * (double)o->d_model * (double)o->d_vocab,
                 a_layer = (rllc_model_flops(shape) - unembed) / (double)o->n_layers,
                 output = 2.0 * (double)(o->n_heads * o->d_head) * (double)o->d_model;
    return output + a_layer * (double)(o->n_layers - 1 - layer) + unembed;
}

static int64_t contexts(const rllc_ablation_options *o, int64_t rows) {
    return rows < o->ablation_contexts ? rows : o->ablation_contexts;
}

static int64_t permutations(const rllc_ablation_options *o, const char *name) {
    return strcmp(name, "resample") == 0 ? o->ablation_permutations : 1;
}

static void cost(const rllc_analysis_job *job, const rllc_model *shape, const char *name, int64_t rows, double *tokens,
                 double *flops) {
    const rllc_ablation_options *o = &job->settings.ablation;
    const double n = (double)(contexts(o, rows) * shape->options.n_ctx);
    double passes = strncmp(name, "mean", 4) == 0 ? 2 : 1, each = 0;
    for (int64_t l = 0; l < shape->options.n_layers; l++)
        each += (double)shape->options.n_heads * rllc_ablation_flops(shape, l);
    if (strcmp(name, SETS) == 0) each = o->ablation_sets ? 2 * rllc_model_flops(shape) : 0;
    *tokens = n * passes;
    *flops = n * (passes * rllc_model_flops(shape) + each * (double)permutations(o, name));
}

/* ---- one kind of ablation over the sequences ------------------------------------------------------------------- */

/* What is ablated how, and the batch in hand. */
typedef struct measurement {
    const rllc_analysis_task *task;
    int ablation;
    const rllc_head_set *sets;
    int64_t n_sets, n_sequences, n_permutations;
    rllc_ablator *ablator;
    rllc_changes changes;
    int32_t *tokens;      /* [SEQUENCES, n_ctx] */
    float *base, *losses; /* [SEQUENCES, T-1]; [permutations, sets, SEQUENCES, T-1] */
    float **ablated;      /* [permutations, sets] into losses */
    const float **of_one; /* [sets * permutations] of one sequence */
} measurement;

static rllc_status measurement_init(measurement *m) {
    rllc_status status = RLLC_OK;
    const int64_t T = m->task->model->options.n_ctx, n = m->n_sets * m->n_permutations, size = SEQUENCES * (T - 1);
    RLLC_TRY(rllc_changes_init(&m->changes, m->n_sets, 1));
    RLLC_TRY(rllc_alloc(&m->tokens, SEQUENCES * T, sizeof *m->tokens));
    RLLC_TRY(rllc_alloc(&m->base, size, sizeof *m->base));
    RLLC_TRY(rllc_alloc(&m->losses, n * size, sizeof *m->losses));
    RLLC_TRY(rllc_alloc(&m->ablated, n, sizeof *m->ablated));
    RLLC_TRY(rllc_alloc(&m->of_one, n, sizeof *m->of_one));
    for (int64_t i = 0; i < n; i++) m->ablated[i] = m->losses + i * size;
    RLLC_TRY(rllc_ablator_new(&m->ablator, m->ablation, m->task->engine, m->task->model, SEQUENCES, m->task->rows,
                              m->n_sequences));
done:
    return status;
}

static void measurement_release(measurement *m) {
    rllc_changes_release(&m->changes);
    rllc_ablator_free(m->ablator);
    rllc_free(m->tokens);
    rllc_free(m->base);
    rllc_free(m->losses);
    rllc_free(m->ablated);
    rllc_free(m->of_one);
}

static rllc_status add_batch(measurement *m, int64_t first, int64_t rows) {
    rllc_status status = RLLC_OK;
    const int64_t T = m->task->model->options.n_ctx;
    for (int64_t r = 0; r < rows; r++)
        rllc_rows_get(m->task->rows, rllc_spread(first + r, m->n_sequences, m->task->rows->rows), m->tokens + r * T);
    for (int64_t p = 0; p < m->n_permutations; p++)
        RLLC_TRY(rllc_ablator_losses(m->ablator, m->tokens, rows, p, m->sets, m->n_sets, p ? NULL : m->base,
                                     m->ablated + p * m->n_sets));
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t s = 0; s < m->n_sets; s++)
            for (int64_t p = 0; p < m->n_permutations; p++)
                m->of_one[s * m->n_permutations + p] = m->ablated[p * m->n_sets + s] + r * (T - 1);
        rllc_changes_add(&m->changes, T - 1, m->base + r * (T - 1), m->of_one, m->n_permutations, NULL);
    }
done:
    return status;
}

/** The last batch is never a single sequence, which has no other to take outputs from. */
static int64_t batch_rows(int64_t left) {
    if (left == SEQUENCES + 1) return SEQUENCES - 1;
    return left < SEQUENCES ? left : SEQUENCES;
}

static rllc_status measure(measurement *m, double from, double share) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(measurement_init(m));
    for (int64_t first = 0, rows; first < m->n_sequences; first += rows) {
        rows = batch_rows(m->n_sequences - first);
        RLLC_TRY(add_batch(m, first, rows));
        RLLC_TRY(rllc_analysis_progress(m->task, from + share * (double)(first + rows) / (double)m->n_sequences));
    }
done:
    return status;
}

/* ---- heads ----------------------------------------------------------------------------------------------------- */

static rllc_status put_score(const measurement *m, const char *metric, int layer, int head, double value, double se,
                             int64_t n) {
    const rllc_store_score row = {.checkpoint_id = m->task->checkpoint->id,
                                  .metric = metric,
                                  .layer = layer,
                                  .head = head,
                                  .corpus = m->task->corpus->name,
                                  .value = value,
                                  .se = se,
                                  .n = n,
                                  .chance = NAN};
    return rllc_store_put_score(m->task->job->store, &row);
}

/** The change of every head, and relative to the loss without ablation. */
static rllc_status put_heads(const measurement *m) {
    rllc_status status = RLLC_OK;
    const char *metric = rllc_intern_printf("ablation/%s", m->task->item),
               *normalized = rllc_intern_printf("%s/normalized", metric);
    const double S = (double)m->changes.base_sequences, base = m->changes.base / S,
                 spread = (m->changes.base_square - S * base * base) / (S - 1) / S;
    RLLC_TRY(
        put_score(m, "ablation/base_loss", -1, -1, base, sqrt(spread > 0 ? spread : 0), m->changes.base_sequences));
    for (int64_t i = 0; i < m->n_sets; i++) {
        const int *h = m->sets[i].heads[0];
        double change, se;
        const int64_t n = rllc_changes_get(&m->changes, i, 0, &change, &se);
        RLLC_TRY(put_score(m, metric, h[0], h[1], change, se, n));
        RLLC_TRY(put_score(m, normalized, h[0], h[1], change / base, se / base, n));
    }
done:
    return status;
}

static rllc_status put_sets(const measurement *m) {
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < m->n_sets; i++) {
        rllc_store_measure row = {.checkpoint_id = m->task->checkpoint->id,
                                  .metric = rllc_intern_printf("ablation/%s", rllc_ablation_names[m->ablation]),
                                  .component = m->sets[i].name,
                                  .corpus = m->task->corpus->name,
                                  .json = ""};
        row.n = rllc_changes_get(&m->changes, i, 0, &row.value, &row.se);
        RLLC_TRY(rllc_store_put_measure(m->task->job->store, &row));
    }
done:
    return status;
}

static rllc_status measure_and_put(const rllc_analysis_task *t, int ablation, const rllc_head_sets *sets, bool heads,
                                   double from, double share) {
    rllc_status status = RLLC_OK;
    const rllc_ablation_options *o = &t->job->settings.ablation;
    measurement m = {.task = t,
                     .ablation = ablation,
                     .sets = sets->list,
                     .n_sets = sets->n,
                     .n_sequences = contexts(o, t->rows->rows),
                     .n_permutations = permutations(o, rllc_ablation_names[ablation])};
    RLLC_TRY(measure(&m, from, share));
    RLLC_TRY(rllc_store_begin(t->job->store));
    status = heads ? put_heads(&m) : put_sets(&m);
    if (status == RLLC_OK)
        status = rllc_store_commit(t->job->store);
    else
        rllc_store_rollback(t->job->store);
done:
    measurement_release(&m);
    return status;
}

static rllc_status run(const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    rllc_head_sets sets = {0};
    const char *list = t->job->settings.ablation.ablation_sets;
    int ablation = 0;
    if (strcmp(t->item, SETS) == 0) {
        if (!list || !*list) goto done; /* no sets: nothing to measure */
        RLLC_TRY(rllc_head_sets_parse(&sets, t->model, list));
        RLLC_TRY(measure_and_put(t, RLLC_ABLATE_ZERO, &sets, false, 0, 0.5));
        RLLC_TRY(measure_and_put(t, RLLC_ABLATE_MEAN, &sets, false, 0.5, 0.5));
        goto done;
    }
    while (strcmp(rllc_ablation_names[ablation], t->item) != 0) ablation++;
    RLLC_TRY(rllc_head_sets_single(&sets, t->model));
    RLLC_TRY(measure_and_put(t, ablation, &sets, true, 0, 1));
done:
    rllc_head_sets_release(&sets);
    return status;
}

const rllc_analysis_kind rllc_analysis_ablations = {.name = "ablations",
                                                    .flag = "ablate",
                                                    .summary = "change of the loss when a head's output is replaced",
                                                    .source = "Wang et al. 2024, arXiv 2410.02984, appendix E",
                                                    .of_corpus = true,
                                                    .checkpoints = "dozen",
    .usual = RLLC_ABLATIONS,
                                                    .sequences = SEQUENCES,
                                                    .item = item,
                                                    .identity = identity,
                                                    .cost = cost,
                                                    .run = run};
