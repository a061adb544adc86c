/*
 * Causal attention of one head over one sequence, in blocks of queries that never meet in a T x T matrix.
 *
 * Vectors run over queries: scores, weights and their gradients are kept transposed, S^T[key, query], so that maxima,
 * sums and corrections of a row of S are plain vector operations, and a block of S^T stays in the first-level cache.
 * First every operand is gathered: keys, values (and, backward, queries and dz) as [T, D] rows padded with zeros to
 * whole vectors, queries (and dz) also as panels [D, TILE_COLUMNS] of transposed rows. See docs/kernels.md.
 */
#ifndef RLLC_KERNELS_CPU_ATTENTION_H
#define RLLC_KERNELS_CPU_ATTENTION_H

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/rows.h"

enum { FORWARD_KEYS = 128, BACKWARD_KEYS = 8 * TILE_ROWS, BACKWARD_QUERIES = 4 * W };

INLINE int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* The next n floats of a scratch area that begins aligned. */
static float *take(float **scratch, int64_t n) {
    float *part = *scratch;
    *scratch += round_up(n, 16);
    return part;
}

static float *aligned(float *scratch) {
    return (float *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
}

static int64_t attention_scratch(int64_t t, int64_t d) {
    int64_t rows = round_up(t * round_up(d, W), 16), panels = round_up(round_up(t, BACKWARD_QUERIES) * d, 16);
    int64_t forward = panels + 2 * rows + FORWARD_KEYS * TILE_COLUMNS + round_up(d, W) * TILE_COLUMNS + W * W;
    int64_t backward = 2 * panels + 6 * rows + (BACKWARD_KEYS + TILE_ROWS) * BACKWARD_QUERIES +
                       2 * round_up(t, BACKWARD_QUERIES) + BACKWARD_QUERIES * round_up(d, W);
    return (forward > backward ? forward : backward) + 16 * 16;
}

/* [t, d] at stride ld -> [t, width], the columns from d on zero, times scale. */
static void gather(int64_t t, int64_t d, const float *x, int64_t ld, float scale, float *rows, int64_t width) {
    for (int64_t i = 0; i < t; i++) {
        for (int64_t e = 0; e < d; e += W) {
            *(vf *)(rows + i * width + e) = scale * v_load_lanes(x + i * ld + e, v_lanes(d - e));
        }
    }
}

/* scale times [t, d] at stride ld -> panels [ceil(t / TILE_COLUMNS)][d][TILE_COLUMNS]; queries past t are zero. */
static void gather_panels(int64_t t, int64_t t_padded, int64_t d, const float *x, int64_t ld, float scale,
                          float *panels) {
    for (int64_t i = 0; i < t_padded; i += TILE_COLUMNS) {
        int64_t here = t - i < 0 ? 0 : smaller(t - i, TILE_COLUMNS);
        pack_panel_transposed(d, here, scale, x + i * ld, ld, panels + i * d);
    }
}

/* Writes a [rows, d] block whose rows lie `width` apart. */
static void scatter(int64_t rows, int64_t d, const float *x, int64_t width, float *out, int64_t ld) {
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t e = 0; e < d; e += W) v_store_lanes(out + i * ld + e, v_load(x + i * width + e), v_lanes(d - e));
    }
}

INLINE operand skip_rows(operand a, int64_t n) { return (operand){a.at + n * a.rs, a.rs, a.cs}; }
INLINE operand skip_columns(operand a, int64_t n) { return (operand){a.at + n * a.cs, a.rs, a.cs}; }

/* Lane l of vector c of a panel is query first + c W + l; -1 in lanes whose query may see the key. */
INLINE vi sees(int64_t first_query, int c, int64_t key) {
    vi lane;
    UNROLL for (int l = 0; l < W; l++) lane[l] = l;
    return lane >= v_splat_int((int32_t)(key - first_query - c * W));
}

/* ---- forward --------------------------------------------------------------------------------------------- */

/* The running maximum and sum of exponentials of each query of a panel. */
typedef struct softmax_state {
    vf max[2], sum[2];
} softmax_state;

/*
 * Turns column c, W queries from first_query + c W on, of a block of scores S^T[keys, panel] into exp(S - max) with the
 * maximum so far, and gives the factor by which what was summed before must shrink. A key that a query may not see
 * gets weight 0; keys that none of the column sees are left alone.
 */
static vf softmax_column(softmax_state *state, int c, int64_t first_query, int64_t first_key, int64_t keys, float *s) {
    vf *column = (vf *)s + c;
    const int64_t diagonal = first_query + c * W + 1 - first_key; /* keys that every query of the column sees */
    const int64_t seen = smaller(keys, diagonal + W - 1);         /* keys that any of them sees */
    for (int64_t j = diagonal > 0 ? diagonal : 0; j < seen; j++) {
        column[2 * j] = v_select(sees(first_query, c, first_key + j), column[2 * j], v_splat(-INFINITY));
    }
    vf max = state->max[c], other = max, sum = v_splat(0);
    for (int64_t j = 0; j + 1 < seen; j += 2) {
        max = v_max(max, column[2 * j]);
        other = v_max(other, column[2 * j + 2]);
    }
    max = v_max(max, other);
    if (seen > 0) max = v_max(max, column[2 * (seen - 1)]);
    for (int64_t j = 0; j < seen; j++) {
        vf weight = v_exp_below(column[2 * j] - max);
        column[2 * j] = weight;
        sum += weight;
    }
    const vf factor = v_exp_below(state->max[c] - max);
    state->sum[c] = v_fma(state->sum[c], factor, sum);
    state->max[c] = max;
    return factor;
}

/* z of one panel: z^T[d, panel] / sum, transposed into rows of out; and lse. */
static void finish_panel(const softmax_state *state, int64_t queries, int64_t d, const float *zt, float *out,
                         int64_t ldz, float *lse) {
    for (int c = 0; c < 2 && c * W < queries; c++) {
        int64_t rows = v_lanes(queries - c * W);
        vf inverse = v_splat(1.0f) / state->sum[c];
        v_store_lanes(lse + c * W, state->max[c] + v_log(state->sum[c]), rows);
        for (int64_t e = 0; e < d; e += W) {
            vf square[W];
            UNROLL for (int i = 0; i < W; i++) square[i] = v_load(zt + (e + i) * TILE_COLUMNS + c * W) * inverse;
            v_transpose(square);
            for (int64_t i = 0; i < rows; i++) {
                v_store_lanes(out + (c * W + i) * ldz + e, square[i], v_lanes(d - e));
            }
        }
    }
}

static void attention_forward(int64_t t, int64_t d, double scale, const float *q, const float *k, const float *v,
                              int64_t ld, float *z, int64_t ldz, float *lse, float *scratch) {
    int64_t width = round_up(d, W), t_padded = round_up(t, TILE_COLUMNS);
    scratch = aligned(scratch);
    float *rows = take(&scratch, t * width), *values = take(&scratch, t * width);
    float *panels = take(&scratch, t_padded * d), *s = take(&scratch, FORWARD_KEYS * TILE_COLUMNS);
    float *zt = take(&scratch, width * TILE_COLUMNS);
    memset(zt, 0, (size_t)(width * TILE_COLUMNS) * sizeof *zt);
    gather_panels(t, t_padded, d, q, ld, (float)scale, panels);
    gather(t, d, k, ld, 1, rows, width);
    gather(t, d, v, ld, 1, values, width);
    for (int64_t i = 0; i < t; i += TILE_COLUMNS) {
        int64_t queries = smaller(t - i, TILE_COLUMNS), visible = i + queries;
        softmax_state state = {{v_splat(-INFINITY), v_splat(-INFINITY)}, {v_splat(0), v_splat(0)}};
        for (int64_t j = 0; j < visible; j += FORWARD_KEYS) {
            int64_t keys = smaller(visible - j, FORWARD_KEYS);
            const int64_t both = smaller(keys, i + W - j); /* later keys are hidden from the first W queries */
            const operand k_rows = {rows + j * width, width, 1}, v_columns = {values + j * width, 1, width};
            vf factor[2];
            tiles(both, TILE_COLUMNS, d, k_rows, panels + i * d, TILE_COLUMNS, false, s, TILE_COLUMNS);
            tiles(keys - both, W, d, skip_rows(k_rows, both), panels + i * d + W, TILE_COLUMNS, false,
                  s + both * TILE_COLUMNS + W, TILE_COLUMNS);
            for (int c = 0; c < 2; c++) factor[c] = softmax_column(&state, c, i, j, keys, s);
            for (int64_t e = 0; e < d && j > 0; e++) {
                UNROLL for (int c = 0; c < 2; c++) ((vf *)(zt + e * TILE_COLUMNS))[c] *= factor[c];
            }
            tiles(d, TILE_COLUMNS, both, v_columns, s, TILE_COLUMNS, j > 0, zt, TILE_COLUMNS);
            if (keys > both) {
                tiles(d, W, keys - both, skip_columns(v_columns, both), s + both * TILE_COLUMNS + W, TILE_COLUMNS, true,
                      zt + W, TILE_COLUMNS);
            }
        }
        finish_panel(&state, queries, d, zt, z + i * ldz, ldz, lse + i);
    }
}

/* ---- backward -------------------------------------------------------------------------------------------- */

/* What attention_backward gathers and sums into; see attention_scratch. */
typedef struct backward_arrays {
    int64_t width;                             /* of a row: d rounded up to whole vectors */
    float *q_rows, *k_rows, *v_rows, *dz_rows; /* [t, width]; the queries times scale */
    float *q_panels, *dz_panels;               /* [panel][d][TILE_COLUMNS] */
    float *dk, *dv, *dq;                       /* [t, width]; dq [BACKWARD_QUERIES, width], without scale */
    float *lse, *dots;                         /* [t], filled with zeros to whole blocks */
    float *p, *ds;                             /* [TILE_ROWS or BACKWARD_KEYS, BACKWARD_QUERIES] */
} backward_arrays;

/*
 * From S^T in p and dA^T in ds, [keys, BACKWARD_QUERIES] both: p = A^T = exp(S^T - lse), ds = A^T (dA^T - D), in the
 * columns from `skip` to `queries`; 0 where the query may not see the key. Scores it sees are at most lse.
 */
static void weights_tile(int64_t first_query, int64_t skip, int64_t queries, int64_t first_key, int64_t keys,
                         const float *lse, const float *dots, float *p, float *ds) {
    for (int64_t c = skip / W; c * W < queries; c++) {
        vf lse_c = v_load(lse + c * W), dots_c = v_load(dots + c * W);
        for (int64_t j = 0; j < keys; j++) {
            vf *p_at = (vf *)(p + j * BACKWARD_QUERIES) + c, *ds_at = (vf *)(ds + j * BACKWARD_QUERIES) + c;
            vf weight = v_exp_below(*p_at - lse_c), change = weight * (*ds_at - dots_c);
            if (first_key + j > first_query + c * W) {
                vi seen = sees(first_query, (int)c, first_key + j);
                weight = (vf)((vi)weight & seen);
                change = (vf)((vi)change & seen);
            }
            *p_at = weight;
            *ds_at = change;
        }
    }
}

/*
 * A tile of keys j .. j + keys against the block of queries from i on:
 *   S^T = k q^T;  dA^T = v dz^T;  dv += A^T dz;  dk += dS^T q
 * ds gets dS^T. Queries before the first key see none of the tile: they are skipped, by whole vectors or exactly.
 */
static void backward_tile(const backward_arrays *x, int64_t d, int64_t i, int64_t queries, int64_t j, int64_t keys,
                          float *ds) {
    const int64_t width = x->width, skip = j > i ? j - i : 0, hidden = skip / W * W;
    const operand k_rows = {x->k_rows + j * width, width, 1}, v_rows = {x->v_rows + j * width, width, 1};
    for (int64_t r = 0; r < keys && hidden > 0; r++) memset(ds + r * BACKWARD_QUERIES, 0, (size_t)hidden * sizeof *ds);
    for (int64_t c = hidden, next; c < queries; c = next) {
        const int64_t lane = c % TILE_COLUMNS, panel = (i + c - lane) * d + lane;
        next = c + TILE_COLUMNS - lane;
        tile(keys, next - c, d, k_rows, x->q_panels + panel, TILE_COLUMNS, false, x->p + c, BACKWARD_QUERIES);
        tile(keys, next - c, d, v_rows, x->dz_panels + panel, TILE_COLUMNS, false, ds + c, BACKWARD_QUERIES);
    }
    weights_tile(i, hidden, queries, j, keys, x->lse + i, x->dots + i, x->p, ds);
    tiles(keys, width, queries - skip, (operand){x->p + skip, BACKWARD_QUERIES, 1}, x->dz_rows + (i + skip) * width,
          width, true, x->dv + j * width, width);
    tiles(keys, width, queries - skip, (operand){ds + skip, BACKWARD_QUERIES, 1}, x->q_rows + (i + skip) * width,
          width, true, x->dk + j * width, width);
}

/* The block of queries from i on against the keys j .. j + keys: the tiles above, then dq += dS k. */
static void backward_block(const backward_arrays *x, int64_t d, int64_t i, int64_t queries, int64_t j, int64_t keys) {
    const int64_t width = x->width;
    int64_t count = tile_count(keys);
    for (int64_t n = 0; n < count; n++) {
        int64_t r = tile_first(n, count, keys), rows = tile_first(n + 1, count, keys) - r;
        backward_tile(x, d, i, queries, j + r, rows, x->ds + r * BACKWARD_QUERIES);
    }
    count = tile_count(queries);
    for (int64_t n = 0; n < count; n++) {
        int64_t r = tile_first(n, count, queries), end = tile_first(n + 1, count, queries);
        int64_t visible = smaller(keys, i + end - j);
        if (visible <= 0) continue;
        tiles(end - r, width, visible, (operand){x->ds + r, 1, BACKWARD_QUERIES}, x->k_rows + j * width, width, true,
              x->dq + r * width, width);
    }
}

static void attention_backward(int64_t t, int64_t d, double scale, const float *q, const float *k, const float *v,
                               int64_t ld, const float *z, const float *dz, int64_t ldz, const float *lse, float *dq,
                               float *dk, float *dv, int64_t ldd, float *scratch) {
    int64_t width = round_up(d, W), t_padded = round_up(t, BACKWARD_QUERIES);
    scratch = aligned(scratch);
    backward_arrays x = {.width = width};
    float **rows[] = {&x.q_rows, &x.k_rows, &x.v_rows, &x.dz_rows, &x.dk, &x.dv};
    for (int r = 0; r < 6; r++) *rows[r] = take(&scratch, t * width);
    x.q_panels = take(&scratch, t_padded * d);
    x.dz_panels = take(&scratch, t_padded * d);
    x.dq = take(&scratch, BACKWARD_QUERIES * width);
    x.lse = take(&scratch, t_padded);
    x.dots = take(&scratch, t_padded);
    x.p = take(&scratch, TILE_ROWS * BACKWARD_QUERIES);
    x.ds = take(&scratch, BACKWARD_KEYS * BACKWARD_QUERIES);
    gather(t, d, q, ld, (float)scale, x.q_rows, width);
    gather(t, d, k, ld, 1, x.k_rows, width);
    gather(t, d, v, ld, 1, x.v_rows, width);
    gather(t, d, dz, ldz, 1, x.dz_rows, width);
    gather_panels(t, t_padded, d, x.q_rows, width, 1, x.q_panels);
    gather_panels(t, t_padded, d, x.dz_rows, width, 1, x.dz_panels);
    memset(x.dk, 0, (size_t)(t * width) * sizeof *x.dk);
    memset(x.dv, 0, (size_t)(t * width) * sizeof *x.dv);
    memset(x.lse, 0, (size_t)t_padded * sizeof *x.lse);
    memset(x.dots, 0, (size_t)t_padded * sizeof *x.dots);
    memcpy(x.lse, lse, (size_t)t * sizeof *x.lse);
    row_dots(t, d, z, ldz, dz, ldz, x.dots); /* D_i = dz_i . z_i */
    for (int64_t i = 0; i < t; i += BACKWARD_QUERIES) {
        int64_t queries = smaller(t - i, BACKWARD_QUERIES);
        memset(x.dq, 0, (size_t)(queries * width) * sizeof *x.dq);
        for (int64_t j = 0; j < i + queries; j += BACKWARD_KEYS) {
            backward_block(&x, d, i, queries, j, smaller(i + queries - j, BACKWARD_KEYS));
        }
        for (int64_t r = 0; r < queries * width; r += W) *(vf *)(x.dq + r) *= (float)scale;
        scatter(queries, d, x.dq, width, dq + i * ldd, ldd);
    }
    scatter(t, d, x.dk, width, dk, ldd);
    scatter(t, d, x.dv, width, dv, ldd);
}

#endif
