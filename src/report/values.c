/* report: the tables of final values. */
#include "report/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int ascending(const void *a, const void *b) {
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

/* Decimals for a whole table: those that suit its median standard error. */
static rllc_status table_decimals(const rllc_report_curves *c, int *decimals) {
    rllc_status status = RLLC_OK;
    double *errors = NULL;
    int64_t n = 0;
    RLLC_TRY(rllc_alloc(&errors, c->n_points, sizeof *errors));
    for (int64_t i = 0; i < c->n_points; i++) {
        double se = c->estimates[c->order[i]].llc_se;
        if (isfinite(se) && se > 0.0) errors[n++] = se;
    }
    qsort(errors, (size_t)n, sizeof *errors, ascending);
    *decimals = n ? rllc_report_decimals(errors[n / 2]) : 2;
done:
    rllc_free(errors);
    return status;
}

static const rllc_store_estimate *last_estimate(const rllc_report_curves *c, const rllc_report_curve *curve) {
    return &c->estimates[c->order[curve->first + curve->n - 1]];
}

static int64_t last_step(const rllc_report_curves *c, const rllc_report_curve *curve) {
    return c->cells[c->order[curve->first + curve->n - 1]].step;
}

static rllc_status add_sort_value(rllc_string *out, double value) {
    char text[32];
    return rllc_string_printf(out, " data-v=\"%s\"", isfinite(value) ? rllc_format_double(text, value) : "");
}

static rllc_status add_number_cell(rllc_string *out, double value, int decimals) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "<td class=\"n\""));
    RLLC_TRY(add_sort_value(out, value));
    RLLC_TRY(rllc_string_add(out, ">"));
    RLLC_TRY(rllc_report_add_number(out, value, decimals));
    RLLC_TRY(rllc_string_add(out, "</td>"));
done:
    return status;
}

/* "2.16 ± 0.09"; with most > 0 a bar behind it as long as value / most. */
static rllc_status add_value_cell(rllc_string *out, double value, double error, int decimals, double most) {
    rllc_status status = RLLC_OK;
    bool bar = most > 0.0 && value > 0.0;
    RLLC_TRY(rllc_string_add(out, bar ? "<td class=\"n bar\"" : "<td class=\"n\""));
    RLLC_TRY(add_sort_value(out, value));
    if (bar) RLLC_TRY(rllc_string_printf(out, " style=\"--f:%d\"", (int)lround(100.0 * fmin(value / most, 1.0))));
    RLLC_TRY(rllc_string_add(out, ">"));
    RLLC_TRY(rllc_report_add_number(out, value, decimals));
    if (isfinite(error)) {
        RLLC_TRY(rllc_string_add(out, " <span class=\"pm\">\xC2\xB1 "));
        RLLC_TRY(rllc_report_add_number(out, error, decimals));
        RLLC_TRY(rllc_string_add(out, "</span>"));
    }
    RLLC_TRY(rllc_string_add(out, "</td>"));
done:
    return status;
}

static rllc_status add_text_cell(rllc_string *out, const char *text) {
    rllc_status status = rllc_string_add(out, "<td>");
    if (status == RLLC_OK) status = rllc_markup_escape(out, text);
    return status == RLLC_OK ? rllc_string_add(out, "</td>") : status;
}

/* ---- heads side by side ---------------------------------------------------------------------------------- */

/* One column: a setting's final estimates, or a score at its last step. */
typedef struct column {
    const rllc_report_setting *setting; /* NULL: a score */
    const char *metric, *corpus;
    int64_t step;
    double most; /* the value of a full bar: the largest estimate, or 1 for scores */
} column;

typedef struct heads_table {
    const rllc_report_data *data;
    uint64_t seed;
    column *columns;
    int64_t n_columns;
    int decimals;
} heads_table;

static const rllc_report_curve *find_head(const rllc_report_setting *s, int layer, int head) {
    for (int64_t i = 0; i < s->n_curves; i++)
        if (s->curves[i].layer == layer && s->curves[i].head == head) return &s->curves[i];
    return NULL;
}

/* The score of a head at the column's step, NaN if it was not measured; of two the newer checkpoint's. */
static double find_score(const rllc_report_data *d, uint64_t seed, const column *c, int layer, int head, double *se) {
    double value = NAN;
    for (int64_t i = 0; i < d->n_scores; i++) {
        const rllc_store_score *s = &d->scores[i];
        if (s->seed != seed || s->step != c->step || s->layer != layer || s->head != head) continue;
        if (strcmp(s->metric, c->metric) != 0 || strcmp(s->corpus, c->corpus) != 0) continue;
        value = s->value;
        *se = s->se;
    }
    return value;
}

static int by_rank(const void *a, const void *b) {
    const column *p = a, *q = b;
    int order = rllc_report_score_rank(p->metric) - rllc_report_score_rank(q->metric);
    if (!order) order = strcmp(p->metric, q->metric);
    return order ? order : strcmp(p->corpus, q->corpus);
}

static void collect_columns(heads_table *t) {
    const rllc_report_data *d = t->data;
    for (int64_t i = 0; i < d->curves.n_settings; i++) {
        const rllc_report_setting *s = &d->curves.settings[i];
        column *c = &t->columns[t->n_columns];
        bool any = false;
        *c = (column){.setting = s, .step = s->last_step};
        for (int64_t k = 0; k < s->n_curves && s->seed == t->seed; k++)
            if (s->curves[k].head >= 0) {
                any = true;
                c->most = fmax(c->most, last_estimate(&d->curves, &s->curves[k])->llc_mean);
            }
        t->n_columns += any;
    }
    int64_t n_estimates = t->n_columns;
    for (int64_t i = 0; i < d->n_scores; i++) { /* the store lists scores by metric, seed, step */
        const rllc_store_score *s = &d->scores[i];
        if (s->seed != t->seed || s->head < 0) continue;
        column *c = NULL;
        for (int64_t k = 0; k < t->n_columns && !c; k++)
            if (t->columns[k].metric && strcmp(t->columns[k].metric, s->metric) == 0 &&
                strcmp(t->columns[k].corpus, s->corpus) == 0)
                c = &t->columns[k];
        if (!c) {
            c = &t->columns[t->n_columns++];
            *c = (column){.metric = s->metric, .corpus = s->corpus, .step = s->step, .most = 1.0}; /* attention */
        }
        if (s->step > c->step) c->step = s->step;
    }
    qsort(t->columns + n_estimates, (size_t)(t->n_columns - n_estimates), sizeof *t->columns, by_rank);
}

static rllc_status add_heads_head(rllc_string *out, const heads_table *t) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "<thead><tr><th>head</th>"));
    for (int64_t i = 0; i < t->n_columns; i++) {
        const column *c = &t->columns[i];
        RLLC_TRY(rllc_string_add(out, "<th class=\"n\">"));
        if (c->setting) {
            RLLC_TRY(rllc_string_add(out, c->setting->refined_data ? "wdrLLC, " : "wrLLC, "));
            RLLC_TRY(rllc_markup_escape(out, c->setting->corpus));
        } else {
            RLLC_TRY(rllc_markup_escape(out, rllc_report_words(c->metric)));
            if (*c->corpus) RLLC_TRY(rllc_string_add(out, ", "));
            RLLC_TRY(rllc_markup_escape(out, c->corpus));
        }
        RLLC_TRY(rllc_string_add(out, "</th>"));
    }
    RLLC_TRY(rllc_string_add(out, "</tr></thead>\n<tbody>\n"));
done:
    return status;
}

/* Layer and head as one number, in order. */
static int64_t key(int layer, int head) {
    return (int64_t)layer * 1000000000 + head;
}

static rllc_status add_head_row(rllc_string *out, const heads_table *t, int layer, int head) {
    const rllc_report_data *d = t->data;
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_printf(out, "<tr><td data-v=\"%lld\">%d:%d</td>", (long long)key(layer, head), layer, head));
    for (int64_t i = 0; i < t->n_columns; i++) {
        const column *c = &t->columns[i];
        double value = NAN, error = NAN;
        if (c->setting) {
            const rllc_report_curve *curve = find_head(c->setting, layer, head);
            bool last = curve && last_step(&d->curves, curve) == c->step;
            if (last) value = last_estimate(&d->curves, curve)->llc_mean;
            if (last) error = last_estimate(&d->curves, curve)->llc_se;
        } else {
            value = find_score(d, t->seed, c, layer, head, &error);
            error = NAN; /* far below the digits shown */
        }
        RLLC_TRY(add_value_cell(out, value, error, c->setting ? t->decimals : 3, c->most));
    }
    RLLC_TRY(rllc_string_add(out, "</tr>\n"));
done:
    return status;
}

static int by_key(const void *a, const void *b) {
    int64_t p = *(const int64_t *)a, q = *(const int64_t *)b;
    return (p > q) - (p < q);
}

/* The heads of a seed that have an estimate or a score, in order, each once. */
static rllc_status list_heads(const rllc_report_data *d, uint64_t seed, int64_t **keys, int64_t *n) {
    rllc_status status = RLLC_OK;
    int64_t all = 0;
    *n = 0;
    RLLC_TRY(rllc_alloc(keys, d->curves.n_points + d->n_scores, sizeof **keys));
    for (int64_t i = 0; i < d->curves.n_settings; i++) {
        const rllc_report_setting *s = &d->curves.settings[i];
        for (int64_t k = 0; k < s->n_curves && s->seed == seed; k++)
            if (s->curves[k].head >= 0) (*keys)[all++] = key(s->curves[k].layer, s->curves[k].head);
    }
    for (int64_t i = 0; i < d->n_scores; i++)
        if (d->scores[i].seed == seed && d->scores[i].layer >= 0 && d->scores[i].head >= 0)
            (*keys)[all++] = key(d->scores[i].layer, d->scores[i].head);
    qsort(*keys, (size_t)all, sizeof **keys, by_key);
    for (int64_t i = 0; i < all; i++)
        if (i == 0 || (*keys)[i] != (*keys)[i - 1]) (*keys)[(*n)++] = (*keys)[i];
done:
    return status;
}

static rllc_status add_heads_table(rllc_string *out, const rllc_report_data *d, uint64_t seed, int decimals) {
    rllc_status status = RLLC_OK;
    heads_table t = {.data = d, .seed = seed, .decimals = decimals};
    int64_t *heads = NULL, n = 0;
    RLLC_TRY(rllc_alloc(&t.columns, d->curves.n_settings + d->n_scores + 1, sizeof *t.columns));
    RLLC_TRY(list_heads(d, seed, &heads, &n));
    if (n == 0) goto done;
    collect_columns(&t);
    RLLC_TRY(rllc_string_printf(out,
                                "<div class=\"wide\"><table class=\"sort\">\n<caption>Heads of seed %llu at the last "
                                "step measured; \xC2\xB1 one standard error. Bars: share of the column\xE2\x80\x99s "
                                "largest estimate, and of 1 for scores. Click on a heading to sort.</caption>\n",
                                (unsigned long long)seed));
    RLLC_TRY(add_heads_head(out, &t));
    for (int64_t i = 0; i < n; i++)
        RLLC_TRY(add_head_row(out, &t, (int)(heads[i] / 1000000000), (int)(heads[i] % 1000000000)));
    RLLC_TRY(rllc_string_add(out, "</tbody>\n</table></div>\n"));
done:
    rllc_free(t.columns);
    rllc_free(heads);
    return status;
}

/* ---- every estimate -------------------------------------------------------------------------------------- */

static rllc_status add_estimate_row(rllc_string *out, const rllc_report_data *d, const rllc_report_setting *s,
                                    const rllc_report_curve *curve, int decimals) {
    rllc_status status = RLLC_OK;
    const rllc_store_estimate *e = last_estimate(&d->curves, curve);
    int64_t dim = d->curves.cells[d->curves.order[curve->first]].dim;
    RLLC_TRY(rllc_string_add(out, "<tr>"));
    RLLC_TRY(add_text_cell(out, curve->label));
    RLLC_TRY(add_text_cell(out, s->corpus));
    RLLC_TRY(add_text_cell(out, curve->name));
    RLLC_TRY(rllc_string_printf(out, "<td class=\"n\" data-v=\"%llu\">%llu</td>", (unsigned long long)s->seed,
                                (unsigned long long)s->seed));
    RLLC_TRY(rllc_string_printf(out, "<td class=\"n\" data-v=\"%lld\">", (long long)last_step(&d->curves, curve)));
    RLLC_TRY(rllc_report_add_count(out, last_step(&d->curves, curve)));
    RLLC_TRY(rllc_string_add(out, "</td>"));
    RLLC_TRY(add_value_cell(out, e->llc_mean, e->llc_se, decimals, 0.0));
    RLLC_TRY(add_number_cell(out, e->llc_sd, decimals));
    RLLC_TRY(add_value_cell(out, e->llc_mean_init, e->llc_se_init, decimals, 0.0));
    RLLC_TRY(add_number_cell(out, (double)(e->n_chains - e->n_diverged), 0));
    RLLC_TRY(rllc_string_printf(out, "<td class=\"n%s\" data-v=\"%lld\">%lld</td>", e->n_diverged ? " bad" : "",
                                (long long)e->n_diverged, (long long)e->n_diverged));
    RLLC_TRY(rllc_string_printf(out, "<td class=\"n\" data-v=\"%lld\">", (long long)dim));
    RLLC_TRY(rllc_report_add_count(out, dim));
    RLLC_TRY(rllc_string_add(out, "</td></tr>\n"));
done:
    return status;
}

static rllc_status add_estimates_table(rllc_string *out, const rllc_report_data *d, int decimals) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "<div class=\"wide\"><table class=\"sort\">\n<caption>Every component at its last "
                                  "step. <code>llc_mean</code>: paired, against the loss at w* on each "
                                  "draw\xE2\x80\x99s own minibatch, \xC2\xB1 one standard error; sd: over chains; "
                                  "<code>llc_mean_init</code>: conventional, against the loss at w* on the initial "
                                  "batches; dim: numbers that move.</caption>\n"
                                  "<thead><tr><th>component</th><th>corpus</th><th>quantity</th><th "
                                  "class=\"n\">seed</th><th class=\"n\">step</th><th class=\"n\">llc_mean</th><th "
                                  "class=\"n\">sd</th><th class=\"n\">llc_mean_init</th><th class=\"n\">chains</th><th "
                                  "class=\"n\">diverged</th><th class=\"n\">dim</th></tr></thead>\n<tbody>\n"));
    for (int64_t i = 0; i < d->curves.n_settings; i++)
        for (int64_t k = 0; k < d->curves.settings[i].n_curves; k++)
            RLLC_TRY(add_estimate_row(out, d, &d->curves.settings[i], &d->curves.settings[i].curves[k], decimals));
    RLLC_TRY(rllc_string_add(out, "</tbody>\n</table></div>\n"));
done:
    return status;
}

rllc_status rllc_report_add_values(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    int decimals;
    RLLC_TRY(table_decimals(&d->curves, &decimals));
    RLLC_TRY(rllc_string_add(out, "<section id=\"values\">\n<h2>Final values</h2>\n"));
    for (int64_t i = 0; i < d->n_checkpoints; i++) /* checkpoints are in order of seeds */
        if (i == 0 || d->checkpoints[i].seed != d->checkpoints[i - 1].seed)
            RLLC_TRY(add_heads_table(out, d, d->checkpoints[i].seed, decimals));
    if (d->curves.n_points)
        RLLC_TRY(add_estimates_table(out, d, decimals));
    else
        RLLC_TRY(rllc_string_add(out, "<p>Nothing has been sampled yet: <code>rllc sample RUN --components "
                                      "heads</code>.</p>\n"));
    RLLC_TRY(rllc_string_add(out, "</section>\n"));
done:
    return status;
}
