/* mean: a mean and its standard error from a running sum and sum of squares. */
#ifndef RLLC_MECHINTERP_MEAN_H
#define RLLC_MECHINTERP_MEAN_H

#include <math.h>
#include <stdint.h>

typedef struct rllc_mean {
    double sum, square;
    int64_t n;
} rllc_mean;

static inline void rllc_mean_add(rllc_mean *m, double x) {
    m->sum += x;
    m->square += x * x;
    m->n++;
}

static inline double rllc_mean_value(const rllc_mean *m) {
    return m->n ? m->sum / (double)m->n : NAN;
}

/** sqrt(sum (x - mean)^2 / (n - 1) / n); NaN of fewer than two. */
static inline double rllc_mean_se(const rllc_mean *m) {
    const double n = (double)m->n, mean = rllc_mean_value(m), spread = m->square - n * mean * mean;
    return m->n > 1 ? sqrt((spread > 0 ? spread : 0) / (n - 1) / n) : NAN;
}

#endif
