/* Going on: after a stop, with other options, from damaged states, and what is refused. */
#include <signal.h>
#include <sys/resource.h>

#include "rllc/checkpoint.h"
#include "train/fixture.h"

static const int64_t all_steps[] = {0, 4, 8, 12};

/* A monitor that stops after so many steps of this call, and remembers what it was told. */
typedef struct listener {
    int64_t stop_after, seen;
    char message[2048];
} listener;

static bool stop_now(void *context) {
    listener *l = context;
    return l->stop_after >= 0 && l->seen++ >= l->stop_after;
}

static void hear(void *context, const char *text) {
    listener *l = context;
    (void)snprintf(l->message, sizeof l->message, "%s", text);
}

/** Trains f's job, stopping after `stop_after` steps (-1: never). */
static rllc_status train_some(fixture *f, int64_t stop_after, listener *l) {
    *l = (listener){.stop_after = stop_after};
    const rllc_monitor monitor = {.context = l, .stop = stop_now, .message = hear};
    f->job.monitor = &monitor;
    const rllc_status status = rllc_train(&f->job);
    f->job.monitor = NULL;
    return status;
}

static void with_store(fixture *f) {
    assert_ok(rllc_store_open(&f->job.store, rllc_intern_printf("%s/run.db", f->folder), RLLC_STORE_WRITE));
}

static void without(fixture *f) {
    rllc_store_close(f->job.store);
    f->job.store = NULL;
    fixture_close(f);
}

/** Stops of every length, over and over, until done; threads vary on the way. */
static void test_stopped_runs_end_with_the_same_bits_and_curves(void **state) {
    (void)state;
    fixture f, g;
    listener l;
    fixture_open(&f);
    with_store(&f);
    assert_ok(rllc_train(&f.job));
    for (int64_t stride = 1; stride <= 7; stride++) {
        fixture_open(&g);
        int calls = 0;
        rllc_status status;
        do {
            with_store(&g);
            g.job.n_threads = 1 + calls % 3;
            status = train_some(&g, stride, &l);
            if (status == RLLC_OK) break;
            assert_int_equal(status, RLLC_ESTOPPED);
            assert_non_null(strstr(rllc_error_detail(), "go on"));
            rllc_store_close(g.job.store);
            calls++;
        } while (calls < 20);
        assert_int_equal(status, RLLC_OK);
        assert_int_equal(calls, 11 / stride);
        assert_same_run(f.job.folder, g.job.folder, all_steps, 4);
        assert_same_curves(f.job.store, g.job.store);
        assert_same_checkpoints(f.job.store, g.job.store);
        assert_false(rllc_file_exists(rllc_intern_printf("%s/resume", g.job.folder)));
        without(&g);
    }
    without(&f);
}

static void test_finished_run_is_left_as_it_is(void **state) {
    (void)state;
    fixture f;
    struct stat before, after;
    fixture_open(&f);
    assert_ok(rllc_train(&f.job));
    assert_int_equal(stat(step_file(f.job.folder, 12, "model.safetensors"), &before), 0);
    assert_ok(rllc_train(&f.job));
    assert_int_equal(stat(step_file(f.job.folder, 12, "model.safetensors"), &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    fixture_close(&f);
}

static void test_more_steps_extend_a_run(void **state) {
    (void)state;
    fixture f, g;
    fixture_open(&f);
    fixture_open(&g);
    assert_ok(rllc_train(&f.job));
    g.job.options.steps = 8;
    assert_ok(rllc_train(&g.job));
    g.job.options.steps = 12;
    assert_ok(rllc_train(&g.job));
    assert_same_run(f.job.folder, g.job.folder, all_steps, 4);
    fixture_close(&g);
    fixture_close(&f);
}

/** A run stopped between checkpoints can be declared done there, whether or not that step has a point of the curves. */
static void test_a_stop_can_become_the_end(void **state) {
    (void)state;
    for (int64_t end = 6; end <= 7; end++) {
        fixture f, g;
        listener l;
        fixture_open(&f);
        fixture_open(&g);
        f.job.options.steps = end;
        assert_ok(rllc_train(&f.job));
        assert_int_equal(train_some(&g, end, &l), RLLC_ESTOPPED);
        g.job.options.steps = end;
        assert_ok(rllc_train(&g.job));
        assert_same_run(f.job.folder, g.job.folder, (const int64_t[]){0, 4, end}, 3);
        fixture_close(&g);
        fixture_close(&f);
    }
}

static void test_store_is_rebuilt_from_the_folder(void **state) {
    (void)state;
    fixture f, g;
    listener l;
    fixture_open(&f);
    fixture_open(&g);
    with_store(&f);
    assert_ok(rllc_train(&f.job));
    assert_int_equal(train_some(&g, 7, &l),
                     RLLC_ESTOPPED); /* without a store: points of 0, 3, 4, 6 only in the folder */
    with_store(&g);
    for (int64_t step = 8; step <= 20; step += 3) /* and a store that is ahead of the folder */
        assert_ok(rllc_store_put_training(g.job.store, g.job.seed, step, "train_loss", 99));
    assert_ok(rllc_train(&g.job));
    assert_same_curves(f.job.store, g.job.store);
    assert_same_checkpoints(f.job.store, g.job.store);
    without(&g);
    without(&f);
}

/* ---- refusals -------------------------------------------------------------------------------------------- */

static void refused(fixture *f, const char *field) {
    const rllc_status status = rllc_train(&f->job);
    if (status != RLLC_EMISMATCH) fail_msg("%s changed: status %d, %s", field, status, rllc_error_detail());
    if (!strstr(rllc_error_detail(), field)) fail_msg("'%s' is not named: %s", field, rllc_error_detail());
}

static void test_other_runs_are_refused_by_field(void **state) {
    (void)state;
    fixture f, other;
    fixture_open(&f);
    fixture_open(&other);
    assert_ok(rllc_train(&f.job));
    const rllc_train_job good = f.job;
    f.job.seed = 4;
    refused(&f, "seed is \"3\" there and \"4\" here");
    f.job = good;
    f.job.model.d_model = 16;
    refused(&f, "model.d_model is 8 there and 16 here");
    f.job = good;
    f.job.optimizer.lr = 0.02;
    f.job.optimizer.weight_decay = 0;
    refused(&f, "optimizer.lr is 0.01 there and 0.02 here; optimizer.weight_decay");
    f.job = good;
    f.job.options.batch_size = 6;
    refused(&f, "training.batch_size is 5 there and 6 here");
    f.job = good;
    f.job.options.validation_rows = 3;
    refused(&f, "training.validation_rows");
    f.job = good;
    f.job.validation = NULL;
    refused(&f, "data.validation");
    f.job = good;
    f.job.train = &f.validation;
    refused(&f, "data.train");
    f.job = good;
    f.job.options.steps = 11;
    refused(&f, "steps");
    f.job = good;
    f.job.options.checkpoints = "0,2,4,8";
    refused(&f, "checkpoints: step 2");
    f.job = good;
    assert_ok(rllc_train(&f.job));
    fixture_close(&other);
    fixture_close(&f);
}

static void test_rows_of_another_length_are_refused(void **state) {
    (void)state;
    fixture f;
    fixture_open(&f);
    f.job.model.n_ctx = CONTEXT + 1;
    assert_int_equal(rllc_train(&f.job), RLLC_EMISMATCH);
    assert_non_null(strstr(rllc_error_detail(), "rows of 12 tokens"));
    assert_false(rllc_file_exists(f.job.folder));
    fixture_close(&f);
}

static void test_checkpoints_without_a_state_are_refused(void **state) {
    (void)state;
    fixture f;
    fixture_open(&f);
    assert_ok(rllc_train(&f.job));
    assert_int_equal(unlink(step_file(f.job.folder, 12, "optimizer.safetensors")), 0);
    assert_int_equal(rllc_train(&f.job), RLLC_EINPUT);
    assert_non_null(strstr(rllc_error_detail(), "no optimizer.safetensors"));
    fixture_close(&f);
}

typedef struct rival {
    fixture *f;
    rllc_status status;
    char detail[512];
} rival;

static void train_too(void *context, const rllc_progress *p) {
    rival *r = context;
    (void)p;
    if (r->status != RLLC_OK) return;
    rllc_train_job job = r->f->job;
    job.monitor = NULL;
    job.store = NULL;
    r->status = rllc_train(&job);
    (void)snprintf(r->detail, sizeof r->detail, "%s", rllc_error_detail());
}

static void test_a_second_process_in_the_folder_is_refused(void **state) {
    (void)state;
    fixture f;
    fixture_open(&f);
    rival r = {.f = &f};
    const rllc_monitor monitor = {.context = &r, .progress = train_too};
    f.job.monitor = &monitor;
    assert_ok(rllc_train(&f.job));
    assert_int_equal(r.status, RLLC_EFAIL);
    assert_non_null(strstr(r.detail, "another process is training"));
    fixture_close(&f);
}

/* ---- trouble --------------------------------------------------------------------------------------------- */

/** Changes one bit of the byte at `at`, counted from the end if negative. */
static void flip_byte(const char *path, long at) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    const int c = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_CUR), 0);
    assert_int_equal(fputc(c ^ 1, file), c ^ 1);
    assert_int_equal(fclose(file), 0);
}

/** A number of the state becomes another one: the file stays well-formed. */
static void change_state(const char *path) {
    rllc_mapping m;
    assert_ok(rllc_mapping_open(&m, path));
    const unsigned char *found = memmem(m.data, m.size, "\"loss_sum\": ", 12);
    assert_non_null(found);
    const long at = (long)(found - m.data) + 12;
    rllc_mapping_close(&m);
    flip_byte(path, at);
}

static void damage(const char *path) {
    if (strstr(path, "trainer_state.json"))
        change_state(path);
    else
        flip_byte(path, -5);
}

/** A damaged newest state is noticed and said; the run goes on from the one before, to the same bits. */
static void test_damaged_state_falls_back_to_the_one_before(void **state) {
    (void)state;
    static const char *const files[] = {"model.safetensors", "optimizer.safetensors", "trainer_state.json"};
    fixture f, g;
    listener l;
    fixture_open(&f);
    assert_ok(rllc_train(&f.job));
    for (int i = 0; i < 3; i++) {
        fixture_open(&g);
        g.job.options.keep_all_optimizer_states = true;
        assert_int_equal(train_some(&g, 9, &l), RLLC_ESTOPPED); /* states at 8 and, between checkpoints, 9 */
        damage(step_file(g.job.folder, 8, files[i]));
        damage(rllc_intern_printf("%s/resume/step9/%s", g.job.folder, files[i]));
        assert_int_equal(train_some(&g, 0, &l), RLLC_ESTOPPED);
        assert_non_null(strstr(rllc_error_detail(), "step 4 of 12"));
        assert_ok(train_some(&g, -1, &l));
        for (int k = 0; k < 4; k++) {
            const rllc_hash h = file_hash(step_file(g.job.folder, all_steps[k], "model.safetensors"));
            assert_string_equal(h.hex, file_hash(step_file(f.job.folder, all_steps[k], "model.safetensors")).hex);
        }
        assert_false(rllc_file_exists(rllc_intern_printf("%s/resume", g.job.folder)));
        fixture_close(&g);
    }
    fixture_close(&f);
}

static void test_damaged_state_is_said(void **state) {
    (void)state;
    fixture f;
    listener l;
    fixture_open(&f);
    assert_ok(rllc_train(&f.job));
    flip_byte(step_file(f.job.folder, 12, "model.safetensors"), -5);
    assert_int_equal(train_some(&f, -1, &l), RLLC_EINPUT);
    assert_non_null(strstr(l.message, "step 12 cannot be gone on from"));
    assert_non_null(strstr(l.message, "damaged"));
    fixture_close(&f);
}

static void test_numbers_that_overflow_stop_the_run(void **state) {
    (void)state;
    fixture f;
    rllc_model m;
    fixture_open(&f);
    f.job.optimizer.lr = 1e30;
    assert_int_equal(rllc_train(&f.job), RLLC_ENOTFINITE);
    assert_non_null(strstr(rllc_error_detail(), "lr 1e+30"));
    assert_non_null(strstr(rllc_error_detail(), "update 2"));
    assert_non_null(strstr(rllc_error_detail(), "smaller lr"));
    assert_ok(rllc_model_load(&m, step_file(f.job.folder, 0, "model.safetensors")));
    rllc_model_release(&m);
    assert_int_equal(rllc_train(&f.job), RLLC_ENOTFINITE); /* again: it goes on from step 0 to the same end */
    fixture_close(&f);
}

/** A child that may write no file longer than `limit` bytes trains and reports its status and sentence. */
static int train_with_limit(fixture *f, rlim_t limit, char *detail, size_t n) {
    int channel[2], status = 0;
    assert_int_equal(pipe(channel), 0);
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit r = {limit, limit};
        (void)signal(SIGXFSZ, SIG_IGN); /* then write fails with EFBIG, as a full disk does with ENOSPC */
        if (setrlimit(RLIMIT_FSIZE, &r) != 0) _exit(100);
        const rllc_status s = rllc_train(&f->job);
        const char *text = s == RLLC_OK ? "" : rllc_error_detail();
        if (write(channel[1], text, strlen(text)) < 0) _exit(101);
        _exit((int)s);
    }
    (void)close(channel[1]);
    size_t got = 0;
    for (ssize_t k; got < n - 1 && (k = read(channel[0], detail + got, n - 1 - got)) > 0;) got += (size_t)k;
    detail[got] = '\0';
    (void)close(channel[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/** Whatever the size at which writing fails: a sentence, nothing half, and the run goes on once there is room. */
static void test_full_disk_keeps_the_last_checkpoint(void **state) {
    (void)state;
    fixture f, g;
    char detail[2048];
    fixture_open(&f);
    assert_ok(rllc_train(&f.job));
    int failures = 0;
    for (rlim_t limit = 0; limit < 40000; limit += 1500) {
        fixture_open(&g);
        g.job.options.steps = 4;
        assert_ok(rllc_train(&g.job));
        g.job.options.steps = 12;
        const int status = train_with_limit(&g, limit, detail, sizeof detail);
        assert_true(status == RLLC_OK || status == RLLC_EIO);
        if (status == RLLC_EIO) {
            failures++;
            assert_non_null(strstr(detail, "step 8 could not be saved, the state of step 4 is intact"));
            assert_non_null(strstr(detail, "cannot write"));
            assert_true(rllc_file_exists(step_file(g.job.folder, 4, "optimizer.safetensors")));
            assert_false(rllc_file_exists(step_file(g.job.folder, 8, "")));
        }
        assert_ok(rllc_train(&g.job));
        assert_same_run(f.job.folder, g.job.folder, all_steps, 4);
        fixture_close(&g);
    }
    assert_true(failures >= 3);
    fixture_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_disk_keeps_the_last_checkpoint), /* forks: first, before there are threads */
        cmocka_unit_test(test_stopped_runs_end_with_the_same_bits_and_curves),
        cmocka_unit_test(test_finished_run_is_left_as_it_is),
        cmocka_unit_test(test_more_steps_extend_a_run),
        cmocka_unit_test(test_a_stop_can_become_the_end),
        cmocka_unit_test(test_store_is_rebuilt_from_the_folder),
        cmocka_unit_test(test_other_runs_are_refused_by_field),
        cmocka_unit_test(test_rows_of_another_length_are_refused),
        cmocka_unit_test(test_checkpoints_without_a_state_are_refused),
        cmocka_unit_test(test_a_second_process_in_the_folder_is_refused),
        cmocka_unit_test(test_damaged_state_falls_back_to_the_one_before),
        cmocka_unit_test(test_damaged_state_is_said),
        cmocka_unit_test(test_numbers_that_overflow_stop_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
