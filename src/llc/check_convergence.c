/* check: has the trace stopped moving, and how much does its beginning lack? */
#include <string.h>

#include "checks.h"

static const double largest_z = 3, largest_share = 0.1; /* both must be passed: significant, and it matters */

/** Steps in which a direction that only the localization holds forgets its start, three times over (V 4); 0 for rules
 *  with momentum or a step of their own, whose pace lr does not tell: the trends judge those. */
static double relaxation(const rllc_sampler_options *o) {
    const char *const of_langevin[] = {"sgld", "sgld-lm", "mala"};
    bool known = false;
    for (size_t i = 0; i < sizeof of_langevin / sizeof *of_langevin; i++)
        known |= strcmp(o->sampler, of_langevin[i]) == 0;
    if (!known) return 0;
    return o->lr * o->localization > 0 ? ceil(3 / (o->lr * o->localization)) : INFINITY;
}

/** What gets rid of the draws before equilibrium. */
static const char *remedy(const rllc_evidence *e, double burnin) {
    if (e->options->compat == RLLC_COMPAT_DEVINTERP2) return "take more draws (devinterp2 averages burn-in too)";
    const char *text = rllc_intern_printf("take %.0f burn-in steps", burnin);
    return text ? text : "take burn-in steps";
}

static void look(const rllc_evidence *e, const rllc_diagnosis *d, rllc_finding *f) {
    const double z = d->early_z, needed = relaxation(e->options);
    const double burnin = (double)e->options->num_burnin_steps;
    const bool every = e->options->compat == RLLC_COMPAT_DEVINTERP2; /* burn-in and all steps between are draws */
    const double lacking =
        d->has_budget && d->budget.complexity > 0 ? -d->budget.transient / d->budget.complexity : NAN;
    const double length = every ? (double)d->n_draws - burnin : (double)(d->n_draws * e->options->num_steps_bw_draws);
    f->value = z;
    if (d->n_live == 0) return;
    f->grade = RLLC_GRADE_DOUBTFUL;
    if (length + burnin < needed) {
        f->sentence = rllc_intern_printf(
            "%.0f steps do not reach equilibrium: flat directions need %.0f (3 / (lr localization)); "
            "take more draws or a larger lr",
            length + burnin, needed);
    } else if (fabs(d->late_z) > largest_z && fabs(d->late_share) > largest_share) {
        f->sentence = rllc_intern_printf(
            "the trace still %s, by %.0f %% over the last quarters (z %.1f): %s and as many draws",
            d->late_z < 0 ? "rises" : "falls", 100 * fabs(d->late_share), d->late_z, remedy(e, burnin + length));
    } else if (fabs(z) > largest_z && fabs(d->early_share) > largest_share) {
        f->sentence =
            rllc_intern_printf("the first draws lie %s the rest (z %.1f) and change the estimate by %.0f %%: %s",
                               z < 0 ? "below" : "above", z, 100 * fabs(d->early_share),
                               remedy(e, burnin + fmax(needed, ceil(length / 10))));
    } else if (lacking > largest_share) {
        f->sentence = rllc_intern_printf("the draws before equilibrium lower the estimate by %.0f %% (predicted): %s",
                                         100 * lacking, remedy(e, needed));
    } else {
        f->grade = RLLC_GRADE_GOOD;
        f->sentence = isnan(z) ? "too few draws for a test of stationarity"
                      : fabs(z) > largest_z
                          ? rllc_intern_printf(
                                "the first draws lie %s the rest (z %.1f), which changes the estimate by %.1f %% only",
                                z < 0 ? "below" : "above", z, 100 * fabs(d->early_share))
                          : rllc_intern_printf("no trend (z %.1f)", z);
    }
}

const rllc_check rllc_check_convergence = {
    .name = "convergence",
    .summary = "the trace no longer moves",
    .verdict = RLLC_NOT_CONVERGED,
    .look = look,
};
