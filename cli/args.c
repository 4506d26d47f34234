/* Arguments of a subcommand. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const cli_option cli_common_options[] = {
    {"threads", 't', "N", "number of threads (default: all that the process may use)", false},
    {"memory", 0, "SIZE", "memory limit: 512M, 4G (default: from the machine's memory and the size of the model file)",
     false},
    {"seed", 0, "N", "seed for all random choices (default 1)", false},
    {"json", 0, NULL, "print the result as JSON", false},
    {"quiet", 'q', NULL, "print no progress and no notes", false},
    {"verbose", 'v', NULL, "print more details while working", false},
    {"help", 'h', NULL, "print this help", false},
};
const size_t cli_n_common_options = CLI_COUNT(cli_common_options);

static skive_status mistake(cli_args *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
static skive_status mistake(cli_args *a, const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&text, format, args) >= 0)
        cli_tell("skive %s: %s; see skive %s --help", a->command->name, text, a->command->name);
    va_end(args);
    free(text);
    a->told = true;
    return SKIVE_ERR_ARGUMENT;
}

void cli_tell_notes(cli_args *a) {
    if (a->console) cli_console_clear(a->console);
    for (const size_t n = skive_context_note_count(a->ctx); a->n_notes < n; a->n_notes++)
        if (!a->quiet) cli_tell("note: %s", skive_context_note(a->ctx, a->n_notes));
}

skive_status cli_fail(cli_args *a, skive_status status, const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format); /* which may be part of the context's message */
    if (vasprintf(&text, format, args) >= 0) {
        cli_tell_notes(a);
        cli_tell("skive %s: %s", a->command->name, text);
    }
    va_end(args);
    free(text);
    skive_context_clear(a->ctx);
    a->told = true;
    return status;
}

static const cli_option *find_in(const cli_option *list, size_t n, const char *name, size_t length, char letter) {
    for (size_t i = 0; i < n; i++) {
        if (letter ? list[i].letter == letter
                   : strlen(list[i].name) == length && memcmp(list[i].name, name, length) == 0) {
            return &list[i];
        }
    }
    return NULL;
}

static const cli_option *find(const cli_command *c, const char *name, size_t length, char letter) {
    size_t n;
    const cli_option *options = cli_options_of(c, &n), *o = find_in(options, n, name, length, letter);
    if (!o && c->method && length == 6 && memcmp(name, "epochs", 6) == 0) o = find_in(options, n, "finetune", 8, 0);
    if (!o && c->method && length == 8 && memcmp(name, "finetune", 8) == 0) o = find_in(options, n, "epochs", 6, 0);
    return o ? o : find_in(cli_common_options, cli_n_common_options, name, length, letter);
}

static skive_status add(cli_args *a, const cli_option *o, const char *text) {
    for (size_t i = 0; i < a->n_values; i++) {
        if (a->values[i].option == o && !o->many && o->arg) return mistake(a, "--%s is given twice", o->name);
    }
    a->values[a->n_values++] = (cli_value){o, text};
    return SKIVE_OK;
}

/* `length` 0: a one-letter option. */
static skive_status unknown_option(cli_args *a, const char *word, const char *name, size_t length) {
    const char *names[256];
    char given[64];
    size_t n = 0, n_options;
    const cli_option *options = cli_options_of(a->command, &n_options);
    for (size_t i = 0; i < n_options && n < CLI_COUNT(names); i++) names[n++] = options[i].name;
    for (size_t i = 0; i < cli_n_common_options && n < CLI_COUNT(names); i++) names[n++] = cli_common_options[i].name;
    cli_copy(given, length < sizeof given ? length + 1 : sizeof given, name, sizeof given);
    const char *near = length ? skive_nearest_name(given, names, n) : NULL;
    if (!length && strlen(word) > 2) return mistake(a, "no option '-%c' (in '%s')", *name, word);
    return mistake(a, "no option '%s'%s%s%s", word, near ? " (did you mean --" : "", near ? near : "",
                   near ? "?)" : "");
}

/* Parses one option. `name` points to its letter or, for a long option, behind its dashes. *i is advanced when the
 * value is the next argument. */
static skive_status take_option(cli_args *a, int argc, char **argv, int *i, const char *name) {
    const char *word = argv[*i], *value = NULL;
    const bool is_long = word[1] == '-';
    const size_t length = is_long ? strcspn(name, "=") : 1;
    const cli_option *o = find(a->command, name, length, is_long ? 0 : *name);
    if (!o) return unknown_option(a, word, name, is_long ? length : 0);
    if (is_long && name[length] == '=') value = name + length + 1;
    if (!is_long && o->arg && name[1]) value = name + 1;
    if (!o->arg && value) return mistake(a, "--%s does not take a value", o->name);
    if (o->arg && !value) {
        if (*i + 1 >= argc) return mistake(a, "--%s needs a value (%s)", o->name, o->arg);
        value = argv[++*i];
    }
    const skive_status status = add(a, o, value);
    /* One-letter switches may be combined: -qv, -qt4. */
    if (status != SKIVE_OK || is_long || o->arg || !name[1]) return status;
    return take_option(a, argc, argv, i, name + 1);
}

skive_status cli_parse(const cli_command *c, int argc, char **argv, cli_args *out) {
    bool options = true;
    *out = (cli_args){.command = c};
    out->positional = calloc((size_t)argc + 1, sizeof *out->positional);
    out->values = calloc((size_t)argc + 1, sizeof *out->values);
    if (!out->positional || !out->values) return SKIVE_ERR_MEMORY;
    for (int i = 0; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1]) {
            const skive_status status = take_option(out, argc, argv, &i, argv[i] + (argv[i][1] == '-' ? 2 : 1));
            if (status != SKIVE_OK) return status;
        } else {
            out->positional[out->n_positional++] = argv[i];
        }
    }
    out->quiet = cli_has(out, "quiet");
    out->json = cli_has(out, "json");
    out->verbose = cli_has(out, "verbose");
    if (cli_has(out, "help")) return SKIVE_OK;
    for (int i = 0; i < out->n_positional; i++) {
        if (!out->positional[i][0]) return mistake(out, "an argument is empty; expected %s", c->positional);
    }
    if (out->n_positional > 0 && out->n_positional < c->min_positional)
        return mistake(out, "%d argument%s given, at least %d needed (%s)", out->n_positional,
                       out->n_positional == 1 ? " is" : "s are", c->min_positional, c->positional);
    if (out->n_positional < c->min_positional) return mistake(out, "%s is missing", c->positional);
    if (c->max_positional >= 0 && out->n_positional > c->max_positional) {
        return mistake(out, "one argument too many: '%s'", out->positional[c->max_positional]);
    }
    return SKIVE_OK;
}

void cli_args_free(cli_args *a) {
    free(a->positional);
    free(a->values);
}

size_t cli_count(const cli_args *a, const char *name) {
    size_t n = 0;
    for (size_t i = 0; i < a->n_values; i++) n += strcmp(a->values[i].option->name, name) == 0;
    return n;
}

const char *cli_text_at(const cli_args *a, const char *name, size_t index) {
    for (size_t i = 0; i < a->n_values; i++) {
        if (strcmp(a->values[i].option->name, name) == 0 && index-- == 0) return a->values[i].text;
    }
    return NULL;
}

bool cli_has(const cli_args *a, const char *name) { return cli_count(a, name) > 0; }

const char *cli_text(const cli_args *a, const char *name, const char *fallback) {
    const size_t n = cli_count(a, name);
    return n ? cli_text_at(a, name, n - 1) : fallback;
}

skive_status cli_number(cli_args *a, const char *name, double *out) {
    const char *text = cli_text(a, name, NULL);
    char *end;
    if (!text) return SKIVE_OK;
    const double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value)) return mistake(a, "--%s: '%s' is not a number", name, text);
    *out = value;
    return SKIVE_OK;
}

skive_status cli_number_in(cli_args *a, const char *name, double low, double high, double *out) {
    double value = low;
    const skive_status status = cli_number(a, name, &value);
    if (status != SKIVE_OK || !cli_has(a, name)) return status;
    if (value < low || value > high)
        return mistake(a, "--%s is %g; it must be between %g and %g", name, value, low, high);
    *out = value;
    return SKIVE_OK;
}

skive_status cli_integer(cli_args *a, const char *name, int64_t low, int64_t high, int64_t *out) {
    const char *text = cli_text(a, name, NULL);
    char *end;
    if (!text) return SKIVE_OK;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (end == text || *end || errno) return mistake(a, "--%s: '%s' is not a whole number", name, text);
    if (value < low || value > high) {
        return mistake(a, "--%s is %lld; it must be between %lld and %lld", name, value, (long long)low,
                       (long long)high);
    }
    *out = value;
    return SKIVE_OK;
}

skive_status cli_size(cli_args *a, const char *name, uint64_t *out) {
    static const char units[] = "KMGT";
    const char *text = cli_text(a, name, NULL);
    char *end;
    if (!text) return SKIVE_OK;
    double size = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end >= 'a' ? *end - 'a' + 'A' : *end) : NULL;
    for (int k = 0; unit && k <= unit - units; k++) size *= 1024;
    if (unit) end++;
    if (unit && *end == 'i') end++;
    if (unit && (*end == 'B' || *end == 'b')) end++;
    if (end == text || *end || !(size >= 1) || size > 9e18)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s %s is not a size such as 512M or 4G", name, text);
    *out = (uint64_t)size;
    return SKIVE_OK;
}

skive_status cli_join(cli_args *a, const char *option, const char *what, char **out) {
    for (size_t i = 0; i < cli_count(a, option); i++) {
        if (!*cli_text_at(a, option, i))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s is empty; name %s (docs/distillation.md)", option, what);
        char *more = cli_format("%s%s%s", *out ? *out : "", *out ? ";" : "", cli_text_at(a, option, i));
        if (!more) return SKIVE_ERR_MEMORY;
        free(*out);
        *out = more;
    }
    return SKIVE_OK;
}
