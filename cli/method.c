/* The options of a method of the library as options of a command: read from the library's tables, so that name, range,
 * default and help stand in one place. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* ---- the list of a command ---- */

/* One-letter names, and other names under which the commands know an option of the library. */
static const struct {
    const char *name;
    char letter;
} letters[] = {{"batch", 'b'}, {"epochs", 'e'}, {"sparsity", 's'}, {"temperature", 'T'}, {"weights", 'w'}};

/* Set by every command from its own options. */
static const char *const never[] = {"seed", "keep-best"};

typedef struct list {
    const cli_command *command;
    cli_option *options; /* the command's own first */
    const char **full;   /* names in the library; NULL for the command's own */
    size_t n;
    struct list *next;
} list;

static list *lists; /* made when a command's options are first asked for */

static bool among(const char *name, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (names[i] && strcmp(names[i], name) == 0) return true;
    }
    return false;
}

static bool taken(const list *l, const char *name) {
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->options[i].name, name) == 0) return true;
    }
    for (size_t i = 0; i < l->command->n_options; i++) {
        if (strcmp(l->command->options[i].name, name) == 0) return true;
    }
    return false;
}

static const char *shown_as(const skive_option_bounds *b) {
    switch (b->type) {
    case SKIVE_OPTION_SWITCH: return NULL;
    case SKIVE_OPTION_INTEGER: return "N";
    case SKIVE_OPTION_REAL: return "X";
    case SKIVE_OPTION_CHOICE:
    case SKIVE_OPTION_RECORD: return "NAME";
    case SKIVE_OPTION_LIST: return "LIST";
    case SKIVE_OPTION_BUDGET: return "SIZE";
    case SKIVE_OPTION_TEXT: break;
    }
    return "TEXT";
}

/* "optimizer: sgd, adam or adamw (default sgd)". */
static char *help_of(const char *method, const skive_option_bounds *b, const char *full, bool off) {
    char *text = cli_format("%s%s", off ? "switch off: " : "", b->brief), *more;
    const char *choice;
    for (size_t i = 0; text && (choice = skive_options_choice(method, full, i, NULL)); i++) {
        const bool last = !skive_options_choice(method, full, i + 1, NULL);
        more = cli_format("%s%s%s", text, i == 0 ? ": " : last ? " or " : ", ", choice);
        free(text);
        text = more;
    }
    if (!text || !b->has_default || strstr(b->brief, "(default") || b->type == SKIVE_OPTION_SWITCH) return text;
    if (b->default_text)
        more = cli_format("%s (default %s)", text, b->default_text);
    else
        more = cli_format("%s (default %.6g)", text, b->default_number);
    free(text);
    return more;
}

/* The section's name before a name that another section has too: --prune-schedule. */
static bool is_double(const char *method, const skive_option_bounds *b, size_t index) {
    skive_option_bounds other = {.size = sizeof other};
    bool found = true;
    for (size_t i = index + 1; found; i++) {
        if (skive_options_at(NULL, method, i, &other, &found) != SKIVE_OK) return false;
        if (found && strcmp(other.name, b->name) == 0) return true;
    }
    return false;
}

static bool add(list *l, const skive_option_bounds *b, size_t index) {
    const cli_command *c = l->command;
    const bool off = b->type == SKIVE_OPTION_SWITCH && b->default_number != 0;
    cli_option o = {.arg = shown_as(b)};
    if (among(b->name, never, CLI_COUNT(never)) || among(b->name, c->hidden, CLI_MOST_HIDDEN)) return true;
    const char *name = c->finetunes && strcmp(b->name, "epochs") == 0 ? "finetune" : b->name;
    char *made = is_double(c->method, b, index) ? cli_format("%s-%s", b->section, name)
                                                : cli_format("%s%s", off ? "no-" : "", name);
    o.name = made;
    char *full = cli_format("%s.%s", b->section, b->name);
    if (full) o.help = help_of(c->method, b, full, off);
    for (size_t i = 0; i < CLI_COUNT(letters); i++) {
        if (strcmp(letters[i].name, made ? made : "") == 0) o.letter = letters[i].letter;
    }
    const bool good = o.name && full && o.help;
    if (good && !taken(l, o.name)) {
        l->full[l->n] = full;
        l->options[l->n++] = o;
        return true;
    }
    free(made);
    free(full);
    free((void *)o.help);
    return good;
}

const cli_option *cli_options_of(const cli_command *c, size_t *n) {
    list *l = lists;
    while (l && l->command != c) l = l->next;
    if (!c->method) {
        *n = c->n_options;
        return c->options;
    }
    if (!l) {
        enum { MOST = 200 };
        skive_option_bounds b = {.size = sizeof b};
        bool found = true, good = true;
        l = calloc(1, sizeof *l);
        if (l) l->options = calloc(c->n_options + MOST, sizeof *l->options);
        if (l) l->full = calloc(c->n_options + MOST, sizeof *l->full);
        if (!l || !l->options || !l->full) exit(skive_status_exit(SKIVE_ERR_MEMORY));
        l->command = c;
        l->next = lists;
        lists = l;
        /* The method's options stand before those that many commands have. */
        size_t own = 0;
        while (own < c->n_options && strcmp(c->options[own].name, "dry-run") != 0)
            l->options[l->n++] = c->options[own++];
        for (size_t i = 0; i < MOST && found && good; i++) {
            if (skive_options_at(NULL, c->method, i, &b, &found) != SKIVE_OK) break;
            good = !found || add(l, &b, i);
        }
        while (own < c->n_options) l->options[l->n++] = c->options[own++];
        if (!good) exit(skive_status_exit(SKIVE_ERR_MEMORY));
    }
    *n = l->n;
    return l->options;
}

const char *cli_full_name(const cli_command *c, const cli_option *o) {
    size_t n;
    const cli_option *options = cli_options_of(c, &n);
    for (const list *l = lists; c->method && l; l = l->next) {
        if (l->command == c && o >= options && o < options + n) return l->full[o - options];
    }
    return NULL;
}

/* A switch that turns off what the library has on: --no-nesterov. */
static bool is_off(const cli_command *c, const char *full) {
    skive_option_bounds b = {.size = sizeof b};
    return skive_options_bounds(NULL, c->method, full, &b) == SKIVE_OK && b.type == SKIVE_OPTION_SWITCH &&
           b.default_number != 0;
}

void cli_options_free(void) {
    while (lists) {
        list *l = lists;
        lists = l->next;
        for (size_t i = 0; i < l->n; i++) {
            if (!l->full[i]) continue;
            free((void *)l->options[i].name);
            free((void *)l->full[i]);
            free((void *)l->options[i].help);
        }
        free(l->options);
        free(l->full);
        free(l);
    }
}

/* ---- what was given ---- */

static skive_status set(cli_args *a, skive_options *o, const cli_option *option, const char *full, const char *text) {
    const skive_status status = skive_options_set(o, full, text ? text : is_off(a->command, full) ? "no" : "yes");
    const char *message = skive_context_message(a->ctx), *name = strchr(full, '.') + 1;
    const size_t length = strlen(name);
    if (status == SKIVE_OK) return SKIVE_OK;
    if (strncmp(message, name, length) == 0 && strncmp(message + length, " is ", 4) == 0)
        return cli_fail(a, status, "--%s%s; see skive %s --help", option->name, message + length, a->command->name);
    return cli_fail(a, status, "--%s: %s", option->name, message);
}

skive_status cli_method_options(cli_args *a, skive_options **out) {
    skive_status status = skive_options_create(a->ctx, a->command->method, out);
    skive_train_options *t = status == SKIVE_OK ? skive_options_train(*out) : NULL;
    for (size_t i = 0; i < a->n_values && status == SKIVE_OK; i++) {
        const cli_value *v = &a->values[i];
        const char *full = cli_full_name(a->command, v->option);
        if (full) status = set(a, *out, v->option, full, v->text);
    }
    if (status == SKIVE_OK && t) {
        t->seed = skive_context_seed(a->ctx);
        const bool other = strcmp(t->optimizer, "sgd") != 0 && strncmp(t->optimizer, "sgd:", 4) != 0;
        if (!skive_options_is_set(*out, "train.lr") && other) t->learning_rate = skive_optimizer_rate(t->optimizer);
        if (t->best && cli_has(a, "no-validation"))
            status =
                cli_fail(a, SKIVE_ERR_ARGUMENT, "--best needs validation samples, and --no-validation leaves none");
        if (t->metrics && cli_has(a, "no-validation"))
            status =
                cli_fail(a, SKIVE_ERR_ARGUMENT, "--metrics needs validation samples, and --no-validation leaves none");
    }
    return status;
}

/* ---- JSON ---- */

static json_t *bounds_json(const skive_option_bounds *b) {
    static const char *const types[] = {"switch", "integer", "real", "text", "choice", "list", "record", "budget"};
    json_t *j = json_pack("{s:s, s:s, s:s}", "name", b->name, "type", types[b->type], "help", b->brief);
    if (b->type == SKIVE_OPTION_INTEGER || b->type == SKIVE_OPTION_REAL) {
        if (isfinite(b->least)) json_object_set_new(j, b->above ? "above" : "least", json_real(b->least));
        if (isfinite(b->most)) json_object_set_new(j, b->below ? "below" : "most", json_real(b->most));
        if (b->has_default) json_object_set_new(j, "default", json_real(b->default_number));
    } else if (b->type == SKIVE_OPTION_SWITCH) {
        json_object_set_new(j, "default", json_boolean(b->default_number != 0));
    } else if (b->default_text) {
        json_object_set_new(j, "default", json_string(b->default_text));
    }
    return j;
}

static json_t *choices_json(const char *method, const char *name) {
    const char *choice, *brief;
    json_t *all = json_array();
    for (size_t i = 0; (choice = skive_options_choice(method, name, i, &brief)); i++) {
        json_t *j = json_pack("{s:s}", "name", choice), *options = json_array();
        skive_option_bounds b = {.size = sizeof b};
        bool found = true;
        if (brief) json_object_set_new(j, "help", json_string(brief));
        for (size_t k = 0; found; k++) {
            if (skive_options_of_choice(NULL, method, name, choice, k, &b, &found) != SKIVE_OK) break;
            if (found) json_array_append_new(options, bounds_json(&b));
        }
        if (json_array_size(options))
            json_object_set_new(j, "options", options);
        else
            json_decref(options);
        json_array_append_new(all, j);
    }
    return all;
}

static json_t *option_json(const cli_command *c, const cli_option *o) {
    skive_option_bounds b = {.size = sizeof b};
    const char *full = cli_full_name(c, o);
    json_t *j = NULL;
    if (full && skive_options_bounds(NULL, c->method, full, &b) == SKIVE_OK) {
        j = bounds_json(&b);
        json_object_set_new(j, "name", json_string(o->name));
        json_object_set_new(j, "option", json_string(full));
        if (b.type == SKIVE_OPTION_CHOICE || b.type == SKIVE_OPTION_RECORD)
            json_object_set_new(j, "choices", choices_json(c->method, full));
        return j;
    }
    j = json_pack("{s:s, s:s, s:s}", "name", o->name, "type", o->arg ? "text" : "switch", "help", o->help);
    if (o->arg) json_object_set_new(j, "value", json_string(o->arg));
    if (o->many) json_object_set_new(j, "many", json_true());
    return j;
}

json_t *cli_command_json(const cli_command *c) {
    size_t n;
    const cli_option *options = cli_options_of(c, &n);
    json_t *list_of = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(list_of, option_json(c, &options[i]));
    return json_pack("{s:s, s:s, s:s, s:o}", "name", c->name, "help", c->brief, "arguments", c->positional, "options",
                     list_of);
}
