/* Heads on the paths of low rank against the plain path, which is their definition. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rllc/model.h"

enum { ROWS = 5, MOST = 12 };

typedef struct shape {
    int64_t layers, C, H, D, T, V;
    int normalization;
    double scale; /* of init */
    const char *components;
} shape;

static const shape shapes[] = {
    {1, 24, 3, 5, 17, 40, RLLC_NORM_LN, 1.7, "heads"},
    {2, 32, 4, 8, 33, 61, RLLC_NORM_LN, 1.7, "heads,l1h0+l1h2,l0h3+l0h1"},
    {3, 40, 5, 4, 20, 53, RLLC_NORM_LN, 1.0, "l0h1,l1h2+l1h4,l2h0,l1h0,l0h0+l0h1+l0h2"},
    {2, 24, 2, 12, 9, 300, RLLC_NORM_NULL, 0.8, "heads"},
    {4, 32, 4, 8, 16, 37, RLLC_NORM_NULL, 0.8, "l0h0,l2h1,l3h3,l3h0+l3h1"},
    {2, 64, 4, 16, 64, 512, RLLC_NORM_LN, 0.8, "heads"},
};

/** Everything that a comparison needs: a model, tokens, and members displaced from it by `distance`. */
typedef struct bed {
    rllc_model m;
    rllc_engine *plain, *fast;
    int32_t *tokens;
    int64_t n;
    rllc_component components[MOST];
    float *free[MOST], *gradient[2][MOST];
    rllc_member members[2][MOST];
    float *token_losses[2][MOST];
} bed;

static float *floats(int64_t n) {
    float *p;
    assert_int_equal(rllc_alloc(&p, n, sizeof *p), RLLC_OK);
    return p;
}

static void displace(const rllc_model *m, const rllc_component *c, double distance, uint32_t which, float *free) {
    const rllc_stream s = rllc_stream_make(11, "displace", which, 0);
    for (int64_t i = 0; i < c->n_ranges; i++) {
        memcpy(free, m->weights + c->ranges[i].first, (size_t)c->ranges[i].n * sizeof *free);
        for (int64_t j = 0; j < c->ranges[i].n; j++)
            free[j] += (float)(distance * (rllc_stream_uniform(&s, (uint64_t)(c->ranges[i].first + j)) - 0.5));
        free += c->ranges[i].n;
    }
}

static void bed_init(bed *b, const shape *x, double distance, int threads) {
    const char **names;
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = x->layers, o.d_model = x->C, o.n_heads = x->H, o.d_head = x->D, o.n_ctx = x->T, o.d_vocab = x->V;
    o.normalization = x->normalization, o.init_scale = x->scale;
    *b = (bed){0};
    assert_int_equal(rllc_model_init(&b->m, &o), RLLC_OK);
    rllc_model_randomize(&b->m, 7);
    const rllc_stream s = rllc_stream_make(3, "test", 0, 0);
    for (int64_t i = 0; i < b->m.size; i++)
        b->m.weights[i] += 0.2F * (float)(rllc_stream_uniform(&s, (uint64_t)i) - 0.5);
    assert_int_equal(rllc_alloc(&b->tokens, ROWS * x->T, sizeof *b->tokens), RLLC_OK);
    for (int64_t i = 0; i < ROWS * x->T; i++)
        b->tokens[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, (uint64_t)x->V);
    assert_int_equal(rllc_engine_new(&b->plain, &b->m, ROWS, threads), RLLC_OK);
    assert_int_equal(rllc_engine_new(&b->fast, &b->m, ROWS, threads), RLLC_OK);
    rllc_engine_set_plain(b->plain, true);
    assert_int_equal(rllc_components_expand(&b->m, x->components, &names, &b->n), RLLC_OK);
    assert_true(b->n <= MOST);
    for (int64_t i = 0; i < b->n; i++) {
        rllc_component *c = &b->components[i];
        assert_int_equal(rllc_component_parse(c, &b->m, names[i]), RLLC_OK);
        b->free[i] = floats(c->size);
        displace(&b->m, c, distance, (uint32_t)i, b->free[i]);
        for (int k = 0; k < 2; k++) {
            b->gradient[k][i] = floats(c->size);
            b->token_losses[k][i] = floats(ROWS * (x->T - 1));
            b->members[k][i] = (rllc_member){.component = c,
                                             .free = b->free[i],
                                             .gradient = b->gradient[k][i],
                                             .token_losses = b->token_losses[k][i]};
        }
    }
    rllc_free(names);
}

static void bed_release(bed *b) {
    for (int64_t i = 0; i < b->n; i++) {
        rllc_free(b->free[i]);
        for (int k = 0; k < 2; k++) {
            rllc_free(b->gradient[k][i]);
            rllc_free(b->token_losses[k][i]);
        }
        rllc_component_release(&b->components[i]);
    }
    rllc_free(b->tokens);
    rllc_engine_free(b->plain);
    rllc_engine_free(b->fast);
    rllc_model_release(&b->m);
}

/** |a - b| / |a|, of vectors. */
static double relative(const float *a, const float *b, int64_t n) {
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)a[i] * (double)a[i];
    }
    return sqrt(difference / size);
}

/** Runs both engines; losses to `loss_error` of themselves or of the logits' size, gradients to `gradient_error` of
 *  their length. */
static void compare(bed *b, double logits, double loss_error, double gradient_error) {
    double base[2];
    rllc_engine *const engines[2] = {b->plain, b->fast};
    for (int k = 0; k < 2; k++)
        assert_int_equal(
            rllc_engine_lockstep(engines[k], b->m.weights, b->tokens, ROWS, b->members[k], b->n, &base[k], NULL),
            RLLC_OK);
    assert_true(base[0] == base[1]);
    for (int64_t i = 0; i < b->n; i++) {
        const double loss = b->members[0][i].loss, error = fabs(b->members[1][i].loss - loss) / fmax(loss, logits);
        const double g = relative(b->gradient[0][i], b->gradient[1][i], b->components[i].size);
        if (!(error <= loss_error) || !(g <= gradient_error))
            fail_msg("%s: loss %.9g differs by %.2g, gradient by %.2g", b->components[i].name, loss, error, g);
        for (int64_t j = 0; j < ROWS * (b->m.options.n_ctx - 1); j++) {
            const double x = (double)b->token_losses[0][i][j], y = (double)b->token_losses[1][i][j];
            if (!(fabs(x - y) <= 10 * loss_error * fmax(logits, x)))
                fail_msg("%s: loss %lld is %.9g, on the plain path %.9g", b->components[i].name, (long long)j, y, x);
        }
    }
}

static void test_low_rank_is_the_plain_path(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (double distance = 0; distance < 1; distance += 0.45) {
            bed b;
            bed_init(&b, &shapes[i], distance, 2);
            compare(&b, 1, 1e-6, 1e-5);
            bed_release(&b);
        }
}

/** Weights as large as training never makes them: logits of hundreds, where exp overflows around the base's lse. */
static void test_low_rank_at_extreme_logits(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        bed b;
        bed_init(&b, &shapes[i], 0, 1);
        const rllc_parameter *p = rllc_model_find(&b.m, "unembed.W_U");
        for (int64_t j = 0; j < p->n; j++) b.m.weights[p->offset + j] *= 200;
        for (int64_t j = 0; j < b.n; j++) displace(&b.m, &b.components[j], 2, (uint32_t)j, b.free[j]);
        compare(&b, 2000, 1e-6, 1e-3); /* float32 logits of 2000 are good to 1e-4, and so are probabilities */
        bed_release(&b);
    }
}

/** A member alone, in company, listed twice, without a gradient, and on other threads: the same bits. */
static void test_low_rank_bits_do_not_depend_on_company(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        bed b;
        bed_init(&b, &shapes[i], 0.3, 1);
        double base, alone;
        assert_int_equal(rllc_engine_lockstep(b.fast, b.m.weights, b.tokens, ROWS, b.members[1], b.n, &base, NULL),
                         RLLC_OK);
        assert_int_equal(rllc_engine_lockstep(b.fast, b.m.weights, b.tokens, ROWS, NULL, 0, &alone, NULL), RLLC_OK);
        assert_true(base == alone);
        for (int64_t j = 0; j < b.n; j++) {
            rllc_engine *other;
            const size_t bytes = (size_t)b.components[j].size * sizeof(float);
            float *g = b.gradient[0][j], *again = floats(b.components[j].size);
            rllc_member twice[3] = {{.component = &b.components[j], .free = b.free[j], .gradient = g},
                                    {.component = &b.components[j], .free = b.free[j], .gradient = again},
                                    {.component = &b.components[j], .free = b.free[j]}};
            assert_int_equal(rllc_engine_new(&other, &b.m, ROWS, 3), RLLC_OK);
            assert_int_equal(rllc_engine_lockstep(other, b.m.weights, b.tokens, ROWS, twice, 3, NULL, NULL), RLLC_OK);
            for (int k = 0; k < 3; k++) assert_true(twice[k].loss == b.members[1][j].loss);
            assert_memory_equal(g, b.gradient[1][j], bytes);
            assert_memory_equal(again, g, bytes);
            rllc_engine_free(other);
            rllc_free(again);
        }
        bed_release(&b);
    }
}

/** At w* a member's loss is the base's, to rounding. */
static void test_low_rank_at_the_base_is_the_base(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        bed b;
        double base;
        bed_init(&b, &shapes[i], 0, 1);
        assert_int_equal(rllc_engine_lockstep(b.fast, b.m.weights, b.tokens, ROWS, b.members[1], b.n, &base, NULL),
                         RLLC_OK);
        for (int64_t j = 0; j < b.n; j++) assert_true(fabs(b.members[1][j].loss - base) < 5e-7 * fmax(1, base));
        bed_release(&b);
    }
}

/** Shorter sequences than the model's context. */
static void test_low_rank_in_a_short_context(void **state) {
    (void)state;
    bed b;
    bed_init(&b, &shapes[1], 0.3, 2);
    assert_int_equal(rllc_engine_set_context(b.plain, 7), RLLC_OK);
    assert_int_equal(rllc_engine_set_context(b.fast, 7), RLLC_OK);
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < b.n; i++) b.members[k][i].token_losses = NULL;
    compare(&b, 1, 1e-6, 1e-5);
    bed_release(&b);
}

/* A table whose memory runs out after so many requests. */
static int requests_left;

static void *allocate_some(size_t bytes) {
    return requests_left-- > 0 ? rllc_kernels_get()->allocate(bytes) : NULL;
}

/** An engine that could not grow says so, goes on with what it had, and grows when it can. */
static void test_low_rank_survives_the_lack_of_memory(void **state) {
    (void)state;
    bed b;
    bed_init(&b, &shapes[1], 0.3, 2);
    assert_int_equal(rllc_engine_lockstep(b.plain, b.m.weights, b.tokens, ROWS, b.members[0], b.n, NULL, NULL),
                     RLLC_OK);
    rllc_kernels scarce = *rllc_kernels_get();
    scarce.allocate = allocate_some;
    int failures = 0;
    for (int most = 0; most < 40; most++) {
        requests_left = 1000;
        assert_int_equal(rllc_engine_set_kernels(b.fast, &scarce), RLLC_OK);
        assert_int_equal(rllc_engine_lockstep(b.fast, b.m.weights, b.tokens, ROWS, b.members[1], 1, NULL, NULL),
                         RLLC_OK);
        requests_left = most;
        const rllc_status status =
            rllc_engine_lockstep(b.fast, b.m.weights, b.tokens, ROWS, b.members[1], b.n, NULL, NULL);
        failures += status == RLLC_ENOMEM;
        assert_true(status == RLLC_ENOMEM || (status == RLLC_OK && most > 0));
        requests_left = 1000;
        for (int64_t n = 1; n <= b.n; n += b.n - 1)
            assert_int_equal(rllc_engine_lockstep(b.fast, b.m.weights, b.tokens, ROWS, b.members[1], n, NULL, NULL),
                             RLLC_OK);
        for (int64_t i = 0; i < b.n; i++) assert_true(fabs(b.members[0][i].loss - b.members[1][i].loss) < 1e-5);
    }
    assert_in_range(failures, 3, 39);
    bed_release(&b);
}

/** What the predicate takes: heads of one layer, few enough. */
static void test_low_rank_path_is_taken_where_it_pays(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool cheaper;
    } cases[] = {
        {"l1h0", true},  {"l0h0", true},       {"l1h0+l1h1", true},     {"l1h0+l1h1+l1h2", false}, {"l1", false},
        {"full", false}, {"l0h0+l1h0", false}, {"l1h0+unembed", false}, {"l1h0+ln_final.w", false}};
    bed b;
    shape wide = {2, 64, 4, 16, 32, 512, RLLC_NORM_LN, 0.8, "heads"};
    bed_init(&b, &wide, 0, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rllc_component c;
        assert_int_equal(rllc_component_parse(&c, &b.m, cases[i].name), RLLC_OK);
        const double flops = rllc_component_flops(&b.m, &c), plain = rllc_component_plain_flops(&b.m, &c);
        assert_true(cases[i].cheaper ? flops < plain : flops == plain);
        rllc_component_release(&c);
    }
    bed_release(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_low_rank_is_the_plain_path),
        cmocka_unit_test(test_low_rank_at_extreme_logits),
        cmocka_unit_test(test_low_rank_bits_do_not_depend_on_company),
        cmocka_unit_test(test_low_rank_at_the_base_is_the_base),
        cmocka_unit_test(test_low_rank_in_a_short_context),
        cmocka_unit_test(test_low_rank_survives_the_lack_of_memory),
        cmocka_unit_test(test_low_rank_path_is_taken_where_it_pays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
