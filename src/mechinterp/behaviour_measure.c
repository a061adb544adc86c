/* Passes behind the behaviour of a model: losses, bigrams, words. */
#include <string.h>

#include "mechinterp/behaviour.h"

/** Predictions 48 and 498 of 1,023, or those at the same fractions of a shorter context.                      (E117) */
static void set_icl(rllc_behaviour *b) {
    const int64_t of = b->predictions > 498 ? 1023 : b->predictions;
    b->early = 48 * of / 1023;
    b->late = 498 * of / 1023;
    if (b->late <= b->early) b->late = 0;
}

rllc_status rllc_behaviour_init(rllc_behaviour *b, int64_t n_ctx) {
    rllc_status status = RLLC_OK;
    *b = (rllc_behaviour){.predictions = n_ctx - 1};
    for (int i = 0; i < RLLC_POSITIONS_BOTH; i++) RLLC_TRY(rllc_alloc(&b->at[i], b->predictions, sizeof *b->at[i]));
    set_icl(b);
done:
    return status;
}

void rllc_behaviour_release(rllc_behaviour *b) {
    for (int i = 0; i < RLLC_POSITIONS_BOTH; i++) rllc_free(b->at[i]);
}

int64_t rllc_behaviour_contexts(const rllc_analysis_job *job, int64_t rows) {
    return rows < job->settings.score.behaviour_contexts ? rows : job->settings.score.behaviour_contexts;
}

static int64_t read_rows(const rllc_analysis_task *t, int64_t first, int64_t n, int32_t *tokens) {
    const int64_t rows = n - first < RLLC_BEHAVIOUR_ROWS ? n - first : RLLC_BEHAVIOUR_ROWS;
    for (int64_t r = 0; r < rows; r++)
        rllc_rows_get(t->rows, rllc_analysis_row(first + r, n, t->rows->rows), tokens + r * t->model->options.n_ctx);
    return rows;
}

/* ---- losses -------------------------------------------------------------------------------------------------- */

static rllc_status without_positions(const rllc_model *m, float **out) {
    rllc_status status = RLLC_OK;
    const rllc_parameter *p = rllc_model_find(m, "pos_embed.W_pos");
    RLLC_TRY(rllc_alloc(out, m->size, sizeof **out));
    memcpy(*out, m->weights, (size_t)m->size * sizeof **out);
    memset(*out + p->offset, 0, (size_t)p->n * sizeof **out);
done:
    return status;
}

/** losses [2][predictions] of one sequence. */
static void add_losses(rllc_behaviour *b, const float *const losses[RLLC_POSITIONS_BOTH]) {
    double mean[RLLC_POSITIONS_BOTH] = {0};
    for (int k = 0; k < RLLC_POSITIONS_BOTH; k++) {
        for (int64_t i = 0; i < b->predictions; i++) {
            mean[k] += (double)losses[k][i] / (double)b->predictions;
            rllc_mean_add(&b->at[k][i], (double)losses[k][i]);
        }
        rllc_mean_add(&b->loss[k], mean[k]);
    }
    rllc_mean_add(&b->effect, mean[RLLC_POSITIONS_ZERO] - mean[RLLC_POSITIONS_KEPT]);
    if (b->late) rllc_mean_add(&b->icl, (double)losses[0][b->late] - (double)losses[0][b->early]);
}

rllc_status rllc_behaviour_losses(rllc_behaviour *b, const rllc_analysis_task *t) {
    rllc_status status = RLLC_OK;
    const int64_t P = b->predictions, n = rllc_behaviour_contexts(t->job, t->rows->rows);
    int32_t *tokens = NULL;
    float *zeroed = NULL, *losses[RLLC_POSITIONS_BOTH] = {NULL, NULL};
    RLLC_TRY(rllc_alloc(&tokens, RLLC_BEHAVIOUR_ROWS * (P + 1), sizeof *tokens));
    for (int k = 0; k < RLLC_POSITIONS_BOTH; k++)
        RLLC_TRY(rllc_alloc(&losses[k], RLLC_BEHAVIOUR_ROWS * P, sizeof *losses[k]));
    RLLC_TRY(without_positions(t->model, &zeroed));
    for (int64_t first = 0; first < n; first += RLLC_BEHAVIOUR_ROWS) {
        const int64_t rows = read_rows(t, first, n, tokens);
        for (int k = 0; k < RLLC_POSITIONS_BOTH; k++) {
            rllc_evaluation x = {.token_losses = losses[k]};
            RLLC_TRY(rllc_engine_evaluate(t->engine, k ? zeroed : t->model->weights, tokens, rows, &x));
        }
        for (int64_t r = 0; r < rows; r++) add_losses(b, (const float *[]){losses[0] + r * P, losses[1] + r * P});
        RLLC_TRY(rllc_analysis_progress(t, 0.7 * (double)(first + rows) / (double)n));
    }
done:
    rllc_free(tokens);
    rllc_free(zeroed);
    for (int k = 0; k < RLLC_POSITIONS_BOTH; k++) rllc_free(losses[k]);
    return status;
}

/* ---- bigrams ------------------------------------------------------------------------------------------------- */

static double log_sum_exp(const float *x, int64_t n) {
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) max = fmax(max, (double)x[i]);
    for (int64_t i = 0; i < n; i++) sum += exp((double)x[i] - max);
    return max + log(sum);
}

/** -sum_b P(b | a) log softmax(logits)_b, where a token is ever followed by another.                          (E118) */
static void add_bigram(rllc_behaviour *b, const rllc_bigrams *g, int32_t a, const float *logits) {
    double cross = 0;
    if (g->total[a] == 0) return;
    const double lse = log_sum_exp(logits, g->d_vocab), entropy = rllc_bigrams_entropy(g, a);
    for (int64_t i = g->first[a]; i < g->first[a + 1]; i++)
        cross += (double)g->count[i] / (double)g->total[a] * (lse - (double)logits[g->next[i]]);
    rllc_mean_add(&b->cross_entropy, cross);
    rllc_mean_add(&b->entropy, entropy);
    rllc_mean_add(&b->kl, cross - entropy);
}

rllc_status rllc_behaviour_bigrams(rllc_behaviour *b, const rllc_analysis_task *t, const rllc_bigrams *table) {
    rllc_status status = RLLC_OK;
    const int64_t T = b->predictions + 1, V = t->model->options.d_vocab;
    const int64_t n = rllc_behaviour_contexts(t->job, t->rows->rows);
    const rllc_stream s = rllc_stream_make(t->job->settings.score.score_seed, "score/bigram", 0, 0);
    int32_t *tokens = NULL;
    int64_t position[RLLC_BEHAVIOUR_ROWS];
    float *logits = NULL;
    RLLC_TRY(rllc_alloc(&tokens, RLLC_BEHAVIOUR_ROWS * T, sizeof *tokens));
    RLLC_TRY(rllc_alloc(&logits, RLLC_BEHAVIOUR_ROWS * V, sizeof *logits));
    for (int64_t first = 0; first < n; first += RLLC_BEHAVIOUR_ROWS) {
        const int64_t rows = read_rows(t, first, n, tokens);
        for (int64_t r = 0; r < rows; r++)
            position[r] = 1 + (int64_t)rllc_stream_below(&s, (uint64_t)(first + r), (uint64_t)(T - 1));
        RLLC_TRY(rllc_engine_logits_at(t->engine, t->model->weights, tokens, rows, position, logits));
        for (int64_t r = 0; r < rows; r++) add_bigram(b, table, tokens[r * T + position[r]], logits + r * V);
        RLLC_TRY(rllc_analysis_progress(t, 0.7 + 0.25 * (double)(first + rows) / (double)n));
    }
done:
    rllc_free(tokens);
    rllc_free(logits);
    return status;
}

/* ---- words --------------------------------------------------------------------------------------------------- */

rllc_status rllc_behaviour_words(rllc_behaviour *b, const rllc_analysis_task *t, const rllc_words *words) {
    rllc_status status = RLLC_OK;
    const int64_t bos = t->job->bos, with_bos = bos >= 0, T = words->n + with_bos;
    int32_t tokens[RLLC_BEHAVIOUR_ROWS * (RLLC_WORD_LONGEST + 1)];
    float losses[RLLC_BEHAVIOUR_ROWS * RLLC_WORD_LONGEST];
    if (T > t->model->options.n_ctx) return RLLC_OK;
    RLLC_TRY(rllc_engine_set_context(t->engine, T));
    for (int64_t first = 0; first < words->size; first += RLLC_BEHAVIOUR_ROWS) {
        const int64_t left = words->size - first, rows = left < RLLC_BEHAVIOUR_ROWS ? left : RLLC_BEHAVIOUR_ROWS;
        rllc_evaluation x = {.token_losses = losses};
        for (int64_t r = 0; r < rows; r++) {
            if (with_bos) tokens[r * T] = (int32_t)bos;
            memcpy(tokens + r * T + with_bos, words->ids + (first + r) * words->n, (size_t)words->n * sizeof *tokens);
        }
        RLLC_TRY(rllc_engine_evaluate(t->engine, t->model->weights, tokens, rows, &x));
        for (int64_t r = 0; r < rows; r++) rllc_mean_add(&b->words[words->n], (double)losses[r * (T - 1) + T - 2]);
    }
    RLLC_TRY(rllc_engine_set_context(t->engine, t->model->options.n_ctx));
done:
    return status;
}
