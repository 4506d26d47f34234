/* skive inspect: what is in a model, layer by layer. */
#include <string.h>

#include "cli.h"

static const cli_option options[] = {
    {"graph", 'g', NULL, "print the graph itself, one node per line", false},
    {"coupling", 0, NULL, "list which channels can only be removed together, and what keeps the others", false},
};

/* Exporters give some dimensions whole formulas as names; --graph prints those. */
static const char *symbol_of(const skive_dim *d) { return d->symbol && strlen(d->symbol) <= 16 ? d->symbol : "?"; }

static const char *type_text(const skive_value *v, char *buffer, size_t size) {
    const skive_type *t = skive_value_type(v);
    int at = snprintf(buffer, size, "%s", t->dtype == SKIVE_DTYPE_NONE ? "?" : skive_dtype_name(t->dtype));
    if (t->rank < 0) return buffer;
    for (int d = 0; d < t->rank && (size_t)at < size; d++) {
        const char *before = d ? "," : "[";
        if (t->dims[d].size >= 0)
            at += snprintf(buffer + at, size - (size_t)at, "%s%lld", before, (long long)t->dims[d].size);
        else
            at += snprintf(buffer + at, size - (size_t)at, "%s%s", before, symbol_of(&t->dims[d]));
    }
    if ((size_t)at < size) snprintf(buffer + at, size - (size_t)at, "%s", t->rank ? "]" : "[]");
    return buffer;
}

/* The node's largest parameter, NULL when it has none. */
static const skive_value *weight_of(const skive_node *n) {
    const skive_value *largest = NULL;
    int64_t most = 0;
    for (size_t i = 0; i < skive_node_input_count(n); i++) {
        const skive_value *v = skive_node_input(n, i);
        const skive_tensor *t = v ? skive_value_data(v) : NULL;
        if (!t || skive_tensor_count(t) <= most) continue;
        most = skive_tensor_count(t);
        largest = v;
    }
    return largest;
}

static void add_row(cli_table *t, const char *name, const char *op, const char *output, const char *weight,
                    const skive_cost *c) {
    char a[32], b[32], d[32];
    cli_table_cell(t, "%s", name);
    cli_table_cell(t, "%s", op);
    cli_table_cell(t, "%s", output);
    cli_table_cell(t, "%s", weight);
    cli_table_cell(t, "%s", c->parameters ? cli_thousands(c->parameters, a, sizeof a) : "-");
    cli_table_cell(t, "%s", c->macs ? cli_thousands(c->macs, b, sizeof b) : "-");
    cli_table_cell(t, "%s", c->parameter_bytes ? cli_bytes((double)c->parameter_bytes, d, sizeof d) : "-");
    if (c->parameters)
        cli_table_cell(t, "%.1f %%", 100.0 * (1.0 - (double)c->nonzeros / (double)c->parameters));
    else
        cli_table_cell(t, "%s", "-");
}

/* The layers of a graph; those of its subgraphs follow the node that contains them. */
static skive_status add_layers(cli_table *t, const skive_graph *g, int depth) {
    char name[CLI_SHORT], cell[CLI_SHORT + 64], output[192], weight[192];
    for (size_t i = 0; i < skive_graph_node_count(g); i++) {
        const skive_node *n = skive_graph_node(g, i);
        skive_cost c;
        skive_status status = skive_node_cost(n, &c);
        if (status != SKIVE_OK) return status;
        const skive_value *out = skive_node_output_count(n) ? skive_node_output(n, 0) : NULL, *w = weight_of(n);
        snprintf(cell, sizeof cell, "%*s%s", 2 * (depth < 30 ? depth : 30), "",
                 cli_short(skive_node_name(n), name, sizeof name));
        add_row(t, cell, skive_node_op(n), out ? type_text(out, output, sizeof output) : "-",
                w ? type_text(w, weight, sizeof weight) : "-", &c);
        for (size_t k = 0; k < skive_node_subgraph_count(n); k++) {
            const char *attribute = "";
            const skive_graph *sub = skive_node_subgraph(n, k, &attribute);
            snprintf(cell, sizeof cell, "%*s%s:", 2 * (depth < 30 ? depth : 30) + 1, "",
                     cli_copy(name, sizeof name, attribute, 40));
            add_row(t, cell, "", "", "", &(skive_cost){0});
            status = add_layers(t, sub, depth + 1);
            if (status != SKIVE_OK) return status;
        }
    }
    return SKIVE_OK;
}

static skive_status print_layers(const skive_graph *g) {
    static const char *const heads[] = {"<layer", "<op", "<output", "<weight", "parameters", "MACs", "bytes", "zeros"};
    cli_table *t = cli_table_new(heads, CLI_COUNT(heads));
    skive_cost total;
    skive_status status = add_layers(t, g, 0);
    if (status == SKIVE_OK) status = skive_graph_cost(g, &total);
    if (status != SKIVE_OK) total = (skive_cost){0};
    cli_table_rule(t);
    add_row(t, "total", "", "", "", &total);
    cli_table_print(t, stdout);
    return status;
}

/* What the samples of the inputs are made of, where the metadata say it. */
static void print_samples(cli_args *a, const skive_graph *g) {
    for (size_t i = 0; i < skive_graph_input_count(g); i++) {
        char *text = NULL;
        const char *name = skive_value_name(skive_graph_input(g, i));
        if (skive_model_recipe_text(a->ctx, g, i, &text) != SKIVE_OK)
            cli_printf("samples %s  unknown: %s", name, skive_context_message(a->ctx));
        else if (text)
            cli_printf("samples %s  %s", name, text);
        skive_string_free(a->ctx, text);
    }
}

static json_t *samples_json(cli_args *a, const skive_graph *g) {
    json_t *list = json_array();
    for (size_t i = 0; i < skive_graph_input_count(g); i++) {
        char *text = NULL;
        if (skive_model_recipe_text(a->ctx, g, i, &text) != SKIVE_OK) text = NULL;
        json_array_append_new(list, text ? cli_json_text(text) : json_null());
        skive_string_free(a->ctx, text);
    }
    return list;
}

static void print_ends(const skive_graph *g) {
    char text[192];
    for (size_t i = 0; i < skive_graph_input_count(g); i++) {
        const skive_value *v = skive_graph_input(g, i);
        cli_printf("input   %s  %s", skive_value_name(v), type_text(v, text, sizeof text));
    }
    for (size_t i = 0; i < skive_graph_output_count(g); i++) {
        const skive_value *v = skive_graph_output(g, i);
        cli_printf("output  %s  %s", skive_value_name(v), type_text(v, text, sizeof text));
    }
    const char *mean = skive_graph_meta(g, "skive.input.mean"), *deviation = skive_graph_meta(g, "skive.input.std");
    if (mean && deviation) cli_printf("input normalisation  mean %s  std %s", mean, deviation);
    const char *multipliers = skive_graph_meta(g, "skive.multipliers");
    if (multipliers) cli_printf("multipliers of integers  %s", multipliers);
}

static json_t *cost_json(const skive_cost *c) {
    json_t *j = json_pack("{s:I, s:I, s:I, s:I, s:I}", "parameters", (json_int_t)c->parameters, "nonzeros",
                          (json_int_t)c->nonzeros, "macs", (json_int_t)c->macs, "parameter_bytes",
                          (json_int_t)c->parameter_bytes, "activation_bytes", (json_int_t)c->activation_bytes);
    if (c->parameters) json_object_set_new(j, "sparsity", json_real(1.0 - (double)c->nonzeros / (double)c->parameters));
    return j;
}

static json_t *types_json(const skive_node *n, size_t count, skive_value *(*get)(const skive_node *, size_t)) {
    json_t *list = json_array();
    char text[192];
    for (size_t i = 0; i < count; i++) {
        const skive_value *v = get(n, i);
        json_array_append_new(list, v ? cli_json_text(type_text(v, text, sizeof text)) : json_null());
    }
    return list;
}

static json_t *layers_json(const skive_graph *g) {
    json_t *layers = json_array();
    char text[192];
    for (size_t i = 0; i < skive_graph_node_count(g); i++) {
        const skive_node *n = skive_graph_node(g, i);
        const skive_value *w = weight_of(n);
        skive_cost c;
        (void)skive_node_cost(n, &c);
        json_t *row = cost_json(&c);
        json_object_set_new(row, "name", cli_json_text(skive_node_name(n)));
        json_object_set_new(row, "op", cli_json_text(skive_node_op(n)));
        if (skive_node_domain(n)[0]) json_object_set_new(row, "domain", cli_json_text(skive_node_domain(n)));
        json_object_set_new(row, "inputs", types_json(n, skive_node_input_count(n), skive_node_input));
        json_object_set_new(row, "outputs", types_json(n, skive_node_output_count(n), skive_node_output));
        if (w) {
            json_object_set_new(row, "weight", cli_json_text(type_text(w, text, sizeof text)));
            json_object_set_new(row, "dtype", cli_json_text(skive_dtype_name(skive_value_type(w)->dtype)));
        }
        for (size_t k = 0; k < skive_node_subgraph_count(n); k++) {
            const char *attribute = "";
            json_t *sub = layers_json(skive_node_subgraph(n, k, &attribute));
            json_object_set_new(row, attribute, sub);
        }
        json_array_append_new(layers, row);
    }
    return layers;
}

static skive_status print_as_json(cli_args *a, const skive_graph *g, const char *path, const char *missing,
                                  const skive_pack_report *packed) {
    skive_cost c;
    const skive_status status = skive_graph_cost(g, &c);
    if (status != SKIVE_OK) return status;
    json_t *j = json_pack("{s:o, s:I, s:o, s:o, s:o}", "model", cli_json_text(path), "file_bytes",
                          (json_int_t)cli_file_bytes(path), "layers", layers_json(g), "total", cost_json(&c),
                          "unsupported", cli_json_text(missing));
    if (packed) json_object_set_new(j, "packed", cli_pack_json(packed));
    json_object_set_new(j, "samples", samples_json(a, g));
    cli_print_json(j);
    return SKIVE_OK;
}

static skive_status run(cli_args *a) {
    const char *path = a->positional[0];
    skive_graph *g = NULL;
    skive_pack_report packed = {0};
    char *missing = NULL, *listing = NULL, text[32];
    const bool is_packed = skive_pack_is_packed(path);
    skive_status status = is_packed ? skive_pack_load(a->ctx, path, NULL, &g, &packed) : cli_load(a, path, &g);
    if (status == SKIVE_OK) cli_tell_training_mode(a, g);
    if (status == SKIVE_OK) status = skive_graph_unsupported(g, &missing);
    if (status == SKIVE_OK && cli_has(a, "coupling")) {
        status = cli_has(a, "graph")
                     ? cli_fail(a, SKIVE_ERR_ARGUMENT, "--graph and --coupling print different things: give one")
                     : cli_inspect_coupling(a, g);
    } else if (status == SKIVE_OK && a->json) {
        status = print_as_json(a, g, path, missing, is_packed ? &packed : NULL);
    } else if (status == SKIVE_OK && cli_has(a, "graph")) {
        status = skive_graph_print(g, &listing);
        if (status == SKIVE_OK) fputs(listing, stdout);
    } else if (status == SKIVE_OK) {
        cli_printf("%s  %s on disk", path, cli_bytes((double)cli_file_bytes(path), text, sizeof text));
        print_ends(g);
        print_samples(a, g);
        status = print_layers(g);
        if (status == SKIVE_OK && is_packed) {
            printf("\nin the file:\n");
            cli_print_pack_rows(&packed);
            cli_print_pack_purposes(&packed);
        }
        if (status == SKIVE_OK && missing[0]) cli_printf("cannot be run: unsupported operators: %s", missing);
    }
    skive_pack_report_free(a->ctx, &packed);
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
        "One line per layer: its operator, the type and shape of its output and of its largest weight, its number of\n"
        "parameters, the multiply-accumulates (MACs) of one run, the bytes of its parameters and how many of them are\n"
        "zero. Dimensions that the model leaves open (the batch) count as 1. Operators that skive cannot run are\n"
        "listed too and named below the table. For a packed file (.skv) it also lists the size, form and coder of\n"
        "each parameter, and the bytes by purpose.\n"
        "--coupling lists for each layer how many of its output channels skive prune can remove, the groups that they\n"
        "belong to, and the operator, input or output that keeps the others; and for each group the parameters that\n"
        "lose a slice with each channel.",
    .examples = "  skive inspect teacher.onnx\n"
                "  skive inspect teacher.onnx --coupling\n"
                "  skive inspect model.skv",
    .run = run,
};
