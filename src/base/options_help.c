/* Help lines of an option table: two columns, wrapped at 100. */
#include <ctype.h>
#include <string.h>

#include "base/options.h"

#define WIDTH 100
#define MARGIN 2
#define WIDEST_LEFT 34 /* longer left columns get a line of their own */

static const char *metavar(const rllc_option *o) {
    switch (o->type) {
    case RLLC_INTEGER: return "N";
    case RLLC_SEED: return "SEED";
    case RLLC_REAL: return "X";
    case RLLC_TEXT: return "TEXT";
    case RLLC_CHOICE: return "NAME";
    case RLLC_BOOLEAN: break;
    }
    return NULL;
}

/* "--num-draws N" */
static rllc_status add_left(const rllc_option *o, rllc_string *out) {
    rllc_status status = RLLC_OK;
    bool on_already = o->type == RLLC_BOOLEAN && o->initial && strcmp(o->initial, "true") == 0;
    RLLC_TRY(rllc_string_add(out, on_already ? "--no-" : "--"));
    for (const char *p = o->name; *p; p++) RLLC_TRY(rllc_string_add_bytes(out, *p == '_' ? "-" : p, 1));
    if (metavar(o)) RLLC_TRY(rllc_string_printf(out, " %s", metavar(o)));
done:
    return status;
}

/* "step size, nats; a number in [0, 1] (default 0.001)" */
static rllc_status add_right(const rllc_option *o, rllc_string *out) {
    rllc_status status = RLLC_OK;
    bool bounded = o->type == RLLC_CHOICE || ((o->type == RLLC_INTEGER || o->type == RLLC_REAL) && o->low <= o->high);
    bool on_already = o->type == RLLC_BOOLEAN && o->initial && strcmp(o->initial, "true") == 0;
    RLLC_TRY(rllc_string_printf(out, "%s%s", on_already ? "switch off: " : "", o->help ? o->help : ""));
    if (o->unit && *o->unit) RLLC_TRY(rllc_string_printf(out, " [%s]", o->unit));
    if (bounded) {
        RLLC_TRY(rllc_string_add(out, "; "));
        RLLC_TRY(rllc_base_option_expected(o, out));
    }
    if (o->type != RLLC_BOOLEAN && o->initial && *o->initial) {
        RLLC_TRY(rllc_string_printf(out, " (default %s)", o->initial));
    }
done:
    return status;
}

/* Appends words from column `column` on, breaking lines at blanks; `at` is the column the line has reached. */
static rllc_status wrap(const char *text, int at, int column, rllc_string *out) {
    rllc_status status = RLLC_OK;
    bool first = true;
    RLLC_TRY(rllc_string_printf(out, "%*s", column - at, ""));
    at = column;
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (!first && at + 1 + word > WIDTH) {
            RLLC_TRY(rllc_string_printf(out, "\n%*s", column, ""));
            at = column;
        } else if (!first) {
            RLLC_TRY(rllc_string_add(out, " "));
            at++;
        }
        RLLC_TRY(rllc_string_add_bytes(out, text, (size_t)word));
        at += word;
        text += word;
        text += strspn(text, " ");
        first = false;
    }
    RLLC_TRY(rllc_string_add(out, "\n"));
done:
    return status;
}

static rllc_status left_width(const rllc_option_table *table, int *width) {
    rllc_string left = {0};
    rllc_status status = RLLC_OK;
    *width = 0;
    for (int i = 0; i < table->n; i++) {
        rllc_string_clear(&left);
        RLLC_TRY(add_left(&table->options[i], &left));
        int length = (int)left.length;
        if (length <= WIDEST_LEFT && length > *width) *width = length;
    }
done:
    rllc_string_release(&left);
    return status;
}

rllc_status rllc_options_help(const rllc_option_table *table, rllc_string *out) {
    rllc_status status = RLLC_OK;
    rllc_string left = {0}, right = {0};
    int width;
    RLLC_TRY(left_width(table, &width));
    for (int i = 0; i < table->n; i++) {
        int column = MARGIN + width + 2;
        rllc_string_clear(&left);
        rllc_string_clear(&right);
        RLLC_TRY(add_left(&table->options[i], &left));
        RLLC_TRY(add_right(&table->options[i], &right));
        RLLC_TRY(rllc_string_printf(out, "%*s%s", MARGIN, "", rllc_string_text(&left)));
        int at = MARGIN + (int)left.length;
        if (at + 2 > column) {
            RLLC_TRY(rllc_string_add(out, "\n"));
            at = 0;
        }
        RLLC_TRY(wrap(rllc_string_text(&right), at, column, out));
    }
done:
    rllc_string_release(&left);
    rllc_string_release(&right);
    return status;
}
