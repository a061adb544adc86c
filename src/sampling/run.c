/* The sampling loop: all chains of a group in lockstep, interrupted and resumed at any step. */
#include <math.h>
#include <string.h>

#include "group.h"

static rllc_status store_token_losses(rllc_group *g, int64_t cell, int64_t chain, int64_t stream, int64_t draw,
                                      float *v) {
    const int64_t rows = g->job->sampler.batch_size, columns = g->job->model->options.n_ctx - 1;
    if (g->job->options.token_losses == RLLC_TOKEN_LOSSES_DRAW) { /* means over the batch, into the first row */
        for (int64_t t = 0; t < columns; t++) {
            double sum = 0;
            for (int64_t r = 0; r < rows; r++) sum += (double)v[r * columns + t];
            v[t] = (float)(sum / (double)rows);
        }
        return rllc_store_put_token_losses(g->job->store, cell, chain, stream, draw, v, 1, columns);
    }
    return rllc_store_put_token_losses(g->job->store, cell, chain, stream, draw, v, rows, columns);
}

static rllc_status put_token_losses(rllc_group *g, const int64_t *at, int64_t n, int64_t stream, int64_t draw) {
    rllc_status status = RLLC_OK;
    float *base = g->token_losses[g->chains.n];
    for (int64_t i = 0; i < n; i++) {
        const rllc_chain *c = &g->chains.list[at[i]];
        RLLC_TRY(
            store_token_losses(g, g->cells[g->kept[at[i]].cell].id, c->chain, stream, draw, g->token_losses[at[i]]));
    }
    for (int64_t i = 0; i < n; i++) {
        if (i && g->kept[at[i - 1]].cell == g->kept[at[i]].cell) continue;
        RLLC_TRY(store_token_losses(g, g->cells[g->kept[at[i]].cell].id, -1, stream, draw, base));
    }
done:
    return status;
}

/** Per-token losses of this draw, in one transaction: of each chain in the call, and of w* under every cell. They may
 * be ahead of the chains' last commit; going on from there writes the same again. */
static rllc_status record_token_losses(void *context, int64_t stream, int64_t draw, const int64_t *at, int64_t n) {
    rllc_group *g = context;
    rllc_status status = rllc_store_begin(g->job->store);
    if (status != RLLC_OK) return status;
    status = put_token_losses(g, at, n, stream, draw);
    if (status == RLLC_OK) return rllc_store_commit(g->job->store);
    rllc_store_rollback(g->job->store);
    return status;
}

/** Chain-steps taken so far: a chain that diverged has none before it. */
static double steps_done(const rllc_group *g) {
    double sum = 0;
    for (int64_t i = 0; i < g->chains.n; i++)
        sum += (double)(g->chains.list[i].diverged ? g->steps : g->chains.list[i].state.step);
    return sum;
}

static void report(const rllc_group *g, int64_t step) {
    const rllc_sampling_job *job = g->job;
    const bool alone = job->progress_total <= 0;
    const double total = alone ? (double)(g->chains.n * g->steps) : job->progress_total;
    rllc_report_progress(job->monitor, "sample", "chain-step", steps_done(g) + (alone ? 0 : job->progress_done), total,
                         "checkpoint %lld, %s, step %lld of %lld", (long long)job->checkpoint->step, job->corpus->name,
                         (long long)step, (long long)g->steps);
}

/** First step that some chain still has to take; g->steps when none. */
static int64_t first_step(const rllc_group *g) {
    int64_t first = g->steps;
    for (int64_t i = 0; i < g->chains.n; i++)
        if (!g->chains.list[i].diverged && g->chains.list[i].state.step < first) first = g->chains.list[i].state.step;
    return first;
}

static rllc_status measure_init_losses(rllc_group *g) {
    const int64_t batches = rllc_group_init_batches(g);
    if (batches < g->job->sampler.num_init_loss_batches)
        rllc_report_message(g->job->monitor, "init loss over the %lld batches given (num_init_loss_batches is %lld)",
                            (long long)batches, (long long)g->job->sampler.num_init_loss_batches);
    return rllc_chains_measure_init_loss(&g->chains, batches);
}

static rllc_status keep_curvature(rllc_group *g, int64_t cell_id, const rllc_curvature *c) {
    rllc_status status = RLLC_OK;
    rllc_json *j = NULL;
    rllc_string text = {0};
    RLLC_TRY(rllc_curvature_to_json(c, &j));
    RLLC_TRY(rllc_json_print(j, 0, false, &text));
    RLLC_TRY(rllc_store_put_curvature(g->job->store, cell_id, rllc_string_text(&text)));
done:
    rllc_json_free(j);
    rllc_string_release(&text);
    return status;
}

/** What the curvature of a group's cells foretells: steps beyond their bound, gradients that lower the estimate. */
struct omens {
    int64_t unstable, sloping;
    double bound, top, negative;             /* of the worst cells */
    const char *least_stable, *most_sloping; /* their components */
};

static void read_omens(const rllc_group *g, const rllc_store_cell *cell, const rllc_curvature *c, struct omens *o) {
    rllc_bias_budget b;
    rllc_bias_budget_make(c, &g->job->sampler, &b);
    if (g->job->sampler.lr >= b.lr_max && (o->unstable++ == 0 || b.lr_max < o->bound)) {
        o->bound = b.lr_max;
        o->top = c->top;
        o->least_stable = cell->component;
    }
    if (b.negative > fmax(b.complexity, 0) && (o->sloping++ == 0 || b.negative > o->negative)) {
        o->negative = b.negative;
        o->most_sloping = cell->component;
    }
}

/** Says so before the chains run. */
static void foretell(const rllc_group *g, const struct omens *o) {
    if (o->unstable)
        rllc_report_message(g->job->monitor,
                            "%s: lr %.3g is above the stability bound of %lld of %lld components (%.3g for %s, top "
                            "curvature %.3g): chains will diverge",
                            g->chains.label, g->job->sampler.lr, (long long)o->unstable, (long long)g->n_components,
                            o->bound, o->least_stable, o->top);
    if (o->sloping)
        rllc_report_message(g->job->monitor,
                            "%s: w* is not a minimum for %lld of %lld components: the gradient may lower estimates "
                            "by up to nbeta^2 |g|^2 / localization = %.3g (%s)",
                            g->chains.label, (long long)o->sloping, (long long)g->n_components, o->negative,
                            o->most_sloping);
}

/** Curvature at w* of each cell that lacks it, kept one by one: behind the bias budget and the stability bound of its
 *  verdict (E40-E46). The first chain of a cell stands for its component. A w* without finite gradients has none. */
static rllc_status measure_curvature(rllc_group *g) {
    const rllc_sampling_job *job = g->job;
    rllc_status status = RLLC_OK;
    const rllc_curvature_settings settings = rllc_job_curvature(job);
    struct omens omens = {0};
    for (int64_t i = 0; settings.probes > 0 && i < g->chains.n; i++) {
        const int64_t cell_id = g->cells[g->kept[i].cell].id;
        rllc_curvature found = {0};
        const char *known;
        if (i && g->kept[i - 1].cell == g->kept[i].cell) continue;
        RLLC_TRY(rllc_store_get_curvature(job->store, cell_id, &known));
        if (known) continue;
        status = rllc_measure_curvature(g->chains.potential, &settings, 1, &i, &found);
        if (status == RLLC_ENOTFINITE) {
            rllc_report_message(job->monitor, "%s, %s: no curvature: %s", g->cells[g->kept[i].cell].component,
                                g->chains.label, rllc_error_detail());
            status = RLLC_OK;
            continue;
        }
        if (status != RLLC_OK) goto done;
        read_omens(g, &g->cells[g->kept[i].cell], &found, &omens);
        status = keep_curvature(g, cell_id, &found);
        rllc_curvature_release(&found);
        if (status != RLLC_OK) goto done;
    }
    foretell(g, &omens);
done:
    return status;
}

static rllc_status run_steps(rllc_group *g) {
    rllc_status status = RLLC_OK;
    double committed = rllc_now();
    if (g->token_losses) {
        g->chains.on_draw = record_token_losses;
        g->chains.context = g;
    }
    RLLC_TRY(measure_curvature(g));
    RLLC_TRY(measure_init_losses(g));
    for (int64_t step = first_step(g); step < g->steps; step++) {
        const bool stop = rllc_should_stop(g->job->monitor);
        if (stop || rllc_now() - committed >= (double)g->job->options.commit_seconds) {
            const double now = rllc_now();
            RLLC_TRY(rllc_group_commit(g, now - committed));
            committed = now;
        }
        if (stop)
            return rllc_fail(RLLC_ESTOPPED, "sampling stopped at step %lld of %lld (checkpoint %lld, %s); all saved",
                             (long long)step, (long long)g->steps, (long long)g->job->checkpoint->step,
                             g->job->corpus->name);
        RLLC_TRY(rllc_chains_step(&g->chains, step));
        report(g, step + 1);
    }
    RLLC_TRY(rllc_group_commit(g, rllc_now() - committed));
done:
    return status;
}

/** The cells of one loss; *steps: chain-steps that they are. */
static rllc_status sample_loss(const rllc_sampling_job *job, const rllc_model *reference, double *steps) {
    rllc_status status = RLLC_OK;
    rllc_group g;
    RLLC_TRY(rllc_group_open(&g, job, reference));
    *steps = (double)(g.n_components * job->sampler.num_chains * g.steps);
    if (g.chains.n > 0) status = run_steps(&g);
    rllc_group_close(&g);
done:
    return status;
}

rllc_status rllc_sample(const rllc_sampling_job *job) {
    rllc_status status = RLLC_OK;
    rllc_sampling_job one = *job;
    bool next_token, relative;
    double steps = 0;
    RLLC_TRY(rllc_job_losses(job, &next_token, &relative));
    if (next_token) RLLC_TRY(sample_loss(&one, NULL, &steps));
    one.progress_done += steps;
    if (relative) RLLC_TRY(sample_loss(&one, job->reference, &steps));
done:
    return status;
}
