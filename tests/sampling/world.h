/* A model of two layers, rows of random tokens and a store: what the tests of sampling groups begin with. */
#ifndef TESTS_SAMPLING_WORLD_H
#define TESTS_SAMPLING_WORLD_H

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

static inline void make_rows(struct world *w) {
    uint16_t tokens[ROWS * CTX];
    const int64_t shape[] = {ROWS, CTX};
    char path[128];
    const rllc_stream s = rllc_stream_make(1, "rows", 0, 0);
    for (int i = 0; i < ROWS * CTX; i++) tokens[i] = (uint16_t)rllc_stream_below(&s, (uint64_t)i, VOCAB);
    snprintf(path, sizeof path, "%s/rows.npy", w->folder);
    assert_int_equal(rllc_npy_write(path, "<u2", 2, shape, tokens, 2), RLLC_OK);
    assert_int_equal(rllc_rows_open(&w->rows, path, VOCAB), RLLC_OK);
}

static inline void open_store(struct world *w, const char *name) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    assert_int_equal(rllc_store_open(&w->job.store, path, RLLC_STORE_WRITE), RLLC_OK);
    assert_int_equal(rllc_store_put_checkpoint(w->job.store, &w->checkpoint), RLLC_OK);
    assert_int_equal(rllc_store_put_corpus(w->job.store, &w->corpus), RLLC_OK);
}

static inline void begin(struct world *w) {
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

static inline void end(struct world *w) {
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

static inline void read_result(rllc_store *store, struct result *r) {
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

static inline void run_whole(struct world *w, const char *name, struct result *r) {
    open_store(w, name);
    assert_int_equal(rllc_sample(&w->job), RLLC_OK);
    read_result(w->job.store, r);
    rllc_store_close(w->job.store);
}

#endif
