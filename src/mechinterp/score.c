/* The registry of scores, and their evaluation at one set of weights. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mechinterp/synthetic.h"

static const rllc_option options[] = {
    RLLC_OPTION(rllc_score_options, score_samples, RLLC_INTEGER, "10000", 2, 1e9, NULL, "sequences",
                "synthetic sequences a score"),
    RLLC_OPTION(rllc_score_options, score_seed, RLLC_SEED, "0", RLLC_UNBOUNDED, NULL, "", "seed of those sequences"),
    RLLC_OPTION(rllc_score_options, score_contexts, RLLC_INTEGER, "64", 2, 1e9, NULL, "sequences",
                "sequences of the analysis split behind attention scores on text; all if it has fewer"),
    RLLC_OPTION(rllc_score_options, behaviour_contexts, RLLC_INTEGER, "1000", 2, 1e9, NULL, "sequences",
                "sequences of the analysis split behind losses and scores of the model; all if it has fewer"),
};

const rllc_option_table rllc_score_option_table = {"scores", "attention scores of heads", options,
                                                   sizeof options / sizeof options[0]};

static const rllc_head_score *const scores[] = {
#define RLLC_HEAD_SCORE(identifier) &rllc_head_score_##identifier,
#include "mechinterp/head_scores.def"
#undef RLLC_HEAD_SCORE
};

const rllc_head_score *const *rllc_head_score_list(int *n) {
    *n = (int)(sizeof scores / sizeof scores[0]);
    return scores;
}

const rllc_head_score *rllc_head_score_find(const char *name) {
    for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++)
        if (strcmp(scores[i]->name, name) == 0) return scores[i];
    return NULL;
}

/*
 * Samples are drawn POOL at a time and carried through the engine in the order of their queries, RLLC_SCORE_ROWS at a
 * time: what follows a query does not matter, so rows of such a batch end at its last one.
 */
enum { POOL = 2048 };

typedef struct sample {
    int64_t query, key;
    int32_t *tokens;
} sample;

/* Samples on their way through the engine, and the sums so far. */
typedef struct evaluation {
    const rllc_head_score *score;
    const rllc_model *model;
    int32_t bos;
    rllc_stream stream;
    int32_t *drawn;       /* [POOL, n_ctx] as sampled */
    sample *samples;      /* [POOL] */
    int32_t *tokens;      /* [ROWS, t] as the engine takes them */
    int64_t *query, *key; /* [ROWS] */
    float *attention;     /* [ROWS, heads] */
    double *square;       /* [heads] sum over samples; the sum itself stands in out->value */
    int64_t heads;
} evaluation;

static rllc_status evaluation_init(evaluation *v, const rllc_head_score *score, const rllc_model *m, int32_t bos,
                                   uint64_t seed) {
    rllc_status status = RLLC_OK;
    const rllc_model_options *o = &m->options;
    *v = (evaluation){.score = score, .model = m, .bos = bos, .heads = o->n_layers * o->n_heads};
    if (o->n_ctx < score->min_ctx || o->d_vocab < score->min_vocab)
        return rllc_fail(RLLC_EUNSUPPORTED,
                         "the score '%s' needs n_ctx >= %lld and d_vocab >= %lld; the model has %lld and "
                         "%lld",
                         score->name, (long long)score->min_ctx, (long long)score->min_vocab, (long long)o->n_ctx,
                         (long long)o->d_vocab);
    if (bos < -1 || bos >= o->d_vocab)
        return rllc_fail(RLLC_EMISMATCH, "BOS is %d, but the model's ids end at %lld", bos, (long long)o->d_vocab - 1);
    v->stream = rllc_stream_make(seed, rllc_intern_printf("score/%s", score->samples), 0, 0);
    RLLC_TRY(rllc_alloc(&v->drawn, POOL * o->n_ctx, sizeof *v->drawn));
    RLLC_TRY(rllc_alloc(&v->samples, POOL, sizeof *v->samples));
    RLLC_TRY(rllc_alloc(&v->tokens, RLLC_SCORE_ROWS * o->n_ctx, sizeof *v->tokens));
    RLLC_TRY(rllc_alloc(&v->query, RLLC_SCORE_ROWS, sizeof *v->query));
    RLLC_TRY(rllc_alloc(&v->key, RLLC_SCORE_ROWS, sizeof *v->key));
    RLLC_TRY(rllc_alloc(&v->attention, RLLC_SCORE_ROWS * v->heads, sizeof *v->attention));
    RLLC_TRY(rllc_alloc(&v->square, v->heads, sizeof *v->square));
done:
    return status;
}

static void evaluation_release(evaluation *v) {
    rllc_free(v->drawn);
    rllc_free(v->samples);
    rllc_free(v->tokens);
    rllc_free(v->query);
    rllc_free(v->key);
    rllc_free(v->attention);
    rllc_free(v->square);
}

/** Earlier queries first; equal ones in the order they were drawn, so that sums have one order. */
static int by_query(const void *a, const void *b) {
    const sample *x = a, *y = b;
    if (x->query != y->query) return x->query < y->query ? -1 : 1;
    return x->tokens < y->tokens ? -1 : x->tokens > y->tokens;
}

/** Draws samples first .. first+n-1 and sorts them. */
static void draw(evaluation *v, int64_t first, int64_t n, double *chance) {
    const rllc_model_options *o = &v->model->options;
    for (int64_t i = 0; i < n; i++) {
        sample *s = &v->samples[i];
        int64_t t;
        v->stream.step = (uint32_t)(first + i);
        s->tokens = v->drawn + i * o->n_ctx;
        v->score->sample(&v->stream, o->n_ctx, o->d_vocab, v->bos, s->tokens, &t, &s->query, &s->key);
        *chance += 1.0 / (double)(s->query + 1);
    }
    qsort(v->samples, (size_t)n, sizeof *v->samples, by_query);
}

/** Carries one batch of sorted samples through the engine. */
static rllc_status add_batch(evaluation *v, rllc_engine *e, const sample *samples, int64_t rows,
                             rllc_score_result *out) {
    rllc_status status = RLLC_OK;
    const int64_t last = samples[rows - 1].query, t = last < 1 ? 2 : last + 1;
    for (int64_t r = 0; r < rows; r++) {
        memset(v->tokens + r * t, 0, (size_t)t * sizeof *v->tokens); /* any id after the query */
        memcpy(v->tokens + r * t, samples[r].tokens, (size_t)(samples[r].query + 1) * sizeof *v->tokens);
        v->query[r] = samples[r].query;
        v->key[r] = samples[r].key;
    }
    RLLC_TRY(rllc_engine_set_context(e, t));
    RLLC_TRY(rllc_engine_attention(e, v->model->weights, v->tokens, rows, v->query, v->key, v->attention));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t h = 0; h < v->heads; h++) {
            const double a = (double)v->attention[r * v->heads + h];
            out->value[h] += a;
            v->square[h] += a * a;
        }
    out->tokens += (double)(rows * t);
done:
    return status;
}

static rllc_status add_pool(evaluation *v, rllc_engine *e, int64_t first, int64_t n, rllc_score_result *out) {
    draw(v, first, n, &out->chance);
    for (int64_t i = 0; i < n; i += RLLC_SCORE_ROWS) {
        const int64_t rows = n - i < RLLC_SCORE_ROWS ? n - i : RLLC_SCORE_ROWS;
        const rllc_status status = add_batch(v, e, v->samples + i, rows, out);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

/** Sums to means and standard errors: sqrt(sum (a - mean)^2 / (n - 1) / n). */
static rllc_status finish(const evaluation *v, int64_t n, rllc_score_result *out) {
    const double count = (double)n;
    out->chance /= count;
    for (int64_t h = 0; h < v->heads; h++) {
        const double mean = out->value[h] / count, spread = v->square[h] - count * mean * mean;
        out->value[h] = mean;
        out->se[h] = sqrt((spread > 0 ? spread : 0) / (count - 1) / count);
        if (!isfinite(mean))
            return rllc_fail(RLLC_ENOTFINITE,
                             "the score '%s' of head %lld:%lld is not finite: the weights hold a NaN or an "
                             "infinity",
                             v->score->name, (long long)(h / v->model->options.n_heads),
                             (long long)(h % v->model->options.n_heads));
    }
    return RLLC_OK;
}

rllc_status rllc_head_score_evaluate(const rllc_head_score *score, rllc_engine *e, const rllc_model *m, int32_t bos,
                                     const rllc_score_options *o, rllc_score_result *out) {
    rllc_status status = RLLC_OK;
    evaluation v;
    const int64_t n = o->score_samples;
    if (n < 2 || n > UINT32_MAX)
        return rllc_fail(RLLC_EUSAGE, "score_samples is %lld, expected 2 to 2^32-1", (long long)n);
    RLLC_TRY(evaluation_init(&v, score, m, bos, o->score_seed));
    memset(out->value, 0, (size_t)v.heads * sizeof *out->value);
    out->chance = out->tokens = 0;
    for (int64_t first = 0; first < n; first += POOL)
        RLLC_TRY(add_pool(&v, e, first, n - first < POOL ? n - first : POOL, out));
    RLLC_TRY(finish(&v, n, out));
done:
    evaluation_release(&v);
    return rllc_fail_within(status, "score '%s'", score->name);
}
