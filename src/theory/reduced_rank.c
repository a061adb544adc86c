/* Exact Gibbs expectation of |BA|^2: the Wishart eigenvalues that remain, integrated by de Bruijn's Pfaffian. */
#include <math.h>
#include <string.h>

#include "quadrature.h"

enum { MOST_SIDE = 8, MOST_ORDER = MOST_SIDE + 1, PANELS = 80 };

/**
 * B given A is Gaussian: integrating it out leaves det(I + c A A^T)^(-N/2) over the standard Gaussian A [H, M], c = 2 nbeta /
 * localization^2, and E[nbeta L | A] = (N/2) sum c l / (1 + c l) over the eigenvalues l of A A^T. With p = min(H, M),
 * q = max(H, M) their density is prod f(l_i) prod_{i<j} |l_i - l_j|, f = l^((q-p-1)/2) e^(-l/2), so that                (E60)
 *   Z = integral prod g(l_i) prod |l_i - l_j|,  g = f (1 + c l)^(-N/2),   is proportional to the Pfaffian of
 *   a_ij = double integral sgn(y - x) P_i(x) P_j(y) g(x) g(y)   (bordered by integrals P_i g for odd p),
 * and E = -d log Z / d log c = -1/2 tr a^-1 a'. P_i: orthogonal polynomials of g, which keep a well conditioned.
 */
struct ensemble {
    int64_t p, q, n;
    double c;
    rllc_panels grid;   /* of s = log l */
    double *g, *slope;  /* [grid.n] g dl/ds; its derivative by log c */
    double *polynomial; /* [p][grid.n] */
    double *scratch;    /* [grid.n] */
};

static void fill(struct ensemble *w) {
    for (int64_t k = 0; k < w->grid.n; k++) {
        const double s = w->grid.x[k], l = exp(s), cl = w->c * l, n = (double)w->n / 2;
        w->g[k] = exp((double)(w->q - w->p + 1) / 2 * s - l / 2 - n * log1p(cl));
        w->slope[k] = -n * cl / (1 + cl) * w->g[k];
    }
}

/** P_0 = 1, P_i = l P_{i-1} made orthogonal to the ones before (twice, for rounding), normalised. */
static void orthogonalise(struct ensemble *w) {
    const int64_t n = w->grid.n;
    for (int64_t i = 0; i < w->p; i++) {
        double *p = w->polynomial + i * n, norm = 0;
        for (int64_t k = 0; k < n; k++) p[k] = i ? exp(w->grid.x[k]) * p[k - n] : 1;
        for (int64_t j = 0; j < 2 * i; j++) {
            const double *other = w->polynomial + j % i * n;
            double dot = 0;
            for (int64_t k = 0; k < n; k++) dot += w->grid.weight[k] * w->g[k] * p[k] * other[k];
            for (int64_t k = 0; k < n; k++) p[k] -= dot * other[k];
        }
        for (int64_t k = 0; k < n; k++) norm += w->grid.weight[k] * w->g[k] * p[k] * p[k];
        for (int64_t k = 0; k < n; k++) p[k] /= sqrt(norm);
    }
}

/** Double integral of sgn(y - x) P_i(x) u(x) P_j(y) v(y). */
static double ordered(struct ensemble *w, int64_t i, const double *u, int64_t j, const double *v) {
    const int64_t n = w->grid.n;
    const double *pi = w->polynomial + i * n, *pj = w->polynomial + j * n;
    double *below = w->scratch, *f = below + n, sum = 0;
    for (int64_t k = 0; k < n; k++) f[k] = pi[k] * u[k];
    const double whole = rllc_panels_cumulate(&w->grid, f, below);
    for (int64_t k = 0; k < n; k++) sum += w->grid.weight[k] * pj[k] * v[k] * (2 * below[k] - whole);
    return sum;
}

static double integral(const struct ensemble *w, int64_t i, const double *u) {
    double sum = 0;
    for (int64_t k = 0; k < w->grid.n; k++) sum += w->grid.weight[k] * w->polynomial[i * w->grid.n + k] * u[k];
    return sum;
}

/** a and a', of even order. */
static int64_t matrices(struct ensemble *w, double a[MOST_ORDER + 1][MOST_ORDER + 1],
                        double da[MOST_ORDER + 1][MOST_ORDER + 1]) {
    const int64_t order = w->p + w->p % 2;
    for (int64_t i = 0; i < w->p; i++)
        for (int64_t j = i + 1; j < order; j++) {
            const bool border = j == w->p;
            a[i][j] = border ? integral(w, i, w->g) : ordered(w, i, w->g, j, w->g);
            da[i][j] =
                border ? integral(w, i, w->slope) : ordered(w, i, w->slope, j, w->g) + ordered(w, i, w->g, j, w->slope);
            a[j][i] = -a[i][j];
            da[j][i] = -da[i][j];
        }
    return order;
}

/** tr a^-1 b by elimination with pivoting; both are overwritten. */
static double trace_of_quotient(int64_t n, double a[MOST_ORDER + 1][MOST_ORDER + 1],
                                double b[MOST_ORDER + 1][MOST_ORDER + 1]) {
    double trace = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t best = i;
        for (int64_t r = i + 1; r < n; r++)
            if (fabs(a[r][i]) > fabs(a[best][i])) best = r;
        for (int64_t k = 0; k < n; k++) {
            const double x = a[i][k], y = b[i][k];
            a[i][k] = a[best][k], b[i][k] = b[best][k];
            a[best][k] = x, b[best][k] = y;
        }
        const double pivot = a[i][i];
        for (int64_t k = 0; k < n; k++) a[i][k] /= pivot, b[i][k] /= pivot;
        for (int64_t r = 0; r < n; r++) {
            const double x = a[r][i];
            for (int64_t k = 0; r != i && k < n; k++) a[r][k] -= x * a[i][k], b[r][k] -= x * b[i][k];
        }
    }
    for (int64_t i = 0; i < n; i++) trace += b[i][i];
    return trace;
}

static rllc_status open(struct ensemble *w) {
    const double right = log(150 + 4 * (double)(w->p + w->q + w->n)); /* e^-l/2 against the largest powers */
    const double left = -80 - 2 * log1p(w->c);
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_panels_make(&w->grid, left, right, PANELS));
    RLLC_TRY(rllc_alloc(&w->g, (w->p + 4) * w->grid.n, sizeof *w->g));
    w->slope = w->g + w->grid.n;
    w->scratch = w->slope + w->grid.n;
    w->polynomial = w->scratch + 2 * w->grid.n;
done:
    return status;
}

rllc_status rllc_gibbs_reduced_rank(int64_t m, int64_t h, int64_t n, double nbeta, double localization, double *mean) {
    rllc_status status = RLLC_OK;
    double a[MOST_ORDER + 1][MOST_ORDER + 1] = {{0}}, da[MOST_ORDER + 1][MOST_ORDER + 1] = {{0}};
    const bool flip =
        (n < h ? n : h) < (m < h ? m : h); /* integrate the factor out that leaves the fewer eigenvalues */
    const int64_t rows = flip ? n : m;
    struct ensemble w = {.p = rows < h ? rows : h, .q = rows < h ? h : rows, .n = flip ? m : n};
    if (localization <= 0) return rllc_fail(RLLC_EUNSUPPORTED, "without localization |BA|^2 has no normalised density");
    if (w.p > MOST_SIDE)
        return rllc_fail(RLLC_EUNSUPPORTED, "the integral over %lld eigenvalues is not done beyond %d", (long long)w.p,
                         MOST_SIDE);
    w.c = 2 * nbeta / (localization * localization);
    RLLC_TRY(open(&w));
    fill(&w);
    orthogonalise(&w);
    const int64_t order = matrices(&w, a, da);
    *mean = -trace_of_quotient(order, a, da) / 2;
done:
    rllc_panels_release(&w.grid);
    rllc_free(w.g);
    return status;
}
