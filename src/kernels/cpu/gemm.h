/*
 * Matrix product: blocks of op(B) are packed into panels that stay in the second-level cache, and tiles run over them.
 *
 * Loops, from the outside: columns by BLOCK_COLUMNS, k by BLOCK_DEPTH, rows by tiles, columns by panels. So each
 * element is summed in blocks of BLOCK_DEPTH, each a chain in the order of k: its bits depend on its row of op(A), its
 * column of op(B) and k. They do not depend on m, n, strides, transposition, alignment or thread.
 * After Goto & van de Geijn 2008, with the roles of A and B exchanged: a few rows of A stay in the first level.
 */
#ifndef RLLC_KERNELS_CPU_GEMM_H
#define RLLC_KERNELS_CPU_GEMM_H

#include "kernels/cpu/tile.h"

/* The packed block: 512 KiB with AVX-512, 256 KiB with AVX2, 128 KiB else; half a second-level cache or less. */
enum { BLOCK_DEPTH = 256, BLOCK_PANELS = 16, BLOCK_COLUMNS = BLOCK_PANELS * TILE_COLUMNS };

/*
 * alpha times a panel of op(B), [depth, columns] -> [depth, TILE_COLUMNS]. Here the columns of op(B) are rows of B:
 * W x W squares are transposed.
 */
static void pack_panel_transposed(int64_t depth, int64_t columns, float alpha, const float *b, int64_t ldb,
                                  float *panel) {
    for (int64_t j = 0; j < TILE_COLUMNS; j += W) {
        for (int64_t p = 0; p < depth; p += W) {
            vf square[W];
            int64_t lanes = v_lanes(depth - p);
            UNROLL for (int i = 0; i < W; i++) {
                square[i] = j + i < columns ? alpha * v_load_lanes(b + (j + i) * ldb + p, lanes) : v_splat(0);
            }
            v_transpose(square);
            if (lanes == W) {
                UNROLL for (int i = 0; i < W; i++) *(vf *)(panel + (p + i) * TILE_COLUMNS + j) = square[i];
            } else {
                for (int i = 0; i < lanes; i++) *(vf *)(panel + (p + i) * TILE_COLUMNS + j) = square[i];
            }
        }
    }
}

/* Row by row of B, each contiguous: the panels are written side by side. */
static void pack_panels(int64_t depth, int64_t columns, float alpha, const float *b, int64_t ldb, float *block) {
    for (int64_t p = 0; p < depth; p++, b += ldb) {
        int64_t j = 0;
        for (; j + TILE_COLUMNS <= columns; j += TILE_COLUMNS) {
            *(vf *)(block + j * depth + p * TILE_COLUMNS) = alpha * v_load(b + j);
            *(vf *)(block + j * depth + p * TILE_COLUMNS + W) = alpha * v_load(b + j + W);
        }
        if (j == columns) continue;
        const int64_t left = columns - j, low = left < W ? left : W;
        *(vf *)(block + j * depth + p * TILE_COLUMNS) = alpha * v_load_part(b + j, low);
        *(vf *)(block + j * depth + p * TILE_COLUMNS + W) = alpha * v_load_part(b + j + low, left - low);
    }
}

/* Panels [depth, TILE_COLUMNS] one after another, the last one filled with zero columns. */
static void pack_block(bool tb, int64_t depth, int64_t columns, float alpha, const float *b, int64_t ldb,
                       float *block) {
    if (!tb) {
        pack_panels(depth, columns, alpha, b, ldb, block);
        return;
    }
    for (int64_t j = 0; j < columns; j += TILE_COLUMNS) {
        int64_t here = columns - j < TILE_COLUMNS ? columns - j : TILE_COLUMNS;
        pack_panel_transposed(depth, here, alpha, b + j * ldb, ldb, block + j * depth);
    }
}

/*
 * Some rows of op(A) are copied together: of a transposed A always, of a plain A when its rows lie at a multiple of
 * 4 KiB. Read in place, their lines would evict each other from the first-level cache.
 */
enum { ROWS_STRIDE = W * ((TILE_ROWS + W - 1) / W), DEPTH_STRIDE = BLOCK_DEPTH + 16 };

/* `readable` numbers stand in a row of the stored A from here on, of which the first `rows` are wanted. */
static operand pack_columns_of_a(int64_t rows, int64_t readable, int64_t depth, const float *a, int64_t lda,
                                 float *packed) {
    for (int64_t i = 0; i < rows; i += W) {
        const int64_t lanes = v_lanes(readable - i);
        for (int64_t p = 0; p < depth; p++) {
            *(vf *)(packed + p * ROWS_STRIDE + i) = v_load_lanes(a + p * lda + i, lanes);
        }
    }
    return (operand){packed, 1, ROWS_STRIDE};
}

static operand pack_rows_of_a(int64_t rows, int64_t depth, const float *a, int64_t lda, float *packed) {
    for (int64_t i = 0; i < rows; i++) memcpy(packed + i * DEPTH_STRIDE, a + i * lda, (size_t)depth * sizeof *a);
    return (operand){packed, DEPTH_STRIDE, 1};
}

static operand rows_of_a(bool ta, int64_t rows, int64_t readable, int64_t depth, const float *a, int64_t lda,
                         float *packed) {
    if (ta) return pack_columns_of_a(rows, readable, depth, a, lda, packed);
    if (lda % 1024 == 0) return pack_rows_of_a(rows, depth, a, lda, packed);
    return (operand){a, lda, 1};
}

static void scale_matrix(int64_t m, int64_t n, float beta, float *c, int64_t ldc) {
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta == 0 ? 0 : beta * c[i * ldc + j];
    }
}

/* A tile of C is on its way from memory while its sums are formed. */
INLINE void prefetch_tile(int64_t rows, const float *c, int64_t ldc) {
    for (int64_t i = 0; i < rows; i++) {
        __builtin_prefetch(c + i * ldc, 1);
        __builtin_prefetch(c + i * ldc + W, 1);
    }
}

/* All rows of C, the columns of one packed block. */
static void multiply_block(bool ta, int64_t m, int64_t columns, int64_t depth, const float *a, int64_t lda,
                           const float *block, bool accumulate, float *c, int64_t ldc) {
    float packed[BLOCK_DEPTH * ROWS_STRIDE + 16 * TILE_ROWS] __attribute__((aligned(64)));
    int64_t count = tile_count(m);
    for (int64_t t = 0; t < count; t++) {
        int64_t i = tile_first(t, count, m), rows = tile_first(t + 1, count, m) - i;
        operand ai = rows_of_a(ta, rows, m - i, depth, ta ? a + i : a + i * lda, lda, packed);
        for (int64_t j = 0; j < columns; j += TILE_COLUMNS) {
            int64_t here = columns - j < TILE_COLUMNS ? columns - j : TILE_COLUMNS;
            prefetch_tile(rows, c + i * ldc + j, ldc);
            tile(rows, here, depth, ai, block + j * depth, TILE_COLUMNS, accumulate, c + i * ldc + j, ldc);
        }
    }
}

static void gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                 const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    float block[BLOCK_DEPTH * BLOCK_COLUMNS] __attribute__((aligned(64)));
    if (k <= 0 || (beta != 0 && beta != 1)) scale_matrix(m, n, beta, c, ldc);
    for (int64_t j = 0; j < n; j += BLOCK_COLUMNS) {
        int64_t columns = n - j < BLOCK_COLUMNS ? n - j : BLOCK_COLUMNS;
        for (int64_t p = 0; p < k; p += BLOCK_DEPTH) {
            int64_t depth = k - p < BLOCK_DEPTH ? k - p : BLOCK_DEPTH;
            pack_block(tb, depth, columns, alpha, tb ? b + j * ldb + p : b + p * ldb + j, ldb, block);
            multiply_block(ta, m, columns, depth, ta ? a + p * lda : a + p, lda, block, p > 0 || beta != 0,
                           c + j, ldc);
        }
    }
}

#endif
