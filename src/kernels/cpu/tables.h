/* The fast tables of this build: one source, compiled once for each instruction set by cmake/kernels.cmake. */
#ifndef RLLC_KERNELS_CPU_TABLES_H
#define RLLC_KERNELS_CPU_TABLES_H

#include "rllc/kernels.h"

extern const rllc_kernels rllc_kernels_cpu_generic; /* the baseline of any processor */
#if defined(__x86_64__)
extern const rllc_kernels rllc_kernels_cpu_avx2;    /* AVX2 and FMA */
extern const rllc_kernels rllc_kernels_cpu_avx512;  /* AVX-512 F, BW, DQ, VL and FMA */
#endif

#endif
