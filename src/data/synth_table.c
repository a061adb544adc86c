/* The tables of an n-gram source: seeded transition probabilities, their stationary distribution, entropies. */
#include <math.h>

#include "data/synth.h"

enum { MOST_ITERATIONS = 100000 };
static const double MOST_WORK = 2e10, UNIT = 0x1p-32;

/**
 * log of a gamma variate of shape a (Marsaglia & Tsang 2000): of shape a + 1 by rejection, times U^(1/a). s.chain is
 * the context; attempts are steps; a symbol has four numbers.
 */
static double log_gamma_variate(rllc_stream s, uint64_t symbol, double a) {
    const double d = a + 2.0 / 3.0, c = 1 / sqrt(9 * d), pi = 3.14159265358979323846;
    const double boost = log(rllc_stream_uniform(&s, 4 * symbol + 3)) / a;
    for (;; s.step++) {
        const double r = sqrt(-2 * log(rllc_stream_uniform(&s, 4 * symbol)));
        const double x = r * cos(2 * pi * rllc_stream_uniform(&s, 4 * symbol + 1)), root = 1 + c * x;
        if (root <= 0) continue;
        const double v = root * root * root;
        if (log(rllc_stream_uniform(&s, 4 * symbol + 2)) < x * x / 2 + d - d * v + d * log(v))
            return log(d * v) + boost;
    }
}

/** A row of probabilities, Dirichlet(a, ..., a), as integers >= 1 that add up to 2^32; p is scratch. */
static void draw_row(const rllc_stream *s, int64_t vocab, double a, double *p, uint32_t *count) {
    double largest = -INFINITY, sum = 0;
    int64_t at = 0;
    uint64_t rest = (uint64_t)1 << 32;
    for (int64_t v = 0; v < vocab; v++) {
        p[v] = log_gamma_variate(*s, (uint64_t)v, a);
        if (p[v] > largest) {
            largest = p[v];
            at = v;
        }
    }
    for (int64_t v = 0; v < vocab; v++) sum += p[v] = exp(p[v] - largest);
    for (int64_t v = 0; v < vocab; v++) {
        count[v] = 1 + (uint32_t)floor(p[v] / sum * (double)(((uint64_t)1 << 32) - (uint64_t)vocab));
        rest -= count[v];
    }
    count[at] += (uint32_t)rest;
}

/** next <- pi P; returns how far it moved, in L1. */
static double iterate(const rllc_data_table *t, const double *pi, double *next) {
    double moved = 0, sum = 0;
    for (int64_t c = 0; c < t->contexts; c++) next[c] = 0;
    for (int64_t c = 0, to = 0; c < t->contexts; c++, to = c * t->vocab % t->contexts)
        for (int64_t v = 0; v < t->vocab; v++) next[to + v] += pi[c] * (double)t->count[c * t->vocab + v] * UNIT;
    for (int64_t c = 0; c < t->contexts; c++) sum += next[c];
    for (int64_t c = 0; c < t->contexts; c++) {
        next[c] /= sum;
        moved += fabs(next[c] - pi[c]);
    }
    return moved;
}

/** The stationary distribution of the contexts, by iteration from the uniform one. Contexts are numbers in base V, the
 *  oldest symbol first, so the context behind c and v is (c V + v) mod V^k. */
static rllc_status find_stationary(rllc_data_table *t) {
    rllc_status status = RLLC_OK;
    double *next = NULL, *pi = t->stationary[t->order], moved = 1;
    int64_t most = (int64_t)(MOST_WORK / (double)(t->contexts * t->vocab));
    if (most > MOST_ITERATIONS) most = MOST_ITERATIONS;
    RLLC_TRY(rllc_alloc(&next, t->contexts, sizeof *next));
    for (int64_t c = 0; c < t->contexts; c++) pi[c] = 1 / (double)t->contexts;
    for (int64_t i = 0; i < most && moved > 1e-14; i++) {
        moved = iterate(t, pi, next);
        for (int64_t c = 0; c < t->contexts; c++) pi[c] = next[c];
    }
    if (moved > 1e-14) {
        status = rllc_fail(
            RLLC_EUSAGE, "markov: this table forgets its beginning too slowly for an exact entropy rate; give a larger "
                         "--concentration or another --seed");
    }
done:
    rllc_free(next);
    return status;
}

static rllc_status make_marginals(rllc_data_table *t) {
    rllc_status status = RLLC_OK;
    double sum = 0;
    for (int64_t j = t->order, n = t->contexts / t->vocab; j-- > 0; n /= t->vocab) {
        RLLC_TRY(rllc_alloc(&t->stationary[j], n, sizeof(double)));
        for (int64_t c = 0; c < n * t->vocab; c++) t->stationary[j][c / t->vocab] += t->stationary[j + 1][c];
    }
    RLLC_TRY(rllc_alloc(&t->cumulative, t->contexts, sizeof(double)));
    for (int64_t c = 0; c < t->contexts; c++) t->cumulative[c] = sum += t->stationary[t->order][c];
done:
    return status;
}

static double entropy_of(const double *p, int64_t n) {
    double entropy = 0;
    for (int64_t i = 0; i < n; i++)
        if (p[i] > 0) entropy -= p[i] * log(p[i]);
    return entropy;
}

/** The entropy rate, sum over contexts of pi(c) H(P(. | c)), and the entropies of the first tokens. (E100) */
static void set_entropies(rllc_data_table *t) {
    for (int64_t c = 0; c < t->contexts; c++) {
        double entropy = 0;
        for (int64_t v = 0; v < t->vocab; v++) {
            const double p = (double)t->count[c * t->vocab + v] * UNIT;
            entropy -= p * log(p);
        }
        t->entropy_rate += t->stationary[t->order][c] * entropy;
    }
    for (int64_t j = 0, n = 1; j <= t->order; j++, n *= t->vocab) t->block[j] = entropy_of(t->stationary[j], n);
}

rllc_status rllc_data_table_make(rllc_data_table *t, int64_t vocab, int64_t order, double concentration,
                                 uint64_t seed) {
    rllc_status status = RLLC_OK;
    double *p = NULL;
    *t = (rllc_data_table){.vocab = vocab, .order = order, .contexts = 1};
    for (int64_t j = 0; j < order && t->contexts <= 1 << 22; j++) t->contexts *= vocab;
    if (t->contexts * vocab > 1 << 22) {
        return rllc_fail(
            RLLC_EUSAGE,
            "markov: a table of %lld^%lld numbers is too large (at most 4194304); give a smaller --order or "
            "--vocab",
            (long long)vocab, (long long)order + 1);
    }
    RLLC_TRY(rllc_alloc(&p, vocab, sizeof *p));
    RLLC_TRY(rllc_alloc(&t->count, t->contexts * vocab, sizeof *t->count));
    RLLC_TRY(rllc_alloc(&t->stationary[order], t->contexts, sizeof(double)));
    for (int64_t c = 0; c < t->contexts; c++) {
        const rllc_stream s = rllc_stream_make(seed, "synth/markov/table", (uint32_t)c, 0);
        draw_row(&s, vocab, concentration, p, t->count + c * vocab);
    }
    RLLC_TRY(find_stationary(t));
    RLLC_TRY(make_marginals(t));
    set_entropies(t);
done:
    rllc_free(p);
    if (status != RLLC_OK) rllc_data_table_release(t);
    return status;
}

void rllc_data_table_release(rllc_data_table *t) {
    rllc_free(t->count);
    rllc_free(t->cumulative);
    for (size_t j = 0; j < sizeof t->stationary / sizeof *t->stationary; j++) rllc_free(t->stationary[j]);
    *t = (rllc_data_table){0};
}
