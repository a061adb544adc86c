/* Gauss-Legendre nodes by Newton's method, and composite rules that also integrate up to each node. */
#include <math.h>

#include "quadrature.h"

static const double pi = 3.14159265358979323846;

void rllc_gauss_legendre(int64_t n, double low, double high, double *x, double *weight) {
    for (int64_t i = 0; i < n; i++) {
        double t = cos(pi * ((double)(n - 1 - i) + 0.75) / ((double)n + 0.5)), slope = 1;
        for (int step = 0; step < 100; step++) { /* P_n and its derivative by the three-term recurrence */
            double p = 1, before = 0;
            for (int64_t k = 1; k <= n; k++) {
                const double next = ((double)(2 * k - 1) * t * p - (double)(k - 1) * before) / (double)k;
                before = p;
                p = next;
            }
            slope = (double)n * (t * p - before) / (t * t - 1);
            const double move = p / slope;
            t -= move;
            if (fabs(move) < 1e-15) break;
        }
        x[i] = (low + high) / 2 + (high - low) / 2 * t;
        weight[i] = (high - low) / ((1 - t * t) * slope * slope);
    }
}

/** The cardinal polynomial of node j of the rule, at t. */
static double cardinal(const double *node, int j, double t) {
    double value = 1;
    for (int k = 0; k < RLLC_PANEL; k++)
        if (k != j) value *= (t - node[k]) / (node[j] - node[k]);
    return value;
}

rllc_status rllc_panels_make(rllc_panels *p, double low, double high, int64_t panels) {
    double node[RLLC_PANEL], weight[RLLC_PANEL], t[RLLC_PANEL], part[RLLC_PANEL];
    *p = (rllc_panels){.n = panels * RLLC_PANEL, .low = low, .high = high};
    const rllc_status status = rllc_alloc(&p->x, 2 * p->n, sizeof *p->x);
    if (status != RLLC_OK) return status;
    p->weight = p->x + p->n;
    for (int64_t k = 0; k < panels; k++) {
        const double width = (high - low) / (double)panels, from = low + (double)k * width;
        rllc_gauss_legendre(RLLC_PANEL, from, from + width, p->x + k * RLLC_PANEL, p->weight + k * RLLC_PANEL);
    }
    rllc_gauss_legendre(RLLC_PANEL, -1, 1, node, weight);
    for (int i = 0; i < RLLC_PANEL; i++) {
        rllc_gauss_legendre(RLLC_PANEL, -1, node[i], t, part); /* exact: the degree is below 2 RLLC_PANEL */
        for (int j = 0; j < RLLC_PANEL; j++) {
            double sum = 0;
            for (int k = 0; k < RLLC_PANEL; k++) sum += part[k] * cardinal(node, j, t[k]);
            p->cumulative[i][j] = sum;
        }
    }
    return RLLC_OK;
}

void rllc_panels_release(rllc_panels *p) {
    rllc_free(p->x);
    *p = (rllc_panels){0};
}

double rllc_panels_cumulate(const rllc_panels *p, const double *f, double *out) {
    const double half = (p->high - p->low) / (double)(p->n / RLLC_PANEL) / 2;
    double before = 0;
    for (int64_t first = 0; first < p->n; first += RLLC_PANEL) {
        double whole = 0;
        for (int i = 0; i < RLLC_PANEL; i++) {
            double part = 0;
            for (int j = 0; j < RLLC_PANEL; j++) part += p->cumulative[i][j] * f[first + j];
            out[first + i] = before + half * part;
            whole += p->weight[first + i] * f[first + i];
        }
        before += whole;
    }
    return before;
}
