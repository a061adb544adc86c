/* Stored traces -> estimates. */
#include <string.h>

#include "group.h"

struct traces {
    rllc_trace *list;
    double *loss, *baseline, *per_chain; /* per_chain: llc, then llc_init */
    int64_t n, num_draws;
};

static void release(struct traces *t) {
    rllc_free(t->list);
    rllc_free(t->loss);
    rllc_free(t->baseline);
    rllc_free(t->per_chain);
}

/** How many chains and draws the cell's options ask for. */
static rllc_status read_options(const rllc_store_cell *cell, struct traces *t) {
    rllc_status status = RLLC_OK;
    rllc_json *options = NULL;
    RLLC_TRY(rllc_json_parse(&options, cell->options_json, strlen(cell->options_json), "options of a cell"));
    const rllc_json *sampler = rllc_json_get(options, "sampler");
    t->n = rllc_json_to_integer(rllc_json_get(sampler, "num_chains"), 0);
    t->num_draws = rllc_json_to_integer(rllc_json_get(sampler, "num_draws"), 0);
    if (t->n < 1 || t->num_draws < 1)
        status = rllc_fail(RLLC_EINPUT, "cell %lld: its options name no chains or draws", (long long)cell->id);
done:
    rllc_json_free(options);
    return status;
}

static rllc_status load(rllc_store *store, const rllc_store_cell *cell, struct traces *t) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(read_options(cell, t));
    RLLC_TRY(rllc_alloc(&t->list, t->n, sizeof *t->list));
    RLLC_TRY(rllc_alloc(&t->loss, t->n * t->num_draws, sizeof *t->loss));
    RLLC_TRY(rllc_alloc(&t->baseline, t->n * t->num_draws, sizeof *t->baseline));
    RLLC_TRY(rllc_alloc(&t->per_chain, 2 * t->n, sizeof *t->per_chain));
    for (int64_t c = 0; c < t->n; c++) {
        rllc_store_chain chain;
        rllc_trace *trace = &t->list[c];
        double *loss = t->loss + c * t->num_draws, *baseline = t->baseline + c * t->num_draws;
        RLLC_TRY(rllc_store_get_chain(store, cell->id, c, &chain, NULL, 0, NULL));
        *trace = (rllc_trace){.loss = loss, .baseline = baseline, .init_loss = chain.init_loss,
                              .stream = (int)chain.stream, .diverged = chain.diverged};
        RLLC_TRY(rllc_store_get_trace(store, cell->id, c, loss, baseline, t->num_draws, &trace->n_draws));
    }
done:
    return status;
}

static rllc_status add_values(rllc_json *object, const char *key, const double *values, int64_t n) {
    rllc_status status = RLLC_OK;
    rllc_json *list = rllc_json_array();
    for (int64_t i = 0; i < n; i++) RLLC_TRY(rllc_json_append(list, rllc_json_real(values[i])));
    return rllc_json_set(object, key, list);
done:
    rllc_json_free(list);
    return status;
}

rllc_status rllc_estimate_cell(rllc_store *store, const rllc_store_cell *cell) {
    rllc_status status = RLLC_OK;
    struct traces t = {0};
    rllc_estimate e;
    rllc_json *per_chain = rllc_json_object();
    rllc_string text = {0};
    RLLC_TRY(load(store, cell, &t));
    rllc_estimate_from_traces(t.list, t.n, cell->nbeta, &e, t.per_chain, t.per_chain + t.n);
    RLLC_TRY(add_values(per_chain, "llc", t.per_chain, t.n));
    RLLC_TRY(add_values(per_chain, "llc_init", t.per_chain + t.n, t.n));
    RLLC_TRY(rllc_json_print(per_chain, 0, false, &text));
    const rllc_store_estimate row = {
        .cell_id = cell->id, .name = rllc_estimate_name(cell->component, cell->refined_data),
        .llc_mean = e.llc_mean, .llc_sd = e.llc_sd, .llc_se = e.llc_se, .llc_mean_init = e.llc_mean_init,
        .llc_sd_init = e.llc_sd_init, .llc_se_init = e.llc_se_init, .n_chains = e.n_chains, .n_diverged = e.n_diverged,
        .per_chain_json = rllc_string_text(&text)};
    RLLC_TRY(rllc_store_put_estimate(store, &row));
done:
    release(&t);
    rllc_json_free(per_chain);
    rllc_string_release(&text);
    return status;
}

rllc_status rllc_estimates_rebuild(rllc_store *store, int64_t *n) {
    rllc_status status = RLLC_OK;
    rllc_store_cell *cells = NULL;
    int64_t n_cells;
    *n = 0;
    RLLC_TRY(rllc_store_cells(store, &cells, &n_cells));
    RLLC_TRY(rllc_store_begin(store));
    for (int64_t i = 0; i < n_cells && status == RLLC_OK; i++) {
        if (!cells[i].complete) continue;
        status = rllc_estimate_cell(store, &cells[i]);
        *n += status == RLLC_OK;
    }
    if (status != RLLC_OK) {
        rllc_store_rollback(store);
        goto done;
    }
    RLLC_TRY(rllc_store_commit(store));
done:
    rllc_free(cells);
    return status;
}
