/*
 * A quadratic with minibatch noise, as a potential and as an exact law (E83): on minibatch t of a stream
 *   L_t(w) = level_t + sum_i (xi_ti u_i + h_i u_i^2 / 2),  u = w - w*,  xi_ti ~ N(0, C_i),  level_t ~ N(2, level^2),
 * and every chain of the stream sees the same xi and level. The benchmark of sharing and its test use both.
 */
#ifndef RLLC_BENCH_SHARING_QUADRATIC_H
#define RLLC_BENCH_SHARING_QUADRATIC_H

#include <math.h>
#include <string.h>

#include "rllc/sampling.h"

enum { NOISY_MOST = 16 };

typedef struct noisy_setting {
    int dim;
    double h[NOISY_MOST], noise[NOISY_MOST]; /* curvatures; C: variances of the minibatch gradient */
    double level;                            /* sd of a minibatch's loss at w* */
} noisy_setting;

/* ---- the law ---------------------------------------------------------------------------------------------------- */

/** Var w_t of a chain, or Cov(w_t, w'_t) of two chains that share only xi. */
static inline double noisy_moment(const rllc_sampler_options *o, double h, double noise, int64_t t, bool same) {
    const double rho = 1 - o->lr * (o->nbeta * h + o->localization) / 2, k = o->lr * o->nbeta / 2;
    return (k * k * noise + (same ? o->lr : 0)) * (1 - pow(rho, 2 * (double)t)) / (1 - rho * rho);
}

/** E of a chain's paired estimate: sgld, every step after burn-in a draw. */
static inline double noisy_mean(const noisy_setting *s, const rllc_sampler_options *o) {
    double sum = 0;
    for (int i = 0; i < s->dim; i++)
        for (int64_t t = 0; t < o->num_draws; t++)
            sum += o->nbeta * s->h[i] / 2 * noisy_moment(o, s->h[i], s->noise[i], t + o->num_burnin_steps, true);
    return sum / (double)o->num_draws;
}

/** Variance of one chain's paired estimate, or covariance of two chains of a stream; O(dim T). */
static inline double noisy_covariance(const noisy_setting *s, const rllc_sampler_options *o, bool same) {
    const double k = o->lr * o->nbeta / 2, n = (double)o->num_draws;
    double sum = 0;
    for (int i = 0; i < s->dim; i++) {
        const double h = s->h[i], c = s->noise[i], rho = 1 - o->lr * (o->nbeta * h + o->localization) / 2;
        for (int64_t t = 0; t < o->num_draws; t++) {
            const double v = noisy_moment(o, h, c, t + o->num_burnin_steps, same);
            const double later = (1 - pow(rho, 2 * (double)(o->num_draws - 1 - t))) / (1 - rho * rho);
            sum += h * h * v * v / 2 + c * v;                               /* the draw itself */
            sum += later * rho * (h * h * rho * v * v - 2 * h * k * c * v); /* twice its covariances with later draws */
        }
    }
    return o->nbeta * o->nbeta * sum / (n * n);
}

/** Variance of the mean over num_chains chains in this many equal streams (E84). */
static inline double noisy_variance(const noisy_setting *s, const rllc_sampler_options *o, int64_t streams) {
    const double per_stream = (double)o->num_chains / (double)streams;
    return (noisy_covariance(s, o, true) + (per_stream - 1) * noisy_covariance(s, o, false)) / (double)o->num_chains;
}

/** What the init loss over the stream's first minibatches adds to that of the conventional estimate: burn-in 0 and
 *  fewer init batches than draws (E84). */
static inline double noisy_level_variance(const noisy_setting *s, const rllc_sampler_options *o, int64_t streams) {
    const double level = o->nbeta * s->level;
    return level * level * (1 / (double)o->num_init_loss_batches - 1 / (double)o->num_draws) / (double)streams;
}

/* ---- the potential ---------------------------------------------------------------------------------------------- */

typedef struct noisy_potential {
    rllc_potential head; /* first */
    noisy_setting setting;
    uint64_t seed; /* of xi and level */
    float xi[NOISY_MOST + 1], w0[NOISY_MOST];
    rllc_span span;
} noisy_potential;

static inline rllc_status noisy_prepare(rllc_potential *p, int64_t stream, int64_t step) {
    noisy_potential *q = (noisy_potential *)p;
    const rllc_stream s = rllc_stream_make(q->seed, "bench/sharing", (uint32_t)stream, (uint32_t)step);
    rllc_kernels_get()->normals(&s, 0, NOISY_MOST + 1, q->xi);
    return RLLC_OK;
}

static inline rllc_status noisy_evaluate(rllc_potential *p, int64_t n, const int64_t *members, const float *const *w,
                                         double *loss, float *const *gradient, double *baseline) {
    const noisy_potential *q = (const noisy_potential *)p;
    const noisy_setting *s = &q->setting;
    const double level = 2 + s->level * (double)q->xi[NOISY_MOST];
    (void)members;
    for (int64_t k = 0; k < n; k++) {
        loss[k] = level;
        for (int i = 0; i < s->dim; i++) {
            const double xi = sqrt(s->noise[i]) * (double)q->xi[i], u = (double)w[k][i];
            loss[k] += xi * u + s->h[i] * u * u / 2;
            if (gradient[k]) gradient[k][i] = (float)(xi + s->h[i] * u);
        }
    }
    if (baseline) *baseline = level;
    return RLLC_OK;
}

static inline void noisy_free(rllc_potential *p) {
    rllc_free(p->members);
    rllc_free(p);
}

static inline rllc_status noisy_make(rllc_potential **out, const noisy_setting *s, int64_t n_members, uint64_t seed) {
    static const rllc_potential_kind kind = {"noisy quadratic", noisy_prepare, noisy_evaluate, noisy_free};
    rllc_status status = RLLC_OK;
    noisy_potential *q = NULL;
    *out = NULL;
    RLLC_TRY(rllc_alloc(&q, 1, sizeof *q));
    q->head = (rllc_potential){.kind = &kind, .n_members = n_members};
    q->setting = *s;
    q->seed = seed;
    q->span = (rllc_span){0, s->dim};
    *out = &q->head;
    RLLC_TRY(rllc_alloc(&q->head.members, n_members, sizeof *q->head.members));
    for (int64_t i = 0; i < n_members; i++)
        q->head.members[i] = (rllc_potential_member){.dim = s->dim, .w0 = q->w0, .spans = &q->span, .n_spans = 1};
done:
    return status;
}

#endif
