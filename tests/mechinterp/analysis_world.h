/*
 * analysis_world: a run folder small enough for tests: two checkpoints of a random model, one corpus of random tokens.
 */
#ifndef TESTS_MECHINTERP_ANALYSIS_WORLD_H
#define TESTS_MECHINTERP_ANALYSIS_WORLD_H

#include <ftw.h>
#include <sys/stat.h>

#include "support/support.h"

enum { WORLD_STEPS = 2, WORLD_ROWS = 9, WORLD_T = 16, WORLD_V = 20, WORLD_HEADS = 2, WORLD_LAYERS = 2, WORLD_D = 4 };

typedef struct world {
    char folder[64];
    rllc_analysis_job job;
    rllc_model model[WORLD_STEPS];
    int32_t tokens[WORLD_ROWS * WORLD_T]; /* of the analysis split */
} world;

static inline void world_write_rows(const world *w, const char *split, const int32_t *tokens) {
    const int64_t shape[] = {WORLD_ROWS, WORLD_T};
    assert_ok(rllc_npy_write(rllc_intern_printf("%s/corpora/mix/%s.npy", w->folder, split), "<i4", 2, shape, tokens,
                             sizeof *tokens));
}

/** Ids 0 .. V-2, BOS V-1 first. */
static inline void world_corpus(world *w) {
    rllc_rows rows;
    assert_int_equal(mkdir(rllc_intern_printf("%s/corpora", w->folder), 0777), 0);
    assert_int_equal(mkdir(rllc_intern_printf("%s/corpora/mix", w->folder), 0777), 0);
    for (int split = 0; split < RLLC_SPLITS; split++) {
        const rllc_stream s = rllc_stream_make(7, rllc_split_names[split], 0, 0);
        for (int64_t i = 0; i < WORLD_ROWS * WORLD_T; i++)
            w->tokens[i] = i % WORLD_T ? (int32_t)rllc_stream_below(&s, (uint64_t)i, WORLD_V - 1) : WORLD_V - 1;
        world_write_rows(w, rllc_split_names[split], w->tokens);
    }
    assert_ok(rllc_rows_open(&rows, rllc_intern_printf("%s/corpora/mix/sampling.npy", w->folder), 0));
    rllc_store_corpus c = {.name = "mix", .hash = rllc_intern(rows.hash.hex), .trained_on = true, .json = "{}"};
    assert_ok(rllc_store_put_corpus(w->job.store, &c));
    rllc_rows_close(&rows);
}

static inline void world_checkpoint(world *w, int step, const rllc_model_options *o) {
    rllc_json *j;
    rllc_string text = {0};
    const char *path = rllc_intern_printf("%s/step%d.safetensors", w->folder, step);
    assert_ok(rllc_model_init(&w->model[step], o));
    rllc_model_randomize(&w->model[step], (uint64_t)step);
    for (int64_t i = 0; i < w->model[step].size; i++) /* biases that are not 0 */
        w->model[step].weights[i] += 0.01F * (float)(i % 7 - 3);
    assert_ok(rllc_model_save(&w->model[step], NULL, path, NULL));
    assert_ok(rllc_options_to_json(&rllc_model_option_table, o, &j));
    assert_ok(rllc_json_print(j, 0, true, &text));
    rllc_store_checkpoint c = {.seed = 1,
                               .step = step,
                               .hash = rllc_intern(rllc_model_hash(&w->model[step]).hex),
                               .path = path,
                               .n_layers = WORLD_LAYERS,
                               .n_heads = WORLD_HEADS,
                               .model_json = rllc_intern(rllc_string_text(&text))};
    assert_ok(rllc_store_put_checkpoint(w->job.store, &c));
    rllc_json_free(j);
    rllc_string_release(&text);
}

static inline void world_open(world *w) {
    rllc_model_options o;
    *w = (world){.folder = "/tmp/rllc-analysis-XXXXXX"};
    assert_non_null(mkdtemp(w->folder));
    assert_ok(rllc_store_open(&w->job.store, rllc_intern_printf("%s/run.db", w->folder), RLLC_STORE_WRITE));
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = WORLD_LAYERS;
    o.n_heads = WORLD_HEADS;
    o.d_model = 8;
    o.d_head = WORLD_D;
    o.n_ctx = WORLD_T;
    o.d_vocab = WORLD_V;
    o.init_scale = 3;
    for (int step = 0; step < WORLD_STEPS; step++) world_checkpoint(w, step, &o);
    world_corpus(w);
    w->job.folder = w->folder;
    w->job.bos = WORLD_V - 1;
    w->job.n_threads = 1;
    rllc_options_default(&rllc_score_option_table, &w->job.settings.score);
    rllc_options_default(&rllc_ablation_option_table, &w->job.settings.ablation);
    rllc_options_default(&rllc_curvature_option_table, &w->job.settings.curvature);
    rllc_options_default(&rllc_context_option_table, &w->job.settings.context);
    w->job.settings.score.score_samples = 100;
}

static inline int world_remove_entry(const char *path, const struct stat *s, int kind, struct FTW *at) {
    (void)s;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void world_close(world *w) {
    rllc_store_close(w->job.store);
    for (int step = 0; step < WORLD_STEPS; step++) rllc_model_release(&w->model[step]);
    (void)nftw(w->folder, world_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void world_analyze(world *w, const char *flag, const char *items) {
    const rllc_analysis_request asked = {flag, items};
    assert_ok(rllc_analyze(&w->job, &asked, 1));
}

static inline int64_t world_missing(const world *w, const char *flag, const char *items) {
    const rllc_analysis_request asked = {flag, items};
    rllc_analysis_cost cost;
    assert_ok(rllc_analyze_cost(&w->job, &asked, 1, &cost));
    assert_true((cost.flops > 0) == (cost.missing > 0));
    return cost.missing;
}

/** Losses of every prediction of the analysis split. */
static inline void world_losses(const world *w, const rllc_model *m, float *out) {
    rllc_engine *e;
    rllc_evaluation x = {.token_losses = out};
    assert_ok(rllc_engine_new(&e, m, WORLD_ROWS, 1));
    assert_ok(rllc_engine_evaluate(e, m->weights, w->tokens, WORLD_ROWS, &x));
    rllc_engine_free(e);
}

/** The one score of this metric, head and step. */
static inline rllc_store_score world_score(const world *w, const char *metric, int step, int layer, int head) {
    rllc_store_score *list, found = {0};
    int64_t n, hits = 0;
    assert_ok(rllc_store_scores(w->job.store, metric, &list, &n));
    for (int64_t i = 0; i < n; i++)
        if (list[i].step == step && list[i].layer == layer && list[i].head == head) {
            found = list[i];
            hits++;
        }
    rllc_free(list);
    if (hits != 1) fail_msg("%lld scores %s of head %d:%d at step %d", (long long)hits, metric, layer, head, step);
    return found;
}

#endif
