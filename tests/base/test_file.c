/* Mappings, folders, and files that appear whole or not at all, also when the system refuses a step of it. */
#include "base/helpers.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Stands before the C library's own: fails when asked to. A negative countdown never fails. */
static int fsync_countdown = -1, rename_countdown = -1, refusal = EIO;
static off_t largest_synced; /* size of the largest regular file at its fsync in the running test */

int fsync(int file) {
    struct stat info;
    bool regular = fstat(file, &info) == 0 && S_ISREG(info.st_mode);
    if (regular && info.st_size > largest_synced) largest_synced = info.st_size;
    if (fsync_countdown >= 0 && fsync_countdown-- == 0) {
        errno = refusal;
        return -1;
    }
    return (int)syscall(SYS_fsync, file);
}

int rename(const char *from, const char *to) {
    if (rename_countdown >= 0 && rename_countdown-- == 0) {
        errno = refusal;
        return -1;
    }
    return (int)syscall(SYS_rename, from, to);
}

static void assert_names(void **state, const char *const *expected, int64_t n_expected) {
    char **names;
    int64_t n;
    assert_ok(rllc_folder_list(*state, &names, &n));
    for (int64_t i = 0; i < n && i < n_expected; i++) assert_string_equal(names[i], expected[i]);
    assert_int_equal(n, n_expected);
    rllc_names_free(names, n);
}

static void assert_content(const char *path, const char *expected) {
    rllc_mapping m;
    assert_ok(rllc_mapping_open(&m, path));
    assert_int_equal(m.size, strlen(expected));
    if (m.size > 0) assert_memory_equal(m.data, expected, m.size);
    rllc_mapping_close(&m);
    assert_null(m.data);
}

static void test_mapping_of_whole_and_empty_files(void **state) {
    const char *path = scratch_path(state, "f"), *empty = scratch_path(state, "empty");
    rllc_mapping m;
    assert_ok(rllc_file_write(path, "hello", 5));
    assert_content(path, "hello");
    assert_ok(rllc_file_write(empty, NULL, 0));
    assert_ok(rllc_mapping_open(&m, empty));
    assert_null(m.data);
    assert_int_equal(m.size, 0);
    rllc_mapping_close(&m);
}

static void test_mapping_refuses_what_is_no_file(void **state) {
    rllc_mapping m;
    const char *missing = scratch_path(state, "missing"), *pipe_path = scratch_path(state, "pipe");
    assert_fails(rllc_mapping_open(&m, missing), RLLC_ENOTFOUND, missing);
    assert_null(m.data);
    assert_fails(rllc_mapping_open(&m, *state), RLLC_EINPUT, "is a folder");
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    assert_fails(rllc_mapping_open(&m, pipe_path), RLLC_EINPUT, "not a regular file");
    assert_fails(rllc_mapping_open(&m, "/dev/null"), RLLC_EINPUT, "not a regular file");
    assert_ok(rllc_file_write(scratch_path(state, "f"), "x", 1));
    assert_fails(rllc_mapping_open(&m, scratch_path(state, "f/below")), RLLC_ENOTFOUND, "f/below");
}

static void test_folders_are_made_listed_and_told_from_files(void **state) {
    static const char *const sorted[] = {"B", "Z", "a", "a.b", "\xC3\xA9"};
    const char *deep = scratch_path(state, "a/b//c/");
    assert_ok(rllc_make_folders(deep));
    assert_ok(rllc_make_folders(deep));
    assert_true(rllc_is_folder(scratch_path(state, "a/b/c")));
    for (int i = 0; i < 5; i++) {
        if (i != 2) assert_ok(rllc_file_write(scratch_path(state, sorted[i]), "x", 1));
    }
    assert_names(state, sorted, 5);
    assert_true(rllc_file_exists(scratch_path(state, "B")));
    assert_false(rllc_is_folder(scratch_path(state, "B")));
    assert_false(rllc_file_exists(scratch_path(state, "b")));
    char **names;
    int64_t n;
    assert_fails(rllc_folder_list(scratch_path(state, "b"), &names, &n), RLLC_ENOTFOUND, "cannot list");
    assert_fails(rllc_folder_list(scratch_path(state, "B"), &names, &n), RLLC_ENOTFOUND, "B");
    assert_fails(rllc_make_folders(scratch_path(state, "B/c")), RLLC_EIO, "B");
    assert_fails(rllc_make_folders(scratch_path(state, "B")), RLLC_EIO, "in the way");
    assert_fails(rllc_make_folders(""), RLLC_EINPUT, "empty");
    assert_ok(rllc_make_folders("/"));
    assert_ok(rllc_folder_list(scratch_path(state, "a/b/c"), &names, &n));
    assert_int_equal(n, 0);
    rllc_names_free(names, n);
}

static void test_folder_list_of_many(void **state) {
    char **names;
    int64_t n;
    for (int i = 999; i >= 0; i--) assert_ok(rllc_make_folders(scratch_path(state, rllc_intern_printf("%03d", i))));
    assert_ok(rllc_folder_list(*state, &names, &n));
    assert_int_equal(n, 1000);
    for (int i = 0; i < 1000; i++) assert_int_equal(atoi(names[i]), i);
    rllc_names_free(names, n);
}

static void test_output_file_appears_only_when_committed(void **state) {
    const char *path = scratch_path(state, "out");
    static const char *const only[] = {"out"};
    rllc_output_file f;
    assert_ok(rllc_output_file_open(&f, path));
    fprintf(f.stream, "one");
    fflush(f.stream);
    assert_false(rllc_file_exists(path));
    assert_ok(rllc_output_file_commit(&f));
    assert_null(f.stream);
    rllc_output_file_abort(&f); /* accepted after a commit */
    assert_content(path, "one");
    assert_ok(rllc_output_file_open(&f, path));
    fprintf(f.stream, "two");
    fflush(f.stream);
    assert_content(path, "one");
    rllc_output_file_abort(&f);
    assert_content(path, "one");
    assert_names(state, only, 1);
    f = (rllc_output_file){0};
    rllc_output_file_abort(&f);
    assert_fails(rllc_output_file_commit(&f), RLLC_EIO, "not open");
}

static void test_output_file_of_two_writers_at_once(void **state) {
    const char *path = scratch_path(state, "out");
    rllc_output_file a, b;
    assert_ok(rllc_output_file_open(&a, path));
    assert_ok(rllc_output_file_open(&b, path));
    fprintf(a.stream, "from a");
    fprintf(b.stream, "from b");
    assert_ok(rllc_output_file_commit(&b));
    assert_content(path, "from b");
    assert_ok(rllc_output_file_commit(&a));
    assert_content(path, "from a");
}

static void test_output_file_refuses_bad_places(void **state) {
    rllc_output_file f;
    assert_fails(rllc_output_file_open(&f, *state), RLLC_EIO, "folder");
    assert_null(f.stream);
    assert_fails(rllc_output_file_open(&f, scratch_path(state, "no/such")), RLLC_EIO, "no/such");
    assert_fails(rllc_output_file_open(&f, "/dev/null"), RLLC_EIO, "device");
    assert_fails(rllc_output_file_open(&f, ""), RLLC_EINPUT, "empty");
    assert_fails(rllc_output_file_open(&f, "/proc/rllc"), RLLC_EIO, "/proc/rllc");
    assert_names(state, NULL, 0);
}

static void test_output_file_keeps_links(void **state) {
    const char *target = scratch_path(state, "target"), *link = scratch_path(state, "link");
    struct stat info;
    assert_ok(rllc_file_write(target, "old", 3));
    assert_int_equal(symlink("target", link), 0);
    assert_ok(rllc_file_write(link, "new", 3));
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_content(target, "new");
}

/* A disk that is full looks like a limit on the size of files: short writes, then EFBIG. */
static void test_output_file_leaves_nothing_when_writing_fails(void **state) {
    static const char *const only[] = {"out"};
    const char *path = scratch_path(state, "out");
    static char block[100000];
    struct rlimit before, small;
    assert_ok(rllc_file_write(path, "old", 3));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < sizeof block; limit += 9999) {
        small = (struct rlimit){.rlim_cur = limit, .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        rllc_status whole = rllc_file_write(path, block, sizeof block);
        rllc_output_file f;
        rllc_status opened = rllc_output_file_open(&f, path);
        size_t written = opened == RLLC_OK ? fwrite(block, 1, sizeof block, f.stream) : 0;
        (void)written; /* a caller that does not look: commit must tell */
        if (opened == RLLC_OK) fprintf(f.stream, "more");
        rllc_status committed = opened == RLLC_OK ? rllc_output_file_commit(&f) : opened;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_int_equal(whole, RLLC_EIO);
        assert_fails(committed, RLLC_EIO, path);
        assert_content(path, "old");
        assert_names(state, only, 1);
    }
    signal(SIGXFSZ, handler);
}

/* A caller whose fwrite fails goes straight to commit, which names the reason. */
static void test_output_file_names_the_failure_of_a_write(void **state) {
    const char *path = scratch_path(state, "out");
    static char block[100000];
    struct rlimit before, small;
    rllc_output_file f;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 20000, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_ok(rllc_output_file_open(&f, path));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    size_t written = fwrite(block, 1, sizeof block, f.stream);
    rllc_status committed = written < sizeof block ? rllc_output_file_commit(&f) : RLLC_OK;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_fails(committed, RLLC_EIO, strerror(EFBIG));
    assert_names(state, NULL, 0);
}

/* An early write failed, then there was room again: the file has a hole in it and must not appear. */
static void test_output_file_remembers_an_early_failure(void **state) {
    const char *path = scratch_path(state, "out");
    static char block[100000];
    struct rlimit before, small;
    rllc_output_file f;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 20000, .rlim_max = before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_ok(rllc_output_file_open(&f, path));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    size_t written = fwrite(block, 1, sizeof block, f.stream);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_true(written < sizeof block);
    fprintf(f.stream, "more");
    assert_fails(rllc_output_file_commit(&f), RLLC_EIO, path);
    assert_names(state, NULL, 0);
}

/* What is synced is the whole: nothing waits in a buffer of stdio. */
static void test_output_file_is_whole_when_synced(void **state) {
    largest_synced = 0;
    assert_ok(rllc_file_write(scratch_path(state, "out"), "0123456789", 10));
    assert_int_equal(largest_synced, 10);
}

static void test_output_file_when_sync_or_rename_fails(void **state) {
    static const char *const only[] = {"out"};
    const char *path = scratch_path(state, "out");
    assert_ok(rllc_file_write(path, "old", 3));
    refusal = ENOSPC;
    fsync_countdown = 0;
    assert_fails(rllc_file_write(path, "new", 3), RLLC_EIO, strerror(ENOSPC));
    assert_content(path, "old");
    rename_countdown = 0;
    assert_fails(rllc_file_write(path, "new", 3), RLLC_EIO, path);
    assert_content(path, "old");
    assert_names(state, only, 1);
    refusal = EINTR; /* is tried again */
    fsync_countdown = 0;
    assert_ok(rllc_file_write(path, "interrupted", 11));
    assert_content(path, "interrupted");
    refusal = EINVAL; /* a file system without fsync */
    fsync_countdown = 0;
    assert_ok(rllc_file_write(path, "unsynced", 8));
    refusal = EIO; /* of the folder: the file is there, but its name is not known to last */
    fsync_countdown = 1;
    assert_fails(rllc_file_write(path, "new", 3), RLLC_EIO, path);
    assert_content(path, "new");
    assert_names(state, only, 1);
    fsync_countdown = rename_countdown = -1;
}

static void test_output_file_of_a_bare_name_lands_here(void **state) {
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(*state), 0);
    assert_ok(rllc_file_write("bare", "x", 1));
    assert_int_equal(chdir(before), 0);
    assert_content(scratch_path(state, "bare"), "x");
}

int main(void) {
#define SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        SCRATCH(test_mapping_of_whole_and_empty_files),
        SCRATCH(test_mapping_refuses_what_is_no_file),
        SCRATCH(test_folders_are_made_listed_and_told_from_files),
        SCRATCH(test_folder_list_of_many),
        SCRATCH(test_output_file_appears_only_when_committed),
        SCRATCH(test_output_file_of_two_writers_at_once),
        SCRATCH(test_output_file_refuses_bad_places),
        SCRATCH(test_output_file_keeps_links),
        SCRATCH(test_output_file_leaves_nothing_when_writing_fails),
        SCRATCH(test_output_file_names_the_failure_of_a_write),
        SCRATCH(test_output_file_remembers_an_early_failure),
        SCRATCH(test_output_file_is_whole_when_synced),
        SCRATCH(test_output_file_when_sync_or_rename_fails),
        SCRATCH(test_output_file_of_a_bare_name_lands_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
