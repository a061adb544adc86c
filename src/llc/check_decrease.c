/* check: is w* a minimum of this loss, or did the chains find lower ones? Names the cause of a negative estimate. */
#include "checks.h"

enum { ERRORS = 3 }; /* standard errors below 0 that count as a decrease */

static const char *cause(const rllc_evidence *e, const rllc_diagnosis *d) {
    const double mean = e->estimate->llc_mean, nbeta = e->options->nbeta, localization = e->options->localization;
    if (d->has_budget && d->bottom < 0 && nbeta * -d->bottom > localization)
        return rllc_intern_printf(
            "w* is a saddle there (curvature %.3g, steeper than localization / nbeta); raise localization "
            "above %.3g",
            d->bottom, nbeta * -d->bottom);
    if (d->has_budget && d->budget.drift < mean / 2)
        return rllc_intern_printf(
            "the gradient at w* is not 0, which alone makes %.3g of it; a smaller nbeta, a larger "
            "localization or a checkpoint trained further lowers that",
            d->budget.drift);
    if (e->refined_data)
        return "this is not the data that w* was trained on, of which a gradient is to be expected; compare heads and "
               "times, "
               "or lower nbeta";
    return "SGLD goes on training where w* is not yet a minimum; lower nbeta, raise localization, or take a later "
           "checkpoint";
}

static void look(const rllc_evidence *e, const rllc_diagnosis *d, rllc_finding *f) {
    const double mean = e->estimate->llc_mean, se = e->estimate->llc_se;
    f->value = mean;
    if (d->n_live == 0) return;
    if (d->n_live == 0 || rllc_chains_stand(e, d)) return; /* nothing to see */
    if (!(mean < -ERRORS * se) && !(mean < 0 && isnan(se))) {
        f->sentence =
            rllc_intern_printf("the loss is above that at w* in %.0f %% of the draws", 100 * (1 - d->share_below));
        if (!d->has_budget || !(d->budget.drift < -0.5 * fabs(mean))) return;
        f->grade = RLLC_GRADE_DOUBTFUL;
        f->sentence = rllc_intern_printf(
            "the gradient at w* holds the estimate down by about %.3g (it is %.3g): w* is not a minimum of "
            "this loss; lower nbeta or raise localization",
            -d->budget.drift, mean);
        return;
    }
    f->grade = RLLC_GRADE_FAILED;
    f->sentence = rllc_intern_printf("negative estimate (%.3g +- %.2g): the chains find lower losses than w*: %s", mean,
                                     se, cause(e, d));
}

const rllc_check rllc_check_decrease = {
    .name = "decrease",
    .summary = "w* is a minimum: the loss does not fall below it",
    .verdict = RLLC_LOSS_DECREASED,
    .look = look,
};
