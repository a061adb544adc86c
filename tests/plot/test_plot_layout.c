/* plot: ticks, names that make room for each other, text that is broken into lines. */
#include "plot/support.h"

#include <math.h>

#include "plot/internal.h"

static double uniform(uint64_t i) {
    rllc_stream s = rllc_stream_make(1, "test/plot", 0, 0);
    return rllc_stream_uniform(&s, i);
}

/* ---- ticks ----------------------------------------------------------------------------------------------- */

static void axes_of(double from, double to, bool log_x, rllc_plot_axis *x, rllc_plot_axis *y) {
    double ends[2] = {from, to};
    rllc_series s = {.n = 2, .x = ends, .y = ends};
    rllc_panel p = {.log_x = log_x, .series = &s, .n = 1};
    rllc_plot_axes(&p, 6, 5, x, y);
}

static void test_log_axis_names_zero_and_the_decades(void **state) {
    static const char *const names[] = {"0", "1", "10", "100", "1k", "10k"};
    static const double values[] = {0, 1, 10, 100, 1000, 10000};
    rllc_plot_axis x, y;
    int named = 0;
    (void)state;
    axes_of(0, 20000, true, &x, &y);
    for (int i = 0; i < x.n; i++) {
        if (!*x.ticks[i].label) continue;
        assert_true(named < 6);
        assert_string_equal(x.ticks[i].label, names[named]);
        assert_true(fabs(x.ticks[i].at - log10(values[named] + 1)) < 1e-12);
        named++;
    }
    assert_int_equal(named, 6);
    assert_true(x.n > 30); /* and unnamed ones between */
}

/* The number a label says: "2.5k" is 2500. */
static double said(const char *label) {
    char *end;
    double v = strtod(label, &end);
    return v * (*end == 'k' ? 1e3 : *end == 'M' ? 1e6 : *end == 'G' ? 1e9 : 1);
}

static void test_ticks_say_where_they_stand(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 3000; i++) {
        bool log_x = i % 2;
        double from = pow(10, 8 * uniform(3 * i) - 3), to = from + pow(10, 9 * uniform(3 * i + 1) - 3);
        rllc_plot_axis x, y;
        if (!log_x && uniform(3 * i + 2) < 0.5) from = -from;
        axes_of(from, to, log_x, &x, &y);
        int named = 0;
        assert_true(x.low <= rllc_plot_x(&(rllc_panel){.log_x = log_x}, from));
        assert_true(x.high >= rllc_plot_x(&(rllc_panel){.log_x = log_x}, to));
        for (int k = 0; k < x.n; k++) {
            const struct rllc_plot_tick *t = &x.ticks[k];
            assert_true(t->at >= x.low - 1e-6 * (x.high - x.low) && t->at <= x.high + 1e-6 * (x.high - x.low));
            if (!*t->label) continue;
            double value = log_x ? pow(10, t->at) - 1 : t->at;
            if (fabs(said(t->label) - value) > 1e-5 * fabs(value) + 1e-5 * (to - from))
                fail_msg("%g..%g: tick at %.17g is called %s", from, to, value, t->label);
            named++;
        }
        if (named < 2 || named > 20) fail_msg("%.17g..%.17g %s: %d labels", from, to, log_x ? "log" : "linear", named);
    }
}

static void test_axis_starts_at_zero_when_data_come_near(void **state) {
    rllc_plot_axis x, y;
    (void)state;
    axes_of(0.2, 5, false, &x, &y);
    assert_true(y.low == 0.0 && y.high > 5);
    axes_of(3, 5, false, &x, &y);
    assert_true(y.low > 2 && y.low < 3);
    axes_of(-5, -0.2, false, &x, &y);
    assert_true(y.high == 0.0 && y.low < -5);
}

/* ---- names beside the axes ------------------------------------------------------------------------------- */

static double cost(const double *at, const double *wanted, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (at[i] - wanted[i]) * (at[i] - wanted[i]);
    return sum;
}

static bool feasible(const double *at, int n, double gap, double low, double high) {
    for (int i = 0; i < n; i++) {
        if (at[i] < low - 1e-9 || at[i] > high + 1e-9) return false;
        if (i && at[i] - at[i - 1] < gap - 1e-9) return false;
    }
    return true;
}

static int by_value(const void *a, const void *b) {
    double p = *(const double *)a, q = *(const double *)b;
    return p < q ? -1 : p > q;
}

/* The problem is convex: no feasible step, of one position or of a run of them, may lower the cost of a solution. */
static void test_names_keep_their_distance_and_move_least(void **state) {
    enum { MOST = 12 };
    (void)state;
    for (uint64_t round = 0; round < 400; round++) {
        double wanted[MOST], at[MOST], moved[MOST], low = 10, high = 200, gap = 16;
        int n = 1 + (int)(round % 12);
        for (int i = 0; i < n; i++)
            wanted[i] = round % 3 ? low + 190 * uniform(round * MOST + (uint64_t)i)
                                  : floor(4 * uniform(round * 31 + (uint64_t)i)) * 50;
        qsort(wanted, (size_t)n, sizeof *wanted, by_value);
        memcpy(at, wanted, sizeof wanted);
        rllc_plot_spread(at, n, gap, low, high);
        assert_true(feasible(at, n, gap, low, high));
        for (int first = 0; first < n; first++)
            for (int last = first; last < n; last++)
                for (int sign = -1; sign <= 1; sign += 2) {
                    memcpy(moved, at, sizeof at);
                    for (int i = first; i <= last; i++) moved[i] += sign * 1e-3;
                    if (feasible(moved, n, gap, low, high))
                        assert_true(cost(moved, wanted, n) > cost(at, wanted, n) - 1e-9);
                }
    }
}

static void test_too_many_names_share_the_height(void **state) {
    double at[] = {5, 5, 5, 5, 5};
    (void)state;
    rllc_plot_spread(at, 5, 16, 0, 32);
    for (int i = 0; i < 5; i++) assert_true(fabs(at[i] - 8.0 * i) < 1e-12);
}

static void test_names_stay_on_the_page_in_order_of_their_curves(void **state) {
    static const double x[2] = {0, 100}, y[3][2] = {{0, 5.00}, {0, 5.01}, {0, 1}};
    rllc_series s[3] = {
        {.label = "low", .n = 2, .x = x, .y = y[0]},
        {.label = "high", .n = 2, .x = x, .y = y[1]},
        {.label = "a name that is much longer than the room that there is beside the axes of this panel",
         .n = 2,
         .x = x,
         .y = y[2]}};
    rllc_panel p = {.series = s, .n = 3};
    rllc_figure f = {.name = "f", .panels = &p, .n = 1};
    rllc_plot_layout l;
    rllc_string name = {0};
    (void)state;
    assert_ok(rllc_plot_layout_init(&l, &f));
    assert_int_equal(l.frames[0].n_labels, 3);
    assert_string_equal(l.frames[0].labels[0].series->label, "high");
    assert_string_equal(l.frames[0].labels[1].series->label, "low");
    assert_true(l.frames[0].labels[1].at - l.frames[0].labels[0].at >= l.font);
    assert_ok(rllc_plot_add_fitted(&name, s[2].label, l.font, l.frames[0].room));
    assert_true(rllc_plot_text_width(name.data, l.font) <= l.frames[0].room);
    assert_non_null(strstr(name.data, "\xE2\x80\xA6"));
    assert_true(l.frames[0].right + RLLC_PLOT_LEADER + RLLC_PLOT_DASH + 4 + l.frames[0].room <= l.width);
    rllc_string_release(&name);
    rllc_plot_layout_release(&l);
}

static void test_panels_do_not_overlap(void **state) {
    (void)state;
    for (int n = 1; n <= 23; n++)
        for (int columns = 0; columns <= 7; columns++) {
            static const double x[2] = {0, 100}, y[2] = {1e5, 1e6 / 3};
            rllc_series s = {.label = "0:0", .n = 2, .x = x, .y = y};
            rllc_panel p[23];
            rllc_plot_layout l;
            for (int i = 0; i < n; i++)
                p[i] = (rllc_panel){.title = "t", .x_label = "x", .y_label = i % 2 ? "a" : "b", .series = &s, .n = 1};
            rllc_figure f = {.name = "f", .caption = "c", .panels = p, .n = n, .columns = columns};
            assert_ok(rllc_plot_layout_init(&l, &f));
            assert_true(l.columns <= 5 && l.columns * l.rows >= n);
            for (int i = 0; i < n; i++) {
                const rllc_plot_frame *a = &l.frames[i];
                assert_true(a->left > 0 && a->right - a->left > 50 && a->right < l.width && a->bottom < l.height);
                for (int k = 0; k < i; k++) {
                    const rllc_plot_frame *b = &l.frames[k];
                    assert_true(a->left > b->right || b->left > a->right || a->top > b->bottom || b->top > a->bottom);
                }
            }
            rllc_plot_layout_release(&l);
        }
}

/* ---- text ------------------------------------------------------------------------------------------------ */

static void test_wrapping_keeps_the_words(void **state) {
    const char *text =
        "some words of different lengths, then_one_that_is_far_too_long_for_any_line_of_this_width, \xCE\xBB"
        "\xCE\xBB\xCE\xBB\xCE\xBB and an end";
    (void)state;
    for (double width = 20; width < 700; width += 13) {
        rllc_string out = {0}, bare = {0};
        int lines, breaks = 0;
        assert_ok(rllc_plot_wrap(&out, text, 12, width, &lines));
        assert_true(rllc_utf8_valid(out.data, out.length, NULL));
        char *line = strtok(out.data, "\n");
        for (; line; line = strtok(NULL, "\n"), breaks++) {
            assert_true(rllc_plot_text_width(line, 12) <= width);
            assert_ok(rllc_string_add(&bare, line));
        }
        assert_int_equal(breaks, lines);
        const char *a = text, *b = bare.data; /* nothing but blanks was lost */
        for (;;) {
            while (*a == ' ') a++;
            while (*b == ' ') b++;
            assert_int_equal(*a, *b);
            if (!*a) break;
            a++, b++;
        }
        rllc_string_release(&out);
        rllc_string_release(&bare);
    }
}

static void test_quotes_are_doubled_and_bytes_made_harmless(void **state) {
    rllc_string out = {0};
    (void)state;
    assert_ok(rllc_plot_add_quoted(&out, "a'b\n\xC2\x85\xEF\xBF\xBF\xC0\xAF\\"));
    assert_string_equal(out.data, "'a''b  \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\\'");
    rllc_string_clear(&out);
    assert_ok(rllc_plot_add_quoted(&out, NULL));
    assert_string_equal(out.data, "''");
    rllc_string_clear(&out);
    assert_ok(rllc_markup_escape(&out, "<a href=\"'\">&amp;"));
    assert_string_equal(out.data, "&lt;a href=&quot;&#39;&quot;&gt;&amp;amp;");
    rllc_string_release(&out);
}

static void test_palette_repeats_only_with_another_dash(void **state) {
    (void)state;
    for (int i = 0; i < 40; i++)
        for (int k = 0; k < i; k++)
            assert_false(strcmp(rllc_plot_color(i), rllc_plot_color(k)) == 0 &&
                         strcmp(rllc_plot_dash(i), rllc_plot_dash(k)) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_axis_names_zero_and_the_decades),
        cmocka_unit_test(test_ticks_say_where_they_stand),
        cmocka_unit_test(test_axis_starts_at_zero_when_data_come_near),
        cmocka_unit_test(test_names_keep_their_distance_and_move_least),
        cmocka_unit_test(test_too_many_names_share_the_height),
        cmocka_unit_test(test_names_stay_on_the_page_in_order_of_their_curves),
        cmocka_unit_test(test_panels_do_not_overlap),
        cmocka_unit_test(test_wrapping_keeps_the_words),
        cmocka_unit_test(test_quotes_are_doubled_and_bytes_made_harmless),
        cmocka_unit_test(test_palette_repeats_only_with_another_dash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
