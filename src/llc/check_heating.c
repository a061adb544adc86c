/* check: how much of the estimate do the step size and the minibatch noise add? */
#include <string.h>

#include "checks.h"

static const double doubtful = 0.2, failed = 1; /* share of the complexity that step and noise may add */
static const double warm = 0.1, hot = 0.5;      /* virial excess beyond that of the localization alone */

/** Of the distribution that is sampled; 1 is the target's. */
static double temperature(const rllc_evidence *e) {
    return e->options->noise_level * e->options->noise_level;
}

/** E[u.G] / dim = T (1 + heating) for any loss; a flat direction gives T / (1 - lr localization / 4) by itself. */
static double excess(const rllc_evidence *e, const rllc_diagnosis *d) {
    const bool euler = strcmp(e->options->sampler, "sgld") == 0;
    const double t = temperature(e);
    return t > 0 ? d->virial * (euler ? 1 - e->options->lr * e->options->localization / 4 : 1) / t - 1 : NAN;
}

/** Standard error of the virial ratio: u.G / dim of one draw has a variance of about 2 / dim, and half the draws count.
 */
static double error(const rllc_evidence *e, const rllc_diagnosis *d) {
    return 2 / sqrt((double)e->dim * d->within_size);
}

static int grade(double x, double first, double second) {
    return !(x > first) ? RLLC_GRADE_GOOD : !(x > second) ? RLLC_GRADE_DOUBTFUL : RLLC_GRADE_FAILED;
}

static void by_budget(const rllc_evidence *e, const rllc_diagnosis *d, rllc_finding *f) {
    const rllc_bias_budget *b = &d->budget;
    const double t = temperature(e), whole = b->complexity * (t > 0 ? t : 1);
    const double step = b->step - (t - 1) * b->complexity; /* what the temperature changes is not the step's doing */
    const double share = (step + b->noise) / whole;
    f->value = share;
    if (isnan(share)) { /* a rule whose step has no closed form: the virial ratio is the judge */
        f->sentence = isnan(d->virial) ? "" : rllc_intern_printf("virial ratio %.2f (1 without heating)", d->virial);
        return;
    }
    f->grade = grade(share, doubtful, failed);
    if (f->grade == RLLC_GRADE_GOOD) {
        f->sentence = rllc_intern_printf("step and minibatch noise add %.1f %% (predicted)", 100 * share);
    } else if (step >= b->noise) {
        f->sentence = rllc_intern_printf(
            "the step adds %.0f %% to the estimate (predicted; minibatch noise %.0f %%): lower lr to %.2g, "
            "or take sgld-lm, which has no such bias",
            100 * step / whole, 100 * b->noise / whole, rllc_round_down(e->options->lr * doubtful / 2 / share));
    } else {
        f->sentence = rllc_intern_printf(
            "minibatch noise adds %.0f %% to the estimate (predicted; the step %.0f %%): lower lr to %.2g, "
            "or raise batch_size above nbeta",
            100 * b->noise / whole, 100 * step / whole, rllc_round_down(e->options->lr * doubtful / 2 / share));
    }
}

static void by_temperature(const rllc_evidence *e, rllc_finding *f) {
    const double t = temperature(e);
    if (t == 1 || f->grade > RLLC_GRADE_GOOD) return;
    f->value = t;
    f->grade = t > 1 ? RLLC_GRADE_DOUBTFUL : RLLC_GRADE_GOOD;
    f->sentence =
        rllc_intern_printf("noise_level %.3g samples at %.3g times the temperature, and the estimate is about as "
                           "many times too large; 1 samples the target",
                           e->options->noise_level, t);
}

static void look(const rllc_evidence *e, const rllc_diagnosis *d, rllc_finding *f) {
    const bool exact = rllc_sampler_find(e->options->sampler)->exact; /* has no step bias, and a fixed batch */
    const double measured = exact ? NAN : excess(e, d) - 3 * error(e, d);
    if (d->has_budget && d->budget.complexity > 0) by_budget(e, d, f);
    if (d->has_budget && e->options->lr >= d->budget.lr_max) { /* NaN: this rule has no such bound */
        f->grade = RLLC_GRADE_FAILED;
        f->sentence = rllc_intern_printf(
            "lr %.3g is above the stability bound 4 / (nbeta h + localization) = %.3g for the top curvature h "
            "= %.3g; try %.2g",
            e->options->lr, d->budget.lr_max, d->top, rllc_round_down(d->budget.lr_max / 2));
        return;
    }
    by_temperature(e, f);
    if (isnan(measured) || grade(measured, warm, hot) <= f->grade) return;
    f->grade = grade(measured, warm, hot);
    f->value = excess(e, d);
    f->sentence = rllc_intern_printf(
        "the chains are heated: virial ratio %.2f (1 if the step were small and the gradients exact)%s; "
        "lower lr to %.2g or enlarge the batch",
        d->virial, d->has_budget ? ", more than their curvature at w* predicts" : "",
        rllc_round_down(e->options->lr / 2));
}

const rllc_check rllc_check_heating = {
    .name = "heating",
    .summary = "step size and minibatch noise add little",
    .verdict = RLLC_TOO_MUCH_NOISE,
    .look = look,
};
