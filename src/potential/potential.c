/* What every potential shares. */
#include "rllc/potential.h"

rllc_status rllc_potential_prepare(rllc_potential *p, int64_t stream, int64_t step) {
    return p->kind->prepare(p, stream, step);
}

rllc_status rllc_potential_loss_and_gradient(rllc_potential *p, int64_t n, const int64_t *members,
                                             const float *const *w, double *loss, float *const *gradient,
                                             double *baseline) {
    return p->kind->loss_and_gradient(p, n, members, w, loss, gradient, baseline);
}

void rllc_potential_free(rllc_potential *p) {
    if (p) p->kind->free(p);
}
