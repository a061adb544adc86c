/* cli: estimates as a table, as JSON, and their traces as CSV. */
#include "cli/cells.h"

#include <string.h>

bool rllc_list_names(const char *list, const char *item) {
    if (!list || !*list) return true;
    for (const char *p = list; *p;) {
        p += strspn(p, " ,");
        size_t n = strcspn(p, ","), kept = n;
        while (kept && p[kept - 1] == ' ') kept--;
        if (kept == strlen(item) && strncmp(p, item, kept) == 0) return true;
        p += n;
    }
    return false;
}

static bool has_twin(const rllc_store_checkpoint *list, int64_t n, int64_t i) {
    for (int64_t k = 0; k < n; k++)
        if (k != i && list[k].seed == list[i].seed && list[k].step == list[i].step) return true;
    return false;
}

static rllc_status is_on_disk(const char *folder, const rllc_store_checkpoint *c, bool *yes) {
    rllc_model m;
    const rllc_status status = rllc_model_load(&m, c->path[0] == '/' ? c->path : rllc_intern_printf("%s/%s", folder, c->path));
    if (status != RLLC_OK) return status;
    *yes = strcmp(rllc_model_hash(&m).hex, c->hash) == 0;
    rllc_model_release(&m);
    return RLLC_OK;
}

rllc_status rllc_checkpoints_drop_replaced(const char *folder, rllc_store_checkpoint *list, int64_t *n) {
    int64_t kept = 0;
    for (int64_t i = 0; i < *n; i++) {
        bool keep = true;
        const rllc_status status = has_twin(list, *n, i) ? is_on_disk(folder, &list[i], &keep) : RLLC_OK;
        if (status != RLLC_OK) return status;
        list[i].id = keep ? list[i].id : -1; /* twins are looked for among all of them */
    }
    for (int64_t i = 0; i < *n; i++)
        if (list[i].id >= 0) list[kept++] = list[i];
    *n = kept;
    return RLLC_OK;
}

static bool among(const int64_t *list, int64_t n, int64_t value) {
    for (int64_t i = 0; i < n; i++)
        if (list[i] == value) return true;
    return n == 0;
}

static bool passes(const rllc_cell_filter *f, const rllc_store_cell *c) {
    return rllc_list_names(f->components, c->component) && rllc_list_names(f->corpora, c->corpus) &&
           among(f->steps, f->n_steps, c->step) &&
           (!f->options || strcmp(f->options, c->options_json) == 0);
}

/** Estimates and their cells that pass, in the store's order. */
static rllc_status select(rllc_store *store, const rllc_cell_filter *f, rllc_store_estimate **list,
                          rllc_store_cell **cells, int64_t *n) {
    int64_t all, kept = 0;
    const rllc_status status = rllc_store_estimates(store, list, cells, &all);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < all; i++) {
        if (!passes(f, &(*cells)[i])) continue;
        (*list)[kept] = (*list)[i];
        (*cells)[kept++] = (*cells)[i];
    }
    *n = kept;
    return RLLC_OK;
}

/** Moves the members of a text holding a JSON object into `to`. */
static rllc_status set_parsed(rllc_json *to, const char *key, const char *text) {
    rllc_json *j;
    const rllc_status status = rllc_json_parse(&j, text, strlen(text), key);
    return status == RLLC_OK ? rllc_json_set(to, key, j) : status;
}

static rllc_status to_json(const rllc_store_estimate *e, const rllc_store_cell *c, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object();
    const struct {
        const char *key;
        double value;
    } reals[] = {{"llc_mean", e->llc_mean},           {"llc_sd", e->llc_sd},
                 {"llc_se", e->llc_se},               {"llc_mean_init", e->llc_mean_init},
                 {"llc_sd_init", e->llc_sd_init},     {"llc_se_init", e->llc_se_init},
                 {"nbeta", c->nbeta},                 {"seconds", c->seconds}};
    *out = NULL;
    RLLC_TRY(rllc_json_set(j, "name", rllc_json_string(e->name)));
    RLLC_TRY(rllc_json_set(j, "seed", rllc_json_string(rllc_intern_printf("%llu", (unsigned long long)c->seed))));
    RLLC_TRY(rllc_json_set(j, "step", rllc_json_integer(c->step)));
    RLLC_TRY(rllc_json_set(j, "component", rllc_json_string(c->component)));
    RLLC_TRY(rllc_json_set(j, "corpus", rllc_json_string(c->corpus)));
    RLLC_TRY(rllc_json_set(j, "dim", rllc_json_integer(c->dim)));
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        RLLC_TRY(rllc_json_set(j, reals[i].key, rllc_json_real(reals[i].value)));
    RLLC_TRY(rllc_json_set(j, "num_chains", rllc_json_integer(e->n_chains)));
    RLLC_TRY(rllc_json_set(j, "num_diverged", rllc_json_integer(e->n_diverged)));
    RLLC_TRY(set_parsed(j, "per_chain", e->per_chain_json));
    RLLC_TRY(set_parsed(j, "options", c->options_json));
    *out = j;
    return RLLC_OK;
done:
    rllc_json_free(j);
    return status;
}

static rllc_status print_json(const char *command, const rllc_store_estimate *list, const rllc_store_cell *cells,
                              int64_t n) {
    rllc_status status = RLLC_OK;
    rllc_json *rows = rllc_json_array(), *j = rllc_json_object();
    for (int64_t i = 0; i < n; i++) {
        rllc_json *row;
        RLLC_TRY(to_json(&list[i], &cells[i], &row));
        RLLC_TRY(rllc_json_append(rows, row));
    }
    status = rllc_json_set(j, "estimates", rows);
    rows = NULL;
    if (status != RLLC_OK) goto done;
    return rllc_cli_print_json(command, j);
done:
    rllc_json_free(rows);
    rllc_json_free(j);
    return status;
}

static void print_table(const rllc_store_estimate *list, const rllc_store_cell *cells, int64_t n) {
    printf("%6s  %-10s %-12s %-7s %9s %9s %9s %9s  %s\n", "step", "corpus", "component", "", "llc_mean", "se", "sd", "init",
           "chains");
    for (int64_t i = 0; i < n; i++) {
        const rllc_store_estimate *e = &list[i];
        printf("%6lld  %-10s %-12s %-7s %9.4f %9.4f %9.4f %9.4f  %lld", (long long)cells[i].step, cells[i].corpus,
               rllc_component_label(cells[i].component), e->name, e->llc_mean, e->llc_se, e->llc_sd, e->llc_mean_init,
               (long long)e->n_chains);
        if (e->n_diverged) printf(", %lld diverged", (long long)e->n_diverged);
        printf("\n");
    }
}

rllc_status rllc_cells_print(const char *command, rllc_store *store, const rllc_cell_filter *filter, bool json) {
    rllc_status status = RLLC_OK;
    rllc_store_estimate *list = NULL;
    rllc_store_cell *cells = NULL;
    int64_t n;
    RLLC_TRY(select(store, filter, &list, &cells, &n));
    if (json) {
        RLLC_TRY(print_json(command, list, cells, n));
    } else {
        print_table(list, cells, n);
    }
done:
    rllc_free(list);
    rllc_free(cells);
    return status;
}

static rllc_status write_chain(FILE *f, rllc_store *store, const rllc_store_cell *c, bool several, int64_t chain,
                               double *loss, double *baseline, int64_t capacity) {
    int64_t n;
    char a[32], b[32];
    const rllc_status status = rllc_store_get_trace(store, c->id, chain, loss, baseline, capacity, &n);
    for (int64_t d = 0; status == RLLC_OK && d < n; d++) {
        if (several) fprintf(f, "%lld,%s,%s,", (long long)c->step, c->corpus, c->component);
        fprintf(f, "%lld,%lld,%s,%s\n", (long long)chain, (long long)d, rllc_format_double(a, loss[d]),
                rllc_format_double(b, baseline[d]));
    }
    return status;
}

static int64_t num_draws(const rllc_store_cell *c) {
    rllc_json *j;
    if (rllc_json_parse(&j, c->options_json, strlen(c->options_json), "options") != RLLC_OK) return 0;
    const int64_t n = rllc_json_to_integer(rllc_json_get(rllc_json_get(j, "sampler"), "num_draws"), 0);
    rllc_json_free(j);
    return n;
}

rllc_status rllc_cells_write_traces(rllc_store *store, const rllc_cell_filter *filter, const char *path) {
    rllc_status status = RLLC_OK;
    rllc_store_estimate *list = NULL;
    rllc_store_cell *cells = NULL;
    rllc_output_file f = {0};
    double *loss = NULL;
    int64_t n, most = 1;
    RLLC_TRY(select(store, filter, &list, &cells, &n));
    for (int64_t i = 0; i < n; i++)
        if (num_draws(&cells[i]) > most) most = num_draws(&cells[i]);
    RLLC_TRY(rllc_alloc(&loss, 2 * most, sizeof *loss));
    RLLC_TRY(rllc_output_file_open(&f, path));
    fputs(n > 1 ? "step,corpus,component,chain,draw,loss,baseline\n" : "chain,draw,loss,baseline\n", f.stream);
    for (int64_t i = 0; i < n; i++)
        for (int64_t chain = 0; chain < list[i].n_chains; chain++)
            RLLC_TRY(write_chain(f.stream, store, &cells[i], n > 1, chain, loss, loss + most, most));
    RLLC_TRY(rllc_output_file_commit(&f));
done:
    rllc_output_file_abort(&f);
    rllc_free(loss);
    rllc_free(list);
    rllc_free(cells);
    return status;
}
