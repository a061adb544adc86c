/* The analysis of tokens in context: the predictions that suffer most without a head, and where it looks at them. */
#include "mechinterp/contexts.h"

#include <stdlib.h>
#include <string.h>

#include "mechinterp/heads.h"

/* Part of the identity of what is stored: raise it when the arithmetic or the labels change. */
#define CONTEXTS_VERSION 1

static const rllc_option options[] = {
    RLLC_OPTION(rllc_context_options, context_sequences, RLLC_INTEGER, "1000", 1, 1e9, NULL, "sequences",
                "sequences of the analysis split that are looked at, evenly spread; all if it has fewer"),
    RLLC_OPTION(rllc_context_options, context_records, RLLC_INTEGER, "1000", 1, 1e6, NULL, "predictions",
                "predictions kept of a head: those that suffer most without it"),
    RLLC_OPTION(rllc_context_options, context_per_sequence, RLLC_INTEGER, "4", 1, RLLC_TOP_OF_SEQUENCE, NULL,
                "predictions", "of these from one sequence, at most"),
    RLLC_OPTION(rllc_context_options, context_occurrences, RLLC_INTEGER, "1", 1, 1e6, NULL, "",
                "times that a multigram occurs, at least, to be counted"),
    RLLC_OPTION(rllc_context_options, context_points, RLLC_INTEGER, "24", 1, 1000, NULL, "",
                "points of the curve of different multigrams by number of records"),
    RLLC_OPTION(rllc_context_options, context_gaps, RLLC_BOOLEAN, "true", RLLC_UNBOUNDED, NULL, "",
                "skip n-grams that differ in the length of their gap are different multigrams"),
};

const rllc_option_table rllc_context_option_table = {"contexts", "tokens in context", options,
                                                     sizeof options / sizeof options[0]};

enum {
    SEQUENCES = 8,       /* a call of the engine */
    ATTENTION = 32 << 20 /* numbers of attention held at a time: 128 MiB */
};

static const char *item(int i) {
    return i <= RLLC_ABLATE_MEAN ? rllc_ablation_names[i] : NULL;
}

static const char *identity(const rllc_analysis_job *job) {
    const rllc_context_options *o = &job->settings.context;
    return rllc_intern_printf("contexts/%d sequences %lld records %lld per sequence %lld occurrences %lld points %lld "
                              "gaps %d",
                              CONTEXTS_VERSION, (long long)o->context_sequences, (long long)o->context_records,
                              (long long)o->context_per_sequence, (long long)o->context_occurrences,
                              (long long)o->context_points, o->context_gaps);
}

static int64_t sequences(const rllc_context_options *o, int64_t rows) {
    return rows < o->context_sequences ? rows : o->context_sequences;
}

/* Of one head, and of the attention rows it needs. */
static int64_t most_records(const rllc_context_options *o, int64_t rows) {
    const int64_t n = sequences(o, rows) * o->context_per_sequence;
    return n < o->context_records ? n : o->context_records;
}

/** A pass for the losses, and one for the attention of what is kept; means take another. */
static void cost(const rllc_analysis_job *job, const rllc_model *shape, const char *name, int64_t rows, double *tokens,
                 double *flops) {
    const rllc_context_options *c = &job->settings.context;
    const rllc_model_options *o = &shape->options;
    const double n = (double)(sequences(c, rows) * o->n_ctx), heads = (double)(o->n_layers * o->n_heads),
                 passes = strcmp(name, rllc_ablation_names[RLLC_ABLATE_MEAN]) == 0 ? 3 : 2;
    double each = 0;
    for (int64_t l = 0; l < o->n_layers; l++) each += (double)o->n_heads * rllc_ablation_flops(shape, l);
    *tokens = n * passes;
    *flops = n * (passes * rllc_model_flops(shape) + each) +
             heads * (double)most_records(c, rows) * (double)(o->n_ctx * o->d_head); /* half of the keys, 2 D each */
}

/* ---- which predictions ---------------------------------------------------------------------------------------- */

/* The batch in hand, and what is kept of every head. */
typedef struct measurement {
    const rllc_analysis_task *task;
    int64_t n_sequences, n_heads;
    rllc_head_sets sets;
    rllc_ablator *ablator;
    rllc_delimiters delimiters;
    rllc_top *tops;       /* [heads] */
    int32_t *tokens;      /* [SEQUENCES, T] */
    float *base, *losses; /* [SEQUENCES, T-1]; [heads, SEQUENCES, T-1] */
    float **ablated;      /* [heads] into losses */
} measurement;

static rllc_status measurement_init(measurement *m, const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    const rllc_context_options *o = &t->job->settings.context;
    const int64_t T = t->model->options.n_ctx, size = SEQUENCES * (T - 1);
    const bool mean = strcmp(t->item, rllc_ablation_names[RLLC_ABLATE_MEAN]) == 0;
    *m = (measurement){.task = t, .n_sequences = sequences(o, t->rows->rows)};
    RLLC_TRY(rllc_head_sets_single(&m->sets, t->model));
    m->n_heads = m->sets.n;
    RLLC_TRY(rllc_alloc(&m->tops, m->n_heads, sizeof *m->tops));
    for (int64_t h = 0; h < m->n_heads; h++) RLLC_TRY(rllc_top_init(&m->tops[h], most_records(o, t->rows->rows)));
    RLLC_TRY(rllc_delimiters_from_tokenizer(&m->delimiters, t->tokenizer, (int32_t)t->job->bos));
    RLLC_TRY(rllc_alloc(&m->tokens, SEQUENCES * T, sizeof *m->tokens));
    RLLC_TRY(rllc_alloc(&m->base, size, sizeof *m->base));
    RLLC_TRY(rllc_alloc(&m->losses, m->n_heads * size, sizeof *m->losses));
    RLLC_TRY(rllc_alloc(&m->ablated, m->n_heads, sizeof *m->ablated));
    for (int64_t h = 0; h < m->n_heads; h++) m->ablated[h] = m->losses + h * size;
    RLLC_TRY(rllc_ablator_new(&m->ablator, mean ? RLLC_ABLATE_MEAN : RLLC_ABLATE_ZERO, t->engine, t->model, SEQUENCES,
                              t->rows, m->n_sequences));
done:
    return status;
}

static void measurement_release(measurement *m) {
    for (int64_t h = 0; m->tops && h < m->n_heads; h++) rllc_top_release(&m->tops[h]);
    rllc_head_sets_release(&m->sets);
    rllc_ablator_free(m->ablator);
    rllc_delimiters_release(&m->delimiters);
    rllc_free(m->tops);
    rllc_free(m->tokens);
    rllc_free(m->base);
    rllc_free(m->losses);
    rllc_free(m->ablated);
}

/* Sequence i is this row of the split. */
static int64_t row_of(const measurement *m, int64_t i) {
    return rllc_spread(i, m->n_sequences, m->task->rows->rows);
}

static rllc_status add_batch(measurement *m, int64_t first, int64_t rows) {
    rllc_status status = RLLC_OK;
    const int64_t T = m->task->model->options.n_ctx, per_sequence = m->task->job->settings.context.context_per_sequence;
    for (int64_t r = 0; r < rows; r++) rllc_rows_get(m->task->rows, row_of(m, first + r), m->tokens + r * T);
    RLLC_TRY(rllc_ablator_losses(m->ablator, m->tokens, rows, 0, m->sets.list, m->sets.n, m->base, m->ablated));
    for (int64_t h = 0; h < m->n_heads; h++)
        for (int64_t r = 0; r < rows; r++)
            RLLC_TRY(rllc_top_add(&m->tops[h], per_sequence, row_of(m, first + r), T - 1, m->base + r * (T - 1),
                                  m->ablated[h] + r * (T - 1)));
done:
    return status;
}

static rllc_status select_records(measurement *m) {
    rllc_status status = RLLC_OK;
    for (int64_t first = 0; first < m->n_sequences; first += SEQUENCES) {
        const int64_t left = m->n_sequences - first;
        RLLC_TRY(add_batch(m, first, left < SEQUENCES ? left : SEQUENCES));
        RLLC_TRY(rllc_analysis_progress(m->task, 0.8 * (double)first / (double)m->n_sequences));
    }
    for (int64_t h = 0; h < m->n_heads; h++) rllc_top_sort(&m->tops[h]);
done:
    return status;
}

/* ---- where the heads look --------------------------------------------------------------------------------------- */

/* Heads whose attention is held together. */
typedef struct group {
    int64_t first, n;        /* heads */
    int64_t n_rows;          /* records of all of them */
    rllc_attention_row *row; /* [n_rows] of the heads in turn; by sequence while the engine fills them */
    float **attention;       /* [n_rows] of the heads in turn */
    float *numbers;          /* that they point into */
} group;

static int64_t attention_of(const rllc_top *t) {
    int64_t n = 0;
    for (int64_t i = 0; i < t->n; i++) n += t->list[i].position + 1;
    return n;
}

/* As many heads as there is room for, at least one. */
static rllc_status group_init(group *g, const measurement *m, int64_t first) {
    rllc_status status = RLLC_OK;
    int64_t size = 0, i = 0;
    *g = (group){.first = first};
    while (first + g->n < m->n_heads) {
        const rllc_top *t = &m->tops[first + g->n];
        if (g->n && size + attention_of(t) > ATTENTION) break;
        size += attention_of(t);
        g->n_rows += t->n;
        g->n++;
    }
    RLLC_TRY(rllc_alloc(&g->row, g->n_rows, sizeof *g->row));
    RLLC_TRY(rllc_alloc(&g->attention, g->n_rows, sizeof *g->attention));
    RLLC_TRY(rllc_alloc(&g->numbers, size, sizeof *g->numbers));
    size = 0;
    for (int64_t h = first; h < first + g->n; h++)
        for (int64_t r = 0; r < m->tops[h].n; r++, i++) {
            const rllc_affected *x = &m->tops[h].list[r];
            g->attention[i] = g->numbers + size;
            g->row[i] = (rllc_attention_row){.sequence = x->sequence,
                                             .layer = m->sets.list[h].heads[0][0],
                                             .head = m->sets.list[h].heads[0][1],
                                             .query = x->position,
                                             .attention = g->attention[i]};
            size += x->position + 1;
        }
done:
    return status;
}

static void group_release(group *g) {
    rllc_free(g->row);
    rllc_free(g->attention);
    rllc_free(g->numbers);
}

static int by_sequence(const void *a, const void *b) {
    const rllc_attention_row *x = a, *y = b;
    if (x->sequence != y->sequence) return x->sequence < y->sequence ? -1 : 1;
    return x->attention < y->attention ? -1 : x->attention > y->attention;
}

/* The rows of patterns, SEQUENCES of the sequences that have any at a time. */
static rllc_status fill_attention(const measurement *m, group *g) {
    rllc_status status = RLLC_OK;
    const int64_t T = m->task->model->options.n_ctx;
    qsort(g->row, (size_t)g->n_rows, sizeof *g->row, by_sequence);
    for (int64_t i = 0, end; i < g->n_rows; i = end) {
        int64_t rows = 0, last = -1;
        for (end = i; end < g->n_rows; end++) {
            if (g->row[end].sequence != last) {
                if (rows == SEQUENCES) break;
                last = g->row[end].sequence;
                rllc_rows_get(m->task->rows, last, m->tokens + rows++ * T);
            }
            g->row[end].sequence = rows - 1; /* in the batch */
        }
        RLLC_TRY(
            rllc_engine_attention_rows(m->task->engine, m->task->model->weights, m->tokens, rows, g->row + i, end - i));
        RLLC_TRY(rllc_analysis_progress(
            m->task,
            0.8 + 0.2 * ((double)g->first + (double)g->n * (double)end / (double)g->n_rows) / (double)m->n_heads));
    }
done:
    return status;
}

static rllc_status put_group(const measurement *m, const group *g) {
    rllc_status status = RLLC_OK;
    float **attention = g->attention;
    RLLC_TRY(rllc_store_begin(m->task->job->store));
    for (int64_t h = g->first; h < g->first + g->n && status == RLLC_OK; h++) {
        const rllc_head_records records = {.layer = m->sets.list[h].heads[0][0],
                                           .head = m->sets.list[h].heads[0][1],
                                           .list = m->tops[h].list,
                                           .attention = attention,
                                           .n = m->tops[h].n,
                                           .sequences = m->n_sequences};
        status = rllc_contexts_put(m->task, &m->delimiters, &records);
        attention += m->tops[h].n;
    }
    if (status == RLLC_OK)
        status = rllc_store_commit(m->task->job->store);
    else
        rllc_store_rollback(m->task->job->store);
done:
    return status;
}

static rllc_status run(const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    measurement m;
    group g = {0};
    RLLC_TRY(measurement_init(&m, t));
    RLLC_TRY(select_records(&m));
    for (int64_t first = 0; first < m.n_heads; first += g.n) {
        group_release(&g);
        RLLC_TRY(group_init(&g, &m, first));
        RLLC_TRY(fill_attention(&m, &g));
        RLLC_TRY(put_group(&m, &g));
    }
done:
    group_release(&g);
    measurement_release(&m);
    return status;
}

const rllc_analysis_kind rllc_analysis_contexts = {
    .name = "contexts",
    .flag = "contexts",
    .summary = "the predictions that suffer most without a head, where it looks at them, and what they rest on",
    .source = "Wang et al. 2024, arXiv 2410.02984, appendix B",
    .of_corpus = true,
    .checkpoints = "two",
    .usual = 1,
    .sequences = SEQUENCES,
    .item = item,
    .identity = identity,
    .cost = cost,
    .run = run};
