/* plot: colours, markers and dashes that stay apart for colour-blind readers and in grey print. */
#include "plot/internal.h"

/* Okabe & Ito (2008); their yellow (contrast 1.3 on white: invisible as a thin line) gives way to Tol's wine, which
 * stays as far from the other seven for deutan and protan eyes as they are from each other. */
static const char *const colors[RLLC_PLOT_COLORS] = {
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#882255",
};
static const char grey[] = "#9A9A9A";

/* gnuplot's filled point types: circle, square, triangle, diamond, inverted triangle, pentagon. */
static const int markers[] = {7, 5, 9, 13, 11, 15};

static const char *const dashes[] = {"solid", "(7,3)", "(2,2)", "(9,3,2,3)", "(12,4)", "(4,2,1,2,1,2)"};

const char *rllc_plot_color(int index) {
    return index < 0 ? grey : colors[index % RLLC_PLOT_COLORS];
}

int rllc_plot_marker(int index) {
    int n = (int)(sizeof markers / sizeof *markers);
    return index < 0 ? markers[0] : markers[(index + index / RLLC_PLOT_COLORS) % n];
}

const char *rllc_plot_dash(int index) {
    int n = (int)(sizeof dashes / sizeof *dashes);
    return index < 0 ? dashes[0] : dashes[index / RLLC_PLOT_COLORS % n];
}
