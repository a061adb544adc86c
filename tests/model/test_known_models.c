/* Models built by hand to know a synthetic corpus: they score exactly its optimum, token by token. */
#include "data/generated.h"

#include "rllc/model.h"

enum { SYMBOLS = 8, NEVER = -200 };

static float *tensor(const rllc_model *m, const char *name) {
    const rllc_parameter *p = rllc_model_find(m, name);
    assert_non_null(p);
    return m->weights + p->offset;
}

static void make(rllc_model *m, int64_t n_layers, int64_t d_model, int64_t d_head, const generated *g) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = n_layers;
    o.d_model = d_model;
    o.n_heads = 1;
    o.d_head = d_head;
    o.n_ctx = g->n_ctx;
    o.d_vocab = rllc_tokenizer_size(rllc_synth_tokenizer(g->s));
    o.normalization = RLLC_NORM_NULL;
    assert_ok(rllc_model_init(m, &o));
    /* Only the symbols in use can come. */
    for (int64_t v = 0; v < o.d_vocab; v++) tensor(m, "unembed.b_U")[v] = NEVER;
}

/* The id of 'a', from a row that has one; letters follow each other. */
static int32_t id_of_a(const generated *g) {
    int64_t i = 0;
    while (g->text[i] != 'a') i++;
    return g->rows.tokens[i];
}

/* Each token's loss is its optimum. */
static void check_losses(const rllc_model *m, const generated *g) {
    rllc_engine *engine;
    float *losses;
    const int64_t t = g->n_ctx;
    double mean = 0;
    assert_ok(rllc_alloc(&losses, g->n * (t - 1), sizeof *losses));
    assert_ok(rllc_engine_new(&engine, m, g->n, 1));
    rllc_evaluation e = {.token_losses = losses};
    assert_ok(rllc_engine_evaluate(engine, m->weights, g->rows.tokens, g->n, &e));
    for (int64_t r = 0; r < g->n; r++)
        for (int64_t i = 1; i < t; i++) {
            assert_near((double)losses[r * (t - 1) + i - 1], (double)g->rows.optimum[r * t + i], 2e-5);
            mean += (double)g->rows.optimum[r * t + i] / (double)(g->n * (t - 1));
        }
    assert_near(e.loss, mean, 1e-5);
    rllc_engine_free(engine);
    rllc_free(losses);
}

/* W_E W_U = log P: without layers, the bigram model of the source. */
static void test_log_probabilities_are_the_bigram_model(void **state) {
    (void)state;
    enum { C = SYMBOLS + 1 }; /* the last one: BOS, behind which the symbols have their stationary probabilities */
    generated g;
    rllc_model m;
    generated_open(&g, "markov", "n_ctx=32 vocab=8 concentration=1", 200);
    make(&m, 0, C, 1, &g);
    const int32_t a = id_of_a(&g), bos = rllc_tokenizer_bos(rllc_synth_tokenizer(g.s));
    const int64_t V = m.options.d_vocab;
    for (int c = 0; c < C; c++) tensor(&m, "embed.W_E")[(c < SYMBOLS ? a + c : bos) * C + c] = 1;
    for (int v = 0; v < SYMBOLS; v++) tensor(&m, "unembed.b_U")[a + v] = 0;
    for (int64_t i = 1; i < g.n * g.n_ctx; i++) {
        if (i % g.n_ctx == 0) continue;
        const int64_t c = i % g.n_ctx == 1 ? SYMBOLS : g.text[i - 1] - 'a';
        tensor(&m, "unembed.W_U")[c * V + g.rows.tokens[i]] = -g.rows.optimum[i];
    }
    check_losses(&m, &g);
    rllc_model_release(&m);
    generated_close(&g);
}

/* One head that looks a fixed number of places back, and raises what it sees by log(q / w) (E101). */
static void test_a_head_copies_as_well_as_can_be(void **state) {
    (void)state;
    enum { T = 24, LAG = 3, C = T + 2 * SYMBOLS, D = T, SEEN = T, COPIED = T + SYMBOLS };
    const double e = 0.1, sharp = 60 * sqrt(D);
    generated g;
    rllc_model m;
    generated_open(&g, "skip", "n_ctx=24 vocab=8 lag=3 error=0.1", 200);
    make(&m, 1, C, D, &g);
    const int32_t a = id_of_a(&g);
    for (int i = 0; i < T; i++) tensor(&m, "pos_embed.W_pos")[i * C + i] = 1;
    for (int i = 0; i < T; i++) { /* position i asks for i + 1 - LAG; the first ones for BOS, which says nothing */
        tensor(&m, "blocks.0.attn.W_Q")[i * D + (i + 1 > LAG ? i + 1 - LAG : 0)] = (float)sharp;
        tensor(&m, "blocks.0.attn.W_K")[i * D + i] = 1;
    }
    for (int v = 0; v < SYMBOLS; v++) {
        tensor(&m, "embed.W_E")[(a + v) * C + SEEN + v] = 1;
        tensor(&m, "blocks.0.attn.W_V")[(SEEN + v) * D + v] = 1;
        tensor(&m, "blocks.0.attn.W_O")[v * C + COPIED + v] = 1;
        tensor(&m, "unembed.W_U")[(COPIED + v) * m.options.d_vocab + a + v] =
            (float)log((1 - e + e / SYMBOLS) / (e / SYMBOLS));
        tensor(&m, "unembed.b_U")[a + v] = 0;
    }
    check_losses(&m, &g);
    rllc_model_release(&m);
    generated_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_probabilities_are_the_bigram_model),
        cmocka_unit_test(test_a_head_copies_as_well_as_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
