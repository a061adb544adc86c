/* The registered sampling rules. */
#ifndef RLLC_SGMCMC_SAMPLERS_H
#define RLLC_SGMCMC_SAMPLERS_H

#include "rllc/sgmcmc.h"

#define RLLC_SAMPLER(identifier) extern const rllc_sampler_kind rllc_sampler_##identifier;
#include "samplers.def"
#undef RLLC_SAMPLER

#endif
