/*
 * The exact mean of sgld's paired estimate on minibatches of a finite sample, where the loss is quadratic in what moves
 * (E85): first and second moment of u = w - w*, step by step.
 */
#ifndef RLLC_BENCH_SHARING_MOMENTS_H
#define RLLC_BENCH_SHARING_MOMENTS_H

#include <string.h>

#include "rllc/sgmcmc.h"

enum { SIDE = 16 }; /* most coordinates; unused ones are 0 throughout */

typedef struct matrix {
    double v[SIDE][SIDE];
} matrix;

/** Gradient at w* (its first row) and Hessian of each sample. */
typedef struct sample_moments {
    int64_t n;
    int dim;
    matrix *g, *h; /* [n] */
} sample_moments;

/** out += factor a b, or a^T b. */
static inline void add_product(double factor, const matrix *a, bool transposed, const matrix *b, matrix *out) {
    for (int i = 0; i < SIDE; i++)
        for (int k = 0; k < SIDE; k++) {
            const double x = factor * (transposed ? a->v[k][i] : a->v[i][k]);
            for (int j = 0; x != 0 && j < SIDE; j++) out->v[i][j] += x * b->v[k][j];
        }
}

/** out += factor (H S H + H m g^T + g m^T H + g g^T): the second moment of H u + g, with E u u^T = S, E u = m. */
static inline void add_second_moment(double factor, const matrix *h, const matrix *g, const matrix *m, const matrix *s,
                                     matrix *out) {
    matrix hs = {0}, mh = {0}, sum;
    add_product(1, h, false, s, &hs);
    add_product(1, m, false, h, &mh); /* m^T H, a row */
    add_product(1, g, true, m, &hs);  /* H S + g m^T */
    memset(&sum, 0, sizeof sum);
    add_product(1, &hs, false, h, &sum); /* (H S + g m^T) H */
    add_product(1, &mh, true, g, &sum);  /* H m g^T */
    add_product(1, g, true, g, &sum);
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) out->v[i][j] += factor * sum.v[i][j];
}

/** E of a chain's paired estimate from w*: burn-in 0, every step a draw, batch_size samples with replacement. */
static inline double moments_mean(const sample_moments *sample, const rllc_sampler_options *o) {
    const double x = o->lr / 2, each = 1 / (double)sample->n, batch = 1 / (double)o->batch_size;
    matrix h = {0}, g = {0}, m = {0}, s = {0};
    double sum = 0;
    for (int64_t i = 0; i < sample->n; i++)
        for (int a = 0; a < SIDE; a++) {
            g.v[0][a] += each * sample->g[i].v[0][a];
            for (int b = 0; b < SIDE; b++) h.v[a][b] += each * sample->h[i].v[a][b];
        }
    for (int64_t t = 0; t < o->num_draws; t++) {
        matrix pull = h, fs = {0}, next = {0}, mean = {0};
        for (int a = 0; a < SIDE; a++) {
            sum += o->nbeta * g.v[0][a] * m.v[0][a];
            for (int b = 0; b < SIDE; b++) sum += o->nbeta * h.v[a][b] * s.v[b][a] / 2;
        }
        for (int a = 0; a < SIDE; a++) /* u' = F u - x nbeta g + noise, F = 1 - x (nbeta H + localization) */
            for (int b = 0; b < SIDE; b++)
                pull.v[a][b] = (a == b ? 1 - x * o->localization : 0) - x * o->nbeta * h.v[a][b];
        add_product(1, &pull, false, &s, &fs);
        add_product(1, &fs, false, &pull, &next);
        add_product(1, &m, false, &pull, &mean);
        add_product(-x * o->nbeta, &mean, true, &g, &next);
        add_product(-x * o->nbeta, &g, true, &mean, &next);
        add_product(x * x * o->nbeta * o->nbeta, &g, true, &g, &next);
        const double power = x * x * o->nbeta * o->nbeta * batch;
        for (int64_t i = 0; i < sample->n; i++)
            add_second_moment(power * each, &sample->h[i], &sample->g[i], &m, &s, &next);
        add_second_moment(-power, &h, &g, &m, &s, &next);
        for (int a = 0; a < sample->dim; a++) {
            next.v[a][a] += o->lr;
            mean.v[0][a] -= x * o->nbeta * g.v[0][a];
        }
        s = next;
        m = mean;
    }
    return sum / (double)o->num_draws;
}

#endif
