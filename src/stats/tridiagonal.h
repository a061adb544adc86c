/* stats: eigenvalues of a symmetric tridiagonal matrix, with what a Gauss quadrature needs of its eigenvectors. */
#ifndef RLLC_STATS_TRIDIAGONAL_H
#define RLLC_STATS_TRIDIAGONAL_H

#include "rllc/base.h"

/**
 * Diagonal d [n], off-diagonal e [n], e[n-1] free. On return d holds the eigenvalues in ascending order and z [n] the
 * first component of each unit eigenvector; e is used up. RLLC_ENOTFINITE if an entry is not finite.
 */
rllc_status rllc_tridiagonal_eigen(int64_t n, double *d, double *e, double *z) RLLC_MUST_USE;

#endif
