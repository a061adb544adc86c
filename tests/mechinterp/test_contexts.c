/* Tokens in context of a run, in its store: against losses of models without a head, and what may not matter. */
#include "mechinterp/analysis.h"
#include "mechinterp/analysis_world.h"
#include "mechinterp/hand_built.h"
#include "mechinterp/labels.h"

enum { HEADS = WORLD_LAYERS * WORLD_HEADS, PREDICTIONS = WORLD_T - 1, N = WORLD_ROWS * PREDICTIONS, RECORDS = 20 };

static void open_contexts(world *w) {
    world_open(w);
    rllc_options_default(&rllc_context_option_table, &w->job.settings.context);
    w->job.settings.context.context_records = RECORDS;
    w->job.settings.context.context_per_sequence = 3;
}

/** What the store has of a head at the last step. */
static rllc_store_context *contexts_of(const world *w, const char *ablation, int h, int64_t *n) {
    rllc_store_context *list;
    rllc_store_checkpoint *c;
    int64_t steps;
    assert_ok(rllc_store_checkpoints(w->job.store, &c, &steps));
    const rllc_store_contexts of = {c[steps - 1].id, h / WORLD_HEADS, h % WORLD_HEADS, "mix", ablation};
    assert_ok(rllc_store_get_contexts(w->job.store, &of, &list, n));
    rllc_free(c);
    return list;
}

/** Losses without a head: its W_O is 0. */
static void losses_without(const world *w, int h, float *out) {
    const rllc_model *m = &w->model[WORLD_STEPS - 1];
    rllc_model without;
    assert_ok(rllc_model_init(&without, &m->options));
    memcpy(without.weights, m->weights, (size_t)m->size * sizeof *m->weights);
    const rllc_parameter *p = rllc_model_find(&without, rllc_intern_printf("blocks.%d.attn.W_O", h / WORLD_HEADS));
    const int64_t size = p->n / WORLD_HEADS;
    memset(without.weights + p->offset + h % WORLD_HEADS * size, 0, (size_t)size * sizeof *out);
    world_losses(w, &without, out);
    rllc_model_release(&without);
}

/** Of each sequence the three that suffer most, of these the RECORDS that do: by looking again and again. */
static int choose(const float *base, const float *without, int *chosen) {
    bool taken[N] = {false};
    int of_sequence[WORLD_ROWS] = {0}, n = 0;
    for (; n < RECORDS; n++) {
        int best = -1;
        double most = 0;
        for (int i = 0; i < N; i++) {
            const double d = (double)without[i] - (double)base[i];
            if (taken[i] || of_sequence[i / PREDICTIONS] == 3 || d <= most) continue;
            most = d;
            best = i;
        }
        if (best < 0) break;
        taken[best] = true;
        of_sequence[best / PREDICTIONS]++;
        chosen[n] = best;
    }
    return n;
}

/** The engine's patterns, one at a time. */
static void assert_attention(const world *w, int h, const rllc_store_context *x) {
    rllc_engine *e;
    float out[HEADS];
    const rllc_model *m = &w->model[WORLD_STEPS - 1];
    assert_ok(rllc_engine_new(&e, m, 1, 1));
    for (int64_t j = 0; j <= x->position; j++) {
        assert_ok(rllc_engine_attention(e, m->weights, w->tokens + x->sequence * WORLD_T, 1, &x->position, &j, out));
        assert_near((double)x->attention[j], (double)out[h], 1e-5); /* logits up to 60 in float32 */
    }
    rllc_engine_free(e);
}

static void assert_record(const world *w, int h, const rllc_store_context *x) {
    rllc_delimiters none;
    rllc_labelled l;
    const int32_t *tokens = w->tokens + x->sequence * WORLD_T;
    assert_memory_equal(x->tokens, tokens, (size_t)(x->position + 2) * sizeof *tokens);
    assert_attention(w, h, x);
    assert_ok(rllc_delimiters_from_tokenizer(&none, NULL, WORLD_V - 1));
    assert_ok(rllc_context_label(&(rllc_prediction){tokens, x->position, x->attention}, &none, &l));
    assert_int_equal(x->labels, l.labels);
    assert_string_equal(x->label, l.label);
    assert_string_equal(x->pattern, l.pattern);
    rllc_delimiters_release(&none);
}

static void test_records_are_the_predictions_that_suffer_most(void **state) {
    (void)state;
    world w;
    float base[N], without[N];
    int chosen[RECORDS];
    open_contexts(&w);
    world_analyze(&w, "contexts", "zero");
    world_losses(&w, &w.model[WORLD_STEPS - 1], base);
    for (int h = 0; h < HEADS; h++) {
        int64_t n;
        losses_without(&w, h, without);
        rllc_store_context *list = contexts_of(&w, "zero", h, &n);
        assert_int_equal(n, choose(base, without, chosen));
        assert_int_equal(n, RECORDS);
        for (int i = 0; i < n; i++) {
            assert_int_equal(list[i].sequence * PREDICTIONS + list[i].position, chosen[i]);
            assert_near(list[i].loss, (double)base[chosen[i]], 1e-5);
            assert_near(list[i].ablated_loss, (double)without[chosen[i]], 1e-5);
            assert_record(&w, h, &list[i]);
        }
        rllc_store_contexts_free(list, n);
    }
    world_close(&w);
}

static double score_of(const world *w, const char *metric, int h) {
    return world_score(w, metric, WORLD_STEPS - 1, h / WORLD_HEADS, h % WORLD_HEADS).value;
}

static void assert_share(const world *w, const char *what, int h, int count, int64_t n) {
    const rllc_store_score s =
        world_score(w, rllc_intern_printf("contexts/zero/%s", what), WORLD_STEPS - 1, h / WORLD_HEADS, h % WORLD_HEADS);
    const double p = (double)count / (double)n;
    assert_near(s.value, p, 1e-12);
    assert_near(s.se, sqrt(p * (1 - p) / (double)n), 1e-12);
    assert_int_equal(s.n, n);
    assert_string_equal(s.corpus, "mix");
}

/** Different patterns among the records whose label is one of two, by comparing all pairs. */
static int different(const rllc_store_context *list, int64_t n, const char *one, const char *other, int times) {
    int found = 0;
    for (int64_t i = 0; i < n; i++) {
        int seen = 0, before = 0;
        for (int64_t j = 0; j < n; j++) {
            const bool counts = strcmp(list[j].label, one) == 0 || strcmp(list[j].label, other) == 0;
            if (!counts || strcmp(list[j].pattern, list[i].pattern) != 0) continue;
            seen++;
            before += j < i;
        }
        const bool counts = strcmp(list[i].label, one) == 0 || strcmp(list[i].label, other) == 0;
        found += counts && before == 0 && seen >= times;
    }
    return found;
}

static void check_shares(const world *w, int h, const rllc_store_context *list, int64_t n) {
    int total = 0, none = 0, sinks = 0;
    double increase = 0;
    for (int b = 0; b < 4; b++) {
        int first = 0, any = 0;
        for (int64_t i = 0; i < n; i++) {
            first += strcmp(list[i].label, rllc_context_label_names[b]) == 0;
            any += (list[i].labels >> b) & 1;
        }
        total += first;
        assert_share(w, rllc_context_label_names[b], h, first, n);
        assert_share(w, rllc_intern_printf("%s/any", rllc_context_label_names[b]), h, any, n);
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t most = 0;
        for (int64_t j = 0; j <= list[i].position; j++)
            if (list[i].attention[j] >= list[i].attention[most]) most = j;
        sinks += list[i].tokens[most] == WORLD_V - 1;
        none += list[i].labels == 0;
        increase += (list[i].ablated_loss - list[i].loss) / (double)n;
    }
    assert_int_equal(total + none, n);
    assert_share(w, "unlabelled", h, none, n);
    assert_share(w, "sink", h, sinks, n);
    assert_near(score_of(w, "contexts/zero/increase", h), increase, 1e-9);
}

static void test_shares_and_numbers_of_patterns(void **state) {
    (void)state;
    world w;
    bool labelled = false;
    open_contexts(&w);
    world_analyze(&w, "contexts", "zero");
    for (int h = 0; h < HEADS; h++) {
        int64_t n;
        rllc_store_context *list = contexts_of(&w, "zero", h, &n);
        check_shares(&w, h, list, n);
        const int all = different(list, n, "n-gram", "skip n-gram", 1);
        assert_near(score_of(&w, "multigrams", h), all, 0);
        assert_near(score_of(&w, "multigrams/repeated", h), different(list, n, "n-gram", "skip n-gram", 2), 0);
        assert_near(score_of(&w, "ngrams", h), different(list, n, "n-gram", "n-gram", 1), 0);
        assert_true(score_of(&w, "multigrams/any", h) >= all);
        labelled |= all > 3;
        rllc_store_contexts_free(list, n);
    }
    assert_true(labelled);
    world_close(&w);
}

static void test_curves_end_at_the_number_of_patterns(void **state) {
    (void)state;
    world w;
    rllc_store_measure *list;
    int64_t n;
    open_contexts(&w);
    world_analyze(&w, "contexts", "zero");
    assert_ok(rllc_store_measures(w.job.store, "multigrams/rarefaction", &list, &n));
    assert_int_equal(n, HEADS * 2); /* both checkpoints */
    for (int64_t i = 0; i < n; i++) {
        rllc_json *j;
        assert_ok(rllc_json_parse(&j, list[i].json, strlen(list[i].json), "curve"));
        const rllc_json *x = rllc_json_get(j, "records"), *y = rllc_json_get(j, "expected");
        const int64_t points = rllc_json_length(x);
        assert_int_equal(rllc_json_length(y), points);
        assert_int_equal(rllc_json_to_integer(rllc_json_at(x, 0), -1), 1);
        assert_int_equal(rllc_json_to_integer(rllc_json_at(x, points - 1), -1), list[i].n);
        assert_near(rllc_json_to_real(rllc_json_at(y, points - 1), -1), list[i].value, 1e-12);
        assert_true(rllc_json_to_real(rllc_json_at(y, 0), -1) <= 1 + 1e-12);
        assert_int_equal(rllc_json_to_integer(rllc_json_get(j, "sequences"), -1), WORLD_ROWS);
        rllc_json_free(j);
    }
    rllc_free(list);
    world_close(&w);
}

/** Everything that the store holds of it, as text. */
static char *everything(const world *w, const char *ablation) {
    rllc_string out = {0};
    rllc_store_score *scores;
    int64_t n;
    for (int h = 0; h < HEADS; h++) {
        rllc_store_context *list = contexts_of(w, ablation, h, &n);
        for (int64_t i = 0; i < n; i++) {
            assert_ok(rllc_string_printf(&out, "%lld %lld %a %a %s %s", (long long)list[i].sequence,
                                         (long long)list[i].position, list[i].loss, list[i].ablated_loss, list[i].label,
                                         list[i].pattern));
            for (int64_t j = 0; j <= list[i].position; j++)
                assert_ok(rllc_string_printf(&out, " %a", (double)list[i].attention[j]));
        }
        rllc_store_contexts_free(list, n);
    }
    assert_ok(rllc_store_scores(w->job.store, NULL, &scores, &n));
    for (int64_t i = 0; i < n; i++)
        assert_ok(rllc_string_printf(&out, "%s %d %d %a %a\n", scores[i].metric, scores[i].layer, scores[i].head,
                                     scores[i].value, scores[i].se));
    rllc_free(scores);
    return out.data;
}

static void test_same_bits_for_any_number_of_threads(void **state) {
    (void)state;
    world one, three;
    open_contexts(&one);
    open_contexts(&three);
    three.job.n_threads = 3;
    world_analyze(&one, "contexts", "all");
    world_analyze(&three, "contexts", "all");
    for (int a = 0; a < 2; a++) {
        char *x = everything(&one, a ? "mean" : "zero"), *y = everything(&three, a ? "mean" : "zero");
        assert_string_equal(x, y);
        rllc_free(x);
        rllc_free(y);
    }
    char *zero = everything(&one, "zero"), *mean = everything(&one, "mean");
    assert_string_not_equal(zero, mean);
    rllc_free(zero);
    rllc_free(mean);
    world_close(&one);
    world_close(&three);
}

static void test_what_is_stored_is_not_done_again_unless_options_change(void **state) {
    (void)state;
    world w;
    int64_t n;
    open_contexts(&w);
    assert_int_equal(world_missing(&w, "contexts", "zero"), WORLD_STEPS);
    world_analyze(&w, "contexts", "zero");
    assert_int_equal(world_missing(&w, "contexts", "zero"), 0);
    assert_int_equal(world_missing(&w, "contexts", "mean"), WORLD_STEPS);
    w.job.settings.context.context_records = 2;
    assert_int_equal(world_missing(&w, "contexts", "zero"), WORLD_STEPS);
    world_analyze(&w, "contexts", "zero");
    rllc_store_contexts_free(contexts_of(&w, "zero", 0, &n), 2);
    assert_int_equal(n, 2);
    world_close(&w);
}

static void test_fewer_sequences_are_spread_over_the_split(void **state) {
    (void)state;
    world w;
    bool seen[WORLD_ROWS] = {false};
    open_contexts(&w);
    w.job.settings.context.context_sequences = 4;
    world_analyze(&w, "contexts", "zero");
    for (int h = 0; h < HEADS; h++) {
        int64_t n;
        rllc_store_context *list = contexts_of(&w, "zero", h, &n);
        assert_int_equal(n, 12); /* three of each */
        for (int64_t i = 0; i < n; i++) {
            seen[list[i].sequence] = true;
            assert_record(&w, h, &list[i]);
        }
        rllc_store_contexts_free(list, n);
    }
    for (int r = 0; r < WORLD_ROWS; r++) assert_int_equal(seen[r], r == 0 || r == 2 || r == 4 || r == 6);
    world_close(&w);
}

static void test_means_wait_to_be_asked_for(void **state) {
    (void)state;
    assert_int_equal(rllc_analysis_contexts.usual, 1);
    assert_string_equal(rllc_analysis_contexts.item(0), "zero");
    assert_string_equal(rllc_analysis_contexts.item(1), "mean");
    assert_null(rllc_analysis_contexts.item(2));
    assert_ok(rllc_options_check(&rllc_context_option_table));
}

/** A head whose output is 0 changes nothing: no records, and shares of nothing are NaN. */
static void test_a_head_that_does_nothing_has_no_records(void **state) {
    (void)state;
    world w;
    int64_t n;
    open_contexts(&w);
    rllc_model *m = &w.model[WORLD_STEPS - 1];
    const rllc_parameter *p = rllc_model_find(m, "blocks.1.attn.W_O");
    memset(m->weights + p->offset, 0, (size_t)p->n * sizeof *m->weights);
    const char *path = rllc_intern_printf("%s/step%d.safetensors", w.folder, WORLD_STEPS); /* as a further step */
    rllc_store_checkpoint *list;
    assert_ok(rllc_model_save(m, NULL, path, NULL));
    assert_ok(rllc_store_checkpoints(w.job.store, &list, &n));
    rllc_store_checkpoint c = list[n - 1];
    c.step = WORLD_STEPS;
    c.hash = rllc_intern(rllc_model_hash(m).hex);
    c.path = path;
    assert_ok(rllc_store_put_checkpoint(w.job.store, &c));
    rllc_free(list);
    world_analyze(&w, "contexts", "zero");
    for (int h = 2; h < 4; h++) {
        rllc_store_contexts_free(contexts_of(&w, "zero", h, &n), 0);
        assert_int_equal(n, 0);
        assert_true(isnan(world_score(&w, "contexts/zero/dyck", WORLD_STEPS, 1, h - 2).value));
        assert_near(world_score(&w, "multigrams", WORLD_STEPS, 1, h - 2).value, 0, 0);
    }
    world_close(&w);
}

/** A world that speaks three words, so that patterns come again. */
static void open_few_words(world *w) {
    open_contexts(w);
    for (int i = 0; i < WORLD_ROWS * WORLD_T; i++)
        if (i % WORLD_T) w->tokens[i] %= 3;
    world_write_rows(w, "analysis", w->tokens);
    w->job.settings.context.context_records = N;
    w->job.settings.context.context_per_sequence = PREDICTIONS;
}

static void test_gaps_may_be_left_out_of_patterns(void **state) {
    (void)state;
    world with, without;
    bool fewer = false;
    open_few_words(&with);
    world_analyze(&with, "contexts", "zero");
    open_few_words(&without);
    without.job.settings.context.context_gaps = false;
    world_analyze(&without, "contexts", "zero");
    for (int h = 0; h < HEADS; h++) {
        int64_t n;
        rllc_store_context *list = contexts_of(&with, "zero", h, &n);
        for (int64_t i = 0; i < n; i++) { /* the same patterns, without what stands behind + */
            char *key = test_memory(RLLC_PATTERN, 1), *to = key;
            for (const char *p = list[i].pattern; *p; p++)
                if (to == key || to[-1] != '+' || *p == ' ') *to++ = *p;
            list[i].pattern = rllc_intern(key);
            free(key);
        }
        assert_near(score_of(&without, "multigrams", h), different(list, n, "n-gram", "skip n-gram", 1), 0);
        fewer |= score_of(&without, "multigrams", h) < score_of(&with, "multigrams", h);
        rllc_store_contexts_free(list, n);
    }
    assert_true(fewer);
    world_close(&with);
    world_close(&without);
}

static void test_patterns_may_have_to_come_again(void **state) {
    (void)state;
    world w;
    bool fewer = false;
    open_few_words(&w);
    w.job.settings.context.context_occurrences = 3;
    w.job.settings.context.context_points = 2;
    world_analyze(&w, "contexts", "zero");
    for (int h = 0; h < HEADS; h++) {
        int64_t n;
        rllc_store_context *list = contexts_of(&w, "zero", h, &n);
        const int thrice = different(list, n, "n-gram", "skip n-gram", 3),
                  twice = different(list, n, "n-gram", "skip n-gram", 2);
        assert_near(score_of(&w, "multigrams", h), thrice, 0);
        assert_near(score_of(&w, "multigrams/repeated", h), twice, 0);
        fewer |= thrice < twice && thrice > 0;
        rllc_store_contexts_free(list, n);
    }
    assert_true(fewer);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_are_the_predictions_that_suffer_most),
        cmocka_unit_test(test_shares_and_numbers_of_patterns),
        cmocka_unit_test(test_curves_end_at_the_number_of_patterns),
        cmocka_unit_test(test_same_bits_for_any_number_of_threads),
        cmocka_unit_test(test_what_is_stored_is_not_done_again_unless_options_change),
        cmocka_unit_test(test_fewer_sequences_are_spread_over_the_split),
        cmocka_unit_test(test_means_wait_to_be_asked_for),
        cmocka_unit_test(test_a_head_that_does_nothing_has_no_records),
        cmocka_unit_test(test_patterns_may_have_to_come_again),
        cmocka_unit_test(test_gaps_may_be_left_out_of_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
