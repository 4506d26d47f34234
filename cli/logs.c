/* See logs.h. A log may hold many runs, and its last line may be torn, where a run was killed. */
#include "logs.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const cli_figure usual[CLI_USUAL_FIGURES] = {
    {"loss", "loss", "loss", "validation_loss"},
    {"accuracy", "accuracy", "accuracy", "validation_accuracy"},
    {"f1", "F1", NULL, "validation_f1"},
    {"rmse", "RMSE", NULL, "validation_rmse"},
    {"r2", "R2", NULL, "validation_r2"},
    {"rate", "learning rate", "learning_rate", NULL},
    {"speed", "samples per second", "samples_per_second", NULL},
};

void cli_logs_free(cli_logs *logs) {
    for (size_t i = 0; i < logs->n; i++) {
        free(logs->runs[i].name);
        for (size_t k = 0; k < CLI_MOST_FIGURES; k++) {
            cli_curve_free(&logs->runs[i].training[k]);
            cli_curve_free(&logs->runs[i].validation[k]);
        }
    }
    free(logs->runs);
    *logs = (cli_logs){0};
}

static skive_status out_of_memory(cli_args *a) { return cli_fail(a, SKIVE_ERR_MEMORY, "out of memory"); }

/* The run of the number, among those of this file, which begin at `first`. */
static cli_run *run_of(cli_logs *logs, size_t first, const char *id) {
    for (size_t i = first; i < logs->n; i++)
        if (strcmp(logs->runs[i].id, id) == 0) return &logs->runs[i];
    cli_run *more = realloc(logs->runs, (logs->n + 1) * sizeof *more);
    if (!more) return NULL;
    logs->runs = more;
    more += logs->n++;
    *more = (cli_run){.seconds = 0};
    snprintf(more->id, sizeof more->id, "%s", id);
    return more;
}

static double number_of(const json_t *line, const char *key) {
    const json_t *j = key ? json_object_get(line, key) : NULL;
    return json_is_number(j) ? json_number_value(j) : NAN;
}

static int count_of(const json_t *line, const char *key, int otherwise) {
    const double x = number_of(line, key);
    return x >= 0 && x < 1e9 ? (int)x : otherwise;
}

/* The figures of an epoch that the run was asked for by name; those that are new join the list. */
static bool take_named(cli_logs *logs, cli_run *r, const json_t *line, double at) {
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(line, "figures"), name, value) {
        size_t i = CLI_USUAL_FIGURES;
        while (i < logs->n_figures && strcmp(logs->figures[i].name, name) != 0) i++;
        if (i == CLI_MOST_FIGURES || !json_is_number(value)) continue;
        if (i == logs->n_figures)
            snprintf(logs->figures[logs->n_figures++].name, sizeof logs->figures[i].name, "%s", name);
        if (!cli_curve_add(&r->validation[i], at, json_number_value(value))) return false;
    }
    return true;
}

static bool take(cli_logs *logs, cli_run *r, const json_t *line, const char *event, const char *x) {
    const bool steps = strcmp(event, "steps") == 0, epoch = strcmp(event, "epoch") == 0;
    const double at = number_of(line, x), seconds = number_of(line, "seconds"), waited = number_of(line, "waited");
    r->epochs = count_of(line, "epochs", r->epochs);
    r->best_epoch = count_of(line, "best_epoch", r->best_epoch);
    if (isfinite(seconds)) r->seconds = seconds;
    if (isfinite(waited)) r->waited = waited;
    if (epoch) r->done = count_of(line, "epoch", r->done);
    r->ended = strcmp(event, "end") == 0;
    if (r->ended) {
        const char *status = json_string_value(json_object_get(line, "status"));
        snprintf(r->status, sizeof r->status, "%s", status ? status : "");
    }
    for (size_t i = 0; i < CLI_USUAL_FIGURES; i++) {
        if (steps && !cli_curve_add(&r->training[i], at, number_of(line, usual[i].training))) return false;
        if (epoch && !cli_curve_add(&r->validation[i], at, number_of(line, usual[i].validation))) return false;
    }
    return !epoch || take_named(logs, r, line, at);
}

static skive_status read_line(cli_args *a, const char *path, size_t number, const char *text, const char *x,
                              cli_logs *logs, size_t first) {
    json_t *line = json_loads(text, 0, NULL);
    const char *event = json_string_value(json_object_get(line, "event")),
               *id = json_string_value(json_object_get(line, "run"));
    skive_status status = SKIVE_OK;
    cli_run *r = NULL;
    if (!event || !id)
        status = cli_fail(a, SKIVE_ERR_FORMAT, "%s: line %zu is not one of a log of training (--log)", path, number);
    else if (!(r = run_of(logs, first, id)) || !take(logs, r, line, event, x))
        status = out_of_memory(a);
    json_decref(line);
    return status;
}

static skive_status name_runs(cli_args *a, const char *path, cli_logs *logs, size_t first) {
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path, *dot = strrchr(base, '.');
    const int length = dot && dot > base ? (int)(dot - base) : (int)strlen(base);
    for (size_t i = first; i < logs->n; i++) {
        logs->runs[i].name = logs->n - first == 1 ? cli_format("%.*s", length, base)
                                                  : cli_format("%.*s, run %zu", length, base, i - first + 1);
        if (!logs->runs[i].name) return out_of_memory(a);
    }
    return SKIVE_OK;
}

skive_status cli_logs_read(cli_args *a, const char *path, const char *x, cli_logs *logs) {
    const size_t first = logs->n;
    if (!logs->n_figures) memcpy(logs->figures, usual, sizeof usual);
    if (!logs->n_figures) logs->n_figures = CLI_USUAL_FIGURES;
    size_t number = 0, room = 0;
    char *text = NULL;
    skive_status status = SKIVE_OK;
    FILE *f = fopen(path, "r");
    if (!f) return cli_fail(a, SKIVE_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    for (ssize_t n; status == SKIVE_OK && (n = getline(&text, &room, f)) > 0;) {
        number++;
        if (text[n - 1] == '\n')
            status = read_line(a, path, number, text, x, logs, first);
        else if (number == 1)
            status = cli_fail(a, SKIVE_ERR_FORMAT, "%s: not a log of training (--log)", path);
        else if (!a->quiet)
            cli_tell("note: %s: the last line is not complete and was left out", path);
    }
    if (status == SKIVE_OK && ferror(f))
        status = cli_fail(a, SKIVE_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    if (status == SKIVE_OK && logs->n == first)
        status = cli_fail(a, SKIVE_ERR_FORMAT, "%s: the log holds nothing", path);
    if (status == SKIVE_OK) status = name_runs(a, path, logs, first);
    free(text);
    fclose(f);
    return status;
}
