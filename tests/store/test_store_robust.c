/* The store in a bad world: files that are no store, missing permissions, damage, full disks. */
#include <sys/resource.h>
#include <sys/stat.h>

#include "store/children.h"

/* ---- what is no store ------------------------------------------------------------------------------------ */

static void check_refused(const char *path, int mode, rllc_status status, const char *text) {
    rllc_store *s = NULL;
    assert_fails(rllc_store_open(&s, path, mode), status, text);
    assert_null(s);
}

static void test_open_refuses_what_is_no_store(void **state) {
    const char *text = scratch_path(state, "text.db"), *empty = scratch_path(state, "empty.db");
    const char *other = scratch_path(state, "other.db"), *newer = scratch_path(state, "newer.db");
    check_refused(scratch_path(state, "absent.db"), RLLC_STORE_READ, RLLC_ENOTFOUND, "no such store");
    check_refused(scratch_path(state, "no/folder/a.db"), RLLC_STORE_WRITE, RLLC_EIO, "folder cannot be entered");
    check_refused(scratch_path(state, "no/folder/a.db"), RLLC_STORE_READ, RLLC_ENOTFOUND, "folder cannot be entered");
    check_refused(*state, RLLC_STORE_READ, RLLC_EINPUT, "is a folder; name the store's file");
    check_refused("", RLLC_STORE_WRITE, RLLC_EINPUT, "name of the store is empty");
    assert_ok(rllc_file_write(text,
                              "key: value\n# this is a configuration, and it is longer than a header of a database "
                              "file, which has one hundred bytes\n",
                              115));
    for (int mode = RLLC_STORE_READ; mode <= RLLC_STORE_WRITE; mode++) {
        check_refused(text, mode, RLLC_EINPUT, "is no store (not a SQLite file");
    }
    assert_ok(rllc_file_write(empty, "", 0));
    check_refused(empty, RLLC_STORE_READ, RLLC_EINPUT, "is an empty file");
    rllc_store_close(open_store(empty, RLLC_STORE_WRITE)); /* an empty file becomes a store */
    rllc_store_close(open_store(empty, RLLC_STORE_READ));
    run_sql(other, "CREATE TABLE t (x)");
    for (int mode = RLLC_STORE_READ; mode <= RLLC_STORE_WRITE; mode++) {
        check_refused(other, mode, RLLC_EINPUT, "of another program");
    }
    rllc_store_close(open_store(newer, RLLC_STORE_WRITE));
    run_sql(newer, "PRAGMA user_version=4");
    for (int mode = RLLC_STORE_READ; mode <= RLLC_STORE_WRITE; mode++) {
        check_refused(newer, mode, RLLC_EUNSUPPORTED,
                      "a newer rllc (store version 4, this program knows 3); update rllc");
    }
    run_sql(newer, "PRAGMA user_version=0");
    check_refused(newer, RLLC_STORE_WRITE, RLLC_EINPUT, "store version 0");
}

static void test_names_of_sqlite_are_plain_files(void **state) {
    char *here = getcwd(NULL, 0);
    assert_int_equal(chdir(*state), 0);
    rllc_store_close(open_store(":memory:", RLLC_STORE_WRITE));
    assert_true(rllc_file_exists(scratch_path(state, ":memory:")));
    rllc_store_close(open_store("file:a?mode=memory", RLLC_STORE_WRITE));
    assert_true(rllc_file_exists(scratch_path(state, "file:a?mode=memory")));
    assert_int_equal(chdir(here), 0);
    free(here);
}

/* As nobody, for whom permissions count even where the tests run as root. */
static void without_permission(void **state) {
    const char *path = scratch_path(state, "locked/run.db"), *folder = scratch_path(state, "locked");
    rllc_store *s = NULL;
    if (geteuid() == 0) NEED(setgid(65534) == 0 && setuid(65534) == 0);
    NEED(rllc_store_open(&s, path, RLLC_STORE_WRITE) == RLLC_EIO && strstr(rllc_error_detail(), "cannot be written"));
    NEED(rllc_store_open(&s, scratch_path(state, "locked/new.db"), RLLC_STORE_WRITE) == RLLC_EIO);
    NEED(strstr(rllc_error_detail(), folder));
    NEED(rllc_store_open(&s, path, RLLC_STORE_READ) == RLLC_OK);
    NEED(read_everything(s) == RLLC_OK);
    rllc_store_close(s);
}

static void test_folder_without_permission(void **state) {
    const char *folder = scratch_path(state, "locked"), *path = scratch_path(state, "locked/run.db");
    assert_ok(rllc_make_folders(folder));
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    put_everything(s);
    rllc_store_close(s);
    assert_int_equal(chmod(*state, 0755), 0);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    IN_CHILD(without_permission(state));
    assert_int_equal(chmod(folder, 0777), 0); /* now the folder may be written, the file may not */
    IN_CHILD({
        if (geteuid() == 0) NEED(setgid(65534) == 0 && setuid(65534) == 0);
        NEED(rllc_store_open(&s, path, RLLC_STORE_WRITE) == RLLC_EIO);
        NEED(strstr(rllc_error_detail(), "the store cannot be written"));
    });
}

/* ---- damage ---------------------------------------------------------------------------------------------- */

/* Opens, reads and writes a damaged store: any status will do, as long as nothing crashes or claims success falsely. */
static void use_damaged(const char *path, int64_t *noticed) {
    rllc_store *s = NULL;
    rllc_status status = rllc_store_open_waiting(&s, path, RLLC_STORE_WRITE, 0);
    if (status == RLLC_OK) status = read_everything(s);
    if (s) (void)sqlite3_exec(s->db, "PRAGMA synchronous=OFF", NULL, NULL, NULL); /* not what is tested here: faster */
    if (status == RLLC_OK) status = append_draws(s, 1, 0, 20, 3);
    if (status == RLLC_OK) status = rllc_store_rewind_training(s, 1, 0);
    *noticed += status != RLLC_OK;
    assert_true(status == RLLC_OK || strlen(rllc_error_detail()) > 20);
    rllc_store_close(s);
}

static unsigned char *make_store_bytes(void **state, size_t *size) {
    const char *path = scratch_path(state, "sound.db");
    unlink(path);
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    put_everything(s);
    rllc_store_close(s);
    rllc_mapping m;
    assert_ok(rllc_mapping_open(&m, path));
    unsigned char *bytes = malloc(m.size);
    assert_non_null(bytes);
    memcpy(bytes, m.data, m.size);
    *size = m.size;
    rllc_mapping_close(&m);
    return bytes;
}

static void put_bytes(const char *path, const unsigned char *bytes, size_t n) {
    unlink(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void test_damaged_stores_never_crash(void **state) {
    size_t size;
    unsigned char *bytes = make_store_bytes(state, &size);
    const char *path = scratch_path(state, "damaged.db");
    uint64_t seed = 7;
    int64_t noticed = 0;
    const int64_t n = effort(120);
    for (int64_t k = 0; k < n; k++) {
        unsigned char *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, bytes, size);
        for (uint64_t m = 1 + next_random(&seed) % 16; m > 0; m--) {
            /* half of the damage to the first bytes of pages, where their structure is */
            const size_t place = next_random(&seed) % size;
            copy[next_random(&seed) % 2 ? place : place / 4096 * 4096 + place % 64] = (unsigned char)next_random(&seed);
        }
        const size_t kept = next_random(&seed) % 4 == 0 ? next_random(&seed) % (size + 1) : size;
        put_bytes(path, copy, kept);
        free(copy);
        use_damaged(path, &noticed);
        unlink(scratch_path(state, "damaged.db-journal"));
    }
    print_message("%lld damaged stores: %lld refused at some point\n", (long long)n, (long long)noticed);
    assert_true(noticed > n / 3);
    free(bytes);
}

static void test_damage_is_told_as_damage(void **state) {
    size_t size;
    unsigned char *bytes = make_store_bytes(state, &size);
    const char *path = scratch_path(state, "told.db");
    memset(bytes + 4096, 0xAB, size - 4096); /* all pages but the first */
    put_bytes(path, bytes, size);
    rllc_store *s = NULL;
    rllc_status status = rllc_store_open(&s, path, RLLC_STORE_READ);
    if (status == RLLC_OK) status = read_everything(s);
    assert_int_equal(status, RLLC_EINPUT);
    assert_non_null(strstr(rllc_error_detail(), "the store is damaged"));
    rllc_store_close(s);
    free(bytes);
}

static void test_trace_with_a_missing_draw_is_told(void **state) {
    const char *path = scratch_path(state, "gap.db");
    double loss[20];
    int64_t n = 0;
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    put_everything(s);
    rllc_store_close(s);
    run_sql(path, "DELETE FROM trace WHERE draw = 7; UPDATE token_losses SET n_rows = 5");
    s = open_store(path, RLLC_STORE_READ);
    assert_fails(rllc_store_get_trace(s, 1, 0, loss, NULL, 20, &n), RLLC_EINPUT, "draw 7 is missing");
    int64_t rows, columns;
    float values[64];
    assert_fails(rllc_store_get_token_losses(s, 1, 0, 0, 0, values, 64, &rows, &columns), RLLC_EINPUT,
                 "5 x 3 have 24 bytes");
    rllc_store_close(s);
}

/* ---- full disk ------------------------------------------------------------------------------------------- */

static void test_full_store_keeps_what_was_committed(void **state) {
    const char *path = scratch_path(state, "full.db");
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    const rllc_store_cell cell = put_cell(s, 1, 100, "mix", "full");
    rllc_status status = RLLC_OK;
    int64_t done = 0;
    assert_int_equal(sqlite3_exec(s->db, "PRAGMA max_page_count=60", NULL, NULL, NULL), SQLITE_OK);
    while (status == RLLC_OK && done < 100000) {
        assert_ok(rllc_store_begin(s));
        status = append_draws(s, cell.id, 0, done, 500);
        if (status == RLLC_OK) status = rllc_store_commit(s);
        if (status == RLLC_OK) done += 500;
    }
    assert_int_equal(status, RLLC_EIO);
    assert_non_null(strstr(rllc_error_detail(), "no space is left on the disk"));
    assert_true(done > 500);
    /* SQLite may have given up the transaction: nothing may be written outside of it by accident. */
    if (sqlite3_get_autocommit(s->db)) {
        assert_fails(rllc_store_set_meta(s, "a", "b"), RLLC_EIO, "the transaction was given up");
        assert_fails(rllc_store_commit(s), RLLC_EIO, "the transaction was given up");
    }
    rllc_store_rollback(s);
    check_draws(s, cell.id, 0, done);
    assert_int_equal(sqlite3_exec(s->db, "PRAGMA max_page_count=100000", NULL, NULL, NULL), SQLITE_OK);
    assert_ok(append_draws(s, cell.id, 0, done, 500)); /* room was made: it goes on */
    check_draws(s, cell.id, 0, done + 500);
    rllc_store_close(s);
    check_integrity(path);
}

/* A limit on the size of files, for many sizes: the journal too may hit it. */
static void fill(const char *path, rlim_t limit) {
    rllc_store *s = NULL;
    rllc_status status = RLLC_OK;
    NEED(rllc_store_open(&s, path, RLLC_STORE_WRITE) == RLLC_OK);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit});
    int64_t done = 0;
    rllc_store_chain chain;
    NEED(rllc_store_get_chain(s, 1, 0, &chain, NULL, 0, NULL) == RLLC_OK);
    done = chain.n_draws;
    while (status == RLLC_OK) {
        status = append_draws(s, 1, 0, done, 400);
        if (status == RLLC_OK) done += 400;
    }
    NEED(status == RLLC_EIO && strlen(rllc_error_detail()) > 20);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
    NEED(rllc_store_get_chain(s, 1, 0, &chain, NULL, 0, NULL) == RLLC_OK);
    NEED(chain.n_draws == done);
    rllc_store_close(s);
}

static void test_limited_file_sizes_keep_what_was_committed(void **state) {
    const char *path = scratch_path(state, "limited.db");
    for (rlim_t limit = 100 << 10; limit < 300 << 10; limit += (rlim_t)(200 << 10) / (rlim_t)effort(4) + 500) {
        unlink(path);
        rllc_store *s = open_store(path, RLLC_STORE_WRITE);
        const rllc_store_cell cell = put_cell(s, 1, 100, "mix", "full");
        assert_ok(append_draws(s, cell.id, 0, 0, 100));
        rllc_store_close(s);
        IN_CHILD(fill(path, limit));
        s = open_store(path, RLLC_STORE_READ);
        rllc_store_chain chain;
        assert_ok(rllc_store_get_chain(s, cell.id, 0, &chain, NULL, 0, NULL));
        check_draws(s, cell.id, 0, chain.n_draws);
        rllc_store_close(s);
        check_integrity(path);
    }
}

/* ---- room ------------------------------------------------------------------------------------------------ */

static void test_close_gives_the_weights_of_ended_chains_back(void **state) {
    const char *path = scratch_path(state, "shrunk.db");
    enum { DIM = 500000 };
    float *weights = calloc(DIM, sizeof *weights);
    assert_non_null(weights);
    struct stat before, after;
    rllc_store *s = open_store(path, RLLC_STORE_WRITE);
    const rllc_store_cell cell = put_cell(s, 1, 100, "mix", "full");
    rllc_store_chain c = {.cell_id = cell.id, .weights = weights, .dim = DIM};
    assert_ok(rllc_store_put_chain(s, &c, 0, 0, NULL, NULL));
    rllc_store_close(s);
    assert_int_equal(stat(path, &before), 0);
    s = open_store(path, RLLC_STORE_WRITE);
    c.weights = NULL;
    assert_ok(rllc_store_put_chain(s, &c, 0, 0, NULL, NULL));
    rllc_store_close(s);
    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_size > 2000000 && after.st_size < 200000);
    check_integrity(path);
    free(weights);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_refuses_what_is_no_store),
        cmocka_unit_test(test_names_of_sqlite_are_plain_files),
        cmocka_unit_test(test_folder_without_permission),
        cmocka_unit_test(test_damaged_stores_never_crash),
        cmocka_unit_test(test_damage_is_told_as_damage),
        cmocka_unit_test(test_trace_with_a_missing_draw_is_told),
        cmocka_unit_test(test_full_store_keeps_what_was_committed),
        cmocka_unit_test(test_limited_file_sizes_keep_what_was_committed),
        cmocka_unit_test(test_close_gives_the_weights_of_ended_chains_back),
    };
    return cmocka_run_group_tests_name("store in a bad world", tests, scratch_setup, scratch_teardown);
}
