/* cli: the shape of a subcommand, and what all of them share. The only room that prints and exits. */
#ifndef RLLC_CLI_COMMAND_H
#define RLLC_CLI_COMMAND_H

#include "rllc/rllc.h"

/** A subcommand: a constant in its own file, listed in commands.def. */
typedef struct rllc_command {
    const char *name;
    const char *summary;
    const char *usage;                      /* "rllc eval --checkpoint FILE --tokens FILE [options]" */
    const char *examples;                   /* shown first in --help; one example a line, "# what it does" above it */
    const rllc_option_table *const *tables; /* NULL-terminated: printed by --help */
    rllc_status (*main)(int argc, const char *const *argv); /* arguments after the command's name */
} rllc_command;

/** Flags every command takes; read by rllc_cli_options together with the command's own. */
typedef struct rllc_common_options {
    bool help;
    bool json;       /* results as one JSON object on stdout */
    int64_t threads; /* 0 = all of this process' cores */
    int progress;    /* auto, bar, plain, json, none (stderr) */
    bool quiet;
    bool color; /* --no-color turns it off */
} rllc_common_options;
extern const rllc_option_table rllc_common_option_table;

/** Parses the flags into the common options and the bindings. With --help prints it and sets common->help: the command
 *  then returns RLLC_OK at once. At most max_positionals (RLLC_EUSAGE beyond). */
rllc_status rllc_cli_options(const rllc_command *command, rllc_common_options *common,
                             const rllc_option_binding *bindings, int n_bindings, int argc, const char *const *argv,
                             const char **positionals, int max_positionals, int *n_positionals) RLLC_MUST_USE;

/** The monitor of a terminal program: progress on stderr as asked, stop after SIGINT, SIGTERM or SIGUSR1 (a second
 *  signal ends the program at once). Valid for the life of the process. */
const rllc_monitor *rllc_cli_monitor(const rllc_common_options *common);

/** Prints a JSON object as one line (or indented on a terminal) on stdout, with "schema": "rllc.<command>/1". Takes j
 * over. */
rllc_status rllc_cli_print_json(const char *command, rllc_json *j) RLLC_MUST_USE;

/** The provenance record of this process: machine, kernels, version, commit, command line, threads. */
rllc_status rllc_cli_provenance(const rllc_common_options *common, rllc_json **out) RLLC_MUST_USE;

#define RLLC_COMMAND(identifier, name, summary) extern const rllc_command rllc_command_##identifier;
#include "commands.def"
#undef RLLC_COMMAND

#endif
