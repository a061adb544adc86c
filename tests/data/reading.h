/* reading: all documents of some sources, or the failure that is expected instead. */
#ifndef TESTS_DATA_READING_H
#define TESTS_DATA_READING_H

#include "scratch.h"

static inline rllc_reader_options options_for(const char *sources) {
    rllc_reader_options o;
    rllc_options_default(&rllc_reader_option_table, &o);
    o.sources = sources;
    return o;
}

/* All documents with a '|' after each; the status of the end in *status. */
static inline rllc_string read_all(const rllc_reader_options *o, rllc_status *status) {
    rllc_string all = {0};
    rllc_reader *r = NULL;
    const char *text;
    size_t n;
    *status = rllc_reader_open(&r, o);
    while (*status == RLLC_OK && (*status = rllc_reader_next(r, &text, &n)) == RLLC_OK && text) {
        assert_ok(rllc_string_add_bytes(&all, text, n));
        assert_ok(rllc_string_add(&all, "|"));
    }
    rllc_reader_close(r);
    return all;
}

static inline void check_options(const rllc_reader_options *o, const char *expected) {
    rllc_status status;
    rllc_string all = read_all(o, &status);
    if (status != RLLC_OK) fail_msg("%s: %s", o->sources, rllc_error_detail());
    assert_string_equal(rllc_string_text(&all), expected);
    rllc_string_release(&all);
}

static inline void check(const char *sources, const char *expected) {
    rllc_reader_options o = options_for(sources);
    check_options(&o, expected);
}

static inline void check_text(const char *name, const char *text, const char *expected) {
    check(scratch_text(name, text), expected);
}

static inline void check_failure(const rllc_reader_options *o, rllc_status expected, const char *says) {
    rllc_status status;
    rllc_string all = read_all(o, &status);
    if (status != expected || !strstr(rllc_error_detail(), says)) {
        fail_msg("%s: status %d '%s'; wanted %d '%s'", o->sources, (int)status, status ? rllc_error_detail() : "",
                 (int)expected, says);
    }
    rllc_string_release(&all);
}

static inline void check_fails(const char *sources, rllc_status expected, const char *says) {
    rllc_reader_options o = options_for(sources);
    check_failure(&o, expected, says);
}

/* A file without anything in it yet. */
static inline const char *empty_file(const char *name) {
    return scratch_write(name, "", 0);
}

#endif
