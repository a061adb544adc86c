/* log_softmax and kl_divergence: the definition against sums in double, every table against the definition. */
#include <float.h>

#include "kernels_test.h"

enum { PAD = 3, ROWS = 11 };

static int32_t target_of(int64_t row) {
    return row % 5 == 4 ? -1 : (int32_t)row;
}

static float *run_log_softmax(const rllc_kernels *k, int64_t rows, int64_t v, const float *logits) {
    float *x = copy_array(logits, rows * (v + PAD));
    k->log_softmax(rows, v, x, v + PAD);
    return x;
}

/* reference: rows of log-probabilities at the same stride. */
static float *run_divergence(const rllc_kernels *k, int64_t rows, int64_t v, const float *logits,
                             const float *reference, double scale, float *loss) {
    int32_t targets[64];
    float *x = copy_array(logits, rows * (v + PAD));
    for (int64_t r = 0; r < rows; r++) targets[r] = target_of(r);
    k->kl_divergence(rows, v, x, v + PAD, reference, v + PAD, targets, scale, loss);
    return x;
}

static double log_sum_exp(int64_t v, const double *l) {
    double max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < v; j++) max = fmax(max, l[j]);
    for (int64_t j = 0; j < v; j++) sum += exp(l[j] - max);
    return max + log(sum);
}

/* sum p (log p - log q), as it is written in books. */
static double divergence(int64_t v, const double *p, const double *q) {
    const double a = log_sum_exp(v, p), b = log_sum_exp(v, q);
    double sum = 0;
    for (int64_t j = 0; j < v; j++) sum += exp(p[j] - a) * ((p[j] - a) - (q[j] - b));
    return sum;
}

static void test_kl_divergence_ref_is_its_definition_and_its_gradient_the_derivative(void **state) {
    (void)state;
    enum { V = 9 };
    const float *given = normal_array(V + PAD, 3, 2), *logits = normal_array(V + PAD, 8, 2);
    const float *reference = run_log_softmax(&rllc_kernels_ref, 1, V, given);
    float loss;
    const float *g = run_divergence(&rllc_kernels_ref, 1, V, logits, reference, 0.5, &loss);
    double p[V], q[V], total = 0;
    for (int j = 0; j < V; j++) p[j] = (double)given[j], q[j] = (double)logits[j];
    for (int j = 0; j < V; j++) ASSERT_AT_MOST(fabs(p[j] - log_sum_exp(V, p) - (double)reference[j]), 1e-6, "log p");
    ASSERT_AT_MOST(fabs(divergence(V, p, q) - (double)loss), 2e-7 * (double)loss + 1e-7, "loss");
    for (int j = 0; j < V; j++) {
        const double at = q[j], step = 1e-5;
        q[j] = at + step;
        const double up = divergence(V, p, q);
        q[j] = at - step;
        ASSERT_AT_MOST(fabs(0.5 * (up - divergence(V, p, q)) / (2 * step) - (double)g[j]), 2e-7, "gradient %d", j);
        q[j] = at;
        total += (double)g[j];
    }
    ASSERT_AT_MOST(fabs(total), 1e-6, "sum of the gradient");
}

static void check_log_softmax(int64_t v, const float *logits) {
    const float *expected = run_log_softmax(&rllc_kernels_ref, ROWS, v, logits);
    FOR_EACH_FAST_TABLE(table) {
        const float *x = run_log_softmax(table, ROWS, v, logits);
        for (int64_t r = 0; r < ROWS; r++) {
            for (int64_t j = r * (v + PAD); j < r * (v + PAD) + v; j++)
                ASSERT_AT_MOST(distance(x + j, expected + j, 1), 4e-7 * (1 + fabs((double)expected[j])),
                               "%s: %ld logits", table->name, (long)v);
            assert_true(same_bits(x + r * (v + PAD) + v, logits + r * (v + PAD) + v, PAD));
        }
    }
}

static void check_divergence(int64_t v, const float *logits, const float *reference, double relative, double absolute) {
    float *expected_loss = array(ROWS), *loss = array(ROWS), *alone = array(ROWS);
    const float *expected = run_divergence(&rllc_kernels_ref, ROWS, v, logits, reference, 0.25, expected_loss);
    FOR_EACH_TABLE(table) {
        const float *g = run_divergence(table, ROWS, v, logits, reference, 0.25, loss);
        for (int64_t r = 0; r < ROWS; r++) {
            const float *row = g + r * (v + PAD);
            assert_true(loss[r] >= 0);
            ASSERT_AT_MOST(distance(loss + r, expected_loss + r, 1), relative * (double)expected_loss[r] + absolute,
                           "%s: loss %ld of %ld logits", table->name, (long)r, (long)v);
            ASSERT_AT_MOST(distance(row, expected + r * (v + PAD), v), 1e-6, "%s: gradient, %ld logits", table->name,
                           (long)v);
            assert_true(same_bits(row + v, logits + r * (v + PAD) + v, PAD));
            if (target_of(r) >= 0) continue;
            assert_true(loss[r] == 0);
            for (int64_t j = 0; j < v; j++) assert_true(row[j] == 0);
        }
        const float *kept = run_divergence(table, ROWS, v, logits, reference, 0, alone);
        assert_true(same_bits(alone, loss, ROWS) && same_bits(kept, logits, ROWS * (v + PAD)));
    }
}

static const int64_t sizes[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 64, 65, 100, 257, 1000, 5000};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void test_kl_divergence_agrees_with_ref(void **state) {
    (void)state;
    for (int i = 0; i < SIZES; i++) {
        const int64_t v = sizes[i], n = ROWS * (v + PAD);
        const float *given = normal_array(n, 5, 3), *logits = normal_array(n, 9, 3);
        check_log_softmax(v, given);
        check_divergence(v, logits, run_log_softmax(&rllc_kernels_ref, ROWS, v, given), 4e-6, 1e-6);
        release_arrays();
    }
}

/* The distributions differ by `gap`: the loss goes with its square, and keeps its digits as far as float logits do. */
static void test_kl_divergence_is_accurate_near_equality(void **state) {
    (void)state;
    for (double gap = 0.3; gap > 1e-3; gap *= 0.1)
        for (int i = 2; i < SIZES; i++) {
            const int64_t v = sizes[i], n = ROWS * (v + PAD);
            const float *given = normal_array(n, 5, 1), *noise = normal_array(n, 9, gap);
            float *logits = array(n), *loss = array(ROWS);
            for (int64_t j = 0; j < n; j++) logits[j] = given[j] + noise[j];
            FOR_EACH_TABLE(table) {
                run_divergence(table, ROWS, v, logits, run_log_softmax(table, ROWS, v, given), 1, loss);
                for (int64_t r = 0; r < ROWS; r++) {
                    double p[5000], q[5000];
                    for (int64_t j = 0; j < v; j++) p[j] = (double)given[r * (v + PAD) + j];
                    for (int64_t j = 0; j < v; j++) q[j] = (double)logits[r * (v + PAD) + j];
                    const double expected = target_of(r) < 0 ? 0 : divergence(v, p, q);
                    ASSERT_AT_MOST(fabs((double)loss[r] - expected), 4e-6 * expected + 2.5e-7 * sqrt(2 * expected),
                                   "%s: gap %g, %ld logits, row %ld: %g", table->name, gap, (long)v, (long)r, expected);
                }
            }
            release_arrays();
        }
}

static void test_kl_divergence_of_equal_logits_is_exactly_zero(void **state) {
    (void)state;
    for (int i = 0; i < SIZES; i++) {
        const int64_t v = sizes[i], n = ROWS * (v + PAD);
        float *logits = normal_array(n, 9, 4), *loss = array(ROWS);
        for (int64_t j = 0; j < v; j++) logits[j] += 1e4F;
        FOR_EACH_TABLE(table) {
            const float *g = run_divergence(table, ROWS, v, logits, run_log_softmax(table, ROWS, v, logits), 1, loss);
            for (int64_t r = 0; r < ROWS; r++) {
                assert_true(loss[r] == 0);
                for (int64_t j = 0; j < v; j++) assert_true(g[r * (v + PAD) + j] == 0);
            }
        }
        release_arrays();
    }
}

static void test_kl_divergence_is_finite_for_extreme_logits(void **state) {
    (void)state;
    enum { V = 50, N = ROWS * (V + PAD) };
    for (int kind = 0; kind < 4; kind++) {
        float *given = normal_array(N, 7, 1), *logits = normal_array(N, 9, 1), *loss = array(ROWS);
        for (int64_t i = 0; i < N; i++) {
            if (kind == 0) logits[i] *= 3e3F, given[i] *= 2e3F;
            if (kind == 1) logits[i] += 1e4F, given[i] -= 1e4F;
            if (kind == 2) given[i] *= 1e3F;
            if (kind == 3) logits[i] = logits[i] > 0 ? FLT_MAX : -FLT_MAX, given[i] = given[i] > 0 ? FLT_MAX : -FLT_MAX;
        }
        check_log_softmax(V, given);
        if (kind < 3) check_divergence(V, logits, run_log_softmax(&rllc_kernels_ref, ROWS, V, given), 4e-6, 1e-6);
        FOR_EACH_TABLE(table) {
            const float *g = run_divergence(table, ROWS, V, logits, run_log_softmax(table, ROWS, V, given), 1, loss);
            for (int64_t r = 0; r < ROWS; r++) {
                assert_true(loss[r] >= 0 && (kind == 3 || isfinite(loss[r]))); /* there 2 FLT_MAX overflows rightly */
                for (int64_t j = 0; j < V; j++) assert_true(isfinite(g[r * (V + PAD) + j]));
            }
        }
        release_arrays();
    }
}

static void test_kl_divergence_tells_of_a_nan(void **state) {
    (void)state;
    for (int64_t at = 0; at < 40; at += 3) {
        FOR_EACH_TABLE(table) {
            float *logits = normal_array(40 + PAD, 9, 1), *given = normal_array(40 + PAD, 7, 1), loss = 0;
            const float *reference = run_log_softmax(table, 1, 40, given);
            logits[at] = given[at] = NAN;
            run_divergence(table, 1, 40, logits, reference, 1, &loss);
            assert_true(isnan(loss));
            run_divergence(table, 1, 40, reference, run_log_softmax(table, 1, 40, given), 0, &loss);
            assert_true(isnan(loss));
        }
        release_arrays();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_kl_divergence_ref_is_its_definition_and_its_gradient_the_derivative, teardown),
        cmocka_unit_test_teardown(test_kl_divergence_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_kl_divergence_is_accurate_near_equality, teardown),
        cmocka_unit_test_teardown(test_kl_divergence_of_equal_logits_is_exactly_zero, teardown),
        cmocka_unit_test_teardown(test_kl_divergence_is_finite_for_extreme_logits, teardown),
        cmocka_unit_test_teardown(test_kl_divergence_tells_of_a_nan, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
