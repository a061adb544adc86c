/* Losses, in-context learning, bigrams and words of a run's models: against direct evaluation, and models whose answer
 * is known. */
#include "mechinterp/hand_built.h"
#include "mechinterp/text_world.h"
#include "mechinterp/words.h"

enum { P = T - 1 };

static rllc_store_score model_score(const world *w, const char *metric, int step) {
    return world_score(w, metric, step, -1, -1);
}

/* Mean and standard error in two passes. */
static void moments(const double *x, int64_t n, double *mean, double *se) {
    double spread = 0;
    *mean = 0;
    for (int64_t i = 0; i < n; i++) *mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) spread += pow(x[i] - *mean, 2);
    *se = sqrt(spread / (double)(n - 1) / (double)n);
}

static void assert_moments(const rllc_store_score *found, const double *x, int64_t n) {
    double mean, se;
    moments(x, n, &mean, &se);
    assert_near(found->value, mean, 1e-9);
    assert_near(found->se, se, 1e-9);
    assert_int_equal(found->n, n);
    assert_string_equal(found->corpus, "mix");
}

static const rllc_json *measure_of(const world *w, const char *metric, int step, rllc_store_measure *out) {
    rllc_store_measure *list;
    rllc_json *j = NULL;
    int64_t n, hits = 0;
    assert_ok(rllc_store_measures(w->job.store, metric, &list, &n));
    for (int64_t i = 0; i < n; i++)
        if (list[i].step == step) *out = list[i], hits++;
    rllc_free(list);
    assert_int_equal(hits, 1);
    assert_string_equal(out->component, "full");
    assert_ok(rllc_json_parse(&j, out->json, strlen(out->json), metric));
    return j;
}

static double number(const rllc_json *j, const char *key, int64_t i) {
    return rllc_json_to_real(rllc_json_at(rllc_json_get(j, key), i), NAN);
}

static void test_losses_equal_direct_evaluation(void **state) {
    (void)state;
    world w;
    static float losses[2][WORLD_ROWS * P];
    double x[WORLD_ROWS], y[WORLD_ROWS], d[WORLD_ROWS], icl[WORLD_ROWS];
    text_world_open(&w);
    assert_int_equal(world_missing(&w, "score", "behaviour"), WORLD_STEPS);
    world_analyze(&w, "score", "behaviour");
    assert_int_equal(world_missing(&w, "score", "behaviour"), 0);
    for (int step = 0; step < WORLD_STEPS; step++) {
        rllc_model *m = &w.model[step];
        const rllc_parameter *p = rllc_model_find(m, "pos_embed.W_pos");
        rllc_store_measure curve;
        world_losses(&w, m, losses[0]);
        for (int64_t i = 0; i < p->n; i++) m->weights[p->offset + i] = 0;
        world_losses(&w, m, losses[1]);
        for (int r = 0; r < WORLD_ROWS; r++) {
            x[r] = y[r] = 0;
            for (int i = 0; i < P; i++)
                x[r] += (double)losses[0][r * P + i] / P, y[r] += (double)losses[1][r * P + i] / P;
            d[r] = y[r] - x[r];
            icl[r] = (double)losses[0][r * P + 7] - (double)losses[0][r * P]; /* 498 and 48 of 1,023, of 15 */
        }
        rllc_store_score s = model_score(&w, "loss", step);
        assert_moments(&s, x, WORLD_ROWS);
        assert_near(s.chance, log(V), 1e-12);
        s = model_score(&w, "loss/no_positions", step), assert_moments(&s, y, WORLD_ROWS);
        s = model_score(&w, "position_effect", step), assert_moments(&s, d, WORLD_ROWS);
        s = model_score(&w, "icl_score", step), assert_moments(&s, icl, WORLD_ROWS);
        const rllc_json *j = measure_of(&w, "icl_score", step, &curve);
        assert_int_equal(rllc_json_to_integer(rllc_json_get(j, "late"), -1), 7);
        assert_int_equal(rllc_json_to_integer(rllc_json_get(j, "early"), -1), 0);
        assert_true(curve.value == s.value);
        rllc_json_free((rllc_json *)(uintptr_t)j);
        for (int k = 0; k < 2; k++) {
            static const int64_t shown[] = {0, 1, 2, 3, 4, 5, 6, 7, 10, 14};
            j = measure_of(&w, k ? "loss_by_position/no_positions" : "loss_by_position", step, &curve);
            assert_int_equal(rllc_json_length(rllc_json_get(j, "positions")), 10);
            for (int i = 0; i < 10; i++) {
                double mean, se;
                for (int r = 0; r < WORLD_ROWS; r++) x[r] = (double)losses[k][r * P + shown[i]];
                moments(x, WORLD_ROWS, &mean, &se);
                assert_true(number(j, "positions", i) == (double)shown[i]);
                assert_near(number(j, "values", i), mean, 1e-9);
                assert_near(number(j, "se", i), se, 1e-9);
            }
            rllc_json_free((rllc_json *)(uintptr_t)j);
        }
    }
    w.job.settings.score.behaviour_contexts = 4; /* of rows 0, 2, 4, 6 */
    world_analyze(&w, "score", "behaviour");
    world_losses(&w, &w.model[1], losses[1]); /* W_pos = 0 by now */
    for (int r = 0; r < 4; r++) {
        x[r] = 0;
        for (int i = 0; i < P; i++) x[r] += (double)losses[1][2 * r * P + i] / P;
    }
    const rllc_store_score few = model_score(&w, "loss/no_positions", 1);
    assert_moments(&few, x, 4);
    world_close(&w);
}

/* P(b | a) in the training split, which is w->tokens. */
static double share_of(const world *w, int a, int b) {
    double pair = 0, all = 0;
    for (int i = 0; i < WORLD_ROWS * T; i++) {
        if (i % T == T - 1 || w->tokens[i] != a) continue;
        all++;
        pair += w->tokens[i + 1] == b;
    }
    return all > 0 ? pair / all : 0;
}

static void zero_layers(rllc_model *m) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = 0, o.n_heads = 1, o.d_model = V, o.d_head = 1, o.n_ctx = T, o.d_vocab = V;
    o.normalization = RLLC_NORM_NULL;
    assert_ok(rllc_model_init(m, &o));
    for (int i = 0; i < V; i++) m->weights[rllc_model_find(m, "embed.W_E")->offset + i * V + i] = 1;
}

static void test_table_of_bigrams_scores_its_entropy(void **state) {
    (void)state;
    world w;
    rllc_model m;
    text_world_open(&w);
    zero_layers(&m);
    for (int a = 0; a < V; a++)
        for (int b = 0; b < V; b++) {
            const double p = share_of(&w, a, b);
            m.weights[rllc_model_find(&m, "unembed.W_U")->offset + a * V + b] = p > 0 ? (float)log(p) : -60;
        }
    text_world_put_model(&w, &m);
    world_analyze(&w, "score", "behaviour");
    const rllc_store_score x = model_score(&w, "bigram_cross_entropy", STEP), kl = model_score(&w, "bigram_kl", STEP);
    assert_near(x.value, x.chance, 1e-6);
    assert_near(kl.value, 0, 1e-6);
    assert_true(x.chance > 0.5 && x.se > 0);
    rllc_model_release(&m);
    world_close(&w);
}

static void test_model_that_knows_nothing_scores_log_v(void **state) {
    (void)state;
    world w;
    rllc_model m;
    text_world_open(&w);
    zero_layers(&m);
    text_world_put_model(&w, &m);
    world_analyze(&w, "score", "behaviour");
    const rllc_store_score x = model_score(&w, "bigram_cross_entropy", STEP), kl = model_score(&w, "bigram_kl", STEP);
    assert_near(x.value, log(V), 1e-6);
    assert_near(kl.value, log(V) - x.chance, 1e-6);
    static const char *const same[] = {"loss", "loss/no_positions", "ngram_loss/2", "ngram_loss/3", "ngram_loss/4"};
    static const char *const ones[] = {"ngram_score/2", "ngram_score/3", "ngram_score/4", "ngram_score_position/2"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_near(model_score(&w, same[i], STEP).value, log(V), 1e-6);
    for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) assert_near(model_score(&w, ones[i], STEP).value, 1, 1e-6);
    assert_near(model_score(&w, "position_effect", STEP).value, 0, 1e-12);
    assert_near(model_score(&w, "icl_score", STEP).value, 0, 1e-12);
    rllc_model_release(&m);
    world_close(&w);
}

/* Every position of every sequence by hand, at the position that the stream names. */
static void test_bigram_scores_equal_their_definition(void **state) {
    (void)state;
    world w;
    rllc_engine *e;
    static float logits[WORLD_ROWS * T * V];
    double cross[WORLD_ROWS], kl[WORLD_ROWS], floor = 0;
    text_world_open(&w);
    w.job.settings.score.score_seed = 11;
    world_analyze(&w, "score", "behaviour");
    rllc_evaluation x = {.logits = logits};
    assert_ok(rllc_engine_new(&e, &w.model[1], WORLD_ROWS, 1));
    assert_ok(rllc_engine_evaluate(e, w.model[1].weights, w.tokens, WORLD_ROWS, &x));
    rllc_engine_free(e);
    const rllc_stream s = rllc_stream_make(11, "score/bigram", 0, 0);
    for (int r = 0; r < WORLD_ROWS; r++) {
        const int64_t at = r * T + 1 + (int64_t)rllc_stream_below(&s, (uint64_t)r, P);
        double sum = 0;
        cross[r] = kl[r] = 0;
        for (int b = 0; b < V; b++) sum += exp((double)logits[at * V + b]);
        for (int b = 0; b < V; b++) {
            const double p = share_of(&w, w.tokens[at], b);
            if (p == 0) continue;
            cross[r] -= p * ((double)logits[at * V + b] - log(sum));
            kl[r] += p * (log(p) - (double)logits[at * V + b] + log(sum));
        }
        floor += (cross[r] - kl[r]) / WORLD_ROWS;
    }
    rllc_store_score found = model_score(&w, "bigram_cross_entropy", 1);
    assert_moments(&found, cross, WORLD_ROWS);
    assert_near(found.chance, floor, 1e-9);
    found = model_score(&w, "bigram_kl", 1);
    assert_moments(&found, kl, WORLD_ROWS);
    world_close(&w);
}

/* ---- words --------------------------------------------------------------------------------------------------------
 */

static bool begins(int32_t id) {
    return id < 2;
}

static bool goes_on(int32_t id) {
    return id == 2 || (id > CLOSE && id < BOS);
}

/* How often the ids stand in the text as a whole word. */
static int64_t occurrences(const world *w, const int32_t *ids, int n) {
    int64_t count = 0;
    for (int r = 0; r < WORLD_ROWS; r++)
        for (int k = 0; k + n < T; k++) {
            const int32_t *t = w->tokens + r * T + k;
            count += memcmp(t, ids, (size_t)n * sizeof *ids) == 0 && !goes_on(t[n]);
        }
    return count;
}

static void test_words_equal_a_naive_count(void **state) {
    (void)state;
    world w;
    rllc_tokenizer *tokenizer;
    rllc_rows rows;
    text_world_open(&w);
    assert_ok(rllc_tokenizer_load(&tokenizer, rllc_intern_printf("%s/tokenizer.json", w.folder)));
    assert_ok(rllc_rows_open(&rows, rllc_intern_printf("%s/corpora/mix/train.npy", w.folder), 0));
    for (int n = 2; n <= RLLC_WORD_LONGEST; n++) {
        rllc_words words;
        int64_t total = 0, all = 0;
        assert_ok(rllc_words_find(&words, &rows, tokenizer, n));
        assert_true(words.size > 0);
        for (int64_t i = 0; i < words.size; i++) {
            const int32_t *ids = words.ids + i * n;
            assert_true(begins(ids[0]));
            for (int k = 1; k < n; k++) assert_true(goes_on(ids[k]));
            assert_int_equal(words.count[i], occurrences(&w, ids, n));
            if (i) assert_true(words.count[i] <= words.count[i - 1]);
            total += words.count[i];
        }
        for (int r = 0; r < WORLD_ROWS; r++)
            for (int k = 0; k + n < T; k++) {
                bool whole = begins(w.tokens[r * T + k]) && !goes_on(w.tokens[r * T + k + n]);
                for (int i = 1; i < n; i++) whole &= goes_on(w.tokens[r * T + k + i]);
                all += whole;
            }
        assert_int_equal(total, all);
        rllc_words_release(&words);
    }
    rllc_rows_close(&rows);
    rllc_tokenizer_free(tokenizer);
    world_close(&w);
}

static void test_word_scores_equal_direct_evaluation(void **state) {
    (void)state;
    for (int64_t bos = -1; bos < V; bos += V) {
        world w;
        rllc_tokenizer *tokenizer;
        rllc_rows rows;
        text_world_open(&w);
        w.job.bos = bos;
        world_analyze(&w, "score", "behaviour");
        assert_ok(rllc_tokenizer_load(&tokenizer, rllc_intern_printf("%s/tokenizer.json", w.folder)));
        assert_ok(rllc_rows_open(&rows, rllc_intern_printf("%s/corpora/mix/train.npy", w.folder), 0));
        for (int n = 2; n <= RLLC_WORD_LONGEST; n++) {
            rllc_words words;
            rllc_engine *e;
            double x[64], mean, se;
            const int64_t t = n + (bos >= 0);
            assert_ok(rllc_words_find(&words, &rows, tokenizer, n));
            assert_true(words.size > 1 && words.size < 64);
            assert_ok(rllc_engine_new(&e, &w.model[0], 1, 1));
            assert_ok(rllc_engine_set_context(e, t));
            for (int64_t i = 0; i < words.size; i++) { /* each alone */
                int32_t tokens[8] = {(int32_t)bos};
                float losses[8];
                rllc_evaluation out = {.token_losses = losses};
                memcpy(tokens + (bos >= 0), words.ids + i * n, (size_t)n * sizeof *tokens);
                assert_ok(rllc_engine_evaluate(e, w.model[0].weights, tokens, 1, &out));
                x[i] = (double)losses[t - 2];
            }
            rllc_engine_free(e);
            const rllc_store_score found = model_score(&w, rllc_intern_printf("ngram_loss/%d", n), 0);
            assert_moments(&found, x, words.size);
            moments(x, words.size, &mean, &se);
            const rllc_store_score loss = model_score(&w, "loss", 0),
                                   score = model_score(&w, rllc_intern_printf("ngram_score/%d", n), 0);
            assert_near(score.value, loss.value / mean, 1e-9);
            assert_near(score.se, hypot(loss.se / mean, loss.value * se / mean / mean), 1e-9);
            rllc_words_release(&words);
        }
        rllc_rows_close(&rows);
        rllc_tokenizer_free(tokenizer);
        world_close(&w);
    }
}

static void test_what_a_run_does_not_have_is_left_out(void **state) {
    (void)state;
    world w;
    rllc_store_score *list;
    int64_t n;
    text_world_open(&w);
    assert_int_equal(remove(rllc_intern_printf("%s/tokenizer.json", w.folder)), 0);
    world_analyze(&w, "score", "behaviour");
    assert_ok(rllc_store_scores(w.job.store, "ngram_loss/2", &list, &n));
    assert_int_equal(n, 0);
    rllc_free(list);
    assert_true(model_score(&w, "bigram_kl", 0).value > 0);
    world_close(&w);
    text_world_open(&w);
    assert_int_equal(remove(rllc_intern_printf("%s/corpora/mix/train.npy", w.folder)), 0);
    world_analyze(&w, "score", "behaviour");
    assert_ok(rllc_store_scores(w.job.store, "bigram_kl", &list, &n));
    assert_int_equal(n, 0);
    rllc_free(list);
    assert_true(model_score(&w, "loss", 0).value > 0);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_losses_equal_direct_evaluation),
        cmocka_unit_test(test_table_of_bigrams_scores_its_entropy),
        cmocka_unit_test(test_model_that_knows_nothing_scores_log_v),
        cmocka_unit_test(test_bigram_scores_equal_their_definition),
        cmocka_unit_test(test_words_equal_a_naive_count),
        cmocka_unit_test(test_word_scores_equal_direct_evaluation),
        cmocka_unit_test(test_what_a_run_does_not_have_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
