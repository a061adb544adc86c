/* report: what the figures share - captions, file stems, common axes, thinning. */
#include "report/internal.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

/* ---- words ----------------------------------------------------------------------------------------------- */

/* "key value" of an option, if it is there. */
static rllc_status add_option(rllc_string *out, const rllc_json *options, const char *key, const char *shown) {
    rllc_status status = RLLC_OK;
    const rllc_json *value = rllc_report_find(options, key);
    if (!value) return RLLC_OK;
    RLLC_TRY(rllc_string_printf(out, ", %s", shown));
    RLLC_TRY(rllc_report_add_scalar(out, value));
done:
    return status;
}

static rllc_status add_options(rllc_string *out, const char *options_json) {
    rllc_status status = RLLC_OK;
    rllc_json *options = rllc_report_parse(options_json);
    long long chains = rllc_json_to_integer(rllc_report_find(options, "num_chains"), 0);
    long long draws = rllc_json_to_integer(rllc_report_find(options, "num_draws"), 0);
    const char *sampler = rllc_json_text(rllc_json_get(rllc_json_get(options, "sampler"), "sampler"));
    RLLC_TRY(rllc_string_add(out, sampler ? sampler : "sampler as stored"));
    if (chains && draws) RLLC_TRY(rllc_string_printf(out, ", %lld chains of %lld draws", chains, draws));
    RLLC_TRY(add_option(out, options, "lr", "lr "));
    RLLC_TRY(add_option(out, options, "nbeta", "n\xCE\xB2 "));
    RLLC_TRY(add_option(out, options, "localization", "localization "));
    RLLC_TRY(add_option(out, options, "batch_size", "batch size "));
    RLLC_TRY(add_option(out, options, "num_burnin_steps", "burn-in "));
    RLLC_TRY(add_option(out, options, "batches", "batches "));
    RLLC_TRY(rllc_string_add(out, "."));
done:
    rllc_json_free(options);
    return status;
}

rllc_status rllc_report_describe(const rllc_report_setting *const *settings, int64_t n, rllc_string *out) {
    rllc_status status = RLLC_OK;
    for (int64_t i = 0; i < n; i++) {
        const rllc_report_setting *s = settings[i], *before = NULL;
        for (int64_t k = 0; k < i && !before; k++)
            if (strcmp(settings[k]->options_json, s->options_json) == 0) before = settings[k];
        if (before) continue; /* named with the first of its kind */
        if (i) RLLC_TRY(rllc_string_add(out, " "));
        for (int64_t k = i; k < n; k++) {
            const rllc_report_setting *t = settings[k];
            if (strcmp(t->options_json, s->options_json) != 0) continue;
            bool new_seed = !before || before->seed != t->seed;
            if (new_seed)
                RLLC_TRY(rllc_string_printf(out, "%s %llu, corpus ", before ? "; seed" : "Seed",
                                            (unsigned long long)t->seed));
            RLLC_TRY(rllc_string_printf(out, "%s%s (%s)", new_seed ? "" : ", ", t->corpus,
                                        !rllc_report_is_next_token(t) ? "a reference model's answers"
                                        : t->refined_data             ? "not trained on"
                                                                      : "the training corpus"));
            before = t;
        }
        RLLC_TRY(rllc_string_add(out, ": "));
        RLLC_TRY(add_options(out, s->options_json));
    }
done:
    return status;
}

int rllc_report_columns(int64_t n_panels) {
    return n_panels <= 3 ? (int)n_panels : n_panels % 3 == 0 || n_panels > 4 ? 3 : 2;
}

int rllc_report_score_rank(const char *metric) {
    static const char *const order[] = {"previous_token", "current_token", "prefix_matching", "induction"};
    int i = 0, n = (int)(sizeof order / sizeof *order);
    while (i < n && strcmp(metric, order[i]) != 0) i++;
    return i;
}

const char *rllc_report_words(const char *metric) {
    char text[128];
    snprintf(text, sizeof text, "%s", metric);
    for (char *c = text; *c; c++)
        if (*c == '_') *c = ' ';
    return rllc_intern(text);
}

rllc_status rllc_report_add_stem(rllc_string *out, const char *text) {
    rllc_status status = RLLC_OK;
    for (int n = 0; *text && n < 60 && status == RLLC_OK; text++, n++) {
        unsigned char c = (unsigned char)*text;
        status = c < 0x80 && (isalnum(c) || c == '.') ? rllc_string_add_bytes(out, text, 1) : rllc_string_add(out, "-");
    }
    return status;
}

rllc_status rllc_report_draw(const rllc_report_context *c, const rllc_figure *f, rllc_string *stems) {
    rllc_status status = rllc_figure_draw(f, c->folder);
    if (status == RLLC_OK) return rllc_string_printf(stems, "%s\n", f->name);
    if (status != RLLC_EUNSUPPORTED && status != RLLC_EFAIL) return status;
    if (*c->undrawn != RLLC_OK) return RLLC_OK;
    *c->undrawn = status;
    return rllc_string_add(c->why, rllc_error_detail());
}

/* ---- axes and points ------------------------------------------------------------------------------------- */

static void widen(double *low, double *high, const double *values, int64_t n) {
    for (int64_t k = 0; values && k < n; k++) {
        if (!isfinite(values[k])) continue;
        *low = fmin(*low, values[k]);
        *high = fmax(*high, values[k]);
    }
}

void rllc_report_share_y(rllc_panel *panels, int64_t n, bool zero) {
    double low = zero ? 0.0 : INFINITY, high = zero ? 0.0 : -INFINITY;
    for (int64_t p = 0; p < n; p++)
        for (int64_t i = 0; i < panels[p].n; i++) {
            const rllc_series *s = &panels[p].series[i];
            widen(&low, &high, s->y, s->n);
            widen(&low, &high, s->low, s->n);
            widen(&low, &high, s->high, s->n);
        }
    double span = high - low;
    if (!(span > 0.0) || !isfinite(span)) return; /* nothing, or one value: each panel finds its own range */
    for (int64_t p = 0; p < n; p++) {
        panels[p].has_y_range = true;
        panels[p].y_low = low == 0.0 ? 0.0 : low - 0.05 * span;
        panels[p].y_high = high == 0.0 ? 0.0 : high + 0.05 * span;
    }
}

int64_t rllc_report_thin(double *x, double *y, int64_t n, int64_t most, bool log_x) {
    if (n <= most || most < 1) return n;
    double first = log_x ? log10(x[0] + 1.0) : x[0], last = log_x ? log10(x[n - 1] + 1.0) : x[n - 1];
    if (!isfinite(first) || !isfinite(last) || !(last > first)) return n;
    int64_t kept = 0;
    for (int64_t i = 0; i < n;) {
        double at = log_x ? log10(x[i] + 1.0) : x[i], sum_x = 0.0, sum_y = 0.0;
        int64_t bin = (int64_t)((at - first) / (last - first) * (double)most), from = i;
        for (; i < n; i++) {
            at = log_x ? log10(x[i] + 1.0) : x[i];
            if ((int64_t)((at - first) / (last - first) * (double)most) != bin && i > from) break;
            sum_x += x[i];
            sum_y += y[i];
        }
        x[kept] = sum_x / (double)(i - from);
        y[kept++] = sum_y / (double)(i - from);
    }
    return kept;
}
