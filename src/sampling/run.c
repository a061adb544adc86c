/* The sampling loop: all chains of a group in lockstep, interrupted and resumed at any step. */
#include <math.h>

#include "group.h"

/** A call of the potential: the chains of one stream that take this step. */
struct call {
    int64_t n;
    int64_t *members;
    const float **w;
    float **gradient;
    double *loss;
    double baseline;
};

static rllc_status call_init(struct call *c, int64_t n) {
    rllc_status status = RLLC_OK;
    *c = (struct call){0};
    RLLC_TRY(rllc_alloc(&c->members, n, sizeof *c->members));
    RLLC_TRY(rllc_alloc(&c->w, n, sizeof *c->w));
    RLLC_TRY(rllc_alloc(&c->gradient, n, sizeof *c->gradient));
    RLLC_TRY(rllc_alloc(&c->loss, n, sizeof *c->loss));
done:
    return status;
}

static void call_release(struct call *c) {
    rllc_free(c->members);
    rllc_free(c->w);
    rllc_free(c->gradient);
    rllc_free(c->loss);
}

/** Mean loss at w* over the first minibatches of each stream, for the chains that do not have it yet. (E14) */
static rllc_status measure_init_losses(rllc_group *g) {
    rllc_status status = RLLC_OK;
    const int64_t batches = rllc_group_init_batches(g);
    if (batches < g->job->sampler.num_init_loss_batches)
        rllc_report_message(g->job->monitor, "init loss over the %lld batches given (num_init_loss_batches is %lld)",
                            (long long)batches, (long long)g->job->sampler.num_init_loss_batches);
    for (int64_t stream = 0; stream < g->streams; stream++) {
        bool missing = false;
        double sum = 0;
        for (int64_t i = 0; i < g->n_chains; i++) missing |= g->chains[i].stream == stream && isnan(g->chains[i].init_loss);
        for (int64_t b = 0; missing && b < batches; b++) {
            double loss;
            RLLC_TRY(rllc_potential_prepare(g->potential, stream, b));
            RLLC_TRY(rllc_potential_loss_and_gradient(g->potential, 0, NULL, NULL, NULL, NULL, &loss));
            sum += loss;
        }
        for (int64_t i = 0; missing && i < g->n_chains; i++)
            if (g->chains[i].stream == stream) g->chains[i].init_loss = sum / (double)batches;
    }
done:
    return status;
}

/** Marks a chain diverged; it takes no further step and does not enter the estimate. */
static void mark_diverged(const rllc_group *g, rllc_chain *c, const char *what) {
    const int64_t draw = rllc_sampler_draw_at(&g->job->sampler, c->step);
    c->diverged = c->dirty = true;
    c->reason = draw >= 0 ? rllc_intern_printf("%s at draw %lld (step %lld)", what, (long long)draw, (long long)c->step)
                          : rllc_intern_printf("%s at step %lld", what, (long long)c->step);
    rllc_report_message(g->job->monitor, "%s, step %lld, %s: chain %lld diverged: %s", g->cells[c->cell].component,
                        (long long)g->job->checkpoint->step, g->job->corpus->name, (long long)c->chain, c->reason);
}

static rllc_status store_token_losses(rllc_group *g, int64_t cell, int64_t chain, int64_t stream, int64_t draw, float *v) {
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

static rllc_status put_token_losses(rllc_group *g, const struct call *call, int64_t stream, int64_t draw) {
    rllc_status status = RLLC_OK;
    float *base = g->token_losses[g->n_chains];
    for (int64_t i = 0; i < call->n; i++) {
        const rllc_chain *c = &g->chains[call->members[i]];
        RLLC_TRY(store_token_losses(g, g->cells[c->cell].id, c->chain, stream, draw, g->token_losses[call->members[i]]));
    }
    for (int64_t i = 0; i < call->n; i++) {
        const rllc_chain *c = &g->chains[call->members[i]];
        if (i && g->chains[call->members[i - 1]].cell == c->cell) continue;
        RLLC_TRY(store_token_losses(g, g->cells[c->cell].id, -1, stream, draw, base));
    }
done:
    return status;
}

/** Per-token losses of this draw, in one transaction: of each chain in the call, and of w* under every cell. They may be
 *  ahead of the chains' last commit; going on from there writes the same again. */
static rllc_status record_token_losses(rllc_group *g, const struct call *call, int64_t stream, int64_t draw) {
    rllc_status status = rllc_store_begin(g->job->store);
    if (status != RLLC_OK) return status;
    status = put_token_losses(g, call, stream, draw);
    if (status == RLLC_OK) return rllc_store_commit(g->job->store);
    rllc_store_rollback(g->job->store);
    return status;
}

/** Records the draw, then moves the chain. The recorded loss is that at the weights before the update (E12). */
static rllc_status advance(rllc_group *g, rllc_chain *c, double loss, double baseline) {
    const int64_t draw = rllc_sampler_draw_at(&g->job->sampler, c->step);
    if (!isfinite(loss)) {
        mark_diverged(g, c, isnan(loss) ? "the loss is NaN" : "the loss is infinite");
        return RLLC_OK;
    }
    if (draw >= 0) {
        c->loss[c->n_draws] = loss;
        c->baseline[c->n_draws++] = baseline;
    }
    const rllc_stream noise = rllc_stream_make(g->job->sampler.seed, g->noise_purpose, (uint32_t)c->chain,
                                               (uint32_t)c->step);
    const rllc_status status = rllc_sampler_step(&g->job->sampler, &c->state, c->gradient, &noise);
    c->dirty = true;
    if (status == RLLC_ENOTFINITE) {
        mark_diverged(g, c, "the gradient is not finite");
        return RLLC_OK;
    }
    c->step++;
    g->member_steps_done++;
    return status;
}

/** One step of every chain that stands at `step`. */
static rllc_status take_step(rllc_group *g, struct call *call, int64_t step) {
    rllc_status status = RLLC_OK;
    for (int64_t stream = 0; stream < g->streams; stream++) {
        call->n = 0;
        for (int64_t i = 0; i < g->n_chains; i++) {
            rllc_chain *c = &g->chains[i];
            if (c->stream != stream || c->step != step || c->diverged) continue;
            call->members[call->n] = i;
            call->w[call->n] = c->state.w;
            call->gradient[call->n++] = c->gradient;
        }
        if (call->n == 0) continue;
        RLLC_TRY(rllc_potential_prepare(g->potential, stream, step));
        RLLC_TRY(rllc_potential_loss_and_gradient(g->potential, call->n, call->members, call->w, call->loss,
                                                  call->gradient, &call->baseline));
        const int64_t draw = rllc_sampler_draw_at(&g->job->sampler, step);
        if (g->token_losses && draw >= 0) RLLC_TRY(record_token_losses(g, call, stream, draw));
        for (int64_t i = 0; i < call->n; i++)
            RLLC_TRY(advance(g, &g->chains[call->members[i]], call->loss[i], call->baseline));
    }
done:
    return status;
}

static void report(const rllc_group *g, int64_t step) {
    const rllc_sampling_job *job = g->job;
    const bool alone = job->progress_total <= 0;
    const double total = alone ? (double)(g->n_chains * g->steps) : job->progress_total;
    rllc_report_progress(job->monitor, "sample", "chain-step", g->member_steps_done + (alone ? 0 : job->progress_done),
                         total, "checkpoint %lld, %s, step %lld of %lld", (long long)job->checkpoint->step,
                         job->corpus->name, (long long)step, (long long)g->steps);
}

/** First step that some chain still has to take; g->steps when none. */
static int64_t first_step(const rllc_group *g) {
    int64_t first = g->steps;
    for (int64_t i = 0; i < g->n_chains; i++)
        if (!g->chains[i].diverged && g->chains[i].step < first) first = g->chains[i].step;
    return first;
}

static rllc_status run_steps(rllc_group *g, struct call *call) {
    rllc_status status = RLLC_OK;
    double committed = rllc_now();
    for (int64_t i = 0; i < g->n_chains; i++) g->member_steps_done += (double)g->chains[i].step;
    RLLC_TRY(measure_init_losses(g));
    for (int64_t step = first_step(g); step < g->steps; step++) {
        const bool stop = rllc_should_stop(g->job->monitor);
        if (stop || rllc_now() - committed >= (double)g->job->options.commit_seconds) {
            const double now = rllc_now();
            RLLC_TRY(rllc_group_commit(g, now - committed));
            committed = now;
        }
        if (stop) return rllc_fail(RLLC_ESTOPPED, "sampling stopped at step %lld of %lld (checkpoint %lld, %s); all saved",
                                   (long long)step, (long long)g->steps, (long long)g->job->checkpoint->step,
                                   g->job->corpus->name);
        RLLC_TRY(take_step(g, call, step));
        report(g, step + 1);
    }
    RLLC_TRY(rllc_group_commit(g, rllc_now() - committed));
done:
    return status;
}

rllc_status rllc_sample(const rllc_sampling_job *job) {
    rllc_status status = RLLC_OK;
    rllc_group g;
    struct call call = {0};
    RLLC_TRY(rllc_group_open(&g, job));
    status = call_init(&call, g.n_chains);
    if (status == RLLC_OK && g.n_chains > 0) status = run_steps(&g, &call);
    call_release(&call);
    rllc_group_close(&g);
done:
    return status;
}
