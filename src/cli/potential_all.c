/* rllc potential --all: truth against estimate over kinds, samplers and masks. */
#include <math.h>
#include <string.h>

#include "cli/potential.h"

/** What a case is held against: the exact law at its settings, the Gibbs value, or nothing: then it says why. */
enum { LAW, GIBBS, NOTHING };

static const struct line {
    int against;
    const char *what, *text;
} lines[] = {
#define RLLC_CASE(against, what, text) {against, what, text},
#include "cli/potential_cases.def"
#undef RLLC_CASE
};
enum { N = sizeof lines / sizeof *lines, MOST_WORDS = 64 };

/** The rule: within LIMIT standard errors, which are at most SHARE of the learning coefficient (of the expectation if 0). */
static const double LIMIT = 5, SHARE = 0.01;

typedef struct outcome {
    rllc_target_line line;
    rllc_target_result result;
    bool passed;
} outcome;

typedef struct work {
    outcome outcomes[N];
    rllc_monitor monitor; /* stops, but does not speak: cases run side by side */
} work;

/* ---- one case ------------------------------------------------------------------------------------------------- */

/** Splits at blanks; the words are interned. */
static int split(const char *text, const char **words) {
    int n = 0;
    for (const char *at = text + strspn(text, " "); *at && n < MOST_WORDS; at += strspn(at, " ")) {
        const size_t length = strcspn(at, " ");
        words[n++] = rllc_intern_printf("%.*s", (int)length, at);
        at += length;
    }
    return n;
}

static rllc_status parse(const struct line *l, rllc_target_line *line) {
    const char *words[MOST_WORDS], *positionals[MOST_WORDS];
    const int n = split(l->text, words);
    int n_positionals = 0;
    const rllc_analytic_kind *kind = rllc_target_kind_of(n, words);
    rllc_status status = RLLC_OK;
    if (!kind) return rllc_fail(RLLC_EFAIL, "the case '%s' names no potential", l->text);
    RLLC_TRY(rllc_target_line_init(line, kind));
    const rllc_option_binding bindings[] = {{rllc_analytic_kind_table(kind), line->options},
                                            {&rllc_analytic_option_table, &line->target},
                                            {&rllc_sampler_option_table, &line->sampler}};
    RLLC_TRY(rllc_options_from_arguments(bindings, 3, n, words, positionals, &n_positionals));
    line->sampler.seed = rllc_hash64(l->text, strlen(l->text), 0) >> 1; /* noise of its own: z-scores are independent */
done:
    return rllc_fail_within(status, "%s", l->text);
}

/** Whether the case keeps its rule. */
static bool judge(const struct line *l, const rllc_target_result *r) {
    if (l->against == NOTHING) return isnan(r->expected.mean) && r->estimate.n_diverged < r->estimate.n_chains;
    const double lambda = r->coefficient.lambda, size = lambda > 0 ? lambda : fabs(r->expected.mean);
    const bool right_source = strcmp(r->expected.source, l->against == LAW ? "law" : "gibbs") == 0;
    return right_source && r->estimate.n_diverged == 0 && fabs(r->z) < LIMIT &&
           r->se <= SHARE * fmax(size, fabs(r->expected.mean));
}

static rllc_status run_case(void *context, int64_t i, int worker) {
    work *w = context;
    outcome *o = &w->outcomes[i];
    rllc_status status = RLLC_OK;
    (void)worker;
    RLLC_TRY(parse(&lines[i], &o->line));
    RLLC_TRY(rllc_target_run(&o->line, lines[i].against == GIBBS, false, &w->monitor, &o->result));
    o->passed = judge(&lines[i], &o->result);
done:
    return rllc_fail_within(status, "%s", lines[i].what);
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

static const char *against_name(int against) {
    return against == LAW ? "law" : against == GIBBS ? "gibbs" : "nothing";
}

static int print_table(const work *w) {
    int failed = 0;
    printf("%-46s %-9s %8s %2s %-7s %10s %10s %9s %6s\n", "target", "sampler", "lambda", "m", "against", "expected",
           "estimate", "se", "z");
    for (int i = 0; i < N; i++) {
        const outcome *o = &w->outcomes[i];
        const rllc_target_result *r = &o->result;
        char lambda[32] = "?", m[32] = "?", expected[32] = "-", z[32] = "-";
        if (isfinite(r->coefficient.lambda)) {
            snprintf(lambda, sizeof lambda, "%.5g", r->coefficient.lambda);
            snprintf(m, sizeof m, "%lld", (long long)r->coefficient.multiplicity);
        }
        if (isfinite(r->expected.mean)) snprintf(expected, sizeof expected, "%.5f", r->expected.mean);
        if (isfinite(r->z)) snprintf(z, sizeof z, "%+.2f", r->z);
        printf("%-46.46s %-9s %8s %2s %-7s %10s %10.5f %9.2g %6s%s\n", lines[i].what, o->line.sampler.sampler, lambda,
               m, against_name(lines[i].against), expected, r->estimate.llc_mean,
               r->se, z, o->passed ? "" : "  FAILED");
        failed += !o->passed;
    }
    return failed;
}

static rllc_status case_json(const outcome *o, const struct line *l, rllc_json **out) {
    const rllc_target_result *r = &o->result;
    rllc_json *j = rllc_json_object();
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_json_set(j, "what", rllc_json_string(l->what)));
    RLLC_TRY(rllc_json_set(j, "command", rllc_json_string(rllc_intern_printf("rllc potential %s", l->text))));
    RLLC_TRY(rllc_json_set(j, "kind", rllc_json_string(rllc_analytic_name(o->line.kind))));
    RLLC_TRY(rllc_json_set(j, "sampler", rllc_json_string(o->line.sampler.sampler)));
    RLLC_TRY(rllc_json_set(j, "seed", rllc_json_integer((int64_t)o->line.sampler.seed)));
    RLLC_TRY(rllc_json_set(j, "against", rllc_json_string(against_name(l->against))));
    RLLC_TRY(rllc_json_set(j, "learning_coefficient", rllc_json_real(r->coefficient.lambda)));
    RLLC_TRY(rllc_json_set(j, "multiplicity", isfinite(r->coefficient.lambda)
                                                  ? rllc_json_integer(r->coefficient.multiplicity)
                                                  : rllc_json_null()));
    RLLC_TRY(rllc_json_set(j, "expected_estimate", rllc_json_real(r->expected.mean)));
    RLLC_TRY(rllc_json_set(j, "llc_mean", rllc_json_real(r->estimate.llc_mean)));
    RLLC_TRY(rllc_json_set(j, "se", rllc_json_real(r->se)));
    RLLC_TRY(rllc_json_set(j, "z", rllc_json_real(r->z)));
    RLLC_TRY(rllc_json_set(j, "seconds", rllc_json_real(r->seconds)));
    RLLC_TRY(rllc_json_set(j, "passed", rllc_json_boolean(o->passed)));
done:
    if (status != RLLC_OK) {
        rllc_json_free(j);
        j = NULL;
    }
    *out = j;
    return status;
}

static rllc_status print_json(const work *w, int *failed) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_json_object(), *cases = rllc_json_array(), *one = NULL;
    *failed = 0;
    for (int i = 0; i < N; i++) {
        *failed += !w->outcomes[i].passed;
        RLLC_TRY(case_json(&w->outcomes[i], &lines[i], &one));
        RLLC_TRY(rllc_json_append(cases, one));
    }
    status = rllc_json_set(j, "cases", cases);
    cases = NULL;
    RLLC_TRY(status);
    RLLC_TRY(rllc_json_set(j, "n", rllc_json_integer(N)));
    RLLC_TRY(rllc_json_set(j, "failed", rllc_json_integer(*failed)));
    return rllc_cli_print_json("potential", j);
done:
    rllc_json_free(cases);
    rllc_json_free(j);
    return status;
}

/* ---- the figure ------------------------------------------------------------------------------------------------- */

static const char *const samplers[] = {"sgld", "sgld-lm", "sghmc", "mala", "hmc"};
enum { SAMPLERS = sizeof samplers / sizeof *samplers };

struct points {
    double x[SAMPLERS][N], ratio[SAMPLERS][N], low[SAMPLERS][N], high[SAMPLERS][N], z[SAMPLERS][N];
    int64_t n[SAMPLERS];
};

/** Cases with an expectation, by sampler: estimate / expectation with two standard errors, and z. */
static void collect(const work *w, struct points *p) {
    for (int i = 0; i < N; i++)
        for (int s = 0; s < SAMPLERS; s++) {
            const rllc_target_result *r = &w->outcomes[i].result;
            if (!isfinite(r->z) || r->expected.mean == 0 ||
                strcmp(samplers[s], w->outcomes[i].line.sampler.sampler) != 0)
                continue;
            const int64_t k = p->n[s]++;
            p->x[s][k] = i + 1;
            p->ratio[s][k] = r->estimate.llc_mean / r->expected.mean;
            const double half = 2 * r->se / fabs(r->expected.mean);
            p->low[s][k] = p->ratio[s][k] - half;
            p->high[s][k] = p->ratio[s][k] + half;
            p->z[s][k] = r->z;
        }
}

static rllc_status draw(const work *w, const char *path) {
    rllc_status status = RLLC_OK;
    struct points *p = NULL;
    rllc_series series[2][SAMPLERS];
    const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path, *dot = strrchr(file, '.');
    if (!dot || strcmp(dot, ".svg") != 0 || dot == file)
        return rllc_fail(RLLC_EUSAGE, "--figure %s: expected a path that ends in .svg", path);
    const char *folder = slash ? rllc_intern_printf("%.*s", (int)(slash - path) + (slash == path), path) : ".";
    RLLC_TRY(rllc_alloc(&p, 1, sizeof *p));
    collect(w, p);
    for (int s = 0; s < SAMPLERS; s++) {
        series[0][s] = (rllc_series){.label = samplers[s],
                                     .n = p->n[s],
                                     .x = p->x[s],
                                     .y = p->ratio[s],
                                     .low = p->low[s],
                                     .high = p->high[s],
                                     .color = s,
                                     .points = true};
        series[1][s] = (rllc_series){
            .label = samplers[s], .n = p->n[s], .x = p->x[s], .y = p->z[s], .color = s, .points = true};
    }
    const rllc_panel panels[] = {{.title = "estimate / exact expectation, with two standard errors",
                                  .x_label = "case",
                                  .y_label = "ratio",
                                  .series = series[0],
                                  .n = SAMPLERS,
                                  .has_y_range = true,
                                  .y_low = 0.95,
                                  .y_high = 1.05},
                                 {.title = "difference in standard errors",
                                  .x_label = "case",
                                  .y_label = "z",
                                  .series = series[1],
                                  .n = SAMPLERS,
                                  .has_y_range = true,
                                  .y_low = -5,
                                  .y_high = 5}};
    const rllc_figure figure = {
        .name = rllc_intern_printf("%.*s", (int)(dot - file), file),
        .caption =
            rllc_intern_printf("rllc potential --all: %d targets of known learning coefficient, rllc " RLLC_VERSION, N),
        .panels = panels,
        .n = 2,
        .columns = 2};
    RLLC_TRY(rllc_make_folders(folder));
    RLLC_TRY(rllc_figure_draw(&figure, folder));
done:
    rllc_free(p);
    return status;
}

rllc_status rllc_potential_all(const rllc_common_options *common, const char *figure) {
    const rllc_monitor *monitor = rllc_cli_monitor(common);
    rllc_status status = RLLC_OK;
    work *w = NULL;
    int failed = 0;
    const double begin = rllc_now();
    RLLC_TRY(rllc_alloc(&w, 1, sizeof *w));
    w->monitor = (rllc_monitor){.context = monitor->context, .stop = monitor->stop};
    RLLC_TRY(rllc_parallel(N, (int)common->threads, run_case, w));
    if (common->json)
        RLLC_TRY(print_json(w, &failed));
    else
        failed = print_table(w);
    fflush(stdout);
    if (figure) RLLC_TRY(draw(w, figure));
    rllc_report_message(monitor, "%d of %d cases keep their rule, %.1f s", N - failed, (int)N, rllc_now() - begin);
    if (failed) status = rllc_fail(RLLC_EFAIL, "%d of %d cases are off by more than their rule", failed, (int)N);
done:
    for (int i = 0; w && i < N; i++) {
        rllc_target_line_release(&w->outcomes[i].line);
        rllc_target_result_release(&w->outcomes[i].result);
    }
    rllc_free(w);
    return status;
}
