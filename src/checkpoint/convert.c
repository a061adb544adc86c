/* Element types to float32: F16 and BF16 exactly, F64 to nearest. */
#include "checkpoint/internal.h"

#include <math.h>
#include <string.h>

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* binary16: sign 1 | exponent 5 (bias 15) | fraction 10. Every value, infinity and NaN payload fits in binary32. */
static float from_f16(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    const uint32_t exponent = half >> 10 & 0x1F, fraction = half & 0x3FF;
    if (exponent == 31) return from_bits(sign | 0x7F800000 | fraction << 13);
    if (exponent > 0) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    const float magnitude = (float)fraction * 0x1p-24f; /* zero and subnormals */
    return sign ? -magnitude : magnitude;
}

bool rllc_checkpoint_convert(const rllc_tensor_view *t, int64_t first, int64_t n, float *out) {
    const unsigned char *bytes = t->data; /* possibly unaligned */
    if (n == 0) return t->dtype == RLLC_F32 || t->dtype == RLLC_F64 || t->dtype == RLLC_F16 || t->dtype == RLLC_BF16;
    switch (t->dtype) {
    case RLLC_F32: memcpy(out, bytes + 4 * first, (size_t)n * 4); return true;
    case RLLC_F64:
        for (int64_t i = 0; i < n; i++) {
            double value;
            memcpy(&value, bytes + 8 * (first + i), 8);
            out[i] = (float)value;
        }
        return true;
    case RLLC_F16:
        for (int64_t i = 0; i < n; i++) {
            uint16_t half;
            memcpy(&half, bytes + 2 * (first + i), 2);
            out[i] = from_f16(half);
        }
        return true;
    case RLLC_BF16:
        for (int64_t i = 0; i < n; i++) {
            uint16_t upper; /* the upper half of a binary32 */
            memcpy(&upper, bytes + 2 * (first + i), 2);
            out[i] = from_bits((uint32_t)upper << 16);
        }
        return true;
    case RLLC_I32:
    case RLLC_I64:
    case RLLC_OTHER: break;
    }
    return false;
}

rllc_status rllc_tensor_to_float(const rllc_tensor_view *t, float *out) {
    char shown[96];
    if (!rllc_checkpoint_convert(t, 0, t->n, out)) {
        const rllc_checkpoint_dtype *type = rllc_checkpoint_dtype_of(t);
        return rllc_fail(RLLC_EUNSUPPORTED, "tensor '%s' has elements of type %s, expected F32, F64, F16 or BF16",
                         rllc_checkpoint_shown(shown, t->name),
                         t->dtype_name ? t->dtype_name
                         : type        ? type->name
                                       : "?");
    }
    for (int64_t i = 0; t->dtype == RLLC_F64 && i < t->n; i++) {
        double value;
        memcpy(&value, (const unsigned char *)t->data + 8 * i, 8);
        if (isfinite(value) && !isfinite(out[i])) {
            return rllc_fail(RLLC_ENOTFINITE, "tensor '%s': element %lld is %g, beyond the range of float32",
                             rllc_checkpoint_shown(shown, t->name), (long long)i, value);
        }
    }
    return RLLC_OK;
}
