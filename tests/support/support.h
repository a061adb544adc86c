/*
 * support: what the golden, conformance and theory tests share: cmocka, calls that must succeed, exact memory, and one
 * run of a program for each kernel table.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "rllc/rllc.h"

/* Fails the test with the recorded detail. */
#define assert_ok(call)                                                                                     \
    do {                                                                                                    \
        rllc_status ok_status = (call);                                                                     \
        if (ok_status != RLLC_OK) fail_msg("%s: %s", rllc_status_sentence(ok_status), rllc_error_detail()); \
    } while (0)

/* Zeroed and exactly sized, so that a sanitizer sees the first byte beyond the end. Free with free. */
static inline void *test_memory(int64_t count, size_t size) {
    void *p = calloc((size_t)(count > 0 ? count : 1), size);
    assert_non_null(p);
    return p;
}

/* Runs this program once for each kernel table of this build and processor (the choice is made once a process).
 * Returns -1 in the child that is to run its tests, else the exit status of the program. */
static inline int run_for_every_table(char **argv) {
    if (getenv("RLLC_KERNELS") != NULL) return -1;
    int n = 0, failures = 0;
    const rllc_kernels *const *tables = rllc_kernels_list(&n);
    for (int i = 0; i < n; i++) {
        printf("kernels %s\n", tables[i]->name);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            setenv("RLLC_KERNELS", tables[i]->name, 1);
            execv("/proc/self/exe", argv);
            _exit(127);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            printf("FAILED under kernels %s\n", tables[i]->name);
            failures++;
        }
    }
    return n > 0 && failures == 0 ? 0 : 1;
}

/* In the child: the table asked for is the one in use (a name misspelt or ignored would test one table twice). */
static inline void assert_table_as_asked(void) {
    const char *asked = getenv("RLLC_KERNELS");
    if (asked != NULL) assert_string_equal(rllc_kernels_get()->name, asked);
}

#endif
