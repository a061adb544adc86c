/* Properties of one evaluation that need no second implementation, on every kernel table. */
#include "conformance/conformance.h"

static void setup(conformance_model *f) {
    rllc_model_options shape = conformance_shape(2, 20, 3, 7, 71, 53);
    conformance_model_setup(f, &shape, 7, 21);
}

typedef struct answer {
    rllc_evaluation e;
    int64_t n_losses, n_logits, n_gradient;
} answer;

static answer answer_new(const conformance_model *f, int64_t rows) {
    const rllc_model_options *o = &f->model.options;
    answer a = {.n_losses = rows * (o->n_ctx - 1), .n_logits = rows * o->n_ctx * o->d_vocab};
    a.n_gradient = f->model.size;
    a.e.token_losses = test_memory(a.n_losses, sizeof(float));
    a.e.logits = test_memory(a.n_logits, sizeof(float));
    a.e.gradient = test_memory(a.n_gradient, sizeof(float));
    memset(a.e.gradient, 0xff, (size_t)a.n_gradient * sizeof(float)); /* "=": NaN must be overwritten */
    return a;
}

static void answer_free(answer *a) {
    free(a->e.token_losses);
    free(a->e.logits);
    free(a->e.gradient);
}

static answer evaluate(const conformance_model *f, const int32_t *tokens, int64_t rows, int64_t max_rows, int threads) {
    answer a = answer_new(f, rows);
    rllc_engine *engine = NULL;
    assert_ok(rllc_engine_new(&engine, &f->model, max_rows, threads));
    assert_ok(rllc_engine_evaluate(engine, f->model.weights, tokens, rows, &a.e));
    rllc_engine_free(engine);
    return a;
}

static void assert_same(const answer *a, const answer *b) {
    assert_memory_equal(&a->e.loss, &b->e.loss, sizeof a->e.loss);
    assert_memory_equal(a->e.token_losses, b->e.token_losses, (size_t)a->n_losses * sizeof(float));
    assert_memory_equal(a->e.logits, b->e.logits, (size_t)a->n_logits * sizeof(float));
    assert_memory_equal(a->e.gradient, b->e.gradient, (size_t)a->n_gradient * sizeof(float));
}

/* A batch of more tokens than any part an engine might cut it into, with a remainder: 4,743. */
static void setup_large(conformance_model *f) {
    rllc_model_options shape = conformance_shape(2, 8, 2, 3, 9, 11);
    conformance_model_setup(f, &shape, 527, 22);
}

static void test_bits_do_not_depend_on_threads(void **state) {
    (void)state;
    const int threads[] = {2, 3, 5};
    conformance_model f;
    setup_large(&f);
    answer one = evaluate(&f, f.tokens, f.rows, f.rows, 1);
    for (int i = 0; i < 3; i++) {
        answer many = evaluate(&f, f.tokens, f.rows, f.rows, threads[i]);
        assert_same(&one, &many);
        answer_free(&many);
    }
    answer_free(&one);
    conformance_model_release(&f);
}

/* An engine is reusable: nothing of an earlier call, nor its spare room, shows in a later one. */
static void test_bits_do_not_depend_on_history(void **state) {
    (void)state;
    conformance_model f;
    setup(&f);
    answer fresh = evaluate(&f, f.tokens, 3, 3, 2), later = answer_new(&f, 3), other = answer_new(&f, f.rows);
    rllc_engine *engine = NULL;
    assert_ok(rllc_engine_new(&engine, &f.model, f.rows + 2, 2));
    assert_ok(rllc_engine_evaluate(engine, f.model.weights, f.tokens, f.rows, &other.e));
    assert_ok(rllc_engine_evaluate(engine, f.model.weights, f.tokens, 3, &later.e));
    assert_same(&fresh, &later);
    rllc_engine_free(engine);
    answer_free(&fresh);
    answer_free(&later);
    answer_free(&other);
    conformance_model_release(&f);
}

/* What is asked for besides does not change what is given. */
static void test_bits_do_not_depend_on_what_is_asked(void **state) {
    (void)state;
    conformance_model f;
    setup(&f);
    answer all = evaluate(&f, f.tokens, f.rows, f.rows, 2);
    rllc_engine *engine = NULL;
    assert_ok(rllc_engine_new(&engine, &f.model, f.rows, 2));
    for (int mask = 0; mask < 8; mask++) {
        answer some = answer_new(&f, f.rows);
        rllc_evaluation asked = {.token_losses = mask & 1 ? some.e.token_losses : NULL,
                                 .logits = mask & 2 ? some.e.logits : NULL,
                                 .gradient = mask & 4 ? some.e.gradient : NULL};
        assert_ok(rllc_engine_evaluate(engine, f.model.weights, f.tokens, f.rows, &asked));
        assert_memory_equal(&asked.loss, &all.e.loss, sizeof asked.loss);
        if (mask & 1) assert_memory_equal(asked.token_losses, all.e.token_losses, (size_t)all.n_losses * sizeof(float));
        if (mask & 2) assert_memory_equal(asked.logits, all.e.logits, (size_t)all.n_logits * sizeof(float));
        if (mask & 4) assert_memory_equal(asked.gradient, all.e.gradient, (size_t)all.n_gradient * sizeof(float));
        answer_free(&some);
    }
    rllc_engine_free(engine);
    answer_free(&all);
    conformance_model_release(&f);
}

/* Rows do not see each other, and the mean over rows is the mean of their means. */
static void test_rows_are_independent(void **state) {
    (void)state;
    conformance_model f;
    setup(&f);
    const int64_t t = f.model.options.n_ctx, vocabulary = f.model.options.d_vocab;
    answer all = evaluate(&f, f.tokens, f.rows, f.rows, 2);
    double loss = 0, scale = 0, worst = 0;
    double *mean = test_memory(all.n_gradient, sizeof *mean);
    for (int64_t r = 0; r < f.rows; r++) {
        answer one = evaluate(&f, f.tokens + r * t, 1, 1, 1);
        for (int64_t k = 0; k < t - 1; k++) {
            double error = fabs((double)one.e.token_losses[k] - (double)all.e.token_losses[r * (t - 1) + k]);
            assert_true(error <= 2e-5 * all.e.loss);
        }
        for (int64_t k = 0; k < t * vocabulary; k++)
            assert_true(fabs((double)one.e.logits[k] - (double)all.e.logits[r * t * vocabulary + k]) <= 5e-5);
        loss += one.e.loss / (double)f.rows;
        for (int64_t i = 0; i < all.n_gradient; i++) mean[i] += (double)one.e.gradient[i] / (double)f.rows;
        answer_free(&one);
    }
    for (int64_t i = 0; i < all.n_gradient; i++) {
        scale = fmax(scale, fabs(mean[i]));
        worst = fmax(worst, fabs(mean[i] - (double)all.e.gradient[i]));
    }
    printf("    mean of rows: loss off by %.1e, gradient by %.1e of its scale\n", fabs(loss - all.e.loss) / loss,
           worst / scale);
    assert_true(fabs(loss - all.e.loss) <= 2e-6 * loss);
    assert_true(worst <= 2e-5 * scale);
    free(mean);
    answer_free(&all);
    conformance_model_release(&f);
}

/* A token changes nothing before it: bit for bit. */
static void test_future_does_not_reach_back(void **state) {
    (void)state;
    conformance_model f;
    setup(&f);
    const int64_t t = f.model.options.n_ctx, vocabulary = f.model.options.d_vocab;
    answer before = evaluate(&f, f.tokens, f.rows, f.rows, 1);
    for (int64_t at = 1; at < t; at += 23) {
        int32_t *changed = test_memory(f.rows * t, sizeof *changed);
        memcpy(changed, f.tokens, (size_t)(f.rows * t) * sizeof *changed);
        for (int64_t r = 0; r < f.rows; r++)
            for (int64_t k = at; k < t; k++) changed[r * t + k] = (int32_t)((changed[r * t + k] + 17) % vocabulary);
        answer after = evaluate(&f, changed, f.rows, f.rows, 1);
        for (int64_t r = 0; r < f.rows; r++) {
            assert_memory_equal(after.e.logits + r * t * vocabulary, before.e.logits + r * t * vocabulary,
                                (size_t)(at * vocabulary) * sizeof(float));
            assert_memory_equal(after.e.token_losses + r * (t - 1), before.e.token_losses + r * (t - 1),
                                (size_t)(at - 1) * sizeof(float));
            assert_true(memcmp(after.e.logits + (r * t + at) * vocabulary, before.e.logits + (r * t + at) * vocabulary,
                               (size_t)vocabulary * sizeof(float)) != 0);
        }
        answer_free(&after);
        free(changed);
    }
    answer_free(&before);
    conformance_model_release(&f);
}

/* The loss is -log softmax of the logits: the tiled cross-entropy against the plain one in double. */
static void test_token_losses_follow_from_logits(void **state) {
    (void)state;
    conformance_model f;
    setup(&f);
    const int64_t t = f.model.options.n_ctx, vocabulary = f.model.options.d_vocab;
    answer a = evaluate(&f, f.tokens, f.rows, f.rows, 2);
    double mean = 0;
    for (int64_t r = 0; r < f.rows; r++)
        for (int64_t k = 0; k < t - 1; k++) {
            const float *row = a.e.logits + (r * t + k) * vocabulary;
            double sum = 0;
            for (int64_t v = 0; v < vocabulary; v++) sum += exp((double)row[v]);
            double loss = log(sum) - (double)row[f.tokens[r * t + k + 1]];
            assert_true(fabs(loss - (double)a.e.token_losses[r * (t - 1) + k]) <= 1e-5);
            mean += loss / (double)a.n_losses;
        }
    assert_true(fabs(mean - a.e.loss) <= 2e-6 * mean);
    answer_free(&a);
    conformance_model_release(&f);
}

/* A head whose output goes nowhere (W_O slice 0) has nothing to learn in Q, K and V, exactly; its W_O has. */
static void test_dead_head_has_no_gradient(void **state) {
    (void)state;
    static const char *const inner[] = {"W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V"};
    conformance_model f;
    setup(&f);
    for (int layer = 0; layer < 2; layer++) {
        const int64_t dead = 1 + layer;
        char name[64];
        snprintf(name, sizeof name, "blocks.%d.attn.W_O", layer);
        const rllc_parameter *output = rllc_model_find(&f.model, name);
        const int64_t slice = output->n / output->shape[0];
        float *saved = test_memory(slice, sizeof *saved);
        memcpy(saved, f.model.weights + output->offset + dead * slice, (size_t)slice * sizeof *saved);
        memset(f.model.weights + output->offset + dead * slice, 0, (size_t)slice * sizeof *saved);
        answer a = evaluate(&f, f.tokens, f.rows, f.rows, 2);
        for (int k = 0; k < 6; k++) {
            snprintf(name, sizeof name, "blocks.%d.attn.%s", layer, inner[k]);
            const rllc_parameter *p = rllc_model_find(&f.model, name);
            const int64_t n = p->n / p->shape[0];
            double alive = 0;
            for (int64_t i = 0; i < n; i++) {
                assert_true(a.e.gradient[p->offset + dead * n + i] == 0.0f);
                alive = fmax(alive, fabs((double)a.e.gradient[p->offset + i]));
            }
            assert_true(alive > 0); /* head 0 lives */
        }
        double largest = 0;
        for (int64_t i = 0; i < slice; i++)
            largest = fmax(largest, fabs((double)a.e.gradient[output->offset + dead * slice + i]));
        assert_true(largest > 0);
        memcpy(f.model.weights + output->offset + dead * slice, saved, (size_t)slice * sizeof *saved);
        free(saved);
        answer_free(&a);
    }
    conformance_model_release(&f);
}

/* Symmetries of the function: what must not change the loss, and how the gradient then behaves. */
static void test_loss_has_the_model_s_symmetries(void **state) {
    (void)state;
    conformance_model f;
    setup(&f);
    answer a = evaluate(&f, f.tokens, f.rows, f.rows, 1);
    const rllc_parameter *u = rllc_model_find(&f.model, "unembed.b_U");
    double sum = 0, scale = 0;
    for (int64_t i = u->offset; i < u->offset + u->n; i++) {
        sum += (double)a.e.gradient[i]; /* a shift of all logits does nothing: sum of b_U's gradient is 0 */
        scale = fmax(scale, fabs((double)a.e.gradient[i]));
        f.model.weights[i] += 0.75f;
    }
    assert_true(fabs(sum) <= 2e-6 * scale * (double)u->n);
    for (int layer = 0; layer < 2; layer++) { /* nor does b_K */
        char name[64];
        snprintf(name, sizeof name, "blocks.%d.attn.b_K", layer);
        const rllc_parameter *k = rllc_model_find(&f.model, name);
        for (int64_t i = k->offset; i < k->offset + k->n; i++) f.model.weights[i] -= 0.5f;
    }
    answer b = evaluate(&f, f.tokens, f.rows, f.rows, 1);
    assert_true(fabs(a.e.loss - b.e.loss) <= 2e-6 * a.e.loss);
    answer_free(&a);
    answer_free(&b);
    conformance_model_release(&f);
}

int main(int argc, char **argv) {
    (void)argc;
    int status = run_for_every_table(argv);
    if (status >= 0) return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_do_not_depend_on_threads),
        cmocka_unit_test(test_bits_do_not_depend_on_history),
        cmocka_unit_test(test_bits_do_not_depend_on_what_is_asked),
        cmocka_unit_test(test_rows_are_independent),
        cmocka_unit_test(test_future_does_not_reach_back),
        cmocka_unit_test(test_token_losses_follow_from_logits),
        cmocka_unit_test(test_dead_head_has_no_gradient),
        cmocka_unit_test(test_loss_has_the_model_s_symmetries),
    };
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
