/* report: draws the figures, writes the page, tells what was made. */
#include "report/internal.h"

#include <string.h>

#define RLLC_REPORT_FIGURE(identifier) extern const rllc_report_figure rllc_report_figure_##identifier;
#include "report/figures.def"
#undef RLLC_REPORT_FIGURE

static const rllc_report_figure *const figures[] = {
#define RLLC_REPORT_FIGURE(identifier) &rllc_report_figure_##identifier,
#include "report/figures.def"
#undef RLLC_REPORT_FIGURE
};
enum { N_FIGURES = sizeof figures / sizeof *figures };

const rllc_report_figure *const *rllc_report_figure_list(int *n) {
    *n = N_FIGURES;
    return figures;
}

/* ---- drawing --------------------------------------------------------------------------------------------- */

static rllc_status check_only(const char *only) {
    const char *names[N_FIGURES];
    if (!only) return RLLC_OK;
    for (int i = 0; i < N_FIGURES; i++) {
        names[i] = figures[i]->name;
        if (strcmp(only, names[i]) == 0) return RLLC_OK;
    }
    rllc_string list = {0};
    rllc_status status = RLLC_OK;
    for (int i = 0; i < N_FIGURES; i++) RLLC_TRY(rllc_string_printf(&list, "%s%s", i ? ", " : "", names[i]));
    const char *near = rllc_nearest(only, names, N_FIGURES);
    status = near ? rllc_fail(RLLC_EUSAGE, "no figure is called '%s'; did you mean '%s'? There are: %s", only, near,
                              list.data)
                  : rllc_fail(RLLC_EUSAGE, "no figure is called '%s'; there are: %s", only, list.data);
done:
    rllc_string_release(&list);
    return status;
}

static rllc_status stopped(const rllc_report_job *job) {
    return rllc_should_stop(job->monitor) ? rllc_fail(RLLC_ESTOPPED, "stopped before the report was written; run the "
                                                                     "same command again")
                                          : RLLC_OK;
}

/* Missing data and a missing gnuplot are results; a full disk or a broken store ends the report. */
static rllc_status draw_one(const rllc_report_job *job, const rllc_report_figure *figure, rllc_report_made *made) {
    *made = (rllc_report_made){.figure = figure};
    const rllc_report_context context = {
        .store = job->store, .folder = job->figures, .undrawn = &made->undrawn, .why = &made->missing};
    rllc_status status = figure->draw(&context, &made->stems);
    if (status == RLLC_ENOTFOUND) return rllc_string_add(&made->missing, rllc_error_detail());
    if (status != RLLC_OK) return rllc_fail_within(status, "figure %s", figure->name);
    if (made->undrawn == RLLC_OK) return RLLC_OK;
    rllc_string_clear(&made->stems); /* of several pictures some may be there: all or none is shown */
    return stopped(job);             /* Ctrl-C ends gnuplot too */
}

static rllc_status draw_all(const rllc_report_job *job, rllc_report_made *made, int *n_made) {
    rllc_status status = RLLC_OK;
    for (int i = 0; i < N_FIGURES; i++) {
        if (job->only && strcmp(job->only, figures[i]->name) != 0) continue;
        RLLC_TRY(stopped(job));
        rllc_report_progress(job->monitor, "report", "figure", i, N_FIGURES, "%s", figures[i]->name);
        RLLC_TRY(draw_one(job, figures[i], &made[(*n_made)++]));
    }
    rllc_report_progress(job->monitor, "report", "figure", N_FIGURES, N_FIGURES, "%s", "");
done:
    return status;
}

/* ---- what was made --------------------------------------------------------------------------------------- */

static rllc_status files_of(const rllc_report_made *made, const char *folder, rllc_json **out) {
    rllc_status status = RLLC_OK;
    rllc_string path = {0};
    rllc_json *list = rllc_json_array();
    for (const char *stem = rllc_string_text(&made->stems); *stem;) {
        size_t n = strcspn(stem, "\n");
        rllc_string_clear(&path);
        RLLC_TRY(rllc_string_printf(&path, "%s/%.*s.svg", folder, (int)n, stem));
        RLLC_TRY(rllc_json_append(list, rllc_json_string(path.data)));
        stem += n + (stem[n] == '\n');
    }
    *out = list;
    list = NULL;
done:
    rllc_string_release(&path);
    rllc_json_free(list);
    return status;
}

static rllc_status tell(const rllc_report_job *job, const rllc_report_made *made, int n_made, rllc_json **result) {
    rllc_status status = RLLC_OK;
    rllc_json *all = rllc_json_object(), *drawn = rllc_json_array(), *missing = rllc_json_array();
    for (int i = 0; i < n_made; i++) {
        bool has = made[i].stems.length > 0;
        rllc_json *one = rllc_json_object(), *files = NULL;
        status = rllc_json_append(has ? drawn : missing, one); /* taken over; still ours to fill */
        if (status == RLLC_OK) status = rllc_json_set(one, "name", rllc_json_string(made[i].figure->name));
        if (status == RLLC_OK) status = rllc_json_set(one, "title", rllc_json_string(made[i].figure->title));
        if (status == RLLC_OK && !has)
            status = rllc_json_set(one, "reason", rllc_json_string(rllc_string_text(&made[i].missing)));
        if (status == RLLC_OK && has) status = files_of(&made[i], job->figures, &files);
        if (status == RLLC_OK && has) status = rllc_json_set(one, "files", files);
        if (status != RLLC_OK) goto done;
    }
    if (job->page && !job->only) RLLC_TRY(rllc_json_set(all, "page", rllc_json_string(job->page)));
    status = rllc_json_set(all, "figures", drawn);
    drawn = NULL;
    if (status == RLLC_OK) {
        status = rllc_json_set(all, "missing", missing);
        missing = NULL;
    }
    if (status == RLLC_OK) {
        *result = all;
        all = NULL;
    }
done:
    rllc_json_free(all);
    rllc_json_free(drawn);
    rllc_json_free(missing);
    return status;
}

/* ---- the report ------------------------------------------------------------------------------------------ */

static rllc_status write_page(const rllc_report_job *job, const rllc_report_data *d, const rllc_report_made *made,
                              int n_made) {
    rllc_string page = {0};
    rllc_status status = rllc_report_page(d, made, n_made, job->figures, &page);
    if (status == RLLC_OK) status = rllc_file_write(job->page, page.data, page.length);
    rllc_string_release(&page);
    return status;
}

rllc_status rllc_report_run(const rllc_report_job *job, rllc_json **result) {
    rllc_status status = RLLC_OK;
    rllc_report_made made[N_FIGURES] = {0};
    rllc_report_data d = {0};
    int n_made = 0;
    if (result) *result = NULL;
    RLLC_TRY(check_only(job->only));
    RLLC_TRY(rllc_report_data_load(&d, job->store));
    if (d.n_training + d.n_scores + d.n_cells == 0) {
        status = rllc_fail(RLLC_ENOTFOUND, "there is nothing to report yet: the store holds no training curve, no "
                                           "score and no sampling; rllc run CONFIG or rllc train makes them");
        goto done;
    }
    RLLC_TRY(rllc_make_folders(job->figures));
    RLLC_TRY(draw_all(job, made, &n_made));
    RLLC_TRY(stopped(job));
    if (job->page && !job->only) RLLC_TRY(write_page(job, &d, made, n_made));
    if (result) RLLC_TRY(tell(job, made, n_made, result));
    if (job->only && made[0].missing.length && made[0].undrawn == RLLC_OK)
        status = rllc_fail(RLLC_ENOTFOUND, "figure %s: %s", job->only, made[0].missing.data);
    for (int i = 0; i < n_made && status == RLLC_OK; i++)
        if (made[i].undrawn != RLLC_OK) status = rllc_fail(made[i].undrawn, "%s", made[i].missing.data);
done:
    for (int i = 0; i < n_made; i++) {
        rllc_string_release(&made[i].stems);
        rllc_string_release(&made[i].missing);
    }
    rllc_report_data_release(&d);
    return status;
}

rllc_status rllc_report_write(rllc_store *store, const char *folder, const rllc_monitor *monitor) {
    rllc_status status = RLLC_OK;
    rllc_string drawings = {0}, page = {0};
    RLLC_TRY(rllc_string_printf(&drawings, "%s/figures", folder));
    RLLC_TRY(rllc_string_printf(&page, "%s/report.html", folder));
    const rllc_report_job job = {.store = store, .figures = drawings.data, .page = page.data, .monitor = monitor};
    RLLC_TRY(rllc_report_run(&job, NULL));
done:
    rllc_string_release(&drawings);
    rllc_string_release(&page);
    return status;
}
