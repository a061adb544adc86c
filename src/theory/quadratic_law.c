/* Exact law of the estimate on a quadratic of many dimensions: its eigenmodes move independently. */
#include <math.h>
#include <string.h>

#include "linear.h"

/** One Jacobi rotation that zeroes a[p][q]; vectors (rows) follow if there are any. */
static void rotate(int64_t n, double *a, double *vectors, int64_t p, int64_t q) {
    const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
    const double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1)), c = 1 / sqrt(t * t + 1),
                 s = t * c;
    for (int64_t k = 0; k < n; k++) {
        const double x = a[k * n + p], y = a[k * n + q];
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for (int64_t k = 0; k < n; k++) {
        const double x = a[p * n + k], y = a[q * n + k];
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
    }
    for (int64_t k = 0; vectors && k < n; k++) {
        const double x = vectors[p * n + k], y = vectors[q * n + k];
        vectors[p * n + k] = c * x - s * y;
        vectors[q * n + k] = s * x + c * y;
    }
}

static void sort(int64_t n, double *values, double *vectors) {
    for (int64_t i = 0; i < n; i++) {
        int64_t least = i;
        for (int64_t k = i + 1; k < n; k++)
            if (values[k] < values[least]) least = k;
        const double t = values[i];
        values[i] = values[least];
        values[least] = t;
        for (int64_t k = 0; vectors && least != i && k < n; k++) {
            const double x = vectors[i * n + k];
            vectors[i * n + k] = vectors[least * n + k];
            vectors[least * n + k] = x;
        }
    }
}

rllc_status rllc_symmetric_eigen(int64_t n, const double *matrix, double *values, double *vectors) {
    double *a = NULL, size = 0;
    const rllc_status status = rllc_alloc(&a, n * n, sizeof *a);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < n * n; i++) {
        a[i] = matrix[i];
        size = fmax(size, fabs(a[i]));
        if (vectors) vectors[i] = i % (n + 1) == 0;
    }
    for (int sweep = 0; sweep < 60; sweep++) {
        double off = 0;
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                off = fmax(off, fabs(a[p * n + q]));
                if (fabs(a[p * n + q]) > 1e-18 * size) rotate(n, a, vectors, p, q);
            }
        if (off <= 1e-16 * size) break;
    }
    for (int64_t i = 0; i < n; i++) values[i] = a[i * n + i];
    sort(n, values, vectors);
    rllc_free(a);
    return RLLC_OK;
}

/** Noise variance of every direction if the noise has the hessian's axes: all alike, or a diagonal hessian. */
static bool noise_is_aligned(const rllc_quadratic *q) {
    bool same = true, diagonal = true;
    for (int64_t i = 0; q->noise && i < q->dim; i++) {
        same = same && q->noise[i] == q->noise[0];
        for (int64_t k = 0; k < q->dim; k++) diagonal = diagonal && (k == i || q->hessian[i * q->dim + k] == 0);
    }
    return same || diagonal;
}

static double project(const double *axis, const double *x, int64_t n) {
    double sum = 0;
    for (int64_t k = 0; x && k < n; k++) sum += axis[k] * x[k];
    return sum;
}

static rllc_direction direction(const rllc_quadratic *q, const double *axis, double value) {
    rllc_direction d = {.curvature = value,
                        .slope = project(axis, q->gradient, q->dim),
                        .at = project(axis, q->at, q->dim),
                        .start = project(axis, q->start, q->dim)};
    for (int64_t k = 0; q->noise && k < q->dim; k++) d.noise += axis[k] * axis[k] * q->noise[k];
    return d;
}

rllc_status rllc_quadratic_law(const rllc_sampler_options *o, const rllc_quadratic *q, double *mean, double *variance) {
    const int64_t n = q->dim;
    rllc_status status = RLLC_OK;
    double *values = NULL, *vectors, last_mean = 0, last_variance = 0;
    rllc_direction last = {.curvature = NAN};
    *mean = *variance = 0;
    if (!noise_is_aligned(q))
        return rllc_fail(RLLC_EUNSUPPORTED, "no closed form for gradient noise that does not have the hessian's axes");
    RLLC_TRY(rllc_alloc(&values, n + n * n, sizeof *values));
    vectors = values + n;
    RLLC_TRY(rllc_symmetric_eigen(n, q->hessian, values, vectors));
    for (int64_t i = 0; i < n; i++) {
        const rllc_direction d = direction(q, vectors + i * n, values[i]);
        if (memcmp(&d, &last, sizeof d) != 0) RLLC_TRY(rllc_direction_law(o, &d, &last_mean, &last_variance));
        last = d;
        *mean += last_mean;
        *variance += last_variance;
    }
done:
    rllc_free(values);
    return status;
}
