/* Sums of doubles that are rounded once: a fixed-point number wide enough for every double ("superaccumulator",
 * Kulisch 1981), its carries deferred (Neal 2015). */
#include "llc/exact_sum.h"

#include <math.h>
#include <string.h>

#define LOW 0xFFFFFFFF        /* the 32 bits of a limb */
#define LOWEST (-1074)        /* exponent of the smallest double */
#define MAX_PENDING (1 << 29) /* a term changes a limb by less than 2^33; carries must move before 2^62 */

/* Moves what exceeds 32 bits of a limb up into the next: limbs end in [0, 2^32), the highest keeps the sign. */
static void carry(rllc_exact_sum *s) {
    for (int i = 0; i + 1 < RLLC_EXACT_LIMBS; i++) {
        const int64_t low = s->limb[i] & LOW;
        s->limb[i + 1] += (s->limb[i] - low) / (LOW + (int64_t)1);
        s->limb[i] = low;
    }
    s->pending = 0;
}

void rllc_exact_add(rllc_exact_sum *s, double term) {
    uint64_t bits;
    memcpy(&bits, &term, sizeof bits);
    const int exponent = (int)(bits >> 52 & 0x7FF);
    const int64_t sign = bits >> 63 ? -1 : 1;
    uint64_t mantissa = bits & 0xFFFFFFFFFFFFF;
    if (exponent == 0x7FF) {
        s->n_nan += mantissa != 0;
        s->n_plus += mantissa == 0 && sign > 0;
        s->n_minus += mantissa == 0 && sign < 0;
        return;
    }
    if (exponent > 0) mantissa |= (uint64_t)1 << 52;
    const int shift = exponent > 0 ? exponent - 1 : 0; /* |term| = mantissa 2^(shift - 1074) */
    int64_t *limb = s->limb + shift / 32;
    const uint64_t low = (mantissa & LOW) << shift % 32, high = (mantissa >> 32) << shift % 32;
    limb[0] += sign * (int64_t)(low & LOW);
    limb[1] += sign * (int64_t)((low >> 32) + (high & LOW));
    limb[2] += sign * (int64_t)(high >> 32);
    if (++s->pending == MAX_PENDING) carry(s);
}

/* A non-negative number in carried limbs, rounded to nearest even. */
static double rounded(const int64_t *limb) {
    int top = RLLC_EXACT_LIMBS - 1;
    while (top > 0 && limb[top] == 0) top--;
    if (limb[top] == 0) return 0;
    const uint64_t second = top > 0 ? (uint64_t)limb[top - 1] : 0, third = top > 1 ? (uint64_t)limb[top - 2] : 0;
    uint64_t window = (uint64_t)limb[top] << 32 | second; /* the 64 bits from the first 1 on */
    const int gap = __builtin_clzll(window);              /* below 32 */
    window = window << gap | third << gap >> 32;
    uint64_t rest = third << gap & LOW;
    for (int i = top - 3; i >= 0; i--) rest |= (uint64_t)limb[i];
    window |= rest != 0; /* below the bit that decides: breaks ties */
    return ldexp((double)window, 32 * (top - 1) - gap + LOWEST);
}

double rllc_exact_value(const rllc_exact_sum *s) {
    rllc_exact_sum magnitude = *s;
    if (s->n_nan > 0 || (s->n_plus > 0 && s->n_minus > 0)) return NAN;
    if (s->n_plus > 0) return INFINITY;
    if (s->n_minus > 0) return -INFINITY;
    carry(&magnitude);
    if (magnitude.limb[RLLC_EXACT_LIMBS - 1] >= 0) return rounded(magnitude.limb);
    for (int i = 0; i < RLLC_EXACT_LIMBS; i++) magnitude.limb[i] = -magnitude.limb[i];
    carry(&magnitude);
    return -rounded(magnitude.limb);
}
