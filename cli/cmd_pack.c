/* skive pack: a model as a small, executable .skv file. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"output", 'o', "FILE", "the packed model to write, .skv", false},
    {"bytes", 0, "SIZE",
     "choose a form for each weight so that the file takes at most this (60k, 64KiB; 0.25: a quarter of the weights' "
     "bytes in the model) with the least error",
     false},
    CLI_DRY_RUN_OPTION,
    {"param", 'p', "NAME=FORM", "the same for one parameter; may be repeated", true},
    {"table", 0, NULL, "list every parameter", false},
};

enum { MAX_CHOICES = 256 };

static skive_status choices(cli_args *a, skive_pack_choice *list, char **names, size_t *n) {
    *n = cli_count(a, "param");
    if (*n > MAX_CHOICES) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--param may be given %d times at most", MAX_CHOICES);
    for (size_t i = 0; i < *n; i++) {
        const char *text = cli_text_at(a, "param", i), *equals = strrchr(text, '=');
        if (!equals || equals == text)
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--param: '%s' is not of the form NAME=FORM", text);
        names[i] = strndup(text, (size_t)(equals - text));
        if (!names[i]) return SKIVE_ERR_MEMORY;
        list[i] = (skive_pack_choice){names[i], equals + 1};
    }
    return SKIVE_OK;
}

static void print_summary(const skive_pack_report *r, int64_t before, const char *output) {
    char x[32], y[32], z[32];
    if (!output) cli_printf("the file would have %zu bytes", r->file_bytes);
    if (output)
        cli_printf("wrote %s: %zu bytes; the source file has %s, 4 bytes per parameter are %s (%.1fx)%s", output,
                   r->file_bytes, cli_bytes((double)before, x, sizeof x),
                   cli_bytes(4.0 * (double)r->parameters, y, sizeof y),
                   4.0 * (double)r->parameters / (double)r->file_bytes,
                   (int64_t)r->file_bytes >= before ? "; it is NOT smaller" : "");
    for (size_t i = 0; i < r->n_rows; i++) {
        if (r->rows[i].error > 0)
            cli_printf("rounded: %s, relative error %.2g (rms)", cli_short(r->rows[i].parameter, z, sizeof z),
                       r->rows[i].error);
    }
}

/* `output` NULL: to memory, for the figures. */
static skive_status pack(cli_args *a, const skive_graph *g, const char *output, const skive_pack_options *given,
                         skive_pack_fit *fit, skive_pack_report *report) {
    skive_pack_options o = *given;
    void *bytes = NULL;
    size_t n;
    skive_status status = SKIVE_OK;
    if (cli_has(a, "bytes")) status = skive_pack_choose(a->ctx, g, cli_text(a, "bytes", NULL), &o, fit);
    if (status == SKIVE_OK && cli_has(a, "bytes")) {
        o.choices = fit->choices;
        o.n_choices = fit->n_choices;
    }
    if (status != SKIVE_OK) return status;
    if (output) return skive_pack_save(a->ctx, g, output, &o, report);
    status = skive_pack_serialize(a->ctx, g, &o, &bytes, &n, report);
    skive_pack_free_bytes(a->ctx, bytes);
    return status;
}

static skive_status run(cli_args *a) {
    const char *input = a->positional[0], *output = cli_text(a, "output", NULL);
    skive_pack_options o = skive_pack_options_default();
    skive_options *given = NULL;
    skive_pack_choice list[MAX_CHOICES];
    char *names[MAX_CHOICES] = {NULL};
    skive_pack_report report = {0};
    skive_pack_fit fit = {0};
    skive_graph *g = NULL;
    const bool dry = cli_has(a, "dry-run");
    if (!output && !dry) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output is missing; name the file to write");
    const size_t length = output ? strlen(output) : 0;
    if (length > 5 && strcmp(output + length - 5, ".onnx") == 0)
        return cli_fail(a, SKIVE_ERR_ARGUMENT,
                        "--output %s: a packed model is not an ONNX file; give it another name, such as %.*s.skv",
                        output, (int)(length - 5), output);
    skive_status status = cli_method_options(a, &given);
    if (status == SKIVE_OK) status = cli_check_effects(a, given);
    if (status == SKIVE_OK) o = *skive_options_pack(given);
    if (status == SKIVE_OK) status = choices(a, list, names, &o.n_choices);
    o.choices = list;
    if (status == SKIVE_OK && !dry) status = cli_check_output(a, output);
    if (status == SKIVE_OK) status = cli_load(a, input, &g);
    if (status == SKIVE_OK) status = pack(a, g, dry ? NULL : output, &o, &fit, &report);
    if (status == SKIVE_OK && a->json) {
        json_t *j = cli_pack_json(&report);
        if (dry) json_object_set_new(j, "dry_run", json_true());
        if (fit.budget) json_object_set_new(j, "budget", json_integer(fit.budget));
        if (!dry) json_object_set_new(j, "output", cli_json_text(output));
        json_object_set_new(j, "bytes_before", json_integer(cli_file_bytes(input)));
        cli_print_json(j);
    } else if (status == SKIVE_OK) {
        if (cli_has(a, "table")) cli_print_pack_rows(&report);
        cli_print_pack_purposes(&report);
        if (fit.budget)
            cli_printf("budget: %lld bytes, of which %zu are taken; sum of the weights' relative squared errors %.3g",
                       (long long)fit.budget, report.file_bytes, fit.harm);
        print_summary(&report, cli_file_bytes(input), dry ? NULL : output);
        if (dry) cli_print_dry_run();
    }
    skive_pack_report_free(a->ctx, &report);
    skive_pack_fit_free(a->ctx, &fit);
    skive_graph_free(g);
    skive_options_free(given);
    for (size_t i = 0; i < MAX_CHOICES; i++) free(names[i]);
    return status;
}

const cli_command cli_command_pack = {
    .name = "pack",
    .brief = "write a model as a small .skv file that skive runs directly",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .method = "pack",
    .details =
        "Each parameter is stored in the form and with the entropy coder that make it smallest: codebooks, sparse\n"
        "positions, integers with scales and half floats are detected in the weights and reproduced exactly.\n"
        "--weights, --biases and --param round to a lossy form; int8, int4, int2, ternary and binary have one scale "
        "per\n"
        "channel, or with \":tensor\" or \":32\" one per tensor or per 32 weights of a row. The error is printed.",
    .examples = "  skive pack pruned.onnx -o model.skv\n"
                "  skive pack model.onnx --bytes 60k -o model.skv\n"
                "  skive pack shared.onnx --biases int8 --strip-names -o model.skv\n"
                "  skive pack model.onnx --weights int4:32 --param fc3.weight=int8 --table -o model.skv",
    .run = run,
};
