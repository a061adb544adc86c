/* A pool of threads that stay alive between calls; work is handed out one index at a time. */
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rllc/base.h"

/* One call of rllc_parallel; lives on the caller's stack until every helper has left it. */
typedef struct job {
    rllc_status (*task)(void *context, int64_t i, int worker);
    void *context;
    int64_t n;
    _Atomic int64_t next;      /* the next index to hand out */
    atomic_bool failed;        /* no further index is handed out */
    fenv_t rounding;           /* the caller's floating-point environment: helpers compute as the caller would */
    pthread_mutex_t lock;      /* guards what follows */
    int64_t failed_index;      /* smallest so far */
    rllc_status status;
    char *detail;
} job;

/* Helpers wait for `work` until a job has a seat for them; the caller waits until all have `left`. */
static struct {
    pthread_mutex_t turn; /* held by the one caller whose job the pool works on */
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work, left;
    int n_helpers;        /* threads alive, all of them in helper_main */
    int n_cores;          /* usable when the pool last grew */
    job *job;
    int next_worker;      /* number of the next helper to join; the caller is worker 0 */
    atomic_int n_seats;   /* helpers that may still join the job; written under the lock, watched without */
    atomic_int n_seated;  /* helpers now inside the job; likewise */
    atomic_bool watches;  /* every thread has a core to itself: watching a little before sleeping harms nobody */
} pool = {.turn = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER,
          .left = PTHREAD_COND_INITIALIZER};

static _Thread_local bool inside_task;

static void record_failure(job *j, int64_t i, rllc_status status) {
    pthread_mutex_lock(&j->lock);
    if (j->status == RLLC_OK || i < j->failed_index) {
        free(j->detail);
        j->detail = strdup(rllc_error_detail());
        j->failed_index = i;
        j->status = status;
    }
    pthread_mutex_unlock(&j->lock);
    atomic_store(&j->failed, true);
}

/* Takes indices until none is left or one failed. Indices are handed out in order and every index handed out is run,
   so the smallest failing index always runs: the status returned does not depend on timing. */
static void take_part(job *j, int worker) {
    inside_task = true;
    while (!atomic_load(&j->failed)) {
        int64_t i = atomic_fetch_add(&j->next, 1);
        if (i >= j->n) break;
        rllc_status status = j->task(j->context, i, worker);
        if (status != RLLC_OK) record_failure(j, i, status);
    }
    inside_task = false;
}

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Whether the count became zero (or not) within 100 us. To be woken from sleep takes some 40 us on a virtual machine, a
   change seen while watching 0.2 us; kernels come one soon after the other. */
static bool watch(atomic_int *count, bool for_zero) {
    if (!atomic_load(&pool.watches)) return false;
    for (double begin = rllc_now(); rllc_now() - begin < 100e-6;) {
        for (int i = 0; i < 16; i++) {
            if ((atomic_load(count) == 0) == for_zero) return true;
            pause_briefly();
        }
    }
    return false;
}

static void *helper_main(void *unused) {
    (void)unused;
    for (;;) {
        watch(&pool.n_seats, false);
        pthread_mutex_lock(&pool.lock);
        while (pool.n_seats == 0) pthread_cond_wait(&pool.work, &pool.lock);
        job *j = pool.job;
        int worker = pool.next_worker++;
        pool.n_seats--;
        pool.n_seated++;
        pthread_mutex_unlock(&pool.lock);
        fesetenv(&j->rounding);
        take_part(j, worker);
        pthread_mutex_lock(&pool.lock);
        if (--pool.n_seated == 0) pthread_cond_signal(&pool.left);
        pthread_mutex_unlock(&pool.lock);
    }
    return NULL;
}

static int usable_cores(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than a cpu_set_t holds */
    return online > 0 ? (int)online : 1;
}

/* A forked child has only the forking thread: it starts with an empty pool of its own. */
static void before_fork(void) {
    pthread_mutex_lock(&pool.lock);
}

static void after_fork_in_parent(void) {
    pthread_mutex_unlock(&pool.lock);
}

static void after_fork_in_child(void) {
    pthread_mutex_init(&pool.turn, NULL);
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.work, NULL);
    pthread_cond_init(&pool.left, NULL);
    pool.n_helpers = 0;
    pool.job = NULL;
    pool.n_seats = 0;
    pool.n_seated = 0;
}

static void handle_forks(void) {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* Brings the pool to n_wanted helpers if the system gives them; called with pool.lock held. Helpers take no signals:
   those belong to the threads of the program. */
static void start_helpers(int n_wanted) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, handle_forks);
    if (pool.n_helpers >= n_wanted) return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_t detached;
    if (pthread_attr_init(&detached) != 0) return;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    pool.n_cores = usable_cores();
    while (pool.n_helpers < n_wanted && pthread_create(&thread, &detached, helper_main, NULL) == 0) pool.n_helpers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
}

static void run_with_helpers(job *j, int n_helpers) {
    pthread_mutex_lock(&pool.turn);
    pthread_mutex_lock(&pool.lock);
    start_helpers(n_helpers);
    pool.job = j;
    pool.n_seats = n_helpers < pool.n_helpers ? n_helpers : pool.n_helpers;
    pool.next_worker = 1;
    pool.watches = n_helpers < pool.n_cores;
    for (int i = 0; i < pool.n_seats; i++) pthread_cond_signal(&pool.work);
    pthread_mutex_unlock(&pool.lock);

    take_part(j, 0);

    pthread_mutex_lock(&pool.lock);
    pool.n_seats = 0; /* who has not come by now need not come */
    if (pool.n_seated > 0) {
        pthread_mutex_unlock(&pool.lock);
        watch(&pool.n_seated, true);
        pthread_mutex_lock(&pool.lock);
    }
    while (pool.n_seated > 0) pthread_cond_wait(&pool.left, &pool.lock);
    pool.job = NULL;
    pthread_mutex_unlock(&pool.lock);
    pthread_mutex_unlock(&pool.turn);
}

static rllc_status run_alone(int64_t n, rllc_status (*task)(void *, int64_t, int), void *context) {
    for (int64_t i = 0; i < n; i++) {
        rllc_status status = task(context, i, 0);
        if (status != RLLC_OK) return status;
    }
    return RLLC_OK;
}

rllc_status rllc_parallel(int64_t n, int n_threads, rllc_status (*task)(void *context, int64_t i, int worker),
                          void *context) {
    if (n_threads <= 0) n_threads = rllc_default_threads();
    if (n_threads > n) n_threads = (int)n;
    if (n_threads <= 1 || inside_task) return run_alone(n, task, context);
    job j = {.task = task, .context = context, .n = n, .status = RLLC_OK, .lock = PTHREAD_MUTEX_INITIALIZER};
    fegetenv(&j.rounding);
    run_with_helpers(&j, n_threads - 1);
    if (j.status != RLLC_OK) rllc_fail(j.status, "%s", j.detail ? j.detail : "");
    free(j.detail);
    pthread_mutex_destroy(&j.lock);
    return j.status;
}

/* A positive number from the environment, 0 if unset or not one; of "4,2" (OpenMP's levels) the first. */
static int threads_from(const char *variable) {
    const char *text = getenv(variable);
    if (!text) return 0;
    char *end;
    long n = strtol(text, &end, 10);
    bool clean = end != text && (*end == '\0' || *end == ',');
    return clean && n > 0 && n <= 4096 ? (int)n : 0;
}

int rllc_default_threads(void) {
    int n = threads_from("RLLC_THREADS");
    if (n == 0) n = threads_from("OMP_NUM_THREADS");
    if (n > 0) return n;
    return usable_cores();
}
