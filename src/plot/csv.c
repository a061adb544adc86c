/* plot: the data of a figure as CSV (RFC 4180, one row a point). */
#include "plot/internal.h"

#include <string.h>

static rllc_status add_field(rllc_string *out, const char *text) {
    rllc_status status = RLLC_OK;
    if (!text) text = "";
    if (!strpbrk(text, ",\"\r\n")) return rllc_string_add(out, text);
    RLLC_TRY(rllc_string_add(out, "\""));
    for (; *text; text++) RLLC_TRY(rllc_string_add_bytes(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1));
    RLLC_TRY(rllc_string_add(out, "\""));
done:
    return status;
}

static rllc_status add_number(rllc_string *out, const double *values, int64_t i) {
    char text[32];
    rllc_status status = rllc_string_add(out, ",");
    if (status == RLLC_OK && values) status = rllc_string_add(out, rllc_format_double(text, values[i]));
    return status;
}

static rllc_status add_series(rllc_string *out, int64_t panel, const char *title, const rllc_series *s) {
    rllc_status status = RLLC_OK;
    for (int64_t k = 0; k < s->n; k++) {
        RLLC_TRY(rllc_string_printf(out, "%lld,", (long long)panel));
        RLLC_TRY(add_field(out, title));
        RLLC_TRY(rllc_string_add(out, ","));
        RLLC_TRY(add_field(out, s->label));
        RLLC_TRY(add_number(out, s->x, k));
        RLLC_TRY(add_number(out, s->y, k));
        RLLC_TRY(add_number(out, s->low, k));
        RLLC_TRY(add_number(out, s->high, k));
        RLLC_TRY(rllc_string_add(out, "\n"));
    }
done:
    return status;
}

rllc_status rllc_plot_csv(const rllc_figure *f, rllc_string *out) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "panel,title,series,x,y,low,high\n"));
    for (int64_t p = 0; p < f->n; p++)
        for (int64_t i = 0; i < f->panels[p].n; i++)
            RLLC_TRY(add_series(out, p + 1, f->panels[p].title, &f->panels[p].series[i]));
done:
    return status;
}
