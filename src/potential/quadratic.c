/* L(w) = 1/2 sum_i h_i (w_i - c_i)^2: the target whose SGLD law is known exactly. */
#include "rllc/potential.h"

struct quadratic {
    rllc_potential head;
    const double *h, *centre; /* [dim], own copies */
    double *memory;
    float *w0;
    rllc_span span;
};

static rllc_status prepare(rllc_potential *p, int64_t stream, int64_t step) {
    (void)p, (void)stream, (void)step; /* the full-batch loss: nothing depends on the minibatch */
    return RLLC_OK;
}

static double evaluate(const struct quadratic *q, const float *w, float *gradient) {
    double loss = 0;
    for (int64_t i = 0; i < q->span.n; i++) {
        const double u = (double)w[i] - q->centre[i];
        loss += 0.5 * q->h[i] * u * u;
        if (gradient) gradient[i] = (float)(q->h[i] * u);
    }
    return loss;
}

static rllc_status loss_and_gradient(rllc_potential *p, int64_t n, const int64_t *members, const float *const *w,
                                     double *loss, float *const *gradient, double *baseline) {
    const struct quadratic *q = (const struct quadratic *)p;
    (void)members;
    for (int64_t i = 0; i < n; i++) loss[i] = evaluate(q, w[i], gradient[i]);
    if (baseline) *baseline = evaluate(q, q->w0, NULL);
    return RLLC_OK;
}

static void release(rllc_potential *p) {
    struct quadratic *q = (struct quadratic *)p;
    rllc_free(q->memory);
    rllc_free(q->w0);
    rllc_free(p->members);
    rllc_free(q);
}

static const rllc_potential_kind quadratic_kind = {"quadratic", prepare, loss_and_gradient, release};

rllc_status rllc_potential_quadratic(rllc_potential **out, int64_t dim, const double *h, const double *centre,
                                     const float *w0, int64_t n_members) {
    rllc_status status = RLLC_OK;
    struct quadratic *q = NULL;
    *out = NULL;
    RLLC_TRY(rllc_alloc(&q, 1, sizeof *q));
    q->head.kind = &quadratic_kind;
    q->head.n_members = n_members;
    q->span = (rllc_span){0, dim};
    RLLC_TRY(rllc_alloc(&q->memory, 2 * dim, sizeof *q->memory));
    RLLC_TRY(rllc_alloc(&q->w0, dim, sizeof *q->w0));
    RLLC_TRY(rllc_alloc(&q->head.members, n_members, sizeof *q->head.members));
    for (int64_t i = 0; i < dim; i++) {
        q->memory[i] = h[i];
        q->memory[dim + i] = centre[i];
        q->w0[i] = w0[i];
    }
    q->h = q->memory;
    q->centre = q->memory + dim;
    for (int64_t i = 0; i < n_members; i++)
        q->head.members[i] = (rllc_potential_member){.dim = dim, .w0 = q->w0, .spans = &q->span, .n_spans = 1};
    *out = &q->head;
    return RLLC_OK;
done:
    if (q) release(&q->head);
    return status;
}
