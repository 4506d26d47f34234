/* Model files of both formats. */
#include <string.h>

#include <skive/onnx.h>

#include "base/magic.h"
#include "pack/file.h"
#include "share/hashed/forms.h"

bool skive_pack_is_packed(const char *path) {
    if (!path) return false;
    unsigned char head[8];
    const size_t n = skv_file_peek(path, head, sizeof head);
    return skv_magic_begins(head, n);
}

skive_status skive_model_load(skive_context *ctx, const char *path, skive_graph **out) {
    SKV_NEED(ctx, "ctx, path, out", ctx, path, out);
    if (skive_pack_is_packed(path)) return skive_pack_load(ctx, path, NULL, out, NULL);
    return skive_onnx_load(ctx, path, NULL, out);
}

skive_status skive_model_save(skive_context *ctx, const skive_graph *graph, const char *path) {
    SKV_NEED(ctx, "ctx, graph, path", ctx, graph, path);
    const size_t n = strlen(path);
    if (n > 4 && strcmp(path + n - 4, ".skv") == 0) return skive_pack_save(ctx, graph, path, NULL, NULL);
    /* Hashed layers use an operator internal to skive. */
    bool hashed = false;
    for (uint32_t i = 0; i < graph->n_nodes; i++) hashed = hashed || skv_node_is(graph->nodes[i], SKV_OP_HASHED_GEMM);
    if (!hashed) return skive_onnx_save(ctx, graph, path, NULL);
    skive_graph *standard = NULL;
    SKV_TRY(skive_graph_copy(ctx, graph, &standard));
    skive_status status = skv_graph_from_hashed(standard);
    if (status == SKIVE_OK) status = skive_onnx_save(ctx, standard, path, NULL);
    skive_graph_free(standard);
    return status;
}
