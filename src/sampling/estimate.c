/* Stored traces -> estimates and verdicts. */
#include <string.h>

#include "group.h"

/** A cell's chains as the store has them, and what decided them. */
struct traces {
    rllc_sampler_options sampler;
    rllc_trace *list;    /* [n] */
    double *record;      /* [n][RLLC_RECORD_N][draws] */
    double *per_chain;   /* llc [n], llc_init [n] */
    int64_t n, draws;
    bool fixed;          /* one minibatch for all steps */
};

static void release(struct traces *t) {
    rllc_free(t->list);
    rllc_free(t->record);
    rllc_free(t->per_chain);
}

/** The options that the cell was sampled with. */
static rllc_status read_options(const rllc_store_cell *cell, struct traces *t) {
    rllc_status status = RLLC_OK;
    rllc_json *options = NULL;
    rllc_options_default(&rllc_sampler_option_table, &t->sampler);
    RLLC_TRY(rllc_json_parse(&options, cell->options_json, strlen(cell->options_json), "options of a cell"));
    RLLC_TRY(rllc_options_from_json(&rllc_sampler_option_table, &t->sampler, rllc_json_get(options, "sampler")));
    const char *batches = rllc_json_text(rllc_json_get(options, "batches"));
    t->fixed = batches && strcmp(batches, "fixed") == 0;
    t->n = t->sampler.num_chains;
    t->draws = rllc_sampler_draws(&t->sampler);
done:
    rllc_json_free(options);
    return status;
}

/** devinterp measures every chain against one init loss: the mean over theirs. */
static void share_init_loss(struct traces *t) {
    double sum = 0;
    for (int64_t c = 0; c < t->n; c++) sum += t->list[c].init_loss;
    for (int64_t c = 0; c < t->n; c++) t->list[c].init_loss = sum / (double)t->n;
}

static rllc_status load(rllc_store *store, const rllc_store_cell *cell, struct traces *t) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(read_options(cell, t));
    RLLC_TRY(rllc_alloc(&t->list, t->n, sizeof *t->list));
    RLLC_TRY(rllc_alloc(&t->record, t->n * RLLC_RECORD_N * t->draws, sizeof *t->record));
    RLLC_TRY(rllc_alloc(&t->per_chain, 2 * t->n, sizeof *t->per_chain));
    for (int64_t c = 0; c < t->n; c++) {
        rllc_store_chain chain;
        rllc_trace *trace = &t->list[c];
        double *column[RLLC_RECORD_N];
        for (int i = 0; i < RLLC_RECORD_N; i++) column[i] = t->record + (c * RLLC_RECORD_N + i) * t->draws;
        RLLC_TRY(rllc_store_get_chain(store, cell->id, c, &chain, NULL, 0, NULL));
        *trace = (rllc_trace){.loss = column[RLLC_RECORD_LOSS], .baseline = column[RLLC_RECORD_BASELINE],
                              .init_loss = chain.init_loss, .stream = (int)chain.stream, .diverged = chain.diverged,
                              .reason = chain.reason, .acceptance = chain.acceptance};
        for (int i = 0; i < RLLC_RECORD_N; i++) trace->record[i] = column[i];
        RLLC_TRY(rllc_store_get_trace(store, cell->id, c, column[RLLC_RECORD_LOSS], column[RLLC_RECORD_BASELINE], t->draws,
                                      &trace->n_draws));
        RLLC_TRY(rllc_store_get_records(store, cell->id, c, column + RLLC_RECORD_DISTANCE, t->draws, &trace->n_draws));
    }
    if (t->sampler.compat != RLLC_COMPAT_NONE) share_init_loss(t);
done:
    return status;
}

/** How many of the minibatches behind the init loss are a draw's too: both are counted from the stream's first. */
static int64_t init_shared(const struct traces *t, int64_t init_batches) {
    const int64_t parts = t->sampler.gradient_accumulation_steps, steps = rllc_sampler_steps(&t->sampler);
    int64_t shared = 0;
    for (int64_t step = 0; step < steps && step * parts < init_batches; step++) {
        if (rllc_sampler_draw_at(&t->sampler, step) < 0) continue;
        shared += init_batches - step * parts < parts ? init_batches - step * parts : parts;
    }
    return shared;
}

static rllc_estimate_settings settings_of(const struct traces *t, double nbeta) {
    rllc_estimate_settings s = {.nbeta = nbeta, .population_sd = t->sampler.compat == RLLC_COMPAT_DEVINTERP2};
    if (t->fixed) return s; /* every loss is of one minibatch: the init loss has no error of its own */
    s.init_batches = t->sampler.num_init_loss_batches;
    s.init_shared = init_shared(t, s.init_batches);
    s.draw_batches = t->sampler.gradient_accumulation_steps;
    return s;
}

/** The curvature measured at the cell's w*; *known = false if there is none. */
static rllc_status load_curvature(rllc_store *store, const rllc_store_cell *cell, rllc_curvature *out, bool *known) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    const char *text;
    *known = false;
    RLLC_TRY(rllc_store_get_curvature(store, cell->id, &text));
    if (!text) goto done;
    RLLC_TRY(rllc_json_parse(&j, text, strlen(text), "curvature of a cell"));
    RLLC_TRY(rllc_curvature_from_json(j, out));
    *known = true;
done:
    rllc_json_free(j);
    return status;
}

/** The verdict on an estimate, and what it rests on as JSON text. */
static rllc_status diagnose(rllc_store *store, const rllc_store_cell *cell, const struct traces *t, const rllc_estimate *e,
                            const char **verdict, rllc_string *text) {
    rllc_status status = RLLC_OK;
    rllc_curvature curvature = {0};
    rllc_diagnosis d = {0};
    rllc_json *j = NULL;
    bool known;
    RLLC_TRY(load_curvature(store, cell, &curvature, &known));
    const rllc_evidence evidence = {.traces = t->list, .n = t->n, .estimate = e, .options = &t->sampler, .dim = cell->dim,
                                    .refined_data = cell->refined_data, .curvature = known ? &curvature : NULL};
    RLLC_TRY(rllc_diagnose(&evidence, &d));
    *verdict = rllc_verdict_name(d.verdict);
    RLLC_TRY(rllc_diagnosis_to_json(&d, t->n, &j));
    RLLC_TRY(rllc_json_print(j, 0, false, text));
done:
    rllc_json_free(j);
    rllc_diagnosis_release(&d);
    rllc_curvature_release(&curvature);
    return status;
}

static rllc_status add_values(rllc_json *object, const char *key, const double *values, int64_t n) {
    rllc_status status = RLLC_OK;
    rllc_json *list = rllc_json_array();
    for (int64_t i = 0; i < n; i++) RLLC_TRY(rllc_json_append(list, rllc_json_real(values[i])));
    return rllc_json_set(object, key, list);
done:
    rllc_json_free(list);
    return status;
}

rllc_status rllc_estimate_cell(rllc_store *store, const rllc_store_cell *cell) {
    rllc_status status = RLLC_OK;
    struct traces t = {0};
    rllc_estimate e;
    rllc_json *per_chain = rllc_json_object();
    rllc_string text = {0}, diagnosis = {0};
    const char *verdict = "";
    RLLC_TRY(load(store, cell, &t));
    const rllc_estimate_settings settings = settings_of(&t, cell->nbeta);
    RLLC_TRY(rllc_estimate_from_traces(t.list, t.n, &settings, &e, t.per_chain, t.per_chain + t.n));
    RLLC_TRY(diagnose(store, cell, &t, &e, &verdict, &diagnosis));
    RLLC_TRY(add_values(per_chain, "llc", t.per_chain, t.n));
    RLLC_TRY(add_values(per_chain, "llc_init", t.per_chain + t.n, t.n));
    RLLC_TRY(rllc_json_print(per_chain, 0, false, &text));
    const rllc_store_estimate row = {
        .cell_id = cell->id, .name = rllc_estimate_name(cell->component, cell->refined_data),
        .llc_mean = e.llc_mean, .llc_sd = e.llc_sd, .llc_se = e.llc_se, .llc_mean_init = e.llc_mean_init,
        .llc_sd_init = e.llc_sd_init, .llc_se_init = e.llc_se_init, .n_chains = e.n_chains, .n_diverged = e.n_diverged,
        .per_chain_json = rllc_string_text(&text), .verdict = verdict, .diagnosis_json = rllc_string_text(&diagnosis)};
    RLLC_TRY(rllc_store_put_estimate(store, &row));
done:
    release(&t);
    rllc_json_free(per_chain);
    rllc_string_release(&text);
    rllc_string_release(&diagnosis);
    return status;
}

rllc_status rllc_estimates_rebuild(rllc_store *store, int64_t *n) {
    rllc_status status = RLLC_OK;
    rllc_store_cell *cells = NULL;
    int64_t n_cells;
    *n = 0;
    RLLC_TRY(rllc_store_cells(store, &cells, &n_cells));
    RLLC_TRY(rllc_store_begin(store));
    for (int64_t i = 0; i < n_cells && status == RLLC_OK; i++) {
        if (!cells[i].complete) continue;
        status = rllc_estimate_cell(store, &cells[i]);
        *n += status == RLLC_OK;
    }
    if (status != RLLC_OK) {
        rllc_store_rollback(store);
        goto done;
    }
    RLLC_TRY(rllc_store_commit(store));
done:
    rllc_free(cells);
    return status;
}
