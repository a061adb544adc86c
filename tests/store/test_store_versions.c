/* Stores of every version are read: an older one gets what came since, whole, once, also when it is opened for reading.
 */
#include <math.h>

#include "store/children.h"
#include "store/schema_1.h"

/* A store of version 1 with one unfinished chain of two draws. */
static void make_version_1(const char *path) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    for (size_t i = 0; i < sizeof schema_1 / sizeof *schema_1; i++)
        assert_int_equal(sqlite3_exec(db, schema_1[i], NULL, NULL, NULL), SQLITE_OK);
    const char *rows = "INSERT INTO provenance VALUES (1, 'p', 0, '{}');"
                       "INSERT INTO corpus VALUES (1, 'mix', 'h', 1, '{}');"
                       "INSERT INTO checkpoint VALUES (1, 7, 100, 'c', 'm', 2, 4, '{}');"
                       "INSERT INTO cell VALUES (1, 'i', 1, 1, 'l0h1', 2, 'next_token', '{}', 1, 0, 3.5, 30);"
                       "INSERT INTO chain VALUES (1, 0, 0, 2, 2, 3.25, 0, '', x'0000803F00000040');"
                       "INSERT INTO trace VALUES (1, 0, 0, 3.5, 3.25), (1, 0, 1, 3.75, NULL);"
                       "INSERT INTO estimate VALUES (1, 'wrLLC', 2, 0.5, 0.25, 2, 0.5, 0.25, 1, 0, '{}');"
                       "PRAGMA application_id=1917602883; PRAGMA user_version=1";
    assert_int_equal(sqlite3_exec(db, rows, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void check_content(rllc_store *s) {
    rllc_store_chain chain;
    rllc_store_estimate *estimates;
    rllc_store_cell *cells;
    double loss[2], baseline[2], distance[2];
    double *const columns[RLLC_STORE_RECORDS] = {distance};
    float weights[2];
    int64_t n = 0;
    bool has_weights = false;
    const char *curvature = "";
    assert_ok(rllc_store_get_chain(s, 1, 0, &chain, weights, 2, &has_weights));
    assert_true(has_weights && weights[0] == 1 && weights[1] == 2 && chain.init_loss == 3.25 &&
                isnan(chain.acceptance));
    assert_ok(rllc_store_get_memory(s, 1, 0, NULL, 0));
    assert_ok(rllc_store_get_trace(s, 1, 0, loss, baseline, 2, &n));
    assert_true(n == 2 && loss[1] == 3.75 && baseline[0] == 3.25 && isnan(baseline[1]));
    assert_ok(rllc_store_get_records(s, 1, 0, columns, 2, &n));
    assert_true(n == 2 && isnan(distance[0]) && isnan(distance[1]));
    assert_ok(rllc_store_estimates(s, &estimates, &cells, &n));
    assert_true(n == 1 && estimates[0].llc_mean == 2);
    assert_string_equal(estimates[0].verdict, "");
    assert_ok(rllc_store_get_curvature(s, 1, &curvature));
    assert_null(curvature);
    rllc_free(estimates);
    rllc_free(cells);
}

static void test_version_1_is_read_and_brought_up_to_date(void **state) {
    for (int mode = RLLC_STORE_READ; mode <= RLLC_STORE_WRITE; mode++) {
        const char *path = scratch_path(state, mode == RLLC_STORE_READ ? "read.db" : "write.db");
        make_version_1(path);
        for (int again = 0; again < 2; again++) {
            rllc_store *s = open_store(path, mode);
            check_content(s);
            const rllc_store_chain chain = {
                .cell_id = 1, .chain = 1, .init_loss = NAN, .acceptance = NAN, .reason = ""};
            const rllc_status put = rllc_store_put_chain(s, &chain, 0, 0, NULL, NULL);
            assert_int_equal(put, mode == RLLC_STORE_READ ? RLLC_EFAIL : RLLC_OK); /* reading stays reading */
            rllc_store_close(s);
        }
    }
}

/* What an upgraded file and a new one hold differs by nothing but the comments. */
static int count_columns(const char *path) {
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT count(*), max(t.name || '.' || c.name) FROM sqlite_schema t,"
                                        " pragma_table_info(t.name) c WHERE t.type = 'table'",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int n = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return n;
}

static void test_an_upgraded_store_has_the_columns_of_a_new_one(void **state) {
    const char *old = scratch_path(state, "old.db"), *fresh = scratch_path(state, "fresh.db");
    make_version_1(old);
    rllc_store_close(open_store(old, RLLC_STORE_WRITE));
    rllc_store_close(open_store(fresh, RLLC_STORE_WRITE));
    assert_int_equal(count_columns(old), count_columns(fresh));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_1_is_read_and_brought_up_to_date),
        cmocka_unit_test(test_an_upgraded_store_has_the_columns_of_a_new_one),
    };
    return cmocka_run_group_tests_name("store versions", tests, scratch_setup, scratch_teardown);
}
