/* markov: an n-gram source; the next token is drawn from a seeded table, given the `order` tokens before it. */
#include <math.h>

#include "data/synth.h"

struct options {
    int64_t order;
    double concentration;
};

static const rllc_option rows[] = {
    RLLC_OPTION(struct options, order, RLLC_INTEGER, "1", 1, 8, NULL, "tokens",
                "tokens that decide the next one: 1 = bigrams, 2 = trigrams"),
    RLLC_OPTION(struct options, concentration, RLLC_REAL, "0.3", 0.001, 1e6, NULL, "",
                "of the Dirichlet law of each context's probabilities: small = few successors, large = nearly uniform"),
};
const rllc_option_table rllc_synth_markov_option_table = {"markov", "n-grams (--kind markov)", rows,
                                                          sizeof rows / sizeof *rows};

static void release(void *state) {
    rllc_data_table_release(state);
    rllc_free(state);
}

static rllc_status prepare(void **state, const rllc_synth_settings *settings, const void *options, int64_t n) {
    rllc_status status = RLLC_OK;
    const struct options *o = options;
    rllc_data_table *t = NULL;
    if (o->order >= n) {
        return rllc_fail(RLLC_EUSAGE,
                         "markov: %lld tokens are too few for a source of order %lld; give a smaller --order",
                         (long long)n, (long long)o->order);
    }
    RLLC_TRY(rllc_alloc(&t, 1, sizeof *t));
    RLLC_TRY(rllc_data_table_make(t, settings->common.vocab, o->order, o->concentration, settings->common.seed));
    *state = t;
    t = NULL;
done:
    rllc_free(t);
    return status;
}

/** The first context whose cumulative probability exceeds u. */
static int64_t draw_context(const rllc_data_table *t, double u) {
    int64_t low = 0, high = t->contexts - 1;
    u *= t->cumulative[high];
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (t->cumulative[middle] > u) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/** The first `order` tokens: a context in equilibrium, so that all places have the same law. */
static int64_t begin(const rllc_data_table *t, rllc_data_piece *p) {
    const rllc_stream start = rllc_data_lane(p, 0);
    const int64_t context = draw_context(t, rllc_stream_uniform(&start, 0));
    int64_t scale = t->contexts, before = 0;
    for (int64_t i = 0; i < t->order; i++) {
        scale /= t->vocab;
        const int64_t prefix = context / scale;
        p->symbols[i] = (uint8_t)(prefix % t->vocab);
        p->labels[i] = RLLC_LABEL_NONE;
        p->optimum[i] = (float)log(t->stationary[i][before] / t->stationary[i + 1][prefix]);
        before = prefix;
    }
    return context;
}

static void generate(const void *state, rllc_data_piece *p) {
    const rllc_data_table *t = state;
    const rllc_stream draws = rllc_data_lane(p, 1);
    int64_t context = begin(t, p);
    for (int64_t i = t->order; i < p->n; i++) {
        const uint32_t *count = t->count + context * t->vocab;
        uint64_t u = rllc_stream_u32(&draws, (uint64_t)i);
        int64_t v = 0;
        for (; u >= count[v]; v++) u -= count[v]; /* ends: the counts add up to 2^32 > u */
        p->symbols[i] = (uint8_t)v;
        p->labels[i] = RLLC_LABEL_N_GRAM;
        p->optimum[i] = (float)-log((double)count[v] * 0x1p-32);
        context = (context * t->vocab + v) % t->contexts;
    }
}

static void expect(const void *state, int64_t n, double weight, rllc_synth_truth *truth) {
    const rllc_data_table *t = state;
    const int64_t first = n < t->order ? n : t->order;
    truth->tokens[RLLC_LABEL_NONE] += weight * (double)first;
    truth->tokens[RLLC_LABEL_N_GRAM] += weight * (double)(n - first);
    truth->optimum[RLLC_LABEL_NONE] += weight * t->block[first];
    truth->optimum[RLLC_LABEL_N_GRAM] += weight * (double)(n - first) * t->entropy_rate;
}

static rllc_status facts(const void *state, rllc_json *j) {
    const rllc_data_table *t = state;
    rllc_status status = rllc_json_set(j, "entropy_rate", rllc_json_real(t->entropy_rate));
    if (status != RLLC_OK) return status;
    return rllc_json_set(j, "unigram_entropy", rllc_json_real(t->block[1]));
}

const rllc_synth_kind rllc_synth_markov_kind = {.name = "markov",
                                                .summary = "n-grams from a seeded table, with their exact entropy rate",
                                                .options = &rllc_synth_markov_option_table,
                                                .options_size = sizeof(struct options),
                                                .prepare = prepare,
                                                .release = release,
                                                .generate = generate,
                                                .expect = expect,
                                                .facts = facts};
