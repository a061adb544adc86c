/* Noise-free SGLD of several components in one lockstep pass against plain torch in float64, on every kernel table. */
#include "golden/golden.h"

/*
 * Losses, baselines and weights: 1e-5 of their scale, all of it float32 rounding; torch's own float32 is measured
 * beside. The way travelled, w - w*, is some percent of the weights, and each step rounds the weight it lands on by up
 * to 2^-24 of it: what is beyond that must stay below 1e-5 of the way. A drift wrong by a hundredth shows as 1e-2.
 */
static const double tolerance = 1e-5;

typedef struct fixture {
    rllc_model model;
    int32_t *tokens;
    int64_t shape[3]; /* steps, rows, n_ctx */
    rllc_sampler_options options;
    rllc_json *settings;
    const rllc_json *names; /* components */
    int64_t n;
    rllc_component *components;
    const rllc_component **borrowed;
} fixture;

static rllc_status get_batch(void *context, int64_t stream, int64_t step, int64_t rows, int32_t *tokens) {
    const fixture *f = context;
    (void)stream;
    assert_in_range(step, 0, f->shape[0] - 1);
    assert_int_equal(rows, f->shape[1]);
    int64_t n = f->shape[1] * f->shape[2];
    memcpy(tokens, f->tokens + step * n, (size_t)n * sizeof *tokens);
    return RLLC_OK;
}

static void setup(fixture *f) {
    golden_load_model(&f->model, "l2");
    f->tokens = golden_tokens("l2/sgld/tokens.npy", f->shape);
    assert_ok(rllc_json_load(&f->settings, GOLDEN_DIR "settings.json"));
    const rllc_json *sgld = rllc_json_get(f->settings, "sgld");
    rllc_options_default(&rllc_sampler_option_table, &f->options);
    f->options.lr = rllc_json_to_real(rllc_json_get(sgld, "lr"), NAN);
    f->options.nbeta = rllc_json_to_real(rllc_json_get(sgld, "nbeta"), NAN);
    f->options.localization = rllc_json_to_real(rllc_json_get(sgld, "localization"), NAN);
    f->options.noise_level = 0;
    f->options.num_chains = 1;
    f->options.num_draws = f->shape[0];
    f->names = rllc_json_get(sgld, "components");
    f->n = rllc_json_length(f->names);
    assert_true(f->n >= 6);
    f->components = test_memory(f->n, sizeof *f->components);
    f->borrowed = test_memory(f->n, sizeof *f->borrowed);
    for (int64_t i = 0; i < f->n; i++) {
        assert_ok(rllc_component_parse(&f->components[i], &f->model, rllc_json_text(rllc_json_at(f->names, i))));
        f->borrowed[i] = &f->components[i];
    }
}

static void teardown(fixture *f) {
    for (int64_t i = 0; i < f->n; i++) rllc_component_release(&f->components[i]);
    free(f->components);
    free(f->borrowed);
    free(f->tokens);
    rllc_json_free(f->settings);
    rllc_model_release(&f->model);
}

/* Weights as a whole: the model's, with the component's coordinates replaced. */
static double *compose(const fixture *f, int64_t i, const float *w) {
    double *whole = test_memory(f->model.size, sizeof *whole);
    for (int64_t j = 0; j < f->model.size; j++) whole[j] = (double)f->model.weights[j];
    const rllc_component *c = &f->components[i];
    for (int64_t r = 0; r < c->n_ranges; r++)
        for (int64_t j = 0; j < c->ranges[r].n; j++) whole[c->ranges[r].first + j] = (double)*w++;
    return whole;
}

/* Torch's final weights; a tensor that the component leaves alone is not stored and stays as it was. */
static double *stored_weights(const fixture *f, const char *component, int bits) {
    char path[128];
    snprintf(path, sizeof path, "l2/sgld/%s_%d.safetensors", component, bits);
    double *w = golden_vector(&f->model, path, NAN);
    for (int64_t j = 0; j < f->model.size; j++)
        if (isnan(w[j])) w[j] = (double)f->model.weights[j];
    return w;
}

/* w - w* of one tensor, in double: exact for float32 weights. */
static double *way(const fixture *f, const rllc_parameter *t, const double *w) {
    double *out = test_memory(t->n, sizeof *out);
    for (int64_t j = 0; j < t->n; j++) out[j] = w[t->offset + j] - (double)f->model.weights[t->offset + j];
    return out;
}

static void compare_tensor(const fixture *f, const rllc_parameter *t, const double *ours, const double *truth,
                           golden_error *weights, golden_error *travel) {
    double *our_way = way(f, t, ours), *true_way = way(f, t, truth);
    float *narrow = golden_narrow(t->n, ours + t->offset), *narrow_way = golden_narrow(t->n, our_way);
    for (int64_t j = 0; j < t->n; j++)
        if (true_way[j] == 0 && !golden_is_key_bias(t->name)) assert_true(our_way[j] == 0); /* what is masked stays */
    golden_compare(weights, t->name, t->n, narrow, truth + t->offset);
    if (golden_scale(t->n, true_way) > 0 && !golden_is_key_bias(t->name)) { /* b_K: gradient 0, no way to go */
        const double rounding = ldexp((double)f->shape[0] * golden_scale(t->n, truth + t->offset), -24);
        golden_compare_beyond(travel, t->name, t->n, narrow_way, true_way, rounding);
    }
    free(our_way);
    free(true_way);
    free(narrow);
    free(narrow_way);
}

static void compare_weights(const fixture *f, int64_t i, const float *w) {
    const char *name = rllc_json_text(rllc_json_at(f->names, i));
    double *truth = stored_weights(f, name, 64), *torch32 = stored_weights(f, name, 32), *ours = compose(f, i, w);
    golden_error weights = {0}, travel = {0}, torch_weights = {0}, torch_travel = {0};
    for (int64_t p = 0; p < f->model.n_parameters; p++) {
        compare_tensor(f, &f->model.parameters[p], ours, truth, &weights, &travel);
        compare_tensor(f, &f->model.parameters[p], torch32, truth, &torch_weights, &torch_travel);
    }
    golden_print("weights, torch float32", &torch_weights);
    golden_print("weights, ours", &weights);
    golden_print("way beyond rounding, torch float32", &torch_travel);
    golden_print("way beyond rounding, ours", &travel);
    assert_true(travel.n > 0);
    assert_true(weights.worst <= tolerance);
    assert_true(travel.worst <= tolerance);
    free(truth);
    free(torch32);
    free(ours);
}

static void compare_trace(const fixture *f, int64_t i, const double *loss, const double *baseline) {
    char path[128];
    int64_t n = 0, steps = f->shape[0];
    snprintf(path, sizeof path, "l2/sgld/%s.npy", rllc_json_text(rllc_json_at(f->names, i)));
    double *stored = golden_array(path, &n); /* [bits 64, 32][loss, baseline][steps] */
    assert_int_equal(n, 4 * steps);
    double worst = 0, worst_torch = 0;
    for (int64_t t = 0; t < steps; t++) {
        worst = fmax(worst, fabs(loss[t] - stored[t]) / stored[t]);
        worst = fmax(worst, fabs(baseline[t] - stored[steps + t]) / stored[steps + t]);
        worst_torch = fmax(worst_torch, fabs(stored[2 * steps + t] - stored[t]) / stored[t]);
    }
    printf("    losses and baselines: max relative error %.1e (torch float32 %.1e)\n", worst, worst_torch);
    assert_true(worst <= tolerance);
    free(stored);
}

static void run(int n_threads) {
    fixture f = {0};
    setup(&f);
    rllc_potential *potential = NULL;
    rllc_batch_source source = {&f, get_batch};
    assert_ok(rllc_potential_transformer(&potential, &f.model, f.borrowed, f.n, f.shape[1], source, n_threads, NULL));
    assert_int_equal(potential->n_members, f.n);
    float **w = test_memory(f.n, sizeof *w), **gradient = test_memory(f.n, sizeof *gradient);
    double *loss = test_memory(f.n * f.shape[0], sizeof *loss), *now = test_memory(f.n, sizeof *now);
    double *baseline = test_memory(f.shape[0], sizeof *baseline);
    int64_t *members = test_memory(f.n, sizeof *members);
    rllc_sampler_state *states = test_memory(f.n, sizeof *states);
    for (int64_t i = 0; i < f.n; i++) {
        const rllc_potential_member *m = &potential->members[i];
        assert_int_equal(m->dim, f.components[i].size);
        w[i] = test_memory(m->dim, sizeof(float));
        memcpy(w[i], m->w0, (size_t)m->dim * sizeof(float));
        gradient[i] = test_memory(m->dim, sizeof(float));
        members[i] = i;
        states[i] = (rllc_sampler_state){.dim = m->dim, .w = w[i], .w0 = m->w0, .spans = m->spans,
                                         .n_spans = m->n_spans, .scratch = test_memory(m->dim, sizeof(float))};
    }
    for (int64_t t = 0; t < f.shape[0]; t++) {
        assert_ok(rllc_potential_prepare(potential, 0, t));
        assert_ok(rllc_potential_loss_and_gradient(potential, f.n, members, (const float *const *)w, now, gradient,
                                                   &baseline[t]));
        for (int64_t i = 0; i < f.n; i++) {
            rllc_stream noise = rllc_stream_make(1, "unused", (uint32_t)i, (uint32_t)t);
            loss[i * f.shape[0] + t] = now[i];
            assert_ok(rllc_sampler_step(&f.options, &states[i], &loss[i], gradient[i], &noise));
        }
    }
    for (int64_t i = 0; i < f.n; i++) {
        printf("  %s\n", f.components[i].name);
        compare_trace(&f, i, loss + i * f.shape[0], baseline);
        compare_weights(&f, i, w[i]);
        free(states[i].scratch);
        free(w[i]);
        free(gradient[i]);
    }
    rllc_potential_free(potential);
    free(w);
    free(gradient);
    free(loss);
    free(now);
    free(baseline);
    free(members);
    free(states);
    teardown(&f);
}

static void test_noise_free_sgld_agrees(void **state) {
    (void)state;
    run(1);
}

static void test_noise_free_sgld_agrees_on_three_threads(void **state) {
    (void)state;
    run(3);
}

int main(int argc, char **argv) {
    (void)argc;
    int status = run_for_every_table(argv);
    if (status >= 0) return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noise_free_sgld_agrees),
        cmocka_unit_test(test_noise_free_sgld_agrees_on_three_threads),
    };
    return cmocka_run_group_tests_name("golden sgld", tests, NULL, NULL);
}
