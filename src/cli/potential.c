/* rllc potential: sampling a target whose learning coefficient is known, against what the estimate should be. */
#include <math.h>
#include <string.h>

#include "cli/potential.h"

typedef struct potential_options {
    bool all;
    const char *figure;
} potential_options;

static const rllc_option options[] = {
    RLLC_OPTION(potential_options, all, RLLC_BOOLEAN, "false", RLLC_UNBOUNDED, NULL, "",
                "every case of the list: truth against estimate; fails if one is off by more than its rule"),
    RLLC_OPTION(potential_options, figure, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "path",
                "with --all: also draw it, as SVG"),
};
static const rllc_option_table table = {"potential", "one target, or all", options, sizeof options / sizeof *options};

static const rllc_option_table *const tables[] = {&table,
                                                  &rllc_quadratic_option_table,
                                                  &rllc_monomial_option_table,
                                                  &rllc_reduced_rank_option_table,
                                                  &rllc_deep_linear_option_table,
                                                  &rllc_tanh_option_table,
                                                  &rllc_bigram_option_table,
                                                  &rllc_analytic_option_table,
                                                  &rllc_sampler_target_option_table,
                                                  NULL};

/* ---- printing ----------------------------------------------------------------------------------------------- */

struct merge {
    rllc_json *into;
};

static rllc_status merge_member(void *context, const char *key, const rllc_json *value) {
    struct merge *m = context;
    rllc_string text = {0};
    rllc_json *copy = NULL;
    rllc_status status = RLLC_OK;
    if (rllc_json_is_null(value)) return rllc_json_set(m->into, key, rllc_json_null());
    if (rllc_json_is_string(value)) return rllc_json_set(m->into, key, rllc_json_string(rllc_json_text(value)));
    RLLC_TRY(rllc_json_print(value, 0, false, &text));
    RLLC_TRY(rllc_string_add(&text, ""));
    if (strcmp(rllc_string_text(&text), "true") == 0 || strcmp(rllc_string_text(&text), "false") == 0) {
        copy = rllc_json_boolean(rllc_json_to_boolean(value, false));
    } else if (rllc_json_is_integer(value)) {
        copy = rllc_json_integer(rllc_json_to_integer(value, 0));
    } else {
        copy = rllc_json_real(rllc_json_to_real(value, NAN));
    }
    status = rllc_json_set(m->into, key, copy);
done:
    rllc_string_release(&text);
    return status;
}

/** The fields of all the tables, side by side. */
static rllc_status settings_json(const rllc_target_line *line, rllc_json **out) {
    const rllc_option_binding parts[] = {{rllc_analytic_kind_table(line->kind), line->options},
                                         {&rllc_analytic_option_table, (void *)&line->target},
                                         {&rllc_sampler_option_table, (void *)&line->sampler}};
    rllc_status status = RLLC_OK;
    struct merge m = {rllc_json_object()};
    rllc_json *part = NULL;
    for (int i = 0; i < 3; i++) {
        RLLC_TRY(rllc_options_to_json(parts[i].table, parts[i].object, &part));
        RLLC_TRY(rllc_json_each(part, merge_member, &m));
        rllc_json_free(part);
        part = NULL;
    }
done:
    rllc_json_free(part);
    if (status != RLLC_OK) {
        rllc_json_free(m.into);
        m.into = NULL;
    }
    *out = m.into;
    return status;
}

static rllc_status lists_json(const rllc_target_line *line, const rllc_target_result *r, rllc_json *j) {
    rllc_json *values = rllc_json_array(), *warnings = rllc_json_array(), *settings = NULL;
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < line->sampler.num_chains && status == RLLC_OK; i++)
        status = rllc_json_append(values, rllc_json_real(r->per_chain[i]));
    for (int i = 0; i < r->n_warnings && status == RLLC_OK; i++)
        status = rllc_json_append(warnings, rllc_json_string(r->warnings[i]));
    if (status != RLLC_OK) {
        rllc_json_free(values);
        rllc_json_free(warnings);
        return status;
    }
    status = rllc_json_set(j, "llc_per_chain", values);
    if (status != RLLC_OK) {
        rllc_json_free(warnings);
        return status;
    }
    RLLC_TRY(rllc_json_set(j, "warnings", warnings));
    RLLC_TRY(settings_json(line, &settings));
    RLLC_TRY(rllc_json_set(j, "settings", settings));
done:
    return status;
}

static rllc_status print_json(const rllc_target_line *line, const rllc_target_result *r) {
    rllc_json *j = rllc_json_object();
    rllc_status status = RLLC_OK;
    const bool known = isfinite(r->coefficient.lambda);
    RLLC_TRY(rllc_json_set(j, "kind", rllc_json_string(rllc_analytic_name(line->kind))));
    RLLC_TRY(rllc_json_set(j, "dim", rllc_json_integer(r->dim)));
    RLLC_TRY(rllc_json_set(j, "free_dim", rllc_json_integer(r->free_dim)));
    RLLC_TRY(rllc_json_set(j, "learning_coefficient", rllc_json_real(r->coefficient.lambda)));
    RLLC_TRY(
        rllc_json_set(j, "multiplicity", known ? rllc_json_integer(r->coefficient.multiplicity) : rllc_json_null()));
    RLLC_TRY(rllc_json_set(j, "expected_estimate", rllc_json_real(r->expected.mean)));
    RLLC_TRY(rllc_json_set(j, "expected_sd", rllc_json_real(r->expected.sd)));
    RLLC_TRY(rllc_json_set(j, "expected_source", rllc_json_string(r->expected.source)));
    RLLC_TRY(rllc_json_set(j, "gibbs_value", rllc_json_real(r->gibbs)));
    RLLC_TRY(rllc_json_set(j, "llc_mean", rllc_json_real(r->estimate.llc_mean)));
    RLLC_TRY(rllc_json_set(j, "llc_se", rllc_json_real(r->estimate.llc_se)));
    RLLC_TRY(rllc_json_set(j, "z", rllc_json_real(r->z)));
    RLLC_TRY(rllc_json_set(j, "acceptance", rllc_json_real(r->acceptance)));
    RLLC_TRY(lists_json(line, r, j));
    return rllc_cli_print_json("potential", j);
done:
    rllc_json_free(j);
    return status;
}

static void print_text(const rllc_target_line *line, const rllc_target_result *r) {
    printf("%s, %lld of %lld coordinates move, %s\n", rllc_analytic_name(line->kind), (long long)r->free_dim,
           (long long)r->dim, line->sampler.sampler);
    if (isfinite(r->coefficient.lambda))
        printf("learning coefficient  %.6g, multiplicity %lld\n", r->coefficient.lambda,
               (long long)r->coefficient.multiplicity);
    else
        printf("learning coefficient  unknown\n");
    const bool law = strcmp(r->expected.source, "law") == 0;
    if (law && !isfinite(r->expected.mean))
        printf("expected estimate     infinite: at these settings the chains run away\n");
    else if (law)
        printf("expected estimate     %.6g, exact at these settings; sd of one chain %.3g\n", r->expected.mean,
               r->expected.sd);
    else if (strcmp(r->expected.source, "gibbs") == 0)
        printf("expected estimate     %.6g, of a perfect sampler in equilibrium\n", r->expected.mean);
    if (isfinite(r->gibbs) && strcmp(r->expected.source, "gibbs") != 0)
        printf("a perfect sampler     %.6g, at this nbeta and localization\n", r->gibbs);
    if (isnan(r->estimate.llc_mean))
        printf("estimate              none\n");
    else
        printf("estimate              %.6g +- %.2g (%lld chains x %lld draws)\n", r->estimate.llc_mean,
               r->estimate.llc_se, (long long)line->sampler.num_chains, (long long)line->sampler.num_draws);
    if (isfinite(r->z)) printf("z                     %+.2f\n", r->z);
    if (isfinite(r->acceptance)) printf("acceptance            %.3f\n", r->acceptance);
    for (int i = 0; i < r->n_warnings; i++) printf("note: %s\n", r->warnings[i]);
}

/* ---- the command ---------------------------------------------------------------------------------------------- */

static rllc_status run_one(const rllc_target_line *line, const rllc_common_options *common) {
    rllc_target_result r;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_target_run(line, false, true, rllc_cli_monitor(common), &r));
    if (common->json)
        status = print_json(line, &r);
    else
        print_text(line, &r);
    rllc_target_result_release(&r);
done:
    return status;
}

/** Whether an argument is the flag of that option: --d-model, --d_model, --d-model=2. */
static bool names(const char *argument, const char *option) {
    if (strncmp(argument, "--", 2) != 0) return false;
    for (argument += 2; *option; argument++, option++)
        if (*argument != *option && !(*argument == '-' && *option == '_')) return false;
    return *argument == '\0' || *argument == '=';
}

static bool has_flag(const rllc_option_table *t, const char *argument) {
    for (int i = 0; i < t->n; i++)
        if (names(argument, t->options[i].name)) return true;
    return false;
}

/** A flag of another kind: says whose it is. */
static rllc_status refuse_foreign_flags(const rllc_analytic_kind *kind, int argc, const char *const *argv) {
    int n;
    const rllc_analytic_kind *const *kinds = rllc_analytic_list(&n);
    for (int i = 0; i < argc; i++)
        for (int k = 0; k < n; k++) {
            const rllc_option_table *its = rllc_analytic_kind_table(kinds[k]);
            for (int m = 0; m < its->n; m++)
                if (names(argv[i], its->options[m].name) && !has_flag(rllc_analytic_kind_table(kind), argv[i]))
                    return rllc_fail(RLLC_EUSAGE, "%s is an option of the potential %s, not of %s", argv[i],
                                     rllc_analytic_name(kinds[k]), rllc_analytic_name(kind));
        }
    return RLLC_OK;
}

static rllc_status potential_main(int argc, const char *const *argv) {
    rllc_status status = RLLC_OK;
    rllc_common_options common;
    potential_options o;
    rllc_target_line line = {0};
    const char *name = NULL;
    int n_positionals = 0;
    const rllc_analytic_kind *kind = rllc_target_kind_of(argc, argv);
    rllc_options_default(&table, &o);
    RLLC_TRY(rllc_target_line_init(&line, kind));
    rllc_options_default(&rllc_sampler_target_option_table, &line.sampler);
    if (kind) RLLC_TRY(refuse_foreign_flags(kind, argc, argv));
    const rllc_option_binding bindings[] = {{&table, &o},
                                            {&rllc_analytic_option_table, &line.target},
                                            {&rllc_sampler_target_option_table, &line.sampler},
                                            {kind ? rllc_analytic_kind_table(kind) : NULL, line.options}};
    RLLC_TRY(rllc_cli_options(&rllc_command_potential, &common, bindings, kind ? 4 : 3, argc, argv, &name, 1,
                              &n_positionals));
    if (common.help) goto done;
    if (name && !kind) {
        RLLC_TRY(rllc_analytic_find(name, &kind)); /* fails: no argument names a kind */
    } else if (!name && !o.all) {
        status =
            rllc_fail(RLLC_EUSAGE, "name a potential, e.g. rllc potential quadratic --hessian 1,0.5,0.01, or --all");
    } else if (name && o.all) {
        status = rllc_fail(RLLC_EUSAGE, "--all runs its own list: it takes no potential");
    } else if (o.figure && !o.all) {
        status = rllc_fail(RLLC_EUSAGE, "--figure draws what --all computes");
    } else {
        status = o.all ? rllc_potential_all(&common, o.figure) : run_one(&line, &common);
    }
done:
    rllc_target_line_release(&line);
    return status;
}

const rllc_command rllc_command_potential = {
    .name = "potential",
    .summary = "sample a target of known learning coefficient: is the estimator right?",
    .usage = "rllc potential KIND [options] | rllc potential --all [--figure PATH]",
    .examples =
        "# three curvatures, the third direction frozen: estimate, exact expectation, z\n"
        "rllc potential quadratic --hessian 1,0.5,0.01 --mask 1,1,0\n"
        "# L = w1^2 w2^4: learning coefficient 1/4; an exact sampler against the exact integral\n"
        "rllc potential monomial --exponents 2,4 --sampler hmc --nbeta 100 --lr 0.003 --num-leapfrog-steps 15\n"
        "# reduced-rank regression, M,H,N = 2,2,2, without the bias of the step\n"
        "rllc potential reduced-rank --dims 2,2,2 --sampler sgld-lm\n"
        "# a deep linear network around a product of rank 2\n"
        "rllc potential deep-linear --widths 5,3,5 --rank 2 --lr 2e-5\n"
        "# the transformer without layers; only W_U moves\n"
        "rllc potential bigram --vocab 4 --d-model 2 --rank 1 --mask W_U\n"
        "# off the minimum the estimate is negative, and rightly so\n"
        "rllc potential quadratic --center 0.3 --localization 10 --nbeta 100 --json\n"
        "# the paper's settings on five curvatures\n"
        "rllc potential quadratic --hessian 1,5,20,50,100 --lr 1e-3 --nbeta 30 --localization 200 --num-burnin-steps 0 "
        "--num-steps-bw-draws 1 --num-draws 200 --num-chains 400\n"
        "# truth against estimate for every kind, sampler and mask\n"
        "rllc potential --all --figure potential.svg\n",
    .tables = tables,
    .main = potential_main};
