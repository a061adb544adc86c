/*
 * The one inner loop of the matrix products and of attention: a tile of C that stays in registers.
 *
 *   C[i, j] = sum_p A[i, p] B[p, j]   or   C[i, j] += ...,   i < rows <= TILE_ROWS, j < columns <= TILE_COLUMNS
 *
 * A is read number by number, row stride `rs`, column stride `cs`; B row by row, whole vectors, row stride `bs` (so its
 * rows must be readable to the next whole vector). Every element is one chain of multiply-adds in the order of p:
 * its bits depend on its row of A, its column of B and k, and on nothing else.
 */
#ifndef RLLC_KERNELS_CPU_TILE_H
#define RLLC_KERNELS_CPU_TILE_H

#include "kernels/cpu/vector.h"

/* Accumulators in two vectors a row fill the registers: 28 of 32 with AVX-512, 12 of 16 otherwise. */
#if W == 16
#define TILE_ROWS 14
#else
#define TILE_ROWS 6
#endif
#define TILE_COLUMNS (2 * W)

typedef struct operand {
    const float *at;
    int64_t rs, cs;
} operand;

/* rows and vectors are constants at every call, so that the compiler unrolls over them. */
INLINE void tile_body(const int rows, const int vectors, int64_t k, operand a, const float *b, int64_t bs,
                      bool accumulate, float *c, int64_t ldc, int64_t columns) {
    vf sum[TILE_ROWS][2];
    const float *group[(TILE_ROWS + 2) / 3]; /* three rows a pointer: the addresses then fit in the registers */
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int j = 0; j < vectors; j++) sum[i][j] = v_splat(0);
    }
    UNROLL for (int i = 0; i < (rows + 2) / 3; i++) group[i] = a.at + 3 * i * a.rs;
    for (int64_t p = 0; p < k; p++) {
        vf bp[2];
        UNROLL for (int j = 0; j < vectors; j++) bp[j] = v_load(b + j * W);
        UNROLL for (int i = 0; i < rows; i++) {
            vf aip = v_splat(group[i / 3][(i % 3) * a.rs]);
            UNROLL for (int j = 0; j < vectors; j++) sum[i][j] = v_fma(aip, bp[j], sum[i][j]);
        }
        UNROLL for (int i = 0; i < (rows + 2) / 3; i++) group[i] += a.cs;
        b += bs;
    }
    UNROLL for (int i = 0; i < rows; i++) {
        UNROLL for (int j = 0; j < vectors; j++) {
            float *at = c + i * ldc + j * W;
            int64_t lanes = v_lanes(columns - j * W);
            v_store_lanes(at, accumulate ? v_load_lanes(at, lanes) + sum[i][j] : sum[i][j], lanes);
        }
    }
}

/* A comes as numbers: a struct passed by value goes through memory, and costs some 40 cycles a tile. */
typedef void tile_kernel(int64_t k, const float *a, int64_t rs, int64_t cs, const float *b, int64_t bs,
                         bool accumulate, float *c, int64_t ldc, int64_t columns);

#define TILE(ROWS, VECTORS)                                                                                          \
    static void tile_##ROWS##_##VECTORS(int64_t k, const float *a, int64_t rs, int64_t cs, const float *b, int64_t bs, \
                                        bool accumulate, float *c, int64_t ldc, int64_t columns) {                   \
        tile_body(ROWS, VECTORS, k, (operand){a, rs, cs}, b, bs, accumulate, c, ldc, columns);                       \
    }
#define TILES(ROWS) TILE(ROWS, 1) TILE(ROWS, 2)
#define TILE_PAIR(ROWS) {tile_##ROWS##_1, tile_##ROWS##_2}

TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
#if W == 16
TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12) TILES(13) TILES(14)
#endif

static tile_kernel *const tile_kernels[TILE_ROWS][2] = {
    TILE_PAIR(1), TILE_PAIR(2), TILE_PAIR(3), TILE_PAIR(4), TILE_PAIR(5), TILE_PAIR(6),
#if W == 16
    TILE_PAIR(7), TILE_PAIR(8), TILE_PAIR(9), TILE_PAIR(10), TILE_PAIR(11), TILE_PAIR(12), TILE_PAIR(13), TILE_PAIR(14),
#endif
};

INLINE void tile(int64_t rows, int64_t columns, int64_t k, operand a, const float *b, int64_t bs, bool accumulate,
                 float *c, int64_t ldc) {
    tile_kernels[rows - 1][columns > W](k, a.at, a.rs, a.cs, b, bs, accumulate, c, ldc, columns);
}

/* Tile i of n nearly equal ones over `total` rows begins here; tile_count gives n. */
INLINE int64_t tile_count(int64_t total) { return (total + TILE_ROWS - 1) / TILE_ROWS; }
INLINE int64_t tile_first(int64_t i, int64_t n, int64_t total) { return i * total / n; }

/* C[m, n] over all its tiles; B is [k, n] with rows readable to the next whole vector. */
INLINE void tiles(int64_t m, int64_t n, int64_t k, operand a, const float *b, int64_t bs, bool accumulate, float *c,
                  int64_t ldc) {
    int64_t count = tile_count(m);
    for (int64_t t = 0; t < count; t++) {
        int64_t i = tile_first(t, count, m), rows = tile_first(t + 1, count, m) - i;
        operand ai = {a.at + i * a.rs, a.rs, a.cs};
        for (int64_t j = 0; j < n; j += TILE_COLUMNS) {
            int64_t columns = n - j < TILE_COLUMNS ? n - j : TILE_COLUMNS;
            tile(rows, columns, k, ai, b + j, bs, accumulate, c + i * ldc + j, ldc);
        }
    }
}

#endif
