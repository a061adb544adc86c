/* check: do the chains sample the same thing? */
#include "checks.h"

static const double least = 1.05, grave = 1.5; /* of the rank-normalised split R-hat */

/**
 * What R-hat may be by chance: m half-chains that hold `size` independent draws together differ by about 1 + m / (2
 * size), give or take sqrt(2 / (m - 1)) of that. Fixed limits are for longer chains than these.
 */
static double chance(double m, double size) {
    return 1 + m / (2 * size) * (1 + 3 * sqrt(2 / (m - 1)));
}

static void look(const rllc_evidence *e, const rllc_diagnosis *d, rllc_finding *f) {
    const double rhat = d->chains.rhat_rank, limit = fmax(least, chance(2.0 * (double)d->n_live, d->within_size));
    f->value = rhat;
    if (d->n_live < 2) {
        f->sentence = d->n_live ? "one chain: nothing to compare" : "";
        return;
    }
    if (isnan(rhat)) {
        f->sentence = "too few draws, or none that differ: nothing to compare";
        return;
    }
    f->grade = rhat > fmax(grave, limit) ? RLLC_GRADE_FAILED : rhat > limit ? RLLC_GRADE_DOUBTFUL : RLLC_GRADE_GOOD;
    if (f->grade == RLLC_GRADE_GOOD)
        f->sentence = rllc_intern_printf("chains agree (R-hat %.3f; up to %.3f is chance)", rhat, limit);
    else
        f->sentence =
            rllc_intern_printf("chains or their halves differ (R-hat %.3f, where up to %.3f is chance; sd over chains "
                               "%.2g): they sample different regions or still move; take burn-in and more draws, and "
                               "if it stays, more chains",
                               rhat, limit, e->estimate->llc_sd);
}

const rllc_check rllc_check_agreement = {
    .name = "agreement",
    .summary = "rank-normalised split R-hat",
    .verdict = RLLC_CHAINS_DISAGREE,
    .look = look,
};
