/* rllc diagnose: how far to trust the estimates of a run; have the chains of a CSV file converged? */
#include "cli/cells.h"
#include "cli/csv_diagnosis.h"

typedef struct diagnose_options {
    const char *checkpoints, *components, *corpora, *losses;
    bool all, strict;
    const char *trace, *column, *chains;
    double nbeta;
    int64_t max_lag;
} diagnose_options;

static const rllc_option options[] = {
    RLLC_OPTION(diagnose_options, checkpoints, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "steps",
                "of a run: these steps, e.g. 0,100..1000:100; default: all"),
    RLLC_OPTION(diagnose_options, components, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "of a run: these, e.g. l0h3,full"),
    RLLC_OPTION(diagnose_options, corpora, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "", "of a run: these, e.g. mix,code"),
    RLLC_OPTION(diagnose_options, losses, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "of a run: these, next_token, reference (any) or reference:HASH"),
    RLLC_OPTION(diagnose_options, all, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "of a run: every finding, the numbers and the bias budget, not only what is not good"),
    RLLC_OPTION(diagnose_options, strict, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "of a run: exit with 4 unless every verdict is good"),
    RLLC_OPTION(diagnose_options, trace, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "CSV with a header: columns chain, draw, value in any order, others ignored"),
    RLLC_OPTION(diagnose_options, column, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "name",
                "the column of values; default: value"),
    RLLC_OPTION(
        diagnose_options, nbeta, RLLC_REAL, "0", 0, 1e300, NULL, "",
        "the value is nbeta * (loss - baseline), of the columns that rllc sample --trace writes; 0: one column"),
    RLLC_OPTION(diagnose_options, chains, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "only these chains, e.g. 0,2..5:1; default: all"),
    RLLC_OPTION(diagnose_options, max_lag, RLLC_INTEGER, "50", 0, 100000, NULL, "draws",
                "autocorrelations up to this lag"),
};
static const rllc_option_table table = {"diagnose", "which draws", options, sizeof options / sizeof *options};
static const rllc_option_table *const tables[] = {&table, &rllc_series_option_table, NULL};

/* ---- the command ------------------------------------------------------------------------------------------------- */

/** Verdicts of the estimates of a run, derived anew. */
static rllc_status diagnose_run(const char *run, const diagnose_options *o, bool json) {
    rllc_status status = RLLC_OK;
    rllc_store *store = NULL;
    rllc_cell_filter filter = {.components = o->components, .corpora = o->corpora, .losses = o->losses};
    int64_t *steps = NULL, n;
    if (o->trace || o->column || o->chains || o->nbeta != 0)
        return rllc_fail(RLLC_EUSAGE,
                         "--trace, --column, --chains and --nbeta are for a CSV file; in a run: --checkpoints, "
                         "--components, --corpora, --losses");
    RLLC_TRY(rllc_cli_open_store(run, true, &store));
    RLLC_TRY(rllc_estimates_rebuild(store, &n));
    if (o->checkpoints) RLLC_TRY(rllc_grid_parse(o->checkpoints, &steps, &filter.n_steps));
    filter.steps = steps;
    RLLC_TRY(rllc_cells_require_any(store, &filter));
    RLLC_TRY(rllc_cells_print_verdicts(store, &filter, o->all, json));
    if (o->strict) RLLC_TRY(rllc_cells_require_good(store, &filter));
done:
    rllc_free(steps);
    rllc_store_close(store);
    return status;
}

/** The draws of a CSV file, of whatever origin. */
static rllc_status diagnose_csv(const diagnose_options *o, const rllc_series_settings *settings, bool json) {
    rllc_status status = RLLC_OK;
    rllc_csv_diagnosis d = {0};
    if (!o->trace)
        return rllc_fail(RLLC_EUSAGE,
                         "name a run, e.g. rllc diagnose demo, or chains: rllc diagnose --trace chains.csv; see "
                         "rllc diagnose --help");
    if (o->column && o->nbeta != 0)
        return rllc_fail(RLLC_EUSAGE, "--column names one column, --nbeta takes loss and baseline: give one of them");
    if (o->strict || o->all || o->components || o->corpora || o->checkpoints)
        return rllc_fail(RLLC_EUSAGE,
                         "--strict, --all, --checkpoints, --components and --corpora are for a run, not a CSV file");
    const rllc_csv_request request = {.path = o->trace, .column = o->column, .nbeta = o->nbeta, .only = o->chains};
    RLLC_TRY(rllc_csv_chains_read(&request, &d.chains));
    RLLC_TRY(rllc_csv_diagnosis_compute(settings, o->max_lag, &d));
    const char *const title = o->nbeta != 0 ? rllc_intern_printf("%g (loss - baseline) in %s", o->nbeta, o->trace)
                                            : rllc_intern_printf("%s in %s", o->column ? o->column : "value", o->trace);
    if (json)
        RLLC_TRY(rllc_csv_diagnosis_print_json(&d));
    else
        rllc_csv_diagnosis_print_table(title, &d);
done:
    rllc_csv_diagnosis_release(&d);
    return status;
}

static rllc_status diagnose_main(int argc, const char *const *argv) {
    rllc_common_options common;
    diagnose_options o;
    rllc_series_settings settings;
    const char *run = NULL;
    int n;
    const rllc_option_binding bindings[] = {{&table, &o}, {&rllc_series_option_table, &settings}};
    rllc_options_default(&table, &o);
    rllc_options_default(&rllc_series_option_table, &settings);
    const rllc_status status = rllc_cli_options(&rllc_command_diagnose, &common, bindings, 2, argc, argv, &run, 1, &n);
    if (status != RLLC_OK || common.help) return status;
    return run ? diagnose_run(run, &o, common.json) : diagnose_csv(&o, &settings, common.json);
}

const rllc_command rllc_command_diagnose = {
    .name = "diagnose",
    .summary = "how far to trust estimates: verdicts, remedies, bias budget",
    .usage = "rllc diagnose RUN [options]\n       rllc diagnose --trace FILE [options]",
    .examples = "# which estimates of a run are not good, why, and what to do\n"
                "rllc diagnose demo\n"
                "# all numbers of one head; exit with 4 unless it is good\n"
                "rllc diagnose demo --components l1h2 --checkpoints 12000 --all --strict\n"
                "# any chains: a CSV file with columns chain, draw, value\n"
                "rllc diagnose --trace chains.csv\n"
                "# what rllc sample --trace wrote, on the scale of the estimate\n"
                "rllc diagnose --trace traces.csv --nbeta 30 --json\n"
                "# the raw losses of two chains, Raftery-Lewis for the median\n"
                "rllc diagnose --trace traces.csv --column loss --chains 0,2 --raftery-q 0.5 --raftery-r 0.05\n",
    .tables = tables,
    .main = diagnose_main,
};
