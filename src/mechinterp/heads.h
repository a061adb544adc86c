/* heads: lists of heads that are ablated together. */
#ifndef RLLC_MECHINTERP_HEADS_H
#define RLLC_MECHINTERP_HEADS_H

#include "mechinterp/ablate.h"

typedef struct rllc_head_sets {
    rllc_head_set *list;
    int64_t n;
    int (*heads)[2]; /* of all sets */
} rllc_head_sets;

/** Every head alone, layer by layer. */
rllc_status rllc_head_sets_single(rllc_head_sets *s, const rllc_model *m) RLLC_MUST_USE;
/** "0:1+0:4,1:6": sets joined by commas, heads by +; l0h1 is 0:1. RLLC_EUSAGE names what is not a head of the model. */
rllc_status rllc_head_sets_parse(rllc_head_sets *s, const rllc_model *m, const char *text) RLLC_MUST_USE;
void rllc_head_sets_release(rllc_head_sets *s);

/** Floating-point operations a token of the loss with heads of `layer` replaced, given the activations without. */
double rllc_ablation_flops(const rllc_model *shape, int64_t layer);

#endif
