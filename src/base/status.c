/* Status sentences, exit codes, and the one sentence of detail that each thread keeps about its last failure. */
#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "rllc/base.h"

#define DETAIL_SIZE 4096

static _Thread_local char detail[DETAIL_SIZE];

const char *rllc_status_sentence(rllc_status status) {
    switch (status) {
#define RLLC_STATUS(name, exit_code, sentence) \
    case name:                                 \
        return sentence;
#include "rllc/status.def"
#undef RLLC_STATUS
    }
    return "an unknown status";
}

int rllc_status_exit_code(rllc_status status) {
    switch (status) {
#define RLLC_STATUS(name, exit_code, sentence) \
    case name:                                 \
        return exit_code;
#include "rllc/status.def"
#undef RLLC_STATUS
    }
    return 1;
}

/* Ends a text that did not fit with "...", without cutting a UTF-8 character in two. */
static void mark_cut(char *text, size_t size) {
    size_t end = size - 4;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80) end--;
    memcpy(text + end, "...", 4);
}

/* Names out of hostile files must not steer a terminal. */
static void make_harmless(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7F) *text = '?';
}

/* Formats into a buffer apart from `detail`, which may itself be among the arguments. */
static void set_detail(const char *format, va_list arguments, const char *tail) {
    char text[DETAIL_SIZE];
    int length = vsnprintf(text, sizeof text, format, arguments);
    if (length < 0) {
        text[0] = '\0';
        length = 0;
    }
    size_t used = (size_t)length < sizeof text ? (size_t)length : sizeof text;
    size_t more = strlen(tail);
    if (used + more < sizeof text) {
        memcpy(text + used, tail, more + 1);
    } else {
        if (used < sizeof text) memcpy(text + used, tail, sizeof text - used);
        mark_cut(text, sizeof text);
    }
    make_harmless(text);
    memcpy(detail, text, sizeof detail);
}

rllc_status rllc_fail(rllc_status status, const char *format, ...) {
    assert(status != RLLC_OK);
    va_list arguments;
    va_start(arguments, format);
    set_detail(format, arguments, "");
    va_end(arguments);
    return status;
}

rllc_status rllc_fail_within(rllc_status status, const char *format, ...) {
    if (status == RLLC_OK) return status;
    char tail[DETAIL_SIZE];
    snprintf(tail, sizeof tail, ": %.*s", DETAIL_SIZE - 3, detail);
    va_list arguments;
    va_start(arguments, format);
    set_detail(format, arguments, tail);
    va_end(arguments);
    return status;
}

const char *rllc_error_detail(void) {
    return detail;
}
