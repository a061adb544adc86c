/* repeat: noise in which a span comes a second time. What a reader of the row can know of it is followed exactly. */
#include <math.h>
#include <string.h>

#include "data/synth.h"

struct options {
    int64_t span_min, span_max;
};

static const rllc_option rows[] = {
    RLLC_OPTION(struct options, span_min, RLLC_INTEGER, "8", 1, 65536, NULL, "tokens",
                "shortest span that is repeated"),
    RLLC_OPTION(struct options, span_max, RLLC_INTEGER, "0", 0, 65536, NULL, "tokens",
                "longest span; 0 = half of the row or segment"),
};
const rllc_option_table rllc_synth_repeat_option_table = {"repeat", "a span comes twice (--kind repeat)", rows,
                                                          sizeof rows / sizeof *rows};

/**
 * Tokens a .. a+L-1 come again at b .. b+L-1: L uniform in low..high, b uniform in L..n-L, a uniform in 0..b-L.
 * Everything else is uniform over V symbols.
 */
struct repeat {
    int64_t vocab, n, low, high;
    double log_vocab;
    double *prior;   /* [n + 1, high + 1]: p(L', b, a) summed over L' = low .. L, for any a that fits */
    double *waiting; /* [n + 2]: probability that the copy begins at t or later */
};

/** p(L, b, a), the same for every a that fits. */
static double prior_at(const struct repeat *s, int64_t length, int64_t b) {
    if (length < s->low || length > s->high || length > b || length > s->n - b) return 0;
    return 1 / ((double)(s->high - s->low + 1) * (double)(s->n - 2 * length + 1) * (double)(b - length + 1));
}

static void release(void *state) {
    struct repeat *s = state;
    rllc_free(s->prior);
    rllc_free(s->waiting);
    rllc_free(s);
}

static rllc_status check(const struct repeat *s) {
    if (s->low > s->high) {
        return rllc_fail(RLLC_EUSAGE, "repeat: span_min is %lld and span_max %lld", (long long)s->low,
                         (long long)s->high);
    }
    if (2 * s->high > s->n) {
        return rllc_fail(
            RLLC_EUSAGE,
            "repeat: a span of %lld tokens does not fit twice into %lld tokens; give smaller --span-min and "
            "--span-max",
            (long long)s->high, (long long)s->n);
    }
    if (s->n * s->high > 1 << 24) {
        return rllc_fail(
            RLLC_EUSAGE,
            "repeat: rows of %lld tokens with spans of up to %lld need too large a table; give --span-max %lld "
            "or less",
            (long long)s->n, (long long)s->high, (long long)(((int64_t)1 << 24) / s->n));
    }
    return RLLC_OK;
}

static rllc_status prepare(void **state, const rllc_synth_settings *settings, const void *options, int64_t n) {
    rllc_status status = RLLC_OK;
    const struct options *o = options;
    struct repeat *s = NULL;
    RLLC_TRY(rllc_alloc(&s, 1, sizeof *s));
    *s = (struct repeat){.vocab = settings->common.vocab, .n = n, .low = o->span_min};
    s->log_vocab = log((double)s->vocab);
    s->high = o->span_max > 0 ? o->span_max : n / 2 > o->span_min ? n / 2 : o->span_min;
    RLLC_TRY(check(s));
    const int64_t width = s->high + 1;
    RLLC_TRY(rllc_alloc(&s->prior, (n + 1) * width, sizeof *s->prior));
    RLLC_TRY(rllc_alloc(&s->waiting, n + 2, sizeof *s->waiting));
    for (int64_t b = n; b >= 0; b--) {
        s->waiting[b] = s->waiting[b + 1];
        for (int64_t length = 1; length < width; length++) {
            const double p = prior_at(s, length, b);
            s->prior[b * width + length] = s->prior[b * width + length - 1] + p;
            s->waiting[b] += p * (double)(b - length + 1);
        }
    }
    *state = s;
    s = NULL;
done:
    if (s) release(s);
    return status;
}

/* ---- what a reader knows (E102) ------------------------------------------------------------------------------ */

/** The weights of all (L, b, a) after some tokens, relative to their sum. run[d]: how long x_t = x_(t-d) has held. */
struct reader {
    const struct repeat *s;
    const uint8_t *x;
    int32_t *run;    /* [n] */
    double finished; /* weight of the copies that are over */
    double log_z;    /* log of the sum of p(L, b, a) V^(tokens that agreed); their relative weights are over this */
};

/** Relative weight of a case whose last `agreed` tokens were as it says. */
static double likelihood(const struct reader *r, int64_t agreed) {
    return exp((double)agreed * r->s->log_vocab - r->log_z);
}

/** Weight of the copies at distance d that are under way at place t and did not begin there. */
static double under_way(const struct reader *r, int64_t t, int64_t d) {
    const struct repeat *s = r->s;
    const int64_t longest = d < s->high ? d : s->high;
    double weight = 0;
    for (int64_t j = 1; j <= r->run[d] && j < longest; j++) {
        const double *prior = s->prior + (t - j) * (s->high + 1);
        const double p = prior[longest] - prior[j > s->low - 1 ? j : s->low - 1];
        if (p > 0) weight += p * likelihood(r, j);
    }
    return weight;
}

/** After the token at place t: longer runs, and copies that end there. */
static void advance(struct reader *r, int64_t t) {
    const struct repeat *s = r->s;
    for (int64_t d = s->low; d <= t; d++) {
        r->run[d] = r->x[t] == r->x[t - d] ? r->run[d] + 1 : 0;
        for (int64_t length = s->low; length <= r->run[d] && length <= s->high && length <= d; length++) {
            const double p = prior_at(s, length, t + 1 - length);
            if (p > 0) r->finished += p * likelihood(r, length);
        }
    }
}

/** -log p(x_t | x_0 .. x_(t-1)), and the reader one token further. No copy comes from nearer than `low`. */
static double read_token(struct reader *r, int64_t t) {
    const struct repeat *s = r->s;
    const double *begins = s->prior + t * (s->high + 1), fresh = likelihood(r, 0), v = (double)s->vocab;
    double all = r->finished + s->waiting[t] * fresh, right = (r->finished + s->waiting[t + 1] * fresh) / v;
    for (int64_t d = s->low; d <= t; d++) {
        const bool agrees = r->x[t - d] == r->x[t];
        if (r->run[d] == 0 && !agrees) continue;
        const double weight = under_way(r, t, d);
        all += weight;
        if (agrees) right += weight + begins[d < s->high ? d : s->high] * fresh;
    }
    const double p = right / all;
    r->log_z += log(p * v);
    r->finished /= p * v;
    advance(r, t);
    return -log(p);
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static size_t scratch(const void *state) {
    return (size_t)((const struct repeat *)state)->n * sizeof(int32_t);
}

static void generate(const void *state, rllc_data_piece *p) {
    const struct repeat *s = state;
    const rllc_stream symbols = rllc_data_lane(p, 0), places = rllc_data_lane(p, 1);
    const int64_t length = s->low + (int64_t)rllc_stream_below(&places, 0, (uint64_t)(s->high - s->low + 1));
    const int64_t b = length + (int64_t)rllc_stream_below(&places, 1, (uint64_t)(s->n - 2 * length + 1));
    const int64_t a = (int64_t)rllc_stream_below(&places, 2, (uint64_t)(b - length + 1));
    struct reader r = {.s = s, .x = p->symbols, .run = p->scratch};
    memset(r.run, 0, scratch(s));
    for (int64_t i = 0; i < p->n; i++) {
        const bool copied = i >= b && i < b + length;
        p->symbols[i] =
            copied ? p->symbols[i - b + a] : (uint8_t)rllc_stream_below(&symbols, (uint64_t)i, (uint64_t)s->vocab);
        p->labels[i] = copied && i > b ? RLLC_LABEL_INDUCTION : RLLC_LABEL_NONE;
        p->optimum[i] = (float)read_token(&r, i);
    }
}

/* ---- what is known -------------------------------------------------------------------------------------------- */

/** With one span of half the piece there is nothing to find out: log V, then 0. */
static bool certain(const struct repeat *s) {
    return 2 * s->low == s->n;
}

static void expect(const void *state, int64_t n, double weight, rllc_synth_truth *truth) {
    const struct repeat *s = state;
    double inside = 0; /* expected tokens of the copy behind its first, among the first n */
    for (int64_t length = s->low; length <= s->high; length++)
        for (int64_t b = length; b <= s->n - length; b++) {
            const int64_t end = b + length < n ? b + length : n;
            if (end > b + 1) inside += prior_at(s, length, b) * (double)(b - length + 1) * (double)(end - b - 1);
        }
    truth->tokens[RLLC_LABEL_INDUCTION] += weight * inside;
    truth->tokens[RLLC_LABEL_NONE] += weight * ((double)n - inside);
    truth->optimum[RLLC_LABEL_INDUCTION] += certain(s) ? 0 : NAN;
    truth->optimum[RLLC_LABEL_NONE] += certain(s) ? weight * (double)(n < s->low ? n : s->low) * s->log_vocab : NAN;
}

/** Between being told L, b and a at the beginning, and paying for them: the entropy of a row lies between (E102). */
static rllc_status facts(const void *state, rllc_json *j) {
    const struct repeat *s = state;
    const double least = ((double)s->n - (double)(s->low + s->high) / 2) * s->log_vocab;
    double places = 0;
    for (int64_t length = s->low; length <= s->high; length++)
        for (int64_t b = length; b <= s->n - length; b++) {
            const double p = prior_at(s, length, b);
            places -= (double)(b - length + 1) * p * log(p);
        }
    rllc_status status = rllc_json_set(j, "optimum_at_least", rllc_json_real(least / (double)s->n));
    if (status != RLLC_OK) return status;
    return rllc_json_set(j, "optimum_at_most", rllc_json_real((least + places) / (double)s->n));
}

const rllc_synth_kind rllc_synth_repeat_kind = {.name = "repeat",
                                                .summary =
                                                    "noise in which a random span comes a second time: induction",
                                                .options = &rllc_synth_repeat_option_table,
                                                .options_size = sizeof(struct options),
                                                .prepare = prepare,
                                                .release = release,
                                                .scratch = scratch,
                                                .generate = generate,
                                                .expect = expect,
                                                .facts = facts};
