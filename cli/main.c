/* skive: finds the subcommand, gives it a context, and turns its status into an exit status and one line of message. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

#define X(id) extern const cli_command cli_command_##id;
#include "commands.inc"
#undef X

static const cli_command *const all[] = {
#define X(id) &cli_command_##id,
#include "commands.inc"
#undef X
};

size_t cli_command_count(void) { return CLI_COUNT(all); }
const cli_command *cli_command_at(size_t i) { return i < CLI_COUNT(all) ? all[i] : NULL; }

const cli_command *cli_command_find(const char *name) {
    for (size_t i = 0; i < CLI_COUNT(all); i++) {
        if (strcmp(all[i]->name, name) == 0) return all[i];
    }
    return NULL;
}

static int unknown_command(const char *given) {
    const char *names[CLI_COUNT(all)];
    for (size_t i = 0; i < CLI_COUNT(all); i++) names[i] = all[i]->name;
    const char *near = skive_nearest_name(given, names, CLI_COUNT(all));
    char name[128];
    cli_tell("skive: no subcommand '%s'%s%s%s; see skive --help", cli_copy(name, sizeof name, given, 60),
             near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
    return skive_status_exit(SKIVE_ERR_ARGUMENT);
}

/* A failure to write standard output is an error. */
static int finish_output(skive_status status) {
    if ((fflush(stdout) != 0 || ferror(stdout)) && status == SKIVE_OK) {
        fprintf(stderr, "skive: cannot write to standard output\n");
        status = SKIVE_ERR_IO;
    }
    return skive_status_exit(status);
}

static skive_status make_context(cli_args *a, cli_console *console) {
    skive_context_options o = skive_context_options_default();
    int64_t threads = 0, seed = 1;
    uint64_t memory = 0;
    skive_status status = cli_integer(a, "threads", 1, SKIVE_MAX_THREADS, &threads);
    if (status == SKIVE_OK) status = cli_integer(a, "seed", 0, INT64_MAX, &seed);
    if (status == SKIVE_OK && skive_cpu_isa_problem())
        status = cli_fail(a, SKIVE_ERR_ARGUMENT, "%s", skive_cpu_isa_problem());
    if (status == SKIVE_OK) status = cli_size(a, "memory", &memory);
    if (status != SKIVE_OK) return status;
    o.threads = (int)threads;
    o.seed = (uint64_t)seed;
    console->quiet = a->quiet;
    console->verbose = a->verbose;
    cli_console_options(console, &o);
    status = skive_context_create(&o, &a->ctx);
    if (status == SKIVE_OK) status = skive_context_set_memory_limit(a->ctx, memory);
    if (status != SKIVE_OK) cli_tell("skive: %s", skive_status_brief(status));
    return status;
}

/* Errors about a model name its file, also where the library does not know it. */
static void tell_failure(const cli_args *a, skive_status status) {
    const char *message = skive_context_message(a->ctx), *file = a->n_positional ? a->positional[0] : "";
    const bool of_model = status == SKIVE_ERR_GRAPH || status == SKIVE_ERR_SHAPE || status == SKIVE_ERR_UNSUPPORTED ||
                          status == SKIVE_ERR_NUMERIC;
    const bool named = !of_model || !cli_is_file(file) || strstr(message, file);
    if (!message[0]) message = skive_status_brief(status);
    cli_tell("skive %s: %s%s%s", a->command->name, named ? "" : file, named ? "" : ": ", message);
}

static bool collide(const char *x, const char *y) {
    struct stat s;
    return cli_same_file(x, y) && (stat(x, &s) != 0 || S_ISREG(s.st_mode)); /* /dev/null may be given more than once */
}

/* Every --teacher is an input, with or without a weight behind it. */
static skive_status keep_teachers(cli_args *a, const char *option, const char *path) {
    const size_t n = cli_count(a, "teacher");
    for (size_t i = 0; i < n; i++) {
        double weight;
        const char *text = cli_text_at(a, "teacher", i);
        char *file = strndup(text, cli_teacher_length(text, &weight));
        if (!file) return SKIVE_ERR_MEMORY;
        const bool same = collide(path, file);
        free(file);
        if (same) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s would overwrite the teacher, %s", option, path);
    }
    return SKIVE_OK;
}

/* No file that is written may also be another output or an input; only a model may be replaced by its result. */
static skive_status check_files(cli_args *a) {
    static const char *const written[] = {"output", "checkpoint", "resume", "log", "report", "cache"};
    if (a->command->run == cli_command_run.run) return SKIVE_OK; /* its outputs have another form */
    for (size_t i = 0; i < CLI_COUNT(written); i++) {
        const char *path = cli_text(a, written[i], NULL);
        if (!path) continue;
        for (size_t k = 0; k < i; k++) {
            const char *other = cli_text(a, written[k], NULL);
            if (other && collide(path, other))
                return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s and --%s name the same file, %s", written[k], written[i],
                                path);
        }
        const skive_status status = keep_teachers(a, written[i], path);
        if (status != SKIVE_OK) return status;
        const char *student = cli_text(a, "student", NULL);
        if (i > 0 && student && cli_is_file(student) && collide(path, student))
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s would overwrite the student, %s", written[i], path);
        for (int k = 0; i > 0 && k < a->n_positional; k++) {
            if (collide(path, a->positional[k]))
                return cli_fail(a, SKIVE_ERR_ARGUMENT, "--%s would overwrite %s, which is an input", written[i], path);
        }
    }
    return SKIVE_OK;
}

static int run_command(const cli_command *c, int argc, char **argv) {
    cli_args a;
    cli_console console = {0};
    skive_status status = cli_parse(c, argc, argv, &a);
    if (status == SKIVE_OK && cli_has(&a, "help")) {
        cli_print_help(stdout, c);
        cli_args_free(&a);
        return finish_output(SKIVE_OK);
    }
    if (status == SKIVE_OK) status = make_context(&a, &console);
    a.console = &console;
    if (status == SKIVE_OK) {
        cli_install_interrupt(c->saves);
        status = cli_streams_take(&a);
        if (status == SKIVE_OK) status = check_files(&a);
        if (status == SKIVE_OK) status = c->run(&a);
        cli_console_clear(&console);
        cli_live_free(&console);
        status = cli_streams_finish(&a, status);
        cli_tell_notes(&a);
        if (status != SKIVE_OK && !a.told) tell_failure(&a, status);
        skive_context_free(a.ctx);
    }
    cli_streams_free();
    cli_args_free(&a);
    return finish_output(status);
}

/* All commands with their options, for programs. */
static json_t *all_json(void) {
    json_t *list = json_array();
    for (size_t i = 0; i < CLI_COUNT(all); i++) json_array_append_new(list, cli_command_json(all[i]));
    return json_pack("{s:s, s:o}", "version", skive_version(), "commands", list);
}

static int command_line(int argc, char **argv) {
    if (skive_cpu_problem()) {
        fprintf(stderr, "skive: %s\n", skive_cpu_problem());
        return skive_status_exit(SKIVE_ERR_UNSUPPORTED);
    }
    if (skive_cpu_isa_problem()) {
        fprintf(stderr, "skive: %s\n", skive_cpu_isa_problem());
        return skive_status_exit(SKIVE_ERR_ARGUMENT);
    }
    if (argc < 2) {
        cli_print_overview(stderr);
        return skive_status_exit(SKIVE_ERR_ARGUMENT);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        const char *onednn = skive_onednn_version();
        printf("skive %s\n%s%s\n", skive_version(), onednn ? "oneDNN " : "without oneDNN: float32 convolutions run on ",
               onednn ? onednn : "skive's own kernels");
#ifndef _OPENMP
        printf("without OpenMP: everything runs on one thread\n");
#endif
        if (!SKIVE_WITH_PNG) printf("without libpng: PNG images cannot be read\n");
        if (!SKIVE_WITH_JPEG) printf("without libjpeg-turbo: JPEG images cannot be read\n");
        if (!SKIVE_WITH_SNDFILE) printf("without libsndfile: sounds cannot be read\n");
        /* Whether it can be loaded shows where it is needed: loading it starts threads and takes memory. */
        printf(SKIVE_WITH_LAPACKE ? "LAPACKE: factorize loads it where it is installed\n"
                                  : "without LAPACKE: matrices are factorized by skive's own code, slower\n");
        return finish_output(SKIVE_OK);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        if (argc > 2 && strcmp(argv[2], "--man") == 0) {
            cli_print_man(stdout);
        } else if (argc > 2 && strcmp(argv[2], "--bash") == 0) {
            cli_print_bash(stdout);
        } else if (argc > 2 && strcmp(argv[2], "--zsh") == 0) {
            cli_print_zsh(stdout);
        } else if (argc > 2) {
            const cli_command *c = cli_command_find(argv[2]);
            if (!c && strcmp(argv[2], "--json") != 0) return unknown_command(argv[2]);
            if (!c)
                cli_print_json(all_json());
            else if (argc > 3 && strcmp(argv[3], "--json") == 0)
                cli_print_json(cli_command_json(c));
            else
                cli_print_help(stdout, c);
        } else {
            cli_print_overview(stdout);
        }
        return finish_output(SKIVE_OK);
    }
    const cli_command *c = cli_command_find(argv[1]);
    if (!c) return unknown_command(argv[1]);
    return run_command(c, argc - 2, argv + 2);
}

int main(int argc, char **argv) {
    const int status = command_line(argc, argv);
    cli_options_free();
    cli_forget_files();
    return status;
}
