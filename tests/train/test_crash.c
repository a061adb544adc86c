/*
 * Death at any moment. A child trains; it is killed at random times, or ends at its k-th change of the file system, for
 * every k. Run again it must finish with the bits, the files and the curves of a run that nobody disturbed.
 *
 * RLLC_KILLS says how many random kills (default 12): `RLLC_KILLS=200 tests/test_crash` takes minutes.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "rllc/checkpoint.h"
#include "train/fixture.h"

/* ---- dying at the k-th change --------------------------------------------------------------------------- */

/* This program's own rename, unlink, ... stand in for the C library's, also inside SQLite. */
#define EXPORTED __attribute__((visibility("default")))

static int changes, die_at; /* die_at 0: never */

static void change(void) {
    if (++changes == die_at) _exit(99); /* as abruptly as a kill, and just before the change is made */
}

EXPORTED int rename(const char *from, const char *to) {
    change();
    return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

EXPORTED int unlink(const char *path) {
    change();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

EXPORTED int rmdir(const char *path) {
    change();
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

EXPORTED int mkdir(const char *path, mode_t mode) {
    change();
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

EXPORTED int fsync(int fd) { /* the disk itself is not what is tested: nothing to wait for */
    (void)fd;
    change();
    return 0;
}

EXPORTED int fdatasync(int fd) {
    (void)fd;
    change();
    return 0;
}

/* ---- the child ------------------------------------------------------------------------------------------- */

typedef struct plan {
    int steps, checkpoint_every, threads;
    int stop_at; /* the monitor asks to stop at this step; -1 = never */
    int die_at;
} plan;

static bool stop_there(void *context) {
    int *left = context;
    return *left >= 0 && (*left)-- == 0;
}

/** Exit code: 0 done, 75 stopped, 1 failed; 99 died as asked. */
static int train_here(const char *folder, const plan *p) {
    fixture f;
    int left = p->stop_at;
    const rllc_monitor monitor = {.context = &left, .stop = stop_there};
    fixture_attach(&f, folder);
    f.job.options.steps = p->steps;
    f.job.options.checkpoints = rllc_intern_printf("0..%d:%d", p->steps, p->checkpoint_every);
    f.job.options.validation_every = 3;
    f.job.n_threads = p->threads;
    f.job.monitor = &monitor;
    die_at = p->die_at;
    rllc_status status = rllc_store_open(&f.job.store, rllc_intern_printf("%s/run.db", folder), RLLC_STORE_WRITE);
    if (status == RLLC_OK) status = rllc_train(&f.job);
    rllc_store_close(f.job.store);
    if (status != RLLC_OK && status != RLLC_ESTOPPED) fprintf(stderr, "%s\n", rllc_error_detail());
    return rllc_status_exit_code(status);
}

static pid_t start(const char *folder, const plan *p) {
    char argument[5][16];
    const int numbers[5] = {p->steps, p->checkpoint_every, p->threads, p->stop_at, p->die_at};
    for (int i = 0; i < 5; i++) (void)snprintf(argument[i], sizeof argument[i], "%d", numbers[i]);
    const pid_t child = fork();
    if (child == 0) {
        (void)execl("/proc/self/exe", "test_crash", folder, argument[0], argument[1], argument[2], argument[3],
                    argument[4], (char *)NULL);
        _exit(127);
    }
    assert_true(child > 0);
    return child;
}

/** Exit code of the child, 128 + signal if one ended it. */
static int end_of(pid_t child) {
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(const char *folder, const plan *p) {
    return end_of(start(folder, p));
}

/* ---- comparing ------------------------------------------------------------------------------------------- */

static void assert_same_names(const char *a, const char *b) {
    char **x, **y;
    int64_t n, m;
    assert_ok(rllc_folder_list(a, &x, &n));
    assert_ok(rllc_folder_list(b, &y, &m));
    assert_int_equal(n, m);
    for (int64_t i = 0; i < n; i++) {
        assert_string_equal(x[i], y[i]);
        const char *inner = rllc_intern_printf("%s/%s", a, x[i]);
        if (rllc_is_folder(inner)) assert_same_names(inner, rllc_intern_printf("%s/%s", b, y[i]));
    }
    rllc_names_free(x, n);
    rllc_names_free(y, m);
}

static void assert_same_outcome(const char *a, const char *b, const plan *p) {
    const char *x = rllc_intern_printf("%s/run", a), *y = rllc_intern_printf("%s/run", b);
    rllc_store *s, *t;
    int64_t steps[64];
    int n = 0;
    for (int step = 0; step <= p->steps; step += p->checkpoint_every) steps[n++] = step;
    assert_same_names(x, y);
    assert_same_run(x, y, steps, n);
    assert_ok(rllc_store_open(&s, rllc_intern_printf("%s/run.db", a), RLLC_STORE_READ));
    assert_ok(rllc_store_open(&t, rllc_intern_printf("%s/run.db", b), RLLC_STORE_READ));
    assert_same_curves(s, t);
    assert_same_checkpoints(s, t);
    rllc_store_close(s);
    rllc_store_close(t);
}

/** A folder with the corpus, for runs whose bytes will be compared. */
static const char *new_folder(void) {
    fixture f;
    fixture_open(&f);
    fixture_detach(&f);
    return rllc_intern(f.folder);
}

/* ---- tests ----------------------------------------------------------------------------------------------- */

/** Calls in order: with `first` stopping after some steps (or not at all), then to the end; one of them dies at change
 * k. */
static int check_every_change(int stop_at, bool die_in_first) {
    const plan whole = {.steps = 4, .checkpoint_every = 4, .threads = 1, .stop_at = -1};
    const char *reference = new_folder();
    assert_int_equal(run(reference, &whole), 0);
    int k = 1;
    for (;; k++) {
        const char *folder = new_folder();
        plan first = whole, second = whole;
        first.stop_at = stop_at;
        if (die_in_first)
            first.die_at = k;
        else
            second.die_at = k;
        int end = run(folder, &first);
        assert_true(end == (die_in_first ? 99 : 75) || end == 75 || end == 0);
        const bool died = end == 99;
        if (!died && !die_in_first) end = run(folder, &second);
        const bool last = end != 99;
        assert_int_equal(run(folder, &whole), 0);
        assert_same_outcome(reference, folder, &whole);
        remove_tree(folder);
        if (last) break;
    }
    remove_tree(reference);
    printf("             %d changes\n", k - 1);
    return k - 1;
}

static void test_death_at_every_change_of_a_run(void **state) {
    (void)state;
    assert_true(check_every_change(-1, true) > 40);
}

static void test_death_at_every_change_of_a_stop(void **state) {
    (void)state;
    assert_true(check_every_change(2, true) > 20);
}

static void test_death_at_every_change_of_going_on(void **state) {
    (void)state;
    assert_true(check_every_change(2, false) > 20);
}

static void test_kill_at_random_moments(void **state) {
    (void)state;
    const char *asked = getenv("RLLC_KILLS"), *reference = new_folder(), *folder = new_folder();
    const int wanted = asked ? atoi(asked) : 12;
    plan p = {.steps = 60, .checkpoint_every = 10, .threads = 1, .stop_at = -1};
    struct timespec begin, end;
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(run(reference, &p), 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    const uint64_t whole = (uint64_t)((end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000);
    const rllc_stream s = rllc_stream_make((uint64_t)begin.tv_nsec, "kill", 0, 0);
    int kills = 0, finished = 0;
    for (uint64_t i = 0; kills < wanted; i++) {
        p.threads = 1 + (int)(i % 3);
        const pid_t child = start(folder, &p);
        (void)usleep((useconds_t)rllc_stream_below(&s, i, whole));
        (void)kill(child, SIGKILL);
        const int how = end_of(child);
        assert_true(how == 128 + SIGKILL || how == 0);
        kills += how != 0;
        if (how != 0) continue;
        assert_same_outcome(reference, folder, &p);
        remove_tree(folder);
        folder = new_folder();
        finished++;
    }
    assert_int_equal(run(folder, &p), 0);
    assert_same_outcome(reference, folder, &p);
    printf("             %d kills, %d runs finished\n", kills, finished + 1);
    remove_tree(folder);
    remove_tree(reference);
}

int main(int argc, char **argv) {
    if (argc == 7) {
        const plan p = {atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), atoi(argv[6])};
        return train_here(argv[1], &p);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_death_at_every_change_of_a_run),
        cmocka_unit_test(test_death_at_every_change_of_a_stop),
        cmocka_unit_test(test_death_at_every_change_of_going_on),
        cmocka_unit_test(test_kill_at_random_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
