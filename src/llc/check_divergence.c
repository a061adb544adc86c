/* check: did every chain stay finite? */
#include "checks.h"

static const rllc_trace *first_diverged(const rllc_evidence *e, int64_t *chain, int64_t *n) {
    const rllc_trace *first = NULL;
    *n = 0;
    for (int64_t i = e->n - 1; i >= 0; i--)
        if (e->traces[i].diverged || (e->traces[i].n_draws > 0 && !rllc_chain_is_live(&e->traces[i]))) {
            first = &e->traces[i];
            *chain = i;
            ++*n;
        }
    return first;
}

static void look(const rllc_evidence *e, const rllc_diagnosis *d, rllc_finding *f) {
    int64_t chain = 0, n;
    const rllc_trace *t = first_diverged(e, &chain, &n);
    const double lr = e->options->lr, bound = d->budget.lr_max, pull = lr * e->options->localization;
    f->value = (double)n;
    if (!t) {
        f->sentence = rllc_intern_printf("all %lld chains stayed finite", (long long)e->n);
        return;
    }
    f->grade = RLLC_GRADE_FAILED;
    const char *what = t->reason && *t->reason ? t->reason : "the loss is not finite";
    if (d->has_budget && lr >= bound) {
        f->sentence = rllc_intern_printf(
            "%lld of %lld chains diverged (chain %lld: %s): lr %.3g is above the stability bound 4 / (nbeta h + "
            "localization) = %.3g for the estimated top curvature h = %.3g; try lr %.2g",
            (long long)n, (long long)e->n, (long long)chain, what, lr, bound, d->top, rllc_round_down(bound / 2));
    } else if (d->has_budget && d->bottom < 0 && e->options->nbeta * -d->bottom > e->options->localization) {
        f->sentence = rllc_intern_printf("%lld of %lld chains diverged (chain %lld: %s): the loss falls along a "
                                         "direction of curvature %.3g faster than the "
                                         "localization holds it; raise localization above nbeta |h| = %.3g",
                                         (long long)n, (long long)e->n, (long long)chain, what, d->bottom,
                                         e->options->nbeta * -d->bottom);
    } else if (!d->has_budget && pull >= 4) { /* without curvature at all it would be unstable */
        f->sentence = rllc_intern_printf(
            "%lld of %lld chains diverged (chain %lld: %s): lr localization = %.3g is beyond 4, "
            "where the pull towards w* itself is unstable; try lr %.2g",
            (long long)n, (long long)e->n, (long long)chain, what, pull, rllc_round_down(1 / e->options->localization));
    } else {
        f->sentence =
            rllc_intern_printf("%lld of %lld chains diverged (chain %lld: %s): away from w* the loss grows faster than "
                               "at it%s; try lr %.2g, a "
                               "bounding_box, or batches fixed with mala",
                               (long long)n, (long long)e->n, (long long)chain, what,
                               d->has_budget ? " (there lr is within its bound)" : "", rllc_round_down(lr / 4));
    }
}

const rllc_check rllc_check_divergence = {
    .name = "divergence",
    .summary = "every chain stayed finite",
    .verdict = RLLC_DIVERGED,
    .look = look,
};
