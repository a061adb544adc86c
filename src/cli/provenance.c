/* Where a result comes from: machine, kernels, version, commit, command line, threads. */
#include "cli/frame.h"

static struct {
    int argc;
    char *const *argv;
} command_line;

void rllc_cli_remember_arguments(int argc, char *const *argv) {
    command_line.argc = argc;
    command_line.argv = argv;
}

static rllc_status arguments_json(rllc_json **out) {
    rllc_status status = RLLC_OK;
    *out = rllc_json_array();
    for (int i = 0; i < command_line.argc; i++) {
        const char *text = command_line.argv[i];
        size_t n = 0;
        while (text[n]) n++;
        /* A file name may hold any bytes; JSON may not. */
        rllc_json *word = rllc_json_string(rllc_utf8_valid(text, n, NULL) ? text : "(not UTF-8)");
        RLLC_TRY(rllc_json_append(*out, word));
    }
done:
    return status;
}

rllc_status rllc_cli_provenance(const rllc_common_options *common, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *machine = NULL, *kernels = NULL, *arguments = NULL;
    *out = NULL;
    RLLC_TRY(rllc_machine_json(&machine));
    RLLC_TRY(rllc_kernels_json(&kernels));
    RLLC_TRY(arguments_json(&arguments));
    RLLC_TRY(rllc_json_set(j, "version", rllc_json_string(RLLC_VERSION)));
    RLLC_TRY(rllc_json_set(j, "commit", rllc_json_string(rllc_commit())));
    int64_t threads = common->threads > 0 ? common->threads : rllc_default_threads();
    RLLC_TRY(rllc_json_set(j, "threads", rllc_json_integer(threads)));
    status = rllc_json_set(j, "arguments", arguments);
    arguments = NULL;
    RLLC_TRY(status);
    status = rllc_json_set(j, "machine", machine);
    machine = NULL;
    RLLC_TRY(status);
    status = rllc_json_set(j, "kernels", kernels);
    kernels = NULL;
    RLLC_TRY(status);
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    rllc_json_free(machine);
    rllc_json_free(kernels);
    rllc_json_free(arguments);
    return status;
}
