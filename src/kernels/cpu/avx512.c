/* The fast kernels for AVX-512; cmake/kernels.cmake has the compiler options. */
#if defined(__x86_64__)
#define RLLC_TABLE rllc_kernels_cpu_avx512
#define RLLC_TABLE_NAME "cpu-avx512"
#include "kernels/cpu/kernels.h"
#else
typedef int rllc_no_avx512;
#endif
