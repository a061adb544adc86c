/* Types of heads: the rules, tried in order, and the line that says why. */
#include "mechinterp/head_types.h"

#include <math.h>

const char *const rllc_head_type_names[RLLC_HEAD_TYPES] = {
    "dead", "induction", "previous-token", "current-token", "bracket", "multigram", "other",
};

#define RATIO(field, initial, help)                                                                                    \
    RLLC_OPTION(rllc_head_type_options, field, RLLC_REAL, initial, 0, 1e9, NULL, "times chance", help)
#define SHARE(field, initial, help) RLLC_OPTION(rllc_head_type_options, field, RLLC_REAL, initial, 0, 1, NULL, "", help)

static const rllc_option options[] = {
    RATIO(induction_ratio, "3", "induction: prefix matching or induction score, at least"),
    RATIO(previous_token_ratio, "7", "previous-token: its score, at least"),
    RATIO(current_token_ratio, "10", "current-token: its score, at least"),
    RATIO(bracket_ratio, "10", "bracket: its score on text, at least"),
    RLLC_OPTION(rllc_head_type_options, sigmas, RLLC_REAL, "3", 0, 1e9, NULL, "standard errors",
                "a score must also lie this far above chance"),
    SHARE(induction_share, "0.2", "induction: share of the head's top tokens that are induction patterns, at least"),
    SHARE(bracket_share, "0.2", "bracket: share of its top tokens that are closing delimiters, at least"),
    SHARE(multigram_share, "0.5", "multigram: share of its top tokens that are n-grams or skip n-grams, at least"),
    SHARE(dead_share, "0.02", "dead: change of the loss without it over the mean of all heads, at most"),
    RLLC_OPTION(rllc_head_type_options, corpus, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "corpus whose evidence counts; default: for each number the one in which it is strongest"),
};
const rllc_option_table rllc_head_type_option_table = {"head_types", "thresholds of the types of heads", options,
                                                       sizeof options / sizeof options[0]};

/* ---- rules ----------------------------------------------------------------------------------------------------- */

enum { NONE = -1, TESTS = 2 };

typedef struct test {
    int evidence, alternative; /* the stronger of the two */
    size_t threshold;          /* offset in the options */
    bool at_most;
} test;

/* A type is taken if its first test holds, and its second unless there is no evidence for it. */
typedef struct rule {
    int n;
    test tests[TESTS];
} rule;

#define TEST(first, second, field, most)                                                                               \
    { RLLC_EVIDENCE_##first, second, offsetof(rllc_head_type_options, field), most }

static const rule rules[RLLC_HEAD_OTHER] = {
    [RLLC_HEAD_DEAD] = {1, {TEST(ABLATION, NONE, dead_share, true)}},
    [RLLC_HEAD_INDUCTION] = {2,
                             {TEST(PREFIX, RLLC_EVIDENCE_REPEATED, induction_ratio, false),
                              TEST(SHARE_INDUCTION, NONE, induction_share, false)}},
    [RLLC_HEAD_PREVIOUS_TOKEN] = {1, {TEST(PREVIOUS, NONE, previous_token_ratio, false)}},
    [RLLC_HEAD_CURRENT_TOKEN] = {1, {TEST(CURRENT, NONE, current_token_ratio, false)}},
    [RLLC_HEAD_BRACKET] = {2,
                           {TEST(BRACKET, NONE, bracket_ratio, false), TEST(SHARE_DYCK, NONE, bracket_share, false)}},
    [RLLC_HEAD_MULTIGRAM] = {1, {TEST(SHARE_MULTIGRAM, NONE, multigram_share, false)}},
};

/** Which of a test's two numbers speaks; NONE if neither is known. */
static int chosen(const test *t, const rllc_evidence *all) {
    const bool other = t->alternative != NONE && all[t->alternative].known;
    if (!all[t->evidence].known) return other ? t->alternative : NONE;
    return other && all[t->alternative].relative > all[t->evidence].relative ? t->alternative : t->evidence;
}

static bool test_holds(const test *t, int which, const rllc_evidence *all, const rllc_head_type_options *o) {
    const rllc_evidence *e = &all[which];
    const double threshold = *(const double *)(const void *)((const char *)o + t->threshold);
    if (t->at_most) return e->relative <= threshold;
    if (rllc_evidence_is_score(which)) {
        if (isfinite(e->se) && e->value - e->chance < o->sigmas * e->se) return false;
        if (e->value >= (1 + e->chance) / 2) return true; /* in short contexts chance times the ratio may exceed 1 */
    }
    return e->relative >= threshold;
}

static bool rule_holds(const rule *r, const rllc_evidence *all, const rllc_head_type_options *o) {
    for (int i = 0; i < r->n; i++) {
        const int which = chosen(&r->tests[i], all);
        if (which == NONE ? i == 0 : !test_holds(&r->tests[i], which, all, o)) return false;
    }
    return true;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

/** Appends one number after what separates it from the one before. */
static rllc_status add_clause(int which, const rllc_evidence *all, const char **separator, rllc_string *out) {
    rllc_status status = RLLC_OK;
    if (which == NONE || !all[which].known) return RLLC_OK;
    RLLC_TRY(rllc_string_add(out, *separator));
    RLLC_TRY(rllc_evidence_say(which, &all[which], out));
    *separator = ", ";
done:
    return status;
}

/** The numbers that the rule rests on; for a head without a type all that the rules asked for. */
static rllc_status say_reasons(int type, const rllc_evidence *all, rllc_string *out) {
    rllc_status status = RLLC_OK;
    const char *separator = ": ";
    for (int t = RLLC_HEAD_DEAD; t < RLLC_HEAD_OTHER; t++)
        for (int i = 0; i < rules[t].n; i++)
            if (t == type || (type == RLLC_HEAD_OTHER && t != RLLC_HEAD_DEAD))
                RLLC_TRY(add_clause(chosen(&rules[t].tests[i], all), all, &separator, out));
    if (type == RLLC_HEAD_MULTIGRAM) RLLC_TRY(add_clause(RLLC_EVIDENCE_MULTIGRAMS, all, &separator, out));
    separator = "; ";
    if (type != RLLC_HEAD_DEAD) RLLC_TRY(add_clause(RLLC_EVIDENCE_ABLATION, all, &separator, out));
done:
    return status;
}

static rllc_status say_others(int type, const rllc_evidence *all, const rllc_head_type_options *o, rllc_string *out) {
    rllc_status status = RLLC_OK;
    const char *separator = "; also ";
    for (int t = type + 1; t < RLLC_HEAD_OTHER; t++) {
        if (!rule_holds(&rules[t], all, o)) continue;
        RLLC_TRY(rllc_string_printf(out, "%s%s", separator, rllc_head_type_names[t]));
        separator = ", ";
    }
done:
    return status;
}

/** What the rules begin with and the store does not have; the first rule last. */
static rllc_status say_absent(const rllc_evidence *all, rllc_string *out) {
    rllc_status status = RLLC_OK;
    const char *separator = "; absent: ";
    for (int t = RLLC_HEAD_INDUCTION; t <= RLLC_HEAD_OTHER; t++) {
        const test *first = &rules[t == RLLC_HEAD_OTHER ? RLLC_HEAD_DEAD : t].tests[0];
        if (chosen(first, all) != NONE) continue;
        RLLC_TRY(rllc_string_printf(out, "%s%s", separator, rllc_evidence_name(first->evidence)));
        separator = ", ";
    }
done:
    return status;
}

static rllc_status say(int type, const rllc_evidence *all, const rllc_head_type_options *o, rllc_string *out) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, rllc_head_type_names[type]));
    RLLC_TRY(say_reasons(type, all, out));
    RLLC_TRY(say_others(type, all, o, out));
    RLLC_TRY(say_absent(all, out));
done:
    return status;
}

/** {"automatic": type, "thresholds": {..}, "evidence": {..}} as interned text. */
static rllc_status details(int type, const rllc_evidence *all, const rllc_head_type_options *o, const char **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *part;
    rllc_string text = {0};
    RLLC_TRY(rllc_json_set(j, "automatic", rllc_json_string(rllc_head_type_names[type])));
    RLLC_TRY(rllc_options_to_json(&rllc_head_type_option_table, o, &part));
    RLLC_TRY(rllc_json_set(j, "thresholds", part));
    RLLC_TRY(rllc_evidence_to_json(all, &part));
    RLLC_TRY(rllc_json_set(j, "evidence", part));
    RLLC_TRY(rllc_json_print(j, 0, false, &text));
    *out = rllc_intern(rllc_string_text(&text));
    status = *out ? RLLC_OK : rllc_fail(RLLC_ENOMEM, "evidence of a head");
done:
    rllc_json_free(j);
    rllc_string_release(&text);
    return status;
}

/* ---- classification ------------------------------------------------------------------------------------------- */

static const rllc_head_override *override_of(const rllc_head_override *list, int64_t n, int layer, int head) {
    for (int64_t i = 0; i < n; i++)
        if (list[i].layer == layer && list[i].head == head) return &list[i];
    return NULL;
}

static rllc_status classify_head(const rllc_evidence *all, const rllc_head_type_options *o,
                                 const rllc_head_override *given, rllc_store_head_type *out) {
    rllc_status status = RLLC_OK;
    rllc_string line = {0};
    int type = 0;
    while (type < RLLC_HEAD_OTHER && !rule_holds(&rules[type], all, o)) type++;
    if (given)
        RLLC_TRY(rllc_string_printf(&line, "%s: given by hand%s%s%s; by the rules ", given->type,
                                    *given->comment ? " (" : "", given->comment, *given->comment ? ")" : ""));
    RLLC_TRY(say(type, all, o, &line));
    out->type = given ? given->type : rllc_head_type_names[type];
    out->source = given ? "manual" : "automatic";
    out->evidence = rllc_intern(rllc_string_text(&line));
    if (!out->evidence) status = rllc_fail(RLLC_ENOMEM, "evidence of a head");
    if (status == RLLC_OK) status = details(type, all, o, &out->json);
done:
    rllc_string_release(&line);
    return status;
}

static rllc_status check_overrides(const rllc_store_checkpoint *c, const rllc_head_override *list, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (list[i].layer < 0 || list[i].layer >= c->n_layers || list[i].head < 0 || list[i].head >= c->n_heads)
            return rllc_fail(RLLC_EMISMATCH,
                             "a type is given for head %d:%d; the model has layers 0..%lld of heads 0..%lld",
                             list[i].layer, list[i].head, (long long)c->n_layers - 1, (long long)c->n_heads - 1);
    return RLLC_OK;
}

rllc_status rllc_head_types_classify(const rllc_store_score *rows, int64_t n_rows, const rllc_store_checkpoint *c,
                                     const rllc_head_type_options *o, const rllc_head_override *overrides,
                                     int64_t n_overrides, rllc_store_head_type *out) {
    rllc_status status = RLLC_OK;
    const rllc_store_score **own = NULL;
    rllc_evidence all[RLLC_EVIDENCE];
    int64_t n = 0;
    RLLC_TRY(check_overrides(c, overrides, n_overrides));
    RLLC_TRY(rllc_alloc(&own, n_rows, sizeof *own));
    for (int64_t i = 0; i < n_rows; i++)
        if (rows[i].checkpoint_id == c->id) own[n++] = &rows[i];
    for (int64_t i = 0; i < c->n_layers * c->n_heads; i++) {
        const int layer = (int)(i / c->n_heads), head = (int)(i % c->n_heads);
        rllc_evidence_collect(own, n, layer, head, o->corpus, all);
        out[i] = (rllc_store_head_type){
            .checkpoint_id = c->id, .seed = c->seed, .step = c->step, .layer = layer, .head = head};
        RLLC_TRY(classify_head(all, o, override_of(overrides, n_overrides, layer, head), &out[i]));
    }
done:
    rllc_free(own);
    return status;
}
