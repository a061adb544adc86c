/* Analytic potentials: gradients, what a mask does to the bit, coefficients of what moves, and what is refused. */
#include "theory/refusal.h"
#include "theory/theory.h"

/* ---- making them -------------------------------------------------------------------------------------------------- */

/* One target from text: kind's options "name=value ...". */
typedef struct target {
    rllc_analytic *a;
    void *options;
} target;

static rllc_status make(target *t, const char *name, const char *settings, const rllc_analytic_options *common,
                        const rllc_sampler_options *o) {
    const rllc_analytic_kind *kind;
    char text[200], *save = NULL;
    *t = (target){0};
    assert_ok(rllc_analytic_find(name, &kind));
    t->options = test_memory(1, rllc_analytic_options_size(kind));
    rllc_options_default(rllc_analytic_kind_table(kind), t->options);
    snprintf(text, sizeof text, "%s", settings);
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        char *value = strchr(word, '=');
        *value++ = 0;
        assert_ok(rllc_options_set(rllc_analytic_kind_table(kind), t->options, word, value, word));
    }
    return rllc_analytic_make(&t->a, kind, t->options, common, o);
}

static void release(target *t) {
    rllc_analytic_free(t->a);
    free(t->options);
}

static rllc_analytic_options common_options(const char *mask, const char *center) {
    rllc_analytic_options c;
    rllc_options_default(&rllc_analytic_option_table, &c);
    c.mask = mask ? rllc_intern(mask) : NULL;
    c.center = center ? rllc_intern(center) : NULL;
    return c;
}

static rllc_sampler_options chains(int64_t n) {
    rllc_sampler_options o = theory_settings(40, 20, 1e-3, 30, 0, 1);
    o.num_chains = n;
    return o;
}

/* ---- gradients ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *kind, *settings;
    int64_t samples;
    double tolerance; /* of the derivative: central differences of float coordinates; the bigram's loss is float32 */
} kinds[] = {
    {"quadratic", "hessian=1,0.5,2", 0, 1e-5},
    {"monomial", "exponents=2,4,0,3", 0, 1e-5},
    {"reduced-rank", "dims=3,2,4 rank=1", 0, 1e-5},
    {"reduced-rank", "dims=3,2,4 rank=1", 11, 1e-5},
    {"reduced-rank", "dims=3,4,3 ranks=1,2", 0, 1e-5},
    {"deep-linear", "widths=2,3,4,2 rank=1", 0, 1e-5},
    {"deep-linear", "widths=2,3,4,2 rank=1", 7, 1e-5},
    {"deep-linear", "widths=3,2", 0, 1e-5},
    {"tanh", "units=3", 0, 1e-5},
    {"tanh", "units=2", 9, 1e-5},
    {"bigram", "vocab=4 d_model=2 rank=1", 0, 2e-3},
    {"bigram", "vocab=4 d_model=2 rank=1", 25, 2e-3},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static double loss_at(rllc_potential *p, const float *w, float *gradient) {
    const int64_t member = 0;
    double loss, baseline;
    assert_ok(rllc_potential_loss_and_gradient(p, 1, &member, &w, &loss, &gradient, &baseline));
    return loss;
}

static void test_gradients_are_difference_quotients(void **state) {
    (void)state;
    const rllc_sampler_options o = chains(1);
    for (int k = 0; k < KINDS; k++) {
        target t;
        rllc_analytic_options c = common_options(NULL, NULL);
        c.samples = kinds[k].samples;
        c.sample_noise = c.samples && strcmp(kinds[k].kind, "bigram") != 0 ? 0.3 : 0;
        assert_ok(make(&t, kinds[k].kind, kinds[k].settings, &c, &o));
        const int64_t n = t.a->free_dim;
        float *w = test_memory(n, sizeof *w), *g = test_memory(n, sizeof *g);
        const rllc_stream s = rllc_stream_make(4, "point", (uint32_t)k, 0);
        double largest = 0, worst = 0;
        for (int64_t i = 0; i < n; i++) w[i] = (float)(2 * rllc_stream_uniform(&s, (uint64_t)i) - 1);
        assert_ok(rllc_potential_prepare(t.a->potential, 0, 5));
        loss_at(t.a->potential, w, g);
        for (int64_t i = 0; i < n; i++) {
            const float keep = w[i], high = keep + 0.005F, low = keep - 0.005F;
            w[i] = high;
            const double up = loss_at(t.a->potential, w, NULL);
            w[i] = low;
            const double down = loss_at(t.a->potential, w, NULL);
            w[i] = keep;
            worst = fmax(worst, fabs((up - down) / ((double)high - (double)low) - (double)g[i]));
            largest = fmax(largest, fabs((double)g[i]));
        }
        printf("    %-12s %-26s samples %2lld: largest %.3f, error %.1e\n", kinds[k].kind, kinds[k].settings,
               (long long)kinds[k].samples, largest, worst);
        assert_true(largest > 0.02 && worst < (kinds[k].tolerance + 2e-4) * largest); /* 2e-4: h^2 L''' / 6 */
        free(w);
        free(g);
        release(&t);
    }
}

/* w* is a minimum of the population loss: loss 0 but for the entropy of the bigram, gradient 0. */
static void test_minimum_is_where_it_is_said(void **state) {
    (void)state;
    const rllc_sampler_options o = chains(1);
    for (int k = 0; k < KINDS; k++) {
        if (kinds[k].samples) continue;
        target t;
        const rllc_analytic_options c = common_options(NULL, NULL);
        assert_ok(make(&t, kinds[k].kind, kinds[k].settings, &c, &o));
        float *g = test_memory(t.a->free_dim, sizeof *g);
        const float *w0 = t.a->potential->members[0].w0;
        const double loss = loss_at(t.a->potential, w0, g);
        if (strcmp(kinds[k].kind, "bigram") != 0) assert_true(loss == 0);
        for (int64_t i = 0; i < t.a->free_dim; i++) assert_true(fabs((double)g[i]) < 1e-7);
        assert_string_equal(t.a->doubt, strcmp(kinds[k].settings, "dims=3,4,3 ranks=1,2") == 0 ? "" : t.a->doubt);
        free(g);
        release(&t);
    }
}

/* ---- masks -------------------------------------------------------------------------------------------------------- */

static conformance_run run(const char *kind, const char *settings, const char *mask, const char *center,
                           const rllc_sampler_options *o) {
    target t;
    const rllc_analytic_options c = common_options(mask, center);
    assert_ok(make(&t, kind, settings, &c, o));
    conformance_run r = conformance_sample(t.a->potential, o, o->num_chains, NULL, NULL);
    release(&t);
    return r;
}

static void assert_same_losses(const conformance_run *a, const conformance_run *b) {
    assert_memory_equal(a->loss, b->loss, (size_t)(a->n * a->n_draws) * sizeof *a->loss);
    assert_memory_equal(a->baseline, b->baseline, (size_t)(a->n * a->n_draws) * sizeof *a->baseline);
}

/* wrLLC(all) = LLC, under every way to write it; wrLLC of nothing is 0. */
static void test_mask_of_everything_is_no_mask(void **state) {
    (void)state;
    const rllc_sampler_options o = chains(3);
    static const char *const all[] = {"1,1,1,1,1,1,1,1", "0..7", "A+B", "0..3,4,5..7"};
    conformance_run whole = run("reduced-rank", "dims=2,2,2", NULL, "0.2", &o);
    for (int i = 0; i < 4; i++) {
        conformance_run same = run("reduced-rank", "dims=2,2,2", all[i], "0.2", &o);
        assert_same_losses(&whole, &same);
        conformance_run_release(&same);
    }
    conformance_run none = run("reduced-rank", "dims=2,2,2", "0,0,0,0,0,0,0,0", "0.2", &o);
    for (int64_t i = 0; i < none.n * none.n_draws; i++) assert_true(none.loss[i] == none.baseline[i]);
    conformance_run_release(&none);
    conformance_run_release(&whole);
}

/* A frozen coordinate that the loss does not couple changes nothing for the others: noise goes by index. */
static void test_noise_goes_with_the_coordinate(void **state) {
    (void)state;
    const rllc_sampler_options o = chains(2);
    conformance_run alone = run("quadratic", "hessian=1,0,2", "0..0,2", NULL, &o);
    conformance_run dead = run("quadratic", "hessian=1,0,2", NULL, NULL, &o); /* the dead direction moves too */
    assert_same_losses(&alone, &dead);
    for (int64_t i = 0; i < 2; i++) { /* both moved, to the same places */
        assert_true(alone.w[i][0] == dead.w[i][0] && alone.w[i][1] == dead.w[i][2] && alone.w[i][0] != 0);
    }
    conformance_run_release(&alone);
    conformance_run_release(&dead);
}

/* Twice the loss at half of nbeta: the same bits. */
static void test_scale_of_the_loss(void **state) {
    (void)state;
    rllc_sampler_options o = chains(2);
    conformance_run one = run("quadratic", "hessian=1,0.5,2", NULL, "0.1", &o);
    o.nbeta /= 2;
    conformance_run two = run("quadratic", "hessian=2,1,4", NULL, "0.1", &o);
    for (int64_t i = 0; i < one.n * one.n_draws; i++) {
        assert_true(2 * o.nbeta * (one.loss[i] - one.baseline[i]) == o.nbeta * (two.loss[i] - two.baseline[i]));
        assert_true(i % one.n_draws == 0 || one.loss[i] != one.baseline[i]);
    }
    conformance_run_release(&one);
    conformance_run_release(&two);
}

/* ---- what is known ------------------------------------------------------------------------------------------------- */

static void known(const char *kind, const char *settings, const char *mask, const char *center, double lambda,
                  int64_t multiplicity) {
    target t;
    const rllc_sampler_options o = chains(1);
    const rllc_analytic_options c = common_options(mask, center);
    assert_ok(make(&t, kind, settings, &c, &o));
    if (isnan(lambda))
        assert_true(isnan(t.a->coefficient.lambda) && *t.a->doubt);
    else if (fabs(t.a->coefficient.lambda - lambda) > 1e-12 || t.a->coefficient.multiplicity != multiplicity)
        fail_msg("%s %s %s: %g, %lld", kind, settings, mask, t.a->coefficient.lambda,
                 (long long)t.a->coefficient.multiplicity);
    release(&t);
}

static void test_coefficients_of_what_moves(void **state) {
    (void)state;
    known("quadratic", "hessian=1,0.5,0,0.01", NULL, NULL, 1.5, 1);
    known("quadratic", "hessian=1,0.5,0,0.01", "1,0,1,1", NULL, 1, 1);
    known("quadratic", "hessian=1,-0.5", NULL, NULL, NAN, 0);
    known("monomial", "exponents=2,4", NULL, NULL, 0.25, 1);
    known("monomial", "exponents=2,4", "1,0", "0,1", 0.5, 1);
    known("monomial", "exponents=2,4", "1,0", NULL, 0, 1); /* w2 is frozen at 0: the loss is 0 */
    known("monomial", "exponents=2,4", NULL, "1,0", 0.25, 1);
    known("monomial", "exponents=2,4", NULL, "1", NAN, 0);
    known("reduced-rank", "dims=5,3,5 rank=2", NULL, NULL, 9.5, 2); /* 8 + RRR(3, 1, 3) */
    known("reduced-rank", "dims=5,3,5 rank=2", "B", NULL, 5, 1);    /* |dB A0|^2: 5 rows, A0 of rank 2 */
    known("reduced-rank", "dims=5,3,5 rank=2", "A", NULL, 5, 1);
    known("reduced-rank", "dims=2,2,2 ranks=2,0", NULL, NULL, 2, 1);
    known("reduced-rank", "dims=2,2,2 ranks=2,0", "B", NULL, 2, 1);
    known("reduced-rank", "dims=2,2,2 ranks=2,0", "A", NULL, 0, 1);
    known("reduced-rank", "dims=2,2,2", "0,4", NULL, NAN, 0);
    known("deep-linear", "widths=2,2,2,2", NULL, NULL, 1.5, 3);
    known("deep-linear", "widths=4,3,3,4 rank=1", "W2", NULL, 0.5, 1);
    known("deep-linear", "widths=3,4,3,3 ranks=1,0,0", NULL, NULL, NAN, 0);
    known("tanh", "units=4", NULL, NULL, 1, 2);
    known("tanh", "units=4", "a", NULL, 0, 1);
    known("bigram", "vocab=4 d_model=2 rank=1", NULL, NULL, 4, 1); /* RRR(4, 2, 3; 1) = 3 + RRR(3, 1, 2) */
    known("bigram", "vocab=4 d_model=2 rank=1", "W_U", NULL, 1.5, 1);
    known("bigram", "vocab=4 d_model=2 rank=1", "W_E", NULL, 2, 1);
}

/* The rank of the Hessian of the loss of W_U alone is twice the coefficient above, by differences of the real gradient. */
static void test_bigram_ranks_by_differences(void **state) {
    (void)state;
    static const struct {
        const char *mask;
        int64_t rank;
    } rows[] = {{"W_U", 3}, {"W_E", 4}};
    const rllc_sampler_options o = chains(1);
    for (int r = 0; r < 2; r++) {
        target t;
        const rllc_analytic_options c = common_options(rows[r].mask, NULL);
        assert_ok(make(&t, "bigram", "vocab=4 d_model=2 rank=1", &c, &o));
        const int64_t n = t.a->free_dim;
        double *hessian = test_memory(n * n, sizeof *hessian), *values = test_memory(n, sizeof *values);
        float *w = test_memory(n, sizeof *w), *up = test_memory(n, sizeof *up), *down = test_memory(n, sizeof *down);
        memcpy(w, t.a->potential->members[0].w0, (size_t)n * sizeof *w);
        for (int64_t i = 0; i < n; i++) {
            const float keep = w[i];
            w[i] = keep + 0.01F;
            loss_at(t.a->potential, w, up);
            w[i] = keep - 0.01F;
            loss_at(t.a->potential, w, down);
            w[i] = keep;
            for (int64_t k = 0; k < n; k++) hessian[i * n + k] = ((double)up[k] - (double)down[k]) / 0.02;
        }
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k < i; k++)
                hessian[i * n + k] = hessian[k * n + i] = (hessian[i * n + k] + hessian[k * n + i]) / 2;
        assert_ok(rllc_symmetric_eigen(n, hessian, values, NULL));
        int64_t rank = 0;
        for (int64_t i = 0; i < n; i++) rank += values[i] > 1e-3 * values[n - 1]; /* float gradients: 1e-5 */
        assert_int_equal(rank, rows[r].rank);
        free(hessian);
        free(values);
        free(w);
        free(up);
        free(down);
        release(&t);
    }
}

/* The option is a variance: of the noise that is added, and in the law. */
static void test_gradient_noise_has_the_variance_asked_for(void **state) {
    (void)state;
    enum { STEPS = 4000 };
    target t;
    rllc_sampler_options o = chains(2);
    rllc_analytic_options c = common_options(NULL, NULL);
    rllc_expectation e;
    const int64_t both[] = {0, 1};
    float w[2] = {0}, g[2][2], *gradient[] = {g[0], g[1]};
    const float *at[] = {w, w};
    double mean, variance, sum[2] = {0}, cross = 0, loss[2], baseline;
    c.noise_of_gradient = "0.3,0.04";
    assert_ok(make(&t, "quadratic", "hessian=1,2", &c, &o));
    for (int64_t step = 0; step < STEPS; step++) {
        assert_ok(rllc_potential_prepare(t.a->potential, 0, step));
        assert_ok(rllc_potential_loss_and_gradient(t.a->potential, 2, both, at, loss, gradient, &baseline));
        for (int k = 0; k < 2; k++) sum[k] += (double)g[0][k] * (double)g[0][k] / STEPS;
        cross += (double)g[0][0] * (double)g[1][0] / STEPS; /* members' noises are independent */
    }
    const double se = sqrt(2.0 / STEPS); /* of a variance, relative */
    assert_true(fabs(sum[0] / 0.3 - 1) < 5 * se && fabs(sum[1] / 0.04 - 1) < 5 * se);
    assert_true(fabs(cross) < 5 * 0.3 / sqrt(STEPS));
    assert_ok(rllc_analytic_expect(t.a, &o, &e));
    double expected = 0;
    for (int k = 0; k < 2; k++) {
        assert_ok(rllc_mode_law(&o, (rllc_mode){.h = k ? 2 : 1, .noise = k ? 0.04 : 0.3}, &mean, &variance));
        expected += mean;
    }
    assert_true(fabs(e.mean - expected) < 1e-12);
    release(&t);
}

static void test_expectations_say_what_they_are(void **state) {
    (void)state;
    static const struct {
        const char *kind, *settings, *mask, *sampler, *source;
    } rows[] = {{"quadratic", "hessian=1,2", NULL, "sgld", "law"},
                {"quadratic", "hessian=1,2", NULL, "mala", "gibbs"},
                {"quadratic", "hessian=1,2", NULL, "rmsprop-sgld", "none"},
                {"monomial", "exponents=4", NULL, "sgld", "law"},
                {"monomial", "exponents=4", NULL, "sgld-lm", "none"},
                {"monomial", "exponents=2,2", NULL, "sgld", "none"},
                {"monomial", "exponents=2,2", NULL, "hmc", "gibbs"},
                {"reduced-rank", "dims=2,2,2", NULL, "sgld-lm", "none"},
                {"reduced-rank", "dims=2,2,2", NULL, "mala", "gibbs"},
                {"reduced-rank", "dims=2,2,2 rank=1", NULL, "mala", "none"},
                {"reduced-rank", "dims=2,2,2 rank=1", "A", "sghmc", "law"},
                {"bigram", "vocab=3", NULL, "mala", "gibbs"},
                {"bigram", "vocab=4", NULL, "mala", "none"},
                {"tanh", "units=2", NULL, "mala", "gibbs"},
                {"deep-linear", "widths=2,2,2,2", NULL, "mala", "none"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        target t;
        rllc_sampler_options o = chains(2);
        o.sampler = rows[i].sampler;
        const rllc_analytic_options c = common_options(rows[i].mask, NULL);
        rllc_expectation e;
        assert_ok(make(&t, rows[i].kind, rows[i].settings, &c, &o));
        assert_ok(rllc_analytic_expect(t.a, &o, &e));
        if (strcmp(e.source, rows[i].source) != 0)
            fail_msg("%s %s %s: %s", rows[i].kind, rows[i].settings, rows[i].sampler, e.source);
        assert_true(isnan(e.mean) == (strcmp(e.source, "none") == 0) &&
                    isfinite(e.sd) == (strcmp(e.source, "law") == 0));
        assert_true((*e.reason != 0) == (strcmp(e.source, "none") == 0));
        release(&t);
    }
}

/* ---- refusals ------------------------------------------------------------------------------------------------------- */

static void refused(const char *kind, const char *settings, rllc_analytic_options c, const char *sampler,
                    const char *words) {
    target t;
    rllc_sampler_options o = chains(2);
    o.sampler = sampler;
    assert_fails(make(&t, kind, settings, &c, &o), RLLC_EUSAGE, words);
    assert_null(t.a);
    release(&t);
}

static void test_nonsense_is_refused(void **state) {
    (void)state;
    const rllc_analytic_options none = common_options(NULL, NULL);
    rllc_analytic_options c = none;
    refused("quadratic", "hessian=1,x", none, "sgld", "'x' is no number");
    refused("monomial", "exponents=1,2", none, "sgld", "no gradient");
    refused("monomial", "exponents=2.5", none, "sgld", "not an integer");
    refused("reduced-rank", "dims=2,2", none, "sgld", "M,H,N");
    refused("reduced-rank", "dims=2,2,2 rank=3", none, "sgld", "rank 3");
    refused("reduced-rank", "dims=2,2,2 ranks=2,1", none, "sgld", "would not have rank");
    refused("deep-linear", "widths=3", none, "sgld", "two --widths");
    refused("bigram", "vocab=3 d_model=1 rank=2", none, "sgld", "rank 2");
    refused("quadratic", "hessian=1,2", common_options("1,0,1", NULL), "sgld", "--mask");
    refused("quadratic", "hessian=1,2", common_options("5", NULL), "sgld", "within 0..1");
    refused("reduced-rank", "dims=2,2,2", common_options("C", NULL), "sgld", "no block 'C'");
    refused("quadratic", "hessian=1,2", common_options(NULL, "1,2,3"), "sgld", "3 numbers");
    c.noise_of_gradient = "0.1";
    refused("quadratic", "hessian=1,2", c, "mala", "exact gradient");
    c.noise_of_gradient = "-1";
    refused("quadratic", "hessian=1,2", c, "sgld", "not negative");
    c = none;
    c.samples = 10;
    refused("quadratic", "hessian=1,2", c, "sgld", "takes no --samples");
    c.samples = 100;
    refused("reduced-rank", "dims=2,2,2", c, "mala", "same batch");
    c.samples = 0;
    c.sample_noise = 1;
    refused("reduced-rank", "dims=2,2,2", c, "sgld", "would do nothing");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_are_difference_quotients),
        cmocka_unit_test(test_minimum_is_where_it_is_said),
        cmocka_unit_test(test_mask_of_everything_is_no_mask),
        cmocka_unit_test(test_noise_goes_with_the_coordinate),
        cmocka_unit_test(test_scale_of_the_loss),
        cmocka_unit_test(test_coefficients_of_what_moves),
        cmocka_unit_test(test_bigram_ranks_by_differences),
        cmocka_unit_test(test_gradient_noise_has_the_variance_asked_for),
        cmocka_unit_test(test_expectations_say_what_they_are),
        cmocka_unit_test(test_nonsense_is_refused),
    };
    return cmocka_run_group_tests_name("analytic", tests, NULL, NULL);
}
