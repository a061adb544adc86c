/* Exact Hessian products: against differences of gradients, against what any Hessian is, against themselves. */
#include "model/hessian_bed.h"

/* ---- differences of gradients --------------------------------------------------------------------------------------
 */

/* The component's weights at w + h v, and the gradient there on the plain path. */
static void gradient_at(bed *b, const float *v, double h, float *free, float *g, double *loss) {
    int64_t at = 0;
    for (int64_t r = 0; r < b->c.n_ranges; r++)
        for (int64_t j = 0; j < b->c.ranges[r].n; j++, at++)
            free[at] = (float)((double)b->m.weights[b->c.ranges[r].first + j] + h * (v ? (double)v[at] : 0));
    rllc_member m = {.component = &b->c, .free = free, .gradient = g};
    assert_ok(rllc_engine_lockstep(b->e, b->m.weights, b->tokens, b->rows, &m, 1, NULL, NULL));
    if (loss) *loss = m.loss;
}

/* Central difference at h, error O(h^2) and 1e-7 / h of float gradients; adds `weight` of it. */
static void add_difference(bed *b, const float *v, double h, double weight, double *sum) {
    float *free_ = test_memory(b->c.size, sizeof(float)), *up = test_memory(b->c.size, sizeof(float));
    float *down = test_memory(b->c.size, sizeof(float));
    gradient_at(b, v, h, free_, up, NULL);
    gradient_at(b, v, -h, free_, down, NULL);
    for (int64_t i = 0; i < b->c.size; i++) sum[i] += weight * ((double)up[i] - (double)down[i]) / (2 * h);
    free(free_), free(up), free(down);
}

/* Richardson from h and h / 2. A wrong or missing term is of order 1; what floats leave is below 6e-4. */
static double worst_against_differences(const shape *x, const char *component) {
    bed b;
    double worst = 0;
    bed_init(&b, x, component, ROWS, 1);
    rllc_engine_set_plain(b.e, true);
    assert_ok(products(&b, 2));
    for (int i = 0; i < 2; i++) {
        double *slope = test_memory(b.c.size, sizeof *slope);
        const double h = 0.03 / sqrt(dot(b.c.size, b.v[i], b.v[i]));
        add_difference(&b, b.v[i], h, -1.0 / 3, slope);
        add_difference(&b, b.v[i], h / 2, 4.0 / 3, slope);
        worst = fmax(worst, distance(b.c.size, b.out[i], slope));
        free(slope);
    }
    bed_release(&b);
    return worst;
}

static const char *const selections[] = {"full",
                                         "l0h1",
                                         "l1h2",
                                         "l0",
                                         "l1",
                                         "l0 attn",
                                         "embed",
                                         "pos_embed",
                                         "unembed",
                                         "l0h0+l0h2",
                                         "l0h1+l1h0",
                                         "blocks.0.attn.b_O",
                                         "blocks.1.attn.W_O",
                                         "blocks.0.attn.W_Q",
                                         "l1h0+unembed",
                                         "blocks.1.attn.b_O+l1h1",
                                         "pos_embed+l1h0",
                                         "pos_embed+blocks.0.attn.W_Q",
                                         "embed+pos_embed"};
static const char *const with_norm[] = {"ln_final.w", "blocks.1.ln1.b", "blocks.0.ln1.w+l0h0", "ln_final.b+unembed"};

static void check_selections(const shape *x, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (x->layers < 2 && (strstr(names[i], "l1") || strstr(names[i], "blocks.1"))) continue;
        const double worst = worst_against_differences(x, names[i]);
        if (!(worst < 2e-3)) fail_msg("%s, %lld layers: off by %g", names[i], (long long)x->layers, worst);
    }
}

static void test_hessian_is_the_derivative_of_the_gradient(void **state) {
    (void)state;
    for (int layers = 1; layers <= 3; layers++)
        for (int norm = 0; norm < 2; norm++) {
            const shape x = {layers, 12, 3, 5, 9, 19, norm ? RLLC_NORM_LN : RLLC_NORM_NULL};
            check_selections(&x, selections, sizeof selections / sizeof *selections);
            if (norm && layers > 1) check_selections(&x, with_norm, sizeof with_norm / sizeof *with_norm);
        }
}

/* Several tiles of queries, several pieces of logits, sequences that share a block, and a model without layers. */
static void test_hessian_of_other_shapes(void **state) {
    (void)state;
    const shape long_one = {2, 12, 3, 5, 300, 19, RLLC_NORM_LN}, tiles = {2, 12, 2, 4, 100, 31, RLLC_NORM_LN};
    const shape bigram = {0, 12, 3, 5, 9, 19, RLLC_NORM_LN}, bare = {0, 12, 3, 5, 9, 19, RLLC_NORM_NULL};
    assert_true(worst_against_differences(&long_one, "full") < 2e-3);
    assert_true(worst_against_differences(&long_one, "l0h1") < 2e-3);
    assert_true(worst_against_differences(&tiles, "full") < 2e-3);
    assert_true(worst_against_differences(&bigram, "full") < 2e-3);
    assert_true(worst_against_differences(&bare, "embed") < 2e-3);
}

static void test_hessian_of_shorter_sequences(void **state) {
    (void)state;
    bed b;
    const shape x = {2, 12, 3, 5, 9, 19, RLLC_NORM_LN};
    bed_init(&b, &x, "pos_embed+l0h1", ROWS, 1);
    rllc_engine_set_plain(b.e, true);
    assert_ok(rllc_engine_set_context(b.e, 6));
    assert_ok(products(&b, 1));
    double *slope = test_memory(b.c.size, sizeof *slope);
    const double h = 0.03 / sqrt(dot(b.c.size, b.v[0], b.v[0]));
    add_difference(&b, b.v[0], h, -1.0 / 3, slope);
    add_difference(&b, b.v[0], h / 2, 4.0 / 3, slope);
    assert_true(distance(b.c.size, b.out[0], slope) < 2e-3);
    free(slope);
    bed_release(&b);
}

/* ---- what any Hessian is ------------------------------------------------------------------------------------------- */

static void test_hessian_is_symmetric_and_linear(void **state) {
    (void)state;
    const char *const names[] = {"full", "l0h1", "l1", "pos_embed+unembed"};
    const shape x = {2, 12, 3, 5, 9, 19, RLLC_NORM_LN};
    for (int k = 0; k < 4; k++) {
        bed b;
        bed_init(&b, &x, names[k], ROWS, 1);
        for (int64_t i = 0; i < b.c.size; i++) b.v[2][i] = 0.5F * b.v[0][i] - 2 * b.v[1][i];
        memset(b.v[3], 0, (size_t)b.c.size * sizeof(float));
        assert_ok(products(&b, 4));
        const double size = sqrt(dot(b.c.size, b.out[0], b.out[0]) * dot(b.c.size, b.v[1], b.v[1]));
        assert_true(fabs(dot(b.c.size, b.v[1], b.out[0]) - dot(b.c.size, b.v[0], b.out[1])) < 1e-6 * size);
        double *sum = test_memory(b.c.size, sizeof *sum);
        for (int64_t i = 0; i < b.c.size; i++) sum[i] = 0.5 * (double)b.out[0][i] - 2 * (double)b.out[1][i];
        assert_true(distance(b.c.size, b.out[2], sum) < 2e-6);
        for (int64_t i = 0; i < b.c.size; i++) assert_true(b.out[3][i] == 0); /* H 0 */
        free(sum);
        bed_release(&b);
    }
}

/* v [rows, D] of a head's tensor = sign times M X (transposed: M X^T), M the weights or, read as [rows, D], the
 * gradient. */
static void turn(int64_t rows, int64_t D, const float *M, const double *X, bool transposed, double sign, float *v) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < D; j++) {
            double sum = 0;
            for (int64_t k = 0; k < D; k++) sum += (double)M[r * D + k] * X[transposed ? j * D + k : k * D + j];
            v[r * D + j] = (float)(sign * sum);
        }
}

/*
 * Queries times M and keys times M^-T leave a head as it was. Along w(t) = exp(t X) w the loss is constant and the
 * gradient turns the other way, so with v = X w: H v = -X^T g, exactly, and H v = 0 only where g is.
 */
static void test_symmetry_of_queries_and_keys(void **state) {
    (void)state;
    bed b;
    const shape x = {2, 12, 3, 5, 9, 19, RLLC_NORM_LN};
    static const char *const names[] = {"blocks.0.attn.W_Q", "blocks.0.attn.b_Q", "blocks.0.attn.W_K",
                                        "blocks.0.attn.b_K"};
    double X[25];
    const rllc_stream s = rllc_stream_make(8, "generator", 0, 0);
    for (int i = 0; i < 25; i++) X[i] = rllc_stream_uniform(&s, (uint64_t)i) - 0.5;
    bed_init(&b, &x, "full", ROWS, 1);
    float *g = test_memory(b.m.size, sizeof *g), *turned = test_memory(b.m.size, sizeof *g);
    assert_ok(rllc_engine_hessian(b.e, b.m.weights, b.tokens, ROWS, &b.c, 0, NULL, NULL, NULL, g));
    memset(b.v[0], 0, (size_t)b.m.size * sizeof(float));
    for (int i = 0; i < 4; i++) { /* head 1 */
        const rllc_parameter *p = rllc_model_find(&b.m, names[i]);
        const int64_t n = p->n / 3, at = p->offset + n;
        turn(n / 5, 5, b.m.weights + at, X, i >= 2, i < 2 ? 1 : -1, b.v[0] + at);
        turn(n / 5, 5, g + at, X, i < 2, i < 2 ? -1 : 1, turned + at);
    }
    assert_ok(products(&b, 1));
    double off = 0, size = dot(b.m.size, turned, turned);
    for (int64_t i = 0; i < b.m.size; i++) off += pow((double)b.out[0][i] - (double)turned[i], 2);
    assert_true(size > 1e-6);
    printf("    |H X w + X^T g| / |X^T g| = %.1e\n", sqrt(off / size));
    assert_true(sqrt(off / size) < 1e-5);
    free(g), free(turned);
    bed_release(&b);
}

/* b_K shifts all scores of a query alike: its rows of H are 0 but for rounding. */
static void test_key_bias_is_flat(void **state) {
    (void)state;
    bed b;
    const shape x = {2, 12, 3, 5, 9, 19, RLLC_NORM_LN};
    bed_init(&b, &x, "full", ROWS, 1);
    assert_ok(products(&b, 1));
    const rllc_parameter *k = rllc_model_find(&b.m, "blocks.1.attn.b_K"),
                         *q = rllc_model_find(&b.m, "blocks.1.attn.b_Q");
    const float *at_k = b.out[0] + k->offset, *at_q = b.out[0] + q->offset;
    assert_true(dot(k->n, at_k, at_k) < 1e-10 * dot(q->n, at_q, at_q));
    bed_release(&b);
}

/* A principal block: the product of the whole model with a vector that moves the component alone, read off there. */
static void test_component_is_a_block_of_the_whole(void **state) {
    (void)state;
    const shape x = {2, 12, 3, 5, 9, 19, RLLC_NORM_LN};
    bed whole, part;
    bed_init(&whole, &x, "full", ROWS, 1);
    bed_init(&part, &x, "l0h2+blocks.1.ln1.w+pos_embed", ROWS, 1);
    memset(whole.v[0], 0, (size_t)whole.c.size * sizeof(float));
    for (int64_t r = 0, at = 0; r < part.c.n_ranges; at += part.c.ranges[r++].n)
        memcpy(whole.v[0] + part.c.ranges[r].first, part.v[0] + at, (size_t)part.c.ranges[r].n * sizeof(float));
    assert_ok(products(&whole, 1));
    assert_ok(products(&part, 1));
    double *block = test_memory(part.c.size, sizeof *block);
    int64_t at = 0;
    for (int64_t r = 0; r < part.c.n_ranges; r++)
        for (int64_t j = 0; j < part.c.ranges[r].n; j++) block[at++] = (double)whole.out[0][part.c.ranges[r].first + j];
    assert_true(distance(part.c.size, part.out[0], block) < 1e-6);
    free(block);
    bed_release(&whole);
    bed_release(&part);
}

/* Same bits alone and in company, on one thread and on several; loss and gradient are those of a lockstep pass. */
static void test_bits_depend_on_nothing_else(void **state) {
    (void)state;
    const shape x = {2, 12, 3, 5, 40, 19, RLLC_NORM_LN};
    const char *const names[] = {"full", "l1h1"};
    for (int k = 0; k < 2; k++) {
        bed one, three;
        double loss, plain_loss_, losses[2];
        bed_init(&one, &x, names[k], 77, 1); /* 11 blocks */
        bed_init(&three, &x, names[k], 77, 3);
        const size_t bytes = (size_t)one.c.size * sizeof(float);
        float *g = test_memory(one.c.size, sizeof *g), *g3 = test_memory(one.c.size, sizeof *g);
        float *direct = test_memory(one.c.size, sizeof *g), *free_ = test_memory(one.c.size, sizeof *g);
        assert_ok(rllc_engine_hessian(one.e, one.m.weights, one.tokens, 77, &one.c, 3, (const float *const *)one.v,
                                      one.out, &losses[0], g));
        assert_ok(rllc_engine_hessian(three.e, one.m.weights, one.tokens, 77, &one.c, 3, (const float *const *)one.v,
                                      three.out, &losses[1], g3));
        for (int i = 0; i < 3; i++) assert_memory_equal(one.out[i], three.out[i], bytes);
        assert_memory_equal(g, g3, bytes);
        assert_memory_equal(&losses[0], &losses[1], sizeof *losses);
        const float *alone = one.v[1];
        assert_ok(
            rllc_engine_hessian(one.e, one.m.weights, one.tokens, 77, &one.c, 1, &alone, &one.out[3], &loss, NULL));
        assert_memory_equal(one.out[3], one.out[1], bytes);
        assert_memory_equal(&loss, &losses[0], sizeof loss);
        rllc_engine_set_plain(one.e, true);
        gradient_at(&one, NULL, 0, free_, direct, &plain_loss_);
        assert_memory_equal(direct, g, bytes);
        assert_memory_equal(&plain_loss_, &loss, sizeof loss);
        free(g), free(g3), free(direct), free(free_);
        bed_release(&one);
        bed_release(&three);
    }
}

static void test_hessian_memory_is_stated(void **state) {
    (void)state;
    bed b;
    const shape x = {2, 12, 3, 5, 9, 19, RLLC_NORM_LN};
    bed_init(&b, &x, "full", ROWS, 1);
    const int64_t one = rllc_engine_hessian_bytes(b.e, ROWS, &b.c, 1),
                  two = rllc_engine_hessian_bytes(b.e, ROWS, &b.c, 2);
    assert_true(one > 0 && two > one);
    /* a million vectors go in groups of at most 512 MB */
    assert_true(rllc_engine_hessian_bytes(b.e, ROWS, &b.c, 1000000) < (513 << 20));
    assert_int_equal(rllc_engine_hessian_bytes(b.e, ROWS, &b.c, -1), -1);
    bed_release(&b);
}

static void test_hessian_refuses(void **state) {
    (void)state;
    bed b, large;
    const shape x = {1, 12, 3, 5, 9, 19, RLLC_NORM_LN}, y = {2, 12, 3, 5, 9, 19, RLLC_NORM_LN};
    bed_init(&b, &x, "full", ROWS, 1);
    bed_init(&large, &y, "l1h0", ROWS, 1);
    assert_int_equal(products(&b, -1), RLLC_EMISMATCH);
    b.rows = 0;
    assert_int_equal(products(&b, 1), RLLC_EMISMATCH);
    b.rows = ROWS + 1;
    assert_int_equal(products(&b, 1), RLLC_EMISMATCH);
    b.rows = ROWS;
    b.tokens[3] = 19;
    assert_int_equal(products(&b, 1), RLLC_EMISMATCH);
    b.tokens[3] = 0;
    assert_ok(products(&b, 1));
    assert_int_equal(rllc_engine_hessian(b.e, b.m.weights, b.tokens, ROWS, &large.c, 0, NULL, NULL, NULL, NULL),
                     RLLC_EUNSUPPORTED); /* a component of another model */
    rllc_span part = {3, 2};
    const rllc_component bit = {.name = "a bit", .ranges = &part, .n_ranges = 1, .size = 2};
    assert_int_equal(rllc_engine_hessian(b.e, b.m.weights, b.tokens, ROWS, &bit, 0, NULL, NULL, NULL, NULL),
                     RLLC_EUNSUPPORTED);
    bed_release(&b);
    bed_release(&large);
}

static void test_memory_out_of_reach_is_refused(void **state) {
    (void)state;
    bed b;
    rllc_fisher f;
    const shape x = {1, 12, 3, 5, 9, 19, RLLC_NORM_LN};
    bed_init(&b, &x, "full", ROWS, 1);
    static rllc_kernels there;
    there = *rllc_kernels_get();
    there.host_memory = false;
    assert_ok(rllc_engine_set_kernels(b.e, &there));
    assert_int_equal(products(&b, 1), RLLC_EUNSUPPORTED);
    assert_int_equal(rllc_engine_fisher(b.e, b.m.weights, b.tokens, ROWS, &b.c, 1, 0, &f, NULL), RLLC_EUNSUPPORTED);
    bed_release(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hessian_is_the_derivative_of_the_gradient),
        cmocka_unit_test(test_hessian_of_other_shapes),
        cmocka_unit_test(test_hessian_of_shorter_sequences),
        cmocka_unit_test(test_hessian_is_symmetric_and_linear),
        cmocka_unit_test(test_symmetry_of_queries_and_keys),
        cmocka_unit_test(test_key_bias_is_flat),
        cmocka_unit_test(test_component_is_a_block_of_the_whole),
        cmocka_unit_test(test_bits_depend_on_nothing_else),
        cmocka_unit_test(test_hessian_memory_is_stated),
        cmocka_unit_test(test_hessian_refuses),
        cmocka_unit_test(test_memory_out_of_reach_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
