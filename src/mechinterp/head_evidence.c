/* What the store says of a head: which metrics, how strong beside chance or beside other heads, and in words. */
#include <math.h>
#include <string.h>

#include "mechinterp/head_types.h"

enum { SCORE, SHARE, COUNT, ABLATION };

/* A number of a head, and where the store keeps it. */
static const struct kind {
    const char *metric;
    const char *other; /* SCORE: taken where the store has no `metric`; SHARE: added to it */
    int unit;
    const char *name;   /* as missing evidence is called */
    const char *phrase; /* in a sentence */
} kinds[RLLC_EVIDENCE] = {
    [RLLC_EVIDENCE_PREFIX] = {"prefix_matching", NULL, SCORE, "prefix matching", "prefix matching"},
    [RLLC_EVIDENCE_REPEATED] = {"induction", "induction/text", SCORE, "induction", "induction"},
    [RLLC_EVIDENCE_PREVIOUS] = {"previous_token", "previous_token/text", SCORE, "previous token", "previous token"},
    [RLLC_EVIDENCE_CURRENT] = {"current_token", "current_token/text", SCORE, "current token", "current token"},
    [RLLC_EVIDENCE_BRACKET] = {"bracket", NULL, SCORE, "bracket", "bracket"},
    [RLLC_EVIDENCE_DUPLICATE] = {"duplicate_token", "duplicate_token/text", SCORE, "duplicate token",
                                 "duplicate token"},
    [RLLC_EVIDENCE_SHARE_INDUCTION] = {"contexts/zero/induction", NULL, SHARE, "tokens in context",
                                       "induction patterns"},
    [RLLC_EVIDENCE_SHARE_DYCK] = {"contexts/zero/dyck", NULL, SHARE, "tokens in context", "closing delimiters"},
    [RLLC_EVIDENCE_SHARE_MULTIGRAM] = {"contexts/zero/n-gram", "contexts/zero/skip n-gram", SHARE, "tokens in context",
                                       "n-grams or skip n-grams"},
    [RLLC_EVIDENCE_MULTIGRAMS] = {"multigrams", NULL, COUNT, "multigrams", "different multigrams"},
    [RLLC_EVIDENCE_ABLATION] = {"ablation/zero", NULL, ABLATION, "ablation", "ablation"},
};

bool rllc_evidence_is_score(int which) {
    return kinds[which].unit == SCORE;
}

const char *rllc_evidence_metric(int which) {
    return kinds[which].metric;
}

const char *rllc_evidence_name(int which) {
    return kinds[which].name;
}

/* ---- collecting ---------------------------------------------------------------------------------------------- */

static bool is_of(const rllc_store_score *r, const char *metric, int layer, int head) {
    return metric && r->layer == layer && r->head == head && strcmp(r->metric, metric) == 0 && isfinite(r->value);
}

/** Mean |value| over the heads of the same metric and corpus. */
static double mean_size(const rllc_store_score *const *rows, int64_t n, const rllc_store_score *of) {
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++)
        if (rows[i]->head >= 0 && is_of(rows[i], of->metric, rows[i]->layer, rows[i]->head) &&
            strcmp(rows[i]->corpus, of->corpus) == 0) {
            sum += fabs(rows[i]->value);
            count++;
        }
    return sum / (double)count;
}

/** Value of a share: of the row, and of the other metric's row of the same corpus. */
static double whole_share(const rllc_store_score *const *rows, int64_t n, const struct kind *k,
                          const rllc_store_score *r) {
    const char *other = strcmp(r->metric, k->metric) == 0 ? k->other : k->metric;
    double sum = r->value;
    for (int64_t i = 0; i < n; i++)
        if (is_of(rows[i], other, r->layer, r->head) && strcmp(rows[i]->corpus, r->corpus) == 0) sum += rows[i]->value;
    return sum;
}

/** A row as evidence; not known where a score has no chance to be compared with. */
static rllc_evidence read_row(const rllc_store_score *const *rows, int64_t n, const struct kind *k,
                              const rllc_store_score *r) {
    rllc_evidence e = {.known = true, .value = r->value, .se = r->se, .chance = r->chance, .corpus = r->corpus};
    switch (k->unit) {
    case SCORE:
        e.known = r->chance > 0;
        e.relative = r->value / r->chance;
        break;
    case SHARE: e.relative = e.value = k->other ? whole_share(rows, n, k, r) : r->value; break;
    case COUNT: e.relative = r->value; break;
    default: {
        const double mean = mean_size(rows, n, r);
        e.relative = mean > 0 ? fabs(r->value) / mean : 0;
    }
    }
    return e;
}

/** The strongest of the rows of one metric. */
static void consider(const rllc_store_score *const *rows, int64_t n, const struct kind *k, const char *metric,
                     int layer, int head, const char *corpus, rllc_evidence *best) {
    for (int64_t i = 0; i < n; i++) {
        if (!is_of(rows[i], metric, layer, head)) continue;
        if (corpus && *corpus && *rows[i]->corpus && strcmp(rows[i]->corpus, corpus) != 0) continue;
        const rllc_evidence e = read_row(rows, n, k, rows[i]);
        if (e.known && (!best->known || e.relative > best->relative)) *best = e;
    }
}

void rllc_evidence_collect(const rllc_store_score *const *rows, int64_t n, int layer, int head, const char *corpus,
                           rllc_evidence *out) {
    for (int i = 0; i < RLLC_EVIDENCE; i++) {
        const struct kind *k = &kinds[i];
        out[i] = (rllc_evidence){.corpus = ""};
        consider(rows, n, k, k->metric, layer, head, corpus, &out[i]);
        if (k->other && (k->unit == SHARE || !out[i].known))
            consider(rows, n, k, k->other, layer, head, corpus, &out[i]);
    }
}

/* ---- saying -------------------------------------------------------------------------------------------------- */

rllc_status rllc_evidence_say(int which, const rllc_evidence *e, rllc_string *out) {
    const struct kind *k = &kinds[which];
    const char *on = *e->corpus ? rllc_intern_printf(" on %s", e->corpus) : "";
    switch (k->unit) {
    case SCORE:
        return rllc_string_printf(out, "%s %.2g%s (%.*fx chance %.2g)", k->phrase, e->value, on, e->relative < 9.95,
                                  e->relative, e->chance);
    case SHARE: return rllc_string_printf(out, "%.0f %% of its top tokens%s are %s", 100 * e->value, on, k->phrase);
    case COUNT: return rllc_string_printf(out, "%.0f %s%s", e->value, k->phrase, on);
    default:
        return rllc_string_printf(out, "%s %+.2g nats%s (%.2gx the mean of the heads)", k->phrase, e->value, on,
                                  e->relative);
    }
}

static rllc_status one_to_json(const rllc_evidence *e, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "value", rllc_json_real(e->value)));
    RLLC_TRY(rllc_json_set(j, "se", rllc_json_real(e->se)));
    RLLC_TRY(rllc_json_set(j, "chance", rllc_json_real(e->chance)));
    RLLC_TRY(rllc_json_set(j, "relative", rllc_json_real(e->relative)));
    RLLC_TRY(rllc_json_set(j, "corpus", rllc_json_string(e->corpus)));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

rllc_status rllc_evidence_to_json(const rllc_evidence *all, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *one;
    *out = NULL;
    for (int i = 0; i < RLLC_EVIDENCE; i++) {
        if (!all[i].known) continue;
        RLLC_TRY(one_to_json(&all[i], &one));
        RLLC_TRY(rllc_json_set(j, kinds[i].metric, one));
    }
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}
