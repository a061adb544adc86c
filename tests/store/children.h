/* What the tests share that need other processes or SQLite itself: children that must succeed, raw SQL, integrity. */
#ifndef RLLC_TESTS_STORE_CHILDREN_H
#define RLLC_TESTS_STORE_CHILDREN_H

#include <signal.h>
#include <sys/wait.h>

#include "store/internal.h"
#include "store/samples.h"

static inline void run_sql(const char *path, const char *sql) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static inline void check_integrity(const char *path) {
    sqlite3 *db = NULL;
    sqlite3_stmt *row = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &row, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(row, 0), "ok");
    sqlite3_finalize(row);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Runs body in a child and expects it to end with 0. A store must not be carried across a fork. */
#define IN_CHILD(body)                                                                                                 \
    do {                                                                                                               \
        const pid_t in_child = fork();                                                                                 \
        assert_true(in_child >= 0);                                                                                    \
        if (in_child == 0) {                                                                                           \
            body;                                                                                                      \
            _exit(0);                                                                                                  \
        }                                                                                                              \
        int in_child_status = 0;                                                                                       \
        assert_int_equal(waitpid(in_child, &in_child_status, 0), in_child);                                            \
        if (in_child_status != 0) fail_msg("the child ended with %#x", in_child_status);                               \
    } while (0)

/* In a child: ends it with the number of the line. */
#define NEED(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, rllc_error_detail());                          \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

#endif
