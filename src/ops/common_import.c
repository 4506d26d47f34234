/* Conversion of nodes of older opsets, the lowest opset that a node needs, and rewriting of constant sizes after
 * channels were removed. See common_shape.h. */
#include "ops/common_shape.h"

skive_status skv_import_ints(skive_graph *g, skive_node *n, const char *attribute, size_t index) {
    const skv_attr *a = skv_node_attr(n, attribute);
    if (!a) return SKIVE_OK;
    if (a->type != SKV_ATTR_INTS)
        return skv_fail_at(g->ctx, SKIVE_ERR_GRAPH, n->name, "attribute %s is not a list of integers", attribute);
    skv_builder b = skv_build(g);
    skive_value *list = skv_emit_ints(&b, a->ints, a->n);
    SKV_TRY(b.status);
    SKV_TRY(skv_node_set_input(n, index, list));
    skv_node_remove_attr(n, attribute);
    return SKIVE_OK;
}

skive_status skv_import_float(skive_graph *g, skive_node *n, const char *attribute, size_t index, skive_dtype dtype) {
    const skv_attr *a = skv_node_attr(n, attribute);
    if (!a) return SKIVE_OK;
    if (a->type != SKV_ATTR_FLOAT)
        return skv_fail_at(g->ctx, SKIVE_ERR_GRAPH, n->name, "attribute %s is not a number", attribute);
    skv_builder b = skv_build(g);
    skive_value *scalar = skv_emit_scalar(&b, dtype, a->f);
    SKV_TRY(b.status);
    SKV_TRY(skv_node_set_input(n, index, scalar));
    skv_node_remove_attr(n, attribute);
    return SKIVE_OK;
}

skive_status skv_import_replace(skive_node *n, skive_value *value) {
    skive_value *old = n->outputs[0];
    const skive_type type = old->type;
    SKV_TRY(skv_value_replace_uses(old, value, true));
    SKV_TRY(skv_value_take_name(value, old));
    if (value->type.rank < 0 || value->type.dtype == SKIVE_DTYPE_NONE) value->type = type;
    return skv_graph_remove_node(n);
}

int skv_dtype_opset(skive_dtype dtype) {
    switch (dtype) {
    case SKIVE_U4:
    case SKIVE_I4: return 21;
    case SKIVE_F4E2M1: return 23;
    case SKIVE_F8E8M0: return 24;
    case SKIVE_U2:
    case SKIVE_I2: return 25;
    default: return skv_dtype_is_float8(dtype) ? 19 : 0;
    }
}

int skv_needs_for_dtype(const skive_node *n, int least, int bf16, int int4) {
    for (int side = 0; side < 2; side++) {
        const skive_value *v = side ? (n->n_outputs ? n->outputs[0] : NULL) : skv_node_in(n, 0);
        if (!v) continue;
        skive_dtype t = v->type.dtype;
        if (t == SKIVE_BF16 && bf16 > least) least = bf16;
        if (skv_dtype_is_float8(t) && least < 19) least = 19;
        if (skv_dtype_opset(t) > 21 && skv_dtype_opset(t) > least) least = skv_dtype_opset(t);
        if ((t == SKIVE_I4 || t == SKIVE_U4) && int4 > least) least = int4;
    }
    return least;
}

/* Input `index`, a constant list, with element `at` set to `size`. */
static skive_status set_list_element(skive_node *n, size_t index, int at, int64_t size) {
    int64_t *values = NULL;
    skive_context *ctx = n->graph->ctx;
    const skive_tensor *t = skv_node_constant(n, index);
    int64_t count = t ? skive_tensor_count(t) : -1;
    if (count < 0 || count > INT32_MAX || at >= count)
        return skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, n->name, "a computed size cannot be changed");
    SKV_TRY(skv_alloc_array(ctx, (size_t)count, sizeof *values, &values));
    skive_status status = SKIVE_OK;
    if (skv_read_ints(t, values, (int)count) != (int)count) {
        status = skv_fail_at(ctx, SKIVE_ERR_SHAPE, n->name, "a list of sizes does not contain integers");
    } else if (values[at] > 0 && values[at] != size) {
        values[at] = size;
        skv_builder b = skv_build(n->graph);
        skive_value *list = skv_emit_ints(&b, values, (size_t)count);
        status = b.status;
        if (status == SKIVE_OK) status = skv_node_set_input(n, index, list);
    }
    skv_free(ctx, values);
    return status;
}

/* Split by a number of outputs becomes a split by sizes. */
static skive_status split_to_sizes(skive_node *n, int axis) {
    skive_context *ctx = n->graph->ctx;
    int64_t *sizes = NULL;
    SKV_TRY(skv_alloc_array(ctx, n->n_outputs, sizeof *sizes, &sizes));
    skive_status status = SKIVE_OK;
    for (uint32_t i = 0; i < n->n_outputs; i++) {
        const skive_type *t = n->outputs[i] ? &n->outputs[i]->type : NULL;
        if (!t || axis >= t->rank || t->dims[axis].size < 0)
            status = skv_fail_at(ctx, SKIVE_ERR_UNSUPPORTED, n->name, "the sizes of the parts are unknown");
        else
            sizes[i] = t->dims[axis].size;
    }
    skv_builder b = skv_build(n->graph);
    if (status == SKIVE_OK) {
        skive_value *list = skv_emit_ints(&b, sizes, n->n_outputs);
        status = b.status;
        if (status == SKIVE_OK) status = skv_node_set_input(n, 1, list);
    }
    if (status == SKIVE_OK) skv_node_remove_attr(n, "num_outputs");
    skv_free(ctx, sizes);
    return status;
}

skive_status skv_op_set_output_dim(skive_node *n, size_t output, int axis, int64_t size) {
    if (skv_node_is(n, SKV_OP_RESHAPE) || skv_node_is(n, SKV_OP_EXPAND)) {
        int first = 0;
        if (skv_node_is(n, SKV_OP_EXPAND)) { /* the list may be shorter than the result: aligned to the right */
            const skive_tensor *t = skv_node_constant(n, 1);
            int64_t count = t ? skive_tensor_count(t) : -1;
            if (count >= 0) first = n->outputs[output]->type.rank - (int)count;
        }
        return axis < first ? SKIVE_OK : set_list_element(n, 1, axis - first, size);
    }
    if (skv_node_is(n, SKV_OP_SPLIT)) {
        if (skv_axis(skv_attr_int(n, "axis", 0), n->outputs[output]->type.rank) != axis) return SKIVE_OK;
        if (!skv_node_in(n, 1)) SKV_TRY(split_to_sizes(n, axis));
        return set_list_element(n, 1, (int)output, size);
    }
    return SKIVE_OK;
}
