/* The transformer without layers, softmax(W_E W_U): its real embedding, unembedding and cross-entropy. */
#include <math.h>
#include <string.h>

#include "analytic.h"

/**
 * The truth gives token x < rank its own successor x with weight 2, every other successor with weight 1, and x itself with
 * the sum of its row: all probabilities are ratios of small integers, so a batch with every pair as often as its weight is
 * the population. w* = log 2 (I_rank + 0) split over W_E and W_U fits it exactly.
 */
struct options {
    int64_t vocab, d_model, rank;
};

static const rllc_option rows[] = {
    RLLC_OPTION(struct options, vocab, RLLC_INTEGER, "3", 2, 1000, NULL, "", "tokens V"),
    RLLC_OPTION(struct options, d_model, RLLC_INTEGER, "1", 1, 1000, NULL, "", "width d"),
    RLLC_OPTION(struct options, rank, RLLC_INTEGER, "0", 0, 1000, NULL, "",
                "rank of the true centred logits; 0 = uniform truth"),
};
const rllc_option_table rllc_bigram_option_table = {"bigram", "L = cross-entropy of softmax(W_E W_U)", rows,
                                                    sizeof rows / sizeof *rows};

struct bigram {
    rllc_model model;
    rllc_engine *engine;
    rllc_component component; /* W_E and W_U */
    int64_t rank, n;          /* pairs in use */
    int32_t *tokens, *all;    /* [n, 2] in use; the sample or the population */
    float *free, *gradient;   /* [dim] */
};

static rllc_status evaluate(rllc_analytic_model *m, const double *w, double *loss, double *gradient) {
    struct bigram *b = m->data;
    for (int64_t i = 0; i < m->dim; i++) b->free[i] = (float)w[i];
    rllc_member member = {.component = &b->component, .free = b->free, .gradient = gradient ? b->gradient : NULL};
    const rllc_status status =
        rllc_engine_lockstep(b->engine, b->model.weights, b->tokens, b->n, &member, 1, NULL, NULL);
    *loss = member.loss;
    for (int64_t i = 0; gradient && i < m->dim; i++) gradient[i] = (double)b->gradient[i];
    return status;
}

static rllc_status select_rows(rllc_analytic_model *m, int64_t n, const int64_t *rows_selected) {
    struct bigram *b = m->data;
    b->n = n;
    for (int64_t i = 0; i < n; i++) memcpy(b->tokens + 2 * i, b->all + 2 * rows_selected[i], 2 * sizeof *b->tokens);
    return RLLC_OK;
}

/** Everything: reduced rank. W_E alone: its rows meet W_U's centred rows, of full rank; W_U alone likewise. */
static rllc_status coefficient(const rllc_analytic_model *m, const double *w, const bool *moves,
                               rllc_coefficient *out) {
    const struct bigram *b = m->data;
    const int64_t V = b->model.options.d_vocab, d = b->model.options.d_model, split = m->blocks[0].n;
    *out = (rllc_coefficient){NAN, 0};
    for (int64_t i = 0; i < m->dim; i++)
        if (w[i] != m->point[i] || moves[i] != moves[i < split ? 0 : split]) return RLLC_OK;
    if (moves[0] && moves[split]) return rllc_coefficient_bigram(V, d, b->rank, out);
    *out = rllc_coefficient_rank(moves[0] ? b->rank * V : moves[split] ? b->rank * (V - 1) : 0);
    return RLLC_OK;
}

static rllc_status gibbs(const rllc_analytic_model *m, const rllc_sampler_options *o, double *mean) {
    const struct bigram *b = m->data;
    if (b->rank > 0 || b->model.options.d_model != 1)
        return rllc_fail(RLLC_EUNSUPPORTED, "the integral is done for d_model 1 and a uniform truth");
    const rllc_status status = rllc_analytic_unbounded(o);
    return status != RLLC_OK ? status : rllc_gibbs_bigram(b->model.options.d_vocab, o->nbeta, o->localization, mean);
}

static void release(rllc_analytic_model *m) {
    struct bigram *b = m->data;
    rllc_engine_free(b->engine);
    rllc_component_release(&b->component);
    rllc_model_release(&b->model);
    rllc_free(b->tokens);
    rllc_free(b->free);
    rllc_free(b);
}

/** Every pair as often as its weight; returns their number, with tokens NULL it only counts. */
static int64_t population(int64_t V, int64_t rank, int32_t *tokens) {
    int64_t n = 0;
    for (int64_t x = 0; x < V; x++)
        for (int64_t y = 0; y < V; y++)
            for (int64_t k = 0; k < (x < rank && x == y ? 2 : 1); k++, n++)
                if (tokens) tokens[2 * n] = (int32_t)x, tokens[2 * n + 1] = (int32_t)y;
    return n;
}

static rllc_status make_model(struct bigram *b, const struct options *o, int64_t rows_most) {
    rllc_model_options shape;
    rllc_status status = RLLC_OK;
    rllc_options_default(&rllc_model_option_table, &shape);
    shape.n_layers = 0;
    shape.d_model = o->d_model;
    shape.n_heads = shape.d_head = 1;
    shape.n_ctx = 2;
    shape.d_vocab = o->vocab;
    shape.normalization = RLLC_NORM_NULL;
    RLLC_TRY(rllc_model_init(&b->model, &shape)); /* b_U stays 0 and does not move */
    RLLC_TRY(rllc_component_parse(&b->component, &b->model, "embed.W_E+unembed.W_U"));
    RLLC_TRY(rllc_engine_new(&b->engine, &b->model, rows_most, 1));
done:
    return status;
}

static rllc_status fill_pairs(struct bigram *b, const struct options *o, const rllc_analytic_sample *sample,
                              int64_t count) {
    const int64_t n = sample->n ? sample->n : count;
    rllc_status status = RLLC_OK;
    int32_t *pairs = NULL;
    RLLC_TRY(rllc_alloc(&b->tokens, 4 * n, sizeof *b->tokens));
    RLLC_TRY(rllc_alloc(&pairs, 2 * count, sizeof *pairs));
    b->all = b->tokens + 2 * n;
    b->n = n;
    population(o->vocab, o->rank, pairs);
    const rllc_stream s = rllc_stream_make(sample->seed, "sample/pairs", 0, 0);
    for (int64_t i = 0; i < n; i++) {
        const uint64_t pick = sample->n ? rllc_stream_below(&s, (uint64_t)i, (uint64_t)count) : (uint64_t)i;
        memcpy(b->all + 2 * i, pairs + 2 * pick, 2 * sizeof *pairs);
        memcpy(b->tokens + 2 * i, pairs + 2 * pick, 2 * sizeof *pairs);
    }
done:
    rllc_free(pairs);
    return status;
}

static rllc_status make(rllc_analytic_model *m, const void *options, const rllc_analytic_sample *sample) {
    const struct options *o = options;
    struct bigram *b = NULL;
    rllc_coefficient unused;
    rllc_status status = RLLC_OK;
    const int64_t V = o->vocab, d = o->d_model, count = population(V, o->rank, NULL);
    RLLC_TRY(rllc_coefficient_bigram(V, d, o->rank, &unused)); /* does the rank fit? */
    if (sample->noise > 0) return rllc_fail(RLLC_EUSAGE, "--sample-noise has no meaning for tokens");
    RLLC_TRY(rllc_alloc(&b, 1, sizeof *b));
    *m = (rllc_analytic_model){.data = b,
                               .free = release,
                               .evaluate = evaluate,
                               .select = select_rows,
                               .coefficient = coefficient,
                               .gibbs = gibbs};
    b->rank = o->rank;
    RLLC_TRY(make_model(b, o, sample->n > count ? sample->n : count));
    RLLC_TRY(fill_pairs(b, o, sample, count));
    RLLC_TRY(rllc_analytic_model_shape(m, 2 * V * d, 2));
    RLLC_TRY(rllc_alloc(&b->free, 2 * m->dim, sizeof *b->free));
    b->gradient = b->free + m->dim;
    m->blocks[0] = (rllc_analytic_block){"W_E", 0, V * d, false};
    m->blocks[1] = (rllc_analytic_block){"W_U", V * d, d * V, false};
    for (int64_t i = 0; i < o->rank; i++) m->point[i * d + i] = 1, m->point[V * d + i * V + i] = (double)(float)log(2);
done:
    return status;
}

const rllc_analytic_kind rllc_analytic_bigram = {
    .name = "bigram",
    .summary = "the transformer without layers: the real model code on a known answer",
    .options = &rllc_bigram_option_table,
    .size = sizeof(struct options),
    .make = make};
