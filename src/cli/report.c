/* rllc report: figures and one HTML file from the store. */
#include <string.h>

#include "cli/command.h"

typedef struct report_options {
    const char *output, *figures, *figure;
} report_options;

static const char figure_help[] = "draw this figure only, and no page:"
#define RLLC_REPORT_FIGURE(identifier) " " #identifier
#include "report/figures.def"
#undef RLLC_REPORT_FIGURE
    ;

static const rllc_option options[] = {
    RLLC_OPTION(report_options, output, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "the page to write; default: RUN/report.html"),
    RLLC_OPTION(report_options, figures, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "folder for .svg, .csv and .gp; default: RUN/figures"),
    RLLC_OPTION(report_options, figure, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "", figure_help),
};
static const rllc_option_table table = {"report", "where the report goes", options, sizeof options / sizeof *options};
static const rllc_option_table *const tables[] = {&table, NULL};

/* RUN is a run folder or the store itself: the store's path and its folder. */
static rllc_status find_store(const char *run, rllc_string *store, rllc_string *folder) {
    rllc_status status = RLLC_OK;
    const char *slash = strrchr(run, '/');
    if (rllc_is_folder(run)) {
        RLLC_TRY(rllc_string_printf(store, "%s/run.db", run));
        RLLC_TRY(rllc_string_add(folder, run));
    } else {
        RLLC_TRY(rllc_string_add(store, run));
        RLLC_TRY(slash ? rllc_string_add_bytes(folder, run, (size_t)(slash - run)) : rllc_string_add(folder, "."));
        if (slash == run) RLLC_TRY(rllc_string_add(folder, "/"));
    }
    while (folder->length > 1 && folder->data[folder->length - 1] == '/') folder->data[--folder->length] = '\0';
done:
    return status;
}

/* The page, or the files of the one figure, a line each. */
static void print_paths(const rllc_json *result) {
    const char *page = rllc_json_text(rllc_json_get(result, "page"));
    const rllc_json *figures = rllc_json_get(result, "figures");
    if (page) printf("%s\n", page);
    for (int64_t i = 0; !page && i < rllc_json_length(figures); i++) {
        const rllc_json *files = rllc_json_get(rllc_json_at(figures, i), "files");
        for (int64_t k = 0; k < rllc_json_length(files); k++) printf("%s\n", rllc_json_text(rllc_json_at(files, k)));
    }
}

static rllc_status make(const char *run, const report_options *o, const rllc_common_options *common) {
    rllc_status status = RLLC_OK;
    rllc_string path = {0}, folder = {0}, page = {0}, figures = {0};
    rllc_store *store = NULL;
    rllc_json *result = NULL;
    RLLC_TRY(find_store(run, &path, &folder));
    RLLC_TRY(o->output ? rllc_string_add(&page, o->output) : rllc_string_printf(&page, "%s/report.html", folder.data));
    RLLC_TRY(o->figures ? rllc_string_add(&figures, o->figures)
                        : rllc_string_printf(&figures, "%s/figures", folder.data));
    RLLC_TRY(rllc_store_open(&store, path.data, RLLC_STORE_READ));
    const rllc_report_job job = {.store = store,
                                 .figures = figures.data,
                                 .page = o->figure ? NULL : page.data,
                                 .only = o->figure,
                                 .monitor = rllc_cli_monitor(common)};
    status = rllc_report_run(&job, &result);
    if (!result) goto done;
    if (common->json) { /* also when figures could not be drawn: what was made counts */
        rllc_status printed = rllc_cli_print_json("report", result);
        result = NULL;
        if (status == RLLC_OK) status = printed;
    } else {
        print_paths(result);
    }
done:
    rllc_json_free(result);
    rllc_store_close(store);
    rllc_string_release(&path);
    rllc_string_release(&folder);
    rllc_string_release(&page);
    rllc_string_release(&figures);
    return status;
}

static rllc_status report_main(int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    rllc_common_options common;
    report_options o;
    const rllc_option_binding binding = {&table, &o};
    const char *run = NULL;
    int n;
    rllc_options_default(&table, &o);
    RLLC_TRY(rllc_cli_options(&rllc_command_report, &common, &binding, 1, argc, argv, &run, 1, &n));
    if (common.help) return RLLC_OK;
    if (!run) return rllc_fail(RLLC_EUSAGE, "name the run folder or its store, e.g. rllc report demo");
    if (o.figure && o.output)
        return rllc_fail(RLLC_EUSAGE, "--figure draws one figure and writes no page: leave out --output");
    status = make(run, &o, &common);
done:
    return status;
}

const rllc_command rllc_command_report = {
    .name = "report",
    .summary = "figures and one HTML file from the store",
    .usage = "rllc report RUN [options]",
    .examples = "# demo/report.html with everything in it, and its figures in demo/figures\n"
                "rllc report demo\n"
                "# the page somewhere else\n"
                "rllc report demo --output ~/heads.html\n"
                "# one figure only\n"
                "rllc report demo --figure heads\n"
                "# what was drawn, and what is missing and why\n"
                "rllc report demo --json\n",
    .tables = tables,
    .main = report_main,
};
