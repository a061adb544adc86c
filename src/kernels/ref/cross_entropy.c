/* Reference softmax cross-entropy. */
#include <math.h>

#include "kernels/ref/ref.h"

/*
 * With max = max_j l_j and sum = sum_j exp(l_j - max):                                                       (E6)
 *   lse = max + log(sum);  loss = lse - l_target;  gradient_j = gradient_scale (exp(l_j - max) / sum - [j = target])
 */
void rllc_ref_cross_entropy(int64_t rows, int64_t v, float *logits, int64_t ld, const int32_t *targets,
                            double gradient_scale, float *loss, float *lse) {
    for (int64_t r = 0; r < rows; r++) {
        float *row = logits + r * ld;
        int32_t target = targets[r];
        if (target < 0) {
            loss[r] = 0;
            if (lse) lse[r] = 0;
            for (int64_t j = 0; gradient_scale != 0 && j < v; j++) row[j] = 0;
            continue;
        }
        double max = -INFINITY, sum = 0;
        for (int64_t j = 0; j < v; j++) {
            if (!((double)row[j] <= max)) max = row[j]; /* a NaN stays */
        }
        for (int64_t j = 0; j < v; j++) sum += exp((double)row[j] - max);
        loss[r] = (float)(max - (double)row[target] + log(sum));
        if (lse) lse[r] = (float)(max + log(sum));
        if (gradient_scale == 0) continue;
        for (int64_t j = 0; j < v; j++) {
            double p = exp((double)row[j] - max) / sum;
            row[j] = (float)(gradient_scale * (p - (j == target ? 1.0 : 0.0)));
        }
    }
}
