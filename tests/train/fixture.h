/* fixture: a tiny corpus and a training job in a folder of its own. */
#ifndef TESTS_TRAIN_FIXTURE_H
#define TESTS_TRAIN_FIXTURE_H

#include <ftw.h>
#include <sys/stat.h>

#include "rllc/train.h"
#include "support/support.h"

enum { TRAIN_ROWS = 23, VALIDATION_ROWS = 7, CONTEXT = 12, VOCABULARY = 13 };

typedef struct fixture {
    char folder[64];
    rllc_rows train, validation;
    rllc_train_job job; /* no store; folder "run" inside */
} fixture;

/** Rows in which a token mostly follows from the one before, so that there is something to learn. */
static inline void write_rows(const char *path, int64_t rows, uint64_t seed) {
    uint16_t *ids = test_memory(rows * CONTEXT, sizeof *ids);
    const rllc_stream s = rllc_stream_make(seed, "rows", 0, 0);
    for (int64_t i = 0; i < rows * CONTEXT; i++) {
        const bool random = i % CONTEXT <= 1 || rllc_stream_below(&s, 2 * (uint64_t)i, 5) == 0;
        const uint64_t next =
            random ? rllc_stream_below(&s, 2 * (uint64_t)i + 1, VOCABULARY - 1) : ids[i - 1] * 5ULL + 1;
        ids[i] = (uint16_t)(i % CONTEXT == 0 ? VOCABULARY - 1 : next % (VOCABULARY - 1));
    }
    assert_ok(rllc_npy_write(path, "<u2", 2, (const int64_t[]){rows, CONTEXT}, ids, sizeof *ids));
    free(ids);
}

static inline void tiny_options(rllc_train_job *job) {
    rllc_options_default(&rllc_model_option_table, &job->model);
    rllc_options_default(&rllc_adamw_option_table, &job->optimizer);
    rllc_options_default(&rllc_train_option_table, &job->options);
    job->model.n_layers = 2;
    job->model.d_model = 8;
    job->model.n_heads = 2;
    job->model.d_head = 4;
    job->model.n_ctx = CONTEXT;
    job->model.d_vocab = VOCABULARY;
    job->optimizer.lr = 0.01;
    job->options.steps = 12;
    job->options.batch_size = 5;
    job->options.checkpoints = rllc_intern("0,4,8");
    job->options.validation_every = 3;
    job->options.validation_rows = 0;
    job->options.save_every_seconds = 0;
    job->seed = 3;
    job->n_threads = 1;
}

/** Opens the corpus in an existing folder and makes the job. */
static inline void fixture_attach(fixture *f, const char *folder) {
    *f = (fixture){0};
    (void)snprintf(f->folder, sizeof f->folder, "%s", folder);
    assert_ok(rllc_rows_open(&f->train, rllc_intern_printf("%s/train.npy", folder), VOCABULARY));
    assert_ok(rllc_rows_open(&f->validation, rllc_intern_printf("%s/validation.npy", folder), VOCABULARY));
    tiny_options(&f->job);
    f->job.train = &f->train;
    f->job.validation = &f->validation;
    f->job.folder = rllc_intern_printf("%s/run", folder);
}

static inline void fixture_detach(fixture *f) {
    rllc_rows_close(&f->train);
    rllc_rows_close(&f->validation);
}

static inline void fixture_open(fixture *f) {
    char folder[] = "/tmp/rllc-train-XXXXXX";
    assert_non_null(mkdtemp(folder));
    write_rows(rllc_intern_printf("%s/train.npy", folder), TRAIN_ROWS, 1);
    write_rows(rllc_intern_printf("%s/validation.npy", folder), VALIDATION_ROWS, 2);
    fixture_attach(f, folder);
}

static inline int remove_entry(const char *path, const struct stat *s, int kind, struct FTW *at) {
    (void)s;
    (void)kind;
    (void)at;
    return remove(path);
}

static inline void remove_tree(const char *path) {
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fixture_close(fixture *f) {
    fixture_detach(f);
    remove_tree(f->folder);
}

/** path/to/<run>/checkpoints/step<N>/<file> */
static inline const char *step_file(const char *run, int64_t step, const char *file) {
    return rllc_intern_printf("%s/checkpoints/step%lld/%s", run, (long long)step, file);
}

static inline rllc_hash file_hash(const char *path) {
    rllc_hash h;
    assert_ok(rllc_hash_file(path, &h));
    return h;
}

/** cmocka's own comparison rounds to float. */
static inline void assert_near(double found, double expected, double tolerance) {
    if (!(fabs(found - expected) <= tolerance)) fail_msg("%.17g, expected %.17g +- %g", found, expected, tolerance);
}

/** The same points of the curves in both trainer_state.json (the wall seconds aside). */
static inline void assert_same_records(const char *a, const char *b) {
    rllc_json *x, *y;
    assert_ok(rllc_json_load(&x, a));
    assert_ok(rllc_json_load(&y, b));
    const rllc_json *p = rllc_json_get(x, "records"), *q = rllc_json_get(y, "records");
    assert_true(rllc_json_is_array(p));
    assert_int_equal(rllc_json_length(p), rllc_json_length(q));
    for (int64_t i = 0; i < rllc_json_length(p); i++) {
        static const char *const keys[] = {"step", "train_loss", "validation_loss", "gradient_norm", "weight_norm"};
        for (int k = 0; k < 5; k++) {
            const double u = rllc_json_to_real(rllc_json_get(rllc_json_at(p, i), keys[k]), -1);
            const double v = rllc_json_to_real(rllc_json_get(rllc_json_at(q, i), keys[k]), -1);
            assert_memory_equal(&u, &v, sizeof u);
        }
    }
    rllc_json_free(x);
    rllc_json_free(y);
}

/** Equal bytes of the model files of every step given, and of the last step's optimizer state. */
static inline void assert_same_run(const char *a, const char *b, const int64_t *steps, int n) {
    for (int i = 0; i < n; i++) {
        const rllc_hash x = file_hash(step_file(a, steps[i], "model.safetensors"));
        assert_string_equal(x.hex, file_hash(step_file(b, steps[i], "model.safetensors")).hex);
        assert_same_records(step_file(a, steps[i], "trainer_state.json"), step_file(b, steps[i], "trainer_state.json"));
        const bool last = i == n - 1;
        assert_true(rllc_file_exists(step_file(b, steps[i], "optimizer.safetensors")) == last);
    }
    rllc_safetensors s, t;
    assert_ok(rllc_safetensors_open(&s, step_file(a, steps[n - 1], "optimizer.safetensors")));
    assert_ok(rllc_safetensors_open(&t, step_file(b, steps[n - 1], "optimizer.safetensors")));
    const rllc_hash x = rllc_tensors_hash(s.tensors, s.n), y = rllc_tensors_hash(t.tensors, t.n);
    assert_string_equal(x.hex, y.hex);
    rllc_safetensors_close(&s);
    rllc_safetensors_close(&t);
}

/** Every curve but the wall seconds, to the bit. */
static inline void assert_same_curves(rllc_store *a, rllc_store *b) {
    static const char *const metrics[] = {"train_loss", "validation_loss", "gradient_norm", "weight_norm", "tokens"};
    for (int k = 0; k < 5; k++) {
        rllc_store_point *x, *y;
        int64_t n, m;
        assert_ok(rllc_store_training(a, metrics[k], &x, &n));
        assert_ok(rllc_store_training(b, metrics[k], &y, &m));
        assert_int_equal(n, m);
        assert_true(n > 0);
        for (int64_t i = 0; i < n; i++) {
            assert_int_equal(x[i].step, y[i].step);
            assert_memory_equal(&x[i].value, &y[i].value, sizeof(double));
        }
        rllc_free(x);
        rllc_free(y);
    }
}

static inline void assert_same_checkpoints(rllc_store *a, rllc_store *b) {
    rllc_store_checkpoint *x, *y;
    int64_t n, m;
    assert_ok(rllc_store_checkpoints(a, &x, &n));
    assert_ok(rllc_store_checkpoints(b, &y, &m));
    assert_int_equal(n, m);
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(x[i].step, y[i].step);
        assert_string_equal(x[i].hash, y[i].hash);
        assert_string_equal(x[i].path, y[i].path);
    }
    rllc_free(x);
    rllc_free(y);
}

#endif
