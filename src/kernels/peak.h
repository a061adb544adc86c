/* What a core's multiply-adders can do at most: a loop of independent ones in registers, to be timed by the caller. */
#ifndef RLLC_KERNELS_PEAK_H
#define RLLC_KERNELS_PEAK_H

#include "rllc/kernels.h"

/** Runs the loop `times` over with the vectors of table k (ref: those of cpu-generic); how many operations that was. */
double rllc_fma_loop(const rllc_kernels *k, int64_t times);

#endif
