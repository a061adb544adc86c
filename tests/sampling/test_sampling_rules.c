/* Every rule, stopped at each step and resumed from its store, goes on to the same bits in all that a draw records. */
#include "base/helpers.h"
#include "rllc/sampling.h"

enum { CTX = 8, VOCAB = 11, ROWS = 20, DRAWS = 6, CHAINS = 4, COLUMNS = 2 + RLLC_STORE_RECORDS };

typedef struct {
    double column[CHAINS][COLUMNS][DRAWS], init_loss[CHAINS], acceptance[CHAINS];
} result;

static bool stop_soon(void *context) {
    int *left = context;
    return (*left)-- <= 0;
}

static void read_result(rllc_store *s, result *r) {
    memset(r, 0, sizeof *r);
    for (int c = 0; c < CHAINS; c++) {
        double *records[RLLC_STORE_RECORDS];
        int64_t n;
        rllc_store_chain chain;
        for (int i = 0; i < RLLC_STORE_RECORDS; i++) records[i] = r->column[c][2 + i];
        assert_ok(rllc_store_get_trace(s, 1, c, r->column[c][0], r->column[c][1], DRAWS, &n));
        assert_ok(rllc_store_get_records(s, 1, c, records, DRAWS, &n));
        assert_int_equal(n, DRAWS);
        assert_ok(rllc_store_get_chain(s, 1, c, &chain, NULL, 0, NULL));
        r->init_loss[c] = chain.init_loss;
        r->acceptance[c] = chain.acceptance;
    }
}

/* Samples in one go, or one step a call; *calls = how many. */
static void sample(rllc_sampling_job *job, const char *path, bool in_parts, result *r, int *calls) {
    int left = 0;
    const rllc_monitor monitor = {.context = &left, .stop = stop_soon};
    rllc_status status = RLLC_ESTOPPED;
    rllc_store_checkpoint checkpoint = *job->checkpoint;
    rllc_store_corpus corpus = *job->corpus;
    assert_ok(rllc_store_open(&job->store, path, RLLC_STORE_WRITE));
    assert_ok(rllc_store_put_checkpoint(job->store, &checkpoint));
    assert_ok(rllc_store_put_corpus(job->store, &corpus));
    job->checkpoint = &checkpoint;
    job->corpus = &corpus;
    job->monitor = in_parts ? &monitor : NULL;
    for (*calls = 0; status == RLLC_ESTOPPED; ++*calls) {
        left = 1;
        status = rllc_sample(job);
    }
    assert_ok(status);
    read_result(job->store, r);
    rllc_store_close(job->store);
}

static void test_every_rule_resumes_to_the_same_bits(void **state) {
    const char *path = scratch_path(state, "rows.npy");
    const int64_t shape[] = {ROWS, CTX};
    uint16_t tokens[ROWS * CTX];
    uint64_t seed = 3;
    rllc_model_options o;
    rllc_model m;
    rllc_rows rows;
    int n;
    const rllc_sampler_kind *const *kinds = rllc_sampler_list(&n);
    for (int i = 0; i < ROWS * CTX; i++) tokens[i] = (uint16_t)(next_random(&seed) % VOCAB);
    assert_ok(rllc_npy_write(path, "<u2", 2, shape, tokens, 2));
    assert_ok(rllc_rows_open(&rows, path, VOCAB));
    rllc_options_default(&rllc_model_option_table, &o);
    o.d_model = 8;
    o.n_heads = 2;
    o.d_head = 4;
    o.n_ctx = CTX;
    o.d_vocab = VOCAB;
    assert_ok(rllc_model_init(&m, &o));
    rllc_model_randomize(&m, 3);
    const rllc_store_checkpoint checkpoint = {.hash = rllc_intern(rllc_model_hash(&m).hex), .path = "m", .n_layers = 2,
                                              .n_heads = 2, .model_json = "{}"};
    const rllc_store_corpus corpus = {.name = "mix", .hash = rllc_intern(rows.hash.hex), .trained_on = true, .json = "{}"};
    for (int k = 0; k < n; k++) {
        rllc_sampling_job job = {.model = &m, .tokenizer_hash = "", .rows = &rows, .n_threads = 1};
        result whole, parts;
        int calls;
        rllc_options_default(&rllc_sampler_option_table, &job.sampler);
        rllc_options_default(&rllc_sampling_option_table, &job.options);
        job.options.components = "l0h1";
        job.options.curvature_probes = 0;
        if (kinds[k]->exact) job.options.batches = "fixed";
        job.sampler.sampler = kinds[k]->name;
        job.sampler.num_draws = DRAWS;
        job.sampler.num_steps_bw_draws = 2;
        job.sampler.num_burnin_steps = 3;
        job.sampler.batch_size = 4;
        job.sampler.gradient_accumulation_steps = 2;
        job.sampler.init_noise = 0.01;
        job.checkpoint = &checkpoint;
        job.corpus = &corpus;
        sample(&job, scratch_path(state, rllc_intern_printf("%d-whole.db", k)), false, &whole, &calls);
        assert_int_equal(calls, 1);
        job.checkpoint = &checkpoint;
        job.corpus = &corpus;
        sample(&job, scratch_path(state, rllc_intern_printf("%d-parts.db", k)), true, &parts, &calls);
        print_message("%s in %d parts\n", kinds[k]->name, calls);
        assert_true(calls > DRAWS);
        assert_memory_equal(&whole, &parts, sizeof whole);
    }
    rllc_rows_close(&rows);
    rllc_model_release(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_rule_resumes_to_the_same_bits, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests_name("resuming", tests, NULL, NULL);
}
