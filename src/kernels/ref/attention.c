/* Reference causal attention of one head over one sequence. */
#include <math.h>
#include <string.h>

#include "kernels/ref/ref.h"

static double dot(int64_t d, const float *x, const float *y) {
    double sum = 0;
    for (int64_t e = 0; e < d; e++) sum += (double)x[e] * (double)y[e];
    return sum;
}

/* Scratch holds two vectors of T doubles, at any float alignment. */
static void put(float *scratch, int64_t i, double value) {
    memcpy(scratch + 2 * i, &value, sizeof value);
}

static double get(const float *scratch, int64_t i) {
    double value;
    memcpy(&value, scratch + 2 * i, sizeof value);
    return value;
}

int64_t rllc_ref_attention_scratch(int64_t t, int64_t d) {
    (void)d;
    return 4 * t;
}

/*
 * S_ij = scale q_i . k_j for j <= i;  lse_i = log sum_j exp(S_ij);  z_i = sum_j exp(S_ij - lse_i) v_j        (E4)
 */
void rllc_ref_attention_forward(int64_t t, int64_t d, double scale, const float *q, const float *k, const float *v,
                                int64_t ld, float *z, int64_t ldz, float *lse, float *scratch) {
    for (int64_t i = 0; i < t; i++) {
        double max = -INFINITY, sum = 0;
        for (int64_t j = 0; j <= i; j++) {
            double s = scale * dot(d, q + i * ld, k + j * ld);
            put(scratch, j, s);
            if (!(s <= max)) max = s; /* a NaN stays */
        }
        for (int64_t j = 0; j <= i; j++) sum += exp(get(scratch, j) - max);
        for (int64_t e = 0; e < d; e++) {
            double mixed = 0;
            for (int64_t j = 0; j <= i; j++) mixed += exp(get(scratch, j) - max) / sum * (double)v[j * ld + e];
            z[i * ldz + e] = (float)mixed;
        }
        lse[i] = (float)(max + log(sum));
    }
}

/* A_ij = exp(S_ij - lse_i) into the first vector of scratch; dS_ij = A_ij (dz_i . v_j - dz_i . z_i) into the second. */
static void put_pair(float *scratch, int64_t t, int64_t at, double s, double lse, double dz_v, double dz_z) {
    double a = exp(s - lse);
    put(scratch, at, a);
    put(scratch, t + at, a * (dz_v - dz_z));
}

/*
 * dv_j = sum_i A_ij dz_i;  dq_i = scale sum_j dS_ij k_j;  dk_j = scale sum_i dS_ij q_i                       (E5)
 */
void rllc_ref_attention_backward(int64_t t, int64_t d, double scale, const float *q, const float *k, const float *v,
                                 int64_t ld, const float *z, const float *dz, int64_t ldz, const float *lse, float *dq,
                                 float *dk, float *dv, int64_t ldd, float *scratch) {
    for (int64_t i = 0; i < t; i++) { /* row i of A and dS gives dq_i */
        double dz_z = dot(d, dz + i * ldz, z + i * ldz);
        for (int64_t j = 0; j <= i; j++) {
            put_pair(scratch, t, j, scale * dot(d, q + i * ld, k + j * ld), lse[i], dot(d, dz + i * ldz, v + j * ld),
                     dz_z);
        }
        for (int64_t e = 0; e < d; e++) {
            double sum = 0;
            for (int64_t j = 0; j <= i; j++) sum += get(scratch, t + j) * (double)k[j * ld + e];
            dq[i * ldd + e] = (float)(scale * sum);
        }
    }
    for (int64_t j = 0; j < t; j++) { /* column j gives dk_j and dv_j */
        for (int64_t i = j; i < t; i++) {
            put_pair(scratch, t, i, scale * dot(d, q + i * ld, k + j * ld), lse[i], dot(d, dz + i * ldz, v + j * ld),
                     dot(d, dz + i * ldz, z + i * ldz));
        }
        for (int64_t e = 0; e < d; e++) {
            double sum_k = 0, sum_v = 0;
            for (int64_t i = j; i < t; i++) {
                sum_k += get(scratch, t + i) * (double)q[i * ld + e];
                sum_v += get(scratch, i) * (double)dz[i * ldz + e];
            }
            dk[j * ldd + e] = (float)(scale * sum_k);
            dv[j * ldd + e] = (float)sum_v;
        }
    }
}
