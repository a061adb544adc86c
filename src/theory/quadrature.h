/* Integration on panels with Gauss-Legendre rules, for the expectations of this room. */
#ifndef RLLC_THEORY_QUADRATURE_H
#define RLLC_THEORY_QUADRATURE_H

#include "rllc/theory.h"

enum { RLLC_PANEL = 16 };

/** Composite rule: panels of RLLC_PANEL nodes each; x, weight [n]. */
typedef struct rllc_panels {
    int64_t n;
    double low, high;
    double *x, *weight;                        /* one allocation */
    double cumulative[RLLC_PANEL][RLLC_PANEL]; /* integral of node j's cardinal polynomial from -1 to node i */
} rllc_panels;
rllc_status rllc_panels_make(rllc_panels *p, double low, double high, int64_t panels) RLLC_MUST_USE;
void rllc_panels_release(rllc_panels *p);
/** out[i] = integral of f from low to x[i]; returns the whole integral. */
double rllc_panels_cumulate(const rllc_panels *p, const double *f, double *out);

#endif
