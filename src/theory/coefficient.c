/* Exact learning coefficients and multiplicities of models whose zero set is known. */
#include <math.h>

#include "rllc/theory.h"

rllc_coefficient rllc_coefficient_rank(int64_t rank) {
    return (rllc_coefficient){(double)rank / 2, 1};
}

/** lambda = min 1 / exponent, multiplicity = how many attain it; L constant: 0.                               (E51) */
rllc_coefficient rllc_coefficient_crossing(int64_t n, const int64_t *exponents) {
    int64_t largest = 0, times = 1;
    for (int64_t i = 0; i < n; i++) {
        if (exponents[i] <= 0 || exponents[i] < largest) continue;
        times = exponents[i] == largest ? times + 1 : 1;
        largest = exponents[i];
    }
    return (rllc_coefficient){largest ? 1 / (double)largest : 0, times};
}

static rllc_status check_rank(int64_t m, int64_t h, int64_t n, int64_t r) {
    if (m >= 1 && h >= 1 && n >= 1 && r >= 0 && r <= m && r <= h && r <= n) return RLLC_OK;
    return rllc_fail(RLLC_EUSAGE,
                     "rank %lld does not fit the dimensions %lld,%lld,%lld: expected 0 to the smallest of them",
                     (long long)r, (long long)m, (long long)h, (long long)n);
}

/** The four cases of Aoyagi & Watanabe 2005; dimensions may be 0 here.                                        (E52) */
static rllc_coefficient reduced_rank(int64_t m, int64_t h, int64_t n, int64_t r) {
    if (m + h < n + r) return (rllc_coefficient){(double)(h * m - h * r + n * r) / 2, 1};
    if (n + h < m + r) return (rllc_coefficient){(double)(h * n - h * r + m * r) / 2, 1};
    if (m + n < h + r) return (rllc_coefficient){(double)(m * n) / 2, 1};
    const int64_t eight = -(h + r) * (h + r) - m * m - n * n + 2 * (h + r) * m + 2 * (h + r) * n + 2 * m * n;
    const bool odd = (m + h + n + r) % 2 != 0;
    return (rllc_coefficient){(double)(eight + (odd ? 1 : 0)) / 8, odd ? 2 : 1};
}

rllc_status rllc_coefficient_reduced_rank(int64_t m, int64_t h, int64_t n, int64_t r, rllc_coefficient *out) {
    const rllc_status status = check_rank(m, h, n, r);
    if (status == RLLC_OK) *out = reduced_rank(m, h, n, r);
    return status;
}

/**
 * Where A has rank r + a and B rank r + b, coordinates exist in which BA - B0 A0 is r (M + N - r) + N a + b (M - a) free
 * numbers and a reduced-rank product of what is left, at its origin.                                         (E53)
 */
rllc_status rllc_coefficient_reduced_rank_at(int64_t m, int64_t h, int64_t n, int64_t r, int64_t a, int64_t b,
                                             rllc_coefficient *out) {
    const rllc_status status = check_rank(m, h, n, r);
    if (status != RLLC_OK) return status;
    const int64_t M = m - r, H = h - r, N = n - r;
    if (a < 0 || b < 0 || a > M || b > N || a + b > H)
        return rllc_fail(
            RLLC_EUSAGE, "ranks %lld and %lld do not fit the dimensions %lld,%lld,%lld: B A would not have rank %lld",
            (long long)(r + a), (long long)(r + b), (long long)m, (long long)h, (long long)n, (long long)r);
    const rllc_coefficient rest =
        M == a || N == b || H == a + b ? (rllc_coefficient){0, 1} : reduced_rank(M - a, H - a - b, N - b, 0);
    out->lambda = (double)(r * (m + n - r) + N * a + b * (M - a)) / 2 + rest.lambda;
    out->multiplicity = rest.multiplicity;
    return RLLC_OK;
}

/** i = floor(sqrt H): lambda = (H + i^2 + i) / (4 i + 2), multiplicity 2 where H is a square.                 (E56) */
rllc_coefficient rllc_coefficient_tanh(int64_t units) {
    int64_t i = 0;
    while ((i + 1) * (i + 1) <= units) i++;
    return (rllc_coefficient){(double)(units + i * i + i) / (double)(4 * i + 2), i * i == units ? 2 : 1};
}

rllc_status rllc_coefficient_bigram(int64_t vocab, int64_t d_model, int64_t r, rllc_coefficient *out) {
    return rllc_coefficient_reduced_rank(vocab, d_model, vocab - 1, r, out);
}
