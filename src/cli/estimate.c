/* rllc estimate: learning coefficients from the stored traces. */
#include "cli/cells.h"

typedef struct estimate_options {
    const char *checkpoints, *components, *corpora, *losses, *trace;
    bool rebuild, strict;
} estimate_options;

static const rllc_option options[] = {
    RLLC_OPTION(estimate_options, checkpoints, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "steps",
                "show these steps, e.g. 0,100..1000:100; default: all"),
    RLLC_OPTION(estimate_options, components, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "", "show these, e.g. l0h3,full"),
    RLLC_OPTION(estimate_options, corpora, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "", "show these, e.g. mix,code"),
    RLLC_OPTION(estimate_options, losses, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "show these: next_token, reference (any), reference:HASH; default: all"),
    RLLC_OPTION(estimate_options, trace, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "also write the raw losses of what is shown as CSV"),
    RLLC_OPTION(estimate_options, rebuild, RLLC_BOOLEAN, "true", RLLC_UNBOUNDED, NULL, "",
                "derive every estimate anew from its traces; --no-rebuild only shows"),
    RLLC_OPTION(estimate_options, strict, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "exit with 4 unless every verdict shown is good"),
};
static const rllc_option_table table = {"estimate", "which estimates to show", options, sizeof options / sizeof *options};
static const rllc_option_table *const tables[] = {&table, NULL};

static rllc_status estimate_main(int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    rllc_common_options common;
    estimate_options o;
    const rllc_option_binding binding = {&table, &o};
    const char *run = NULL;
    int n_positionals;
    rllc_store *store = NULL;
    rllc_cell_filter filter = {0};
    int64_t *steps = NULL, n;
    rllc_options_default(&table, &o);
    RLLC_TRY(rllc_cli_options(&rllc_command_estimate, &common, &binding, 1, argc, argv, &run, 1, &n_positionals));
    if (common.help) goto done;
    if (!run) {
        status = rllc_fail(RLLC_EUSAGE, "name the run folder or store, e.g. rllc estimate demo");
        goto done;
    }
    RLLC_TRY(rllc_cli_open_store(run, o.rebuild, &store));
    if (o.rebuild) RLLC_TRY(rllc_estimates_rebuild(store, &n));
    if (o.checkpoints) RLLC_TRY(rllc_grid_parse(o.checkpoints, &steps, &filter.n_steps));
    filter.steps = steps;
    filter.components = o.components;
    filter.corpora = o.corpora;
    filter.losses = o.losses;
    RLLC_TRY(rllc_cells_require_any(store, &filter));
    RLLC_TRY(rllc_cells_print("estimate", store, &filter, common.json));
    if (o.trace) RLLC_TRY(rllc_cells_write_traces(store, &filter, o.trace));
    if (o.strict) RLLC_TRY(rllc_cells_require_good(store, &filter));
done:
    rllc_free(steps);
    rllc_store_close(store);
    return status;
}

const rllc_command rllc_command_estimate = {
    .name = "estimate",
    .summary = "learning coefficients from the stored traces",
    .usage = "rllc estimate RUN [options]",
    .examples = "# every estimate of a run, derived anew from its traces\n"
                "rllc estimate demo\n"
                "# two heads at the last checkpoints, with their raw losses\n"
                "rllc estimate demo --components l0h1,l1h2 --checkpoints 6000,12000 --trace traces.csv\n",
    .tables = tables,
    .main = estimate_main,
};
