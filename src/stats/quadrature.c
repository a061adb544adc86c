/* Quadratures: a spectrum as nodes and weights. */
#include "rllc/stats.h"

rllc_status rllc_quadrature_init(rllc_quadrature *q, int64_t n) {
    *q = (rllc_quadrature){0};
    const rllc_status status = rllc_alloc(&q->node, 3 * n, sizeof *q->node);
    if (status != RLLC_OK) return status;
    q->n = n;
    q->weight = q->node + n;
    q->residual = q->weight + n;
    return RLLC_OK;
}

void rllc_quadrature_release(rllc_quadrature *q) {
    rllc_free(q->node);
    *q = (rllc_quadrature){0};
}

double rllc_quadrature_sum(const rllc_quadrature *q, double (*f)(double x, const void *context), const void *context) {
    double sum = 0;
    for (int64_t k = 0; k < q->n; k++) sum += q->weight[k] * f(q->node[k], context);
    return sum;
}

double rllc_quadrature_weight(const rllc_quadrature *q) {
    double sum = 0;
    for (int64_t k = 0; k < q->n; k++) sum += q->weight[k];
    return sum;
}

rllc_status rllc_quadrature_mean(const rllc_quadrature *list, int64_t n, rllc_quadrature *out) {
    int64_t nodes = 0, at = 0;
    for (int64_t i = 0; i < n; i++) nodes += list[i].n;
    const rllc_status status = rllc_quadrature_init(out, nodes);
    if (status != RLLC_OK) return status;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < list[i].n; k++, at++) {
            out->node[at] = list[i].node[k];
            out->weight[at] = list[i].weight[k] / (double)n;
            out->residual[at] = list[i].residual[k];
        }
    return RLLC_OK;
}
