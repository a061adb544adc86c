/* The properties of chains once more, through the whole of rllc_sample and its store: what a user gets. */
#include "conformance/conformance.h"
#include "golden/golden.h"

enum { DRAWS = 8, CHAINS = 4 };

typedef struct fixture {
    char folder[64];
    conformance_model f;
    rllc_rows rows;
    rllc_store_checkpoint checkpoint;
    rllc_store_corpus corpus;
    rllc_sampling_job job;
    int n_stores;
} fixture;

static void setup_job(fixture *x) {
    x->checkpoint = (rllc_store_checkpoint){.seed = 1,
                                            .hash = rllc_intern(rllc_model_hash(&x->f.model).hex),
                                            .path = "model",
                                            .n_layers = x->f.model.options.n_layers,
                                            .n_heads = x->f.model.options.n_heads,
                                            .model_json = "{}"};
    x->corpus = (rllc_store_corpus){.name = "rows", .hash = rllc_intern(x->rows.hash.hex), .json = "{}"};
    x->job = (rllc_sampling_job){.model = &x->f.model,
                                 .checkpoint = &x->checkpoint,
                                 .corpus = &x->corpus,
                                 .tokenizer_hash = "",
                                 .rows = &x->rows,
                                 .n_threads = 2};
    rllc_options_default(&rllc_sampler_option_table, &x->job.sampler);
    rllc_options_default(&rllc_sampling_option_table, &x->job.options);
    x->job.sampler.num_chains = CHAINS;
    x->job.sampler.num_draws = DRAWS;
    x->job.sampler.num_init_loss_batches = 3;
}

static void setup(fixture *x) {
    rllc_model_options shape = conformance_shape(2, 12, 3, 4, 16, 19);
    *x = (fixture){.folder = "/tmp/rllc-grid-XXXXXX"};
    assert_non_null(mkdtemp(x->folder));
    conformance_model_setup(&x->f, &shape, 100, 41);
    char path[128];
    snprintf(path, sizeof path, "%s/rows.npy", x->folder);
    assert_ok(rllc_npy_write(path, "<i4", 2, (const int64_t[]){100, 16}, x->f.tokens, sizeof *x->f.tokens));
    assert_ok(rllc_rows_open(&x->rows, path, 19));
    setup_job(x);
    x->job.sampler.batch_size = 50; /* 800 tokens: several parts, however a batch is cut */
}

static void teardown(fixture *x) {
    char command[128];
    rllc_rows_close(&x->rows);
    conformance_model_release(&x->f);
    snprintf(command, sizeof command, "rm -r %s", x->folder);
    assert_int_equal(system(command), 0);
}

/* A cell's numbers: traces of all its chains, and the estimate. */
typedef struct cell {
    double loss[CHAINS][DRAWS], baseline[CHAINS][DRAWS], init_loss[CHAINS];
    rllc_store_estimate estimate;
} cell;

/* Samples `components` into a fresh store; out[i] is the cell of names[i]. */
static void sample(fixture *x, const char *components, const char *const *names, int64_t n, cell *out) {
    char path[128];
    snprintf(path, sizeof path, "%s/%d.db", x->folder, x->n_stores++);
    assert_ok(rllc_store_open(&x->job.store, path, RLLC_STORE_WRITE));
    assert_ok(rllc_store_put_checkpoint(x->job.store, &x->checkpoint));
    assert_ok(rllc_store_put_corpus(x->job.store, &x->corpus));
    x->job.options.components = rllc_intern(components);
    assert_ok(rllc_sample(&x->job));
    rllc_store_estimate *estimates = NULL;
    rllc_store_cell *cells = NULL;
    int64_t n_cells = 0;
    assert_ok(rllc_store_estimates(x->job.store, &estimates, &cells, &n_cells));
    assert_int_equal(n_cells, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        while (at < n_cells && strcmp(cells[at].component, names[i]) != 0) at++;
        assert_true(at < n_cells);
        out[i].estimate = estimates[at];
        for (int64_t c = 0; c < x->job.sampler.num_chains; c++) {
            rllc_store_chain chain;
            int64_t draws = 0;
            assert_ok(rllc_store_get_trace(x->job.store, cells[at].id, c, out[i].loss[c], out[i].baseline[c], DRAWS,
                                           &draws));
            assert_int_equal(draws, x->job.sampler.num_draws);
            assert_ok(rllc_store_get_chain(x->job.store, cells[at].id, c, &chain, NULL, 0, NULL));
            out[i].init_loss[c] = chain.init_loss;
            assert_false(chain.diverged);
        }
    }
    rllc_free(estimates);
    rllc_free(cells);
    rllc_store_close(x->job.store);
    x->job.store = NULL;
}

static void assert_same(const cell *a, const cell *b) {
    assert_memory_equal(a->loss, b->loss, sizeof a->loss);
    assert_memory_equal(a->baseline, b->baseline, sizeof a->baseline);
    assert_memory_equal(a->init_loss, b->init_loss, sizeof a->init_loss);
    assert_memory_equal(&a->estimate.llc_mean, &b->estimate.llc_mean, sizeof(double));
    assert_memory_equal(&a->estimate.llc_mean_init, &b->estimate.llc_mean_init, sizeof(double));
}

/* A set of weights has one result, however it is spelt; wrLLC of all of them is the LLC. */
static void test_spelling_does_not_matter(void **state) {
    (void)state;
    static const char *const spelt[][3] = {
        {"full", "embed+pos_embed+l0+l1+ln_final.w+ln_final.b+unembed", "l1h2+full"},
        {"l0h1+l1h2", "l1h2+l0h1", "1:2+0:1+l1h2"},
        {"l1", "l1 attn+blocks.1.ln1.b+blocks.1.ln1.w", "l1h0+l1"},
    };
    static cell first[1], other[1];
    double llc[3];
    fixture x;
    setup(&x);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            cell *out = k == 0 ? first : other;
            rllc_component c;
            assert_ok(rllc_component_parse(&c, &x.f.model, spelt[i][k]));
            sample(&x, spelt[i][k], &c.name, 1, out);
            rllc_component_release(&c);
            if (k > 0) assert_same(first, other);
            llc[i] = out->estimate.llc_mean;
        }
    assert_true(llc[0] != llc[1] && llc[1] != llc[2] && llc[2] != llc[0]);
    teardown(&x);
}

static void test_same_seed_same_bits_on_any_threads(void **state) {
    (void)state;
    static const char *const names[] = {"full", "l0h0", "l0h1", "l0h2", "l1h0", "l1h1", "l1h2"};
    static cell one[7], many[7];
    const int threads[] = {2, 3, 5};
    fixture x;
    setup(&x);
    x.job.n_threads = 1;
    sample(&x, "heads,full", names, 7, one);
    for (int k = 0; k < 3; k++) {
        x.job.n_threads = threads[k];
        sample(&x, "heads,full", names, 7, many);
        for (int i = 0; i < 7; i++) assert_same(&one[i], &many[i]);
    }
    x.job.sampler.seed++;
    sample(&x, "heads,full", names, 7, many);
    for (int i = 0; i < 7; i++) assert_true(one[i].loss[0][DRAWS - 1] != many[i].loss[0][DRAWS - 1]);
    teardown(&x);
}

/* E13 and E14 from the stored traces, by hand. */
static void test_estimates_follow_from_the_stored_traces(void **state) {
    (void)state;
    static const char *const names[] = {"l0h1", "l1"};
    static cell cells[2];
    fixture x;
    setup(&x);
    sample(&x, "l0h1,l1", names, 2, cells);
    for (int i = 0; i < 2; i++) {
        double paired = 0, conventional = 0;
        for (int c = 0; c < CHAINS; c++)
            for (int t = 0; t < DRAWS; t++) {
                paired += x.job.sampler.nbeta * (cells[i].loss[c][t] - cells[i].baseline[c][t]) / (CHAINS * DRAWS);
                conventional += x.job.sampler.nbeta * (cells[i].loss[c][t] - cells[i].init_loss[c]) / (CHAINS * DRAWS);
            }
        assert_true(fabs(paired - cells[i].estimate.llc_mean) <= 1e-12 * fabs(paired));
        assert_true(fabs(conventional - cells[i].estimate.llc_mean_init) <= 1e-12 * fabs(paired));
        assert_true(paired != 0);
    }
    teardown(&x);
}

/* The golden chains of plain torch, reached the way a user reaches them: given batches, no noise. */
static void test_given_batches_without_noise_are_the_golden_chains(void **state) {
    (void)state;
    enum { STEPS = 12 };
    fixture x = {.folder = "/tmp/rllc-grid-XXXXXX"};
    assert_non_null(mkdtemp(x.folder));
    golden_load_model(&x.f.model, "l2");
    assert_ok(rllc_rows_open(&x.rows, GOLDEN_DIR "l2/sgld/tokens.npy", x.f.model.options.d_vocab));
    assert_int_equal(x.rows.shape[0], STEPS);
    setup_job(&x);
    x.job.explicit_batches = true;
    x.job.sampler.batch_size = x.rows.shape[1];
    x.job.sampler.num_draws = DRAWS; /* the first of the stored steps */
    x.job.sampler.noise_level = 0;
    rllc_json *settings = NULL;
    assert_ok(rllc_json_load(&settings, GOLDEN_DIR "settings.json"));
    const rllc_json *sgld = rllc_json_get(settings, "sgld"), *names = rllc_json_get(sgld, "components");
    x.job.sampler.lr = rllc_json_to_real(rllc_json_get(sgld, "lr"), NAN);
    x.job.sampler.nbeta = rllc_json_to_real(rllc_json_get(sgld, "nbeta"), NAN);
    x.job.sampler.localization = rllc_json_to_real(rllc_json_get(sgld, "localization"), NAN);
    for (int64_t i = 0; i < rllc_json_length(names); i++) {
        static cell found[1];
        char path[128];
        const char *name = rllc_json_text(rllc_json_at(names, i));
        snprintf(path, sizeof path, "l2/sgld/%s.npy", name);
        double *truth = golden_array(path, NULL), worst = 0;
        sample(&x, name, (const char *const[]){name}, 1, found);
        for (int c = 0; c < CHAINS; c++)
            for (int t = 0; t < DRAWS; t++) {
                worst = fmax(worst, fabs(found->loss[c][t] - truth[t]) / truth[t]);
                worst = fmax(worst, fabs(found->baseline[c][t] - truth[STEPS + t]) / truth[STEPS + t]);
            }
        printf("    %-12s max relative error %.1e\n", name, worst);
        assert_true(worst <= 1e-5); /* float32 rounding; see tests/golden/test_golden_sgld.c */
        free(truth);
    }
    rllc_json_free(settings);
    teardown(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spelling_does_not_matter),
        cmocka_unit_test(test_same_seed_same_bits_on_any_threads),
        cmocka_unit_test(test_estimates_follow_from_the_stored_traces),
        cmocka_unit_test(test_given_batches_without_noise_are_the_golden_chains),
    };
    return cmocka_run_group_tests_name("grid", tests, NULL, NULL);
}
