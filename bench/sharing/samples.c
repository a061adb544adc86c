/* Targets of rllc potential with minibatches of a finite sample. */
#include <math.h>
#include <stdio.h>

#include "moments.h"
#include "study.h"

/* ---- the moments of a sample, for the exact mean
 * ---------------------------------------------------------------------- */

/** The step at which stream 0's minibatch of one is `row`, as analytic.c draws rows; -1 if it takes very long. */
static int64_t step_of(int64_t row, int64_t samples, uint64_t seed) {
    for (uint32_t step = 0; step < 1000 * (uint32_t)samples; step++) {
        const rllc_stream s = rllc_stream_make(seed, "analytic/rows", 0, step);
        if ((int64_t)rllc_stream_below(&s, 0, (uint64_t)samples) == row) return step;
    }
    return -1;
}

/** From gradients at w* and beside it: exact, for a quadratic. singles: the target with minibatches of one sample. */
static rllc_status measure_sample(rllc_potential *singles, int64_t row, uint64_t seed, sample_moments *m) {
    rllc_status status = RLLC_OK;
    const int64_t member = 0, step = step_of(row, m->n, seed);
    float w[SIDE], at[SIDE], beside[SIDE], *gradient = at;
    const float *where = w, delta = 0.25f;
    double loss, baseline;
    if (step < 0) return rllc_fail(RLLC_EFAIL, "no minibatch is row %lld", (long long)row);
    memcpy(w, singles->members[0].w0, (size_t)m->dim * sizeof *w);
    RLLC_TRY(rllc_potential_prepare(singles, 0, step));
    RLLC_TRY(rllc_potential_loss_and_gradient(singles, 1, &member, &where, &loss, &gradient, &baseline));
    gradient = beside;
    for (int i = 0; i < m->dim; i++) {
        const float kept = w[i];
        w[i] = kept + delta;
        RLLC_TRY(rllc_potential_loss_and_gradient(singles, 1, &member, &where, &loss, &gradient, &baseline));
        for (int k = 0; k < m->dim; k++)
            m->h[row].v[i][k] = ((double)beside[k] - (double)at[k]) / ((double)w[i] - (double)kept);
        w[i] = kept;
        m->g[row].v[0][i] = (double)at[i];
    }
done:
    return status;
}

/* ---- targets of rllc potential
 * ---------------------------------------------------------------------------------------- */

typedef struct sampled {
    const char *name, *kind, *line[8]; /* options of the kind and of the target */
    bool quadratic;                    /* in what moves */
    double nbeta, localization;
    int64_t draws, batch[3]; /* minibatches from little noise to much */
} sampled;

enum { SEED = 7, SAMPLES = 400 }; /* of the sample, the same in every repeat; rows behind the exact mean */

static rllc_status open_target(const sampled *s, int64_t batch, rllc_sampler_options *o, rllc_analytic **out) {
    rllc_status status = RLLC_OK;
    const rllc_analytic_kind *kind = NULL;
    const char *rest[8];
    void *options = NULL;
    rllc_analytic_options common;
    int n = 0, n_rest = 0;
    while (n < 8 && s->line[n]) n++;
    RLLC_TRY(rllc_analytic_find(s->kind, &kind));
    RLLC_TRY(rllc_alloc(&options, 1, rllc_analytic_options_size(kind)));
    rllc_options_default(rllc_analytic_kind_table(kind), options);
    rllc_options_default(&rllc_analytic_option_table, &common);
    const rllc_option_binding bindings[] = {{rllc_analytic_kind_table(kind), options},
                                            {&rllc_analytic_option_table, &common}};
    RLLC_TRY(rllc_options_from_arguments(bindings, 2, n, s->line, rest, &n_rest));
    o->num_chains = STUDY_CHAINS;
    o->batch_size = batch;
    o->seed = SEED;
    status = rllc_analytic_make(out, kind, options, &common, o);
done:
    rllc_free(options);
    return status;
}

static rllc_status expected(const sampled *s, const rllc_sampler_options *o, double *mean) {
    rllc_status status = RLLC_OK;
    rllc_analytic *singles = NULL;
    rllc_sampler_options one = *o;
    sample_moments m = {.n = SAMPLES};
    RLLC_TRY(open_target(s, 1, &one, &singles));
    m.dim = (int)singles->free_dim;
    if (m.dim > SIDE) return rllc_fail(RLLC_EFAIL, "%s: more than %d coordinates", s->name, SIDE);
    RLLC_TRY(rllc_alloc(&m.g, SAMPLES, sizeof *m.g));
    RLLC_TRY(rllc_alloc(&m.h, SAMPLES, sizeof *m.h));
    for (int64_t row = 0; row < SAMPLES; row++) RLLC_TRY(measure_sample(singles->potential, row, SEED, &m));
    *mean = moments_mean(&m, o);
done:
    rllc_analytic_free(singles);
    rllc_free(m.g);
    rllc_free(m.h);
    return status;
}

static rllc_status run_sampled(const sampled *s, int64_t repeats) {
    rllc_status status = RLLC_OK;
    study_result r[STUDY_MODES];
    for (int level = 0; level < 3; level++) {
        rllc_analytic *a = NULL;
        double truth;
        char noise[32];
        study_target t = {.name = s->name, .noise = noise, .components = 1, .verdicts = repeats < 100 ? repeats : 100};
        rllc_options_default(&rllc_sampler_option_table, &t.o);
        t.o.nbeta = s->nbeta;
        t.o.localization = s->localization;
        t.o.num_draws = s->draws;
        snprintf(noise, sizeof noise, "batch %lld", (long long)s->batch[level]);
        for (int mode = 0; mode < STUDY_MODES; mode++) t.variance[mode] = t.variance_init[mode] = NAN;
        RLLC_TRY(open_target(s, s->batch[level], &t.o, &a));
        if (s->quadratic) {
            RLLC_TRY(expected(s, &t.o, &truth));
            t.truth = &truth;
        }
        t.potential = a->potential;
        status = study_run(&t, repeats, r);
        if (status == RLLC_OK) study_print(&t, r);
        rllc_analytic_free(a);
        if (status != RLLC_OK) goto done;
    }
done:
    return status;
}

rllc_status study_samples(int64_t repeats) {
    static const sampled targets[] = {
        {.name = "regression",
         .kind = "reduced-rank",
         .line = {"--dims", "4,3,4", "--rank", "3", "--mask=B", "--samples=400", "--sample-noise=1"},
         .quadratic = true,
         .nbeta = 30,
         .localization = 200,
         .draws = 200,
         .batch = {32, 8, 2}},
        {.name = "bigram",
         .kind = "bigram",
         .line = {"--vocab=4", "--d-model=2", "--rank=1", "--samples=20000"},
         .nbeta = 600,
         .localization = 100,
         .draws = 400,
         .batch = {128, 32, 8}}};
    rllc_status status = RLLC_OK;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) RLLC_TRY(run_sampled(&targets[i], repeats));
done:
    return status;
}
