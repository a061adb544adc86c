/* Cross-entropy of logits that a low-rank term moves (E79): ref against its parts, every table against ref. */
#include "kernels_test.h"

/* ---- problems and outcomes ----------------------------------------------------------------------------------- */

enum { GUARD = 16 }; /* numbers behind the scratch that must stay as they are */

static int32_t targets_of[512];

/* lse: that of the frozen part, which is nearby. Every seventh row has no prediction. */
static rllc_low_rank make(int64_t rows, int64_t v, int64_t n, int64_t pad, bool scaled) {
    float *a = normal_array(rows * (v + pad), 1, 1.5), *c = normal_array(v, 2, 1), *lse = array(rows);
    float *scale = normal_array(rows, 3, 0.2);
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        scale[r] += 1;
        for (int64_t j = 0; j < v; j++) sum += exp((double)a[r * (v + pad) + j] + (double)c[j]);
        lse[r] = (float)log(sum);
        targets_of[r] = r % 7 == 5 ? -1 : (int32_t)((r * 11 + v / 2) % v);
    }
    return (rllc_low_rank){.rows = rows,
                           .v = v,
                           .n = n,
                           .a = a,
                           .lda = v + pad,
                           .a_scale = scaled ? scale : NULL,
                           .y = normal_array(rows * (n + pad), 4, 0.5),
                           .ldy = n + pad,
                           .b = normal_array(n * (v + pad), 5, 0.3),
                           .ldb = v + pad,
                           .c = c,
                           .lse = lse,
                           .targets = targets_of,
                           .gradient_scale = 0.25,
                           .lddy = n + pad};
}

/* x with its results: m begins as noise, everything else as NaN. */
static rllc_low_rank run(const rllc_kernels *k, rllc_low_rank x) {
    const int64_t scratch = k->low_rank_scratch(x.rows, x.v, x.n);
    float *memory = array(scratch + GUARD), *const guard = memory + scratch;
    x.scratch = memory;
    x.loss = array(x.rows);
    x.dy = array(x.rows * x.lddy);
    x.g = array(x.rows);
    x.m = normal_array(x.v * x.n, 6, 1);
    k->low_rank_loss(&x);
    for (int64_t i = 0; i < GUARD; i++) assert_true(isnan(guard[i]));
    for (int64_t r = 0; r < x.rows; r++)
        for (int64_t i = x.n; i < x.lddy; i++) assert_true(isnan(x.dy[r * x.lddy + i]));
    return x;
}

/* The same from rows first .. first + rows. */
static rllc_low_rank part(rllc_low_rank x, int64_t first, int64_t rows) {
    x.rows = rows;
    x.a += first * x.lda;
    x.y += first * x.ldy;
    x.lse += first;
    x.targets += first;
    if (x.a_scale) x.a_scale += first;
    return x;
}

static double entry(const rllc_low_rank *x, int64_t r, int64_t j) {
    double u = (x->a_scale ? (double)x->a_scale[r] : 1) * (double)x->a[r * x->lda + j];
    for (int64_t p = 0; p < x->n; p++) u += (double)x->y[r * x->ldy + p] * (double)x->b[p * x->ldb + j];
    return u;
}

/* What float arithmetic loses of a row: the size of its logits. */
static double size_of_row(const rllc_low_rank *x, int64_t r) {
    double size = 1;
    for (int64_t j = 0; j < x->v; j++) size = fmax(size, fabs(entry(x, r, j)) + fabs((double)x->c[j]));
    return size;
}

static void compare(const char *name, const rllc_low_rank *x, const rllc_low_rank *y, double relative) {
    double most = 1;
    for (int64_t r = 0; r < x->rows; r++) {
        const double size = size_of_row(x, r), bound = relative * size;
        most = fmax(most, size);
        ASSERT_AT_MOST(distance(x->loss + r, y->loss + r, 1), bound, "%s: loss %ld of %ld x %ld, rank %ld", name,
                       (long)r, (long)x->rows, (long)x->v, (long)x->n);
        ASSERT_AT_MOST(distance(x->dy + r * x->lddy, y->dy + r * y->lddy, x->n), bound, "%s: dy, %ld of %ld x %ld",
                       name, (long)r, (long)x->rows, (long)x->v);
        ASSERT_AT_MOST(distance(x->g + r, y->g + r, 1), 4 * bound, "%s: g %ld of %ld x %ld", name, (long)r,
                       (long)x->rows, (long)x->v);
    }
    ASSERT_AT_MOST(distance(x->m, y->m, x->v * x->n), relative * most * (1 + largest(x->m, x->v * x->n)),
                   "%s: m, %ld x %ld, rank %ld", name, (long)x->rows, (long)x->v, (long)x->n);
}

/* ---- ref ------------------------------------------------------------------------------------------------------- */

/* The same from scale_rows, gemm and cross_entropy, with all logits at once. */
static void test_low_rank_ref_is_cross_entropy_of_the_assembled_logits(void **state) {
    (void)state;
    const rllc_kernels *k = &rllc_kernels_ref;
    const int64_t rows = 23, v = 57, n = 9;
    for (int scaled = 0; scaled < 2; scaled++) {
        const rllc_low_rank x = run(k, make(rows, v, n, 3, scaled));
        rllc_low_rank e = x;
        float *u = array(rows * v), *l, *ones = array(rows);
        for (int64_t r = 0; r < rows; r++) ones[r] = 1;
        k->scale_rows(rows, v, scaled ? x.a_scale : ones, x.a, x.lda, u, v);
        k->gemm(false, false, rows, v, n, 1, x.y, x.ldy, x.b, x.ldb, 1, u, v);
        l = copy_array(u, rows * v);
        k->add_rows(rows, v, x.c, 0, l, v);
        e.loss = array(rows), e.dy = array(rows * n), e.g = array(rows), e.lddy = n, e.m = normal_array(v * n, 6, 1);
        k->cross_entropy(rows, v, l, v, x.targets, x.gradient_scale, e.loss, NULL); /* l is delta now */
        k->gemm(false, true, rows, n, v, 1, l, v, x.b, x.ldb, 0, e.dy, n);
        k->row_dots(rows, v, l, v, u, v, e.g);
        k->gemm(true, false, v, n, rows, 1, l, v, x.y, x.ldy, 1, e.m, n);
        compare("assembled", &x, &e, 1e-6);
    }
}

/* The sum of ref's losses times gradient_scale, each in its own precision of a float. */
static double objective(const rllc_low_rank *x) {
    rllc_low_rank only = *x;
    double sum = 0;
    only.gradient_scale = 0;
    only.loss = array(x->rows);
    rllc_kernels_ref.low_rank_loss(&only);
    for (int64_t r = 0; r < x->rows; r++) sum += (double)only.loss[r];
    return sum * x->gradient_scale;
}

static double slope(const rllc_low_rank *x, float *at) {
    const float kept = *at, high = kept + 1.0f / 64, low = kept - 1.0f / 64;
    *at = high;
    double change = objective(x);
    *at = low;
    change -= objective(x);
    *at = kept;
    return change / ((double)high - (double)low);
}

/* dy by y, m by b, and g by a common factor on a and y. */
static void test_low_rank_ref_gradients_are_derivatives(void **state) {
    (void)state;
    const int64_t rows = 3, v = 11, n = 4;
    const rllc_low_rank x = make(rows, v, n, 2, true);
    float *y = copy_array(x.y, rows * x.ldy), *b = copy_array(x.b, n * x.ldb);
    rllc_low_rank moved = x;
    moved.y = y, moved.b = b;
    const rllc_low_rank e = run(&rllc_kernels_ref, x);
    const float *m0 = normal_array(v * n, 6, 1);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t p = 0; p < n; p++)
            ASSERT_AT_MOST(fabs(slope(&moved, y + r * x.ldy + p) - (double)e.dy[r * e.lddy + p]), 1e-5, "dy");
    for (int64_t p = 0; p < n; p++)
        for (int64_t j = 0; j < v; j++)
            ASSERT_AT_MOST(fabs(slope(&moved, b + p * x.ldb + j) + (double)m0[j * n + p] - (double)e.m[j * n + p]),
                           1e-5, "m");
    for (int64_t r = 0; r < rows; r++) {
        double change = 0;
        for (int side = -1; side <= 1; side += 2) {
            float scale = x.a_scale[r] * (1 + (float)side / 64);
            float *row = copy_array(x.y + r * x.ldy, n);
            for (int64_t p = 0; p < n; p++) row[p] *= 1 + (float)side / 64;
            rllc_low_rank alone = part(x, r, 1);
            alone.a_scale = &scale, alone.y = row;
            change += side * objective(&alone);
        }
        ASSERT_AT_MOST(fabs(32 * change - (double)e.g[r]), 3e-4, "g of row %ld", (long)r);
    }
}

/* ---- every table against ref ----------------------------------------------------------------------------------- */

static void check(rllc_low_rank x, double relative) {
    const rllc_low_rank e = run(&rllc_kernels_ref, x);
    FOR_EACH_FAST_TABLE(k) {
        const rllc_low_rank r = run(k, x);
        compare(k->name, &e, &r, relative);
    }
}

static void test_low_rank_agrees_with_ref(void **state) {
    (void)state;
    const int64_t rows[] = {1, 2, 7, 13, 64, 65, 129, 300}, ranks[] = {1, 3, 16, 17, 31, 32, 33, 64, 100};
    const int64_t sizes[] = {1, 2, 15, 16, 17, 63, 64, 65, 127, 129, 255, 256, 257, 300, 512, 513, 700};
    const int64_t pads[] = {0, 1, 3, 16};
    size_t i = 0;
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++, i++) {
            check(make(rows[r], sizes[s], ranks[i % 9], pads[i % 4], i % 3 > 0), 2e-6);
            release_arrays();
        }
}

/* An lse that is off moves nothing but what exponents are formed around. */
static void test_low_rank_wherever_lse_stands(void **state) {
    (void)state;
    const float off[] = {0,  1,   30,  45,  47,  59,  61,  80,  88,   100,  1e4f,
                         -1, -30, -45, -47, -59, -61, -80, -88, -100, -1e4f};
    rllc_low_rank x = make(21, 300, 17, 1, true);
    const float *near = x.lse;
    float *lse = copy_array(near, 21);
    x.lse = lse;
    for (int64_t r = 0; r < 21; r++) targets_of[r] = (int32_t)(r * 13);
    for (int64_t r = 0; r < 21; r++) lse[r] = near[r] + off[r];
    check(x, 2e-6);
    for (int64_t one = 0; one < 21; one++) { /* among tame ones */
        for (int64_t r = 0; r < 21; r++) lse[r] = near[r] + (r == 10 ? off[one] : 0);
        check(x, 2e-6);
    }
}

/* The frozen or the moving part carries the logits far from lse: all of them, or apart from each other. */
static void test_low_rank_of_extreme_logits(void **state) {
    (void)state;
    const float sizes[] = {1e2f, 1e4f, -1e2f, -1e4f};
    for (int i = 0; i < 12; i++) {
        rllc_low_rank x = make(9, 270, 5, 0, false);
        float *a = copy_array(x.a, 9 * 270), *y = copy_array(x.y, 9 * 5);
        for (int64_t r = 0; r < 9; r++) {
            if (i < 8 && r != 4) continue; /* one row among tame ones */
            for (int64_t j = 0; j < 270 && i % 8 < 4; j++) a[r * 270 + j] += sizes[i % 4];
            for (int64_t p = 0; p < 5 && i % 8 >= 4; p++) y[r * 5 + p] *= sizes[i % 4];
        }
        x.a = a, x.y = y;
        check(x, 4e-6);
        FOR_EACH_TABLE(k) {
            const rllc_low_rank e = run(k, x);
            for (int64_t r = 0; r < 9; r++) {
                assert_true(isfinite(e.loss[r]) && isfinite(e.g[r]));
                for (int64_t p = 0; p < 5; p++) assert_true(isfinite(e.dy[r * 5 + p]));
            }
        }
        release_arrays();
    }
}

static void test_low_rank_of_equal_logits(void **state) {
    (void)state;
    const int64_t sizes[] = {1, 16, 77, 700};
    for (size_t i = 0; i < 4; i++) {
        const int64_t v = sizes[i];
        for (int far = 0; far < 2; far++) {
            rllc_low_rank x = make(4, v, 3, 0, false);
            float *a = array(4 * v), *c = array(v), *y = array(4 * 3);
            for (int64_t j = 0; j < 4 * v; j++) a[j] = far ? 1000 : 0;
            for (int64_t j = 0; j < v; j++) c[j] = 0;
            for (int64_t j = 0; j < 12; j++) y[j] = 0;
            x.a = a, x.c = c, x.y = y;
            FOR_EACH_TABLE(k) {
                const rllc_low_rank e = run(k, x);
                for (int64_t r = 0; r < 4; r++) {
                    ASSERT_AT_MOST(fabs((double)e.loss[r] - log((double)v)), far ? 1e-4 : 1e-6, "%s", k->name);
                    ASSERT_AT_MOST(fabs((double)e.g[r]), far ? 1e-3 : 0, "%s: g", k->name);
                    for (int64_t p = 0; p < 3; p++) {
                        double mean = 0;
                        for (int64_t j = 0; j < v; j++) mean += (double)x.b[p * v + j] / (double)v;
                        const double dy = 0.25 * (mean - (double)x.b[p * v + x.targets[r]]);
                        ASSERT_AT_MOST(fabs((double)e.dy[r * 3 + p] - dy), 1e-6, "%s: dy", k->name);
                    }
                }
                assert_true(same_bits(e.m, normal_array(v * 3, 6, 1), v * 3)); /* y = 0 */
            }
            release_arrays();
        }
    }
}

/* ---- rows and their company -------------------------------------------------------------------------------------- */

static void assert_same_row(const rllc_kernels *k, const rllc_low_rank *x, int64_t i, const rllc_low_rank *y,
                            int64_t j) {
    if (!same_bits(x->loss + i, y->loss + j, 1) || !same_bits(x->g + i, y->g + j, 1) ||
        !same_bits(x->dy + i * x->lddy, y->dy + j * y->lddy, x->n))
        fail_msg("%s: row %ld of %ld and row %ld of %ld differ (%ld logits, rank %ld)", k->name, (long)i, (long)x->rows,
                 (long)j, (long)y->rows, (long)x->v, (long)x->n);
}

typedef enum sickness { NAN_IN_A, NAN_IN_LAST_A, NAN_IN_Y, NAN_IN_SCALE, INFINITE_A, INFINITE_Y, N_SICK } sickness;

static rllc_low_rank sicken(rllc_low_rank x, sickness s, int64_t row) {
    float *a = copy_array(x.a, x.rows * x.lda), *y = copy_array(x.y, x.rows * x.ldy);
    float *scale = copy_array(x.a_scale, x.rows);
    if (s == NAN_IN_A) a[row * x.lda + x.v / 3] = NAN;
    if (s == NAN_IN_LAST_A) a[row * x.lda + x.v - 1] = NAN;
    if (s == NAN_IN_Y) y[row * x.ldy + x.n / 2] = NAN;
    if (s == NAN_IN_SCALE) scale[row] = NAN;
    if (s == INFINITE_A) a[row * x.lda + x.v / 3] = INFINITY;
    if (s == INFINITE_Y) y[row * x.ldy] = INFINITY;
    x.a = a, x.y = y, x.a_scale = scale;
    return x;
}

static void test_low_rank_keeps_a_nan_in_its_row(void **state) {
    (void)state;
    const int64_t sizes[] = {40, 256, 301};
    for (size_t i = 0; i < 3; i++)
        for (sickness s = 0; s < N_SICK; s++) {
            const rllc_low_rank x = make(40, sizes[i], 19, 1, true), sick = sicken(x, s, 17);
            FOR_EACH_TABLE(k) {
                const rllc_low_rank well = run(k, x), e = run(k, sick);
                for (int64_t r = 0; r < 40; r++)
                    if (r != 17) assert_same_row(k, &e, r, &well, r);
                if (!isnan(e.loss[17])) fail_msg("%s: sickness %d: loss %g", k->name, (int)s, (double)e.loss[17]);
            }
            release_arrays();
        }
}

static void test_low_rank_rows_without_prediction_give_nothing(void **state) {
    (void)state;
    for (sickness s = 0; s < N_SICK; s++) {
        const rllc_low_rank x = make(40, 261, 19, 1, true), sick = sicken(x, s, 12);
        assert_true(x.targets[12] < 0);
        FOR_EACH_TABLE(k) {
            const rllc_low_rank well = run(k, x), e = run(k, sick);
            for (int64_t r = 0; r < 40; r++) {
                assert_same_row(k, &e, r, &well, r);
                if (x.targets[r] >= 0) continue;
                assert_true(e.loss[r] == 0 && e.g[r] == 0);
                for (int64_t p = 0; p < 19; p++) assert_true(e.dy[r * e.lddy + p] == 0);
            }
            assert_true(same_bits(e.m, well.m, 261 * 19));
        }
        release_arrays();
    }
    rllc_low_rank none = make(5, 33, 4, 0, false);
    for (int r = 0; r < 5; r++) targets_of[r] = -1;
    FOR_EACH_TABLE(k) {
        const rllc_low_rank e = run(k, none);
        assert_true(same_bits(e.m, normal_array(33 * 4, 6, 1), 33 * 4));
    }
}

/* The same rows at other strides, and one float off every alignment. */
static rllc_low_rank spread(rllc_low_rank x, int64_t pad) {
    float *a = array(x.rows * (x.v + pad) + 1) + 1, *y = array(x.rows * (x.n + pad) + 1) + 1;
    float *b = array(x.n * (x.v + pad) + 1) + 1;
    for (int64_t r = 0; r < x.rows; r++) {
        memcpy(a + r * (x.v + pad), x.a + r * x.lda, (size_t)x.v * sizeof *a);
        memcpy(y + r * (x.n + pad), x.y + r * x.ldy, (size_t)x.n * sizeof *y);
    }
    for (int64_t p = 0; p < x.n; p++) memcpy(b + p * (x.v + pad), x.b + p * x.ldb, (size_t)x.v * sizeof *b);
    x.a = a, x.y = y, x.b = b, x.c = shifted_array(x.c, x.v);
    x.lda = x.ldb = x.v + pad;
    x.ldy = x.n + pad;
    x.lddy = x.n + 2 * pad;
    return x;
}

/* Alone, in parts of any size, at other strides, beside rows that are done again: the same bits. Rows 3 and 20 are. */
static void test_low_rank_rows_do_not_depend_on_company(void **state) {
    (void)state;
    const int64_t shapes[][2] = {{40, 3}, {256, 16}, {301, 33}, {700, 64}};
    for (size_t i = 0; i < 4; i++)
        for (int scaled = 0; scaled < 2; scaled++) {
            const rllc_low_rank tame = make(29, shapes[i][0], shapes[i][1], 0, scaled), wide = spread(tame, 5);
            float *lse = copy_array(tame.lse, 29);
            rllc_low_rank x = tame;
            lse[3] += 200, lse[20] -= 200;
            x.lse = lse;
            FOR_EACH_TABLE(k) {
                const rllc_low_rank whole = run(k, x), calm = run(k, tame), other = run(k, wide);
                for (int64_t r = 0; r < 29; r++) {
                    const rllc_low_rank one = run(k, part(x, r, 1));
                    assert_same_row(k, &whole, r, &one, 0);
                    assert_same_row(k, &other, r, &calm, r);
                    if (r != 3 && r != 20) assert_same_row(k, &calm, r, &whole, r);
                }
                for (int64_t first = 0, n = 2; first + n <= 29; first += n, n += 3) {
                    const rllc_low_rank some = run(k, part(x, first, n));
                    for (int64_t r = 0; r < n; r++) assert_same_row(k, &whole, first + r, &some, r);
                }
            }
            release_arrays();
        }
}

/* Twice, and without a gradient, for which the arrays may be absent. */
static void test_low_rank_gives_the_same_bits_again(void **state) {
    (void)state;
    const int64_t shapes[][3] = {{1, 1, 1}, {50, 257, 17}, {129, 700, 32}};
    for (size_t i = 0; i < 3; i++) {
        const int64_t rows = shapes[i][0], v = shapes[i][1], n = shapes[i][2];
        rllc_low_rank x = make(rows, v, n, 1, true);
        float *lse = copy_array(x.lse, rows);
        lse[rows / 2] += 300;
        x.lse = lse;
        FOR_EACH_TABLE(k) {
            const rllc_low_rank first = run(k, x), again = run(k, x);
            for (int64_t r = 0; r < rows; r++) assert_same_row(k, &first, r, &again, r);
            assert_true(same_bits(first.m, again.m, v * n));
            rllc_low_rank only = first;
            only.gradient_scale = 0;
            only.loss = array(rows);
            only.dy = only.g = only.m = NULL;
            only.scratch = array(k->low_rank_scratch(rows, v, n));
            k->low_rank_loss(&only);
            assert_true(same_bits(only.loss, first.loss, rows));
        }
        release_arrays();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_low_rank_ref_is_cross_entropy_of_the_assembled_logits, teardown),
        cmocka_unit_test_teardown(test_low_rank_ref_gradients_are_derivatives, teardown),
        cmocka_unit_test_teardown(test_low_rank_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_low_rank_wherever_lse_stands, teardown),
        cmocka_unit_test_teardown(test_low_rank_of_extreme_logits, teardown),
        cmocka_unit_test_teardown(test_low_rank_of_equal_logits, teardown),
        cmocka_unit_test_teardown(test_low_rank_keeps_a_nan_in_its_row, teardown),
        cmocka_unit_test_teardown(test_low_rank_rows_without_prediction_give_nothing, teardown),
        cmocka_unit_test_teardown(test_low_rank_rows_do_not_depend_on_company, teardown),
        cmocka_unit_test_teardown(test_low_rank_gives_the_same_bits_again, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
