/* How long work shows itself on stderr, and how signals ask it to stop. */
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/frame.h"

enum { AUTO, BAR, PLAIN, JSON, NONE }; /* the choices of --progress, in order */

#define REDRAW_SECONDS 0.1 /* bar */
#define LINE_SECONDS 30.0  /* plain: a full line every 30 s or 10 %, a second apart at least */
#define LINE_FRACTION 0.1
#define LINE_PAUSE 1.0
#define JSON_SECONDS 1.0
#define RATE_SECONDS 20.0 /* memory of the running mean of the rate */

/* One bar at a time: progress comes only from the thread that entered the library. */
static struct {
    int mode;
    char stage[32];
    double start; /* of the stage */
    double last_time, last_current;
    double rate;
    double shown_time, shown_fraction;
    bool line_open;        /* the cursor stands behind a bar */
    rllc_string line, bar; /* scratch; the bar as last drawn */
} state;

static volatile sig_atomic_t stop_requested, silent;

/* ---- signals --------------------------------------------------------------------------------------------- */

/* First: ask the work to stop. Second: end at once, as the signal would have ended it. */
static void on_signal(int number) {
    static const char text[] = "\nrllc: stopping: saving first; once more ends at once\n";
    if (stop_requested) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    stop_requested = 1;
    if (!silent && write(STDERR_FILENO, text, sizeof text - 1) < 0) silent = 1;
}

static void install_signals(void) {
    static bool installed;
    if (installed) return;
    installed = true;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    if (sigaction(SIGHUP, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL);
    /* Losing the reader of our progress, or gnuplot, must not end hours of work: it becomes a write error. */
    signal(SIGPIPE, SIG_IGN);
}

static bool stop(void *context) {
    (void)context;
    return stop_requested != 0;
}

/* ---- showing --------------------------------------------------------------------------------------------- */

/* Writes one piece; if nobody can read it any more, progress ends but the work does not. */
static void show(const char *text) {
    if (fputs(text, stderr) == EOF || fflush(stderr) == EOF) state.mode = NONE;
}

void rllc_cli_end_progress(void) {
    if (state.line_open) show("\n");
    state.line_open = false;
}

static void draw_bar(const rllc_progress *p, const rllc_progress_times *times) {
    rllc_string_clear(&state.bar);
    if (rllc_string_add(&state.bar, "\r\033[K") != RLLC_OK) return;
    if (rllc_progress_line(p, times, true, rllc_cli_utf8(), rllc_cli_columns(), &state.bar) != RLLC_OK) return;
    show(rllc_string_text(&state.bar));
    state.line_open = true;
}

static void print_line(const rllc_progress *p, const rllc_progress_times *times) {
    rllc_string_clear(&state.line);
    rllc_status status = state.mode == JSON ? rllc_progress_json(p, times, &state.line)
                                            : rllc_progress_line(p, times, false, false, 0, &state.line);
    if (status != RLLC_OK || rllc_string_add(&state.line, "\n") != RLLC_OK) return;
    show(rllc_string_text(&state.line));
}

static bool same_stage(const char *stage) {
    return strncmp(state.stage, stage, sizeof state.stage - 1) == 0;
}

/* A new stage: the old bar stays on the screen, times begin again. */
static void begin_stage(const rllc_progress *p, double now) {
    rllc_cli_end_progress();
    snprintf(state.stage, sizeof state.stage, "%s", p->stage);
    state.start = state.last_time = now;
    state.last_current = p->current;
    state.rate = 0;
    state.shown_time = -INFINITY;
    state.shown_fraction = -INFINITY;
}

/* The rate is a mean that forgets: work done before a restart does not count, slow phases fade out. */
static void update_rate(double current, double now) {
    double passed = now - state.last_time, done = current - state.last_current;
    if (passed < REDRAW_SECONDS || done <= 0) return;
    double memory = fmin(now - state.start - passed, RATE_SECONDS);
    double keep = memory / (memory + passed);
    state.rate = keep * state.rate + (1 - keep) * done / passed;
    state.last_time = now;
    state.last_current = current;
}

static bool is_due(double fraction, double now, bool finished) {
    if (finished && state.shown_fraction >= 1) return false; /* the last line was shown */
    if (finished) return true;
    double waited = now - state.shown_time;
    switch (state.mode) {
    case BAR: return waited >= REDRAW_SECONDS;
    case JSON: return waited >= JSON_SECONDS;
    default:
        return waited >= LINE_SECONDS || (waited >= LINE_PAUSE && fraction - state.shown_fraction >= LINE_FRACTION);
    }
}

static void progress(void *context, const rllc_progress *p) {
    (void)context;
    if (state.mode == NONE) return;
    double now = rllc_now();
    bool again = p->total > 0 && state.shown_fraction >= 1 && p->current < p->total; /* the stage runs anew */
    if (!same_stage(p->stage) || again) begin_stage(p, now);
    update_rate(p->current, now);
    double fraction = p->total > 0 ? p->current / p->total : 0;
    if (!is_due(fraction, now, p->total > 0 && fraction >= 1)) return;
    rllc_progress_times times = {.elapsed = now - state.start, .rate = state.rate};
    if (state.mode == BAR) {
        draw_bar(p, &times);
    } else {
        print_line(p, &times);
    }
    state.shown_time = now;
    state.shown_fraction = fraction;
}

static void message_json(const char *text) {
    rllc_json *j = rllc_json_object();
    rllc_string_clear(&state.line);
    if (rllc_json_set(j, "message", rllc_json_string(text)) == RLLC_OK &&
        rllc_json_print(j, 0, false, &state.line) == RLLC_OK && rllc_string_add(&state.line, "\n") == RLLC_OK) {
        show(rllc_string_text(&state.line));
    }
    rllc_json_free(j);
}

static void message(void *context, const char *text) {
    (void)context;
    if (state.mode == NONE) return;
    if (state.mode == JSON) {
        message_json(text);
        return;
    }
    if (state.line_open) show("\r\033[K");
    show(text);
    show("\n");
    if (state.line_open) show(rllc_string_text(&state.bar));
}

const rllc_monitor *rllc_cli_monitor(const rllc_common_options *common) {
    static const rllc_monitor monitor = {.progress = progress, .message = message, .stop = stop};
    state.mode = common->quiet ? NONE : common->progress;
    if (state.mode == AUTO) state.mode = isatty(STDERR_FILENO) ? BAR : PLAIN;
    silent = state.mode == NONE;
    setlocale(LC_CTYPE, ""); /* characters only: numbers keep their dots */
    install_signals();
    return &monitor;
}
