/* Curves: their axes, and drawing them in characters. Used by skive plot and while training is watched. */
#ifndef CLI_CHART_H
#define CLI_CHART_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cli_curve {
    const char *name; /* in a legend */
    double *x, *y;    /* [n], x ascending */
    size_t n, room;
    bool joined; /* a line, otherwise points */
    char mark;   /* in characters */
    int color;   /* in a picture: number of its run */
} cli_curve;

/* Appends a point, unless one of its numbers is not finite; false when out of memory. */
bool cli_curve_add(cli_curve *c, double x, double y);
void cli_curve_free(cli_curve *c);

typedef struct cli_axis {
    double low, high, step; /* ticks are multiples of step; log: of the powers of ten only */
    bool log;
} cli_axis;

/* Ends and ticks that hold all curves' numbers (of x or of y); about `ticks` of them. An axis of y may be
 * logarithmic if all numbers are positive. False when there is no point. */
bool cli_axis_of(const cli_curve *curves, size_t n, bool of_y, int ticks, bool log, cli_axis *out);
/* 0 at the low end, 1 at the high end. */
double cli_axis_fraction(const cli_axis *a, double value);
/* The k-th tick; false past the last. */
bool cli_axis_tick(const cli_axis *a, int k, double *value);

/* Draws into rows + 2 lines of exactly `columns` characters: title, curves with labels of y, and the axis of x. For
 * free(); NULL when out of memory. Curves without points are left out. */
char *cli_chart_text(const char *title, const cli_curve *curves, size_t n, bool log, int columns, int rows);
/* Prints such a text to standard output, without the spaces at the ends of its lines. */
void cli_print_chart(const char *text);

#endif
