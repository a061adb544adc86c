/* Rows of attention patterns against single entries, against each other, over threads, and behind the fence. */
#include "support/fenced.h"
#include "support/support.h"

enum { ROWS = 5, T = 150, LAYERS = 2, H = 3, HEADS = LAYERS * H }; /* two sequences a block; three pieces of queries */

static void make_model(rllc_model *m, int normalization) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = LAYERS, o.d_model = 12, o.n_heads = H, o.d_head = 5, o.n_ctx = T, o.d_vocab = 19;
    o.normalization = normalization;
    o.init_scale = 1.7; /* attention far from uniform */
    assert_ok(rllc_model_init(m, &o));
    rllc_model_randomize(m, 7);
    const rllc_stream s = rllc_stream_make(3, "test", 0, 0);
    for (int64_t i = 0; i < m->size; i++) m->weights[i] += 0.2F * (float)(rllc_stream_uniform(&s, (uint64_t)i) - 0.5);
}

static const int32_t *make_tokens(void) {
    static int32_t ids[ROWS * T];
    const rllc_stream s = rllc_stream_make(5, "tokens", 0, 0);
    for (int i = 0; i < ROWS * T; i++) ids[i] = (int32_t)rllc_stream_below(&s, (uint64_t)i, 19);
    return ids;
}

/* Every pattern, and how many rows of each sequence have been visited. */
typedef struct collected {
    float (*a)[HEADS][T][T]; /* [ROWS] */
    int64_t visits[ROWS];
} collected;

static void collect(void *context, int64_t sequence, int layer, int head, int64_t query, const float *attention) {
    collected *c = context;
    const int64_t at = (layer * H + head) * T + query;
    assert_int_equal(c->visits[sequence]++, at); /* ascending layer, head, query */
    memcpy(c->a[sequence][layer * H + head][query], attention, (size_t)(query + 1) * sizeof *attention);
}

static void run(const rllc_model *m, int n_threads, const rllc_kernels *k, collected *c) {
    rllc_engine *e;
    *c = (collected){.a = test_memory(ROWS, sizeof *c->a)};
    assert_ok(rllc_engine_new(&e, m, ROWS, n_threads));
    if (k) assert_ok(rllc_engine_set_kernels(e, k));
    assert_ok(rllc_engine_attention_patterns(e, m->weights, make_tokens(), ROWS, collect, c));
    for (int r = 0; r < ROWS; r++) assert_int_equal(c->visits[r], HEADS * T);
    rllc_engine_free(e);
}

static void test_patterns_equal_single_entries_and_rows_sum_to_one(void **state) {
    (void)state;
    for (int normalization = RLLC_NORM_LN; normalization <= RLLC_NORM_NULL; normalization++) {
        rllc_model m;
        rllc_engine *e;
        collected c;
        int64_t query[ROWS], key[ROWS];
        float entry[ROWS][HEADS];
        double spread = 0;
        make_model(&m, normalization);
        run(&m, 1, NULL, &c);
        for (int r = 0; r < ROWS; r++)
            for (int h = 0; h < HEADS; h++)
                for (int q = 0; q < T; q++) {
                    double sum = 0;
                    for (int j = 0; j <= q; j++) sum += (double)c.a[r][h][q][j];
                    if (fabs(sum - 1) > 1e-5) fail_msg("row %d of head %d sums to %.8f", q, h, sum);
                }
        assert_ok(rllc_engine_new(&e, &m, ROWS, 1));
        for (int i = 0; i < 2 * T; i++) {
            for (int r = 0; r < ROWS; r++) query[r] = (i * 7 + r) % T, key[r] = (i * 31 + 5 * r) % (query[r] + 1);
            assert_ok(rllc_engine_attention(e, m.weights, make_tokens(), ROWS, query, key, entry[0]));
            for (int r = 0; r < ROWS; r++)
                for (int h = 0; h < HEADS; h++) {
                    const double a = (double)c.a[r][h][query[r]][key[r]], b = (double)entry[r][h];
                    if (fabs(a - b) > 3e-6 * (1 + 10 * b)) fail_msg("%.8f, expected %.8f", a, b);
                    spread = fmax(spread, fabs(b - 1 / (double)(query[r] + 1)));
                }
        }
        assert_true(spread > 0.3); /* the attention compared is not the uniform one */
        rllc_engine_free(e);
        free(c.a);
        rllc_model_release(&m);
    }
}

static void test_patterns_do_not_depend_on_threads_or_on_where_memory_lies(void **state) {
    (void)state;
    rllc_model m;
    collected c[3];
    make_model(&m, RLLC_NORM_LN);
    run(&m, 1, NULL, &c[0]);
    run(&m, 3, NULL, &c[1]);
    run(&m, 1, rllc_fenced_kernels(rllc_kernels_get()), &c[2]);
    assert_int_equal(rllc_fenced_live(), 0);
    for (int i = 1; i < 3; i++) assert_memory_equal(c[i].a, c[0].a, ROWS * sizeof *c[0].a);
    for (int i = 0; i < 3; i++) free(c[i].a);
    rllc_model_release(&m);
}

/* In an order of their own, some asked for twice: the bits of the whole patterns. */
static void test_rows_are_those_of_the_patterns(void **state) {
    (void)state;
    enum { ASKED = 400 };
    rllc_model m;
    collected c;
    static rllc_attention_row list[ASKED];
    make_model(&m, RLLC_NORM_LN);
    run(&m, 1, NULL, &c);
    for (int fenced = 0; fenced < 2; fenced++) {
        rllc_engine *e;
        const rllc_stream s = rllc_stream_make(9, "rows", 0, 0);
        for (int i = 0; i < ASKED; i++) {
            const uint64_t j = (uint64_t)(i == 7 ? 6 : i) * 4;
            list[i] = (rllc_attention_row){.sequence = (int64_t)rllc_stream_below(&s, j, ROWS - 1), /* the last: none */
                                           .layer = (int)rllc_stream_below(&s, j + 1, LAYERS),
                                           .head = (int)rllc_stream_below(&s, j + 2, H),
                                           .query = (int64_t)rllc_stream_below(&s, j + 3, T)};
            list[i].attention = test_memory(list[i].query + 1, sizeof(float));
        }
        assert_ok(rllc_engine_new(&e, &m, ROWS, fenced ? 1 : 2));
        if (fenced) assert_ok(rllc_engine_set_kernels(e, rllc_fenced_kernels(rllc_kernels_get())));
        assert_ok(rllc_engine_attention_rows(e, m.weights, make_tokens(), ROWS, list, ASKED));
        for (int i = 0; i < ASKED; i++) {
            const float *expected = c.a[list[i].sequence][list[i].layer * H + list[i].head][list[i].query];
            assert_memory_equal(list[i].attention, expected, (size_t)(list[i].query + 1) * sizeof(float));
            free(list[i].attention);
        }
        rllc_engine_free(e);
    }
    assert_int_equal(rllc_fenced_live(), 0);
    free(c.a);
    rllc_model_release(&m);
}

static void test_rows_that_do_not_exist_are_refused(void **state) {
    (void)state;
    rllc_model m;
    rllc_engine *e;
    float a[T];
    const rllc_attention_row bad[] = {{ROWS, 0, 0, 0, a}, {-1, 0, 0, 0, a}, {0, LAYERS, 0, 0, a}, {0, -1, 0, 0, a},
                                      {0, 0, H, 0, a},    {0, 0, -1, 0, a}, {0, 0, 0, T, a},      {0, 0, 0, -1, a}};
    make_model(&m, RLLC_NORM_LN);
    assert_ok(rllc_engine_new(&e, &m, ROWS, 1));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(rllc_engine_attention_rows(e, m.weights, make_tokens(), ROWS, &bad[i], 1), RLLC_EMISMATCH);
    assert_non_null(strstr(rllc_error_detail(), "query -1"));
    assert_ok(rllc_engine_attention_rows(e, m.weights, make_tokens(), ROWS, bad, 0));
    assert_int_equal(rllc_engine_attention_patterns(e, m.weights, make_tokens(), ROWS + 1, collect, a), RLLC_EMISMATCH);
    rllc_engine_free(e);
    rllc_model_release(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns_equal_single_entries_and_rows_sum_to_one),
        cmocka_unit_test(test_patterns_do_not_depend_on_threads_or_on_where_memory_lies),
        cmocka_unit_test(test_rows_are_those_of_the_patterns),
        cmocka_unit_test(test_rows_that_do_not_exist_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
