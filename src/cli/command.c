/* What every subcommand begins with: its flags. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/frame.h"

#define COMMON(field) offsetof(rllc_common_options, field)

static const rllc_option common_options[] = {
    {"help", RLLC_BOOLEAN, COMMON(help), "false", RLLC_UNBOUNDED, NULL, "", "this text (also -h)"},
    {"json", RLLC_BOOLEAN, COMMON(json), "false", RLLC_UNBOUNDED, NULL, "",
     "results as one JSON object on standard output"},
    {"threads", RLLC_INTEGER, COMMON(threads), "0", 0, 1024, NULL, "",
     "threads to use; 0 = every core this process may use"},
    {"progress", RLLC_CHOICE, COMMON(progress), "auto", RLLC_UNBOUNDED, "auto,bar,plain,json,none", "",
     "how progress is shown on standard error"},
    {"quiet", RLLC_BOOLEAN, COMMON(quiet), "false", RLLC_UNBOUNDED, NULL, "", "no progress and no messages (also -q)"},
    {"color", RLLC_BOOLEAN, COMMON(color), "true", RLLC_UNBOUNDED, NULL, "", "colour on a terminal"},
};

const rllc_option_table rllc_common_option_table = {"common", "what every command takes", common_options,
                                                    (int)(sizeof common_options / sizeof common_options[0])};

/* The short spellings that people expect. */
static const char *long_form(const char *argument) {
    static const char *const pairs[][2] = {{"-h", "--help"},    {"-q", "--quiet"}, {"-o", "--output"},
                                           {"-n", "--dry-run"}, {"-f", "--force"}, {"--nocolor", "--no-color"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (strcmp(argument, pairs[i][0]) == 0) return pairs[i][1];
    }
    return argument;
}

static bool wants_help(int argc, const char *const *argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    }
    return false;
}

static rllc_status print_help(const rllc_command *command) {
    rllc_string text = {0};
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_cli_command_help(command, &text));
    RLLC_TRY(rllc_cli_print(&text));
done:
    rllc_string_release(&text);
    return status;
}

static rllc_status parse(const rllc_command *command, const rllc_option_binding *bindings, int n_bindings, int argc,
                         const char *const *argv, const char **positionals, int max_positionals, int *n_positionals) {
    rllc_status status = RLLC_OK;
    const char **spelled = NULL, **found = NULL;
    bool flags_end = false;
    int n = 0;
    RLLC_TRY(rllc_alloc(&spelled, argc + 1, sizeof *spelled));
    RLLC_TRY(rllc_alloc(&found, argc + 1, sizeof *found));
    for (int i = 0; i < argc; i++) {
        flags_end = flags_end || strcmp(argv[i], "--") == 0;
        spelled[i] = flags_end ? argv[i] : long_form(argv[i]);
    }
    RLLC_TRY(rllc_options_from_arguments(bindings, n_bindings, argc, spelled, found, &n));
    if (n > max_positionals) {
        status = rllc_fail(RLLC_EUSAGE, "unexpected argument '%s'; usage: %s", found[max_positionals], command->usage);
        goto done;
    }
    for (int i = 0; i < n; i++) positionals[i] = found[i];
    if (n_positionals) *n_positionals = n;
done:
    rllc_free(spelled);
    rllc_free(found);
    return status;
}

/* Also what takes no number of threads, such as packing, uses this many. */
static void set_default_threads(int64_t threads) {
    char n[24];
    snprintf(n, sizeof n, "%lld", (long long)threads);
    setenv("RLLC_THREADS", n, 1);
}

rllc_status rllc_cli_options(const rllc_command *command, rllc_common_options *common,
                             const rllc_option_binding *bindings, int n_bindings, int argc, const char *const *argv,
                             const char **positionals, int max_positionals, int *n_positionals) {
    rllc_status status = RLLC_OK;
    rllc_option_binding *all = NULL;
    rllc_options_default(&rllc_common_option_table, common);
    if (n_positionals) *n_positionals = 0;
    if (wants_help(argc, argv)) {
        common->help = true;
        return print_help(command);
    }
    RLLC_TRY(rllc_alloc(&all, n_bindings + 1, sizeof *all));
    for (int i = 0; i < n_bindings; i++) all[i] = bindings[i];
    all[n_bindings] = (rllc_option_binding){&rllc_common_option_table, common};
    RLLC_TRY(parse(command, all, n_bindings + 1, argc, argv, positionals, max_positionals, n_positionals));
    if (!common->color) rllc_cli_no_color();
    if (common->threads > 0) set_default_threads(common->threads);
done:
    rllc_free(all);
    return status;
}
