/* The lockstep pass of the engine: each member gets the answer of the plain pass, whoever shares it. */
#include "conformance/conformance.h"

/* Two float32 routes to the same number differ by rounding: 2e-5 of the gradient's scale, 2e-6 of the loss. */
static const double gradient_tolerance = 2e-5, loss_tolerance = 2e-6;

static const char *const names[] = {
    "full", "l0h0", "l0h2", "l1h0", "l1h1", "l0", "l1", "l0 attn", "l1 attn", "embed", "pos_embed", "unembed",
    "l0h1+l1h2", "l0h1+l0h2", "embed+l1h0", "pos_embed+l1h1", "unembed+l0h0", "ln_final.w", "ln_final.b",
    "blocks.0.ln1.w", "blocks.1.ln1.b", "blocks.0.attn.b_O", "blocks.1.attn.W_K", "blocks.0.attn.W_O",
    "blocks.1.attn.b_V", "unembed.b_U", "l0h0+l0h1+l0h2+l1h0+l1h1+l1h2", "ln_final.w+blocks.0.ln1.b",
};
enum { N = sizeof names / sizeof *names };

typedef struct fixture {
    conformance_model f;
    conformance_components c;
    float *free_weights[N]; /* each member somewhere off the base */
    float *gradient[N];
    float *token_losses[N];
    int64_t n_losses;
} fixture;

static void setup_shape(fixture *x, const rllc_model_options *shape, int64_t rows, int64_t n) {
    conformance_model_setup(&x->f, shape, rows, 11);
    conformance_components_setup(&x->c, &x->f.model, names, n);
    x->n_losses = x->f.rows * (shape->n_ctx - 1);
    for (int64_t i = 0; i < n; i++) {
        const rllc_component *c = &x->c.items[i];
        x->free_weights[i] = conformance_gather(c, x->f.model.weights);
        rllc_stream s = rllc_stream_make(5, "displacement", (uint32_t)i, 0);
        for (int64_t j = 0; j < c->size; j++)
            x->free_weights[i][j] += (float)(0.2 * (rllc_stream_uniform(&s, (uint64_t)j) - 0.5));
        x->gradient[i] = test_memory(c->size, sizeof(float));
        x->token_losses[i] = test_memory(x->n_losses, sizeof(float));
    }
}

static void setup(fixture *x) {
    rllc_model_options shape = conformance_shape(2, 20, 3, 7, 37, 53);
    setup_shape(x, &shape, 3, N);
}

static void teardown(fixture *x) {
    for (int64_t i = 0; i < x->c.n; i++) {
        free(x->free_weights[i]);
        free(x->gradient[i]);
        free(x->token_losses[i]);
    }
    conformance_components_release(&x->c);
    conformance_model_release(&x->f);
}

static rllc_member member(fixture *x, int64_t i) {
    return (rllc_member){.component = &x->c.items[i],
                         .free = x->free_weights[i],
                         .gradient = x->gradient[i],
                         .loss = NAN,
                         .token_losses = x->token_losses[i]};
}

static void lockstep(fixture *x, rllc_member *members, int64_t n, int n_threads, double *base, float *base_losses) {
    rllc_engine *engine = NULL;
    assert_ok(rllc_engine_new(&engine, &x->f.model, x->f.rows, n_threads));
    assert_ok(rllc_engine_lockstep(engine, x->f.model.weights, x->f.tokens, x->f.rows, members, n, base, base_losses));
    rllc_engine_free(engine);
}

static void compare_with_plain_pass(fixture *x, rllc_member *m) {
    const int64_t size = x->f.model.size;
    float *whole = conformance_compose(m->component, size, x->f.model.weights, m->free);
    rllc_evaluation plain = {.token_losses = test_memory(x->n_losses, sizeof(float)),
                             .gradient = test_memory(size, sizeof(float))};
    rllc_engine *engine = NULL;
    assert_ok(rllc_engine_new(&engine, &x->f.model, x->f.rows, 1));
    assert_ok(rllc_engine_evaluate(engine, whole, x->f.tokens, x->f.rows, &plain));
    float *slice = conformance_gather(m->component, plain.gradient);
    double scale = 0, worst = 0, worst_loss = 0;
    for (int64_t i = 0; i < m->component->size; i++) {
        scale = fmax(scale, fabs((double)slice[i]));
        worst = fmax(worst, fabs((double)m->gradient[i] - (double)slice[i]));
        assert_true(isfinite((double)m->gradient[i]));
    }
    for (int64_t i = 0; i < x->n_losses; i++)
        worst_loss = fmax(worst_loss, fabs((double)m->token_losses[i] - (double)plain.token_losses[i]));
    printf("    %-30s loss off by %.1e, token losses by %.1e, gradient by %.1e of its scale\n", m->component->name,
           fabs(m->loss - plain.loss) / plain.loss, worst_loss / plain.loss, worst / scale);
    assert_true(fabs(m->loss - plain.loss) <= loss_tolerance * plain.loss);
    assert_true(worst_loss <= gradient_tolerance * plain.loss);
    assert_true(worst <= gradient_tolerance * scale);
    rllc_engine_free(engine);
    free(slice);
    free(whole);
    free(plain.gradient);
    free(plain.token_losses);
}

static void test_member_is_the_plain_pass_at_its_weights(void **state) {
    (void)state;
    fixture x;
    setup(&x);
    rllc_member members[N];
    for (int64_t i = 0; i < N; i++) members[i] = member(&x, i);
    double base = NAN;
    float *base_losses = test_memory(x.n_losses, sizeof(float));
    lockstep(&x, members, N, 2, &base, base_losses);
    for (int64_t i = 0; i < N; i++) compare_with_plain_pass(&x, &members[i]);
    rllc_evaluation plain = {.token_losses = test_memory(x.n_losses, sizeof(float))};
    rllc_engine *engine = NULL;
    assert_ok(rllc_engine_new(&engine, &x.f.model, x.f.rows, 1));
    assert_ok(rllc_engine_evaluate(engine, x.f.model.weights, x.f.tokens, x.f.rows, &plain));
    assert_true(fabs(base - plain.loss) <= loss_tolerance * plain.loss);
    double mean = 0;
    for (int64_t i = 0; i < x.n_losses; i++) {
        assert_true(fabs((double)base_losses[i] - (double)plain.token_losses[i]) <= gradient_tolerance * plain.loss);
        mean += (double)base_losses[i] / (double)x.n_losses;
    }
    assert_true(fabs(mean - base) <= 1e-6 * base); /* the loss is the mean of the token losses */
    rllc_engine_free(engine);
    free(plain.token_losses);
    free(base_losses);
    teardown(&x);
}

static void test_member_without_normalization_and_with_other_depths(void **state) {
    (void)state;
    const int64_t depths[] = {2, 3};
    for (int k = 0; k < 2; k++) {
        fixture x;
        rllc_model_options shape = conformance_shape(depths[k], 12, 3, 4, 21, 31);
        if (depths[k] == 2) shape.normalization = RLLC_NORM_NULL;
        setup_shape(&x, &shape, 14, 17); /* the first 17 names need no LayerNorm tensor of their own */
        rllc_member members[N];
        for (int64_t i = 0; i < x.c.n; i++) members[i] = member(&x, i);
        double base = NAN;
        lockstep(&x, members, x.c.n, 1, &base, NULL);
        for (int64_t i = 0; i < x.c.n; i++) compare_with_plain_pass(&x, &members[i]);
        teardown(&x);
    }
}

/* What one member left, to be compared bit for bit. */
typedef struct answer {
    double loss;
    float *gradient, *token_losses;
} answer;

static void keep(fixture *x, const rllc_member *m, answer *a) {
    a->loss = m->loss;
    a->gradient = test_memory(m->component->size, sizeof(float));
    a->token_losses = test_memory(x->n_losses, sizeof(float));
    memcpy(a->gradient, m->gradient, (size_t)m->component->size * sizeof(float));
    memcpy(a->token_losses, m->token_losses, (size_t)x->n_losses * sizeof(float));
}

static void assert_same(fixture *x, const rllc_member *m, const answer *a) {
    assert_memory_equal(&m->loss, &a->loss, sizeof a->loss);
    if (m->gradient != NULL)
        assert_memory_equal(m->gradient, a->gradient, (size_t)m->component->size * sizeof(float));
    assert_memory_equal(m->token_losses, a->token_losses, (size_t)x->n_losses * sizeof(float));
}

static void spoil(fixture *x, int64_t i) {
    memset(x->gradient[i], 0xff, (size_t)x->c.items[i].size * sizeof(float)); /* NaN: "=" must overwrite all of it */
    memset(x->token_losses[i], 0xff, (size_t)x->n_losses * sizeof(float));
}

static void check_company(fixture *x, int trials) {
    const int threads[] = {1, 2, 3, 5};
    const uint64_t n_names = (uint64_t)x->c.n;
    answer alone[N];
    double base_first = NAN;
    for (int64_t i = 0; i < x->c.n; i++) {
        rllc_member m = member(x, i);
        double base = NAN;
        lockstep(x, &m, 1, 1, &base, NULL);
        keep(x, &m, &alone[i]);
        if (i == 0) base_first = base;
        assert_memory_equal(&base, &base_first, sizeof base);
    }
    rllc_stream random = rllc_stream_make(3, "subsets", 0, 0);
    uint64_t at = 0;
    for (int trial = 0; trial < trials; trial++) {
        rllc_member members[N];
        int64_t chosen[N], n = 0;
        uint64_t key = rllc_stream_below(&random, at++, 1u << 30), size = 1 + rllc_stream_below(&random, at++, n_names);
        for (uint64_t i = 0; i < size; i++) {
            chosen[n] = (int64_t)rllc_permute(i, n_names, key); /* a random subset in random order */
            spoil(x, chosen[n]);
            members[n] = member(x, chosen[n]);
            if (rllc_stream_below(&random, at++, 4) == 0) members[n].gradient = NULL; /* loss only */
            n++;
        }
        double base = NAN;
        lockstep(x, members, n, threads[trial % 4], &base, NULL);
        assert_memory_equal(&base, &base_first, sizeof base);
        for (int64_t i = 0; i < n; i++) assert_same(x, &members[i], &alone[chosen[i]]);
    }
    for (int64_t i = 0; i < x->c.n; i++) {
        free(alone[i].gradient);
        free(alone[i].token_losses);
    }
}

static void test_member_does_not_depend_on_company_or_threads(void **state) {
    (void)state;
    fixture x;
    setup(&x);
    check_company(&x, 16);
    teardown(&x);
}

/* The same with a batch that is cut into many parts: the sums over them must not follow the threads. */
static void test_large_batch_does_not_depend_on_company_or_threads(void **state) {
    (void)state;
    fixture x;
    rllc_model_options shape = conformance_shape(2, 8, 3, 3, 9, 11);
    setup_shape(&x, &shape, 527, 10);
    check_company(&x, 4);
    teardown(&x);
}

/* A member gone to infinity is its own affair. */
static void test_member_is_not_harmed_by_one_that_diverged(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY, 3e38f};
    const int64_t victims[] = {0, 1, 4, 5, 9, 10, 11, 12};
    fixture x;
    setup(&x);
    for (int k = 0; k < 3; k++)
        for (int v = 0; v < 8; v++) {
            const int64_t sick = victims[v];
            const size_t bytes = (size_t)x.c.items[sick].size * sizeof(float);
            float *saved = test_memory(x.c.items[sick].size, sizeof *saved);
            rllc_member members[3], m = member(&x, (sick + 2) % N);
            answer alone;
            lockstep(&x, &m, 1, 1, NULL, NULL);
            keep(&x, &m, &alone);
            memcpy(saved, x.free_weights[sick], bytes);
            for (int64_t i = 0; i < x.c.items[sick].size; i += 3) x.free_weights[sick][i] = bad[k];
            members[0] = member(&x, sick);
            members[1] = m;
            members[2] = member(&x, (sick + 5) % N);
            spoil(&x, (sick + 2) % N);
            lockstep(&x, members, 3, 1, NULL, NULL);
            assert_false(isfinite(members[0].loss) && k < 2); /* and it is not papered over */
            assert_same(&x, &members[1], &alone);
            memcpy(x.free_weights[sick], saved, bytes);
            free(saved);
            free(alone.gradient);
            free(alone.token_losses);
        }
    teardown(&x);
}

/* Several members may move the same component from different places: chains of one cell. */
static void test_members_of_one_component_are_independent(void **state) {
    (void)state;
    enum { CHAINS = 5 };
    fixture x;
    setup(&x);
    const rllc_component *c = &x.c.items[3]; /* l1h0 */
    float *w[CHAINS], *together[CHAINS], *apart = test_memory(c->size, sizeof(float));
    rllc_member members[CHAINS];
    for (int k = 0; k < CHAINS; k++) {
        w[k] = conformance_gather(c, x.f.model.weights);
        for (int64_t j = 0; j < c->size; j++) w[k][j] *= 1.0f + 0.1f * (float)k;
        together[k] = test_memory(c->size, sizeof(float));
        members[k] = (rllc_member){.component = c, .free = w[k], .gradient = together[k]};
    }
    lockstep(&x, members, CHAINS, 3, NULL, NULL);
    for (int k = 0; k < CHAINS; k++) {
        rllc_member m = {.component = c, .free = w[k], .gradient = apart};
        lockstep(&x, &m, 1, 1, NULL, NULL);
        assert_memory_equal(&m.loss, &members[k].loss, sizeof m.loss);
        assert_memory_equal(apart, together[k], (size_t)c->size * sizeof(float));
        if (k > 0) assert_true(members[k].loss != members[k - 1].loss);
        free(w[k]);
        free(together[k]);
    }
    free(apart);
    teardown(&x);
}

/* The same set of parameters under two names, one with every part spelt out. */
static void test_union_of_all_parameters_is_full(void **state) {
    (void)state;
    fixture x;
    setup(&x);
    rllc_component all;
    assert_ok(rllc_component_parse(&all, &x.f.model, "unembed+l1+ln_final.w+ln_final.b+embed+l0+pos_embed+l1h1"));
    assert_int_equal(all.size, x.f.model.size);
    rllc_member full = member(&x, 0);
    assert_string_equal(full.component->name, "full");
    rllc_member spelt = full;
    float *other = test_memory(all.size, sizeof *other);
    spelt.component = &all;
    spelt.gradient = other;
    spelt.token_losses = NULL;
    lockstep(&x, &full, 1, 1, NULL, NULL);
    lockstep(&x, &spelt, 1, 2, NULL, NULL);
    assert_memory_equal(&full.loss, &spelt.loss, sizeof full.loss);
    assert_memory_equal(full.gradient, spelt.gradient, (size_t)all.size * sizeof(float));
    free(other);
    rllc_component_release(&all);
    teardown(&x);
}

/* At the base weights every member has the base loss: draw 0 of a chain and its paired baseline are one number. */
static void test_member_at_base_has_base_loss(void **state) {
    (void)state;
    fixture x;
    setup(&x);
    rllc_member members[N];
    for (int64_t i = 0; i < N; i++) {
        free(x.free_weights[i]);
        x.free_weights[i] = conformance_gather(&x.c.items[i], x.f.model.weights);
        members[i] = member(&x, i);
    }
    double base = NAN;
    int64_t same_bits = 0;
    lockstep(&x, members, N, 2, &base, NULL);
    for (int64_t i = 0; i < N; i++) {
        assert_true(fabs(members[i].loss - base) <= loss_tolerance * base);
        same_bits += members[i].loss == base;
    }
    printf("    %lld of %d members have the base loss to the bit\n", (long long)same_bits, N);
    teardown(&x);
}

int main(int argc, char **argv) {
    (void)argc;
    int status = run_for_every_table(argv);
    if (status >= 0) return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_member_is_the_plain_pass_at_its_weights),
        cmocka_unit_test(test_member_without_normalization_and_with_other_depths),
        cmocka_unit_test(test_member_does_not_depend_on_company_or_threads),
        cmocka_unit_test(test_large_batch_does_not_depend_on_company_or_threads),
        cmocka_unit_test(test_member_is_not_harmed_by_one_that_diverged),
        cmocka_unit_test(test_members_of_one_component_are_independent),
        cmocka_unit_test(test_union_of_all_parameters_is_full),
        cmocka_unit_test(test_member_at_base_has_base_loss),
    };
    return cmocka_run_group_tests_name("lockstep", tests, NULL, NULL);
}
