/* skive unpack: a .skv file as ONNX. */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"output", 'o', "FILE", "the model to write, as ONNX", false},
    CLI_DRY_RUN_OPTION,
};

/* The file that would be written: it is made, and not kept. */
static skive_status tell(cli_args *a, const skive_graph *g, const char *input) {
    void *bytes = NULL;
    size_t size = 0;
    char text[32];
    const skive_status status = skive_onnx_serialize(a->ctx, g, NULL, &bytes, &size);
    skive_onnx_free_bytes(a->ctx, bytes);
    if (status != SKIVE_OK) return status;
    if (a->json) {
        cli_print_json(json_pack("{s:b, s:I, s:I}", "dry_run", true, "bytes", (json_int_t)size, "packed_bytes",
                                 (json_int_t)cli_file_bytes(input)));
    } else if (!a->quiet) {
        cli_printf("the file would have %zu bytes (%s), dense weights as they were packed", size,
                   cli_bytes((double)size, text, sizeof text));
        cli_print_dry_run();
    }
    return SKIVE_OK;
}

static skive_status run(cli_args *a) {
    const char *input = a->positional[0], *output = cli_text(a, "output", NULL);
    skive_graph *g = NULL;
    char text[32];
    const size_t length = output ? strlen(output) : 0;
    if (length > 4 && strcmp(output + length - 4, ".skv") == 0)
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output %s: unpack writes ONNX; use a name such as %.*s.onnx", output,
                        (int)(length - 4), output);
    const bool dry = cli_has(a, "dry-run");
    if (!output && !dry) return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output is missing; name the file to write");
    skive_status status = dry ? SKIVE_OK : cli_check_output(a, output);
    if (status == SKIVE_OK) status = skive_pack_load(a->ctx, input, NULL, &g, NULL);
    if (status == SKIVE_OK && dry) {
        status = tell(a, g, input);
        skive_graph_free(g);
        return status;
    }
    if (status == SKIVE_OK) status = skive_model_save(a->ctx, g, output);
    if (status == SKIVE_OK && a->json) {
        cli_print_json(json_pack("{s:o, s:I, s:I}", "output", cli_json_text(output), "bytes",
                                 (json_int_t)cli_file_bytes(output), "packed_bytes",
                                 (json_int_t)cli_file_bytes(input)));
    } else if (status == SKIVE_OK && !a->quiet) {
        cli_printf("wrote %s (%s)", output, cli_bytes((double)cli_file_bytes(output), text, sizeof text));
    }
    skive_graph_free(g);
    return status;
}

const cli_command cli_command_unpack = {
    .name = "unpack",
    .brief = "convert a .skv file back to ONNX",
    .positional = "FILE.skv",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details = "The result is exactly the packed model, with dense weights.",
    .examples = "  skive unpack model.skv -o model.onnx",
    .run = run,
};
