/* How the loss changes: sums over sequences, and what follows from them. */
#include "mechinterp/changes.h"

#include <math.h>

rllc_status rllc_changes_init(rllc_changes *c, int64_t n_sets, int64_t n_classes) {
    rllc_status status = RLLC_OK;
    *c = (rllc_changes){.n_sets = n_sets, .n_classes = n_classes};
    RLLC_TRY(rllc_alloc(&c->d, n_sets * n_classes, sizeof *c->d));
    RLLC_TRY(rllc_alloc(&c->dd, n_sets * n_classes, sizeof *c->dd));
    RLLC_TRY(rllc_alloc(&c->dn, n_sets * n_classes, sizeof *c->dn));
    RLLC_TRY(rllc_alloc(&c->n, n_classes, sizeof *c->n));
    RLLC_TRY(rllc_alloc(&c->nn, n_classes, sizeof *c->nn));
    RLLC_TRY(rllc_alloc(&c->sequences, n_classes, sizeof *c->sequences));
done:
    return status;
}

void rllc_changes_release(rllc_changes *c) {
    double *const parts[] = {c->d, c->dd, c->dn, c->n, c->nn};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) rllc_free(parts[i]);
    rllc_free(c->sequences);
    *c = (rllc_changes){0};
}

static bool is_in(const uint8_t *classes, int64_t i, int64_t class) {
    return class == 0 || (classes[i] >> (class - 1) & 1);
}

static void count(rllc_changes *c, int64_t predictions, const float *base, const uint8_t *classes, double *n) {
    double loss = 0;
    for (int64_t i = 0; i < predictions; i++) loss += (double)base[i];
    loss /= (double)predictions;
    c->base += loss;
    c->base_square += loss * loss;
    c->base_sequences++;
    for (int64_t k = 0; k < c->n_classes; k++) {
        n[k] = 0;
        for (int64_t i = 0; i < predictions; i++) n[k] += is_in(classes, i, k);
        c->n[k] += n[k];
        c->nn[k] += n[k] * n[k];
        c->sequences[k] += n[k] > 0;
    }
}

void rllc_changes_add(rllc_changes *c, int64_t predictions, const float *base, const float *const *ablated,
                      int64_t n_added, const uint8_t *classes) {
    double n[RLLC_MAX_CLASSES];
    count(c, predictions, base, classes, n);
    for (int64_t s = 0; s < c->n_sets; s++)
        for (int64_t k = 0; k < c->n_classes; k++) {
            double d = 0;
            for (int64_t a = 0; a < n_added; a++)
                for (int64_t i = 0; i < predictions; i++)
                    if (is_in(classes, i, k)) d += (double)ablated[s * n_added + a][i] - (double)base[i];
            d /= (double)n_added;
            c->d[s * c->n_classes + k] += d;
            c->dd[s * c->n_classes + k] += d * d;
            c->dn[s * c->n_classes + k] += d * n[k];
        }
}

int64_t rllc_changes_get(const rllc_changes *c, int64_t set, int64_t class, double *change, double *se) {
    const int64_t i = set * c->n_classes + class;
    const double n = c->n[class], S = (double)c->sequences[class];
    *change = n > 0 ? c->d[i] / n : NAN;
    const double spread = c->dd[i] - 2 * *change * c->dn[i] + *change * *change * c->nn[class];
    *se = S > 1 ? sqrt(S / (S - 1) * (spread > 0 ? spread : 0)) / n : NAN;
    return c->sequences[class];
}
