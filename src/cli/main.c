/* rllc: one program. Finds the subcommand, turns its status into a sentence and an exit code. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/frame.h"

/* One sentence on stderr; for a usage error also where to read more. */
static void complain(rllc_status status, const rllc_command *command) {
    bool color = rllc_cli_color(stderr);
    const char *detail = rllc_error_detail();
    rllc_cli_end_progress();
    fprintf(stderr, "%srllc:%s %s\n", color ? "\033[1;31m" : "", color ? "\033[0m" : "",
            *detail ? detail : rllc_status_sentence(status));
    if (status == RLLC_EUSAGE && command) fprintf(stderr, "Try 'rllc %s --help'.\n", command->name);
}

static rllc_status print(rllc_status (*text_of)(rllc_string *)) {
    rllc_string text = {0};
    rllc_status status = RLLC_OK;
    RLLC_TRY(text_of(&text));
    RLLC_TRY(rllc_cli_print(&text));
done:
    rllc_string_release(&text);
    return status;
}

/* rllc help [COMMAND | --man] */
static rllc_status help(int argc, char *const *argv) {
    const rllc_command *command = NULL;
    if (argc == 0) return print(rllc_cli_overview);
    if (strcmp(argv[0], "--man") == 0) return print(rllc_cli_manual);
    rllc_status status = rllc_cli_find_command(argv[0], &command);
    const char *const ask[] = {"--help"};
    return status != RLLC_OK ? status : command->main(1, ask);
}

static bool is_either(const char *argument, const char *a, const char *b) {
    return strcmp(argument, a) == 0 || strcmp(argument, b) == 0;
}

static rllc_status dispatch(int argc, char *const *argv, const rllc_command **command) {
    if (argc < 2) {
        rllc_status status = print(rllc_cli_overview);
        return status != RLLC_OK ? status : rllc_fail(RLLC_EUSAGE, "no command was given");
    }
    if (is_either(argv[1], "--help", "-h")) return print(rllc_cli_overview);
    if (is_either(argv[1], "--version", "-V")) return print(rllc_cli_version);
    if (strcmp(argv[1], "help") == 0) return help(argc - 2, argv + 2);
    if (argv[1][0] == '-') {
        return rllc_fail(RLLC_EUSAGE, "'%s' comes before a command; write 'rllc COMMAND %s ...'", argv[1], argv[1]);
    }
    rllc_status status = rllc_cli_find_command(argv[1], command);
    if (status == RLLC_OK) status = rllc_kernels_select(getenv("RLLC_KERNELS"));
    return status != RLLC_OK ? status : (*command)->main(argc - 2, (const char *const *)argv + 2);
}

int main(int argc, char **argv) {
    const rllc_command *command = NULL;
    rllc_cli_remember_arguments(argc, argv);
    rllc_status status = dispatch(argc, argv, &command);
    rllc_cli_end_progress();
    if (status == RLLC_OK && (fflush(stdout) == EOF || ferror(stdout))) {
        status = rllc_fail(RLLC_EIO, "standard output: %s", strerror(errno));
    }
    if (status != RLLC_OK) complain(status, command);
    return rllc_status_exit_code(status);
}
