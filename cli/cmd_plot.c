/* skive plot: the curves of training, from its logs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "logs.h"

static const cli_option options[] = {
    {"output", 'o', "FILE", "write the curves to this file, as SVG (default: print them in characters)", false},
    {"figures", 0, "LIST",
     "loss, accuracy, f1, rmse, r2, rate, speed and what --metrics named (default: all but f1, r2 and speed)", false},
    {"x", 0, "NAME", "what the figures are drawn over: epoch, step or seconds (default epoch)", false},
    {"log-scale", 0, NULL, "a logarithmic scale for the figures", false},
};

static skive_status no_figure(cli_args *a, const cli_logs *logs, const char *name, int length) {
    char list[CLI_MOST_FIGURES * 34] = "";
    for (size_t i = 0, n = 0; i < logs->n_figures; i++)
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", i ? ", " : "", logs->figures[i].name);
    return cli_fail(a, SKIVE_ERR_ARGUMENT, "--figures: no figure '%.*s'; there are: %s", length, name, list);
}

static skive_status choose(cli_args *a, const cli_logs *logs, bool chosen[CLI_MOST_FIGURES]) {
    static const char *const usual[] = {"loss", "accuracy", "rmse", "rate"};
    const char *text = cli_text(a, "figures", NULL);
    for (size_t i = 0; i < CLI_MOST_FIGURES; i++) {
        chosen[i] = !text && i >= CLI_USUAL_FIGURES && i < logs->n_figures;
        for (size_t k = 0; k < CLI_COUNT(usual); k++)
            chosen[i] = chosen[i] || (!text && strcmp(usual[k], logs->figures[i].name) == 0);
    }
    while (text && *text) {
        const size_t length = strcspn(text, ",");
        size_t i = 0;
        while (i < logs->n_figures &&
               !(strlen(logs->figures[i].name) == length && memcmp(logs->figures[i].name, text, length) == 0))
            i++;
        if (i == logs->n_figures) return no_figure(a, logs, text, (int)length);
        chosen[i] = true;
        text += length + (text[length] == ',');
    }
    return SKIVE_OK;
}

/* ---- in characters ---- */

/* Training is drawn with dots or small letters, validation with o or capitals. */
static char mark_of(const cli_logs *logs, size_t run, bool validation) {
    if (logs->n == 1) return validation ? 'o' : '.';
    return (char)((validation ? 'A' : 'a') + (int)(run % 26));
}

static bool print_chart(const cli_logs *logs, size_t figure, bool log) {
    cli_curve *curves = calloc(2 * logs->n + 1, sizeof *curves);
    const size_t columns = cli_columns(stdout);
    size_t points = 0;
    char *text = NULL;
    for (size_t i = 0; curves && i < 2 * logs->n; i++) {
        const cli_run *r = &logs->runs[i / 2];
        curves[i] = i % 2 ? r->validation[figure] : r->training[figure];
        curves[i].joined = i % 2 == 0;
        curves[i].mark = mark_of(logs, i / 2, i % 2 == 1);
        points += curves[i].n;
    }
    if (curves && points)
        text = cli_chart_text(cli_figure_title(&logs->figures[figure]), curves, 2 * logs->n, log,
                              columns && columns < CLI_COLUMNS ? (int)columns - 1 : CLI_COLUMNS - 1, 14);
    const bool good = curves && (text || !points);
    if (text) {
        cli_print_chart(text);
        printf("\n");
    }
    free(text);
    free(curves);
    return good;
}

/* ---- the table of runs ---- */

static double last(const cli_curve *c) { return c->n ? c->y[c->n - 1] : NAN; }

static double best(const cli_curve *c, bool most) {
    double x = NAN;
    for (size_t i = 0; i < c->n; i++) x = most ? fmax(x, c->y[i]) : fmin(x, c->y[i]);
    return x;
}

static void cell(cli_table *t, double x, const char *format) {
    char text[32];
    snprintf(text, sizeof text, format, x);
    cli_table_cell(t, "%s", isnan(x) ? "-" : text);
}

static void fixed(cli_table *t, double x) {
    char text[32];
    cli_table_cell(t, "%s", isnan(x) ? "-" : cli_fixed(x, text, sizeof text));
}

static size_t figure_named(const cli_logs *logs, const char *name) {
    size_t i = 0;
    while (i + 1 < logs->n_figures && strcmp(logs->figures[i].name, name) != 0) i++;
    return i;
}

static void print_runs(const cli_logs *logs) {
    static const char *const heads[] = {"<run", "<marks", "epochs", "loss", "best val. loss", "best val. acc.", "time"};
    const size_t loss = figure_named(logs, "loss"), accuracy = figure_named(logs, "accuracy");
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    char text[64];
    for (size_t i = 0; i < logs->n; i++) {
        const cli_run *r = &logs->runs[i];
        cli_table_cell(t, "%s", cli_short(r->name, text, 31));
        cli_table_cell(t, "%c %c", mark_of(logs, i, false), mark_of(logs, i, true));
        cli_table_cell(t, "%d/%d", r->done, r->epochs);
        fixed(t, last(&r->training[loss]));
        fixed(t, best(&r->validation[loss], false));
        cell(t, 100 * best(&r->validation[accuracy], true), "%.2f %%");
        cli_table_cell(t, "%.1f s", r->seconds);
    }
    cli_table_print(t, stdout);
    for (size_t i = 0; i < logs->n; i++) {
        const cli_run *r = &logs->runs[i];
        if (!r->ended) cli_printf("%s: not ended, or killed", r->name);
        if (r->ended && strcmp(r->status, "success") != 0) cli_printf("%s: %s", r->name, r->status);
    }
}

static void set(json_t *j, const char *key, double x) {
    if (isfinite(x)) json_object_set_new(j, key, json_real(x));
}

static json_t *runs_json(const cli_logs *logs) {
    const size_t loss = figure_named(logs, "loss"), accuracy = figure_named(logs, "accuracy");
    json_t *list = json_array();
    for (size_t i = 0; i < logs->n; i++) {
        const cli_run *r = &logs->runs[i];
        json_t *j = json_pack("{s:o, s:s, s:i, s:i, s:i, s:f, s:f, s:b}", "name", cli_json_text(r->name), "run", r->id,
                              "epochs", r->epochs, "done", r->done, "best_epoch", r->best_epoch, "seconds", r->seconds,
                              "waited", r->waited, "ended", r->ended);
        if (r->ended) json_object_set_new(j, "status", cli_json_text(r->status));
        set(j, "loss", last(&r->training[loss]));
        set(j, "best_validation_loss", best(&r->validation[loss], false));
        set(j, "best_validation_accuracy", best(&r->validation[accuracy], true));
        json_array_append_new(list, j);
    }
    return list;
}

static skive_status write_svg(cli_args *a, const cli_logs *logs, const bool chosen[CLI_MOST_FIGURES], const char *x,
                              const char *output) {
    char *text = cli_logs_svg(logs, chosen, x, "thin lines: training; points: validation", cli_has(a, "log-scale"));
    const skive_status status =
        text ? skive_file_write(a->ctx, output, text, strlen(text)) : cli_fail(a, SKIVE_ERR_MEMORY, "out of memory");
    free(text);
    return status;
}

static skive_status draw(cli_args *a, const cli_logs *logs, const char *x, const char *output) {
    bool chosen[CLI_MOST_FIGURES], some = false;
    skive_status status = choose(a, logs, chosen);
    for (size_t i = 0; i < logs->n_figures; i++)
        for (size_t k = 0; k < logs->n; k++)
            some = some || (chosen[i] && logs->runs[k].training[i].n + logs->runs[k].validation[i].n > 0);
    if (status == SKIVE_OK && !some)
        status = cli_fail(a, SKIVE_ERR_DATA, "there is nothing to draw: the logs have no such figures");
    if (status == SKIVE_OK && output) status = write_svg(a, logs, chosen, x, output);
    for (size_t i = 0; status == SKIVE_OK && !output && !a->json && i < logs->n_figures; i++) {
        if (chosen[i] && !print_chart(logs, i, cli_has(a, "log-scale")))
            status = cli_fail(a, SKIVE_ERR_MEMORY, "out of memory");
    }
    if (status != SKIVE_OK) return status;
    if (a->json) {
        json_t *j = json_pack("{s:o}", "runs", runs_json(logs));
        if (output) json_object_set_new(j, "output", cli_json_text(output));
        cli_print_json(j);
        return SKIVE_OK;
    }
    if (!output) printf("over the %s\n", strcmp(x, "epoch") == 0 ? "epochs" : x);
    print_runs(logs);
    if (output) cli_printf("wrote %s", output);
    return SKIVE_OK;
}

static skive_status run(cli_args *a) {
    const char *x = cli_text(a, "x", "epoch"), *output = cli_text(a, "output", NULL);
    const size_t length = output ? strlen(output) : 0;
    cli_logs logs = {0};
    if (strcmp(x, "epoch") != 0 && strcmp(x, "step") != 0 && strcmp(x, "seconds") != 0)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--x is %s; it must be epoch, step or seconds", x);
    if (output && (length < 4 || strcmp(output + length - 4, ".svg") != 0) && strncmp(output, "/dev/", 5) != 0)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "%s: curves are written as SVG; give a name that ends in .svg", output);
    for (int i = 0; output && i < a->n_positional; i++) {
        if (cli_same_file(output, a->positional[i]))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output would overwrite %s, which is a log", output);
    }
    skive_status status = output ? cli_check_output(a, output) : SKIVE_OK;
    for (int i = 0; status == SKIVE_OK && i < a->n_positional; i++)
        status = cli_logs_read(a, a->positional[i], x, &logs);
    if (status == SKIVE_OK) status = draw(a, &logs, x, output);
    cli_logs_free(&logs);
    return status;
}

const cli_command cli_command_plot = {
    .name = "plot",
    .brief = "draw the curves of training from its logs",
    .positional = "LOG...",
    .min_positional = 1,
    .max_positional = -1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "LOG is a file written by --log of train, distill, prune or share; it may hold several runs, and may be\n"
        "of a run that is still going on. Without --output the curves are printed in characters, and below them\n"
        "a table of the runs.",
    .examples = "  skive train lenet5 --data fashion-mnist --log plain.jsonl -o plain.onnx\n"
                "  skive plot plain.jsonl\n"
                "  skive plot plain.jsonl augmented.jsonl -o curves.svg",
    .run = run,
};
