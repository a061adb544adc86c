/* plot: from a figure to its three files. */
#include "plot/internal.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static rllc_status check_name(const char *name) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = name ? strlen(name) : 0;
    if (n == 0 || n > 200 || *name == '.' || *name == '-' || strspn(name, allowed) != n)
        return rllc_fail(RLLC_EINPUT,
                         "figure name \"%s\": expected 1 to 200 of A-Z a-z 0-9 . _ -, "
                         "not beginning with . or -",
                         name ? name : "");
    return RLLC_OK;
}

static rllc_status check_panel(const rllc_figure *f, int64_t number) {
    const rllc_panel *p = &f->panels[number];
    if (p->has_y_range && !(isfinite(p->y_low) && isfinite(p->y_high) && p->y_low < p->y_high))
        return rllc_fail(RLLC_EINPUT, "figure %s, panel %lld: the y range %g..%g is empty", f->name,
                         (long long)number + 1, p->y_low, p->y_high);
    for (int64_t i = 0; i < p->n; i++) {
        const rllc_series *s = &p->series[i];
        for (int64_t k = 0; p->log_x && k < s->n; k++)
            if (s->x[k] < 0.0)
                return rllc_fail(RLLC_EINPUT,
                                 "figure %s, panel %lld, series \"%s\": x = %g cannot stand on a log axis "
                                 "of steps, expected x >= 0",
                                 f->name, (long long)number + 1, s->label ? s->label : "", s->x[k]);
    }
    return RLLC_OK;
}

static rllc_status check_figure(const rllc_figure *f) {
    rllc_status status = check_name(f->name);
    if (status == RLLC_OK && f->n < 1) status = rllc_fail(RLLC_EINPUT, "figure %s has no panel", f->name);
    for (int64_t p = 0; p < f->n && status == RLLC_OK; p++) status = check_panel(f, p);
    return status;
}

static rllc_status write_file(const rllc_figure *f, const char *folder, const char *suffix, const rllc_string *text,
                              rllc_string *path) {
    rllc_string_clear(path);
    rllc_status status = rllc_string_printf(path, "%s/%s%s", folder, f->name, suffix);
    return status == RLLC_OK ? rllc_file_write(path->data, rllc_string_text(text), text->length) : status;
}

static void remove_picture(const rllc_figure *f, const char *folder, rllc_string *path) {
    rllc_string_clear(path);
    if (rllc_string_printf(path, "%s/%s.svg", folder, f->name) == RLLC_OK) unlink(path->data);
}

rllc_status rllc_figure_draw(const rllc_figure *f, const char *folder) {
    rllc_status status = RLLC_OK;
    rllc_plot_layout layout = {0};
    rllc_string text = {0}, path = {0}, raw = {0};
    RLLC_TRY(check_figure(f));
    RLLC_TRY(rllc_make_folders(folder));
    RLLC_TRY(rllc_plot_layout_init(&layout, f));
    RLLC_TRY(rllc_plot_csv(f, &text));
    RLLC_TRY(write_file(f, folder, ".csv", &text, &path));
    rllc_string_clear(&text);
    RLLC_TRY(rllc_plot_script(f, &layout, &text));
    RLLC_TRY(write_file(f, folder, ".gp", &text, &path));
    status = rllc_plot_gnuplot(path.data, &raw);
    if (status != RLLC_OK) { /* no picture may stand beside data that it does not show */
        remove_picture(f, folder, &path);
        goto done;
    }
    rllc_string_clear(&text);
    RLLC_TRY(rllc_plot_svg_clean(f, &layout, &raw, &text));
    RLLC_TRY(write_file(f, folder, ".svg", &text, &path));
done:
    rllc_plot_layout_release(&layout);
    rllc_string_release(&text);
    rllc_string_release(&path);
    rllc_string_release(&raw);
    return status;
}
