/* What the terminal can show: colour, width, characters. */
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/frame.h"

static bool refused; /* by --no-color */

void rllc_cli_no_color(void) {
    refused = true;
}

/* Set and not empty: the convention of NO_COLOR and its kin. */
static bool is_set(const char *variable) {
    const char *value = getenv(variable);
    return value && *value;
}

bool rllc_cli_color(FILE *stream) {
    const char *terminal = getenv("TERM");
    if (refused || is_set("NO_COLOR")) return false;
    if (is_set("FORCE_COLOR") || is_set("CLICOLOR_FORCE")) return true;
    return isatty(fileno(stream)) && !(terminal && strcmp(terminal, "dumb") == 0);
}

int rllc_cli_columns(void) {
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    const char *columns = getenv("COLUMNS");
    int n = columns ? atoi(columns) : 0;
    return n > 0 ? n : 80;
}

bool rllc_cli_utf8(void) {
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
