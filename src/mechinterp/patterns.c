/* The analysis of attention on text: every score of text_scores.c from one pass over a corpus' analysis split. */
#include <math.h>
#include <string.h>

#include "mechinterp/analysis.h"
#include "mechinterp/delimiters.h"
#include "mechinterp/text_scores.h"

/* Part of the identity of what is stored: raise it when a score or the arithmetic changes. */
#define PATTERNS_VERSION 1

enum { SEQUENCES = 16 /* a call of the engine: bounds the memory for keys */, MAX_SCORES = 32 };

static const char *item(int i) {
    return i == 0 ? "text" : NULL;
}

static const char *identity(const rllc_analysis_job *job) {
    return rllc_intern_printf("patterns/%d contexts %lld", PATTERNS_VERSION,
                              (long long)job->settings.score.score_contexts);
}

static int64_t contexts(const rllc_analysis_job *job, int64_t rows) {
    return rows < job->settings.score.score_contexts ? rows : job->settings.score.score_contexts;
}

static void cost(const rllc_analysis_job *job, const rllc_model *shape, const char *name, int64_t rows, double *tokens,
                 double *flops) {
    const rllc_model_options *o = &shape->options;
    const double visible = 0.5 * (double)(o->n_ctx * o->n_heads * o->n_layers), log_and_exp = 40;
    (void)name;
    *tokens = (double)(contexts(job, rows) * o->n_ctx);
    *flops = *tokens * (rllc_model_flops(shape) + visible * (2 * (double)o->d_head + log_and_exp));
}

/* ---- one sequence -------------------------------------------------------------------------------------------- */

/* Right positions of every query under one score: list[first[k] .. first[k + 1] - 1]. */
typedef struct keys {
    int64_t *first; /* [T + 1] */
    int32_t *list;
    int64_t room;
} keys;

typedef struct sequence {
    int32_t *earlier, *partner; /* [T] */
    keys keys[MAX_SCORES];
    double *sum;                                /* [heads, scores] over its queries */
    double count[MAX_SCORES], even[MAX_SCORES]; /* queries; what even attention would sum to */
} sequence;

/* What is measured, and sums over sequences: s of values, c of queries. */
typedef struct measurement {
    const rllc_analysis_task *task;
    const rllc_text_score *scores;
    int n_scores;
    int64_t heads, H, T;
    int32_t *tokens, *last, *found; /* [SEQUENCES, T], [V], [T] */
    sequence sequences[SEQUENCES];
    rllc_delimiters delimiters;
    double *s, *ss, *sc; /* [heads, scores] */
    double c[MAX_SCORES], cc[MAX_SCORES], even[MAX_SCORES];
    int64_t n[MAX_SCORES]; /* sequences that have such queries */
} measurement;

static rllc_status measurement_init(measurement *m, const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    const rllc_model_options *o = &t->model->options;
    m->task = t;
    m->scores = rllc_text_score_list(&m->n_scores);
    m->H = o->n_heads;
    m->heads = o->n_layers * o->n_heads;
    m->T = o->n_ctx;
    RLLC_TRY(rllc_alloc(&m->tokens, SEQUENCES * m->T, sizeof *m->tokens));
    RLLC_TRY(rllc_alloc(&m->found, m->T, sizeof *m->found));
    RLLC_TRY(rllc_alloc(&m->last, o->d_vocab, sizeof *m->last));
    for (int64_t v = 0; v < o->d_vocab; v++) m->last[v] = -1;
    RLLC_TRY(rllc_delimiters_from_tokenizer(&m->delimiters, t->tokenizer, (int32_t)t->job->bos));
    RLLC_TRY(rllc_alloc(&m->s, m->heads * m->n_scores, sizeof *m->s));
    RLLC_TRY(rllc_alloc(&m->ss, m->heads * m->n_scores, sizeof *m->ss));
    RLLC_TRY(rllc_alloc(&m->sc, m->heads * m->n_scores, sizeof *m->sc));
    for (int i = 0; i < SEQUENCES; i++) {
        sequence *s = &m->sequences[i];
        RLLC_TRY(rllc_alloc(&s->earlier, m->T, sizeof *s->earlier));
        RLLC_TRY(rllc_alloc(&s->partner, m->T, sizeof *s->partner));
        RLLC_TRY(rllc_alloc(&s->sum, m->heads * m->n_scores, sizeof *s->sum));
        for (int k = 0; k < m->n_scores; k++) RLLC_TRY(rllc_alloc(&s->keys[k].first, m->T + 1, sizeof(int64_t)));
    }
done:
    return status;
}

static void measurement_release(measurement *m) {
    rllc_delimiters_release(&m->delimiters);
    rllc_free(m->tokens);
    rllc_free(m->found);
    rllc_free(m->last);
    rllc_free(m->s);
    rllc_free(m->ss);
    rllc_free(m->sc);
    for (int i = 0; i < SEQUENCES; i++) {
        rllc_free(m->sequences[i].earlier);
        rllc_free(m->sequences[i].partner);
        rllc_free(m->sequences[i].sum);
        for (int k = 0; k < MAX_SCORES; k++) {
            rllc_free(m->sequences[i].keys[k].first);
            rllc_free(m->sequences[i].keys[k].list);
        }
    }
}

/** Right positions of a sequence under one score, and how many queries it is asked of. */
static rllc_status find_keys(const measurement *m, sequence *s, const rllc_text_row *row, int score) {
    keys *k = &s->keys[score];
    s->count[score] = s->even[score] = 0;
    for (int64_t q = 0; q < m->T; q++) {
        const int64_t n = m->scores[score].keys(row, q, m->found), used = k->first[q];
        if (used + n > k->room) {
            const int64_t room = 2 * (used + n);
            const rllc_status status = rllc_grow(&k->list, k->room, room, sizeof *k->list);
            if (status != RLLC_OK) return status;
            k->room = room;
        }
        if (n > 0) memcpy(k->list + used, m->found, (size_t)n * sizeof *k->list);
        k->first[q + 1] = used + n;
        s->count[score] += n > 0;
        s->even[score] += (double)n / (double)(q + 1);
    }
    return RLLC_OK;
}

static void expect_entropy(const measurement *m, sequence *s, int score) {
    s->count[score] = (double)(m->T - 1);
    s->even[score] = 0;
    for (int64_t q = 1; q < m->T; q++) s->even[score] += m->scores[score].of_entropy(log((double)q + 1), q);
}

/** Which delimiter each token closes. */
static void find_partners(const measurement *m, const int32_t *tokens, int32_t *partner) {
    rllc_nesting open = {0};
    for (int64_t k = 0; k < m->T; k++) {
        partner[k] = rllc_nesting_partner(&open, &m->delimiters, tokens[k]);
        rllc_nesting_read(&open, &m->delimiters, tokens[k], k + 1 < m->T ? tokens[k + 1] : -1);
    }
}

static rllc_status prepare(measurement *m, int64_t i) {
    rllc_status status = RLLC_OK;
    sequence *s = &m->sequences[i];
    const rllc_text_row row = {m->tokens + i * m->T, m->T, s->earlier, s->partner};
    rllc_text_earlier(row.tokens, m->T, (int32_t)m->task->job->bos, m->last, s->earlier);
    find_partners(m, row.tokens, s->partner);
    memset(s->sum, 0, (size_t)(m->heads * m->n_scores) * sizeof *s->sum);
    for (int k = 0; k < m->n_scores; k++)
        if (m->scores[k].keys)
            RLLC_TRY(find_keys(m, s, &row, k));
        else
            expect_entropy(m, s, k);
done:
    return status;
}

/** H = -sum_j A_j log A_j.                                                                                     (E112)
 */
static double entropy(const float *a, int64_t n) {
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
        if (!(a[j] <= 0)) sum -= (double)(a[j] * logf(a[j])); /* a NaN stays */
    return sum;
}

static void visit(void *context, int64_t i, int layer, int head, int64_t query, const float *attention) {
    measurement *m = context;
    const sequence *s = &m->sequences[i];
    double *sum = s->sum + (layer * m->H + head) * m->n_scores;
    const double h = query > 0 ? entropy(attention, query + 1) : 0;
    for (int k = 0; k < m->n_scores; k++) {
        if (m->scores[k].of_entropy) {
            if (query > 0) sum[k] += m->scores[k].of_entropy(h, query);
            continue;
        }
        for (int64_t j = s->keys[k].first[query]; j < s->keys[k].first[query + 1]; j++)
            sum[k] += (double)attention[s->keys[k].list[j]];
    }
}

/* ---- over sequences ------------------------------------------------------------------------------------------ */

static void add(measurement *m, const sequence *s) {
    for (int k = 0; k < m->n_scores; k++) {
        const double c = s->count[k];
        m->c[k] += c;
        m->cc[k] += c * c;
        m->even[k] += s->even[k];
        m->n[k] += c > 0;
        for (int64_t h = 0; h < m->heads; h++) {
            const int64_t at = h * m->n_scores + k;
            m->s[at] += s->sum[at];
            m->ss[at] += s->sum[at] * s->sum[at];
            m->sc[at] += s->sum[at] * c;
        }
    }
}

static rllc_status measure(measurement *m) {
    rllc_status status = RLLC_OK;
    const rllc_analysis_task *t = m->task;
    const int64_t n = contexts(t->job, t->rows->rows);
    for (int64_t first = 0; first < n; first += SEQUENCES) {
        const int64_t rows = n - first < SEQUENCES ? n - first : SEQUENCES;
        for (int64_t i = 0; i < rows; i++) {
            rllc_rows_get(t->rows, rllc_analysis_row(first + i, n, t->rows->rows), m->tokens + i * m->T);
            RLLC_TRY(prepare(m, i));
        }
        RLLC_TRY(rllc_engine_attention_patterns(t->engine, t->model->weights, m->tokens, rows, visit, m));
        for (int64_t i = 0; i < rows; i++) add(m, &m->sequences[i]);
        RLLC_TRY(rllc_analysis_progress(t, (double)(first + rows) / (double)n));
    }
done:
    return status;
}

/** The mean over all queries, and the standard error that its sequences give it as a ratio.                    (E113)
 */
static rllc_status put_head(const measurement *m, int64_t h, int k) {
    const int64_t at = h * m->n_scores + k;
    const double c = m->c[k], n = (double)m->n[k], value = m->s[at] / c,
                 spread = m->ss[at] - 2 * value * m->sc[at] + value * value * m->cc[k];
    const rllc_store_score row = {.checkpoint_id = m->task->checkpoint->id,
                                  .metric = m->scores[k].name,
                                  .layer = (int)(h / m->H),
                                  .head = (int)(h % m->H),
                                  .corpus = m->task->corpus->name,
                                  .value = value,
                                  .se = n > 1 ? sqrt(n / (n - 1) * fmax(spread, 0)) / c : NAN,
                                  .n = m->n[k],
                                  .chance = m->even[k] / c};
    if (!isfinite(value))
        return rllc_fail(RLLC_ENOTFINITE, "%s of head %d:%d is not finite: the weights hold a NaN or an infinity",
                         row.metric, row.layer, row.head);
    return rllc_store_put_score(m->task->job->store, &row);
}

static rllc_status put(const measurement *m) {
    rllc_status status = RLLC_OK;
    for (int k = 0; k < m->n_scores; k++)
        for (int64_t h = 0; h < m->heads && m->c[k] > 0; h++) RLLC_TRY(put_head(m, h, k));
done:
    return status;
}

static rllc_status run(const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    measurement *m = NULL;
    RLLC_TRY(rllc_alloc(&m, 1, sizeof *m));
    RLLC_TRY(measurement_init(m, t));
    RLLC_TRY(measure(m));
    RLLC_TRY(rllc_store_begin(t->job->store));
    status = put(m);
    if (status == RLLC_OK)
        status = rllc_store_commit(t->job->store);
    else
        rllc_store_rollback(t->job->store);
done:
    if (m) measurement_release(m);
    rllc_free(m);
    return status;
}

const rllc_analysis_kind rllc_analysis_patterns = {
    .name = "patterns",
    .flag = "score",
    .summary = "attention of heads on text: previous, current, first, duplicate tokens, induction, brackets, entropy",
    .source = "Olsson et al. 2022, arXiv 2209.11895; Wang et al. 2023, arXiv 2211.00593 (duplicate tokens)",
    .of_corpus = true,
    .checkpoints = "all",
    .sequences = SEQUENCES,
    .item = item,
    .identity = identity,
    .cost = cost,
    .run = run};
