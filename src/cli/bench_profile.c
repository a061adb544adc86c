/* bench profile: a kernel table around another one, which adds up the time of every slot on every thread. */
#include <stdatomic.h>
#include <time.h>

#include "cli/bench_profile.h"

/* One thread's sums: padded, so that threads do not write into one cache line. */
typedef struct sums {
    double seconds[RLLC_BENCH_SLOTS];
    double calls[RLLC_BENCH_SLOTS];
    double padding[16];
} sums;

/* Kernels take no context, so the table around them is one in a process. Threads past the last record share it: they
   are counted, and the profile refuses to report. */
enum { MOST_THREADS = 1024 };
static struct {
    const rllc_kernels *inner;
    rllc_kernels timed;
    sums threads[MOST_THREADS];
    atomic_int n_threads;
} profile;
static _Thread_local int own = -1;

static sums *own_sums(void) {
    if (own < 0) own = atomic_fetch_add(&profile.n_threads, 1);
    return &profile.threads[own < MOST_THREADS ? own : MOST_THREADS - 1];
}

static void add(int slot, double start) {
    const double seconds = rllc_now() - start;
    sums *s = own_sums();
    s->seconds[slot] += seconds;
    s->calls[slot]++;
}

#define RLLC_SLOT(name, parameters, arguments)                                                                         \
    static void timed_##name parameters {                                                                              \
        const double start = rllc_now();                                                                               \
        profile.inner->name arguments;                                                                                 \
        add(RLLC_SLOT_##name, start);                                                                                  \
    }
#include "cli/bench_slots.def"
#undef RLLC_SLOT

/* A slot that is added to the table belongs into bench_slots.def, or its time would count as spent outside kernels.
   Not timed: name, host_memory, allocate, release, upload, download, both sizes of scratch, and adamw, sgld, normals,
   sum_squares, which no engine calls. */
enum { NOT_TIMED = 12 };
_Static_assert(sizeof(rllc_kernels) == (RLLC_BENCH_SLOTS + NOT_TIMED) * sizeof(void *),
               "rllc_kernels has a slot that bench_slots.def does not have");

const char *rllc_bench_slot_name(int slot) {
    static const char *const names[] = {
#define RLLC_SLOT(name, parameters, arguments) #name,
#include "cli/bench_slots.def"
#undef RLLC_SLOT
    };
    return names[slot];
}

/* Seconds that one timed call of a kernel spends on its timer: an empty kernel, timed. */
static double timer_cost(void) {
    enum { TIMES = 20000 };
    float none = 0;
    const double start = rllc_now();
    for (int i = 0; i < TIMES; i++) timed_zero(0, &none);
    const double timed = rllc_now() - start;
    for (int i = 0; i < TIMES; i++) profile.inner->zero(0, &none);
    const double bare = rllc_now() - start - timed;
    return timed > bare ? (timed - bare) / TIMES : 0;
}

static void clear(void) {
    for (int i = 0; i < MOST_THREADS; i++) profile.threads[i] = (sums){0};
}

static rllc_kernels timed_table(const rllc_kernels *inner) {
    rllc_kernels k = *inner;
#define RLLC_SLOT(name, parameters, arguments) k.name = timed_##name;
#include "cli/bench_slots.def"
#undef RLLC_SLOT
    return k;
}

/* Processor time of all threads of this process. */
static double process_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void conclude(double calls, double took, double used, int n_threads, double update, double timer,
                     rllc_bench_profile *out) {
    const double all = took * n_threads;
    double events = 0;
    *out = (rllc_bench_profile){.outside = 1};
    for (int slot = 0; slot < RLLC_BENCH_SLOTS; slot++) {
        for (int i = 0; i < MOST_THREADS; i++) {
            out->slot[slot] += profile.threads[i].seconds[slot] / all;
            out->calls[slot] += profile.threads[i].calls[slot] / calls;
            events += profile.threads[i].calls[slot];
        }
        out->outside -= out->slot[slot];
    }
    out->update = update / took;
    out->outside -= out->update;
    out->idle = used < all ? 1 - used / all : 0;
    out->timers = events * timer / all;
}

rllc_status rllc_bench_profile_measure(rllc_bench_pass *p, double seconds, rllc_bench_profile *out) {
    rllc_status status = RLLC_OK;
    profile.inner = rllc_kernels_get();
    double calls = 0, took, updated;
    profile.timed = timed_table(profile.inner);
    const double timer = timer_cost();
    RLLC_TRY(rllc_engine_set_kernels(p->engine, &profile.timed));
    RLLC_TRY(rllc_bench_pass_call(p)); /* the engine's memory is new */
    clear();
    updated = p->update_seconds;
    const double start = rllc_now(), begin = process_seconds();
    do {
        RLLC_TRY(rllc_bench_pass_call(p));
        calls++;
        took = rllc_now() - start;
    } while (took < seconds);
    if (profile.n_threads > MOST_THREADS)
        status = rllc_fail(RLLC_EUNSUPPORTED, "a profile takes at most %d threads", (int)MOST_THREADS);
    else
        conclude(calls, took, process_seconds() - begin, p->work.n_threads, p->update_seconds - updated, timer, out);
done:
    if (status == RLLC_OK) status = rllc_engine_set_kernels(p->engine, profile.inner);
    return status;
}
