/* report: the page - everything loaded once, then its frame and its figures. */
#include "report/internal.h"

#include <math.h>
#include <string.h>

rllc_status rllc_report_data_load(rllc_report_data *d, rllc_store *store) {
    rllc_status status = RLLC_OK;
    rllc_store_point *points[2] = {NULL, NULL};
    int64_t n[2] = {0, 0};
    *d = (rllc_report_data){.store = store};
    RLLC_TRY(rllc_report_curves_load(&d->curves, store));
    RLLC_TRY(rllc_store_cells(store, &d->cells, &d->n_cells));
    RLLC_TRY(rllc_store_corpora(store, &d->corpora, &d->n_corpora));
    RLLC_TRY(rllc_store_checkpoints(store, &d->checkpoints, &d->n_checkpoints));
    RLLC_TRY(rllc_store_scores(store, NULL, &d->scores, &d->n_scores));
    RLLC_TRY(rllc_store_training(store, "train_loss", &points[0], &n[0]));
    RLLC_TRY(rllc_store_training(store, "validation_loss", &points[1], &n[1]));
    d->n_training = n[0] + n[1];
done:
    rllc_free(points[0]);
    rllc_free(points[1]);
    if (status != RLLC_OK) rllc_report_data_release(d);
    return status;
}

void rllc_report_data_release(rllc_report_data *d) {
    rllc_report_curves_release(&d->curves);
    rllc_free(d->cells);
    rllc_free(d->corpora);
    rllc_free(d->checkpoints);
    rllc_free(d->scores);
    *d = (rllc_report_data){0};
}

/* ---- head ------------------------------------------------------------------------------------------------ */

static rllc_status read_title(const rllc_report_data *d, rllc_string *title) {
    rllc_status status = rllc_store_get_meta(d->store, "title", title);
    if (status == RLLC_ENOTFOUND || (status == RLLC_OK && title->length == 0))
        status = rllc_string_add(title, "Refined local learning coefficients");
    return status;
}

static int64_t count_seeds(const rllc_report_data *d) {
    int64_t n = 0;
    for (int64_t i = 0; i < d->n_checkpoints; i++) n += i == 0 || d->checkpoints[i].seed != d->checkpoints[i - 1].seed;
    return n;
}

static rllc_status add_plural(rllc_string *out, const char *before, int64_t n, const char *one, const char *many) {
    rllc_status status = rllc_string_add(out, before);
    if (status == RLLC_OK) status = rllc_report_add_count(out, n);
    return status == RLLC_OK ? rllc_string_printf(out, " %s", n == 1 ? one : many) : status;
}

/* "2 layers, 4 heads each, d_model 64 · 1 training seed, 14 checkpoints up to step 10,000 · 126 estimates" */
static rllc_status add_subtitle(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    rllc_string preset = {0};
    int64_t last = 0;
    RLLC_TRY(rllc_string_add(out, "<p class=\"sub\">"));
    status = rllc_store_get_meta(d->store, "preset", &preset);
    if (status != RLLC_OK && status != RLLC_ENOTFOUND) goto done;
    if (preset.length) {
        RLLC_TRY(rllc_string_add(out, "Preset "));
        RLLC_TRY(rllc_markup_escape(out, preset.data));
        RLLC_TRY(rllc_string_add(out, " \xC2\xB7 "));
    }
    if (d->n_checkpoints) {
        const rllc_store_checkpoint *c = &d->checkpoints[d->n_checkpoints - 1];
        for (int64_t i = 0; i < d->n_checkpoints; i++)
            last = d->checkpoints[i].step > last ? d->checkpoints[i].step : last;
        RLLC_TRY(add_plural(out, "", c->n_layers, "layer", "layers"));
        RLLC_TRY(add_plural(out, " of ", c->n_heads, "head", "heads"));
        RLLC_TRY(add_plural(out, " \xC2\xB7 ", count_seeds(d), "training seed", "training seeds"));
        RLLC_TRY(add_plural(out, " \xC2\xB7 ", d->n_checkpoints, "checkpoint", "checkpoints"));
        RLLC_TRY(rllc_string_add(out, " up to step "));
        RLLC_TRY(rllc_report_add_count(out, last));
        RLLC_TRY(rllc_string_add(out, " \xC2\xB7 "));
    }
    RLLC_TRY(add_plural(out, "", d->n_corpora, "corpus", "corpora"));
    RLLC_TRY(add_plural(out, " \xC2\xB7 ", d->curves.n_points, "estimate", "estimates"));
    RLLC_TRY(rllc_string_add(out, "</p>\n"));
done:
    rllc_string_release(&preset);
    return status;
}

static rllc_status add_head(rllc_string *out, const rllc_report_data *d) {
    rllc_status status = RLLC_OK;
    rllc_string title = {0};
    RLLC_TRY(read_title(d, &title));
    RLLC_TRY(rllc_string_add(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                                  "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>"));
    RLLC_TRY(rllc_markup_escape(out, title.data));
    RLLC_TRY(
        rllc_string_printf(out, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<header>\n<h1>", rllc_report_css));
    RLLC_TRY(rllc_markup_escape(out, title.data));
    RLLC_TRY(rllc_string_add(out, "</h1>\n"));
    RLLC_TRY(add_subtitle(out, d));
    RLLC_TRY(rllc_string_add(out, "<nav><a href=\"#reading\">How to read this</a> <a href=\"#trust\">Trust</a> <a "
                                  "href=\"#figures\">Figures</a> <a "
                                  "href=\"#values\">Final values</a> <a href=\"#method\">Method</a> <a "
                                  "href=\"#corpora\">Corpora</a> <a href=\"#provenance\">Provenance</a></nav>\n"
                                  "</header>\n<main>\n"));
done:
    rllc_string_release(&title);
    return status;
}

/* ---- figures --------------------------------------------------------------------------------------------- */

/* The SVG element without the XML declaration and the namespaces, which HTML knows by itself. */
static rllc_status add_svg(rllc_string *out, const char *folder, const char *stem, size_t n) {
    static const char *const unwanted[] = {" xmlns=\"http://www.w3.org/2000/svg\"",
                                           " xmlns:xlink=\"http://www.w3.org/1999/xlink\""};
    rllc_status status = RLLC_OK;
    rllc_mapping m = {0};
    rllc_string path = {0}, text = {0};
    RLLC_TRY(rllc_string_printf(&path, "%s/%.*s.svg", folder, (int)n, stem));
    RLLC_TRY(rllc_mapping_open(&m, path.data));
    RLLC_TRY(rllc_string_add_bytes(&text, m.data, m.size));
    const char *svg = strstr(rllc_string_text(&text), "<svg");
    const char *end = svg ? strchr(svg, '>') : NULL;
    if (!end) {
        status = rllc_fail(RLLC_EINPUT, "%s: no <svg> element", path.data);
        goto done;
    }
    for (const char *at = svg; at < end;) {
        size_t skip = 0;
        for (int i = 0; i < 2; i++)
            if (strncmp(at, unwanted[i], strlen(unwanted[i])) == 0) skip = strlen(unwanted[i]);
        if (!skip) RLLC_TRY(rllc_string_add_bytes(out, at, 1));
        at += skip ? skip : 1;
    }
    RLLC_TRY(rllc_string_add(out, end));
done:
    rllc_mapping_close(&m);
    rllc_string_release(&path);
    rllc_string_release(&text);
    return status;
}

static rllc_status add_figure(rllc_string *out, const rllc_report_made *made, const char *folder) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_printf(out, "<h3 id=\"figure-%s\">", made->figure->name));
    RLLC_TRY(rllc_markup_escape(out, made->figure->title));
    RLLC_TRY(rllc_string_add(out, "</h3>\n<p>"));
    RLLC_TRY(rllc_markup_escape(out, made->figure->summary));
    RLLC_TRY(rllc_string_add(out, "</p>\n"));
    for (const char *stem = made->stems.data; *stem;) {
        size_t n = strcspn(stem, "\n");
        RLLC_TRY(rllc_string_add(out, "<figure>\n<div class=\"card\">\n"));
        RLLC_TRY(add_svg(out, folder, stem, n));
        RLLC_TRY(
            rllc_string_printf(out, "</div>\n<figcaption><code>%.*s</code></figcaption>\n</figure>\n", (int)n, stem));
        stem += n + (stem[n] == '\n');
    }
done:
    return status;
}

static rllc_status add_absent(rllc_string *out, const rllc_report_made *made, int n_made, bool failed) {
    rllc_status status = RLLC_OK;
    bool open = false;
    for (int i = 0; i < n_made; i++) {
        if (made[i].stems.length || (made[i].undrawn != RLLC_OK) != failed) continue;
        if (!open)
            RLLC_TRY(rllc_string_add(out, failed ? "<div class=\"note warn\">\n<p><b>Could not be drawn</b></p>\n<ul>\n"
                                                 : "<h3>Not in this report</h3>\n<ul>\n"));
        open = true;
        RLLC_TRY(rllc_string_add(out, "<li><b>"));
        RLLC_TRY(rllc_markup_escape(out, made[i].figure->title));
        RLLC_TRY(rllc_string_add(out, "</b>: "));
        RLLC_TRY(rllc_markup_escape(out, rllc_string_text(&made[i].missing)));
        RLLC_TRY(rllc_string_add(out, "</li>\n"));
    }
    if (open) RLLC_TRY(rllc_string_add(out, failed ? "</ul>\n</div>\n" : "</ul>\n"));
done:
    return status;
}

rllc_status rllc_report_add_figures(rllc_string *out, const rllc_report_made *made, int n_made, const char *figures) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(rllc_string_add(out, "<section id=\"figures\">\n<h2>Figures</h2>\n<p>Under each figure stands the name of "
                                  "its files in the folder of figures: the picture (.svg), its data (.csv) and its "
                                  "gnuplot script (.gp).</p>\n"));
    RLLC_TRY(add_absent(out, made, n_made, true));
    for (int i = 0; i < n_made; i++)
        if (made[i].stems.length) RLLC_TRY(add_figure(out, &made[i], figures));
    RLLC_TRY(add_absent(out, made, n_made, false));
    RLLC_TRY(rllc_string_add(out, "</section>\n"));
done:
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

rllc_status rllc_report_page(const rllc_report_data *d, const rllc_report_made *made, int n_made, const char *figures,
                             rllc_string *out) {
    rllc_status status = RLLC_OK;
    RLLC_TRY(add_head(out, d));
    RLLC_TRY(rllc_report_add_notes(out, d));
    RLLC_TRY(rllc_report_add_trust(out, d));
    RLLC_TRY(rllc_report_add_figures(out, made, n_made, figures));
    RLLC_TRY(rllc_report_add_values(out, d));
    RLLC_TRY(rllc_report_add_method(out, d));
    RLLC_TRY(rllc_report_add_corpora(out, d));
    RLLC_TRY(rllc_report_add_provenance(out, d));
    RLLC_TRY(rllc_string_printf(out,
                                "</main>\n<footer>Written by rllc %s (commit %s) from the run's store alone; nothing "
                                "was computed anew. Method: Wang, Hoogland, van Wingerden, Furman, Murfet, \xE2\x80\x9C"
                                "Differentiation and Specialization of Attention Heads via the Refined Local Learning "
                                "Coefficient\xE2\x80\x9D, ICLR 2025, arXiv "
                                "2410.02984.</footer>\n<script>\n%s</script>\n</body>\n"
                                "</html>\n",
                                RLLC_VERSION, rllc_commit(), rllc_report_js));
done:
    return status;
}
