/* report: what was measured and how - estimator, sampler settings, model, training. */
#include "report/internal.h"

#include <math.h>
#include <string.h>

/* ---- JSON objects as lists of keys ----------------------------------------------------------------------- */

static rllc_status add_pair(void *context, const char *key, const rllc_json *value) {
    rllc_string *out = context, text = {0};
    rllc_status status = RLLC_OK;
    if (rllc_json_is_object(value)) return rllc_json_each(value, add_pair, out);
    if (rllc_json_is_array(value))
        RLLC_TRY(rllc_json_print(value, 0, false, &text));
    else
        RLLC_TRY(rllc_report_add_scalar(&text, value));
    RLLC_TRY(rllc_string_add(out, "<div><dt>"));
    RLLC_TRY(rllc_markup_escape(out, key));
    RLLC_TRY(rllc_string_add(out, "</dt><dd>"));
    RLLC_TRY(rllc_markup_escape(out, rllc_string_text(&text)));
    RLLC_TRY(rllc_string_add(out, "</dd></div>\n"));
done:
    rllc_string_release(&text);
    return status;
}

/* Every scalar of the record, nested ones too; a record that is not an object is shown as it is. */
static rllc_status add_keys(rllc_string *out, const char *record) {
    rllc_status status = RLLC_OK;
    rllc_json *j = rllc_report_parse(record);
    if (rllc_json_is_object(j)) {
        RLLC_TRY(rllc_string_add(out, "<dl class=\"keys\">\n"));
        RLLC_TRY(rllc_json_each(j, add_pair, out));
        RLLC_TRY(rllc_string_add(out, "</dl>\n"));
    } else {
        RLLC_TRY(rllc_string_add(out, "<pre>"));
        RLLC_TRY(rllc_markup_escape(out, record));
        RLLC_TRY(rllc_string_add(out, "</pre>\n"));
    }
done:
    rllc_json_free(j);
    return status;
}

/* ---- sampling -------------------------------------------------------------------------------------------- */

static const char estimator[] =
    "<p>Each estimate comes from chains of stochastic gradient Langevin dynamics (SGLD) that start at the "
    "checkpoint\xE2\x80\x99s weights w* and move the component only, held near w* by a Gaussian of precision "
    "<i>localization</i>:</p>\n"
    "<p><code>w \xE2\x86\x90 w \xE2\x88\x92 lr/2 \xC2\xB7 (n\xCE\xB2 \xC2\xB7 \xE2\x88\x87L(w) + localization \xC2\xB7 "
    "(w \xE2\x88\x92 w*)) + \xE2\x88\x9Alr \xC2\xB7 noise_level \xC2\xB7 \xCE\xBE</code></p>\n"
    "<p><code>llc_mean = n\xCE\xB2 \xC2\xB7 mean over draws of (L(w) \xE2\x88\x92 L(w*))</code>, both losses on the "
    "draw\xE2\x80\x99s own minibatch, then the mean over chains. <code>llc_mean_init</code> takes one L(w*) from the "
    "initial batches instead, as is conventional; it carries the noise of those batches. <b>sd</b> is the standard "
    "deviation over chains (with n \xE2\x88\x92 1), <b>\xC2\xB1</b> the standard error of the mean. Chains are dealt "
    "to streams of minibatches (<i>batches</i>); where chains share a stream, the standard error is taken from the "
    "spread between streams if that is the larger.</p>\n";

static bool same_options(const rllc_report_setting *a, const rllc_report_setting *b) {
    return strcmp(a->options_json, b->options_json) == 0 && strcmp(a->loss_kind, b->loss_kind) == 0;
}

static rllc_status add_setting(rllc_string *out, const rllc_report_curves *c, int64_t first) {
    rllc_status status = RLLC_OK;
    const rllc_report_setting *s = &c->settings[first];
    int64_t n = 0;
    RLLC_TRY(rllc_string_add(out, "<h3>Sampling on "));
    for (int64_t i = first; i < c->n_settings; i++) { /* each corpus once, then each seed once */
        bool named = !same_options(s, &c->settings[i]);
        for (int64_t k = first; k < i && !named; k++)
            named = same_options(s, &c->settings[k]) && strcmp(c->settings[k].corpus, c->settings[i].corpus) == 0;
        if (named) continue;
        RLLC_TRY(rllc_string_add(out, n++ ? ", " : ""));
        RLLC_TRY(rllc_markup_escape(out, c->settings[i].corpus));
    }
    RLLC_TRY(rllc_string_add(out, " \xC2\xB7 seed"));
    for (int64_t i = first, last = -1; i < c->n_settings; i++) { /* settings are in order of seeds */
        if (!same_options(s, &c->settings[i]) || (last >= 0 && c->settings[last].seed == c->settings[i].seed)) continue;
        RLLC_TRY(rllc_string_printf(out, "%s %llu", last >= 0 ? "," : "", (unsigned long long)c->settings[i].seed));
        last = i;
    }
    RLLC_TRY(rllc_string_add(out, "</h3>\n<p>Loss: "));
    RLLC_TRY(rllc_string_add(out, rllc_report_is_next_token(s)
                                      ? "next-token cross-entropy, nats per token"
                                      : "KL divergence from the predictions of a reference model, nats per token, "));
    if (!rllc_report_is_next_token(s)) RLLC_TRY(rllc_markup_escape(out, s->loss_kind));
    RLLC_TRY(rllc_string_add(out, ".</p>\n"));
    RLLC_TRY(add_keys(out, s->options_json));
done:
    return status;
}

static rllc_status add_sampling(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    const rllc_report_curves *c = &d->curves;
    if (c->n_settings == 0) return RLLC_OK;
    RLLC_TRY(rllc_string_add(out, estimator));
    for (int64_t i = 0; i < c->n_settings; i++) {
        bool seen = false;
        for (int64_t k = 0; k < i && !seen; k++) seen = same_options(&c->settings[k], &c->settings[i]);
        if (!seen) RLLC_TRY(add_setting(out, c, i));
    }
done:
    return status;
}

/* ---- training -------------------------------------------------------------------------------------------- */

/* The last value of a training curve of a seed, NaN if there is none. */
static rllc_status last_value(rllc_store *store, const char *metric, uint64_t seed, double *value) {
    rllc_store_point *points = NULL;
    int64_t n = 0;
    rllc_status status = rllc_store_training(store, metric, &points, &n);
    *value = NAN;
    for (int64_t i = 0; i < n; i++)
        if (points[i].seed == seed) *value = points[i].value;
    rllc_free(points);
    return status;
}

static rllc_status add_seed_row(rllc_string *out, const rllc_report_data *d, int64_t first) {
    static const char *const losses[] = {"train_loss", "validation_loss"};
    rllc_status status = RLLC_OK;
    uint64_t seed = d->checkpoints[first].seed;
    int64_t last = first;
    double value;
    while (last + 1 < d->n_checkpoints && d->checkpoints[last + 1].seed == seed) last++;
    RLLC_TRY(rllc_string_printf(out, "<tr><td class=\"n\">%llu</td><td class=\"n\">", (unsigned long long)seed));
    RLLC_TRY(rllc_report_add_count(out, last - first + 1));
    RLLC_TRY(rllc_string_add(out, "</td><td class=\"n\">"));
    RLLC_TRY(rllc_report_add_count(out, d->checkpoints[last].step));
    RLLC_TRY(rllc_string_add(out, "</td>"));
    RLLC_TRY(last_value(d->store, "tokens", seed, &value));
    RLLC_TRY(rllc_string_add(out, "<td class=\"n\">"));
    RLLC_TRY(isfinite(value) && fabs(value) < 9e15 ? rllc_report_add_count(out, (int64_t)value)
                                                   : rllc_report_add_number(out, value, 0));
    RLLC_TRY(rllc_string_add(out, "</td>"));
    for (int i = 0; i < 2; i++) {
        RLLC_TRY(last_value(d->store, losses[i], seed, &value));
        RLLC_TRY(rllc_string_add(out, "<td class=\"n\">"));
        RLLC_TRY(rllc_report_add_number(out, value, 3));
        RLLC_TRY(rllc_string_add(out, "</td>"));
    }
    RLLC_TRY(last_value(d->store, "seconds", seed, &value));
    RLLC_TRY(rllc_string_add(out, "<td class=\"n\">"));
    RLLC_TRY(rllc_report_add_duration(out, value));
    RLLC_TRY(rllc_string_add(out, "</td></tr>\n"));
done:
    return status;
}

static rllc_status add_training(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    if (d->n_checkpoints == 0) return RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "<h3>Training</h3>\n<div class=\"wide\"><table>\n<thead><tr><th "
                                  "class=\"n\">seed</th><th class=\"n\">checkpoints</th><th class=\"n\">last "
                                  "step</th><th class=\"n\">tokens</th><th class=\"n\">training loss</th><th "
                                  "class=\"n\">validation loss</th><th class=\"n\">time</th></tr></thead>\n<tbody>\n"));
    for (int64_t i = 0; i < d->n_checkpoints; i++)
        if (i == 0 || d->checkpoints[i].seed != d->checkpoints[i - 1].seed) RLLC_TRY(add_seed_row(out, d, i));
    RLLC_TRY(rllc_string_add(out, "</tbody>\n</table></div>\n<h3>Model</h3>\n"));
    for (int64_t i = 0; i < d->n_checkpoints; i++) { /* normally all checkpoints have one shape; texts are interned */
        bool seen = false;
        for (int64_t k = i - 1; k >= 0 && !seen; k--)
            seen = d->checkpoints[k].model_json == d->checkpoints[i].model_json;
        if (!seen) RLLC_TRY(add_keys(out, d->checkpoints[i].model_json));
    }
done:
    return status;
}

rllc_status rllc_report_add_method(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "<section id=\"method\">\n<h2>What was measured, and how</h2>\n"));
    RLLC_TRY(add_sampling(out, d));
    RLLC_TRY(add_training(out, d));
    RLLC_TRY(rllc_string_add(out, "</section>\n"));
done:
    return status;
}
