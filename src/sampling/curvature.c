/* Curvature of a potential at w*: spectrum of the restricted Hessian, gradient, minibatch noise, as quadratures (E47).
 */
#include <math.h>
#include <string.h>

#include "rllc/sampling.h"

/**
 * Displacement of a unit vector, as a share of |w*| on the coordinates that move. The central difference is wrong by
 * O(share^2) of the curvature's own scale, by rounding of the float gradients in 1 / share, and by rounding of
 * w* +- displacement in 6e-8 / share. docs/calibration.md has the measurement that chose it.
 */
static const double SHARE = 3e-4;

enum { ROUND_BYTES = 512 << 20 }; /* memory of the vectors that advance together */

/** What one member's minibatch gradients say. */
typedef struct slopes {
    const rllc_potential_member *member;
    float *mean;         /* [dim] mean gradient */
    float *contrast;     /* [n_noise][dim] sum_b c_jb g_b: covariance C each, independent of the mean's noise */
    float *gradient;     /* [dim] of the minibatch at hand */
    double squares;      /* sum_b |g_b - mean|^2 */
    double displacement; /* of a unit vector */
} slopes;

/** A vector whose quadrature is wanted. */
typedef struct lane {
    int64_t owner; /* index in members[] */
    const float *start;
    float *w[2], *gradient[2]; /* [dim] on either side of w* */
} lane;

typedef struct measurement {
    rllc_potential *potential;
    const rllc_curvature_settings *s;
    int64_t n, n_noise, per_member; /* members; contrasts; vectors of a member */
    const int64_t *members;
    slopes *slopes; /* [n] */
    lane *lanes;    /* those of a round */
    int64_t *call;  /* [2 lanes] members of a call, and what it takes and gives */
    const float **w;
    float **gradient;
    double *loss;
    rllc_quadrature *found; /* [n][per_member] probes, drift, contrasts */
    double done;            /* gradients evaluated */
} measurement;

static rllc_status check_settings(const rllc_curvature_settings *s) {
    if (s->probes >= 1 && s->steps >= 1 && s->batches >= 1) return RLLC_OK;
    return rllc_fail(RLLC_EUSAGE, "curvature with %lld probes, %lld steps and %lld batches; each must be at least 1",
                     (long long)s->probes, (long long)s->steps, (long long)s->batches);
}

/* ---- gradients at w* ----------------------------------------------------------------------------------------- */

/** c_jb = sqrt(2 / B) cos(pi j (b + 1/2) / B), j = 1..B-1: orthonormal, and orthogonal to the mean. */
static double contrast(int64_t j, int64_t b, int64_t batches) {
    const double B = (double)batches;
    return sqrt(2 / B) * cos(3.14159265358979323846 * (double)j * ((double)b + 0.5) / B);
}

/** Adds the gradient of minibatch b to the mean, to the squares about it (Welford 1962) and to the contrasts. */
static void add_batch(const measurement *m, slopes *s, int64_t b) {
    const int64_t dim = s->member->dim;
    double squares = 0;
    for (int64_t i = 0; i < dim; i++) {
        const double g = (double)s->gradient[i], before = g - (double)s->mean[i];
        s->mean[i] += (float)(before / (double)(b + 1));
        squares += before * (g - (double)s->mean[i]);
    }
    s->squares += squares;
    for (int64_t j = 0; j < m->n_noise; j++) {
        const double c = contrast(j + 1, b, m->s->batches);
        float *v = s->contrast + j * dim;
        for (int64_t i = 0; i < dim; i++) v[i] += (float)(c * (double)s->gradient[i]);
    }
}

static rllc_status open_slopes(measurement *m) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_alloc(&m->slopes, m->n, sizeof *m->slopes));
    for (int64_t i = 0; i < m->n; i++) {
        slopes *s = &m->slopes[i];
        s->member = &m->potential->members[m->members[i]];
        const int64_t dim = s->member->dim;
        const double norm = sqrt(rllc_kernels_get()->sum_squares(dim, s->member->w0));
        s->displacement = SHARE * (norm > 0 ? norm : 1);
        RLLC_TRY(rllc_alloc(&s->mean, dim, sizeof *s->mean));
        RLLC_TRY(rllc_alloc(&s->contrast, m->n_noise * dim, sizeof *s->contrast));
        RLLC_TRY(rllc_alloc(&s->gradient, dim, sizeof *s->gradient));
    }
done:
    return status;
}

static rllc_status measure_slopes(measurement *m) {
    rllc_status status = RLLC_OK;
    const float **w = NULL;
    float **gradient = NULL;
    double *loss = NULL;
    RLLC_TRY(rllc_alloc(&w, m->n, sizeof *w));
    RLLC_TRY(rllc_alloc(&gradient, m->n, sizeof *gradient));
    RLLC_TRY(rllc_alloc(&loss, m->n, sizeof *loss));
    for (int64_t i = 0; i < m->n; i++) {
        w[i] = m->slopes[i].member->w0;
        gradient[i] = m->slopes[i].gradient;
    }
    for (int64_t b = 0; b < m->s->batches; b++) {
        RLLC_TRY(rllc_potential_prepare(m->potential, m->s->stream, b));
        RLLC_TRY(rllc_potential_loss_and_gradient(m->potential, m->n, m->members, w, loss, gradient, NULL));
        for (int64_t i = 0; i < m->n; i++) add_batch(m, &m->slopes[i], b);
    }
done:
    rllc_free(w);
    rllc_free(gradient);
    rllc_free(loss);
    return status;
}

/* ---- products with the Hessian ------------------------------------------------------------------------------- */

static void displace(const slopes *s, const float *x, lane *l) {
    for (int64_t i = 0; i < s->member->dim; i++) {
        const double at = (double)s->member->w0[i], by = s->displacement * (double)x[i];
        l->w[0][i] = (float)(at + by);
        l->w[1][i] = (float)(at - by);
    }
}

/** y = (g(w* + e x) - g(w* - e x)) / (2 e), gradients of the mean loss over the minibatches. An rllc_operator. */
static rllc_status multiply(void *context, int64_t n, const int64_t *which, const float *const *x, float *const *y) {
    measurement *m = context;
    rllc_status status = RLLC_OK;
    for (int64_t k = 0; k < n; k++) {
        lane *l = &m->lanes[which[k]];
        const slopes *s = &m->slopes[l->owner];
        displace(s, x[k], l);
        memset(y[k], 0, (size_t)s->member->dim * sizeof *y[k]);
        for (int side = 0; side < 2; side++) {
            m->call[2 * k + side] = m->members[l->owner];
            m->w[2 * k + side] = l->w[side];
            m->gradient[2 * k + side] = l->gradient[side];
        }
    }
    for (int64_t b = 0; b < m->s->batches; b++) {
        if (rllc_should_stop(m->s->monitor)) return rllc_fail(RLLC_ESTOPPED, "measuring curvature stopped");
        RLLC_TRY(rllc_potential_prepare(m->potential, m->s->stream, b));
        RLLC_TRY(rllc_potential_loss_and_gradient(m->potential, 2 * n, m->call, m->w, m->loss, m->gradient, NULL));
        for (int64_t k = 0; k < n; k++) {
            const slopes *s = &m->slopes[m->lanes[which[k]].owner];
            const float *up = m->gradient[2 * k], *down = m->gradient[2 * k + 1];
            for (int64_t i = 0; i < s->member->dim; i++) y[k][i] += up[i] - down[i];
        }
        m->done += (double)n;
        rllc_report_progress(m->s->monitor, "curvature", "product", m->done,
                             (double)(m->n * m->per_member * m->s->steps * m->s->batches), "%s", "");
    }
    for (int64_t k = 0; k < n; k++) {
        const slopes *s = &m->slopes[m->lanes[which[k]].owner];
        const double scale = 1 / (2 * s->displacement * (double)m->s->batches);
        for (int64_t i = 0; i < s->member->dim; i++) y[k][i] = (float)((double)y[k][i] * scale);
        if (!isfinite(rllc_kernels_get()->sum_squares(s->member->dim, y[k])))
            return rllc_fail(RLLC_ENOTFINITE, "a gradient beside w* is not finite");
    }
done:
    return status;
}

/* ---- vectors in rounds that fit the memory ---------------------------------------------------------------------- */

/** Random signs, each that of its parameter in the whole model: E[v v^T] = 1. */
static void random_signs(const rllc_potential_member *p, uint64_t seed, int64_t probe, float *v) {
    const rllc_stream stream = rllc_stream_make(seed, "curvature", (uint32_t)probe, 0);
    for (int64_t r = 0; r < p->n_spans; r++)
        for (int64_t k = 0; k < p->spans[r].n; k++)
            *v++ = rllc_stream_u32(&stream, (uint64_t)(p->spans[r].first + k)) & 1 ? 1.0f : -1.0f;
}

static int64_t lane_bytes(const measurement *m, int64_t index) {
    return m->slopes[index / m->per_member].member->dim * (m->s->steps + 7) * (int64_t)sizeof(float);
}

/** Points lane l at vector `index` of all members' vectors: its start, in memory of 5 dim floats. */
static void aim(const measurement *m, int64_t index, lane *l, float *memory) {
    const int64_t owner = index / m->per_member, k = index % m->per_member;
    const slopes *s = &m->slopes[owner];
    const int64_t dim = s->member->dim;
    *l = (lane){.owner = owner,
                .start = memory,
                .w = {memory + dim, memory + 2 * dim},
                .gradient = {memory + 3 * dim, memory + 4 * dim}};
    if (k < m->s->probes)
        random_signs(s->member, m->s->seed, k, memory);
    else if (k == m->s->probes)
        l->start = s->mean;
    else
        l->start = s->contrast + (k - m->s->probes - 1) * dim;
}

/** Vectors first..end-1 through Lanczos. */
static rllc_status run_round(measurement *m, int64_t first, int64_t end) {
    rllc_status status = RLLC_OK;
    const int64_t n = end - first;
    int64_t *dim = NULL, size = 0;
    const float **start = NULL;
    float *memory = NULL;
    for (int64_t i = first; i < end; i++) size += 5 * m->slopes[i / m->per_member].member->dim;
    RLLC_TRY(rllc_alloc(&memory, size, sizeof *memory));
    RLLC_TRY(rllc_alloc(&dim, n, sizeof *dim));
    RLLC_TRY(rllc_alloc(&start, n, sizeof *start));
    float *next = memory;
    for (int64_t i = 0; i < n; i++) {
        aim(m, first + i, &m->lanes[i], next);
        dim[i] = m->slopes[m->lanes[i].owner].member->dim;
        start[i] = m->lanes[i].start;
        next += 5 * dim[i];
    }
    RLLC_TRY(rllc_lanczos(m, multiply, n, dim, start, m->s->steps, m->found + first));
done:
    rllc_free(memory);
    rllc_free(dim);
    rllc_free(start);
    return status;
}

static rllc_status run_vectors(measurement *m) {
    rllc_status status = RLLC_OK;
    const int64_t all = m->n * m->per_member;
    RLLC_TRY(rllc_alloc(&m->lanes, all, sizeof *m->lanes));
    RLLC_TRY(rllc_alloc(&m->call, 2 * all, sizeof *m->call));
    RLLC_TRY(rllc_alloc(&m->w, 2 * all, sizeof *m->w));
    RLLC_TRY(rllc_alloc(&m->gradient, 2 * all, sizeof *m->gradient));
    RLLC_TRY(rllc_alloc(&m->loss, 2 * all, sizeof *m->loss));
    RLLC_TRY(rllc_alloc(&m->found, all, sizeof *m->found));
    for (int64_t first = 0, end = 0; first < all; first = end) {
        int64_t bytes = 0;
        for (; end < all && (end == first || bytes + lane_bytes(m, end) <= ROUND_BYTES); end++)
            bytes += lane_bytes(m, end);
        RLLC_TRY(run_round(m, first, end));
    }
done:
    return status;
}

/* ---- what it comes to ------------------------------------------------------------------------------------------ */

static rllc_status conclude(const measurement *m, int64_t i, rllc_curvature *out) {
    rllc_status status = RLLC_OK;
    const slopes *s = &m->slopes[i];
    rllc_quadrature *q = m->found + i * m->per_member, *drift = q + m->s->probes;
    const double batches = (double)m->s->batches;
    out->dim = s->member->dim;
    out->batches = m->s->batches;
    out->noise_trace = m->n_noise > 0 ? s->squares / (batches - 1) : 0;
    /* |mean|^2 - tr C / B: the mean of g_b . g_b' over pairs of different minibatches */
    out->gradient_square = rllc_quadrature_weight(drift) - out->noise_trace / batches;
    out->top = -INFINITY;
    out->bottom = INFINITY;
    for (int64_t k = 0; k < m->per_member; k++)
        for (int64_t j = 0; j < q[k].n; j++) {
            out->top = fmax(out->top, q[k].node[j]);
            out->bottom = fmin(out->bottom, q[k].node[j]);
        }
    RLLC_TRY(rllc_quadrature_mean(q, m->s->probes, &out->spectrum));
    RLLC_TRY(rllc_quadrature_mean(drift, 1, &out->drift));
    RLLC_TRY(rllc_quadrature_mean(drift + 1, m->n_noise, &out->noise));
    const double weight = rllc_quadrature_weight(&out->noise); /* of a few contrasts; noise_trace is of all */
    for (int64_t k = 0; k < out->noise.n; k++) out->noise.weight[k] *= out->noise_trace / weight;
done:
    return status;
}

static void release(measurement *m) {
    for (int64_t i = 0; m->slopes && i < m->n; i++) {
        rllc_free(m->slopes[i].mean);
        rllc_free(m->slopes[i].contrast);
        rllc_free(m->slopes[i].gradient);
    }
    for (int64_t i = 0; m->found && i < m->n * m->per_member; i++) rllc_quadrature_release(&m->found[i]);
    rllc_free(m->slopes);
    rllc_free(m->found);
    rllc_free(m->lanes);
    rllc_free(m->call);
    rllc_free(m->w);
    rllc_free(m->gradient);
    rllc_free(m->loss);
}

rllc_status rllc_measure_curvature(rllc_potential *p, const rllc_curvature_settings *settings, int64_t n,
                                   const int64_t *members, rllc_curvature *out) {
    rllc_status status = RLLC_OK;
    measurement m = {.potential = p, .s = settings, .n = n, .members = members};
    for (int64_t i = 0; i < n; i++) out[i] = (rllc_curvature){0};
    RLLC_TRY(check_settings(settings));
    m.n_noise = settings->batches - 1 < RLLC_NOISE_VECTORS ? settings->batches - 1 : RLLC_NOISE_VECTORS;
    if (settings->whole) m.n_noise = 0;
    m.per_member = settings->probes + 1 + m.n_noise;
    RLLC_TRY(open_slopes(&m));
    RLLC_TRY(measure_slopes(&m));
    RLLC_TRY(run_vectors(&m));
    for (int64_t i = 0; i < n; i++) RLLC_TRY(conclude(&m, i, &out[i]));
done:
    release(&m);
    if (status != RLLC_OK)
        for (int64_t i = 0; i < n; i++) rllc_curvature_release(&out[i]);
    return status;
}
