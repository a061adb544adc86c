/* The setting to take: of those without objection the one that resolves most, with its reasons; or what to change. */
#include "cli/recommend.h"

#include <math.h>

#include "cli/judge.h"

static const double EQUAL = 0.99; /* resolved directions within 1 % count as equal */

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

/** Most resolved directions; among equals the fewest steps. */
static int64_t choose(const rllc_pilot *p, const rllc_judgement *list) {
    double most = 0;
    int64_t best = -1;
    for (int64_t i = 0; i < p->n; i++)
        if (list[i].objection == RLLC_POINT_GOOD) most = fmax(most, p->points[i].budget.soft_count);
    for (int64_t i = 0; i < p->n; i++) {
        if (list[i].objection != RLLC_POINT_GOOD || p->points[i].budget.soft_count < EQUAL * most) continue;
        if (best < 0 || list[i].burnin + list[i].draws < list[best].burnin + list[best].draws) best = i;
    }
    return best;
}

/* ---- saying why -------------------------------------------------------------------------------------------------- */

static const char *heat_in_words(double x) {
    return x < 0.8   ? "the localization limits the estimate"
           : x < 1.2 ? "a plateau"
                     : "the losses of minibatches scatter more than the posterior, or it has heavy tails";
}

static rllc_status give_reasons(const rllc_pilot *p, const rllc_recommend_settings *s, rllc_recommendation *r) {
    rllc_status status = RLLC_OK;
    const rllc_pilot_point *point = &p->points[r->best];
    const rllc_judgement *j = &r->points[r->best];
    const rllc_bias_budget *b = &point->budget;
    const rllc_sampler_options *o = &point->options;
    RLLC_TRY(rllc_string_printf(&r->reasons,
                                "lr %.3g is %.0f %% of the stability bound 4 / (nbeta h + localization) = %.3g for the "
                                "top curvature h = %.3g\n",
                                o->lr, 100 * o->lr / b->lr_max, b->lr_max, p->curvature.top));
    RLLC_TRY(rllc_string_printf(&r->reasons, "%s\n", j->sentence));
    RLLC_TRY(
        rllc_string_printf(&r->reasons,
                           "a quadratic of this curvature would give %.3g (measured: %.3g): complexity %.3g, "
                           "step %+.1f %%, minibatch noise %+.1f %%, drift %+.1f %%; virial ratio %.3f measured, %.3f "
                           "predicted\n",
                           b->expected, point->estimate.llc_mean, b->complexity, 100 * b->step / b->complexity,
                           100 * b->noise / b->complexity, 100 * j->drift, point->virial, point->predicted_virial));
    RLLC_TRY(rllc_string_printf(&r->reasons,
                                "nbeta %.4g with localization %.4g resolves %.3g directions, the most of the %lld "
                                "settings without objection; heat capacity %.2f: %s\n",
                                o->nbeta, o->localization, b->soft_count, (long long)r->count[RLLC_POINT_GOOD],
                                point->heat_capacity, heat_in_words(point->heat_capacity)));
    if (o->nbeta == p->nbeta[p->n_nbeta - 1] || o->localization == p->localization[0])
        RLLC_TRY(rllc_string_add(&r->reasons,
                                 "this is at the edge of the grid: larger nbeta or smaller localization may resolve "
                                 "more\n"));
    RLLC_TRY(rllc_string_printf(
        &r->reasons,
        "after %lld burn-in steps draws lack less than %.0f %% of equilibrium; %lld draws of %lld "
        "chains give a standard error of about %.1f %%\n",
        (long long)j->burnin, 20 * s->tolerance, (long long)j->draws, (long long)s->num_chains, 100 * j->error));
done:
    return status;
}

static const char *remedy_unstable(const rllc_pilot *p) {
    int64_t saddles = 0, steep = 0;
    for (int64_t i = 0; i < p->n; i++) {
        saddles += p->points[i].pruned && isnan(p->points[i].budget.complexity);
        steep += p->points[i].pruned && !(p->points[i].options.lr < p->points[i].budget.lr_max);
    }
    if (saddles == 0) return "try smaller lr";
    return rllc_intern_printf(
        "%stry localization above nbeta times %.3g, the steepest descent from w*, or smaller nbeta",
        steep ? "try smaller lr; " : "", -p->curvature.bottom);
}

/** What would help against an objection that many points meet. */
static const char *remedy(rllc_objection o, const rllc_pilot *p) {
    switch (o) {
    case RLLC_POINT_PRUNED: return remedy_unstable(p);
    case RLLC_POINT_DIVERGED: return "try smaller lr, or more localization";
    case RLLC_POINT_HEATED: return "try smaller lr, larger batches, or sgld-lm, which has no bias of the step";
    case RLLC_POINT_DRIFTS:
        return rllc_intern_printf("w* is no minimum (|gradient|^2 = %.2g): train further, or try smaller nbeta or more "
                                  "localization",
                                  p->curvature.gradient_square);
    case RLLC_POINT_SLOW: return "try larger lr or more localization, or allow more --max-steps";
    case RLLC_POINT_WEAK:
        return "try larger nbeta, more --num-chains and --num-draws in the pilot, or allow more --max-steps";
    case RLLC_POINT_UNEVEN: return "try smaller lr, or a longer pilot (--num-burnin-steps, --num-draws)";
    default: return "";
    }
}

static rllc_status say_what_to_change(const rllc_pilot *p, rllc_recommendation *r) {
    rllc_status status = RLLC_OK;
    for (int o = 0; o < RLLC_POINT_GOOD; o++) {
        if (r->count[o] == 0) continue;
        RLLC_TRY(rllc_string_printf(&r->reasons, "%lld of %lld settings: %s; %s\n", (long long)r->count[o],
                                    (long long)p->n, rllc_objection_name(o), remedy(o, p)));
    }
done:
    return status;
}

rllc_status rllc_recommend(const rllc_pilot *p, const rllc_recommend_settings *settings, rllc_recommendation *out) {
    rllc_status status = RLLC_OK;
    *out = (rllc_recommendation){.best = -1};
    RLLC_TRY(rllc_alloc(&out->points, p->n, sizeof *out->points));
    rllc_judge(p, settings, out->points);
    for (int64_t i = 0; i < p->n; i++) out->count[out->points[i].objection]++;
    out->best = choose(p, out->points);
    if (out->best < 0) return say_what_to_change(p, out);
    out->options = p->points[out->best].options;
    out->options.num_chains = settings->num_chains;
    out->options.num_burnin_steps = out->points[out->best].burnin;
    out->options.num_draws = out->points[out->best].draws;
    out->options.num_steps_bw_draws = 1;
    RLLC_TRY(give_reasons(p, settings, out));
done:
    return status;
}

void rllc_recommendation_release(rllc_recommendation *r) {
    rllc_free(r->points);
    rllc_string_release(&r->reasons);
    *r = (rllc_recommendation){0};
}
