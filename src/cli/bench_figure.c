/* bench figure: small multiples of the scaling: cost per unit above, share of the peak below. */
#include <math.h>
#include <string.h>

#include "cli/bench_scaling.h"

enum { MOST_AXES = 8 };

/** The numbers that the plot points to: [panel][series]. */
struct drawing {
    rllc_panel panels[2 * MOST_AXES];
    rllc_series series[2 * MOST_AXES][RLLC_BENCH_SERIES];
    double y[2 * MOST_AXES][RLLC_BENCH_SERIES][RLLC_BENCH_POINTS];
    double low[2 * MOST_AXES][RLLC_BENCH_SERIES][RLLC_BENCH_POINTS];
    double high[2 * MOST_AXES][RLLC_BENCH_SERIES][RLLC_BENCH_POINTS];
};

static void fill_panel(struct drawing *d, int64_t at, const rllc_bench_axis *a, bool cost, double scale) {
    double top = 0;
    rllc_panel *p = &d->panels[at];
    for (int s = 0; s < RLLC_BENCH_SERIES; s++) {
        const rllc_bench_curve *c = &a->curves[s];
        const int64_t first = cost && a->added && c->n > 0;
        const rllc_spread *values = !cost ? c->flops : a->added ? c->added : c->cost;
        for (int64_t k = first; k < c->n; k++) {
            const rllc_spread v = rllc_spread_scale(values[k], scale);
            d->y[at][s][k] = v.median;
            d->low[at][s][k] = v.low;
            d->high[at][s][k] = v.high;
            top = fmax(top, v.high);
        }
        d->series[at][s] = (rllc_series){.label = rllc_bench_series_name(s),
                                         .n = c->n - first,
                                         .x = c->x + first,
                                         .y = d->y[at][s] + first,
                                         .low = d->low[at][s] + first,
                                         .high = d->high[at][s] + first,
                                         .color = s};
    }
    *p = (rllc_panel){.title = rllc_intern_printf("%s: %s", a->name, cost ? a->unit : "% of the FMA peak"),
                      .x_label = a->x_label,
                      .log_x = a->log_x,
                      .series = d->series[at],
                      .n = RLLC_BENCH_SERIES,
                      .has_y_range = true,
                      .y_high = cost ? 1.1 * top : 100};
}

/** A number of columns that divides n. */
static int columns_for(int64_t n) {
    return n % 3 == 0 ? 3 : n % 2 == 0 ? 2 : n == 5 ? 5 : 1;
}

rllc_status rllc_bench_draw(const rllc_bench *b, const rllc_bench_axis *axes, int64_t n, const char *path) {
    rllc_status status = RLLC_OK;
    struct drawing *d = NULL;
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path, *dot = strrchr(file, '.');
    const char *folder = slash ? rllc_intern_printf("%.*s", (int)(slash - path) + (slash == path), path) : ".";
    const int columns = columns_for(n);
    RLLC_TRY(rllc_alloc(&d, 1, sizeof *d));
    /* rows of costs and rows of shares alternate, so that the two of an axis stand one above the other */
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = i / columns * 2 * columns + i % columns;
        fill_panel(d, at, &axes[i], true, axes[i].scale);
        fill_panel(d, at + columns, &axes[i], false, 100 / b->peak_one);
    }
    const rllc_figure figure = {
        .name = rllc_intern_printf("%.*s", (int)(dot - file), file),
        .caption = rllc_intern_printf(
            "rllc bench --scaling%s: %s; one of them varies. Median, lowest and highest of %lld rounds; kernels %s, "
            "rllc " RLLC_VERSION,
            b->options.plain ? " --plain" : "", rllc_bench_scaling_base(), (long long)b->options.rounds,
            rllc_kernels_get()->name),
        .panels = d->panels,
        .n = 2 * n,
        .columns = columns};
    RLLC_TRY(rllc_make_folders(folder));
    RLLC_TRY(rllc_figure_draw(&figure, folder));
done:
    rllc_free(d);
    return status;
}
