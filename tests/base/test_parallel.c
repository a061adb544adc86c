/* The thread pool: every index once, failures that do not depend on timing, nesting, several callers, fork. */
#include "base/helpers.h"

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

enum { N = 2000 };

typedef struct ledger {
    atomic_int runs[N];
    atomic_int busy[64];      /* tasks now running as this worker */
    atomic_int clashes;       /* two at once as one worker, or a worker out of range */
    int n_threads;
    atomic_ulong workers_seen;
    int64_t fail_from, fail_every; /* fails at fail_from, fail_from + fail_every, ...; 0 = never */
} ledger;

static rllc_status record(void *context, int64_t i, int worker) {
    ledger *l = context;
    bool alone = worker >= 0 && worker < l->n_threads && atomic_fetch_add(&l->busy[worker], 1) == 0;
    if (!alone) atomic_fetch_add(&l->clashes, 1);
    atomic_fetch_or(&l->workers_seen, 1ul << worker);
    atomic_fetch_add(&l->runs[i], 1);
    for (volatile int k = 0; k < 200; k++) {} /* some work, so that others get a turn */
    atomic_fetch_sub(&l->busy[worker], 1);
    bool fails = l->fail_every && i >= l->fail_from && (i - l->fail_from) % l->fail_every == 0;
    return fails ? rllc_fail(i % 2 ? RLLC_EINPUT : RLLC_EFAIL, "index %lld failed", (long long)i) : RLLC_OK;
}

static ledger *fresh(int n_threads) {
    static ledger l;
    memset(&l, 0, sizeof l);
    l.n_threads = n_threads;
    return &l;
}

static void test_parallel_runs_every_index_once(void **state) {
    (void)state;
    static const int threads[] = {1, 2, 3, 4, 8, 2, 7, 1, 8, 5};
    for (int k = 0; k < 10; k++) {
        for (int64_t n = 0; n <= N; n = n * 3 + 1) {
            ledger *l = fresh(threads[k]);
            assert_ok(rllc_parallel(n, threads[k], record, l));
            for (int64_t i = 0; i < N; i++) assert_int_equal(l->runs[i], i < n);
            assert_int_equal(l->clashes, 0);
        }
    }
    assert_ok(rllc_parallel(-3, 4, record, NULL));
}

enum { MANY = 100000 };
static atomic_uchar handed_out[MANY];

static rllc_status count_once(void *context, int64_t i, int worker) {
    atomic_int *others = context;
    if (worker > 0) atomic_fetch_add(others, 1);
    for (int k = 0; worker == 0 && i % 1000 == 0 && k < 100 && atomic_load(others) == 0; k++) sched_yield();
    atomic_fetch_add(&handed_out[i], 1);
    return RLLC_OK;
}

/* Tiny tasks, so that threads meet at the counter. */
static void test_parallel_hands_out_each_index_once(void **state) {
    (void)state;
    for (int k = 0; k < 5; k++) {
        atomic_int others = 0;
        memset(handed_out, 0, sizeof handed_out);
        assert_ok(rllc_parallel(MANY, 4, count_once, &others));
        for (int i = 0; i < MANY; i++) assert_int_equal(handed_out[i], 1);
    }
}

static rllc_status wait_for_another(void *context, int64_t i, int worker) {
    atomic_int *arrived = context;
    (void)i, (void)worker;
    atomic_fetch_add(arrived, 1);
    for (double begin = rllc_now(); atomic_load(arrived) < 4;) {
        if (rllc_now() - begin > 60) return rllc_fail(RLLC_EFAIL, "nobody else came");
        sched_yield();
    }
    return RLLC_OK;
}

/* Four tasks that wait for each other end only if four threads run them. */
static void test_parallel_runs_side_by_side(void **state) {
    (void)state;
    for (int k = 0; k < 20; k++) {
        atomic_int arrived = 0;
        assert_ok(rllc_parallel(4, 4, wait_for_another, &arrived));
    }
}

static void test_parallel_returns_the_smallest_failure(void **state) {
    (void)state;
    for (int n_threads = 1; n_threads <= 8; n_threads++) {
        for (int64_t from = 0; from < 60; from++) {
            ledger *l = fresh(n_threads);
            l->fail_from = from;
            l->fail_every = 1 + from % 3;
            char detail[64];
            sprintf(detail, "index %lld failed", (long long)from);
            assert_int_equal(rllc_parallel(N, n_threads, record, l), from % 2 ? RLLC_EINPUT : RLLC_EFAIL);
            assert_string_equal(rllc_error_detail(), detail);
            for (int64_t i = 0; i <= from; i++) assert_int_equal(l->runs[i], 1);
            assert_true(l->runs[N - 1] == 0); /* the rest is not begun */
            assert_int_equal(l->clashes, 0);
        }
    }
}

typedef struct pair {
    atomic_int arrived, ended;
    int first; /* the index that fails first; the other fails well after it */
} pair;

static rllc_status fail_in_order(void *context, int64_t i, int worker) {
    pair *p = context;
    (void)worker;
    atomic_fetch_add(&p->arrived, 1);
    while (atomic_load(&p->arrived) < 2) sched_yield();
    if (i != p->first) {
        while (!atomic_load(&p->ended)) sched_yield();
        usleep(20000); /* the other's failure is recorded meanwhile */
    }
    atomic_fetch_add(&p->ended, 1);
    return rllc_fail(RLLC_EINPUT, "index %lld", (long long)i);
}

static void test_parallel_smallest_failure_whoever_is_first(void **state) {
    (void)state;
    for (int first = 0; first < 2; first++) {
        pair p = {.first = first};
        assert_int_equal(rllc_parallel(2, 2, fail_in_order, &p), RLLC_EINPUT);
        assert_string_equal(rllc_error_detail(), "index 0");
    }
}

static rllc_status nested(void *context, int64_t i, int worker) {
    ledger *outer = context;
    ledger *inner = malloc(sizeof *inner);
    rllc_status status = RLLC_OK;
    (void)worker;
    if (!inner) return rllc_fail(RLLC_ENOMEM, "no memory");
    memset(inner, 0, sizeof *inner);
    inner->n_threads = 1; /* serial: worker 0 only */
    if (i == 5) inner->fail_from = 3, inner->fail_every = 1;
    status = rllc_parallel(10, 8, record, inner);
    if (inner->clashes) status = rllc_fail(RLLC_EMISMATCH, "a nested call was not serial");
    atomic_fetch_add(&outer->runs[i], inner->runs[0] + inner->runs[9]);
    free(inner);
    return rllc_fail_within(status, "outer %lld", (long long)i);
}

static void test_parallel_nested_runs_serially(void **state) {
    (void)state;
    ledger *l = fresh(4);
    assert_int_equal(rllc_parallel(40, 4, nested, l), RLLC_EINPUT);
    assert_string_equal(rllc_error_detail(), "outer 5: index 3 failed");
    l = fresh(4);
    assert_ok(rllc_parallel(5, 4, nested, l));
    for (int i = 0; i < 5; i++) assert_int_equal(l->runs[i], 2);
}

static rllc_status add(void *context, int64_t i, int worker) {
    for (volatile int k = 0; k < 500; k++) {}
    if (worker > 0) usleep(300); /* callers are left waiting for their helpers, several at a time */
    atomic_fetch_add((_Atomic int64_t *)context, i);
    return RLLC_OK;
}

static void *call_often(void *n_threads) {
    for (int k = 0; k < 100; k++) {
        _Atomic int64_t sum = 0;
        if (rllc_parallel(100, *(int *)n_threads, add, &sum) != RLLC_OK || sum != 4950) return n_threads;
    }
    return NULL;
}

static void test_parallel_serves_several_callers(void **state) {
    (void)state;
    pthread_t callers[4];
    static int n_threads[4] = {2, 3, 2, 5};
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&callers[i], NULL, call_often, &n_threads[i]), 0);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        assert_int_equal(pthread_join(callers[i], &wrong), 0);
        assert_null(wrong);
    }
}

static rllc_status check_rounding(void *context, int64_t i, int worker) {
    atomic_int *arrived = context;
    rllc_status status = wait_for_another(arrived, i, worker);
    if (status != RLLC_OK || fegetround() == FE_UPWARD) return status;
    return rllc_fail(RLLC_EFAIL, "worker %d rounds otherwise", worker);
}

/* All threads compute in the caller's floating-point environment, else bits would depend on who ran what. */
static void test_parallel_carries_the_rounding_mode(void **state) {
    (void)state;
    atomic_int arrived = 0;
    int before = fegetround();
    assert_ok(rllc_parallel(4, 4, wait_for_another, &arrived)); /* helpers exist before the mode changes */
    fesetround(FE_UPWARD);
    arrived = 0;
    rllc_status status = rllc_parallel(4, 4, check_rounding, &arrived);
    fesetround(before);
    assert_ok(status);
}

static pthread_t main_thread;

static rllc_status check_signals(void *context, int64_t i, int worker) {
    rllc_status status = wait_for_another(context, i, worker);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    bool helper = !pthread_equal(pthread_self(), main_thread);
    if (status == RLLC_OK && helper != (sigismember(&blocked, SIGINT) == 1)) status = rllc_fail(RLLC_EFAIL, "signals");
    return status;
}

static void test_parallel_helpers_leave_signals_to_the_program(void **state) {
    (void)state;
    atomic_int arrived = 0;
    main_thread = pthread_self();
    assert_ok(rllc_parallel(4, 4, check_signals, &arrived));
}

static void test_parallel_works_in_a_forked_child(void **state) {
    (void)state;
#ifdef __SANITIZE_THREAD__
    print_message("skipped: thread sanitizer does not follow a fork of a threaded program\n");
    skip();
#endif
    atomic_int arrived = 0;
    assert_ok(rllc_parallel(4, 4, wait_for_another, &arrived));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        arrived = 0;
        _exit(rllc_parallel(4, 4, wait_for_another, &arrived) == RLLC_OK ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    arrived = 0;
    assert_ok(rllc_parallel(4, 4, wait_for_another, &arrived));
}

static void test_default_threads_obeys_the_environment(void **state) {
    (void)state;
    unsetenv("RLLC_THREADS");
    unsetenv("OMP_NUM_THREADS");
    int all = rllc_default_threads();
    assert_true(all >= 1 && all <= sysconf(_SC_NPROCESSORS_CONF));
    setenv("OMP_NUM_THREADS", "3,2", 1);
    assert_int_equal(rllc_default_threads(), 3);
    setenv("RLLC_THREADS", "5", 1);
    assert_int_equal(rllc_default_threads(), 5);
    static const char *const nonsense[] = {"", "0", "-2", "x", "4x", "99999999999"};
    unsetenv("OMP_NUM_THREADS");
    for (int i = 0; i < 6; i++) {
        setenv("RLLC_THREADS", nonsense[i], 1);
        assert_int_equal(rllc_default_threads(), all);
    }
    cpu_set_t one, before;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
    }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    unsetenv("RLLC_THREADS");
    assert_int_equal(rllc_default_threads(), 1);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    setenv("RLLC_THREADS", "4", 1);
    atomic_int arrived = 0;
    assert_ok(rllc_parallel(4, 0, wait_for_another, &arrived));
    unsetenv("RLLC_THREADS");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parallel_runs_every_index_once),
        cmocka_unit_test(test_parallel_hands_out_each_index_once),
        cmocka_unit_test(test_parallel_runs_side_by_side),
        cmocka_unit_test(test_parallel_returns_the_smallest_failure),
        cmocka_unit_test(test_parallel_smallest_failure_whoever_is_first),
        cmocka_unit_test(test_parallel_nested_runs_serially),
        cmocka_unit_test(test_parallel_serves_several_callers),
        cmocka_unit_test(test_parallel_carries_the_rounding_mode),
        cmocka_unit_test(test_parallel_helpers_leave_signals_to_the_program),
        cmocka_unit_test(test_parallel_works_in_a_forked_child),
        cmocka_unit_test(test_default_threads_obeys_the_environment),
    };
    alarm(300); /* a deadlock shall fail, not hang */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
