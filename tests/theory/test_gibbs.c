/* Exact Gibbs expectations against special functions, brute-force integrals and importance sampling from the prior. */
#include "theory/refusal.h"

#include "rllc/kernels.h"
#include "rllc/theory.h"

static void close_to(const char *what, double value, double expected, double tolerance) {
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%s: %.10f, expected %.10f +- %g", what, value, expected, tolerance);
}

/* K_order(z) = integral over t > 0 of exp(-z cosh t) cosh(order t), times e^z. */
static double bessel(double order, double z) {
    double sum = 0;
    const double step = 1e-3;
    for (int i = 0; i < 40000; i++) {
        const double t = i * step, e = exp(-z * (cosh(t) - 1)) * cosh(order * t);
        sum += (i ? 1 : 0.5) * e * step;
        if (z * cosh(t) > 800) break;
    }
    return sum;
}

/* L = w1^2 w2^2: E = 1/2 + z (1 - K_1(z) / K_0(z)), z = localization^2 / 8 nbeta. */
static void test_square_crossing_is_bessel(void **state) {
    (void)state;
    const int64_t e[] = {2, 2};
    const double ratios[] = {1e-2, 1, 10, 1e2, 1e3, 1e4, 1e6}; /* nbeta / localization^2; values of the theory notes */
    const double known[] = {0.0092861, 0.1816359, 0.2902743, 0.3542038, 0.3902727, 0.4123372, 0.4375426};
    for (int i = 0; i < 7; i++) {
        double mean;
        assert_ok(rllc_gibbs_crossing(2, e, NULL, 1, 9 * ratios[i], 3, &mean));
        const double z = 1 / (8 * ratios[i]);
        close_to("Bessel", mean, 0.5 + z * (1 - bessel(1, z) / bessel(0, z)),
                 1e-8); /* the trapezoid rule of bessel() */
        close_to("notes", mean, known[i], 2e-7);
    }
}

/* One power without localization: 1 / p at every nbeta; with it, against a plain sum over w. */
static void test_one_power(void **state) {
    (void)state;
    for (int64_t p = 2; p <= 8; p += 2) {
        double mean, z = 0, e = 0;
        assert_ok(rllc_gibbs_crossing(1, &p, NULL, 1, 37, 0, &mean));
        close_to("1/p", mean, 1 / (double)p, 1e-12);
        assert_ok(rllc_gibbs_crossing(1, &p, NULL, 0.5, 200, 3, &mean));
        for (double w = -6; w < 6; w += 1e-4) {
            const double x = 200 * 0.5 * pow(fabs(w), (double)p), d = exp(-x - 1.5 * w * w);
            z += d;
            e += d * x;
        }
        close_to("localised power", mean, e / z, 1e-8);
    }
}

/* Boxes: the closed form's values in the notes; a triple product against importance sampling under the localization. */
static void test_boxes(void **state) {
    (void)state;
    const int64_t a[] = {2, 4}, b[] = {2, 6}, equal[] = {2, 2};
    double mean;
    assert_ok(rllc_gibbs_crossing_box(2, a, 1, 1e2, &mean));
    close_to("box 1,2", mean, 0.204284, 1e-6);
    assert_ok(rllc_gibbs_crossing_box(2, b, 1, 1e4, &mean));
    close_to("box 1,3", mean, 0.161666, 1e-6);
    assert_ok(rllc_gibbs_crossing_box(2, a, 2, 1e2 / 64, &mean)); /* w = 2 v scales nbeta by 2^6 */
    close_to("box, scaled", mean, 0.204284, 1e-6);
    assert_fails(rllc_gibbs_crossing_box(2, equal, 1, 10, &mean), RLLC_EUNSUPPORTED, "differ");
}

/* Mean over the prior N(0, 1/localization) weighted by exp(-nbeta L): value and standard error. */
typedef double loss_function(const double *w);

static void by_importance(loss_function *loss, int64_t dim, double nbeta, double localization, double *mean,
                          double *se) {
    enum { DRAWS = 400000 };
    const rllc_stream s = rllc_stream_make(3, "prior", 0, 0);
    float *normal = test_memory(DRAWS * dim, sizeof *normal);
    double *weight = test_memory(DRAWS, sizeof *weight), *value = test_memory(DRAWS, sizeof *value), z = 0, e = 0,
           square = 0, w[24];
    rllc_kernels_get()->normals(&s, 0, DRAWS * dim, normal);
    for (int64_t i = 0; i < DRAWS; i++) {
        for (int64_t k = 0; k < dim; k++) w[k] = (double)normal[i * dim + k] / sqrt(localization);
        value[i] = nbeta * loss(w);
        weight[i] = exp(-value[i]);
        z += weight[i];
        e += weight[i] * value[i];
    }
    *mean = e / z;
    for (int64_t i = 0; i < DRAWS; i++) square += pow(weight[i] * (value[i] - *mean), 2);
    *se = sqrt(square) / z; /* delta method */
    free(normal);
    free(weight);
    free(value);
}

static double product_loss(const double *w, const int64_t *widths, int64_t n) {
    double p[16] = {0}, q[16];
    for (int64_t i = 0; i < widths[0] * widths[1]; i++) p[i] = *w++; /* [widths[1], widths[0]] */
    for (int64_t l = 1; l + 1 < n; l++) {
        for (int64_t i = 0; i < widths[l + 1]; i++)
            for (int64_t k = 0; k < widths[0]; k++) {
                q[i * widths[0] + k] = 0;
                for (int64_t j = 0; j < widths[l]; j++)
                    q[i * widths[0] + k] += w[i * widths[l] + j] * p[j * widths[0] + k];
            }
        w += widths[l + 1] * widths[l];
        memcpy(p, q, sizeof p);
    }
    double sum = 0;
    for (int64_t i = 0; i < widths[n - 1] * widths[0]; i++) sum += p[i] * p[i];
    return sum;
}

static const int64_t w222[] = {2, 2, 2}, w313[] = {3, 1, 3}, w333[] = {3, 3, 3}, w1232[] = {1, 2, 3, 2},
                     w213[] = {2, 1, 3, 2};
static double loss_222(const double *w) {
    return product_loss(w, w222, 3);
}
static double loss_313(const double *w) {
    return product_loss(w, w313, 3);
}
static double loss_333(const double *w) {
    return product_loss(w, w333, 3);
}
static double loss_1232(const double *w) {
    return product_loss(w, w1232, 4);
}
static double loss_2132(const double *w) {
    return product_loss(w, w213, 4);
}

static void compare_product(const char *what, const int64_t *widths, int64_t n, loss_function *loss, double nbeta) {
    double mean, sampled, se;
    int64_t dim = 0;
    for (int64_t i = 0; i + 1 < n; i++) dim += widths[i] * widths[i + 1];
    assert_ok(rllc_gibbs_deep_linear(n, widths, nbeta, 2, &mean));
    by_importance(loss, dim, nbeta, 2, &sampled, &se);
    printf("    %-12s exact %.5f, importance sampling %.5f +- %.5f\n", what, mean, sampled, se);
    close_to(what, sampled, mean, 5 * se);
    assert_true(se < 0.02 * mean);
}

/* One, two and three eigenvalues; chains through a width of 1. */
static void test_matrix_products_agree_with_importance_sampling(void **state) {
    (void)state;
    compare_product("3-1-3", w313, 3, loss_313, 5);
    compare_product("2-2-2", w222, 3, loss_222, 5);
    compare_product("3-3-3", w333, 3, loss_333, 2);
    compare_product("1-2-3-2", w1232, 4, loss_1232, 5);
    compare_product("2-1-3-2", w213, 4, loss_2132, 5);
}

/* Values of the theory notes, made by other code (grids over Wishart eigenvalues, good to 3e-6), and two routes to the same. */
static void test_matrix_products_have_the_known_values(void **state) {
    (void)state;
    static const struct {
        int64_t m, h, n;
        double at_1e2, at_1e4;
    } rows[] = {{1, 1, 1, 0.354204, 0.412338}, {2, 1, 2, 0.818348, 0.900222}, {3, 1, 2, 0.956746, 0.995580},
                {2, 2, 2, 1.390301, 1.482567}, {3, 2, 4, 2.727213, 2.875456}, {5, 2, 5, 4.286881, 4.465541}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double mean, turned;
        assert_ok(rllc_gibbs_reduced_rank(rows[i].m, rows[i].h, rows[i].n, 1e2, 1, &mean));
        close_to("nbeta 1e2", mean, rows[i].at_1e2, 8e-6);
        assert_ok(rllc_gibbs_reduced_rank(rows[i].m, rows[i].h, rows[i].n, 1e6, 10,
                                          &mean)); /* nbeta / localization^2 alone */
        close_to("nbeta 1e4", mean, rows[i].at_1e4, 8e-6);
        assert_ok(rllc_gibbs_reduced_rank(rows[i].n, rows[i].h, rows[i].m, 1e6, 10, &turned)); /* |BA| = |A^T B^T| */
        close_to("transposed", turned, mean, 1e-9);
    }
    const int64_t w1333[] = {1, 3, 3, 3}, w1[] = {1, 1, 1, 1, 1}, w2[] = {2, 3, 2, 2};
    double mean, chained;
    assert_ok(rllc_gibbs_deep_linear(4, w1333, 1e2, 1, &mean));
    close_to("1-3-3-3", mean, 1.168526975, 1e-8);
    assert_ok(rllc_gibbs_deep_linear(5, w1, 1e6, 1, &mean));
    close_to("1-1-1-1-1", mean, 0.3298109951, 1e-8);
    const int64_t e[] = {2, 2}, dims[] = {3, 2};
    assert_ok(rllc_gibbs_crossing(2, e, dims, 1, 1e3, 1, &chained)); /* RRR 3,1,2 as a product of chi-squares */
    assert_ok(rllc_gibbs_reduced_rank(3, 1, 2, 1e3, 1, &mean));
    close_to("3-1-2 by two integrals", chained, mean, 1e-9);
    assert_fails(rllc_gibbs_deep_linear(4, w2, 1, 1, &mean), RLLC_EUNSUPPORTED, "three layers");
}

/* 1 - eigenvalue limit: E tends to lambda, from below, at the speed of the multiplicity; larger matrices stay accurate. */
static void test_matrix_products_tend_to_the_coefficient(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{3, 3, 3}, {5, 4, 5}, {5, 3, 5}, {6, 8, 6}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        double before = 0, mean;
        rllc_coefficient c;
        assert_ok(rllc_coefficient_reduced_rank(sizes[i][0], sizes[i][1], sizes[i][2], 0, &c));
        for (double nbeta = 1; nbeta < 1e9; nbeta *= 100) {
            assert_ok(rllc_gibbs_reduced_rank(sizes[i][0], sizes[i][1], sizes[i][2], nbeta, 1, &mean));
            assert_true(mean > before && mean < c.lambda);
            before = mean;
        }
        /* E = lambda - (m - 1) / log(nbeta) + o: at nbeta 1e8 the second term is 0.054 */
        close_to("limit", mean, c.lambda - (double)(c.multiplicity - 1) / log(1e8), 0.02);
    }
}

static double *tanh_nodes(void) {
    static double rule[64];
    rllc_gauss_legendre(32, -1, 1, rule, rule + 32);
    for (int i = 0; i < 32; i++) rule[32 + i] /= 2;
    return rule;
}

static double tanh_two(const double *w) {
    const double *rule = tanh_nodes();
    double sum = 0;
    for (int i = 0; i < 32; i++)
        sum += rule[32 + i] * pow(w[0] * tanh(w[2] * rule[i]) + w[1] * tanh(w[3] * rule[i]), 2) / 2;
    return sum;
}

static void test_tanh(void **state) {
    (void)state;
    const double *rule = tanh_nodes();
    double mean, sampled, se;
    assert_ok(rllc_gibbs_tanh(1, 32, rule, rule + 32, 1e3, 1, &mean));
    close_to("one unit", mean, 0.3694879445, 1e-6); /* notes */
    assert_ok(rllc_gibbs_tanh(2, 32, rule, rule + 32, 1e3, 1, &mean));
    close_to("two units", mean, 0.5161751912, 5e-4); /* notes: good to 5e-4 */
    assert_ok(rllc_gibbs_tanh(2, 32, rule, rule + 32, 20, 1, &mean));
    by_importance(tanh_two, 4, 20, 1, &sampled, &se);
    close_to("two units, importance", sampled, mean, 5 * se);
    assert_fails(rllc_gibbs_tanh(3, 32, rule, rule + 32, 20, 1, &mean), RLLC_EUNSUPPORTED, "one or two");
}

static double bigram_loss(const double *w) { /* V = 3, d = 1: mean KL of softmax(e_i u) */
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        double z = 0, mean = 0;
        for (int j = 0; j < 3; j++) z += exp(w[i] * w[3 + j]) / 3, mean += w[i] * w[3 + j] / 3;
        sum += (log(z) - mean) / 3;
    }
    return sum;
}

static void test_bigram(void **state) {
    (void)state;
    double mean, sampled, se;
    assert_ok(rllc_gibbs_bigram(3, 200, 1, &mean));
    close_to("notes", mean, 0.8803, 5 * 0.0010); /* their importance sampling */
    assert_ok(rllc_gibbs_bigram(3, 30, 1, &mean));
    by_importance(bigram_loss, 6, 30, 1, &sampled, &se);
    printf("    bigram: exact %.5f, importance sampling %.5f +- %.5f\n", mean, sampled, se);
    close_to("importance", sampled, mean, 5 * se);
    assert_ok(rllc_gibbs_bigram(3, 1e8, 1, &mean));
    close_to("limit", mean, 1, 0.001);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_square_crossing_is_bessel),
        cmocka_unit_test(test_one_power),
        cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_matrix_products_agree_with_importance_sampling),
        cmocka_unit_test(test_matrix_products_have_the_known_values),
        cmocka_unit_test(test_matrix_products_tend_to_the_coefficient),
        cmocka_unit_test(test_tanh),
        cmocka_unit_test(test_bigram),
    };
    return cmocka_run_group_tests_name("gibbs", tests, NULL, NULL);
}
