/* Tables on a terminal. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct cli_table {
    size_t columns, n, capacity;
    bool failed;  /* memory ran out: cells are missing, and the table is not printed */
    char **cells; /* row by row; NULL in the first column of a rule */
};

static void put(cli_table *t, char *text) {
    if (t->n == t->capacity) {
        const size_t capacity = t->capacity ? 2 * t->capacity : 64;
        char **bigger = realloc(t->cells, capacity * sizeof *bigger);
        if (!bigger) {
            t->failed = true;
            free(text);
            return;
        }
        t->cells = bigger;
        t->capacity = capacity;
    }
    t->cells[t->n++] = text;
}

static void put_copy(cli_table *t, const char *text) {
    char *copy = strdup(text);
    if (copy)
        put(t, copy);
    else
        t->failed = true;
}

cli_table *cli_table_new(const char *const *heads, size_t n) {
    cli_table *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->columns = n;
    for (size_t i = 0; i < n; i++) put_copy(t, heads[i]);
    return t;
}

/* Columns on the screen: bytes that start a character. */
static size_t width_of(const char *text) {
    size_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* Names that exporters make up from whole paths would make a table nobody can read: their middle goes. */
enum { WIDEST = 52, FRONT = 20 };

static char *skip_characters(char *text, size_t n) {
    while (*text && n--) {
        do text++;
        while (((unsigned char)*text & 0xc0) == 0x80);
    }
    return text;
}

static void shorten(char *text) {
    const size_t width = width_of(text);
    if (width <= WIDEST || strchr(text, ' ')) return; /* sentences stay whole */
    char *cut = skip_characters(text, FRONT);
    const char *back = skip_characters(text, width - (WIDEST - FRONT - 2));
    memmove(cut + 2, back, strlen(back) + 1);
    cut[0] = cut[1] = '.';
}

void cli_table_cell(cli_table *t, const char *format, ...) {
    char text[1024];
    va_list args;
    if (!t) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    shorten(text);
    put_copy(t, text);
}

void cli_table_rule(cli_table *t) {
    for (size_t i = 0; t && i < t->columns; i++) put(t, NULL);
}

static void print_rule(FILE *f, const size_t *width, size_t columns) {
    for (size_t c = 0; c < columns; c++) {
        for (size_t i = 0; i < width[c]; i++) fputc('-', f);
        fputs(c + 1 < columns ? "  " : "\n", f);
    }
}

void cli_table_print(cli_table *t, FILE *f) {
    if (!t) return;
    size_t *width = t->failed ? NULL : calloc(t->columns, sizeof *width);
    for (size_t i = 0; width && i < t->n; i++) {
        const char *text = t->cells[i];
        if (!text) continue;
        if (i < t->columns && text[0] == '<') text++;
        const size_t w = width_of(text);
        if (w > width[i % t->columns]) width[i % t->columns] = w;
    }
    for (size_t row = 0; width && row < t->n / t->columns; row++) {
        char **cells = t->cells + row * t->columns;
        if (!cells[0]) {
            print_rule(f, width, t->columns);
            continue;
        }
        for (size_t c = 0; c < t->columns; c++) {
            const bool left = t->cells[c] && t->cells[c][0] == '<';
            const char *text = !cells[c] ? "" : row == 0 && left ? cells[c] + 1 : cells[c];
            const int pad = (int)(width[c] - width_of(text));
            if (left)
                fprintf(f, "%s%*s", text, c + 1 < t->columns ? pad : 0, "");
            else
                fprintf(f, "%*s%s", pad, "", text);
            fputs(c + 1 < t->columns ? "  " : "\n", f);
        }
        if (row == 0) print_rule(f, width, t->columns);
    }
    for (size_t i = 0; i < t->n; i++) free(t->cells[i]);
    free(t->cells);
    free(width);
    free(t);
}
