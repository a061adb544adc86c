/* Copying scores: permutations whose spectrum is known, the V x V definition itself, and changes of basis. */
#include "mechinterp/copying.h"

#include "mechinterp/analysis_world.h"
#include "mechinterp/hand_built.h"

enum { V = 12, C = 10, D = 4, H = 2, LAYERS = 2, HEADS = H * LAYERS };

static void random_model(rllc_model *m, int normalization, int64_t d_model, int64_t d_head) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = LAYERS, o.n_heads = H, o.d_model = d_model, o.d_head = d_head, o.n_ctx = 5, o.d_vocab = V;
    o.normalization = normalization;
    o.init_scale = 2;
    assert_ok(rllc_model_init(m, &o));
    rllc_model_randomize(m, 3);
    const rllc_stream s = rllc_stream_make(3, "gains", 0, 0);
    for (int64_t i = 0; i < m->n_parameters; i++)
        for (int64_t j = 0; j < m->parameters[i].n && m->parameters[i].init == '1'; j++)
            m->weights[m->parameters[i].offset + j] = 0.5F + (float)rllc_stream_uniform(&s, (uint64_t)(20 * i + j));
}

static float *tensor(const rllc_model *m, const char *name) {
    const rllc_parameter *p = rllc_model_find(m, name);
    assert_non_null(p);
    return m->weights + p->offset;
}

static float *of_layer(const rllc_model *m, int l, const char *name) {
    return tensor(m, rllc_intern_printf("blocks.%d.%s", l, name));
}

/* d_model = d_vocab = V, W_E = W_U = I, and one head whose W_V W_O maps token i to `to[i]`, times `factor`. */
static double score_of_map(const int *to, double factor) {
    rllc_model m;
    double out[HEADS];
    random_model(&m, RLLC_NORM_NULL, V, V);
    memset(m.weights, 0, (size_t)m.size * sizeof *m.weights);
    for (int i = 0; i < V; i++) {
        tensor(&m, "embed.W_E")[i * V + i] = tensor(&m, "unembed.W_U")[i * V + i] = 1;
        of_layer(&m, 1, "attn.W_V")[i * V + i] = 1;
        of_layer(&m, 1, "attn.W_O")[i * V + to[i]] = (float)factor;
    }
    assert_ok(rllc_copying_scores(&m, false, 1, out));
    for (int h = 0; h < HEADS; h++)
        if (h != 2) assert_true(out[h] == 0); /* heads that write nothing */
    rllc_model_release(&m);
    return out[2];
}

static void test_perfect_copier_scores_one(void **state) {
    (void)state;
    int same[V], shift[V], pairs[V];
    for (int i = 0; i < V; i++) same[i] = i, shift[i] = (i + 1) % V, pairs[i] = i ^ 1;
    assert_near(score_of_map(same, 1), 1, 1e-14);
    assert_near(score_of_map(same, 7), 1, 1e-14);
    assert_near(score_of_map(same, -0.25), -1, 1e-14);
    assert_near(score_of_map(shift, 1), 0, 1e-14); /* eigenvalues: the roots of unity */
    assert_near(score_of_map(pairs, 1), 0, 1e-14); /* 1 and -1 */
    pairs[0] = 0, pairs[1] = 1;                    /* two tokens copied, ten swapped: (7 - 5) / 12 */
    assert_near(score_of_map(pairs, 1), 1.0 / 6, 1e-14);
}

/* y [n, b] = x [n, a] w [a, b] */
static void apply(int64_t n, int64_t a, int64_t b, const double *x, const float *w, double *y) {
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < b; j++) {
            y[i * b + j] = 0;
            for (int64_t k = 0; k < a; k++) y[i * b + j] += x[i * a + k] * (double)w[k * b + j];
        }
}

/* LayerNorm without its division, bias 0. */
static void normalize(int64_t n, const float *gain, double *x) {
    for (int64_t i = 0; i < n; i++) {
        double mean = 0;
        for (int64_t j = 0; j < C; j++) mean += x[i * C + j] / C;
        for (int64_t j = 0; j < C; j++) x[i * C + j] = (x[i * C + j] - mean) * (double)gain[j];
    }
}

/* All V eigenvalues of W_E W_V W_O W_U, formed token by token. */
static double by_definition(const rllc_model *m, bool folded, int l, int h) {
    double x[V * C], z[V * D], y[V * C], logits[V * V], re[V], im[V], sum = 0, size = 0;
    for (int i = 0; i < V * C; i++) x[i] = (double)tensor(m, "embed.W_E")[i];
    if (folded) normalize(V, of_layer(m, l, "ln1.w"), x);
    apply(V, C, D, x, of_layer(m, l, "attn.W_V") + h * C * D, z);
    apply(V, D, C, z, of_layer(m, l, "attn.W_O") + h * D * C, y);
    if (folded) normalize(V, tensor(m, "ln_final.w"), y);
    apply(V, C, V, y, tensor(m, "unembed.W_U"), logits);
    assert_ok(rllc_eigenvalues(logits, V, re, im));
    for (int i = 0; i < V; i++) sum += re[i], size += hypot(re[i], im[i]);
    return sum / size;
}

static void test_score_equals_the_definition_over_the_vocabulary(void **state) {
    (void)state;
    for (int folded = 0; folded < 2; folded++) {
        rllc_model m;
        double out[HEADS], threaded[HEADS], spread = 0;
        random_model(&m, RLLC_NORM_LN, C, D);
        assert_ok(rllc_copying_scores(&m, folded, 1, out));
        for (int h = 0; h < HEADS; h++) {
            assert_near(out[h], by_definition(&m, folded, h / H, h % H),
                        1e-7); /* V - D zeros are good to a root of eps */
            spread = fmax(spread, fabs(out[h]));
        }
        assert_true(spread > 0.1);
        assert_ok(rllc_copying_scores(&m, folded, 3, threaded));
        assert_memory_equal(threaded, out, sizeof out);
        rllc_model_release(&m);
    }
}

/* The reflection x - 2 u (u . x) of every row of w [n, c] at stride 1, or of every column. */
static void reflect(float *w, int64_t n, int64_t c, bool columns, uint64_t seed) {
    double u[16], norm = 0;
    const int64_t dim = columns ? n : c, lines = columns ? c : n, step = columns ? c : 1, line = columns ? 1 : c;
    const rllc_stream s = rllc_stream_make(seed, "reflection", 0, 0);
    for (int64_t i = 0; i < dim; i++) u[i] = rllc_stream_uniform(&s, (uint64_t)i) - 0.5, norm += u[i] * u[i];
    for (int64_t r = 0; r < lines; r++) {
        double dot = 0;
        for (int64_t i = 0; i < dim; i++) dot += u[i] * (double)w[r * line + i * step];
        for (int64_t i = 0; i < dim; i++) w[r * line + i * step] -= (float)(2 * dot * u[i] / norm);
    }
}

static void test_score_does_not_depend_on_the_basis(void **state) {
    (void)state;
    rllc_model m;
    double before[HEADS], after[HEADS];
    random_model(&m, RLLC_NORM_NULL, C, D);
    assert_ok(rllc_copying_scores(&m, false, 1, before));
    reflect(tensor(&m, "embed.W_E"), V, C, false, 1); /* of the residual stream */
    reflect(tensor(&m, "unembed.W_U"), C, V, true, 1);
    for (int h = 0; h < HEADS; h++) {
        float *W_V = of_layer(&m, h / H, "attn.W_V") + h % H * C * D,
              *W_O = of_layer(&m, h / H, "attn.W_O") + h % H * D * C;
        reflect(W_V, C, D, true, 1);
        reflect(W_O, D, C, false, 1);
        reflect(W_V, C, D, false, 2 + (uint64_t)h); /* inside the head */
        reflect(W_O, D, C, true, 2 + (uint64_t)h);
    }
    assert_ok(rllc_copying_scores(&m, false, 1, after));
    for (int h = 0; h < HEADS; h++) assert_near(after[h], before[h], 2e-6); /* weights are float */
    rllc_model_release(&m);
}

static void test_models_without_layer_norm_cannot_be_folded(void **state) {
    (void)state;
    rllc_model m;
    double out[HEADS];
    random_model(&m, RLLC_NORM_NULL, C, D);
    assert_int_equal(rllc_copying_scores(&m, true, 1, out), RLLC_EUNSUPPORTED);
    m.weights[0] = NAN;
    assert_int_equal(rllc_copying_scores(&m, false, 1, out), RLLC_ENOTFINITE);
    assert_non_null(strstr(rllc_error_detail(), "head 0:0"));
    rllc_model_release(&m);
}

/* ---- the analysis ------------------------------------------------------------------------------------------------ */

static void test_copying_and_norms_are_stored(void **state) {
    (void)state;
    world w;
    double raw[WORLD_LAYERS * WORLD_HEADS], folded[WORLD_LAYERS * WORLD_HEADS];
    rllc_store_measure *list;
    int64_t n, found = 0;
    world_open(&w);
    assert_int_equal(world_missing(&w, "score", "copying,weight_norm"), 2 * WORLD_STEPS);
    world_analyze(&w, "score", "copying,weight_norm");
    assert_int_equal(world_missing(&w, "score", "copying,weight_norm"), 0);
    for (int step = 0; step < WORLD_STEPS; step++) {
        assert_ok(rllc_copying_scores(&w.model[step], false, 1, raw));
        assert_ok(rllc_copying_scores(&w.model[step], true, 1, folded));
        for (int h = 0; h < WORLD_LAYERS * WORLD_HEADS; h++) {
            const int layer = h / WORLD_HEADS, head = h % WORLD_HEADS;
            assert_true(world_score(&w, "copying", step, layer, head).value == raw[h]);
            assert_true(world_score(&w, "copying/ln", step, layer, head).value == folded[h]);
            assert_true(isnan(world_score(&w, "copying", step, layer, head).se));
        }
    }
    assert_ok(rllc_store_measures(w.job.store, "weight_norm", &list, &n));
    for (int64_t i = 0; i < n; i++) {
        const rllc_model *m = &w.model[list[i].step];
        const rllc_parameter *p = rllc_model_find(m, list[i].component);
        double sum = 0;
        for (int64_t j = 0; p && j < p->n; j++) sum += pow((double)m->weights[p->offset + j], 2);
        if (strcmp(list[i].component, "full") == 0)
            for (int64_t j = 0; j < m->size; j++) sum += pow((double)m->weights[j], 2);
        if (sum == 0) continue; /* a head, or W_E and such by another name */
        assert_near(list[i].value, sqrt(sum), 1e-9);
        found++;
    }
    assert_int_equal(n, WORLD_STEPS * (w.model[0].n_parameters + 1 + WORLD_LAYERS * WORLD_HEADS + 3));
    assert_int_equal(found, WORLD_STEPS * (w.model[0].n_parameters + 1));
    double heads = 0, parts = 0; /* what a head does not hold of its layer, the others do */
    for (int64_t i = 0; i < n; i++) {
        if (list[i].step) continue;
        const char *c = list[i].component;
        int layer, head;
        if (rllc_component_head(c, &layer, &head)) heads += pow(list[i].value, 2);
        const char *last = strrchr(c, '.');
        if (last && strstr(c, ".attn.") && strcmp(last, ".b_O") != 0) parts += pow(list[i].value, 2);
    }
    assert_near(heads, parts, 1e-9);
    rllc_free(list);
    world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perfect_copier_scores_one),
        cmocka_unit_test(test_score_equals_the_definition_over_the_vocabulary),
        cmocka_unit_test(test_score_does_not_depend_on_the_basis),
        cmocka_unit_test(test_models_without_layer_norm_cannot_be_folded),
        cmocka_unit_test(test_copying_and_norms_are_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
