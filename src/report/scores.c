/* report figure: attention scores of every head over training. */
#include "report/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Scores of one panel are neighbours, and within it those of one head, by step. */
static int compare_panels(const rllc_store_score *a, const rllc_store_score *b) {
    if (a->seed != b->seed) return a->seed < b->seed ? -1 : 1;
    int order = rllc_report_score_rank(a->metric) - rllc_report_score_rank(b->metric);
    if (!order) order = strcmp(a->metric, b->metric);
    if (!order) order = strcmp(a->corpus, b->corpus);
    return order ? order : (a->layer > b->layer) - (a->layer < b->layer);
}

static int compare_scores(const void *pa, const void *pb) {
    const rllc_store_score *a = pa, *b = pb;
    int order = compare_panels(a, b);
    if (!order) order = (a->head > b->head) - (a->head < b->head);
    if (!order) order = (a->step > b->step) - (a->step < b->step);
    return order ? order : (a->checkpoint_id > b->checkpoint_id) - (a->checkpoint_id < b->checkpoint_id);
}

static const char *panel_title(const rllc_store_score *s) {
    const char *where = s->layer >= 0 ? rllc_intern_printf(", layer %d", s->layer) : "";
    return rllc_intern_printf("%s%s%s%s", rllc_report_words(s->metric), where, *s->corpus ? " on " : "", s->corpus);
}

typedef struct drawing {
    rllc_store_score *scores; /* sorted as above */
    double *x, *y;            /* [n] */
    rllc_series *series;
    rllc_panel *panels;
    int64_t n, n_series, n_panels;
} drawing;

/* Series and panels of scores first .. last-1 (one seed). Of two at one step the newer checkpoint stays. */
static void fill(drawing *d, int64_t first, int64_t last) {
    d->n_series = d->n_panels = 0;
    for (int64_t i = first; i < last; i++) {
        const rllc_store_score *s = &d->scores[i], *before = i > first ? s - 1 : NULL;
        if (!before || compare_panels(before, s) != 0) {
            d->panels[d->n_panels++] = (rllc_panel){.title = panel_title(s),
                                                    .x_label = "training step",
                                                    .y_label = s->head >= 0 ? "attention" : "score",
                                                    .log_x = true,
                                                    .series = &d->series[d->n_series]};
            before = NULL;
        }
        if (!before || before->head != s->head) {
            const char *label = s->head >= 0 ? rllc_intern_printf("%d:%d", s->layer, s->head) : "";
            d->series[d->n_series++] =
                (rllc_series){.label = label, .x = &d->x[i], .y = &d->y[i], .color = s->head >= 0 ? s->head : 0};
            d->panels[d->n_panels - 1].n++;
        }
        rllc_series *series = &d->series[d->n_series - 1];
        int64_t at = series->n && series->x[series->n - 1] == (double)s->step ? series->n - 1 : series->n;
        double *x = d->x + (series->x - d->x), *y = d->y + (series->y - d->y);
        x[at] = (double)s->step;
        y[at] = s->value;
        series->n = at + 1;
    }
}

/* Layers of a score stand side by side: with more layers than fit, or one alone, in pairs. */
static int columns(const drawing *d, const rllc_store_score *s, int64_t n) {
    int layers = 0;
    for (int64_t i = 0; i < n; i++) layers = s[i].layer + 1 > layers ? s[i].layer + 1 : layers;
    return layers == 2 || layers == 3 ? layers : d->n_panels > 1 ? 2 : 1;
}

/* Panels of one score share their axis: from zero to its largest value. */
static void share_axes(drawing *d, const rllc_store_score *s) {
    int64_t first = 0;
    for (int64_t p = 1; p <= d->n_panels; p++) {
        const rllc_store_score *a = s + (d->panels[first].series->x - d->panels[0].series->x);
        const rllc_store_score *b = p < d->n_panels ? s + (d->panels[p].series->x - d->panels[0].series->x) : NULL;
        if (b && strcmp(a->metric, b->metric) == 0 && strcmp(a->corpus, b->corpus) == 0) continue;
        rllc_report_share_y(&d->panels[first], p - first, a->head >= 0);
        first = p;
    }
}

static rllc_status draw_seed(const rllc_report_context *c, drawing *d, int64_t first, int64_t last,
                             rllc_string *stems) {
    rllc_status status = RLLC_OK;
    rllc_string name = {0}, caption = {0};
    double worst = 0.0;
    unsigned long long seed = d->scores[first].seed;
    fill(d, first, last);
    share_axes(d, &d->scores[first]);
    for (int64_t i = first; i < last; i++) worst = fmax(worst, d->scores[i].se); /* fmax passes over NaN */
    RLLC_TRY(rllc_string_printf(&name, "scores-seed%llu", seed));
    RLLC_TRY(rllc_string_printf(&caption, "Seed %llu: mean over %lld synthetic sequences", seed,
                                (long long)d->scores[first].n));
    if (worst > 0.0) RLLC_TRY(rllc_string_printf(&caption, "; no standard error exceeds %.2g", worst));
    RLLC_TRY(rllc_string_add(&caption, ". Heads have the colours that they have in the figures of their wrLLC."));
    const rllc_figure f = {.name = name.data,
                           .caption = caption.data,
                           .panels = d->panels,
                           .n = d->n_panels,
                           .columns = columns(d, &d->scores[first], last - first)};
    RLLC_TRY(rllc_report_draw(c, &f, stems));
done:
    rllc_string_release(&name);
    rllc_string_release(&caption);
    return status;
}

static rllc_status draw(const rllc_report_context *c, rllc_string *stems) {
    rllc_status status = RLLC_OK;
    drawing d = {0};
    RLLC_TRY(rllc_store_scores(c->store, NULL, &d.scores, &d.n));
    if (d.n == 0) {
        status = rllc_fail(RLLC_ENOTFOUND, "attention was not scored: rllc analyze RUN");
        goto done;
    }
    qsort(d.scores, (size_t)d.n, sizeof *d.scores, compare_scores);
    RLLC_TRY(rllc_alloc(&d.x, d.n, sizeof *d.x));
    RLLC_TRY(rllc_alloc(&d.y, d.n, sizeof *d.y));
    RLLC_TRY(rllc_alloc(&d.series, d.n, sizeof *d.series));
    RLLC_TRY(rllc_alloc(&d.panels, d.n, sizeof *d.panels));
    for (int64_t first = 0, last; first < d.n; first = last) {
        for (last = first + 1; last < d.n && d.scores[last].seed == d.scores[first].seed;) last++;
        RLLC_TRY(draw_seed(c, &d, first, last, stems));
    }
done:
    rllc_free(d.scores);
    rllc_free(d.x);
    rllc_free(d.y);
    rllc_free(d.series);
    rllc_free(d.panels);
    return status;
}

const rllc_report_figure rllc_report_figure_scores = {
    .name = "scores",
    .title = "Attention scores of every head",
    .summary = "What the heads look at, measured on synthetic sequences: the attention paid to the token before "
               "(previous token), to the token itself (current token), and, at the second occurrence of a token, to "
               "the one that followed its first occurrence (prefix matching, on sequences with one repeated token; "
               "induction, on repeated sequences).",
    .draw = draw,
};
