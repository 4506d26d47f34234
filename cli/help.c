/* Help texts and the manual page, from the records. */
#include <ctype.h>
#include <string.h>

#include "cli.h"

/* "  left   text", the text in a column of its own. */
static void print_entry(FILE *f, const char *left, size_t width, const char *text) {
    fprintf(f, "  %-*s ", (int)width, left);
    const size_t n = strlen(left);
    cli_print_text(f, text, 3 + (n > width ? n : width), 3 + width);
}

static void print_option(FILE *f, const cli_option *o) {
    char left[64];
    snprintf(left, sizeof left, "%s%c%s--%s%s%s", o->letter ? "-" : " ", o->letter ? o->letter : ' ',
             o->letter ? ", " : "  ", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    print_entry(f, left, 28, o->help);
}

/* Length of the next word of a command line; an option and its value count as one word. */
static size_t unit_length(const char *text) {
    size_t n = strcspn(text, " \n");
    while (text[0] == '-' && text[n] == ' ' && text[n + 1] && !strchr("- \\\n", text[n + 1]))
        n += 1 + strcspn(text + n + 1, " \n");
    return n;
}

/* Command lines; those that are too long are continued with a backslash. */
static void print_examples(FILE *f, const char *text) {
    const size_t columns = cli_columns(f), limit = columns ? columns : CLI_COLUMNS;
    size_t column = 0;
    for (; *text; text += *text == '\n') {
        for (column = 0; *text && *text != '\n';) {
            const size_t blanks = strspn(text, " "), word = unit_length(text + blanks);
            const size_t room = text[blanks + word] == ' ' ? 2 : 0; /* for the backslash */
            text += blanks;
            if (column > 8 && column + blanks + word + room > limit) {
                fputs(" \\\n      ", f);
                column = 6;
            } else {
                fprintf(f, "%*s", (int)blanks, "");
                column += blanks;
            }
            fprintf(f, "%.*s", (int)word, text);
            column += word;
            text += word;
        }
        fputc('\n', f);
    }
}

/* "  sgd:momentum=X  momentum of sgd (default 0.9)": the options that values of options take. */
static void print_records(FILE *f, const cli_command *c) {
    size_t n;
    bool any = false;
    const cli_option *options = cli_options_of(c, &n);
    for (size_t i = 0; i < n; i++) {
        const char *choice, *full = cli_full_name(c, &options[i]);
        for (size_t k = 0; full && (choice = skive_options_choice(c->method, full, k, NULL)); k++) {
            skive_option_bounds b = {.size = sizeof b};
            bool found = true;
            for (size_t m = 0; found; m++) {
                char left[96];
                if (skive_options_of_choice(NULL, c->method, full, choice, m, &b, &found) != SKIVE_OK) break;
                if (!found) break;
                if (!any) fputs("\nOptions behind a value:\n", f);
                any = true;
                snprintf(left, sizeof left, "--%s %s:%s%s", options[i].name, choice, b.name,
                         b.type == SKIVE_OPTION_SWITCH ? "" : "=X");
                print_entry(f, left, 40, b.brief);
            }
        }
    }
}

void cli_print_help(FILE *f, const cli_command *c) {
    fprintf(f, "skive %s: ", c->name);
    cli_print_text(f, c->brief, 8 + strlen(c->name), 2);
    fprintf(f, "\nUsage: skive %s %s [options]\n", c->name, c->positional);
    if (c->details) {
        fputc('\n', f);
        cli_print_text(f, c->details, 0, 0);
    }
    size_t n;
    const cli_option *options = cli_options_of(c, &n);
    if (n) fputs("\nOptions:\n", f);
    for (size_t i = 0; i < n; i++) print_option(f, &options[i]);
    print_records(f, c);
    fputs("\nOptions of every subcommand:\n", f);
    for (size_t i = 0; i < cli_n_common_options; i++) print_option(f, &cli_common_options[i]);
    if (c->examples) {
        fputs("\nExamples:\n", f);
        print_examples(f, c->examples);
    }
}

static const struct {
    skive_status status;
} exits[] = {
#define X(name, code, exit, brief) {SKIVE_##name},
#include <skive/status.inc>
#undef X
};

static void print_exits(FILE *f, const char *format) {
    for (size_t i = 0; i < CLI_COUNT(exits); i++) {
        fprintf(f, format, skive_status_exit(exits[i].status), skive_status_brief(exits[i].status));
    }
}

void cli_print_overview(FILE *f) {
    fputs("skive makes trained neural networks small and fast, and proves what that cost.\n\n"
          "Usage: skive SUBCOMMAND ARGUMENTS [options]\n\n"
          "Subcommands:\n",
          f);
    size_t longest = 0;
    for (size_t i = 0; i < cli_command_count(); i++) {
        const size_t n = strlen(cli_command_at(i)->name);
        if (n > longest) longest = n;
    }
    for (size_t i = 0; i < cli_command_count(); i++)
        print_entry(f, cli_command_at(i)->name, longest, cli_command_at(i)->brief);
    fputc('\n', f);
    cli_print_text(f,
                   "skive SUBCOMMAND --help describes a subcommand. A model is an ONNX file or a file written by skive "
                   "pack. In place of a model or the file of --input, - means standard input; as --output it means "
                   "standard output, and all text is then printed to standard error.",
                   0, 0);
    fputs("\nData sets (--data):\n", f);
    for (size_t i = 0; i < skive_dataset_kind_count(); i++) {
        fprintf(f, "  %s\n      ", skive_dataset_kind_syntax(i));
        cli_print_text(f, skive_dataset_kind_brief(i), 6, 6);
    }
    fputs("\nBuilt-in networks:\n", f);
    for (size_t i = 0; i < skive_zoo_count(); i++) print_entry(f, skive_zoo_name(i), 18, skive_zoo_brief(i));
    fputs("\nExit status:\n", f);
    print_exits(f, "  %3d  %s\n");
}

/* Text for troff, where a leading dot or quote would be a request. */
static void man_text(FILE *f, const char *text) {
    for (const char *at = text; *at; at++) {
        const bool line_start = at == text || at[-1] == '\n';
        if (line_start && (*at == '.' || *at == '\'')) fputs("\\&", f);
        if (*at == '\\')
            fputs("\\e", f);
        else if (*at == '-')
            fputs("\\-", f);
        else
            fputc(*at, f);
    }
    fputc('\n', f);
}

static void man_option(FILE *f, const cli_option *o) {
    fputs(".TP\n", f);
    if (o->letter) fprintf(f, "\\fB\\-%c\\fR, ", o->letter);
    fprintf(f, "\\fB\\-\\-%s\\fR", o->name);
    if (o->arg) fprintf(f, " \\fI%s\\fR", o->arg);
    fputc('\n', f);
    man_text(f, o->help);
}

static void man_command(FILE *f, const cli_command *c) {
    fprintf(f, ".SS skive %s %s\n", c->name, c->positional);
    man_text(f, c->brief);
    if (c->details) {
        fputs(".PP\n", f);
        man_text(f, c->details);
    }
    size_t n;
    const cli_option *options = cli_options_of(c, &n);
    for (size_t i = 0; i < n; i++) man_option(f, &options[i]);
    if (!c->examples) return;
    fputs(".PP\n.nf\n", f);
    man_text(f, c->examples);
    fputs(".fi\n", f);
}

void cli_print_man(FILE *f) {
    fprintf(f, ".TH SKIVE 1 \"\" \"skive %s\" \"User commands\"\n.SH NAME\n", skive_version());
    fputs("skive \\- makes trained neural networks small and fast\n.SH SYNOPSIS\n.B skive\n"
          "\\fISUBCOMMAND\\fR \\fIARGUMENTS\\fR [\\fIoptions\\fR]\n.SH SUBCOMMANDS\n",
          f);
    for (size_t i = 0; i < cli_command_count(); i++) man_command(f, cli_command_at(i));
    fputs(".SH OPTIONS OF EVERY SUBCOMMAND\n", f);
    for (size_t i = 0; i < cli_n_common_options; i++) man_option(f, &cli_common_options[i]);
    fputs(".SH STANDARD INPUT AND OUTPUT\n", f);
    man_text(f, "In place of a model or the file of --input, - means standard input; as --output it means standard "
                "output, and all text is then printed to standard error.");
    fputs(".SH EXIT STATUS\n", f);
    print_exits(f, ".TP\n%d\n%s\n");
}
