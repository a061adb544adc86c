/* What devinterp fills in when it is not given. */
#include <math.h>

#include "rllc/sgmcmc.h"

enum { INIT_LOSS_BATCHES_2 = 32 }; /* devinterp 2's default */

void rllc_sampler_unset(rllc_sampler_options *o) {
    o->nbeta = NAN;
    o->num_init_loss_batches = 0;
}

rllc_status rllc_sampler_complete(rllc_sampler_options *o) {
    const int64_t parts = o->gradient_accumulation_steps;
    const double m = (double)(o->batch_size * parts);
    rllc_sampler_options usual;
    rllc_options_default(&rllc_sampler_option_table, &usual);
    if (isnan(o->nbeta) && o->compat == RLLC_COMPAT_DEVINTERP2)
        return rllc_fail(RLLC_EUSAGE, "devinterp 2 has no default for nbeta (its n_beta), so compat devinterp2 has none: give it");
    if (isnan(o->nbeta)) o->nbeta = o->compat == RLLC_COMPAT_NONE ? usual.nbeta : m > 1 ? m / log(m) : 1;
    if (o->num_init_loss_batches > 0) return RLLC_OK;
    o->num_init_loss_batches = o->compat == RLLC_COMPAT_NONE         ? usual.num_init_loss_batches
                               : o->compat == RLLC_COMPAT_DEVINTERP1 ? o->num_chains * parts
                                                                     : INIT_LOSS_BATCHES_2 * parts;
    return RLLC_OK;
}
