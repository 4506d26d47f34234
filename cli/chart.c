/* See chart.h. */
#include "chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cli_curve_add(cli_curve *c, double x, double y) {
    if (!isfinite(x) || !isfinite(y)) return true;
    if (c->n == c->room) {
        const size_t room = c->room ? 2 * c->room : 64;
        double *more_x = realloc(c->x, room * sizeof *more_x);
        if (more_x) c->x = more_x;
        double *more_y = more_x ? realloc(c->y, room * sizeof *more_y) : NULL;
        if (!more_y) return false;
        c->y = more_y;
        c->room = room;
    }
    c->x[c->n] = x;
    c->y[c->n++] = y;
    return true;
}

void cli_curve_free(cli_curve *c) {
    free(c->x);
    free(c->y);
    *c = (cli_curve){0};
}

/* ---- axes ---- */

static double nice_step(double span, int ticks) {
    const double raw = span / ticks, unit = pow(10, floor(log10(raw))), part = raw / unit;
    return unit * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

bool cli_axis_of(const cli_curve *curves, size_t n, bool of_y, int ticks, bool log, cli_axis *out) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        const double *values = of_y ? curves[i].y : curves[i].x;
        for (size_t k = 0; k < curves[i].n; k++) {
            low = fmin(low, values[k]);
            high = fmax(high, values[k]);
        }
    }
    if (!(low <= high)) return false;
    if (log && low > 0) {
        const double a = floor(log10(low) + 1e-9), b = ceil(log10(high) - 1e-9);
        *out = (cli_axis){.low = pow(10, a), .high = pow(10, b > a ? b : a + 1), .step = 10, .log = true};
        return true;
    }
    if (high - low < 1e-12 * fmax(fabs(low), fabs(high)) || high == low) {
        const double around = low != 0 ? fabs(low) / 10 : 1;
        low -= around;
        high += around;
    }
    const double step = nice_step(high - low, ticks);
    const double below = step * floor(low / step + 1e-9);
    const bool near = low - below < 0.1 * (high - low); /* an axis of x begins at a tick that is near */
    *out = (cli_axis){
        .low = of_y || near ? below : low, .high = of_y ? step * ceil(high / step - 1e-9) : high, .step = step};
    return true;
}

double cli_axis_fraction(const cli_axis *a, double value) {
    if (a->log) return log10(value / a->low) / log10(a->high / a->low);
    return (value - a->low) / (a->high - a->low);
}

bool cli_axis_tick(const cli_axis *a, int k, double *value) {
    *value = a->log ? a->low * pow(10, k) : a->step * (ceil(a->low / a->step - 1e-9) + k);
    if (fabs(*value) < 1e-9 * a->step) *value = 0;
    return *value <= a->high + 1e-9 * fabs(a->high - a->low);
}

/* ---- characters ---- */

enum { LABEL = 8 }; /* columns in front of the curves: a number, a space and the axis */

typedef struct canvas {
    char *text; /* lines of columns + 1 */
    int columns, rows;
    const cli_axis *x, *y;
} canvas;

static char *cell(const canvas *c, int row, int column) { return c->text + row * (c->columns + 1) + column; }

static void put_mark(const canvas *c, double x, double y, char mark) {
    const int wide = c->columns - LABEL;
    const int column = (int)lrint(cli_axis_fraction(c->x, x) * (wide - 1));
    const int row = (int)lrint((1 - cli_axis_fraction(c->y, y)) * (c->rows - 1));
    if (column < 0 || column >= wide || row < 0 || row >= c->rows) return;
    *cell(c, row + 1, column + LABEL) = mark;
}

/* A mark in each column that the curve crosses: the mean of the points there, or a place on the line between two. */
static void put_line(const canvas *c, const cli_curve *curve) {
    const int wide = c->columns - LABEL;
    size_t k = 0;
    for (int column = 0; column < wide; column++) {
        const double width = (c->x->high - c->x->low) / (wide - 1), x = c->x->low + column * width;
        double sum = 0;
        int n = 0;
        for (; k < curve->n && curve->x[k] < x + width / 2; k++, n++) sum += curve->y[k];
        if (n) {
            put_mark(c, x, sum / n, curve->mark);
        } else if (k > 0 && k < curve->n) {
            const double part = (x - curve->x[k - 1]) / (curve->x[k] - curve->x[k - 1]);
            put_mark(c, x, curve->y[k - 1] + part * (curve->y[k] - curve->y[k - 1]), curve->mark);
        }
    }
}

static void put_text(const canvas *c, int row, int column, const char *text) {
    for (int i = 0; text[i] && column + i < c->columns; i++) {
        if (column + i >= 0) *cell(c, row, column + i) = text[i];
    }
}

static void put_axes(const canvas *c) {
    double value;
    char text[32];
    int last = -1;
    for (int row = 1; row <= c->rows; row++) *cell(c, row, LABEL - 1) = '|';
    for (int k = 0; cli_axis_tick(c->y, k, &value); k++) {
        const int row = (int)lrint((1 - cli_axis_fraction(c->y, value)) * (c->rows - 1)) + 1;
        const int n = snprintf(text, sizeof text, "%.4g", value);
        put_text(c, row, LABEL - 2 - (n < LABEL - 2 ? n : LABEL - 2), text);
        *cell(c, row, LABEL - 1) = '+';
    }
    for (int k = 0; cli_axis_tick(c->x, k, &value); k++) {
        const int at = LABEL + (int)lrint(cli_axis_fraction(c->x, value) * (c->columns - LABEL - 1));
        const int n = snprintf(text, sizeof text, "%.6g", value), first = at + n > c->columns ? c->columns - n : at;
        if (first <= last + 1) continue;
        put_text(c, c->rows + 1, first, text);
        last = first + n;
    }
}

char *cli_chart_text(const char *title, const cli_curve *curves, size_t n, bool log, int columns, int rows) {
    cli_axis x, y;
    const size_t line = (size_t)columns + 1, size = line * (size_t)(rows + 2);
    canvas c = {.text = malloc(size + 1), .columns = columns, .rows = rows, .x = &x, .y = &y};
    if (!c.text) return NULL;
    memset(c.text, ' ', size);
    for (int row = 0; row < rows + 2; row++) *cell(&c, row, columns) = '\n';
    c.text[size] = '\0';
    put_text(&c, 0, 0, title);
    if (columns < LABEL + 8 || rows < 2 || !cli_axis_of(curves, n, false, 6, false, &x) ||
        !cli_axis_of(curves, n, true, rows / 3 + 1, log, &y))
        return c.text;
    put_axes(&c);
    for (size_t i = 0; i < n; i++)
        if (curves[i].joined) put_line(&c, &curves[i]);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; !curves[i].joined && k < curves[i].n; k++)
            put_mark(&c, curves[i].x[k], curves[i].y[k], curves[i].mark);
    return c.text;
}

void cli_print_chart(const char *text) {
    for (const char *at = text, *end; *at; at = end + 1) {
        end = strchr(at, '\n');
        size_t length = (size_t)(end - at);
        while (length > 0 && at[length - 1] == ' ') length--;
        printf("%.*s\n", (int)length, at);
    }
}
