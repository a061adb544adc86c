/* Reference matrix product. */
#include "kernels/ref/ref.h"

/* C_ij = alpha sum_p op(A)_ip op(B)_pj + beta C_ij                                                          (E1) */
void rllc_ref_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                   const float *b, int64_t ldb, float beta, float *c, int64_t ldc) {
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < n; j++) {
            double sum = 0;
            for (int64_t p = 0; p < k; p++) {
                double a_ip = ta ? a[p * lda + i] : a[i * lda + p];
                double b_pj = tb ? b[j * ldb + p] : b[p * ldb + j];
                sum += a_ip * b_pj;
            }
            double old = beta == 0 ? 0 : (double)beta * (double)c[i * ldc + j]; /* beta = 0 must not read C */
            c[i * ldc + j] = (float)((double)alpha * sum + old);
        }
    }
}
