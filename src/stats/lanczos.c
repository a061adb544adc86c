/* Lanczos with full reorthogonalisation: a symmetric operator and a vector become a Gauss quadrature. */
#include <float.h>
#include <math.h>

#include "rllc/stats.h"
#include "stats/tridiagonal.h"

/** A residual this small against the matrix seen so far is rounding of float products: the space is invariant. */
static const double BREAKDOWN = 8 * FLT_EPSILON;

/** One vector on its way. */
typedef struct lane {
    int64_t dim, steps; /* at most that many: not more than dim */
    int64_t k;          /* basis vectors whose product is known */
    bool done;
    double square;        /* |start|^2 */
    double largest;       /* of |alpha| and beta so far */
    double *alpha, *beta; /* [steps] */
    float *basis;         /* [steps][dim] */
    float *product;       /* [dim] */
} lane;

typedef struct run {
    void *context;
    rllc_operator apply;
    int64_t n;
    lane *lanes;
    int64_t *which; /* [n] lanes of a call */
    const float **x;
    float **y;
    double *residual; /* [longest dim] */
} run;

static double total(const double s[8]) {
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

/** q . r in eight partial sums, combined in a fixed order. */
static double dot(int64_t n, const float *q, const double *r) {
    double sum[8] = {0};
    for (int64_t i = 0; i < n; i++) sum[i & 7] += (double)q[i] * r[i];
    return total(sum);
}

static double square(int64_t n, const double *r) {
    double sum[8] = {0};
    for (int64_t i = 0; i < n; i++) sum[i & 7] += r[i] * r[i];
    return total(sum);
}

static void subtract(int64_t n, double factor, const float *q, double *r) {
    for (int64_t i = 0; i < n; i++) r[i] -= factor * (double)q[i];
}

/** Writes r / norm as basis vector k. */
static void put_basis(lane *l, int64_t k, const double *r, double norm) {
    float *q = l->basis + k * l->dim;
    for (int64_t i = 0; i < l->dim; i++) q[i] = (float)(r[i] / norm);
}

static rllc_status open_lane(lane *l, int64_t dim, const float *start, int64_t steps, double *residual) {
    rllc_status status = RLLC_OK;
    *l = (lane){.dim = dim, .steps = steps < dim ? steps : dim};
    RLLC_TRY(rllc_alloc(&l->alpha, l->steps, sizeof *l->alpha));
    RLLC_TRY(rllc_alloc(&l->beta, l->steps, sizeof *l->beta));
    RLLC_TRY(rllc_alloc(&l->basis, l->steps * dim, sizeof *l->basis));
    RLLC_TRY(rllc_alloc(&l->product, dim, sizeof *l->product));
    for (int64_t i = 0; i < dim; i++) residual[i] = (double)start[i];
    l->square = square(dim, residual);
    if (!isfinite(l->square)) return rllc_fail(RLLC_ENOTFINITE, "the start vector of a Lanczos run is not finite");
    l->done = l->square == 0 || l->steps == 0;
    if (!l->done) put_basis(l, 0, residual, sqrt(l->square));
done:
    return status;
}

static void close_lane(lane *l) {
    rllc_free(l->alpha);
    rllc_free(l->beta);
    rllc_free(l->basis);
    rllc_free(l->product);
}

/**
 * With y = A q_k: alpha_k = q_k . y; r = y - alpha_k q_k - beta_{k-1} q_{k-1}, made orthogonal to every q_j once more
 * (twice is enough: Parlett 1980); beta_k = |r|, q_{k+1} = r / beta_k.
 */
static void advance(lane *l, double *r) {
    const int64_t k = l->k++;
    for (int64_t i = 0; i < l->dim; i++) r[i] = (double)l->product[i];
    for (int pass = 0; pass < 2; pass++)
        for (int64_t j = k; j >= 0; j--) {
            const float *q = l->basis + j * l->dim;
            const double along = dot(l->dim, q, r);
            subtract(l->dim, along, q, r);
            if (pass == 0 && j == k) l->alpha[k] = along;
        }
    l->beta[k] = sqrt(square(l->dim, r));
    l->largest = fmax(l->largest, fmax(fabs(l->alpha[k]), l->beta[k]));
    l->done = l->k == l->steps || !(l->beta[k] > BREAKDOWN * l->largest); /* a NaN ends it too */
    if (!l->done) put_basis(l, l->k, r, l->beta[k]);
}

/** One product for each lane that is not done. */
static rllc_status step(run *s, bool *moved) {
    int64_t n = 0;
    for (int64_t i = 0; i < s->n; i++) {
        lane *l = &s->lanes[i];
        if (l->done) continue;
        s->which[n] = i;
        s->x[n] = l->basis + l->k * l->dim;
        s->y[n++] = l->product;
    }
    *moved = n > 0;
    if (n == 0) return RLLC_OK;
    const rllc_status status = s->apply(s->context, n, s->which, s->x, s->y);
    for (int64_t i = 0; status == RLLC_OK && i < n; i++) advance(&s->lanes[s->which[i]], s->residual);
    return status;
}

/** Residuals |A y - theta y| = beta_k |s_k|, s_k the last component of an eigenvector of the tridiagonal matrix: the first
 *  of one of the matrix read from its end.                                                                    (E94) */
static rllc_status make_residuals(const lane *l, double *residual) {
    rllc_status status = RLLC_OK;
    const int64_t k = l->k;
    double *d = NULL;
    if (k == 0) return RLLC_OK;
    RLLC_TRY(rllc_alloc(&d, 2 * k, sizeof *d));
    double *e = d + k;
    for (int64_t i = 0; i < k; i++) d[i] = l->alpha[k - 1 - i];
    for (int64_t i = 0; i + 1 < k; i++) e[i] = l->beta[k - 2 - i];
    RLLC_TRY(rllc_tridiagonal_eigen(k, d, e, residual));
    for (int64_t i = 0; i < k; i++) residual[i] = l->beta[k - 1] * fabs(residual[i]);
done:
    rllc_free(d);
    return status;
}

/** Nodes: eigenvalues of the tridiagonal matrix; weights: |start|^2 times the squared first components. */
static rllc_status make_quadrature(lane *l, rllc_quadrature *out) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_quadrature_init(out, l->k));
    RLLC_TRY(make_residuals(l, out->residual));
    for (int64_t k = 0; k < l->k; k++) out->node[k] = l->alpha[k];
    RLLC_TRY(rllc_tridiagonal_eigen(l->k, out->node, l->beta, out->weight));
    for (int64_t k = 0; k < l->k; k++) out->weight[k] *= out->weight[k] * l->square;
done:
    return status;
}

rllc_status rllc_lanczos(void *context, rllc_operator apply, int64_t n, const int64_t *dim, const float *const *start,
                         int64_t steps, rllc_quadrature *out) {
    rllc_status status = RLLC_OK;
    run s = {.context = context, .apply = apply, .n = n};
    int64_t longest = 0;
    bool moved = true;
    for (int64_t i = 0; i < n; i++) {
        out[i] = (rllc_quadrature){0};
        longest = dim[i] > longest ? dim[i] : longest;
    }
    RLLC_TRY(rllc_alloc(&s.lanes, n, sizeof *s.lanes));
    RLLC_TRY(rllc_alloc(&s.which, n, sizeof *s.which));
    RLLC_TRY(rllc_alloc(&s.x, n, sizeof *s.x));
    RLLC_TRY(rllc_alloc(&s.y, n, sizeof *s.y));
    RLLC_TRY(rllc_alloc(&s.residual, longest, sizeof *s.residual));
    for (int64_t i = 0; i < n; i++) RLLC_TRY(open_lane(&s.lanes[i], dim[i], start[i], steps, s.residual));
    while (moved) RLLC_TRY(step(&s, &moved));
    for (int64_t i = 0; i < n; i++) RLLC_TRY(make_quadrature(&s.lanes[i], &out[i]));
done:
    for (int64_t i = 0; s.lanes && i < n; i++) close_lane(&s.lanes[i]);
    rllc_free(s.lanes);
    rllc_free(s.which);
    rllc_free(s.x);
    rllc_free(s.y);
    rllc_free(s.residual);
    if (status != RLLC_OK)
        for (int64_t i = 0; i < n; i++) rllc_quadrature_release(&out[i]);
    return status;
}
