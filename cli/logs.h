/* Logs of training (--log), read back. */
#ifndef CLI_LOGS_H
#define CLI_LOGS_H

#include "chart.h"
#include "cli.h"

/* The figures that can be drawn, in training and in validation. */
enum { CLI_MOST_FIGURES = 8 };
typedef struct cli_figure {
    const char *name;       /* "accuracy", as --figures takes it */
    const char *title;      /* of its chart */
    const char *training;   /* key in lines of steps; NULL: none */
    const char *validation; /* key in lines of epochs; NULL: none */
} cli_figure;
extern const cli_figure cli_figures[];
extern const size_t cli_n_figures;

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
} cli_logs;

/* Adds the runs of a file; x: "epoch", "step" or "seconds". Errors: IO, FORMAT (names file and line). */
skive_status cli_logs_read(cli_args *a, const char *path, const char *x, cli_logs *logs);
void cli_logs_free(cli_logs *logs);

/* One chart for each figure chosen that has points, below one another, with a legend; NULL when out of memory. */
char *cli_logs_svg(const cli_logs *logs, const bool chosen[CLI_MOST_FIGURES], const char *x, const char *legend,
                   bool log);

#endif
