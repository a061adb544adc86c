/* mixture: segments of the other generators, each behind a marker that names its generator. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/synth.h"

enum { MOST_PARTS = RLLC_DATA_SYMBOLS - RLLC_DATA_MARKERS };

struct options {
    const char *parts;
    int64_t segment;
};

static const rllc_option rows[] = {
    RLLC_OPTION(struct options, parts, RLLC_TEXT, "markov,skip,repeat,dyck,noise", RLLC_UNBOUNDED, NULL, "",
                "the generators, joined by commas; markov=2 comes twice as often as noise"),
    RLLC_OPTION(struct options, segment, RLLC_INTEGER, "32", 3, 65536, NULL, "tokens",
                "length of a segment, its marker included; the last one of a row may be cut"),
};
const rllc_option_table rllc_synth_mixture_option_table = {"mixture", "segments of the others (--kind mixture)", rows,
                                                           sizeof rows / sizeof *rows};

struct part {
    const rllc_synth_kind *kind;
    void *state;
    double share; /* probability that a segment is its */
};

struct mixture {
    struct part part[MOST_PARTS];
    int n_parts;
    int64_t segment, n;
};

static void release(void *state) {
    struct mixture *s = state;
    for (int i = 0; i < s->n_parts; i++) rllc_data_synth_release(s->part[i].kind, s->part[i].state);
    rllc_free(s);
}

/** One item, "name" or "name=weight". */
static rllc_status add_part(struct mixture *s, const char *item, size_t n) {
    const rllc_synth_kind *kind;
    const char *name = rllc_intern_printf("%.*s", (int)strcspn(item, ",="), item);
    double weight = 1;
    if (!name) return rllc_fail(RLLC_ENOMEM, "no memory for a name");
    rllc_status status = rllc_synth_find(name, &kind);
    if (status != RLLC_OK) return rllc_fail_within(status, "parts");
    if (kind->mixes) return rllc_fail(RLLC_EUSAGE, "parts: a mixture cannot be part of one");
    for (int i = 0; i < s->n_parts; i++)
        if (s->part[i].kind == kind) return rllc_fail(RLLC_EUSAGE, "parts: %s is named twice", name);
    if (strlen(name) < n) {
        char *end;
        const char *digits = item + strlen(name) + 1;
        weight = strtod(digits, &end);
        if (end != item + n || end == digits || !(weight > 0 && weight < 1e9))
            return rllc_fail(RLLC_EUSAGE, "parts: '%.*s': the weight is a number above 0, as in %s=2", (int)n, item,
                             name);
    }
    s->part[s->n_parts++] = (struct part){.kind = kind, .share = weight};
    return RLLC_OK;
}

static rllc_status parse_parts(struct mixture *s, const char *parts) {
    double sum = 0;
    if (!parts || !*parts) return rllc_fail(RLLC_EUSAGE, "parts: name at least one generator, as in markov,noise");
    for (const char *at = parts;; at += strcspn(at, ",") + 1) {
        rllc_status status = add_part(s, at, strcspn(at, ","));
        if (status != RLLC_OK) return status;
        if (at[strcspn(at, ",")] == '\0') break;
    }
    for (int i = 0; i < s->n_parts; i++) sum += s->part[i].share;
    for (int i = 0; i < s->n_parts; i++) s->part[i].share /= sum;
    return RLLC_OK;
}

static bool mixes(const void *options, const rllc_synth_kind *other) {
    const size_t n = strlen(other->name);
    for (const char *at = ((const struct options *)options)->parts; at && *at;) {
        if (strncmp(at, other->name, n) == 0 && strcspn(at, ",=") == n) return true;
        at += strcspn(at, ",");
        at += *at == ',';
    }
    return false;
}

static rllc_status prepare(void **state, const rllc_synth_settings *settings, const void *options, int64_t n) {
    rllc_status status = RLLC_OK;
    const struct options *o = options;
    struct mixture *s = NULL;
    if (o->segment > n) {
        return rllc_fail(RLLC_EUSAGE,
                         "mixture: a segment of %lld tokens is longer than a row's %lld; give a smaller --segment",
                         (long long)o->segment, (long long)n);
    }
    RLLC_TRY(rllc_alloc(&s, 1, sizeof *s));
    *s = (struct mixture){.segment = o->segment, .n = n};
    RLLC_TRY(parse_parts(s, o->parts));
    for (int i = 0; i < s->n_parts; i++) {
        const rllc_synth_kind *kind = s->part[i].kind;
        status =
            kind->prepare(&s->part[i].state, settings, settings->of_kind[rllc_data_synth_number(kind)], o->segment - 1);
        RLLC_TRY(rllc_fail_within(status, "segments of %lld tokens", (long long)o->segment));
    }
    *state = s;
    s = NULL;
done:
    if (s) release(s);
    return status;
}

/* A segment is made whole, in scratch: optimum [m] (m = segment - 1), the part's own scratch, symbols [m], labels [m].
 */
static size_t room(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

static size_t part_scratch(const struct mixture *s) {
    size_t most = 0;
    for (int i = 0; i < s->n_parts; i++) {
        const rllc_synth_kind *kind = s->part[i].kind;
        const size_t size = kind->scratch ? kind->scratch(s->part[i].state) : 0;
        if (size > most) most = size;
    }
    return room(most);
}

static size_t scratch(const void *state) {
    const struct mixture *s = state;
    return room((size_t)s->segment * sizeof(float)) + part_scratch(s) + 2 * (size_t)s->segment;
}

static int draw_part(const struct mixture *s, double u) {
    int i = 0;
    for (; i < s->n_parts - 1 && u >= s->part[i].share; i++) u -= s->part[i].share;
    return i;
}

static void generate_segment(const struct mixture *s, rllc_data_piece *p, int64_t number, int part) {
    const int64_t at = number * s->segment, m = s->segment - 1, left = p->n - at - 1, n = m < left ? m : left;
    unsigned char *memory = p->scratch;
    rllc_data_piece piece = {.stream = p->stream, .n = m, .optimum = (float *)memory};
    piece.stream.step += RLLC_DATA_LANES * (uint32_t)(number + 1);
    piece.scratch = memory + room((size_t)s->segment * sizeof(float));
    piece.symbols = (uint8_t *)piece.scratch + part_scratch(s);
    piece.labels = piece.symbols + s->segment;
    s->part[part].kind->generate(s->part[part].state, &piece);
    p->symbols[at] = (uint8_t)(RLLC_DATA_MARKERS + part);
    p->labels[at] = RLLC_LABEL_NONE;
    p->optimum[at] = (float)-log(s->part[part].share);
    memcpy(p->symbols + at + 1, piece.symbols, (size_t)n);
    memcpy(p->labels + at + 1, piece.labels, (size_t)n);
    memcpy(p->optimum + at + 1, piece.optimum, (size_t)n * sizeof(float));
    memset(p->generators + at, 1 + rllc_data_synth_number(s->part[part].kind), (size_t)n + 1);
}

static void generate(const void *state, rllc_data_piece *p) {
    const struct mixture *s = state;
    const rllc_stream which = rllc_data_lane(p, 0);
    for (int64_t i = 0; i * s->segment < p->n; i++)
        generate_segment(s, p, i, draw_part(s, rllc_stream_uniform(&which, (uint64_t)i)));
}

static void expect(const void *state, int64_t n, double weight, rllc_synth_truth *truth) {
    const struct mixture *s = state;
    for (int64_t at = 0; at < n; at += s->segment) {
        const int64_t left = n - at, whole = s->segment < left ? s->segment : left;
        truth->tokens[RLLC_LABEL_NONE] += weight;
        for (int i = 0; i < s->n_parts; i++) {
            const double share = weight * s->part[i].share;
            truth->optimum[RLLC_LABEL_NONE] -= share * log(s->part[i].share);
            s->part[i].kind->expect(s->part[i].state, whole - 1, share, truth);
        }
    }
}

static rllc_status facts(const void *state, rllc_json *j) {
    const struct mixture *s = state;
    rllc_status status = RLLC_OK;
    rllc_json *parts = rllc_json_object(), *part = NULL;
    for (int i = 0; i < s->n_parts; i++) {
        const rllc_synth_kind *kind = s->part[i].kind;
        const char marker[2] = {rllc_data_symbol_bytes[RLLC_DATA_MARKERS + i], '\0'};
        part = rllc_json_object();
        RLLC_TRY(rllc_json_set(part, "marker", rllc_json_string(marker)));
        RLLC_TRY(rllc_json_set(part, "share", rllc_json_real(s->part[i].share)));
        if (kind->facts) RLLC_TRY(kind->facts(s->part[i].state, part));
        status = rllc_json_set(parts, kind->name, part);
        part = NULL;
        RLLC_TRY(status);
    }
    status = rllc_json_set(j, "parts", parts);
    parts = NULL;
done:
    rllc_json_free(parts);
    rllc_json_free(part);
    return status;
}

const rllc_synth_kind rllc_synth_mixture_kind = {
    .name = "mixture",
    .summary = "segments of the others, each behind a marker that names its generator",
    .options = &rllc_synth_mixture_option_table,
    .options_size = sizeof(struct options),
    .mixes = mixes,
    .prepare = prepare,
    .release = release,
    .scratch = scratch,
    .generate = generate,
    .expect = expect,
    .facts = facts};
