/* Reference relative entropy, and the log-probabilities it is taken to. */
#include <float.h>
#include <math.h>

#include "kernels/ref/ref.h"

/** log softmax of one number, rounded to float: equal logits give equal bits. */
static float log_probability(double logit, double max, double log_sum) {
    const double x = logit - max - log_sum;
    return x < -(double)FLT_MAX ? -FLT_MAX : (float)x; /* a NaN stays */
}

static double log_sum(int64_t v, const float *row, double *max) {
    double sum = 0;
    *max = -INFINITY;
    for (int64_t j = 0; j < v; j++) {
        if (!((double)row[j] <= *max)) *max = row[j]; /* a NaN stays */
    }
    for (int64_t j = 0; j < v; j++) sum += exp((double)row[j] - *max);
    return log(sum);
}

/* x_j = l_j - max - log(sum_j exp(l_j - max))                                                               (E97) */
void rllc_ref_log_softmax(int64_t rows, int64_t v, float *logits, int64_t ld) {
    for (int64_t r = 0; r < rows; r++) {
        float *row = logits + r * ld;
        double max;
        const double below = log_sum(v, row, &max);
        for (int64_t j = 0; j < v; j++) row[j] = log_probability((double)row[j], max, below);
    }
}

/*
 * With d_j = log q_j - log p_j: loss = sum_j p_j (e^d_j - 1 - d_j), which is sum_j p_j (log p_j - log q_j) because p
 * and q both sum to 1; no term is negative.  gradient_j = gradient_scale p_j (e^d_j - 1) = gradient_scale (q_j - p_j)
 * (E98)
 */
void rllc_ref_kl_divergence(int64_t rows, int64_t v, float *logits, int64_t ld, const float *reference, int64_t ldr,
                            const int32_t *targets, double gradient_scale, float *loss) {
    for (int64_t r = 0; r < rows; r++) {
        float *row = logits + r * ld;
        double max, sum = 0;
        if (targets[r] < 0) {
            loss[r] = 0;
            for (int64_t j = 0; gradient_scale != 0 && j < v; j++) row[j] = 0;
            continue;
        }
        const double below = log_sum(v, row, &max);
        for (int64_t j = 0; j < v; j++) {
            const double log_p = (double)reference[r * ldr + j];
            const double log_q = (double)log_probability((double)row[j], max, below);
            const double p = exp(log_p), q = exp(log_q), d = log_q - log_p;
            const bool near = fabs(d) < 0.5; /* else e^d may be infinite where p is 0 */
            const double difference = near ? p * expm1(d) : q - p;
            sum += near ? p * (expm1(d) - d) : difference - p * d;
            if (gradient_scale != 0) row[j] = (float)(gradient_scale * difference);
        }
        loss[r] = (float)sum;
    }
}
