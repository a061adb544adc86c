/* The store keeps what sampling gives it: cells, chains with their weights, traces, per-token losses, estimates. */
#include <sys/mman.h>

#include "store/samples.h"

static void test_cell_is_found_by_identity(void **state) {
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    rllc_store_cell cell = put_cell(s, 1, 100, "mix", "l0h3"), again = cell;
    assert_false(cell.complete);
    assert_ok(rllc_store_update_cell(s, cell.id, true, 12.5));
    again.id = 0;
    assert_ok(rllc_store_put_cell(s, &again));
    assert_int_equal(again.id, cell.id);
    assert_true(again.complete && again.seconds == 12.5);
    again.component = "l0h3+l0h3"; /* another name of the same: a cell of its own */
    again.complete = false;
    assert_ok(rllc_store_put_cell(s, &again));
    assert_int_not_equal(again.id, cell.id);
    again = put_cell(s, 1, 200, "mix", "l0h3"); /* the same weights at another step */
    again.identity = cell.identity;
    assert_ok(rllc_store_put_cell(s, &again));
    assert_int_not_equal(again.id, cell.id);
    assert_fails(rllc_store_update_cell(s, 77, true, 1), RLLC_ENOTFOUND, "no cell 77");
    again.identity = "new";
    again.checkpoint_id = 99;
    assert_fails(rllc_store_put_cell(s, &again), RLLC_EMISMATCH, "FOREIGN KEY");
    rllc_store_close(s);
}

static void test_cells_and_estimates_are_joined_and_ordered(void **state) {
    static const struct {
        uint64_t seed;
        int64_t step;
        const char *corpus, *component;
    } in[] = {{2, 0, "mix", "full"},
              {1, 10, "mix", "l0h1"},
              {1, 10, "mix", "l0h0"},
              {1, 10, "code", "l0h1"},
              {1, 2, "mix", "l0h1"}};
    static const int order[] = {4, 3, 2, 1, 0};
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    rllc_store_cell *cells = NULL, *joined = NULL;
    rllc_store_estimate *estimates = NULL;
    int64_t n = 0, ids[5];
    for (int i = 0; i < 5; i++) {
        ids[i] = put_cell(s, in[i].seed, in[i].step, in[i].corpus, in[i].component).id;
        if (i == 2) continue;
        const rllc_store_estimate e = {.cell_id = ids[i],
                                       .name = "wrLLC",
                                       .llc_mean = i,
                                       .llc_sd = NAN,
                                       .llc_se = 0.25,
                                       .llc_mean_init = -i,
                                       .llc_sd_init = 1,
                                       .llc_se_init = INFINITY,
                                       .n_chains = 4,
                                       .n_diverged = i,
                                       .per_chain_json = "{\"llc\":[1]}"};
        assert_ok(rllc_store_put_estimate(s, &e));
        assert_ok(rllc_store_put_estimate(s, &e));
    }
    assert_ok(rllc_store_cells(s, &cells, &n));
    assert_int_equal(n, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(cells[i].id, ids[order[i]]);
        assert_string_equal(cells[i].corpus, in[order[i]].corpus);
        assert_string_equal(cells[i].component, in[order[i]].component);
        assert_int_equal(cells[i].seed, in[order[i]].seed);
        assert_int_equal(cells[i].step, in[order[i]].step);
        assert_true(cells[i].refined_data == (strcmp(cells[i].corpus, "code") == 0));
        assert_true(cells[i].nbeta == 30 && cells[i].dim == 4);
        assert_string_equal(cells[i].options_json, "{\"lr\":0.001}");
    }
    assert_ok(rllc_store_estimates(s, &estimates, &joined, &n));
    assert_int_equal(n, 4);
    for (int i = 0, k = 0; i < 5; i++) {
        if (order[i] == 2) continue;
        const rllc_store_estimate *e = &estimates[k];
        assert_int_equal(joined[k++].id, ids[order[i]]);
        assert_int_equal(e->cell_id, ids[order[i]]);
        assert_true(e->llc_mean == order[i] && isnan(e->llc_sd) && e->llc_se == 0.25 && e->llc_mean_init == -order[i]);
        assert_true(e->llc_sd_init == 1 && e->llc_se_init == INFINITY && e->n_chains == 4 && e->n_diverged == order[i]);
        assert_string_equal(e->per_chain_json, "{\"llc\":[1]}");
    }
    rllc_free(cells);
    rllc_free(joined);
    rllc_free(estimates);
    rllc_store_close(s);
}

static void test_chain_keeps_weights_bit_for_bit_until_it_ends(void **state) {
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    const rllc_store_cell cell = put_cell(s, 1, 100, "mix", "l0h3");
    const uint32_t bits[4] = {0x7FC12345, 0x80000000, 0x00000001, 0xFF800000}; /* NaN payload, -0, subnormal, -inf */
    float weights[4], back[4] = {0};
    memcpy(weights, bits, sizeof bits);
    rllc_store_chain c = {
        .cell_id = cell.id, .chain = 3, .stream = 1, .step = 7, .init_loss = NAN, .weights = weights, .dim = 4};
    rllc_store_chain out;
    bool has = true;
    assert_fails(rllc_store_get_chain(s, cell.id, 3, &out, NULL, 0, &has), RLLC_ENOTFOUND, "has no chain 3");
    assert_ok(rllc_store_put_chain(s, &c, 0, 0, NULL, NULL));
    assert_ok(rllc_store_get_chain(s, cell.id, 3, &out, back, 4, &has));
    assert_true(has && isnan(out.init_loss) && out.step == 7 && out.stream == 1 && out.dim == 4 && !out.diverged);
    assert_string_equal(out.reason, "");
    assert_memory_equal(back, bits, sizeof bits);
    assert_fails(rllc_store_get_chain(s, cell.id, 3, &out, back, 3, &has), RLLC_EMISMATCH, "16 bytes are stored");
    c.weights = NULL;
    c.diverged = true;
    c.reason = "loss is NaN at draw 57";
    c.init_loss = 3;
    assert_ok(rllc_store_put_chain(s, &c, 0, 0, NULL, NULL));
    assert_ok(rllc_store_get_chain(s, cell.id, 3, &out, back, 4, &has));
    assert_true(!has && out.diverged && out.init_loss == 3 && out.dim == 0);
    assert_string_equal(out.reason, "loss is NaN at draw 57");
    c.weights = weights;
    c.dim = 0;
    assert_fails(rllc_store_put_chain(s, &c, 0, 0, NULL, NULL), RLLC_EMISMATCH, "weights of dimension 0");
    c.weights = NULL;
    c.cell_id = 50;
    assert_fails(rllc_store_put_chain(s, &c, 0, 0, NULL, NULL), RLLC_EMISMATCH, "FOREIGN KEY");
    rllc_store_close(s);
}

static void test_trace_grows_is_replaced_and_has_no_gaps(void **state) {
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    const rllc_store_cell cell = put_cell(s, 1, 100, "mix", "l0h3");
    const double loss[2] = {NAN, INFINITY};
    double back[2], baseline[2];
    int64_t n = 0;
    assert_ok(append_draws(s, cell.id, 0, 0, 100));
    assert_ok(append_draws(s, cell.id, 1, 0, 3));
    assert_ok(append_draws(s, cell.id, 0, 100, 57));
    check_draws(s, cell.id, 0, 157);
    assert_ok(append_draws(s, cell.id, 0, 150, 20)); /* resumed a little earlier */
    check_draws(s, cell.id, 0, 170);
    assert_fails(append_draws(s, cell.id, 0, 171, 5), RLLC_EMISMATCH, "would leave a gap");
    check_draws(s, cell.id, 0, 170);
    check_draws(s, cell.id, 1, 3);
    assert_ok(append_draws(s, cell.id, 0, 0, 10)); /* begun anew: the rest goes */
    check_draws(s, cell.id, 0, 10);
    rllc_store_chain c = {.cell_id = cell.id, .chain = 0, .n_draws = 9};
    assert_fails(rllc_store_put_chain(s, &c, 9, 2, loss, loss), RLLC_EMISMATCH, "expected the last ones");
    assert_fails(rllc_store_put_chain(s, &c, -1, 10, loss, loss), RLLC_EMISMATCH, "expected the last ones");
    c.n_draws = 12;
    assert_fails(rllc_store_put_chain(s, &c, 0, 0, NULL, NULL), RLLC_EMISMATCH, "would leave a gap");
    assert_ok(rllc_store_put_chain(s, &c, 10, 2, loss, NULL));
    assert_ok(rllc_store_get_trace(s, cell.id, 0, NULL, NULL, 100, &n));
    assert_int_equal(n, 12);
    assert_ok(rllc_store_get_trace(s, cell.id, 0, back, baseline, 2, &n));
    assert_int_equal(n, 2);
    assert_ok(rllc_store_get_trace(s, cell.id, 7, back, baseline, 2, &n));
    assert_int_equal(n, 0);
    c.chain = 5;
    c.n_draws = 2;
    assert_ok(rllc_store_put_chain(s, &c, 0, 2, loss, NULL));
    assert_ok(rllc_store_get_trace(s, cell.id, 5, back, baseline, 2, &n));
    assert_true(isnan(back[0]) && back[1] == INFINITY && isnan(baseline[0]) && isnan(baseline[1]));
    rllc_store_close(s);
}

static void test_token_losses_keep_their_shape(void **state) {
    rllc_store *s = open_store(fresh(state), RLLC_STORE_WRITE);
    const rllc_store_cell cell = put_cell(s, 1, 100, "mix", "l0h3");
    const float values[6] = {1, NAN, -0.0f, 0x1p-149f, INFINITY, 6};
    float back[6];
    int64_t rows = 0, columns = 0;
    assert_ok(rllc_store_put_token_losses(s, cell.id, -1, 0, 4, values, 1, 6));
    assert_ok(rllc_store_put_token_losses(s, cell.id, -1, 1, 4, values, 3, 2));
    assert_ok(rllc_store_put_token_losses(s, cell.id, 2, 0, 4, values, 2, 3));
    assert_ok(rllc_store_put_token_losses(s, cell.id, 2, 0, 4, values, 3, 1)); /* replaced */
    assert_ok(rllc_store_get_token_losses(s, cell.id, -1, 1, 4, NULL, 0, &rows, &columns));
    assert_true(rows == 3 && columns == 2);
    assert_ok(rllc_store_get_token_losses(s, cell.id, -1, 1, 4, back, 6, &rows, &columns));
    assert_memory_equal(back, values, sizeof values);
    assert_ok(rllc_store_get_token_losses(s, cell.id, 2, 0, 4, back, 6, &rows, &columns));
    assert_true(rows == 3 && columns == 1);
    assert_fails(rllc_store_get_token_losses(s, cell.id, -1, 1, 4, back, 5, &rows, &columns), RLLC_EMISMATCH,
                 "room for 5");
    assert_fails(rllc_store_get_token_losses(s, cell.id, 2, 1, 4, back, 6, &rows, &columns), RLLC_ENOTFOUND, "draw 4");
    assert_int_equal(rllc_store_put_token_losses(s, cell.id, 2, 0, 4, values, INT64_MAX, 2), RLLC_EMISMATCH);
    float *large = mmap(NULL, 1200000000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(large != MAP_FAILED);
    assert_fails(rllc_store_put_token_losses(s, cell.id, 2, 0, 6, large, 300000000, 1), RLLC_EUNSUPPORTED,
                 "more than 1 GB");
    assert_int_equal(munmap(large, 1200000000), 0);
    assert_ok(rllc_store_put_token_losses(s, cell.id, 2, 0, 5, values, 0, 0));
    assert_ok(rllc_store_get_token_losses(s, cell.id, 2, 0, 5, back, 6, &rows, &columns));
    assert_true(rows == 0 && columns == 0);
    rllc_store_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cell_is_found_by_identity),
        cmocka_unit_test(test_cells_and_estimates_are_joined_and_ordered),
        cmocka_unit_test(test_chain_keeps_weights_bit_for_bit_until_it_ends),
        cmocka_unit_test(test_trace_grows_is_replaced_and_has_no_gaps),
        cmocka_unit_test(test_token_losses_keep_their_shape),
    };
    return cmocka_run_group_tests_name("store of samples", tests, scratch_setup, scratch_teardown);
}
