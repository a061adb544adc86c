/* cli: estimates shown to people and programs, shared by sample and estimate. */
#ifndef RLLC_CLI_CELLS_H
#define RLLC_CLI_CELLS_H

#include "cli/command.h"

/** Opens the store of a run folder, or the store named itself; never makes one. */
rllc_status rllc_cli_open_store(const char *run, bool write, rllc_store **store) RLLC_MUST_USE;

/** Which estimates to show; NULL or 0 = all. */
typedef struct rllc_cell_filter {
    const char *components; /* comma-separated names */
    const char *corpora;    /* comma-separated names */
    const char *losses;     /* next_token, reference, or as the store calls them */
    const int64_t *steps;
    int64_t n_steps;
    const char *options; /* settings exactly these, as rllc_sampling_options_json gives them */
} rllc_cell_filter;

/** Estimates and their cells that pass, in the store's order; free both lists with rllc_free. */
rllc_status rllc_cells_select(rllc_store *store, const rllc_cell_filter *filter, rllc_store_estimate **list,
                              rllc_store_cell **cells, int64_t *n) RLLC_MUST_USE;

/** RLLC_ENOTFOUND, with what there is, if the store has estimates but none passes. */
rllc_status rllc_cells_require_any(rllc_store *store, const rllc_cell_filter *filter) RLLC_MUST_USE;

/** Verdicts of the estimates that pass, each with its sentences: every finding, or (all false) those that are not good. */
rllc_status rllc_cells_print_verdicts(rllc_store *store, const rllc_cell_filter *filter, bool all, bool json) RLLC_MUST_USE;

/** Below a table: the sentence behind each verdict that is not good, of the first few of them. */
rllc_status rllc_cells_print_reasons(const rllc_store_estimate *list, const rllc_store_cell *cells, int64_t n) RLLC_MUST_USE;

/** RLLC_EDOUBTFUL if an estimate that passes has a verdict other than good: what --strict asks. */
rllc_status rllc_cells_require_good(rllc_store *store, const rllc_cell_filter *filter) RLLC_MUST_USE;

/** A table (or one JSON object, key "estimates") of the store's estimates on stdout. */
rllc_status rllc_cells_print(const char *command, rllc_store *store, const rllc_cell_filter *filter, bool json);

/** CSV of the raw losses: chain,draw,loss,baseline for one cell; for several, step,corpus,component come first. */
rllc_status rllc_cells_write_traces(rllc_store *store, const rllc_cell_filter *filter, const char *path);

/** Drops rows of the same (seed, step) whose weights are no longer those of the file: what was measured on them stays in
 *  the store, but they cannot be sampled. `folder` is the run's. */
rllc_status rllc_checkpoints_drop_replaced(const char *folder, rllc_store_checkpoint *list, int64_t *n);

/** Loads the reference model if the loss asks for one; RLLC_EUSAGE if a loss is without its model or a model without its
 *  loss. *out: size 0 if there is none. */
rllc_status rllc_cli_load_reference(const rllc_sampling_options *o, rllc_model *out) RLLC_MUST_USE;

/** Whether the comma-separated list names the item (an empty list names everything). */
bool rllc_list_names(const char *list, const char *item);

#endif
