/* The store among processes: locks, several writers, creation by several at once, kill -9. */
#include <sys/stat.h>
#include <time.h>

#include "store/children.h"

/* ---- locks and writers ----------------------------------------------------------------------------------- */

/* Starts a child that runs `sql` on the store and then waits until it is killed. */
static pid_t hold(const char *path, const char *sql) {
    int pipe_ends[2];
    char byte = 0;
    assert_int_equal(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        sqlite3 *db = NULL;
        NEED(sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
        NEED(write(pipe_ends[1], "x", 1) == 1);
        for (;;) pause();
    }
    assert_int_equal(read(pipe_ends[0], &byte, 1), 1);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return child;
}

static void end(pid_t child) {
    int status = 0;
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

static void test_locked_store_is_told_after_the_wait(void **state) {
    const char *path = scratch_path(state, "busy.db");
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    put_everything(s);
    rllc_store_close(s);
    pid_t child = hold(path, "BEGIN EXCLUSIVE");
    double start = rllc_now();
    assert_fails(rllc_store_open_waiting(&s, path, RLLC_STORE_WRITE, 300), RLLC_EIO, "held the store locked for 0.3 s");
    assert_true(rllc_now() - start > 0.25);
    assert_fails(rllc_store_open_waiting(&s, path, RLLC_STORE_READ, 50), RLLC_EIO, "fuser");
    end(child);
    assert_ok(rllc_store_open_waiting(&s, path, RLLC_STORE_WRITE, 200));
    child = hold(path, "BEGIN IMMEDIATE");
    assert_ok(read_everything(s)); /* a writer that has not yet committed does not hinder reading */
    assert_fails(rllc_store_begin(s), RLLC_EIO, "another process");
    assert_fails(rllc_store_set_meta(s, "a", "b"), RLLC_EIO, "another process");
    end(child);
    assert_ok(rllc_store_set_meta(s, "a", "b"));
    child = hold(path, "BEGIN; SELECT count(*) FROM meta"); /* a reader that stays: commits must wait */
    assert_ok(rllc_store_begin(s));
    assert_ok(rllc_store_set_meta(s, "c", "d"));
    assert_fails(rllc_store_commit(s), RLLC_EIO, "another process");
    assert_fails(rllc_store_commit(s), RLLC_EFAIL, "no open transaction"); /* it has been rolled back */
    end(child);
    rllc_string text = {0};
    assert_int_equal(rllc_store_get_meta(s, "c", &text), RLLC_ENOTFOUND);
    rllc_string_release(&text);
    rllc_store_close(s);
}

/* Adds one to a shared counter in a transaction, and some draws to a chain of its own. */
static void write_along(const char *path, int64_t cell, int writer, int64_t n) {
    rllc_store *s = NULL;
    NEED(rllc_store_open(&s, path, RLLC_STORE_WRITE) == RLLC_OK);
    for (int64_t k = 0; k < n; k++) {
        rllc_string text = {0};
        NEED(rllc_store_begin(s) == RLLC_OK);
        NEED(rllc_store_get_meta(s, "counter", &text) == RLLC_OK);
        const char *next = rllc_intern_printf("%d", atoi(rllc_string_text(&text)) + 1);
        NEED(rllc_store_set_meta(s, "counter", next) == RLLC_OK);
        NEED(append_draws(s, cell, writer, 10 * k, 10) == RLLC_OK);
        NEED(rllc_store_commit(s) == RLLC_OK);
        NEED(rllc_store_put_training(s, (uint64_t)writer, k, "train_loss", (double)k) == RLLC_OK);
        rllc_string_release(&text);
    }
    rllc_store_close(s);
}

static void test_writers_lose_nothing(void **state) {
    enum { WRITERS = 4 };
    const char *path = scratch_path(state, "shared.db");
    const int64_t n = effort(8);
    pid_t children[WRITERS];
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    const rllc_store_cell cell = put_cell(s, 1, 100, "mix", "full");
    assert_ok(rllc_store_set_meta(s, "counter", "0"));
    rllc_store_close(s);
    for (int i = 0; i < WRITERS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            write_along(path, cell.id, i, n);
            _exit(0);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        int status = 0;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    rllc_string text = {0};
    rllc_store_point *points = NULL;
    int64_t n_points = 0;
    s = open_store(path, RLLC_STORE_READ);
    assert_ok(rllc_store_get_meta(s, "counter", &text));
    assert_int_equal(atoi(text.data), WRITERS * n);
    for (int i = 0; i < WRITERS; i++) check_draws(s, cell.id, i, 10 * n);
    assert_ok(rllc_store_training(s, "train_loss", &points, &n_points));
    assert_int_equal(n_points, WRITERS * n);
    rllc_free(points);
    rllc_string_release(&text);
    rllc_store_close(s);
    check_integrity(path);
}

/* Processes that all find no store and make one: one store comes of it. */
static void test_writers_create_one_store_together(void **state) {
    for (int64_t k = 0; k < effort(3); k++) {
        const char *path = scratch_path(state, "created.db");
        pid_t children[4];
        unlink(path);
        for (int i = 0; i < 4; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                rllc_store *s = NULL;
                NEED(rllc_store_open(&s, path, RLLC_STORE_WRITE) == RLLC_OK);
                NEED(rllc_store_put_training(s, 1, i, "m", i) == RLLC_OK);
                rllc_store_close(s);
                _exit(0);
            }
        }
        for (int i = 0; i < 4; i++) {
            int status = 0;
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            assert_int_equal(status, 0);
        }
        rllc_store_point *points = NULL;
        int64_t n = 0;
        rllc_store *s = open_store(path, RLLC_STORE_READ);
        assert_ok(rllc_store_training(s, "m", &points, &n));
        assert_int_equal(n, 4);
        rllc_free(points);
        rllc_store_close(s);
    }
}

/* The same, made certain: while one makes the tables, another has already seen the empty file and waits. */
static void test_the_second_to_create_finds_the_first(void **state) {
    const char *path = scratch_path(state, "late.db"), *model = scratch_path(state, "model.db");
    rllc_store_close(open_store(model, RLLC_STORE_WRITE));
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    const pid_t first = fork();
    if (first == 0) {
        sqlite3 *db = NULL;
        char *sql =
            sqlite3_mprintf("ATTACH %Q AS other; BEGIN IMMEDIATE; CREATE TABLE meta AS SELECT * FROM other.meta;"
                            "PRAGMA application_id=%d; PRAGMA user_version=2",
                            model, 0x724C4C43);
        NEED(sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
        NEED(write(ends[1], "x", 1) == 1);
        usleep(300000);
        NEED(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
        _exit(0);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    rllc_store_close(open_store(path, RLLC_STORE_WRITE));
    int status = 0;
    assert_int_equal(waitpid(first, &status, 0), first);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
}

/* ---- kill -9 --------------------------------------------------------------------------------------------- */

/* Killed with half of a transaction on the disk: the journal is rolled back, by a reader as well. */
static void test_journal_of_a_killed_writer_is_rolled_back(void **state) {
    const char *path = scratch_path(state, "hot.db"), *journal = scratch_path(state, "hot.db-journal");
    for (int mode = RLLC_STORE_READ; mode <= RLLC_STORE_WRITE; mode++) {
        unlink(path);
        rllc_store *s = open_store(path, RLLC_STORE_WRITE);
        const rllc_store_cell cell = put_cell(s, 1, 100, "mix", "full");
        assert_ok(append_draws(s, cell.id, 0, 0, 500));
        rllc_store_close(s);
        /* A cache of one page: the changes are written into the file before the commit. */
        end(hold(path, "PRAGMA cache_size=1; BEGIN IMMEDIATE; UPDATE trace SET loss = -1, baseline = -1;"
                       "INSERT INTO meta SELECT 'k' || draw, hex(randomblob(200)) FROM trace"));
        struct stat info;
        assert_int_equal(stat(journal, &info), 0);
        assert_true(info.st_size > 4096);
        s = open_store(path, mode);
        check_draws(s, cell.id, 0, 500);
        rllc_store_close(s);
        assert_false(rllc_file_exists(journal));
        check_integrity(path);
    }
}

/* Commits 1, 2, 3, ... and reports each after its commit. */
static void commit_until_killed(const char *path, int64_t cell, int report) {
    rllc_store *s = NULL;
    NEED(rllc_store_open(&s, path, RLLC_STORE_WRITE) == RLLC_OK);
    rllc_store_chain chain;
    const rllc_status status = rllc_store_get_chain(s, cell, 0, &chain, NULL, 0, NULL);
    int64_t done = status == RLLC_OK ? chain.n_draws : 0;
    for (;;) {
        NEED(rllc_store_begin(s) == RLLC_OK);
        NEED(append_draws(s, cell, 0, done, 40) == RLLC_OK);
        done += 40;
        NEED(rllc_store_set_meta(s, "done", rllc_intern_printf("%lld", (long long)done)) == RLLC_OK);
        NEED(rllc_store_commit(s) == RLLC_OK);
        NEED(write(report, &done, sizeof done) == sizeof done);
    }
}

static void test_kill_leaves_the_last_commit(void **state) {
    const char *path = scratch_path(state, "killed.db");
    uint64_t seed = 99;
    int64_t in_transaction = 0, last = 0;
    const int64_t n = effort(14);
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    const rllc_store_cell cell = put_cell(s, 1, 100, "mix", "full");
    rllc_store_close(s);
    for (int64_t k = 0; k < n; k++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        if (child == 0) commit_until_killed(path, cell.id, ends[1]);
        close(ends[1]);
        /* after some commits, and then at any moment */
        int64_t reported = 0;
        for (uint64_t m = next_random(&seed) % 3; m > 0; m--) {
            assert_int_equal(read(ends[0], &reported, sizeof reported), sizeof reported);
            last = reported;
        }
        const struct timespec wait = {0, (long)(next_random(&seed) % 30000000)};
        nanosleep(&wait, NULL);
        end(child);
        while (read(ends[0], &reported, sizeof reported) == sizeof reported) last = reported;
        close(ends[0]);
        in_transaction += rllc_file_exists(scratch_path(state, "killed.db-journal"));
        rllc_string text = {0};
        rllc_store_chain chain;
        s = open_store(path, k % 2 ? RLLC_STORE_READ : RLLC_STORE_WRITE);
        const rllc_status status = rllc_store_get_meta(s, "done", &text);
        const int64_t done = status == RLLC_OK ? atoll(rllc_string_text(&text)) : 0;
        /* what was reported is there; at most one commit more, whose report was cut off */
        assert_true(done == last || done == last + 40);
        last = done;
        if (done > 0) {
            assert_ok(rllc_store_get_chain(s, cell.id, 0, &chain, NULL, 0, NULL));
            assert_int_equal(chain.n_draws, done);
        }
        check_draws(s, cell.id, 0, done);
        rllc_string_release(&text);
        rllc_store_close(s);
    }
    print_message("%lld kills, %lld with a journal on the disk; %lld draws committed and kept\n", (long long)n,
                  (long long)in_transaction, (long long)last);
    assert_true(last > 0);
    check_integrity(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_locked_store_is_told_after_the_wait),
        cmocka_unit_test(test_writers_lose_nothing),
        cmocka_unit_test(test_writers_create_one_store_together),
        cmocka_unit_test(test_the_second_to_create_finds_the_first),
        cmocka_unit_test(test_journal_of_a_killed_writer_is_rolled_back),
        cmocka_unit_test(test_kill_leaves_the_last_commit),
    };
    return cmocka_run_group_tests_name("store among processes", tests, scratch_setup, scratch_teardown);
}
