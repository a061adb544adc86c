/* noise: uniform tokens, in which there is nothing to learn but the alphabet. */
#include <math.h>

#include "data/synth.h"

struct noise {
    int64_t vocab, n;
};

static rllc_status prepare(void **state, const rllc_synth_settings *settings, const void *options, int64_t n) {
    struct noise *s;
    (void)options;
    rllc_status status = rllc_alloc(&s, 1, sizeof *s);
    if (status != RLLC_OK) return status;
    *s = (struct noise){settings->common.vocab, n};
    *state = s;
    return RLLC_OK;
}

static void generate(const void *state, rllc_data_piece *p) {
    const struct noise *s = state;
    const rllc_stream symbols = rllc_data_lane(p, 0);
    for (int64_t i = 0; i < p->n; i++) {
        p->symbols[i] = (uint8_t)rllc_stream_below(&symbols, (uint64_t)i, (uint64_t)s->vocab);
        p->labels[i] = RLLC_LABEL_NONE;
        p->optimum[i] = (float)log((double)s->vocab);
    }
}

static void expect(const void *state, int64_t n, double weight, rllc_synth_truth *truth) {
    const struct noise *s = state;
    truth->tokens[RLLC_LABEL_NONE] += weight * (double)n;
    truth->optimum[RLLC_LABEL_NONE] += weight * (double)n * log((double)s->vocab);
}

const rllc_synth_kind rllc_synth_noise_kind = {.name = "noise",
                                               .summary = "uniform tokens: log V, and nothing to learn",
                                               .prepare = prepare,
                                               .generate = generate,
                                               .expect = expect};
