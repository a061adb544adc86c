/* Chains in lockstep on any potential: what a step evaluates, records and moves. Nothing here knows of a store. */
#include <math.h>
#include <string.h>

#include "rllc/sampling.h"

/** A call of the potential: the chains of one stream that take this step. */
struct rllc_chains_work {
    int64_t n;
    int64_t *at; /* [n] in the list */
    int64_t *members;
    const float **w;
    float **gradient;     /* [n] the chains' */
    double *loss, *part;  /* [n] mean over the accumulated minibatches; of one of them */
    float **own, **parts; /* [list] gradients of one minibatch; [n] those of this call; NULL without accumulation */
    double baseline;
};

/* ---- one chain --------------------------------------------------------------------------------------------- */

/** Displaces the start by init_noise, each coordinate by the normal of its index in the whole model. */
static void displace(rllc_chain *c) {
    const rllc_stream s =
        rllc_stream_make(c->options->seed, rllc_intern_printf("init/%s", c->noise_purpose), (uint32_t)c->chain, 0);
    float *at = c->state.w, *eta = c->state.scratch;
    for (int64_t i = 0; i < c->state.n_spans; at += c->state.spans[i++].n) {
        const int64_t n = c->state.spans[i].n;
        rllc_kernels_get()->normals(&s, (uint64_t)c->state.spans[i].first, n, eta);
        for (int64_t k = 0; k < n; k++) at[k] += (float)c->options->init_noise * eta[k];
    }
}

rllc_status rllc_chain_init(rllc_chain *c, const rllc_potential *p, const rllc_sampler_options *o, int64_t member,
                            int64_t chain, int64_t stream, const char *noise_purpose, bool mala) {
    const rllc_potential_member *m = &p->members[member];
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    rllc_status status = RLLC_OK;
    *c = (rllc_chain){.options = o,
                      .member = member,
                      .chain = chain,
                      .stream = stream,
                      .noise_purpose = noise_purpose,
                      .init_loss = NAN,
                      .reason = "",
                      .previous_loss = NAN};
    c->state =
        (rllc_sampler_state){.dim = m->dim, .w0 = m->w0, .spans = m->spans, .n_spans = m->n_spans, .noise_norm = NAN};
    RLLC_TRY(rllc_alloc(&c->state.w, m->dim, sizeof *c->state.w));
    RLLC_TRY(rllc_alloc(&c->state.scratch, m->dim, sizeof *c->state.scratch));
    RLLC_TRY(rllc_alloc(&c->state.memory, rllc_sampler_memory(o) * m->dim, sizeof *c->state.memory));
    RLLC_TRY(rllc_alloc(&c->gradient, m->dim, sizeof *c->gradient));
    if (mala && kind && strcmp(kind->name, "sgld") == 0 && o->noise_level == 1 && o->bounding_box == 0)
        RLLC_TRY(rllc_alloc(&c->previous, 2 * m->dim, sizeof *c->previous));
    for (int i = 0; i < RLLC_RECORD_N; i++)
        RLLC_TRY(rllc_alloc(&c->record[i], rllc_sampler_draws(o), sizeof *c->record[i]));
    memcpy(c->state.w, m->w0, (size_t)m->dim * sizeof *m->w0);
    if (o->init_noise > 0) displace(c);
done:
    if (status != RLLC_OK) rllc_chain_release(c);
    return status;
}

void rllc_chain_release(rllc_chain *c) {
    rllc_free(c->state.w);
    rllc_free(c->state.scratch);
    rllc_free(c->state.memory);
    rllc_free(c->gradient);
    rllc_free(c->previous);
    for (int i = 0; i < RLLC_RECORD_N; i++) rllc_free(c->record[i]);
    *c = (rllc_chain){0};
}

rllc_trace rllc_chain_trace(const rllc_chain *c) {
    const rllc_sampler_kind *kind = rllc_sampler_find(c->options->sampler);
    rllc_trace t = {.n_draws = c->n_draws,
                    .loss = c->record[RLLC_RECORD_LOSS],
                    .baseline = c->record[RLLC_RECORD_BASELINE],
                    .init_loss = c->init_loss,
                    .stream = (int)c->stream,
                    .diverged = c->diverged,
                    .reason = c->reason,
                    .acceptance = kind && kind->acceptance ? kind->acceptance(c->options, &c->state) : NAN};
    for (int i = 0; i < RLLC_RECORD_N; i++) t.record[i] = c->record[i];
    return t;
}

/* ---- what a draw records ------------------------------------------------------------------------------------- */

/** Eight partial sums, combined in a fixed order: fast, and the same bits everywhere. */
typedef struct sums {
    double lane[8];
} sums;

static double total(const sums *s) {
    return ((s->lane[0] + s->lane[1]) + (s->lane[2] + s->lane[3])) +
           ((s->lane[4] + s->lane[5]) + (s->lane[6] + s->lane[7]));
}

/** |u|, |g|, u.g with u = x - w*. */
static void measure(const rllc_sampler_state *s, const float *x, const float *g, double *distance, double *norm,
                    double *dot) {
    sums uu = {{0}}, gg = {{0}}, ug = {{0}};
    for (int64_t i = 0; i < s->dim; i++) {
        const double u = (double)x[i] - (double)s->w0[i], v = (double)g[i];
        uu.lane[i & 7] += u * u;
        gg.lane[i & 7] += v * v;
        ug.lane[i & 7] += u * v;
    }
    *distance = sqrt(total(&uu));
    *norm = sqrt(total(&gg));
    *dot = total(&ug);
}

/**
 * Acceptance that a Metropolis rule would give the step from p to c, each with its own minibatch; NaN if not wanted:
 *   log alpha = U(p) - U(c) + log q(p|c) - log q(c|p),  log q(b|a) = -|b - a + (lr/2) G(a)|^2 / (2 lr).
 */
static double mala_acceptance(const rllc_chain *chain, double loss) {
    const rllc_sampler_options *o = chain->options;
    const rllc_sampler_state *s = &chain->state;
    if (!chain->previous || !isfinite(chain->previous_loss)) return NAN;
    const float *before = chain->previous, *slope = chain->previous + s->dim;
    const double nbeta = o->nbeta, gamma = o->localization, decay = o->weight_decay, half = o->lr / 2;
    sums log_alpha = {{0}};
    for (int64_t i = 0; i < s->dim; i++) {
        const double a = (double)before[i], b = (double)s->w[i], c = (double)s->w0[i];
        const double ga = nbeta * (double)slope[i] + gamma * (a - c) + decay * a;
        const double gb = nbeta * (double)chain->gradient[i] + gamma * (b - c) + decay * b;
        const double there = b - a + half * ga, back = a - b + half * gb;
        const double prior = gamma * ((a - c) * (a - c) - (b - c) * (b - c)) + decay * (a * a - b * b);
        log_alpha.lane[i & 7] += prior / 2 + (there * there - back * back) / (2 * o->lr);
    }
    const double x = total(&log_alpha) + nbeta * (chain->previous_loss - loss);
    return x < 0 ? exp(x) : 1;
}

/** What this draw records of the point x with gradient g. */
static void record_point(rllc_chain *c, const float *x, const float *g) {
    const int64_t k = c->n_draws;
    measure(&c->state, x, g, &c->record[RLLC_RECORD_DISTANCE][k], &c->record[RLLC_RECORD_GRADIENT_NORM][k],
            &c->record[RLLC_RECORD_GRADIENT_DOT][k]);
}

/** Keeps this step's point, gradient and loss if the next step is a draw. */
static void keep_previous(rllc_chain *c, double loss) {
    if (!c->previous || rllc_sampler_draw_at(c->options, c->state.step + 1) < 0) return;
    memcpy(c->previous, c->state.w, (size_t)c->state.dim * sizeof(float));
    memcpy(c->previous + c->state.dim, c->gradient, (size_t)c->state.dim * sizeof(float));
    c->previous_loss = loss;
}

/* ---- a step ---------------------------------------------------------------------------------------------------- */

/** Marks a chain diverged; it takes no further step and does not enter the estimate. */
static void mark_diverged(const rllc_chains *all, rllc_chain *c, const char *what) {
    const int64_t draw = rllc_sampler_draw_at(c->options, c->state.step), step = c->state.step;
    c->diverged = true;
    c->reason = draw >= 0 ? rllc_intern_printf("%s at draw %lld (step %lld)", what, (long long)draw, (long long)step)
                          : rllc_intern_printf("%s at step %lld", what, (long long)step);
    rllc_report_message(all->monitor, "%s%s%s%schain %lld diverged: %s", all->label ? all->label : "",
                        all->label ? ": " : "", c->label ? c->label : "", c->label ? ", " : "", (long long)c->chain,
                        c->reason);
}

/** The first evaluation of a step: records the draw if one is due, then moves the chain. Later ones only move it. */
static rllc_status advance(rllc_chains *all, rllc_chain *c, double loss, double baseline, bool first) {
    const bool draw = first && rllc_sampler_draw_at(c->options, c->state.step) >= 0;
    const rllc_stream noise =
        rllc_stream_make(c->options->seed, c->noise_purpose, (uint32_t)c->chain, (uint32_t)c->state.step);
    const bool exact = rllc_sampler_find(c->options->sampler)->exact;
    if (draw && !exact) record_point(c, c->state.w, c->gradient);
    if (draw) c->record[RLLC_RECORD_MALA][c->n_draws] = mala_acceptance(c, loss);
    if (first) keep_previous(c, loss);
    const rllc_status status = rllc_sampler_step(c->options, &c->state, &loss, c->gradient, &noise);
    if (draw && exact && status == RLLC_OK) record_point(c, c->state.memory, c->state.memory + c->state.dim);
    if (draw && isfinite(loss)) {
        c->record[RLLC_RECORD_LOSS][c->n_draws] = loss;
        c->record[RLLC_RECORD_BASELINE][c->n_draws] = baseline;
        c->record[RLLC_RECORD_NOISE_NORM][c->n_draws++] = c->state.noise_norm;
    }
    if (status != RLLC_ENOTFINITE) return status;
    mark_diverged(all, c,
                  isnan(loss)   ? "the loss is NaN"
                  : isinf(loss) ? "the loss is infinite"
                                : "the gradient is not finite");
    return RLLC_OK;
}

/** The chains of a stream that still have evaluation e of this step before them. */
static int64_t gather(rllc_chains *c, int64_t stream, int64_t step, int64_t e) {
    struct rllc_chains_work *work = c->work;
    work->n = 0;
    for (int64_t i = 0; i < c->n; i++) {
        rllc_chain *chain = &c->list[i];
        if (chain->stream != stream || chain->state.step != step || chain->diverged) continue;
        if (e >= rllc_sampler_evaluations(chain->options)) continue;
        work->at[work->n] = i;
        work->members[work->n] = chain->member;
        work->w[work->n] = chain->state.w;
        if (work->own) work->parts[work->n] = work->own[i];
        work->gradient[work->n++] = chain->gradient;
    }
    return work->n;
}

static rllc_status evaluate_one(rllc_chains *c, int64_t stream, int64_t batch, double *loss, float *const *gradient,
                                double *baseline) {
    const rllc_status status = rllc_potential_prepare(c->potential, stream, batch);
    if (status != RLLC_OK) return status;
    return rllc_potential_loss_and_gradient(c->potential, c->work->n, c->work->members, c->work->w, loss, gradient,
                                            baseline);
}

/** Mean loss, gradient and baseline over the minibatches that make one step (E12). */
static rllc_status evaluate(rllc_chains *c, int64_t stream, int64_t step) {
    struct rllc_chains_work *work = c->work;
    rllc_status status = RLLC_OK;
    const int64_t parts = c->list[work->at[0]].options->gradient_accumulation_steps;
    RLLC_TRY(evaluate_one(c, stream, step * parts, work->loss, work->gradient, &work->baseline));
    if (parts == 1) goto done;
    for (int64_t a = 1; a < parts; a++) {
        double baseline;
        RLLC_TRY(evaluate_one(c, stream, step * parts + a, work->part, work->parts, &baseline));
        work->baseline += baseline;
        for (int64_t i = 0; i < work->n; i++) {
            work->loss[i] += work->part[i];
            rllc_kernels_get()->add(c->list[work->at[i]].state.dim, work->parts[i], work->gradient[i]);
        }
    }
    work->baseline /= (double)parts;
    for (int64_t i = 0; i < work->n; i++) {
        work->loss[i] /= (double)parts;
        for (int64_t k = 0; k < c->list[work->at[i]].state.dim; k++) work->gradient[i][k] /= (float)parts;
    }
done:
    return status;
}

static rllc_status step_stream(rllc_chains *c, int64_t stream, int64_t step) {
    struct rllc_chains_work *work = c->work;
    rllc_status status = RLLC_OK;
    for (int64_t e = 0; gather(c, stream, step, e) > 0; e++) {
        RLLC_TRY(evaluate(c, stream, step));
        const int64_t draw = rllc_sampler_draw_at(c->list[work->at[0]].options, step);
        if (e == 0 && draw >= 0 && c->on_draw) RLLC_TRY(c->on_draw(c->context, stream, draw, work->at, work->n));
        for (int64_t i = 0; i < work->n; i++)
            RLLC_TRY(advance(c, &c->list[work->at[i]], work->loss[i], work->baseline, e == 0));
    }
    for (int64_t i = 0; i < c->n; i++)
        if (c->list[i].stream == stream && c->list[i].state.step == step && !c->list[i].diverged)
            c->list[i].state.step++;
done:
    return status;
}

rllc_status rllc_chains_step(rllc_chains *c, int64_t step) {
    rllc_status status = RLLC_OK;
    for (int64_t stream = 0; stream < c->streams; stream++) RLLC_TRY(step_stream(c, stream, step));
done:
    return status;
}

rllc_status rllc_chains_measure_init_loss(rllc_chains *c, int64_t batches) {
    rllc_status status = RLLC_OK;
    for (int64_t stream = 0; stream < c->streams; stream++) {
        bool missing = false;
        double sum = 0;
        for (int64_t i = 0; i < c->n; i++) missing |= c->list[i].stream == stream && isnan(c->list[i].init_loss);
        for (int64_t b = 0; missing && b < batches; b++) {
            double loss;
            RLLC_TRY(rllc_potential_prepare(c->potential, stream, b));
            RLLC_TRY(rllc_potential_loss_and_gradient(c->potential, 0, NULL, NULL, NULL, NULL, &loss));
            sum += loss;
        }
        for (int64_t i = 0; missing && i < c->n; i++)
            if (c->list[i].stream == stream) c->list[i].init_loss = sum / (double)batches;
    }
done:
    return status;
}

/* ---- all of them ----------------------------------------------------------------------------------------------- */

rllc_status rllc_chains_open(rllc_chains *c) {
    struct rllc_chains_work *work = NULL;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_alloc(&work, 1, sizeof *work));
    c->work = work;
    RLLC_TRY(rllc_alloc(&work->at, c->n, sizeof *work->at));
    RLLC_TRY(rllc_alloc(&work->members, c->n, sizeof *work->members));
    RLLC_TRY(rllc_alloc(&work->w, c->n, sizeof *work->w));
    RLLC_TRY(rllc_alloc(&work->gradient, c->n, sizeof *work->gradient));
    RLLC_TRY(rllc_alloc(&work->loss, c->n, sizeof *work->loss));
    RLLC_TRY(rllc_alloc(&work->part, c->n, sizeof *work->part));
    if (c->n == 0 || c->list[0].options->gradient_accumulation_steps == 1) return RLLC_OK;
    RLLC_TRY(rllc_alloc(&work->parts, c->n, sizeof *work->parts));
    RLLC_TRY(rllc_alloc(&work->own, c->n, sizeof *work->own));
    for (int64_t i = 0; i < c->n; i++) RLLC_TRY(rllc_alloc(&work->own[i], c->list[i].state.dim, sizeof(float)));
done:
    if (status != RLLC_OK) rllc_chains_close(c);
    return status;
}

void rllc_chains_close(rllc_chains *c) {
    struct rllc_chains_work *work = c->work;
    if (!work) return;
    for (int64_t i = 0; work->own && i < c->n; i++) rllc_free(work->own[i]);
    rllc_free(work->own);
    rllc_free(work->parts);
    rllc_free(work->at);
    rllc_free(work->members);
    rllc_free(work->w);
    rllc_free(work->gradient);
    rllc_free(work->loss);
    rllc_free(work->part);
    rllc_free(work);
    c->work = NULL;
}

void rllc_chains_free(rllc_chain *chains, int64_t n) {
    for (int64_t i = 0; chains && i < n; i++) rllc_chain_release(&chains[i]);
    rllc_free(chains);
}

rllc_status rllc_chains_finish(rllc_chains *c) {
    rllc_status status = RLLC_OK;
    const rllc_sampler_options *o = c->n ? c->list[0].options : NULL;
    const int64_t steps = o ? rllc_sampler_steps(o) : 0;
    RLLC_TRY(rllc_chains_open(c));
    if (o) RLLC_TRY(rllc_chains_measure_init_loss(c, o->num_init_loss_batches));
    for (int64_t step = 0; step < steps; step++) {
        if (rllc_should_stop(c->monitor)) {
            status = rllc_fail(RLLC_ESTOPPED, "stopped at step %lld of %lld", (long long)step, (long long)steps);
            break;
        }
        RLLC_TRY(rllc_chains_step(c, step));
        rllc_report_progress(c->monitor, "sample", "step", (double)(step + 1), (double)steps, "%s",
                             c->label ? c->label : c->potential->kind->name);
    }
done:
    rllc_chains_close(c);
    return status;
}

rllc_status rllc_chains_run(rllc_potential *p, const rllc_sampler_options *o, int64_t streams,
                            const char *noise_purpose, const rllc_monitor *monitor, rllc_chain **chains) {
    rllc_status status = RLLC_OK;
    rllc_chains all = {.potential = p, .n = p->n_members, .streams = streams, .monitor = monitor};
    *chains = NULL;
    RLLC_TRY(rllc_sampler_check(o));
    RLLC_TRY(rllc_alloc(&all.list, p->n_members, sizeof *all.list));
    for (int64_t i = 0; i < p->n_members; i++)
        RLLC_TRY(rllc_chain_init(&all.list[i], p, o, i, i, i % streams, noise_purpose, true));
    status = rllc_chains_finish(&all);
done:
    if (status == RLLC_OK)
        *chains = all.list;
    else
        rllc_chains_free(all.list, all.n);
    return status;
}
