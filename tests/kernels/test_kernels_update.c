/* Sums over arrays and parameter updates: every table against ref, and bits that do not depend on the place. */
#include "kernels_test.h"

static const int64_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 257, 1000};
enum { N_SIZES = sizeof sizes / sizeof *sizes };

static void test_add_agrees_with_ref(void **state) {
    (void)state;
    for (int i = 0; i < N_SIZES; i++) {
        const int64_t n = sizes[i];
        float *x = normal_array(n, 1, 1), *y = normal_array(n + 1, 2, 1), *expected = copy_array(y, n + 1);
        rllc_kernels_ref.add(n, x, expected);
        FOR_EACH_FAST_TABLE(table) {
            float *sum = copy_array(y, n + 1);
            table->add(n, x, sum);
            assert_true(same_bits(sum, expected, n + 1)); /* one rounding each: the same bits */
        }
    }
}

static void test_add_rows_agrees_with_ref(void **state) {
    (void)state;
    for (int64_t c = 1; c < 40; c += 6) {
        float *x = normal_array(9 * (c + 2), 1, 1), *y = normal_array(9 * (c + 5), 2, 1);
        float *expected = copy_array(y, 9 * (c + 5));
        rllc_kernels_ref.add_rows(9, c, x, c + 2, expected, c + 5);
        FOR_EACH_FAST_TABLE(table) {
            float *sum = copy_array(y, 9 * (c + 5));
            table->add_rows(9, c, x, c + 2, sum, c + 5);
            assert_true(same_bits(sum, expected, 9 * (c + 5)));
        }
    }
}

static void test_column_sum_agrees_with_ref(void **state) {
    (void)state;
    const int64_t rows[] = {0, 1, 2, 63, 64, 65, 300};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int64_t c = 1; c < 40; c += 6) {
            float *x = normal_array(rows[i] * (c + 2), 1, 1), *sum = normal_array(c + 1, 2, 1);
            float *expected = copy_array(sum, c + 1);
            rllc_kernels_ref.column_sum(rows[i], c, x, c + 2, expected);
            FOR_EACH_FAST_TABLE(table) {
                float *got = copy_array(sum, c + 1);
                table->column_sum(rows[i], c, x, c + 2, got);
                double bound = 2e-6 * (1 + sqrt((double)rows[i]));
                ASSERT_AT_MOST(distance(got, expected, c + 1), bound, "%s: %ld rows", table->name, (long)rows[i]);
            }
        }
    }
}

static void test_sum_squares_agrees_with_ref(void **state) {
    (void)state;
    for (int i = 0; i < N_SIZES; i++) {
        float *x = shifted_array(normal_array(sizes[i], 1, 1), sizes[i]);
        double expected = rllc_kernels_ref.sum_squares(sizes[i], x);
        FOR_EACH_FAST_TABLE(table) {
            double got = table->sum_squares(sizes[i], x);
            ASSERT_AT_MOST(fabs(got - expected), 1e-14 * expected, "%s: %ld numbers", table->name, (long)sizes[i]);
        }
    }
}

static void test_sum_squares_tells_of_numbers_that_are_not_finite(void **state) {
    (void)state;
    FOR_EACH_TABLE(table) {
        for (int64_t at = 0; at < 45; at++) {
            float *x = normal_array(45, 1, 1e30); /* squares beyond floats are finite in double */
            assert_true(isfinite(table->sum_squares(45, x)));
            x[at] = at % 2 ? NAN : -INFINITY;
            assert_false(isfinite(table->sum_squares(45, x)));
        }
    }
}

/* ---- AdamW ----------------------------------------------------------------------------------------------- */

typedef struct moments {
    float *w, *m, *v;
} moments;

static moments run_adamw(const rllc_kernels *k, int64_t n, int64_t steps, double weight_decay) {
    moments x = {normal_array(n, 1, 0.1), array(n), array(n)};
    for (int64_t i = 0; i < n; i++) x.m[i] = x.v[i] = 0;
    for (int64_t step = 1; step <= steps; step++) {
        float *g = normal_array(n, 100 + (uint64_t)step, 1e-3);
        rllc_adamw_step s = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = weight_decay,
                             .correction1 = 1 - pow(0.9, (double)step), .correction2 = 1 - pow(0.999, (double)step)};
        k->adamw(n, &s, g, x.w, x.m, x.v);
    }
    return x;
}

/* The steps themselves are 1e-3 in size; 3e-8 is half a unit of w, and the rounding of ten steps. */
static void test_adamw_agrees_with_ref(void **state) {
    (void)state;
    for (int i = 0; i < N_SIZES; i++) {
        const int64_t n = sizes[i];
        moments expected = run_adamw(&rllc_kernels_ref, n, 10, 0.05);
        FOR_EACH_FAST_TABLE(table) {
            moments x = run_adamw(table, n, 10, 0.05);
            ASSERT_AT_MOST(distance(x.w, expected.w, n), 6e-8, "%s: w, %ld", table->name, (long)n);
            ASSERT_AT_MOST(distance(x.m, expected.m, n), 1e-9, "%s: m, %ld", table->name, (long)n);
            ASSERT_AT_MOST(distance(x.v, expected.v, n), 1e-13, "%s: v, %ld", table->name, (long)n);
        }
        release_arrays();
    }
}

/* A first step moves every weight by lr against the sign of its gradient: m / sqrt(v) is 1 whatever its size. */
static void test_adamw_first_step_is_lr(void **state) {
    (void)state;
    FOR_EACH_TABLE(table) {
        float w[20], g[20], m[20] = {0}, v[20] = {0};
        for (int i = 0; i < 20; i++) {
            w[i] = 0;
            g[i] = (i % 2 ? 1.0f : -1.0f) * powf(10, (float)(i % 7) - 4);
        }
        rllc_adamw_step s = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-12, .correction1 = 0.1,
                             .correction2 = 1e-3};
        table->adamw(20, &s, g, w, m, v);
        for (int i = 0; i < 20; i++) ASSERT_AT_MOST(fabs((double)w[i] + (i % 2 ? 1e-3 : -1e-3)), 1e-9, "%d", i);
    }
}

/* ---- SGLD ------------------------------------------------------------------------------------------------ */

static const rllc_sgld_step usual = {.lr = 1e-3, .nbeta = 30, .localization = 200, .weight_decay = 0.5,
                                     .noise_level = 1};

static float *run_sgld(const rllc_kernels *k, int64_t n, const rllc_sgld_step *s, const float *g, const float *eta) {
    float *w0 = normal_array(n, 2, 1), *w = normal_array(n, 3, 0.05);
    for (int64_t i = 0; i < n; i++) w[i] += w0[i];
    k->sgld(n, s, g, w0, eta, w);
    return w;
}

static void test_sgld_agrees_with_ref(void **state) {
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        rllc_sgld_step s = usual;
        if (variant & 1) s.noise_level = 0;
        if (variant & 2) s.bounding_box = 0.03;
        for (int i = 0; i < N_SIZES; i++) {
            const int64_t n = sizes[i];
            float *g = normal_array(n, 4, 1), *eta = variant & 1 ? NULL : normal_array(n, 5, 1);
            float *expected = run_sgld(&rllc_kernels_ref, n, &s, g, eta);
            FOR_EACH_FAST_TABLE(table) {
                float *w = run_sgld(table, n, &s, g, eta);
                ASSERT_AT_MOST(distance(w, expected, n), 5e-7, "%s: %ld", table->name, (long)n);
            }
        }
        release_arrays();
    }
}

/* Twice the loss at half nbeta is the same posterior, to the bit. */
static void test_sgld_doubled_loss_with_half_nbeta_is_the_same(void **state) {
    (void)state;
    rllc_sgld_step half = usual;
    half.nbeta = usual.nbeta / 2;
    float *g = normal_array(100, 4, 1), *doubled = normal_array(100, 4, 2), *eta = normal_array(100, 5, 1);
    FOR_EACH_TABLE(table) {
        assert_true(same_bits(run_sgld(table, 100, &usual, g, eta), run_sgld(table, 100, &half, doubled, eta), 100));
    }
}

static void test_sgld_stays_in_its_box(void **state) {
    (void)state;
    rllc_sgld_step s = usual;
    s.bounding_box = 0.01;
    float *g = normal_array(200, 4, 1), *eta = normal_array(200, 5, 1), *w0 = normal_array(200, 2, 1);
    FOR_EACH_TABLE(table) {
        float *w = run_sgld(table, 200, &s, g, eta);
        int on_the_wall = 0;
        for (int i = 0; i < 200; i++) {
            double off = fabs((double)w[i] - (double)w0[i]);
            ASSERT_AT_MOST(off, 0.01 + 2e-7, "%s: %d", table->name, i);
            on_the_wall += off > 0.01 - 2e-7;
        }
        assert_true(on_the_wall > 50 && on_the_wall < 200);
        g[7] = NAN; /* a NaN is not clamped away */
        assert_true(isnan(run_sgld(table, 200, &s, g, eta)[7]));
        g[7] = 0;
    }
}

/* ---- place ----------------------------------------------------------------------------------------------- */

/* An update in pieces, at any alignment, is the update in one: a component samples as it does in the whole model. */
static void test_updates_do_not_depend_on_the_place(void **state) {
    (void)state;
    enum { N = 203 };
    rllc_adamw_step a = {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.05,
                         .correction1 = 0.19, .correction2 = 0.002};
    rllc_sgld_step s = usual;
    s.bounding_box = 0.05;
    float *g = normal_array(N, 1, 1), *w0 = normal_array(N, 2, 1), *eta = normal_array(N, 3, 1);
    float *m0 = normal_array(N, 4, 1), *v0 = normal_array(N, 5, 1);
    for (int i = 0; i < N; i++) v0[i] *= v0[i];
    FOR_EACH_TABLE(table) {
        float *w = copy_array(w0, N), *m = copy_array(m0, N), *v = copy_array(v0, N), *u = copy_array(m0, N);
        float *w2 = copy_array(w0, N), *m2 = copy_array(m0, N), *v2 = copy_array(v0, N), *u2 = copy_array(m0, N);
        table->adamw(N, &a, g, w, m, v);
        table->sgld(N, &s, g, w0, eta, u);
        for (int64_t i = 0, piece = 1; i < N; i += piece, piece = piece % 37 + 5) {
            if (piece > N - i) piece = N - i;
            table->adamw(piece, &a, g + i, w2 + i, m2 + i, v2 + i);
            table->sgld(piece, &s, g + i, w0 + i, eta + i, u2 + i);
        }
        assert_true(same_bits(w, w2, N) && same_bits(m, m2, N) && same_bits(v, v2, N) && same_bits(u, u2, N));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_add_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_add_rows_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_column_sum_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_sum_squares_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_sum_squares_tells_of_numbers_that_are_not_finite, teardown),
        cmocka_unit_test_teardown(test_adamw_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_adamw_first_step_is_lr, teardown),
        cmocka_unit_test_teardown(test_sgld_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_sgld_doubled_loss_with_half_nbeta_is_the_same, teardown),
        cmocka_unit_test_teardown(test_sgld_stays_in_its_box, teardown),
        cmocka_unit_test_teardown(test_updates_do_not_depend_on_the_place, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
