/* Exact Hessian products, entry by entry, against second differences of the model written again in double. */
#include "model/hessian_bed.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hessian_entry_by_entry)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
