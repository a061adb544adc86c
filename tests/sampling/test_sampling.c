/* Sampling groups: stopped, killed and resumed to the same bits; what streams share; what divergence does. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "rllc/sampling.h"

enum { CTX = 10, VOCAB = 17, ROWS = 40 };

struct world {
    char folder[64];
    rllc_model m;
    rllc_rows rows;
    rllc_store_checkpoint checkpoint;
    rllc_store_corpus corpus;
    rllc_sampling_job job;
};

static void make_rows(struct world *w) {
    uint16_t tokens[ROWS * CTX];
    const int64_t shape[] = {ROWS, CTX};
    char path[128];
    const rllc_stream s = rllc_stream_make(1, "rows", 0, 0);
    for (int i = 0; i < ROWS * CTX; i++) tokens[i] = (uint16_t)rllc_stream_below(&s, (uint64_t)i, VOCAB);
    snprintf(path, sizeof path, "%s/rows.npy", w->folder);
    assert_int_equal(rllc_npy_write(path, "<u2", 2, shape, tokens, 2), RLLC_OK);
    assert_int_equal(rllc_rows_open(&w->rows, path, VOCAB), RLLC_OK);
}

static void open_store(struct world *w, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    assert_int_equal(rllc_store_open(&w->job.store, path, RLLC_STORE_WRITE), RLLC_OK);
    assert_int_equal(rllc_store_put_checkpoint(w->job.store, &w->checkpoint), RLLC_OK);
    assert_int_equal(rllc_store_put_corpus(w->job.store, &w->corpus), RLLC_OK);
}

static void begin(struct world *w) {
    rllc_model_options o;
    *w = (struct world){.folder = "/tmp/rllc-sampling-XXXXXX"};
    assert_non_null(mkdtemp(w->folder));
    rllc_options_default(&rllc_model_option_table, &o);
    o.d_model = 8;
    o.n_heads = 2;
    o.d_head = 4;
    o.n_ctx = CTX;
    o.d_vocab = VOCAB;
    assert_int_equal(rllc_model_init(&w->m, &o), RLLC_OK);
    rllc_model_randomize(&w->m, 3);
    make_rows(w);
    w->checkpoint = (rllc_store_checkpoint){.seed = 1, .step = 5, .hash = rllc_intern(rllc_model_hash(&w->m).hex),
                                            .path = "m", .n_layers = 2, .n_heads = 2, .model_json = "{}"};
    w->corpus = (rllc_store_corpus){.name = "mix", .hash = rllc_intern(w->rows.hash.hex), .trained_on = true, .json = "{}"};
    w->job = (rllc_sampling_job){.model = &w->m, .checkpoint = &w->checkpoint, .corpus = &w->corpus,
                                 .tokenizer_hash = "", .rows = &w->rows, .n_threads = 2};
    rllc_options_default(&rllc_sampler_option_table, &w->job.sampler);
    rllc_options_default(&rllc_sampling_option_table, &w->job.options);
    w->job.sampler.num_draws = 12;
    w->job.sampler.num_burnin_steps = 3;
    w->job.sampler.batch_size = 4;
    w->job.sampler.num_init_loss_batches = 5;
    w->job.options.components = "heads,full";
}

static void end(struct world *w) {
    char command[128];
    rllc_rows_close(&w->rows);
    rllc_model_release(&w->m);
    snprintf(command, sizeof command, "rm -r %s", w->folder);
    assert_int_equal(system(command), 0);
}

struct result {
    int64_t n_cells;
    double loss[5][4][12], baseline[5][4][12], init_loss[5][4], llc[5], llc_init[5];
    int64_t diverged;
};

static void read_result(rllc_store *store, struct result *r) {
    rllc_store_estimate *list;
    rllc_store_cell *cells;
    memset(r, 0, sizeof *r);
    assert_int_equal(rllc_store_estimates(store, &list, &cells, &r->n_cells), RLLC_OK);
    assert_true(r->n_cells <= 5);
    for (int64_t i = 0; i < r->n_cells; i++) {
        r->llc[i] = list[i].llc_mean;
        r->llc_init[i] = list[i].llc_mean_init;
        r->diverged += list[i].n_diverged;
        for (int64_t c = 0; c < list[i].n_chains; c++) {
            int64_t n;
            rllc_store_chain chain;
            assert_int_equal(rllc_store_get_trace(store, cells[i].id, c, r->loss[i][c], r->baseline[i][c], 12, &n), RLLC_OK);
            assert_int_equal(rllc_store_get_chain(store, cells[i].id, c, &chain, NULL, 0, NULL), RLLC_OK);
            r->init_loss[i][c] = chain.init_loss;
        }
    }
    rllc_free(list);
    rllc_free(cells);
}

static void run_whole(struct world *w, const char *name, struct result *r) {
    open_store(w, name);
    assert_int_equal(rllc_sample(&w->job), RLLC_OK);
    read_result(w->job.store, r);
    rllc_store_close(w->job.store);
}

static bool stop_at_once(void *context) {
    int *left = context;
    return (*left)-- <= 0;
}

static void test_stopped_and_resumed_gives_the_same_bits(void **state) {
    (void)state;
    struct world w;
    static struct result whole, parts;
    int left = 0, stops = 0;
    const rllc_monitor monitor = {.context = &left, .stop = stop_at_once};
    begin(&w);
    run_whole(&w, "whole.db", &whole);
    assert_int_equal(whole.n_cells, 5);
    open_store(&w, "parts.db");
    w.job.monitor = &monitor;
    for (rllc_status status = RLLC_ESTOPPED; status != RLLC_OK; stops++) {
        left = 2; /* steps before the next stop */
        w.job.n_threads = 1 + stops % 3;
        status = rllc_sample(&w.job);
        assert_true(status == RLLC_OK || status == RLLC_ESTOPPED);
        assert_true(stops < 50);
    }
    assert_true(stops > 5);
    read_result(w.job.store, &parts);
    assert_memory_equal(&whole, &parts, sizeof whole);
    rllc_store_close(w.job.store);
    end(&w);
}

static void test_killed_and_rerun_gives_the_same_bits(void **state) {
    (void)state;
    struct world w;
    static struct result whole, parts;
    begin(&w);
    w.job.options.commit_seconds = 0; /* at every step: kills fall between and inside commits */
    w.job.n_threads = 1; /* the child must not need threads that fork does not copy */
    run_whole(&w, "whole.db", &whole);
    for (int kills = 0; kills < 8; kills++) {
        const pid_t child = fork();
        if (child == 0) {
            open_store(&w, "parts.db");
            _exit(rllc_sample(&w.job) == RLLC_OK ? 0 : 1);
        }
        usleep((useconds_t)(5000 + 13000 * kills));
        kill(child, SIGKILL);
        int how;
        waitpid(child, &how, 0);
        assert_true(WIFSIGNALED(how) || WEXITSTATUS(how) == 0);
    }
    run_whole(&w, "parts.db", &parts);
    assert_memory_equal(&whole, &parts, sizeof whole);
    end(&w);
}

/** One component at a time, and all at once. */
static void test_company_does_not_matter(void **state) {
    (void)state;
    struct world w;
    static struct result whole, parts;
    static const char *const one[] = {"full", "l1h1", "l0h0", "l0h1", "l1h0"};
    begin(&w);
    run_whole(&w, "whole.db", &whole);
    for (int i = 0; i < 5; i++) {
        w.job.options.components = one[i];
        run_whole(&w, "parts.db", &parts);
        assert_int_equal(parts.n_cells, i + 1);
    }
    assert_memory_equal(&whole, &parts, sizeof whole);
    end(&w);
}

static void test_streams_share_minibatches_and_chains_do_not_share_noise(void **state) {
    (void)state;
    struct world w;
    static struct result r;
    begin(&w);
    w.job.options.components = "l0h1";
    run_whole(&w, "streams.db", &r);
    assert_memory_equal(r.baseline[0][0], r.baseline[0][2], sizeof r.baseline[0][0]);
    assert_memory_equal(r.baseline[0][1], r.baseline[0][3], sizeof r.baseline[0][1]);
    for (int d = 0; d < 12; d++) {
        assert_true(r.baseline[0][0][d] != r.baseline[0][1][d]);
        assert_true(r.loss[0][0][d] != r.loss[0][2][d]);
    }
    w.job.options.batches = "shared";
    run_whole(&w, "shared.db", &r);
    for (int c = 1; c < 4; c++) assert_memory_equal(r.baseline[0][0], r.baseline[0][c], sizeof r.baseline[0][0]);
    w.job.options.batches = "independent";
    run_whole(&w, "independent.db", &r);
    for (int c = 1; c < 4; c++) assert_true(r.baseline[0][0][0] != r.baseline[0][c][0]);
    end(&w);
}

static void test_names_follow_from_component_and_corpus(void **state) {
    (void)state;
    struct world w;
    rllc_store_estimate *list;
    rllc_store_cell *cells;
    int64_t n;
    begin(&w);
    w.job.options.components = "l0h1,full";
    w.corpus.trained_on = false;
    open_store(&w, "run.db");
    assert_int_equal(rllc_sample(&w.job), RLLC_OK);
    for (int rebuilt = 0; rebuilt < 2; rebuilt++) {
        assert_int_equal(rllc_store_estimates(w.job.store, &list, &cells, &n), RLLC_OK);
        assert_int_equal(n, 2);
        for (int64_t i = 0; i < n; i++)
            assert_string_equal(list[i].name, strcmp(cells[i].component, "full") == 0 ? "drLLC" : "wdrLLC");
        rllc_free(list);
        rllc_free(cells);
        assert_int_equal(rllc_estimates_rebuild(w.job.store, &n), RLLC_OK);
        assert_int_equal(n, 2);
    }
    rllc_store_close(w.job.store);
    end(&w);
}

/** Without burn-in the first draw is w* itself, and the init loss is the mean of the first baselines. */
static void test_first_draw_and_init_loss_are_at_the_checkpoint(void **state) {
    (void)state;
    struct world w;
    static struct result r;
    begin(&w);
    w.job.sampler.num_burnin_steps = 0;
    run_whole(&w, "run.db", &r);
    for (int64_t i = 0; i < r.n_cells; i++)
        for (int c = 0; c < 4; c++) {
            double sum = 0, paired = 0;
            for (int b = 0; b < 5; b++) sum += r.baseline[i][c][b];
            assert_true(fabs(r.init_loss[i][c] - sum / 5) < 1e-12);
            assert_true(fabs(r.loss[i][c][0] - r.baseline[i][c][0]) < 1e-7);
            for (int d = 1; d < 12; d++) paired += fabs(r.loss[i][c][d] - r.baseline[i][c][d]);
            assert_true(paired > 1e-4); /* and it moves */
        }
    end(&w);
}

static void test_diverged_chains_are_results(void **state) {
    (void)state;
    struct world w;
    static struct result r;
    rllc_store_chain chain;
    begin(&w);
    w.job.options.components = "l0h1,l1h0";
    w.job.sampler.lr = 1e5; /* far beyond stability: |1 - lr localization / 2| = 1e7 a step */
    open_store(&w, "run.db");
    assert_int_equal(rllc_sample(&w.job), RLLC_OK);
    read_result(w.job.store, &r);
    assert_int_equal(r.diverged, 8);
    assert_true(isnan(r.llc[0]) && isnan(r.llc[1]));
    assert_int_equal(rllc_store_get_chain(w.job.store, 1, 0, &chain, NULL, 0, NULL), RLLC_OK);
    assert_true(chain.diverged);
    assert_non_null(strstr(chain.reason, " at "));
    rllc_store_close(w.job.store);
    end(&w);
}

static void test_results_are_not_reused_for_other_weights_data_or_options(void **state) {
    (void)state;
    struct world w;
    static struct result r;
    begin(&w);
    w.job.options.components = "l0h1";
    run_whole(&w, "run.db", &r);
    assert_int_equal(r.n_cells, 1);
    run_whole(&w, "run.db", &r); /* the same: found */
    assert_int_equal(r.n_cells, 1);
    w.job.sampler.nbeta = 31;
    run_whole(&w, "run.db", &r);
    assert_int_equal(r.n_cells, 2);
    w.m.weights[0] += 0.5F;
    w.checkpoint.hash = rllc_intern(rllc_model_hash(&w.m).hex);
    run_whole(&w, "run.db", &r);
    assert_int_equal(r.n_cells, 3);
    w.corpus.hash = rllc_intern("0123456789abcdef0123456789abcdef");
    run_whole(&w, "run.db", &r);
    assert_int_equal(r.n_cells, 4);
    end(&w);
}

/** Equal contents under two names - of a component, a corpus, a checkpoint - are two cells in one store, with equal bits. */
static void test_equal_contents_under_two_names_give_equal_bits(void **state) {
    (void)state;
    struct world w;
    static struct result r;
    begin(&w);
    w.job.options.components = "l0h1+l1h0,l1h0+l0h1";
    run_whole(&w, "run.db", &r);
    w.job.options.components = "l0h1+l1h0";
    w.corpus.name = "the same";
    run_whole(&w, "run.db", &r);
    w.checkpoint.step++;
    run_whole(&w, "run.db", &r);
    assert_int_equal(r.n_cells, 4);
    for (int64_t i = 1; i < 4; i++) {
        assert_memory_equal(r.loss[0], r.loss[i], sizeof r.loss[0]);
        assert_memory_equal(r.baseline[0], r.baseline[i], sizeof r.baseline[0]);
        assert_memory_equal(&r.llc[0], &r.llc[i], sizeof r.llc[0]);
    }
    end(&w);
}

static void test_token_losses_average_to_the_recorded_loss(void **state) {
    (void)state;
    struct world w;
    static struct result r;
    float values[4 * (CTX - 1)];
    int64_t rows, columns;
    begin(&w);
    w.job.options.components = "l1h0";
    for (int level = RLLC_TOKEN_LOSSES_DRAW; level <= RLLC_TOKEN_LOSSES_TOKEN; level++) {
        w.job.options.token_losses = level;
        open_store(&w, level == RLLC_TOKEN_LOSSES_DRAW ? "draw.db" : "token.db");
        assert_int_equal(rllc_sample(&w.job), RLLC_OK);
        read_result(w.job.store, &r);
        for (int c = -1; c < 4; c++)
            for (int d = 0; d < 12; d++) {
                double sum = 0;
                assert_int_equal(rllc_store_get_token_losses(w.job.store, 1, c, c < 0 ? 1 : c % 2, d, values,
                                                             4 * (CTX - 1), &rows, &columns), RLLC_OK);
                assert_int_equal(rows, level == RLLC_TOKEN_LOSSES_DRAW ? 1 : 4);
                assert_int_equal(columns, CTX - 1);
                for (int64_t i = 0; i < rows * columns; i++) sum += (double)values[i];
                const double wanted = c < 0 ? r.baseline[0][1][d] : r.loss[0][c][d];
                assert_true(fabs(sum / (double)(rows * columns) - wanted) < 1e-6);
            }
        rllc_store_close(w.job.store);
    }
    end(&w);
}

static void test_wrong_rows_are_refused(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    open_store(&w, "run.db");
    w.rows.n_ctx = CTX - 1;
    assert_int_equal(rllc_sample(&w.job), RLLC_EMISMATCH);
    w.rows.n_ctx = CTX;
    w.job.explicit_batches = true; /* two dimensions are one batch of 40 */
    assert_int_equal(rllc_sample(&w.job), RLLC_EMISMATCH);
    w.job.sampler.batch_size = ROWS;
    assert_int_equal(rllc_sample(&w.job), RLLC_EMISMATCH); /* one batch, 15 steps */
    assert_non_null(strstr(rllc_error_detail(), "15 steps"));
    w.job.explicit_batches = false;
    w.job.options.batches = "streams=0";
    assert_int_equal(rllc_sample(&w.job), RLLC_EINPUT);
    w.job.options.batches = "shared";
    w.job.options.components = "l0h2";
    assert_int_equal(rllc_sample(&w.job), RLLC_EUSAGE);
    rllc_store_close(w.job.store);
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped_and_resumed_gives_the_same_bits),
        cmocka_unit_test(test_killed_and_rerun_gives_the_same_bits),
        cmocka_unit_test(test_company_does_not_matter),
        cmocka_unit_test(test_streams_share_minibatches_and_chains_do_not_share_noise),
        cmocka_unit_test(test_names_follow_from_component_and_corpus),
        cmocka_unit_test(test_first_draw_and_init_loss_are_at_the_checkpoint),
        cmocka_unit_test(test_diverged_chains_are_results),
        cmocka_unit_test(test_results_are_not_reused_for_other_weights_data_or_options),
        cmocka_unit_test(test_equal_contents_under_two_names_give_equal_bits),
        cmocka_unit_test(test_token_losses_average_to_the_recorded_loss),
        cmocka_unit_test(test_wrong_rows_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
