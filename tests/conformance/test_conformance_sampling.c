/* Properties of chains on the transformer: what must hold to the bit, and what the noise must look like. */
#include "conformance/conformance.h"

typedef struct fixture {
    conformance_model f;
    conformance_components c;
    rllc_sampler_options options;
} fixture;

static const char *rule = "sgld"; /* the first tests run for every sampler */

static const char *const names[] = {"full", "l0h1", "l1h2", "embed", "l0", "l0h0+l1h1", "unembed", "l1 attn"};
enum { N = sizeof names / sizeof *names };

static void setup_rows(fixture *x, int64_t rows) {
    rllc_model_options shape = conformance_shape(2, 16, 3, 5, 13, 23);
    conformance_model_setup(&x->f, &shape, rows, 31);
    conformance_components_setup(&x->c, &x->f.model, names, N);
    rllc_options_default(&rllc_sampler_option_table, &x->options);
    x->options.sampler = rule;
    if (strcmp(rule, "hmc") == 0) x->options.num_leapfrog_steps = 2;
    x->options.num_draws = 12;
    x->options.batch_size = x->f.rows;
}

static void setup(fixture *x) {
    setup_rows(x, 4);
}

static void teardown(fixture *x) {
    conformance_components_release(&x->c);
    conformance_model_release(&x->f);
}

static rllc_potential *transformer(fixture *x, const rllc_component *const *components, int64_t n, int threads) {
    rllc_potential *p = NULL;
    rllc_batch_source source = {&x->f, conformance_batch};
    assert_ok(rllc_potential_transformer(&p, &x->f.model, components, n, x->f.rows, source, threads, NULL));
    return p;
}

static void assert_same_chain(const conformance_run *a, int64_t i, const conformance_run *b, int64_t j, int64_t dim) {
    assert_int_equal(a->n_draws, b->n_draws);
    assert_memory_equal(a->loss + i * a->n_draws, b->loss + j * b->n_draws, (size_t)a->n_draws * sizeof(double));
    assert_memory_equal(a->baseline + i * a->n_draws, b->baseline + j * b->n_draws,
                        (size_t)a->n_draws * sizeof(double));
    assert_memory_equal(a->w[i], b->w[j], (size_t)dim * sizeof(float));
}

static void test_same_seed_same_bits_on_any_threads(void **state) {
    (void)state;
    const int threads[] = {2, 3, 5};
    fixture x;
    setup_rows(&x, 70); /* 910 tokens: several parts, however a batch is cut */
    x.options.num_draws = 4;
    rllc_potential *p = transformer(&x, x.c.borrowed, N, 1);
    conformance_run one = conformance_sample(p, &x.options, N, NULL, NULL);
    for (int k = 0; k < 3; k++) {
        rllc_potential *q = transformer(&x, x.c.borrowed, N, threads[k]);
        conformance_run many = conformance_sample(q, &x.options, N, NULL, NULL);
        for (int64_t i = 0; i < N; i++) assert_same_chain(&one, i, &many, i, p->members[i].dim);
        conformance_run_release(&many);
        rllc_potential_free(q);
    }
    x.options.seed++;
    conformance_run other = conformance_sample(p, &x.options, N, NULL, NULL);
    for (int64_t i = 0; i < N; i++) /* and another seed is another chain */
        assert_true(memcmp(one.w[i], other.w[i], (size_t)p->members[i].dim * sizeof(float)) != 0);
    conformance_run_release(&other);
    conformance_run_release(&one);
    rllc_potential_free(p);
    teardown(&x);
}

static void test_chain_does_not_depend_on_company(void **state) {
    (void)state;
    fixture x;
    setup(&x);
    rllc_potential *all = transformer(&x, x.c.borrowed, N, 2);
    conformance_run together = conformance_sample(all, &x.options, N, NULL, NULL);
    for (int64_t i = 0; i < N; i++) {
        const int64_t pair[2] = {(i + 3) % N, i};
        const uint32_t chains[2] = {(uint32_t)pair[0], (uint32_t)i};
        conformance_run two = conformance_sample(all, &x.options, 2, pair, chains); /* part of a potential's members */
        assert_same_chain(&together, i, &two, 1, all->members[i].dim);
        conformance_run_release(&two);
        rllc_potential *alone = transformer(&x, &x.c.borrowed[i], 1, 3); /* a potential of one */
        conformance_run one = conformance_sample(alone, &x.options, 1, NULL, &chains[1]);
        assert_same_chain(&together, i, &one, 0, all->members[i].dim);
        conformance_run_release(&one);
        rllc_potential_free(alone);
    }
    conformance_run_release(&together);
    rllc_potential_free(all);
    teardown(&x);
}

/* Only the component's coordinates exist for the sampler; the checkpoint itself is not written to; all of them move. */
static void test_masked_coordinates_stay(void **state) {
    (void)state;
    fixture x;
    setup(&x);
    const int64_t size = x.f.model.size;
    float *before = test_memory(size, sizeof *before);
    memcpy(before, x.f.model.weights, (size_t)size * sizeof *before);
    rllc_potential *p = transformer(&x, x.c.borrowed, N, 2);
    conformance_run run = conformance_sample(p, &x.options, N, NULL, NULL);
    assert_memory_equal(before, x.f.model.weights, (size_t)size * sizeof *before);
    for (int64_t i = 0; i < N; i++) {
        const rllc_potential_member *m = &p->members[i];
        const rllc_component *c = x.c.borrowed[i];
        assert_int_equal(m->dim, c->size);
        assert_int_equal(m->n_spans, c->n_ranges);
        for (int64_t r = 0; r < c->n_ranges; r++) {
            assert_int_equal(m->spans[r].first, c->ranges[r].first);
            assert_int_equal(m->spans[r].n, c->ranges[r].n);
        }
        float *start = conformance_gather(c, before);
        assert_memory_equal(m->w0, start, (size_t)m->dim * sizeof *start);
        for (int64_t j = 0; j < m->dim; j++) assert_true(run.w[i][j] != start[j]);
        free(start);
    }
    free(before);
    conformance_run_release(&run);
    rllc_potential_free(p);
    teardown(&x);
}

/* wrLLC of all parameters is the LLC, and a head's noise is the full chain's noise at the head's indices. */
static void test_union_of_all_parameters_is_full(void **state) {
    (void)state;
    static const char *const spelt[] = {"full", "l1+embed+l0+unembed+pos_embed+ln_final.b+ln_final.w"};
    const uint32_t same_chain[2] = {9, 9};
    fixture x;
    setup(&x);
    conformance_components c;
    conformance_components_setup(&c, &x.f.model, spelt, 2);
    rllc_potential *p = transformer(&x, c.borrowed, 2, 2);
    conformance_run run = conformance_sample(p, &x.options, 2, NULL, same_chain);
    assert_int_equal(p->members[1].dim, x.f.model.size);
    assert_same_chain(&run, 0, &run, 1, x.f.model.size);
    double nbeta = x.options.nbeta, per_chain[2];
    conformance_estimate(&run, nbeta, per_chain);
    assert_memory_equal(&per_chain[0], &per_chain[1], sizeof *per_chain);
    assert_true(per_chain[0] != 0);
    conformance_run_release(&run);
    rllc_potential_free(p);
    conformance_components_release(&c);
    teardown(&x);
}

/* ---- the potential times a constant ----------------------------------------------------------------------- */

typedef struct scaled {
    rllc_potential base;
    rllc_potential *inner;
    double factor;
} scaled;

static rllc_status scaled_prepare(rllc_potential *p, int64_t stream, int64_t step) {
    return rllc_potential_prepare(((scaled *)p)->inner, stream, step);
}

static rllc_status scaled_loss(rllc_potential *p, int64_t n, const int64_t *members, const float *const *w,
                               double *loss, float *const *gradient, double *baseline) {
    const scaled *s = (const scaled *)p;
    rllc_status status = rllc_potential_loss_and_gradient(s->inner, n, members, w, loss, gradient, baseline);
    for (int64_t i = 0; i < n; i++) {
        loss[i] *= s->factor;
        for (int64_t j = 0; gradient[i] != NULL && j < p->members[members[i]].dim; j++)
            gradient[i][j] *= (float)s->factor;
    }
    *baseline *= s->factor;
    return status;
}

static void scaled_free(rllc_potential *p) {
    (void)p; /* on the stack; the inner potential is the test's */
}

static const rllc_potential_kind scaled_kind = {"scaled", scaled_prepare, scaled_loss, scaled_free};

static void test_twice_the_loss_at_half_nbeta_is_the_same_chain(void **state) {
    (void)state;
    if (strcmp(rule, "rmsprop-sgld") == 0) return; /* V follows the loss gradient without nbeta */
    fixture x;
    setup(&x);
    rllc_potential *p = transformer(&x, x.c.borrowed, N, 2);
    scaled twice = {.base = {&scaled_kind, p->members, p->n_members}, .inner = p, .factor = 2};
    conformance_run plain = conformance_sample(p, &x.options, N, NULL, NULL);
    rllc_sampler_options half = x.options;
    half.nbeta /= 2;
    conformance_run doubled = conformance_sample(&twice.base, &half, N, NULL, NULL);
    for (int64_t i = 0; i < N; i++) {
        assert_memory_equal(plain.w[i], doubled.w[i], (size_t)p->members[i].dim * sizeof(float));
        for (int64_t t = 0; t < plain.n_draws; t++) {
            int64_t k = i * plain.n_draws + t;
            double a = x.options.nbeta * (plain.loss[k] - plain.baseline[k]);
            double b = half.nbeta * (doubled.loss[k] - doubled.baseline[k]);
            assert_memory_equal(&a, &b, sizeof a);
        }
    }
    double one[N], two[N];
    rllc_estimate a = conformance_estimate(&plain, x.options.nbeta, one);
    rllc_estimate b = conformance_estimate(&doubled, half.nbeta, two);
    assert_memory_equal(one, two, sizeof one);
    assert_memory_equal(&a.llc_mean, &b.llc_mean, sizeof a.llc_mean);
    conformance_run_release(&plain);
    conformance_run_release(&doubled);
    rllc_potential_free(p);
    teardown(&x);
}

/* ---- noise ------------------------------------------------------------------------------------------------ */

/* With nbeta = 0 and localization = 0 a step is sqrt(lr) * noise_level * eta alone. */
static rllc_sampler_options noise_only(const rllc_sampler_options *o) {
    rllc_sampler_options n = *o;
    n.nbeta = 0;
    n.localization = 0;
    n.lr = 0.04;
    n.noise_level = 1.5;
    return n;
}

static float *noise_step(const rllc_sampler_options *o, int64_t dim, const rllc_span *spans, int64_t n_spans,
                         uint32_t chain, uint32_t step) {
    float *w = test_memory(dim, sizeof *w), *w0 = test_memory(dim, sizeof *w0), *scratch = test_memory(dim, sizeof *w);
    float *gradient = test_memory(dim, sizeof *gradient);
    for (int64_t i = 0; i < dim; i++) gradient[i] = 1.0f; /* must not count at nbeta = 0 */
    rllc_sampler_state s = {.dim = dim, .w = w, .w0 = w0, .spans = spans, .n_spans = n_spans, .scratch = scratch};
    double loss = 1;
    rllc_stream noise = rllc_stream_make(o->seed, "noise/test", chain, step);
    assert_ok(rllc_sampler_step(o, &s, &loss, gradient, &noise));
    free(w0);
    free(scratch);
    free(gradient);
    return w;
}

/* Moments of n standard normals: each statistic within 5 of its exact standard errors. */
static void assert_standard_normal(const char *what, const double *z, int64_t n) {
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, neighbour = 0;
    for (int64_t i = 0; i < n; i++) {
        m1 += z[i] / (double)n;
        m2 += z[i] * z[i] / (double)n;
        m3 += z[i] * z[i] * z[i] / (double)n;
        m4 += z[i] * z[i] * z[i] * z[i] / (double)n;
        if (i > 0) neighbour += z[i] * z[i - 1] / (double)n;
    }
    double r = sqrt((double)n); /* variances of z, z^2, z^3, z^4, z z': 1, 2, 15, 96, 1 */
    printf("    %s: z-scores of mean %+.2f, variance %+.2f, skew %+.2f, fourth moment %+.2f, neighbours %+.2f\n", what,
           m1 * r, (m2 - 1) * r / sqrt(2), m3 * r / sqrt(15), (m4 - 3) * r / sqrt(96), neighbour * r);
    assert_true(fabs(m1) * r < 5);
    assert_true(fabs(m2 - 1) * r / sqrt(2) < 5);
    assert_true(fabs(m3) * r / sqrt(15) < 5);
    assert_true(fabs(m4 - 3) * r / sqrt(96) < 5);
    assert_true(fabs(neighbour) * r < 5);
}

static void test_noise_has_the_right_law(void **state) {
    (void)state;
    enum { DIM = 200000 };
    fixture x;
    setup(&x);
    rllc_sampler_options o = noise_only(&x.options);
    const rllc_span span = {0, DIM};
    const double unit = sqrt(o.lr) * o.noise_level;
    double *z[4];
    for (uint32_t k = 0; k < 4; k++) { /* (chain, step) = (0,0) (0,1) (1,0) (1,1) */
        float *w = noise_step(&o, DIM, &span, 1, k / 2, k % 2);
        z[k] = test_memory(DIM, sizeof **z);
        for (int64_t i = 0; i < DIM; i++) z[k][i] = (double)w[i] / unit;
        assert_standard_normal("noise", z[k], DIM);
        free(w);
    }
    for (int a = 0; a < 4; a++)
        for (int b = a + 1; b < 4; b++) { /* other chain, other step: uncorrelated, in size too */
            double s = 0, s2 = 0;
            for (int64_t i = 0; i < DIM; i++) {
                s += z[a][i] * z[b][i];
                s2 += (z[a][i] * z[a][i] - 1) * (z[b][i] * z[b][i] - 1);
            }
            assert_true(fabs(s) / sqrt(DIM) < 5);
            assert_true(fabs(s2) / sqrt(4.0 * DIM) < 5);
        }
    for (int k = 0; k < 4; k++) free(z[k]);
    teardown(&x);
}

static void test_noise_is_addressed_by_the_whole_model_s_index(void **state) {
    (void)state;
    fixture x;
    setup(&x);
    rllc_sampler_options o = noise_only(&x.options);
    const rllc_span whole = {0, x.f.model.size};
    float *full = noise_step(&o, x.f.model.size, &whole, 1, 3, 5);
    rllc_potential *p = transformer(&x, x.c.borrowed, N, 1);
    for (int64_t i = 0; i < N; i++) {
        const rllc_potential_member *m = &p->members[i];
        float *part = noise_step(&o, m->dim, m->spans, m->n_spans, 3, 5), *expected;
        expected = conformance_gather(x.c.borrowed[i], full);
        assert_memory_equal(part, expected, (size_t)m->dim * sizeof *part);
        free(expected);
        free(part);
    }
    rllc_potential_free(p);
    free(full);
    teardown(&x);
}

/* ---- the drift -------------------------------------------------------------------------------------------- */


static rllc_status same_batch(void *context, int64_t stream, int64_t step, int64_t rows, int32_t *tokens) {
    const conformance_model *f = context;
    (void)stream;
    (void)step;
    memcpy(tokens, f->tokens, (size_t)(rows * f->model.options.n_ctx) * sizeof *tokens);
    return RLLC_OK;
}

static void test_zero_noise_descends(void **state) {
    (void)state;
    fixture x;
    setup(&x);
    rllc_potential *p = NULL;
    rllc_batch_source source = {&x.f, same_batch};
    assert_ok(rllc_potential_transformer(&p, &x.f.model, x.c.borrowed, N, x.f.rows, source, 2, NULL));
    x.options.noise_level = 0;
    x.options.num_draws = 30;
    conformance_run run = conformance_sample(p, &x.options, N, NULL, NULL);
    for (int64_t i = 0; i < N; i++) {
        const double *loss = run.loss + i * run.n_draws;
        for (int64_t t = 1; t < run.n_draws; t++) /* the pull to w* is 0 at w* and small near it: down all the way */
            assert_true(loss[t] < loss[t - 1] + 1e-6 * loss[0]);
        assert_true(loss[run.n_draws - 1] < loss[0] - 1e-4 * loss[0]);
        for (int64_t t = 0; t < run.n_draws; t++) assert_true(run.baseline[t] == run.baseline[0]);
    }
    conformance_run_release(&run);
    rllc_potential_free(p);
    teardown(&x);
}

/* The recorded loss is that of the weights before the update, on the update's own minibatch: draw 0 is at w*. */
static void test_first_draw_is_at_the_checkpoint(void **state) {
    (void)state;
    fixture x;
    setup(&x);
    rllc_potential *p = transformer(&x, x.c.borrowed, N, 1);
    conformance_run run = conformance_sample(p, &x.options, N, NULL, NULL);
    for (int64_t i = 0; i < N; i++) {
        const double *loss = run.loss + i * run.n_draws, *baseline = run.baseline + i * run.n_draws;
        assert_true(fabs(loss[0] - baseline[0]) <= 2e-6 * baseline[0]);
        assert_true(fabs(loss[1] - baseline[1]) > 1e-4 * baseline[1]);
        assert_true(baseline[1] != baseline[0]); /* another minibatch */
    }
    conformance_run_release(&run);
    rllc_potential_free(p);
    teardown(&x);
}

static void test_step_refuses_what_is_not_finite(void **state) {
    (void)state;
    const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    rllc_sampler_options o;
    rllc_options_default(&rllc_sampler_option_table, &o);
    for (int64_t at = 0; at < 37; at += 9)
        for (int k = 0; k < 3; k++) {
            float w[37], w0[37], gradient[37], scratch[37], before[37];
            for (int i = 0; i < 37; i++) w[i] = w0[i] = before[i] = (float)i, gradient[i] = 0.1f, scratch[i] = 0;
            gradient[at] = (float)bad[k];
            const rllc_span span = {5, 37};
            rllc_sampler_state s = {.dim = 37, .w = w, .w0 = w0, .spans = &span, .n_spans = 1, .scratch = scratch};
            double loss = 1;
            rllc_stream noise = rllc_stream_make(1, "noise/test", 0, 0);
            assert_int_equal(rllc_sampler_step(&o, &s, &loss, gradient, &noise), RLLC_ENOTFINITE);
            assert_memory_equal(w, before, sizeof w);
        }
}

static const rllc_kernels *last_table(void) {
    int n;
    const rllc_kernels *const *tables = rllc_kernels_list(&n);
    return tables[n - 1];
}

int main(int argc, char **argv) {
    (void)argc;
    int status = run_for_every_table(argv);
    if (status >= 0) return status;
    const struct CMUnitTest every_sampler[] = {
        cmocka_unit_test(test_same_seed_same_bits_on_any_threads),
        cmocka_unit_test(test_chain_does_not_depend_on_company),
        cmocka_unit_test(test_masked_coordinates_stay),
        cmocka_unit_test(test_union_of_all_parameters_is_full),
        cmocka_unit_test(test_twice_the_loss_at_half_nbeta_is_the_same_chain),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_has_the_right_law),
        cmocka_unit_test(test_noise_is_addressed_by_the_whole_model_s_index),
        cmocka_unit_test(test_zero_noise_descends),
        cmocka_unit_test(test_first_draw_is_at_the_checkpoint),
        cmocka_unit_test(test_step_refuses_what_is_not_finite),
    };
    int n, failures = 0;
    const rllc_sampler_kind *const *kinds = rllc_sampler_list(&n);
    const bool fastest = rllc_kernels_get() == last_table();
    for (int i = 0; i < n; i++) { /* sgld on every table, the others on the fastest */
        rule = kinds[i]->name;
        if (!fastest && strcmp(rule, "sgld") != 0) continue;
        failures += cmocka_run_group_tests_name(rule, every_sampler, NULL, NULL);
    }
    rule = "sgld";
    failures += cmocka_run_group_tests_name("sampling", tests, NULL, NULL);
    return failures != 0;
}
