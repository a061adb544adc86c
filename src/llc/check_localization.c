/* check: what does the localization hide? Says it, and never makes an estimate doubtful: the paper's settings are such.
 */
#include "checks.h"

static void look(const rllc_evidence *e, const rllc_diagnosis *d, rllc_finding *f) {
    f->value = d->heat_capacity;
    if (e->options->nbeta == 0) return; /* nothing to resolve */
    if (d->has_budget) {
        f->value = d->budget.soft_count;
        f->sentence = rllc_intern_printf(
            "about %.2g of %lld directions are resolved (one of curvature %.2g counts half); the rest "
            "is held by the localization",
            d->budget.soft_count, (long long)e->dim, e->options->localization / e->options->nbeta);
    } else if (d->heat_capacity < 0.8) {
        f->sentence = rllc_intern_printf(
            "heat capacity %.2f (1 on a plateau): the localization limits the estimate; it compares heads and times, "
            "and is no asymptotic coefficient",
            d->heat_capacity);
    }
}

const rllc_check rllc_check_localization = {
    .name = "localization",
    .summary = "what the localization hides",
    .verdict = RLLC_GOOD,
    .look = look,
};
