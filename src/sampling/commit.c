/* What the store learns of a group, about once a minute and at the end. */
#include "group.h"

static bool chain_is_done(const rllc_group *g, const rllc_chain *c) { return c->diverged || c->step >= g->steps; }

static rllc_status commit_chain(rllc_group *g, rllc_chain *c) {
    const bool done = chain_is_done(g, c);
    const rllc_store_chain row = {.cell_id = g->cells[c->cell].id, .chain = c->chain, .stream = c->stream,
                                  .step = c->step, .n_draws = c->n_draws, .init_loss = c->init_loss,
                                  .diverged = c->diverged, .reason = c->reason,
                                  .weights = done ? NULL : c->state.w, .dim = done ? 0 : c->state.dim};
    rllc_status status = rllc_store_put_chain(g->job->store, &row, c->n_stored, c->n_draws - c->n_stored,
                                              c->loss + c->n_stored, c->baseline + c->n_stored);
    if (status == RLLC_OK) {
        c->n_stored = c->n_draws;
        c->dirty = false;
    }
    return status;
}

static rllc_status commit_cells(rllc_group *g, double seconds) {
    rllc_status status = RLLC_OK;
    int64_t open = 0;
    for (int64_t i = 0; i < g->n_components; i++) open += !g->cells[i].complete;
    for (int64_t i = 0; i < g->n_components; i++) {
        rllc_store_cell *cell = &g->cells[i];
        bool complete = true;
        if (cell->complete) continue;
        for (int64_t k = 0; k < g->n_chains; k++)
            if (g->chains[k].cell == i) complete &= chain_is_done(g, &g->chains[k]);
        cell->seconds += seconds / (double)open;
        RLLC_TRY(rllc_store_update_cell(g->job->store, cell->id, complete, cell->seconds));
        if (!complete) continue;
        cell->complete = true;
        RLLC_TRY(rllc_estimate_cell(g->job->store, cell));
    }
done:
    return status;
}

rllc_status rllc_group_commit(rllc_group *g, double seconds) {
    rllc_status status = rllc_store_begin(g->job->store);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < g->n_chains && status == RLLC_OK; i++)
        if (g->chains[i].dirty) status = commit_chain(g, &g->chains[i]);
    if (status == RLLC_OK) status = commit_cells(g, seconds);
    if (status == RLLC_OK) return rllc_store_commit(g->job->store);
    rllc_store_rollback(g->job->store);
    return status;
}
