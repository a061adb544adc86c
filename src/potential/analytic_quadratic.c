/* L(w) = 1/2 w^T H w: the target on which everything is known. */
#include <string.h>

#include "analytic.h"

struct options {
    const char *hessian;
};

static const rllc_option rows[] = {
    RLLC_OPTION(struct options, hessian, RLLC_TEXT, "1,1,1,1", RLLC_UNBOUNDED, NULL, "",
                "eigenvalues, 1,0.5,0.01; or a file with a symmetric matrix, a row a line"),
};
const rllc_option_table rllc_quadratic_option_table = {"quadratic", "L = 1/2 w^T H w", rows,
                                                       sizeof rows / sizeof *rows};

struct quadratic {
    double *diagonal, *matrix; /* one of them */
};

static rllc_status evaluate(rllc_analytic_model *m, const double *w, double *loss, double *gradient) {
    const struct quadratic *q = m->data;
    *loss = 0;
    for (int64_t i = 0; i < m->dim; i++) {
        double g = q->diagonal ? q->diagonal[i] * w[i] : 0;
        for (int64_t k = 0; q->matrix && k < m->dim; k++) g += q->matrix[i * m->dim + k] * w[k];
        *loss += g * w[i] / 2;
        if (gradient) gradient[i] = g;
    }
    return RLLC_OK;
}

static void release(rllc_analytic_model *m) {
    struct quadratic *q = m->data;
    rllc_free(q->diagonal);
    rllc_free(q->matrix);
    rllc_free(q);
}

static rllc_status make(rllc_analytic_model *m, const void *options, const rllc_analytic_sample *sample) {
    const struct options *o = options;
    struct quadratic *q = NULL;
    int64_t dim = 0;
    rllc_status status = RLLC_OK;
    (void)sample;
    RLLC_TRY(rllc_alloc(&q, 1, sizeof *q));
    m->data = q;
    m->free = release;
    m->evaluate = evaluate;
    if (rllc_file_exists(o->hessian))
        RLLC_TRY(rllc_matrix_read(o->hessian, &q->matrix, &dim));
    else
        RLLC_TRY(rllc_list_reals("--hessian (no file of that name)", o->hessian, &q->diagonal, &dim));
    RLLC_TRY(rllc_analytic_model_shape(m, dim, 1));
    m->blocks[0] = (rllc_analytic_block){"w", 0, dim, true};
done:
    return status;
}

const rllc_analytic_kind rllc_analytic_quadratic = {
    .name = "quadratic",
    .summary = "given curvatures: a regular minimum, flat or saddle directions",
    .options = &rllc_quadratic_option_table,
    .size = sizeof(struct options),
    .make = make};
