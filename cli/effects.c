/* Options that were given and would change nothing are refused: those of the method by what its tables say that they
 * need (skive_options_lacks), the command's own by what they are for. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* Of every command that has both. */
static const char *const own[][2] = {
    {"limit", "data"},         {"no-validation", "data"},
    {"resize", "data"},        {"center-crop", "data"},
    {"skip-bad", "data"},      {"class-order", "data"},
    {"targets", "data"},       {"split", "data"},
    {"mean", "data"},          {"std", "data"},
    {"scale", "data"},         {"layout", "data"},
    {"no-curves", "finetune"}, {"teacher", "distill-alpha"},
    {"rewind", "finetune"},
};

static bool has_option(const cli_command *c, const char *name) {
    size_t n;
    const cli_option *options = cli_options_of(c, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(options[i].name, name) == 0) return true;
    }
    return false;
}

static skive_status check_own(cli_args *a) {
    for (size_t i = 0; i < CLI_COUNT(own); i++) {
        if (!cli_has(a, own[i][0]) || cli_has(a, own[i][1]) || !has_option(a->command, own[i][1])) continue;
        /* Where a teacher teaches by terms too, its soft labels have a weight by default (factorize). */
        if (strcmp(own[i][0], "teacher") == 0 && has_option(a->command, "term")) continue;
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s needs --%s", own[i][0], own[i][1]);
    }
    return SKIVE_OK;
}

/* The command's option of this name in the library, of `length` letters; NULL: it has none. */
static const cli_option *known(const cli_command *c, const char *full, size_t length) {
    size_t n;
    const cli_option *options = cli_options_of(c, &n);
    for (size_t i = 0; i < n; i++) {
        const char *name = cli_full_name(c, &options[i]);
        if (name && strlen(name) == length && memcmp(name, full, length) == 0) return &options[i];
    }
    return NULL;
}

/* "--momentum has no effect with --optimizer adam; it is for sgd": of text such as "train.optimizer=sgd". */
static skive_status fail_choice(cli_args *a, const skive_options *o, const char *name, const char *text) {
    char now[256] = "", full[128];
    const size_t length = strcspn(text, "=");
    const cli_option *option = known(a->command, text, length);
    char *others = NULL;
    snprintf(full, sizeof full, "%.*s", (int)length, text);
    if (skive_options_get(o, full, now, sizeof now) != SKIVE_OK) now[0] = '\0';
    for (const char *at = text; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        const char *is = strchr(at, '=') + 1;
        char *more = cli_format("%s%s%.*s", others ? others : "", others ? " or " : "", (int)strcspn(is, "|"), is);
        free(others);
        others = more;
        if (!others) return SKIVE_ERR_MEMORY;
    }
    const skive_status status = cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s has no effect with --%s %s; it is for %s", name,
                                         option ? option->name : full, now, others);
    free(others);
    return status;
}

static skive_status fail(cli_args *a, const skive_options *o, const char *name, const char *lacks) {
    char wanted[256] = "";
    size_t used = 0;
    const bool without = lacks[0] == '!';
    if (!without && strcspn(lacks, "=") < strcspn(lacks, "|")) return fail_choice(a, o, name, lacks);
    for (const char *at = lacks + without; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        const size_t length = strcspn(at, "|="), all = strcspn(at, "|");
        const cli_option *option = known(a->command, at, length);
        const char *dot = memchr(at, '.', length);
        const int rest = dot ? (int)(at + length - dot - 1) : (int)length;
        if (used < sizeof wanted)
            used += (size_t)snprintf(wanted + used, sizeof wanted - used, "%s--%.*s%s%.*s", used ? " or " : "",
                                     option ? (int)strlen(option->name) : rest,
                                     option ? option->name
                                     : dot  ? dot + 1
                                            : at,
                                     all > length ? " " : "", all > length ? (int)(all - length - 1) : 0,
                                     all > length ? at + length + 1 : "");
    }
    if (without) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s has no effect with %s", name, wanted);
    return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s needs %s", name, wanted);
}

/* The learning-rate finder is a switch that is added to the command of a training: what it does not look at is told. */
static void tell_finder(const cli_args *a, const char *names) {
    if (names && !a->quiet) cli_tell("note: without effect on --find-lr: %s", names);
}

skive_status cli_check_effects(cli_args *a, const skive_options *o) {
    char lacks[512];
    char *unused = NULL;
    skive_status status = check_own(a);
    for (size_t i = 0; i < a->n_values && status == SKIVE_OK; i++) {
        const char *full = cli_full_name(a->command, a->values[i].option);
        /* Who switches off what is off anyway (--momentum 0 --no-nesterov) contradicts nothing. */
        if (!full || skive_options_is_off(o, full)) continue;
        status = skive_options_lacks(o, full, lacks, sizeof lacks);
        if (status == SKIVE_OK && strcmp(lacks, "!train.find-lr") == 0) {
            char *more = cli_format("%s%s--%s", unused ? unused : "", unused ? ", " : "", a->values[i].option->name);
            free(unused);
            unused = more;
        } else if (status == SKIVE_OK && lacks[0]) {
            status = fail(a, o, a->values[i].option->name, lacks);
        }
    }
    if (status == SKIVE_OK) tell_finder(a, unused);
    free(unused);
    return status;
}
