/* Measured curvature: exact on quadratics, with and without minibatch noise; a dense Hessian of a small transformer. */
#include "support/support.h"

/* ---- a quadratic whose minibatches have different gradients ---------------------------------------------------- */

enum { DIM = 12, BATCHES = 6 };

typedef struct noisy {
    rllc_potential head;
    double h[DIM], centre[DIM], noise[DIM]; /* standard deviation of each coordinate's minibatch gradient */
    float w0[DIM];
    rllc_potential_member member[2];
    rllc_span span;
    int64_t stream, step, calls;
} noisy;

static double kick(const noisy *q, int64_t step, int64_t i) {
    const rllc_stream s = rllc_stream_make(5, "kick", (uint32_t)q->stream, (uint32_t)step);
    float z;
    rllc_kernels_get()->normals(&s, (uint64_t)i, 1, &z);
    return q->noise[i] * (double)z;
}

static rllc_status prepare(rllc_potential *p, int64_t stream, int64_t step) {
    ((noisy *)p)->stream = stream;
    ((noisy *)p)->step = step;
    return RLLC_OK;
}

static rllc_status loss_and_gradient(rllc_potential *p, int64_t n, const int64_t *members, const float *const *w,
                                     double *loss, float *const *gradient, double *baseline) {
    noisy *q = (noisy *)p;
    (void)members, (void)baseline;
    q->calls++;
    for (int64_t k = 0; k < n; k++) {
        loss[k] = 0; /* not wanted here */
        for (int64_t i = 0; i < DIM; i++)
            gradient[k][i] = (float)(q->h[i] * ((double)w[k][i] - q->centre[i]) + kick(q, q->step, i));
    }
    return RLLC_OK;
}

static void release(rllc_potential *p) {
    (void)p;
}

static const rllc_potential_kind noisy_kind = {"noisy", prepare, loss_and_gradient, release};

/* Three distinct eigenvalues: three Lanczos steps see everything. */
static void make_noisy(noisy *q, double noise) {
    const double h[] = {3, 0.5, -0.1};
    *q = (noisy){.span = {100, DIM}};
    for (int i = 0; i < DIM; i++) {
        q->h[i] = h[i % 3];
        q->noise[i] = noise * (1 + i % 3);
        q->w0[i] = 0.1f * (float)(i + 1);
        q->centre[i] = (double)q->w0[i] - 0.02 * (i - 4);
    }
    for (int i = 0; i < 2; i++)
        q->member[i] = (rllc_potential_member){.dim = DIM, .w0 = q->w0, .spans = &q->span, .n_spans = 1};
    q->head = (rllc_potential){.kind = &noisy_kind, .members = q->member, .n_members = 2};
}

static double saturating(double h, const void *context) {
    (void)context;
    return 100 * h / (100 * h + 20);
}

/* Gradients are of size 0.3 with float rounding 3e-8 of it, divided by a displacement of 3e-4 * 2.5: 2e-5. */
static const double DIFFERENCE_TOLERANCE = 1e-4;

static void test_curvature_of_a_quadratic(void **state) {
    (void)state;
    noisy q;
    rllc_curvature c;
    const rllc_curvature_settings s = {.probes = 2, .steps = 8, .batches = 1, .seed = 1};
    const int64_t member = 0;
    make_noisy(&q, 0);
    assert_ok(rllc_measure_curvature(&q.head, &s, 1, &member, &c));
    double f = 0, drift = 0, square = 0;
    for (int i = 0; i < DIM; i++) {
        const double g = q.h[i] * ((double)q.w0[i] - q.centre[i]);
        f += saturating(q.h[i], NULL);
        drift += g * g * saturating(q.h[i], NULL);
        square += g * g;
    }
    assert_int_equal(c.dim, DIM);
    assert_true(fabs(c.top - 3) < 3 * DIFFERENCE_TOLERANCE && fabs(c.bottom + 0.1) < DIFFERENCE_TOLERANCE);
    assert_true(fabs(rllc_quadrature_weight(&c.spectrum) - DIM) < 1e-9);
    assert_true(fabs(rllc_quadrature_sum(&c.spectrum, saturating, NULL) / f - 1) < 10 * DIFFERENCE_TOLERANCE);
    assert_true(fabs(rllc_quadrature_sum(&c.drift, saturating, NULL) / drift - 1) < 10 * DIFFERENCE_TOLERANCE);
    assert_true(fabs(c.gradient_square / square - 1) < 1e-6);
    assert_true(c.noise.n == 0 && c.noise_trace == 0 && c.batches == 1);
    rllc_curvature_release(&c);
}

/* The library's own quadratic at w* = 0, where the gradients carry nothing but their own rounding: what the chain would
 * give on it is what the budget expects, to 1e-6 (float products are good to 6e-8 each). */
static void test_curvature_to_budget_is_the_exact_expectation(void **state) {
    (void)state;
    enum { N = 10 };
    const double distinct[] = {2, 0.7, 0.3, 0.05, -0.02};
    double h[N], centre[N] = {0};
    float w0[N] = {0};
    rllc_potential *p;
    rllc_curvature c;
    rllc_bias_budget b;
    rllc_sampler_options o;
    rllc_options_default(&rllc_sampler_option_table, &o);
    o.localization = 20;
    o.lr = 0.01;
    for (int off = 0; off < 2; off++) {
        double truth = 0;
        for (int i = 0; i < N; i++) {
            h[i] = distinct[i % 5];
            centre[i] = off ? 0.02 * (i - 3) : 0;
            const double a = o.nbeta * h[i] + o.localization, rho = 1 - o.lr * a / 2, c0 = -centre[i];
            for (int64_t t = 0; t < o.num_draws; t++) { /* E16 with a minimum elsewhere */
                const double v = (1 - pow(rho, 2.0 * (double)t)) / (a * (1 - o.lr * a / 4));
                const double m = o.localization * c0 / a + pow(rho, (double)t) * (c0 - o.localization * c0 / a);
                truth += o.nbeta * h[i] / 2 * (v + m * m - c0 * c0) / (double)o.num_draws;
            }
        }
        assert_ok(rllc_potential_quadratic(&p, N, h, centre, w0, 1));
        assert_ok(rllc_measure_curvature(p, &(rllc_curvature_settings){.probes = 1, .steps = 5, .batches = 1}, 1,
                                         &(int64_t){0}, &c));
        rllc_bias_budget_make(&c, &o, &b);
        /* off the minimum the differences subtract gradients 1e2 times the displacement's: 1e-4 */
        if (!(fabs(b.expected / truth - 1) < (off ? 1e-4 : 1e-6)))
            fail_msg("off %d: expected %.9g, truth %.9g", off, b.expected, truth);
        rllc_curvature_release(&c);
        rllc_potential_free(p);
    }
}

/* The noise is a sample of `batches` minibatches: compared with that sample's own covariance, exactly. */
static void test_curvature_noise_of_minibatches(void **state) {
    (void)state;
    noisy q;
    rllc_curvature c;
    const rllc_curvature_settings s = {.probes = 1, .steps = 3, .batches = BATCHES, .stream = 2};
    make_noisy(&q, 0.05);
    assert_ok(rllc_measure_curvature(&q.head, &s, 1, &(int64_t){1}, &c));
    double trace = 0, pairs = 0, mean_square = 0;
    q.stream = 2;
    for (int i = 0; i < DIM; i++) {
        const double g = q.h[i] * ((double)q.w0[i] - q.centre[i]);
        double mean = 0;
        for (int b = 0; b < BATCHES; b++) mean += (g + kick(&q, b, i)) / BATCHES;
        mean_square += mean * mean;
        for (int b = 0; b < BATCHES; b++) {
            trace += pow(g + kick(&q, b, i) - mean, 2) / (BATCHES - 1);
            for (int a = 0; a < b; a++)
                pairs += (g + kick(&q, a, i)) * (g + kick(&q, b, i)) * 2 / (BATCHES * (BATCHES - 1));
        }
    }
    assert_true(fabs(c.noise_trace / trace - 1) < 1e-5);
    assert_true(fabs(c.gradient_square - pairs) < 1e-6 * mean_square);
    assert_true(fabs(rllc_quadrature_weight(&c.noise) / c.noise_trace - 1) < 1e-9);
    assert_true(fabs(rllc_quadrature_weight(&c.drift) / mean_square - 1) < 1e-6);
    rllc_curvature_release(&c);
}

static double one(double h, const void *context) {
    (void)context;
    return fabs(h - 3) < 0.1;
}

/* Over many streams: noise has trace tr C, its share on the top eigenvalue is right, and gradient_square has no bias.
 */
static void test_curvature_noise_is_unbiased(void **state) {
    (void)state;
    enum { STREAMS = 400 };
    noisy q;
    double trace = 0, top = 0, square = 0, squares = 0, tops = 0, true_trace = 0, true_top = 0, true_square = 0;
    make_noisy(&q, 0.05);
    for (int i = 0; i < DIM; i++) {
        const double g = q.h[i] * ((double)q.w0[i] - q.centre[i]);
        true_square += g * g;
        true_trace += q.noise[i] * q.noise[i];
        if (i % 3 == 0) true_top += q.noise[i] * q.noise[i];
    }
    for (int64_t k = 0; k < STREAMS; k++) {
        rllc_curvature c;
        const rllc_curvature_settings s = {.probes = 1, .steps = 3, .batches = 3, .stream = k};
        assert_ok(rllc_measure_curvature(&q.head, &s, 1, &(int64_t){0}, &c));
        const double at_top = rllc_quadrature_sum(&c.noise, one, NULL);
        trace += c.noise_trace / STREAMS;
        top += at_top / STREAMS;
        tops += at_top * at_top / STREAMS;
        square += c.gradient_square / STREAMS;
        squares += c.gradient_square * c.gradient_square / STREAMS;
        rllc_curvature_release(&c);
    }
    const double se_top = sqrt((tops - top * top) / STREAMS), se_square = sqrt((squares - square * square) / STREAMS);
    assert_true(fabs(trace / true_trace - 1) < 0.1); /* 400 traces of 24 squares, unequal: about 2% */
    assert_true(fabs(top - true_top) < 5 * se_top && se_top < 0.1 * true_top);
    assert_true(fabs(square - true_square) < 5 * se_square && 5 * se_square < true_trace / 3);
}

static void test_curvature_refuses_nonsense(void **state) {
    (void)state;
    noisy q;
    rllc_curvature c;
    make_noisy(&q, 0);
    assert_int_equal(
        rllc_measure_curvature(&q.head, &(rllc_curvature_settings){.probes = 1, .steps = 3}, 1, &(int64_t){0}, &c),
        RLLC_EUSAGE);
    q.h[2] = NAN;
    assert_int_equal(rllc_measure_curvature(&q.head, &(rllc_curvature_settings){.probes = 1, .steps = 3, .batches = 1},
                                            1, &(int64_t){0}, &c),
                     RLLC_ENOTFINITE);
    assert_null(c.spectrum.node);
}

/* ---- a transformer ------------------------------------------------------------------------------------------- */

enum { CTX = 12, VOCAB = 11, ROWS = 6 };

static rllc_status tokens_of(void *context, int64_t stream, int64_t step, int64_t rows, int32_t *tokens) {
    (void)context;
    const rllc_stream s = rllc_stream_make(9, "tokens", (uint32_t)stream, (uint32_t)step);
    for (int64_t i = 0; i < rows * CTX; i++) {
        const bool random = i % CTX < 2 || rllc_stream_below(&s, (uint64_t)(2 * i), 4) == 0;
        tokens[i] = random ? (int32_t)rllc_stream_below(&s, (uint64_t)(2 * i + 1), VOCAB) : tokens[i - 1] * 3 % VOCAB;
    }
    return RLLC_OK;
}

static const rllc_batch_source source = {NULL, tokens_of};

static void make_model(rllc_model *m) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.d_model = 8;
    o.n_heads = 2;
    o.d_head = 2;
    o.n_ctx = CTX;
    o.d_vocab = VOCAB;
    assert_ok(rllc_model_init(m, &o));
    rllc_model_randomize(m, 4);
}

/* Dense restricted Hessian of the mean loss over the minibatches, column by column, by fourth-order differences with a
 * displacement of each weight that has nothing to do with the one under test. */
static void dense_hessian(rllc_potential *p, int64_t member, int64_t batches, double *hessian) {
    const rllc_potential_member *m = &p->members[member];
    const int64_t dim = m->dim;
    const double step = 0.005, weights[] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12}, at[] = {-2, -1, 1, 2};
    float *w = test_memory(dim, sizeof *w), *g = test_memory(dim, sizeof *g);
    memset(hessian, 0, (size_t)(dim * dim) * sizeof *hessian);
    for (int64_t b = 0; b < batches; b++) {
        assert_ok(rllc_potential_prepare(p, 0, b));
        for (int64_t k = 0; k < dim; k++)
            for (int e = 0; e < 4; e++) {
                double loss;
                memcpy(w, m->w0, (size_t)dim * sizeof *w);
                w[k] += (float)(at[e] * step);
                assert_ok(rllc_potential_loss_and_gradient(p, 1, &member, (const float *const *)&w, &loss, &g, NULL));
                for (int64_t i = 0; i < dim; i++)
                    hessian[k * dim + i] += weights[e] * (double)g[i] / step / (double)batches;
            }
    }
    free(w);
    free(g);
}

/* Largest eigenvalue by power iteration on H + shift; shift = minus a norm of H finds the smallest. */
static double extreme(const double *hessian, int64_t dim, double shift) {
    double *v = test_memory(dim, sizeof *v), *u = test_memory(dim, sizeof *u), value = 0;
    for (int64_t i = 0; i < dim; i++) v[i] = sin((double)i + 1);
    for (int t = 0; t < 3000; t++) {
        double norm = 0;
        for (int64_t i = 0; i < dim; i++) {
            u[i] = shift * v[i];
            for (int64_t k = 0; k < dim; k++) u[i] += (hessian[i * dim + k] + hessian[k * dim + i]) / 2 * v[k];
            norm += u[i] * u[i];
        }
        norm = sqrt(norm);
        value = 0;
        for (int64_t i = 0; i < dim; i++) value += u[i] * v[i];
        for (int64_t i = 0; i < dim; i++) v[i] = u[i] / norm;
    }
    free(v);
    free(u);
    return value - shift;
}

static double identity(double h, const void *context) {
    (void)context;
    return h;
}

static double squared(double h, const void *context) {
    (void)context;
    return h * h;
}

/* Head by head: the edges of the spectrum, and the traces of the same random signs through the dense matrix. */
static void test_curvature_of_transformer_heads(void **state) {
    (void)state;
    rllc_model m;
    rllc_component c[2];
    rllc_potential *p;
    rllc_curvature found[2];
    const char *names[] = {"l0h1", "l1h0"};
    make_model(&m);
    for (int i = 0; i < 2; i++) assert_ok(rllc_component_parse(&c[i], &m, names[i]));
    const rllc_component *list[] = {&c[0], &c[1]};
    assert_ok(rllc_potential_transformer(&p, &m, list, 2, ROWS, source, 1, NULL));
    /* a mean of 60 vectors of signs has an error of the trace of sqrt(2 / 60) |off-diagonal|_F: it is allowed for */
    const rllc_curvature_settings s = {.probes = 60, .steps = 25, .batches = 2, .seed = 3};
    assert_ok(rllc_measure_curvature(p, &s, 2, (const int64_t[]){0, 1}, found));
    for (int i = 0; i < 2; i++) {
        const int64_t dim = c[i].size;
        double *hessian = test_memory(dim * dim, sizeof *hessian), trace = 0, trace2 = 0, off = 0;
        dense_hessian(p, i, 2, hessian);
        for (int64_t k = 0; k < dim * dim; k++) {
            trace2 += hessian[k] * hessian[k];
            if (k % (dim + 1) == 0)
                trace += hessian[k];
            else
                off += hessian[k] * hessian[k];
        }
        const double top = extreme(hessian, dim, sqrt(trace2)), bottom = extreme(hessian, dim, -sqrt(trace2));
        if (!(fabs(found[i].top / top - 1) < 1e-3)) fail_msg("top %.8g, dense %.8g", found[i].top, top);
        assert_true(fabs(found[i].bottom - bottom) < 1e-3 * top);
        assert_true(fabs(rllc_quadrature_sum(&found[i].spectrum, identity, NULL) - trace) < 4 * sqrt(2 * off / 60));
        assert_true(fabs(rllc_quadrature_sum(&found[i].spectrum, squared, NULL) / trace2 - 1) < 0.2);
        free(hessian);
        rllc_curvature_release(&found[i]);
    }
    rllc_potential_free(p);
    for (int i = 0; i < 2; i++) rllc_component_release(&c[i]);
    rllc_model_release(&m);
}

static void assert_same(const rllc_quadrature *a, const rllc_quadrature *b) {
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->node, b->node, (size_t)(2 * a->n) * sizeof(double));
}

/* Alone on one thread, or in company on two: the same bits. */
static void test_curvature_does_not_depend_on_company(void **state) {
    (void)state;
    rllc_model m;
    rllc_component c[3];
    rllc_potential *p;
    rllc_curvature together[3], alone;
    const char *names[] = {"l0h1", "l1h0", "full"};
    const rllc_curvature_settings s = {.probes = 2, .steps = 6, .batches = 3, .seed = 3};
    make_model(&m);
    for (int i = 0; i < 3; i++) assert_ok(rllc_component_parse(&c[i], &m, names[i]));
    const rllc_component *list[] = {&c[0], &c[1], &c[2]};
    assert_ok(rllc_potential_transformer(&p, &m, list, 3, ROWS, source, 2, NULL));
    assert_ok(rllc_measure_curvature(p, &s, 3, (const int64_t[]){2, 0, 1}, together));
    rllc_potential_free(p);
    for (int i = 0; i < 3; i++) {
        const int64_t order[] = {2, 0, 1};
        assert_ok(rllc_potential_transformer(&p, &m, &list[order[i]], 1, ROWS, source, 1, NULL));
        assert_ok(rllc_measure_curvature(p, &s, 1, (const int64_t[]){0}, &alone));
        assert_same(&alone.spectrum, &together[i].spectrum);
        assert_same(&alone.drift, &together[i].drift);
        assert_same(&alone.noise, &together[i].noise);
        assert_true(alone.gradient_square == together[i].gradient_square && alone.top == together[i].top);
        rllc_curvature_release(&alone);
        rllc_curvature_release(&together[i]);
        rllc_potential_free(p);
    }
    for (int i = 0; i < 3; i++) rllc_component_release(&c[i]);
    rllc_model_release(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_curvature_of_a_quadratic),
        cmocka_unit_test(test_curvature_to_budget_is_the_exact_expectation),
        cmocka_unit_test(test_curvature_noise_of_minibatches),
        cmocka_unit_test(test_curvature_noise_is_unbiased),
        cmocka_unit_test(test_curvature_refuses_nonsense),
        cmocka_unit_test(test_curvature_of_transformer_heads),
        cmocka_unit_test(test_curvature_does_not_depend_on_company),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
