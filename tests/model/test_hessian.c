/* Exact Hessian products: against differences of gradients, against a model written again in double, against
 * themselves. */
#include "support/support.h"

enum { ROWS = 5, MOST = 4 };

typedef struct shape {
    int64_t layers, d_model, heads, d_head, n_ctx, d_vocab;
    int normalization;
} shape;

typedef struct bed {
    rllc_model m;
    rllc_engine *e;
    int32_t *tokens;
    int64_t rows;
    rllc_component c;
    float *v[MOST], *out[MOST]; /* random vectors, and room for products */
} bed;

static void random_vector(uint64_t seed, int64_t n, double size, float *v) {
    const rllc_stream s = rllc_stream_make(seed, "vector", 0, 0);
    for (int64_t i = 0; i < n; i++) v[i] = (float)(size * (2 * rllc_stream_uniform(&s, (uint64_t)i) - 1));
}

static void bed_init(bed *b, const shape *x, const char *component, int64_t rows, int threads) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = x->layers, o.d_model = x->d_model, o.n_heads = x->heads, o.d_head = x->d_head;
    o.n_ctx = x->n_ctx, o.d_vocab = x->d_vocab, o.normalization = x->normalization;
    o.init_scale = 1.2; /* attention far from uniform, and yet a loss smooth enough for difference quotients */
    *b = (bed){.rows = rows};
    assert_ok(rllc_model_init(&b->m, &o));
    rllc_model_randomize(&b->m, 7);
    const rllc_stream s = rllc_stream_make(3, "test", 0, 0);
    for (int64_t i = 0; i < b->m.size; i++)
        b->m.weights[i] += 0.4F * (float)(rllc_stream_uniform(&s, (uint64_t)i) - 0.5);
    b->tokens = test_memory(rows * x->n_ctx, sizeof *b->tokens);
    for (int64_t i = 0; i < rows * x->n_ctx; i++)
        b->tokens[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, (uint64_t)x->d_vocab);
    assert_ok(rllc_engine_new(&b->e, &b->m, rows, threads));
    assert_ok(rllc_component_parse(&b->c, &b->m, component));
    for (int i = 0; i < MOST; i++) {
        b->v[i] = test_memory(b->c.size, sizeof(float));
        b->out[i] = test_memory(b->c.size, sizeof(float));
        random_vector((uint64_t)i, b->c.size, 1, b->v[i]);
    }
}

static void bed_release(bed *b) {
    for (int i = 0; i < MOST; i++) free(b->v[i]), free(b->out[i]);
    rllc_component_release(&b->c);
    rllc_engine_free(b->e);
    rllc_model_release(&b->m);
    free(b->tokens);
}

static rllc_status products(bed *b, int64_t n) {
    return rllc_engine_hessian(b->e, b->m.weights, b->tokens, b->rows, &b->c, n, (const float *const *)b->v, b->out,
                               NULL, NULL);
}

static double dot(int64_t n, const float *x, const float *y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

static double distance(int64_t n, const float *x, const double *y) {
    double sum = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
        size += y[i] * y[i];
    }
    return sqrt(sum / size);
}

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

/* ---- the model again, in double
 * --------------------------------------------------------------------------------------- */

typedef struct plain {
    const rllc_model *m;
    const double *w;
    int64_t t;
} plain;

static const double *tensor(const plain *p, const char *format, int64_t layer) {
    char name[64];
    snprintf(name, sizeof name, format, (long long)layer);
    const rllc_parameter *t = rllc_model_find(p->m, name);
    return t ? p->w + t->offset : NULL;
}

static void plain_norm(const plain *p, const double *x, const double *w, const double *b, double *y) {
    const int64_t C = p->m->options.d_model;
    double mean = 0, square = 0;
    for (int64_t i = 0; i < C; i++) mean += x[i] / (double)C;
    for (int64_t i = 0; i < C; i++) square += (x[i] - mean) * (x[i] - mean) / (double)C;
    for (int64_t i = 0; i < C; i++) y[i] = w ? (x[i] - mean) / sqrt(square + p->m->options.ln_eps) * w[i] + b[i] : x[i];
}

/* out [D] = (n + pos) W + b. */
static void plain_project(const plain *p, const double *n, const double *pos, const double *W, const double *b,
                          double *out) {
    const int64_t C = p->m->options.d_model, D = p->m->options.d_head;
    for (int64_t d = 0; d < D; d++) {
        out[d] = b[d];
        for (int64_t c = 0; c < C; c++) out[d] += (n[c] + (pos ? pos[c] : 0)) * W[c * D + d];
    }
}

/* x [t, C] += head h of layer l. */
static void plain_head(const plain *p, int64_t l, int64_t h, const double *n, double *x) {
    enum { MOST_T = 16, MOST_D = 8 };
    const int64_t C = p->m->options.d_model, D = p->m->options.d_head;
    const double *pos = tensor(p, "pos_embed.W_pos", 0), *W_O = tensor(p, "blocks.%lld.attn.W_O", l) + h * D * C;
    const double *W[3] = {tensor(p, "blocks.%lld.attn.W_Q", l) + h * C * D,
                          tensor(p, "blocks.%lld.attn.W_K", l) + h * C * D,
                          tensor(p, "blocks.%lld.attn.W_V", l) + h * C * D};
    const double *b[3] = {tensor(p, "blocks.%lld.attn.b_Q", l) + h * D, tensor(p, "blocks.%lld.attn.b_K", l) + h * D,
                          tensor(p, "blocks.%lld.attn.b_V", l) + h * D};
    double qkv[3][MOST_T][MOST_D];
    for (int64_t i = 0; i < p->t; i++)
        for (int j = 0; j < 3; j++) plain_project(p, n + i * C, j < 2 ? pos + i * C : NULL, W[j], b[j], qkv[j][i]);
    for (int64_t i = 0; i < p->t; i++) {
        double a[MOST_T], sum = 0;
        for (int64_t j = 0; j <= i; j++) {
            double s = 0;
            for (int64_t d = 0; d < D; d++) s += qkv[0][i][d] * qkv[1][j][d] / sqrt((double)D);
            sum += a[j] = exp(s);
        }
        for (int64_t j = 0; j <= i; j++)
            for (int64_t d = 0; d < D; d++)
                for (int64_t c = 0; c < C; c++) x[i * C + c] += a[j] / sum * qkv[2][j][d] * W_O[d * C + c];
    }
}

static double plain_sequence(const plain *p, const int32_t *tokens) {
    const rllc_model_options *o = &p->m->options;
    const int64_t C = o->d_model, V = o->d_vocab;
    const double *W_E = tensor(p, "embed.W_E", 0), *W_U = tensor(p, "unembed.W_U", 0),
                 *b_U = tensor(p, "unembed.b_U", 0);
    double *x = test_memory(2 * p->t * C, sizeof *x), *n = x + p->t * C, loss = 0;
    for (int64_t i = 0; i < p->t; i++) memcpy(x + i * C, W_E + tokens[i] * C, (size_t)C * sizeof *x);
    for (int64_t l = 0; l < o->n_layers; l++) {
        const double *b_O = tensor(p, "blocks.%lld.attn.b_O", l);
        for (int64_t i = 0; i < p->t; i++)
            plain_norm(p, x + i * C, tensor(p, "blocks.%lld.ln1.w", l), tensor(p, "blocks.%lld.ln1.b", l), n + i * C);
        for (int64_t h = 0; h < o->n_heads; h++) plain_head(p, l, h, n, x);
        for (int64_t i = 0; i < p->t * C; i++) x[i] += b_O[i % C];
    }
    for (int64_t i = 0; i + 1 < p->t; i++) {
        double sum = 0, target = 0;
        plain_norm(p, x + i * C, tensor(p, "ln_final.w", 0), tensor(p, "ln_final.b", 0), n);
        for (int64_t v = 0; v < V; v++) {
            double a = b_U[v];
            for (int64_t c = 0; c < C; c++) a += n[c] * W_U[c * V + v];
            sum += exp(a);
            if (v == tokens[i + 1]) target = a;
        }
        loss += log(sum) - target;
    }
    free(x);
    return loss;
}

static double plain_loss(const bed *b, const double *w) {
    const plain p = {&b->m, w, b->m.options.n_ctx};
    double sum = 0;
    for (int64_t r = 0; r < b->rows; r++) sum += plain_sequence(&p, b->tokens + r * p.t);
    return sum / (double)(b->rows * (p.t - 1));
}

static double at_offsets(const bed *b, double *w, int64_t i, int64_t j, double hi, double hj) {
    const double wi = w[i], wj = w[j];
    w[i] += hi;
    w[j] += hj;
    const double loss = plain_loss(b, w);
    w[j] = wj;
    w[i] = wi;
    return loss;
}

static double second_difference(const bed *b, double *w, int64_t i, int64_t j, double h) {
    return (at_offsets(b, w, i, j, h, h) - at_offsets(b, w, i, j, h, -h) - at_offsets(b, w, i, j, -h, h) +
            at_offsets(b, w, i, j, -h, -h)) /
           (4 * h * h);
}

/* Every entry, by second differences of a loss in double: wrong by h^2 and by 1e-16 / h^2. */
static void check_whole(const shape *x, const char *component) {
    bed b;
    bed_init(&b, x, component, 2, 1);
    const int64_t n = b.c.size;
    int64_t *index = test_memory(n, sizeof *index), at = 0;
    double *w = test_memory(b.m.size, sizeof *w), worst = 0, scale = 0;
    for (int64_t i = 0; i < b.m.size; i++) w[i] = (double)b.m.weights[i];
    for (int64_t r = 0; r < b.c.n_ranges; r++)
        for (int64_t j = 0; j < b.c.ranges[r].n; j++) index[at++] = b.c.ranges[r].first + j;
    double loss;
    assert_ok(rllc_engine_hessian(b.e, b.m.weights, b.tokens, b.rows, &b.c, 0, NULL, NULL, &loss, NULL));
    assert_true(fabs(loss - plain_loss(&b, w)) < 1e-6);
    for (int64_t i = 0; i < n; i++) {
        memset(b.v[0], 0, (size_t)n * sizeof(float));
        b.v[0][i] = 1;
        assert_ok(products(&b, 1));
        for (int64_t j = 0; j <= i; j++) {
            const double truth = second_difference(&b, w, index[i], index[j], 2e-4);
            worst = fmax(worst, fabs((double)b.out[0][j] - truth));
            scale = fmax(scale, fabs(truth));
        }
    }
    printf("    %s: %lld x %lld, worst entry off by %.1e of the largest, %.3f\n", component, (long long)n, (long long)n,
           worst / scale, scale);
    assert_true(worst < 5e-6 * scale);
    free(index), free(w);
    bed_release(&b);
}

static void test_hessian_entry_by_entry(void **state) {
    (void)state;
    const shape x = {2, 4, 2, 2, 5, 7, RLLC_NORM_LN}, bare = {1, 4, 2, 2, 5, 7, RLLC_NORM_NULL};
    check_whole(&x, "l0h1+blocks.1.ln1.w");
    check_whole(&x, "l1h0+ln_final.b");
    check_whole(&x, "pos_embed");
    check_whole(&bare, "embed");
    check_whole(&bare, "l0h0+blocks.0.attn.b_O");
}

/* ---- what any Hessian is
 * ------------------------------------------------------------------------------------------------ */

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
        cmocka_unit_test(test_hessian_entry_by_entry),
        cmocka_unit_test(test_hessian_is_symmetric_and_linear),
        cmocka_unit_test(test_component_is_a_block_of_the_whole),
        cmocka_unit_test(test_bits_depend_on_nothing_else),
        cmocka_unit_test(test_hessian_memory_is_stated),
        cmocka_unit_test(test_hessian_refuses),
        cmocka_unit_test(test_memory_out_of_reach_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
