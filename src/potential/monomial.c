/* L(w) = prod_i |w_i|^exponent[i]: normal crossings, the simplest singular minima. */
#include <math.h>

#include "analytic.h"

struct options {
    const char *exponents;
};

static const rllc_option rows[] = {
    RLLC_OPTION(struct options, exponents, RLLC_TEXT, "2,4", RLLC_UNBOUNDED, NULL, "",
                "2,4 is w1^2 w2^4; at least 2, or 0 for a coordinate that does not matter"),
};
const rllc_option_table rllc_monomial_option_table = {"monomial", "L = |w1|^e1 |w2|^e2 ...", rows,
                                                      sizeof rows / sizeof *rows};

static double power(double x, int64_t n) {
    double y = 1;
    while (n-- > 0) y *= x;
    return y;
}

static rllc_status evaluate(rllc_analytic_model *m, const double *w, double *loss, double *gradient) {
    const int64_t *e = m->data;
    *loss = 1;
    for (int64_t i = 0; i < m->dim; i++) *loss *= power(fabs(w[i]), e[i]);
    for (int64_t i = 0; gradient && i < m->dim; i++) {
        double g = e[i] ? (double)e[i] * power(fabs(w[i]), e[i] - 1) * (w[i] < 0 ? -1 : 1) : 0;
        for (int64_t k = 0; e[i] && k < m->dim; k++)
            if (k != i) g *= power(fabs(w[k]), e[k]);
        gradient[i] = g;
    }
    return RLLC_OK;
}

/** Near w a factor with w_i != 0 is a unit; if no moving factor vanishes there, w is no minimum. */
static rllc_status coefficient(const rllc_analytic_model *m, const double *w, const bool *moves,
                               rllc_coefficient *out) {
    const int64_t *e = m->data;
    int64_t *vanishing = NULL, moving = 0;
    bool fixed_zero = false;
    const rllc_status status = rllc_alloc(&vanishing, m->dim, sizeof *vanishing);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < m->dim; i++) {
        if (e[i] == 0 || w[i] != 0) continue;
        if (moves[i])
            vanishing[moving++] = e[i];
        else
            fixed_zero = true;
    }
    if (fixed_zero)
        *out = (rllc_coefficient){0, 1}; /* the loss vanishes whatever moves */
    else
        *out = moving ? rllc_coefficient_crossing(moving, vanishing) : (rllc_coefficient){NAN, 0};
    rllc_free(vanishing);
    return RLLC_OK;
}

static rllc_status gibbs(const rllc_analytic_model *m, const rllc_sampler_options *o, double *mean) {
    if (o->bounding_box > 0 && o->localization == 0)
        return rllc_gibbs_crossing_box(m->dim, m->data, o->bounding_box, o->nbeta, mean);
    if (o->bounding_box > 0)
        return rllc_fail(RLLC_EUNSUPPORTED, "no closed form is known with a bounding box and localization");
    return rllc_gibbs_crossing(m->dim, m->data, NULL, 1, o->nbeta, o->localization, mean);
}

static void release(rllc_analytic_model *m) {
    rllc_free(m->data);
}

static rllc_status make(rllc_analytic_model *m, const void *options, const rllc_analytic_sample *sample) {
    int64_t *e = NULL, n = 0;
    rllc_status status = RLLC_OK;
    (void)sample;
    RLLC_TRY(rllc_list_integers("--exponents", ((const struct options *)options)->exponents, 0, 64, &e, &n));
    *m = (rllc_analytic_model){
        .data = e, .free = release, .evaluate = evaluate, .coefficient = coefficient, .gibbs = gibbs};
    RLLC_TRY(rllc_analytic_model_shape(m, n, n));
    for (int64_t i = 0; i < n; i++) {
        if (e[i] == 1)
            return rllc_fail(RLLC_EUSAGE, "--exponents: |w| has no gradient at 0; expected 0, or 2 and more");
        m->blocks[i] = (rllc_analytic_block){rllc_intern_printf("w%lld", (long long)i + 1), i, 1, e[i] == 2};
    }
done:
    return status;
}

const rllc_analytic_kind rllc_analytic_monomial = {.name = "monomial",
                                                   .summary = "normal crossings: products of powers of the coordinates",
                                                   .options = &rllc_monomial_option_table,
                                                   .size = sizeof(struct options),
                                                   .make = make};
