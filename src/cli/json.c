/* Results as JSON on standard output. */
#include <string.h>
#include <unistd.h>

#include "cli/frame.h"

rllc_status rllc_cli_print_json(const char *command, rllc_json *j) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    int indent = isatty(STDOUT_FILENO) ? 2 : 0;
    if (!j) return rllc_fail(RLLC_ENOMEM, "no memory for the result");
    RLLC_TRY(rllc_json_print(j, indent, false, &text));
    /* The schema goes first, where a reader looks for it. */
    const char *members = rllc_string_text(&text) + 1;
    bool empty = rllc_json_length(j) == 0;
    printf("{%s\"schema\": \"rllc.%s/1\"%s%s\n", indent ? "\n  " : "", command,
           empty    ? ""
           : indent ? ","
                    : ", ",
           members);
    if (fflush(stdout) == EOF || ferror(stdout)) status = rllc_fail(RLLC_EIO, "standard output: writing failed");
done:
    rllc_string_release(&text);
    rllc_json_free(j);
    return status;
}
