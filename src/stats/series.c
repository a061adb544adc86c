/* stats: the diagnosis of one series, with the definitions of R's coda (docs/diagnostics.md). */
#include <math.h>

#include "stats/internal.h"

const rllc_series_settings rllc_series_settings_default = {.geweke_first = 0.1,
                                                           .geweke_last = 0.5,
                                                           .heidelberg_eps = 0.1,
                                                           .heidelberg_pvalue = 0.05,
                                                           .raftery_q = 0.025,
                                                           .raftery_r = 0.01,
                                                           .raftery_s = 0.95,
                                                           .raftery_eps = 0.001};

static const rllc_option options[] = {
    RLLC_OPTION(rllc_series_settings, geweke_first, RLLC_REAL, "0.1", 0, 1, NULL, "",
                "Geweke: this part from the beginning"),
    RLLC_OPTION(rllc_series_settings, geweke_last, RLLC_REAL, "0.5", 0, 1, NULL, "", "against this part at the end"),
    RLLC_OPTION(rllc_series_settings, heidelberg_eps, RLLC_REAL, "0.1", 0, 1e300, NULL, "",
                "Heidelberger-Welch: largest half-width of the mean's interval, relative to the mean"),
    RLLC_OPTION(rllc_series_settings, heidelberg_pvalue, RLLC_REAL, "0.05", 0, 1, NULL, "",
                "Heidelberger-Welch: stationary above this p-value"),
    RLLC_OPTION(rllc_series_settings, raftery_q, RLLC_REAL, "0.025", 0, 1, NULL, "",
                "Raftery-Lewis: the quantile wanted"),
    RLLC_OPTION(rllc_series_settings, raftery_r, RLLC_REAL, "0.01", 1e-6, 1, NULL, "",
                "known to within this probability"),
    RLLC_OPTION(rllc_series_settings, raftery_s, RLLC_REAL, "0.95", 0, 1, NULL, "", "with this confidence"),
    RLLC_OPTION(rllc_series_settings, raftery_eps, RLLC_REAL, "0.001", 0, 1, NULL, "",
                "burn-in until the distribution is as close as this"),
};
const rllc_option_table rllc_series_option_table = {"series", "settings of the tests of single chains", options,
                                                    sizeof options / sizeof *options};

static bool is_fraction(double x) {
    return x > 0 && x < 1;
}

static rllc_status check(const rllc_series_settings *s) {
    if (!is_fraction(s->geweke_first) || !is_fraction(s->geweke_last) || !(s->geweke_first + s->geweke_last <= 1))
        return rllc_fail(RLLC_EUSAGE,
                         "geweke_first %g and geweke_last %g: expected positive fractions that do not overlap",
                         s->geweke_first, s->geweke_last);
    if (!(s->heidelberg_eps > 0) || !is_fraction(s->heidelberg_pvalue))
        return rllc_fail(RLLC_EUSAGE,
                         "heidelberg_eps %g, heidelberg_pvalue %g: expected a positive number and one between "
                         "0 and 1",
                         s->heidelberg_eps, s->heidelberg_pvalue);
    if (!is_fraction(s->raftery_q) || !is_fraction(s->raftery_s) || !is_fraction(s->raftery_eps) ||
        !(s->raftery_r >= 1e-6 && s->raftery_r < 1))
        return rllc_fail(RLLC_EUSAGE,
                         "raftery_q %g, raftery_r %g, raftery_s %g, raftery_eps %g: expected numbers between 0 "
                         "and 1, raftery_r at least 1e-6",
                         s->raftery_q, s->raftery_r, s->raftery_s, s->raftery_eps);
    return RLLC_OK;
}

/** Geweke 1992: z of the difference between the means of the first and the last part. */
static rllc_status geweke(const double *x, int64_t n, const rllc_series_settings *s, double *z) {
    rllc_status status = RLLC_OK;
    double early, late;
    const int64_t n_early = (int64_t)ceil(1 + s->geweke_first * (double)(n - 1));
    const int64_t from = (int64_t)floor((double)n - s->geweke_last * (double)(n - 1)), n_late = n - from + 1;
    const double *const last = x + from - 1;
    RLLC_TRY(rllc_spectrum0_ar(x, n_early, &early));
    RLLC_TRY(rllc_spectrum0_ar(last, n_late, &late));
    *z = (rllc_stats_mean(x, n_early) - rllc_stats_mean(last, n_late)) /
         sqrt(early / (double)n_early + late / (double)n_late);
done:
    return status;
}

rllc_status rllc_series_diagnose(const double *x, int64_t n, const rllc_series_settings *settings,
                                 rllc_series_diagnosis *out) {
    rllc_status status = RLLC_OK;
    const rllc_series_settings *const s = settings ? settings : &rllc_series_settings_default;
    *out = (rllc_series_diagnosis){.mean = NAN,
                                   .sd = NAN,
                                   .spectrum0 = NAN,
                                   .effective_size = NAN,
                                   .geweke_z = NAN,
                                   .pvalue = NAN,
                                   .exact_pvalue = NAN,
                                   .halfwidth = NAN,
                                   .stationary_mean = NAN,
                                   .raftery_i = NAN};
    RLLC_TRY(check(s));
    out->raftery_nmin = rllc_stats_raftery_least(s);
    if (n < 1 || !rllc_stats_all_finite(x, n)) goto done;
    const double variance = rllc_stats_variance(x, n);
    out->mean = rllc_stats_mean(x, n);
    out->sd = sqrt(variance);
    if (n < 2) goto done;
    RLLC_TRY(rllc_spectrum0_ar(x, n, &out->spectrum0));
    out->effective_size = out->spectrum0 == 0 ? 0 : (double)n * variance / out->spectrum0;
    RLLC_TRY(geweke(x, n, s, &out->geweke_z));
    RLLC_TRY(rllc_stats_heidelberg_welch(x, n, s, out));
    RLLC_TRY(rllc_stats_raftery_lewis(x, n, s, out));
done:
    return status;
}
