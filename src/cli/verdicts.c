/* cli: how far to trust the estimates of a store, cell by cell. */
#include <math.h>
#include <string.h>

#include "cli/cells.h"

/** The diagnosis of an estimate as JSON; NULL if it has none. */
static rllc_status parse(const rllc_store_estimate *e, rllc_json **out) {
    *out = NULL;
    if (!*e->diagnosis_json) return RLLC_OK;
    return rllc_json_parse(out, e->diagnosis_json, strlen(e->diagnosis_json), "diagnosis of a cell");
}

static void print_numbers(const rllc_json *d) {
    const char *const keys[] = {"rhat_rank",        "ess_bulk",   "ess_tail",   "mcse_mean",    "autocorrelation_time",
                                "geweke_z",         "early_z",    "late_z",     "virial",       "heat_capacity",
                                "effective_degree", "mala",       "acceptance", "gradient_snr", "gradient_norm",
                                "pull_norm",        "noise_norm", "distance",   "share_below"};
    const char *const terms[] = {"complexity",   "step",     "noise",      "transient", "drift",        "expected",
                                 "localization", "negative", "soft_count", "lr_max",    "top_curvature"};
    const rllc_json *budget = rllc_json_get(d, "budget");
    printf("       ");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const double x = rllc_json_to_real(rllc_json_get(d, keys[i]), NAN);
        if (!isnan(x)) printf(" %s %.3g;", keys[i], x);
    }
    printf("\n");
    if (!budget) return;
    printf("        budget:");
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        printf(" %s %.3g;", terms[i], rllc_json_to_real(rllc_json_get(budget, terms[i]), NAN));
    printf("\n");
}

static void print_findings(const rllc_json *d, bool all) {
    const rllc_json *list = rllc_json_get(d, "findings");
    for (int64_t i = 0; i < rllc_json_length(list); i++) {
        const rllc_json *f = rllc_json_at(list, i);
        const char *grade = rllc_json_text(rllc_json_get(f, "grade")),
                   *sentence = rllc_json_text(rllc_json_get(f, "sentence"));
        const char *check = rllc_json_text(rllc_json_get(f, "check"));
        if (!grade || !sentence || !check || (!all && strcmp(grade, "good") == 0)) continue;
        printf("        %-8s %s: %s\n", grade, check, sentence);
    }
}

static rllc_status print_text(const rllc_store_estimate *list, const rllc_store_cell *cells, int64_t n, bool all) {
    int64_t good = 0;
    for (int64_t i = 0; i < n; i++) {
        rllc_json *d;
        const rllc_status status = parse(&list[i], &d);
        if (status != RLLC_OK) return status;
        good += strcmp(list[i].verdict, "good") == 0;
        printf("%6lld  %-10s %-12s %-7s %9.4f +- %.4f  %s\n", (long long)cells[i].step, rllc_store_cell_data(&cells[i]),
               rllc_component_label(cells[i].component), list[i].name, list[i].llc_mean, list[i].llc_se,
               *list[i].verdict ? list[i].verdict : "not diagnosed: rllc estimate RUN");
        print_findings(d, all);
        if (all && d) print_numbers(d);
        rllc_json_free(d);
    }
    printf("%lld of %lld estimates are good\n", (long long)good, (long long)n);
    return RLLC_OK;
}

/** The sentence of the finding that gave the verdict; NULL if there is none. */
static const char *deciding_sentence(const rllc_json *diagnosis, const char *verdict) {
    const rllc_json *findings = rllc_json_get(diagnosis, "findings");
    for (int64_t i = 0; i < rllc_json_length(findings); i++) {
        const char *its = rllc_json_text(rllc_json_get(rllc_json_at(findings, i), "verdict"));
        if (its && strcmp(its, verdict) == 0)
            return rllc_json_text(rllc_json_get(rllc_json_at(findings, i), "sentence"));
    }
    return NULL;
}

enum { MOST_REASONS = 3 };

rllc_status rllc_cells_print_reasons(const rllc_store_estimate *list, const rllc_store_cell *cells, int64_t n) {
    int64_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!*list[i].verdict || strcmp(list[i].verdict, "good") == 0 || bad++ >= MOST_REASONS) continue;
        rllc_json *d;
        const rllc_status status = parse(&list[i], &d);
        if (status != RLLC_OK) return status;
        const char *sentence = deciding_sentence(d, list[i].verdict);
        if (sentence)
            printf("%s, step %lld, %s: %s\n", rllc_component_label(cells[i].component), (long long)cells[i].step,
                   rllc_store_cell_data(&cells[i]), sentence);
        rllc_json_free(d);
    }
    if (bad > MOST_REASONS)
        printf("and %lld more that are not good: rllc diagnose says why\n", (long long)(bad - MOST_REASONS));
    return RLLC_OK;
}

static rllc_status row_json(const rllc_store_estimate *e, const rllc_store_cell *c, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *row = rllc_json_object(), *d = NULL;
    *out = NULL;
    RLLC_TRY(rllc_json_set(row, "seed", rllc_json_string(rllc_intern_printf("%llu", (unsigned long long)c->seed))));
    RLLC_TRY(rllc_json_set(row, "step", rllc_json_integer(c->step)));
    RLLC_TRY(rllc_json_set(row, "corpus", rllc_json_string(c->corpus)));
    RLLC_TRY(rllc_json_set(row, "loss", rllc_json_string(c->loss_kind)));
    RLLC_TRY(rllc_json_set(row, "component", rllc_json_string(c->component)));
    RLLC_TRY(rllc_json_set(row, "name", rllc_json_string(e->name)));
    RLLC_TRY(rllc_json_set(row, "llc_mean", rllc_json_real(e->llc_mean)));
    RLLC_TRY(rllc_json_set(row, "llc_se", rllc_json_real(e->llc_se)));
    RLLC_TRY(rllc_json_set(row, "verdict", rllc_json_string(e->verdict)));
    RLLC_TRY(parse(e, &d));
    if (d) RLLC_TRY(rllc_json_set(row, "diagnosis", d));
    *out = row;
    return RLLC_OK;
done:
    rllc_json_free(row);
    return status;
}

static rllc_status print_json(const rllc_store_estimate *list, const rllc_store_cell *cells, int64_t n) {
    rllc_status status = RLLC_OK;
    rllc_json *rows = rllc_json_array(), *j = rllc_json_object();
    for (int64_t i = 0; i < n; i++) {
        rllc_json *row;
        RLLC_TRY(row_json(&list[i], &cells[i], &row));
        RLLC_TRY(rllc_json_append(rows, row));
    }
    status = rllc_json_set(j, "verdicts", rows);
    rows = NULL;
    if (status != RLLC_OK) goto done;
    return rllc_cli_print_json("diagnose", j);
done:
    rllc_json_free(rows);
    rllc_json_free(j);
    return status;
}

rllc_status rllc_cells_print_verdicts(rllc_store *store, const rllc_cell_filter *filter, bool all, bool json) {
    rllc_status status = RLLC_OK;
    rllc_store_estimate *list = NULL;
    rllc_store_cell *cells = NULL;
    int64_t n;
    RLLC_TRY(rllc_cells_select(store, filter, &list, &cells, &n));
    RLLC_TRY(json ? print_json(list, cells, n) : print_text(list, cells, n, all));
done:
    rllc_free(list);
    rllc_free(cells);
    return status;
}

rllc_status rllc_cells_require_good(rllc_store *store, const rllc_cell_filter *filter) {
    rllc_status status = RLLC_OK;
    rllc_store_estimate *list = NULL;
    rllc_store_cell *cells = NULL;
    int64_t n, bad = 0, first = 0;
    RLLC_TRY(rllc_cells_select(store, filter, &list, &cells, &n));
    for (int64_t i = n - 1; i >= 0; i--)
        if (strcmp(list[i].verdict, "good") != 0) bad++, first = i;
    if (bad)
        status = rllc_fail(RLLC_EDOUBTFUL,
                           "%lld of %lld estimates are not good, the first %s at step %lld on %s (%s); rllc diagnose "
                           "says why",
                           (long long)bad, (long long)n, cells[first].component, (long long)cells[first].step,
                           rllc_store_cell_data(&cells[first]), list[first].verdict);
done:
    rllc_free(list);
    rllc_free(cells);
    return status;
}
