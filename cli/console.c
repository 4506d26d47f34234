/* The terminal: one progress line on standard error, log lines, Ctrl-C. */
#include <math.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t nothing_to_save; /* by the command that runs */

static void on_interrupt(int signal_number) {
    (void)signal_number;
    interrupted = 1;
    if (nothing_to_save) (void)alarm(1); /* polled by the job */
}

/* A single node may compute for hours without checking for the signal. Outputs have temporary names until they are
 * complete, so the process may end here. */
static void on_alarm(int signal_number) {
    static const char line[] = "\nskive: interrupted\n";
    (void)signal_number;
    const ssize_t written = write(STDERR_FILENO, line, sizeof line - 1);
    (void)written;
    _exit(skive_status_exit(SKIVE_ERR_INTERRUPTED));
}

/* The terminal is gone. The signal may come twice, from the system and from the shell; and a pipe that was closed with
 * the terminal must not end the process before the work is saved. */
static void on_hangup(int signal_number) {
    signal(SIGPIPE, SIG_IGN);
    on_interrupt(signal_number);
}

void cli_install_interrupt(bool saves) {
    struct sigaction late = {.sa_handler = on_alarm};
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND}, before;
    struct sigaction hangup = {.sa_handler = on_hangup};
    sigemptyset(&action.sa_mask);
    sigemptyset(&hangup.sa_mask);
    sigemptyset(&late.sa_mask);
    sigaction(SIGALRM, &late, NULL);
    nothing_to_save = !saves;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* Under nohup the signal is ignored, and remains ignored. */
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &hangup, NULL);
    signal(SIGXFSZ, SIG_IGN); /* reaching the file size limit becomes a write error and does not end the process */
}

void cli_console_clear(cli_console *c) {
    if (c->drawn)
        fprintf(stderr, "\r\033[%dA\033[J", c->drawn);
    else if (c->width)
        fprintf(stderr, "\r%*s\r", c->width, "");
    c->width = c->drawn = 0;
}

static void on_log(void *user, skive_log_level level, const char *line) {
    cli_console *c = user;
    if (c->muted && level > SKIVE_LOG_ERROR) return;
    cli_console_clear(c);
    cli_tell("%s", line);
}

static const char *left_text(double s, char *buffer, size_t size) {
    if (!(s >= 0)) return "";
    if (s < 90)
        snprintf(buffer, size, "%.0f s left", ceil(s));
    else
        snprintf(buffer, size, "%.0f min %02.0f s left", floor(s / 60), fmod(s, 60));
    return buffer;
}

static double seconds_now(void) {
    struct timespec t;
    return clock_gettime(CLOCK_MONOTONIC, &t) == 0 ? (double)t.tv_sec + 1e-9 * (double)t.tv_nsec : 0;
}

/* In a log file, a long job gets one line soon after its start, and then one every ten seconds. */
static bool line_is_due(cli_console *c, const char *what) {
    const double now = seconds_now();
    if (strcmp(c->job, what) != 0) {
        snprintf(c->job, sizeof c->job, "%s", what);
        c->last = now;
        c->lines = 0;
    }
    if (now - c->last < (c->lines ? 10 : 2)) return false;
    c->last = now;
    c->lines++;
    return true;
}

static int on_progress(void *user, const char *what, const char *detail, double done, double total,
                       double seconds_left) {
    cli_console *c = user;
    char left[48], line[200], shown[200];
    if (interrupted) {
        (void)alarm(0);
        return 1;
    }
    if (c->quiet) return 0;
    if (!c->terminal && !line_is_due(c, what)) return 0;
    (void)snprintf(line, sizeof line, "%s: %3.0f %%  %s  %s", what,
                   total > 0 ? 100 * (done < total ? done / total : 1) : 0, detail ? detail : "",
                   left_text(seconds_left, left, sizeof left));
    if (!c->terminal) {
        cli_tell("%s", line);
        return 0;
    }
    if (c->live && cli_live_draw(c, line)) return 0;
    if (c->drawn) cli_console_clear(c);
    const size_t columns = cli_columns(stderr);
    const int most =
        columns > 0 && columns < 119 ? (int)columns - 1 : 118; /* a line that wraps cannot be overwritten */
    const int width = (int)cli_width(cli_copy(shown, sizeof shown, line, (size_t)most));
    fprintf(stderr, "\r%s%*s", shown, c->width > width ? c->width - width : 0, "");
    c->width = width;
    if (done >= total) cli_console_clear(c);
    return 0;
}

void cli_console_options(cli_console *c, skive_context_options *o) {
    c->terminal = isatty(STDERR_FILENO) == 1;
    o->log = on_log;
    o->log_user = c;
    o->log_level = c->quiet ? SKIVE_LOG_ERROR : c->verbose ? SKIVE_LOG_DEBUG : SKIVE_LOG_INFO;
    o->progress = on_progress; /* also how Ctrl-C reaches a running job */
    o->progress_user = c;
}
