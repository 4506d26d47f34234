/* Tables on a terminal. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct cli_table {
    size_t columns, n, capacity;
    bool failed;  /* out of memory: cells are missing, and the table is not printed */
    char **cells; /* row by row; a rule has NULL in its first column */
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

/* Exporters make names of whole module paths, which would make a table unreadable; they are shortened in the middle. */
enum { WIDEST = 52, LEAST = 16, WRAPPED = 28 }; /* WRAPPED: columns that text in lines wants */

static void shorten(char *text, size_t widest) {
    const size_t width = cli_width(text), front = widest * 2 / 5;
    if (width <= widest || strchr(text, ' ')) return; /* sentences are not shortened */
    char *cut = cli_skip(text, front);
    const char *back = cli_skip(text, width - (widest - front - 2));
    memmove(cut + 2, back, strlen(back) + 1);
    cut[0] = cut[1] = '.';
}

void cli_table_cell(cli_table *t, const char *format, ...) {
    char *text = NULL;
    va_list args;
    if (!t) return;
    va_start(args, format);
    const int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) {
        t->failed = true;
        return;
    }
    shorten(text, WIDEST);
    put(t, text);
}

void cli_table_rule(cli_table *t) {
    for (size_t i = 0; t && i < t->columns; i++) put(t, NULL);
}

/* Alignment of a column, given by its heading. */
static bool is_left(const cli_table *t, size_t column) { return t->cells[column] && t->cells[column][0] == '<'; }

static const char *cell_at(const cli_table *t, size_t row, size_t column) {
    const char *text = t->cells[row * t->columns + column];
    return !text ? "" : row == 0 && is_left(t, column) ? text + 1 : text;
}

static void measure(const cli_table *t, size_t *width) {
    for (size_t c = 0; c < t->columns; c++) {
        width[c] = 0;
        for (size_t row = 0; row < t->n / t->columns; row++) {
            const size_t w = cli_width(cell_at(t, row, c));
            if (w > width[c]) width[c] = w;
        }
    }
}

static void print_rule(FILE *f, const size_t *width, size_t columns) {
    for (size_t c = 0; c < columns; c++) {
        for (size_t i = 0; i < width[c]; i++) fputc('-', f);
        fputs(c + 1 < columns ? "  " : "\n", f);
    }
}

/* Words within `room`, on further lines behind `indent` spaces; a word that is longer is shortened in the middle. */
static void print_words(FILE *f, const char *text, size_t indent, size_t room) {
    char word[512];
    for (size_t at = 0; *text; text += strspn(text, " ")) {
        const size_t length = strcspn(text, " ");
        snprintf(word, sizeof word, "%.*s", (int)length, text);
        text += length;
        shorten(word, room);
        const size_t width = cli_width(word);
        if (at && at + 1 + width > room) {
            fprintf(f, "\n%*s", (int)indent, "");
            at = 0;
        }
        fprintf(f, "%s%s", at ? " " : "", word);
        at += width + (at > 0);
    }
}

/* Prints the first column and those from `first` to before `last`, or all if first is 0. A last column of text keeps
 * within `limit` (0: there is none). */
static void print_columns(const cli_table *t, FILE *f, const size_t *width, size_t first, size_t last, size_t limit) {
    size_t shown[64], widths[64], n = 0, before = 0;
    if (first > 0) shown[n++] = 0;
    for (size_t c = first; c < last && n < CLI_COUNT(shown); c++) shown[n++] = c;
    for (size_t i = 0; i < n; i++) widths[i] = width[shown[i]];
    for (size_t i = 0; i + 1 < n; i++) before += widths[i] + 2;
    const bool wraps = limit >= before + LEAST && before + widths[n - 1] > limit;
    if (wraps) widths[n - 1] = limit - before;
    for (size_t row = 0; row < t->n / t->columns; row++) {
        if (!t->cells[row * t->columns]) {
            print_rule(f, widths, n);
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            const char *text = cell_at(t, row, shown[i]);
            const size_t wide = cli_width(text);
            const int pad = wide < widths[i] ? (int)(widths[i] - wide) : 0;
            if (wraps && i + 1 == n)
                print_words(f, text, before, widths[i]);
            else if (is_left(t, shown[i]))
                fprintf(f, "%s%*s", text, i + 1 < n ? pad : 0, "");
            else
                fprintf(f, "%*s%s", pad, "", text);
            fputs(i + 1 < n ? "  " : "\n", f);
        }
        if (row == 0) print_rule(f, widths, n);
    }
}

/* A table wider than the screen is printed in parts, one below the other, each beginning with the first column. */
static void print_parts(const cli_table *t, FILE *f, size_t *width, size_t limit) {
    for (size_t row = 1; row < t->n / t->columns; row++) {
        char *name = t->cells[row * t->columns];
        if (name) shorten(name, limit / 3 > LEAST ? limit / 3 : LEAST);
    }
    measure(t, width);
    for (size_t first = 1, last; first < t->columns; first = last) {
        size_t total = width[0];
        for (last = first; last < t->columns && (last == first || total + 2 + width[last] <= limit); last++)
            total += 2 + width[last];
        if (first > 1) fputc('\n', f);
        print_columns(t, f, width, first, last, limit);
    }
}

void cli_table_print(cli_table *t, FILE *f) {
    if (!t) return;
    size_t *width = t->failed ? NULL : calloc(t->columns, sizeof *width);
    if (width) {
        const size_t limit = cli_columns(f);
        size_t total = 0;
        measure(t, width);
        for (size_t c = 0; c < t->columns; c++) total += width[c] + (c ? 2 : 0);
        const size_t last = t->columns - 1, least = total - width[last] + WRAPPED;
        if (!limit || total <= limit || t->columns < 3 || (is_left(t, last) && least <= limit))
            print_columns(t, f, width, 0, t->columns, limit);
        else
            print_parts(t, f, width, limit);
    }
    for (size_t i = 0; i < t->n; i++) free(t->cells[i]);
    free(t->cells);
    free(width);
    free(t);
}
