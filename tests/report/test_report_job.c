/* report: the job around the page - no gnuplot, stopping, one figure alone, what it tells. */
#include "report/synthetic.h"

static void test_without_gnuplot_page_and_data_are_written(void **state) {
    rllc_store *s = synthetic_store(state, &synthetic_default);
    char *old = strdup(getenv("PATH"));
    setenv("PATH", *state, 1);
    rllc_status status = rllc_report_write(s, *state, NULL);
    setenv("PATH", old, 1);
    free(old);
    assert_int_equal(status, RLLC_EUNSUPPORTED);
    assert_non_null(strstr(rllc_error_detail(), "apt-get install gnuplot-nox"));
    char *page = page_of(state);
    free(assert_well_formed(page));
    assert_has(page, "Could not be drawn");
    assert_has(page, "apt-get install gnuplot-nox");
    assert_false(has(page, "<svg"));
    static const char *const data[] = {
        "loss", "wrllc-seed1-mix",  "wdrllc-seed1-code",      "wdrllc-seed1-arxiv-abstracts", "scores-seed1",
        "full", "components-seed1", "traces-seed1-mix-layer1"};
    for (size_t i = 0; i < sizeof data / sizeof *data; i++) {
        char name[100];
        snprintf(name, sizeof name, "figures/%s.csv", data[i]);
        char *csv = read_text(*state, name);
        if (!csv) fail_msg("%s was not written", name);
        free(csv);
    }
    free(page);
    rllc_store_close(s);
}

static bool stop_at_once(void *context) {
    return --*(int *)context < 0;
}

static void test_stopping_leaves_the_old_page(void **state) {
    rllc_store *s = synthetic_store(state, &synthetic_default);
    char path[512];
    snprintf(path, sizeof path, "%s/report.html", (char *)*state);
    for (int after = 0; after < 8; after++) {
        int left = after;
        rllc_monitor m = {.context = &left, .stop = stop_at_once};
        assert_ok(rllc_file_write(path, "old", 3));
        assert_int_equal(rllc_report_write(s, *state, &m), RLLC_ESTOPPED);
        char *page = page_of(state);
        assert_string_equal(page, "old");
        free(page);
    }
    rllc_store_close(s);
}

static void test_one_figure_alone(void **state) {
    rllc_store *s = synthetic_store(state, &synthetic_default);
    char folder[512], page[512];
    snprintf(folder, sizeof folder, "%s/drawn", (char *)*state);
    snprintf(page, sizeof page, "%s/report.html", (char *)*state);
    rllc_report_job job = {.store = s, .figures = folder, .only = "heads_other"};
    rllc_json *result = NULL;
    assert_ok(rllc_report_run(&job, &result));
    const rllc_json *figures = rllc_json_get(result, "figures");
    assert_int_equal(rllc_json_length(figures), 1);
    const rllc_json *files = rllc_json_get(rllc_json_at(figures, 0), "files");
    assert_int_equal(rllc_json_length(files), 2);
    for (int i = 0; i < 2; i++) assert_true(rllc_file_exists(rllc_json_text(rllc_json_at(files, i))));
    assert_int_equal(rllc_json_length(rllc_json_get(result, "missing")), 0);
    assert_null(rllc_json_get(result, "page"));
    rllc_json_free(result);
    char **names;
    int64_t n;
    assert_ok(rllc_folder_list(folder, &names, &n));
    assert_int_equal(n, 6); /* two figures of three files, nothing else */
    rllc_names_free(names, n);
    job.only = "head";
    assert_int_equal(rllc_report_run(&job, &result), RLLC_EUSAGE);
    assert_null(result);
    assert_non_null(strstr(rllc_error_detail(), "did you mean 'heads'?"));
    rllc_store_close(s);
}

static void test_result_lists_what_is_missing(void **state) {
    synthetic_options o = synthetic_default;
    o.components = "";
    o.scores = false;
    rllc_store *s = synthetic_store(state, &o);
    char folder[512], page[512];
    snprintf(folder, sizeof folder, "%s/drawn", (char *)*state);
    snprintf(page, sizeof page, "%s/page.html", (char *)*state);
    const rllc_report_job job = {.store = s, .figures = folder, .page = page};
    rllc_json *result = NULL;
    assert_ok(rllc_report_run(&job, &result));
    assert_string_equal(rllc_json_text(rllc_json_get(result, "page")), page);
    const rllc_json *missing = rllc_json_get(result, "missing");
    static const char *const names[] = {"scores", "full", "components"};
    assert_int_equal(rllc_json_length(missing), 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(rllc_json_text(rllc_json_get(rllc_json_at(missing, i), "name")), names[i]);
        assert_non_null(strstr(rllc_json_text(rllc_json_get(rllc_json_at(missing, i), "reason")), "rllc "));
    }
    rllc_json_free(result);
    const rllc_report_job nowhere = {.store = s, .figures = folder, .page = "/proc/no/page.html"};
    assert_int_equal(rllc_report_run(&nowhere, NULL), RLLC_EIO);
    rllc_store_close(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_SCRATCH(test_without_gnuplot_page_and_data_are_written),
        WITH_SCRATCH(test_stopping_leaves_the_old_page),
        WITH_SCRATCH(test_one_figure_alone),
        WITH_SCRATCH(test_result_lists_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
