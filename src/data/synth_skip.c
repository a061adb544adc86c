/* skip: a token is decided by the one `lag` places back, but for some noise. */
#include <math.h>

#include "data/synth.h"

enum { COPY, PERMUTATION };

struct options {
    int64_t lag;
    double error;
    int map;
};

static const rllc_option rows[] = {
    RLLC_OPTION(struct options, lag, RLLC_INTEGER, "2", 1, 65536, NULL, "tokens",
                "how far back the deciding token stands"),
    RLLC_OPTION(struct options, error, RLLC_REAL, "0.1", 0, 1, NULL, "",
                "share of tokens drawn at random instead (they may be right by chance)"),
    RLLC_OPTION(struct options, map, RLLC_CHOICE, "copy", RLLC_UNBOUNDED, "copy,permutation", "",
                "the decided token: the same, or its image under a fixed random permutation"),
};
const rllc_option_table rllc_synth_skip_option_table = {"skip", "copies from a fixed distance (--kind skip)", rows,
                                                        sizeof rows / sizeof *rows};

struct skip {
    struct options o;
    int64_t vocab;
    uint8_t image[RLLC_DATA_PLAIN]; /* [vocab] */
    double right, wrong;            /* -log of the probability of the decided symbol, of each other one (E101) */
};

static rllc_status prepare(void **state, const rllc_synth_settings *settings, const void *options, int64_t n) {
    struct skip *s;
    const struct options *o = options;
    const int64_t v = settings->common.vocab;
    if (o->lag >= n) {
        return rllc_fail(RLLC_EUSAGE, "skip: a lag of %lld leaves nothing to copy in %lld tokens; give a smaller --lag",
                         (long long)o->lag, (long long)n);
    }
    rllc_status status = rllc_alloc(&s, 1, sizeof *s);
    if (status != RLLC_OK) return status;
    *s = (struct skip){.o = *o, .vocab = v};
    const rllc_stream key = rllc_stream_make(settings->common.seed, "synth/skip/permutation", 0, 0);
    const uint64_t word = (uint64_t)rllc_stream_u32(&key, 0) << 32 | rllc_stream_u32(&key, 1);
    for (int64_t i = 0; i < v; i++)
        s->image[i] = (uint8_t)(o->map == COPY ? (uint64_t)i : rllc_permute((uint64_t)i, (uint64_t)v, word));
    s->right = -log1p(-o->error * (double)(v - 1) / (double)v);
    s->wrong = log((double)v / o->error); /* infinite without noise, and then never used */
    *state = s;
    return RLLC_OK;
}

static void generate(const void *state, rllc_data_piece *p) {
    const struct skip *s = state;
    const rllc_stream noise = rllc_data_lane(p, 0), symbols = rllc_data_lane(p, 1);
    for (int64_t i = 0; i < p->n; i++) {
        const bool free = i < s->o.lag, drawn = free || rllc_stream_uniform(&noise, (uint64_t)i) < s->o.error;
        const uint8_t decided = free ? 0 : s->image[p->symbols[i - s->o.lag]];
        p->symbols[i] = drawn ? (uint8_t)rllc_stream_below(&symbols, (uint64_t)i, (uint64_t)s->vocab) : decided;
        const bool right = !free && p->symbols[i] == decided;
        p->labels[i] = right ? RLLC_LABEL_SKIP_N_GRAM : RLLC_LABEL_NONE;
        p->optimum[i] = (float)(free ? log((double)s->vocab) : right ? s->right : s->wrong);
    }
}

/** The cross-entropy of a token that is decided (E101). */
static double copy_entropy(const struct skip *s) {
    const double v = (double)s->vocab, e = s->o.error;
    return exp(-s->right) * s->right + (e > 0 ? (v - 1) * (e / v) * s->wrong : 0);
}

static void expect(const void *state, int64_t n, double weight, rllc_synth_truth *truth) {
    const struct skip *s = state;
    const double free = (double)(n < s->o.lag ? n : s->o.lag), decided = (double)n - free, right = exp(-s->right);
    truth->tokens[RLLC_LABEL_SKIP_N_GRAM] += weight * decided * right;
    truth->tokens[RLLC_LABEL_NONE] += weight * (free + decided * (1 - right));
    truth->optimum[RLLC_LABEL_SKIP_N_GRAM] += weight * decided * right * s->right;
    truth->optimum[RLLC_LABEL_NONE] +=
        weight * (free * log((double)s->vocab) + decided * (copy_entropy(s) - right * s->right));
}

static rllc_status facts(const void *state, rllc_json *j) {
    return rllc_json_set(j, "copy_entropy", rllc_json_real(copy_entropy(state)));
}

const rllc_synth_kind rllc_synth_skip_kind = {
    .name = "skip",
    .summary = "a token is decided by the one some places back, but for some noise: skip n-grams",
    .options = &rllc_synth_skip_option_table,
    .options_size = sizeof(struct options),
    .prepare = prepare,
    .generate = generate,
    .expect = expect,
    .facts = facts};
