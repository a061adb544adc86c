/* Kernels that work row by row: layer normalization and cross-entropy. */
#include <float.h>

#include "kernels_test.h"

/* ---- layer normalization --------------------------------------------------------------------------------- */

typedef struct norm {
    int64_t rows, c;
    float *x, *w, *b, *dy;                      /* in */
    float *y, *mean, *rstd, *dx, *dw, *db;      /* out; dx, dw, db begin as they are given */
} norm;

static norm make_norm(int64_t rows, int64_t c, double offset, double size) {
    norm n = {.rows = rows, .c = c, .x = normal_array(rows * c, 1, size), .w = normal_array(c, 2, 1)};
    for (int64_t i = 0; i < rows * c; i++) n.x[i] += (float)offset;
    n.b = normal_array(c, 3, 1);
    n.dy = normal_array(rows * c, 4, 1);
    return n;
}

static norm run_norm(const rllc_kernels *k, norm n) {
    n.y = array(n.rows * n.c);
    n.mean = array(n.rows);
    n.rstd = array(n.rows);
    n.dx = normal_array(n.rows * n.c, 5, 1);
    n.dw = normal_array(n.c, 6, 1);
    n.db = normal_array(n.c, 7, 1);
    k->layer_norm_forward(n.rows, n.c, n.x, n.w, n.b, 1e-5, n.y, n.mean, n.rstd);
    k->layer_norm_backward(n.rows, n.c, n.x, n.mean, n.rstd, n.w, n.dy, n.dx, n.dw, n.db);
    return n;
}

/* sum of y . dy in double, y from the formula */
static double norm_objective(const norm *n) {
    double objective = 0;
    for (int64_t r = 0; r < n->rows; r++) {
        double mu = 0, var = 0;
        for (int64_t j = 0; j < n->c; j++) mu += (double)n->x[r * n->c + j] / (double)n->c;
        for (int64_t j = 0; j < n->c; j++) var += pow((double)n->x[r * n->c + j] - mu, 2) / (double)n->c;
        for (int64_t j = 0; j < n->c; j++) {
            double y = ((double)n->x[r * n->c + j] - mu) / sqrt(var + 1e-5) * (double)n->w[j] + (double)n->b[j];
            objective += y * (double)n->dy[r * n->c + j];
        }
    }
    return objective;
}

static double slope(const norm *n, float *at) {
    float kept = *at, high = kept + 1e-3f, low = kept - 1e-3f;
    *at = high;
    double change = norm_objective(n);
    *at = low;
    change -= norm_objective(n);
    *at = kept;
    return change / ((double)high - (double)low);
}

static void test_layer_norm_ref_gradient_is_the_derivative(void **state) {
    (void)state;
    norm n = make_norm(3, 7, 0.5, 1), r = run_norm(&rllc_kernels_ref, n);
    float *dx0 = normal_array(21, 5, 1), *dw0 = normal_array(7, 6, 1), *db0 = normal_array(7, 7, 1);
    for (int64_t i = 0; i < 21; i++) {
        ASSERT_AT_MOST(fabs(slope(&n, n.x + i) + (double)dx0[i] - (double)r.dx[i]), 2e-5, "dx[%ld]", (long)i);
    }
    for (int64_t j = 0; j < 7; j++) {
        ASSERT_AT_MOST(fabs(slope(&n, n.w + j) + (double)dw0[j] - (double)r.dw[j]), 2e-6, "dw[%ld]", (long)j);
        ASSERT_AT_MOST(fabs(slope(&n, n.b + j) + (double)db0[j] - (double)r.db[j]), 2e-6, "db[%ld]", (long)j);
    }
}

static void check_norm(int64_t rows, int64_t c, double offset, double size, double relative) {
    norm n = make_norm(rows, c, offset, size), expected = run_norm(&rllc_kernels_ref, n);
    FOR_EACH_FAST_TABLE(table) {
        norm r = run_norm(table, n);
        const struct { const char *name; const float *x, *y; int64_t n; } pairs[] = {
            {"y", r.y, expected.y, rows * c},          {"mean", r.mean, expected.mean, rows},
            {"rstd", r.rstd, expected.rstd, rows},     {"dx", r.dx, expected.dx, rows * c},
            {"dw", r.dw, expected.dw, c},              {"db", r.db, expected.db, c}};
        for (int i = 0; i < 6; i++) {
            double bound = relative * (1 + largest(pairs[i].y, pairs[i].n));
            ASSERT_AT_MOST(distance(pairs[i].x, pairs[i].y, pairs[i].n), bound, "%s: %s, %ld x %ld", table->name,
                           pairs[i].name, (long)rows, (long)c);
        }
    }
    release_arrays();
}

static void test_layer_norm_agrees_with_ref(void **state) {
    (void)state;
    const int64_t rows[] = {1, 2, 7, 63, 64, 65, 200}, widths[] = {1, 2, 7, 8, 15, 16, 17, 32, 33, 64, 100, 256, 257};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t j = 0; j < sizeof widths / sizeof *widths; j++) check_norm(rows[i], widths[j], 0.3, 2, 2e-6);
    }
}

/* A constant row has variance 0: rstd = 1 / sqrt(eps). A mean of 1000 leaves x - mean three digits fewer. */
static void test_layer_norm_agrees_with_ref_at_extremes(void **state) {
    (void)state;
    check_norm(5, 37, 2, 0, 1e-6);
    check_norm(5, 37, 1000, 1, 1e-3);
    check_norm(5, 37, 0, 1e-12, 1e-5);
    check_norm(5, 37, 0, 1e12, 1e-5);
}

static void test_layer_norm_backward_needs_no_parameter_gradients(void **state) {
    (void)state;
    norm n = make_norm(70, 21, 0, 1);
    FOR_EACH_TABLE(table) {
        norm r = run_norm(table, n);
        float *dx = normal_array(70 * 21, 5, 1);
        table->layer_norm_backward(n.rows, n.c, n.x, r.mean, r.rstd, n.w, n.dy, dx, NULL, NULL);
        assert_true(same_bits(dx, r.dx, 70 * 21));
    }
}

/* w = b = NULL leaves the standardized row, and the same mean and rstd. */
static void test_layer_norm_forward_without_gain_and_bias(void **state) {
    (void)state;
    const int64_t widths[] = {1, 15, 16, 17, 64, 100};
    for (size_t i = 0; i < 6; i++) {
        norm n = make_norm(9, widths[i], 0.3, 2);
        float *expected = array(9 * n.c), *mean = array(9), *rstd = array(9);
        rllc_kernels_ref.layer_norm_forward(9, n.c, n.x, NULL, NULL, 1e-5, expected, mean, rstd);
        FOR_EACH_TABLE(table) {
            norm r = run_norm(table, n);
            float *y = array(9 * n.c);
            table->layer_norm_forward(9, n.c, n.x, NULL, NULL, 1e-5, y, mean, rstd);
            ASSERT_AT_MOST(distance(y, expected, 9 * n.c), 2e-6 * (1 + largest(expected, 9 * n.c)), "%s: %ld wide",
                           table->name, (long)n.c);
            assert_true(same_bits(mean, r.mean, 9) && same_bits(rstd, r.rstd, 9));
            for (int64_t j = 0; j < 9 * n.c; j++) { /* and y with them is what they make of it */
                const double with = (double)y[j] * (double)n.w[j % n.c] + (double)n.b[j % n.c];
                ASSERT_AT_MOST(fabs(with - (double)r.y[j]), 1e-6 * (1 + fabs(with)), "%s", table->name);
            }
        }
        release_arrays();
    }
}

/* ---- cross-entropy --------------------------------------------------------------------------------------- */

enum { PAD = 3 };

static int32_t target_of(int64_t row, int64_t v) {
    return row % 5 == 4 ? -1 : (int32_t)((row * 7 + 3) % v);
}

static float *run_cross_entropy(const rllc_kernels *k, int64_t rows, int64_t v, const float *logits, double scale,
                                float *loss, float *lse) {
    int32_t targets[64];
    float *x = copy_array(logits, rows * (v + PAD));
    for (int64_t r = 0; r < rows; r++) targets[r] = target_of(r, v);
    k->cross_entropy(rows, v, x, v + PAD, targets, scale, loss, lse);
    return x;
}

static void test_cross_entropy_ref_gradient_is_the_derivative(void **state) {
    (void)state;
    enum { V = 9 };
    float *logits = normal_array(V + PAD, 8, 2), loss;
    float *g = run_cross_entropy(&rllc_kernels_ref, 1, V, logits, 0.5, &loss, NULL);
    double sum = 0, total = 0;
    for (int j = 0; j < V; j++) sum += exp((double)logits[j]);
    int32_t target = target_of(0, V);
    ASSERT_AT_MOST(fabs(log(sum) - (double)logits[target] - (double)loss), 3e-7, "loss");
    for (int j = 0; j < V; j++) { /* d log(sum) / d l_j by central differences in double */
        double l = logits[j], rest = sum - exp(l), step = 1e-5;
        double derivative = (log(rest + exp(l + step)) - log(rest + exp(l - step))) / (2 * step);
        ASSERT_AT_MOST(fabs(0.5 * (derivative - (j == target)) - (double)g[j]), 1e-7, "gradient %d", j);
        total += (double)g[j];
    }
    ASSERT_AT_MOST(fabs(total), 1e-6, "sum of the gradient");
}

static void check_cross_entropy(int64_t rows, int64_t v, float *logits, double relative) {
    float *expected_loss = array(rows), *loss = array(rows), *expected_lse = array(rows), *lse = array(rows);
    float *expected = run_cross_entropy(&rllc_kernels_ref, rows, v, logits, 0.25, expected_loss, expected_lse);
    FOR_EACH_FAST_TABLE(table) {
        float *g = run_cross_entropy(table, rows, v, logits, 0.25, loss, lse);
        for (int64_t r = 0; r < rows; r++) {
            ASSERT_AT_MOST(distance(loss + r, expected_loss + r, 1), relative * (1 + fabs((double)expected_loss[r])),
                           "%s: loss %ld of %ld logits", table->name, (long)r, (long)v);
            ASSERT_AT_MOST(distance(lse + r, expected_lse + r, 1), 2e-7 * (1 + fabs((double)expected_lse[r])),
                           "%s: lse %ld of %ld logits", table->name, (long)r, (long)v);
        }
        ASSERT_AT_MOST(distance(g, expected, rows * (v + PAD)), relative, "%s: gradient, %ld logits", table->name,
                       (long)v);
        for (int64_t end = v; end < rows * (v + PAD); end += v + PAD) {
            assert_true(same_bits(g + end, logits + end, PAD));
        }
    }
    FOR_EACH_TABLE(table) { /* loss and lse do not depend on whether a gradient is wanted, or lse; the logits stay */
        float *unscaled = array(rows), *unscaled_lse = array(rows), *alone = array(rows);
        run_cross_entropy(table, rows, v, logits, 0.25, loss, lse);
        const float *kept = run_cross_entropy(table, rows, v, logits, 0, unscaled, unscaled_lse);
        run_cross_entropy(table, rows, v, logits, 0, alone, NULL);
        assert_true(same_bits(unscaled, loss, rows) && same_bits(unscaled_lse, lse, rows));
        assert_true(same_bits(alone, loss, rows) && same_bits(kept, logits, rows * (v + PAD)));
    }
}

static void test_cross_entropy_agrees_with_ref(void **state) {
    (void)state;
    const int64_t sizes[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65, 100, 257, 1000, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_cross_entropy(11, sizes[i], normal_array(11 * (sizes[i] + PAD), 9, 3), 1e-6);
        release_arrays();
    }
}

/* The differences of logits up to 1e4, or of the largest floats, are taken in double: the loss keeps all its digits. */
static void test_cross_entropy_is_exact_for_extreme_logits(void **state) {
    (void)state;
    enum { V = 50 };
    for (int kind = 0; kind < 5; kind++) {
        float *logits = normal_array(6 * (V + PAD), 9, 1);
        for (int64_t i = 0; i < 6 * (V + PAD); i++) {
            if (kind == 0) logits[i] *= 3e3f;
            if (kind == 1) logits[i] = 1e4f + logits[i];
            if (kind == 2) logits[i] = -1e4f + logits[i];
            if (kind == 3) logits[i] = logits[i] > 0 ? FLT_MAX : -FLT_MAX;
            if (kind == 4 && i % (V + PAD) != target_of(i / (V + PAD), V) && i % 3 == 0) logits[i] = -INFINITY;
        }
        check_cross_entropy(6, V, logits, 1e-6);
        FOR_EACH_TABLE(table) {
            float *loss = array(6), *g = run_cross_entropy(table, 6, V, logits, 1, loss, NULL);
            for (int64_t r = 0; r < 6; r++) {
                assert_true(isfinite(loss[r]) || kind == 3); /* there a loss of 2 FLT_MAX overflows rightly */
                for (int64_t j = 0; j < V; j++) assert_true(isfinite(g[r * (V + PAD) + j]));
            }
        }
        release_arrays();
    }
}

static void test_cross_entropy_tells_of_a_nan(void **state) {
    (void)state;
    for (int64_t at = 0; at < 40; at += 3) {
        float *logits = normal_array(43, 9, 1), loss = 0;
        logits[at] = NAN;
        FOR_EACH_TABLE(table) {
            run_cross_entropy(table, 1, 40, logits, 1, &loss, NULL);
            assert_true(isnan(loss));
            run_cross_entropy(table, 1, 40, logits, 0, &loss, NULL);
            assert_true(isnan(loss));
        }
    }
}

static void test_cross_entropy_without_a_prediction_gives_zero(void **state) {
    (void)state;
    FOR_EACH_TABLE(table) {
        float *logits = normal_array(40, 9, 1), loss = 1, lse = 1;
        int32_t target = -1;
        const float *given = copy_array(logits, 40);
        table->cross_entropy(1, 37, logits, 37, &target, 0, &loss, &lse);
        assert_true(loss == 0 && lse == 0 && same_bits(logits, given, 40));
        loss = lse = 1;
        table->cross_entropy(1, 37, logits, 37, &target, 1, &loss, &lse);
        assert_true(loss == 0 && lse == 0);
        for (int j = 0; j < 37; j++) assert_true(logits[j] == 0);
        assert_true(logits[37] != 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_layer_norm_ref_gradient_is_the_derivative, teardown),
        cmocka_unit_test_teardown(test_layer_norm_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_layer_norm_agrees_with_ref_at_extremes, teardown),
        cmocka_unit_test_teardown(test_layer_norm_backward_needs_no_parameter_gradients, teardown),
        cmocka_unit_test_teardown(test_layer_norm_forward_without_gain_and_bias, teardown),
        cmocka_unit_test_teardown(test_cross_entropy_ref_gradient_is_the_derivative, teardown),
        cmocka_unit_test_teardown(test_cross_entropy_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_cross_entropy_is_exact_for_extreme_logits, teardown),
        cmocka_unit_test_teardown(test_cross_entropy_tells_of_a_nan, teardown),
        cmocka_unit_test_teardown(test_cross_entropy_without_a_prediction_gives_zero, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
