/* What a sampling group leaves: names, first draws, estimates by hand, divergence, identities, token losses, refusals. */
#include "sampling/world.h"

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

/* E13 and E14 by hand from what the store holds: nbeta multiplies the mean loss, not that of a batch or a token. */
static void test_estimates_are_nbeta_times_the_mean_difference(void **state) {
    (void)state;
    struct world w;
    static struct result r;
    begin(&w);
    run_whole(&w, "hand.db", &r);
    for (int64_t i = 0; i < r.n_cells; i++) {
        double paired = 0, conventional = 0;
        for (int c = 0; c < 4; c++)
            for (int t = 0; t < 12; t++) {
                paired += 30 * (r.loss[i][c][t] - r.baseline[i][c][t]) / 48;
                conventional += 30 * (r.loss[i][c][t] - r.init_loss[i][c]) / 48;
            }
        assert_true(fabs(r.llc[i] - paired) < 1e-12 && fabs(r.llc_init[i] - conventional) < 1e-12);
        assert_true(fabs(paired) > 1e-6);
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

/** A checkpoint whose weights are not finite costs its own cells their estimates, not the run its end. */
static void test_weights_that_are_not_finite_are_results(void **state) {
    (void)state;
    static struct result r;
    for (int k = 0; k < 2; k++) {
        struct world w;
        begin(&w);
        w.job.options.components = "l0h1,l1h0";
        w.m.weights[w.m.size - 1] = k ? NAN : 3e38F;
        open_store(&w, "run.db");
        assert_int_equal(rllc_sample(&w.job), RLLC_OK);
        read_result(w.job.store, &r);
        assert_int_equal(r.n_cells, 2);
        if (k) assert_int_equal(r.diverged, 8);
        rllc_store_close(w.job.store);
        end(&w);
    }
}

struct kept_curvature {
    double batches, noise, gradient;
    int64_t n_noise;
};

static struct kept_curvature curvature_with(const char *batches, int64_t parts, int64_t init_batches) {
    struct kept_curvature out;
    struct world w;
    rllc_curvature c;
    rllc_json *j;
    const char *text;
    begin(&w);
    w.job.options.components = "l0h1";
    w.job.options.batches = batches;
    w.job.sampler.gradient_accumulation_steps = parts;
    w.job.sampler.num_init_loss_batches = init_batches;
    open_store(&w, "run.db");
    assert_int_equal(rllc_sample(&w.job), RLLC_OK);
    assert_int_equal(rllc_store_get_curvature(w.job.store, 1, &text), RLLC_OK);
    assert_int_equal(rllc_json_parse(&j, text, strlen(text), "curvature"), RLLC_OK);
    assert_int_equal(rllc_curvature_from_json(j, &c), RLLC_OK);
    out = (struct kept_curvature){(double)c.batches, c.noise_trace, c.gradient_square, c.noise.n};
    rllc_json_free(j);
    rllc_curvature_release(&c);
    rllc_store_close(w.job.store);
    end(&w);
    return out;
}

/** The noise that the budget knows of is that of the minibatches sampled with, not of how the init loss is measured. */
static void test_curvature_knows_which_minibatches_are_noise(void **state) {
    (void)state;
    const struct kept_curvature two = curvature_with("streams=2", 1, 5), few = curvature_with("streams=2", 1, 1);
    assert_true(two.noise > 0 && two.n_noise > 0);
    assert_memory_equal(&two, &few, sizeof two);
    for (int64_t parts = 1; parts <= 3; parts++) {
        const struct kept_curvature fixed = curvature_with("fixed", parts, 5);
        assert_true(fixed.noise == 0 && fixed.n_noise == 0 && fixed.batches == (double)parts && fixed.gradient > 0);
    }
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

/** A proposal's losses are not those of the state that its draw records. */
static void test_token_losses_of_proposals_are_refused(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    w.job.sampler.sampler = "mala";
    w.job.options.batches = "fixed";
    w.job.options.token_losses = RLLC_TOKEN_LOSSES_DRAW;
    open_store(&w, "run.db");
    assert_int_equal(rllc_sample(&w.job), RLLC_EUSAGE);
    assert_non_null(strstr(rllc_error_detail(), "proposal"));
    w.job.options.token_losses = RLLC_TOKEN_LOSSES_NONE;
    assert_int_equal(rllc_sample(&w.job), RLLC_OK);
    rllc_store_close(w.job.store);
    end(&w);
}

/** Given batches can be fewer than the init loss asks for; the cell says how many it was. */
static void test_given_batches_bound_the_init_loss(void **state) {
    (void)state;
    struct world w;
    rllc_store_cell *cells;
    rllc_json *options;
    uint16_t tokens[ROWS * CTX];
    int64_t n;
    const int64_t shape[] = {10, 4, CTX};
    begin(&w);
    for (int i = 0; i < ROWS * CTX; i++) tokens[i] = (uint16_t)(i % VOCAB);
    const char *path = rllc_intern_printf("%s/given.npy", w.folder);
    assert_int_equal(rllc_npy_write(path, "<u2", 3, shape, tokens, 2), RLLC_OK);
    rllc_rows_close(&w.rows);
    assert_int_equal(rllc_rows_open(&w.rows, path, VOCAB), RLLC_OK);
    w.job.explicit_batches = true;
    w.job.options.components = "l0h1";
    w.job.sampler.num_draws = 7;
    for (int asked = 5; asked <= 20; asked += 15) {
        w.job.sampler.num_init_loss_batches = asked;
        open_store(&w, rllc_intern_printf("%d.db", asked));
        assert_int_equal(rllc_sample(&w.job), RLLC_OK);
        assert_int_equal(rllc_store_cells(w.job.store, &cells, &n), RLLC_OK);
        assert_int_equal(rllc_json_parse(&options, cells[0].options_json, strlen(cells[0].options_json), "o"), RLLC_OK);
        assert_int_equal(rllc_json_to_integer(rllc_json_get(rllc_json_get(options, "sampler"), "num_init_loss_batches"), 0),
                         asked == 5 ? 5 : 10);
        rllc_json_free(options);
        rllc_free(cells);
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
    assert_non_null(strstr(rllc_error_detail(), "take 15"));
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
        cmocka_unit_test(test_names_follow_from_component_and_corpus),
        cmocka_unit_test(test_first_draw_and_init_loss_are_at_the_checkpoint),
        cmocka_unit_test(test_estimates_are_nbeta_times_the_mean_difference),
        cmocka_unit_test(test_diverged_chains_are_results),
        cmocka_unit_test(test_weights_that_are_not_finite_are_results),
        cmocka_unit_test(test_curvature_knows_which_minibatches_are_noise),
        cmocka_unit_test(test_results_are_not_reused_for_other_weights_data_or_options),
        cmocka_unit_test(test_equal_contents_under_two_names_give_equal_bits),
        cmocka_unit_test(test_token_losses_average_to_the_recorded_loss),
        cmocka_unit_test(test_token_losses_of_proposals_are_refused),
        cmocka_unit_test(test_given_batches_bound_the_init_loss),
        cmocka_unit_test(test_wrong_rows_are_refused),
    };
    return cmocka_run_group_tests_name("results of sampling", tests, NULL, NULL);
}
