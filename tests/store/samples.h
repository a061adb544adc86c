/* What the tests of store share: a store with one row of each kind. */
#ifndef RLLC_TESTS_STORE_SAMPLES_H
#define RLLC_TESTS_STORE_SAMPLES_H

#include <math.h>

#include "base/helpers.h"
#include "rllc/store.h"

/** The same number, or both NaN. */
#define assert_same_real(a, b) assert_true((a) == (b) || (isnan(a) && isnan(b)))

/** A new path in the scratch folder. */
static inline const char *fresh(void **state) {
    static int n;
    return rllc_intern_printf("%s/%d.db", (const char *)*state, n++);
}

static inline rllc_store *open_store(const char *path, int mode) {
    rllc_store *s = NULL;
    assert_ok(rllc_store_open(&s, path, mode));
    assert_non_null(s);
    return s;
}

static inline int64_t put_provenance(rllc_store *s) {
    int64_t id = 0;
    rllc_json *json = rllc_json_object();
    assert_ok(rllc_json_set(json, "version", rllc_json_string("1")));
    assert_ok(rllc_store_provenance(s, json, &id));
    rllc_json_free(json);
    return id;
}

/** A cell of a corpus and a checkpoint made on the way. */
static inline rllc_store_cell put_cell(rllc_store *s, uint64_t seed, int64_t step, const char *corpus,
                                       const char *component) {
    rllc_store_corpus data = {
        .name = corpus, .hash = "c0", .trained_on = strcmp(corpus, "mix") == 0, .json = "{\"rows\":3}"};
    rllc_store_checkpoint weights = {.seed = seed,
                                     .step = step,
                                     .hash = "w0",
                                     .path = "checkpoints/step0/model.safetensors",
                                     .n_layers = 2,
                                     .n_heads = 8,
                                     .model_json = "{}"};
    assert_ok(rllc_store_put_corpus(s, &data));
    assert_ok(rllc_store_put_checkpoint(s, &weights));
    rllc_store_cell cell = {
        .identity = rllc_intern_printf("%llu/%lld/%s/%s", (unsigned long long)seed, (long long)step, corpus, component),
        .checkpoint_id = weights.id,
        .corpus_id = data.id,
        .component = component,
        .dim = 4,
        .loss_kind = "next_token",
        .options_json = "{\"lr\":0.001}",
        .provenance_id = put_provenance(s),
        .nbeta = 30};
    assert_ok(rllc_store_put_cell(s, &cell));
    return cell;
}

/** n draws of a chain from draw `first` on: loss t + chain / 8, baseline t / 2. */
static inline rllc_status append_draws(rllc_store *s, int64_t cell_id, int64_t chain, int64_t first, int64_t n) {
    double loss[512], baseline[512];
    const float weights[4] = {1, -2, (float)first, 0.5f};
    assert_true(n <= 512);
    for (int64_t i = 0; i < n; i++) {
        loss[i] = (double)(first + i) + (double)chain / 8;
        baseline[i] = (double)(first + i) / 2;
    }
    const rllc_store_chain c = {.cell_id = cell_id,
                                .chain = chain,
                                .stream = chain % 2,
                                .step = first + n,
                                .n_draws = first + n,
                                .init_loss = 2.5,
                                .weights = weights,
                                .dim = 4};
    return rllc_store_put_chain(s, &c, first, n, loss, baseline);
}

/** The trace of append_draws, n draws long. */
static inline void check_draws(rllc_store *s, int64_t cell_id, int64_t chain, int64_t n) {
    double *loss = malloc((size_t)(n + 1) * sizeof *loss), *baseline = malloc((size_t)(n + 1) * sizeof *baseline);
    int64_t stored = 0;
    assert_true(loss && baseline);
    assert_ok(rllc_store_get_trace(s, cell_id, chain, loss, baseline, n + 1, &stored));
    assert_int_equal(stored, n);
    for (int64_t i = 0; i < n; i++) {
        assert_true(loss[i] == (double)i + (double)chain / 8 && baseline[i] == (double)i / 2);
    }
    free(loss);
    free(baseline);
}

/** Asks for everything a store can list; all statuses are returned combined: the first that is not RLLC_OK. */
static inline rllc_status read_everything(rllc_store *s) {
    rllc_store_corpus *corpora = NULL;
    rllc_store_checkpoint *checkpoints = NULL;
    rllc_store_point *points = NULL;
    rllc_store_score *scores = NULL;
    rllc_store_cell *cells = NULL, *joined = NULL;
    rllc_store_estimate *estimates = NULL;
    rllc_string text = {0};
    double loss[64], baseline[64];
    float values[64];
    int64_t n = 0, rows, columns;
    rllc_status status = RLLC_OK;
    rllc_store_chain chain;
    bool has_weights;
    RLLC_TRY(rllc_store_get_meta(s, "config", &text));
    RLLC_TRY(rllc_store_corpora(s, &corpora, &n));
    RLLC_TRY(rllc_store_checkpoints(s, &checkpoints, &n));
    RLLC_TRY(rllc_store_training(s, "train_loss", &points, &n));
    RLLC_TRY(rllc_store_scores(s, NULL, &scores, &n));
    RLLC_TRY(rllc_store_estimates(s, &estimates, &joined, &n));
    RLLC_TRY(rllc_store_cells(s, &cells, &n));
    for (int64_t i = 0; i < n; i++) {
        int64_t draws = 0;
        RLLC_TRY(rllc_store_get_chain(s, cells[i].id, 0, &chain, values, 4, &has_weights));
        RLLC_TRY(rllc_store_get_trace(s, cells[i].id, 0, loss, baseline, 64, &draws));
        RLLC_TRY(rllc_store_get_token_losses(s, cells[i].id, 0, 0, 0, values, 64, &rows, &columns));
    }
    (void)rllc_store_stage_is_done(s, "train", "h");
done:
    rllc_string_release(&text);
    rllc_free(corpora);
    rllc_free(checkpoints);
    rllc_free(points);
    rllc_free(scores);
    rllc_free(cells);
    rllc_free(joined);
    rllc_free(estimates);
    return status;
}

/** One row of each kind, so that read_everything succeeds. */
static inline void put_everything(rllc_store *s) {
    const float values[6] = {0, 1, 2, 3, 4, 5};
    assert_ok(rllc_store_begin(s));
    const rllc_store_cell cell = put_cell(s, 1, 100, "mix", "l0h3");
    const rllc_store_score score = {
        .checkpoint_id = cell.checkpoint_id, .metric = "previous_token", .value = 0.25, .n = 9};
    const rllc_store_estimate estimate = {.cell_id = cell.id, .name = "wrLLC", .llc_mean = 2, .n_chains = 1};
    assert_ok(rllc_store_set_meta(s, "config", "seeds: [1]\n"));
    assert_ok(rllc_store_put_training(s, 1, 100, "train_loss", 3.5));
    assert_ok(rllc_store_put_score(s, &score));
    assert_ok(append_draws(s, cell.id, 0, 0, 20));
    assert_ok(rllc_store_put_token_losses(s, cell.id, 0, 0, 0, values, 2, 3));
    assert_ok(rllc_store_put_estimate(s, &estimate));
    assert_ok(rllc_store_stage_done(s, "train", "h"));
    assert_ok(rllc_store_commit(s));
}

#endif
