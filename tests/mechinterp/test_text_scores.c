/* Scores of attention on text: against their definitions entry by entry, closed forms, chance, and threads. */
#include "mechinterp/hand_built.h"
#include "mechinterp/text_world.h"

static const char *const metrics[] = {"previous_token/text",
                                      "current_token/text",
                                      "first_token/text",
                                      "duplicate_token/text",
                                      "induction/text",
                                      "bracket",
                                      "entropy",
                                      "entropy_normalized"};
enum { METRICS = sizeof metrics / sizeof *metrics };

/* ---- definitions --------------------------------------------------------------------------------------------------
 */

/* Which token opened the bracket that k closes, within its document. */
static int64_t opened_by(const int32_t *t, int64_t k) {
    int depth = 0;
    if (t[k] != CLOSE) return -1;
    for (int64_t j = k - 1; j >= 0 && t[j] != BOS; j--) {
        if (t[j] == CLOSE) depth++;
        if (t[j] == OPEN && depth-- == 0) return j;
    }
    return -1;
}

static bool is_right(int metric, const int32_t *t, int64_t k, int64_t j) {
    switch (metric) {
    case 0: return k > 0 && j == k - 1;
    case 1: return k > 0 && j == k;
    case 2: return k > 0 && j == 0;
    case 3: return j < k && t[j] == t[k] && t[k] != BOS;
    case 4: return j > 0 && j < k && t[j - 1] == t[k] && t[k] != BOS;
    default: return j == opened_by(t, k);
    }
}

/* A [rows][heads][T][T], one entry of every sequence and head a call. */
static float *all_attention(const world *w, const rllc_model *m, int64_t heads) {
    float *a = test_memory(WORLD_ROWS * heads * T * T, sizeof *a), *one = test_memory(WORLD_ROWS * heads, sizeof *one);
    rllc_engine *e;
    assert_ok(rllc_engine_new(&e, m, WORLD_ROWS, 1));
    for (int64_t q = 0; q < T; q++)
        for (int64_t k = 0; k <= q; k++) {
            int64_t query[WORLD_ROWS], key[WORLD_ROWS];
            for (int r = 0; r < WORLD_ROWS; r++) query[r] = q, key[r] = k;
            assert_ok(rllc_engine_attention(e, m->weights, w->tokens, WORLD_ROWS, query, key, one));
            for (int64_t i = 0; i < WORLD_ROWS * heads; i++) a[(i * T + q) * T + k] = one[i];
        }
    rllc_engine_free(e);
    free(one);
    return a;
}

/* A score from the whole patterns of one head, over n of the sequences, spread evenly. */
static rllc_store_score expected(const world *w, int metric, const float *a, int64_t heads, int64_t head, int n) {
    double s[WORLD_ROWS] = {0}, c[WORLD_ROWS] = {0}, sum = 0, count = 0, even = 0, spread = 0;
    rllc_store_score x = {0};
    for (int i = 0; i < n; i++) {
        const int r = i * WORLD_ROWS / n;
        const int32_t *t = w->tokens + r * T;
        for (int64_t k = 0; k < T; k++) {
            const float *row = a + ((r * heads + head) * T + k) * T;
            double value = 0, chance = 0, entropy = 0;
            for (int64_t j = 0; j <= k; j++) {
                entropy -= row[j] > 0 ? (double)row[j] * log((double)row[j]) : 0;
                if (metric < 6 && is_right(metric, t, k, j)) value += (double)row[j], chance += 1 / (double)(k + 1);
            }
            if (metric == 6 && k) value = entropy, chance = log((double)k + 1);
            if (metric == 7 && k) value = entropy / log((double)k + 1), chance = 1;
            if (chance == 0) continue;
            s[r] += value, c[r]++, even += chance;
        }
        sum += s[r], count += c[r], x.n += c[r] > 0;
    }
    x.value = sum / count;
    x.chance = even / count;
    for (int r = 0; r < WORLD_ROWS; r++) spread += pow(s[r] - x.value * c[r], 2);
    x.se = sqrt((double)x.n / (double)(x.n - 1) * spread) / count;
    assert_true(count > n / 2);
    return x;
}

static void check_all(const world *w, const rllc_model *m, int step, int n, double tolerance) {
    const int64_t H = m->options.n_heads, heads = m->options.n_layers * H;
    float *a = all_attention(w, m, heads);
    for (int i = 0; i < METRICS; i++)
        for (int64_t h = 0; h < heads; h++) {
            const rllc_store_score found = world_score(w, metrics[i], step, (int)(h / H), (int)(h % H)),
                                   x = expected(w, i, a, heads, h, n);
            assert_string_equal(found.corpus, "mix");
            assert_int_equal(found.n, x.n);
            assert_near(found.value, x.value, tolerance);
            assert_near(found.se, x.se, tolerance);
            assert_near(found.chance, x.chance, 1e-12);
        }
    free(a);
}

static void test_scores_equal_their_definitions(void **state) {
    (void)state;
    world w;
    text_world_open(&w);
    assert_int_equal(world_missing(&w, "score", "text"), WORLD_STEPS);
    world_analyze(&w, "score", "text");
    assert_int_equal(world_missing(&w, "score", "text"), 0);
    for (int step = 0; step < WORLD_STEPS; step++) check_all(&w, &w.model[step], step, WORLD_ROWS, 2e-6);
    w.job.settings.score.score_contexts = 5;
    assert_int_equal(world_missing(&w, "score", "text"), WORLD_STEPS);
    world_analyze(&w, "score", "text");
    assert_int_equal(world_score(&w, "entropy", 1, 1, 1).n, 5);
    check_all(&w, &w.model[1], 1, 5, 2e-6);
    world_close(&w);
}

static void test_head_that_attends_evenly_scores_chance(void **state) {
    (void)state;
    world w;
    hand_built b;
    text_world_open(&w);
    build(&b, 1, 2, V, T); /* no query, no key */
    text_world_put_model(&w, &b.model);
    world_analyze(&w, "score", "text");
    for (int i = 0; i < METRICS; i++)
        for (int h = 0; h < 2; h++) {
            const rllc_store_score x = world_score(&w, metrics[i], STEP, 0, h);
            assert_near(x.value, x.chance, 1e-6); /* attention is float: entropies of up to log 16 */
            assert_true(x.value > 0.01);
        }
    assert_near(world_score(&w, "entropy_normalized", STEP, 0, 0).value, 1, 1e-6);
    rllc_model_release(&b.model);
    world_close(&w);
}

static void test_previous_and_current_token_heads_equal_closed_forms(void **state) {
    (void)state;
    world w;
    hand_built b;
    double previous = 0, current = 0, entropy = 0;
    text_world_open(&w);
    build(&b, 1, 2, V, T);
    attend_back(&b, 0, 0, 1, 2.0);
    attend_back(&b, 0, 1, 0, 5.0);
    text_world_put_model(&w, &b.model);
    world_analyze(&w, "score", "text");
    for (int k = 1; k < T; k++) {
        const double p = share(2, k), rest = (1 - p) / k;
        previous += share(2, k) / (T - 1);
        current += share(5, k) / (T - 1);
        entropy -= (p * log(p) + k * rest * log(rest)) / (T - 1);
    }
    assert_near(world_score(&w, "previous_token/text", STEP, 0, 0).value, previous, 1e-6);
    assert_near(world_score(&w, "current_token/text", STEP, 0, 1).value, current, 1e-6);
    assert_near(world_score(&w, "entropy", STEP, 0, 0).value, entropy, 1e-6);
    assert_near(world_score(&w, "previous_token/text", STEP, 0, 0).se, 0, 1e-7); /* every sequence is alike */
    check_all(&w, &b.model, STEP, WORLD_ROWS, 2e-6);
    rllc_model_release(&b.model);
    world_close(&w);
}

static void test_induction_circuit_scores_one_on_repeated_text(void **state) {
    (void)state;
    world w;
    hand_built b;
    text_world_open(&w);
    for (int r = 0; r < WORLD_ROWS; r++)
        for (int k = 0; k < T; k++) w.tokens[r * T + k] = k ? 5 + (k - 1) % 7 + r % 3 : BOS;
    world_write_rows(&w, "analysis", w.tokens);
    build(&b, 2, 1, V, T);
    attend_back(&b, 0, 0, 1, 200.0);
    write_previous(&b, 0, 0);
    attend_to_follower(&b, 1, 0, 40.0);
    text_world_put_model(&w, &b.model);
    world_analyze(&w, "score", "text");
    const rllc_store_score x = world_score(&w, "induction/text", STEP, 1, 0);
    assert_near(x.value, 1, 1e-5);
    assert_near(x.se, 0, 1e-6);
    assert_true(x.chance < 0.12);
    assert_near(world_score(&w, "previous_token/text", STEP, 0, 0).value, 1, 1e-5);
    rllc_store_score *list;
    int64_t n;
    assert_ok(rllc_store_scores(w.job.store, "bracket", &list, &n)); /* a text without brackets has no such score */
    assert_int_equal(n, 0);
    rllc_free(list);
    rllc_model_release(&b.model);
    world_close(&w);
}

static void test_scores_do_not_depend_on_threads(void **state) {
    (void)state;
    world w[2];
    for (int i = 0; i < 2; i++) {
        text_world_open(&w[i]);
        w[i].job.n_threads = 1 + 2 * i;
        world_analyze(&w[i], "score", "text");
    }
    for (int i = 0; i < METRICS; i++) {
        const rllc_store_score a = world_score(&w[0], metrics[i], 1, 1, 0), b = world_score(&w[1], metrics[i], 1, 1, 0);
        assert_memory_equal(&a.value, &b.value, sizeof a.value);
        assert_memory_equal(&a.se, &b.se, sizeof a.se);
    }
    for (int i = 0; i < 2; i++) world_close(&w[i]);
}

static void test_weights_that_are_not_finite_are_refused(void **state) {
    (void)state;
    world w;
    hand_built b;
    text_world_open(&w);
    build(&b, 1, 1, V, T);
    *entry(&b, "blocks.0.attn.W_Q", 0, 0, 0) = NAN;
    text_world_put_model(&w, &b.model);
    const rllc_analysis_request asked = {"score", "text"};
    assert_int_equal(rllc_analyze(&w.job, &asked, 1), RLLC_ENOTFINITE);
    assert_non_null(strstr(rllc_error_detail(), "head 0:0"));
    rllc_model_release(&b.model);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_equal_their_definitions),
        cmocka_unit_test(test_head_that_attends_evenly_scores_chance),
        cmocka_unit_test(test_previous_and_current_token_heads_equal_closed_forms),
        cmocka_unit_test(test_induction_circuit_scores_one_on_repeated_text),
        cmocka_unit_test(test_scores_do_not_depend_on_threads),
        cmocka_unit_test(test_weights_that_are_not_finite_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
