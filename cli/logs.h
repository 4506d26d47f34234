/* Logs of training (--log), read back. */
#ifndef CLI_LOGS_H
#define CLI_LOGS_H

#include "chart.h"
#include "cli.h"

/* The figures that can be drawn, in training and in validation: some that any log may have, and those that a run was
 * asked for by name (--metrics, --best). */
enum { CLI_MOST_FIGURES = 40, CLI_USUAL_FIGURES = 7 };
typedef struct cli_figure {
    char name[32];          /* "accuracy", as --figures takes it */
    const char *title;      /* of its chart; NULL: the name */
    const char *training;   /* key in lines of steps; NULL: none */
    const char *validation; /* key in lines of epochs; NULL: none, or that of the name among "figures" */
} cli_figure;

typedef struct cli_run {
    char id[17], *name; /* the file, and which of its runs if there are several */
    int epochs, done, best_epoch;
    double seconds, waited;
    bool ended;
    char status[80];
    cli_curve training[CLI_MOST_FIGURES], validation[CLI_MOST_FIGURES];
} cli_run;

typedef struct cli_logs {
    cli_run *runs; /* [n] */
    size_t n;
    cli_figure figures[CLI_MOST_FIGURES];
    size_t n_figures; /* 0: cli_logs_read sets the usual ones */
} cli_logs;

/* Adds the runs of a file; x: "epoch", "step" or "seconds". Errors: IO, FORMAT (names file and line). */
skive_status cli_logs_read(cli_args *a, const char *path, const char *x, cli_logs *logs);
void cli_logs_free(cli_logs *logs);

static inline const char *cli_figure_title(const cli_figure *f) { return f->title ? f->title : f->name; }
/* One chart for each figure chosen that has points, below one another, with a legend; NULL when out of memory. */
char *cli_logs_svg(const cli_logs *logs, const bool chosen[CLI_MOST_FIGURES], const char *x, const char *legend,
                   bool log);

#endif
