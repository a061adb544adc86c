/* The fast kernels for the baseline instruction set of any processor. */
#define RLLC_TABLE rllc_kernels_cpu_generic
#define RLLC_TABLE_NAME "cpu-generic"
#include "kernels/cpu/kernels.h"
