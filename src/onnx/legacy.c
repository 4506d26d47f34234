/* Conversion of opsets 1 to 6. Broadcasting was requested by an attribute, with the axis at which the second input is
 * aligned with the first; test mode was a flag; shapes were attributes. */
#include <string.h>

#include "onnx/onnx.h"
#include "ops/common_shape.h"

/* Input 1 [c] aligned at axis 1 of input 0 [n][c][h][w] becomes [c][1][1], which broadcasts without an attribute. */
static skive_status lay_at_axis(skive_node *n, int64_t axis) {
    const skive_value *a = skv_node_in(n, 0);
    skive_value *b = skv_node_in(n, 1);
    skive_context *ctx = n->graph->ctx;
    if (!a || !b || a->type.rank < 0 || b->type.rank < 0) {
        return skv_fail_at(
            ctx, SKIVE_ERR_UNSUPPORTED, n->name,
            "node %s (%s): broadcasting at axis %lld (opset 6) needs the ranks of its inputs, which are unknown",
            n->name, n->op_type, (long long)axis);
    }
    if (axis < 0) axis += a->type.rank;
    int64_t missing = a->type.rank - axis - b->type.rank, axes[SKIVE_MAX_RANK];
    if (axis < 0 || missing < 0 || missing + b->type.rank > SKIVE_MAX_RANK) {
        return skv_fail_at(ctx, SKIVE_ERR_SHAPE, n->name, "node %s (%s): the second input does not fit at axis %lld",
                           n->name, n->op_type, (long long)axis);
    }
    if (missing == 0) return SKIVE_OK;
    for (int64_t i = 0; i < missing; i++) axes[i] = b->type.rank + i;
    skv_builder build = skv_build(n->graph);
    skive_value *list = skv_emit_ints(&build, axes, (size_t)missing);
    skive_value *laid = skv_emit(&build, "Unsqueeze", SKV_IN(b, list), SKV_NONE);
    SKV_TRY(build.status);
    return skv_node_set_input(n, 1, laid);
}

static void rename_attr(skive_node *n, const char *from, const char *to) {
    for (uint32_t i = 0; i < n->n_attrs; i++)
        if (strcmp(n->attrs[i].name, from) == 0) n->attrs[i].name = to;
}

/* "FLOAT" to the number used by later versions. */
static skive_status cast_by_name(skive_node *n) {
    static const struct {
        const char *name;
        skive_dtype dtype;
    } types[] = {{"FLOAT", SKIVE_F32},   {"UINT8", SKIVE_U8},   {"INT8", SKIVE_I8},    {"UINT16", SKIVE_U16},
                 {"INT16", SKIVE_I16},   {"INT32", SKIVE_I32},  {"INT64", SKIVE_I64},  {"BOOL", SKIVE_BOOL},
                 {"FLOAT16", SKIVE_F16}, {"DOUBLE", SKIVE_F64}, {"UINT32", SKIVE_U32}, {"UINT64", SKIVE_U64}};
    const char *to = skv_attr_string(n, "to", NULL);
    for (size_t i = 0; to && i < SKV_COUNT(types); i++)
        if (strcmp(types[i].name, to) == 0) return skv_node_set_attr(n, &SKV_INT("to", types[i].dtype));
    return SKIVE_OK;
}

/* Opsets 1 to 4. */
static skive_status upgrade_first(skive_node *n) {
    if (skv_node_is(n, SKV_OP_CAST)) return cast_by_name(n);
    if (skv_node_is(n, SKV_OP_CONCAT) && !skv_node_attr(n, "axis")) return skv_node_set_attr(n, &SKV_INT("axis", 1));
    if (skv_node_is(n, SKV_OP_PAD)) rename_attr(n, "paddings", "pads");
    if (skv_node_is(n, SKV_OP_RESHAPE) && skv_node_attr(n, "shape")) return skv_import_ints(n->graph, n, "shape", 1);
    return SKIVE_OK;
}

/* A slope per channel is aligned at axis 1. */
static skive_status lay_slope(skive_node *n) {
    const skive_value *slope = skv_node_in(n, 1);
    return slope && slope->type.rank == 1 && slope->type.dims[0].size != 1 ? lay_at_axis(n, 1) : SKIVE_OK;
}

skive_status skv_onnx_upgrade_legacy(skv_onnx_source *source, skive_node *n, int from) {
    static const skv_op_kind binary[] = {SKV_OP_ADD, SKV_OP_SUB, SKV_OP_MUL,   SKV_OP_DIV,     SKV_OP_POW, SKV_OP_AND,
                                         SKV_OP_OR,  SKV_OP_XOR, SKV_OP_EQUAL, SKV_OP_GREATER, SKV_OP_LESS};
    (void)source;
    if (skv_node_is_any(n, binary, SKV_COUNT(binary))) {
        if (skv_attr_int(n, "broadcast", 0) != 0 && skv_node_attr(n, "axis")) {
            SKV_TRY(lay_at_axis(n, skv_attr_int(n, "axis", 0)));
        }
        skv_node_remove_attr(n, "axis");
        skv_node_remove_attr(n, "broadcast");
    } else if (skv_node_is(n, SKV_OP_GEMM)) {
        skv_node_remove_attr(n, "broadcast");
    } else if (skv_node_is(n, SKV_OP_BATCH_NORMALIZATION) || skv_node_is(n, SKV_OP_DROPOUT)) {
        skv_node_remove_attr(n, "is_test"); /* these models are for inference */
        skv_node_remove_attr(n, "spatial");
    } else if (skv_node_is(n, SKV_OP_PRELU)) {
        SKV_TRY(lay_slope(n));
    } else if (skv_node_is(n, SKV_OP_LSTM) || skv_node_is(n, SKV_OP_GRU) || skv_node_is(n, SKV_OP_RNN)) {
        skv_node_remove_attr(n, "output_sequence");
    }
    if (from < 5) SKV_TRY(upgrade_first(n));
    skv_node_remove_attr(n, "consumed_inputs");
    return SKIVE_OK;
}
