/* Text output: the width of the screen, lines that fit it, names cut between characters. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli.h"

enum { NARROWEST = 40 };

size_t cli_columns(FILE *f) {
    const char *text = getenv("COLUMNS");
    struct winsize size;
    long columns = text ? strtol(text, NULL, 10) : 0;
    const int fd = fileno(f);
    if (columns <= 0 && isatty(fd) == 1 && ioctl(fd, TIOCGWINSZ, &size) == 0) columns = size.ws_col;
    if (columns <= 0) return 0;
    return columns < NARROWEST ? NARROWEST : (size_t)columns;
}

/* Columns on the screen: the number of bytes that start a character. */
size_t cli_width(const char *text) {
    size_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

char *cli_skip(char *text, size_t characters) {
    while (*text && characters--) {
        do text++;
        while (((unsigned char)*text & 0xc0) == 0x80);
    }
    return text;
}

const char *cli_copy(char *buffer, size_t size, const char *text, size_t columns) {
    size_t n = 0, wide = 0;
    while (text[n] && wide < columns) {
        size_t next = n + 1;
        while (((unsigned char)text[next] & 0xc0) == 0x80) next++;
        if (next >= size) break;
        n = next;
        wide++;
    }
    memmove(buffer, text, n);
    buffer[n] = '\0';
    return buffer;
}

/* A newline inside a paragraph becomes a space; one before a space or another newline is kept. */
static bool ends_line(const char *at) { return *at == '\n' && (at[1] == ' ' || at[1] == '\n' || !at[1]); }

void cli_print_text(FILE *f, const char *text, size_t column, size_t indent) {
    const size_t columns = cli_columns(f), limit = columns ? columns : CLI_COLUMNS;
    while (*text) {
        char word[512];
        size_t n = 0;
        while (text[n] && text[n] != ' ' && text[n] != '\n' && n + 1 < sizeof word) n++;
        memcpy(word, text, n);
        word[n] = '\0';
        const size_t width = cli_width(word);
        if (column > indent && column + width > limit) {
            fprintf(f, "\n%*s", (int)indent, "");
            column = indent;
        }
        fputs(word, f);
        column += width;
        text += n;
        if (ends_line(text) || (*text == '\n' && column == 0)) { /* a blank line stays */
            fputc('\n', f);
            column = 0;
            text++;
        } else if (*text == ' ' || *text == '\n') {
            /* A space is printed if the word after it still fits. */
            size_t next = 1;
            while (text[next] && text[next] != ' ' && text[next] != '\n') next++;
            if (column > indent && column + next > limit) {
                fprintf(f, "\n%*s", (int)indent, "");
                column = indent;
            } else {
                fputc(' ', f);
                column++;
            }
            text++;
        }
    }
    fputc('\n', f);
}

static char *begun; /* current column of the line begun by cli_part */

void cli_part(const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    const int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) return;
    char *line = cli_format("%s%s", begun ? begun : "", text);
    free(text);
    if (!line) return;
    free(begun);
    begun = line;
}

void cli_end_line(void) { cli_printf("%s", ""); }

static void print_line(FILE *f, const char *format, va_list args) {
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0) return;
    if (f == stdout && begun) {
        char *line = cli_format("%s%s", begun, text);
        free(text);
        free(begun);
        begun = NULL;
        text = line;
        if (!text) return;
    }
    char *shown = cli_shown(text);
    const char *line = shown ? shown : text;
    if (cli_columns(f))
        cli_print_text(f, line, 0, 2);
    else
        fprintf(f, "%s\n", line);
    free(shown);
    free(text);
}

void cli_printf(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_line(stdout, format, args);
    va_end(args);
}

void cli_tell(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_line(stderr, format, args);
    va_end(args);
}

char *cli_format(const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    const int n = vasprintf(&text, format, args);
    va_end(args);
    return n < 0 ? NULL : text;
}
