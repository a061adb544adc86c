/* A store as a run would leave it, filled through the store's own functions: what the tests of the report look at. */
#ifndef TESTS_REPORT_SYNTHETIC_H
#define TESTS_REPORT_SYNTHETIC_H

#include <math.h>

#include "plot/support.h"
#include "rllc/report.h"

enum { SYNTHETIC_STEPS = 14, SYNTHETIC_CHAINS = 4, SYNTHETIC_MOST_DRAWS = 200 };
static const int64_t synthetic_steps[SYNTHETIC_STEPS] = {0,   1,    3,    10,   30,   100,  300,
                                                         600, 1200, 2400, 3000, 3600, 6000, 10000};

typedef struct synthetic_options {
    int layers, heads, corpora, seeds, draws;
    bool demo;              /* sinusoidal positions and repeated spans */
    bool scores, training;  /* attention scores, loss curves */
    bool troubled;          /* a diverged chain, an unfinished cell */
    const char *components; /* comma-separated, besides the heads; "" = none */
} synthetic_options;

static const synthetic_options synthetic_default = {.layers = 2,
                                                    .heads = 4,
                                                    .corpora = 3,
                                                    .seeds = 1,
                                                    .draws = 20,
                                                    .demo = true,
                                                    .scores = true,
                                                    .training = true,
                                                    .troubled = true,
                                                    .components = "full,l0,l1,embed,unembed"};

static const char *const synthetic_corpora[] = {"mix", "code", "arxiv abstracts"};

static inline double synthetic_uniform(uint64_t a, uint64_t b) {
    rllc_stream s = rllc_stream_make(7, "synthetic", (uint32_t)a, (uint32_t)(a >> 32));
    return rllc_stream_uniform(&s, b);
}

static inline double synthetic_normal(uint64_t a, uint64_t b) {
    return sqrt(-2 * log(synthetic_uniform(a, 2 * b))) * cos(6.283185307179586 * synthetic_uniform(a, 2 * b + 1));
}

/* From 0 to 1 around `centre` on log10(step + 1). */
static inline double synthetic_rise(int64_t step, double centre, double width) {
    return 1 / (1 + exp(-(log10((double)step + 1) - centre) / width));
}

/* The learning coefficient that the traces are made with. */
static inline double synthetic_llc(const char *component, int corpus, int64_t step) {
    static const double height[8] = {3.1, 2.3, 2.9, 1.0, 0.7, 0.9, 1.9, 1.5};
    int l, h;
    if (sscanf(component, "l%dh%d", &l, &h) == 2) {
        int k = (4 * l + h) % 8;
        double late = k == 1 || k == 6 ? 3.3 : 1.6, other = corpus == 0 ? 0 : k == 6 ? 0.9 : -0.3 * corpus;
        return 0.15 + (height[k] + other) * synthetic_rise(step, late, 0.28) - (corpus && step < 5 ? 0.9 : 0);
    }
    double scale = strcmp(component, "full") == 0 ? 30 : strstr(component, "embed") ? 12 : 9;
    return scale * (0.3 + 0.7 * synthetic_rise(step, 2.2, 0.5)) * (1 + 0.1 * corpus);
}

static inline const char *synthetic_options_json(void) {
    return "{\"arithmetic\":\"rllc.sample/"
           "1\",\"batches\":\"streams=2\",\"sampler\":{\"batch_size\":32,\"bounding_box\":0,\"localization\":200,"
           "\"lr\":0.001,\"nbeta\":30,\"noise_level\":1,\"num_burnin_steps\":0,\"num_chains\":4,\"num_draws\":100,"
           "\"num_init_loss_batches\":16,\"num_steps_bw_draws\":1,\"sampler\":\"sgld\",\"seed\":100,\"weight_decay\":0}"
           ",\"token_losses\":0}";
}

/* Draws of one chain: an approach to the level, then slow noise. */
static inline double synthetic_chain(double level, uint64_t tag, int draws, double *loss, double *baseline) {
    double noise = 0, sum = 0, own = 1 + 0.04 * synthetic_normal(tag, 1000);
    for (int t = 0; t < draws; t++) {
        noise = 0.9 * noise + 0.1 * level * synthetic_normal(tag, (uint64_t)t) * (t > 0);
        baseline[t] = 3.3 + 0.08 * synthetic_normal(tag % 2, 5000 + (uint64_t)t);
        loss[t] = baseline[t] + (level * own * (1 - exp(-t / 5.0)) + noise) / 30;
        sum += loss[t] - baseline[t];
    }
    return 30 * sum / draws;
}

static inline void synthetic_moments(const double *v, int n, double *mean, double *sd) {
    *mean = *sd = 0;
    for (int i = 0; i < n; i++) *mean += v[i] / n;
    for (int i = 0; i < n; i++) *sd += (v[i] - *mean) * (v[i] - *mean) / (n - 1);
    *sd = n > 1 ? sqrt(*sd) : NAN;
}

/* One cell with its chains and its estimate; what = a number of its own. */
static inline void synthetic_cell(rllc_store *s, rllc_store_cell *c, int draws, int corpus, int64_t step, uint64_t what,
                                  bool diverges, bool unfinished) {
    double loss[SYNTHETIC_MOST_DRAWS], baseline[SYNTHETIC_MOST_DRAWS], values[SYNTHETIC_CHAINS];
    double level = synthetic_llc(c->component, corpus, step);
    int live = 0;
    assert_ok(rllc_store_put_cell(s, c));
    for (int k = 0; k < SYNTHETIC_CHAINS; k++) {
        double value = synthetic_chain(level, what * 8 + (uint64_t)k, draws, loss, baseline);
        bool lost = diverges && k == 2;
        if (!lost) values[live++] = value;
        rllc_store_chain chain = {.cell_id = c->id,
                                  .chain = k,
                                  .stream = k % 2,
                                  .step = draws,
                                  .n_draws = lost ? draws / 2 : draws,
                                  .init_loss = 3.3,
                                  .diverged = lost,
                                  .reason = lost ? "loss is NaN at draw 10 (step 10)" : ""};
        assert_ok(rllc_store_put_chain(s, &chain, 0, chain.n_draws, loss, baseline));
    }
    if (unfinished) return;
    assert_ok(rllc_store_update_cell(s, c->id, true, 4.25));
    double mean, sd;
    synthetic_moments(values, live, &mean, &sd);
    rllc_store_estimate e = {.cell_id = c->id,
                             .llc_mean = mean,
                             .llc_sd = sd,
                             .llc_se = sd / sqrt(live),
                             .llc_mean_init = mean - 0.2,
                             .llc_sd_init = 2 * sd,
                             .llc_se_init = sd,
                             .n_chains = SYNTHETIC_CHAINS,
                             .n_diverged = SYNTHETIC_CHAINS - live,
                             .per_chain_json = "{}"};
    bool full = strcmp(c->component, "full") == 0;
    e.name = full ? (corpus ? "drLLC" : "LLC") : corpus ? "wdrLLC" : "wrLLC";
    assert_ok(rllc_store_put_estimate(s, &e));
}

static inline void synthetic_sampling(rllc_store *s, const synthetic_options *o, const rllc_store_checkpoint *at,
                                      const rllc_store_corpus *corpora, int64_t provenance) {
    rllc_string list = {0};
    for (int l = 0; l < o->layers; l++)
        for (int h = 0; h < o->heads; h++) assert_ok(rllc_string_printf(&list, "l%dh%d,", l, h));
    assert_ok(rllc_string_add(&list, o->components));
    for (int c = 0; c < o->corpora; c++) {
        uint64_t index = 0;
        char *copy = strdup(rllc_string_text(&list)), *rest = copy;
        for (char *name; (name = strsep(&rest, ",")) != NULL; index++) {
            if (!*name) continue;
            uint64_t what = ((at->seed * 50000 + (uint64_t)at->step) * 8 + (uint64_t)c) * 64 + index;
            rllc_store_cell cell = {.checkpoint_id = at->id,
                                    .corpus_id = corpora[c].id,
                                    .component = name,
                                    .identity = rllc_intern_printf("%llu", (unsigned long long)what),
                                    .dim = 4144,
                                    .loss_kind = "next_token",
                                    .options_json = synthetic_options_json(),
                                    .provenance_id = provenance,
                                    .nbeta = 30};
            bool here = o->troubled && c == 1 && at->step == 600;
            synthetic_cell(s, &cell, o->draws, c, at->step, what, here && strcmp(name, "l0h3") == 0,
                           here && strcmp(name, "l1h1") == 0);
        }
        free(copy);
    }
    rllc_string_release(&list);
}

static inline void synthetic_scores(rllc_store *s, const synthetic_options *o, const rllc_store_checkpoint *at) {
    static const char *const metrics[] = {"previous_token", "current_token", "prefix_matching", "induction"};
    static const int best[] = {1, 0, 6, 6};
    static const double late[] = {3.2, 1.5, 3.45, 3.5};
    for (int m = 0; m < 4; m++)
        for (int l = 0; l < o->layers; l++)
            for (int h = 0; h < o->heads; h++) {
                int k = (4 * l + h) % 8;
                double top = k == best[m] ? 0.8 : m == 1 && k == 2 ? 0.75 : m == 0 && k == 7 ? 0.3 : 0.02;
                rllc_store_score score = {.checkpoint_id = at->id,
                                          .metric = metrics[m],
                                          .layer = l,
                                          .head = h,
                                          .corpus = "",
                                          .se = 0.002,
                                          .n = 10000};
                score.value = 0.02 + top * synthetic_rise(at->step, late[m], 0.12);
                assert_ok(rllc_store_put_score(s, &score));
            }
}

static inline void synthetic_training(rllc_store *s, uint64_t seed) {
    for (int64_t step = 0; step <= 10000; step += step < 100 ? 10 : 50) {
        double loss = 3.15 + 3.2 * exp(-pow((double)step / 150, 0.45));
        double noise = 0.05 * synthetic_normal(seed + 100, (uint64_t)step);
        assert_ok(rllc_store_put_training(s, seed, step, "train_loss", loss - 0.06 + noise));
    }
    for (int i = 0; i < SYNTHETIC_STEPS; i++) {
        int64_t step = synthetic_steps[i];
        assert_ok(rllc_store_put_training(s, seed, step, "validation_loss",
                                          3.15 + 3.2 * exp(-pow((double)step / 150, 0.45))));
        assert_ok(rllc_store_put_training(s, seed, step, "tokens", (double)step * 1024));
        assert_ok(rllc_store_put_training(s, seed, step, "seconds", (double)step * 0.0061));
    }
}

static inline void synthetic_fill(rllc_store *s, const synthetic_options *o) {
    rllc_store_corpus corpora[3];
    int64_t provenance = 0;
    rllc_json *machine = rllc_json_object();
    assert_ok(rllc_json_set(machine, "version", rllc_json_string(RLLC_VERSION)));
    assert_ok(rllc_json_set(machine, "cpu", rllc_json_string("a CPU with 2 cores")));
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_provenance(s, machine, &provenance));
    rllc_json_free(machine);
    assert_ok(rllc_store_set_meta(s, "title", "Synthetic run"));
    assert_ok(rllc_store_set_meta(s, "config", "model:\n  n_layers: 2   # <two>\ncorpora: [mix, code]\n"));
    for (int c = 0; c < o->corpora; c++) {
        corpora[c] = (rllc_store_corpus){.name = synthetic_corpora[c], .trained_on = c == 0};
        corpora[c].hash = rllc_intern_printf("%032x", 0xabc + c);
        corpora[c].json = rllc_intern_printf(
            "{\"options\":{\"n_ctx\":64,\"repeat_fraction\":%s},\"splits\":{\"train\":{\"documents\":8123,\"bytes\":"
            "17000000,\"tokens\":9700000,\"rows\":151000,\"hash\":\"0123456789abcdef0123456789abcdef\"},\"sampling\":{"
            "\"documents\":911,\"bytes\":1900000,\"tokens\":1070000,\"rows\":16000}},\"sources\":[\"/usr/share/doc "
            "<x>\"]}",
            o->demo && c == 0 ? "0.5" : "0");
        assert_ok(rllc_store_put_corpus(s, &corpora[c]));
    }
    for (int seed = 1; seed <= o->seeds; seed++) {
        for (int i = 0; i < SYNTHETIC_STEPS; i++) {
            int64_t step = synthetic_steps[i];
            rllc_store_checkpoint at = {
                .seed = (uint64_t)seed, .step = step, .n_layers = o->layers, .n_heads = o->heads};
            at.hash = rllc_intern_printf("%032llx", (long long)(seed * 100000 + step));
            at.path = rllc_intern_printf("seed%d/checkpoints/step%lld/model.safetensors", seed, (long long)step);
            at.model_json =
                rllc_intern_printf("{\"n_layers\":%d,\"d_model\":64,\"n_heads\":%d,\"d_head\":16,\"n_ctx\":64,\"d_"
                                   "vocab\":512,\"positions_init\":\"%s\",\"positions_amplitude\":2}",
                                   o->layers, o->heads, o->demo ? "sinusoidal" : "normal");
            assert_ok(rllc_store_put_checkpoint(s, &at));
            if (o->corpora) synthetic_sampling(s, o, &at, corpora, provenance);
            if (o->scores) synthetic_scores(s, o, &at);
        }
        if (o->training) synthetic_training(s, (uint64_t)seed);
    }
    assert_ok(rllc_store_commit(s));
}

/* ---- around a report ------------------------------------------------------------------------------------- */

#define WITH_SCRATCH(test) cmocka_unit_test_setup_teardown(test, make_scratch, drop_scratch)

static inline rllc_store *open_store(void **state) {
    char path[512];
    rllc_store *s = NULL;
    snprintf(path, sizeof path, "%s/run.db", (char *)*state);
    assert_ok(rllc_store_open(&s, path, RLLC_STORE_WRITE));
    return s;
}

static inline rllc_store *synthetic_store(void **state, const synthetic_options *o) {
    rllc_store *s = open_store(state);
    synthetic_fill(s, o);
    return s;
}

static inline char *page_of(void **state) {
    char *page = read_text(*state, "report.html");
    assert_non_null(page);
    return page;
}

static inline bool has(const char *page, const char *text) {
    return strstr(page, text) != NULL;
}

static inline void assert_has(const char *page, const char *text) {
    if (!has(page, text)) fail_msg("the page does not say: %s", text);
}

#endif
