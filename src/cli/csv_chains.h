/* cli csv_chains: draws of several chains, read from a CSV file. */
#ifndef RLLC_CLI_CSV_CHAINS_H
#define RLLC_CLI_CSV_CHAINS_H

#include "cli/command.h"

/** What to read of a file with a header: columns chain and draw, and a value. */
typedef struct rllc_csv_request {
    const char *path;
    const char *column; /* the value; NULL = "value" */
    double nbeta;       /* not 0: the value is nbeta * (loss - baseline), two columns */
    const char *only;   /* chains, as a grid ("0,2..5:1"); NULL = all */
} rllc_csv_request;

/** All chains have the same draws, evenly spaced; chains ascending, draws ascending. */
typedef struct rllc_csv_chains {
    int64_t n_chains, n_draws;
    int64_t *label; /* [n_chains] */
    double *x;      /* [n_chains][n_draws] */
} rllc_csv_chains;

/** Messages name file, line, what was found and what was expected. Release in any case. */
rllc_status rllc_csv_chains_read(const rllc_csv_request *request, rllc_csv_chains *out) RLLC_MUST_USE;
void rllc_csv_chains_release(rllc_csv_chains *c);

#endif
