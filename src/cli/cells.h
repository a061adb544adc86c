/* cli: estimates shown to people and programs, shared by sample and estimate. */
#ifndef RLLC_CLI_CELLS_H
#define RLLC_CLI_CELLS_H

#include "cli/command.h"

/** Which estimates to show; NULL or 0 = all. */
typedef struct rllc_cell_filter {
    const char *components; /* comma-separated names */
    const char *corpora;    /* comma-separated names */
    const int64_t *steps;
    int64_t n_steps;
    const char *options; /* settings exactly these, as rllc_sampling_options_json gives them */
} rllc_cell_filter;

/** A table (or one JSON object, key "estimates") of the store's estimates on stdout. */
rllc_status rllc_cells_print(const char *command, rllc_store *store, const rllc_cell_filter *filter, bool json);

/** CSV of the raw losses: chain,draw,loss,baseline for one cell; for several, step,corpus,component come first. */
rllc_status rllc_cells_write_traces(rllc_store *store, const rllc_cell_filter *filter, const char *path);

/** Drops rows of the same (seed, step) whose weights are no longer those of the file: what was measured on them stays in
 *  the store, but they cannot be sampled. `folder` is the run's. */
rllc_status rllc_checkpoints_drop_replaced(const char *folder, rllc_store_checkpoint *list, int64_t *n);

/** Whether the comma-separated list names the item (an empty list names everything). */
bool rllc_list_names(const char *list, const char *item);

#endif
