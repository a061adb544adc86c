/* plot: the three files of a figure, checked from outside. */
#include "plot/support.h"

#include <math.h>

#include "rllc/plot.h"

enum { N = 6 };
static const double steps[N] = {0, 1, 10, 100, 1000, 10000};
static const double rising[N] = {1, 2, 3, 4, 5, 6}, holed[N] = {0.1, 1.0 / 3.0, NAN, -2.5e-7, INFINITY, 7};
static const double low[N] = {0.5, 1.5, 2.5, 3.5, 4.5, 5.5}, high[N] = {1.5, 2.5, 3.5, 4.5, 5.5, 6.5};

static const rllc_series curves[] = {
    {.label = "0:3", .n = N, .x = steps, .y = rising, .low = low, .high = high, .color = 0},
    {.label = HOSTILE, .n = N, .x = steps, .y = holed, .color = 1},
    {.label = NULL, .n = N, .x = steps, .y = low, .color = -1},
    {.label = "second,\nline", .n = N, .x = steps, .y = high, .low = low, .high = high, .color = 9},
};
static const rllc_panel panels[] = {
    {.title = HOSTILE, .x_label = HOSTILE, .y_label = HOSTILE, .log_x = true, .series = curves, .n = 4},
    {.title = "nothing", .x_label = "step", .y_label = "y", .series = NULL, .n = 0},
};
static const rllc_figure figure = {.name = "a_figure-1", .caption = HOSTILE, .panels = panels, .n = 2};

static int setup(void **state) {
    return make_scratch(state);
}

/* ---- CSV ------------------------------------------------------------------------------------------------- */

/* Reads one field of RFC 4180 text into `field`; returns what follows its separator. */
static const char *read_field(const char *at, char *field) {
    size_t n = 0;
    bool quoted = *at == '"';
    if (quoted) at++;
    while (*at && (quoted || (*at != ',' && *at != '\n'))) {
        if (quoted && *at == '"' && at[1] != '"') break;
        assert_true(quoted || *at != '"');
        if (*at == '"') at++;
        field[n++] = *at++;
    }
    field[n] = '\0';
    if (quoted) assert_int_equal(*at++, '"');
    assert_true(*at == ',' || *at == '\n');
    return at + 1;
}

static void assert_number(const char *field, const double *values, int k) {
    char *end;
    if (!values) {
        assert_string_equal(field, "");
        return;
    }
    double read = strtod(field, &end);
    assert_true(*field && *end == '\0');
    assert_true(isnan(values[k]) ? isnan(read) : read == values[k]);
}

static void test_csv_equals_the_data(void **state) {
    assert_ok(rllc_figure_draw(&figure, *state));
    char *csv = read_text(*state, "a_figure-1.csv"), field[512];
    assert_non_null(csv);
    const char *header = "panel,title,series,x,y,low,high\n", *at = csv + strlen(header);
    assert_memory_equal(csv, header, strlen(header));
    for (int s = 0; s < 4; s++)
        for (int k = 0; k < N; k++) {
            at = read_field(at, field);
            assert_string_equal(field, "1");
            at = read_field(at, field);
            assert_string_equal(field, HOSTILE);
            at = read_field(at, field);
            assert_string_equal(field, curves[s].label ? curves[s].label : "");
            const double *columns[] = {curves[s].x, curves[s].y, curves[s].low, curves[s].high};
            for (int c = 0; c < 4; c++) {
                at = read_field(at, field);
                assert_number(field, columns[c], k);
            }
        }
    assert_int_equal(*at, '\0');
    free(csv);
}

/* ---- SVG ------------------------------------------------------------------------------------------------- */

static void test_svg_is_well_formed_and_literal(void **state) {
    assert_ok(rllc_figure_draw(&figure, *state));
    char *svg = read_text(*state, "a_figure-1.svg");
    free(assert_well_formed(svg));
    /* Panel title and caption in full, nothing interpreted; what XML cannot hold is replaced, not dropped. */
    const char *shown = "it's a \"very\" &lt;b&gt;odd&lt;/b&gt;_^{2} &amp; `date` $(id) @x %d $x \\n ]]&gt; \xCE\xBB "
                        "\xEF\xBF\xBD  l0 attn\\</text>";
    const char *first = strstr(svg, shown);
    assert_non_null(first);
    assert_non_null(strstr(svg, ">no data</text>"));
    assert_non_null(strstr(svg, "<title>0:3</title>")); /* tooltips of band and curve */
    assert_non_null(strstr(svg, "<title>second, line</title>"));
    assert_null(strstr(svg, "gnuplot_plot"));
    assert_null(strstr(svg, "GNUPLOT"));
    free(svg);
}

/* The path of the only grey curve, whose markers do not break it: its points. */
static int read_path(const char *svg, const char *color, double x[], double y[]) {
    char needle[64];
    snprintf(needle, sizeof needle, "<path stroke='%s'  d='M", color);
    const char *at = strstr(svg, needle);
    assert_non_null(at);
    at += strlen(needle);
    int n = 0, used;
    while (n < 32 && sscanf(at, "%lf,%lf%n", &x[n], &y[n], &used) == 2) {
        at += used;
        at += strspn(at, " LM");
        n++;
    }
    return n;
}

static void test_curve_stands_on_log_of_x_plus_one(void **state) {
    rllc_series s = {.n = N, .x = steps, .y = rising, .color = -1};
    rllc_panel p = {.log_x = true, .series = &s, .n = 1};
    rllc_figure f = {.name = "one", .panels = &p, .n = 1};
    assert_ok(rllc_figure_draw(&f, *state));
    char *svg = read_text(*state, "one.svg");
    double x[32], y[32];
    assert_int_equal(read_path(svg, "rgb(154, 154, 154)", x, y), N);
    for (int k = 0; k < N; k++) { /* coordinates are written to 0.01 px */
        double along = log10(steps[k] + 1) / log10(10001), up = (rising[k] - 1) / 5;
        assert_true(fabs((x[k] - x[0]) / (x[N - 1] - x[0]) - along) < 1e-4);
        assert_true(fabs((y[k] - y[0]) / (y[N - 1] - y[0]) - up) < 1e-4);
    }
    assert_true(x[N - 1] > 700 && x[N - 1] < 960 && y[0] > y[N - 1]);
    free(svg);
}

static void test_hole_interrupts_the_curve(void **state) {
    rllc_series s = {.n = N, .x = steps, .y = holed, .color = -1};
    rllc_panel p = {.log_x = true, .series = &s, .n = 1};
    rllc_figure f = {.name = "holes", .panels = &p, .n = 1};
    assert_ok(rllc_figure_draw(&f, *state));
    char *svg = read_text(*state, "holes.svg");
    double x[32], y[32];
    /* Points 0 and 1 are joined; 3 stands between two holes, 5 after one: neither may be joined to anything. */
    assert_true(read_path(svg, "rgb(154, 154, 154)", x, y) >= 2);
    const char *path = strstr(svg, "<path stroke='rgb(154, 154, 154)'  d='M");
    int lines = 0;
    for (const char *end = strchr(path, '>'); path < end; path++) lines += *path == 'L';
    assert_int_equal(lines, 1);
    free(svg);
}

static void test_two_figures_share_no_id_and_references_resolve(void **state) {
    rllc_figure other = figure;
    other.name = "other";
    assert_ok(rllc_figure_draw(&figure, *state));
    assert_ok(rllc_figure_draw(&other, *state));
    char *a = read_text(*state, "a_figure-1.svg"), *b = read_text(*state, "other.svg");
    xml_reader *in_a = assert_well_formed(a), *in_b = assert_well_formed(b);
    assert_true(in_a->ids > 0);
    for (int64_t i = 0; i < in_a->ids; i++)
        for (int64_t k = 0; k < in_b->ids; k++) assert_string_not_equal(in_a->id[i], in_b->id[k]);
    int references = 0;
    for (const char *at = a; (at = strstr(at, "xlink:href=\"#")) != NULL; references++) {
        char id[48];
        bool found = false;
        at += strlen("xlink:href=\"#");
        snprintf(id, sizeof id, "%.*s", (int)strcspn(at, "\""), at);
        for (int64_t i = 0; i < in_a->ids; i++) found = found || strcmp(in_a->id[i], id) == 0;
        if (!found) fail_msg("no element has the id %s", id);
    }
    assert_true(references > 10);
    free(in_a), free(in_b), free(a), free(b);
}

static void test_same_figure_gives_same_bytes(void **state) {
    static const char *const files[] = {"a_figure-1.csv", "a_figure-1.gp", "a_figure-1.svg"};
    char *first[3], path[512];
    assert_ok(rllc_figure_draw(&figure, *state));
    for (int i = 0; i < 3; i++) first[i] = read_text(*state, files[i]);
    snprintf(path, sizeof path, "%s/again/below", (char *)*state); /* a folder that is not there yet */
    setenv("LC_ALL", "de_DE.UTF-8", 1);
    setenv("HOME", *state, 1);
    char settings[512];
    snprintf(settings, sizeof settings, "%s/.gnuplot", (char *)*state);
    assert_ok(rllc_file_write(settings, "set xlabel 'mine'\nset logscale y\n", 33));
    assert_ok(rllc_figure_draw(&figure, path));
    unsetenv("LC_ALL");
    for (int i = 0; i < 3; i++) {
        char *again = read_text(path, files[i]);
        assert_non_null(first[i]);
        assert_string_equal(first[i], again);
        free(first[i]), free(again);
    }
}

static void test_script_alone_draws_the_same_curve(void **state) {
    char command[1200], *svg;
    assert_ok(rllc_figure_draw(&figure, *state));
    snprintf(command, sizeof command, "cd / && gnuplot -d %s/a_figure-1.gp > %s/alone.svg", (char *)*state,
             (char *)*state);
    assert_int_equal(system(command), 0);
    svg = read_text(*state, "alone.svg");
    assert_non_null(strstr(svg, "</svg>"));
    free(svg);
}

/* ---- when gnuplot is not as it should be ----------------------------------------------------------------- */

static char *with_path(const char *path) {
    char *old = strdup(getenv("PATH"));
    setenv("PATH", path, 1);
    return old;
}

static void restore_path(char *old) {
    setenv("PATH", old, 1);
    free(old);
}

static bool exists(void **state, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", (char *)*state, name);
    return rllc_file_exists(path);
}

static void test_without_gnuplot_data_and_script_remain(void **state) {
    assert_ok(rllc_figure_draw(&figure, *state)); /* an older picture, which must not survive newer data */
    char *csv = read_text(*state, "a_figure-1.csv");
    char *old = with_path(*state);
    rllc_status status = rllc_figure_draw(&figure, *state);
    restore_path(old);
    assert_int_equal(status, RLLC_EUNSUPPORTED);
    assert_non_null(strstr(rllc_error_detail(), "apt-get install gnuplot-nox"));
    char *again = read_text(*state, "a_figure-1.csv"), *script = read_text(*state, "a_figure-1.gp");
    assert_string_equal(csv, again);
    assert_non_null(strstr(script, "set terminal svg"));
    assert_false(exists(state, "a_figure-1.svg"));
    free(csv), free(again), free(script);
}

/* A gnuplot of our own making. */
static rllc_status draw_with(void **state, const char *program) {
    char path[600], bin[512], search[2048];
    snprintf(bin, sizeof bin, "%s/bin", (char *)*state);
    snprintf(path, sizeof path, "%s/gnuplot", bin);
    assert_ok(rllc_make_folders(bin));
    assert_ok(rllc_file_write(path, program, strlen(program)));
    assert_int_equal(chmod(path, 0755), 0);
    snprintf(search, sizeof search, "%s:%s", bin, getenv("PATH"));
    char *old = with_path(search);
    rllc_status status = rllc_figure_draw(&figure, *state);
    restore_path(old);
    return status;
}

static void test_gnuplot_failure_is_told_in_its_words(void **state) {
    assert_int_equal(
        draw_with(state, "#!/bin/sh\necho >&2; echo '   ^' >&2; echo 'line 7: undefined thing' >&2; exit 3\n"),
        RLLC_EFAIL);
    assert_non_null(strstr(rllc_error_detail(), "line 7: undefined thing"));
    assert_non_null(strstr(rllc_error_detail(), "exit code 3"));
    assert_null(strchr(rllc_error_detail(), '\n'));
    assert_false(exists(state, "a_figure-1.svg"));
    assert_int_equal(draw_with(state, "#!/bin/sh\nkill -9 $$\n"), RLLC_EFAIL);
    assert_non_null(strstr(rllc_error_detail(), "signal 9"));
    assert_int_equal(draw_with(state, "#!/bin/sh\necho '<svg><g>'\n"), RLLC_EFAIL); /* half a picture, exit 0 */
    assert_false(exists(state, "a_figure-1.svg"));
    /* More on stderr than a pipe holds, before and after the picture: neither side may wait for ever. */
    assert_int_equal(draw_with(state, "#!/bin/sh\nhead -c 300000 /dev/zero | tr '\\0' x >&2\n"
                                      "head -c 300000 /dev/zero | tr '\\0' ' '\necho '<svg></svg>'\n"),
                     RLLC_OK);
    assert_true(exists(state, "a_figure-1.svg"));
}

/* ---- refusals -------------------------------------------------------------------------------------------- */

static void test_bad_figures_are_refused(void **state) {
    static const char *const names[] = {"", "a/b", "..", "-x", ".hidden", "a b", "caf\xC3\xA9", NULL};
    rllc_figure f = figure;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        f.name = names[i];
        assert_int_equal(rllc_figure_draw(&f, *state), RLLC_EINPUT);
    }
    f = figure;
    f.n = 0;
    assert_int_equal(rllc_figure_draw(&f, *state), RLLC_EINPUT);
    static const double before[] = {-1, 2};
    rllc_series s = {.label = "s", .n = 2, .x = before, .y = rising};
    rllc_panel p = {.log_x = true, .series = &s, .n = 1};
    f.panels = &p;
    f.n = 1;
    assert_int_equal(rllc_figure_draw(&f, *state), RLLC_EINPUT);
    assert_non_null(strstr(rllc_error_detail(), "x = -1"));
    p.log_x = false;
    p.has_y_range = true;
    p.y_low = p.y_high = 2;
    assert_int_equal(rllc_figure_draw(&f, *state), RLLC_EINPUT);
    p.has_y_range = false;
    assert_ok(rllc_figure_draw(&f, *state));
    assert_int_equal(rllc_figure_draw(&figure, "/proc/no/such/folder"), RLLC_EIO);
}

static void test_many_curves_and_odd_numbers_are_drawn(void **state) {
    enum { CURVES = 40 };
    static char names[CURVES][8];
    static double y[CURVES][N];
    static rllc_series s[CURVES];
    static const double huge[N] = {1e300, -1e300, 0, 1e-300, 5, 6}, flat[N] = {3, 3, 3, 3, 3, 3};
    for (int i = 0; i < CURVES; i++) {
        snprintf(names[i], sizeof names[i], "c%d", i);
        for (int k = 0; k < N; k++) y[i][k] = i + k;
        s[i] = (rllc_series){.label = names[i], .n = N, .x = steps, .y = y[i], .color = i};
    }
    rllc_series single = {.label = "point", .n = 1, .x = steps, .y = rising}, wide = single, level = single;
    wide.n = level.n = N;
    wide.y = huge;
    level.y = flat;
    rllc_panel p[] = {{.log_x = true, .series = s, .n = CURVES},
                      {.series = &single, .n = 1},
                      {.series = &wide, .n = 1},
                      {.log_x = true, .series = &level, .n = 1}};
    rllc_figure f = {.name = "many", .panels = p, .n = 4, .columns = 2};
    assert_ok(rllc_figure_draw(&f, *state));
    char *svg = read_text(*state, "many.svg");
    free(assert_well_formed(svg));
    assert_non_null(strstr(svg, "<text>c39</text>")); /* in the legend: 40 names do not fit beside */
    free(svg);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_csv_equals_the_data, setup, drop_scratch),
        cmocka_unit_test_setup_teardown(test_svg_is_well_formed_and_literal, setup, drop_scratch),
        cmocka_unit_test_setup_teardown(test_curve_stands_on_log_of_x_plus_one, setup, drop_scratch),
        cmocka_unit_test_setup_teardown(test_hole_interrupts_the_curve, setup, drop_scratch),
        cmocka_unit_test_setup_teardown(test_two_figures_share_no_id_and_references_resolve, setup, drop_scratch),
        cmocka_unit_test_setup_teardown(test_same_figure_gives_same_bytes, setup, drop_scratch),
        cmocka_unit_test_setup_teardown(test_script_alone_draws_the_same_curve, setup, drop_scratch),
        cmocka_unit_test_setup_teardown(test_without_gnuplot_data_and_script_remain, setup, drop_scratch),
        cmocka_unit_test_setup_teardown(test_gnuplot_failure_is_told_in_its_words, setup, drop_scratch),
        cmocka_unit_test_setup_teardown(test_bad_figures_are_refused, setup, drop_scratch),
        cmocka_unit_test_setup_teardown(test_many_curves_and_odd_numbers_are_drawn, setup, drop_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
