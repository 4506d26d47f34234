/* The ONNX reader: what it accepts must pass the checker, be written again, and be accepted from there. */
#include <stdlib.h>

#include <skive/onnx.h>

#include "fuzz.h"

static void look_at(skive_graph *graph, skive_context *ctx) {
    char *text = NULL;
    skive_cost cost;
    fuzz_check_message(ctx, skive_graph_check(graph));
    fuzz_check_message(ctx, skive_graph_cost(graph, &cost));
    const skive_status printed = skive_graph_print(graph, &text);
    fuzz_check_message(ctx, printed);
    if (printed == SKIVE_OK) skive_string_free(ctx, text);
    const skive_status listed = skive_graph_unsupported(graph, &text);
    fuzz_check_message(ctx, listed);
    if (listed == SKIVE_OK) skive_string_free(ctx, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    skive_context *ctx = fuzz_context((size_t)256 << 20);
    skive_onnx_load_options options = skive_onnx_load_options_default();
    skive_graph *graph = NULL, *again = NULL;
    void *bytes = NULL;
    size_t n = 0;
    options.keep_unused = size & 1;
    skive_status status = skive_onnx_parse(ctx, data, size, NULL, &options, &graph);
    fuzz_check_message(ctx, status);
    if (status == SKIVE_OK) {
        look_at(graph, ctx);
        status = skive_onnx_serialize(ctx, graph, NULL, &bytes, &n);
        fuzz_check_message(ctx, status);
    }
    if (status == SKIVE_OK) {
        status = skive_onnx_parse(ctx, bytes, n, NULL, NULL, &again);
        fuzz_check_message(ctx, status);
        if (status != SKIVE_OK && status != SKIVE_ERR_MEMORY && status != SKIVE_ERR_LIMIT) abort();
    }
    skive_onnx_free_bytes(ctx, bytes);
    skive_graph_free(again);
    skive_graph_free(graph);
    fuzz_context_end(ctx);
    return 0;
}
