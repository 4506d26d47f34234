/* skive inspect: what is in a model, layer by layer. */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"graph", 'g', NULL, "print the graph itself, one node a line", false},
};

static const char *type_text(const skive_value *v, char *buffer, size_t size) {
    const skive_type *t = skive_value_type(v);
    int at = snprintf(buffer, size, "%s", skive_dtype_name(t->dtype));
    if (t->rank < 0) return buffer;
    for (int d = 0; d < t->rank && (size_t)at < size; d++) {
        const char *before = d ? "," : "[";
        if (t->dims[d].size >= 0)
            at += snprintf(buffer + at, size - (size_t)at, "%s%lld", before, (long long)t->dims[d].size);
        else
            at += snprintf(buffer + at, size - (size_t)at, "%s%s", before, t->dims[d].symbol ? t->dims[d].symbol : "?");
    }
    if ((size_t)at < size) snprintf(buffer + at, size - (size_t)at, "%s", t->rank ? "]" : "[]");
    return buffer;
}

/* Element type of the node's largest parameter. */
static const char *parameter_dtype(const skive_node *n) {
    const char *name = "-";
    int64_t most = 0;
    for (size_t i = 0; i < skive_node_input_count(n); i++) {
        const skive_value *v = skive_node_input(n, i);
        const skive_tensor *t = v ? skive_value_data(v) : NULL;
        if (!t || skive_tensor_count(t) <= most) continue;
        most = skive_tensor_count(t);
        name = skive_dtype_name(t->dtype);
    }
    return name;
}

static void add_row(cli_table *t, const char *name, const char *op, const char *output, const char *dtype,
                    const skive_cost *c) {
    char a[32], b[32], d[32];
    cli_table_cell(t, "%s", name);
    cli_table_cell(t, "%s", op);
    cli_table_cell(t, "%s", output);
    cli_table_cell(t, "%s", c->parameters ? cli_thousands(c->parameters, a, sizeof a) : "-");
    cli_table_cell(t, "%s", c->macs ? cli_thousands(c->macs, b, sizeof b) : "-");
    cli_table_cell(t, "%s", c->parameter_bytes ? cli_bytes((double)c->parameter_bytes, d, sizeof d) : "-");
    cli_table_cell(t, "%s", dtype);
    if (c->parameters)
        cli_table_cell(t, "%.1f %%", 100.0 * (1.0 - (double)c->nonzeros / (double)c->parameters));
    else
        cli_table_cell(t, "%s", "-");
}

static skive_status print_layers(const skive_graph *g) {
    static const char *const heads[] = {"<layer", "<op", "<output", "parameters", "MACs", "bytes", "<dtype", "zeros"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    skive_cost total;
    char text[192];
    for (size_t i = 0; i < skive_graph_node_count(g); i++) {
        const skive_node *n = skive_graph_node(g, i);
        skive_cost c;
        const skive_status status = skive_node_cost(n, &c);
        if (status != SKIVE_OK) return status;
        const skive_value *out = skive_node_output_count(n) ? skive_node_output(n, 0) : NULL;
        add_row(t, skive_node_name(n), skive_node_op(n), out ? type_text(out, text, sizeof text) : "-",
                parameter_dtype(n), &c);
    }
    const skive_status status = skive_graph_cost(g, &total);
    if (status != SKIVE_OK) return status;
    cli_table_rule(t);
    add_row(t, "total", "", "", "", &total);
    cli_table_print(t, stdout);
    return SKIVE_OK;
}

static void print_ends(const skive_graph *g) {
    char text[192];
    for (size_t i = 0; i < skive_graph_input_count(g); i++) {
        const skive_value *v = skive_graph_input(g, i);
        printf("input   %s  %s\n", skive_value_name(v), type_text(v, text, sizeof text));
    }
    for (size_t i = 0; i < skive_graph_output_count(g); i++) {
        const skive_value *v = skive_graph_output(g, i);
        printf("output  %s  %s\n", skive_value_name(v), type_text(v, text, sizeof text));
    }
    const char *mean = skive_graph_meta(g, "skive.input.mean"), *deviation = skive_graph_meta(g, "skive.input.std");
    if (mean && deviation) printf("input normalisation  mean %s  std %s\n", mean, deviation);
}

static json_t *cost_json(const skive_cost *c) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "parameters", (json_int_t)c->parameters, "nonzeros",
                     (json_int_t)c->nonzeros, "macs", (json_int_t)c->macs, "parameter_bytes",
                     (json_int_t)c->parameter_bytes, "activation_bytes", (json_int_t)c->activation_bytes);
}

static skive_status print_as_json(const skive_graph *g, const char *path, const char *missing) {
    json_t *layers = json_array();
    char text[192];
    skive_cost c;
    for (size_t i = 0; i < skive_graph_node_count(g); i++) {
        const skive_node *n = skive_graph_node(g, i);
        const skive_value *out = skive_node_output_count(n) ? skive_node_output(n, 0) : NULL;
        const skive_status status = skive_node_cost(n, &c);
        if (status != SKIVE_OK) return status;
        json_t *row = cost_json(&c);
        json_object_set_new(row, "name", json_string(skive_node_name(n)));
        json_object_set_new(row, "op", json_string(skive_node_op(n)));
        json_object_set_new(row, "output", json_string(out ? type_text(out, text, sizeof text) : ""));
        json_array_append_new(layers, row);
    }
    const skive_status status = skive_graph_cost(g, &c);
    if (status != SKIVE_OK) return status;
    cli_print_json(json_pack("{s:s, s:I, s:o, s:o, s:s}", "model", path, "file_bytes", (json_int_t)cli_file_bytes(path),
                             "layers", layers, "total", cost_json(&c), "unsupported", missing));
    return SKIVE_OK;
}

static skive_status run(cli_args *a) {
    const char *path = a->positional[0];
    skive_graph *g = NULL;
    char *missing = NULL, *listing = NULL, text[32];
    skive_status status = cli_load(a, path, &g);
    if (status == SKIVE_OK) status = skive_graph_unsupported(g, &missing);
    if (status == SKIVE_OK && a->json) {
        status = print_as_json(g, path, missing);
    } else if (status == SKIVE_OK && cli_has(a, "graph")) {
        status = skive_graph_print(g, &listing);
        if (status == SKIVE_OK) fputs(listing, stdout);
    } else if (status == SKIVE_OK) {
        printf("%s  %s on disk\n", path, cli_bytes((double)cli_file_bytes(path), text, sizeof text));
        print_ends(g);
        status = print_layers(g);
        if (status == SKIVE_OK && missing[0]) printf("cannot be run: unsupported operators: %s\n", missing);
    }
    skive_string_free(a->ctx, listing);
    skive_string_free(a->ctx, missing);
    skive_graph_free(g);
    return status;
}

const cli_command cli_command_inspect = {
    .name = "inspect",
    .brief = "list a model's layers: shapes, parameters, MACs, bytes, sparsity",
    .positional = "MODEL",
    .min_positional = 1,
    .max_positional = 1,
    .options = options,
    .n_options = CLI_COUNT(options),
    .details =
        "Dimensions that the model leaves open (the batch) count as 1. Operators skive cannot run are listed too.",
    .examples = "  skive inspect teacher.onnx",
    .run = run,
};
