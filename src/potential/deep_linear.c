/* Deep linear networks: L = |W_L ... W_1 - P|^2. */
#include "analytic.h"

struct options {
    const char *widths, *ranks;
    int64_t rank;
};

static const rllc_option rows[] = {
    RLLC_OPTION(struct options, widths, RLLC_TEXT, "2,2,2,2", RLLC_UNBOUNDED, NULL, "", "input, hidden..., output"),
    RLLC_OPTION(struct options, rank, RLLC_INTEGER, "0", 0, 10000, NULL, "", "rank of the true product"),
    RLLC_OPTION(struct options, ranks, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "",
                "rank of each layer at w*; default: all --rank, the most singular point"),
};
const rllc_option_table rllc_deep_linear_option_table = {"deep-linear", "L = |W_L ... W_1 - P|^2 (no 1/2)", rows,
                                                         sizeof rows / sizeof *rows};

static rllc_status make(rllc_analytic_model *m, const void *options, const rllc_analytic_sample *sample) {
    const struct options *o = options;
    int64_t *widths = NULL, *ranks = NULL, n = 0, n_ranks = 0;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_list_integers("--widths", o->widths, 1, 1000, &widths, &n));
    if (o->ranks) RLLC_TRY(rllc_list_integers("--ranks", o->ranks, 0, 1000, &ranks, &n_ranks));
    if (n < 2 || (ranks && n_ranks != n - 1)) {
        status =
            rllc_fail(RLLC_EUSAGE, "expected two --widths at least, and one of --ranks for each layer between them");
        goto done;
    }
    const rllc_linear_network network = {.n_widths = n, .widths = widths, .rank = o->rank, .ranks = ranks};
    RLLC_TRY(rllc_linear_network_make(m, &network, sample));
done:
    rllc_free(widths);
    rllc_free(ranks);
    return status;
}

const rllc_analytic_kind rllc_analytic_deep_linear = {.name = "deep-linear",
                                                      .summary = "a product of several matrices (Aoyagi 2024)",
                                                      .options = &rllc_deep_linear_option_table,
                                                      .size = sizeof(struct options),
                                                      .make = make};
