/* Repeats of an estimate with other noise and other minibatches: true spread against reported error, coverage,
 * verdicts. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "study.h"

const study_mode study_modes[STUDY_MODES] = {
    {"shared", 1, false}, {"streams=2", 2, false}, {"independent", STUDY_CHAINS, false}, {"fixed", 1, true}};

/* ---- minibatches of a repeat ------------------------------------------------------------------------------------- */

static rllc_status prepare(rllc_potential *p, int64_t stream, int64_t step) {
    const study_batches *b = (const study_batches *)p;
    return rllc_potential_prepare(b->inner, b->first + stream, b->fixed ? 0 : step);
}

static rllc_status loss_and_gradient(rllc_potential *p, int64_t n, const int64_t *members, const float *const *w,
                                     double *loss, float *const *gradient, double *baseline) {
    const study_batches *b = (const study_batches *)p;
    return rllc_potential_loss_and_gradient(b->inner, n, members, w, loss, gradient, baseline);
}

study_batches study_batches_of(rllc_potential *inner) {
    static const rllc_potential_kind kind = {"batches of a repeat", prepare, loss_and_gradient, NULL};
    return (study_batches){.head = {&kind, inner->members, inner->n_members}, .inner = inner};
}

/* ---- one repeat -------------------------------------------------------------------------------------------------- */

/** Of each repeat: paired and conventional estimate, their reported errors, the naive error, that of the second half.
 */
enum { PAIRED, CONVENTIONAL, SE_PAIRED, SE_CONVENTIONAL, NAIVE, COLUMNS };

typedef struct work {
    const study_target *t;
    study_batches batches;
    rllc_chain *chains; /* [components * STUDY_CHAINS] */
    double *column;     /* [components * STUDY_MODES][COLUMNS][repeats] */
    int64_t repeats;
    study_result *out;
} work;

static double *column(const work *w, int64_t component, int mode, int which) {
    return w->column + ((component * STUDY_MODES + mode) * COLUMNS + which) * w->repeats;
}

/** Runs all chains of a repeat; its noise has the seed of the repeat, so modes differ in minibatches alone. */
static rllc_status sample(work *w, const rllc_sampler_options *o, int mode, int64_t repeat) {
    rllc_status status = RLLC_OK;
    rllc_chains all = {.potential = &w->batches.head,
                       .list = w->chains,
                       .n = w->t->components * STUDY_CHAINS,
                       .streams = study_modes[mode].streams};
    w->batches.first = repeat * STUDY_CHAINS;
    w->batches.fixed = study_modes[mode].fixed;
    for (int64_t i = 0; i < all.n; i++)
        RLLC_TRY(rllc_chain_init(&w->chains[i], &w->batches.head, o, i, i % STUDY_CHAINS,
                                 i % STUDY_CHAINS % all.streams, "bench/sharing", false));
    status = rllc_chains_finish(&all);
done:
    return status;
}

/** The verdict as the program would give it: curvature on the first minibatches of the first stream. */
static rllc_status ask(work *w, const rllc_evidence *evidence, int64_t component, int mode) {
    study_result *r = &w->out[component * STUDY_MODES + mode];
    const bool fixed = study_modes[mode].fixed;
    const rllc_curvature_settings settings = {
        .probes = 1, .steps = 8, .batches = fixed ? 1 : 2, .whole = fixed, .seed = evidence->options->seed};
    const int64_t member = component * STUDY_CHAINS;
    rllc_status status = RLLC_OK;
    rllc_curvature curvature = {0};
    rllc_diagnosis d = {0};
    rllc_evidence with = *evidence;
    RLLC_TRY(rllc_measure_curvature(&w->batches.head, &settings, 1, &member, &curvature));
    with.curvature = &curvature;
    RLLC_TRY(rllc_diagnose(&with, &d));
    r->asked++;
    r->verdict[d.verdict]++;
    if (isfinite(d.budget.noise) && isfinite(d.budget.complexity)) { /* not where a curvature is too negative */
        r->noise += d.budget.noise;
        r->complexity += d.budget.complexity;
    }
done:
    rllc_diagnosis_release(&d);
    rllc_curvature_release(&curvature);
    return status;
}

static rllc_status conclude(work *w, const rllc_sampler_options *o, int64_t component, int mode, int64_t repeat) {
    rllc_trace traces[STUDY_CHAINS];
    rllc_estimate e;
    rllc_status status = RLLC_OK;
    const bool fixed = study_modes[mode].fixed; /* then the init loss has no error of its own */
    const int64_t drawn = o->num_init_loss_batches - o->num_burnin_steps; /* init batches that are also a draw's */
    const int64_t both = drawn < 0 ? 0 : drawn < o->num_draws ? drawn : o->num_draws;
    const rllc_estimate_settings settings = {
        .nbeta = o->nbeta, .init_batches = fixed ? 0 : o->num_init_loss_batches, .init_shared = fixed ? 0 : both};
    for (int64_t k = 0; k < STUDY_CHAINS; k++) traces[k] = rllc_chain_trace(&w->chains[component * STUDY_CHAINS + k]);
    RLLC_TRY(rllc_estimate_from_traces(traces, STUDY_CHAINS, &settings, &e, NULL, NULL));
    if (e.n_diverged) return rllc_fail(RLLC_EFAIL, "%s, %s: a chain diverged", w->t->name, w->t->noise);
    column(w, component, mode, PAIRED)[repeat] = e.llc_mean;
    column(w, component, mode, SE_PAIRED)[repeat] = e.llc_se;
    column(w, component, mode, CONVENTIONAL)[repeat] = e.llc_mean_init;
    column(w, component, mode, SE_CONVENTIONAL)[repeat] = e.llc_se_init;
    column(w, component, mode, NAIVE)[repeat] = e.llc_sd / sqrt(STUDY_CHAINS);
    const rllc_evidence evidence = {.traces = traces,
                                    .n = STUDY_CHAINS,
                                    .estimate = &e,
                                    .options = o,
                                    .dim = w->batches.head.members[component * STUDY_CHAINS].dim};
    if (repeat < w->t->verdicts) RLLC_TRY(ask(w, &evidence, component, mode));
done:
    return status;
}

static rllc_status run_repeat(work *w, int mode, int64_t repeat) {
    rllc_sampler_options o = w->t->o;
    rllc_status status = RLLC_OK;
    o.seed += (uint64_t)repeat;
    o.num_chains = STUDY_CHAINS;
    RLLC_TRY(sample(w, &o, mode, repeat));
    for (int64_t c = 0; c < w->t->components; c++) RLLC_TRY(conclude(w, &o, c, mode, repeat));
done:
    for (int64_t i = 0; i < w->t->components * STUDY_CHAINS; i++) rllc_chain_release(&w->chains[i]);
    return status;
}

/* ---- over the repeats ---------------------------------------------------------------------------------------------
 */

/** Mean and standard deviation with their errors, the latter from the fourth moment. */
static void moments(const double *x, int64_t n, study_number *mean, study_number *sd) {
    double m = 0, square = 0, fourth = 0;
    for (int64_t i = 0; i < n; i++) m += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) {
        const double d = (x[i] - m) * (x[i] - m);
        square += d / (double)(n - 1);
        fourth += d * d / (double)n;
    }
    *mean = (study_number){m, sqrt(square / (double)n)};
    *sd = (study_number){sqrt(square), sqrt(fmax(fourth - square * square, 0) / (double)n) / (2 * sqrt(square))};
}

/** Mean reported error over the true spread. */
static study_number ratio_of(const double *reported, int64_t n, study_number spread, double *mean_reported) {
    study_number mean, sd;
    moments(reported, n, &mean, &sd);
    if (mean_reported) *mean_reported = mean.value;
    const double ratio = mean.value / spread.value, a = mean.error / mean.value, b = spread.error / spread.value;
    return (study_number){ratio, ratio * sqrt(a * a + b * b)};
}

static study_estimator summarise(const double *estimate, const double *reported, int64_t n, double truth) {
    study_estimator e;
    int64_t inside = 0;
    moments(estimate, n, &e.mean, &e.sd);
    e.ratio = ratio_of(reported, n, e.sd, &e.reported);
    for (int64_t i = 0; i < n; i++) inside += fabs(estimate[i] - truth) < 1.96 * reported[i];
    const double share = (double)inside / (double)n;
    e.cover = (study_number){share, sqrt(fmax(share * (1 - share), 1.0 / (double)n) / (double)n)};
    return e;
}

static double pooled(const work *w, int64_t component) {
    double sum = 0;
    for (int mode = 0; mode < STUDY_FIXED; mode++)
        for (int64_t i = 0; i < w->repeats; i++) sum += column(w, component, mode, PAIRED)[i];
    return sum / (double)(STUDY_FIXED * w->repeats);
}

static void summarise_mode(const work *w, int64_t component, int mode, double truth) {
    study_result *r = &w->out[component * STUDY_MODES + mode];
    r->truth = truth;
    r->paired = summarise(column(w, component, mode, PAIRED), column(w, component, mode, SE_PAIRED), w->repeats, truth);
    r->conventional = summarise(column(w, component, mode, CONVENTIONAL), column(w, component, mode, SE_CONVENTIONAL),
                                w->repeats, truth);
    r->naive = ratio_of(column(w, component, mode, NAIVE), w->repeats, r->paired.sd, NULL);
}

rllc_status study_run(const study_target *t, int64_t repeats, study_result *out) {
    rllc_status status = RLLC_OK;
    work w = {.t = t, .batches = study_batches_of(t->potential), .repeats = repeats, .out = out};
    memset(out, 0, (size_t)(t->components * STUDY_MODES) * sizeof *out);
    RLLC_TRY(rllc_alloc(&w.chains, t->components * STUDY_CHAINS, sizeof *w.chains));
    RLLC_TRY(rllc_alloc(&w.column, t->components * STUDY_MODES * COLUMNS * repeats, sizeof *w.column));
    for (int64_t repeat = 0; repeat < repeats; repeat++)
        for (int mode = 0; mode < STUDY_MODES; mode++) RLLC_TRY(run_repeat(&w, mode, repeat));
    for (int64_t c = 0; c < t->components; c++)
        for (int mode = 0; mode < STUDY_MODES; mode++)
            summarise_mode(&w, c, mode, t->truth ? t->truth[c] : pooled(&w, c));
done:
    rllc_free(w.chains);
    rllc_free(w.column);
    return status;
}

/* ---- the table -----------------------------------------------------------------------------------------------------
 */

void study_print_header(void) {
    printf("target\tnoise\tbudget\tbatches\texpected\tmean\terror\tsd\terror\texact "
           "sd\treported\tratio\terror\tcover\terror"
           "\tnaive ratio\tinit sd\terror\texact sd\tinit ratio\terror\tinit cover\tverdicts\n");
}

static void print_exact(double variance) {
    if (isfinite(variance))
        printf("\t%.4f", sqrt(variance));
    else
        printf("\t-");
}

static void print_estimator(const study_estimator *e) {
    printf("\t%.2f\t%.2f\t%.1f", e->ratio.value, e->ratio.error, 100 * e->cover.value);
}

static void print_verdicts(const study_result *r) {
    const char *separator = "\t";
    for (int v = 0; v < RLLC_VERDICTS; v++) {
        if (!r->verdict[v]) continue;
        printf("%s%.0f %% %s", separator, 100 * (double)r->verdict[v] / (double)r->asked, rllc_verdict_name(v));
        separator = ", ";
    }
}

void study_print(const study_target *t, const study_result *results) {
    for (int64_t i = 0; i < t->components * STUDY_MODES; i++) {
        const int mode = (int)(i % STUDY_MODES);
        const study_result *r = &results[i];
        printf("%s%s%s\t%s\t%.1f %%\t%s", t->name, t->labels ? " " : "", t->labels ? t->labels[i / STUDY_MODES] : "",
               t->noise, 100 * r->noise / r->complexity, study_modes[mode].name);
        printf("\t%.4f\t%.4f\t%.4f\t%.4f\t%.4f", r->truth, r->paired.mean.value, r->paired.mean.error,
               r->paired.sd.value, r->paired.sd.error);
        print_exact(t->variance[mode]);
        printf("\t%.4f", r->paired.reported);
        print_estimator(&r->paired);
        printf("\t%.1f\t%.2f\t%.4f\t%.4f", 100 * r->paired.cover.error, r->naive.value, r->conventional.sd.value,
               r->conventional.sd.error);
        print_exact(t->variance_init[mode]);
        print_estimator(&r->conventional);
        print_verdicts(r);
        printf("\n");
    }
    fflush(stdout);
}
