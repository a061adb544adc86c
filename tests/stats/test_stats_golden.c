/* Diagnoses against R's coda and posterior on eight kinds of chains: tools/golden/diagnostics.R made the numbers. */
#include "stats/chains.h"

static double golden[400][2]; /* of one kind: what R says, what we say */
static char names[400][64];
static int n_golden;

/* Where R says NA, as NaN. */
static void read_kind(int kind) {
    char line[256];
    FILE *f = fopen(RLLC_SOURCE_DIR "/tests/golden/diagnostics/reference.csv", "r");
    assert_non_null(f);
    n_golden = 0;
    while (fgets(line, sizeof line, f)) {
        char name[2][64], value[64];
        int chain;
        if (sscanf(line, "%63[^,],%63[^,],%d,%63s", name[0], name[1], &chain, value) != 4) continue;
        if (strcmp(name[0], kinds[kind].name) != 0) continue;
        assert_true(n_golden < 400);
        snprintf(names[n_golden], sizeof names[0], "%.40s %d", name[1], chain);
        golden[n_golden][1] = INFINITY; /* not compared yet */
        golden[n_golden++][0] = strcmp(value, "NA") == 0 ? NAN : strtod(value, NULL);
    }
    fclose(f);
}

static void compare(int kind, const char *name, int64_t chain, double ours, double relative) {
    char wanted[64];
    snprintf(wanted, sizeof wanted, "%.40s %d", name, (int)chain);
    for (int i = 0; i < n_golden; i++) {
        if (strcmp(names[i], wanted) != 0) continue;
        golden[i][1] = ours;
        if (!is_close(ours, golden[i][0], relative))
            fail_msg("%s, %s: %.17g, R has %.17g", kinds[kind].name, wanted, ours, golden[i][0]);
        return;
    }
    fail_msg("%s has no %s", kinds[kind].name, wanted);
}

/* Exact definitions: 1e-9. Sums of some hundred numbers in another order differ by about 1e-13. */
#define EXACT 1e-9

static void compare_all(int kind, const double *x) {
    rllc_chains_diagnosis d;
    assert_ok(rllc_chains_diagnose(x, kinds[kind].n_chains, kinds[kind].n_draws, &d));
    compare(kind, "rhat_rank", 0, d.rhat_rank, EXACT);
    compare(kind, "rhat_split", 0, d.rhat_split, EXACT);
    compare(kind, "ess_bulk", 0, d.ess_bulk, EXACT);
    compare(kind, "ess_tail", 0, d.ess_tail, EXACT);
    compare(kind, "ess_mean", 0, d.ess_mean, EXACT);
    compare(kind, "ess_sd", 0, d.ess_sd, EXACT);
    compare(kind, "mcse_mean", 0, d.mcse_mean, EXACT);
    compare(kind, "mcse_sd", 0, d.mcse_sd, EXACT);
    const double total = (double)(kinds[kind].n_chains * kinds[kind].n_draws);
    assert_close(d.autocorrelation_time, total / d.ess_mean, 1e-15);
}

static void compare_raftery(int kind, const char *name, int64_t chain, const rllc_series_diagnosis *d) {
    char full[4][64];
    const char *const columns[] = {"M", "N", "Nmin", "I"};
    for (int i = 0; i < 4; i++) snprintf(full[i], sizeof full[i], "raftery_%s_%s", name, columns[i]);
    compare(kind, full[0], chain, d->raftery_evaluable ? (double)d->raftery_m : NAN, 0);
    compare(kind, full[1], chain, d->raftery_evaluable ? (double)d->raftery_n : NAN, 0);
    compare(kind, full[2], chain, (double)d->raftery_nmin, 0);
    compare(kind, full[3], chain, d->raftery_i, EXACT);
}

static void compare_chain(int kind, int64_t chain, const double *x) {
    const int64_t n = kinds[kind].n_draws;
    rllc_series_settings settings = rllc_series_settings_default;
    rllc_series_diagnosis d;
    double r[8], spectrum, sum = 0;
    for (int64_t t = 0; t < n; t++) sum += x[t];
    compare(kind, "sum", chain, sum, 1e-12);
    settings.raftery_q = 0.5;
    settings.raftery_r = 0.06;
    assert_ok(rllc_series_diagnose(x, n, &settings, &d));
    compare(kind, "spectrum0", chain, d.spectrum0, EXACT);
    assert_ok(rllc_spectrum0_ar(x, n, &spectrum));
    assert_true(spectrum == d.spectrum0);
    compare(kind, "effective_size", chain, d.effective_size, EXACT);
    compare(kind, "geweke_z", chain, d.geweke_z, EXACT);
    compare(kind, "heidel_stest", chain, d.stationary, 0);
    compare(kind, "heidel_start", chain, d.stationary ? (double)d.start : NAN, 0);
    compare(kind, "heidel_pvalue", chain, d.pvalue, 1e-8); /* through a Bessel function, and 1 - F */
    compare(kind, "heidel_htest", chain, d.stationary ? d.halfwidth_passed : NAN, 0);
    compare(kind, "heidel_mean", chain, d.stationary_mean, EXACT);
    compare(kind, "heidel_halfwidth", chain, d.halfwidth, EXACT);
    compare_raftery(kind, "median", chain, &d);
    settings = (rllc_series_settings){0.2, 0.4, 0.1, 0.05, 0.1, 0.04, 0.95, 0.001};
    assert_ok(rllc_series_diagnose(x, n, &settings, &d));
    compare(kind, "geweke_z_20_40", chain, d.geweke_z, EXACT);
    compare_raftery(kind, "tenth", chain, &d);
    rllc_autocorrelation(x, n, 7, r);
    assert_true(r[0] == 1);
    compare(kind, "autocorrelation_1", chain, r[1], EXACT);
    compare(kind, "autocorrelation_2", chain, r[2], EXACT);
    compare(kind, "autocorrelation_7", chain, r[7], EXACT);
}

static void test_golden_diagnoses_are_those_of_coda_and_posterior(void **state) {
    (void)state;
    int compared = 0;
    for (int kind = 0; kind < N_KINDS; kind++) {
        double *x = make_chains(kind);
        read_kind(kind);
        compare_all(kind, x);
        for (int64_t chain = 1; chain <= kinds[kind].n_chains; chain++)
            compare_chain(kind, chain, x + (chain - 1) * kinds[kind].n_draws);
        for (int i = 0; i < n_golden; i++)
            if (isinf(golden[i][1])) fail_msg("%s: nobody looked at %s", kinds[kind].name, names[i]);
        compared += n_golden;
        free(x);
    }
    assert_int_equal(compared, 680); /* 8 kinds x 8, and 28 chains x 22 */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden_diagnoses_are_those_of_coda_and_posterior)};
    return cmocka_run_group_tests_name("stats_golden", tests, NULL, NULL);
}
