/* copying: what heads copy, from weights alone. */
#ifndef RLLC_MECHINTERP_COPYING_H
#define RLLC_MECHINTERP_COPYING_H

#include "rllc/model.h"

/**
 * Copying score of every head into out [n_layers * n_heads]: sum Re lambda / sum |lambda| over the eigenvalues of
 * W_E W_V W_O W_U; 0 for a head that writes nothing.                                                          (E115)
 * folded: with the gains and the centring of ln1 before W_V and of ln_final before W_U; needs a model that has them.
 */
rllc_status rllc_copying_scores(const rllc_model *m, bool folded, int n_threads, double *out) RLLC_MUST_USE;
/** Floating-point operations of that. */
double rllc_copying_flops(const rllc_model *m);

#endif
