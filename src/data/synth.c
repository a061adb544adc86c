/* Synthetic rows: the registry of generators, their settings, and rows addressed by (seed, split, row). */
#include <math.h>
#include <string.h>

#include "data/bpe.h"
#include "data/synth.h"

const char rllc_data_symbol_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "!\"#$%&'*+,-./:;=?@\\^_`|~"
                                      "()[]{}<>"
                                      "0123456789";

const char *const rllc_label_names[RLLC_LABELS] = {
    "none", "n_gram", "skip_n_gram", "induction", "closing_bracket", "opening_bracket", "filler"};

#define OPTION(field, initial, low, high, unit, help)                                                                  \
    RLLC_OPTION(rllc_synth_options, field, RLLC_INTEGER, initial, low, high, NULL, unit, help)
#define MOST_ROWS 4294967295.0

static const rllc_option rows[] = {
    OPTION(rows, "8192", 0, MOST_ROWS, "", "rows of the training split"),
    OPTION(validation_rows, "512", 0, MOST_ROWS, "", "rows of the validation split"),
    OPTION(sampling_rows, "1024", 0, MOST_ROWS, "", "rows of the sampling split"),
    OPTION(analysis_rows, "512", 0, MOST_ROWS, "", "rows of the analysis split"),
    OPTION(n_ctx, "128", 3, 65536, "tokens", "tokens in a row, BOS included"),
    OPTION(vocab, "16", 2, RLLC_DATA_PLAIN, "", "symbols in use (letters first), besides brackets and markers"),
    RLLC_OPTION(rllc_synth_options, seed, RLLC_SEED, "0", RLLC_UNBOUNDED, NULL, "", "of the tables and of the rows"),
};
const rllc_option_table rllc_synth_option_table = {"corpus", "how much of it", rows, sizeof rows / sizeof *rows};

/* ---- the registry ---------------------------------------------------------------------------------------------- */

static const rllc_synth_kind *const kinds[] = {
#define RLLC_SYNTH(identifier) &rllc_synth_##identifier##_kind,
#include "synth.def"
#undef RLLC_SYNTH
};
enum { KINDS = sizeof kinds / sizeof *kinds };

const rllc_synth_kind *const *rllc_synth_list(int *n) {
    *n = KINDS;
    return kinds;
}

rllc_status rllc_synth_find(const char *name, const rllc_synth_kind **out) {
    const char *names[KINDS];
    *out = NULL;
    for (int i = 0; i < KINDS; i++) {
        names[i] = kinds[i]->name;
        if (strcmp(names[i], name) == 0) *out = kinds[i];
    }
    if (*out) return RLLC_OK;
    const char *near = rllc_nearest(name, names, KINDS);
    if (near) return rllc_fail(RLLC_EUSAGE, "there is no generator '%s'; did you mean '%s'?", name, near);
    return rllc_fail(RLLC_EUSAGE, "there is no generator '%s'; 'rllc corpus --help' names them", name);
}

int rllc_data_synth_number(const rllc_synth_kind *kind) {
    int i = 0;
    while (kinds[i] != kind) i++;
    return i;
}

const char *rllc_synth_name(const rllc_synth_kind *kind) {
    return kind->name;
}

const char *rllc_synth_summary(const rllc_synth_kind *kind) {
    return kind->summary;
}

const rllc_option_table *rllc_synth_kind_table(const rllc_synth_kind *kind) {
    return kind->options;
}

void rllc_data_synth_release(const rllc_synth_kind *kind, void *state) {
    if (state && kind->release) {
        kind->release(state);
    } else {
        rllc_free(state);
    }
}

/* ---- settings -------------------------------------------------------------------------------------------------- */

rllc_status rllc_synth_settings_init(rllc_synth_settings *s) {
    rllc_status status = RLLC_OK;
    *s = (rllc_synth_settings){0};
    rllc_options_default(&rllc_synth_option_table, &s->common);
    RLLC_TRY(rllc_alloc(&s->of_kind, KINDS, sizeof *s->of_kind));
    for (int i = 0; i < KINDS; i++) {
        if (!kinds[i]->options) continue;
        RLLC_TRY(rllc_alloc(&s->of_kind[i], 1, kinds[i]->options_size));
        rllc_options_default(kinds[i]->options, s->of_kind[i]);
    }
done:
    if (status != RLLC_OK) rllc_synth_settings_release(s);
    return status;
}

void rllc_synth_settings_release(rllc_synth_settings *s) {
    for (int i = 0; s->of_kind && i < KINDS; i++) rllc_free(s->of_kind[i]);
    rllc_free(s->of_kind);
    *s = (rllc_synth_settings){0};
}

bool rllc_synth_reads(const rllc_synth_kind *kind, const rllc_synth_settings *s, const rllc_synth_kind *other) {
    return kind == other || (kind->mixes && kind->mixes(s->of_kind[rllc_data_synth_number(kind)], other));
}

/** Through its record, which checks every bound: callers may have filled the structs themselves. */
static rllc_status copy_options(const rllc_option_table *table, void *to, const void *from) {
    rllc_json *j = NULL;
    rllc_status status = rllc_options_to_json(table, from, &j);
    if (status == RLLC_OK) status = rllc_options_from_json(table, to, j);
    rllc_json_free(j);
    return status;
}

static rllc_status copy_settings(rllc_synth_settings *to, const rllc_synth_settings *from) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_synth_settings_init(to));
    RLLC_TRY(copy_options(&rllc_synth_option_table, &to->common, &from->common));
    for (int i = 0; i < KINDS; i++)
        if (kinds[i]->options) RLLC_TRY(copy_options(kinds[i]->options, to->of_kind[i], from->of_kind[i]));
done:
    return status;
}

/* ---- one generator, ready ---------------------------------------------------------------------------------------- */

struct rllc_synth {
    const rllc_synth_kind *kind;
    rllc_synth_settings settings;
    void *state; /* the kind's */
    rllc_tokenizer *tokenizer;
    int32_t id[RLLC_DATA_SYMBOLS]; /* of each symbol */
};

/** A vocabulary of 257 has no room for merges, whatever the text. */
static rllc_status byte_tokenizer(rllc_tokenizer **out) {
    rllc_status status = RLLC_OK;
    rllc_bpe_options o;
    rllc_bpe_trainer *b = NULL;
    rllc_options_default(&rllc_bpe_option_table, &o);
    o.vocab_size = 257;
    RLLC_TRY(rllc_bpe_trainer_new(&b, &o));
    RLLC_TRY(rllc_bpe_trainer_add(b, "a", 1));
    RLLC_TRY(rllc_bpe_trainer_finish(b, NULL, out));
done:
    rllc_bpe_trainer_free(b);
    return status;
}

rllc_status rllc_synth_open(rllc_synth **out, const rllc_synth_kind *kind, const rllc_synth_settings *settings) {
    rllc_status status = RLLC_OK;
    rllc_synth *s = NULL;
    *out = NULL;
    RLLC_TRY(rllc_alloc(&s, 1, sizeof *s));
    s->kind = kind;
    RLLC_TRY(copy_settings(&s->settings, settings));
    RLLC_TRY(byte_tokenizer(&s->tokenizer));
    for (int i = 0; i < RLLC_DATA_SYMBOLS; i++)
        s->id[i] = s->tokenizer->byte_id[(unsigned char)rllc_data_symbol_bytes[i]];
    RLLC_TRY(kind->prepare(&s->state, &s->settings, s->settings.of_kind[rllc_data_synth_number(kind)],
                           s->settings.common.n_ctx - 1));
    *out = s;
    s = NULL;
done:
    rllc_synth_free(s);
    return status;
}

void rllc_synth_free(rllc_synth *s) {
    if (!s) return;
    rllc_data_synth_release(s->kind, s->state);
    rllc_tokenizer_free(s->tokenizer);
    rllc_synth_settings_release(&s->settings);
    rllc_free(s);
}

const rllc_tokenizer *rllc_synth_tokenizer(const rllc_synth *s) {
    return s->tokenizer;
}

const rllc_synth_kind *rllc_data_synth_kind(const rllc_synth *s) {
    return s->kind;
}

const rllc_synth_settings *rllc_data_synth_settings(const rllc_synth *s) {
    return &s->settings;
}

const void *rllc_data_synth_state(const rllc_synth *s) {
    return s->state;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

typedef struct job {
    const rllc_synth *s;
    const rllc_synth_rows *out;
    rllc_stream stream; /* of the split */
    int64_t first;
    unsigned char *scratch; /* [workers, scratch_size]: symbols, then the kind's */
    size_t symbols_size, scratch_size;
} job;

static rllc_status generate_row(void *context, int64_t i, int worker) {
    const job *w = context;
    const rllc_synth *s = w->s;
    const int64_t n = s->settings.common.n_ctx, at = i * n;
    unsigned char *memory = w->scratch + (size_t)worker * w->scratch_size;
    rllc_data_piece p = {.stream = w->stream, .n = n - 1, .symbols = memory, .scratch = memory + w->symbols_size};
    p.stream.chain = (uint32_t)(w->first + i);
    p.labels = w->out->labels + at + 1;
    p.generators = w->out->generators + at + 1;
    p.optimum = w->out->optimum + at + 1;
    memset(p.generators, 1 + rllc_data_synth_number(s->kind), (size_t)p.n);
    s->kind->generate(s->state, &p);
    w->out->tokens[at] = rllc_tokenizer_bos(s->tokenizer);
    w->out->labels[at] = RLLC_LABEL_NONE;
    w->out->generators[at] = 0;
    w->out->optimum[at] = 0;
    for (int64_t t = 0; t < p.n; t++) w->out->tokens[at + 1 + t] = s->id[p.symbols[t]];
    return RLLC_OK;
}

rllc_status rllc_synth_generate(const rllc_synth *s, int split, int64_t first, int64_t n, int n_threads,
                                rllc_synth_rows *out) {
    char purpose[64];
    if (split < 0 || split >= RLLC_SPLITS || first < 0 || n < 0 || first > UINT32_MAX - n)
        return rllc_fail(RLLC_EUSAGE, "rows %lld + %lld of split %d: no such rows", (long long)first, (long long)n,
                         split);
    if (n_threads <= 0) n_threads = rllc_default_threads();
    snprintf(purpose, sizeof purpose, "synth/%s/%s", s->kind->name, rllc_split_names[split]);
    job w = {.s = s, .out = out, .first = first};
    w.stream = rllc_stream_make(s->settings.common.seed, purpose, 0, 0);
    w.symbols_size = ((size_t)s->settings.common.n_ctx + 63) / 64 * 64;
    w.scratch_size = w.symbols_size + ((s->kind->scratch ? s->kind->scratch(s->state) : 0) + 63) / 64 * 64;
    rllc_status status = rllc_alloc(&w.scratch, n_threads, w.scratch_size);
    if (status == RLLC_OK) status = rllc_parallel(n, n_threads, generate_row, &w);
    rllc_free(w.scratch);
    return status;
}

/* ---- what is known ----------------------------------------------------------------------------------------------- */

void rllc_synth_expect(const rllc_synth *s, rllc_synth_truth *out) {
    *out = (rllc_synth_truth){0};
    s->kind->expect(s->state, s->settings.common.n_ctx - 1, 1, out);
}

double rllc_synth_optimum(const rllc_synth *s) {
    rllc_synth_truth truth;
    double sum = 0;
    rllc_synth_expect(s, &truth);
    for (int i = 0; i < RLLC_LABELS; i++) sum += truth.optimum[i];
    return sum / (double)(s->settings.common.n_ctx - 1);
}
