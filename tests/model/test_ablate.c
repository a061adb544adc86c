/* Heads replaced: against models whose weights say the same, against a second pass in plain loops, and bit for bit. */
#include "support/fenced.h"
#include "support/support.h"

enum { B = 5, T = 12, V = 23, H = 3, D = 4, LAYERS = 3 };

typedef struct fixture {
    rllc_model m;
    rllc_engine *e;
    int32_t tokens[B * T];
    float base[B * (T - 1)], lost[B * (T - 1)], other[B * (T - 1)];
    float z[B * LAYERS * T * H * D];
} fixture;

static void open(fixture *f, int normalization, int threads) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = LAYERS;
    o.n_heads = H;
    o.d_model = 16;
    o.d_head = D;
    o.n_ctx = T;
    o.d_vocab = V;
    o.normalization = normalization;
    o.init_scale = 2;
    assert_ok(rllc_model_init(&f->m, &o));
    rllc_model_randomize(&f->m, 3);
    const rllc_stream s = rllc_stream_make(5, "tokens", 0, 0);
    for (int i = 0; i < f->m.size; i++) f->m.weights[i] += 0.02F * (float)(i % 7 - 3); /* biases that are not 0 */
    for (uint64_t i = 0; i < B * T; i++) f->tokens[i] = (int32_t)rllc_stream_below(&s, i, V);
    assert_ok(rllc_engine_new(&f->e, &f->m, B, threads));
}

static void close_fixture(fixture *f) {
    rllc_engine_free(f->e);
    rllc_model_release(&f->m);
}

static float *slice(const rllc_model *m, const char *tensor, int layer, int head, int64_t *n) {
    const rllc_parameter *p = rllc_model_find(m, rllc_intern_printf("blocks.%d.attn.%s", layer, tensor));
    *n = p->n / p->shape[0];
    return m->weights + p->offset + head * *n;
}

static void clear(const rllc_model *m, const char *tensor, int layer, int head) {
    int64_t n = 0;
    float *w = slice(m, tensor, layer, head, &n);
    memset(w, 0, (size_t)n * sizeof *w);
}

static void evaluate(fixture *f, float *losses) {
    rllc_evaluation out = {.token_losses = losses};
    assert_ok(rllc_engine_evaluate(f->e, f->m.weights, f->tokens, B, &out));
}

static void ablate(fixture *f, const rllc_ablation *a, float *losses) {
    rllc_ablation one = *a;
    one.token_losses = losses;
    assert_ok(rllc_engine_ablate(f->e, f->m.weights, f->tokens, B, &one, 1, f->base));
}

static void assert_close(const float *a, const float *b, float tolerance) {
    for (int i = 0; i < B * (T - 1); i++)
        if (!(fabsf(a[i] - b[i]) <= tolerance)) fail_msg("prediction %d: %.9g and %.9g", i, a[i], b[i]);
}

static float largest_change(const fixture *f) {
    float largest = 0;
    for (int i = 0; i < B * (T - 1); i++) largest = fmaxf(largest, fabsf(f->lost[i] - f->base[i]));
    return largest;
}

/** Zero ablation of a head is a model without its W_O; of a set, without all of theirs. */
static void test_zero_is_a_model_without_the_output(void **state) {
    (void)state;
    for (int norm = RLLC_NORM_LN; norm <= RLLC_NORM_NULL; norm++)
        for (int l = 0; l < LAYERS; l++) {
            fixture f;
            open(&f, norm, 1);
            const rllc_replacement two[] = {{.layer = l, .head = 1}, {.layer = 2 - l, .head = 2}};
            const rllc_ablation a = {.replaced = two, .n_replaced = 1 + (l != 1)};
            ablate(&f, &a, f.lost);
            evaluate(&f, f.other);
            assert_memory_equal(f.other, f.base, sizeof f.base);
            assert_true(largest_change(&f) > 0.01F);
            clear(&f.m, "W_O", l, 1);
            if (l != 1) clear(&f.m, "W_O", 2 - l, 2);
            evaluate(&f, f.other);
            assert_close(f.lost, f.other, 2e-6F);
            close_fixture(&f);
        }
}

/** A constant in place of z is a model whose b_O has taken z W_O over. */
static void test_constant_is_a_model_with_another_bias(void **state) {
    (void)state;
    const float z[D] = {0.5F, -1, 2, 0.25F};
    fixture f;
    int64_t n;
    open(&f, RLLC_NORM_LN, 1);
    const rllc_replacement r = {.layer = 1, .head = 2, .z = z};
    ablate(&f, &(rllc_ablation){.replaced = &r, .n_replaced = 1}, f.lost);
    float *W_O = slice(&f.m, "W_O", 1, 2, &n);
    float *b_O = f.m.weights + rllc_model_find(&f.m, "blocks.1.attn.b_O")->offset;
    for (int i = 0; i < D; i++)
        for (int c = 0; c < 16; c++) b_O[c] += z[i] * W_O[i * 16 + c];
    memset(W_O, 0, (size_t)n * sizeof(float));
    evaluate(&f, f.other);
    assert_close(f.lost, f.other, 4e-6F);
    close_fixture(&f);
}

static void read_outputs(fixture *f) {
    assert_ok(rllc_engine_outputs(f->e, f->m.weights, f->tokens, B, f->z));
}

/** z of a head in f->z, for a replacement. */
static rllc_replacement own_output(const fixture *f, int layer, int head) {
    return (rllc_replacement){.layer = layer,
                              .head = head,
                              .z = f->z + layer * T * H * D + head * D,
                              .sequence_stride = LAYERS * T * H * D,
                              .position_stride = H * D};
}

/** Its own output in place of a head's, everywhere or on any path, changes no bit; nor does a head that writes nothing.
 */
static void test_equal_outputs_change_no_bit(void **state) {
    (void)state;
    fixture f;
    for (int norm = RLLC_NORM_LN; norm <= RLLC_NORM_NULL; norm++) {
        open(&f, norm, 2);
        read_outputs(&f);
        for (int l = 0; l < LAYERS; l++)
            for (int parts = 0; parts < (l < LAYERS - 1 ? 8 : 1); parts++) {
                const rllc_replacement r = own_output(&f, l, 1);
                ablate(&f,
                       &(rllc_ablation){.replaced = &r,
                                        .n_replaced = 1,
                                        .into_layer = parts ? l + 1 : 0,
                                        .into_head = 2,
                                        .into_q = parts & 1,
                                        .into_k = parts & 2,
                                        .into_v = parts & 4},
                       f.lost);
                assert_memory_equal(f.lost, f.base, sizeof f.base);
            }
        clear(&f.m, "W_O", 0, 1);
        const rllc_replacement zero = {.layer = 0, .head = 1};
        ablate(&f, &(rllc_ablation){.replaced = &zero, .n_replaced = 1}, f.lost);
        assert_memory_equal(f.lost, f.base, sizeof f.base);
        close_fixture(&f);
    }
}

/** Another sequence's output: the prediction depends on both, as a batch whose z was written by hand shows. */
static void test_resampled_outputs_are_those_of_the_other_sequence(void **state) {
    (void)state;
    fixture f;
    const int64_t shift[B] = {1, 2, 3, 4, 0};
    float copy[B * T * D];
    open(&f, RLLC_NORM_LN, 2);
    read_outputs(&f);
    rllc_replacement r = own_output(&f, 1, 0);
    r.sequences = shift;
    ablate(&f, &(rllc_ablation){.replaced = &r, .n_replaced = 1}, f.lost);
    for (int s = 0; s < B; s++)
        for (int t = 0; t < T; t++)
            memcpy(copy + (s * T + t) * D, r.z + shift[s] * LAYERS * T * H * D + t * H * D, D * sizeof(float));
    const rllc_replacement by_hand = {.layer = 1, .head = 0, .z = copy, .sequence_stride = T * D, .position_stride = D};
    ablate(&f, &(rllc_ablation){.replaced = &by_hand, .n_replaced = 1}, f.other);
    assert_memory_equal(f.lost, f.other, sizeof f.lost);
    assert_true(largest_change(&f) > 0.01F);
    close_fixture(&f);
}

/* ---- paths ---------------------------------------------------------------------------------------------------- */

/**
 * The definition, through models: a copy of head `into` that reads a stream without the source cannot be said with
 * weights of one model, but its output can be taken from the model in which the source is ablated everywhere (its q, k
 * and v all see the ablated stream), and put in place of the head's own.
 */
static void test_whole_path_is_the_output_of_the_ablated_model(void **state) {
    (void)state;
    for (int norm = RLLC_NORM_LN; norm <= RLLC_NORM_NULL; norm++)
        for (int l = 0; l < LAYERS - 1; l++) {
            fixture f;
            open(&f, norm, 1);
            const rllc_replacement source = {.layer = l, .head = 0};
            const rllc_ablation path = {
                .replaced = &source, .n_replaced = 1, .into_layer = l + 1, .into_head = 1, true, true, true};
            ablate(&f, &path, f.lost);
            assert_true(largest_change(&f) > 1e-4F);
            assert_ok(rllc_engine_set_replacements(f.e, &source, 1));
            read_outputs(&f);
            assert_ok(rllc_engine_set_replacements(f.e, NULL, 0));
            const rllc_replacement seen = own_output(&f, l + 1, 1);
            ablate(&f, &(rllc_ablation){.replaced = &seen, .n_replaced = 1}, f.other);
            assert_memory_equal(f.lost, f.other, sizeof f.lost);
            close_fixture(&f);
        }
}

/** Without W_Q the queries see nothing of the stream, and the q path changes no bit; so for k and v. */
static void test_parts_of_a_path_go_through_their_projection(void **state) {
    (void)state;
    const char *const tensors[3] = {"W_Q", "W_K", "W_V"};
    for (int cut = 0; cut <= 3; cut++) {
        fixture f;
        open(&f, RLLC_NORM_LN, 1);
        if (cut < 3) clear(&f.m, tensors[cut], 1, 2);
        for (int part = 0; part < 3; part++) {
            const rllc_replacement r = {.layer = 0, .head = 1};
            ablate(&f,
                   &(rllc_ablation){.replaced = &r,
                                    .n_replaced = 1,
                                    .into_layer = 1,
                                    .into_head = 2,
                                    .into_q = part == 0,
                                    .into_k = part == 1,
                                    .into_v = part == 2},
                   f.lost);
            if (part == cut)
                assert_memory_equal(f.lost, f.base, sizeof f.base);
            else if (part == 2 || cut == 3) /* with a projection cut, little is left of the others */
                assert_true(largest_change(&f) > 1e-5F);
        }
        close_fixture(&f);
    }
}

/* ---- the engine's own replacements ---------------------------------------------------------------------------- */

/** Losses and gradients of every kind of member with a head replaced are those of the model that has it so. */
static void test_replacements_hold_in_losses_and_gradients(void **state) {
    (void)state;
    const char *const names[] = {"full", "l0h0", "l1h1", "l2h2", "l2h0", "l0h2+l1h0", "embed", "l1h1+l2h1"};
    enum { N = sizeof names / sizeof *names };
    for (int layer = 0; layer < LAYERS; layer++) {
        fixture f;
        rllc_component c[N];
        rllc_member m[N];
        double loss, other;
        open(&f, RLLC_NORM_LN, 2);
        const rllc_replacement r = {.layer = layer, .head = 1};
        float *free[N], *gradient[2][N];
        for (int pass = 0; pass < 2; pass++) {
            if (pass == 0) assert_ok(rllc_engine_set_replacements(f.e, &r, 1));
            for (int i = 0; i < N; i++) {
                if (pass == 0) assert_ok(rllc_component_parse(&c[i], &f.m, names[i]));
                assert_ok(rllc_alloc(&free[i], c[i].size, sizeof(float)));
                assert_ok(rllc_alloc(&gradient[pass][i], c[i].size, sizeof(float)));
                for (int64_t k = 0, at = 0; k < c[i].n_ranges; at += c[i].ranges[k++].n)
                    memcpy(free[i] + at, f.m.weights + c[i].ranges[k].first, (size_t)c[i].ranges[k].n * sizeof(float));
                m[i] = (rllc_member){.component = &c[i], .free = free[i], .gradient = gradient[pass][i]};
            }
            assert_ok(rllc_engine_lockstep(f.e, f.m.weights, f.tokens, B, m, N, pass ? &other : &loss, NULL));
            for (int i = 0; i < N; i++) {
                assert_true(fabs(m[i].loss - (pass ? other : loss)) < 1e-6); /* every member stands at w* */
                rllc_free(free[i]);
            }
            if (pass == 0) { /* the same said with weights: z = 0 whatever W_O is */
                assert_ok(rllc_engine_set_replacements(f.e, NULL, 0));
                clear(&f.m, "W_O", layer, 1);
                clear(&f.m, "W_V", layer, 1);
                clear(&f.m, "b_V", layer, 1);
            }
        }
        assert_true(fabs(loss - other) < 1e-6);
        for (int i = 0; i < N; i++) {
            for (int64_t k = 0; k < c[i].size; k++)
                if (!(fabsf(gradient[0][i][k] - gradient[1][i][k]) < 2e-6F))
                    fail_msg("%s, %lld: %g and %g", names[i], (long long)k, gradient[0][i][k], gradient[1][i][k]);
            rllc_free(gradient[0][i]);
            rllc_free(gradient[1][i]);
            rllc_component_release(&c[i]);
        }
        close_fixture(&f);
    }
}

static void test_bits_do_not_depend_on_threads_or_the_memory(void **state) {
    (void)state;
    fixture f;
    float first[B * (T - 1)];
    for (int threads = 1; threads <= 3; threads++) { /* the fence is for one thread */
        open(&f, RLLC_NORM_LN, threads % 3 + 1);
        if (threads == 3) assert_ok(rllc_engine_set_kernels(f.e, rllc_fenced_kernels(rllc_kernels_get())));
        read_outputs(&f);
        const rllc_replacement r = own_output(&f, 0, 2), c = {.layer = 2, .head = 0, .z = f.z};
        const rllc_replacement both[] = {r, c};
        ablate(&f, &(rllc_ablation){.replaced = both, .n_replaced = 2}, f.lost);
        if (threads == 1) memcpy(first, f.lost, sizeof first);
        assert_memory_equal(first, f.lost, sizeof first);
        close_fixture(&f);
    }
}

static void test_refusals(void **state) {
    (void)state;
    fixture f;
    open(&f, RLLC_NORM_LN, 1);
    const rllc_replacement far = {.layer = LAYERS, .head = 0}, low = {.layer = 0, .head = 0};
    rllc_ablation a = {.replaced = &far, .n_replaced = 1, .token_losses = f.lost};
    assert_int_equal(rllc_engine_ablate(f.e, f.m.weights, f.tokens, B, &a, 1, NULL), RLLC_EMISMATCH);
    assert_int_equal(rllc_engine_set_replacements(f.e, &far, 1), RLLC_EMISMATCH);
    a = (rllc_ablation){.replaced = &low, .n_replaced = 1, .into_layer = 2, .into_q = true, .token_losses = f.lost};
    assert_int_equal(rllc_engine_ablate(f.e, f.m.weights, f.tokens, B, &a, 1, NULL), RLLC_EUNSUPPORTED);
    a.n_replaced = 0;
    assert_int_equal(rllc_engine_ablate(f.e, f.m.weights, f.tokens, B, &a, 1, NULL), RLLC_EMISMATCH);
    close_fixture(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero_is_a_model_without_the_output),
        cmocka_unit_test(test_constant_is_a_model_with_another_bias),
        cmocka_unit_test(test_equal_outputs_change_no_bit),
        cmocka_unit_test(test_resampled_outputs_are_those_of_the_other_sequence),
        cmocka_unit_test(test_whole_path_is_the_output_of_the_ablated_model),
        cmocka_unit_test(test_parts_of_a_path_go_through_their_projection),
        cmocka_unit_test(test_replacements_hold_in_losses_and_gradients),
        cmocka_unit_test(test_bits_do_not_depend_on_threads_or_the_memory),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
