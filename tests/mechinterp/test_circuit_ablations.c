/* Circuits built by hand without their heads: losses equal their closed forms; what writes nothing is not missed. */
#include "mechinterp/ablate.h"
#include "mechinterp/circuit_truth.h"

/* ---- ablations of the induction circuit --------------------------------------------------------------------- */

enum { ROWS = 3, HEAD_SETS = 2 };

typedef struct ablated_circuit {
    hand_built b;
    rllc_engine *e;
    int32_t tokens[ROWS * T];
    float base[ROWS * N], without[HEAD_SETS][ROWS * N]; /* head 0:0; head 1:0 */
} ablated_circuit;

static void ablate(ablated_circuit *x, int ablation, const rllc_rows *reference_rows) {
    static const int heads[HEAD_SETS][1][2] = {{{0, 0}}, {{1, 0}}};
    const rllc_head_set sets[HEAD_SETS] = {{"l0h0", heads[0], 1}, {"l1h0", heads[1], 1}};
    float *const out[HEAD_SETS] = {x->without[0], x->without[1]};
    rllc_ablator *a;
    assert_ok(rllc_ablator_new(&a, ablation, x->e, &x->b.model, ROWS, reference_rows, ROWS));
    assert_ok(rllc_ablator_losses(a, x->tokens, ROWS, 0, sets, HEAD_SETS, x->base, out));
    rllc_ablator_free(a);
}

static void test_ablations_of_the_induction_circuit(void **state) {
    (void)state;
    ablated_circuit x;
    const circuit k = {.c0 = 5, .c = 5, .s = 8}, blind = {.c0 = 5, .c = 5, .s = 8, .no_previous = true};
    const char *path = rllc_intern_printf("/tmp/rllc-circuits-%d.npy", (int)getpid());
    const int64_t shape[2] = {ROWS, T};
    rllc_rows rows;
    double mean[V] = {0}, mass[V];
    build_induction(&x.b, 1, V, T, 5, 8, RLLC_NORM_NULL);
    repeated(x.tokens, ROWS);
    assert_ok(rllc_npy_write(path, "<i4", 2, shape, x.tokens, sizeof *x.tokens));
    assert_ok(rllc_rows_open(&rows, path, V));
    assert_ok(rllc_engine_new(&x.e, &x.b.model, ROWS, 1));
    ablate(&x, RLLC_ABLATE_ZERO, NULL);
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = 0; i < N; i++) {
            const int32_t *tokens = x.tokens + r * T;
            assert_near((double)x.base[r * N + i], loss_at(&k, tokens, i), 2e-5);
            assert_near((double)x.without[0][r * N + i], loss_at(&blind, tokens, i), 2e-5); /* attends evenly */
            assert_near((double)x.without[1][r * N + i], log(V), 1e-6);                     /* knows nothing */
        }
    for (int64_t r = 0; r < ROWS; r++) /* mean of head 1:0: what it attends to on average */
        for (int64_t i = 0; i < T; i++) {
            mass_of(&k, x.tokens + r * T, i, mass);
            for (int64_t v = 0; v < V; v++) mean[v] += mass[v] / (ROWS * T);
        }
    ablate(&x, RLLC_ABLATE_MEAN, &rows);
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = 0; i < N; i++)
            assert_near((double)x.without[1][r * N + i], loss_of(&k, mean, x.tokens[r * T + i + 1]), 2e-5);
    ablate(&x, RLLC_ABLATE_RESAMPLE, NULL); /* permutation 0: sequence r takes those of r + 1 */
    for (int64_t r = 0; r < ROWS; r++)
        for (int64_t i = 0; i < N; i++) {
            mass_of(&k, x.tokens + (r + 1) % ROWS * T, i, mass);
            assert_near((double)x.without[1][r * N + i], loss_of(&k, mass, x.tokens[r * T + i + 1]), 2e-5);
        }
    rllc_rows_close(&rows);
    assert_int_equal(remove(path), 0);
    rllc_engine_free(x.e);
    rllc_model_release(&x.b.model);
}

/** The previous-token head speaks to the induction head through its keys and through nothing else. */
static void test_the_path_into_the_keys_is_the_circuit(void **state) {
    (void)state;
    hand_built b;
    int32_t tokens[T];
    float losses[4][N], base[N];
    rllc_engine *e;
    const circuit k = {.c0 = 5, .c = 5, .s = 8}, blind = {.c0 = 5, .c = 5, .s = 8, .no_previous = true};
    const rllc_replacement silent = {.layer = 0, .head = 0};
    rllc_ablation list[4];
    build_induction(&b, 2, V, T, 5, 8, RLLC_NORM_NULL);
    repeated(tokens, 1);
    for (int i = 0; i < 4; i++) /* into q, k, v of head 1:0; into the keys of head 1:1, which has no weights */
        list[i] = (rllc_ablation){.replaced = &silent,
                                  .n_replaced = 1,
                                  .into_layer = 1,
                                  .into_head = i == 3,
                                  .into_q = i == 0,
                                  .into_k = i == 1 || i == 3,
                                  .into_v = i == 2,
                                  .token_losses = losses[i]};
    assert_ok(rllc_engine_new(&e, &b.model, 1, 1));
    assert_ok(rllc_engine_ablate(e, b.model.weights, tokens, 1, list, 4, base));
    for (int64_t i = 0; i < N; i++) {
        assert_near((double)losses[1][i], loss_at(&blind, tokens, i), 2e-5);
        assert_near((double)losses[0][i], loss_at(&k, tokens, i), 2e-5);
        assert_near((double)losses[2][i], loss_at(&k, tokens, i), 2e-5);
        assert_near((double)losses[3][i], loss_at(&k, tokens, i), 2e-5);
    }
    rllc_engine_free(e);
    rllc_model_release(&b.model);
}

/* ---- tables and brackets ------------------------------------------------------------------------------------ */

/** "b ... a -> t": head 0:0 attends from a to b with logit c, and says t. */
static void test_skip_trigram(void **state) {
    (void)state;
    enum { A = 3, B = 7, TARGET = 9, AT = 15, FROM = 4 };
    hand_built b;
    int32_t tokens[T];
    float losses[N], without[N], base[N];
    rllc_engine *e;
    const rllc_replacement silent = {.layer = 0, .head = 0};
    const rllc_ablation ablation = {.replaced = &silent, .n_replaced = 1, .token_losses = without};
    build_circuit(&b, 1, 1, V, T, RLLC_NORM_NULL);
    attend_token(&b, 0, 0, A, B, 30);
    write_output(&b, 0, 0, B, TARGET, 6);
    for (int64_t i = 0; i < T; i++) tokens[i] = i == AT ? A : i == FROM ? B : i == AT + 1 ? TARGET : 1;
    double *a = patterns_of(&b.model, tokens);
    assert_near(a[AT * T + FROM], share(30, AT), 1e-6);
    assert_near(a[AT * T + FROM], reference("skip-trigram b..a->t c=30 s=6,attention a->b"), 1e-6);
    token_losses(&b.model, tokens, 1, losses);
    assert_near((double)losses[AT], log(exp(6) + V - 1) - 6, 2e-6);
    assert_near((double)losses[AT], reference("skip-trigram,CE of t at a"), 2e-6);
    for (int64_t i = FROM; i < N; i++) /* elsewhere it looks evenly, and says t a little since it saw b */
        if (i != AT) assert_near((double)losses[i], log(exp(6.0 / (double)(i + 1)) + V - 1), 2e-6);
    assert_ok(rllc_engine_new(&e, &b.model, 1, 1));
    assert_ok(rllc_engine_ablate(e, b.model.weights, tokens, 1, &ablation, 1, base));
    assert_near((double)without[AT] - (double)base[AT], log(V) - (log(exp(6) + V - 1) - 6), 3e-6);
    assert_true((double)without[AT + 2] < (double)base[AT + 2]); /* its guesses elsewhere were wrong */
    rllc_engine_free(e);
    free(a);
    rllc_model_release(&b.model);
}

/**
 * A bracket matcher: from everywhere, logit c on opening brackets and r per position, so the last one open wins where
 * brackets do not nest; it says the partner of what it attends to.
 */
static void test_bracket_matcher(void **state) {
    (void)state;
    enum { ROUND = 0, SQUARE = 2 }; /* closing = opening + 1 */
    static const int32_t tokens[T] = {5, 0, 6, 7, 1, 8, 2, 9, 3, 4, 2, 5, 6, 3, 0, 7, 8, 9, 1, 5, 0, 1, 2, 3};
    hand_built b;
    float losses[N], without[N], base[N];
    double row[T];
    rllc_engine *e;
    const double c = 12, r = 0.5, s = 7;
    const rllc_replacement silent = {.layer = 0, .head = 0};
    const rllc_ablation ablation = {.replaced = &silent, .n_replaced = 1, .token_losses = without};
    build_circuit(&b, 1, 1, V, T, RLLC_NORM_NULL);
    *entry(&b, "blocks.0.attn.b_Q", 0, 0, 0) = (float)sqrt((double)b.model.options.d_head);
    for (int64_t open = ROUND; open <= SQUARE; open += 2) {
        *entry(&b, "blocks.0.attn.W_K", 0, open, 0) = (float)c;
        write_output(&b, 0, 0, open, open + 1, s);
    }
    for (int64_t i = 0; i < T; i++) *entry(&b, "blocks.0.attn.W_K", 0, V + i, 0) = (float)(r * (double)i);
    double *a = patterns_of(&b.model, tokens);
    token_losses(&b.model, tokens, 1, losses);
    assert_ok(rllc_engine_new(&e, &b.model, 1, 1));
    assert_ok(rllc_engine_ablate(e, b.model.weights, tokens, 1, &ablation, 1, base));
    int64_t open_at = -1, closers = 0;
    for (int64_t i = 0; i < N; i++) {
        double round = 0, square = 0, sum = 0;
        for (int64_t j = 0; j <= i; j++) row[j] = (tokens[j] == ROUND || tokens[j] == SQUARE ? c : 0) + r * (double)j;
        softmax(i + 1, row);
        for (int64_t j = 0; j <= i; j++) {
            assert_near(a[i * T + j], row[j], 5e-6);
            if (tokens[j] == ROUND) round += row[j];
            if (tokens[j] == SQUARE) square += row[j];
        }
        sum = exp(s * round) + exp(s * square) + V - 2;
        const int32_t next = tokens[i + 1];
        const double logit = next == ROUND + 1 ? s * round : next == SQUARE + 1 ? s * square : 0;
        assert_near((double)losses[i], log(sum) - logit, 1e-5);
        assert_near((double)without[i], log(V), 1e-6);
        if (tokens[i] == ROUND || tokens[i] == SQUARE) open_at = i;
        if (next != ROUND + 1 && next != SQUARE + 1) continue;
        closers++;
        assert_true(a[i * T + open_at] > 0.5 && (double)without[i] - (double)base[i] > 1.5);
    }
    assert_int_equal(closers, 6);
    rllc_engine_free(e);
    free(a);
    rllc_model_release(&b.model);
}

/* ---- what changes nothing ----------------------------------------------------------------------------------- */

static void assert_nothing_changes(rllc_model *m, int layer, int head, int first, int last) {
    ablated_circuit x = {.b.model = *m};
    const char *path = rllc_intern_printf("/tmp/rllc-circuits-%d.npy", (int)getpid());
    const int64_t shape[2] = {ROWS, T};
    const int heads[1][2] = {{layer, head}}, other[1][2] = {{layer, head ^ 1}};
    const rllc_head_set sets[HEAD_SETS] = {{"the head", heads, 1}, {"another", other, 1}};
    float *const out[HEAD_SETS] = {x.without[0], x.without[1]};
    rllc_rows rows;
    rllc_ablator *a;
    repeated(x.tokens, ROWS);
    assert_ok(rllc_npy_write(path, "<i4", 2, shape, x.tokens, sizeof *x.tokens));
    assert_ok(rllc_rows_open(&rows, path, V));
    assert_ok(rllc_engine_new(&x.e, m, ROWS, 1));
    for (int kind = first; kind <= last; kind++) {
        assert_ok(rllc_ablator_new(&a, kind, x.e, m, ROWS, &rows, ROWS));
        assert_ok(rllc_ablator_losses(a, x.tokens, ROWS, 1, sets, HEAD_SETS, x.base, out));
        rllc_ablator_free(a);
        assert_memory_equal(x.without[0], x.base, sizeof x.base);
        assert_true(memcmp(x.without[1], x.base, sizeof x.base) != 0);
    }
    rllc_rows_close(&rows);
    assert_int_equal(remove(path), 0);
    rllc_engine_free(x.e);
}

static void random_model(hand_built *b, int normalization) {
    build_circuit(b, 2, 2, V, T, normalization);
    rllc_model_randomize(&b->model, 9);
    for (int64_t i = 0; i < b->model.size; i++) b->model.weights[i] *= 3;
}

static void test_ablating_a_head_that_writes_nothing_changes_no_bit(void **state) {
    (void)state;
    for (int layer = 0; layer < 2; layer++) {
        hand_built b;
        random_model(&b, RLLC_NORM_LN);
        const rllc_model_options *o = &b.model.options;
        memset(entry(&b, rllc_intern_printf("blocks.%d.attn.W_O", layer), 1, 0, 0), 0,
               (size_t)(o->d_head * o->d_model) * sizeof(float));
        assert_nothing_changes(&b.model, layer, 1, 0, RLLC_ABLATIONS - 1);
        rllc_model_release(&b.model);
    }
}

/** It attends to itself alone (the other weights underflow to 0) and its values are its bias: z is the same everywhere.
 */
static void test_mean_ablation_of_a_constant_head_changes_no_bit(void **state) {
    (void)state;
    hand_built b;
    random_model(&b, RLLC_NORM_NULL);
    const rllc_model_options *o = &b.model.options;
    const size_t matrix = (size_t)(o->d_head * o->d_model) * sizeof(float);
    memset(entry(&b, "blocks.0.attn.W_Q", 0, 0, 0), 0, matrix);
    memset(entry(&b, "blocks.0.attn.W_K", 0, 0, 0), 0, matrix);
    memset(entry(&b, "blocks.0.attn.W_V", 0, 0, 0), 0, matrix);
    for (int64_t d = 0; d < o->d_head; d++) *entry(&b, "blocks.0.attn.b_V", 0, d, 0) = 0.1F * (float)(d - 7);
    memset(entry(&b, "pos_embed.W_pos", 0, 0, 0), 0, (size_t)(T * o->d_model) * sizeof(float));
    for (int64_t i = 0; i < T; i++) *entry(&b, "pos_embed.W_pos", i, V + i, 0) = 1;
    attend_back(&b, 0, 0, 0, 200);
    memset(entry(&b, "embed.W_E", 0, 0, 0), 0, (size_t)(V * o->d_model) * sizeof(float));
    for (int64_t i = 0; i < V; i++) *entry(&b, "embed.W_E", i, i, 0) = 1; /* nothing in the position slots */
    assert_nothing_changes(&b.model, 0, 0, RLLC_ABLATE_MEAN, RLLC_ABLATE_MEAN_POSITION);
    rllc_model_release(&b.model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ablations_of_the_induction_circuit),
        cmocka_unit_test(test_the_path_into_the_keys_is_the_circuit),
        cmocka_unit_test(test_skip_trigram),
        cmocka_unit_test(test_bracket_matcher),
        cmocka_unit_test(test_ablating_a_head_that_writes_nothing_changes_no_bit),
        cmocka_unit_test(test_mean_ablation_of_a_constant_head_changes_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
