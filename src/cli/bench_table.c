/* bench table: the results as rows, for files and for --json. */
#include <time.h>

#include "cli/bench.h"

rllc_status rllc_bench_add(rllc_bench_table *t, const char *section, const char *what, const char *quantity,
                           const char *unit, rllc_spread value) {
    if (t->n == t->capacity) {
        const int64_t capacity = t->capacity ? 2 * t->capacity : 64;
        const rllc_status status = rllc_grow(&t->rows, t->capacity, capacity, sizeof *t->rows);
        if (status != RLLC_OK) return status;
        t->capacity = capacity;
    }
    if (!what) return rllc_fail(RLLC_ENOMEM, "no memory for a row of results");
    t->rows[t->n++] = (rllc_bench_row){section, what, quantity, unit, value};
    return RLLC_OK;
}

rllc_spread rllc_bench_once(double value) {
    return (rllc_spread){value, value, value, 1};
}

static const char *date(char buffer[32]) {
    const time_t now = time(NULL);
    struct tm utc;
    if (!gmtime_r(&now, &utc) || strftime(buffer, 32, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) return "unknown";
    return buffer;
}

rllc_status rllc_bench_write_tsv(const rllc_bench_table *t, int n_threads, const char *path) {
    rllc_status status = RLLC_OK;
    rllc_string text = {0};
    char buffer[32];
    RLLC_TRY(rllc_string_printf(&text, "# rllc bench: " RLLC_VERSION " %s %d threads %s\n", rllc_kernels_get()->name,
                                n_threads, date(buffer)));
    RLLC_TRY(rllc_string_add(&text, "section\tcase\tquantity\tunit\tmedian\tlow\thigh\trounds\n"));
    for (int64_t i = 0; i < t->n; i++) {
        const rllc_bench_row *r = &t->rows[i];
        RLLC_TRY(rllc_string_printf(&text, "%s\t%s\t%s\t%s\t%.6g\t%.6g\t%.6g\t%lld\n", r->section, r->what, r->quantity,
                                    r->unit, r->value.median, r->value.low, r->value.high, (long long)r->value.rounds));
    }
    RLLC_TRY(rllc_file_write(path, text.data, text.length));
done:
    rllc_string_release(&text);
    return status;
}

static rllc_status row_json(const rllc_bench_row *r, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "section", rllc_json_string(r->section)));
    RLLC_TRY(rllc_json_set(j, "case", rllc_json_string(r->what)));
    RLLC_TRY(rllc_json_set(j, "quantity", rllc_json_string(r->quantity)));
    RLLC_TRY(rllc_json_set(j, "unit", rllc_json_string(r->unit)));
    RLLC_TRY(rllc_json_set(j, "median", rllc_json_real(r->value.median)));
    RLLC_TRY(rllc_json_set(j, "low", rllc_json_real(r->value.low)));
    RLLC_TRY(rllc_json_set(j, "high", rllc_json_real(r->value.high)));
    RLLC_TRY(rllc_json_set(j, "rounds", rllc_json_integer(r->value.rounds)));
    *out = j;
    j = NULL;
done:
    rllc_json_free(j);
    return status;
}

rllc_status rllc_bench_print_json(const rllc_bench_table *t, int n_threads) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *rows = rllc_json_array(), *row;
    char buffer[32];
    for (int64_t i = 0; i < t->n; i++) {
        RLLC_TRY(row_json(&t->rows[i], &row));
        RLLC_TRY(rllc_json_append(rows, row));
    }
    RLLC_TRY(rllc_json_set(j, "version", rllc_json_string(RLLC_VERSION)));
    RLLC_TRY(rllc_json_set(j, "kernels", rllc_json_string(rllc_kernels_get()->name)));
    RLLC_TRY(rllc_json_set(j, "threads", rllc_json_integer(n_threads)));
    RLLC_TRY(rllc_json_set(j, "date", rllc_json_string(date(buffer))));
    status = rllc_json_set(j, "rows", rows);
    rows = NULL;
    RLLC_TRY(status);
    return rllc_cli_print_json("bench", j);
done:
    rllc_json_free(rows);
    rllc_json_free(j);
    return status;
}
