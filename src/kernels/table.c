/* Which kernel tables this processor runs, and which one is used. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/tables.h"

enum { MAX_TABLES = 4 };

static const rllc_kernels *runnable[MAX_TABLES]; /* written once, by find_tables */
static int n_runnable;
static pthread_once_t found = PTHREAD_ONCE_INIT;
static _Atomic(const rllc_kernels *) chosen;

/* In order of speed. */
static void find_tables(void) {
    runnable[n_runnable++] = &rllc_kernels_ref;
    runnable[n_runnable++] = &rllc_kernels_cpu_generic;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (avx2) runnable[n_runnable++] = &rllc_kernels_cpu_avx2;
    if (avx512) runnable[n_runnable++] = &rllc_kernels_cpu_avx512;
#endif
}

const rllc_kernels *const *rllc_kernels_list(int *n) {
    pthread_once(&found, find_tables);
    *n = n_runnable;
    return runnable;
}

static const rllc_kernels *named(const char *name) {
    int n = 0;
    const rllc_kernels *const *tables = rllc_kernels_list(&n);
    if (name == NULL || name[0] == 0) return tables[n - 1]; /* the list is ordered by speed */
    for (int i = 0; i < n; i++) {
        if (strcmp(tables[i]->name, name) == 0) return tables[i];
    }
    return NULL;
}

rllc_status rllc_kernels_select(const char *name) {
    const rllc_kernels *table = named(name);
    if (table != NULL) {
        atomic_store(&chosen, table);
        return RLLC_OK;
    }
    rllc_string names = {0};
    int n = 0;
    const rllc_kernels *const *tables = rllc_kernels_list(&n);
    rllc_status status = RLLC_OK;
    for (int i = 0; i < n && status == RLLC_OK; i++) {
        status = rllc_string_printf(&names, "%s%s", i > 0 ? ", " : "", tables[i]->name);
    }
    if (status == RLLC_OK) {
        status = rllc_fail(RLLC_EUSAGE, "kernel table '%s' is unknown or does not run on this processor; choose one of "
                           "%s, or none for the fastest", name, rllc_string_text(&names));
    }
    rllc_string_release(&names);
    return status;
}

const rllc_kernels *rllc_kernels_get(void) {
    const rllc_kernels *table = atomic_load(&chosen);
    if (table != NULL) return table;
    table = named(getenv("RLLC_KERNELS"));
    if (table == NULL) table = named(NULL);
    const rllc_kernels *none = NULL; /* first decision stands, whichever thread makes it */
    return atomic_compare_exchange_strong(&chosen, &none, table) ? table : none;
}

rllc_status rllc_kernels_json(rllc_json **out) {
    rllc_status status = RLLC_OK;
    int n = 0;
    const rllc_kernels *const *tables = rllc_kernels_list(&n);
    rllc_json *object = rllc_json_object(), *names = rllc_json_array();
    *out = NULL;
    for (int i = 0; i < n; i++) RLLC_TRY(rllc_json_append(names, rllc_json_string(tables[i]->name)));
    RLLC_TRY(rllc_json_set(object, "table", rllc_json_string(rllc_kernels_get()->name)));
    rllc_json *given = names;
    names = NULL;
    RLLC_TRY(rllc_json_set(object, "tables", given));
    *out = object;
    object = NULL;
done:
    rllc_json_free(names);
    rllc_json_free(object);
    return status;
}
