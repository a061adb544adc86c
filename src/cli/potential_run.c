/* A target of known learning coefficient, sampled with the loop, the estimator and the diagnosis of the transformer. */
#include <math.h>
#include <string.h>

#include "cli/potential.h"

rllc_status rllc_target_line_init(rllc_target_line *line, const rllc_analytic_kind *kind) {
    *line = (rllc_target_line){.kind = kind};
    rllc_options_default(&rllc_analytic_option_table, &line->target);
    rllc_options_default(&rllc_sampler_option_table, &line->sampler);
    if (!kind) return RLLC_OK;
    const rllc_status status = rllc_alloc(&line->options, 1, rllc_analytic_options_size(kind));
    if (status == RLLC_OK) rllc_options_default(rllc_analytic_kind_table(kind), line->options);
    return status;
}

void rllc_target_line_release(rllc_target_line *line) {
    rllc_free(line->options);
    line->options = NULL;
}

const rllc_analytic_kind *rllc_target_kind_of(int argc, const char *const *argv) {
    int n;
    const rllc_analytic_kind *const *kinds = rllc_analytic_list(&n);
    for (int i = 0; i < argc; i++)
        for (int k = 0; k < n; k++)
            if (strcmp(argv[i], rllc_analytic_name(kinds[k])) == 0) return kinds[k];
    return NULL;
}

/* ---- sampling --------------------------------------------------------------------------------------------------- */

/** The chains at their start: w*, what init_noise adds, and the displacement that --start asks for. */
static rllc_status start(rllc_chains *c, const rllc_analytic *a, const rllc_sampler_options *o, bool mala) {
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < c->n; i++) {
        RLLC_TRY(rllc_chain_init(&c->list[i], a->potential, o, i, i, i % a->streams, "noise/potential", mala));
        for (int64_t k = 0; a->start && k < a->free_dim; k++) c->list[i].state.w[k] += a->start[k];
    }
done:
    return status;
}

/* ---- what came of it --------------------------------------------------------------------------------------------- */

static void warn(rllc_target_result *r, const char *text) {
    if (text && *text && r->n_warnings < (int)(sizeof r->warnings / sizeof *r->warnings))
        r->warnings[r->n_warnings++] = text;
}

enum { MANY_CHAINS = 20 };

/** The standard score of the estimate: with the exact standard deviation where it is known; else with that of the chains,
 *  which are independent, if there are many of them. */
static void compare(rllc_target_result *r) {
    const double live = (double)(r->estimate.n_chains - r->estimate.n_diverged);
    r->se = isfinite(r->expected.sd) ? r->expected.sd / sqrt(live)
            : live >= MANY_CHAINS    ? r->estimate.llc_sd / sqrt(live)
                                     : r->estimate.llc_se;
    const double difference = r->estimate.llc_mean - r->expected.mean;
    r->z = difference == 0 ? 0 : difference / r->se;
    if (isfinite(r->z) && fabs(r->z) > 5)
        warn(r, rllc_intern_printf("the estimate is %.1f standard errors from what is expected", r->z));
}

/** How far from the learning coefficient these settings keep even a perfect sampler. */
static void warn_of_settings(const rllc_sampler_options *o, rllc_target_result *r) {
    const double lambda = r->coefficient.lambda;
    const bool known = isfinite(r->gibbs);
    const double level = known ? r->gibbs : r->estimate.llc_mean;
    if (!isfinite(level) || !(level >= 0 && level < lambda / 2)) return;
    warn(r, rllc_intern_printf("nbeta %.3g and localization %.3g hold %s at %.2g %% of the learning coefficient, which is "
                               "the limit of large nbeta and small localization: try --nbeta 1000 --localization 1",
                               o->nbeta, o->localization, known ? "a perfect sampler" : "the estimate",
                               100 * level / lambda));
}

static rllc_status judge_chains(const rllc_target_line *line, const rllc_trace *traces, rllc_target_result *r) {
    const rllc_evidence evidence = {.traces = traces,
                                    .n = line->sampler.num_chains,
                                    .estimate = &r->estimate,
                                    .options = &line->sampler,
                                    .dim = r->free_dim};
    rllc_diagnosis d;
    const rllc_status status = rllc_diagnose(&evidence, &d);
    if (status != RLLC_OK) return status;
    for (int i = 0; i < d.n_findings; i++)
        if (d.findings[i].grade != RLLC_GRADE_GOOD) warn(r, d.findings[i].sentence);
    rllc_diagnosis_release(&d);
    return RLLC_OK;
}

static rllc_status conclude(const rllc_target_line *line, const rllc_chains *c, bool judge, rllc_target_result *r) {
    rllc_status status = RLLC_OK;
    rllc_trace *traces = NULL;
    const rllc_estimate_settings settings = {.nbeta = line->sampler.nbeta,
                                             .init_batches = line->sampler.num_init_loss_batches};
    double accepted = 0;
    RLLC_TRY(rllc_alloc(&traces, c->n, sizeof *traces));
    RLLC_TRY(rllc_alloc(&r->per_chain, c->n, sizeof *r->per_chain));
    for (int64_t i = 0; i < c->n; i++) {
        traces[i] = rllc_chain_trace(&c->list[i]);
        accepted += traces[i].acceptance / (double)c->n;
    }
    r->acceptance = accepted;
    RLLC_TRY(rllc_estimate_from_traces(traces, c->n, &settings, &r->estimate, r->per_chain, NULL));
    compare(r);
    if (judge && r->free_dim > 0) {
        if (strcmp(r->expected.source, "gibbs") != 0) warn_of_settings(&line->sampler, r);
        RLLC_TRY(judge_chains(line, traces, r));
    }
done:
    rllc_free(traces);
    return status;
}

static rllc_status expect(const rllc_target_line *line, rllc_analytic *a, bool gibbs, bool judge,
                          rllc_target_result *r) {
    rllc_status status = RLLC_OK;
    rllc_expectation perfect = {.mean = NAN};
    if (judge) RLLC_TRY(rllc_analytic_gibbs(a, &line->sampler, &perfect));
    r->gibbs = perfect.mean;
    RLLC_TRY(gibbs ? rllc_analytic_gibbs(a, &line->sampler, &r->expected)
                   : rllc_analytic_expect(a, &line->sampler, &r->expected));
    r->dim = a->dim;
    r->free_dim = a->free_dim;
    r->coefficient = a->coefficient;
    warn(r, a->doubt);
    if (*r->expected.reason) warn(r, rllc_intern_printf("no expectation: %s", r->expected.reason));
    if (strcmp(r->expected.source, "gibbs") == 0)
        warn(r,
             "the expectation is that of a perfect sampler in equilibrium: the draws before it are not accounted for");
done:
    return status;
}

rllc_status rllc_target_run(const rllc_target_line *line, bool gibbs, bool judge, const rllc_monitor *monitor,
                            rllc_target_result *out) {
    rllc_status status = RLLC_OK;
    rllc_analytic *a = NULL;
    rllc_chains c = {.n = line->sampler.num_chains, .monitor = monitor};
    const double begin = rllc_now();
    *out = (rllc_target_result){.z = NAN, .gibbs = NAN};
    RLLC_TRY(rllc_sampler_check(&line->sampler));
    RLLC_TRY(rllc_analytic_make(&a, line->kind, line->options, &line->target, &line->sampler));
    RLLC_TRY(expect(line, a, gibbs, judge, out));
    RLLC_TRY(rllc_alloc(&c.list, c.n, sizeof *c.list));
    c.potential = a->potential;
    c.streams = a->streams;
    RLLC_TRY(start(&c, a, &line->sampler, judge));
    RLLC_TRY(rllc_chains_finish(&c));
    RLLC_TRY(conclude(line, &c, judge, out));
    out->seconds = rllc_now() - begin;
done:
    rllc_chains_free(c.list, c.list ? c.n : 0);
    rllc_analytic_free(a);
    if (status != RLLC_OK) rllc_target_result_release(out);
    return status;
}

void rllc_target_result_release(rllc_target_result *r) {
    rllc_free(r->per_chain);
    r->per_chain = NULL;
}
