/* Completions for bash and zsh, from the records. */
#include <string.h>

#include "cli.h"

static void list_options(FILE *f, const cli_option *list, size_t n, const char *format) {
    for (size_t i = 0; i < n; i++) fprintf(f, format, list[i].name);
}

static void list_commands(FILE *f) {
    for (size_t i = 0; i < cli_command_count(); i++) fprintf(f, " %s", cli_command_at(i)->name);
}

void cli_print_bash(FILE *f) {
    fputs("# Completion of skive for bash; made by `skive help --bash`.\n"
          "_skive() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        words=\"",
          f);
    fputs("help --help --version", f);
    list_commands(f);
    fputs("\"\n        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n        return\n    fi\n", f);
    fputs("    case $before in\n        help) words=\"", f);
    list_commands(f);
    fputs("\" ;;\n        -d|--data) words=\"", f);
    for (size_t i = 0; i < skive_dataset_kind_count(); i++) fprintf(f, " %s", skive_dataset_kind_name(i));
    fputs("\" ;;\n        train|--student) words=\"", f);
    for (size_t i = 0; i < skive_zoo_count(); i++) fprintf(f, " %s", skive_zoo_name(i));
    fputs("\" ;;\n    esac\n    if [[ $word == -* ]]; then\n        case ${COMP_WORDS[1]} in\n", f);
    for (size_t i = 0; i < cli_command_count(); i++) {
        const cli_command *c = cli_command_at(i);
        fprintf(f, "            %s) words=\"", c->name);
        size_t n;
        const cli_option *options = cli_options_of(c, &n);
        list_options(f, options, n, " --%s");
        list_options(f, cli_common_options, cli_n_common_options, " --%s");
        fputs("\" ;;\n", f);
    }
    fputs("        esac\n    fi\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
          "}\n"
          "complete -o bashdefault -o default -F _skive skive\n",
          f);
}

/* Inside a single-quoted argument of zsh's _arguments. */
static void zsh_text(FILE *f, const char *text) {
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", f);
        else if (strchr("[]:\\", *text))
            fprintf(f, "\\%c", *text);
        else
            fputc(*text == '\n' ? ' ' : *text, f);
    }
}

static void zsh_option(FILE *f, const cli_option *o) {
    fputs(" \\\n                ", f);
    if (o->many) fputs("'*'", f);
    if (o->letter)
        fprintf(f, "{-%c,--%s}'[", o->letter, o->name);
    else
        fprintf(f, "'--%s[", o->name);
    zsh_text(f, o->help);
    fputc(']', f);
    if (o->arg) {
        fputc(':', f);
        zsh_text(f, o->arg);
        fputs(":_files", f);
    }
    fputc('\'', f);
}

void cli_print_zsh(FILE *f) {
    fputs("#compdef skive\n# Completion of skive for zsh; made by `skive help --zsh`.\n_skive() {\n"
          "    local -a commands\n    commands=(\n",
          f);
    for (size_t i = 0; i < cli_command_count(); i++) {
        fprintf(f, "        '%s:", cli_command_at(i)->name);
        zsh_text(f, cli_command_at(i)->brief);
        fputs("'\n", f);
    }
    fputs("    )\n    if (( CURRENT == 2 )); then\n        _describe 'subcommand' commands\n        return\n    fi\n"
          "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $command in\n",
          f);
    for (size_t i = 0; i < cli_command_count(); i++) {
        const cli_command *c = cli_command_at(i);
        fprintf(f, "        %s)\n            _arguments", c->name);
        size_t n;
        const cli_option *options = cli_options_of(c, &n);
        for (size_t k = 0; k < n; k++) zsh_option(f, &options[k]);
        for (size_t k = 0; k < cli_n_common_options; k++) zsh_option(f, &cli_common_options[k]);
        fputs(" \\\n                '*:file:_files'\n            ;;\n", f);
    }
    fputs("    esac\n}\n_skive \"$@\"\n", f);
}
