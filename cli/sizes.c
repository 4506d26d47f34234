/* The size of a model: the bytes of its weights, which compression changes, and those of the file, which also contains
 * the graph, names and whatever its exporter left in it. Ratios are those of the weights. */
#include "cli.h"

skive_status cli_sizes_as_loaded(cli_args *a, const char *path, const skive_graph *graph, cli_sizes *out) {
    const skive_status status = cli_sizes_of(a, path, graph, out);
    if (status == SKIVE_OK && !skive_pack_is_packed(path)) (void)cli_loaded_weights(path, &out->weights);
    return status;
}

skive_status cli_sizes_of(cli_args *a, const char *path, const skive_graph *graph, cli_sizes *out) {
    skive_pack_load_options o = skive_pack_load_options_default();
    skive_pack_report packed = {0};
    skive_graph *loaded = NULL;
    skive_status status = SKIVE_OK;
    *out = (cli_sizes){.file = cli_file_bytes(path)};
    if (skive_pack_is_packed(path)) {
        o.keep_coded = true;
        status = skive_pack_load(a->ctx, path, &o, &loaded, &packed);
        out->weights = (int64_t)(packed.values + packed.positions + packed.together + packed.tables + packed.heads +
                                 packed.biases);
        skive_pack_report_free(a->ctx, &packed);
    } else {
        skive_cost cost = {0};
        if (!graph) status = cli_load(a, path, &loaded);
        if (status == SKIVE_OK) status = skive_graph_cost(graph ? graph : loaded, &cost);
        out->weights = cost.parameter_bytes;
    }
    skive_graph_free(loaded);
    return status;
}

void cli_print_sizes(const cli_sizes *before, const cli_sizes *after, const char *output) {
    char w[32], x[32], y[32], z[32];
    cli_part("wrote %s: weights %s, were %s", output, cli_bytes((double)after->weights, w, sizeof w),
             cli_bytes((double)before->weights, x, sizeof x));
    if (after->weights > 0) cli_part(" (%.2fx)", (double)before->weights / (double)after->weights);
    cli_printf("; file %s, was %s%s", cli_bytes((double)after->file, y, sizeof y),
               cli_bytes((double)before->file, z, sizeof z),
               after->file >= before->file         ? "; it is NOT smaller"
               : after->weights >= before->weights ? "; its weights are NOT smaller"
                                                   : "");
}

void cli_set_sizes(json_t *j, const cli_sizes *before, const cli_sizes *after) {
    json_object_set_new(j, "bytes", json_integer(after->file));
    json_object_set_new(j, "weight_bytes", json_integer(after->weights));
    if (!before) return;
    json_object_set_new(j, "bytes_before", json_integer(before->file));
    json_object_set_new(j, "weight_bytes_before", json_integer(before->weights));
}
