/* Ablations and paths of a run, in its store: against losses of models changed by hand, and the sums behind them. */
#include "mechinterp/ablate.h"
#include "mechinterp/analysis_world.h"
#include "mechinterp/changes.h"
#include "mechinterp/hand_built.h"
#include "mechinterp/heads.h"

enum { N = WORLD_ROWS * (WORLD_T - 1) };

/** Mean change and its standard error over sequences, from the definition. */
static void change_of(const float *base, const float *ablated, double *mean, double *se) {
    double of[WORLD_ROWS] = {0}, square = 0;
    *mean = 0;
    for (int i = 0; i < N; i++) of[i / (WORLD_T - 1)] += ((double)ablated[i] - (double)base[i]) / (WORLD_T - 1);
    for (int s = 0; s < WORLD_ROWS; s++) *mean += of[s] / WORLD_ROWS;
    for (int s = 0; s < WORLD_ROWS; s++) square += (of[s] - *mean) * (of[s] - *mean);
    *se = sqrt(square / (WORLD_ROWS - 1) / WORLD_ROWS);
}

static float *part(rllc_model *m, const char *tensor, int layer, int head) {
    const rllc_parameter *p = rllc_model_find(m, rllc_intern_printf("blocks.%d.attn.%s", layer, tensor));
    return m->weights + p->offset + head * p->n / p->shape[0];
}

/** A model without a head, in whose place b_O gives `z` (NULL: nothing). */
static void remove_head(rllc_model *m, int layer, int head, const double *z) {
    const int64_t C = m->options.d_model;
    float *W_O = part(m, "W_O", layer, head);
    float *b_O = m->weights + rllc_model_find(m, rllc_intern_printf("blocks.%d.attn.b_O", layer))->offset;
    for (int64_t i = 0; z && i < WORLD_D; i++)
        for (int64_t c = 0; c < C; c++) b_O[c] += (float)z[i] * W_O[i * C + c];
    memset(W_O, 0, (size_t)(WORLD_D * C) * sizeof *W_O);
}

static void copy_model(const rllc_model *from, rllc_model *to) {
    assert_ok(rllc_model_init(to, &from->options));
    memcpy(to->weights, from->weights, (size_t)from->size * sizeof *from->weights);
}

static void assert_change(const world *w, const char *metric, int step, int layer, int head, const float *base,
                          const float *ablated) {
    double mean, se;
    const rllc_store_score s = world_score(w, metric, step, layer, head);
    change_of(base, ablated, &mean, &se);
    assert_near(s.value, mean, 1e-6);
    assert_near(s.se, se, 1e-6);
    assert_true(s.n == WORLD_ROWS && fabs(mean) > 1e-5 && se > 1e-5);
}

static void test_zero_ablation_is_the_model_without_the_head(void **state) {
    (void)state;
    world w;
    float base[N], ablated[N];
    world_open(&w);
    world_analyze(&w, "ablate", "zero");
    for (int step = 0; step < WORLD_STEPS; step++)
        for (int h = 0; h < 4; h++) {
            rllc_model m;
            copy_model(&w.model[step], &m);
            remove_head(&m, h / 2, h % 2, NULL);
            world_losses(&w, &w.model[step], base);
            world_losses(&w, &m, ablated);
            assert_change(&w, "ablation/zero", step, h / 2, h % 2, base, ablated);
            const rllc_store_score loss = world_score(&w, "ablation/base_loss", step, -1, -1),
                                   x = world_score(&w, "ablation/zero", step, h / 2, h % 2),
                                   share = world_score(&w, "ablation/zero/normalized", step, h / 2, h % 2);
            assert_near(share.value, x.value / loss.value, 1e-12);
            rllc_model_release(&m);
        }
    world_close(&w);
}

/** The mean over all sequences and positions moves into b_O. */
static void test_mean_ablation_is_a_model_with_a_constant(void **state) {
    (void)state;
    world w;
    float base[N], ablated[N];
    float *z;
    rllc_engine *e;
    const int HD = WORLD_HEADS * WORLD_D;
    world_open(&w);
    world_analyze(&w, "ablate", "mean");
    assert_ok(rllc_engine_new(&e, &w.model[0], WORLD_ROWS, 1));
    assert_ok(rllc_alloc(&z, WORLD_ROWS * WORLD_LAYERS * WORLD_T * HD, sizeof *z));
    assert_ok(rllc_engine_outputs(e, w.model[0].weights, w.tokens, WORLD_ROWS, z));
    world_losses(&w, &w.model[0], base);
    for (int h = 0; h < 4; h++) {
        rllc_model m;
        double mean[WORLD_D] = {0};
        for (int s = 0; s < WORLD_ROWS; s++)
            for (int t = 0; t < WORLD_T; t++)
                for (int i = 0; i < WORLD_D; i++)
                    mean[i] += (double)z[((s * WORLD_LAYERS + h / 2) * WORLD_T + t) * HD + h % 2 * WORLD_D + i] /
                               (WORLD_ROWS * WORLD_T);
        copy_model(&w.model[0], &m);
        remove_head(&m, h / 2, h % 2, mean);
        world_losses(&w, &m, ablated);
        assert_change(&w, "ablation/mean", 0, h / 2, h % 2, base, ablated);
        rllc_model_release(&m);
    }
    rllc_free(z);
    rllc_engine_free(e);
    world_close(&w);
}

/** Each permutation by hand, batch by batch: 9 sequences are a batch of 7 and one of 2. */
static void test_resampling_averages_its_permutations(void **state) {
    (void)state;
    enum { HD = WORLD_HEADS * WORLD_D, SIZE = WORLD_LAYERS * WORLD_T * HD, P = 3 };
    const int batches[] = {7, 2};
    world w;
    float base[N], mean[N] = {0}, ablated[N];
    float *z;
    rllc_engine *e;
    world_open(&w);
    w.job.settings.ablation.ablation_permutations = P;
    world_analyze(&w, "ablate", "resample");
    const rllc_model *m = &w.model[1];
    assert_ok(rllc_engine_new(&e, m, WORLD_ROWS, 1));
    assert_ok(rllc_alloc(&z, WORLD_ROWS * SIZE, sizeof *z));
    assert_ok(rllc_engine_outputs(e, m->weights, w.tokens, WORLD_ROWS, z));
    world_losses(&w, m, base);
    for (int p = 0; p < P; p++) {
        int64_t source[WORLD_ROWS];
        for (int b = 0, first = 0; b < 2; first += batches[b++])
            for (int r = 0; r < batches[b]; r++)
                source[first + r] = first + (r + 1 + p % (batches[b] - 1)) % batches[b];
        const rllc_replacement r = {1, 0, z + WORLD_T * HD, SIZE, HD, source};
        const rllc_ablation a = {.replaced = &r, .n_replaced = 1, .token_losses = ablated};
        for (int s = 0; s < WORLD_ROWS; s++) assert_int_not_equal(source[s], s);
        assert_ok(rllc_engine_ablate(e, m->weights, w.tokens, WORLD_ROWS, &a, 1, NULL));
        for (int i = 0; i < N; i++) mean[i] += ablated[i] / P;
    }
    assert_change(&w, "ablation/resample", 1, 1, 0, base, mean);
    rllc_free(z);
    rllc_engine_free(e);
    world_close(&w);
}

static void test_position_means_of_a_head_without_values_change_nothing(void **state) {
    (void)state;
    world w;
    world_open(&w);
    rllc_model *m = &w.model[0];
    memset(part(m, "W_V", 0, 1), 0, 8 * WORLD_D * sizeof(float)); /* z is b_V everywhere */
    const float b_V[WORLD_D] = {0.5F, -0.25F, 1, 2};
    memcpy(part(m, "b_V", 0, 1), b_V, sizeof b_V);
    for (int ablation = RLLC_ABLATE_MEAN; ablation <= RLLC_ABLATE_MEAN_POSITION; ablation++) {
        rllc_ablator *a;
        rllc_engine *e;
        rllc_rows rows;
        rllc_head_sets sets;
        float base[N], ablated[N], *const to = ablated;
        assert_ok(rllc_rows_open(&rows, rllc_intern_printf("%s/corpora/mix/analysis.npy", w.folder), WORLD_V));
        assert_ok(rllc_engine_new(&e, m, WORLD_ROWS, 2));
        assert_ok(rllc_ablator_new(&a, ablation, e, m, WORLD_ROWS, &rows, WORLD_ROWS));
        assert_ok(rllc_head_sets_parse(&sets, m, "l0h1"));
        assert_ok(rllc_ablator_losses(a, w.tokens, WORLD_ROWS, 0, sets.list, 1, base, &to));
        assert_near(base[N - 1], ablated[N - 1], 1e-6); /* softmax weights sum to 1 but for rounding */
        rllc_head_sets_release(&sets);
        rllc_ablator_free(a);
        rllc_engine_free(e);
        rllc_rows_close(&rows);
    }
    world_close(&w);
}

static void test_sets_and_paths_stand_in_their_tables(void **state) {
    (void)state;
    world w;
    rllc_store_measure *measures;
    rllc_store_pair *pairs;
    int64_t n;
    float base[N], ablated[N];
    double mean, se;
    rllc_model m;
    world_open(&w);
    w.job.settings.ablation.ablation_sets = "0:0+1:1, 0:1";
    world_analyze(&w, "ablate", "sets");
    assert_ok(rllc_store_measures(w.job.store, "ablation/zero", &measures, &n));
    assert_int_equal(n, 2 * WORLD_STEPS);
    assert_string_equal(measures[0].component, "l0h0+l1h1");
    copy_model(&w.model[0], &m);
    remove_head(&m, 0, 0, NULL);
    remove_head(&m, 1, 1, NULL);
    world_losses(&w, &w.model[0], base);
    world_losses(&w, &m, ablated);
    change_of(base, ablated, &mean, &se);
    assert_near(measures[0].value, mean, 1e-6);
    assert_near(measures[0].se, se, 1e-6);
    rllc_free(measures);
    rllc_model_release(&m);
    world_analyze(&w, "paths", "all");
    assert_ok(rllc_store_pairs(w.job.store, NULL, &pairs, &n));
    assert_int_equal(n, 2 * 4 * 4 * WORLD_STEPS); /* zero and mean, parts, pairs */
    for (int64_t i = 0; i < n; i++)
        assert_true(pairs[i].from_layer == 0 && pairs[i].to_layer == 1 && pairs[i].n == WORLD_ROWS &&
                    isfinite(pairs[i].value) && pairs[i].se > 0);
    rllc_free(pairs);
    world_close(&w);
}

/** What is done is done once; other settings do it again, in the same rows. */
static void test_only_what_is_missing_is_measured(void **state) {
    (void)state;
    world w;
    world_open(&w);
    w.job.checkpoints = "1";
    assert_int_equal(world_missing(&w, "ablate", "zero,mean"), 2);
    world_analyze(&w, "ablate", "zero");
    assert_int_equal(world_missing(&w, "ablate", "zero,mean"), 1);
    w.job.settings.ablation.ablation_contexts = 4;
    assert_int_equal(world_missing(&w, "ablate", "zero,mean"), 2);
    world_analyze(&w, "ablate", "zero");
    assert_int_equal(world_score(&w, "ablation/zero", 1, 0, 0).n, 4);
    w.job.checkpoints = "dozen";
    assert_int_equal(world_missing(&w, "ablate", "zero"), 1);
    const rllc_analysis_request typo = {"ablate", "resmple"};
    assert_int_equal(rllc_analyze(&w.job, &typo, 1), RLLC_EUSAGE);
    assert_non_null(strstr(rllc_error_detail(), "'resample'"));
    w.job.corpora = "code";
    const rllc_analysis_request zero = {"ablate", "zero"};
    assert_int_equal(rllc_analyze(&w.job, &zero, 1), RLLC_ENOTFOUND);
    w.job.corpora = NULL;
    w.job.settings.ablation.ablation_sets = "0:1+2:0";
    const rllc_analysis_request sets = {"ablate", "sets"};
    assert_int_equal(rllc_analyze(&w.job, &sets, 1), RLLC_EUSAGE);
    assert_non_null(strstr(rllc_error_detail(), "'2:0'"));
    world_close(&w);
}

static void test_threads_change_no_bit(void **state) {
    (void)state;
    rllc_store_pair *first = NULL, *list;
    int64_t n;
    for (int threads = 1; threads <= 2; threads++) {
        world w;
        world_open(&w);
        w.job.n_threads = threads;
        world_analyze(&w, "paths", "mean");
        assert_ok(rllc_store_pairs(w.job.store, NULL, &list, &n));
        for (int64_t i = 0; first && i < n; i++)
            assert_true(first[i].value == list[i].value && first[i].se == list[i].se);
        rllc_free(first);
        first = list;
        world_close(&w);
    }
    rllc_free(first);
}

/** Changes by class: sums over the predictions of the class, errors over the sequences that have any. */
static void test_changes_of_a_class(void **state) {
    (void)state;
    enum { P = 4, S = 3 };
    const float base[S][P] = {{1, 2, 3, 4}, {2, 2, 2, 2}, {1, 1, 1, 1}};
    const float ablated[S][P] = {{2, 2, 5, 4}, {2, 3, 2, 2}, {1, 1, 9, 1}};
    const uint8_t classes[S][P] = {{1, 0, 1, 0}, {0, 1, 0, 1}, {0, 0, 2, 2}};
    rllc_changes c;
    double change, se;
    assert_ok(rllc_changes_init(&c, 1, 3));
    for (int s = 0; s < S; s++) {
        const float *one = ablated[s];
        rllc_changes_add(&c, P, base[s], &one, 1, classes[s]);
    }
    assert_int_equal(rllc_changes_get(&c, 0, 0, &change, &se), 3);
    assert_near(change, 12.0 / 12, 1e-12);
    assert_near(se, sqrt(3.0 / 2 * (1 + 9 + 16)) / 12, 1e-12);
    assert_int_equal(rllc_changes_get(&c, 0, 1, &change, &se), 2);
    assert_near(change, 4.0 / 4, 1e-12);
    assert_near(se, sqrt(2.0 * (1 + 1)) / 4, 1e-12);
    assert_int_equal(rllc_changes_get(&c, 0, 2, &change, &se), 1);
    assert_near(change, 4, 1e-12);
    assert_true(isnan(se));
    rllc_changes_release(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_ablation_is_the_model_without_the_head),
        cmocka_unit_test(test_mean_ablation_is_a_model_with_a_constant),
        cmocka_unit_test(test_resampling_averages_its_permutations),
        cmocka_unit_test(test_position_means_of_a_head_without_values_change_nothing),
        cmocka_unit_test(test_sets_and_paths_stand_in_their_tables),
        cmocka_unit_test(test_only_what_is_missing_is_measured),
        cmocka_unit_test(test_threads_change_no_bit),
        cmocka_unit_test(test_changes_of_a_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
