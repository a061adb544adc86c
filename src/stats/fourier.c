/* stats: autocovariances at all lags by the fast Fourier transform, so that long chains cost n log n. */
#include <math.h>
#include <string.h>

#include "stats/internal.h"

rllc_status rllc_stats_fourier_open(rllc_stats_fourier *f, int64_t at_least) {
    rllc_status status = RLLC_OK;
    *f = (rllc_stats_fourier){.n = 2};
    while (f->n < at_least) f->n *= 2;
    RLLC_TRY(rllc_alloc(&f->cosine, 4 * f->n, sizeof *f->cosine));
    f->sine = f->cosine + f->n / 2;
    f->re = f->cosine + f->n;
    f->im = f->re + f->n;
    f->power = f->im + f->n;
    for (int64_t k = 0; k < f->n / 2; k++) {
        const double angle = 2 * 3.14159265358979323846 * (double)k / (double)f->n;
        f->cosine[k] = cos(angle);
        f->sine[k] = -sin(angle);
    }
done:
    return status;
}

void rllc_stats_fourier_close(rllc_stats_fourier *f) {
    rllc_free(f->cosine);
    *f = (rllc_stats_fourier){0};
}

static void swap(double *a, double *b) {
    const double kept = *a;
    *a = *b;
    *b = kept;
}

static void reverse_bits(int64_t n, double *re, double *im) {
    for (int64_t i = 1, j = 0; i < n; i++) {
        int64_t bit = n / 2;
        for (; j & bit; bit /= 2) j -= bit;
        j += bit;
        if (i < j) {
            swap(&re[i], &re[j]);
            swap(&im[i], &im[j]);
        }
    }
}

/* Decimation in time (Cooley & Tukey 1965). */
void rllc_stats_fourier_transform(const rllc_stats_fourier *f, double *re, double *im) {
    reverse_bits(f->n, re, im);
    for (int64_t half = 1; half < f->n; half *= 2) {
        const int64_t stride = f->n / (2 * half);
        for (int64_t start = 0; start < f->n; start += 2 * half) {
            for (int64_t k = 0; k < half; k++) {
                const double c = f->cosine[k * stride], s = f->sine[k * stride];
                double *const ar = &re[start + k], *const ai = &im[start + k];
                double *const br = ar + half, *const bi = ai + half;
                const double tr = *br * c - *bi * s, ti = *br * s + *bi * c;
                *br = *ar - tr;
                *bi = *ai - ti;
                *ar += tr;
                *ai += ti;
            }
        }
    }
}

static void put_centred(const double *x, int64_t n, int64_t padded, double *to) {
    const double mean = rllc_stats_mean(x, n);
    memset(to, 0, (size_t)padded * sizeof *to);
    for (int64_t i = 0; i < n; i++) to[i] = x[i] - mean;
}

/* Two real series x, y go through one transform of x + iy: the inverse transform of |X + iY|^2 has the real part
   acov(x) + acov(y). Power spectra add up, so one inverse transform serves all series. */
void rllc_stats_mean_autocovariance(const double *x, int64_t m, int64_t n, const rllc_stats_fourier *f, double *out) {
    memset(f->power, 0, (size_t)f->n * sizeof *f->power);
    for (int64_t i = 0; i < m; i += 2) {
        put_centred(x + i * n, n, f->n, f->re);
        if (i + 1 < m)
            put_centred(x + (i + 1) * n, n, f->n, f->im);
        else
            memset(f->im, 0, (size_t)f->n * sizeof *f->im);
        rllc_stats_fourier_transform(f, f->re, f->im);
        for (int64_t k = 0; k < f->n; k++) f->power[k] += f->re[k] * f->re[k] + f->im[k] * f->im[k];
    }
    memset(f->im, 0, (size_t)f->n * sizeof *f->im);
    rllc_stats_fourier_transform(f, f->power, f->im);
    for (int64_t t = 0; t < n; t++) out[t] = f->power[t] / ((double)f->n * (double)n * (double)m);
}
