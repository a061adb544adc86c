/* What the store learns of a group, about once a minute and at the end. */
#include <string.h>

#include "group.h"

_Static_assert(RLLC_RECORD_DISTANCE + RLLC_STORE_RECORDS == (int)RLLC_RECORD_N &&
                   RLLC_RECORD_MALA - RLLC_RECORD_DISTANCE == (int)RLLC_STORE_MALA,
               "what a draw records is what the store keeps");

static bool chain_is_done(const rllc_group *g, const rllc_chain *c) {
    return c->diverged || c->state.step >= g->steps;
}

static bool is_dirty(const rllc_kept *k, const rllc_chain *c) {
    return !k->known || k->step != c->state.step || k->n_stored != c->n_draws || c->diverged;
}

/* ---- a chain's state besides its weights ----------------------------------------------------------------------- */

int64_t rllc_chain_memory_bytes(const rllc_chain *c) {
    const int64_t vectors = rllc_sampler_memory(c->options) + (c->previous ? 2 : 0);
    return vectors * c->state.dim * (int64_t)sizeof(float) + (RLLC_SAMPLER_SCALARS + 1) * (int64_t)sizeof(double);
}

void rllc_chain_save(const rllc_chain *c, void *block) {
    const size_t memory = (size_t)(rllc_sampler_memory(c->options) * c->state.dim) * sizeof(float);
    const size_t previous = c->previous ? (size_t)(2 * c->state.dim) * sizeof(float) : 0;
    char *at = block;
    memcpy(at, c->state.memory, memory);
    if (previous) memcpy(at + memory, c->previous, previous);
    memcpy(at + memory + previous, c->state.scalar, sizeof c->state.scalar);
    memcpy(at + memory + previous + sizeof c->state.scalar, &c->previous_loss, sizeof c->previous_loss);
}

void rllc_chain_restore(rllc_chain *c, const void *block) {
    const size_t memory = (size_t)(rllc_sampler_memory(c->options) * c->state.dim) * sizeof(float);
    const size_t previous = c->previous ? (size_t)(2 * c->state.dim) * sizeof(float) : 0;
    const char *at = block;
    memcpy(c->state.memory, at, memory);
    if (previous) memcpy(c->previous, at + memory, previous);
    memcpy(c->state.scalar, at + memory + previous, sizeof c->state.scalar);
    memcpy(&c->previous_loss, at + memory + previous + sizeof c->state.scalar, sizeof c->previous_loss);
}

/* ---- commits ------------------------------------------------------------------------------------------------------
 */

static rllc_status commit_chain(rllc_group *g, rllc_kept *k, const rllc_chain *c) {
    const bool done = chain_is_done(g, c);
    const int64_t first = k->n_stored;
    const rllc_trace trace = rllc_chain_trace(c);
    rllc_status status = RLLC_OK;
    void *memory = NULL;
    rllc_store_chain row = {.cell_id = g->cells[k->cell].id,
                            .chain = c->chain,
                            .stream = c->stream,
                            .step = c->state.step,
                            .n_draws = c->n_draws,
                            .init_loss = c->init_loss,
                            .diverged = c->diverged,
                            .reason = c->reason,
                            .acceptance = trace.acceptance};
    if (!done) {
        row.weights = c->state.w;
        row.dim = c->state.dim;
        row.memory_bytes = rllc_chain_memory_bytes(c);
        RLLC_TRY(rllc_alloc(&memory, row.memory_bytes, 1));
        rllc_chain_save(c, memory);
        row.memory = memory;
    }
    for (int i = 0; i < RLLC_STORE_RECORDS; i++) row.records[i] = c->record[RLLC_RECORD_DISTANCE + i] + first;
    RLLC_TRY(rllc_store_put_chain(g->job->store, &row, first, c->n_draws - first, c->record[RLLC_RECORD_LOSS] + first,
                                  c->record[RLLC_RECORD_BASELINE] + first));
    *k = (rllc_kept){.cell = k->cell, .n_stored = c->n_draws, .step = c->state.step, .known = true};
done:
    rllc_free(memory);
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
        for (int64_t k = 0; k < g->chains.n; k++)
            if (g->kept[k].cell == i) complete &= chain_is_done(g, &g->chains.list[k]);
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
    for (int64_t i = 0; i < g->chains.n && status == RLLC_OK; i++)
        if (is_dirty(&g->kept[i], &g->chains.list[i])) status = commit_chain(g, &g->kept[i], &g->chains.list[i]);
    if (status == RLLC_OK) status = commit_cells(g, seconds);
    if (status == RLLC_OK) return rllc_store_commit(g->job->store);
    rllc_store_rollback(g->job->store);
    return status;
}
