/* stats tests: chains of several kinds, with the same bits as tools/golden/diagnostics.R makes them. */
#ifndef TESTS_STATS_CHAINS_H
#define TESTS_STATS_CHAINS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/helpers.h"
#include "rllc/stats.h"

enum { N_KINDS = 8 };
static const struct {
    const char *name;
    int64_t n_chains, n_draws;
} kinds[N_KINDS] = {{"iid", 4, 500},       {"ar09", 4, 500}, {"shifted", 4, 500}, {"losslike", 4, 500},
                    {"transient", 4, 500}, {"ties", 3, 333}, {"short", 2, 25},    {"walk", 3, 205}};

/* s <- 48271 s mod (2^31 - 1) */
static inline double next_uniform(int64_t *s) {
    *s = 48271 * *s % 2147483647;
    return (double)*s / 2147483647;
}

/* Nearly normal, and made of additions alone. */
static inline double next_noise(int64_t *s) {
    double sum = 0;
    for (int i = 0; i < 12; i++) sum += next_uniform(s);
    return sum - 6;
}

static inline void make_chain(int kind, int64_t chain, int64_t n, int64_t *s, double *x) {
    double level = 0, gone = 1, part[3] = {0};
    for (int64_t t = 0; t < n; t++) {
        if (strcmp(kinds[kind].name, "losslike") == 0) {
            for (int k = 0; k < 3; k++) part[k] = 0.8 * part[k] + 0.6 * next_noise(s);
            x[t] = 3 + (part[0] * part[0] + part[1] * part[1] + part[2] * part[2]) / 200;
            continue;
        }
        const double e = next_noise(s);
        static const double keep[N_KINDS] = {0, 0.9, 0.5, 0, 0, 0.6, 0.3, 1};
        level = keep[kind] * level + e;
        gone *= 0.98;
        x[t] = level;
        if (strcmp(kinds[kind].name, "shifted") == 0) x[t] = level + 0.5 * (double)(chain + 1);
        if (strcmp(kinds[kind].name, "transient") == 0) x[t] = 3.5 - gone + e / 10;
        if (strcmp(kinds[kind].name, "ties") == 0) x[t] = floor(2 * level);
    }
}

/* The chains of a kind, [n_chains][n_draws]; free with free. Kinds share one sequence of random numbers. */
static inline double *make_chains(int wanted) {
    int64_t s = 1;
    for (int kind = 0;; kind++) {
        const int64_t m = kinds[kind].n_chains, n = kinds[kind].n_draws;
        double *x = malloc((size_t)(m * n) * sizeof *x);
        assert_non_null(x);
        for (int64_t chain = 0; chain < m; chain++) make_chain(kind, chain, n, &s, x + chain * n);
        if (kind == wanted) return x;
        free(x);
    }
}

static inline double next_normal(const rllc_stream *stream, uint64_t index) {
    return rllc_normal_quantile(rllc_stream_uniform(stream, index));
}

/* An autoregression x_t = rho x_(t-1) + sqrt(1 - rho^2) e_t of standard normals, stationary from the start. */
static inline void make_autoregression(double rho, uint32_t chain, int64_t n, double *x) {
    const rllc_stream stream = rllc_stream_make(7, "tests/stats", chain, 0);
    x[0] = next_normal(&stream, 0);
    for (int64_t t = 1; t < n; t++) x[t] = rho * x[t - 1] + sqrt(1 - rho * rho) * next_normal(&stream, (uint64_t)t);
}

static inline bool is_close(double a, double b, double relative) {
    return (isnan(a) && isnan(b)) || fabs(a - b) <= relative * fabs(b);
}

#define assert_close(a, b, relative)                                                                                   \
    do {                                                                                                               \
        const double close_a = (a), close_b = (b);                                                                     \
        if (!is_close(close_a, close_b, relative)) fail_msg("%s is %.17g, expected %.17g", #a, close_a, close_b);      \
    } while (0)

#endif
