/* Training watched on a terminal: the curves of loss and accuracy in characters above the line of progress, drawn anew
 * as the run goes on. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "chart.h"
#include "cli.h"

enum { NARROWEST = 60, LOWEST = 14, HIGH = 22 };

struct cli_live {
    cli_curve loss[2], accuracy[2]; /* training, validation */
    double rate, speed, waited, seconds;
    int best_epoch;
};

static void forget(cli_live *l) {
    for (int i = 0; i < 2; i++) {
        cli_curve_free(&l->loss[i]);
        cli_curve_free(&l->accuracy[i]);
        l->loss[i].joined = l->accuracy[i].joined = i == 0;
        l->loss[i].mark = l->accuracy[i].mark = i ? 'o' : '.';
    }
    l->rate = l->speed = NAN;
    l->best_epoch = 0;
}

void cli_live_free(cli_console *c) {
    if (!c->live) return;
    forget(c->live);
    free(c->live);
    c->live = NULL;
}

/* How high the curves may be; 0: the screen is too small, or not a screen on which lines can be drawn anew. */
static int rows_of_screen(void) {
    struct winsize size;
    const char *term = getenv("TERM");
    if (!term || strcmp(term, "dumb") == 0 || ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0) return 0;
    if (size.ws_col < NARROWEST || size.ws_row < LOWEST) return 0;
    return size.ws_row < HIGH ? 5 : 9;
}

bool cli_live_start(cli_console *c) {
    if (c->quiet || !c->terminal || !rows_of_screen()) return false;
    if (!c->live) c->live = calloc(1, sizeof *c->live);
    if (c->live) forget(c->live);
    return c->live;
}

void cli_live_event(void *user, const skive_train_event *e) {
    cli_console *c = user;
    cli_live *l = c->live;
    bool good = true;
    if (e->kind == SKIVE_TRAIN_RUN) forget(l);
    l->seconds = e->seconds;
    l->waited = e->waited;
    l->best_epoch = e->best_epoch;
    if (isfinite(e->learning_rate)) l->rate = e->learning_rate;
    if (e->kind == SKIVE_TRAIN_STEPS) {
        l->speed = e->samples_per_second;
        good = cli_curve_add(&l->loss[0], e->epoch, e->loss) && cli_curve_add(&l->accuracy[0], e->epoch, e->accuracy);
    } else if (e->kind == SKIVE_TRAIN_EPOCH) {
        good = cli_curve_add(&l->loss[1], e->epoch, e->row->validation_loss) &&
               cli_curve_add(&l->accuracy[1], e->epoch, e->row->validation_accuracy);
    }
    if (e->kind == SKIVE_TRAIN_END || !good) {
        cli_console_clear(c);
        forget(l);
    }
}

/* Both texts beside one another; their lines all have the same length. */
static int put_beside(FILE *f, const char *a, const char *b) {
    int lines = 0;
    while (*a) {
        const int n = (int)strcspn(a, "\n"), m = b ? (int)strcspn(b, "\n") : 0;
        fprintf(f, "%.*s%s%.*s\n", n, a, b ? "  " : "", m, b ? b : "");
        a += n + 1;
        b += b ? m + 1 : 0;
        lines++;
    }
    return lines;
}

static int put_all(FILE *f, const cli_live *l, const char *left, const char *right, int columns, const char *line) {
    char text[160];
    const int lines = put_beside(f, left, right) + 1;
    int n = snprintf(text, sizeof text, "rate %.4g   %.0f samples/s   %.1f %% waiting for data", l->rate, l->speed,
                     l->seconds > 0 ? 100 * l->waited / l->seconds : 0);
    if (l->best_epoch) (void)snprintf(text + n, sizeof text - (size_t)n, "   best epoch %d", l->best_epoch);
    char shown[640];
    fprintf(f, "%s\n", cli_copy(shown, sizeof shown, text, (size_t)columns));
    fputs(cli_copy(shown, sizeof shown, line, (size_t)columns), f);
    return lines;
}

bool cli_live_draw(cli_console *c, const char *line) {
    cli_live *l = c->live;
    const int rows = l ? rows_of_screen() : 0, wide = (int)cli_columns(stderr);
    if (!rows || l->loss[0].n < 2 || wide < NARROWEST) return false;
    const int columns = wide < CLI_COLUMNS ? wide - 1 : CLI_COLUMNS - 1;
    const bool two = l->accuracy[0].n > 1, validated = l->loss[1].n > 0;
    char *left = cli_chart_text(validated ? "loss (. training, o validation)" : "loss", l->loss, 2, false,
                                two ? (columns - 2) / 2 : columns, rows);
    char *right = two ? cli_chart_text("accuracy", l->accuracy, 2, false, (columns - 2) / 2, rows) : NULL;
    char *text = NULL; /* written at once, so that it does not flicker */
    size_t size = 0;
    FILE *f = left && (right || !two) ? open_memstream(&text, &size) : NULL;
    int lines = 0;
    if (f) lines = put_all(f, l, left, right, columns, line);
    const bool good = f && fclose(f) == 0 && text;
    if (good) {
        cli_console_clear(c);
        fputs(text, stderr);
        c->drawn = lines;
        c->width = (int)strlen(line) < columns ? (int)strlen(line) : columns;
    }
    free(text);
    free(left);
    free(right);
    return good;
}
