/* The loop that rllc_sample and rllc potential share, alone: its draws are those of a plain loop to the bit, its estimate has the
 * exact law, and what a draw records is what it says. */
#include "theory/theory.h"

static rllc_potential *quadratic(int64_t dim, double h, double centre, int64_t chains) {
    rllc_potential *p = NULL;
    double *curvature = test_memory(dim, sizeof *curvature), *minimum = test_memory(dim, sizeof *minimum);
    float *w0 = test_memory(dim, sizeof *w0);
    for (int64_t i = 0; i < dim; i++) {
        curvature[i] = h;
        w0[i] = (float)centre;
    }
    assert_ok(rllc_potential_quadratic(&p, dim, curvature, minimum, w0, chains));
    free(curvature);
    free(minimum);
    free(w0);
    return p;
}

static void test_chains_are_a_plain_loop_to_the_bit(void **state) {
    (void)state;
    const char *const rules[] = {"sgld", "sgld-lm", "rmsprop-sgld", "sghmc", "sgnht", "mala", "hmc"};
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++) {
        rllc_sampler_options o = theory_settings(100, 50, 1e-3, 10, 3, 2);
        o.sampler = rules[k];
        rllc_potential *p = quadratic(7, 1, 0.1, 3);
        rllc_chain *chains = NULL;
        conformance_run run = conformance_sample(p, &o, 3, NULL, NULL);
        assert_ok(rllc_chains_run(p, &o, 1, "noise/test", NULL, &chains));
        for (int64_t c = 0; c < 3; c++) {
            const rllc_trace t = rllc_chain_trace(&chains[c]);
            assert_int_equal(t.n_draws, 10);
            assert_memory_equal(t.loss, run.loss + c * 10, 10 * sizeof(double));
            assert_memory_equal(t.baseline, run.baseline + c * 10, 10 * sizeof(double));
            assert_memory_equal(chains[c].state.w, run.w[c], 7 * sizeof(float));
        }
        rllc_chains_free(chains, 3);
        conformance_run_release(&run);
        rllc_potential_free(p);
    }
}

/* Short chains see a loss that is recorded after its update, long ones everything else. */
static void test_estimate_has_the_exact_law(void **state) {
    (void)state;
    const int64_t draws[] = {2, 20, 400}, n[] = {8000, 4000, 400};
    const double h[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    for (int k = 0; k < 3; k++) {
        const rllc_sampler_options o = theory_settings(100, 50, 1e-3, draws[k], 0, 1);
        const theory_exact exact = theory_quadratic_exact(&o, 10, h, 0);
        rllc_potential *p = quadratic(10, 1, 0, n[k]);
        rllc_chain *chains = NULL;
        double sum = 0;
        assert_ok(rllc_chains_run(p, &o, 1, "noise/law", NULL, &chains));
        for (int64_t c = 0; c < n[k]; c++)
            for (int64_t t = 0; t < draws[k]; t++)
                sum += o.nbeta * (chains[c].record[RLLC_RECORD_LOSS][t] - chains[c].record[RLLC_RECORD_BASELINE][t]);
        const double mean = sum / (double)(n[k] * draws[k]), z = (mean - exact.mean) / (exact.sd / sqrt((double)n[k]));
        printf("    %3lld draws: exact %.6f, sampled %.6f, %+.2f standard errors\n", (long long)draws[k], exact.mean, mean, z);
        assert_true(fabs(z) < 5 && exact.sd / sqrt((double)n[k]) < 0.02 * exact.mean); /* a test that could fail */
        rllc_chains_free(chains, n[k]);
        rllc_potential_free(p);
    }
}

/* On L = h/2 |w|^2 with centre w*: |g|, u . g, the noise and the Metropolis acceptance follow from losses and steps by hand. */
static void test_what_a_draw_records(void **state) {
    (void)state;
    const double h = 2, nbeta = 100, gamma = 30, lr = 4e-3, a = nbeta * h + gamma;
    const rllc_sampler_options o = theory_settings(nbeta, gamma, lr, 50, 0, 1);
    rllc_potential *p = quadratic(4, h, 0, 2);
    rllc_chain *chains = NULL;
    assert_ok(rllc_chains_run(p, &o, 1, "noise/test", NULL, &chains));
    for (int64_t t = 0; t < 50; t++) {
        double *const *r = chains[1].record;
        const double u = r[RLLC_RECORD_DISTANCE][t], loss = h * u * u / 2;
        assert_true(fabs(r[RLLC_RECORD_LOSS][t] - loss) <= 1e-6 * loss);
        assert_true(fabs(r[RLLC_RECORD_GRADIENT_NORM][t] - h * u) <= 1e-6 * h * u);
        assert_true(fabs(r[RLLC_RECORD_GRADIENT_DOT][t] - h * u * u) <= 1e-6 * h * u * u);
        assert_true(r[RLLC_RECORD_NOISE_NORM][t] > 0 && r[RLLC_RECORD_NOISE_NORM][t] < 6 * sqrt(lr));
        if (t == 0) {
            assert_true(isnan(r[RLLC_RECORD_MALA][t]));
            continue;
        }
        /* log alpha = -(lr/8) a^2 (|u'|^2 - |u|^2) for a Gaussian target */
        const double before = r[RLLC_RECORD_DISTANCE][t - 1];
        const double alpha = fmin(1, exp(-lr / 8 * a * a * (u * u - before * before)));
        assert_true(fabs(r[RLLC_RECORD_MALA][t] - alpha) < 1e-5);
    }
    rllc_chains_free(chains, 2);
    rllc_potential_free(p);
}

/* Four accumulated minibatches of the same loss are one: the draws agree to rounding. */
static void test_accumulated_gradients_are_means(void **state) {
    (void)state;
    rllc_sampler_options o = theory_settings(100, 50, 1e-3, 20, 0, 1);
    rllc_potential *p = quadratic(5, 1, 0.2, 2);
    rllc_chain *one = NULL, *four = NULL;
    assert_ok(rllc_chains_run(p, &o, 1, "noise/test", NULL, &one));
    o.gradient_accumulation_steps = 4;
    assert_ok(rllc_chains_run(p, &o, 1, "noise/test", NULL, &four));
    for (int64_t t = 0; t < 20; t++) {
        const double x = one[1].record[RLLC_RECORD_LOSS][t], y = four[1].record[RLLC_RECORD_LOSS][t];
        assert_true(fabs(x - y) <= 1e-5 * fabs(x));
    }
    rllc_chains_free(one, 2);
    rllc_chains_free(four, 2);
    rllc_potential_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chains_are_a_plain_loop_to_the_bit),
        cmocka_unit_test(test_estimate_has_the_exact_law),
        cmocka_unit_test(test_what_a_draw_records),
        cmocka_unit_test(test_accumulated_gradients_are_means),
    };
    return cmocka_run_group_tests_name("chains", tests, NULL, NULL);
}
