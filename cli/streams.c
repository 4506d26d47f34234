/* "-" for standard input and standard output.
 *
 * Standard input is read into a memory file, which is opened by its name under /proc. Standard output is first written
 * as a file in a temporary folder, so that a failure writes nothing, while all text is printed to standard error. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

static struct {
    int in, out;   /* -1: not used */
    char from[32]; /* the name of the file with the input read */
    char *folder, *to;
    char **made; /* arguments created here */
    size_t n_made;
} streams = {.in = -1, .out = -1};

/* ---- names for people ---- */

char *cli_shown(const char *text) {
    const char *const names[][2] = {{streams.in < 0 ? NULL : streams.from, "standard input"},
                                    {streams.to, "standard output"}};
    char *shown = strdup(text);
    for (size_t i = 0; shown && i < CLI_COUNT(names); i++) {
        char *at;
        while (names[i][0] && (at = strstr(shown, names[i][0]))) {
            char *better = cli_format("%.*s%s%s", (int)(at - shown), shown, names[i][1], at + strlen(names[i][0]));
            if (!better) return shown;
            free(shown);
            shown = better;
        }
    }
    return shown;
}

/* ---- reading ---- */

static skive_status copy(cli_args *a, int from, int to, const char *action) {
    char buffer[1 << 16];
    for (;;) {
        const ssize_t n = read(from, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return cli_fail(a, SKIVE_ERR_IO, "%s: %s", action, strerror(errno));
        if (n == 0) return SKIVE_OK;
        for (ssize_t at = 0; at < n;) {
            const ssize_t put = write(to, buffer + at, (size_t)(n - at));
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return cli_fail(a, SKIVE_ERR_IO, "%s: %s", action, strerror(errno));
            at += put;
        }
    }
}

static skive_status read_input(cli_args *a) {
    struct stat s;
    if (streams.in >= 0) return cli_fail(a, SKIVE_ERR_ARGUMENT, "only one input can be standard input (-)");
    if (isatty(STDIN_FILENO) == 1)
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "standard input (-) is a terminal; redirect a file or a pipe to it, or name a file");
    streams.in = memfd_create("skive", MFD_CLOEXEC);
    if (streams.in < 0) return cli_fail(a, SKIVE_ERR_MEMORY, "standard input: %s", strerror(errno));
    snprintf(streams.from, sizeof streams.from, "/proc/self/fd/%d", streams.in);
    const skive_status status = copy(a, STDIN_FILENO, streams.in, "cannot read standard input");
    if (status == SKIVE_OK && fstat(streams.in, &s) == 0 && s.st_size == 0)
        return cli_fail(a, SKIVE_ERR_FORMAT, "standard input is empty");
    return status;
}

/* ---- writing ---- */

static skive_status open_output(cli_args *a, const char *ending) {
    const char *folder = getenv("TMPDIR");
    if (streams.out >= 0) return cli_fail(a, SKIVE_ERR_ARGUMENT, "only one output can be standard output (-)");
    if (isatty(STDOUT_FILENO) == 1)
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "standard output (-) is a terminal, which cannot show a binary file; redirect it, or name a "
                        "file");
    streams.folder = cli_format("%s/skive-XXXXXX", folder && *folder ? folder : "/tmp");
    if (!streams.folder) return SKIVE_ERR_MEMORY;
    if (!mkdtemp(streams.folder)) {
        const int error = errno;
        free(streams.folder);
        streams.folder = NULL;
        return cli_fail(a, SKIVE_ERR_IO, "cannot create a temporary folder for standard output: %s", strerror(error));
    }
    streams.to = cli_format("%s/output%s", streams.folder, ending);
    if (!streams.to) return SKIVE_ERR_MEMORY;
    fflush(stdout);
    streams.out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (streams.out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return cli_fail(a, SKIVE_ERR_IO, "standard output: %s", strerror(errno));
    return SKIVE_OK;
}

skive_status cli_streams_finish(cli_args *a, skive_status status) {
    if (streams.out >= 0 && status == SKIVE_OK) {
        char *data = cli_format("%s.data", streams.to);
        const int fd = open(streams.to, O_RDONLY | O_CLOEXEC);
        if (data && access(data, F_OK) == 0)
            status = cli_fail(
                a, SKIVE_ERR_LIMIT,
                "the model is too large for a single ONNX file and cannot be written to standard output; name a file");
        else if (fd < 0)
            status = cli_fail(a, SKIVE_ERR_IO, "there is nothing to write to standard output");
        else
            status = copy(a, fd, streams.out, "cannot write to standard output");
        if (fd >= 0) (void)close(fd);
        if (data) (void)unlink(data);
        free(data);
    }
    if (streams.to) (void)unlink(streams.to);
    if (streams.folder) (void)rmdir(streams.folder);
    return status;
}

/* ---- arguments ---- */

/* "-" becomes the name of a file, "NAME=-" keeps its name. */
static skive_status replace(const char *given, const char *by, const char **out) {
    char **made = realloc(streams.made, (streams.n_made + 1) * sizeof *made);
    if (!made) return SKIVE_ERR_MEMORY;
    streams.made = made;
    char *text = cli_format("%.*s%s", (int)strlen(given) - 1, given, by);
    if (!text) return SKIVE_ERR_MEMORY;
    made[streams.n_made++] = text;
    *out = text;
    return SKIVE_OK;
}

static bool is_stream(const char *text, bool named) {
    const size_t n = text ? strlen(text) : 0;
    return n > 0 && text[n - 1] == '-' && (n == 1 || (named && text[n - 2] == '='));
}

skive_status cli_streams_take(cli_args *a) {
    const char *ending = strcmp(a->command->name, "run") == 0    ? ".npy"
                         : strcmp(a->command->name, "pack") == 0 ? ".skv"
                         : strcmp(a->command->name, "plot") == 0 ? ".svg"
                                                                 : ".onnx";
    skive_status status = SKIVE_OK;
    for (int i = 0; status == SKIVE_OK && i < a->n_positional; i++) {
        if (!is_stream(a->positional[i], false)) continue;
        status = read_input(a);
        if (status == SKIVE_OK) status = replace(a->positional[i], streams.from, &a->positional[i]);
    }
    for (size_t i = 0; status == SKIVE_OK && i < a->n_values; i++) {
        cli_value *v = &a->values[i];
        const char *name = v->option->name;
        const bool input = strcmp(name, "input") == 0, output = strcmp(name, "output") == 0;
        if (!is_stream(v->text, input || output)) continue;
        if (input || strcmp(name, "teacher") == 0 || strcmp(name, "student") == 0) {
            status = read_input(a);
            if (status == SKIVE_OK) status = replace(v->text, streams.from, &v->text);
        } else if (output) {
            status = open_output(a, ending);
            if (status == SKIVE_OK) status = replace(v->text, streams.to, &v->text);
        } else if (strcmp(name, "data") == 0 || strcmp(name, "checkpoint") == 0 || strcmp(name, "resume") == 0 ||
                   strcmp(name, "log") == 0 || strcmp(name, "tensorboard") == 0 || strcmp(name, "report") == 0) {
            status = cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s needs the name of a file, not standard input or output (-)",
                              name);
        }
    }
    return status;
}

void cli_streams_free(void) {
    for (size_t i = 0; i < streams.n_made; i++) free(streams.made[i]);
    free(streams.made);
    free(streams.folder);
    free(streams.to);
    if (streams.in >= 0) (void)close(streams.in);
    if (streams.out >= 0) (void)close(streams.out);
}
