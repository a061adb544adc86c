/* dyck: brackets of several types that close in the right order, with filler between them. */
#include <math.h>

#include "data/synth.h"

struct options {
    int64_t bracket_types, max_depth;
    double filler, opening;
};

static const rllc_option rows[] = {
    RLLC_OPTION(struct options, bracket_types, RLLC_INTEGER, "4", 1, RLLC_DATA_BRACKET_TYPES, NULL, "",
                "types of brackets: ()[]{}<>"),
    RLLC_OPTION(struct options, max_depth, RLLC_INTEGER, "8", 1, 4096, NULL, "", "brackets open at once, at most"),
    RLLC_OPTION(struct options, filler, RLLC_REAL, "0.5", 0, 0.999, NULL, "",
                "share of tokens that are noise between the brackets"),
    RLLC_OPTION(struct options, opening, RLLC_REAL, "0.5", 0.001, 0.999, NULL, "",
                "probability that a bracket opens, where it may open or close"),
};
const rllc_option_table rllc_synth_dyck_option_table = {"dyck", "nested brackets (--kind dyck)", rows,
                                                        sizeof rows / sizeof *rows};

struct dyck {
    struct options o;
    int64_t vocab, n;
    double log_filler;              /* -log p of each filler token */
    double *opens, *closes;         /* [n] expected number of brackets at each place (E103) */
    double *open_nats, *close_nats; /* [n] expected sum of their -log p */
};

/** The probability that a bracket opens at this depth. */
static double opening_at(const struct dyck *s, int64_t depth) {
    return depth == 0 ? 1 : depth == s->o.max_depth ? 0 : s->o.opening;
}

static double nats_opening(const struct dyck *s, int64_t depth) {
    return -log((1 - s->o.filler) * opening_at(s, depth) / (double)s->o.bracket_types);
}

static double nats_closing(const struct dyck *s, int64_t depth) {
    return -log((1 - s->o.filler) * (1 - opening_at(s, depth)));
}

/** The law of the depth, place by place from 0 on, and what it makes of the brackets there. */
static rllc_status follow_depth(struct dyck *s) {
    rllc_status status = RLLC_OK;
    const int64_t deepest = s->o.max_depth;
    double *q = NULL, *next = NULL, *swap;
    RLLC_TRY(rllc_alloc(&q, deepest + 1, sizeof *q));
    RLLC_TRY(rllc_alloc(&next, deepest + 1, sizeof *next));
    q[0] = 1;
    for (int64_t i = 0; i < s->n; i++) {
        for (int64_t d = 0; d <= deepest; d++) next[d] = q[d] * s->o.filler;
        for (int64_t d = 0; d <= deepest; d++) {
            const double open = q[d] * (1 - s->o.filler) * opening_at(s, d), close = q[d] * (1 - s->o.filler) - open;
            if (d < deepest) {
                next[d + 1] += open;
                s->opens[i] += open;
                s->open_nats[i] += open * nats_opening(s, d);
            }
            if (d > 0) {
                next[d - 1] += close;
                s->closes[i] += close;
                s->close_nats[i] += close * nats_closing(s, d);
            }
        }
        swap = q;
        q = next;
        next = swap;
    }
done:
    rllc_free(q);
    rllc_free(next);
    return status;
}

static void release(void *state) {
    struct dyck *s = state;
    rllc_free(s->opens);
    rllc_free(s->closes);
    rllc_free(s->open_nats);
    rllc_free(s->close_nats);
    rllc_free(s);
}

static rllc_status prepare(void **state, const rllc_synth_settings *settings, const void *options, int64_t n) {
    rllc_status status = RLLC_OK;
    struct dyck *s = NULL;
    RLLC_TRY(rllc_alloc(&s, 1, sizeof *s));
    *s = (struct dyck){.o = *(const struct options *)options, .vocab = settings->common.vocab, .n = n};
    s->log_filler = log((double)s->vocab / s->o.filler); /* infinite without filler, and then never used */
    RLLC_TRY(rllc_alloc(&s->opens, n, sizeof *s->opens));
    RLLC_TRY(rllc_alloc(&s->closes, n, sizeof *s->closes));
    RLLC_TRY(rllc_alloc(&s->open_nats, n, sizeof *s->open_nats));
    RLLC_TRY(rllc_alloc(&s->close_nats, n, sizeof *s->close_nats));
    RLLC_TRY(follow_depth(s));
    *state = s;
    s = NULL;
done:
    if (s) release(s);
    return status;
}

static size_t scratch(const void *state) {
    return (size_t)((const struct dyck *)state)->o.max_depth;
}

static void set(rllc_data_piece *p, int64_t i, int64_t symbol, rllc_label label, double nats) {
    p->symbols[i] = (uint8_t)symbol;
    p->labels[i] = (uint8_t)label;
    p->optimum[i] = (float)nats;
}

static void generate(const void *state, rllc_data_piece *p) {
    const struct dyck *s = state;
    const rllc_stream what = rllc_data_lane(p, 0), which = rllc_data_lane(p, 1);
    uint8_t *open = p->scratch; /* types of the brackets that are open */
    int64_t depth = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const double u = rllc_stream_uniform(&what, (uint64_t)i), f = s->o.filler;
        if (u < f) {
            set(p, i, (int64_t)rllc_stream_below(&which, (uint64_t)i, (uint64_t)s->vocab), RLLC_LABEL_FILLER,
                s->log_filler);
        } else if (depth == 0 || (depth < s->o.max_depth && u < f + (1 - f) * s->o.opening)) {
            const uint8_t type = (uint8_t)rllc_stream_below(&which, (uint64_t)i, (uint64_t)s->o.bracket_types);
            set(p, i, RLLC_DATA_BRACKETS + 2 * type, RLLC_LABEL_OPENING_BRACKET, nats_opening(s, depth));
            open[depth++] = type;
        } else {
            const double nats = nats_closing(s, depth);
            set(p, i, RLLC_DATA_BRACKETS + 2 * open[--depth] + 1, RLLC_LABEL_CLOSING_BRACKET, nats);
        }
    }
}

static void expect(const void *state, int64_t n, double weight, rllc_synth_truth *truth) {
    const struct dyck *s = state;
    const double filler = weight * (double)n * s->o.filler;
    for (int64_t i = 0; i < n; i++) {
        truth->tokens[RLLC_LABEL_OPENING_BRACKET] += weight * s->opens[i];
        truth->tokens[RLLC_LABEL_CLOSING_BRACKET] += weight * s->closes[i];
        truth->optimum[RLLC_LABEL_OPENING_BRACKET] += weight * s->open_nats[i];
        truth->optimum[RLLC_LABEL_CLOSING_BRACKET] += weight * s->close_nats[i];
    }
    truth->tokens[RLLC_LABEL_FILLER] += filler;
    if (filler > 0) truth->optimum[RLLC_LABEL_FILLER] += filler * s->log_filler;
}

const rllc_synth_kind rllc_synth_dyck_kind = {
    .name = "dyck",
    .summary = "brackets of several types that close in the right order, filler between them",
    .options = &rllc_synth_dyck_option_table,
    .options_size = sizeof(struct options),
    .prepare = prepare,
    .release = release,
    .scratch = scratch,
    .generate = generate,
    .expect = expect};
