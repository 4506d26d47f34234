/* Curves as a picture: SVG, readable without any style sheet or font of its own. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "logs.h"

enum { WIDTH = 760, PANEL = 250, LEFT = 70, RIGHT = 20, TOP = 34, BOTTOM = 40, LEGEND = 22 };

/* Colours that people with any colour vision can tell apart (Okabe & Ito 2008), darkest first. */
static const char *const colors[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"};

static void put_escaped(FILE *f, const char *text) {
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", f);
        else if (*text == '&')
            fputs("&amp;", f);
        else if ((unsigned char)*text >= ' ')
            fputc(*text, f);
    }
}

typedef struct panel {
    cli_axis x, y;
    double top; /* of the curves */
} panel;

static double place_x(const panel *p, double x) { return LEFT + cli_axis_fraction(&p->x, x) * (WIDTH - LEFT - RIGHT); }
static double place_y(const panel *p, double y) {
    return p->top + (1 - cli_axis_fraction(&p->y, y)) * (PANEL - TOP - BOTTOM);
}

static void put_axes(FILE *f, const panel *p, const char *title, const char *x_title) {
    const double bottom = p->top + PANEL - TOP - BOTTOM;
    double value;
    fprintf(f, "<text x=\"%d\" y=\"%.1f\" font-weight=\"bold\">", LEFT, p->top - 12);
    put_escaped(f, title);
    fprintf(f, "</text>\n<g stroke=\"#dddddd\">\n");
    for (int k = 0; cli_axis_tick(&p->y, k, &value); k++)
        fprintf(f, "<path d=\"M%d %.1fH%d\"/>\n", LEFT, place_y(p, value), WIDTH - RIGHT);
    for (int k = 0; cli_axis_tick(&p->x, k, &value); k++)
        fprintf(f, "<path d=\"M%.1f %.1fV%.1f\"/>\n", place_x(p, value), p->top, bottom);
    fprintf(f, "</g>\n<path d=\"M%d %.1fV%.1fH%d\" stroke=\"#444444\" fill=\"none\"/>\n<g text-anchor=\"end\">\n", LEFT,
            p->top, bottom, WIDTH - RIGHT);
    for (int k = 0; cli_axis_tick(&p->y, k, &value); k++)
        fprintf(f, "<text x=\"%d\" y=\"%.1f\">%.6g</text>\n", LEFT - 8, place_y(p, value) + 4, value);
    fprintf(f, "</g>\n<g text-anchor=\"middle\">\n");
    for (int k = 0; cli_axis_tick(&p->x, k, &value); k++)
        fprintf(f, "<text x=\"%.1f\" y=\"%.1f\">%.6g</text>\n", place_x(p, value), bottom + 16, value);
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\">%s</text>\n</g>\n", LEFT + (WIDTH - LEFT - RIGHT) / 2.0, bottom + 32,
            x_title);
}

static void put_curve(FILE *f, const panel *p, const cli_curve *c) {
    const char *color = colors[(size_t)c->color % CLI_COUNT(colors)];
    if (c->n == 0) return;
    fprintf(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" points=\"", color, c->joined ? "1.2" : "2");
    for (size_t i = 0; i < c->n; i++) fprintf(f, "%s%.1f,%.1f", i ? " " : "", place_x(p, c->x[i]), place_y(p, c->y[i]));
    fprintf(f, "\"%s/>\n", c->joined ? " stroke-opacity=\"0.6\"" : "");
    for (size_t i = 0; !c->joined && i < c->n; i++)
        fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", place_x(p, c->x[i]), place_y(p, c->y[i]),
                color);
}

static void put_legend(FILE *f, const cli_logs *logs, const char *text, double top) {
    fprintf(f, "<text x=\"%d\" y=\"%.1f\" fill=\"#444444\">%s</text>\n", LEFT, top + 14, text);
    for (size_t i = 0; i < logs->n; i++) {
        const double y = top + LEGEND * (double)(i + 1) + 10;
        const char *color = colors[i % CLI_COUNT(colors)];
        fprintf(f,
                "<path d=\"M%d %.1fh26\" stroke=\"%s\" stroke-width=\"2\"/><circle cx=\"%d\" cy=\"%.1f\" r=\"3\" "
                "fill=\"%s\"/>\n<text x=\"%d\" y=\"%.1f\">",
                LEFT, y, color, LEFT + 13, y, color, LEFT + 34, y + 4);
        put_escaped(f, logs->runs[i].name);
        fprintf(f, "</text>\n");
    }
}

/* All curves of a figure: of each run training, then validation. Borrowed. */
static size_t gather(const cli_logs *logs, size_t figure, cli_curve *curves) {
    size_t n = 0;
    for (size_t i = 0; i < logs->n; i++) {
        curves[n] = logs->runs[i].training[figure];
        curves[n].joined = true;
        curves[n++].color = (int)i;
        curves[n] = logs->runs[i].validation[figure];
        curves[n++].color = (int)i;
    }
    return n;
}

char *cli_logs_svg(const cli_logs *logs, const bool chosen[CLI_MOST_FIGURES], const char *x, const char *legend,
                   bool log) {
    char *text = NULL;
    size_t size = 0, panels = 0;
    cli_curve *curves = calloc(2 * logs->n + 1, sizeof *curves);
    panel p[CLI_MOST_FIGURES];
    bool drawn[CLI_MOST_FIGURES] = {false};
    FILE *f = curves ? open_memstream(&text, &size) : NULL;
    for (size_t i = 0; f && i < logs->n_figures; i++) {
        const size_t n = gather(logs, i, curves);
        drawn[i] = chosen[i] && cli_axis_of(curves, n, false, 10, false, &p[i].x) &&
                   cli_axis_of(curves, n, true, 5, log, &p[i].y);
        p[i].top = (double)(PANEL * panels + TOP);
        panels += drawn[i];
    }
    if (f) {
        const int height = (int)(PANEL * panels + LEGEND * (logs->n + 1) + 20);
        fprintf(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
            "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            WIDTH, height, WIDTH, height);
        for (size_t i = 0; i < logs->n_figures; i++) {
            if (!drawn[i]) continue;
            put_axes(f, &p[i], cli_figure_title(&logs->figures[i]), x);
            const size_t n = gather(logs, i, curves);
            for (size_t k = 0; k < n; k++) put_curve(f, &p[i], &curves[k]);
        }
        put_legend(f, logs, legend, (double)(PANEL * panels));
        fprintf(f, "</svg>\n");
        const bool failed = ferror(f) != 0;
        if (fclose(f) != 0 || failed) {
            free(text);
            text = NULL;
        }
    }
    free(curves);
    return text;
}
