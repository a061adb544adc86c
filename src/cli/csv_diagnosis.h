/* cli diagnosis: what can be said about chains from their draws alone, as JSON and as a table. */
#ifndef RLLC_CLI_CSV_DIAGNOSIS_H
#define RLLC_CLI_CSV_DIAGNOSIS_H

#include "cli/csv_chains.h"

/** All that is computed from the chains of one quantity. */
typedef struct rllc_csv_diagnosis {
    rllc_csv_chains chains;
    rllc_chains_diagnosis all;
    rllc_series_diagnosis *each; /* [n_chains] */
    double *autocorrelation;     /* [n_chains][n_lags] */
    int64_t n_lags;
} rllc_csv_diagnosis;

/** Of d->chains; autocorrelations up to max_lag, or as far as the draws go. Release in any case. */
rllc_status rllc_csv_diagnosis_compute(const rllc_series_settings *settings, int64_t max_lag,
                                   rllc_csv_diagnosis *d) RLLC_MUST_USE;
void rllc_csv_diagnosis_release(rllc_csv_diagnosis *d);

/** One object on standard output; docs/diagnostics.md has the keys. */
rllc_status rllc_csv_diagnosis_print_json(const rllc_csv_diagnosis *d) RLLC_MUST_USE;
void rllc_csv_diagnosis_print_table(const char *title, const rllc_csv_diagnosis *d);

#endif
