/* The loss relative to a reference model: its cells, their names, resuming, cost, and an estimate known exactly. */
#include "sampling/world.h"

static void make_reference(rllc_model *m, int64_t n_ctx, int64_t vocabulary) {
    rllc_model_options o;
    rllc_options_default(&rllc_model_option_table, &o);
    o.n_layers = 1, o.d_model = 6, o.n_heads = 1, o.d_head = 3, o.n_ctx = n_ctx, o.d_vocab = vocabulary;
    assert_int_equal(rllc_model_init(m, &o), RLLC_OK);
    rllc_model_randomize(m, 9);
    for (int64_t i = 0; i < m->size; i++) m->weights[i] *= 3;
}

static void run_loss(struct world *w, const char *store, const char *loss, const rllc_model *reference,
                     struct result *r) {
    w->job.options.loss = loss;
    w->job.reference = reference;
    run_whole(w, store, r);
}

/* ---- cells ----------------------------------------------------------------------------------------------------- */

static void test_reference_makes_cells_of_its_own_and_leaves_the_others(void **state) {
    (void)state;
    struct world w;
    static struct result next, relative, again;
    rllc_model reference;
    begin(&w);
    make_reference(&reference, CTX, VOCAB);
    w.job.options.components = "l0h1,full";
    run_loss(&w, "next.db", "next_token", NULL, &next);
    run_loss(&w, "relative.db", "reference", &reference, &relative);
    assert_int_equal(next.n_cells, 2);
    assert_int_equal(relative.n_cells, 2);
    assert_true(relative.init_loss[0][0] > 0 && relative.init_loss[0][0] != next.init_loss[0][0]);
    run_loss(&w, "next.db", "next_token,reference", &reference, &again); /* only what is missing */
    assert_int_equal(again.n_cells, 4);
    rllc_store_estimate *list;
    rllc_store_cell *cells;
    int64_t n;
    open_store(&w, "next.db");
    assert_int_equal(rllc_store_estimates(w.job.store, &list, &cells, &n), RLLC_OK);
    const rllc_hash own = rllc_model_hash(&reference);
    const char *hash = own.hex;
    for (int64_t i = 0; i < n; i++) { /* full then l0h1, each next_token then reference */
        const bool next_token = i % 2 == 0;
        const struct result *from = next_token ? &next : &relative;
        assert_true(rllc_store_cell_is_next_token(&cells[i]) == next_token);
        assert_memory_equal(again.loss[i], from->loss[i / 2], sizeof again.loss[i]);
        assert_memory_equal(again.baseline[i], from->baseline[i / 2], sizeof again.baseline[i]);
        assert_true(list[i].llc_mean == from->llc[i / 2]);
        assert_string_equal(list[i].name, next_token ? (i ? "wrLLC" : "LLC") : i > 1 ? "wdrLLC" : "drLLC");
        assert_string_equal(rllc_store_cell_data(&cells[i]),
                            next_token ? "mix" : rllc_intern_printf("mix to %.8s", hash));
        assert_string_equal(cells[i].loss_kind, next_token ? "next_token" : rllc_intern_printf("reference:%s", hash));
        for (int64_t k = 0; k < i; k++) assert_string_not_equal(cells[i].identity, cells[k].identity);
    }
    rllc_free(list), rllc_free(cells);
    rllc_store_close(w.job.store);
    reference.weights[0] += 0.5F; /* another reference: other cells */
    run_loss(&w, "relative.db", "reference", &reference, &again);
    assert_int_equal(again.n_cells, 4);
    rllc_model_release(&reference);
    end(&w);
}

static bool stop_soon(void *context) {
    int *left = context;
    return (*left)-- <= 0;
}

static void test_reference_stopped_and_resumed_gives_the_same_bits(void **state) {
    (void)state;
    struct world w;
    static struct result whole, parts;
    rllc_model reference;
    int left = 0, stops = 0;
    const rllc_monitor monitor = {.context = &left, .stop = stop_soon};
    begin(&w);
    make_reference(&reference, 2 * CTX, VOCAB);
    w.job.options.components = "l1h0,full";
    run_loss(&w, "whole.db", "next_token,reference", &reference, &whole);
    assert_int_equal(whole.n_cells, 4);
    open_store(&w, "parts.db");
    w.job.monitor = &monitor;
    for (rllc_status status = RLLC_ESTOPPED; status != RLLC_OK; stops++) {
        left = stops % 2 ? 2 : 20;
        w.job.n_threads = 1 + stops % 3;
        status = rllc_sample(&w.job);
        assert_true(status == RLLC_OK || status == RLLC_ESTOPPED);
        assert_true(stops < 60);
    }
    assert_true(stops > 5);
    read_result(w.job.store, &parts);
    assert_memory_equal(&whole, &parts, sizeof whole);
    rllc_store_close(w.job.store);
    rllc_model_release(&reference);
    end(&w);
}

static void test_reference_that_is_missing_or_does_not_fit_is_refused(void **state) {
    (void)state;
    struct world w;
    static struct result r;
    rllc_model other;
    begin(&w);
    open_store(&w, "refused.db");
    w.job.options.loss = "reference";
    assert_int_equal(rllc_sample(&w.job), RLLC_EUSAGE);
    w.job.options.loss = "kl";
    assert_int_equal(rllc_sample(&w.job), RLLC_EINPUT);
    assert_non_null(strstr(rllc_error_detail(), "'kl'"));
    w.job.options.loss = "reference";
    const int64_t shapes[2][2] = {{CTX, VOCAB + 1}, {CTX - 1, VOCAB}};
    for (int i = 0; i < 2; i++) {
        make_reference(&other, shapes[i][0], shapes[i][1]);
        w.job.reference = &other;
        assert_int_equal(rllc_sample(&w.job), RLLC_EMISMATCH);
        rllc_model_release(&other);
    }
    read_result(w.job.store, &r);
    assert_int_equal(r.n_cells, 0);
    rllc_store_close(w.job.store);
    end(&w);
}

/* ---- cost ------------------------------------------------------------------------------------------------------ */

static void cost(rllc_sampling_job *job, const char *loss, double out[5]) {
    job->options.loss = loss;
    assert_int_equal(rllc_sampling_cost(job, &out[0], &out[1], &out[2], &out[3], &out[4]), RLLC_OK);
}

static void test_reference_costs_its_own_forward_pass(void **state) {
    (void)state;
    struct world w;
    rllc_model reference;
    double next[5], relative[5], both[5];
    begin(&w);
    make_reference(&reference, CTX, VOCAB);
    w.job.reference = &reference;
    cost(&w.job, "next_token", next);
    cost(&w.job, "reference", relative);
    cost(&w.job, "next_token,reference", both);
    const rllc_sampler_options *o = &w.job.sampler;
    const double calls = 2.0 * (double)(rllc_sampler_steps(o) + o->num_init_loss_batches); /* two streams */
    const double extra = calls * (double)(o->batch_size * CTX) * rllc_model_flops(&reference);
    assert_true(fabs(relative[2] - next[2] - extra) <= 1e-9 * next[2]);
    const double memory = (double)rllc_engine_reference_bytes(&w.m, &reference, 2) + 4.0 * (double)reference.size;
    assert_true(fabs(relative[3] - next[3] - memory) <= 1e-6 * next[3]);
    for (int i = 0; i < 5; i++) {
        if (i == 3) continue;
        assert_true(i == 2 || relative[i] == next[i]);
        assert_true(fabs(both[i] - next[i] - relative[i]) <= 1e-9 * both[i]);
    }
    assert_true(both[3] == relative[3]);
    rllc_model_release(&reference);
    end(&w);
}

/* ---- an estimate that is known ------------------------------------------------------------------------------------
 */

/* Mean over predictions of the Fisher matrix diag(p) - p p^T of the unembedding's bias. */
static void fisher(const struct world *w, const int32_t *tokens, int64_t rows, double f[VOCAB][VOCAB]) {
    float *logits = calloc((size_t)(rows * CTX * VOCAB), sizeof *logits);
    rllc_engine *e;
    rllc_evaluation out = {.logits = logits};
    assert_int_equal(rllc_engine_new(&e, &w->m, rows, 1), RLLC_OK);
    assert_int_equal(rllc_engine_evaluate(e, w->m.weights, tokens, rows, &out), RLLC_OK);
    memset(f, 0, sizeof(double) * VOCAB * VOCAB);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t t = 0; t < CTX - 1; t++) {
            const float *l = logits + (r * CTX + t) * VOCAB;
            double p[VOCAB], sum = 0;
            for (int i = 0; i < VOCAB; i++) sum += p[i] = exp((double)l[i]);
            for (int i = 0; i < VOCAB; i++)
                for (int k = 0; k < VOCAB; k++)
                    f[i][k] += ((i == k) * p[i] / sum - p[i] * p[k] / sum / sum) / (double)(rows * (CTX - 1));
        }
    rllc_engine_free(e);
    free(logits);
}

/* 1/2 tr nbeta F (nbeta F + localization)^-1 = dim / 2 - localization / 2 tr (nbeta F + localization)^-1. */
static double gibbs(double f[VOCAB][VOCAB], double nbeta, double localization) {
    double a[VOCAB][2 * VOCAB], trace = 0;
    for (int i = 0; i < VOCAB; i++)
        for (int k = 0; k < VOCAB; k++) {
            a[i][k] = nbeta * f[i][k] + (i == k) * localization;
            a[i][VOCAB + k] = i == k;
        }
    for (int c = 0; c < VOCAB; c++)
        for (int i = 0; i < VOCAB; i++) {
            const double factor = i == c ? 1 - 1 / a[c][c] : a[i][c] / a[c][c];
            for (int k = 2 * VOCAB - 1; k >= 0; k--) a[i][k] -= factor * a[c][k];
        }
    for (int i = 0; i < VOCAB; i++) trace += a[i][VOCAB + i];
    return (VOCAB - localization * trace) / 2;
}

/*
 * Relative to itself a model's loss is 0 at w*, with no gradient and the Fisher matrix for curvature, on any data: with
 * what moves being a bias of the logits, the posterior is Gaussian to the order of its width.
 */
static void test_reference_that_is_the_model_gives_the_gibbs_value_of_the_fisher_matrix(void **state) {
    (void)state;
    struct world w;
    int32_t tokens[ROWS * CTX];
    double f[VOCAB][VOCAB];
    rllc_store_estimate *list;
    rllc_store_cell *cells;
    int64_t n;
    begin(&w);
    w.job.reference = &w.m;
    w.job.options.loss = "reference";
    w.job.options.components = "unembed.b_U";
    w.job.options.curvature_probes = 0;
    rllc_sampler_options *o = &w.job.sampler;
    o->lr = 2e-4, o->nbeta = 3000,
    o->localization = 100; /* lr (nbeta h + localization) is small: no bias of the step */
    o->num_draws = 4000, o->num_burnin_steps = 300, o->batch_size = 8;
    open_store(&w, "known.db");
    assert_int_equal(rllc_sample(&w.job), RLLC_OK);
    assert_int_equal(rllc_store_estimates(w.job.store, &list, &cells, &n), RLLC_OK);
    assert_int_equal(n, 1);
    for (int64_t i = 0; i < ROWS; i++) rllc_rows_get(&w.rows, i, tokens + i * CTX);
    fisher(&w, tokens, ROWS, f);
    const double expected = gibbs(f, o->nbeta, o->localization), found = list[0].llc_mean;
    assert_true(expected > 4 && expected < 8); /* of (VOCAB - 1) / 2 = 8 */
    if (!(fabs(found - expected) <= 4 * list[0].llc_se + 0.03 * expected) || !(list[0].llc_se < 0.1))
        fail_msg("%g +- %g, expected %g", found, list[0].llc_se, expected);
    assert_true(list[0].llc_mean_init == found); /* the loss at w* is 0 on every minibatch */
    for (int64_t c = 0; c < o->num_chains; c++) {
        static double loss[4000], baseline[4000];
        assert_int_equal(rllc_store_get_trace(w.job.store, cells[0].id, c, loss, baseline, 4000, &n), RLLC_OK);
        for (int64_t i = 0; i < n; i++) assert_true(baseline[i] == 0 && loss[i] > 0);
    }
    rllc_free(list), rllc_free(cells);
    rllc_store_close(w.job.store);
    end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_makes_cells_of_its_own_and_leaves_the_others),
        cmocka_unit_test(test_reference_stopped_and_resumed_gives_the_same_bits),
        cmocka_unit_test(test_reference_that_is_missing_or_does_not_fit_is_refused),
        cmocka_unit_test(test_reference_costs_its_own_forward_pass),
        cmocka_unit_test(test_reference_that_is_the_model_gives_the_gibbs_value_of_the_fisher_matrix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
