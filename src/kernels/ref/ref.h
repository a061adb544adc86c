/* The slots of the reference table: declarations shared by the files of this folder. See rllc/kernels.h. */
#ifndef RLLC_KERNELS_REF_H
#define RLLC_KERNELS_REF_H

#include "rllc/kernels.h"

void rllc_ref_gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda,
                   const float *b, int64_t ldb, float beta, float *c, int64_t ldc);
void rllc_ref_layer_norm_forward(int64_t rows, int64_t c, const float *x, const float *w, const float *b, double eps,
                                 float *y, float *mean, float *rstd);
void rllc_ref_layer_norm_backward(int64_t rows, int64_t c, const float *x, const float *mean, const float *rstd,
                                  const float *w, const float *dy, float *dx, float *dw, float *db);
void rllc_ref_attention_forward(int64_t t, int64_t d, double scale, const float *q, const float *k, const float *v,
                                int64_t ld, float *z, int64_t ldz, float *lse, float *scratch);
void rllc_ref_attention_backward(int64_t t, int64_t d, double scale, const float *q, const float *k, const float *v,
                                 int64_t ld, const float *z, const float *dz, int64_t ldz, const float *lse, float *dq,
                                 float *dk, float *dv, int64_t ldd, float *scratch);
int64_t rllc_ref_attention_scratch(int64_t t, int64_t d);
void rllc_ref_cross_entropy(int64_t rows, int64_t v, float *logits, int64_t ld, const int32_t *targets,
                            double gradient_scale, float *loss, float *lse);
void rllc_ref_log_softmax(int64_t rows, int64_t v, float *logits, int64_t ld);
void rllc_ref_kl_divergence(int64_t rows, int64_t v, float *logits, int64_t ld, const float *reference, int64_t ldr,
                            const int32_t *targets, double gradient_scale, float *loss);
void rllc_ref_low_rank_loss(const rllc_low_rank *x);
int64_t rllc_ref_low_rank_scratch(int64_t rows, int64_t v, int64_t n);
void rllc_ref_zero(int64_t n, float *x);
void rllc_ref_multiply(int64_t n, double alpha, const float *x, const float *y, float *out);
void rllc_ref_divide(int64_t n, const float *x, const float *y, float *out);
void rllc_ref_copy_rows(int64_t rows, int64_t c, const float *x, int64_t ldx, float *y, int64_t ldy);
void rllc_ref_scale_rows(int64_t rows, int64_t c, const float *s, const float *x, int64_t ldx, float *y, int64_t ldy);
void rllc_ref_add_scaled_rows(int64_t rows, int64_t c, const float *s, const float *x, int64_t ldx, float *y,
                              int64_t ldy);
void rllc_ref_row_dots(int64_t rows, int64_t c, const float *x, int64_t ldx, const float *y, int64_t ldy, float *out);
void rllc_ref_gather_rows(int64_t rows, int64_t c, const int32_t *ids, const float *x, int64_t ldx, float *y,
                          int64_t ldy);
void rllc_ref_scatter_rows(int64_t rows, int64_t c, const int32_t *ids, const float *x, int64_t ldx, float *y,
                           int64_t ldy);

/* The memory of every table that computes on the host. */
void *rllc_host_allocate(size_t bytes);
void rllc_host_release(void *memory);
void rllc_host_upload(size_t bytes, const void *host, void *memory);
void rllc_host_download(size_t bytes, const void *memory, void *host);
void rllc_ref_add(int64_t n, const float *x, float *y);
void rllc_ref_add_rows(int64_t rows, int64_t c, const float *x, int64_t ldx, float *y, int64_t ldy);
void rllc_ref_column_sum(int64_t rows, int64_t c, const float *x, int64_t ldx, float *sum);
void rllc_ref_adamw(int64_t n, const rllc_adamw_step *s, const float *g, float *w, float *m, float *v);
void rllc_ref_sgld(int64_t n, const rllc_sgld_step *s, const float *g, const float *w0, const float *eta, float *w);
void rllc_ref_normals(const rllc_stream *s, uint64_t first, int64_t n, float *out);
double rllc_ref_sum_squares(int64_t n, const float *x);

#endif
