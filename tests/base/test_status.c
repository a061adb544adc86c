/* Status sentences, exit codes, and the detail of the last failure. */
#include "base/helpers.h"

#include <pthread.h>

static void test_status_sentence_and_exit_code_of_every_status(void **state) {
    (void)state;
    static const struct {
        rllc_status status;
        int exit_code;
    } all[] = {{RLLC_OK, 0},          {RLLC_EUSAGE, 2},       {RLLC_EINPUT, 3}, {RLLC_ENOTFOUND, 3},
               {RLLC_EMISMATCH, 3},   {RLLC_EUNSUPPORTED, 3}, {RLLC_EIO, 1},    {RLLC_ENOMEM, 1},
               {RLLC_ENOTFINITE, 1},  {RLLC_EFAIL, 1},        {RLLC_ESTOPPED, 75}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(rllc_status_exit_code(all[i].status), all[i].exit_code);
        assert_true(strlen(rllc_status_sentence(all[i].status)) > 3);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(rllc_status_sentence(all[i].status), rllc_status_sentence(all[k].status));
        }
    }
    assert_string_equal(rllc_status_sentence(RLLC_ENOMEM), "memory is exhausted");
    assert_string_equal(rllc_status_sentence((rllc_status)999), "an unknown status");
    assert_int_equal(rllc_status_exit_code((rllc_status)999), 1);
}

static void test_fail_records_detail_and_returns_status(void **state) {
    (void)state;
    assert_int_equal(rllc_fail(RLLC_EINPUT, "%s: byte %d: found %c", "f.json", 12, 'x'), RLLC_EINPUT);
    assert_string_equal(rllc_error_detail(), "f.json: byte 12: found x");
    assert_int_equal(rllc_fail(RLLC_EIO, "again: %s", rllc_error_detail()), RLLC_EIO);
    assert_string_equal(rllc_error_detail(), "again: f.json: byte 12: found x");
}

/* A name out of a hostile file cannot steer the terminal that shows it. */
static void test_fail_shows_control_characters_as_question_marks(void **state) {
    (void)state;
    assert_int_equal(rllc_fail(RLLC_EINPUT, "token '%s'", "\x1b[31mred\n\x7f"), RLLC_EINPUT);
    assert_string_equal(rllc_error_detail(), "token '?[31mred?" "?'");
}

static void test_fail_within_prepends_context(void **state) {
    (void)state;
    (void)rllc_fail(RLLC_EINPUT, "inner");
    assert_int_equal(rllc_fail_within(RLLC_EINPUT, "reading %s", "f"), RLLC_EINPUT);
    assert_string_equal(rllc_error_detail(), "reading f: inner");
    assert_int_equal(rllc_fail_within(RLLC_OK, "nothing"), RLLC_OK);
    assert_string_equal(rllc_error_detail(), "reading f: inner");
}

/* A detail that is too long ends in "..." and stays valid UTF-8, wherever the cut falls. */
static void test_fail_cuts_long_details_between_characters(void **state) {
    (void)state;
    static char text[9000];
    for (int shift = 0; shift < 5; shift++) {
        memset(text, 'a', (size_t)shift);
        for (size_t i = (size_t)shift; i + 3 < sizeof text; i += 3) memcpy(text + i, "\xE2\x82\xAC", 4);
        (void)rllc_fail(RLLC_EINPUT, "%s", text);
        size_t n = strlen(rllc_error_detail());
        assert_true(n > 4000 && n < 4096);
        assert_string_equal(rllc_error_detail() + n - 3, "...");
        assert_true(rllc_utf8_valid(rllc_error_detail(), n, NULL));
        (void)rllc_fail_within(RLLC_EINPUT, "%s", "context");
        n = strlen(rllc_error_detail());
        assert_memory_equal(rllc_error_detail(), "context: ", 9);
        assert_true(rllc_utf8_valid(rllc_error_detail(), n, NULL));
    }
}

static void *fail_elsewhere(void *unused) {
    (void)unused;
    (void)rllc_fail(RLLC_EIO, "of the other thread");
    return NULL;
}

static void test_fail_detail_belongs_to_its_thread(void **state) {
    (void)state;
    pthread_t thread;
    (void)rllc_fail(RLLC_EINPUT, "of this thread");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(rllc_error_detail(), "of this thread");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_sentence_and_exit_code_of_every_status),
        cmocka_unit_test(test_fail_records_detail_and_returns_status),
        cmocka_unit_test(test_fail_shows_control_characters_as_question_marks),
        cmocka_unit_test(test_fail_within_prepends_context),
        cmocka_unit_test(test_fail_cuts_long_details_between_characters),
        cmocka_unit_test(test_fail_detail_belongs_to_its_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
