/*
 * Cross-entropy of logits that a low-rank term moves: attention with the vocabulary for keys. See (E79).
 *
 * Columns come in chunks, rows in tiles. For a chunk b is packed twice, as panels for the logits and by its columns for
 * dy; both stay in the second-level cache while the tiles of rows pass over them. A tile's logits become exponentials
 * where they lie, unnormalised, and are multiplied into dy while they are in the first level. What m needs of them, the
 * sum of their row, is known after the last chunk: they wait in `p`, chunk by chunk, and the factor goes to y.
 */
#ifndef RLLC_KERNELS_CPU_LOW_RANK_H
#define RLLC_KERNELS_CPU_LOW_RANK_H

#include "kernels/cpu/attention.h"

/* A row of a chunk is a little longer than its columns: rows 1 KiB apart would share their cache sets. */
enum { CHUNK_COLUMNS = 8 * TILE_COLUMNS, CHUNK_STRIDE = CHUNK_COLUMNS + 16 };

/* Exponents further than this from lse are formed again around the row's own maximum, as are sums smaller than that. */
#define LOW_RANK_FAR 60.0f
#define LOW_RANK_SMALL 1e-20f

typedef struct low_rank_state {
    const rllc_low_rank *x;
    bool gradient;
    int64_t chunks, width;      /* width: n rounded up to whole panels */
    float *panels;              /* [panel][n][TILE_COLUMNS] of b, a chunk */
    float *columns;             /* [n panel][CHUNK_COLUMNS][TILE_COLUMNS]: its transpose */
    float *p;                   /* [chunk][rows][CHUNK_STRIDE]; one chunk without gradient */
    float *dy, *fy;             /* [rows, width] sum of p b^T; y times the factor of its row */
    float *sum, *product, *max; /* [rows][W] of p, p u, and the exponents, lane by lane */
    float *shift, *target_u;    /* [rows] what exponents are formed around; u of the target */
} low_rank_state;

static int64_t low_rank_chunks(int64_t v) {
    return (v + CHUNK_COLUMNS - 1) / CHUNK_COLUMNS;
}

static int64_t low_rank_scratch(int64_t rows, int64_t v, int64_t n) {
    const int64_t width = round_up(n, TILE_COLUMNS), row = round_up(rows, 16);
    return CHUNK_COLUMNS * (round_up(n, 16) + width) + low_rank_chunks(v) * rows * CHUNK_STRIDE + 2 * row * width +
           3 * row * W + 2 * row + 16 * 16;
}

static void low_rank_lay_out(low_rank_state *s) {
    const rllc_low_rank *x = s->x;
    float *scratch = aligned(x->scratch);
    s->chunks = low_rank_chunks(x->v);
    s->width = round_up(x->n, TILE_COLUMNS);
    s->panels = take(&scratch, CHUNK_COLUMNS * x->n);
    s->columns = take(&scratch, CHUNK_COLUMNS * s->width);
    s->p = take(&scratch, s->chunks * x->rows * CHUNK_STRIDE);
    s->dy = take(&scratch, x->rows * s->width);
    s->fy = take(&scratch, x->rows * s->width);
    s->sum = take(&scratch, x->rows * W);
    s->product = take(&scratch, x->rows * W);
    s->max = take(&scratch, x->rows * W);
    s->shift = take(&scratch, x->rows);
    s->target_u = take(&scratch, x->rows);
}

static float *chunk_of(const low_rank_state *s, int64_t chunk) {
    return s->p + (s->gradient ? chunk : 0) * s->x->rows * CHUNK_STRIDE;
}

static int64_t columns_of(const low_rank_state *s, int64_t chunk) {
    return smaller(s->x->v - chunk * CHUNK_COLUMNS, CHUNK_COLUMNS);
}

/* b is read by rows of a chunk, contiguous; the transpose is made from the panels. */
static void low_rank_pack(const low_rank_state *s, int64_t chunk) {
    const rllc_low_rank *x = s->x;
    const int64_t columns = columns_of(s, chunk), n = x->n;
    pack_panels(n, columns, 1, x->b + chunk * CHUNK_COLUMNS, x->ldb, s->panels);
    for (int64_t q = 0; q < n && s->gradient; q += TILE_COLUMNS)
        for (int64_t j = 0; j < columns; j += TILE_COLUMNS)
            pack_panel_transposed(TILE_COLUMNS, smaller(n - q, TILE_COLUMNS), 1, s->panels + j * n + q * TILE_COLUMNS,
                                  TILE_COLUMNS, s->columns + q * CHUNK_COLUMNS + j * TILE_COLUMNS);
}

/* Part i of `count` of the next chunk of b is on its way from memory. */
static void prefetch_b(const low_rank_state *s, int64_t chunk, int64_t i, int64_t count) {
    const rllc_low_rank *x = s->x;
    if (chunk >= s->chunks) return;
    for (int64_t k = tile_first(i, count, x->n); k < tile_first(i + 1, count, x->n); k++)
        for (int64_t j = 0; j < columns_of(s, chunk); j += 16)
            __builtin_prefetch(x->b + k * x->ldb + chunk * CHUNK_COLUMNS + j, 0, 2);
}

/* The running sums of a row. */
typedef struct row_sums {
    vf sum, product, max;
} row_sums;

/* Vectors whose exponentials are formed side by side: each is one long chain. */
enum { ABREAST = W == 16 ? 4 : 2 };

/* From the moving part of u in `at`: at = exp(u + c - shift), and the sums. */
INLINE void exponentiate(float *at, const float *a, const float *c, vf scale, vf shift, row_sums *sums) {
    vf u[ABREAST], t[ABREAST];
    UNROLL for (int i = 0; i < ABREAST; i++) u[i] = v_fma(scale, v_load(a + i * W), v_load(at + i * W));
    UNROLL for (int i = 0; i < ABREAST; i++) t[i] = u[i] + v_load(c + i * W) - shift;
    UNROLL for (int i = 0; i < ABREAST; i++) sums[i & 1].max = v_max(sums[i & 1].max, t[i]);
    v_exp_abreast(ABREAST, t);
    UNROLL for (int i = 0; i < ABREAST; i++) {
        v_store(at + i * W, t[i]);
        sums[i & 1].sum += t[i];
        sums[i & 1].product = v_fma(t[i], u[i], sums[i & 1].product);
    }
}

/* The last vectors of the vocabulary, one by one. */
static void exponentiate_part(float *at, const float *a, const float *c, vf scale, vf shift, int64_t lanes,
                              row_sums *sums) {
    const vf u = v_fma(scale, v_load_lanes(a, lanes), v_load_lanes(at, lanes));
    vi inside;
    UNROLL for (int l = 0; l < W; l++) inside[l] = l < lanes ? -1 : 0;
    vf t = v_select(inside, u + v_load_lanes(c, lanes) - shift, v_splat(-INFINITY));
    sums->max = v_max(sums->max, t);
    v_exp_abreast(1, &t);
    v_store_lanes(at, t, lanes);
    sums->sum += t;
    sums->product = v_fma(t, u, sums->product);
}

/* A row of a chunk. */
static void exponentiate_row(const low_rank_state *s, int64_t r, int64_t chunk, float *at) {
    const rllc_low_rank *x = s->x;
    const int64_t first = chunk * CHUNK_COLUMNS, columns = columns_of(s, chunk), target = x->targets[r] - first;
    const float *a = x->a + r * x->lda + first, *c = x->c + first;
    const float scale = x->a_scale ? x->a_scale[r] : 1.0f;
    const vf scales = v_splat(scale), shift = v_splat(s->shift[r]);
    if (target >= 0 && target < columns) s->target_u[r] = scale * a[target] + at[target];
    row_sums sums[2] = {{v_load(s->sum + r * W), v_load(s->product + r * W), v_load(s->max + r * W)},
                        {v_splat(0), v_splat(0), v_load(s->max + r * W)}};
    int64_t j = 0;
    for (; j + ABREAST * W <= columns; j += ABREAST * W) exponentiate(at + j, a + j, c + j, scales, shift, sums);
    for (; j < columns; j += W) exponentiate_part(at + j, a + j, c + j, scales, shift, v_lanes(columns - j), sums);
    v_store(s->sum + r * W, sums[0].sum + sums[1].sum);
    v_store(s->product + r * W, sums[0].product + sums[1].product);
    v_store(s->max + r * W, v_max(sums[0].max, sums[1].max));
}

/* A row of a tile that follows is on its way from memory while this one is worked on. */
INLINE void prefetch_row(const low_rank_state *s, int64_t r, int64_t chunk) {
    const float *a = s->x->a + r * s->x->lda + chunk * CHUNK_COLUMNS;
    for (int64_t j = 0; j < columns_of(s, chunk); j += 16) __builtin_prefetch(a + j);
}

/* Rows i .. i + rows of a chunk: logits, exponentials, and their part of dy. */
static void low_rank_tile(const low_rank_state *s, int64_t i, int64_t rows, int64_t chunk) {
    const rllc_low_rank *x = s->x;
    const int64_t columns = columns_of(s, chunk);
    const operand y = {x->y + i * x->ldy, x->ldy, 1};
    float *p = chunk_of(s, chunk) + i * CHUNK_STRIDE;
    for (int64_t j = 0; j < columns; j += TILE_COLUMNS)
        tile(rows, smaller(columns - j, TILE_COLUMNS), x->n, y, s->panels + j * x->n, TILE_COLUMNS, false, p + j,
             CHUNK_STRIDE);
    for (int64_t r = 0; r < rows; r++) {
        if (i + r + rows < x->rows) prefetch_row(s, i + r + rows, chunk);
        if (x->targets[i + r] < 0)
            memset(p + r * CHUNK_STRIDE, 0, (size_t)columns * sizeof *p);
        else
            exponentiate_row(s, i + r, chunk, p + r * CHUNK_STRIDE);
    }
    for (int64_t q = 0; q < x->n && s->gradient; q += TILE_COLUMNS)
        tile(rows, smaller(x->n - q, TILE_COLUMNS), columns, (operand){p, CHUNK_STRIDE, 1},
             s->columns + q * CHUNK_COLUMNS, TILE_COLUMNS, chunk > 0, s->dy + i * s->width + q, s->width);
}

static void clear_row(const low_rank_state *s, int64_t r) {
    v_store(s->sum + r * W, v_splat(0));
    v_store(s->product + r * W, v_splat(0));
    v_store(s->max + r * W, v_splat(-INFINITY));
}

/* Whether the exponents of a row came out where a float resolves them; a NaN did not. */
static bool row_holds(const low_rank_state *s, int64_t r) {
    return v_largest(v_load(s->max + r * W)) <= LOW_RANK_FAR && v_sum(v_load(s->sum + r * W)) >= LOW_RANK_SMALL;
}

/* sum_p y_p b_pj for the columns of a chunk, in the order of the tiles. */
static void moving_part(const low_rank_state *s, int64_t r, int64_t chunk, float *at) {
    const rllc_low_rank *x = s->x;
    const int64_t columns = columns_of(s, chunk);
    const float *b = x->b + chunk * CHUNK_COLUMNS, *y = x->y + r * x->ldy;
    for (int64_t j = 0; j < columns; j += W) {
        const int64_t lanes = v_lanes(columns - j);
        vf u = v_splat(0);
        for (int64_t k = 0; k < x->n; k++) u = v_fma(v_splat(y[k]), v_load_lanes(b + k * x->ldb + j, lanes), u);
        v_store_lanes(at + j, u, lanes);
    }
}

/* A row again, around its own maximum: rare, so without tiles. */
static void redo_row(const low_rank_state *s, int64_t r) {
    const rllc_low_rank *x = s->x;
    s->shift[r] += v_largest(v_load(s->max + r * W));
    clear_row(s, r);
    if (s->gradient) memset(s->dy + r * s->width, 0, (size_t)x->n * sizeof *s->dy);
    for (int64_t chunk = 0; chunk < s->chunks; chunk++) {
        float *p = chunk_of(s, chunk) + r * CHUNK_STRIDE;
        const int64_t columns = columns_of(s, chunk);
        moving_part(s, r, chunk, p);
        exponentiate_row(s, r, chunk, p);
        for (int64_t k = 0; k < x->n && s->gradient; k++) {
            const float *b = x->b + k * x->ldb + chunk * CHUNK_COLUMNS;
            vf sum = v_splat(0);
            for (int64_t j = 0; j < columns; j += W) {
                const int64_t lanes = v_lanes(columns - j);
                sum = v_fma(v_load_lanes(p + j, lanes), v_load_lanes(b + j, lanes), sum);
            }
            s->dy[r * s->width + k] += v_sum(sum);
        }
    }
}

/* Loss, dy and g of a row, and what its exponentials are worth in m. */
static void finish_row(const low_rank_state *s, int64_t r) {
    const rllc_low_rank *x = s->x;
    const int32_t target = x->targets[r];
    float *fy = s->fy + r * s->width;
    if (target < 0) {
        x->loss[r] = 0;
        if (!s->gradient) return;
        x->g[r] = 0;
        memset(x->dy + r * x->lddy, 0, (size_t)x->n * sizeof *x->dy);
        memset(fy, 0, (size_t)s->width * sizeof *fy);
        return;
    }
    if (!row_holds(s, r)) redo_row(s, r);
    const double sum = (double)v_sum(v_load(s->sum + r * W)), u = (double)s->target_u[r];
    x->loss[r] = (float)((double)s->shift[r] - (double)x->c[target] - u + log(sum));
    if (!s->gradient) return;
    const float factor = (float)(x->gradient_scale / sum), one = (float)x->gradient_scale;
    x->g[r] = (float)((double)factor * (double)v_sum(v_load(s->product + r * W)) - x->gradient_scale * u);
    for (int64_t k = 0; k < x->n; k++) {
        x->dy[r * x->lddy + k] = factor * s->dy[r * s->width + k] - one * x->b[k * x->ldb + target];
        fy[k] = factor * x->y[r * x->ldy + k];
    }
    for (int64_t k = x->n; k < s->width; k++) fy[k] = 0;
}

/* Lines of the chunk after this one, part i of `count`, are on their way to the second level. */
static void prefetch_p(const low_rank_state *s, int64_t chunk, int64_t i, int64_t count) {
    if (chunk >= s->chunks) return;
    const int64_t lines = s->x->rows * CHUNK_STRIDE / 16;
    for (int64_t l = tile_first(i, count, lines); l < tile_first(i + 1, count, lines); l++)
        __builtin_prefetch(chunk_of(s, chunk) + 16 * l, 0, 2);
}

/* m += p^T (factor y), over all rows. */
static void low_rank_sums(const low_rank_state *s) {
    const rllc_low_rank *x = s->x;
    for (int64_t chunk = 0; chunk < s->chunks; chunk++) {
        const int64_t columns = columns_of(s, chunk), count = tile_count(columns);
        for (int64_t t = 0; t < count; t++) {
            const int64_t i = tile_first(t, count, columns), here = tile_first(t + 1, count, columns) - i;
            float *m = x->m + (chunk * CHUNK_COLUMNS + i) * x->n;
            for (int64_t j = 0; j < here * x->n; j += 16) __builtin_prefetch(m + j, 1);
            prefetch_p(s, chunk + 1, t, count);
            for (int64_t q = 0; q < x->n; q += TILE_COLUMNS)
                tile(here, smaller(x->n - q, TILE_COLUMNS), x->rows, (operand){chunk_of(s, chunk) + i, 1, CHUNK_STRIDE},
                     s->fy + q, s->width, true, m + q, x->n);
        }
    }
}

/* ... and the targets, row by row. */
static void low_rank_targets(const rllc_low_rank *x) {
    const float one = (float)x->gradient_scale;
    for (int64_t r = 0; r < x->rows; r++) {
        if (x->targets[r] < 0) continue;
        for (int64_t k = 0; k < x->n; k++) x->m[x->targets[r] * x->n + k] -= one * x->y[r * x->ldy + k];
    }
}

static void low_rank_loss(const rllc_low_rank *x) {
    low_rank_state s = {.x = x, .gradient = x->gradient_scale != 0};
    const int64_t count = tile_count(x->rows);
    low_rank_lay_out(&s);
    for (int64_t r = 0; r < x->rows; r++) {
        clear_row(&s, r);
        s.shift[r] = x->lse[r];
    }
    for (int64_t chunk = 0; chunk < s.chunks; chunk++) {
        low_rank_pack(&s, chunk);
        for (int64_t t = 0; t < count; t++) {
            const int64_t i = tile_first(t, count, x->rows);
            prefetch_b(&s, chunk + 1, t, count);
            low_rank_tile(&s, i, tile_first(t + 1, count, x->rows) - i, chunk);
        }
    }
    for (int64_t r = 0; r < x->rows; r++) finish_row(&s, r);
    if (!s.gradient) return;
    low_rank_sums(&s);
    low_rank_targets(x);
}

#endif
