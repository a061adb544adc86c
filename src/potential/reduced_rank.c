/* Reduced-rank regression: L = |BA - B0 A0|^2. */
#include "analytic.h"

struct options {
    const char *dims, *ranks;
    int64_t rank;
};

static const rllc_option rows[] = {
    RLLC_OPTION(struct options, dims, RLLC_TEXT, "2,2,2", RLLC_UNBOUNDED, NULL, "M,H,N", "A is H x M, B is N x H"),
    RLLC_OPTION(struct options, rank, RLLC_INTEGER, "0", 0, 10000, NULL, "", "rank of B0 A0"),
    RLLC_OPTION(struct options, ranks, RLLC_TEXT, NULL, RLLC_UNBOUNDED, NULL, "A,B",
                "ranks of A and B at w*; default: both --rank, the most singular point"),
};
const rllc_option_table rllc_reduced_rank_option_table = {"reduced-rank", "L = |BA - B0 A0|^2 (no 1/2)", rows,
                                                          sizeof rows / sizeof *rows};

static rllc_status make(rllc_analytic_model *m, const void *options, const rllc_analytic_sample *sample) {
    const struct options *o = options;
    static const char *const names[] = {"A", "B"};
    int64_t *dims = NULL, *ranks = NULL, n = 0, n_ranks = 2;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_list_integers("--dims", o->dims, 1, 1000, &dims, &n));
    if (o->ranks) RLLC_TRY(rllc_list_integers("--ranks", o->ranks, 0, 1000, &ranks, &n_ranks));
    if (n != 3 || n_ranks != 2) {
        status = rllc_fail(RLLC_EUSAGE, "expected three --dims M,H,N, and two --ranks A,B if any");
        goto done;
    }
    const rllc_linear_network network = {
        .n_widths = 3, .widths = dims, .rank = o->rank, .ranks = ranks, .names = names};
    RLLC_TRY(rllc_linear_network_make(m, &network, sample));
done:
    rllc_free(dims);
    rllc_free(ranks);
    return status;
}

const rllc_analytic_kind rllc_analytic_reduced_rank = {
    .name = "reduced-rank",
    .summary = "a product of two matrices: the reduced-rank regression of Aoyagi and Watanabe",
    .options = &rllc_reduced_rank_option_table,
    .size = sizeof(struct options),
    .make = make};
