/* composition: how much of what a head writes into the residual stream a head of a later layer reads. */
#ifndef RLLC_MECHINTERP_COMPOSITION_H
#define RLLC_MECHINTERP_COMPOSITION_H

#include "rllc/mechinterp.h"

/** Into the keys, the queries or the values of the later head. */
enum { RLLC_COMPOSITION_K, RLLC_COMPOSITION_Q, RLLC_COMPOSITION_V, RLLC_COMPOSITIONS };
extern const char *const rllc_composition_names[RLLC_COMPOSITIONS]; /* "composition_k", "composition_q", ... */

/**
 * Scores of all pairs (E120): out [heads, heads], heads = n_layers * n_heads, entry from * heads + to; NaN unless
 * `from` lies in an earlier layer. A head without weights composes with nothing: 0. folded: the centring and the gain
 * of the LayerNorm in front of a head belong to what it reads with (E122); RLLC_EUSAGE if the model has no LayerNorm.
 */
rllc_status rllc_composition_scores(const rllc_model *m, int kind, bool folded, double *out) RLLC_MUST_USE;

/** What heads of independent normal weights score on average: all pairs have one shape (E123-E126). */
double rllc_composition_chance(const rllc_model_options *o, int kind, bool folded);

#endif
