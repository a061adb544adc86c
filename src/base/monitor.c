/* How long work reports progress and learns to stop; and the clock. */
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "rllc/base.h"

void rllc_report_progress(const rllc_monitor *m, const char *stage, const char *unit, double current, double total,
                          const char *note_format, ...) {
    if (!m || !m->progress) return;
    char *note = NULL;
    va_list arguments;
    va_start(arguments, note_format);
    int length = vasprintf(&note, note_format, arguments);
    va_end(arguments);
    if (length < 0) note = NULL; /* the pointer is undefined then */
    m->progress(m->context, &(rllc_progress){.stage = stage, .unit = unit, .current = current, .total = total,
                                             .note = note ? note : ""});
    free(note);
}

void rllc_report_message(const rllc_monitor *m, const char *format, ...) {
    if (!m || !m->message) return;
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0) text = NULL;
    m->message(m->context, text ? text : format);
    free(text);
}

bool rllc_should_stop(const rllc_monitor *m) {
    return m && m->stop && m->stop(m->context);
}

double rllc_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
