/* The analysis of a model's behaviour on text, and its rows in the store. */
#include "mechinterp/behaviour.h"

#include <string.h>

/* Part of the identity of what is stored: raise it when the arithmetic changes. */
#define BEHAVIOUR_VERSION 1

static const char *item(int i) {
    return i == 0 ? "behaviour" : NULL;
}

static const char *identity(const rllc_analysis_job *job) {
    return rllc_intern_printf("behaviour/%d contexts %lld seed %llu", BEHAVIOUR_VERSION,
                              (long long)job->settings.score.behaviour_contexts,
                              (unsigned long long)job->settings.score.score_seed);
}

static void cost(const rllc_analysis_job *job, const rllc_model *shape, const char *name, int64_t rows, double *tokens,
                 double *flops) {
    const double passes = 3, words = (RLLC_WORD_LONGEST - 1) * RLLC_WORDS * (RLLC_WORD_LONGEST + 1);
    (void)name;
    *tokens = passes * (double)(rllc_behaviour_contexts(job, rows) * shape->options.n_ctx) + words;
    *flops = *tokens * rllc_model_flops(shape);
}

/* ---- what is the same at every checkpoint ---------------------------------------------------------------------- */

typedef struct tables {
    rllc_bigrams bigrams;
    rllc_words words[RLLC_WORD_LONGEST + 1]; /* by tokens a word; none without a tokenizer */
} tables;

static void forget(void *kept) {
    tables *k = kept;
    rllc_bigrams_release(&k->bigrams);
    for (int n = 2; n <= RLLC_WORD_LONGEST; n++) rllc_words_release(&k->words[n]);
    rllc_free(k);
}

/** The tables of the training split, from the first task that asks. */
static rllc_status get_tables(const rllc_analysis_task *t, tables **out) {
    rllc_status status = RLLC_OK;
    tables *k = NULL;
    *out = *t->kept;
    if (*out && (*out)->bigrams.d_vocab == t->model->options.d_vocab) return RLLC_OK;
    if (*out) forget(*out);
    *out = *t->kept = NULL;
    RLLC_TRY(rllc_alloc(&k, 1, sizeof *k));
    RLLC_TRY(rllc_bigrams_count(&k->bigrams, t->train, t->model->options.d_vocab, RLLC_BIGRAM_PAIRS, t->job->monitor));
    for (int n = 2; n <= RLLC_WORD_LONGEST && t->tokenizer; n++)
        RLLC_TRY(rllc_words_find(&k->words[n], t->train, t->tokenizer, n));
    *t->kept = *out = k;
    k = NULL;
done:
    if (k) forget(k);
    return status;
}

static rllc_status measure(rllc_behaviour *b, const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    tables *k = NULL;
    RLLC_TRY(rllc_behaviour_losses(b, t));
    if (!t->train) {
        rllc_report_message(t->job->monitor,
                            "the training split is not in the run's folder: bigram and n-gram scores are left out");
        goto done;
    }
    RLLC_TRY(get_tables(t, &k));
    RLLC_TRY(rllc_behaviour_bigrams(b, t, &k->bigrams));
    for (int n = 2; n <= RLLC_WORD_LONGEST; n++)
        if (k->words[n].size) RLLC_TRY(rllc_behaviour_words(b, t, &k->words[n]));
done:
    return status;
}

/* ---- rows of the store ------------------------------------------------------------------------------------------ */

static rllc_status put_score(const rllc_analysis_task *t, const char *metric, double value, double se, int64_t n,
                             double chance) {
    const rllc_store_score row = {.checkpoint_id = t->checkpoint->id,
                                  .metric = metric,
                                  .layer = -1,
                                  .head = -1,
                                  .corpus = t->corpus->name,
                                  .value = value,
                                  .se = se,
                                  .n = n,
                                  .chance = chance};
    if (n == 0) return RLLC_OK;
    if (!isfinite(value))
        return rllc_fail(RLLC_ENOTFINITE, "%s is not finite: the weights hold a NaN or an infinity", metric);
    return rllc_store_put_score(t->job->store, &row);
}

static rllc_status put_mean(const rllc_analysis_task *t, const char *metric, const rllc_mean *m, double chance) {
    return put_score(t, metric, rllc_mean_value(m), rllc_mean_se(m), m->n, chance);
}

static rllc_status put_measure(const rllc_analysis_task *t, const char *metric, const rllc_mean *m,
                               const rllc_json *j) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    RLLC_TRY(rllc_json_print(j, 0, false, &text));
    const rllc_store_measure row = {.checkpoint_id = t->checkpoint->id,
                                    .metric = metric,
                                    .component = "full",
                                    .corpus = t->corpus->name,
                                    .value = rllc_mean_value(m),
                                    .se = rllc_mean_se(m),
                                    .n = m->n,
                                    .json = rllc_string_text(&text)};
    RLLC_TRY(rllc_store_put_measure(t->job->store, &row));
done:
    rllc_string_release(&text);
    return status;
}

/** The predictions of the published figure, and the last. */
static bool is_shown(int64_t i, int64_t predictions) {
    static const int64_t shown[] = {10, 20, 30, 50, 100, 200, 300, 500, 1000};
    if (i < 8 || i == predictions - 1) return true;
    for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
        if (i == shown[k]) return true;
    return false;
}

static rllc_status put_curve(const rllc_analysis_task *t, const rllc_behaviour *b, int which, const char *metric) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *positions = rllc_json_array(), *values = rllc_json_array(),
              *errors = rllc_json_array();
    for (int64_t i = 0; i < b->predictions; i++) {
        if (!is_shown(i, b->predictions)) continue;
        RLLC_TRY(rllc_json_append(positions, rllc_json_integer(i)));
        RLLC_TRY(rllc_json_append(values, rllc_json_real(rllc_mean_value(&b->at[which][i]))));
        RLLC_TRY(rllc_json_append(errors, rllc_json_real(rllc_mean_se(&b->at[which][i]))));
    }
    status = rllc_json_set(j, "positions", positions);
    positions = NULL;
    if (status == RLLC_OK) status = rllc_json_set(j, "values", values), values = NULL;
    if (status == RLLC_OK) status = rllc_json_set(j, "se", errors), errors = NULL;
    if (status == RLLC_OK) status = put_measure(t, metric, &b->loss[which], j);
done:
    rllc_json_free(j);
    rllc_json_free(positions);
    rllc_json_free(values);
    rllc_json_free(errors);
    return status;
}

static rllc_status put_icl(const rllc_analysis_task *t, const rllc_behaviour *b) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    if (b->late) {
        RLLC_TRY(rllc_json_set(j, "late", rllc_json_integer(b->late)));
        RLLC_TRY(rllc_json_set(j, "early", rllc_json_integer(b->early)));
        RLLC_TRY(put_mean(t, "icl_score", &b->icl, 0));
        RLLC_TRY(put_measure(t, "icl_score", &b->icl, j));
    }
done:
    rllc_json_free(j);
    return status;
}

/** A quotient of independent means, and its standard error to first order.                                    (E119) */
static rllc_status put_quotient(const rllc_analysis_task *t, const char *metric, const rllc_mean *a,
                                const rllc_mean *b) {
    const double x = rllc_mean_value(a), y = rllc_mean_value(b), q = x / y;
    const double se = fabs(q) * hypot(rllc_mean_se(a) / x, rllc_mean_se(b) / y);
    return b->n ? put_score(t, metric, q, se, b->n, 1) : RLLC_OK;
}

static rllc_status put_words(const rllc_analysis_task *t, const rllc_behaviour *b, int n) {
    rllc_status status = RLLC_OK;
    const double uniform = log((double)t->model->options.d_vocab);
    RLLC_TRY(put_mean(t, rllc_intern_printf("ngram_loss/%d", n), &b->words[n], uniform));
    RLLC_TRY(put_quotient(t, rllc_intern_printf("ngram_score/%d", n), &b->loss[0], &b->words[n]));
    if (n < b->predictions)
        RLLC_TRY(put_quotient(t, rllc_intern_printf("ngram_score_position/%d", n), &b->at[0][n], &b->words[n]));
done:
    return status;
}

static rllc_status put(const rllc_analysis_task *t, const rllc_behaviour *b) {
    rllc_status status = RLLC_OK;
    const double uniform = log((double)t->model->options.d_vocab);
    RLLC_TRY(put_mean(t, "loss", &b->loss[RLLC_POSITIONS_KEPT], uniform));
    RLLC_TRY(put_mean(t, "loss/no_positions", &b->loss[RLLC_POSITIONS_ZERO], uniform));
    RLLC_TRY(put_mean(t, "position_effect", &b->effect, 0));
    RLLC_TRY(put_icl(t, b));
    RLLC_TRY(put_mean(t, "bigram_cross_entropy", &b->cross_entropy, rllc_mean_value(&b->entropy)));
    RLLC_TRY(put_mean(t, "bigram_kl", &b->kl, NAN));
    for (int n = 2; n <= RLLC_WORD_LONGEST; n++) RLLC_TRY(put_words(t, b, n));
    RLLC_TRY(put_curve(t, b, RLLC_POSITIONS_KEPT, "loss_by_position"));
    RLLC_TRY(put_curve(t, b, RLLC_POSITIONS_ZERO, "loss_by_position/no_positions"));
done:
    return status;
}

static rllc_status run(const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    rllc_behaviour b = {0};
    RLLC_TRY(rllc_behaviour_init(&b, t->model->options.n_ctx));
    RLLC_TRY(measure(&b, t));
    RLLC_TRY(rllc_store_begin(t->job->store));
    status = put(t, &b);
    if (status == RLLC_OK)
        status = rllc_store_commit(t->job->store);
    else
        rllc_store_rollback(t->job->store);
done:
    rllc_behaviour_release(&b);
    return status;
}

const rllc_analysis_kind rllc_analysis_behaviour = {
    .name = "behaviour",
    .flag = "score",
    .summary = "losses by position, in-context learning, bigrams, words of a few tokens",
    .source = "Hoogland et al. 2024, arXiv 2402.02364; Olsson et al. 2022, arXiv 2209.11895 (ICL score)",
    .of_corpus = true,
    .checkpoints = "all",
    .sequences = RLLC_BEHAVIOUR_ROWS,
    .item = item,
    .identity = identity,
    .cost = cost,
    .run = run,
    .forget = forget};
