/* Reference operations on rows and vectors: what lies between the products. */
#include <string.h>

#include "kernels/ref/ref.h"

void rllc_ref_zero(int64_t n, float *x) {
    for (int64_t i = 0; i < n; i++) x[i] = 0;
}

void rllc_ref_multiply(int64_t n, double alpha, const float *x, const float *y, float *out) {
    for (int64_t i = 0; i < n; i++) out[i] = (float)(alpha * (double)x[i] * (double)y[i]);
}

void rllc_ref_divide(int64_t n, const float *x, const float *y, float *out) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] / y[i];
}

void rllc_ref_copy_rows(int64_t rows, int64_t c, const float *x, int64_t ldx, float *y, int64_t ldy) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i++) y[r * ldy + i] = x[r * ldx + i];
}

void rllc_ref_scale_rows(int64_t rows, int64_t c, const float *s, const float *x, int64_t ldx, float *y, int64_t ldy) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i++) y[r * ldy + i] = s[r] * x[r * ldx + i];
}

void rllc_ref_add_scaled_rows(int64_t rows, int64_t c, const float *s, const float *x, int64_t ldx, float *y,
                              int64_t ldy) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i++)
            y[r * ldy + i] = (float)((double)y[r * ldy + i] + (double)s[r] * (double)x[r * ldx + i]);
}

void rllc_ref_row_dots(int64_t rows, int64_t c, const float *x, int64_t ldx, const float *y, int64_t ldy, float *out) {
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t i = 0; i < c; i++) sum += (double)x[r * ldx + i] * (double)y[r * ldy + i];
        out[r] = (float)sum;
    }
}

void rllc_ref_gather_rows(int64_t rows, int64_t c, const int32_t *ids, const float *x, int64_t ldx, float *y,
                          int64_t ldy) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i++) y[r * ldy + i] = x[ids[r] * ldx + i];
}

void rllc_ref_scatter_rows(int64_t rows, int64_t c, const int32_t *ids, const float *x, int64_t ldx, float *y,
                           int64_t ldy) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < c; i++) y[ids[r] * ldy + i] += x[r * ldx + i];
}

void *rllc_host_allocate(size_t bytes) {
    void *memory;
    return rllc_alloc(&memory, (int64_t)bytes, 1) == RLLC_OK ? memory : NULL;
}

void rllc_host_release(void *memory) {
    rllc_free(memory);
}

void rllc_host_upload(size_t bytes, const void *host, void *memory) {
    if (bytes) memcpy(memory, host, bytes);
}

void rllc_host_download(size_t bytes, const void *memory, void *host) {
    if (bytes) memcpy(host, memory, bytes);
}
