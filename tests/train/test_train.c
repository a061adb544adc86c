/* Training against a plain loop, and what it leaves on disk and in the store. */
#include "rllc/checkpoint.h"
#include "train/fixture.h"
#include "train/trainer.h"

/* What a plain loop over the public pieces gives. */
typedef struct plain {
    rllc_model model;
    double loss[64], norm[64], weight_norm[64], validation[64]; /* [step]: loss and norm of the update that led there */
} plain;

static double mean_loss(rllc_engine *e, const rllc_model *m, const rllc_rows *rows, int64_t n) {
    int32_t tokens[CONTEXT];
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        rllc_evaluation v = {0};
        rllc_rows_get(rows, i * rows->rows / n, tokens);
        assert_ok(rllc_engine_evaluate(e, m->weights, tokens, 1, &v));
        sum += v.loss;
    }
    return sum / (double)n;
}

static void train_plainly(const rllc_train_job *job, plain *p) {
    rllc_engine *e;
    rllc_adamw a;
    int32_t *tokens = test_memory(job->options.batch_size * CONTEXT, sizeof *tokens);
    assert_ok(rllc_model_init(&p->model, &job->model));
    float *g = test_memory(p->model.size, sizeof *g);
    assert_ok(rllc_adamw_init(&a, p->model.size, &job->optimizer));
    assert_ok(rllc_engine_new(&e, &p->model, job->options.batch_size, 1));
    rllc_model_randomize(&p->model, job->seed);
    for (int64_t step = 0;; step++) {
        double square = 0;
        for (int64_t i = 0; i < p->model.size; i++) square += (double)p->model.weights[i] * (double)p->model.weights[i];
        p->weight_norm[step] = sqrt(square);
        p->validation[step] = mean_loss(e, &p->model, job->validation, job->validation->rows);
        if (step == job->options.steps) break;
        for (int64_t i = 0; i < job->options.batch_size; i++)
            rllc_rows_get(job->train, rllc_train_row(job->seed, job->train->rows, step * job->options.batch_size + i),
                          tokens + i * CONTEXT);
        rllc_evaluation v = {.gradient = g};
        assert_ok(rllc_engine_evaluate(e, p->model.weights, tokens, job->options.batch_size, &v));
        assert_ok(rllc_adamw_update(&a, g, p->model.weights, 1, &p->norm[step + 1]));
        p->loss[step + 1] = v.loss;
    }
    rllc_adamw_release(&a);
    rllc_engine_free(e);
    free(tokens);
    free(g);
}

static void test_weights_equal_a_plain_loop(void **state) {
    (void)state;
    fixture f;
    plain p;
    rllc_model trained;
    fixture_open(&f);
    assert_ok(rllc_train(&f.job));
    train_plainly(&f.job, &p);
    assert_ok(rllc_model_load(&trained, step_file(f.job.folder, 12, "model.safetensors")));
    assert_memory_equal(trained.weights, p.model.weights, (size_t)trained.size * sizeof(float));
    assert_true(p.validation[12] < p.validation[0] - 0.02); /* it learns */
    rllc_model_release(&trained);
    rllc_model_release(&p.model);
    fixture_close(&f);
}

static double point_at(rllc_store *s, const char *metric, int64_t step) {
    rllc_store_point *list;
    int64_t n;
    double value = NAN;
    assert_ok(rllc_store_training(s, metric, &list, &n));
    for (int64_t i = 0; i < n; i++)
        if (list[i].step == step) value = list[i].value;
    rllc_free(list);
    return value;
}

static void test_curves_equal_a_plain_loop(void **state) {
    (void)state;
    fixture f;
    plain p;
    static const int64_t records[] = {0, 3, 4, 6, 8, 9, 12};
    fixture_open(&f);
    assert_ok(rllc_store_open(&f.job.store, rllc_intern_printf("%s/run.db", f.folder), RLLC_STORE_WRITE));
    assert_ok(rllc_train(&f.job));
    train_plainly(&f.job, &p);
    rllc_store_point *list;
    int64_t n;
    assert_ok(rllc_store_training(f.job.store, "weight_norm", &list, &n));
    assert_int_equal(n, 7);
    for (int64_t i = 0; i < n; i++) {
        const int64_t step = records[i], before = i ? records[i - 1] : 0;
        double sum = 0;
        for (int64_t k = before + 1; k <= step; k++) sum += p.loss[k];
        assert_int_equal(list[i].step, step);
        assert_near(list[i].value, p.weight_norm[step], 1e-10 * p.weight_norm[step]);
        assert_near(point_at(f.job.store, "validation_loss", step), p.validation[step], 1e-6); /* batches of 5, of 1 */
        assert_near(point_at(f.job.store, "tokens", step), (double)(step * 5 * CONTEXT), 0);
        assert_true(point_at(f.job.store, "seconds", step) >= 0);
        if (i == 0) {
            assert_true(isnan(point_at(f.job.store, "train_loss", 0)));
            continue;
        }
        assert_near(point_at(f.job.store, "train_loss", step), sum / (double)(step - before), 1e-12);
        assert_near(point_at(f.job.store, "gradient_norm", step), p.norm[step], 0);
    }
    rllc_free(list);
    rllc_store_close(f.job.store);
    rllc_model_release(&p.model);
    fixture_close(&f);
}

static void test_validation_rows_are_spread_over_the_split(void **state) {
    (void)state;
    fixture f;
    plain p;
    rllc_engine *e;
    fixture_open(&f);
    f.job.options.validation_rows = 3;
    f.job.options.steps = 0;
    assert_ok(rllc_store_open(&f.job.store, rllc_intern_printf("%s/run.db", f.folder), RLLC_STORE_WRITE));
    assert_ok(rllc_train(&f.job));
    train_plainly(&f.job, &p);
    assert_ok(rllc_engine_new(&e, &p.model, 1, 1));
    const double expected = mean_loss(e, &p.model, &f.validation, 3); /* rows 0, 2, 4 of 7 */
    assert_near(point_at(f.job.store, "validation_loss", 0), expected, 1e-6);
    assert_true(fabs(expected - p.validation[0]) > 1e-4); /* so the choice shows */
    rllc_engine_free(e);
    rllc_store_close(f.job.store);
    rllc_model_release(&p.model);
    fixture_close(&f);
}

static void test_threads_do_not_change_a_bit(void **state) {
    (void)state;
    static const int64_t steps[] = {0, 4, 8, 12};
    fixture f, g;
    fixture_open(&f);
    assert_ok(rllc_train(&f.job));
    for (int threads = 2; threads <= 3; threads++) {
        fixture_open(&g);
        g.job.n_threads = threads;
        assert_ok(rllc_train(&g.job));
        assert_same_run(f.job.folder, g.job.folder, steps, 4);
        fixture_close(&g);
    }
    fixture_close(&f);
}

/* ---- what is on disk ------------------------------------------------------------------------------------- */

static void test_checkpoints_carry_their_provenance(void **state) {
    (void)state;
    fixture f;
    rllc_safetensors s;
    rllc_json *j;
    fixture_open(&f);
    f.job.tokenizer_hash = "0123";
    assert_ok(rllc_train(&f.job));
    assert_ok(rllc_safetensors_open(&s, step_file(f.job.folder, 8, "model.safetensors")));
    static const char *const wanted[][2] = {{"rllc.step", "8"},
                                            {"rllc.seed", "3"},
                                            {"rllc.tokenizer_hash", "0123"},
                                            {"rllc.version", RLLC_VERSION},
                                            {"format", "pt"}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_string_equal(rllc_json_text(rllc_json_get(s.metadata, wanted[i][0])), wanted[i][1]);
    assert_string_equal(rllc_json_text(rllc_json_get(s.metadata, "rllc.data_hash")), f.train.hash.hex);
    assert_ok(rllc_json_load(&j, step_file(f.job.folder, 8, "trainer_state.json")));
    assert_string_equal(rllc_json_text(rllc_json_get(s.metadata, "rllc.config_hash")),
                        rllc_json_text(rllc_json_get(j, "config_hash")));
    assert_int_equal(rllc_json_to_integer(rllc_json_get(j, "step"), -1), 8);
    assert_int_equal(rllc_json_to_integer(rllc_json_get(j, "tokens"), -1), 8 * 5 * CONTEXT);
    assert_int_equal(rllc_json_length(rllc_json_get(j, "records")), 2); /* 6 and 8: since the checkpoint of step 4 */
    rllc_json_free(j);
    rllc_safetensors_close(&s);
    fixture_close(&f);
}

static void test_only_the_latest_optimizer_state_stays(void **state) {
    (void)state;
    fixture f;
    rllc_safetensors s;
    char **names;
    int64_t n;
    for (int all = 0; all < 2; all++) {
        fixture_open(&f);
        f.job.options.keep_all_optimizer_states = all;
        assert_ok(rllc_train(&f.job));
        for (int64_t step = 0; step <= 12; step += 4)
            assert_true(rllc_file_exists(step_file(f.job.folder, step, "optimizer.safetensors")) ==
                        (all || step == 12));
        assert_ok(rllc_folder_list(rllc_intern_printf("%s/checkpoints", f.job.folder), &names, &n));
        assert_int_equal(n, 4); /* and no partial one */
        rllc_names_free(names, n);
        assert_false(rllc_file_exists(rllc_intern_printf("%s/resume", f.job.folder)));
        assert_ok(rllc_safetensors_open(&s, step_file(f.job.folder, 12, "optimizer.safetensors")));
        assert_non_null(rllc_safetensors_find(&s, "exp_avg.blocks.1.attn.W_Q"));
        const rllc_tensor_view *v = rllc_safetensors_find(&s, "exp_avg_sq.unembed.b_U");
        assert_non_null(v);
        for (int64_t i = 0; i < v->n; i++) assert_true(((const float *)v->data)[i] > 0);
        rllc_safetensors_close(&s);
        fixture_close(&f);
    }
}

static void test_store_lists_the_checkpoints_beside_it(void **state) {
    (void)state;
    fixture f;
    rllc_store_checkpoint *list;
    rllc_model m;
    int64_t n;
    fixture_open(&f);
    assert_ok(rllc_store_open(&f.job.store, rllc_intern_printf("%s/run.db", f.folder), RLLC_STORE_WRITE));
    assert_ok(rllc_train(&f.job));
    assert_ok(rllc_store_checkpoints(f.job.store, &list, &n));
    assert_int_equal(n, 4);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(list[i].step, 4 * i);
        assert_int_equal(list[i].seed, 3);
        assert_string_equal(list[i].path,
                            rllc_intern_printf("run/checkpoints/step%lld/model.safetensors", (long long)(4 * i)));
        assert_ok(rllc_model_load(&m, rllc_intern_printf("%s/%s", f.folder, list[i].path)));
        const rllc_hash h = rllc_model_hash(&m);
        assert_string_equal(h.hex, list[i].hash);
        rllc_model_release(&m);
    }
    rllc_free(list);
    rllc_store_close(f.job.store);
    fixture_close(&f);
}

static void test_cost_counts_tokens_and_bytes(void **state) {
    (void)state;
    fixture f;
    double tokens, memory, disk;
    fixture_open(&f);
    assert_ok(rllc_train_cost(&f.job, &tokens, &memory, &disk));
    assert_near(tokens, 12.0 * 5 * CONTEXT, 0);
    rllc_model m;
    assert_ok(rllc_model_init(&m, &f.job.model));
    assert_true(memory > 16.0 * (double)m.size && memory < 64e6);
    assert_true(disk > 4 * 4.0 * (double)m.size && disk < 4 * 4.0 * (double)m.size + 28.0 * (double)m.size + 4 * 1e4);
    f.job.options.keep_all_optimizer_states = true;
    double all;
    assert_ok(rllc_train_cost(&f.job, &tokens, &memory, &all));
    assert_near(all - disk, 2 * 8.0 * (double)m.size, 1); /* 4 instead of 2 */
    rllc_model_release(&m);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_equal_a_plain_loop),
        cmocka_unit_test(test_curves_equal_a_plain_loop),
        cmocka_unit_test(test_validation_rows_are_spread_over_the_split),
        cmocka_unit_test(test_threads_do_not_change_a_bit),
        cmocka_unit_test(test_checkpoints_carry_their_provenance),
        cmocka_unit_test(test_only_the_latest_optimizer_state_stays),
        cmocka_unit_test(test_store_lists_the_checkpoints_beside_it),
        cmocka_unit_test(test_cost_counts_tokens_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
