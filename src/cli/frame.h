/* cli frame: what main, help and progress share among themselves; subcommands need only command.h. */
#ifndef RLLC_CLI_FRAME_H
#define RLLC_CLI_FRAME_H

#include "cli/command.h"

/* ---- terminal.c ------------------------------------------------------------------------------------------ */

/** Whether to colour this stream: a terminal, and none of NO_COLOR, TERM=dumb, --no-color (see rllc_cli_no_color);
 *  FORCE_COLOR and CLICOLOR_FORCE turn it on elsewhere, NO_COLOR wins. */
bool rllc_cli_color(FILE *stream);
/** --no-color was given. */
void rllc_cli_no_color(void);
/** Columns of the terminal behind stderr: its own word, else COLUMNS, else 80. */
int rllc_cli_columns(void);
/** Whether the locale's characters are UTF-8 (the bar is drawn with blocks, else with #). */
bool rllc_cli_utf8(void);

/* ---- help.c ---------------------------------------------------------------------------------------------- */

/** All commands, in the order of commands.def. */
const rllc_command *const *rllc_cli_commands(int *n);
/** The command of this name; RLLC_EUSAGE with the nearest name if there is none. */
rllc_status rllc_cli_find_command(const char *name, const rllc_command **out) RLLC_MUST_USE;
/** Appends what `rllc --help` says. */
rllc_status rllc_cli_overview(rllc_string *out) RLLC_MUST_USE;
/** Appends what `rllc COMMAND --help` says: usage, examples, then the options of its tables. */
rllc_status rllc_cli_command_help(const rllc_command *command, rllc_string *out) RLLC_MUST_USE;
/** Appends the manual page rllc(1) in mdoc, made from the same tables. */
rllc_status rllc_cli_manual(rllc_string *out) RLLC_MUST_USE;
/** Appends "rllc X.Y.Z" and the facts of the build and the machine. */
rllc_status rllc_cli_version(rllc_string *out) RLLC_MUST_USE;
/** Writes a text to stdout; RLLC_EIO if that fails. Headings (lines "Xyz:" at column 0) are bold on a terminal. */
rllc_status rllc_cli_print(const rllc_string *text) RLLC_MUST_USE;

/* ---- progress.c ------------------------------------------------------------------------------------------ */

/** What one progress line needs beyond the report itself. */
typedef struct rllc_progress_times {
    double elapsed; /* seconds since the stage began */
    double rate;    /* units a second, 0 if not known yet */
} rllc_progress_times;

/** Appends a line like tqdm's, at most `columns` wide: with `bar` "stage 42%|####    | n/total unit [elapsed<remaining,
 *  rate] note", else the same without the bar and without a limit on the width. */
rllc_status rllc_progress_line(const rllc_progress *p, const rllc_progress_times *t, bool bar, bool utf8, int columns,
                               rllc_string *out) RLLC_MUST_USE;
/** Appends the same as one JSON object. */
rllc_status rllc_progress_json(const rllc_progress *p, const rllc_progress_times *t, rllc_string *out) RLLC_MUST_USE;
/** Appends seconds as "mm:ss", "h:mm:ss" or "3d 04:05:06"; "?" if not finite. */
rllc_status rllc_duration_add(rllc_string *out, double seconds) RLLC_MUST_USE;

/* ---- monitor.c ------------------------------------------------------------------------------------------- */

/** Ends the bar's line, so that other text may follow on stderr. */
void rllc_cli_end_progress(void);

/* ---- provenance.c ---------------------------------------------------------------------------------------- */

/** Remembers the command line for provenance records; call once, first of all. */
void rllc_cli_remember_arguments(int argc, char *const *argv);

#endif
