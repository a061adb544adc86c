/* Different patterns, and how many a part of the records would show. */
#include "mechinterp/multigrams.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

rllc_status rllc_multigrams_count(rllc_multigrams *out, const char *const *patterns, int64_t records) {
    rllc_status status = RLLC_OK;
    const char **sorted = NULL;
    int64_t n = 0;
    *out = (rllc_multigrams){.records = records};
    RLLC_TRY(rllc_alloc(&sorted, records, sizeof *sorted));
    RLLC_TRY(rllc_alloc(&out->count, records, sizeof *out->count));
    for (int64_t i = 0; i < records; i++)
        if (patterns[i]) sorted[n++] = patterns[i];
    qsort(sorted, (size_t)n, sizeof *sorted, by_text);
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0) out->n++;
        out->count[out->n - 1]++;
    }
done:
    rllc_free(sorted);
    if (status != RLLC_OK) rllc_multigrams_release(out);
    return status;
}

void rllc_multigrams_release(rllc_multigrams *m) {
    rllc_free(m->count);
    *m = (rllc_multigrams){0};
}

int64_t rllc_multigrams_distinct(const rllc_multigrams *m, int64_t times) {
    int64_t n = 0;
    for (int64_t i = 0; i < m->n; i++) n += m->count[i] >= times;
    return n;
}

/* C(N - c, m) / C(N, m): that none of c among N records is among m drawn. */
static double unseen(int64_t N, int64_t c, int64_t m) {
    double p = 1;
    for (int64_t j = 0; j < c && p > 0; j++) p *= N - m - j > 0 ? (double)(N - m - j) / (double)(N - j) : 0;
    return p;
}

double rllc_multigrams_expected(const rllc_multigrams *m, int64_t drawn) { /* (E106) */
    double sum = 0;
    for (int64_t i = 0; i < m->n; i++) sum += 1 - unseen(m->records, m->count[i], drawn);
    return sum;
}

int64_t rllc_multigrams_points(int64_t records, int64_t points, int64_t *out) {
    int64_t n = 0;
    for (int64_t i = 0; i < points && records > 0; i++) {
        const double share = points > 1 ? (double)i / (double)(points - 1) : 1;
        const int64_t m = llround(exp(share * log((double)records)));
        if (n == 0 || m > out[n - 1]) out[n++] = m;
    }
    return n;
}
