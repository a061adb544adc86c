/* The steps at which checkpoints are kept. */
#include <stdlib.h>

#include "train/trainer.h"

rllc_status rllc_train_grid(const rllc_train_options *o, int64_t **steps, int64_t *n) {
    rllc_status status = RLLC_OK;
    int64_t *asked = NULL, *all = NULL, n_asked = 0, n_all = 0;
    *steps = NULL;
    *n = 0;
    if (o->checkpoints && o->checkpoints[0]) {
        status = rllc_grid_parse(o->checkpoints, &asked, &n_asked);
        if (status != RLLC_OK) return rllc_fail_within(status, "checkpoints");
    }
    RLLC_TRY(rllc_alloc(&all, n_asked + 2, sizeof *all));
    all[n_all++] = 0;
    for (int64_t i = 0; i < n_asked; i++) /* sorted and unique already */
        if (asked[i] > 0 && asked[i] < o->steps) all[n_all++] = asked[i];
    if (o->steps > 0) all[n_all++] = o->steps;
    *steps = all;
    *n = n_all;
done:
    rllc_free(asked);
    return status;
}

static int compare(const void *a, const void *b) {
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

bool rllc_train_grid_has(const rllc_trainer *t, int64_t step) {
    return bsearch(&step, t->grid, (size_t)t->n_grid, sizeof *t->grid, compare) != NULL;
}
