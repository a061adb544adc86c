/* Exact learning coefficients of deep linear networks, in integers. */
#include "rllc/theory.h"

static void sort(int64_t n, int64_t *x) {
    for (int64_t i = 1; i < n; i++)
        for (int64_t k = i; k > 0 && x[k] < x[k - 1]; k--) {
            const int64_t t = x[k];
            x[k] = x[k - 1];
            x[k - 1] = t;
        }
}

/**
 * Widths less r, ascending: the first k >= 2 smallest that satisfy Aoyagi's conditions, with l = k - 1 and S their sum:
 * largest < next (ties stay together), l largest <= S < l next. Returns k.
 */
static int64_t find_subset(int64_t n, const int64_t *sorted, int64_t *sum) {
    int64_t s = sorted[0];
    for (int64_t k = 2; k <= n; k++) {
        const int64_t l = k - 1, largest = sorted[k - 1];
        s += largest;
        if (k < n && (largest == sorted[k] || s >= l * sorted[k])) continue;
        if (s < l * largest) continue;
        *sum = s;
        return k;
    }
    return 0; /* never: k = n satisfies the conditions if no smaller one does */
}

/** 4 l lambda of a product of rank 0 and its multiplicity; widths are sorted in place.                       (E54) */
static rllc_coefficient rank_zero(int64_t n, int64_t *widths) {
    int64_t sum = 0, pairs = 0;
    sort(n, widths);
    const int64_t k = find_subset(n, widths, &sum), l = k - 1;
    if (k == 0) return (rllc_coefficient){0, 0};
    const int64_t ceiling = (sum + l - 1) / l, a = sum - (ceiling - 1) * l;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = i + 1; j < k; j++) pairs += widths[i] * widths[j];
    /* lambda = a (l - a) / 4l - (l (l - 1) / 4) (S / l)^2 + pairs / 2, times 4 l: */
    const int64_t times_4l = a * (l - a) - (l - 1) * sum * sum + 2 * l * pairs;
    return (rllc_coefficient){(double)times_4l / (double)(4 * l), a * (l - a) + 1};
}

static rllc_status check(int64_t n, const int64_t *widths, int64_t r) {
    if (n < 2) return rllc_fail(RLLC_EUSAGE, "a linear network needs two widths at least");
    for (int64_t i = 0; i < n; i++) {
        if (widths[i] < 1 || widths[i] > 100000)
            return rllc_fail(RLLC_EUSAGE, "width %lld: expected 1 to 100000", (long long)widths[i]);
        if (r < 0 || r > widths[i])
            return rllc_fail(RLLC_EUSAGE, "rank %lld does not fit a width of %lld", (long long)r, (long long)widths[i]);
    }
    return RLLC_OK;
}

rllc_status rllc_coefficient_deep_linear(int64_t n_widths, const int64_t *widths, int64_t r, rllc_coefficient *out) {
    rllc_status status = RLLC_OK;
    int64_t *left = NULL;
    RLLC_TRY(check(n_widths, widths, r));
    RLLC_TRY(rllc_alloc(&left, n_widths, sizeof *left));
    for (int64_t i = 0; i < n_widths; i++) left[i] = widths[i] - r;
    *out = rank_zero(n_widths, left);
    out->lambda += (double)(r * (widths[0] + widths[n_widths - 1] - r)) / 2;
done:
    rllc_free(left);
    return status;
}

/**
 * Removes the layers of full rank: W = [I 0] or its transpose up to analytic coordinates, so that the layers beside it
 * meet in min(p, q) of the p and q lines that it joined, and the others do not matter. Returns the new length.
 */
static int64_t merge_full_layers(int64_t n, int64_t *widths, int64_t *excess) {
    for (int64_t l = 0; l < n - 1 && n > 1;) {
        const int64_t least = widths[l] < widths[l + 1] ? widths[l] : widths[l + 1];
        if (excess[l] == 0 || excess[l] != least) {
            l++;
            continue;
        }
        widths[l] = least;
        for (int64_t k = l + 1; k < n - 1; k++) widths[k] = widths[k + 1];
        for (int64_t k = l; k < n - 2; k++) excess[k] = excess[k + 1];
        n--;
        for (int64_t k = 0; k < n - 1; k++) { /* what is left of a diagonal layer whose neighbour lost lines */
            const int64_t fits = widths[k] < widths[k + 1] ? widths[k] : widths[k + 1];
            if (excess[k] > fits) excess[k] = fits;
        }
        l = 0;
    }
    return n;
}

static rllc_status profile(int64_t n, int64_t *widths, int64_t *excess, rllc_coefficient *out) {
    int64_t most = 0;
    if (n == 3) return rllc_coefficient_reduced_rank_at(widths[0], widths[1], widths[2], 0, excess[0], excess[1], out);
    n = merge_full_layers(n, widths, excess);
    for (int64_t l = 0; l < n - 1; l++) most = excess[l] > most ? excess[l] : most;
    if (n < 2)
        return rllc_fail(RLLC_EUSAGE, "with every layer of full rank the product has a higher rank than was given");
    if (most > 0)
        return rllc_fail(RLLC_EUNSUPPORTED,
                         "no learning coefficient is known for this profile of ranks: each layer's rank "
                         "must be that of the product, or full");
    *out = rank_zero(n, widths);
    return RLLC_OK;
}

/** Widths and excesses less r into left [2 n], and whether this is the most singular point. */
static rllc_status reduce(int64_t n, const int64_t *widths, int64_t r, const int64_t *excess, int64_t *left,
                          bool *plain, int64_t *narrow) {
    *plain = true;
    *narrow = widths[0] - r;
    for (int64_t i = 0; i < n; i++) {
        left[i] = widths[i] - r;
        if (left[i] < *narrow) *narrow = left[i];
    }
    for (int64_t l = 0; l < n - 1; l++) {
        const int64_t least = left[l] < left[l + 1] ? left[l] : left[l + 1];
        left[n + l] = excess[l];
        *plain = *plain && excess[l] == 0;
        if (excess[l] < 0 || excess[l] > least)
            return rllc_fail(RLLC_EUSAGE,
                             "layer %lld is %lld x %lld and the product has rank %lld: it cannot have rank %lld",
                             (long long)l + 1, (long long)widths[l + 1], (long long)widths[l], (long long)r,
                             (long long)(r + excess[l]));
    }
    return RLLC_OK;
}

rllc_status rllc_coefficient_deep_linear_at(int64_t n_widths, const int64_t *widths, int64_t r, const int64_t *excess,
                                            rllc_coefficient *out) {
    rllc_status status = RLLC_OK;
    int64_t *left = NULL, narrow;
    bool plain;
    RLLC_TRY(check(n_widths, widths, r));
    RLLC_TRY(rllc_alloc(&left, 2 * n_widths, sizeof *left));
    RLLC_TRY(reduce(n_widths, widths, r, excess, left, &plain, &narrow));
    if (narrow == 0) {
        *out = (rllc_coefficient){0, 1}; /* nothing is left of the product: a regular point */
    } else if (plain) {
        *out = rank_zero(n_widths, left);
    } else {
        RLLC_TRY(profile(n_widths, left, left + n_widths, out));
    }
    out->lambda += (double)(r * (widths[0] + widths[n_widths - 1] - r)) / 2;
done:
    rllc_free(left);
    return status;
}
