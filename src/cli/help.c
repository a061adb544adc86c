/* Help, version and manual, all from commands.def and the option tables. */
#include <string.h>

#include "cli/frame.h"
#include "rllc/kernels.h"

#define N_OF(array) ((int)(sizeof(array) / sizeof(array)[0]))

static const rllc_command *const commands[] = {
#define RLLC_COMMAND(identifier, name, summary) &rllc_command_##identifier,
#include "commands.def"
#undef RLLC_COMMAND
};

static const char overview_examples[] =
    "  # the demonstration: real text, training, sampling, report, within ten minutes\n"
    "  make demo\n"
    "  # the same on your own text: every stage is skipped when its inputs are unchanged\n"
    "  rllc run config.yaml training.steps=20000\n"
    "  # what the paper's experiment would cost on this machine\n"
    "  rllc run --preset paper --dry-run\n"
    "  # one learning coefficient: head 3 of layer 0, on code\n"
    "  rllc sample --checkpoint run/seed-1/checkpoints/step1000 --component l0h3 --tokens run/corpora/code\n"
    "  # how far to trust the estimates of a run, and what to do\n"
    "  rllc diagnose run\n";

static const char exit_codes[] = "  0 done; 1 the work failed; 2 the command line is not understood; 3 bad input;\n"
                                 "  4 with --strict: an estimate is not to be trusted as it stands;\n"
                                 "  75 stopped early with all work saved: the same command goes on (Ctrl-C, SIGTERM, "
                                 "SIGUSR1; a second one ends at once)\n";

const rllc_command *const *rllc_cli_commands(int *n) {
    *n = N_OF(commands);
    return commands;
}

rllc_status rllc_cli_find_command(const char *name, const rllc_command **out) {
    const char *names[N_OF(commands)];
    *out = NULL;
    for (int i = 0; i < N_OF(commands); i++) {
        names[i] = commands[i]->name;
        if (strcmp(names[i], name) == 0) {
            *out = commands[i];
            return RLLC_OK;
        }
    }
    const char *nearest = rllc_nearest(name, names, N_OF(commands));
    if (nearest) {
        return rllc_fail(RLLC_EUSAGE, "there is no command '%s'; did you mean '%s'? 'rllc --help' lists all", name,
                         nearest);
    }
    return rllc_fail(RLLC_EUSAGE, "there is no command '%s'; 'rllc --help' lists all", name);
}

rllc_status rllc_cli_overview(rllc_string *out) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out,
                             "rllc " RLLC_VERSION ": weight- and data-refined local learning coefficients of small "
                             "attention-only transformers\n\nExamples:\n"));
    RLLC_TRY(rllc_string_add(out, overview_examples));
    RLLC_TRY(rllc_string_add(out, "\nCommands:\n"));
    for (int i = 0; i < N_OF(commands); i++) {
        RLLC_TRY(rllc_string_printf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary));
    }
    RLLC_TRY(rllc_string_add(out, "\nExit codes:\n"));
    RLLC_TRY(rllc_string_add(out, exit_codes));
    RLLC_TRY(rllc_string_add(
        out, "\n'rllc COMMAND --help' says more about a command; 'rllc --version' about this build.\n"));
done:
    return status;
}

rllc_status rllc_cli_command_help(const rllc_command *command, rllc_string *out) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_printf(out, "%s: %s\n\nUsage:\n  %s\n", command->name, command->summary, command->usage));
    if (command->examples && *command->examples) {
        RLLC_TRY(rllc_string_add(out, "\nExamples:\n"));
        for (const char *line = command->examples; *line;) {
            size_t n = strcspn(line, "\n");
            RLLC_TRY(rllc_string_printf(out, "  %.*s\n", (int)n, line));
            line += n + (line[n] == '\n');
        }
    }
    for (const rllc_option_table *const *t = command->tables; t && *t; t++) {
        RLLC_TRY(rllc_string_printf(out, "\nOptions, %s: %s\n", (*t)->name, (*t)->summary));
        RLLC_TRY(rllc_options_help(*t, out));
    }
    RLLC_TRY(rllc_string_printf(out, "\nOptions, every command:\n"));
    RLLC_TRY(rllc_options_help(&rllc_common_option_table, out));
done:
    return status;
}

/* ---- version --------------------------------------------------------------------------------------------- */

static rllc_status add_fact(void *context, const char *key, const rllc_json *value) {
    rllc_string *out = context;
    rllc_string text = {0};
    rllc_status status = RLLC_OK;
    if (strcmp(key, "rllc") == 0 || strcmp(key, "commit") == 0) return RLLC_OK; /* said above */
    if (rllc_json_is_string(value)) {
        RLLC_TRY(rllc_string_add(&text, rllc_json_text(value)));
    } else {
        RLLC_TRY(rllc_json_print(value, 0, false, &text));
    }
    RLLC_TRY(rllc_string_printf(out, "%s: %s\n", key, rllc_string_text(&text)));
done:
    rllc_string_release(&text);
    return status;
}

rllc_status rllc_cli_version(rllc_string *out) {
    rllc_status status = RLLC_OK;
    rllc_json *machine = NULL, *kernels = NULL;
    RLLC_TRY(rllc_string_printf(out, "rllc " RLLC_VERSION "\ncommit: %s\n", rllc_commit()));
    RLLC_TRY(rllc_machine_json(&machine));
    RLLC_TRY(rllc_json_each(machine, add_fact, out));
    RLLC_TRY(rllc_kernels_json(&kernels));
    RLLC_TRY(rllc_json_each(kernels, add_fact, out));
done:
    rllc_json_free(machine);
    rllc_json_free(kernels);
    return status;
}

/* ---- printing -------------------------------------------------------------------------------------------- */

rllc_status rllc_cli_print(const rllc_string *text) {
    bool bold = rllc_cli_color(stdout);
    for (const char *line = rllc_string_text(text); *line;) {
        size_t n = strcspn(line, "\n");
        bool heading = bold && n > 1 && line[0] != ' ' && (line[n - 1] == ':' || strncmp(line, "Options, ", 9) == 0);
        printf(heading ? "\033[1m%.*s\033[0m" : "%.*s", (int)n, line);
        line += n;
        if (*line == '\n') {
            putchar('\n');
            line++;
        }
    }
    if (fflush(stdout) == EOF || ferror(stdout)) return rllc_fail(RLLC_EIO, "standard output: writing failed");
    return RLLC_OK;
}
