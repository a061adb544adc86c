/* A model of known learning coefficient as a potential: masks, displaced w*, gradient noise, finite samples. */
#include <math.h>
#include <string.h>

#include "target.h"

#define OPTION(...) RLLC_OPTION(rllc_analytic_options, __VA_ARGS__)

static const rllc_option rows[] = {
    OPTION(mask, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
           "which coordinates move: 1,1,0; indices 0..3,7; blocks by name, A+B; default: all"),
    OPTION(center, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
           "displaces w* off the minimum: one number for all coordinates, or one each"),
    OPTION(start, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "", "displaces the start of the chains from w*, likewise"),
    OPTION(noise_of_gradient, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
           "variance of normal noise on the gradient, likewise; the recorded loss has none"),
    OPTION(samples, RLLC_INTEGER, "0", 0, 10000000, NULL, "",
           "0 = the population loss; else the loss of that many samples, in minibatches of --batch-size"),
    OPTION(sample_noise, RLLC_REAL, "0", 0, 1e6, NULL, "", "standard deviation of the noise on the samples' targets"),
};
#undef OPTION
const rllc_option_table rllc_analytic_option_table = {"target", "what moves, where, and which loss", rows,
                                                      sizeof rows / sizeof *rows};

/* ---- the potential ------------------------------------------------------------------------------------------- */

void rllc_target_scatter(const struct rllc_target *t, const float *w) {
    memcpy(t->whole, t->w0_whole, (size_t)t->model.dim * sizeof *t->whole);
    for (int64_t i = 0; i < t->all.free_dim; i++) t->whole[t->index[i]] = (double)w[i];
}

/** Selects the minibatch of (stream, step): rows with replacement, as everywhere. */
static rllc_status prepare(rllc_potential *p, int64_t stream, int64_t step) {
    struct rllc_target *t = (struct rllc_target *)p;
    rllc_status status = RLLC_OK;
    t->step = step;
    if (!t->minibatches) return RLLC_OK;
    const rllc_stream s = rllc_stream_make(t->seed, "analytic/rows", (uint32_t)stream, (uint32_t)step);
    for (int64_t i = 0; i < t->batch; i++)
        t->rows[i] = (int64_t)rllc_stream_below(&s, (uint64_t)i, (uint64_t)t->samples);
    RLLC_TRY(t->model.select(&t->model, t->batch, t->rows));
    RLLC_TRY(t->model.evaluate(&t->model, t->w0_whole, &t->baseline, NULL));
done:
    return status;
}

/** Adds noise of the given variances, addressed by (member, step, coordinate). */
static void add_noise(struct rllc_target *t, int64_t member, float *gradient) {
    const rllc_stream s = rllc_stream_make(t->seed, "analytic/gradient", (uint32_t)member, (uint32_t)t->step);
    float *at = t->normals;
    for (int64_t i = 0; i < t->n_spans; at += t->spans[i++].n)
        rllc_kernels_get()->normals(&s, (uint64_t)t->spans[i].first, t->spans[i].n, at);
    for (int64_t i = 0; i < t->all.free_dim; i++) gradient[i] += (float)(t->noise_sd[i] * (double)t->normals[i]);
}

static rllc_status loss_and_gradient(rllc_potential *p, int64_t n, const int64_t *members, const float *const *w,
                                     double *loss, float *const *gradient, double *baseline) {
    struct rllc_target *t = (struct rllc_target *)p;
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < n; i++) {
        rllc_target_scatter(t, w[i]);
        RLLC_TRY(t->model.evaluate(&t->model, t->whole, &loss[i], gradient[i] ? t->slope : NULL));
        for (int64_t k = 0; gradient[i] && k < t->all.free_dim; k++) gradient[i][k] = (float)t->slope[t->index[k]];
        if (gradient[i] && t->noise_sd) add_noise(t, members[i], gradient[i]);
    }
    if (baseline) *baseline = t->baseline;
done:
    return status;
}

static void release(rllc_potential *p) {
    struct rllc_target *t = (struct rllc_target *)p;
    rllc_analytic_model_release(&t->model);
    rllc_free(t->index);
    rllc_free(t->spans);
    rllc_free(t->w0);
    rllc_free(t->w0_whole);
    rllc_free(t->noise_sd);
    rllc_free(t->rows);
    rllc_free(t->moves);
    rllc_free(p->members);
    rllc_free(t);
}

static const rllc_potential_kind target_kind = {"analytic", prepare, loss_and_gradient, release};

/* ---- making one ------------------------------------------------------------------------------------------------ */

/** Which coordinates move, as a list of indices and as spans. */
static rllc_status make_mask(struct rllc_target *t, const char *mask) {
    const int64_t dim = t->model.dim;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_alloc(&t->moves, dim, sizeof *t->moves));
    RLLC_TRY(rllc_alloc(&t->index, dim, sizeof *t->index));
    RLLC_TRY(rllc_alloc(&t->spans, dim, sizeof *t->spans));
    RLLC_TRY(rllc_list_mask(mask, &t->model, t->moves));
    for (int64_t i = 0; i < dim; i++) {
        if (!t->moves[i]) continue;
        if (t->all.free_dim == 0 || t->index[t->all.free_dim - 1] != i - 1) t->spans[t->n_spans++].first = i;
        t->spans[t->n_spans - 1].n++;
        t->index[t->all.free_dim++] = i;
    }
    t->all.dim = dim;
done:
    return status;
}

/** w* and the start. Coordinates are float32, so that is where w* is. */
static rllc_status make_points(struct rllc_target *t, const rllc_analytic_options *common) {
    const int64_t dim = t->model.dim;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_alloc(&t->w0_whole, 3 * dim, sizeof *t->w0_whole));
    RLLC_TRY(rllc_alloc(&t->w0, 3 * dim, sizeof *t->w0));
    t->whole = t->w0_whole + dim;
    t->slope = t->whole + dim;
    t->start = t->w0 + dim;
    t->normals = t->start + dim;
    RLLC_TRY(rllc_list_spread("--start", common->start, dim, t->whole));
    RLLC_TRY(rllc_list_spread("--center", common->center, dim, t->w0_whole));
    for (int64_t i = 0; i < dim; i++) t->w0_whole[i] = (double)(float)(t->w0_whole[i] + t->model.point[i]);
    for (int64_t i = 0; i < t->all.free_dim; i++) {
        t->w0[i] = (float)t->w0_whole[t->index[i]];
        t->start[i] = (float)t->whole[t->index[i]];
        if (t->start[i] != 0) t->all.start = t->start;
    }
done:
    return status;
}

static rllc_status make_noise(struct rllc_target *t, const rllc_analytic_options *common,
                              const rllc_sampler_options *o) {
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    rllc_status status = RLLC_OK;
    if (!common->noise_of_gradient) return RLLC_OK;
    if (kind && kind->exact)
        return rllc_fail(RLLC_EUSAGE, "%s needs the exact gradient: leave --noise-of-gradient away", o->sampler);
    RLLC_TRY(rllc_alloc(&t->noise_sd, t->model.dim, sizeof *t->noise_sd));
    RLLC_TRY(rllc_list_spread("--noise-of-gradient", common->noise_of_gradient, t->model.dim, t->whole));
    for (int64_t i = 0; i < t->all.free_dim; i++) {
        if (t->whole[t->index[i]] < 0) return rllc_fail(RLLC_EUSAGE, "--noise-of-gradient: a variance is not negative");
        t->noise_sd[i] = sqrt(t->whole[t->index[i]]);
    }
done:
    return status;
}

static rllc_status make_samples(struct rllc_target *t, const rllc_analytic_options *common,
                                const rllc_sampler_options *o) {
    const rllc_sampler_kind *kind = rllc_sampler_find(o->sampler);
    rllc_status status = RLLC_OK;
    t->samples = common->samples;
    t->seed = o->seed;
    t->all.streams = 1;
    if (t->samples == 0) return RLLC_OK;
    t->minibatches = o->batch_size < t->samples;
    if (t->minibatches && kind && kind->exact)
        return rllc_fail(RLLC_EUSAGE, "%s needs the same batch at every step: take --batch-size %lld", o->sampler,
                         (long long)t->samples);
    t->batch = t->minibatches ? o->batch_size : t->samples;
    if (t->minibatches) t->all.streams = o->num_chains;
    RLLC_TRY(rllc_alloc(&t->rows, t->samples, sizeof *t->rows));
    for (int64_t i = 0; i < t->samples; i++) t->rows[i] = i;
    RLLC_TRY(t->model.select(&t->model, t->samples, t->rows));
done:
    return status;
}

/** Whether --samples and --sample-noise mean anything to the kind. */
static rllc_status check_samples(const struct rllc_target *t, const rllc_analytic_kind *kind,
                                 const rllc_analytic_options *common) {
    if (common->samples > 0 && !t->model.select)
        return rllc_fail(RLLC_EUSAGE, "%s is a function, not a model of data: it takes no --samples", kind->name);
    if (common->sample_noise > 0 && common->samples == 0)
        return rllc_fail(RLLC_EUSAGE, "--sample-noise without --samples would do nothing");
    return RLLC_OK;
}

rllc_status rllc_analytic_make(rllc_analytic **out, const rllc_analytic_kind *kind, const void *options,
                               const rllc_analytic_options *common, const rllc_sampler_options *o) {
    const rllc_analytic_sample sample = {.n = common->samples, .noise = common->sample_noise, .seed = o->seed};
    rllc_status status = RLLC_OK;
    struct rllc_target *t = NULL;
    *out = NULL;
    RLLC_TRY(rllc_alloc(&t, 1, sizeof *t));
    t->head.kind = &target_kind;
    t->head.n_members = o->num_chains;
    t->all.potential = &t->head;
    t->all.doubt = "";
    RLLC_TRY(kind->make(&t->model, options, &sample));
    RLLC_TRY(check_samples(t, kind, common));
    RLLC_TRY(make_mask(t, common->mask));
    RLLC_TRY(make_points(t, common));
    RLLC_TRY(make_noise(t, common, o));
    RLLC_TRY(make_samples(t, common, o));
    RLLC_TRY(rllc_alloc(&t->head.members, o->num_chains, sizeof *t->head.members));
    for (int64_t i = 0; i < o->num_chains; i++)
        t->head.members[i] =
            (rllc_potential_member){.dim = t->all.free_dim, .w0 = t->w0, .spans = t->spans, .n_spans = t->n_spans};
    RLLC_TRY(t->model.evaluate(&t->model, t->w0_whole, &t->baseline, NULL));
    RLLC_TRY(rllc_target_coefficient(t));
    *out = &t->all;
done:
    if (status != RLLC_OK && t) release(&t->head);
    return status;
}

void rllc_analytic_free(rllc_analytic *a) {
    if (a) rllc_potential_free(a->potential);
}
