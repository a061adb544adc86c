/* Attention: ref against the T x T formulation and central differences, every other table against ref. */
#include "kernels_test.h"

/* One head inside rows of a larger matrix: q, k, v side by side at stride ld, z and dz at stride ldz. */
typedef struct head {
    int64_t t, d, ld, ldz;
    double scale;
    float *qkv, *dz;
} head;

typedef struct result {
    float *z, *lse, *gradient; /* [t, ldz], [t], [t, ld] */
} result;

enum { PAD = 2 };

static head make_head(int64_t t, int64_t d, double size, uint64_t seed) {
    head h = {.t = t, .d = d, .ld = 3 * d + PAD, .ldz = d + PAD, .scale = 1 / sqrt((double)d)};
    h.qkv = normal_array(t * h.ld, seed, size);
    h.dz = normal_array(t * h.ldz, seed + 1, 1);
    return h;
}

/* Outputs begin as NaN, so that whatever is not written, or written beside, shows. */
static result run(const rllc_kernels *k, const head *h) {
    const int64_t d = h->d, needed = k->attention_scratch(h->t, d);
    result r = {array(h->t * h->ldz), array(h->t), array(h->t * h->ld)};
    float *scratch = array(needed);
    k->attention_forward(h->t, d, h->scale, h->qkv, h->qkv + d, h->qkv + 2 * d, h->ld, r.z, h->ldz, r.lse, scratch);
    for (int64_t i = 0; i < needed; i++) scratch[i] = NAN;
    k->attention_backward(h->t, d, h->scale, h->qkv, h->qkv + d, h->qkv + 2 * d, h->ld, r.z, h->dz, h->ldz, r.lse,
                          r.gradient, r.gradient + d, r.gradient + 2 * d, h->ld, scratch);
    return r;
}

/* sum of z . dz, with z from the matrices themselves: S, A = softmax(S), z = A v, all in double, T x T. */
static double naive_objective(const head *h, double *z) {
    const int64_t t = h->t, d = h->d;
    double *s = malloc((size_t)(t * t) * sizeof *s), objective = 0;
    assert_non_null(s);
    for (int64_t i = 0; i < t; i++) {
        double sum = 0;
        for (int64_t j = 0; j < t; j++) {
            double dot = 0;
            for (int64_t e = 0; e < d; e++) dot += (double)h->qkv[i * h->ld + e] * (double)h->qkv[j * h->ld + d + e];
            s[i * t + j] = j <= i ? exp(h->scale * dot) : 0;
            sum += s[i * t + j];
        }
        for (int64_t j = 0; j < t; j++) s[i * t + j] /= sum;
    }
    for (int64_t i = 0; i < t; i++) {
        for (int64_t e = 0; e < d; e++) {
            double mixed = 0;
            for (int64_t j = 0; j < t; j++) mixed += s[i * t + j] * (double)h->qkv[j * h->ld + 2 * d + e];
            objective += mixed * (double)h->dz[i * h->ldz + e];
            if (z != NULL) z[i * d + e] = mixed;
        }
    }
    free(s);
    return objective;
}

static void test_attention_ref_agrees_with_the_matrix_form(void **state) {
    (void)state;
    const int64_t shapes[][2] = {{1, 1}, {1, 5}, {2, 3}, {9, 4}, {20, 8}};
    for (size_t n = 0; n < 5; n++) {
        head h = make_head(shapes[n][0], shapes[n][1], 1, 10 + n);
        double z[20 * 8];
        naive_objective(&h, z);
        result r = run(&rllc_kernels_ref, &h);
        for (int64_t i = 0; i < h.t; i++) {
            for (int64_t e = 0; e < h.d; e++) {
                ASSERT_AT_MOST(fabs((double)r.z[i * h.ldz + e] - z[i * h.d + e]), 3e-7, "row %ld", (long)i);
            }
        }
    }
}

/* Central differences of the double-precision objective: their own error is h^2 = 1e-6 times a third derivative. */
static void test_attention_ref_gradient_is_the_derivative(void **state) {
    (void)state;
    head h = make_head(9, 4, 1, 20);
    result r = run(&rllc_kernels_ref, &h);
    for (int64_t i = 0; i < h.t; i++) {
        for (int64_t e = 0; e < 3 * h.d; e++) {
            float *x = &h.qkv[i * h.ld + e], kept = *x;
            float high = kept + 1e-3f, low = kept - 1e-3f;
            *x = high;
            double change = naive_objective(&h, NULL);
            *x = low;
            change -= naive_objective(&h, NULL);
            *x = kept;
            double slope = change / ((double)high - (double)low);
            double error = fabs(slope - (double)r.gradient[i * h.ld + e]);
            ASSERT_AT_MOST(error, 4e-6, "row %ld, column %ld", (long)i, (long)e);
        }
    }
}

static void check(const head *h, double relative) {
    result expected = run(&rllc_kernels_ref, h);
    const int64_t t = h->t, d = h->d;
    FOR_EACH_FAST_TABLE(table) {
        result r = run(table, h);
        ASSERT_AT_MOST(distance(r.z, expected.z, t * h->ldz), relative * (1 + largest(h->qkv, t * h->ld)),
                       "%s: z, T %ld D %ld", table->name, (long)t, (long)d);
        ASSERT_AT_MOST(distance(r.lse, expected.lse, t), relative * (1 + largest(expected.lse, t)),
                       "%s: lse, T %ld D %ld", table->name, (long)t, (long)d);
        double size = 0; /* NaN in the padding */
        for (int64_t i = 0; i < t; i++) size = fmax(size, largest(expected.gradient + i * h->ld, 3 * d));
        ASSERT_AT_MOST(distance(r.gradient, expected.gradient, t * h->ld), 2 * relative * (1 + size),
                       "%s: gradient, T %ld D %ld", table->name, (long)t, (long)d);
        for (int64_t i = 0; i < t; i++) { /* written where it should be, and nowhere else */
            for (int64_t e = 0; e < h->ldz; e++) assert_true(isnan(r.z[i * h->ldz + e]) == (e >= d));
            for (int64_t e = 0; e < h->ld; e++) assert_true(isnan(r.gradient[i * h->ld + e]) == (e >= 3 * d));
        }
    }
    release_arrays();
}

static void test_attention_agrees_with_ref(void **state) {
    (void)state;
    const int64_t lengths[] = {1, 2, 5, 14, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 129, 200};
    const int64_t widths[] = {1, 3, 8, 12, 16, 20, 32, 33, 64};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (size_t j = 0; j < sizeof widths / sizeof *widths; j++) {
            if (lengths[i] * widths[j] > 5000) continue;
            head h = make_head(lengths[i], widths[j], 1, 100 * i + j);
            check(&h, 1e-6);
        }
    }
    head h = make_head(300, 24, 1, 77); /* several blocks of keys and of queries */
    check(&h, 1e-6);
}

/* Scores of thousands: every row looks at one key; of minus thousands elsewhere. The sums stay finite. */
static void test_attention_agrees_with_ref_when_scores_are_large(void **state) {
    (void)state;
    head h = make_head(70, 8, 60, 31);
    check(&h, 3e-4); /* a score of 1e4 has an error of 1e4 * 6e-8 in either table, and so has the weight */
}

/* A row looks back only: its z is the same, bit for bit, whatever follows and however much of it. */
static void test_attention_bits_do_not_depend_on_what_follows(void **state) {
    (void)state;
    head h = make_head(150, 16, 1, 41);
    FOR_EACH_TABLE(table) {
        result whole = run(table, &h);
        const int64_t lengths[] = {1, 15, 16, 40, 64, 128, 149};
        for (size_t n = 0; n < sizeof lengths / sizeof *lengths; n++) {
            head part = h;
            part.t = lengths[n];
            result r = run(table, &part);
            for (int64_t i = 0; i < part.t; i++) {
                assert_true(same_bits(r.z + i * h.ldz, whole.z + i * h.ldz, h.d));
                assert_true(same_bits(r.lse + i, whole.lse + i, 1));
            }
        }
    }
}

/* The same bits at any alignment of the inputs, the outputs and the scratch, and at any stride. */
static void test_attention_bits_do_not_depend_on_alignment(void **state) {
    (void)state;
    head h = make_head(75, 20, 1, 51), moved = h;
    moved.ld = h.ld + 5;
    moved.ldz = h.ldz + 3;
    moved.qkv = array(h.t * moved.ld + 1) + 1;
    moved.dz = array(h.t * moved.ldz + 3) + 3;
    for (int64_t i = 0; i < h.t; i++) {
        memcpy(moved.qkv + i * moved.ld, h.qkv + i * h.ld, (size_t)h.ld * sizeof(float));
        memcpy(moved.dz + i * moved.ldz, h.dz + i * h.ldz, (size_t)h.ldz * sizeof(float));
    }
    FOR_EACH_TABLE(table) {
        result expected = run(table, &h), r = run(table, &moved);
        for (int64_t i = 0; i < h.t; i++) {
            assert_true(same_bits(r.z + i * moved.ldz, expected.z + i * h.ldz, h.d));
            assert_true(same_bits(r.gradient + i * moved.ld, expected.gradient + i * h.ld, 3 * h.d));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_attention_ref_agrees_with_the_matrix_form, teardown),
        cmocka_unit_test_teardown(test_attention_ref_gradient_is_the_derivative, teardown),
        cmocka_unit_test_teardown(test_attention_agrees_with_ref, teardown),
        cmocka_unit_test_teardown(test_attention_agrees_with_ref_when_scores_are_large, teardown),
        cmocka_unit_test_teardown(test_attention_bits_do_not_depend_on_what_follows, teardown),
        cmocka_unit_test_teardown(test_attention_bits_do_not_depend_on_alignment, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
