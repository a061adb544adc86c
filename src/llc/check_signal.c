/* check: is the error small enough for the estimate to mean something? */
#include "checks.h"

static void look(const rllc_evidence *e, const rllc_diagnosis *d, rllc_finding *f) {
    const double mean = e->estimate->llc_mean, se = e->estimate->llc_se;
    const double target = e->mcse_target > 0 ? e->mcse_target : 0.1, share = se / fabs(mean);
    f->value = share;
    if (e->options->nbeta == 0) {
        f->value = NAN;
        f->sentence = "nbeta is 0: every estimate is 0, and the chains sample the localization alone";
    } else if (isnan(mean)) {
        f->grade = RLLC_GRADE_FAILED;
        f->sentence = "no chain is left to estimate from";
    } else if (d->acceptance < 0.01) {
        f->grade = RLLC_GRADE_FAILED;
        f->sentence = rllc_intern_printf(
            "%.1f %% of the proposals were accepted: at w* itself a typical proposal can be refused for ever; "
            "lower lr to %.2g, or begin away from it (init_noise%s)",
            100 * d->acceptance, rllc_round_down(e->options->lr / 4),
            e->options->localization > 0 ? rllc_intern_printf(" %.2g", 1 / sqrt(e->options->localization)) : "");
    } else if (rllc_chains_stand(e, d)) {
        f->grade = RLLC_GRADE_DOUBTFUL;
        f->sentence =
            rllc_intern_printf("the chains hardly moved (%.2g from w*); raise lr or noise_level", d->distance);
    } else if (isnan(se)) {
        f->grade = RLLC_GRADE_DOUBTFUL;
        f->sentence = "the error is unknown: one short chain; take 4 chains, or 20 draws and more";
    } else if (!(share <= target)) {
        f->grade = RLLC_GRADE_DOUBTFUL;
        f->sentence = rllc_intern_printf(
            "se %.2g is %.0f %% of the estimate, more than %.0f %%: take %.0f times the draws, or more chains", se,
            100 * share, 100 * target, fmin(ceil(share * share / (target * target)), 1e6));
    } else {
        f->sentence = isnan(d->chains.ess_mean)
                          ? rllc_intern_printf("se %.2g, %.1f %% of the estimate", se, 100 * share)
                          : rllc_intern_printf("se %.2g, %.1f %% of the estimate; %.0f independent draws in effect", se,
                                               100 * share, d->chains.ess_mean);
    }
}

const rllc_check rllc_check_signal = {
    .name = "signal",
    .summary = "the error against its target",
    .verdict = RLLC_TOO_LITTLE_SIGNAL,
    .look = look,
};
