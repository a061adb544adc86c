/* Eigenvalues of a real square matrix without symmetry: Hessenberg form, then Francis' implicit double-shift QR. */
#include <float.h>
#include <math.h>

#include "rllc/stats.h"

enum { STEPS = 60, EXCEPTIONAL = 10 }; /* QR steps for one eigenvalue before giving up; every how many another shift */

typedef struct matrix {
    double *a;
    int64_t n;
} matrix;

static double *at(const matrix *m, int64_t i, int64_t j) {
    return &m->a[i * m->n + j];
}

/**
 * The reflection I - beta v v^T that takes v (as given) to a multiple of e_1; v[0] becomes 1. Returns beta, 0 for no
 * reflection; *first becomes that multiple.                                                                    (E114)
 */
static double reflector(double *v, int64_t n, double *first) {
    double tail = 0;
    for (int64_t i = 1; i < n; i++) tail = hypot(tail, v[i]);
    *first = v[0];
    if (tail == 0) return 0;
    const double alpha = -copysign(hypot(v[0], tail), v[0]), pivot = v[0] - alpha;
    for (int64_t i = 1; i < n; i++) v[i] /= pivot;
    v[0] = 1;
    *first = alpha;
    return -pivot / alpha;
}

/** Rows first .. first+n-1, columns from .. to, from the left. */
static void reflect_rows(const matrix *m, const double *v, double beta, int64_t first, int64_t n, int64_t from,
                         int64_t to) {
    for (int64_t j = from; j <= to; j++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += v[i] * *at(m, first + i, j);
        for (int64_t i = 0; i < n; i++) *at(m, first + i, j) -= beta * sum * v[i];
    }
}

/** Columns first .. first+n-1, rows from .. to, from the right. */
static void reflect_columns(const matrix *m, const double *v, double beta, int64_t first, int64_t n, int64_t from,
                            int64_t to) {
    for (int64_t i = from; i <= to; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) sum += v[j] * *at(m, i, first + j);
        for (int64_t j = 0; j < n; j++) *at(m, i, first + j) -= beta * sum * v[j];
    }
}

/** Similar to the matrix, and zero below the first subdiagonal. v: room for n. */
static void to_hessenberg(const matrix *m, double *v) {
    for (int64_t k = 0; k + 2 < m->n; k++) {
        const int64_t n = m->n - k - 1;
        double first;
        for (int64_t i = 0; i < n; i++) v[i] = *at(m, k + 1 + i, k);
        const double beta = reflector(v, n, &first);
        if (beta != 0) reflect_rows(m, v, beta, k + 1, n, k + 1, m->n - 1);
        if (beta != 0) reflect_columns(m, v, beta, k + 1, n, 0, m->n - 1);
        *at(m, k + 1, k) = first;
        for (int64_t i = 1; i < n; i++) *at(m, k + 1 + i, k) = 0;
    }
}

/** Where the block that ends at hi begins: above it the subdiagonal is negligible, and made zero. */
static int64_t block_begin(const matrix *m, int64_t hi) {
    for (int64_t l = hi; l > 0; l--) {
        const double size = fabs(*at(m, l - 1, l - 1)) + fabs(*at(m, l, l));
        if (fabs(*at(m, l, l - 1)) > DBL_EPSILON * (size > 0 ? size : 1)) continue; /* the largest entry is 1 */
        *at(m, l, l - 1) = 0;
        return l;
    }
    return 0;
}

/** Eigenvalues of the 2 x 2 block that begins at i. */
static void pair(const matrix *m, int64_t i, double *re, double *im) {
    const double a = *at(m, i, i), b = *at(m, i, i + 1), c = *at(m, i + 1, i), d = *at(m, i + 1, i + 1);
    const double p = (a - d) / 2, q = p * p + b * c;
    if (q < 0) {
        re[i] = re[i + 1] = d + p;
        im[i] = sqrt(-q);
        im[i + 1] = -im[i];
        return;
    }
    const double z = p + copysign(sqrt(q), p);
    re[i] = d + z;
    re[i + 1] = z != 0 ? d - b * c / z : re[i];
    im[i] = im[i + 1] = 0;
}

/** One double step on the block l .. hi (hi >= l + 2) with shifts of sum s and product t. */
static void francis_step(const matrix *m, int64_t l, int64_t hi, double s, double t) {
    const double a = *at(m, l, l), below = *at(m, l + 1, l);
    double v[3] = {a * (a - s) + t + *at(m, l, l + 1) * below, below * (a + *at(m, l + 1, l + 1) - s),
                   below * *at(m, l + 2, l + 1)};
    for (int64_t k = l; k < hi; k++) {
        const int64_t n = hi - k < 2 ? 2 : 3;
        double first;
        const double beta = reflector(v, n, &first);
        if (k > l) {
            *at(m, k, k - 1) = first;
            for (int64_t i = 1; i < n; i++) *at(m, k + i, k - 1) = 0;
        }
        if (beta != 0) reflect_rows(m, v, beta, k, n, k, hi);
        if (beta != 0) reflect_columns(m, v, beta, k, n, l, k + 3 < hi ? k + 3 : hi);
        for (int64_t i = 0; i < 3 && k + 1 + i <= hi; i++) v[i] = *at(m, k + 1 + i, k);
    }
}

static rllc_status iterate(const matrix *m, double *re, double *im) {
    int steps = 0;
    for (int64_t hi = m->n - 1; hi >= 0;) {
        const int64_t l = block_begin(m, hi);
        if (l >= hi - 1) {
            if (l == hi) re[hi] = *at(m, hi, hi), im[hi] = 0;
            if (l < hi) pair(m, l, re, im);
            hi = l - 1;
            steps = 0;
            continue;
        }
        if (++steps > STEPS)
            return rllc_fail(RLLC_EFAIL, "the QR iteration for eigenvalue %lld of %lld did not end in %d steps",
                             (long long)hi, (long long)m->n, STEPS);
        const double a = *at(m, hi - 1, hi - 1), d = *at(m, hi, hi);
        double s = a + d, t = a * d - *at(m, hi, hi - 1) * *at(m, hi - 1, hi);
        if (steps % EXCEPTIONAL == 0) { /* a shift that a cycle cannot survive */
            const double w = fabs(*at(m, hi, hi - 1)) + fabs(*at(m, hi - 1, hi - 2));
            s = 1.5 * w;
            t = w * w;
        }
        francis_step(m, l, hi, s, t);
    }
    return RLLC_OK;
}

rllc_status rllc_eigenvalues(double *a, int64_t n, double *re, double *im) {
    rllc_status status = RLLC_OK;
    double *v = NULL, largest = 0;
    const matrix m = {a, n};
    for (int64_t i = 0; i < n * n; i++) {
        if (!isfinite(a[i]))
            return rllc_fail(RLLC_ENOTFINITE,
                             "entry (%lld, %lld) of a matrix of %lld is not finite: it has no eigenvalues",
                             (long long)(i / n), (long long)(i % n), (long long)n);
        largest = fmax(largest, fabs(a[i]));
    }
    for (int64_t i = 0; i < n * n && largest > 0; i++) a[i] /= largest;
    RLLC_TRY(rllc_alloc(&v, n, sizeof *v));
    to_hessenberg(&m, v);
    RLLC_TRY(iterate(&m, re, im));
    for (int64_t i = 0; i < n && largest > 0; i++) {
        re[i] *= largest;
        im[i] *= largest;
    }
done:
    rllc_free(v);
    return status;
}
