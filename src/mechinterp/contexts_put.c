/* What the tokens in context of a head show: labels, their shares, how many different multigrams. */
#include <math.h>
#include <string.h>

#include "mechinterp/ablate.h"
#include "mechinterp/contexts.h"
#include "mechinterp/labels.h"
#include "mechinterp/multigrams.h"

/* The records of a head with their labels. */
typedef struct labelling {
    const rllc_analysis_task *task;
    const rllc_head_records *records;
    rllc_labelled *labelled;     /* [n] */
    rllc_store_context *context; /* [n] */
    char (*key)[RLLC_PATTERN];   /* [n] pattern as it is counted */
    const char **counted;        /* [n] into key, NULL where a record does not count */
    int32_t *tokens;             /* of all contexts, one after the other */
} labelling;

static rllc_status labelling_init(labelling *l, const rllc_analysis_task *t, const rllc_head_records *r) {
    rllc_status status = RLLC_OK;
    int64_t size = 0;
    *l = (labelling){.task = t, .records = r};
    for (int64_t i = 0; i < r->n; i++) size += r->list[i].position + 2;
    RLLC_TRY(rllc_alloc(&l->labelled, r->n, sizeof *l->labelled));
    RLLC_TRY(rllc_alloc(&l->context, r->n, sizeof *l->context));
    RLLC_TRY(rllc_alloc(&l->key, r->n, sizeof *l->key));
    RLLC_TRY(rllc_alloc(&l->counted, r->n, sizeof *l->counted));
    RLLC_TRY(rllc_alloc(&l->tokens, size, sizeof *l->tokens));
done:
    return status;
}

static void labelling_release(labelling *l) {
    rllc_free(l->labelled);
    rllc_free(l->context);
    rllc_free(l->key);
    rllc_free(l->counted);
    rllc_free(l->tokens);
}

/* "5 +3 7 9" without its gap: "5 + 7 9". */
static void drop_gap(char *key) {
    char *plus = strchr(key, '+');
    if (plus) memmove(plus + 1, strchr(plus, ' '), strlen(strchr(plus, ' ')) + 1);
}

static rllc_status label_records(labelling *l, const rllc_delimiters *d) {
    rllc_status status = RLLC_OK;
    const rllc_head_records *r = l->records;
    int32_t *tokens = l->tokens, *row = NULL;
    RLLC_TRY(rllc_alloc(&row, l->task->rows->n_ctx, sizeof *row));
    for (int64_t i = 0; i < r->n; i++) {
        const rllc_affected *x = &r->list[i];
        const int64_t k = x->position;
        rllc_rows_get(l->task->rows, x->sequence, row);
        memcpy(tokens, row, (size_t)(k + 2) * sizeof *row);
        RLLC_TRY(rllc_context_label(&(rllc_prediction){tokens, k, r->attention[i]}, d, &l->labelled[i]));
        l->context[i] = (rllc_store_context){.sequence = x->sequence,
                                             .position = k,
                                             .loss = (double)x->loss,
                                             .ablated_loss = (double)x->ablated,
                                             .label = l->labelled[i].label,
                                             .labels = l->labelled[i].labels,
                                             .pattern = l->labelled[i].pattern,
                                             .tokens = tokens,
                                             .attention = r->attention[i]};
        memcpy(l->key[i], l->labelled[i].pattern, RLLC_PATTERN);
        if (!l->task->job->settings.context.context_gaps) drop_gap(l->key[i]);
        tokens += k + 2;
    }
done:
    rllc_free(row);
    return status;
}

/* The name of a share, or of a number of patterns: those of zero ablation are "multigrams" and "ngrams" for short. */
static const char *metric_of(const labelling *l, const char *what, bool is_count) {
    if (is_count && strcmp(l->task->item, rllc_ablation_names[RLLC_ABLATE_ZERO]) == 0) return what;
    return rllc_intern_printf("contexts/%s/%s", l->task->item, what);
}

static rllc_status put_score(const labelling *l, const char *metric, double value, double se) {
    const rllc_store_score row = {.checkpoint_id = l->task->checkpoint->id,
                                  .metric = metric,
                                  .layer = l->records->layer,
                                  .head = l->records->head,
                                  .corpus = l->task->corpus->name,
                                  .value = value,
                                  .se = se,
                                  .n = l->records->n,
                                  .chance = NAN};
    return rllc_store_put_score(l->task->job->store, &row);
}

/* ---- shares -------------------------------------------------------------------------------------------------- */

/* Share of the records, and its binomial standard error; NaN without a record. */
static rllc_status put_share(const labelling *l, const char *what, int64_t count) {
    const double n = (double)l->records->n, p = (double)count / n;
    return put_score(l, metric_of(l, what, false), n > 0 ? p : NAN, n > 0 ? sqrt(p * (1 - p) / n) : NAN);
}

static rllc_status put_shares(const labelling *l) {
    rllc_status status = RLLC_OK;
    int64_t first[RLLC_CONTEXT_LABELS] = {0}, any[RLLC_CONTEXT_LABELS] = {0}, none = 0, sinks = 0;
    for (int64_t i = 0; i < l->records->n; i++) {
        const rllc_labelled *x = &l->labelled[i];
        for (int b = 0; b < RLLC_CONTEXT_LABELS; b++) {
            any[b] += x->labels >> b & 1;
            first[b] += x->label == rllc_context_label_names[b];
        }
        none += !x->labels;
        sinks += x->sink;
    }
    for (int b = 0; b < RLLC_CONTEXT_LABELS; b++) {
        RLLC_TRY(put_share(l, rllc_context_label_names[b], first[b]));
        RLLC_TRY(put_share(l, rllc_intern_printf("%s/any", rllc_context_label_names[b]), any[b]));
    }
    RLLC_TRY(put_share(l, "unlabelled", none));
    RLLC_TRY(put_share(l, "sink", sinks));
done:
    return status;
}

/* Mean increase of the loss over the records: how much is at stake. */
static rllc_status put_increase(const labelling *l) {
    const double n = (double)l->records->n;
    double sum = 0, square = 0;
    for (int64_t i = 0; i < l->records->n; i++) sum += l->records->list[i].increase;
    for (int64_t i = 0; i < l->records->n; i++) {
        const double from_mean = l->records->list[i].increase - sum / n;
        square += from_mean * from_mean;
    }
    return put_score(l, metric_of(l, "increase", false), n > 0 ? sum / n : NAN,
                     n > 1 ? sqrt(square / (n - 1) / n) : NAN);
}

/* ---- multigrams ------------------------------------------------------------------------------------------------ */

/* Counts the patterns of records whose labels (the first, or any) are among `bits`. */
static rllc_status count_patterns(const labelling *l, int bits, bool any, rllc_multigrams *out) {
    for (int64_t i = 0; i < l->records->n; i++) {
        const int labels = l->labelled[i].labels, shown = any ? labels : labels & -labels;
        l->counted[i] = shown & bits ? l->key[i] : NULL;
    }
    return rllc_multigrams_count(out, l->counted, l->records->n);
}

static rllc_status put_counts(const labelling *l, const char *what, const rllc_multigrams *m) {
    rllc_status status = RLLC_OK;
    const int64_t times = l->task->job->settings.context.context_occurrences;
    const char *metric = metric_of(l, what, true);
    RLLC_TRY(put_score(l, metric, (double)rllc_multigrams_distinct(m, times), NAN));
    RLLC_TRY(put_score(l, rllc_intern_printf("%s/repeated", metric), (double)rllc_multigrams_distinct(m, 2), NAN));
done:
    return status;
}

static rllc_status curve(const labelling *l, const rllc_multigrams *m, rllc_string *out) {
    rllc_status status = RLLC_OK;
    const int64_t points = l->task->job->settings.context.context_points;
    int64_t *drawn = NULL;
    rllc_json *j = rllc_json_object(), *x = rllc_json_array(), *y = rllc_json_array();
    RLLC_TRY(rllc_alloc(&drawn, points, sizeof *drawn));
    const int64_t n = rllc_multigrams_points(m->records, points, drawn);
    for (int64_t i = 0; i < n; i++) {
        RLLC_TRY(rllc_json_append(x, rllc_json_integer(drawn[i])));
        RLLC_TRY(rllc_json_append(y, rllc_json_real(rllc_multigrams_expected(m, drawn[i]))));
    }
    RLLC_TRY(rllc_json_set(j, "sequences", rllc_json_integer(l->records->sequences)));
    status = rllc_json_set(j, "records", x);
    x = NULL;
    RLLC_TRY(status);
    status = rllc_json_set(j, "expected", y);
    y = NULL;
    RLLC_TRY(status);
    RLLC_TRY(rllc_json_print(j, 0, false, out));
done:
    rllc_json_free(j);
    rllc_json_free(x);
    rllc_json_free(y);
    rllc_free(drawn);
    return status;
}

/* How many different multigrams part of the records would show (E106). */
static rllc_status put_curve(const labelling *l, const rllc_multigrams *m) {
    rllc_status status = RLLC_OK;
    rllc_string json = {0};
    RLLC_TRY(curve(l, m, &json));
    const rllc_store_measure row = {.checkpoint_id = l->task->checkpoint->id,
                                    .metric = metric_of(l, "multigrams/rarefaction", true),
                                    .component = rllc_intern_printf("l%dh%d", l->records->layer, l->records->head),
                                    .corpus = l->task->corpus->name,
                                    .value = (double)m->n,
                                    .se = NAN,
                                    .n = m->records,
                                    .json = rllc_string_text(&json)};
    RLLC_TRY(rllc_store_put_measure(l->task->job->store, &row));
done:
    rllc_string_release(&json);
    return status;
}

static rllc_status put_multigrams(const labelling *l) {
    rllc_status status = RLLC_OK;
    rllc_multigrams m = {0}, ngrams = {0}, any = {0};
    const int both = RLLC_CONTEXT_NGRAM | RLLC_CONTEXT_SKIP_NGRAM;
    RLLC_TRY(count_patterns(l, both, false, &m));
    RLLC_TRY(count_patterns(l, RLLC_CONTEXT_NGRAM, false, &ngrams));
    RLLC_TRY(count_patterns(l, both, true, &any));
    RLLC_TRY(put_counts(l, "multigrams", &m));
    RLLC_TRY(put_counts(l, "ngrams", &ngrams));
    RLLC_TRY(put_counts(l, "multigrams/any", &any));
    RLLC_TRY(put_curve(l, &m));
done:
    rllc_multigrams_release(&m);
    rllc_multigrams_release(&ngrams);
    rllc_multigrams_release(&any);
    return status;
}

rllc_status rllc_contexts_put(const rllc_analysis_task *t, const rllc_delimiters *d, const rllc_head_records *r) {
    rllc_status status = RLLC_OK;
    labelling l;
    const rllc_store_contexts of = {.checkpoint_id = t->checkpoint->id,
                                    .layer = r->layer,
                                    .head = r->head,
                                    .corpus = t->corpus->name,
                                    .ablation = t->item};
    RLLC_TRY(labelling_init(&l, t, r));
    RLLC_TRY(label_records(&l, d));
    RLLC_TRY(rllc_store_put_contexts(t->job->store, &of, l.context, r->n));
    RLLC_TRY(put_shares(&l));
    RLLC_TRY(put_increase(&l));
    RLLC_TRY(put_multigrams(&l));
done:
    labelling_release(&l);
    return status;
}
