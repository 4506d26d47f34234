/* skive run: any model on any inputs. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"

static const cli_option options[] = {
    {"input", 'i', "[NAME=]FILE.npy", "an input; without NAME in the model's order; may be repeated", true},
    {"output", 'o', "[NAME=]FILE.npy", "where an output goes; without NAME in the model's order; may be repeated",
     true},
    {"output-dir", 0, "DIR", "write every output to DIR/NAME.npy", false},
    {"reference", 0, NULL, "use the reference kernels only", false},
    {"no-fusion", 0, NULL, "run the graph node by node", false},
};

static const char *output_name(const void *g, size_t i) { return skive_value_name(skive_graph_output(g, i)); }

static json_t *output_json(const char *name, const char *path, const skive_tensor *t) {
    json_t *shape = json_array();
    for (int d = 0; d < t->rank; d++) json_array_append_new(shape, json_integer(t->dims[d]));
    return json_pack("{s:o, s:o, s:s, s:o}", "output", cli_json_text(name), "file", cli_json_text(path), "dtype",
                     skive_dtype_name(t->dtype), "shape", shape);
}

/* `rows`: what --json prints in the end. */
static skive_status save_one(cli_args *a, const skive_tensor *out, const skive_graph *g, size_t i, const char *path,
                             json_t *rows) {
    const skive_status status = skive_tensor_save_npy(a->ctx, path, &out[i]);
    if (status == SKIVE_OK && !a->quiet && !a->json) printf("%s -> %s\n", output_name(g, i), path);
    if (status == SKIVE_OK) json_array_append_new(rows, output_json(output_name(g, i), path, &out[i]));
    return status;
}

static skive_status save_outputs(cli_args *a, const skive_tensor *out, const skive_graph *g, json_t *rows) {
    const size_t n = skive_graph_output_count(g);
    const char *dir = cli_text(a, "output-dir", NULL);
    skive_status status = SKIVE_OK;
    for (size_t k = 0; status == SKIVE_OK && k < cli_count(a, "output"); k++) {
        const char *file;
        const int64_t i = cli_which(cli_text_at(a, "output", k), &file, k, n, output_name, g);
        if (i < 0)
            return cli_fail(a, SKIVE_ERR_ARGUMENT, "--output %s: the model has no such output",
                            cli_text_at(a, "output", k));
        status = save_one(a, out, g, (size_t)i, file, rows);
    }
    for (size_t i = 0; dir && status == SKIVE_OK && i < n; i++) {
        char path[4096];
        /* An output's name may hold slashes; the file's may not. */
        int at = snprintf(path, sizeof path, "%s/", dir);
        for (const char *c = output_name(g, i); *c && at < (int)sizeof path - 8; c++)
            path[at++] = *c == '/' || *c == ':' ? '_' : *c;
        snprintf(path + at, sizeof path - (size_t)at, ".npy");
        status = save_one(a, out, g, i, path, rows);
    }
    return status;
}

static skive_status run(cli_args *a) {
    skive_graph *g = NULL;
    skive_session *session = NULL;
    if (!cli_has(a, "output") && !cli_has(a, "output-dir")) {
        return cli_fail(a, SKIVE_ERR_ARGUMENT, "say where the outputs go: --output FILE.npy or --output-dir DIR");
    }
    skive_status status = cli_load_as_packed(a, a->positional[0], &g);
    if (status != SKIVE_OK) return status;
    cli_tell_training_mode(a, g);
    const size_t n_in = skive_graph_input_count(g), n_out = skive_graph_output_count(g);
    skive_tensor *in = calloc(n_in + 1, sizeof *in), *out = calloc(n_out + 1, sizeof *out);
    skive_session_options o = skive_session_options_default();
    o.reference = cli_has(a, "reference");
    o.no_fusion = cli_has(a, "no-fusion");
    if (!in || !out) status = SKIVE_ERR_MEMORY;
    if (status == SKIVE_OK) status = cli_load_inputs(a, g, in);
    if (status == SKIVE_OK) status = skive_session_create(a->ctx, g, &o, &session);
    if (status == SKIVE_OK) status = skive_session_run(session, in, n_in, out, n_out);
    json_t *rows = json_array();
    if (status == SKIVE_OK) status = save_outputs(a, out, g, rows);
    if (status == SKIVE_OK && a->json) cli_print_json(json_incref(rows));
    json_decref(rows);
    skive_session_free(session);
    for (size_t i = 0; in && i < n_in; i++) skive_tensor_free(a->ctx, &in[i]);
    for (size_t i = 0; out && i < n_out; i++) skive_tensor_free(a->ctx, &out[i]);
    free(in);
    free(out);
    skive_graph_free(g);
    return status;
}

const cli_command cli_command_run = {
    .name = "run",
    .brief = "run a model on NumPy files",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "Inputs and outputs are NumPy files of the element type and shape the model states (skive inspect tells). "
        "Dimensions\n"
        "the model leaves open take those of the input. No normalisation is applied.",
    .examples = "  skive run model.onnx --input x.npy -o y.npy\n"
                "  skive run model.onnx --input ids=ids.npy --input mask=mask.npy --output-dir out",
    .run = run,
};
