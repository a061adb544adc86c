/* cli lines: what encode and decode share: a tokenizer, lines of standard input, output that is checked. */
#ifndef RLLC_CLI_LINES_H
#define RLLC_CLI_LINES_H

#include "cli/command.h"

typedef struct rllc_lines_options {
    const char *tokenizer;
} rllc_lines_options;
extern const rllc_option_table rllc_lines_option_table;

/** What one line becomes: text to print with a newline, or with --json a value for the list. */
typedef struct rllc_lines_job {
    const rllc_command *command;
    const char *list; /* --json: the key of the list */
    rllc_status (*convert)(const rllc_tokenizer *t, const char *line, size_t n, rllc_string *text, rllc_json **value,
                           int64_t *tokens);
} rllc_lines_job;

/** The whole of the command: parses the flags, loads the tokenizer, converts every line. */
rllc_status rllc_lines_main(const rllc_lines_job *job, int argc, const char *const *argv) RLLC_MUST_USE;

#endif
