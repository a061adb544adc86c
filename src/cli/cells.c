/* cli: estimates as a table, as JSON, and their traces as CSV. */
#include "cli/cells.h"

#include <math.h>
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

rllc_status rllc_cli_load_reference(const rllc_sampling_options *o, rllc_model *out) {
    bool next_token, reference;
    const rllc_status status = rllc_sampling_losses(o->loss, &next_token, &reference);
    *out = (rllc_model){0};
    if (status == RLLC_EINPUT) return rllc_fail(RLLC_EUSAGE, "%s", rllc_intern(rllc_error_detail()));
    if (status != RLLC_OK) return status;
    if (reference && !o->reference)
        return rllc_fail(RLLC_EUSAGE, "the loss 'reference' is relative to a model: name its checkpoint with --reference");
    if (!reference && o->reference)
        return rllc_fail(RLLC_EUSAGE, "--reference is read by the loss 'reference' alone: add --loss reference");
    if (!reference) return RLLC_OK;
    return rllc_fail_within(rllc_model_load(out, o->reference), "reference");
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

/** "reference" names every reference model's. */
static bool passes_loss(const rllc_cell_filter *f, const rllc_store_cell *c) {
    return rllc_list_names(f->losses, c->loss_kind) ||
           (!rllc_store_cell_is_next_token(c) && rllc_list_names(f->losses, "reference"));
}

static bool passes(const rllc_cell_filter *f, const rllc_store_cell *c) {
    return rllc_list_names(f->components, c->component) && rllc_list_names(f->corpora, c->corpus) &&
           passes_loss(f, c) && among(f->steps, f->n_steps, c->step) &&
           (!f->options || strcmp(f->options, c->options_json) == 0);
}

rllc_status rllc_cli_open_store(const char *run, bool write, rllc_store **store) {
    const char *path = rllc_is_folder(run) ? rllc_intern_printf("%s/run.db", run) : run;
    if (!path) return rllc_fail(RLLC_ENOMEM, "no memory for the path of a store");
    return rllc_store_open(store, path, write && rllc_file_exists(path) ? RLLC_STORE_WRITE : RLLC_STORE_READ);
}

rllc_status rllc_cells_select(rllc_store *store, const rllc_cell_filter *f, rllc_store_estimate **list,
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

/** Adds a name to a list unless it is there. */
static rllc_status add_once(rllc_string *list, const char *name) {
    if (*rllc_string_text(list) && rllc_list_names(rllc_string_text(list), name)) return RLLC_OK;
    return rllc_string_printf(list, "%s%s", *rllc_string_text(list) ? ", " : "", name);
}

/** The first part of the filter that nothing passes alone, and what it could have named. */
static rllc_status explain_none(const rllc_cell_filter *f, const rllc_store_cell *cells, int64_t n) {
    const char *const flags[] = {"components", "corpora", "losses", "checkpoints"};
    const rllc_cell_filter parts[] = {{.components = f->components},
                                      {.corpora = f->corpora},
                                      {.losses = f->losses},
                                      {.steps = f->steps, .n_steps = f->n_steps}};
    rllc_string there = {0};
    rllc_status status = RLLC_OK;
    for (int k = 0; k < 4; k++) {
        bool any = false;
        rllc_string_clear(&there);
        for (int64_t i = 0; i < n; i++) {
            const rllc_store_cell *c = &cells[i];
            any = any || passes(&parts[k], c);
            RLLC_TRY(add_once(&there, k == 0   ? c->component
                                      : k == 1 ? c->corpus
                                      : k == 2 ? c->loss_kind
                                               : rllc_intern_printf("%lld", (long long)c->step)));
        }
        if (!any) {
            status = rllc_fail(RLLC_ENOTFOUND, "no estimate is of these --%s; the store has %s", flags[k],
                               rllc_string_text(&there));
            goto done;
        }
    }
    status = rllc_fail(RLLC_ENOTFOUND, "no estimate is of these --checkpoints, --components, --corpora and --losses together");
done:
    rllc_string_release(&there);
    return status;
}

rllc_status rllc_cells_require_any(rllc_store *store, const rllc_cell_filter *filter) {
    rllc_status status = RLLC_OK;
    rllc_store_estimate *list = NULL;
    rllc_store_cell *cells = NULL;
    int64_t n;
    bool any = false;
    RLLC_TRY(rllc_store_estimates(store, &list, &cells, &n));
    for (int64_t i = 0; i < n && !any; i++) any = passes(filter, &cells[i]);
    if (n > 0 && !any) status = explain_none(filter, cells, n);
done:
    rllc_free(list);
    rllc_free(cells);
    return status;
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
    RLLC_TRY(rllc_json_set(j, "loss", rllc_json_string(c->loss_kind)));
    RLLC_TRY(rllc_json_set(j, "dim", rllc_json_integer(c->dim)));
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        RLLC_TRY(rllc_json_set(j, reals[i].key, rllc_json_real(reals[i].value)));
    RLLC_TRY(rllc_json_set(j, "num_chains", rllc_json_integer(e->n_chains)));
    RLLC_TRY(rllc_json_set(j, "num_diverged", rllc_json_integer(e->n_diverged)));
    RLLC_TRY(set_parsed(j, "per_chain", e->per_chain_json));
    RLLC_TRY(set_parsed(j, "options", c->options_json));
    RLLC_TRY(rllc_json_set(j, "verdict", rllc_json_string(e->verdict)));
    if (*e->diagnosis_json) RLLC_TRY(set_parsed(j, "diagnosis", e->diagnosis_json));
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

/** What step, minibatch noise, beginning and gradient are predicted to add; NaN where the curvature is not known. */
static double predicted_bias(const rllc_store_estimate *e) {
    static const char *const terms[] = {"step", "noise", "transient", "drift"};
    rllc_json *d = NULL;
    double sum = 0;
    if (!*e->diagnosis_json || rllc_json_parse(&d, e->diagnosis_json, strlen(e->diagnosis_json), "diagnosis") != RLLC_OK)
        return NAN;
    const rllc_json *budget = rllc_json_get(d, "budget");
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++)
        sum += rllc_json_to_real(rllc_json_get(budget, terms[i]), NAN);
    rllc_json_free(d);
    return sum;
}

static int widest(int width, const char *text) {
    return (int)strlen(text) > width ? (int)strlen(text) : width;
}

static void print_table(const rllc_store_estimate *list, const rllc_store_cell *cells, int64_t n) {
    int width = 10;
    for (int64_t i = 0; i < n; i++) width = widest(width, rllc_store_cell_data(&cells[i]));
    printf("%6s  %-*s %-12s %-7s %9s %9s %9s %9s %9s  %s\n", "step", width, "corpus", "component", "", "llc_mean", "se", "sd",
           "bias", "init", "verdict");
    for (int64_t i = 0; i < n; i++) {
        const rllc_store_estimate *e = &list[i];
        const double bias = predicted_bias(e);
        printf("%6lld  %-*s %-12s %-7s %9.4f %9.4f %9.4f", (long long)cells[i].step, width, rllc_store_cell_data(&cells[i]),
               rllc_component_label(cells[i].component), e->name, e->llc_mean, e->llc_se, e->llc_sd);
        if (isnan(bias))
            printf(" %9s", "-");
        else
            printf(" %+9.4f", bias);
        printf(" %9.4f  %s", e->llc_mean_init, *e->verdict ? e->verdict : "-");
        if (e->n_diverged) printf(" (%lld of %lld chains)", (long long)e->n_diverged, (long long)e->n_chains);
        printf("\n");
    }
}

rllc_status rllc_cells_print(const char *command, rllc_store *store, const rllc_cell_filter *filter, bool json) {
    rllc_status status = RLLC_OK;
    rllc_store_estimate *list = NULL;
    rllc_store_cell *cells = NULL;
    int64_t n;
    RLLC_TRY(rllc_cells_select(store, filter, &list, &cells, &n));
    if (json) {
        RLLC_TRY(print_json(command, list, cells, n));
    } else {
        print_table(list, cells, n);
        RLLC_TRY(rllc_cells_print_reasons(list, cells, n));
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
        if (several) fprintf(f, "%lld,%s,%s,", (long long)c->step, rllc_store_cell_data(c), c->component);
        fprintf(f, "%lld,%lld,%s,%s\n", (long long)chain, (long long)d, rllc_format_double(a, loss[d]),
                rllc_format_double(b, baseline[d]));
    }
    return status;
}

/** Draws that a chain of the cell records. */
static rllc_status get_draws(const rllc_store_cell *c, int64_t *n) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    rllc_sampler_options sampler;
    rllc_options_default(&rllc_sampler_option_table, &sampler);
    RLLC_TRY(rllc_json_parse(&j, c->options_json, strlen(c->options_json), "options of a cell"));
    RLLC_TRY(rllc_options_from_json(&rllc_sampler_option_table, &sampler, rllc_json_get(j, "sampler")));
    *n = rllc_sampler_draws(&sampler);
done:
    rllc_json_free(j);
    return status;
}

rllc_status rllc_cells_write_traces(rllc_store *store, const rllc_cell_filter *filter, const char *path) {
    rllc_status status = RLLC_OK;
    rllc_store_estimate *list = NULL;
    rllc_store_cell *cells = NULL;
    rllc_output_file f = {0};
    double *loss = NULL;
    int64_t n, most = 1;
    RLLC_TRY(rllc_cells_select(store, filter, &list, &cells, &n));
    for (int64_t i = 0; i < n; i++) {
        int64_t draws;
        RLLC_TRY(get_draws(&cells[i], &draws));
        if (draws > most) most = draws;
    }
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
