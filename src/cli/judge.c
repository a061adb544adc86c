/* What stands against each setting of a pilot: its curvature, its chains, and its neighbour in lr. */
#include "cli/judge.h"

#include <math.h>

static const double UNPREDICTED = 0.05; /* virial excess beyond the quadratic's: the loss is not one there */
static const double LACKING = 0.2;      /* share of the tolerance that draws before equilibrium may lack */
static const double ERROR = 0.5;        /* share of the tolerance that the standard error may be */

enum { LEAST_DRAWS = 100, ROUND_TO = 50 };

const char *rllc_objection_name(rllc_objection o) {
    static const char *const names[RLLC_OBJECTIONS] = {
        [RLLC_POINT_PRUNED] = "pruned", [RLLC_POINT_DIVERGED] = "diverged", [RLLC_POINT_HEATED] = "heated",
        [RLLC_POINT_DRIFTS] = "drifts", [RLLC_POINT_SLOW] = "slow",         [RLLC_POINT_WEAK] = "weak",
        [RLLC_POINT_UNEVEN] = "uneven", [RLLC_POINT_GOOD] = "good"};
    return names[o];
}

/* ---- the schedule that a setting needs -----------------------------------------------------------------------------
 */

static double lacking(const rllc_pilot *p, rllc_sampler_options o, int64_t burnin) {
    rllc_bias_budget b;
    o.num_burnin_steps = burnin;
    o.num_draws = LEAST_DRAWS;
    o.num_steps_bw_draws = 1;
    rllc_bias_budget_make(&p->curvature, &o, &b);
    return fabs(b.transient / (b.expected - b.transient));
}

/** The fewest burn-in steps, up to a rounding, after which draws lack at most the share; most + 1 if there are none. */
static int64_t needed_burnin(const rllc_pilot *p, const rllc_sampler_options *o, double share, int64_t most) {
    int64_t low = 0, high = most;
    if (lacking(p, *o, 0) <= share) return 0;
    if (!(lacking(p, *o, most) <= share)) return most + 1;
    while (high - low > ROUND_TO / 2) {
        const int64_t middle = (low + high) / 2;
        if (lacking(p, *o, middle) <= share)
            high = middle;
        else
            low = middle;
    }
    return (high + ROUND_TO - 1) / ROUND_TO * ROUND_TO;
}

/** Draws that bring the pilot's standard error to the share of the estimate: the error falls as 1 / sqrt(chains draws).
 */
static double needed_draws(const rllc_pilot_point *point, double share, int64_t num_chains) {
    const double ratio = point->estimate.llc_se / (share * fabs(point->estimate.llc_mean));
    const double draws =
        (double)(point->options.num_draws * point->options.num_chains) / (double)num_chains * ratio * ratio;
    return draws > LEAST_DRAWS ? ceil(draws / ROUND_TO) * ROUND_TO : LEAST_DRAWS;
}

/* ---- one point alone --------------------------------------------------------------------------------------------- */

static void object(rllc_judgement *j, rllc_objection o, const char *sentence) {
    j->objection = o;
    j->sentence = sentence;
}

static bool is_unstable(const rllc_pilot *p, const rllc_pilot_point *point, rllc_judgement *j) {
    const rllc_sampler_options *o = &point->options;
    if (point->pruned) {
        object(j, RLLC_POINT_PRUNED,
               o->lr < point->budget.lr_max
                   ? point->budget.reason
                   : rllc_intern_printf(
                         "lr %.3g is not below the stability bound 4 / (nbeta h + localization) = %.3g for the top "
                         "curvature h = %.3g: not sampled",
                         o->lr, point->budget.lr_max, p->curvature.top));
    } else if (point->estimate.n_diverged > 0) {
        object(j, RLLC_POINT_DIVERGED,
               rllc_intern_printf("%lld of %lld chains diverged although lr %.3g is below the bound "
                                  "%.3g: the curvature grows away from w*",
                                  (long long)point->estimate.n_diverged, (long long)point->estimate.n_chains, o->lr,
                                  point->budget.lr_max));
    }
    return j->objection != RLLC_POINT_GOOD;
}

static bool is_biased(const rllc_pilot *p, const rllc_pilot_point *point, double tolerance, rllc_judgement *j) {
    const rllc_bias_budget *b = &point->budget;
    const double beyond = point->virial - point->predicted_virial;
    if (!p->refined_data && fabs(j->drift) > tolerance) {
        object(j, RLLC_POINT_DRIFTS,
               rllc_intern_printf("the gradient at w* moves the estimate by %+.0f %%", 100 * j->drift));
    } else if (b->complexity <= 0) {
        object(j, RLLC_POINT_WEAK, "more curves downwards than upwards: nothing to resolve");
    } else if (j->heat > tolerance) {
        object(j, RLLC_POINT_HEATED, rllc_intern_printf("step and minibatch noise would add %.0f %%", 100 * j->heat));
    } else if (beyond > UNPREDICTED) {
        object(j, RLLC_POINT_HEATED,
               rllc_intern_printf("virial ratio %.2f, but %.2f is what the curvature at w* explains", point->virial,
                                  point->predicted_virial));
    }
    return j->objection != RLLC_POINT_GOOD;
}

static void is_costly(const rllc_pilot *p, const rllc_pilot_point *point, const rllc_recommend_settings *s,
                      rllc_judgement *j) {
    const double share = ERROR * s->tolerance;
    j->burnin = needed_burnin(p, &point->options, LACKING * s->tolerance, s->max_steps - LEAST_DRAWS);
    if (j->burnin > s->max_steps - LEAST_DRAWS) {
        object(j, RLLC_POINT_SLOW,
               rllc_intern_printf("after %lld steps its draws would still lack %.0f %%",
                                  (long long)(s->max_steps - LEAST_DRAWS),
                                  100 * lacking(p, point->options, s->max_steps - LEAST_DRAWS)));
        return;
    }
    const double wanted = needed_draws(point, share, s->num_chains), most = (double)(s->max_steps - j->burnin);
    j->draws = (int64_t)fmin(wanted, most);
    j->error =
        point->estimate.llc_se / fabs(point->estimate.llc_mean) *
        sqrt((double)(point->options.num_draws * point->options.num_chains) / (double)(j->draws * s->num_chains));
    if (!(j->error <= share * 1.001))
        object(j, RLLC_POINT_WEAK,
               rllc_intern_printf("the standard error would still be %.0f %% of the estimate after %lld steps",
                                  100 * j->error, (long long)s->max_steps));
}

static void judge_alone(const rllc_pilot *p, const rllc_pilot_point *point, const rllc_recommend_settings *s,
                        rllc_judgement *j) {
    const rllc_bias_budget *b = &point->budget;
    *j = (rllc_judgement){.objection = RLLC_POINT_GOOD, .sentence = "", .error = NAN};
    j->heat = (b->step + b->noise) / fabs(b->complexity);
    j->drift = b->drift / fabs(b->complexity);
    j->settled = point->estimate.llc_mean - b->transient;
    if (is_unstable(p, point, j) || is_biased(p, point, s->tolerance, j)) return;
    is_costly(p, point, s, j);
}

/* ---- beside its neighbour ------------------------------------------------------------------------------------------
 */

/** The nearest setting of the same nbeta and localization that was sampled whole: the next smaller lr, else the next
 * larger. */
static int64_t neighbour(const rllc_pilot *p, const rllc_judgement *list, int64_t i) {
    const int64_t row = i - i % p->n_lr;
    int64_t smaller = -1, larger = -1;
    for (int64_t k = row; k < row + p->n_lr; k++) {
        const double lr = p->points[k].options.lr, here = p->points[i].options.lr;
        if (list[k].objection == RLLC_POINT_PRUNED || list[k].objection == RLLC_POINT_DIVERGED) continue;
        if (lr < here && (smaller < 0 || lr > p->points[smaller].options.lr)) smaller = k;
        if (lr > here && (larger < 0 || lr < p->points[larger].options.lr)) larger = k;
    }
    return smaller >= 0 ? smaller : larger;
}

/** Flat: the two differ by less than the tolerance, or than three standard errors; heating is taken out like the
 * transient. */
static void judge_flatness(const rllc_pilot *p, rllc_judgement *list, int64_t i, double tolerance) {
    const int64_t k = neighbour(p, list, i);
    if (k < 0) {
        list[i].sentence = "no neighbour in lr was sampled: whether the estimate is flat is not known";
        return;
    }
    const rllc_pilot_point *a = &p->points[i], *b = &p->points[k];
    const double here = list[i].settled - a->budget.step - a->budget.noise;
    const double there = list[k].settled - b->budget.step - b->budget.noise;
    const double error = hypot(a->estimate.llc_se, b->estimate.llc_se);
    if (fabs(here - there) > fmax(tolerance * fabs(here), 3 * error)) {
        object(&list[i], RLLC_POINT_UNEVEN,
               rllc_intern_printf("%.3g here but %.3g at lr %.3g, step, noise and transient taken out", here, there,
                                  b->options.lr));
        return;
    }
    list[i].sentence =
        rllc_intern_printf("the estimate is flat in lr: %.3g here and %.3g at lr %.3g, step, noise and transient taken "
                           "out (standard error %.2g)",
                           here, there, b->options.lr, error);
}

void rllc_judge(const rllc_pilot *p, const rllc_recommend_settings *settings, rllc_judgement *list) {
    for (int64_t i = 0; i < p->n; i++) judge_alone(p, &p->points[i], settings, &list[i]);
    for (int64_t i = 0; i < p->n; i++)
        if (list[i].objection == RLLC_POINT_GOOD) judge_flatness(p, list, i, settings->tolerance);
}
