/* The store while the world fails under it: every single call to the disk fails, tears or is the last before a crash,
 * and every allocation of SQLite fails, one after the other. Afterwards the store holds the old state or the new. */
#include <fcntl.h>
#include <sys/wait.h>

#include "store/internal.h"
#include "store/samples.h"

/* ---- a disk that fails ----------------------------------------------------------------------------------- */

typedef enum { NEVER, FAIL_ONCE, FAIL_ON, FULL, CRASH, TEAR } fault;

static struct {
    sqlite3_vfs *real;
    fault kind;
    int64_t countdown; /* calls until the fault */
} disk;

typedef struct {
    sqlite3_file base;
    sqlite3_file *real; /* follows in the same memory */
} shim;

static sqlite3_file *real_of(sqlite3_file *f) {
    return ((shim *)f)->real;
}

typedef enum { READ, WRITE, OTHER } call;

/* Whether this call is to fail: reads only with a failing device, other calls not for want of room. */
static bool strikes(call c) {
    const bool counts =
        disk.kind == FAIL_ONCE || disk.kind == FAIL_ON || (disk.kind == CRASH && c != READ) || c == WRITE;
    if (disk.kind == NEVER || !counts || --disk.countdown > 0) return false;
    if (disk.countdown < 0 && disk.kind != FAIL_ON && disk.kind != FULL) return false;
    if (disk.kind == CRASH) _exit(9);
    return true;
}

static int shim_close(sqlite3_file *f) {
    return real_of(f)->pMethods->xClose(real_of(f));
}

static int shim_read(sqlite3_file *f, void *out, int n, sqlite3_int64 at) {
    if (strikes(READ)) return SQLITE_IOERR_READ;
    return real_of(f)->pMethods->xRead(real_of(f), out, n, at);
}

static int shim_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at) {
    if (!strikes(WRITE)) return real_of(f)->pMethods->xWrite(real_of(f), bytes, n, at);
    if (disk.kind == TEAR) {
        (void)real_of(f)->pMethods->xWrite(real_of(f), bytes, n / 2, at);
        _exit(9);
    }
    return disk.kind == FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size) {
    return strikes(OTHER) ? SQLITE_IOERR_TRUNCATE : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int shim_sync(sqlite3_file *f, int flags) {
    (void)f, (void)flags; /* not really synced: only the process stops here, not the machine */
    return strikes(OTHER) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *size) {
    return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int shim_lock(sqlite3_file *f, int level) {
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int shim_unlock(sqlite3_file *f, int level) {
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int shim_check(sqlite3_file *f, int *reserved) {
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), reserved);
}

static int shim_control(sqlite3_file *f, int operation, void *argument) {
    return real_of(f)->pMethods->xFileControl(real_of(f), operation, argument);
}

static int shim_sector(sqlite3_file *f) {
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int shim_device(sqlite3_file *f) {
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static const sqlite3_io_methods methods = {.iVersion = 1,
                                           .xClose = shim_close,
                                           .xRead = shim_read,
                                           .xWrite = shim_write,
                                           .xTruncate = shim_truncate,
                                           .xSync = shim_sync,
                                           .xFileSize = shim_size,
                                           .xLock = shim_lock,
                                           .xUnlock = shim_unlock,
                                           .xCheckReservedLock = shim_check,
                                           .xFileControl = shim_control,
                                           .xSectorSize = shim_sector,
                                           .xDeviceCharacteristics = shim_device};

static int shim_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags) {
    (void)vfs;
    shim *s = (shim *)f;
    s->base.pMethods = NULL;
    s->real = (sqlite3_file *)(s + 1);
    if (strikes(OTHER)) return SQLITE_CANTOPEN;
    const int code = disk.real->xOpen(disk.real, name, s->real, flags, out_flags);
    if (s->real->pMethods) s->base.pMethods = &methods;
    return code;
}

static int shim_delete(sqlite3_vfs *vfs, const char *name, int sync_folder) {
    (void)vfs, (void)sync_folder;
    if (strikes(OTHER)) return SQLITE_IOERR_DELETE;
    return disk.real->xDelete(disk.real, name, 0);
}

static int shim_access(sqlite3_vfs *vfs, const char *name, int flags, int *result) {
    (void)vfs;
    return disk.real->xAccess(disk.real, name, flags, result);
}

static int shim_path(sqlite3_vfs *vfs, const char *name, int n, char *out) {
    (void)vfs;
    return disk.real->xFullPathname(disk.real, name, n, out);
}

static void install_disk(void) {
    static sqlite3_vfs vfs;
    disk.real = sqlite3_vfs_find(NULL);
    vfs = *disk.real;
    vfs.zName = "failing";
    vfs.szOsFile += (int)sizeof(shim);
    vfs.xOpen = shim_open;
    vfs.xDelete = shim_delete;
    vfs.xAccess = shim_access;
    vfs.xFullPathname = shim_path;
    vfs.pNext = NULL;
    sqlite3_vfs_register(&vfs, 1);
}

/* ---- an allocator that fails ----------------------------------------------------------------------------- */

static struct {
    sqlite3_mem_methods real;
    int64_t countdown; /* 0 = never */
    bool struck;
} memory;

static bool exhausted(void) {
    if (memory.countdown == 0 || --memory.countdown > 0) return false;
    memory.struck = true;
    return true;
}

static void *failing_malloc(int n) {
    return exhausted() ? NULL : memory.real.xMalloc(n);
}

static void *failing_realloc(void *p, int n) {
    return exhausted() ? NULL : memory.real.xRealloc(p, n);
}

static int install_memory(void) {
    sqlite3_mem_methods failing;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory.real) != SQLITE_OK) return -1;
    failing = memory.real;
    failing.xMalloc = failing_malloc;
    failing.xRealloc = failing_realloc;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &failing) == SQLITE_OK ? 0 : -1;
}

/* ---- the work -------------------------------------------------------------------------------------------- */

/* Opens the store, which holds 20 draws, and makes it 60 and more in one transaction with another inside. */
static rllc_status work(const char *path) {
    rllc_store *s = NULL;
    rllc_status status = rllc_store_open_waiting(&s, path, RLLC_STORE_WRITE, 0);
    if (status == RLLC_OK) status = rllc_store_begin(s);
    if (status == RLLC_OK) {
        status = append_draws(s, 1, 0, 20, 40);
        if (status == RLLC_OK) status = rllc_store_set_meta(s, "config", "sixty");
        status = rllc_store_end(s, status);
    }
    rllc_store_close(s);
    return status;
}

/* The store is sound and holds the old state or the new, whole; *is_new says which. */
static void check_state(const char *path, bool *is_new) {
    rllc_string text = {0};
    rllc_store_chain chain;
    sqlite3_stmt *row = NULL;
    rllc_store *s = open_store(path, RLLC_STORE_READ);
    assert_ok(rllc_store_get_meta(s, "config", &text));
    assert_ok(rllc_store_get_chain(s, 1, 0, &chain, NULL, 0, NULL));
    *is_new = strcmp(text.data, "sixty") == 0;
    assert_int_equal(chain.n_draws, *is_new ? 60 : 20);
    check_draws(s, 1, 0, chain.n_draws);
    assert_ok(read_everything(s));
    assert_int_equal(sqlite3_prepare_v2(s->db, "PRAGMA integrity_check", -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(row, 0), "ok");
    sqlite3_finalize(row);
    rllc_string_release(&text);
    rllc_store_close(s);
}

static rllc_mapping sound;

/* A fresh copy of the store with 20 draws. */
static const char *copy_store(void **state) {
    const char *path = scratch_path(state, "copy.db"), *first = scratch_path(state, "first.db");
    if (!sound.data) {
        rllc_store *s = open_store(first, RLLC_STORE_WRITE);
        put_everything(s);
        rllc_store_close(s);
        assert_ok(rllc_mapping_open(&sound, first));
    }
    unlink(path);
    unlink(scratch_path(state, "copy.db-journal"));
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(sound.data, 1, sound.size, file), sound.size);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void check_every_failing_call(void **state, fault kind, const char *what) {
    int64_t failed = 0, k = 1;
    for (;; k++) {
        const char *path = copy_store(state);
        bool is_new;
        disk.kind = kind;
        disk.countdown = k;
        const rllc_status status = work(path);
        const bool struck = disk.countdown <= 0;
        disk.kind = NEVER;
        if (status != RLLC_OK) {
            failed++;
            assert_int_equal(status, RLLC_EIO);
            assert_non_null(strstr(rllc_error_detail(), path));
        }
        check_state(path, &is_new);
        assert_true(status != RLLC_OK || is_new);
        if (!struck) break;
    }
    print_message("%s: each of %lld calls to the disk in turn; %lld runs failed\n", what, (long long)k - 1,
                  (long long)failed);
    assert_true(k > 10 && failed > 8);
}

static void test_every_call_to_the_disk_fails_once(void **state) {
    check_every_failing_call(state, FAIL_ONCE, "I/O error");
}

static void test_every_call_to_the_disk_fails_from_then_on(void **state) {
    check_every_failing_call(state, FAIL_ON, "lasting I/O error");
}

static void test_every_write_finds_the_disk_full(void **state) {
    check_every_failing_call(state, FULL, "disk full");
}

static void check_every_crash(void **state, fault kind, const char *what) {
    int64_t k = 1, n_new = 0;
    for (;; k++) {
        const char *path = copy_store(state);
        bool is_new;
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            disk.kind = kind;
            disk.countdown = k;
            _exit(work(path) == RLLC_OK ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        check_state(path, &is_new);
        n_new += is_new;
        if (WEXITSTATUS(status) != 9 && kind == CRASH) {
            assert_int_equal(WEXITSTATUS(status), 0);
            assert_true(is_new);
            break;
        }
        if (WEXITSTATUS(status) == 0) break;
    }
    print_message("%s at each of %lld calls; %lld left the new state, the others the old\n", what, (long long)k - 1,
                  (long long)n_new);
    assert_true(k > 10 && n_new > 0 && n_new < k);
}

static void test_every_call_to_the_disk_is_the_last(void **state) {
    check_every_crash(state, CRASH, "crash");
}

static void test_every_write_is_torn(void **state) {
    check_every_crash(state, TEAR, "crash in the middle of a write");
}

static void test_every_allocation_fails(void **state) {
    int64_t k = 1, failed = 0;
    for (;; k += k < 60 ? 1 : 1 + 400 / effort(20)) {
        const char *path = copy_store(state);
        bool is_new;
        memory.struck = false;
        memory.countdown = k;
        const rllc_status status = work(path);
        memory.countdown = 0;
        failed += status != RLLC_OK;
        if (status != RLLC_OK) assert_int_equal(status, RLLC_ENOMEM);
        check_state(path, &is_new);
        assert_true(status != RLLC_OK || is_new);
        if (!memory.struck) break;
    }
    print_message("allocation failures up to the %lld-th: %lld runs failed\n", (long long)k, (long long)failed);
    assert_true(failed > 50);
}

static int teardown(void **state) {
    rllc_mapping_close(&sound);
    return scratch_teardown(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call_to_the_disk_fails_once),
        cmocka_unit_test(test_every_call_to_the_disk_fails_from_then_on),
        cmocka_unit_test(test_every_write_finds_the_disk_full),
        cmocka_unit_test(test_every_call_to_the_disk_is_the_last),
        cmocka_unit_test(test_every_write_is_torn),
        cmocka_unit_test(test_every_allocation_fails),
    };
    if (install_memory() != 0 || sqlite3_initialize() != SQLITE_OK) return 1;
    install_disk();
    return cmocka_run_group_tests_name("store under faults", tests, scratch_setup, teardown);
}
