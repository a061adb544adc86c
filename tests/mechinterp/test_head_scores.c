/* Scores of hand-built heads against their closed forms, and what the samples must look like. */
#include "mechinterp/hand_built.h"

enum { SAMPLES = 1000, BOS = 3 };

typedef struct measured {
    double value[8], se[8], chance;
} measured;

static void measure(const char *name, const rllc_model *m, int32_t bos, int n_threads, measured *out) {
    const rllc_head_score *score = rllc_head_score_find(name);
    const rllc_score_options o = {.score_samples = SAMPLES, .score_seed = 5};
    rllc_score_result r = {.value = out->value, .se = out->se};
    rllc_engine *e;
    assert_non_null(score);
    assert_ok(rllc_engine_new(&e, m, RLLC_SCORE_ROWS, n_threads));
    assert_ok(rllc_head_score_evaluate(score, e, m, bos, &o, &r));
    out->chance = r.chance;
    rllc_engine_free(e);
}

/** E over n ~ U{T/4..T} of f(c, n - 1), and the standard deviation over n. */
static double over_lengths(double (*f)(double, double), double c, int64_t t, double *sd) {
    double sum = 0, square = 0;
    const int64_t low = t / 4;
    for (int64_t n = low; n <= t; n++) {
        sum += f(c, (double)(n - 1));
        square += f(c, (double)(n - 1)) * f(c, (double)(n - 1));
    }
    const double count = (double)(t - low + 1), mean = sum / count;
    *sd = sqrt(square / count - mean * mean);
    return mean;
}

/** Share of a key with logit 0 when one other key has logit c. */
static double share_of_others(double c, double q) {
    return 1 / (exp(c) + q);
}

static void assert_mean(double found, double se, double expected, double sd) {
    const double expected_se = sd / sqrt(SAMPLES);
    if (fabs(found - expected) > 4 * expected_se + 1e-6)
        fail_msg("%.8f, expected %.8f +- %.8f", found, expected, expected_se);
    if (fabs(se - expected_se) > 0.15 * expected_se + 1e-9) /* relative error of an sd from 1,000: about 1/sqrt(2000) */
        fail_msg("standard error %.8f, expected %.8f", se, expected_se);
}

static void test_previous_and_current_token_scores_equal_closed_forms(void **state) {
    (void)state;
    hand_built b;
    measured previous, current;
    double sd;
    build(&b, 1, 3, 11, 64);
    attend_back(&b, 0, 0, 1, 2.0); /* head 2 stays uniform */
    attend_back(&b, 0, 1, 0, 5.0);
    measure("previous_token", &b.model, BOS, 1, &previous);
    measure("current_token", &b.model, BOS, 1, &current);
    double expected = over_lengths(share, 2.0, 64, &sd);
    assert_mean(previous.value[0], previous.se[0], expected, sd);
    expected = over_lengths(share, 5.0, 64, &sd);
    assert_mean(current.value[1], current.se[1], expected, sd);
    expected = over_lengths(share_of_others, 2.0, 64, &sd);
    assert_mean(current.value[0], current.se[0], expected, sd);
    expected = over_lengths(share_of_others, 5.0, 64, &sd);
    assert_mean(previous.value[1], previous.se[1], expected, sd);
    rllc_model_release(&b.model);
}

/** The same samples, drawn here: exact to rounding rather than within a standard error. */
static double exact(const char *name, double c, int64_t n_ctx, int64_t d_vocab, double *se) {
    const rllc_head_score *score = rllc_head_score_find(name);
    rllc_stream s = rllc_stream_make(5, rllc_intern_printf("score/%s", score->samples), 0, 0);
    int32_t *tokens = test_memory(n_ctx, sizeof *tokens);
    int64_t t, query, key;
    double sum = 0, square = 0;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        s.step = i;
        score->sample(&s, n_ctx, d_vocab, BOS, tokens, &t, &query, &key);
        sum += share(c, (double)query);
        square += share(c, (double)query) * share(c, (double)query);
    }
    free(tokens);
    const double mean = sum / SAMPLES;
    *se = sqrt((square - SAMPLES * mean * mean) / (SAMPLES - 1) / SAMPLES);
    return mean;
}

static void check_circuit(const char *name, int64_t v, int64_t t, double c) {
    hand_built b;
    measured m;
    double se;
    build(&b, 2, 2, v, t);
    attend_back(&b, 0, 1, 1, 200.0); /* hard: the other keys' weights are 0 in float32 */
    write_previous(&b, 0, 1);
    attend_to_follower(&b, 1, 0, c);
    measure(name, &b.model, BOS, 2, &m);
    const double expected = exact(name, c, t, v, &se);
    if (fabs(m.value[2] - expected) > 2e-6 || fabs(m.se[2] - se) > 2e-6)
        fail_msg("%s, c %g, n_ctx %lld: %.8f +- %.8f, expected %.8f +- %.8f", name, c, (long long)t, m.value[2],
                 m.se[2], expected, se);
    assert_true(fabs(m.value[3] - m.chance) < 1e-6); /* a head without weights attends evenly */
    assert_true(m.value[0] < m.chance + 1e-6);
    rllc_model_release(&b.model);
}

static void test_prefix_matching_of_an_induction_circuit_equals_closed_form(void **state) {
    (void)state;
    for (double c = 0; c <= 10; c += 5) check_circuit("prefix_matching", 30, 32, c);
    check_circuit("prefix_matching", 9, 49, 4);
}

static void test_induction_of_an_induction_circuit_equals_closed_form(void **state) {
    (void)state;
    for (double c = 0; c <= 10; c += 5) check_circuit("induction", 30, 32, c);
    check_circuit("induction", 12, 40, 4); /* the span is as long as the vocabulary allows */
}

static void test_perfect_induction_head_scores_one(void **state) {
    (void)state;
    hand_built b;
    measured m;
    build(&b, 2, 1, 30, 40);
    attend_back(&b, 0, 0, 1, 200.0);
    write_previous(&b, 0, 0);
    attend_to_follower(&b, 1, 0, 40.0);
    measure("induction", &b.model, BOS, 1, &m);
    assert_near(m.value[1], 1.0, 1e-5); /* logits of 40 in float32 are good to 4e-6 */
    assert_near(m.se[1], 0.0, 1e-6);
    measure("prefix_matching", &b.model, BOS, 1, &m);
    assert_near(m.value[1], 1.0, 1e-5);
    rllc_model_release(&b.model);
}

/** A head of layer 0 that looks for its own token: logit c on each occurrence, the query's own among them. */
static void test_perfect_duplicate_token_head_shares_with_itself(void **state) {
    (void)state;
    hand_built b;
    measured m;
    build(&b, 1, 1, 30, 40);
    for (int64_t i = 0; i < 30; i++) {
        *entry(&b, "blocks.0.attn.W_Q", 0, i, i) = (float)(40 * sqrt((double)b.model.options.d_head));
        *entry(&b, "blocks.0.attn.W_K", 0, i, i) = 1;
    }
    measure("duplicate_token", &b.model, BOS, 1, &m);
    assert_near(m.value[0], 0.5, 1e-6); /* two occurrences */
    assert_near(m.se[0], 0, 1e-6);
    rllc_model_release(&b.model);
}

static void test_first_token_score_of_a_sink(void **state) {
    (void)state;
    hand_built b;
    measured m;
    double sd;
    build(&b, 1, 1, 11, 64);
    const float q = (float)(3 * sqrt((double)b.model.options.d_head));
    for (int64_t i = 0; i < 64; i++) *entry(&b, "blocks.0.attn.W_Q", 0, 11 + i, 0) = q; /* every position asks */
    *entry(&b, "blocks.0.attn.W_K", 0, 11, 0) = 1;                                      /* for position 0 */
    measure("first_token", &b.model, BOS, 1, &m);
    const double expected = over_lengths(share, 3, 64, &sd);
    assert_mean(m.value[0], m.se[0], expected, sd);
    rllc_model_release(&b.model);
}

static void test_chance_level_is_that_of_even_attention(void **state) {
    (void)state;
    hand_built b;
    measured m;
    int n;
    const rllc_head_score *const *list = rllc_head_score_list(&n);
    build(&b, 2, 2, 23, 40);
    for (int i = 0; i < n; i++) {
        measure(list[i]->name, &b.model, -1, 1, &m);
        for (int h = 0; h < 4; h++) assert_near(m.value[h], m.chance, 1e-7);
    }
    rllc_model_release(&b.model);
}

static void test_scores_do_not_depend_on_threads(void **state) {
    (void)state;
    rllc_model m;
    rllc_model_options o;
    measured one, other;
    int n;
    const rllc_head_score *const *list = rllc_head_score_list(&n);
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = 2;
    o.n_heads = 3;
    o.d_model = 16;
    o.d_head = 8;
    o.n_ctx = 40;
    o.d_vocab = 31;
    o.init_scale = 2.5;
    assert_ok(rllc_model_init(&m, &o));
    rllc_model_randomize(&m, 2);
    for (int i = 0; i < n; i++) {
        measure(list[i]->name, &m, BOS, 1, &one);
        for (int threads = 2; threads <= 3; threads++) {
            measure(list[i]->name, &m, BOS, threads, &other);
            assert_memory_equal(one.value, other.value, 6 * sizeof(double));
            assert_memory_equal(one.se, other.se, 6 * sizeof(double));
        }
    }
    rllc_model_release(&m);
}

/* ---- samples --------------------------------------------------------------------------------------------- */

typedef void check_sample(const int32_t *tokens, int64_t t, int64_t query, int64_t key, int32_t bos);

static int count(const int32_t *tokens, int64_t first, int64_t end, int32_t id) {
    int n = 0;
    for (int64_t i = first; i < end; i++) n += tokens[i] == id;
    return n;
}

static void check_previous(const int32_t *tokens, int64_t t, int64_t query, int64_t key, int32_t bos) {
    (void)tokens;
    (void)bos;
    assert_int_equal(query, t - 1);
    assert_int_equal(key, t - 2);
}

static void check_current(const int32_t *tokens, int64_t t, int64_t query, int64_t key, int32_t bos) {
    (void)tokens;
    (void)bos;
    assert_int_equal(query, t - 1);
    assert_int_equal(key, t - 1);
}

static void check_prefix(const int32_t *tokens, int64_t t, int64_t query, int64_t key, int32_t bos) {
    const int64_t first = bos < 0 ? 0 : 1;
    assert_int_equal(tokens[key - 1], tokens[query]);
    assert_int_equal(count(tokens, first, t, tokens[query]), 2);
    assert_true(key - 1 >= 1 && key - 1 < t / 2 && query > t / 2);
}

static void check_induction(const int32_t *tokens, int64_t t, int64_t query, int64_t key, int32_t bos) {
    const int64_t span = (t - 1) / 2;
    (void)bos;
    assert_int_equal(t, 1 + 2 * span);
    assert_int_equal(query - (key - 1), span);
    assert_true(query > span);
    for (int64_t i = 1; i <= span; i++) {
        assert_int_equal(tokens[i], tokens[i + span]);
        assert_int_equal(count(tokens, 1, 1 + span, tokens[i]), 1);
    }
}

static void check_duplicate(const int32_t *tokens, int64_t t, int64_t query, int64_t key, int32_t bos) {
    check_induction(tokens, t, query, key + 1, bos);
    assert_int_equal(tokens[key], tokens[query]);
}

static void check_first(const int32_t *tokens, int64_t t, int64_t query, int64_t key, int32_t bos) {
    if (bos >= 0) assert_int_equal(tokens[key], bos);
    assert_int_equal(query, t - 1);
    assert_int_equal(key, 0);
}

static check_sample *checker(const char *name) {
    if (strcmp(name, "previous_token") == 0) return check_previous;
    if (strcmp(name, "current_token") == 0) return check_current;
    if (strcmp(name, "prefix_matching") == 0) return check_prefix;
    if (strcmp(name, "induction") == 0) return check_induction;
    if (strcmp(name, "duplicate_token") == 0) return check_duplicate;
    if (strcmp(name, "first_token") == 0) return check_first;
    fail_msg("a new score '%s' needs a check of its samples", name);
    return NULL;
}

/** Every score at its smallest model and at larger ones, for BOS first, last, inside and absent. */
static void test_samples_are_what_the_score_says(void **state) {
    (void)state;
    static const int64_t contexts[] = {0, 7, 16, 63, 64, 65, 128, 500}, vocabularies[] = {0, 5, 60, 600};
    int n;
    const rllc_head_score *const *list = rllc_head_score_list(&n);
    for (int s = 0; s < n; s++)
        for (size_t c = 0; c < sizeof contexts / sizeof *contexts; c++)
            for (size_t v = 0; v < sizeof vocabularies / sizeof *vocabularies; v++) {
                const rllc_head_score *score = list[s];
                const int64_t n_ctx = c ? contexts[c] : score->min_ctx,
                              d_vocab = v ? vocabularies[v] : score->min_vocab;
                const int32_t beginnings[] = {-1, 0, (int32_t)(d_vocab - 1), (int32_t)(d_vocab / 2)};
                int32_t *tokens = test_memory(n_ctx, sizeof *tokens); /* exact, for the address sanitizer */
                for (uint32_t i = 0; i < 160; i++) {
                    const rllc_stream stream = rllc_stream_make(9, "samples", 0, i);
                    const int32_t bos = beginnings[i % 4];
                    int64_t t = -1, query = -1, key = -1;
                    score->sample(&stream, n_ctx, d_vocab, bos, tokens, &t, &query, &key);
                    assert_true(t >= 2 && t <= n_ctx && query < t && key >= 0 && key <= query);
                    for (int64_t k = 0; k < t; k++) {
                        assert_true(tokens[k] >= 0 && tokens[k] < d_vocab);
                        if (bos >= 0) assert_true((tokens[k] == bos) == (k == 0));
                    }
                    checker(score->name)(tokens, t, query, key, bos);
                }
                free(tokens);
            }
}

static void test_lengths_and_positions_cover_their_ranges(void **state) {
    (void)state;
    bool length[65] = {false}, first[128] = {false}, second[128] = {false}, id[30] = {false};
    int32_t tokens[128];
    int64_t t, query, key;
    for (uint32_t i = 0; i < 10000; i++) {
        const rllc_stream s = rllc_stream_make(1, "cover", 0, i);
        rllc_head_score_find("previous_token")->sample(&s, 128, 30, BOS, tokens, &t, &query, &key);
        assert_true(t >= 16 && t <= 64);
        length[t] = true;
        id[tokens[t - 1]] = true;
        rllc_head_score_find("prefix_matching")->sample(&s, 1024, 30, BOS, tokens, &t, &query, &key);
        assert_int_equal(t, 128);
        first[key - 1] = second[query] = true;
    }
    for (int i = 16; i <= 64; i++) assert_true(length[i]);
    for (int i = 1; i <= 63; i++) assert_true(first[i]);
    for (int i = 65; i <= 127; i++) assert_true(second[i]);
    for (int i = 0; i < 30; i++) assert_true(id[i] == (i != BOS));
    assert_false(first[0] || first[64] || second[64]);
}

/* ---- refusals -------------------------------------------------------------------------------------------- */

static void test_small_models_and_foreign_bos_are_refused(void **state) {
    (void)state;
    hand_built b;
    rllc_engine *e;
    double value[4], se[4];
    rllc_score_result r = {.value = value, .se = se};
    rllc_score_options o = {.score_samples = 10};
    const rllc_head_score *score = rllc_head_score_find("induction");
    build(&b, 1, 1, 5, 4);
    assert_ok(rllc_engine_new(&e, &b.model, RLLC_SCORE_ROWS, 1));
    assert_int_equal(rllc_head_score_evaluate(score, e, &b.model, BOS, &o, &r), RLLC_EUNSUPPORTED);
    assert_non_null(strstr(rllc_error_detail(), "n_ctx >= 5"));
    score = rllc_head_score_find("previous_token");
    assert_int_equal(rllc_head_score_evaluate(score, e, &b.model, 5, &o, &r), RLLC_EMISMATCH);
    o.score_samples = 1;
    assert_int_equal(rllc_head_score_evaluate(score, e, &b.model, BOS, &o, &r), RLLC_EUSAGE);
    o.score_samples = 10;
    for (int i = 0; i < 25; i++) b.model.weights[i] = NAN; /* every row of W_E */
    assert_int_equal(rllc_head_score_evaluate(score, e, &b.model, BOS, &o, &r), RLLC_ENOTFINITE);
    assert_null(rllc_head_score_find("previous"));
    rllc_engine_free(e);
    rllc_model_release(&b.model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_previous_and_current_token_scores_equal_closed_forms),
        cmocka_unit_test(test_prefix_matching_of_an_induction_circuit_equals_closed_form),
        cmocka_unit_test(test_induction_of_an_induction_circuit_equals_closed_form),
        cmocka_unit_test(test_perfect_induction_head_scores_one),
        cmocka_unit_test(test_perfect_duplicate_token_head_shares_with_itself),
        cmocka_unit_test(test_first_token_score_of_a_sink),
        cmocka_unit_test(test_chance_level_is_that_of_even_attention),
        cmocka_unit_test(test_scores_do_not_depend_on_threads),
        cmocka_unit_test(test_samples_are_what_the_score_says),
        cmocka_unit_test(test_lengths_and_positions_cover_their_ranges),
        cmocka_unit_test(test_small_models_and_foreign_bos_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
