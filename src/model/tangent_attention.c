/* Tangents of causal attention, forward and back: a tile of queries at a time, all directions on the same tile. (E92)
 */
#include "tangent.h"

/** A head in one sequence, with the tile of queries first .. first+n-1, which see `keys` keys. */
struct tile {
    const rllc_kernels *k;
    int64_t d, ld, ldz; /* head width; strides of q, k, v and of z */
    int64_t at, at_z;   /* of the head's first row in qkv arrays and in z arrays */
    int64_t first, n, keys;
    float scale;
    const float *qkv;  /* primal q | k | v of the head's first row */
    const float *dz;   /* primal, of the tile's first query */
    float *A, *G, *dS; /* [n, keys]: weights; dA - sum_j A dA; A G */
    float *A1, *dS1;   /* their tangents along the direction in hand */
};

/** out [n, keys] = alpha a b^T + beta out; a at the tile's queries, b at the keys. */
static void outer(const struct tile *t, const float *a, int64_t lda, const float *b, int64_t ldb, float alpha,
                  float beta, float *out) {
    t->k->gemm(false, true, t->n, t->keys, t->d, alpha, a, lda, b, ldb, beta, out, t->keys);
}

/** out [n, D] = alpha m b + beta out, over the keys. */
static void gather(const struct tile *t, const float *m, const float *b, float alpha, float beta, float *out,
                   int64_t ldo) {
    t->k->gemm(false, false, t->n, t->d, t->keys, alpha, m, t->keys, b, t->ld, beta, out, ldo);
}

/** out [keys, D] += alpha m^T a, over the tile's queries. */
static void spread(const struct tile *t, const float *m, const float *a, int64_t lda, float alpha, float *out) {
    t->k->gemm(true, false, t->keys, t->d, t->n, alpha, m, t->keys, a, lda, 1.0F, out, t->ld);
}

static const float *queries(const struct tile *t, const float *qkv) {
    return qkv + t->first * t->ld;
}

/** Softmax over the keys that query i sees; 0 on the others. */
static void softmax_row(int64_t seen, int64_t keys, float *a) {
    float top = a[0];
    double sum = 0;
    for (int64_t j = 1; j < seen; j++) top = a[j] > top ? a[j] : top;
    for (int64_t j = 0; j < seen; j++) {
        a[j] = expf(a[j] - top);
        sum += (double)a[j];
    }
    for (int64_t j = 0; j < seen; j++) a[j] = (float)((double)a[j] / sum);
    for (int64_t j = seen; j < keys; j++) a[j] = 0;
}

static void weights(const struct tile *t) {
    outer(t, queries(t, t->qkv), t->ld, t->qkv + t->d, t->ld, t->scale, 0, t->A);
    for (int64_t r = 0; r < t->n; r++) softmax_row(t->first + r + 1, t->keys, t->A + r * t->keys);
}

/** A1 = A (S1 - sum_j A S1), S1 = scale (q1 k^T + q k1^T). */
static void weights_tangent(const struct tile *t, const float *qkv1) {
    outer(t, queries(t, qkv1), t->ld, t->qkv + t->d, t->ld, t->scale, 0, t->A1);
    outer(t, queries(t, t->qkv), t->ld, qkv1 + t->d, t->ld, t->scale, 1, t->A1);
    for (int64_t r = 0; r < t->n; r++) {
        const int64_t seen = t->first + r + 1;
        const float *a = t->A + r * t->keys;
        float *a1 = t->A1 + r * t->keys;
        double mean = 0;
        for (int64_t j = 0; j < seen; j++) mean += (double)a[j] * (double)a1[j];
        for (int64_t j = 0; j < seen; j++) a1[j] = (float)((double)a[j] * ((double)a1[j] - mean));
        for (int64_t j = seen; j < t->keys; j++) a1[j] = 0;
    }
}

/** G = dz v^T less its mean under A; dS = A G. */
static void scores_gradient(const struct tile *t) {
    outer(t, t->dz, t->ldz, t->qkv + 2 * t->d, t->ld, 1, 0, t->G);
    for (int64_t r = 0; r < t->n; r++) {
        const int64_t seen = t->first + r + 1;
        const float *a = t->A + r * t->keys;
        float *g = t->G + r * t->keys, *s = t->dS + r * t->keys;
        double mean = 0;
        for (int64_t j = 0; j < seen; j++) mean += (double)a[j] * (double)g[j];
        for (int64_t j = 0; j < seen; j++) {
            g[j] = (float)((double)g[j] - mean);
            s[j] = a[j] * g[j];
        }
        for (int64_t j = seen; j < t->keys; j++) s[j] = 0;
    }
}

/** dS1 = A1 G + A (H - sum_j (A1 G + A H)), H = dz1 v^T + dz v1^T. */
static void scores_gradient_tangent(const struct tile *t, const float *qkv1, const float *dz1) {
    outer(t, dz1, t->ldz, t->qkv + 2 * t->d, t->ld, 1, 0, t->dS1);
    outer(t, t->dz, t->ldz, qkv1 + 2 * t->d, t->ld, 1, 1, t->dS1);
    for (int64_t r = 0; r < t->n; r++) {
        const int64_t seen = t->first + r + 1, at = r * t->keys;
        const float *a = t->A + at, *a1 = t->A1 + at, *g = t->G + at;
        float *h = t->dS1 + at;
        double mean = 0;
        for (int64_t j = 0; j < seen; j++) mean += (double)a1[j] * (double)g[j] + (double)a[j] * (double)h[j];
        for (int64_t j = 0; j < seen; j++)
            h[j] = (float)((double)a1[j] * (double)g[j] + (double)a[j] * ((double)h[j] - mean));
        for (int64_t j = seen; j < t->keys; j++) h[j] = 0;
    }
}

/** dq1 "=", dk1 and dv1 "+=" of the tile, at out like qkv. */
static void projections_gradient_tangent(const struct tile *t, const float *qkv1, const float *dz1, float *out) {
    const float *k = t->qkv + t->d, *k1 = qkv1 + t->d;
    float *dq1 = out + t->first * t->ld, *dk1 = out + t->d, *dv1 = out + 2 * t->d;
    gather(t, t->dS1, k, t->scale, 0, dq1, t->ld);
    gather(t, t->dS, k1, t->scale, 1, dq1, t->ld);
    spread(t, t->dS1, queries(t, t->qkv), t->ld, t->scale, dk1);
    spread(t, t->dS, queries(t, qkv1), t->ld, t->scale, dk1);
    spread(t, t->A1, t->dz, t->ldz, 1, dv1);
    spread(t, t->A, dz1, t->ldz, 1, dv1);
}

/** Head i of s in sequence q of the block, without a tile yet. */
static struct tile tile_of(const rllc_tangent_pass *p, const rllc_layer_pass *s, int l, int64_t i, int64_t q) {
    const rllc_model_options *o = &p->e->model->options;
    const int64_t size = RLLC_TANGENT_TILE * p->e->t, h = s->heads[i];
    struct tile t = {.k = p->e->k, .d = o->d_head, .ld = s->ld, .ldz = o->n_heads * o->d_head};
    t.at = q * p->e->t * t.ld + h * 3 * t.d;
    t.at_z = q * p->e->t * t.ldz + h * t.d;
    t.scale = (float)rllc_attention_scale(t.d);
    t.qkv = p->a->qkv[l] + t.at;
    float **const parts[] = {&t.A, &t.G, &t.dS, &t.A1, &t.dS1};
    for (int64_t k = 0; k < 5; k++) *parts[k] = p->space->tiles + k * size;
    return t;
}

static bool next_tile(struct tile *t, int64_t all) {
    t->first += t->n;
    t->n = all - t->first < RLLC_TANGENT_TILE ? all - t->first : RLLC_TANGENT_TILE;
    t->keys = t->first + t->n;
    return t->n > 0;
}

void rllc_tangent_attend(const rllc_tangent_pass *p, const rllc_layer_pass *s, int l) {
    for (int64_t i = 0; i < s->n_heads; i++)
        for (int64_t q = 0; q < p->b->sequences; q++)
            for (struct tile t = tile_of(p, s, l, i, q); next_tile(&t, p->e->t);) {
                weights(&t);
                for (int64_t k = 0; k < p->n; k++) {
                    const rllc_tangent *x = &p->space->tangents[k];
                    const float *qkv1 = x->qkv[l] + t.at;
                    float *z1 = x->z[l] + t.at_z + t.first * t.ldz;
                    weights_tangent(&t, qkv1);
                    gather(&t, t.A1, t.qkv + 2 * t.d, 1, 0, z1, t.ldz);
                    gather(&t, t.A, qkv1 + 2 * t.d, 1, 1, z1, t.ldz);
                }
            }
}

void rllc_tangent_attend_backward(const rllc_tangent_pass *p, const rllc_layer_pass *s, int l) {
    const int64_t rows = p->b->rows;
    for (int64_t i = 0; i < s->n_heads; i++)
        for (int64_t q = 0; q < p->b->sequences; q++)
            for (struct tile t = tile_of(p, s, l, i, q); next_tile(&t, p->e->t);) {
                t.dz = p->ws->dz + t.at_z + t.first * t.ldz;
                weights(&t);
                scores_gradient(&t);
                for (int64_t k = 0; k < p->n; k++) {
                    const float *qkv1 = p->space->tangents[k].qkv[l] + t.at;
                    const float *dz1 = p->space->dz + k * rows * t.ldz + t.at_z + t.first * t.ldz;
                    float *out = p->space->dqkv + k * rows * t.ld + t.at;
                    weights_tangent(&t, qkv1);
                    scores_gradient_tangent(&t, qkv1, dz1);
                    projections_gradient_tangent(&t, qkv1, dz1, out);
                }
            }
}
