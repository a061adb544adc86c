/* AdamW: against torch and against the formula in double, clipping, refusal of bad gradients, bits and threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "rllc/kernels.h"
#include "rllc/optim.h"

static rllc_adamw_options defaults(void) {
    rllc_adamw_options o;
    rllc_options_default(&rllc_adamw_option_table, &o);
    return o;
}

static float *normals(int64_t n, uint32_t step, float scale) {
    rllc_stream s = rllc_stream_make(1, "tests/optim", 0, step);
    float *x;
    assert_int_equal(rllc_alloc(&x, n, sizeof *x), RLLC_OK);
    rllc_kernels_ref.normals(&s, 0, n, x);
    for (int64_t i = 0; i < n; i++) x[i] *= scale;
    return x;
}

static void test_adamw_defaults_are_the_papers(void **state) {
    (void)state;
    rllc_adamw_options o = defaults();
    assert_int_equal(rllc_options_check(&rllc_adamw_option_table), RLLC_OK);
    assert_true(o.lr == 1e-3 && o.beta1 == 0.9 && o.beta2 == 0.999 && o.eps == 1e-8 && o.weight_decay == 0.05);
    assert_true(o.max_grad_norm == 0);
}

static double number(FILE *f) {
    double x;
    assert_int_equal(fscanf(f, "%lf", &x), 1);
    return x;
}

/* Numbers of tools/reference/adamw_golden.py: float64 torch, with clipping. Ours rounds each step to floats. */
static void test_adamw_agrees_with_torch(void **state) {
    (void)state;
    FILE *f = fopen(RLLC_SOURCE_DIR "/tests/golden/adamw/steps.txt", "r");
    assert_non_null(f);
    enum { MOST = 64 };
    float w[MOST], g[MOST];
    const int64_t n = (int64_t)number(f), steps = (int64_t)number(f);
    assert_true(n > 0 && n <= MOST);
    rllc_adamw_options o = defaults();
    double *fields[] = {&o.lr, &o.beta1, &o.beta2, &o.eps, &o.weight_decay, &o.max_grad_norm};
    for (int i = 0; i < 6; i++) *fields[i] = number(f);
    rllc_adamw a;
    assert_int_equal(rllc_adamw_init(&a, n, &o), RLLC_OK);
    for (int64_t i = 0; i < n; i++) w[i] = (float)number(f);
    for (int64_t step = 0; step < steps; step++) {
        double norm = 0, expected_norm = number(f);
        for (int64_t i = 0; i < n; i++) g[i] = (float)number(f);
        assert_int_equal(rllc_adamw_update(&a, g, w, 1, &norm), RLLC_OK);
        assert_true(fabs(norm - expected_norm) < 1e-12 * expected_norm);
        for (int64_t i = 0; i < n; i++) {
            double error = fabs((double)w[i] - number(f));
            if (error > 5e-7) fail_msg("step %d, weight %d: off by %g", (int)step, (int)i, error);
        }
    }
    assert_int_equal(a.step, steps);
    rllc_adamw_release(&a);
    fclose(f);
}

/* The definition (E7), written out in double, over several chunks of numbers. */
static void test_adamw_agrees_with_the_formula(void **state) {
    (void)state;
    const int64_t n = 150000;
    rllc_adamw_options o = defaults();
    float *w = normals(n, 0, 0.1f);
    double *exact, *m, *v, worst = 0;
    assert_int_equal(rllc_alloc(&exact, n, sizeof *exact), RLLC_OK);
    assert_int_equal(rllc_alloc(&m, n, sizeof *m), RLLC_OK);
    assert_int_equal(rllc_alloc(&v, n, sizeof *v), RLLC_OK);
    for (int64_t i = 0; i < n; i++) exact[i] = (double)w[i];
    rllc_adamw a;
    assert_int_equal(rllc_adamw_init(&a, n, &o), RLLC_OK);
    for (uint32_t step = 1; step <= 5; step++) {
        float *g = normals(n, step, 1e-3f);
        for (int64_t i = 0; i < n; i++) {
            double gi = (double)g[i];
            m[i] = 0.9 * m[i] + 0.1 * gi;
            v[i] = 0.999 * v[i] + 0.001 * gi * gi;
            exact[i] *= 1 - 1e-3 * 0.05;
            exact[i] -= 1e-3 * (m[i] / (1 - pow(0.9, step))) / (sqrt(v[i] / (1 - pow(0.999, step))) + 1e-8);
        }
        assert_int_equal(rllc_adamw_update(&a, g, w, 2, NULL), RLLC_OK);
        rllc_free(g);
    }
    for (int64_t i = 0; i < n; i++) worst = fmax(worst, fabs(exact[i] - (double)w[i]));
    if (worst > 1.5e-7) fail_msg("off by %g", worst); /* five roundings of half a unit of 0.25 to 0.5, 1.5e-8 each */
    rllc_adamw_release(&a);
    rllc_free(w);
    rllc_free(exact);
    rllc_free(m);
    rllc_free(v);
}

static void test_adamw_clips_to_the_longest_norm(void **state) {
    (void)state;
    rllc_adamw_options o = defaults();
    o.max_grad_norm = 0.5;
    const int64_t n = 1000;
    for (int round = 0; round < 2; round++) { /* longer, then shorter than the longest */
        float *g = normals(n, 3, round == 0 ? 1.0f : 1e-3f), *kept = normals(n, 3, round == 0 ? 1.0f : 1e-3f);
        float *w = normals(n, 4, 1);
        double norm = 0, exact = 0, clipped = 0;
        rllc_adamw a;
        assert_int_equal(rllc_adamw_init(&a, n, &o), RLLC_OK);
        assert_int_equal(rllc_adamw_update(&a, g, w, 1, &norm), RLLC_OK);
        for (int64_t i = 0; i < n; i++) {
            exact += (double)kept[i] * (double)kept[i];
            clipped += (double)g[i] * (double)g[i];
        }
        assert_true(fabs(norm - sqrt(exact)) < 1e-12 * norm);
        if (round == 0) assert_true(fabs(sqrt(clipped) - 0.5) < 1e-6);
        else assert_memory_equal(g, kept, (size_t)n * sizeof *g);
        rllc_adamw_release(&a);
        rllc_free(g);
        rllc_free(kept);
        rllc_free(w);
    }
}

/* A NaN or an infinity anywhere: the status says so, names the parameter, and nothing has changed. */
static void test_adamw_refuses_a_gradient_that_is_not_finite(void **state) {
    (void)state;
    const int64_t n = 70000, places[] = {0, 65535, 65536, 69999};
    rllc_adamw_options o = defaults();
    rllc_adamw a;
    assert_int_equal(rllc_adamw_init(&a, n, &o), RLLC_OK);
    float *w = normals(n, 1, 1), *before = normals(n, 1, 1), *g = normals(n, 2, 1);
    for (int i = 0; i < 4; i++) {
        float kept = g[places[i]];
        char name[64];
        snprintf(name, sizeof name, "parameter %lld is", (long long)places[i]);
        g[places[i]] = i % 2 ? NAN : INFINITY;
        assert_int_equal(rllc_adamw_update(&a, g, w, 2, NULL), RLLC_ENOTFINITE);
        assert_non_null(strstr(rllc_error_detail(), name));
        g[places[i]] = kept;
        assert_memory_equal(w, before, (size_t)n * sizeof *w);
        for (int64_t j = 0; j < n; j++) assert_true(a.m[j] == 0 && a.v[j] == 0);
        assert_int_equal(a.step, 0);
    }
    rllc_adamw_release(&a);
    rllc_free(w);
    rllc_free(before);
    rllc_free(g);
}

static void test_adamw_bits_do_not_depend_on_threads(void **state) {
    (void)state;
    const int64_t n = 300001;
    rllc_adamw_options o = defaults();
    o.max_grad_norm = 1; /* so that the sum of squares reaches the weights */
    float *expected = NULL;
    double expected_norm = 0;
    for (int n_threads = 1; n_threads <= 4; n_threads++) {
        float *w = normals(n, 1, 1);
        double norm = 0;
        rllc_adamw a;
        assert_int_equal(rllc_adamw_init(&a, n, &o), RLLC_OK);
        for (uint32_t step = 2; step < 5; step++) {
            float *g = normals(n, step, 1);
            assert_int_equal(rllc_adamw_update(&a, g, w, n_threads, &norm), RLLC_OK);
            rllc_free(g);
        }
        rllc_adamw_release(&a);
        if (expected == NULL) {
            expected = w;
            expected_norm = norm;
            continue;
        }
        assert_memory_equal(w, expected, (size_t)n * sizeof *w);
        assert_true(norm == expected_norm);
        rllc_free(w);
    }
    rllc_free(expected);
}

static void test_adamw_of_nothing_is_nothing(void **state) {
    (void)state;
    rllc_adamw_options o = defaults();
    rllc_adamw a;
    float none = 0;
    double norm = 1;
    assert_int_equal(rllc_adamw_init(&a, 0, &o), RLLC_OK);
    assert_int_equal(rllc_adamw_update(&a, &none, &none, 1, &norm), RLLC_OK);
    assert_true(norm == 0 && a.step == 1);
    rllc_adamw_release(&a);
    rllc_adamw_release(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adamw_defaults_are_the_papers),
        cmocka_unit_test(test_adamw_agrees_with_torch),
        cmocka_unit_test(test_adamw_agrees_with_the_formula),
        cmocka_unit_test(test_adamw_clips_to_the_longest_norm),
        cmocka_unit_test(test_adamw_refuses_a_gradient_that_is_not_finite),
        cmocka_unit_test(test_adamw_bits_do_not_depend_on_threads),
        cmocka_unit_test(test_adamw_of_nothing_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
