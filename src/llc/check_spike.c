/* check: does the trace overshoot early and fall afterwards? */
#include "checks.h"

enum { BLOCKS = 10, EARLY = 3 };

/** Means of the mean trace y over BLOCKS blocks of draws. */
static void block_means(const rllc_evidence *e, int64_t draws, double *mean) {
    for (int b = 0; b < BLOCKS; b++) {
        const int64_t first = draws * b / BLOCKS, end = draws * (b + 1) / BLOCKS;
        double sum = 0;
        int64_t n = 0;
        for (int64_t c = 0; c < e->n; c++) {
            if (!rllc_chain_is_live(&e->traces[c])) continue;
            for (int64_t t = first; t < end; t++, n++)
                sum += e->options->nbeta * (e->traces[c].loss[t] - e->traces[c].baseline[t]);
        }
        mean[b] = sum / (double)n;
    }
}

static void look(const rllc_evidence *e, const rllc_diagnosis *d, rllc_finding *f) {
    double mean[BLOCKS], late = 0, spread = 0, early = -INFINITY;
    if (d->n_draws < 2 * BLOCKS || d->n_live == 0) return;
    if (e->options->init_noise > 0) return; /* the start itself is high: the check of convergence looks at it */
    block_means(e, d->n_draws, mean);
    for (int b = BLOCKS / 2; b < BLOCKS; b++) late += mean[b] / (BLOCKS - BLOCKS / 2);
    for (int b = BLOCKS / 2; b < BLOCKS; b++) spread += (mean[b] - late) * (mean[b] - late) / (BLOCKS - BLOCKS / 2 - 1);
    for (int b = 0; b < EARLY; b++) early = fmax(early, mean[b]);
    f->value = early - late;
    if (early <= late + fmax(8 * sqrt(spread), 0.25 * fabs(late))) {
        f->sentence = "no early overshoot";
        return;
    }
    f->grade = RLLC_GRADE_FAILED;
    f->sentence = rllc_intern_printf(
        "the trace rises to %.3g within its first third and falls to %.3g: a first overshoot, or another "
        "basin; lower lr, or leave the first %lld draws out (num_burnin_steps)",
        early, late, (long long)(d->n_draws * EARLY / BLOCKS));
}

const rllc_check rllc_check_spike = {
    .name = "spike",
    .summary = "the trace does not overshoot at first",
    .verdict = RLLC_INITIAL_SPIKE,
    .look = look,
};
