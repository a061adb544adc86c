/* plot: gnuplot as a child process, without a shell. */
#include "plot/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Standard input from nowhere, output and errors into the pipes. */
static int spawn_gnuplot(const char *script_path, const int out[2], const int err[2], pid_t *pid) {
    posix_spawn_file_actions_t actions;
    char *arguments[] = {(char *)"gnuplot", (char *)"-d", (char *)script_path, NULL}; /* -d: no settings of the user */
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!error) error = posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    if (!error) error = posix_spawnp(pid, "gnuplot", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static void close_end(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* Appends what is there to read; closes *fd at its end. */
static rllc_status drain(int *fd, rllc_string *into) {
    char buffer[65536];
    ssize_t n = read(*fd, buffer, sizeof buffer);
    if (n > 0) return rllc_string_add_bytes(into, buffer, (size_t)n);
    if (n < 0 && errno == EINTR) return RLLC_OK;
    close_end(fd);
    return n == 0 ? RLLC_OK : rllc_fail(RLLC_EIO, "reading from gnuplot: %s", strerror(errno));
}

static rllc_status read_both(int *out, int *err, rllc_string *svg, rllc_string *said) {
    rllc_status status = RLLC_OK;
    while (status == RLLC_OK && (*out >= 0 || *err >= 0)) {
        struct pollfd ends[2] = {{.fd = *out, .events = POLLIN}, {.fd = *err, .events = POLLIN}}; /* fd < 0: ignored */
        if (poll(ends, 2, -1) < 0) {
            if (errno == EINTR) continue;
            return rllc_fail(RLLC_EIO, "waiting for gnuplot: %s", strerror(errno));
        }
        if (ends[0].revents) status = drain(out, svg);
        if (status == RLLC_OK && ends[1].revents) status = drain(err, said);
    }
    return status;
}

/* One line of at most `limit` bytes from what gnuplot said: its blank lines and carets are left out. */
static void first_words(const rllc_string *said, char *line, size_t limit) {
    const char *text = rllc_string_text(said);
    size_t n = 0;
    while (*text && n + 1 < limit) {
        size_t length = strcspn(text, "\n");
        bool empty = strspn(text, " \t^") >= length;
        if (!empty && n && n + 3 < limit) n += (size_t)snprintf(line + n, limit - n, "; ");
        for (size_t i = 0; !empty && i < length && n + 1 < limit; i++)
            line[n++] = (unsigned char)text[i] < 0x20 ? ' ' : text[i];
        text += length + (text[length] == '\n');
    }
    line[n] = '\0';
}

static rllc_status judge(const char *script_path, int result, const rllc_string *said, const rllc_string *svg) {
    char line[400];
    if (WIFEXITED(result) && WEXITSTATUS(result) == 0 && svg->length && strstr(svg->data, "</svg>")) return RLLC_OK;
    first_words(said, line, sizeof line);
    if (WIFSIGNALED(result))
        return rllc_fail(RLLC_EFAIL, "%s: gnuplot was ended by signal %d (%s)", script_path, WTERMSIG(result), line);
    return rllc_fail(RLLC_EFAIL, "%s: gnuplot failed with exit code %d%s: %s; run `gnuplot -d %s` to see it",
                     script_path, WEXITSTATUS(result), svg->length ? "" : " and drew nothing",
                     *line ? line : "it said nothing", script_path);
}

rllc_status rllc_plot_gnuplot(const char *script_path, rllc_string *svg) {
    rllc_status status = RLLC_OK;
    rllc_string said = {0}, path = {0};
    int out[2] = {-1, -1}, err[2] = {-1, -1}, error, result = 0;
    pid_t pid = -1;
    RLLC_TRY(rllc_string_printf(&path, "%s%s", *script_path == '/' ? "" : "./", script_path)); /* never an option */
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
        status = rllc_fail(RLLC_EIO, "cannot make a pipe to gnuplot: %s", strerror(errno));
        goto done;
    }
    error = spawn_gnuplot(path.data, out, err, &pid);
    if (error) {
        pid = -1;
        status = error == ENOENT || error == EACCES || error == ENOTDIR
                     ? rllc_fail(RLLC_EUNSUPPORTED,
                                 "gnuplot is not installed, so %s was not drawn: "
                                 "apt-get install gnuplot-nox, then run again",
                                 script_path)
                     : rllc_fail(RLLC_EIO, "cannot start gnuplot: %s", strerror(error));
        goto done;
    }
    close_end(&out[1]);
    close_end(&err[1]);
    RLLC_TRY(read_both(&out[0], &err[0], svg, &said));
done:
    for (int i = 0; i < 2; i++) close_end(&out[i]), close_end(&err[i]);
    if (pid > 0) {
        if (status != RLLC_OK) kill(pid, SIGTERM);
        while (waitpid(pid, &result, 0) < 0 && errno == EINTR) continue;
        if (status == RLLC_OK) status = judge(script_path, result, &said, svg);
    }
    rllc_string_release(&said);
    rllc_string_release(&path);
    return status;
}
