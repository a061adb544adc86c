/* report: the store's estimates as curves over training, apart by seed, corpus and options. */
#include "report/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool rllc_report_head(const char *component, int *layer, int *head) {
    int used = 0;
    return sscanf(component, "l%9dh%9d%n", layer, head, &used) == 2 && component[used] == '\0' && *layer >= 0 &&
           *head >= 0;
}

bool rllc_report_is_next_token(const rllc_report_setting *s) {
    return strcmp(s->loss_kind, "next_token") == 0;
}

/* ---- order ----------------------------------------------------------------------------------------------- */

/* Full models, heads by layer and head, then the rest by name ("l2" before "l10"). */
static int compare_components(const char *a, const char *b) {
    int al = 0, ah = 0, bl = 0, bh = 0;
    int a_rank = strcmp(a, "full") == 0 ? 0 : rllc_report_head(a, &al, &ah) ? 1 : 2;
    int b_rank = strcmp(b, "full") == 0 ? 0 : rllc_report_head(b, &bl, &bh) ? 1 : 2;
    if (a_rank != b_rank) return a_rank - b_rank;
    if (a_rank != 1) return strverscmp(a, b);
    return al != bl ? (al > bl) - (al < bl) : (ah > bh) - (ah < bh);
}

/* Cells of one setting are neighbours; within one, those of a curve; within that, by step, the newest weights last. */
static int compare_settings(const rllc_store_cell *a, const rllc_store_cell *b) {
    if (a->seed != b->seed) return a->seed < b->seed ? -1 : 1;
    if (a->refined_data != b->refined_data) return a->refined_data ? 1 : -1;
    if (a->corpus_id != b->corpus_id) return a->corpus_id < b->corpus_id ? -1 : 1;
    int order = strcmp(a->loss_kind, b->loss_kind);
    return order ? order : strcmp(a->options_json, b->options_json);
}

static int compare_curves(const rllc_store_cell *a, const rllc_store_cell *b) {
    int order = compare_components(a->component, b->component);
    return order ? order : strcmp(a->component, b->component);
}

static int compare_cells(const void *pa, const void *pb) {
    const rllc_store_cell *a = *(rllc_store_cell *const *)pa, *b = *(rllc_store_cell *const *)pb;
    int order = compare_settings(a, b);
    if (!order) order = compare_curves(a, b);
    if (order) return order;
    if (a->step != b->step) return a->step < b->step ? -1 : 1;
    if (a->checkpoint_id != b->checkpoint_id) return a->checkpoint_id < b->checkpoint_id ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* Fills order[] with the estimates to show: of two at one step of a curve the last in the order above stays. */
static rllc_status sort_points(rllc_report_curves *c) {
    rllc_status status = RLLC_OK;
    rllc_store_cell **sorted = NULL;
    RLLC_TRY(rllc_alloc(&sorted, c->n, sizeof *sorted));
    RLLC_TRY(rllc_alloc(&c->order, c->n, sizeof *c->order));
    for (int64_t i = 0; i < c->n; i++) sorted[i] = &c->cells[i];
    qsort(sorted, (size_t)c->n, sizeof *sorted, compare_cells);
    for (int64_t i = 0; i < c->n; i++) {
        bool replaced = i + 1 < c->n && sorted[i]->step == sorted[i + 1]->step &&
                        compare_settings(sorted[i], sorted[i + 1]) == 0 &&
                        compare_curves(sorted[i], sorted[i + 1]) == 0;
        if (replaced)
            c->n_replaced++;
        else
            c->order[c->n_points++] = sorted[i] - c->cells;
    }
done:
    rllc_free(sorted);
    return status;
}

/* ---- curves and settings --------------------------------------------------------------------------------- */

static rllc_status fill_points(rllc_report_curves *c) {
    rllc_status status = RLLC_OK;
    double **const arrays[] = {&c->step, &c->mean, &c->low, &c->high};
    for (int i = 0; i < 4; i++) RLLC_TRY(rllc_alloc(arrays[i], c->n_points, sizeof(double)));
    for (int64_t i = 0; i < c->n_points; i++) {
        const rllc_store_estimate *e = &c->estimates[c->order[i]];
        c->step[i] = (double)c->cells[c->order[i]].step;
        c->mean[i] = e->llc_mean;
        c->low[i] = e->llc_mean - e->llc_sd;
        c->high[i] = e->llc_mean + e->llc_sd;
    }
done:
    return status;
}

static const rllc_store_cell *cell_of(const rllc_report_curves *c, int64_t point) {
    return &c->cells[c->order[point]];
}

/* A corpus' name, with a number when the seed has been measured on that name under another setting before. */
static const char *setting_name(const rllc_report_curves *c, const rllc_report_setting *s, const char *corpus) {
    int before = 0;
    for (const rllc_report_setting *t = c->settings; t < s; t++) {
        size_t n = strlen(corpus);
        bool same =
            strncmp(t->corpus, corpus, n) == 0 && (t->corpus[n] == '\0' || strncmp(t->corpus + n, " (", 2) == 0);
        before += t->seed == s->seed && same;
    }
    return before ? rllc_intern_printf("%s (%d)", corpus, before + 1) : corpus;
}

static rllc_status begin_curve(rllc_report_curves *c, rllc_report_curve *curve, int64_t point) {
    const rllc_store_cell *cell = cell_of(c, point);
    const char *name = c->estimates[c->order[point]].name;
    *curve = (rllc_report_curve){
        .component = cell->component, .label = cell->component, .name = name, .layer = -1, .head = -1, .first = point};
    curve->full = strcmp(name, "LLC") == 0 || strcmp(name, "drLLC") == 0;
    if (rllc_report_head(cell->component, &curve->layer, &curve->head))
        curve->label = rllc_intern_printf("%d:%d", curve->layer, curve->head);
    else
        curve->layer = curve->head = -1;
    return curve->label ? RLLC_OK : rllc_fail(RLLC_ENOMEM, "no memory for the name of a curve");
}

static rllc_status fill_curves(rllc_report_curves *c) {
    rllc_status status = RLLC_OK;
    int64_t n_curves = 0;
    RLLC_TRY(rllc_alloc(&c->curves, c->n_points, sizeof *c->curves));
    RLLC_TRY(rllc_alloc(&c->settings, c->n_points, sizeof *c->settings));
    for (int64_t i = 0; i < c->n_points; i++) {
        const rllc_store_cell *cell = cell_of(c, i), *last = i ? cell_of(c, i - 1) : NULL;
        bool new_setting = !last || compare_settings(last, cell) != 0;
        if (new_setting) {
            rllc_report_setting *s = &c->settings[c->n_settings];
            *s = (rllc_report_setting){.seed = cell->seed,
                                       .corpus_id = cell->corpus_id,
                                       .refined_data = cell->refined_data,
                                       .loss_kind = cell->loss_kind,
                                       .options_json = cell->options_json,
                                       .curves = &c->curves[n_curves]};
            const char *data = rllc_store_cell_data(cell);
            s->corpus = data ? setting_name(c, s, data) : NULL;
            if (!s->corpus) return rllc_fail(RLLC_ENOMEM, "no memory for the name of a corpus");
            c->n_settings++;
        }
        rllc_report_setting *s = &c->settings[c->n_settings - 1];
        if (new_setting || compare_curves(last, cell) != 0) {
            RLLC_TRY(begin_curve(c, &c->curves[n_curves++], i));
            s->n_curves++;
        }
        c->curves[n_curves - 1].n++;
        if (cell->step > s->last_step) s->last_step = cell->step;
    }
done:
    return status;
}

rllc_status rllc_report_curves_load(rllc_report_curves *c, rllc_store *store) {
    rllc_status status = RLLC_OK;
    *c = (rllc_report_curves){0};
    RLLC_TRY(rllc_store_estimates(store, &c->estimates, &c->cells, &c->n));
    RLLC_TRY(sort_points(c));
    RLLC_TRY(fill_points(c));
    RLLC_TRY(fill_curves(c));
done:
    if (status != RLLC_OK) rllc_report_curves_release(c);
    return status;
}

void rllc_report_curves_release(rllc_report_curves *c) {
    rllc_free(c->estimates);
    rllc_free(c->cells);
    rllc_free(c->order);
    rllc_free(c->step);
    rllc_free(c->mean);
    rllc_free(c->low);
    rllc_free(c->high);
    rllc_free(c->curves);
    rllc_free(c->settings);
    *c = (rllc_report_curves){0};
}

rllc_series rllc_report_series(const rllc_report_curves *c, const rllc_report_curve *curve, int color) {
    int64_t i = curve->first;
    return (rllc_series){.label = curve->label,
                         .n = curve->n,
                         .x = c->step + i,
                         .y = c->mean + i,
                         .low = c->low + i,
                         .high = c->high + i,
                         .color = color};
}

rllc_status rllc_report_seeds(const rllc_report_curves *c, uint64_t **seeds, int64_t *n) {
    rllc_status status = rllc_alloc(seeds, c->n_settings, sizeof **seeds);
    *n = 0;
    for (int64_t i = 0; i < c->n_settings && status == RLLC_OK; i++) /* settings are in order of seeds */
        if (*n == 0 || (*seeds)[*n - 1] != c->settings[i].seed) (*seeds)[(*n)++] = c->settings[i].seed;
    return status;
}
