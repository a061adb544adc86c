/* Losses relative to a reference model: against the logits of both models, finite differences, and over threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rllc/model.h"

enum { ROWS = 21, T = 33, V = 43, MOST = 16 }; /* ROWS * T: three blocks */

static rllc_model_options shape(int64_t layers, int64_t width, int64_t heads, int64_t n_ctx, int normalization) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = layers, o.d_model = width, o.n_heads = heads, o.d_head = 5, o.n_ctx = n_ctx, o.d_vocab = V;
    o.normalization = normalization, o.init_scale = 1.7;
    return o;
}

static void make_model(rllc_model *m, rllc_model_options o, uint64_t seed) {
    assert_int_equal(rllc_model_init(m, &o), RLLC_OK);
    rllc_model_randomize(m, seed);
    const rllc_stream s = rllc_stream_make(seed, "test", 0, 0);
    for (int64_t i = 0; i < m->size; i++) m->weights[i] += 0.2F * (float)(rllc_stream_uniform(&s, (uint64_t)i) - 0.5);
}

static const int32_t *make_tokens(void) {
    static int32_t ids[ROWS * T];
    const rllc_stream s = rllc_stream_make(5, "tokens", 0, 0);
    for (int i = 0; i < ROWS * T; i++) ids[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, V);
    return ids;
}

static float *floats(int64_t n) {
    float *p = calloc((size_t)n, sizeof *p);
    assert_non_null(p);
    return p;
}

static rllc_engine *make_engine(const rllc_model *m, const rllc_model *reference, int threads) {
    rllc_engine *e;
    assert_int_equal(rllc_engine_new(&e, m, ROWS, threads), RLLC_OK);
    if (m->options.n_ctx != T) assert_int_equal(rllc_engine_set_context(e, T), RLLC_OK);
    assert_int_equal(rllc_engine_set_reference(e, reference), RLLC_OK);
    return e;
}

static float *logits_of(const rllc_model *m) {
    float *logits = floats(ROWS * T * V);
    rllc_engine *e = make_engine(m, NULL, 1);
    rllc_evaluation out = {.logits = logits};
    assert_int_equal(rllc_engine_evaluate(e, m->weights, make_tokens(), ROWS, &out), RLLC_OK);
    rllc_engine_free(e);
    return logits;
}

static double log_sum_exp(const float *l) {
    double max = -INFINITY, sum = 0;
    for (int j = 0; j < V; j++) max = fmax(max, (double)l[j]);
    for (int j = 0; j < V; j++) sum += exp((double)l[j] - max);
    return max + log(sum);
}

/* At one position: the cross-entropy to soft targets, and their own entropy. */
static void soft(const float *p, const float *q, double *cross_entropy, double *entropy) {
    const double a = log_sum_exp(p), b = log_sum_exp(q);
    *cross_entropy = *entropy = 0;
    for (int j = 0; j < V; j++) {
        const double probability = exp((double)p[j] - a);
        *cross_entropy -= probability * ((double)q[j] - b);
        *entropy -= probability * ((double)p[j] - a);
    }
}

static const struct {
    int64_t layers, width, heads, n_ctx;
    int normalization;
} references[] = {{1, 12, 3, T, RLLC_NORM_LN}, {3, 20, 2, 2 * T, RLLC_NORM_NULL}, {0, 8, 1, T, RLLC_NORM_LN}};
enum { REFERENCES = sizeof references / sizeof *references };

static void make_reference(rllc_model *m, int i) {
    make_model(m,
               shape(references[i].layers, references[i].width, references[i].heads, references[i].n_ctx,
                     references[i].normalization),
               23);
}

/* KL = soft cross-entropy - entropy of the reference, token by token, from the logits of both. */
static void test_reference_loss_is_what_the_logits_of_both_models_say(void **state) {
    (void)state;
    rllc_model m, reference;
    make_model(&m, shape(2, 15, 3, T, RLLC_NORM_LN), 7);
    float *q = logits_of(&m);
    for (int i = 0; i < REFERENCES; i++) {
        make_reference(&reference, i);
        float *p = logits_of(&reference), *losses = floats(ROWS * (T - 1)), *logits = floats(ROWS * T * V);
        rllc_engine *e = make_engine(&m, &reference, 2);
        rllc_evaluation out = {.token_losses = losses, .logits = logits};
        assert_int_equal(rllc_engine_evaluate(e, m.weights, make_tokens(), ROWS, &out), RLLC_OK);
        assert_memory_equal(logits, q, sizeof(float) * ROWS * T * V); /* logits stay the model's own */
        double mean = 0;
        for (int r = 0; r < ROWS; r++)
            for (int t = 0; t < T - 1; t++) {
                double cross_entropy, entropy;
                soft(p + (r * T + t) * V, q + (r * T + t) * V, &cross_entropy, &entropy);
                const double found = (double)losses[r * (T - 1) + t], expected = cross_entropy - entropy;
                if (!(fabs(found - expected) <= 3e-6 * expected + 1e-8))
                    fail_msg("reference %d, row %d, position %d: %.9g, expected %.9g", i, r, t, found, expected);
                mean += expected / (ROWS * (T - 1));
            }
        assert_true(mean > 0.1 && fabs(out.loss - mean) <= 1e-6 * mean);
        rllc_engine_free(e);
        rllc_model_release(&reference);
        free(p), free(losses), free(logits);
    }
    free(q);
    rllc_model_release(&m);
}

static double loss_at(rllc_engine *e, const float *w) {
    rllc_evaluation v = {0};
    assert_int_equal(rllc_engine_evaluate(e, w, make_tokens(), ROWS, &v), RLLC_OK);
    return v.loss;
}

/* Along the gradient of each tensor; two steps of a central difference, extrapolated. */
static void test_reference_gradient_is_the_derivative_of_the_loss(void **state) {
    (void)state;
    rllc_model m, reference;
    make_model(&m, shape(2, 15, 3, T, RLLC_NORM_LN), 7);
    make_reference(&reference, 0);
    rllc_engine *e = make_engine(&m, &reference, 2);
    float *g = floats(m.size), *w = floats(m.size);
    rllc_evaluation out = {.gradient = g};
    assert_int_equal(rllc_engine_evaluate(e, m.weights, make_tokens(), ROWS, &out), RLLC_OK);
    assert_true(fabs(out.loss - loss_at(e, m.weights)) <= 1e-9);
    for (int64_t i = 0; i < m.n_parameters; i++) {
        const rllc_parameter *p = &m.parameters[i];
        double norm = 0, slope[2];
        for (int64_t j = 0; j < p->n; j++) norm += (double)g[p->offset + j] * (double)g[p->offset + j];
        norm = sqrt(norm);
        if (norm < 1e-6) continue; /* b_K: a shift of every score alike */
        for (int s = 0; s < 2; s++) {
            const double h = (s ? 0.02 : 0.04) / (1 + norm);
            double side[2];
            for (int k = 0; k < 2; k++) {
                memcpy(w, m.weights, (size_t)m.size * sizeof *w);
                for (int64_t j = 0; j < p->n; j++)
                    w[p->offset + j] += (float)((k ? -h : h) * (double)g[p->offset + j] / norm);
                side[k] = loss_at(e, w);
            }
            slope[s] = (side[0] - side[1]) / (2 * h);
        }
        const double best = (4 * slope[1] - slope[0]) / 3;
        if (!(fabs(best - norm) <= 2e-3 * norm + 2e-5)) fail_msg("%s: slope %g, gradient %g", p->name, best, norm);
    }
    free(g), free(w);
    rllc_engine_free(e);
    rllc_model_release(&m);
    rllc_model_release(&reference);
}

static void test_reference_that_is_the_model_gives_exactly_zero(void **state) {
    (void)state;
    rllc_model m;
    make_model(&m, shape(2, 15, 3, T, RLLC_NORM_LN), 7);
    rllc_engine *e = make_engine(&m, &m, 2);
    float *g = floats(m.size), *losses = floats(ROWS * (T - 1));
    rllc_evaluation out = {.gradient = g, .token_losses = losses};
    assert_int_equal(rllc_engine_evaluate(e, m.weights, make_tokens(), ROWS, &out), RLLC_OK);
    assert_true(out.loss == 0);
    for (int64_t i = 0; i < m.size; i++) assert_true(g[i] == 0);
    for (int64_t i = 0; i < ROWS * (T - 1); i++) assert_true(losses[i] == 0);
    rllc_engine_free(e);
    free(g), free(losses);
    rllc_model_release(&m);
}

/* ---- members ------------------------------------------------------------------------------------------------- */

typedef struct members {
    rllc_component components[MOST];
    rllc_member list[MOST];
    int64_t n;
    double base;
    float *base_losses;
} members;

static void make_members(members *x, const rllc_model *m) {
    static const char *const names[] = {"l1h0", "full", "l0h1", "embed", "l1h2", "unembed", "l0h0+l0h2", "l1h0", "l1"};
    *x = (members){.base_losses = floats(ROWS * (T - 1))};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        rllc_component *c = &x->components[x->n];
        assert_int_equal(rllc_component_parse(c, m, names[i]), RLLC_OK);
        float *free = floats(c->size), *to = free;
        const rllc_stream s = rllc_stream_make(11, "displace", (uint32_t)i, 0);
        for (int64_t j = 0; j < c->n_ranges; to += c->ranges[j++].n)
            for (int64_t k = 0; k < c->ranges[j].n; k++)
                to[k] = m->weights[c->ranges[j].first + k] + 0.3F * (float)(rllc_stream_uniform(&s, (uint64_t)k) - 0.5);
        x->list[x->n++] = (rllc_member){
            .component = c, .free = free, .gradient = floats(c->size), .token_losses = floats(ROWS * (T - 1))};
    }
}

static void release_members(members *x) {
    for (int64_t i = 0; i < x->n; i++) {
        free((void *)(uintptr_t)x->list[i].free), free(x->list[i].gradient), free(x->list[i].token_losses);
        rllc_component_release(&x->components[i]);
    }
    free(x->base_losses);
}

static void run(rllc_engine *e, const rllc_model *m, members *x, int64_t first, int64_t n) {
    assert_int_equal(
        rllc_engine_lockstep(e, m->weights, make_tokens(), ROWS, x->list + first, n, &x->base, x->base_losses),
        RLLC_OK);
}

static void assert_same(const members *a, const members *b) {
    assert_true(a->base == b->base);
    assert_memory_equal(a->base_losses, b->base_losses, sizeof(float) * ROWS * (T - 1));
    for (int64_t i = 0; i < a->n; i++) {
        assert_true(a->list[i].loss == b->list[i].loss);
        assert_memory_equal(a->list[i].token_losses, b->list[i].token_losses, sizeof(float) * ROWS * (T - 1));
        assert_memory_equal(a->list[i].gradient, b->list[i].gradient, sizeof(float) * (size_t)a->components[i].size);
    }
}

/** |a - b| / |a|. */
static double relative(const float *a, const float *b, int64_t n) {
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)a[i] * (double)a[i];
    }
    return sqrt(difference / size);
}

/* A member's loss and gradient are those of the whole model with its weights in place. */
static void check_against_evaluate(const rllc_model *m, const rllc_model *reference, const members *x) {
    rllc_engine *e = make_engine(m, reference, 1);
    float *w = floats(m->size), *g = floats(m->size), *part = floats(m->size);
    for (int64_t i = 0; i < x->n; i++) {
        const rllc_component *c = &x->components[i];
        const float *free = x->list[i].free;
        memcpy(w, m->weights, (size_t)m->size * sizeof *w);
        for (int64_t j = 0; j < c->n_ranges; free += c->ranges[j++].n)
            memcpy(w + c->ranges[j].first, free, (size_t)c->ranges[j].n * sizeof *w);
        rllc_evaluation out = {.gradient = g};
        assert_int_equal(rllc_engine_evaluate(e, w, make_tokens(), ROWS, &out), RLLC_OK);
        float *to = part;
        for (int64_t j = 0; j < c->n_ranges; to += c->ranges[j++].n)
            memcpy(to, g + c->ranges[j].first, (size_t)c->ranges[j].n * sizeof *w);
        const double error = fabs(x->list[i].loss - out.loss) / out.loss,
                     slope = relative(part, x->list[i].gradient, c->size);
        if (!(error <= 2e-6) || !(slope <= 2e-5))
            fail_msg("%s: loss %.9g differs by %g, gradient by %g", c->name, out.loss, error, slope);
    }
    rllc_engine_free(e);
    free(w), free(g), free(part);
}

static void test_reference_members_are_whole_models_on_any_threads_in_any_company(void **state) {
    (void)state;
    for (int normalization = RLLC_NORM_LN; normalization <= RLLC_NORM_NULL; normalization++) {
        rllc_model m, reference;
        members x[3];
        make_model(&m, shape(2, 15, 4, T, normalization), 7);
        make_reference(&reference, 1);
        for (int k = 0; k < 3; k++) make_members(&x[k], &m);
        rllc_engine *one = make_engine(&m, &reference, 1), *three = make_engine(&m, &reference, 3);
        run(one, &m, &x[0], 0, x[0].n);
        run(three, &m, &x[1], 0, x[1].n);
        assert_same(&x[0], &x[1]);
        for (int64_t i = x[2].n - 1; i >= 0; i--) run(three, &m, &x[2], i, 1);
        assert_same(&x[0], &x[2]);
        assert_true(fabs(x[0].base - loss_at(one, m.weights)) <= 1e-7 * x[0].base);
        check_against_evaluate(&m, &reference, &x[0]);
        rllc_engine_free(one), rllc_engine_free(three);
        for (int k = 0; k < 3; k++) release_members(&x[k]);
        rllc_model_release(&m);
        rllc_model_release(&reference);
    }
}

/* Taken away, the losses of the next token come back, bit for bit. */
static void test_reference_can_be_taken_away(void **state) {
    (void)state;
    rllc_model m, reference;
    members x[2];
    make_model(&m, shape(2, 15, 4, T, RLLC_NORM_LN), 7);
    make_reference(&reference, 0);
    for (int k = 0; k < 2; k++) make_members(&x[k], &m);
    rllc_engine *e = make_engine(&m, NULL, 2);
    run(e, &m, &x[0], 0, x[0].n);
    assert_int_equal(rllc_engine_set_reference(e, &reference), RLLC_OK);
    run(e, &m, &x[1], 0, x[1].n);
    assert_true(x[1].base != x[0].base);
    assert_int_equal(rllc_engine_set_reference(e, NULL), RLLC_OK);
    run(e, &m, &x[1], 0, x[1].n);
    assert_same(&x[0], &x[1]);
    rllc_engine_free(e);
    for (int k = 0; k < 2; k++) release_members(&x[k]);
    rllc_model_release(&m);
    rllc_model_release(&reference);
}

static void test_reference_that_does_not_fit_is_refused(void **state) {
    (void)state;
    rllc_model m, other, small;
    rllc_model_options o = shape(1, 8, 1, T, RLLC_NORM_LN);
    make_model(&m, shape(2, 15, 4, 2 * T, RLLC_NORM_LN), 7);
    make_model(&small, o, 7);
    o.d_vocab = V + 1;
    make_model(&other, o, 7);
    rllc_engine *e;
    assert_int_equal(rllc_engine_new(&e, &m, ROWS, 1), RLLC_OK);
    assert_int_equal(rllc_engine_set_reference(e, &small), RLLC_EMISMATCH); /* the context in use is 2 T */
    assert_non_null(strstr(rllc_error_detail(), "66"));
    assert_int_equal(rllc_engine_set_context(e, T), RLLC_OK);
    assert_int_equal(rllc_engine_set_reference(e, &other), RLLC_EMISMATCH);
    assert_non_null(strstr(rllc_error_detail(), "vocabulary of 44"));
    assert_int_equal(rllc_engine_set_reference(e, &small), RLLC_OK);
    assert_true(loss_at(e, m.weights) > 0);
    assert_int_equal(rllc_engine_set_context(e, T + 1), RLLC_EMISMATCH);
    assert_int_equal(rllc_engine_set_context(e, T - 1), RLLC_OK);
    rllc_engine_free(e);
    rllc_model_release(&m), rllc_model_release(&other), rllc_model_release(&small);
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

static int64_t taken;

static void *allocate(size_t bytes) {
    taken += (int64_t)bytes;
    return rllc_kernels_get()->allocate(bytes);
}

static void test_reference_takes_the_memory_it_says(void **state) {
    (void)state;
    rllc_model m, reference;
    rllc_kernels counting = *rllc_kernels_get();
    counting.allocate = allocate;
    make_model(&m, shape(2, 15, 4, T, RLLC_NORM_LN), 7);
    make_reference(&reference, 1);
    for (int threads = 1; threads <= 3; threads += 2) {
        rllc_engine *e;
        assert_int_equal(rllc_engine_new(&e, &m, ROWS, threads), RLLC_OK);
        assert_int_equal(rllc_engine_set_kernels(e, &counting), RLLC_OK);
        taken = 0;
        assert_int_equal(rllc_engine_set_reference(e, &reference), RLLC_OK);
        const double said = (double)rllc_engine_reference_bytes(&m, &reference, threads);
        if (!(fabs((double)taken - said) <= 1e-3 * said))
            fail_msg("%d threads: %lld bytes, said %.0f", threads, (long long)taken, said);
        const double loss = loss_at(e, m.weights);
        assert_int_equal(rllc_engine_set_kernels(e, rllc_kernels_get()), RLLC_OK); /* the reference goes along */
        assert_true(loss_at(e, m.weights) == loss && loss > 0);
        rllc_engine_free(e);
    }
    rllc_model_release(&m);
    rllc_model_release(&reference);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_loss_is_what_the_logits_of_both_models_say),
        cmocka_unit_test(test_reference_gradient_is_the_derivative_of_the_loss),
        cmocka_unit_test(test_reference_that_is_the_model_gives_exactly_zero),
        cmocka_unit_test(test_reference_members_are_whole_models_on_any_threads_in_any_company),
        cmocka_unit_test(test_reference_can_be_taken_away),
        cmocka_unit_test(test_reference_that_does_not_fit_is_refused),
        cmocka_unit_test(test_reference_takes_the_memory_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
