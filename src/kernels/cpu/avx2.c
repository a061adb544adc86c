/* The fast kernels for AVX2 and FMA; cmake/kernels.cmake has the compiler options. */
#if defined(__x86_64__)
#define RLLC_TABLE rllc_kernels_cpu_avx2
#define RLLC_TABLE_NAME "cpu-avx2"
#include "kernels/cpu/kernels.h"
#else
typedef int rllc_no_avx2;
#endif
