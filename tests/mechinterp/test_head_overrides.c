/* Types of heads given by hand: they win, and bad files are refused. */
#include "mechinterp/head_bench.h"

static rllc_status load(const char *extension, const char *text, rllc_head_override **list, int64_t *n) {
    const char *path = rllc_intern_printf("/tmp/rllc-heads-%d%s", (int)getpid(), extension);
    assert_ok(rllc_file_write(path, text, strlen(text)));
    const rllc_status status = rllc_head_overrides_load(path, list, n);
    assert_int_equal(remove(path), 0);
    return status;
}

static void check_overrides(const char *extension, const char *text) {
    bench b;
    rllc_head_override *list;
    int64_t n;
    assert_ok(load(extension, text, &list, &n));
    assert_int_equal(n, 2);
    start(&b);
    add_background(&b);
    row_of(&b, "previous_token", 1)->value = 0.3;
    classify_with(&b, list, n);
    assert_string_equal(b.types[1].type, "multigram");
    assert_string_equal(b.types[1].source, "manual");
    assert_says(&b, 1, "multigram: given by hand (seen by eye, twice); by the rules previous-token: ");
    assert_string_equal(b.types[6].type, "bracket");
    assert_says(&b, 6, "bracket: given by hand; by the rules other: ");
    assert_non_null(strstr(b.types[6].json, "\"automatic\": \"other\""));
    assert_type(&b, 0, "other");
    list[0].layer = 2;
    assert_int_equal(rllc_head_types_classify(b.rows, b.n, &checkpoint, &b.o, list, n, b.types), RLLC_EMISMATCH);
    assert_non_null(strstr(rllc_error_detail(), "head 2:1"));
    rllc_free(list);
}

static void test_types_given_by_hand_win(void **state) {
    (void)state;
    check_overrides(".yaml", "# by eye\n0:1: multigram   seen by eye, twice\nl1h2: bracket\n");
    check_overrides(".csv", "head,type,comment\n0:1, multigram, seen by eye, twice\r\n\n# more\nl1h2,bracket");
}

static void assert_refused(const char *extension, const char *text, const char *says) {
    rllc_head_override *list;
    int64_t n;
    assert_int_equal(load(extension, text, &list, &n), RLLC_EINPUT);
    assert_true(!list && n == 0);
    if (!strstr(rllc_error_detail(), says)) fail_msg("'%s' does not say '%s'", rllc_error_detail(), says);
}

static void test_bad_files_are_refused(void **state) {
    (void)state;
    rllc_head_override *list;
    int64_t n;
    static char line[70000];
    assert_refused(".yaml", "0:1: induction\n0:2: indction\n",
                   ":2: no type of head is called 'indction'; did you mean 'induction'?");
    assert_refused(".yaml", "head 3: induction\n", "'head 3' is not a head");
    assert_refused(".yaml", "0:1: induction\nl0h1: other\n", ":2: head l0h1 has a type already");
    assert_refused(".yaml", "0:1: [induction]\n", "expected head: type");
    assert_refused(".yaml", "0:1: |\n  induction\n  two lines\n", "several lines");
    assert_refused(".yaml", "0:1:\n", "no type of head is called ''");
    assert_refused(".yaml", "- 0:1\n", "expected lines of the form");
    assert_refused(".csv", "0:1 induction\n", ":1: expected head,type");
    assert_refused(".csv", "0:1,induction\n0:9999999999,induction\n", ":2: ");
    assert_refused(".csv", "\xff,induction\n", "this is no text");
    memset(line, ' ', sizeof line - 1);
    assert_refused(".csv", line, "a line of 69999 bytes");
    assert_ok(load(".yaml", "# nothing yet\n", &list, &n));
    assert_int_equal(n, 0);
    rllc_free(list);
    assert_ok(load(".csv", "", &list, &n));
    assert_int_equal(n, 0);
    rllc_free(list);
    assert_int_equal(rllc_head_overrides_load("/tmp/rllc-no-such-file.csv", &list, &n), RLLC_ENOTFOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types_given_by_hand_win),
        cmocka_unit_test(test_bad_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
