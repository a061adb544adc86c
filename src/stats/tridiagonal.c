/* Symmetric tridiagonal eigenvalues by QL steps with Wilkinson's shift (Golub & Welsch 1969 for the first components).
 */
#include "stats/tridiagonal.h"

#include <float.h>
#include <math.h>

enum { MOST_SWEEPS = 60 }; /* an eigenvalue takes two or three */

/** The end of the block that begins at l: the first m >= l whose off-diagonal counts for nothing. */
static int64_t block_end(int64_t l, int64_t n, const double *d, const double *e) {
    int64_t m = l;
    while (m < n - 1 && fabs(e[m]) > DBL_EPSILON * (fabs(d[m]) + fabs(d[m + 1]))) m++;
    return m;
}

/** One implicit QL sweep over rows l..m: rotations from the bottom chase the bulge to the top. */
static void sweep(int64_t l, int64_t m, double *d, double *e, double *z) {
    const double half = (d[l + 1] - d[l]) / (2 * e[l]), root = hypot(half, 1);
    double g = d[m] - d[l] + e[l] / (half + copysign(root, half)), s = 1, c = 1, p = 0;
    for (int64_t i = m - 1; i >= l; i--) {
        const double f = s * e[i], b = c * e[i], r = hypot(f, g);
        e[i + 1] = r;
        if (r == 0) { /* the block falls apart here */
            d[i + 1] -= p;
            e[m] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        const double h = d[i + 1] - p, t = (d[i] - h) * s + 2 * c * b;
        p = s * t;
        d[i + 1] = h + p;
        g = c * t - b;
        const double above = z[i], below = z[i + 1];
        z[i + 1] = s * above + c * below;
        z[i] = c * above - s * below;
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
}

static void sort_ascending(int64_t n, double *d, double *z) {
    for (int64_t i = 1; i < n; i++) {
        const double value = d[i], first = z[i];
        int64_t k = i;
        for (; k > 0 && d[k - 1] > value; k--) {
            d[k] = d[k - 1];
            z[k] = z[k - 1];
        }
        d[k] = value;
        z[k] = first;
    }
}

rllc_status rllc_tridiagonal_eigen(int64_t n, double *d, double *e, double *z) {
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(d[i]) || (i + 1 < n && !isfinite(e[i])))
            return rllc_fail(RLLC_ENOTFINITE, "row %lld of the tridiagonal matrix is not finite", (long long)i);
        z[i] = i == 0;
    }
    if (n > 0) e[n - 1] = 0;
    for (int64_t l = 0; l < n; l++) {
        int sweeps = 0;
        for (int64_t m; (m = block_end(l, n, d, e)) != l; sweeps++) {
            if (sweeps == MOST_SWEEPS)
                return rllc_fail(RLLC_ENOTFINITE, "eigenvalue %lld of a tridiagonal matrix did not settle",
                                 (long long)l);
            sweep(l, m, d, e, z);
        }
    }
    sort_ascending(n, d, z);
    return RLLC_OK;
}
