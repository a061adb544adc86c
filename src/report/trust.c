/* report: how far to trust the estimates - verdicts counted, a grid of them by component and checkpoint, the reasons.
 */
#include "report/internal.h"

#include <stdlib.h>
#include <string.h>

enum { GOOD, DOUBTFUL, FAILED, UNKNOWN, GRADES, EXAMPLES = 8 };

static const char *const grade_names[GRADES] = {"good", "doubtful", "failed", "unknown"};

/* What an estimate's stored diagnosis says. */
typedef struct judgement {
    int grade;
    const char *verdict;
    rllc_string sentence; /* of the gravest finding; empty if good */
} judgement;

static rllc_status read_judgement(const rllc_store_estimate *e, judgement *out) {
    rllc_status status = RLLC_OK;
    *out = (judgement){.grade = UNKNOWN, .verdict = *e->verdict ? e->verdict : "not diagnosed"};
    rllc_json *j = rllc_report_parse(e->diagnosis_json);
    const int64_t grade = rllc_json_to_integer(rllc_json_get(j, "grade"), UNKNOWN);
    const rllc_json *findings = rllc_json_get(j, "findings");
    if (grade < GOOD || grade > FAILED) goto done;
    out->grade = (int)grade;
    for (int64_t i = 0; i < rllc_json_length(findings) && grade > GOOD; i++) {
        const rllc_json *f = rllc_json_at(findings, i);
        const char *verdict = rllc_json_text(rllc_json_get(f, "verdict"));
        const char *sentence = rllc_json_text(rllc_json_get(f, "sentence"));
        if (!verdict || !sentence || strcmp(verdict, out->verdict) != 0) continue;
        status = rllc_string_add(&out->sentence, sentence);
        break;
    }
done:
    rllc_json_free(j);
    return status;
}

/* ---- counts ---------------------------------------------------------------------------------------------- */

static rllc_status add_summary(rllc_string *out, const judgement *all, int64_t n) {
    rllc_status status = RLLC_OK;
    int64_t count[GRADES] = {0};
    for (int64_t i = 0; i < n; i++) count[all[i].grade]++;
    RLLC_TRY(rllc_string_printf(out, "<p>Of %lld estimates <b>%lld are good</b>, %lld doubtful, %lld failed",
                                (long long)n, (long long)count[GOOD], (long long)count[DOUBTFUL],
                                (long long)count[FAILED]));
    if (count[UNKNOWN])
        RLLC_TRY(rllc_string_printf(out, ", %lld not diagnosed (rllc estimate RUN)", (long long)count[UNKNOWN]));
    RLLC_TRY(rllc_string_add(
        out, ". A verdict is about the chains: whether they stayed finite, found w* to be a minimum, agree, "
             "have settled, and are precise enough, and what the step size and the minibatches add. "
             "<code>rllc diagnose RUN</code> says it for each estimate, with what to do.</p>\n"));
done:
    return status;
}

/* The verdicts other than good, by how many estimates have them, each with one example. */
static rllc_status add_reasons(rllc_string *out, const rllc_report_curves *c, const judgement *all) {
    rllc_status status = RLLC_OK;
    const char *told[EXAMPLES];
    int n_told = 0;
    RLLC_TRY(rllc_string_add(out, "<ul>\n"));
    for (int64_t s = 0; s < c->n_settings; s++)
        for (int64_t k = 0; k < c->settings[s].n_curves; k++) {
            const rllc_report_curve *curve = &c->settings[s].curves[k];
            for (int64_t i = curve->first; i < curve->first + curve->n; i++) {
                int64_t same = 0;
                bool seen = all[i].grade == GOOD || all[i].grade == UNKNOWN || n_told == EXAMPLES;
                for (int t = 0; t < n_told && !seen; t++) seen = strcmp(told[t], all[i].verdict) == 0;
                if (seen) continue;
                told[n_told++] = all[i].verdict;
                for (int64_t j = 0; j < c->n_points; j++) same += strcmp(all[j].verdict, all[i].verdict) == 0;
                RLLC_TRY(rllc_string_printf(out, "<li><b>%s: %lld</b>, for example ", all[i].verdict, (long long)same));
                RLLC_TRY(rllc_markup_escape(out, curve->label));
                RLLC_TRY(rllc_string_printf(out, " on %s at step %.0f: ", c->settings[s].corpus, c->step[i]));
                RLLC_TRY(rllc_markup_escape(out, rllc_string_text(&all[i].sentence)));
                RLLC_TRY(rllc_string_add(out, ".</li>\n"));
            }
        }
    RLLC_TRY(rllc_string_add(out, "</ul>\n"));
done:
    return status;
}

/* ---- grid -------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The steps of a setting's curves, ascending, each once. */
static rllc_status list_steps(const rllc_report_curves *c, const rllc_report_setting *s, double **steps, int64_t *n) {
    rllc_status status = RLLC_OK;
    int64_t all = 0, kept = 0;
    for (int64_t k = 0; k < s->n_curves; k++) all += s->curves[k].n;
    RLLC_TRY(rllc_alloc(steps, all, sizeof **steps));
    all = 0;
    for (int64_t k = 0; k < s->n_curves; k++)
        for (int64_t i = 0; i < s->curves[k].n; i++) (*steps)[all++] = c->step[s->curves[k].first + i];
    qsort(*steps, (size_t)all, sizeof **steps, by_value);
    for (int64_t i = 0; i < all; i++)
        if (i == 0 || (*steps)[i] > (*steps)[kept - 1]) (*steps)[kept++] = (*steps)[i];
    *n = kept;
done:
    return status;
}

static rllc_status add_cell(rllc_string *out, const judgement *j, double step, const char *label) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_printf(out, "<td class=\"g %s\" title=\"", grade_names[j->grade]));
    RLLC_TRY(rllc_markup_escape(out, label));
    RLLC_TRY(rllc_string_printf(out, ", step %.0f: %s", step, j->verdict));
    if (j->sentence.length) RLLC_TRY(rllc_string_add(out, " - "));
    RLLC_TRY(rllc_markup_escape(out, rllc_string_text(&j->sentence)));
    /* a mark besides the colour: for eyes and printers that do not tell them apart */
    RLLC_TRY(rllc_string_printf(out, "\">%s</td>", j->grade == FAILED ? "\xC3\x97" : j->grade == DOUBTFUL ? "?" : ""));
done:
    return status;
}

static rllc_status add_row(rllc_string *out, const rllc_report_curves *c, const rllc_report_curve *curve,
                           const judgement *all, const double *steps, int64_t n) {
    rllc_status status = RLLC_OK;
    int64_t i = curve->first;
    RLLC_TRY(rllc_string_add(out, "<tr><th>"));
    RLLC_TRY(rllc_markup_escape(out, curve->label));
    RLLC_TRY(rllc_string_add(out, "</th>"));
    for (int64_t k = 0; k < n; k++) {
        if (i < curve->first + curve->n && !(c->step[i] > steps[k])) {
            RLLC_TRY(add_cell(out, &all[i], steps[k], curve->label));
            i++;
        } else {
            RLLC_TRY(rllc_string_add(out, "<td class=\"g\"></td>"));
        }
    }
    RLLC_TRY(rllc_string_add(out, "</tr>\n"));
done:
    return status;
}

static rllc_status add_grid(rllc_string *out, const rllc_report_curves *c, const rllc_report_setting *s,
                            const judgement *all) {
    rllc_status status = RLLC_OK;
    double *steps = NULL;
    int64_t n = 0;
    RLLC_TRY(list_steps(c, s, &steps, &n));
    RLLC_TRY(rllc_string_printf(out, "<div class=\"wide\"><table class=\"grid\"><caption>Seed %llu, corpus ",
                                (unsigned long long)s->seed));
    RLLC_TRY(rllc_markup_escape(out, s->corpus));
    RLLC_TRY(rllc_string_printf(out, ": checkpoints from step %.0f to %.0f, left to right</caption>\n<tbody>\n",
                                n ? steps[0] : 0.0, n ? steps[n - 1] : 0.0));
    for (int64_t k = 0; k < s->n_curves; k++) RLLC_TRY(add_row(out, c, &s->curves[k], all, steps, n));
    RLLC_TRY(rllc_string_add(out, "</tbody></table></div>\n"));
done:
    rllc_free(steps);
    return status;
}

rllc_status rllc_report_add_trust(rllc_string *out, const rllc_report_data *d) {
    const rllc_report_curves *c = &d->curves;
    rllc_status status = RLLC_OK;
    judgement *all = NULL;
    if (c->n_points == 0) return RLLC_OK;
    RLLC_TRY(rllc_alloc(&all, c->n_points, sizeof *all));
    for (int64_t i = 0; i < c->n_points; i++) RLLC_TRY(read_judgement(&c->estimates[c->order[i]], &all[i]));
    RLLC_TRY(rllc_string_add(out, "<section id=\"trust\">\n<h2>How far to trust it</h2>\n"));
    RLLC_TRY(add_summary(out, all, c->n_points));
    RLLC_TRY(add_reasons(out, c, all));
    RLLC_TRY(rllc_string_add(
        out, "<p class=\"legend\"><span class=\"g good\"></span> good <span class=\"g doubtful\">?</span> "
             "doubtful <span class=\"g failed\">\xC3\x97</span> failed; hover for the reason.</p>\n"));
    for (int64_t s = 0; s < c->n_settings; s++) RLLC_TRY(add_grid(out, c, &c->settings[s], all));
    RLLC_TRY(rllc_string_add(out, "</section>\n"));
done:
    for (int64_t i = 0; all && i < c->n_points; i++) rllc_string_release(&all[i].sentence);
    rllc_free(all);
    return status;
}
